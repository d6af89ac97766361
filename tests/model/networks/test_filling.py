"""Gaps of many pixels are filled as ``stack/gapfill.py`` fills them, which tests hold against numpy's interpolation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from landloom.model.networks.filling import carry, fill, interpolated_at_once, line_places  # noqa: E402
from landloom.model.stack.gapfill import REACH, fill_planes  # noqa: E402


def filled(planes, valid, days, targets, finite):
    """As ``preparing.regular`` fills them."""
    order = np.argsort(days, kind="stable")
    upto = np.searchsorted(days[order], targets, side="right").tolist()
    there = torch.from_numpy(valid)
    weight, validity = line_places(there, order.tolist(), days[order].tolist(), targets.tolist(), upto, REACH)
    found = torch.full((len(targets), *planes.shape[1:]), torch.nan)
    values = list(torch.from_numpy(planes[order].copy()))
    shown = list(there[torch.from_numpy(order)].float() if finite else there[torch.from_numpy(order)])
    carry(values, shown, finite)
    fill(list(found), values, shown, upto, list(weight), finite)
    return found.numpy(), validity.numpy()


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_all_ways_are_one(data):
    """Dates in any order, several of one day, targets outside of them, pixels without any date, masked values that
    are no number."""
    dates = data.draw(st.integers(1, 9))
    days = np.array(data.draw(st.lists(st.integers(-60, 420), min_size=dates, max_size=dates)), dtype=np.float32)
    targets = np.sort(np.array(data.draw(st.lists(st.integers(-80, 440), min_size=1, max_size=8)), dtype=np.float32))
    random = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    pixels = data.draw(st.integers(2, 40))
    planes = random.normal(0, 20, (dates, 2, pixels)).astype(np.float32)
    valid = random.random((dates, pixels)) < data.draw(st.sampled_from([0.0, 0.3, 0.7, 0.95]))
    valid[:, 0] = False  # were all pixels alike, they would be filled by a product: see test_preparing.py
    expected = fill_planes(planes, valid, days, targets)
    for finite in (True, False):
        if not finite:
            planes[np.broadcast_to(~valid[:, None], planes.shape)] = data.draw(st.sampled_from([np.nan, np.inf]))
        for found, wanted in zip(filled(planes, valid, days, targets, finite), expected, strict=True):
            np.testing.assert_array_equal(found, wanted)
    order = np.argsort(days, kind="stable")
    upto = np.searchsorted(days[order], targets, side="right")
    planes, valid = torch.from_numpy(planes[order]), torch.from_numpy(valid[order])
    for found, wanted in zip(
        interpolated_at_once(planes, valid, days[order], targets, upto, REACH), expected, strict=True
    ):
        np.testing.assert_allclose(found.numpy(), wanted, atol=1e-5)


def test_a_pixel_is_filled_the_same_wherever_it_lies():
    """In wide steps of the processor and in what remains of them: else maps would depend on the size of blocks."""
    random = np.random.default_rng(0)
    planes = random.normal(0, 20, (7, 3, 61)).astype(np.float32)
    valid = random.random((7, 61)) < 0.6
    days, targets = np.arange(7, dtype=np.float32) * 13, np.arange(0, 90, 10, dtype=np.float32)
    whole = filled(planes, valid, days, targets, True)
    for first in range(1, 20):
        part = filled(planes[..., first:].copy(), valid[:, first:].copy(), days, targets, True)
        for found, wanted in zip(part, whole, strict=True):
            np.testing.assert_array_equal(found, wanted[..., first:])
