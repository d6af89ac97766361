"""train through Processing: one folder and several, parameters, outputs, and the sentences for bad input."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "model" / "training"))
import training_samples

QUICK = {"NETWORK": "randomforest", "EVALUATION": "holdout"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return training_samples.write_folder(tmp_path_factory.mktemp("données d'essai") / "échantillons 2021")


@pytest.fixture(scope="module")
def second(tmp_path_factory):
    return training_samples.write_folder(
        tmp_path_factory.mktemp("second") / "2022", codes=(2, 3, 4), seed=3, year=2022, origin=9e5
    )


@pytest.fixture
def run(landloom_provider, folder, tmp_path):
    import processing

    def run(feedback=None, **parameters):
        given = {"SAMPLES": [str(folder)], "OUTPUT": str(tmp_path / "modèle.safetensors"), **QUICK}
        return processing.run("landloom:train", {**given, **parameters}, feedback=feedback)

    return run


def refused(run, *words, **parameters):
    from qgis.core import QgsProcessingException

    with pytest.raises(QgsProcessingException) as raised:
        run(**parameters)
    for word in words:
        assert word in str(raised.value), str(raised.value)


def test_outputs(run, tmp_path):
    report = tmp_path / "rapport.html"
    result = run(REPORT=str(report))
    assert set(result) == {"OUTPUT", "REPORT", "OVERALL_ACCURACY", "KAPPA", "MACRO_F1"}
    assert result["OUTPUT"] == str(tmp_path / "modèle.safetensors")
    assert 0.7 < result["OVERALL_ACCURACY"] <= 1 and 0.6 < result["MACRO_F1"] <= 1 and 0.5 < result["KAPPA"] <= 1
    assert "forêt" in report.read_text(encoding="utf-8")
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "modèle.safetensors",
        "rapport.html",
        "rapport_classes.csv",
        "rapport_matrix_pixel.csv",
        "rapport_matrix_polygon.csv",
        "rapport_report.json",
    ]


def test_a_network_with_every_parameter(run, tmp_path):
    pytest.importorskip("torch")
    from landloom.model.networks.modelfile import Model
    from qgis.core import QgsProcessingFeedback

    feedback = QgsProcessingFeedback()
    parameters = {
        "NETWORK": "ltae", "EPOCHS": 3, "BATCH_SIZE": 64, "LEARNING_RATE": 0.003, "CLASS_WEIGHTS": "balanced",
        "SENSORS": "S1, S2", "STEP": 15, "INDICES": "NDVI", "EVALUATION": "holdout", "RUNS": 2, "DEVICE": "cpu",
        "SEED": 4, "MEMORY_MB": 512,
    }  # fmt: skip
    run(feedback=feedback, **parameters)
    header = Model.load_header(tmp_path / "modèle.safetensors")
    kept = header.provenance["training"]
    assert kept["runs"] == 2 and kept["class_weights"] == "balanced" and kept["indices"] == ["NDVI"]
    assert kept["seed"] == 4 and header.recipe.step == 15
    assert list(header.recipe.sensors) == ["S2", "S1_ASC"]
    log = tmp_path / "modèle.safetensors.training.jsonl"
    assert [json.loads(line)["epoch"] for line in log.read_text().splitlines()] == [1, 2, 3, 1, 2, 3]
    text = feedback.textLog()
    assert "parameters" in text and "cpu" in text and "left at most" in text
    again = run(NETWORK="ltae", EPOCHS=1, START_FROM=str(tmp_path / "modèle.safetensors"),
                OUTPUT=str(tmp_path / "suite.safetensors"), SENSORS="")  # fmt: skip
    assert Path(again["OUTPUT"]).exists()


@pytest.mark.parametrize("form", ["list", "text", "semicolons", "manifest", "every file"])
def test_ways_to_give_folders(run, folder, second, tmp_path, form):
    given = {
        "list": [str(folder), str(second)],
        "text": str(folder),
        "semicolons": f"{folder};{second}",
        "manifest": [str(folder / "samples.json")],
        "every file": [str(file) for file in folder.iterdir()],  # what 'Add Directory' in the dialog gives
    }[form]
    run(SAMPLES=given)
    from landloom.model.networks.modelfile import Model

    inputs = Model.load_header(tmp_path / "modèle.safetensors").provenance["inputs"]
    expected = [folder, second] if form in ("list", "semicolons") else [folder]
    assert [Path(one["samples"]) for one in inputs] == expected


def test_output_of_another_step_in_a_model(landloom_provider, folder, tmp_path):
    """A folder chosen as a model's input reaches SAMPLES as a text."""
    from qgis.core import (
        QgsProcessingContext,
        QgsProcessingFeedback,
        QgsProcessingModelAlgorithm,
        QgsProcessingModelChildAlgorithm,
        QgsProcessingModelChildParameterSource,
        QgsProcessingModelParameter,
        QgsProcessingParameterFile,
    )

    model = QgsProcessingModelAlgorithm("model", "test")
    parameter = QgsProcessingParameterFile("folder", "folder", QgsProcessingParameterFile.Behavior.Folder)
    model.addModelParameter(parameter, QgsProcessingModelParameter("folder"))
    child = QgsProcessingModelChildAlgorithm("landloom:train")
    child.setChildId("train")
    fixed = QgsProcessingModelChildParameterSource.fromStaticValue
    child.addParameterSources("SAMPLES", [QgsProcessingModelChildParameterSource.fromModelParameter("folder")])
    for name, value in {**QUICK, "OUTPUT": str(tmp_path / "m.safetensors")}.items():
        child.addParameterSources(name, [fixed(value)])
    model.addChildAlgorithm(child)
    assert model.initAlgorithm() is None
    feedback = QgsProcessingFeedback()
    _results, ok = model.run({"folder": str(folder)}, QgsProcessingContext(), feedback)
    assert ok, feedback.textLog()
    assert (tmp_path / "m.safetensors").exists()


def test_number_outputs_are_declared(landloom_provider):
    algorithm = landloom_provider.algorithm("train")
    kinds = {output.name(): output.type() for output in algorithm.outputDefinitions()}
    assert [kinds[name] for name in ("OVERALL_ACCURACY", "KAPPA", "MACRO_F1")] == ["outputNumber"] * 3
    assert all(parameter.help() for parameter in algorithm.parameterDefinitions())


def test_bad_input_is_one_sentence_and_leaves_nothing(run, folder, tmp_path):
    refused(run, "does not exist", SAMPLES=[str(tmp_path / "nowhere")])
    (tmp_path / "empty").mkdir()
    refused(run, "samples.json", "extractsamples", SAMPLES=[str(tmp_path / "empty")])
    refused(run, "twice", SAMPLES=[str(folder), str(folder)])
    refused(run, "L8", "S2", SENSORS="L8")
    refused(run, "EVIX", INDICES="EVIX")
    refused(run, "NETWORK", NETWORK="unet")
    refused(run, "CLASS_WEIGHTS", CLASS_WEIGHTS="log")
    refused(run, "START_FROM", START_FROM=str(folder / "samples.json"), NETWORK="ltae", EPOCHS=1)
    refused(run, "Cannot write", OUTPUT="/proc/nothing/m.safetensors")
    (tmp_path / "empty").rmdir()
    assert list(tmp_path.iterdir()) == []
