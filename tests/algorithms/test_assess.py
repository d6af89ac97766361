"""Protects assess as users run it: outputs, their styles in QGIS, SAMPLES and MODEL, and sentences for wrong input."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import processing
import pytest
from qgis.core import QgsProcessingException, QgsProcessingFeedback, QgsProject, QgsVectorLayer

sys.path.insert(0, str(Path(__file__).parents[1] / "model" / "accuracy"))
import accuracy_data as data

NAMES = {1: "maize", 2: "rice"}


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    """A map of 40 x 40 pixels, fields of 8 x 8 as reference, a stack and samples of the same fields."""
    folder = tmp_path_factory.mktemp("carte à juger")
    random = np.random.default_rng(5)
    classes = random.integers(1, 3, (5, 5))
    truth = np.kron(classes, np.ones((8, 8), int))
    mapped = np.where(random.random(truth.shape) < 0.2, 3 - truth, truth).astype(np.uint8)
    boxes = [data.box(8 * r, 8 * c, 8, 8) for r in range(5) for c in range(5)]
    values = [NAMES[int(k)] for k in classes.ravel()]
    return {
        "folder": folder,
        "map": str(data.write_map(folder / "map.tif", mapped, NAMES, nodata=0)),
        "reference": str(data.write_layer(folder / "fields.gpkg", boxes, {"crop": values})),
        "truth": truth,
        "mapped": mapped,
    }


def run(case, **more):
    return processing.run(
        "landloom:assess", {"MAP": case["map"], "REFERENCE": case["reference"], "CLASS_FIELD": "crop", **more}
    )


def judged_features(path):
    """Their numbers; no layer is left to outlive QGIS in the traceback of an expected error."""
    layer = QgsVectorLayer(f"{path}|layername=objects", "objects", "ogr")
    return {one["feature"] for one in layer.getFeatures() if one["verdict"] != "trained"}


def test_outputs(landloom_provider, case, tmp_path):
    outputs = {"REPORT": "r.html", "TABLE": "t.json", "MATRIX": "m.csv", "OBJECTS": "o.gpkg"}
    results = run(case, **{key: str(tmp_path / name) for key, name in outputs.items()})
    right = (case["truth"] == case["mapped"]).mean()
    assert results["OVERALL_ACCURACY"] == pytest.approx(right)
    table = data.read_json(results["TABLE"])
    assert table["format"] == "landloom-assessment" and table["pixel"]["overall_accuracy"] == pytest.approx(right)
    assert table["provenance"]["algorithm"] == "landloom:assess"
    page = Path(results["REPORT"]).read_text(encoding="utf-8")
    assert data.read_json(tmp_path / "r_report.json")["matrix"] == table["matrix"]
    assert (tmp_path / "r_matrix_pixel.csv").read_text() == (tmp_path / "m.csv").read_text()
    assert "not a probability sample" in page and "qgis_process run landloom:assess" in page and "<script" not in page
    assert len(Path(results["MATRIX"]).read_text().splitlines()) == 3
    json.dumps(table, allow_nan=False)


def test_the_log_warns_that_the_reference_may_have_trained_the_map(landloom_provider, case):
    class Feedback(QgsProcessingFeedback):
        def pushWarning(self, warning):  # noqa: N802
            said.append(warning)

    said = []
    feedback = Feedback()
    inputs = {"MAP": case["map"], "REFERENCE": case["reference"], "CLASS_FIELD": "crop"}
    processing.run("landloom:assess", inputs, feedback=feedback)
    assert any("neither SAMPLES nor MODEL was given" in one for one in said)


def test_objects_are_styled_by_verdict(landloom_provider, case, tmp_path):
    results = run(case, OBJECTS=str(tmp_path / "o.gpkg"), REPORT=None)
    (tmp_path / "o.qml").unlink()  # the GeoPackage has the style inside
    layer = QgsVectorLayer(f"{results['OBJECTS']}|layername=objects", "objects", "ogr")
    layer.loadDefaultStyle()
    assert layer.renderer().type() == "categorizedSymbol" and layer.renderer().classAttribute() == "verdict"
    assert [one.value() for one in layer.renderer().categories()] == ["right", "wrong", "trained", "no data"]
    assert layer.labelsEnabled() and layer.featureCount() == 25
    shape = run(case, OBJECTS=str(tmp_path / "o.shp"), REPORT=None)["OBJECTS"]
    layer = QgsVectorLayer(shape, "objects", "ogr")
    assert layer.loadDefaultStyle()[1] and layer.renderer().classAttribute() == "verdict"


def test_samples_that_trained_are_left_out(landloom_provider, case, tmp_path, make_stack):
    random = np.random.default_rng(0)
    values = case["truth"][None, None] * 100 + random.normal(0, 5, (4, 1, 40, 40))
    dates = ["2021-01-10", "2021-03-10", "2021-05-10", "2021-07-10"]
    stack = make_stack(tmp_path, {"S2": {"values": values.astype(np.int16), "dates": dates, "bands": ["B8"]}})
    samples = processing.run(
        "landloom:extractsamples",
        {"STACK": str(stack), "REFERENCE": case["reference"], "CLASS_FIELD": "crop", "OUTPUT": str(tmp_path / "s")},
    )["OUTPUT"]
    from landloom.model.samples.store import TEST, SampleStore

    store = SampleStore.open(samples)
    results = run(case, SAMPLES=[samples], TABLE=str(tmp_path / "t.json"), OBJECTS=str(tmp_path / "o.gpkg"))
    table = data.read_json(results["TABLE"])
    tested = np.unique(store.polygons[store.split == TEST])
    assert table["groups"] == len(tested) < 25 and "EVALUATION folds" in table["independence"]
    assert judged_features(results["OBJECTS"]) == set(tested.tolist())
    model = processing.run(
        "landloom:train",
        {"SAMPLES": [samples], "NETWORK": "randomforest", "EVALUATION": "folds", "OUTPUT": str(tmp_path / "m")},
    )["OUTPUT"]
    with pytest.raises(QgsProcessingException, match="Every feature of the reference data has trained the model"):
        run(case, MODEL=model)


def test_a_probability_sample(landloom_provider, case, tmp_path):
    random = np.random.default_rng(1)
    rows, columns = np.divmod(random.choice(1600, 120, replace=False), 40)
    points = data.write_layer(
        tmp_path / "points.gpkg",
        [data.point(r, c) for r, c in zip(rows, columns, strict=True)],
        {"crop": [NAMES[int(k)] for k in case["truth"][rows, columns]], "p": [120 / 1600] * 120},
    )
    results = run({**case, "reference": str(points)}, PROBABILITY_FIELD="p", TABLE=str(tmp_path / "t.json"))
    whole = data.read_json(results["TABLE"])["whole_map"]
    assert results["OVERALL_ACCURACY"] == pytest.approx(whole["overall_accuracy"]["value"])
    assert sum(one["value"] for one in whole["area_hectares"]) == pytest.approx(16.0)
    assert whole["overall_accuracy"]["low"] < whole["overall_accuracy"]["value"] < whole["overall_accuracy"]["high"]


def test_layers_of_a_project_and_selections(landloom_provider, case):
    layer = QgsVectorLayer(case["reference"], "fields", "ogr")
    QgsProject.instance().addMapLayer(layer)
    layer.setSubsetString("\"crop\" = 'maize'")
    try:
        results = run({**case, "reference": layer.id()}, TABLE="TEMPORARY_OUTPUT")
        table = data.read_json(results["TABLE"])
        assert sum(table["matrix"][1]) == 0 and sum(table["matrix"][0]) == (case["truth"] == 1).sum()
    finally:
        QgsProject.instance().removeMapLayer(layer.id())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"DESIGN": "guess"}, "choose one of: auto, purposive, random, stratified"),
        ({"DESIGN": "stratified"}, "polygons, which cover areas"),
        ({"OBJECTS": "/tmp/objects.xyz"}, "unknown format|objects.xyz"),
        ({"LEVEL": 1}, "no NOMENCLATURE"),
        ({"CONFIDENCE": "none.tif"}, "CONFIDENCE"),
    ],
)
def test_refuses(landloom_provider, case, change, message):
    with pytest.raises(QgsProcessingException, match=message):
        run(case, **change)
