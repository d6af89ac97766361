"""Protects the scores every report shows: they equal scikit-learn's and a worked example."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from landloom.model.base.metrics import confusion_matrix, scores


def test_worked_example():
    """Congalton's kind of table: OA = 55/75, kappa from its marginals."""
    matrix = np.array([[25, 5, 0], [3, 20, 2], [5, 5, 10]])
    result = scores(matrix)
    assert result.overall_accuracy == pytest.approx(55 / 75)
    chance = (30 * 33 + 25 * 30 + 20 * 12) / 75**2
    assert result.kappa == pytest.approx((55 / 75 - chance) / (1 - chance))
    np.testing.assert_allclose(result.recall, [25 / 30, 20 / 25, 10 / 20])
    np.testing.assert_allclose(result.precision, [25 / 33, 20 / 30, 10 / 12])


@given(st.integers(2, 6), st.integers(1, 200), st.integers(0, 2**32 - 1))
def test_equal_to_scikit_learn(classes, n, seed):
    from sklearn import metrics

    rng = np.random.default_rng(seed)
    reference, predicted = rng.integers(0, classes, n), rng.integers(0, classes, n)
    matrix = confusion_matrix(reference, predicted, classes)
    labels = list(range(classes))
    np.testing.assert_array_equal(matrix, metrics.confusion_matrix(reference, predicted, labels=labels))
    result = scores(matrix)
    present = sorted(set(reference))
    assert result.overall_accuracy == pytest.approx(metrics.accuracy_score(reference, predicted))
    f1 = metrics.f1_score(reference, predicted, labels=present, average="macro", zero_division=0)
    assert result.macro_f1 == pytest.approx(f1)
    weighted = metrics.f1_score(reference, predicted, labels=present, average="weighted", zero_division=0)
    assert result.weighted_f1 == pytest.approx(weighted)
    if len(set(reference) | set(predicted)) > 1:
        assert result.kappa == pytest.approx(metrics.cohen_kappa_score(reference, predicted, labels=labels))


def test_undefined_scores_are_nan_and_enter_no_mean():
    result = scores(np.array([[4, 0, 0], [1, 3, 0], [0, 0, 0]]))
    assert np.isnan(result.recall[2]) and np.isnan(result.f1[2])
    assert result.macro_f1 == pytest.approx((8 / 9 + 6 / 7) / 2)
    assert result.to_json()["f1"][2] is None
    assert np.isnan(scores(np.zeros((2, 2))).overall_accuracy)


def test_an_index_outside_the_classes_is_refused():
    with pytest.raises(ValueError, match="outside"):
        confusion_matrix(np.array([0, 3]), np.array([0, 1]), 3)


def test_weights_count():
    matrix = confusion_matrix(np.array([0, 1]), np.array([0, 0]), 2, np.array([2.5, 0.5]))
    np.testing.assert_allclose(matrix, [[2.5, 0], [0.5, 0]])
