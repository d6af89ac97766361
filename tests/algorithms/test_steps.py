"""Protects when landcovermap runs a step again: what decides is the reference data as they are now, not their file."""

from __future__ import annotations

import importlib

import pytest
from qgis.core import QgsFeature, QgsGeometry, QgsVectorLayer


@pytest.fixture
def steps(landloom_provider):
    return importlib.import_module("landloom.algorithms.steps")


@pytest.fixture
def layer(qgis_app):
    layer = QgsVectorLayer("Point?crs=EPSG:32638&field=class:string&field=note:string", "reference", "memory")
    for x, name in ((0, "riz"), (10, "maïs")):
        feature = QgsFeature(layer.fields())
        feature.setGeometry(QgsGeometry.fromWkt(f"POINT({x} 0)"))
        feature.setAttributes([name, "seen"])
        layer.dataProvider().addFeature(feature)
    return layer


def test_edits_of_a_layer_in_memory_count(steps, layer):
    from landloom.model.base.progress import Progress

    def hashed():
        return steps.features_fingerprint(layer, ["class"], Progress())

    first = hashed()
    assert hashed() == first
    provider = layer.dataProvider()
    provider.changeAttributeValues({1: {1: "seen again"}})
    assert hashed() == first, "a field that is not read does not count"
    provider.changeAttributeValues({1: {0: "fallow"}})
    second = hashed()
    assert second != first
    provider.changeGeometryValues({1: QgsGeometry.fromWkt("POINT(5 5)")})
    third = hashed()
    assert third not in (first, second)
    layer.setSubsetString("\"class\" = 'fallow'")
    assert hashed() not in (first, second, third)


def test_a_file_that_changed_counts_and_another_parameter_too(steps, tmp_path):
    from landloom.model.base.progress import Progress

    stack = tmp_path / "stack.json"
    stack.write_text("{}")

    def key(**inputs):
        return steps.fingerprint("classify", inputs, [stack], Progress())

    first = key(SEED=0)
    assert key(SEED=0) == first != key(SEED=1)
    stack.write_text("{ }")
    assert key(SEED=0) != first


def test_what_a_killed_run_wrote_is_not_taken_for_the_work_of_an_earlier_one(steps, tmp_path):
    model = tmp_path / "model.safetensors"
    model.write_text("with seed 0")
    steps.StepLog(tmp_path).done("train:model.safetensors", "seed 0", {"OUTPUT": str(model)}, [])
    log = steps.StepLog(tmp_path)
    assert log.results("train:model.safetensors", "seed 0", [model]) == {"OUTPUT": str(model)}
    assert log.results("train:model.safetensors", "seed 1", [model]) is None
    model.write_text("with seed 1")  # and killed before it was noted
    assert steps.StepLog(tmp_path).results("train:model.safetensors", "seed 0", [model]) is None


@pytest.mark.parametrize("text", ["[]", "{", '{"train": 3}', '{"train": {"key": "a", "results": [1]}}'])
def test_a_damaged_log_makes_steps_run_again(steps, tmp_path, text):
    (tmp_path / "steps.json").write_text(text)
    assert steps.StepLog(tmp_path).results("train", "a", []) is None
