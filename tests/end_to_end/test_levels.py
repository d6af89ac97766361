"""Protects maps at a level and unsure pixels as a user makes them: one command, then maps of other levels."""

from __future__ import annotations

import csv

import numpy as np
import pytest
from osgeo import gdal

COARSE = {"1": "crops", "2": "crops", "3": "crops", "4": "natural", "5": "natural", "6": "other", "7": "other"}


def read(path) -> np.ndarray:
    return gdal.Open(str(path)).ReadAsArray()


@pytest.fixture(scope="module")
def job(qgis_process, scene, tmp_path_factory):
    """The forest's whole run at LEVEL 1 with a nomenclature of one coarser level."""
    folder = tmp_path_factory.mktemp("niveaux")
    lines = (scene / "nomenclature.txt").read_text(encoding="utf-8").split("\n")
    classes = [line.rsplit(":", 1) for line in lines if line]
    with (folder / "n.csv").open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["value", "code", "name", "level1"])
        writer.writerows([name, code, name, COARSE[code[0]]] for name, code in classes)
    inputs = {
        "INPUT": str(scene),
        "REFERENCE": str(scene / "reference.gpkg"),
        "CLASS_FIELD": "class",
        "NOMENCLATURE": str(folder / "n.csv"),
        "NETWORK": "randomforest",
        "LEVEL": 1,
        "UNSURE_ERROR": 0.45,
        "OUTPUT": str(folder / "map.tif"),
        "MODEL": str(folder / "model.safetensors"),
        "REPORT": str(folder / "report.html"),
    }
    return folder, {int(code): COARSE[code[0]] for _, code in classes}, qgis_process("landloom:landcovermap", inputs)


def test_one_command_maps_the_coarser_classes(job):
    folder, _, run = job
    assert run.code == 0, run.errors
    assert 0 <= run.results["UNSURE_SHARE"] < 1
    codes = set(np.unique(read(folder / "map.tif")).tolist())
    assert len(codes) <= 4
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert "classes (LEVEL 1)" in page and "natural" in page and "of the map is unsure" in page


def test_the_fine_map_of_the_same_model_agrees(job, qgis_process):
    folder, parent, _ = job
    stack = str(folder / "map_work" / "stack.json")
    maps = {}
    for level in (0, 1):
        inputs = {"STACK": stack, "MODEL": str(folder / "model.safetensors"), "LEVEL": level}
        run = qgis_process("landloom:classify", {**inputs, "OUTPUT": str(folder / f"level{level}.tif")})
        assert run.code == 0, run.errors
        assert "UNSURE_SHARE" not in run.results
        maps[level] = read(folder / f"level{level}.tif")
    dataset = gdal.Open(str(folder / "level1.tif"))
    assert dataset.GetMetadataItem("LANDLOOM_LEVEL") == "1"
    names = dataset.GetRasterBand(1).GetCategoryNames()
    pairs = np.unique(np.stack([maps[0].ravel(), maps[1].ravel()]), axis=1).T.tolist()
    assert len(pairs) > 3
    assert all(names[coarse] == parent[fine] for fine, coarse in pairs)


@pytest.mark.parametrize(("name", "value", "text"), [("UNSURE_ERROR", 0.7, "such as 0.05"), ("LEVEL", 2, "0 to 1")])
def test_a_wrong_value_ends_with_one_sentence(job, qgis_process, name, value, text):
    folder, _, _ = job
    inputs = {"STACK": str(folder / "map_work" / "stack.json"), "MODEL": str(folder / "model.safetensors")}
    run = qgis_process("landloom:classify", {**inputs, name: value, "OUTPUT": str(folder / "no.tif")})
    assert run.code != 0 and f"{name} is {value}" in run.errors and text in run.errors
    assert not (folder / "no.tif").exists()
