"""Calibration against scikit-learn, over-confident logits and simulated truth; thresholds that keep their promise."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from landloom.model.base.calibration import (
    Calibration,
    Kept,
    RiskCurve,
    brier_score,
    curves_from_json,
    fit_temperature,
    softmax,
    tempered,
    upper_error,
)
from landloom.model.base.errors import LandloomError


def drawn(count: int, classes: int = 5, spread: float = 2.0, seed: int = 0):
    """Logits ``[n, K]`` and labels drawn from the very probabilities that they give."""
    random = np.random.default_rng(seed)
    logits = random.normal(0, spread, (count, classes))
    sums = softmax(logits).cumsum(axis=1)
    return logits, (random.random((count, 1)) * sums[:, -1:] > sums).sum(axis=1)


def clustered(groups: int, pixels: int, seed: int):
    """Confidence, right and group of pixels that are right or wrong with their neighbours: half of the doubt is the
    group's, half the pixel's; the probability of being right is the confidence."""
    random = np.random.default_rng(seed)
    owner = np.repeat(np.arange(groups), pixels)
    confidence = np.clip(np.repeat(random.beta(4, 1, groups), pixels), 0.05, 0.995)
    shared = random.random(groups)[owner]
    own = random.random(len(owner))
    draw = np.where(random.random(len(owner)) < 0.5, shared, own)
    return confidence, draw < confidence, owner


@given(st.integers(2, 6), st.integers(1, 200), st.integers(0, 10_000))
def test_brier_score_is_the_sum_of_scikit_learns_over_the_classes(classes, count, seed):
    metrics = pytest.importorskip("sklearn.metrics")
    random = np.random.default_rng(seed)
    probabilities, labels = random.dirichlet(np.ones(classes), count), random.integers(0, classes, count)
    expected = sum(
        metrics.brier_score_loss(labels == k, np.clip(probabilities[:, k], 0, 1), pos_label=True)
        for k in range(classes)
    )
    assert brier_score(probabilities, labels) == pytest.approx(expected)


@given(st.integers(1, 400), st.integers(0, 10_000))
def test_the_reliability_table_is_scikit_learns(count, seed):
    curve = pytest.importorskip("sklearn.calibration").calibration_curve
    random = np.random.default_rng(seed)
    probabilities, labels = random.dirichlet(np.ones(4), count), random.integers(0, 4, count)
    found = Calibration.of(probabilities, labels)
    right = probabilities.argmax(axis=1) == labels
    truth, mean = curve(np.r_[right, True, False], np.r_[probabilities.max(axis=1), 0.001, 0.001], n_bins=15)
    own = found.count[1:] > 0  # the first bin holds what makes scikit-learn accept one class
    np.testing.assert_allclose(found.accuracy[1:][own], truth[1:])
    np.testing.assert_allclose(found.confidence[1:][own], mean[1:])
    assert found.count.sum() == count
    gaps = found.count * np.abs(found.accuracy - found.confidence)
    assert found.error == pytest.approx(np.nansum(gaps) / count)
    assert json.loads(json.dumps(found.to_json()))["count"] == found.count.tolist()


def test_the_class_mapped_need_not_be_the_most_probable():
    probabilities = np.array([[0.4, 0.35, 0.25]] * 4)
    found = Calibration.of(probabilities, np.array([1, 1, 0, 2]), np.array([1, 1, 1, 1]))
    place = found.count.argmax()
    assert found.confidence[place] == pytest.approx(0.35) and found.accuracy[place] == pytest.approx(0.5)
    assert found.error == pytest.approx(0.15)


def test_scaling_undoes_overconfidence_and_changes_no_class():
    logits, labels = drawn(6000)
    sure = softmax(logits * 3)[None].astype(np.float32)
    fit, fresh = slice(0, 3000), slice(3000, 6000)
    with np.errstate(divide="ignore"):
        temperature = fit_temperature(np.log(sure[:, fit]), labels[fit])
    assert temperature == pytest.approx(3, rel=0.1)
    before, after = tempered(sure[:, fresh], 1.0), tempered(sure[:, fresh], temperature)
    assert np.array_equal(before.argmax(axis=1), after.argmax(axis=1))
    one, other = Calibration.of(before, labels[fresh]), Calibration.of(after, labels[fresh])
    assert one.error > 0.15 and other.error < 0.03
    assert other.brier < one.brier - 0.05


def test_tempering_members_is_what_a_map_does():
    torch = pytest.importorskip("torch")
    logits = np.random.default_rng(1).normal(0, 3, (3, 50, 4)).astype(np.float32)
    shares = torch.softmax(torch.from_numpy(logits), dim=2).numpy()
    expected = torch.softmax(torch.from_numpy(logits) / 1.7, dim=2).mean(dim=0).numpy()
    np.testing.assert_allclose(tempered(shares, 1.7), expected, atol=1e-6)
    certain = np.array([[[1.0, 0.0], [0.25, 0.75]]], np.float32)  # a forest's trees may all agree
    np.testing.assert_allclose(tempered(certain, 0.5), [[1, 0], [0.1, 0.9]], atol=1e-6)


def test_every_point_of_the_curve_is_what_its_threshold_keeps():
    confidence, right, groups = clustered(200, 7, 3)
    confidence = np.round(confidence, 2).astype(np.float32)  # ties
    curve = RiskCurve.of(confidence, right, groups)
    assert len(curve.points) <= 101 and curve.whole.pixels == 1400 and curve.whole.threshold == 0
    for point in curve.points:
        kept = confidence >= np.float32(point.threshold)
        assert point.pixels == kept.sum() and point.wrong == (kept & ~right).sum()
        assert point.groups == len(np.unique(groups[kept]))
        assert point.error < point.upper_error <= 1
    again = RiskCurve.from_json(json.loads(json.dumps(curve.to_json())))
    assert again == curve
    assert len(json.dumps(curve.to_json())) < 10_000


@pytest.mark.parametrize("error", [0.02, 0.05, 0.1])
def test_on_fresh_data_the_error_of_the_kept_is_near_the_chosen_one(error):
    """The threshold found on 2,000 samples, judged on 20,000 others; the mean of 30 trials."""
    errors, kept = [], []
    for seed in range(30):
        logits, labels = drawn(22_000, 6, 4.0, seed)
        probabilities = softmax(logits)
        confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
        point = RiskCurve.of(confidence[:2000], right[:2000], np.arange(2000)).threshold(error)
        assert point.error <= error
        fresh = confidence[2000:] >= point.threshold
        errors.append(1 - right[2000:][fresh].mean())
        kept.append(fresh.mean())
    assert np.mean(errors) == pytest.approx(error, rel=0.12)
    assert np.std(errors) < 0.01
    assert 0.2 < np.mean(kept) < 1


@pytest.mark.parametrize("count", [12, 40, 100])
def test_the_upper_bound_holds_where_pixels_stand_in_groups(count):
    """The true error of the kept exceeds the bound in about 5 % of 300 draws; bounds that count pixels fail more."""
    above = naive = 0
    for seed in range(300):
        confidence, right, groups = clustered(count, 20, seed)
        kept = confidence >= 0.7
        pixels = np.bincount(groups[kept], minlength=count).astype(float)
        wrong = np.bincount(groups[kept & ~right], minlength=count).astype(float)
        above += upper_error(pixels, wrong) < TRUE_ERROR
        alone = np.repeat([1.0, 0.0], [int(wrong.sum()), int((pixels - wrong).sum())])
        naive += upper_error(np.ones(len(alone)), alone) < TRUE_ERROR
    assert above / 300 < 0.09 < naive / 300


# Mean of 1 - confidence over beta(4, 1) above 0.7, clipped at 0.995 as in ``clustered``.
_DRAWN = np.clip(np.random.default_rng(9).beta(4, 1, 400_000), 0.05, 0.995)
TRUE_ERROR = float((1 - _DRAWN[_DRAWN >= 0.7]).mean())


def test_an_error_out_of_reach_and_one_that_is_there_already():
    right = np.tile([True, True, True, False], 50)
    curve = RiskCurve.of(np.tile([0.9, 0.9, 0.9, 0.9], 50), right, np.arange(200) // 4)
    assert curve.threshold(0.1) is None and curve.lowest_error().error == 0.25
    assert curve.threshold(0.3) == curve.whole and curve.whole.threshold == 0


def test_too_few_samples_or_groups_give_no_curve_and_no_threshold():
    assert RiskCurve.of(np.full(19, 0.9), np.ones(19, bool), np.arange(19)) is None
    assert RiskCurve.of(np.full(100, 0.9), np.ones(100, bool), np.arange(100) // 25) is None
    # Ten certain pixels that are right do not make a threshold: that may be luck.
    for few, many in ((10, 90), (30, 900)):
        confidence, right = (np.repeat(values, [few, many]) for values in ([0.99, 0.5], [True, False]))
        assert RiskCurve.of(confidence, right, np.arange(few + many)).threshold(0.05) is None


@pytest.mark.parametrize(
    "change",
    [
        lambda c: c.pop("wrong"),
        lambda c: c["pixels"].append(3),
        lambda c: c["wrong"].__setitem__(0, 10**9),
        lambda c: c["threshold"].__setitem__(-1, 0.4),
        lambda c: c["threshold"].__setitem__(0, "x"),
        lambda c: c["pixels"].__setitem__(0, 0),
        lambda c: c["threshold"].__setitem__(0, float("nan")),
        lambda c: c.update({key: [] for key in c}),
    ],
)
def test_a_damaged_curve_is_refused(change):
    content = RiskCurve.of(*clustered(50, 10, 0)).to_json()
    change(content)
    with pytest.raises(LandloomError, match="train the model again"):
        curves_from_json({"levels": {"0": content}})


def test_headers_without_curves_and_with_nonsense():
    assert curves_from_json({}) == {}
    for levels in ([1], {"x": {}}, {"0": None}, {"0": [1]}):
        with pytest.raises(LandloomError, match="damaged"):
            curves_from_json({"levels": levels})


def test_kept_error():
    assert Kept(0.5, 40, 10, 4, 0.5).error == 0.25
