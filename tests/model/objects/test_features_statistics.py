"""Protects statistics and texture of objects: against numpy and scikit-image, object by object."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from landloom.model.objects.features_coverage import cover_labels, entries
from landloom.model.objects.features_statistics import measure
from landloom.model.objects.features_texture import DIRECTIONS, grey_levels, textures


@given(st.integers(0, 10_000), st.booleans())
def test_statistics_are_numpys(seed, weighted):
    random = np.random.default_rng(seed)
    count, pixels = 6, 80
    owner = random.integers(0, count - 1, 60)  # the last has no pixel
    pixel = random.integers(0, pixels, 60)
    weight = random.uniform(0.05, 1, 60) if weighted else np.ones(60)
    coverage = entries(owner, pixel, weight, count)
    values = random.normal(1000, 50, (3, pixels)).astype(np.float32)
    valid = random.random(pixels) < random.choice([0.3, 0.9, 1.0])
    found, total = measure(values, valid, coverage, ("mean", "std"), (0, 10, 50, 100))
    assert np.isnan(found["mean"][:, count - 1]).all() and total[count - 1] == 0
    for one in range(count):
        own = (owner == one) & valid[pixel]
        if not own.any():
            assert np.isnan(found["p50"][:, one]).all()
            continue
        v, w = values[:, pixel[own]].astype(float), weight[own]
        assert total[one] == pytest.approx(w.sum())
        mean = np.average(v, axis=1, weights=w)
        np.testing.assert_allclose(found["mean"][:, one], mean, rtol=1e-9)
        spread = np.sqrt(np.average((v - mean[:, None]) ** 2, axis=1, weights=w))
        np.testing.assert_allclose(found["std"][:, one], spread, atol=1e-6)
        np.testing.assert_array_equal(found["p100"][:, one], v.max(axis=1))
        np.testing.assert_array_equal(found["p0"][:, one], v.min(axis=1))
        if not weighted:
            for percent in (10, 50):
                expected = np.percentile(v, percent, axis=1, method="inverted_cdf")
                np.testing.assert_array_equal(found[f"p{percent}"][:, one], expected)


def test_weighted_percentile_by_hand():
    coverage = entries(np.zeros(3, int), np.arange(3), np.array([0.2, 0.2, 0.6]), 1)
    found, _total = measure(np.array([[3.0, 1.0, 2.0]]), None, coverage, (), (20, 50, 81))
    assert [found[name][0, 0] for name in ("p20", "p50", "p81")] == [1.0, 2.0, 3.0]


def test_texture_is_scikit_images():
    """A matrix summed over the four directions, its measures by graycoprops; pairs only inside the object."""
    feature = pytest.importorskip("skimage.feature")
    random = np.random.default_rng(3)
    height, width, levels = 12, 15, 16
    grey = random.integers(0, levels, (height, width))
    labels = np.full((height, width), -1)
    labels[1:9, 2:8] = 0
    labels[3:11, 8:14] = 1
    labels[0, 0] = 2  # a single pixel has no pair
    found = textures(grey.ravel(), np.ones(grey.size, bool), width, cover_labels(labels, 1, 3), levels)
    for one, window in ((0, grey[1:9, 2:8]), (1, grey[3:11, 8:14])):
        matrix = feature.graycomatrix(
            window.astype(np.uint8), [1], [0, np.pi / 4, np.pi / 2, 3 * np.pi / 4], levels, symmetric=True
        )
        joined = matrix.sum(axis=3, keepdims=True).astype(float)
        joined /= joined.sum()
        for name, theirs in (
            ("contrast", "contrast"),
            ("dissimilarity", "dissimilarity"),
            ("homogeneity", "homogeneity"),
            ("asm", "ASM"),
            ("correlation", "correlation"),
        ):
            assert found[name][one] == pytest.approx(feature.graycoprops(joined, theirs)[0, 0]), name
        shares = joined[joined > 0]
        assert found["entropy"][one] == pytest.approx(-(shares * np.log(shares)).sum())
    assert all(np.isnan(values[2]) for values in found.values()) and len(DIRECTIONS) == 4


def test_texture_of_overlapping_objects_and_masked_pixels():
    grey = np.array([[0, 1, 2], [3, 0, 1]])
    owner = np.array([0, 0, 1, 1, 1])
    pixel = np.array([0, 1, 1, 2, 5])
    coverage = entries(owner, pixel, np.array([1, 1, 1, 1, 0.6]), 2)
    found = textures(grey.ravel(), np.ones(6, bool), 3, coverage, 4)
    assert found["contrast"][0] == 1.0  # one pair 0-1
    assert found["contrast"][1] == pytest.approx((1 + 1 + 0) / 3)  # pairs 1-2, 2-1, 1-1
    masked = textures(grey.ravel(), np.array([1, 0, 1, 1, 1, 1], bool), 3, coverage, 4)
    assert np.isnan(masked["contrast"][0]) and masked["contrast"][1] == 1.0


def test_grey_levels_are_equal_steps():
    assert grey_levels(np.array([-5.0, 0.0, 0.24, 0.26, 0.99, 1.0, 9.0, np.nan]), 0, 1, 4).tolist() == [
        0, 0, 0, 1, 3, 3, 3, 0,
    ]  # fmt: skip
    assert grey_levels(np.array([2.0]), 2, 2, 4).tolist() == [0]
