"""Scores, polygons, calibration and temperature, against independent references."""

from __future__ import annotations

import numpy as np
import pytest
from landloom.model.base.calibration import calibration_error, fit_temperature, softmax
from landloom.model.training.evaluate import by_polygon, evaluate
from landloom.model.training.folds import choose_evaluation, cut_validation, folds, groups_by_class, holdout
from landloom.model.training.pool import SamplePool


def test_scores_agree_with_scikit_learn(store):
    metrics = pytest.importorskip("sklearn.metrics")
    pool, random = SamplePool([store]), np.random.default_rng(0)
    indices = np.sort(random.choice(len(pool), 120, replace=False))
    probabilities = random.dirichlet(np.ones(3), 120)
    probabilities[np.arange(120), pool.labels[indices]] += 0.3
    found = evaluate(pool, indices, probabilities)
    truth, predicted = pool.labels[indices], probabilities.argmax(axis=1)
    assert found.pixel.overall_accuracy == pytest.approx(metrics.accuracy_score(truth, predicted))
    assert found.pixel.kappa == pytest.approx(metrics.cohen_kappa_score(truth, predicted))
    assert found.pixel.macro_f1 == pytest.approx(metrics.f1_score(truth, predicted, average="macro"))
    assert found.polygons == len(np.unique(pool.groups[indices])) == found.groups
    assert found.polygon.overall_accuracy >= found.pixel.overall_accuracy


def test_polygons_by_hand():
    probabilities = np.array([[0.9, 0.1], [0.4, 0.6], [0.4, 0.6], [0.2, 0.8]])
    labels, means = by_polygon(np.array([7, 7, 7, 9]), np.array([0, 0, 0, 1]), probabilities)
    assert labels.tolist() == [0, 1]
    assert means == pytest.approx(np.array([[1.7 / 3, 1.3 / 3], [0.2, 0.8]]))
    split, _ = by_polygon(np.array([7, 7]), np.array([0, 1]), probabilities[:2])
    assert split.tolist() == [0, 1]


def test_calibration_by_hand():
    assert calibration_error(np.array([0.95, 0.95, 0.55, 0.55]), np.array([1, 1, 1, 0])) == pytest.approx(0.05)
    assert np.isnan(calibration_error(np.array([]), np.array([])))


def test_temperature_undoes_overconfidence():
    random = np.random.default_rng(0)
    logits = random.normal(0, 1.5, (1, 4000, 4))
    labels = np.array([random.choice(4, p=p) for p in softmax(logits[0])])
    assert fit_temperature(logits * 2.5, labels) == pytest.approx(2.5, rel=0.1)
    assert fit_temperature(logits[:, :10], labels[:10]) == 1


def test_folds_and_holdout_never_share_groups(store):
    pool = SamplePool([store])
    judged = []
    for _number, parts in folds(pool, 0):
        sets = [set(pool.groups[own].tolist()) for own in parts]
        assert not (sets[0] & sets[1] or sets[0] & sets[2] or sets[1] & sets[2])
        assert set(pool.labels[parts.validation]) == {0, 1, 2}
        judged.append(parts.test)
    assert np.array_equal(np.sort(np.concatenate(judged)), np.arange(len(pool)))
    parts = holdout(pool)
    assert sum(map(len, parts)) == len(pool)
    assert groups_by_class(pool).tolist() == [12, 12, 12]
    assert choose_evaluation(pool, "auto") == "folds" and choose_evaluation(pool, "holdout") == "holdout"


def test_validation_cut_keeps_a_class_of_one_group_in_training():
    labels, groups = np.array([0, 0, 1, 1, 1, 2]), np.array([0, 1, 2, 3, 4, 5])
    training, validation = cut_validation(labels, groups, np.arange(6), 0)
    assert 5 in training and set(labels[training]) == {0, 1, 2} and len(validation)
