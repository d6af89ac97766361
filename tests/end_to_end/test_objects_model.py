"""Protects the example model 'objects from a stack': one run from a stack to styled polygons, as it ships."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest
from osgeo import gdal, ogr

ROOT = Path(__file__).resolve().parents[2]
MODEL = ROOT / "resources" / "models" / "objects_from_a_stack.model3"

pytest.importorskip("sklearn")


@pytest.fixture(scope="module")
def stack(scene, tmp_path_factory):
    from landloom.model.stack.prepare import PrepareSettings, prepare_stack

    path = tmp_path_factory.mktemp("pile d'images") / "stack.json"
    prepare_stack(scene, path, PrepareSettings())
    return path


@pytest.fixture(scope="module")
def job(qgis_process, scene, stack):
    """A run of the model: its folder, and the files by the output's name."""
    folder = stack.parent
    told = subprocess.run(
        [ROOT / "scripts" / "qgis_process", "--json", "help", MODEL], capture_output=True, text=True, check=True
    ).stdout
    outputs = json.loads(told[told.index("{") :])["outputs"]
    suffixes = {"Segments": ".gpkg", "Model": ".safetensors", "Accuracy": ".html", "Classified": ".gpkg"}
    files = {}
    for name, output in outputs.items():
        word = output["description"].split()[0]
        files[word] = (name, folder / f"{word}{suffixes[word]}")
    inputs = {"stack": str(stack), "reference": str(scene / "reference.gpkg"), "class_field": "class", "scale": 6.0}
    run = qgis_process(str(MODEL), inputs | {name: str(path) for name, path in files.values()})
    assert run.code == 0, run.errors
    return {word: path for word, (_, path) in files.items()}


def test_every_output_of_the_model_is_there(job):
    assert set(job) == {"Segments", "Model", "Accuracy", "Classified"}
    assert all(path.is_file() for path in job.values())
    facts = json.loads(job["Accuracy"].with_name("Accuracy_report.json").read_text(encoding="utf-8"))
    assert facts["objects"] > 30 and 0 < facts["scores"]["macro_f1"] <= 1


def test_every_segment_is_classified_and_styled(job, scene):
    from qgis.core import QgsVectorLayer

    segments, classified = QgsVectorLayer(str(job["Segments"])), QgsVectorLayer(str(job["Classified"]))
    assert segments.featureCount() == classified.featureCount() > 100
    codes = {int(one["class"]) for one in classified.getFeatures()}
    assert 0 not in codes and len(codes) > 2
    message, loaded = classified.loadDefaultStyle()
    assert loaded, message
    assert codes <= {int(one.value()) for one in classified.renderer().categories()}


def test_the_objects_agree_with_the_truth(job, scene):
    """Names are compared, because the model gives classes of text codes of its own."""
    truth = gdal.Open(str(next((scene / "truth").glob("*.tif"))))
    lines = (scene / "nomenclature.txt").read_text(encoding="utf-8").splitlines()
    codes = {name: int(code) for name, code in (line.rsplit(":", 1) for line in lines if ":" in line)}
    names = gdal.GetDriverByName("MEM").Create("", truth.RasterXSize, truth.RasterYSize, 1, gdal.GDT_UInt16)
    names.SetGeoTransform(truth.GetGeoTransform())
    names.SetProjection(truth.GetProjection())
    polygons = ogr.Open(str(job["Classified"]))
    layer = polygons.GetLayer(0)
    found = np.zeros((truth.RasterYSize, truth.RasterXSize), int)
    for name, code in codes.items():
        layer.SetAttributeFilter(f"name = '{name}'")
        names.GetRasterBand(1).Fill(0)
        gdal.RasterizeLayer(names, [1], layer, burn_values=[1])
        found[names.ReadAsArray() == 1] = code
    assert (found > 0).mean() > 0.99
    agreement = float((found == truth.ReadAsArray()).mean())
    assert agreement > 2.5 / len(codes), agreement  # far above chance on a scene of few polygons
