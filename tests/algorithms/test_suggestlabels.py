"""suggestlabels through Processing: a layer that a person can label at once, and that extractsamples then takes."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from qgis.core import QgsProcessingException, QgsVectorLayer


@pytest.fixture(scope="module")
def scene():
    sys.path.insert(0, str(Path(__file__).parents[1] / "model" / "mapping"))
    import mapping_scene

    return mapping_scene


@pytest.fixture(scope="module")
def inputs(scene, tmp_path_factory):
    folder = tmp_path_factory.mktemp("proposer é")
    stack = scene.make_stack(folder)
    return {"STACK": str(stack), "MODEL": str(scene.make_model(stack, "randomforest", folder / "maïs.safetensors"))}


def test_points_are_ready_to_label(landloom_provider, scene, inputs, tmp_path):
    import processing

    output = str(tmp_path / "à étiqueter.gpkg")
    result = processing.run("landloom:suggestlabels", {**inputs, "COUNT": 12, "DISTANCE": 50, "OUTPUT": output})
    layer = QgsVectorLayer(result["OUTPUT"], "places")
    assert layer.isValid() and layer.featureCount() == 12 and layer.crs().authid() == "EPSG:32738"
    message, loaded = layer.loadDefaultStyle()
    assert loaded, message
    names = [field.name() for field in layer.fields()]
    assert names[1:] == [
        "rank", "class", "code", "predicted", "predicted_name", "second", "second_name", "confidence", "uncertainty",
    ]  # fmt: skip
    setup = layer.editorWidgetSetup(layer.fields().indexOf("class"))
    assert setup.type() == "ValueMap"
    entries = {value: label for one in setup.config()["map"] for label, value in one.items()}
    codes = dict(zip(scene.nomenclature().names, map(int, scene.nomenclature().codes), strict=True))
    assert entries == {name: f"{name} ({code})" for name, code in codes.items()}
    assert layer.editFormConfig().readOnly(names.index("code"))
    assert layer.editFormConfig().readOnly(names.index("predicted"))
    assert not layer.editFormConfig().readOnly(names.index("class"))
    root = layer.renderer().rootRule()
    assert [rule.label() for rule in root.children()] == list(scene.nomenclature().names)
    assert layer.labelsEnabled() and layer.labeling().settings().fieldName == "rank"
    features = sorted(layer.getFeatures(), key=lambda one: one["rank"])
    assert [one["rank"] for one in features] == list(range(1, 13))
    for one in features:
        assert one["predicted"] in codes.values() and one["second"] != one["predicted"]
        assert not one["class"] and not one["code"]
        assert 0 <= one["uncertainty"] <= 1 and 25 <= one["confidence"] <= 100
        rules = [rule for rule in root.children() if rule.filterExpression() == f'"predicted" = {one["predicted"]}']
        assert len(rules) == 1

    # a person fills in the class of some, by name, and QGIS its code
    assert layer.startEditing()
    column = layer.fields().indexOf("class")
    for number, one in enumerate(features[:8]):
        layer.changeAttributeValue(one.id(), column, next(name for name in codes if codes[name] == (11, 7)[number % 2]))
    assert layer.commitChanges()
    found = {one["class"]: one["code"] for one in layer.getFeatures() if one["class"]}
    assert found == {name: code for name, code in codes.items() if code in (7, 11)}
    samples = processing.run(
        "landloom:extractsamples",
        {
            "STACK": inputs["STACK"],
            "REFERENCE": output,
            "CLASS_FIELD": "code",
            "OUTPUT": str(tmp_path / "samples"),
        },
    )
    from landloom.model.samples.store import SampleStore

    store = SampleStore.open(samples["OUTPUT"])
    assert len(store) == 8 and store.nomenclature.codes.tolist() == [7, 11]

    # a second round keeps away from what is labelled now
    again = processing.run(
        "landloom:suggestlabels",
        {**inputs, "COUNT": 5, "DISTANCE": 50, "SAMPLES": samples["OUTPUT"], "OUTPUT": str(tmp_path / "b.gpkg")},
    )
    new = QgsVectorLayer(again["OUTPUT"], "places")
    for one in new.getFeatures():
        for old in features[:8]:
            assert one.geometry().distance(old.geometry()) >= 50


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"METHOD": "guess"}, "METHOD is 'guess'"),
        ({"STACK": "nowhere.json"}, "nowhere"),
        ({"SAMPLES": "nowhere"}, "nowhere"),
        ({"OUTPUT": "{folder}/a.xyz"}, "unknown format|cannot be used|xyz"),
        ({"REFERENCE": "nowhere.gpkg"}, "nowhere|REFERENCE"),
    ],
)
def test_bad_input_is_one_sentence(landloom_provider, inputs, tmp_path, change, sentence):
    import processing

    change = {key: value.format(folder=tmp_path) for key, value in change.items()}
    with pytest.raises(QgsProcessingException, match=sentence):
        processing.run("landloom:suggestlabels", {**inputs, "OUTPUT": str(tmp_path / "a.gpkg"), **change})
    assert not list(tmp_path.iterdir())
