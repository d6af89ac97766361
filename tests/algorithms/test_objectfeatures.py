"""objectfeatures through Processing: equal to QGIS's own zonal statistics, documented names, refusals."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from qgis.core import (
    QgsFeature,
    QgsGeometry,
    QgsProcessingException,
    QgsVectorLayer,
)


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    sys.path.insert(0, str(Path(__file__).parents[1] / "model" / "mapping"))
    import mapping_scene

    return str(mapping_scene.make_stack(tmp_path_factory.mktemp("objets é")))


@pytest.fixture(scope="module")
def fields():
    """Irregular fields as a layer in memory, some of them crossing, one smaller than a pixel."""
    random = np.random.default_rng(5)
    layer = QgsVectorLayer("Polygon?crs=EPSG:32738&field=name:string", "fields", "memory")
    for number in range(60):
        x, y = 500000 + random.uniform(200, 1300), 8000000 - random.uniform(100, 1200)
        radius = 3.0 if number == 0 else random.uniform(20, 90)
        angles = np.sort(random.uniform(0, 2 * np.pi, 8))
        corners = [f"{x + radius * np.cos(a)} {y + radius * np.sin(a)}" for a in angles]
        feature = QgsFeature(layer.fields())
        feature.setGeometry(QgsGeometry.fromWkt(f"POLYGON(({','.join([*corners, corners[0]])}))"))
        layer.dataProvider().addFeature(feature)
    return layer


def rows(path):
    layer = QgsVectorLayer(path, "table")
    assert layer.isValid()
    return layer, {feature["object"]: feature for feature in layer.getFeatures()}


def test_equal_to_qgis_zonal_statistics(landloom_provider, scene, fields, tmp_path):
    """Mean, standard deviation and count of one date, against native:zonalstatisticsfb on the very raster."""
    import processing

    raster = next((Path(scene).parent).glob("S2_20210405.tif"))
    output = str(tmp_path / "features.gpkg")
    parameters = {"SEGMENTS": fields, "RASTERS": [str(raster)], "FEATURES": "mean,std,p50", "OUTPUT": output}
    processing.run("landloom:objectfeatures", {**parameters, "PARTIAL": False})
    _layer, mine = rows(output)
    theirs = processing.run(
        "native:zonalstatisticsfb",
        {
            "INPUT": fields, "INPUT_RASTER": str(raster), "RASTER_BAND": 3, "COLUMN_PREFIX": "_",
            "STATISTICS": [0, 2, 3, 4], "OUTPUT": "TEMPORARY_OUTPUT",
        },
    )["OUTPUT"]  # fmt: skip
    compared = 0
    for feature in theirs.getFeatures():
        own = mine[feature.id()]
        count = feature["_count"]
        if not count or own["S2_20210405_B8_mean"] in (None,) or not feature["_mean"]:
            continue
        if count <= 1.5:
            continue  # of such objects QGIS weighs the pixels that their edges cross
        assert own["S2_20210405_B8_mean"] == pytest.approx(feature["_mean"], rel=1e-6)
        assert own["S2_20210405_B8_std"] == pytest.approx(feature["_stdev"], rel=1e-5, abs=1e-3)
        if round(count) % 2:
            assert own["S2_20210405_B8_p50"] == pytest.approx(feature["_median"])
        compared += 1
    assert compared > 40


def test_fields_have_documented_names_and_small_objects_stay(landloom_provider, scene, fields, tmp_path):
    import processing

    output = str(tmp_path / "features.gpkg")
    parameters = {"SEGMENTS": fields, "STACK": scene, "FEATURES": "mean,p10,shape", "INDICES": "NDVI", "OUTPUT": output}
    result = processing.run("landloom:objectfeatures", parameters)
    layer, found = rows(output)
    assert result["OBJECTS"] == 60 == len(found)
    names = [field.name() for field in layer.fields()]
    assert names[:4] == ["fid", "object", "pixels", "small"]
    assert names[-4:] == ["area_ha", "perimeter_m", "compactness", "elongation"]
    assert {"S2_20210105_B3_mean", "S2_20210105_NDVI_p10", "S1_ASC_20210211_VH_mean", "S2_20210105_valid"} <= set(names)
    least = found[1]
    assert least["small"] and least["pixels"] < 0.5
    assert -30 < least["S1_ASC_20210211_VH_mean"] < 0


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"FEATURES": "mean,sttd"}, "FEATURES has 'sttd'"),
        ({"STACK": ""}, "nothing to measure: give STACK or RASTERS"),
        ({"SEGMENTS": "nowhere.gpkg"}, "SEGMENTS|nowhere"),
        ({"INDICES": "NDXX"}, "NDXX"),
        ({"SENSORS": "S9"}, "S9"),
        ({"OUTPUT": "/proc/a.gpkg"}, "Cannot write /proc"),
    ],
)
def test_bad_input_is_one_sentence(landloom_provider, scene, fields, tmp_path, change, sentence):
    import processing

    parameters = {"SEGMENTS": fields, "STACK": scene, "OUTPUT": str(tmp_path / "a.gpkg"), **change}
    with pytest.raises(QgsProcessingException, match=sentence):
        processing.run("landloom:objectfeatures", parameters)
    assert not list(tmp_path.iterdir())
