from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from landloom.model.stack.gapfill import gapfill, target_days


def reference(values, mask, days, targets):
    """Pixel by pixel with numpy's interpolation."""
    batch, _dates, channels, height, width = values.shape
    filled = np.zeros((batch, len(targets), channels, height, width))
    gap = np.full((batch, len(targets), height, width), np.inf)
    order = np.argsort(days)
    for b, y, x in np.ndindex(batch, height, width):
        dates = order[mask[b, order, y, x]]
        if not len(dates):
            continue
        gap[b, :, y, x] = np.abs(np.subtract.outer(targets, days[dates])).min(axis=1)
        for c in range(channels):
            filled[b, :, c, y, x] = np.interp(targets, days[dates], values[b, dates, c, y, x])
    return filled, np.clip(1 - gap / 30, 0, 1)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_gapfill_equals_numpy_interpolation_of_every_pixel(data):
    dates = data.draw(st.integers(1, 9))
    days = np.array(data.draw(st.lists(st.integers(-60, 420), min_size=dates, max_size=dates, unique=True)))
    targets = np.array(data.draw(st.lists(st.integers(-80, 440), min_size=1, max_size=8)))
    random = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    shape = (data.draw(st.integers(1, 3)), dates, 2, 2, 3)
    dtype = data.draw(st.sampled_from([np.int16, np.float32, np.uint16]))
    values = random.integers(0, 9000, shape).astype(dtype)
    mask = random.random((shape[0], dates, 2, 3)) < data.draw(st.sampled_from([0.0, 0.3, 0.7, 1.0]))
    filled, validity = gapfill(values, mask, days, targets)
    expected, expected_validity = reference(values.astype(np.float64), mask, days, targets)
    assert filled.dtype == np.float32
    np.testing.assert_allclose(filled, expected, rtol=1e-5, atol=5e-3)
    np.testing.assert_allclose(validity, expected_validity, atol=1e-5)


def test_all_valid_shortcut_equals_the_general_way():
    random = np.random.default_rng(1)
    days, targets = np.array([30, 2, 61, 100]), np.arange(-10, 130, 7)
    values = random.normal(size=(1, 4, 3, 4, 4)).astype(np.float32)
    mask = np.ones((1, 4, 4, 4), dtype=bool)
    quick, validity = gapfill(values, mask, days, targets)
    mask[0, 2, 0, 0] = False  # one masked value: no shortcut
    slow, slow_validity = gapfill(values, mask, days, targets)
    np.testing.assert_allclose(quick[..., 1:, :], slow[..., 1:, :], atol=1e-5)
    np.testing.assert_allclose(validity[..., 1:, :], slow_validity[..., 1:, :], atol=1e-6)


def test_masked_values_are_not_looked_at():
    values = np.array([1.0, np.nan, np.inf, 3.0], dtype=np.float32).reshape(1, 4, 1, 1, 1)
    mask = np.array([True, False, False, True]).reshape(1, 4, 1, 1)
    filled, _validity = gapfill(values, mask, [0, 5, 10, 20], [0, 10, 20])
    assert filled.ravel().tolist() == [1.0, 2.0, 3.0]


def test_nothing_valid_gives_zero_with_validity_zero():
    filled, validity = gapfill(np.full((1, 2, 1, 1, 1), 7), np.zeros((1, 2, 1, 1), bool), [0, 9], [0, 4])
    assert not filled.any()
    assert not validity.any()


def test_a_masked_date_among_many_pixels_changes_only_its_own_pixel():
    random = np.random.default_rng(3)
    values = random.normal(size=(2, 5, 2, 3, 3)).astype(np.float32)
    mask = random.random((2, 5, 3, 3)) < 0.8
    days, targets = np.arange(0, 50, 10), np.arange(0, 50, 5)
    before, _ = gapfill(values, mask, days, targets)
    changed = mask.copy()
    changed[1, 2, 0, 1] ^= True
    after, _ = gapfill(values, changed, days, targets)
    differs = np.abs(before - after).max(axis=(1, 2)) > 0
    assert not differs[0].any()
    assert differs[1].sum() <= 1


@pytest.mark.parametrize(
    ("days", "step", "expected"),
    [([5, 33, 20], 10, (5, 15, 25)), ([7], 10, (7,)), ([], 10, ()), ([-3, 7], 5, (-3, 2, 7))],
)
def test_target_days_go_from_the_first_to_the_last_day(days, step, expected):
    assert target_days(days, step) == expected
