"""Protects the estimators: they equal the papers' worked examples and scikit-learn, and keep what they promise."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from landloom.model.accuracy.estimators import Z95, estimate

# Rows the map, columns the reference, as the papers have them.
OLOFSSON_2014 = np.array([[66, 0, 5, 4], [0, 55, 8, 12], [1, 0, 153, 11], [2, 1, 9, 313]])


def units(table):
    """Map and reference class of each unit of a table."""
    mapped, reference = (one.ravel() for one in np.indices(table.shape))
    return np.repeat(mapped, table.ravel()), np.repeat(reference, table.ravel())


def test_olofsson_2014_table_8():
    """10 million Landsat pixels; figures as printed on page 54 (95 % half widths behind the sign)."""
    mapped, reference = units(OLOFSSON_2014)
    pixels = np.array([200_000, 150_000, 3_200_000, 6_450_000])
    found = estimate(reference, mapped, 4, mapped, pixels, areas=np.full(len(mapped), 0.09))

    def printed(estimates, digits=2):
        return [(round(one.value, digits), round(Z95 * one.error, digits)) for one in estimates]

    assert printed([found.overall]) == [(0.95, 0.02)]
    assert printed(found.users) == [(0.88, 0.07), (0.73, 0.10), (0.93, 0.04), (0.96, 0.02)]
    assert printed(found.producers) == [(0.75, 0.21), (0.85, 0.25), (0.93, 0.03), (0.96, 0.02)]
    hectares = [one.scaled(900_000) for one in found.shares]
    assert [round(one.value) for one in hectares] == [21_158, 11_686, 285_770, 581_386]
    assert [round(Z95 * one.error) for one in hectares] == pytest.approx([6_158, 3_756, 15_510, 16_282], abs=1.5)
    assert found.total == pytest.approx(900_000)


@given(st.integers(2, 5), st.integers(0, 2**32 - 1))
def test_equal_to_the_equations_of_olofsson_2014(classes, seed):
    """Equations 4 to 11 written out; they have no finite population correction, so the strata are large."""
    random = np.random.default_rng(seed)
    table = random.integers(0, 30, (classes, classes))
    table[:, 0] += 2
    pixels = random.integers(1, 50, classes) * 1e12
    mapped, reference = units(table)
    found = estimate(reference, mapped, classes, mapped, pixels)
    w, n = pixels / pixels.sum(), table.sum(axis=1)
    shares = w[:, None] * table / n[:, None]
    users = np.diag(table) / n
    overall_error = np.sqrt((w**2 * users * (1 - users) / (n - 1)).sum())
    area_error = np.sqrt(((w[:, None] * shares - shares**2) / (n[:, None] - 1)).sum(axis=0))
    np.testing.assert_allclose((found.overall.value, found.overall.error), (np.trace(shares), overall_error), atol=1e-9)
    for j in range(classes):
        np.testing.assert_allclose(found.users[j].error, np.sqrt(users[j] * (1 - users[j]) / (n[j] - 1)), atol=1e-9)
        np.testing.assert_allclose(found.shares[j].value, shares[:, j].sum(), atol=1e-12)
        np.testing.assert_allclose(found.shares[j].error, area_error[j], atol=1e-9)
        if not table[:, j].sum():
            continue
        producer = shares[j, j] / shares[:, j].sum()
        column = (pixels * table[:, j] / n).sum()
        others = np.arange(classes) != j
        part = table[:, j] / n
        variance = pixels[j] ** 2 * (1 - producer) ** 2 * users[j] * (1 - users[j]) / (n[j] - 1)
        variance += producer**2 * (pixels**2 * part * (1 - part) / (n - 1))[others].sum()
        np.testing.assert_allclose(found.producers[j].value, producer, atol=1e-12)
        np.testing.assert_allclose(found.producers[j].error, np.sqrt(variance) / column, atol=1e-9)


def test_stehman_2014_strata_other_than_the_map():
    """The 40 pixels of the paper's table 2, and its results on pages 4932 to 4936."""
    stratum = np.repeat(np.arange(4), 10)
    mapped, reference = (
        np.array(["ABCD".index(one) for one in text])
        for text in ("AAAAAAABBBABBBBBBBBBBBCCCCCCBBDDDDDDDDDD", "AAAAACBABCABBBBBAABBCCCCCDDBBADDDDDDDCCB")
    )
    found = estimate(reference, mapped, 4, stratum, np.array([40_000, 30_000, 20_000, 10_000]))
    assert found.overall.value == pytest.approx(0.63)
    assert found.overall.error == pytest.approx(0.085, abs=5e-4)
    assert (found.shares[0].value, found.shares[2].value) == pytest.approx((0.35, 0.20))
    assert (found.shares[0].error, found.shares[2].error) == pytest.approx((0.082, 0.064), abs=5e-4)
    assert (found.users[1].value, found.producers[1].value) == pytest.approx((0.574, 0.794), abs=5e-4)
    assert (found.users[1].error, found.producers[1].error) == pytest.approx((0.125, 0.117), abs=1e-3)
    assert found.matrix[2, 1] == pytest.approx(0.08)  # mapped B, reference C


@given(st.integers(1, 5), st.integers(2, 120), st.integers(0, 2**32 - 1))
def test_of_one_stratum_equal_to_scikit_learn(classes, n, seed):
    """Also with classes that never occur, with one class, and undefined scores, which are NaN and never a number."""
    metrics = pytest.importorskip("sklearn.metrics")
    random = np.random.default_rng(seed)
    reference, mapped = random.integers(0, classes, n), random.integers(0, classes, n)
    found = estimate(reference, mapped, classes, np.zeros(n, int), np.array([10.0 * n]))
    assert found.overall.value == pytest.approx(metrics.accuracy_score(reference, mapped))
    share = (reference == mapped).mean()
    assert found.overall.error == pytest.approx(np.sqrt(0.9 * share * (1 - share) / (n - 1)))
    precision, recall, f1, support = metrics.precision_recall_fscore_support(
        reference, mapped, labels=range(classes), zero_division=0
    )
    for k in range(classes):
        expected = (
            precision[k] if (mapped == k).any() else np.nan,
            recall[k] if support[k] else np.nan,
            f1[k] if support[k] else np.nan,
        )
        figures = (found.users[k].value, found.producers[k].value, found.f1[k].value)
        np.testing.assert_allclose(figures, expected, atol=1e-12)
        assert found.users[k].to_json()["value"] is None or np.isfinite(expected[0])
    assert found.matrix.sum() == pytest.approx(1)
    np.testing.assert_array_equal(found.counts, metrics.confusion_matrix(reference, mapped, labels=range(classes)))


@given(st.integers(2, 4), st.integers(2, 4), st.integers(0, 2**32 - 1))
def test_invariants(classes, strata, seed):
    """Shares sum to 1; naming strata otherwise or scaling areas changes nothing; equal probabilities are implied."""
    random = np.random.default_rng(seed)
    n = 60
    stratum = np.r_[np.repeat(np.arange(strata), 2), random.integers(0, strata, n - 2 * strata)]
    reference, mapped = random.integers(0, classes, n), random.integers(0, classes, n)
    sizes = random.integers(100, 100_000, strata).astype(float)
    found = estimate(reference, mapped, classes, stratum, sizes)
    assert sum(one.value for one in found.shares) == pytest.approx(1)
    np.testing.assert_allclose(found.matrix.sum(axis=1), [one.value for one in found.shares])
    assert found.overall.value == pytest.approx(np.trace(found.matrix))
    swapped = estimate(reference, mapped, classes, strata - 1 - stratum, sizes[::-1], areas=np.full(n, 7.5))
    known = (np.bincount(stratum, minlength=strata) / sizes)[stratum]
    given_probabilities = estimate(reference, mapped, classes, stratum, sizes, known)
    for other in (swapped, given_probabilities):
        for mine, theirs in zip((found.overall, *found.f1), (other.overall, *other.f1), strict=True):
            np.testing.assert_allclose((mine.value, mine.error), (theirs.value, theirs.error), atol=1e-12)


def test_a_stratum_drawn_whole_adds_no_error():
    reference, mapped = np.array([0, 1, 1, 0]), np.array([0, 0, 1, 0])
    assert estimate(reference, mapped, 2, np.zeros(4, int), np.array([4.0])).overall.error == 0


def test_units_outside_what_is_assessed_count_as_drawn():
    """A domain estimate (Cochran 1977, 2.13): of 10 units drawn from 100, 5 lie in the domain."""
    reference = np.array([0, 0, 1, 1, 0, -1, -1, -1, -1, -1])
    mapped = np.array([0, 1, 1, 1, 0, 0, 0, -1, -1, -1])
    found = estimate(reference, mapped, 2, np.zeros(10, int), np.array([100.0]))
    assert found.total == pytest.approx(50)
    assert found.overall.value == pytest.approx(0.8)
    residual = np.r_[np.array([1, 0, 1, 1, 1]) - 0.8, np.zeros(5)]
    assert found.overall.error == pytest.approx(np.sqrt(100**2 * 0.9 * residual.var(ddof=1) / 10) / 50)


def test_units_drawn_together_are_one_draw():
    """Ten copies of each unit tell no more than one: the error stays, where it would fall to a third by mistake."""
    random = np.random.default_rng(4)
    reference, mapped = random.integers(0, 2, 40), random.integers(0, 2, 40)
    once = estimate(reference, mapped, 2, np.zeros(40, int), np.array([1e9]))
    copies = np.repeat(np.arange(40), 10)
    many = estimate(reference[copies], mapped[copies], 2, np.zeros(400, int), np.array([1e9]), clusters=copies)
    assert many.overall.error == pytest.approx(once.overall.error)
    assert many.f1[0].error == pytest.approx(once.f1[0].error)


def test_a_single_unit_in_a_stratum_is_named():
    found = estimate(
        np.array([0, 1, 0]), np.array([0, 0, 0]), 2, np.array([0, 0, 1]), np.array([50.0, 50.0]), names=("a", "b")
    )
    assert found.alone == ("b",) and np.isfinite(found.overall.error)
    lonely = estimate(np.array([0]), np.array([0]), 2, np.array([0]), np.array([50.0]))
    assert np.isnan(lonely.overall.error)
    assert lonely.overall.to_json()["standard_error"] is None


@pytest.mark.parametrize("n", [3, 10, 64, 500])
def test_no_error_among_few_units_is_no_certainty(n):
    """All right, or none of a class: the interval is Clopper and Pearson's, as scipy has it, not a point."""
    from scipy.stats import binomtest

    found = estimate(np.zeros(n, int), np.zeros(n, int), 2, np.zeros(n, int), np.array([1e9]))
    exact = binomtest(n, n).proportion_ci(0.95, "exact")
    for one in (found.overall, found.users[0], found.producers[0], found.f1[0], found.shares[0]):
        assert (one.value, one.error) == (1, 0)
        assert one.interval == pytest.approx((exact.low, 1))
    assert found.shares[1].scaled(200).interval == pytest.approx((0, 200 * (1 - exact.low)))


def test_unequal_weights_and_whole_strata_count_for_what_may_be_missed():
    """Ten units of one weight tell more than ten of very different ones; a stratum drawn whole hides nothing."""
    right, strata = np.zeros(10, int), np.repeat([0, 1], 5)
    alike = estimate(right, right, 1, strata, np.array([5000.0, 5000.0])).overall
    unlike = estimate(right, right, 1, strata, np.array([9900.0, 100.0])).overall
    whole = estimate(right, right, 1, strata, np.array([5.0, 5.0])).overall
    part = estimate(right, right, 1, strata, np.array([5.0, 15.0])).overall
    assert unlike.interval[0] < alike.interval[0] == pytest.approx(0.025 ** (1 / 10))
    assert whole.interval == (1, 1)
    assert part.interval[0] == pytest.approx(1 - 0.75 * (1 - 0.025 ** (1 / 5)))


def test_the_bound_of_what_is_missed_holds_in_repeated_samples():
    """A class of 3 % of the area: where the sample has none, its share must lie in the interval 19 times in 20."""
    random = np.random.default_rng(2)
    sizes, share, inside = np.array([6e5, 3e5, 1e5]), 0.03, 0
    for _ in range(1000):
        strata = np.repeat([0, 1, 2], 25)
        reference = (random.random(75) < share).astype(int)
        low, high = estimate(reference, np.zeros(75, int), 2, strata, sizes).shares[1].interval
        inside += (low <= share <= high) or reference.any()  # only what saw nothing is judged here
    assert inside >= 950


def test_intervals_stay_between_0_and_1():
    found = estimate(np.array([0, 0, 0, 1]), np.zeros(4, int), 2, np.zeros(4, int), np.array([1000.0]))
    low, high = found.overall.interval
    assert 0 <= low < 0.75 < high == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"reference": np.array([5, 0])}, "out of range"),
        ({"strata": np.array([0, 3])}, "out of range"),
        ({"probabilities": np.array([0.5, 0.0])}, "probabilities"),
        ({"sizes": np.array([1.0])}, "more units"),
        ({"reference": np.array([], int)}, "same length"),
        ({"reference": np.array([-1, -1])}, "no unit"),
    ],
)
def test_refuses(change, message):
    given_values = {"reference": np.array([0, 1]), "mapped": np.array([0, 0]), "strata": np.array([0, 0])}
    given_values |= {"classes": 2, "sizes": np.array([9.0])} | change
    with pytest.raises(ValueError, match=message):
        estimate(**given_values)


def test_errors_of_all_figures_are_those_of_repeated_samples():
    """800 stratified samples of one population, with strata other than the map: bias, error and coverage."""
    random = np.random.default_rng(11)
    size = 6000
    stratum = random.choice(3, size, p=[0.6, 0.3, 0.1])
    reference = (stratum + random.choice(3, size, p=[0.75, 0.15, 0.1])) % 3
    mapped = np.where(random.random(size) < 0.7, reference, random.integers(0, 3, size))
    sizes = np.bincount(stratum)
    members = [np.flatnonzero(stratum == h) for h in range(3)]
    truth = estimate(reference, mapped, 3, stratum, sizes)
    figures = {"overall": [], "user": [], "producer": [], "f1": [], "share": []}
    for _ in range(800):
        chosen = np.concatenate([random.choice(own, 150, replace=False) for own in members])
        found = estimate(reference[chosen], mapped[chosen], 3, stratum[chosen], sizes)
        for name, one in (
            ("overall", found.overall),
            ("user", found.users[1]),
            ("producer", found.producers[1]),
            ("f1", found.f1[2]),
            ("share", found.shares[2]),
        ):
            figures[name].append((one.value, one.error))
    true = (truth.overall, truth.users[1], truth.producers[1], truth.f1[2], truth.shares[2])
    for (name, pairs), one in zip(figures.items(), true, strict=True):
        values, errors = np.array(pairs).T
        assert abs(values.mean() - one.value) < 0.01, name
        assert errors.mean() == pytest.approx(values.std(ddof=1), rel=0.1), name
        covered = np.mean(np.abs(values - one.value) <= Z95 * errors)
        assert 0.92 <= covered <= 0.975, (name, covered)
