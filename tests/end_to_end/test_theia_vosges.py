"""Real Theia products of 2018 to a map of forest and other land: partial products, dates without data, real clouds."""

from __future__ import annotations

import json

import numpy as np
import processing
import pytest
from osgeo import gdal, ogr

BANDS = ["B2", "B3", "B4", "B8A", "B11", "B12"]


@pytest.fixture(scope="module")
def job(landloom_provider, shared_data, tmp_path_factory):
    """The whole run with the forest, and the folder of what it made."""
    folder = tmp_path_factory.mktemp("vosges")
    products = shared_data / "theia_vosges2018"
    outputs = processing.run(
        "landloom:landcovermap",
        {
            "INPUT": str(products),
            "REFERENCE": str(products / "forest_mask.gpkg"),
            "CLASS_FIELD": "class_name",
            "NETWORK": "randomforest",
            "WORK_FOLDER": str(folder / "work"),
            "OUTPUT": str(folder / "map.tif"),
            "CONFIDENCE": str(folder / "confidence.tif"),
            "MODEL": str(folder / "model.safetensors"),
            "REPORT": str(folder / "report.html"),
        },
    )
    return folder, products, outputs


def test_25_products_are_read_and_those_without_data_named(job):
    folder, products, _ = job
    stack = json.loads(next((folder / "work").rglob("stack.json")).read_text("utf-8"))
    (sensor,) = stack["sensors"]
    assert sensor["bands"] == BANDS and len(sensor["acquisitions"]) == 23
    assert len([one for one in products.iterdir() if one.is_dir()]) == 25
    page = next((folder / "work").rglob("stack.html")).read_text("utf-8")
    assert "25 products found, 23 dates used, 2 products skipped." in page
    for date in ("20180411", "20180421"):
        assert f"SENTINEL2A_{date}" in page.split("Skipped: 2")[1] and "wholly without data" in page


def test_the_map_tells_forest_from_other_land(job):
    """On the very polygons that taught it the map agrees; every pixel has one of the two classes."""
    _, products, outputs = job
    dataset = gdal.Open(outputs["OUTPUT"])
    classes = dataset.ReadAsArray()
    assert classes.shape == (80, 80) and set(np.unique(classes)) == {1, 2}
    assert dataset.GetMetadata() is not None  # GDAL 3.6 gives the names only after something else was asked for
    names = dataset.GetRasterBand(1).GetCategoryNames()
    layer = ogr.Open(str(products / "forest_mask.gpkg"))
    truth = gdal.GetDriverByName("MEM").Create("", 80, 80, 1)
    truth.SetGeoTransform(dataset.GetGeoTransform())
    truth.SetProjection(dataset.GetProjection())
    gdal.RasterizeLayer(truth, [1], layer.GetLayer(0), options=["ATTRIBUTE=class_id"])
    forest = truth.ReadAsArray() == 2
    other = truth.ReadAsArray() == 1
    code = next(index for index, name in enumerate(names) if name.startswith("forest"))
    assert np.mean(classes[forest] == code) > 0.9 and np.mean(classes[other] != code) > 0.9
    confidence = gdal.Open(outputs["CONFIDENCE"]).ReadAsArray()
    assert confidence.max() <= 100 and confidence.mean() > 60
