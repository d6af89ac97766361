"""Protects sampledesign as users run it: the form in QGIS, the hidden class, and that assess takes its points."""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import numpy as np
import processing
import pytest
from qgis.core import QgsProcessingException, QgsRenderContext, QgsVectorLayer, edit

sys.path.insert(0, str(Path(__file__).parents[1] / "model" / "accuracy"))
import accuracy_data as data

NAMES = {1: "maize & <rice>", 2: "forêt, dense", 7: "water"}


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    random = np.random.default_rng(2)
    mapped = random.choice([1, 2, 7], (60, 60), p=[0.7, 0.27, 0.03]).astype(np.uint8)
    folder = tmp_path_factory.mktemp("échantillon")
    return str(data.write_map(folder / "map.tif", mapped, NAMES, nodata=0)), mapped


def run(case, tmp_path, **more):
    parameters = {"MAP": case[0], "OUTPUT": str(tmp_path / "points.gpkg"), **more}
    return processing.run("landloom:sampledesign", parameters)


def opened(results):
    layer = QgsVectorLayer(f"{results['OUTPUT']}|layername=points", "points", "ogr")
    assert layer.isValid()
    layer.loadDefaultStyle()
    return layer


def test_the_form_offers_the_classes_and_hides_the_map(landloom_provider, case, tmp_path):
    results = run(case, tmp_path, REPORT=str(tmp_path / "design.html"))
    assert results["EXPECTED_ERROR"] <= 0.02
    layer = opened(results)
    assert layer.featureCount() == results["POINTS"]
    widget = {field.name(): layer.editorWidgetSetup(i) for i, field in enumerate(layer.fields())}
    choices = [next(iter(one.items())) for one in widget["class"].config()["map"]]
    assert choices == [(f"{name} ({code})", name) for code, name in NAMES.items()]
    for name in ("stratum", "probability", "pixels"):
        assert widget[name].type() == "Hidden"
    hidden = {column.name for column in layer.attributeTableConfig().columns() if column.hidden}
    assert {"stratum", "probability", "pixels"} <= hidden
    assert layer.attributeTableConfig().sortExpression() == '"point"'
    # Neither colour nor label of a point tells the map's class.
    assert layer.renderer().type() == "RuleRenderer" and layer.renderer().usedAttributes(QgsRenderContext()) == {
        "class"
    }
    assert layer.labeling().settings().fieldName == '"point"'
    page = Path(results["REPORT"]).read_text(encoding="utf-8")
    assert "maize &amp; &lt;rice&gt;" in page and "Cochran" in page
    report = Path(results["REPORT"])
    facts = data.read_json(report.with_name(f"{report.stem}_report.json"))
    assert facts["kind"] == "sampledesign" and facts["size"] == results["POINTS"] == layer.featureCount()
    with report.with_name(f"{report.stem}_strata.csv").open(encoding="utf-8") as stream:
        strata = list(csv.DictReader(stream))
    for row, one in zip(strata, facts["strata"], strict=True):
        assert float(row["inclusion_probability"]) == pytest.approx(int(row["points"]) / int(row["pixels"]), rel=1e-4)
        assert one["pixels"] == (case[1] == int(row["code"])).sum() and one["name"] == row["name"]


def test_points_labelled_in_qgis_are_taken_by_assess(landloom_provider, case, tmp_path):
    results = run(case, tmp_path, SIZE=150, MIN_PER_CLASS=30)
    layer = opened(results)
    position = layer.fields().indexOf("class")
    with edit(layer):
        for feature in layer.getFeatures():
            layer.changeAttributeValue(feature.id(), position, NAMES[feature["stratum"]])
    assert all(feature["code"] == feature["stratum"] for feature in layer.getFeatures())  # filled in by QGIS
    assessed = processing.run(
        "landloom:assess",
        {
            "MAP": case[0],
            "REFERENCE": results["OUTPUT"],
            "CLASS_FIELD": "class",
            "STRATUM_FIELD": "stratum",
            "PROBABILITY_FIELD": "probability",
            "TABLE": str(tmp_path / "t.json"),
        },
    )
    assert assessed["OVERALL_ACCURACY"] == pytest.approx(1)
    hectares = [one["value"] for one in data.read_json(tmp_path / "t.json")["whole_map"]["area_hectares"]]
    assert hectares == pytest.approx([0.01 * (case[1] == value).sum() for value in NAMES])


def test_classes_of_a_nomenclature(landloom_provider, case, tmp_path):
    table = tmp_path / "table.csv"
    table.write_text(
        "value,code,name,use\nma,1,maize,yes\nfo,2,forest,yes\nmg,9,mangrove,yes\nno,5,cloud,no\n", "utf-8"
    )
    layer = opened(run(case, tmp_path, NOMENCLATURE=str(table)))
    choices = layer.editorWidgetSetup(layer.fields().indexOf("class")).config()["map"]
    assert choices == [{"maize (1)": "ma"}, {"forest (2)": "fo"}, {"mangrove (9)": "mg"}]
    with edit(layer):
        first = next(layer.getFeatures())
        layer.changeAttributeValue(first.id(), layer.fields().indexOf("class"), "mg")
    assert layer.getFeature(first.id())["code"] == 9


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ALLOCATION": "best"}, "choose one of: rare, proportional, neyman, equal"),
        ({"SIZE": 20}, "SIZE 20 is too small"),
        ({"EXPECTED_ACCURACY": "soja=0.5"}, "no class of the map"),
        ({"OUTPUT": "/tmp/points.xyz"}, "unknown format|points.xyz"),
        ({"NOMENCLATURE": "/nowhere/table.csv"}, "NOMENCLATURE|table.csv"),
    ],
)
def test_refuses(landloom_provider, case, tmp_path, change, message):
    with pytest.raises(QgsProcessingException, match=message):
        run(case, tmp_path, **change)
