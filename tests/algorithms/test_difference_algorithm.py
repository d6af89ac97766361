"""Protects the difference of two maps as users run it: its files, layers, numbers and refusals."""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import numpy as np
import processing
import pytest
from landloom.model.base.raster import open_raster
from qgis.core import (
    QgsApplication,
    QgsPalettedRasterRenderer,
    QgsProcessingContext,
    QgsProcessingException,
    QgsProcessingFeedback,
    QgsProcessingOutputLayerDefinition,
    QgsProject,
    QgsVectorLayer,
)

sys.path.insert(0, str(Path(__file__).parents[1] / "model" / "accuracy"))
import accuracy_data as data

NAMES = {1: "maize", 2: "fallow", 3: "water"}


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cartes d'été")
    random = np.random.default_rng(3)
    before = random.integers(1, 4, (50, 60)).astype(np.uint8)
    after = np.where(random.random(before.shape) < 0.7, before, random.integers(1, 4, before.shape)).astype(np.uint8)
    first = data.write_map(folder / "2020.tif", before, NAMES, nodata=0)
    second = data.write_map(folder / "2021.tif", after, NAMES, nodata=0)
    wkt = ["POLYGON ((500013 7999993, 500377 7999941, 500401 7999612, 500051 7999588, 500013 7999993))"]
    zones = data.write_layer(folder / "zones.gpkg", wkt, {"district": ["nord"]})
    return {"BEFORE": str(first), "AFTER": str(second)}, str(zones), before, after


def rows(path):
    with Path(path).open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def test_all_outputs_agree(landloom_provider, case, tmp_path):
    maps, zones, before, after = case
    outputs = {
        "OUTPUT": str(tmp_path / "d.tif"),
        "TABLE": str(tmp_path / "d.ods"),
        "CLASSES": str(tmp_path / "c.csv"),
        "REPORT": str(tmp_path / "d.html"),
    }
    done = processing.run("landloom:difference", {**maps, "ZONES": zones, "ZONE_FIELD": "district", **outputs})
    assert {name: done[name] for name in outputs} == outputs
    assert done["CHANGED"] == pytest.approx((before != after).mean())
    assert (open_raster(outputs["OUTPUT"]).ReadAsArray() == 100 * before.astype(int) + after).all()
    layer = QgsVectorLayer(outputs["TABLE"], "changes", "ogr")
    table = [dict(zip(layer.fields().names(), one.attributes(), strict=True)) for one in layer.getFeatures()]
    whole = [one for one in table if one["zone"] == "(whole map)"]
    assert sum(one["pixels"] for one in whole) == before.size
    assert {one["zone"] for one in table} == {"(whole map)", "nord", "(in no zone)"}
    maize = next(one for one in rows(outputs["CLASSES"]) if one["class"] == "maize")
    assert float(maize["before_hectares"]) == pytest.approx(0.01 * (before == 1).sum())
    assert float(maize["lost_hectares"]) == pytest.approx(0.01 * ((before == 1) & (after != 1)).sum())
    page = Path(outputs["REPORT"]).read_text(encoding="utf-8")
    assert "no estimate of the area that changed" in page and "nord" in page


def test_layers_come_styled_and_grouped(landloom_provider, case, tmp_path):
    from processing.gui.Postprocessing import handleAlgorithmResults

    project = QgsProject.instance()
    project.clear()
    context = QgsProcessingContext()
    context.setProject(project)
    feedback = QgsProcessingFeedback()
    output = str(tmp_path / "d.tif")
    parameters = {
        **case[0],
        "OUTPUT": QgsProcessingOutputLayerDefinition(output, project),
        "TABLE": str(tmp_path / "d.csv"),
    }
    algorithm = QgsApplication.processingRegistry().createAlgorithmById("landloom:difference")
    done, good = algorithm.run(parameters, context, feedback, catchExceptions=False)
    assert good and done["OUTPUT"] == output
    handleAlgorithmResults(algorithm, context, feedback, parameters)
    title = "Difference (2020 -> 2021)"
    group = project.layerTreeRoot().findGroup(title)
    named = {one.name(): one.layer() for one in group.findLayers()}
    assert set(named) == {title, "Hectares from class to class"}
    renderer = named[title].renderer()
    assert isinstance(renderer, QgsPalettedRasterRenderer)
    labels = [one.label for one in renderer.classes()]
    assert len(labels) == 9 and labels[-3:] == ["maize (unchanged)", "fallow (unchanged)", "water (unchanged)"]
    table = named["Hectares from class to class"]
    assert table.isValid() and table.fields().field("hectares").isNumeric() and table.featureCount() == 9
    del named, table, renderer, group
    project.clear()


def test_classes_of_zero_and_one(landloom_provider, tmp_path):
    first = data.write_map(tmp_path / "a.tif", np.array([[0, 0, 1]], np.uint8))
    second = data.write_map(tmp_path / "b.tif", np.array([[0, 1, 1]], np.uint8))
    parameters = {"BEFORE": str(first), "AFTER": str(second), "OUTPUT": str(tmp_path / "d.tif")}
    processing.run("landloom:difference", {**parameters, "ZERO_IS_CLASS": True, "TABLE": str(tmp_path / "d.csv")})
    assert {(one["before_code"], one["after_code"]) for one in rows(tmp_path / "d.csv")} == {
        ("0", "0"),
        ("0", "1"),
        ("1", "1"),
    }
    assert processing.run("landloom:difference", parameters)["CHANGED"] == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"TABLE": "/tmp/d.doc"}, "TABLE .* unknown format|d.doc"),
        ({"ZONE_FIELD": "region"}, "ZONE_FIELD"),
        ({"AFTER": "/nowhere/map.tif"}, "AFTER|map.tif"),
        ({"LEVEL": 1}, "give the NOMENCLATURE"),
        ({"OUTPUT": "/tmp/d.png"}, "GeoTIFF|d.png"),
    ],
)
def test_refuses_in_a_sentence(landloom_provider, case, tmp_path, change, message):
    parameters = {**case[0], "ZONES": case[1], "OUTPUT": str(tmp_path / "d.tif"), **change}
    with pytest.raises(QgsProcessingException, match=message):
        processing.run("landloom:difference", parameters)
