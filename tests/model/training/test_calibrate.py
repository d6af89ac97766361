"""Temperature, curves, levels and confusions of whole trainings: kept in the model, never drawn from the test part."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import training_samples
from landloom.model.base.calibration import Calibration, RiskCurve, curves_from_json, softmax
from landloom.model.base.levels import Levels
from landloom.model.base.nomenclature import Nomenclature
from landloom.model.base.progress import Progress
from landloom.model.networks.modelfile import Model
from landloom.model.training.calibrate import Held, calibrate_folds, calibrate_holdout
from landloom.model.training.evaluate import evaluate
from landloom.model.training.loop import predict
from landloom.model.training.pool import SamplePool
from landloom.model.training.run import train
from landloom.model.training.settings import TrainingSettings


@pytest.fixture(scope="module")
def noisy():
    """Three classes that overlap, two of them of one parent; 40 groups a class."""
    store = training_samples.make_store(groups=40, pixels=6, noise=9.0, seed=4)
    parents = (("végétation",), ("végétation",), ("eau & co",))
    classes = tuple(replace(one, parents=own) for one, own in zip(store.nomenclature, parents, strict=True))
    store.nomenclature = Nomenclature(classes)
    return store


def settings(**changes) -> TrainingSettings:
    return TrainingSettings(**{"network": "randomforest", "device": "cpu", "evaluation": "holdout", **changes})


@pytest.fixture(scope="module", params=["holdout", "folds"])
def trained(request, noisy, tmp_path_factory):
    folder = tmp_path_factory.mktemp("calibrated")
    result = train([noisy], settings(evaluation=request.param), folder / "m.safetensors", folder / "r.html")
    return result, folder


def test_the_model_keeps_temperature_and_curves(trained, noisy):
    result, folder = trained
    header = Model.load_header(folder / "m.safetensors")
    assert header.temperature == pytest.approx(result.calibrated.temperature) and header.temperature != 1
    curves = curves_from_json(header.calibration)
    assert set(curves) == {0, 1} and len(json.dumps(header.calibration)) < 30_000
    judged = len(noisy) if result.how == "folds" else int((noisy.split == 1).sum())
    assert curves[0].whole.pixels == judged == curves[1].whole.pixels
    assert curves[1].whole.wrong <= curves[0].whole.wrong
    assert header.calibration["source"] == ("out of fold" if result.how == "folds" else "validation")


def test_the_scores_of_levels_are_those_of_summed_probabilities(trained, noisy):
    metrics = pytest.importorskip("sklearn.metrics")
    result, folder = trained
    scores = Model.load_header(folder / "m.safetensors").scores
    (level,) = scores["levels"]
    assert level["names"] == ["végétation", "eau & co"] and level["level"] == 1
    if result.how == "holdout":
        pool = SamplePool([noisy])
        model = Model.load(folder / "m.safetensors")
        probabilities = predict(model, pool, result.parts.test, "cpu", Progress())
        coarse = np.stack([probabilities[:, :2].sum(axis=1), probabilities[:, 2]], axis=1).argmax(axis=1)
        truth = (pool.labels[result.parts.test] == 2).astype(int)
        assert level["pixel"]["overall_accuracy"] == pytest.approx(metrics.accuracy_score(truth, coarse))
        assert level["pixel"]["macro_f1"] == pytest.approx(metrics.f1_score(truth, coarse, average="macro"))
        assert level["polygon"]["support"] == [
            len(np.unique(pool.polygons[result.parts.test][truth == k])) for k in (0, 1)
        ]
    assert level["pixel"]["overall_accuracy"] >= scores["pixel"]["overall_accuracy"]


def test_the_report_shows_it(trained):
    result, folder = trained
    text = (folder / "r.html").read_text(encoding="utf-8")
    for words in (
        "Most confused classes",
        "Scores at each level",
        "eau &amp; co",
        "Brier score",
        "before scaling",
        "after scaling",
        f"Reliability ({result.evaluation.pixels} pixels)",
        "What would be unsure",
        "inside of reference polygons",
        "wrong in folds that did not choose" if result.how == "folds" else "wrong in the test part",
    ):
        assert words in text, words
    assert f"Temperature {result.calibrated.temperature:.2f}" in text
    content = json.loads((folder / "r_report.json").read_text(encoding="utf-8"))
    assert content["temperature"] == result.calibrated.temperature
    assert {one["error"] for one in content["calibration"]["checks"]} == set(result.calibrated.checks)
    assert content["scores"]["calibration"]["brier"] == pytest.approx(result.evaluation.calibration.brier)


def test_confusions_name_the_polygons_of_the_samples(trained, noisy):
    result, _ = trained
    matrix = result.evaluation.pixel_matrix
    assert result.evaluation.confusions
    assert [one.pixels for one in result.evaluation.confusions] == sorted(
        (matrix[i, j] for i in range(3) for j in range(3) if i != j and matrix[i, j]), reverse=True
    )[:10]
    for one in result.evaluation.confusions:
        assert one.pixels == matrix[one.reference, one.predicted]
        assert one.share == pytest.approx(one.pixels / matrix[one.reference].sum())
        for part, polygon, wrong, judged in one.polygons:
            own = noisy.polygons == polygon
            assert part == 0 and set(noisy.labels[own]) == {one.reference} and 0 < wrong <= judged <= own.sum()
        if one.polygon_count <= 6:
            assert sum(wrong for _, _, wrong, _ in one.polygons) == one.pixels


def test_nothing_is_learnt_from_the_test_part(noisy, tmp_path):
    """With every test label wrong the scores fall, but temperature and thresholds are the same."""
    test = noisy.split == 2
    spoiled = training_samples.make_store(groups=40, pixels=6, noise=9.0, seed=4)
    spoiled.nomenclature = noisy.nomenclature
    labels = np.where(test, (noisy.labels + 1) % 3, noisy.labels)
    spoiled.labels = labels
    made = [train([one], settings(), tmp_path / f"{k}.safetensors") for k, one in enumerate((noisy, spoiled))]
    assert made[1].evaluation.pixel.overall_accuracy < made[0].evaluation.pixel.overall_accuracy - 0.2
    assert made[0].calibrated.temperature == made[1].calibrated.temperature
    assert made[0].calibrated.curves == made[1].calibrated.curves


def test_a_validation_part_unlike_the_test_part_is_told(noisy, tmp_path):
    """Wrong labels in the validation part alone make the model too unsure: the test part shows it."""
    spoiled = training_samples.make_store(groups=40, pixels=6, noise=1.0, seed=4)
    spoiled.labels = np.where(noisy.split == 1, (spoiled.labels + spoiled.groups // 3 % 2) % 3, spoiled.labels)
    result = train([spoiled], settings(), tmp_path / "m.safetensors", tmp_path / "r.html")
    assert result.evaluation.calibration.error > result.evaluation.uncalibrated.error + 0.02
    warning = next(one for one in result.warnings if "less well calibrated" in one)
    assert "EVALUATION folds" in warning and "less well calibrated" in (tmp_path / "r.html").read_text(encoding="utf-8")
    fine = train([noisy], settings(), tmp_path / "n.safetensors")
    assert not any("less well calibrated" in one for one in fine.warnings)


@pytest.fixture(scope="module")
def simulated(noisy):
    """Predictions three times too sure, of samples with labels drawn from what they should say."""
    random = np.random.default_rng(0)
    store = training_samples.make_store(groups=400, pixels=5, seed=1)
    pool = SamplePool([store])
    logits = random.normal(0, 2, (len(pool), 3))
    sums = softmax(logits).cumsum(axis=1)
    pool.labels = (random.random((len(pool), 1)) * sums[:, -1:] > sums).sum(axis=1)
    return pool, Held(np.arange(len(pool)), softmax(logits * 3)[None].astype(np.float32))


def part(held: Held, own: np.ndarray) -> Held:
    return Held(held.indices[own], held.probabilities[:, own])


def test_holdout_calibrates_on_one_part_and_is_checked_on_the_other(simulated):
    pool, held = simulated
    own = np.arange(len(pool)) < len(pool) // 2
    found = calibrate_holdout(pool, part(held, own), part(held, ~own))
    assert found.temperature == pytest.approx(3, rel=0.1) and found.source == "validation"
    labels = pool.labels[~own]
    before, after = (Calibration.of(one, labels) for one in (found.before, found.after))
    assert before.error > 0.1 and after.error < 0.04 and after.brier < before.brier
    assert np.array_equal(found.before.argmax(axis=1), found.after.argmax(axis=1))
    for error, check in found.checks.items():
        assert check.pixels == (~own).sum() and check.wrong / check.kept == pytest.approx(error, abs=0.03)
    assert 0.1 in found.checks


def test_folds_judge_each_fold_by_what_the_others_say(simulated):
    pool, held = simulated
    fold = pool.groups % 5
    found = calibrate_folds(pool, held, fold)
    assert found.temperature == pytest.approx(3, rel=0.1) and found.source == "out of fold"
    assert found.curves[0].whole.pixels == len(pool)
    # Spoiling a fold's labels must not change how that fold itself is judged.
    spoiled = SamplePool(pool.stores)
    spoiled.labels = np.where(fold == 2, (pool.labels + 1) % 3, pool.labels)
    again = calibrate_folds(spoiled, held, fold)
    assert np.array_equal(again.after[fold == 2], found.after[fold == 2])
    assert not np.array_equal(again.after[fold == 1], found.after[fold == 1])
    for error, check in found.checks.items():
        assert check.pixels == len(pool) and check.wrong / check.kept == pytest.approx(error, abs=0.03)


def test_without_validation_samples_nothing_is_calibrated(simulated):
    pool, held = simulated
    found = calibrate_holdout(pool, None, held)
    assert found.temperature == 1 and found.to_json() == {} and np.array_equal(found.before, found.after)


def test_the_evaluation_counts_the_classes_that_a_map_would_show(noisy):
    pool = SamplePool([noisy])
    indices = np.arange(60)
    probabilities = np.random.default_rng(0).dirichlet(np.ones(3), 60).astype(np.float32)
    found = evaluate(pool, indices, probabilities)
    chosen = Levels(pool.nomenclature).choose(probabilities.T).chosen
    assert found.pixel.overall_accuracy == pytest.approx(np.mean(chosen == pool.labels[indices]))
    assert (chosen != probabilities.argmax(axis=1)).any()
    assert found.calibration.count.sum() == 60 and found.uncalibrated is None


def test_a_network_calibrates_on_its_validation_samples(noisy, tmp_path):
    pytest.importorskip("torch")
    result = train([noisy], settings(network="ltae", epochs=6, runs=2), tmp_path / "m.safetensors")
    model = Model.load(tmp_path / "m.safetensors")
    pool = SamplePool([noisy])
    validation = result.parts.validation
    probabilities = predict(model, pool, validation, "cpu", Progress())
    chosen, confidence = Levels(pool.nomenclature).choose(probabilities.T)
    expected = RiskCurve.of(confidence, chosen == pool.labels[validation], pool.groups[validation])
    kept = curves_from_json(model.header.calibration)[0]
    assert kept.whole.pixels == expected.whole.pixels and kept.whole.wrong == expected.whole.wrong
    np.testing.assert_allclose(
        [one.threshold for one in kept.points], [one.threshold for one in expected.points], atol=1e-4
    )
