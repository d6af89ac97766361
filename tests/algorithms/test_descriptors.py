"""descriptors through Processing: bands, style in QGIS, refusals in one sentence."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from qgis.core import (
    QgsCoordinateReferenceSystem,
    QgsCoordinateTransform,
    QgsProcessingException,
    QgsProject,
    QgsRasterLayer,
)

pytest.importorskip("torch")


@pytest.fixture(scope="module")
def scene():
    sys.path.insert(0, str(Path(__file__).parents[1] / "model" / "mapping"))
    import mapping_scene

    return mapping_scene


@pytest.fixture(scope="module")
def inputs(scene, tmp_path_factory):
    import numpy as np
    from landloom.model.networks.axes import fit_axes
    from landloom.model.networks.modelfile import Model

    folder = tmp_path_factory.mktemp("descripteurs é")
    stack = scene.make_stack(folder)
    path = scene.make_model(stack, "ltae", folder / "maïs.safetensors")
    model = Model.load(path)
    model.axes = {"fused": fit_axes([np.random.default_rng(0).normal(size=(300, 128))])}
    model.save(path)
    return {"STACK": str(stack), "MODEL": str(path)}


def test_the_first_three_show_in_colours(landloom_provider, inputs, tmp_path):
    import processing

    result = processing.run(
        "landloom:descriptors", {**inputs, "DIMENSIONS": 4, "OUTPUT": str(tmp_path / "carte é.tif")}
    )
    layer = QgsRasterLayer(result["OUTPUT"], "descriptors")
    assert layer.isValid() and layer.bandCount() == 4 and "fused axis 2" in layer.bandName(2)
    renderer = layer.renderer()
    assert renderer.type() == "multibandcolor"
    assert [renderer.redBand(), renderer.greenBand(), renderer.blueBand()] == [1, 2, 3]
    contrast = renderer.greenContrastEnhancement()
    assert contrast.minimumValue() < 0 < contrast.maximumValue()


def test_fewer_than_three_show_in_grey(landloom_provider, inputs, tmp_path):
    import processing

    parameters = {**inputs, "DIMENSIONS": 2, "TYPE": "int16", "EXTENT": "500300,500900,7999100,7999700 [EPSG:32738]"}
    result = processing.run("landloom:descriptors", {**parameters, "OUTPUT": str(tmp_path / "a.tif")})
    layer = QgsRasterLayer(result["OUTPUT"], "descriptors")
    assert layer.renderer().type() == "singlebandgray" and (layer.width(), layer.height()) == (60, 60)


def test_tables_of_points_and_polygons(landloom_provider, inputs, tmp_path):
    import processing
    from osgeo import gdal
    from qgis.core import QgsFeature, QgsGeometry, QgsVectorLayer

    points = QgsVectorLayer("Point?crs=EPSG:4326&field=n:integer", "points", "memory")
    fields = QgsVectorLayer("Polygon?crs=EPSG:32738", "fields", "memory")
    change = QgsCoordinateTransform(
        QgsCoordinateReferenceSystem("EPSG:32738"), QgsCoordinateReferenceSystem("EPSG:4326"), QgsProject.instance()
    )
    for layer, wkts in (
        (points, ["Point(500605 7999395)", "Point(500015 7999985)", "Point(400000 7999000)"]),
        (fields, ["Polygon((500600 7999400,500630 7999400,500630 7999380,500600 7999380,500600 7999400))"]),
    ):
        for wkt in wkts:
            feature, geometry = QgsFeature(layer.fields()), QgsGeometry.fromWkt(wkt)
            if layer is points:
                geometry.transform(change)
            feature.setGeometry(geometry)
            layer.dataProvider().addFeature(feature)
    found = {}
    for name, layer in (("points", points), ("fields", fields)):
        result = processing.run(
            "landloom:descriptors",
            {**inputs, "DIMENSIONS": 3, "TYPE": "int16", "POINTS": layer, "OUTPUT": str(tmp_path / f"{name}.tif"),
             "TABLE": str(tmp_path / f"{name}.gpkg")},
        )  # fmt: skip
        table = QgsVectorLayer(result["TABLE"], "table")
        found[name] = {feature["feature"]: feature for feature in table.getFeatures()}
    dataset = gdal.Open(str(tmp_path / "points.tif"))
    values = dataset.ReadAsArray() * dataset.GetRasterBand(1).GetScale()
    assert [found["points"][1][f"d{k}"] for k in (1, 2, 3)] == pytest.approx(values[:, 60, 60], rel=1e-5)
    assert not found["points"][2]["d1"] and not found["points"][3]["d1"]  # no data; outside
    field = found["fields"][1]
    assert field["pixels"] == pytest.approx(6)
    expected = values[:, 60:62, 60:63].mean(axis=(1, 2))
    assert [field[f"d{k}"] for k in (1, 2, 3)] == pytest.approx(expected, rel=1e-5)
    with pytest.raises(QgsProcessingException, match="POINTS is given without TABLE"):
        processing.run("landloom:descriptors", {**inputs, "POINTS": points, "OUTPUT": str(tmp_path / "x.tif")})


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"BRANCH": "S7"}, "BRANCH is 'S7', but the model has: fused"),
        ({"DIMENSIONS": 65}, "DIMENSIONS is 65"),
        ({"TYPE": "byte"}, "TYPE is 'byte'"),
        ({"MODEL": ""}, "MODEL"),
    ],
)
def test_bad_input_is_one_sentence(landloom_provider, inputs, tmp_path, change, sentence):
    import processing

    with pytest.raises(QgsProcessingException, match=sentence):
        processing.run("landloom:descriptors", {**inputs, "OUTPUT": str(tmp_path / "a.tif"), **change})
    assert not list(tmp_path.iterdir())


def test_a_forest_is_refused(landloom_provider, scene, inputs, tmp_path):
    import processing

    forest = scene.make_model(Path(inputs["STACK"]), "randomforest", tmp_path / "f.safetensors")
    with pytest.raises(QgsProcessingException, match="A random forest has no descriptors"):
        processing.run("landloom:descriptors", {**inputs, "MODEL": str(forest), "OUTPUT": str(tmp_path / "a.tif")})
