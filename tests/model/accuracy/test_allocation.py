"""Protects the size of samples: Cochran's formula, the papers' example, and allocations that add up."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from landloom.model.accuracy.allocation import (
    ALLOCATIONS,
    allocate,
    cochran_size,
    expected_accuracies,
    expected_error,
    size_for,
)
from landloom.model.base.errors import LandloomError

PIXELS = np.array([200_000, 150_000, 3_200_000, 6_450_000])
ACCURACY = np.array([0.70, 0.60, 0.90, 0.95])


def test_the_size_of_olofsson_2014():
    """641 points for a standard error of 0.01 (their section 5.1.1)."""
    assert round(cochran_size(PIXELS, ACCURACY, 0.01)) == pytest.approx(641, abs=1)
    assert size_for(0.01, PIXELS, ACCURACY, "neyman") == pytest.approx(641, abs=2)


def test_proportional_allocation_of_olofsson_2014():
    """Their table 5: 13, 10, 205 and 413 of 641."""
    assert allocate(641, PIXELS, ACCURACY, "proportional").tolist() == [13, 10, 205, 413]


def test_equal_allocation():
    assert sorted(allocate(641, PIXELS, ACCURACY, "equal").tolist()) == [160, 160, 160, 161]


def test_at_least_so_many_in_rare_classes():
    """Their 'alloc' of 75 or 100 in the two classes of change; the rest by area."""
    sizes = allocate(641, PIXELS, ACCURACY, "rare", 75)
    assert sizes[:2].tolist() == [75, 75] and sizes.sum() == 641
    assert sizes[2] / sizes[3] == pytest.approx(3.2 / 6.45, abs=0.01)


@given(
    st.lists(st.integers(1, 10**7), min_size=1, max_size=12),
    st.sampled_from(ALLOCATIONS),
    st.integers(0, 60),
    st.integers(0, 3000),
    st.integers(0, 2**32 - 1),
)
def test_allocations_add_up(pixels, how, least, more, seed):
    """Never more than a class has, never under two where it has them, and the sum is the size."""
    pixels = np.array(pixels)
    accuracy = np.random.default_rng(seed).random(len(pixels))
    floor = np.minimum(max(least, 2) if how == "rare" else 2, pixels)
    size = int(floor.sum()) + more
    sizes = allocate(size, pixels, accuracy, how, least)
    assert sizes.sum() == min(size, pixels.sum())
    assert (sizes <= pixels).all() and (sizes >= floor).all()


@given(st.integers(0, 2**32 - 1))
def test_neyman_is_best(seed):
    """No other allocation of as many points gives a smaller expected error (but for rounding)."""
    random = np.random.default_rng(seed)
    pixels, accuracy = random.integers(10**5, 10**7, 5), random.uniform(0.5, 0.95, 5)
    errors = {how: expected_error(pixels, accuracy, allocate(900, pixels, accuracy, how, 20)) for how in ALLOCATIONS}
    assert errors["neyman"] <= min(errors.values()) * 1.001


@pytest.mark.parametrize("how", ALLOCATIONS)
def test_the_size_is_the_smallest_that_reaches_the_target(how):
    size = size_for(0.012, PIXELS, ACCURACY, how, 30)
    error = expected_error(PIXELS, ACCURACY, allocate(size, PIXELS, ACCURACY, how, 30))
    fewer = expected_error(PIXELS, ACCURACY, allocate(size - 5, PIXELS, ACCURACY, how, 30))
    assert error <= 0.012 < fewer


def test_a_small_map_is_drawn_whole():
    assert allocate(100, np.array([3, 5]), np.array([0.8, 0.8]), "equal").tolist() == [3, 5]
    assert expected_error(np.array([3, 5]), np.array([0.8, 0.8]), np.array([3, 5])) == 0
    assert expected_error(np.array([3, 5]), np.array([0.8, 0.8]), np.array([0, 5])) == np.inf


def test_expected_accuracies():
    names = {1: "rice, first season", 2: "Maize", 12: ""}
    found = expected_accuracies("0.7; maize=0.5; rice, first season=0,9; 12=1", [1, 2, 12], names)
    np.testing.assert_allclose(found, [0.9, 0.5, 1.0])
    np.testing.assert_allclose(expected_accuracies("", [1, 2], {}), 0.8)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: allocate(100, PIXELS, ACCURACY, "rare", 50), "SIZE 100 is too small: 4 classes with at least 50"),
        (lambda: size_for(0.0001, PIXELS, ACCURACY, "equal"), "needs more than 200,000 points"),
        (lambda: expected_accuracies("80", [1], {}), "'80' is not understood"),
        (lambda: expected_accuracies("1.5", [1], {}), "'1.5' is not understood"),
        (lambda: expected_accuracies("soja=0.5", [1], {1: "maize"}), r"names 'soja', .* it has 1 \(maize\)"),
    ],
)
def test_refuses(call, message):
    with pytest.raises(LandloomError, match=message):
        call()
