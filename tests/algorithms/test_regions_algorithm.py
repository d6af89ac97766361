"""REGIONS through Processing: samples, training and mapping by region."""

from __future__ import annotations

import json

import numpy as np
import pytest
from landloom.model.base.raster import open_raster, spatial_reference
from osgeo import ogr
from qgis.core import QgsProcessingException, QgsProcessingFeedback

SIDE = 120


def write_layer(path, field, kind, squares):
    """Polygons ``(value, left, top, right, bottom)`` in pixels."""
    dataset = ogr.GetDriverByName("GPKG").CreateDataSource(str(path))
    layer = dataset.CreateLayer(path.stem, spatial_reference("EPSG:32738"), ogr.wkbPolygon)
    layer.CreateField(ogr.FieldDefn(field, kind))
    for value, left, top, right, bottom in squares:
        west, east, north, south = 500000 + 10 * left, 500000 + 10 * right, 8000000 - 10 * top, 8000000 - 10 * bottom
        feature = ogr.Feature(layer.GetLayerDefn())
        feature.SetField(field, value)
        ring = f"{west} {south},{east} {south},{east} {north},{west} {north},{west} {south}"
        feature.SetGeometry(ogr.CreateGeometryFromWkt(f"POLYGON(({ring}))"))
        layer.CreateFeature(feature)
    return path


@pytest.fixture(scope="module")
def inputs(tmp_path_factory, make_stack):
    """Two classes whose signatures change places in the middle, fields of both, and two regions by number."""
    folder = tmp_path_factory.mktemp("région")
    rng = np.random.default_rng(1)
    labels = np.kron(rng.integers(0, 2, (12, 12)), np.ones((10, 10), int))
    bright = np.where(np.arange(SIDE) < 60, labels, 1 - labels)
    values = (1500 + 900 * bright[None, None] + rng.normal(0, 150, (3, 1, SIDE, SIDE))).astype(np.int16)
    dates = ["2021-01-05", "2021-03-05", "2021-06-05"]
    stack = make_stack(folder, {"S2": {"values": values, "bands": ["B8"], "dates": dates, "nodata": -1, "scale": 1e-4}})
    fields = [
        (int(labels[row, column]) + 1, column + 2, row + 2, column + 8, row + 8)
        for row in range(0, SIDE, 10)
        for column in range(0, SIDE, 10)
    ]
    reference = write_layer(folder / "reference.gpkg", "class", ogr.OFTInteger, fields)
    halves = [(3, -90, -90, 60, 300), (7, 60, -90, 300, 300)]
    regions = write_layer(folder / "regions.gpkg", "zone", ogr.OFTInteger, halves)
    return stack, reference, regions, labels


def test_from_reference_to_a_map_by_regions(landloom_provider, inputs, tmp_path):
    import processing

    stack, reference, regions, labels = inputs
    samples, model, output = (str(tmp_path / name) for name in ("samples", "m.safetensors", "map.tif"))
    processing.run(
        "landloom:extractsamples",
        {"STACK": str(stack), "REFERENCE": str(reference), "CLASS_FIELD": "class", "GROUP_DISTANCE": 0}
        | {"OUTPUT": samples, "MAX_PER_GROUP": 6},
    )
    by_region = {"REGIONS": str(regions), "REGION_FIELD": "zone"}
    report = tmp_path / "training.html"
    scores = processing.run(
        "landloom:train",
        {"SAMPLES": samples, "NETWORK": "randomforest", "EVALUATION": "holdout", "OUTPUT": model}
        | {"REPORT": str(report), **by_region},
    )
    assert scores["MACRO_F1"] > 0.9
    assert (tmp_path / "m_regions.safetensors").exists()
    assert {path.name for path in tmp_path.glob("*.html")} == {
        "training.html",
        "training_all.html",
        "training_3.html",
        "training_7.html",
    }
    given = {"STACK": str(stack), "MODEL": model, "OUTPUT": output}
    processing.run("landloom:classify", {**given, **by_region, "BLEND": 20})
    assert (open_raster(output).ReadAsArray() == labels + 1).mean() > 0.95
    with pytest.raises(QgsProcessingException, match="REGION_FIELD is missing"):
        processing.run("landloom:classify", {**given, "REGIONS": str(regions)})


def test_the_whole_job_by_regions(landloom_provider, inputs, tmp_path):
    """Its scores are those of the map by regions; a second run keeps every step, a changed layer makes two anew."""
    import processing

    stack, reference, given, labels = inputs
    regions = tmp_path / "regions.gpkg"
    regions.write_bytes(given.read_bytes())
    output, model = tmp_path / "map.tif", tmp_path / "m.safetensors"
    table = tmp_path / "n.csv"
    table.write_text("value,code,name,level1\n1,1,riz,cultures\n2,2,friche,naturel\n", encoding="utf-8")
    parameters = {
        "STACK": str(stack),
        "REFERENCE": str(reference),
        "CLASS_FIELD": "class",
        "NOMENCLATURE": str(table),
        "NETWORK": "randomforest",
        "EVALUATION": "holdout",
        "GROUP_DISTANCE": 0,
        "MAX_PER_GROUP": 6,
        "REGIONS": str(regions),
        "OUTPUT": str(output),
        "MODEL": str(model),
        "REPORT": str(tmp_path / "report.html"),
    }

    def run(**changes):
        feedback = QgsProcessingFeedback()
        made = processing.run("landloom:landcovermap", {**parameters, **changes}, feedback=feedback)
        return made, feedback.textLog().count("not changed, kept")

    for changes in ({}, {"REGION_FIELD": "name"}):
        with pytest.raises(QgsProcessingException, match="REGION_FIELD"):
            run(**changes)
    assert not (tmp_path / "map_work").exists(), "the layer is looked at before any step"
    parameters["REGION_FIELD"] = "zone"
    made, kept = run(BLEND=0)
    assert kept == 0 and made["MACRO_F1"] > 0.9
    assert (open_raster(output).ReadAsArray() == labels + 1).mean() > 0.95
    facts = json.loads((tmp_path / "report_report.json").read_text(encoding="utf-8"))
    assert facts["scores"]["pixel"]["macro_f1"] == pytest.approx(made["MACRO_F1"])
    assert "regions.gpkg" in str(facts["provenance"]["inputs"])
    assert run(BLEND=0)[1] == 3
    assert run(BLEND=40, LEVEL=1)[1] == 2  # only the map is made anew
    assert "are in the training report of each region" in (tmp_path / "report.html").read_text(encoding="utf-8")
    (tmp_path / "m_regions.safetensors").unlink()
    assert run(BLEND=40)[1] == 1 and (tmp_path / "m_regions.safetensors").exists()
    write_layer(regions, "zone", ogr.OFTInteger, [(3, -90, -90, 80, 300), (7, 80, -90, 300, 300)])
    assert run(BLEND=40)[1] == 1  # the samples
