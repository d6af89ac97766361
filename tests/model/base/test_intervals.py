"""Protects the intervals and tests of reports: draws of whole groups, and a level that two equal classifiers keep."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from landloom.model.base.errors import Cancelled
from landloom.model.base.intervals import (
    BOTH,
    SCORES,
    Interval,
    bootstrap_groups,
    cautious,
    corrected_t,
    holm,
    spread,
    student_cdf,
    student_quantile,
)
from landloom.model.base.metrics import confusion_matrix, score_arrays, scores
from landloom.model.base.progress import Progress


def some(seed: int, n: int = 120, groups: int = 25, classes: int = 4, rows: int = 3):
    rng = np.random.default_rng(seed)
    group = rng.integers(0, groups, n)
    reference = rng.integers(0, classes, groups)[group]
    right = rng.random((rows, n)) < 0.7
    return reference, np.where(right, reference, rng.integers(0, classes, (rows, n))), group


@given(st.integers(0, 2**31), st.integers(2, 6), st.integers(1, 5))
def test_many_matrices_at_once_score_as_one_by_one(seed, classes, count):
    matrices = np.random.default_rng(seed).integers(0, 4, (count, classes, classes))
    many = score_arrays(matrices)
    for i, matrix in enumerate(matrices):
        one = scores(matrix)
        for name, values in many.items():
            np.testing.assert_array_equal(values[i], getattr(one, name))


@settings(max_examples=15)
@given(st.integers(0, 2**31))
def test_draws_are_those_of_a_plain_loop_over_groups(seed):
    """The same random numbers, but each draw made by copying the samples of its groups one after the other."""
    reference, predictions, group = some(seed)
    predictions[1, group == group[0]] = -1  # a run that judged other groups
    found = bootstrap_groups(reference, predictions, group, 4, replicates=7, seed=3)
    names = np.unique(group)
    rng = np.random.default_rng(3)
    for draw in range(7):
        chosen = names[rng.integers(0, len(names), len(names))]
        samples = np.concatenate([np.flatnonzero(group == one) for one in chosen])
        for row, predicted in enumerate(predictions):
            own = samples[predicted[samples] >= 0]
            expected = scores(confusion_matrix(reference[own], predicted[own], 4))
            for score in (*SCORES, "f1"):
                np.testing.assert_allclose(found.draws[score][row, draw], getattr(expected, score))
    assert found.groups[1] == len(names) - 1


def test_interval_of_the_share_of_right_groups_is_the_binomial_one():
    """One sample a group: the spread of the overall accuracy is that of a binomial share."""
    n, share = 400, 0.8
    predicted = (np.arange(n) >= n * share).astype(int)
    found = bootstrap_groups(np.zeros(n, int), predicted[None], np.arange(n), 2, 4000).interval([0], "overall_accuracy")
    half = 1.96 * np.sqrt(share * (1 - share) / n)
    assert found.estimate == pytest.approx(share) and found.n == n
    assert found.low == pytest.approx(share - half, abs=0.004)
    assert found.high == pytest.approx(share + half, abs=0.004)
    assert np.isnan(found.p) and found.to_json()["p"] is None


def test_few_groups_widen_the_interval_as_students_t_does():
    """The mean of ten groups: nearly mean +- t(9) s / sqrt(10), where plain percentiles are a fifth too narrow."""
    rng = np.random.default_rng(0)
    right = rng.random((10, 40)) < rng.uniform(0.4, 0.9, 10)[:, None]
    group = np.repeat(np.arange(10), 40)
    found = bootstrap_groups(np.zeros(400, int), (~right).astype(int).reshape(1, -1), group, 2, 4000)
    interval = found.interval([0], "overall_accuracy")
    half = student_quantile(0.975, 9) * right.mean(axis=1).std(ddof=1) / np.sqrt(10)
    assert (interval.high - interval.low) / 2 == pytest.approx(half, rel=0.12)
    plain = np.quantile(found.draws["overall_accuracy"][0], [0.025, 0.975])
    assert (plain[1] - plain[0]) / 2 < 0.86 * half
    assert np.isnan(
        bootstrap_groups(np.zeros(4, int), np.zeros((1, 4), int), np.zeros(4), 2).interval([0], "kappa").low
    )


def test_draws_that_do_not_differ_give_no_interval():
    """All groups are right: drawing them again shows 1 each time, which is no proof that others would be."""
    reference = np.array([0, 0, 1, 1])
    found = bootstrap_groups(reference, reference[None], np.arange(4), 2, 200)
    interval = found.interval([0], "overall_accuracy")
    assert interval.estimate == 1 and np.isnan(interval.low) and np.isnan(interval.high)
    assert interval.to_json()["low"] is None
    assert all(np.isnan(one.low) for one in found.by_class([0]))


def test_pixels_of_a_group_count_once():
    """Ten equal pixels a group tell no more than one."""
    reference, predictions, group = some(0, n=60, groups=60)
    one = bootstrap_groups(reference, predictions, group, 4).interval([0], "overall_accuracy")
    many = [np.repeat(x, 10, axis=-1) for x in (reference, predictions, group)]
    ten = bootstrap_groups(*many, 4).interval([0], "overall_accuracy")
    assert (ten.low, ten.high) == (one.low, one.high)
    alone = bootstrap_groups(many[0], many[1], np.arange(600), 4).interval([0], "overall_accuracy")
    assert alone.high - alone.low < 0.5 * (one.high - one.low)


def test_pairing_a_classifier_with_itself_or_a_worse_one():
    reference, predictions, group = some(1, n=600, groups=200)
    worse = np.where(np.random.default_rng(0).random(600) < 0.3, (reference + 1) % 4, predictions[0])
    found = bootstrap_groups(reference, [predictions[0], predictions[0], worse], group, 4)
    same = found.difference([0], [1], "macro_f1")
    assert (same.estimate, same.low, same.high, same.p) == (0, 0, 0, 1) and not same.significant
    gain = found.difference([0], [2], "macro_f1")
    assert gain.low > 0 and gain.p < 0.01 and gain.significant
    loss = found.difference([2], [0], "macro_f1")
    assert loss.estimate == -gain.estimate and loss.p == pytest.approx(gain.p)
    np.testing.assert_allclose([loss.low, loss.high], [-gain.high, -gain.low])
    runs = found.difference([0, 1], [1], "kappa")
    assert runs.estimate == 0


def test_a_class_that_draws_may_miss_is_left_out_and_said():
    reference, predicted = np.array([0] * 20 + [1]), np.array([0] * 18 + [1, 1, 1])
    found = bootstrap_groups(reference, predicted[None], np.arange(21), 3)
    classes = found.by_class([0])
    assert classes[1].undefined == pytest.approx((20 / 21) ** 21, abs=0.03)
    assert np.isnan(classes[2].estimate) and classes[2].to_json()["low"] is None
    assert 0 <= classes[1].low <= classes[1].estimate <= classes[1].high <= 1


def test_corrected_t_by_hand():
    """Four differences, mean 2, variance 20 / 3, ratio 1 / 4: error sqrt(20 / 3 * 0.5), t(3) of 97.5 % = 3.18245."""
    found = corrected_t([-1, 1, 3, 5], 0.25)
    error = np.sqrt(20 / 3 * 0.5)
    assert found.estimate == 2 and found.n == 4
    assert found.high - 2 == pytest.approx(3.182446 * error, rel=1e-6)
    assert found.p == pytest.approx(0.354, abs=0.001)  # t = 1.0954 with 3 degrees of freedom
    plain = corrected_t([-1, 1, 3, 5], 0.0)
    from scipy.stats import ttest_1samp

    assert plain.p == pytest.approx(ttest_1samp([-1, 1, 3, 5], 0).pvalue)
    moved = corrected_t([-1, 1, 3, 5], 0.25, estimate=3.0)
    assert moved.estimate == 3 and moved.high - moved.low == pytest.approx(found.high - found.low)


@given(st.integers(1, 12_000), st.floats(-30, 30), st.floats(0.001, 0.999))
def test_students_distribution_is_that_of_scipy(freedom, t, share):
    from scipy.stats import t as student

    assert student_cdf(t, freedom) == pytest.approx(student.cdf(t, freedom), abs=1e-4 if freedom >= 10_000 else 1e-10)
    expected = student.ppf(share, freedom)
    assert student_quantile(share, freedom) == pytest.approx(
        expected, rel=1e-3 if freedom >= 10_000 else 1e-6, abs=1e-6
    )


def test_corrected_t_without_enough_splits_or_spread():
    assert np.isnan(corrected_t([0.1], 0.25).p) and np.isnan(corrected_t([], 0.25).estimate)
    assert corrected_t([0, 0, 0], 0.25).p == 1 and corrected_t([1, 1], 0.25).p == 0
    found = corrected_t([0.1, np.nan, 0.3], 0.25)
    assert found.n == 2 and found.undefined == pytest.approx(1 / 3) and found.estimate == pytest.approx(0.2)


def test_the_more_cautious_answer():
    narrow, wide = Interval(1, 0.5, 1.5, 0.001, 40, "b"), Interval(1, -0.2, 1.4, 0.12, 10, "t")
    both = cautious(narrow, wide)
    assert (both.low, both.high, both.p, both.method, both.n) == (-0.2, 1.5, 0.12, BOTH, 40)
    assert cautious(narrow, corrected_t([0.1], 0.2)) is narrow


def test_holm_by_hand():
    assert holm({"a": 0.01, "b": 0.04, "c": 0.03, "d": float("nan")}) == pytest.approx(
        {"a": 0.03, "b": 0.06, "c": 0.06, "d": float("nan")}, nan_ok=True
    )
    assert holm({}) == {}


def test_spread_is_of_the_known_runs():
    assert spread([0.2, np.nan, 0.6]) == pytest.approx((0.2, 0.4, 0.6))
    assert np.isnan(spread([np.nan])).all()


def test_bad_input_and_cancel():
    with pytest.raises(ValueError, match="length"):
        bootstrap_groups(np.zeros(3, int), np.zeros((1, 2), int), np.zeros(3, int), 2)
    with pytest.raises(ValueError, match="nothing"):
        bootstrap_groups(np.zeros(3, int), np.full((1, 3), -1), np.zeros(3, int), 2)

    class Stopped(Progress):
        def is_cancelled(self):
            return True

    with pytest.raises(Cancelled):
        bootstrap_groups(np.zeros(3, int), np.zeros((1, 3), int), np.zeros(3, int), 2, progress=Stopped())


def equal_classifiers(rng: np.random.Generator, groups: int, runs: int, folds: int = 5, classes: int = 4):
    """One world: two learners, each with features of its own but of the same quality, trained in folds of groups.

    So neither is better, but each trained pair differs: by the training groups drawn and by the test groups drawn.
    """
    label = np.arange(groups) % classes
    centres = rng.normal(0, 1, (classes, 4))
    fields = centres[label] + rng.normal(0, 1, (2, groups, 4))
    group = np.repeat(np.arange(groups), 3)
    x = np.repeat(fields, 3, axis=1) + rng.normal(0, 0.5, (2, groups * 3, 4))
    labels = label[group]
    predicted = np.full((2, runs, len(labels)), -1)
    differences = []
    for run in range(runs):
        fold = np.empty(groups, int)
        for k in range(classes):
            own = rng.permutation(np.flatnonzero(label == k))
            fold[own] = np.arange(len(own)) % folds
        for number in range(folds):
            learn, test = fold[group] != number, fold[group] == number
            means = np.stack([x[:, learn & (labels == k)].mean(axis=1) for k in range(classes)], axis=1)
            predicted[:, run, test] = ((x[:, test, None] - means[:, None]) ** 2).sum(-1).argmin(-1)
            one, other = (scores(confusion_matrix(labels[test], own[run, test], classes)) for own in predicted)
            differences.append([one.macro_f1 - other.macro_f1, one.overall_accuracy - other.overall_accuracy])
    return labels, predicted, group, np.array(differences)


def test_two_equal_classifiers_are_told_apart_in_at_most_7_percent_of_the_tests():
    """The whole chain: data drawn, classifiers trained on folds, out-of-fold predictions, the test of the report.

    The t-test over the splits that takes them for independent finds a difference four times too often here.
    """
    rng = np.random.default_rng(1)
    found, naive = [], []
    for groups, runs, worlds in ((40, 2, 150), (30, 1, 150), (80, 3, 100)):
        for _ in range(worlds):
            labels, predicted, group, differences = equal_classifiers(rng, groups, runs)
            rows = predicted.reshape(2 * runs, -1)
            drawn = bootstrap_groups(labels, rows, group, 4, replicates=400, seed=int(rng.integers(2**31)))
            for place, score in enumerate(("macro_f1", "overall_accuracy")):
                gain = drawn.difference(range(runs), range(runs, 2 * runs), score)
                found.append(cautious(gain, corrected_t(differences[:, place], 1 / 4, gain.estimate)).significant)
                naive.append(runs > 1 and corrected_t(differences[:, place], 0.0).significant)
    assert len(found) == 800
    assert np.mean(found) <= 0.07
    assert np.mean(found) > 0.002  # a test that never finds anything would keep every level
    assert np.mean(naive) > 0.12


def test_the_bootstrap_alone_keeps_its_level_for_trained_models():
    """Two classifiers as they are, right with the same chance, errors alike within groups: 5 % within chance."""
    rng = np.random.default_rng(2)
    found = []
    for _ in range(300):
        group = np.repeat(np.arange(60), 4)
        reference = np.repeat(rng.integers(0, 3, 60), 4)
        wrong = rng.random((2, 60)) < 0.3
        wrong = np.repeat(wrong, 4, axis=1) ^ (rng.random((2, 240)) < 0.1)
        drawn = bootstrap_groups(reference, (reference + wrong) % 3, group, 3, 400, int(rng.integers(2**31)))
        found.append([drawn.difference([0], [1], score).significant for score in ("overall_accuracy", "macro_f1")])
    assert 0.015 <= np.mean(found) <= 0.075
