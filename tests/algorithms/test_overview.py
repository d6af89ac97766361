"""Protects the overview page of landcovermap: picture, areas and the warnings of the steps."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from landloom.model.base.nomenclature import LandCoverClass, Nomenclature
from osgeo import gdal


@pytest.fixture
def land_cover(tmp_path):
    """2 x 3 pixels of 10 m: classes 1 and 300, and one pixel without data."""
    path = tmp_path / "carte é.tif"
    dataset = gdal.GetDriverByName("GTiff").Create(str(path), 3, 2, 1, gdal.GDT_UInt16)
    dataset.SetGeoTransform((500000, 10, 0, 5600000, 0, -10))
    dataset.SetProjection('LOCAL_CS["metres",UNIT["metre",1]]')
    band = dataset.GetRasterBand(1)
    table = gdal.ColorTable()
    table.SetColorEntry(1, (255, 0, 0, 255))
    table.SetColorEntry(300, (0, 0, 255, 255))
    band.SetColorTable(table)
    band.WriteArray(np.array([[1, 1, 300], [0, 1, 300]], np.uint16))
    del band, dataset
    return path


def test_the_picture_has_the_colours_of_the_map(landloom_provider, land_cover):
    overview = importlib.import_module("landloom.algorithms.overview")
    gdal.FileFromMemBuffer("/vsimem/overview_test.png", overview.map_picture(land_cover))
    picture = gdal.Open("/vsimem/overview_test.png").ReadAsArray()
    gdal.Unlink("/vsimem/overview_test.png")
    assert picture.shape == (4, 480, 720)
    corners = [tuple(picture[:, row, column]) for row in (0, -1) for column in (0, -1)]
    assert corners == [(255, 0, 0, 255), (0, 0, 255, 255), (0, 0, 0, 0), (0, 0, 255, 255)]


def test_areas_are_counted(landloom_provider, land_cover):
    overview = importlib.import_module("landloom.algorithms.overview")
    rows, colors = overview.class_areas(land_cover)
    assert [(row[1], row[2], round(row[4])) for row in rows] == [(1, 3, 60), (300, 2, 40)]
    assert colors == ["#ff0000", "#0000ff"]


@pytest.mark.parametrize("evaluation", ["holdout", "folds"])
def test_the_forest_of_the_preview_stands_beside_if_the_same_groups_judged_it(
    landloom_provider, land_cover, tmp_path, monkeypatch, evaluation
):
    """Scores on other samples, as of another EVALUATION, would mislead."""
    overview = importlib.import_module("landloom.algorithms.overview")

    def scores(value, how):
        found = {"overall_accuracy": value, "kappa": value - 0.1, "macro_f1": value - 0.2, "f1": [value, value]}
        return {"evaluation": how, "pixel": found, "pixels": 50, "groups": 7}

    classes = [LandCoverClass(1, "maïs", "#ff0000"), LandCoverClass(300, "riz", "#0000ff")]
    network, forest = (
        SimpleNamespace(scores=scores(*one), nomenclature=Nomenclature(classes))
        for one in ((0.8, "holdout"), (0.9, evaluation))
    )
    headers = {"n.safetensors": network, "f.safetensors": forest}
    monkeypatch.setattr(overview.Model, "load_header", staticmethod(lambda path: headers[Path(path).name]))
    results = {"MODEL": "n.safetensors", "OVERALL_ACCURACY": 0.8, "KAPPA": 0.7, "MACRO_F1": 0.6}
    page = tmp_path / "report.html"
    overview.write_overview(page, land_cover, "ltae", results, tmp_path, forest=tmp_path / "f.safetensors")
    facts = json.loads((tmp_path / "report_report.json").read_text(encoding="utf-8"))
    same = evaluation == "holdout"
    assert ("random forest, on the same groups" in page.read_text(encoding="utf-8")) is same
    assert (facts["forest"] is not None) is same and ("0.900" in page.read_text(encoding="utf-8")) is same


def test_warnings_of_steps_reach_the_user_and_are_kept(landloom_provider, tmp_path):
    from qgis.core import QgsProcessingFeedback

    steps = importlib.import_module("landloom.algorithms.steps")
    parent = QgsProcessingFeedback()
    feedback = steps.StepFeedback(2, parent)
    feedback.pushWarning("clouds")
    assert "clouds" in parent.textLog() and feedback.kept == ["clouds"]
    log = steps.StepLog(tmp_path)
    log.done("train", "k", {"OUTPUT": str(tmp_path)}, feedback.kept)
    assert steps.StepLog(tmp_path).warnings("train") == ["clouds"]
    assert steps.StepLog(tmp_path).warnings("never ran") == []
