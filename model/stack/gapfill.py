"""Gap filling: a masked, irregular series becomes values at regular target days by linear interpolation in time.

This is what iota2 and OTB's ``ImageTimeSeriesGapFilling`` do. Radar is filled in decibels (see ``networks/inputs.py``):
speckle is multiplicative, so that in decibels it is additive with a constant spread, and one bright date does not
outweigh its neighbours as it would in linear power.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

STEP = 10
REACH = 30.0


def target_days(days: Sequence[int] | np.ndarray, step: int = STEP) -> tuple[int, ...]:
    """Regular days from the first to the last acquisition, ``step`` days apart; one acquisition gives its own day."""
    if len(days) == 0:
        return ()
    first, last = int(min(days)), int(max(days))
    return tuple(range(first, last + 1, max(1, int(step))))


def gapfill(
    values: np.ndarray,
    mask: np.ndarray,
    days: Sequence[int] | np.ndarray,
    targets: Sequence[int] | np.ndarray,
    reach: float = REACH,
) -> tuple[np.ndarray, np.ndarray]:
    """Interpolate a masked series linearly in time; outside the valid dates the nearest one is kept.

    Args:
        values: ``[B, T, C, H, W]``; masked values are not looked at.
        mask: ``[B, T, H, W]``, True = valid.
        days: ``[T]``, in any order.
        targets: ``[Tt]`` days to interpolate to, in any order.
        reach: days from the nearest valid date at which the validity has fallen to 0.

    Returns:
        filled ``[B, Tt, C, H, W]`` float32, 0 where a pixel has no valid date at all, and validity
        ``[B, Tt, H, W]`` float32: 1 on a valid date, falling linearly to 0 at ``reach`` days from the nearest. Both
        may be transposed views.
    """
    batch, dates, channels, height, width = values.shape
    pixels = batch * height * width
    planes = values.transpose(1, 2, 0, 3, 4).reshape(dates, channels, pixels)
    valid = mask.transpose(1, 0, 2, 3).reshape(dates, pixels)
    filled, validity = fill_planes(planes, valid, days, targets, reach)
    return (
        filled.reshape(-1, channels, batch, height, width).transpose(2, 0, 1, 3, 4),
        validity.reshape(-1, batch, height, width).transpose(1, 0, 2, 3),
    )


def fill_planes(
    planes: np.ndarray,
    valid: np.ndarray,
    days: Sequence[int] | np.ndarray,
    targets: Sequence[int] | np.ndarray,
    reach: float = REACH,
) -> tuple[np.ndarray, np.ndarray]:
    """:func:`gapfill` for planes ``[T, C, N]`` with a mask ``[T, N]``: filled ``[Tt, C, N]``, validity ``[Tt, N]``."""
    order = np.argsort(np.asarray(days), kind="stable")
    sorted_days = np.asarray(days, dtype=np.float32)[order]
    wanted = np.asarray(targets, dtype=np.float32)
    share = valid.mean(axis=1) if valid.size else np.zeros(len(order))
    used = order[share[order] > 0]  # dates without one valid pixel change nothing
    used_days = sorted_days[share[order] > 0]
    channels, pixels = planes.shape[1:]
    if len(used) and bool(np.all(share[used] == 1)):
        return _fill_valid(planes[used], used_days, wanted, reach)
    filled = np.zeros((len(wanted), channels, pixels), dtype=np.float32)
    validity = np.zeros((len(wanted), pixels), dtype=np.float32)
    if not len(used) or not len(wanted):
        return filled, validity
    before = np.full((len(wanted), pixels), -np.inf, dtype=np.float32)
    last = np.searchsorted(used_days, wanted, side="right")  # dates [0, last) are on or before the target
    whole = share[used] == 1
    for target, value, day in _walk(planes, valid, used, used_days, whole, last, forward=True):
        filled[target] = value
        before[target] = day
    scratch = np.empty((channels, pixels), dtype=np.float32)
    for target, value, after in _walk(planes, valid, used, used_days, whole, last, forward=False):
        behind, ahead = wanted[target] - before[target], after - wanted[target]
        np.clip(1 - np.minimum(behind, ahead) / np.float32(reach), 0, 1, out=validity[target])
        weight = np.ones(pixels, dtype=np.float32)  # nothing valid before: the next date alone
        np.divide(behind, behind + ahead, out=weight, where=np.isfinite(behind) & np.isfinite(ahead))
        weight[np.isinf(ahead)] = 0
        np.subtract(value, filled[target], out=scratch)
        scratch *= weight
        filled[target] += scratch
    return filled, validity


def _walk(planes, valid, used, used_days, whole, last, forward):  # noqa: ANN001, ANN202
    """Yield for every target the latest valid value and day up to it, or (backwards) the first after it.

    State is carried over the pixels of a date at once: no index arrays, no gather.
    """
    channels, pixels = planes.shape[1:]
    value = np.zeros((channels, pixels), dtype=np.float32)
    day = np.full(pixels, -np.inf if forward else np.inf, dtype=np.float32)
    targets = np.argsort(last, kind="stable")
    position = 0 if forward else len(used)
    for target in targets if forward else targets[::-1]:
        while position < last[target] if forward else position > last[target]:
            date = position if forward else position - 1
            position += 1 if forward else -1
            if whole[date]:
                np.copyto(value, planes[used[date]], casting="unsafe")
                day[:] = used_days[date]
            else:
                here = valid[used[date]]
                np.copyto(value, planes[used[date]], where=here, casting="unsafe")
                day[here] = used_days[date]
        yield target, value, day


def _fill_valid(
    planes: np.ndarray, days: np.ndarray, wanted: np.ndarray, reach: float
) -> tuple[np.ndarray, np.ndarray]:
    """Every pixel is valid on the same dates: interpolation is one product with a constant matrix."""
    dates, channels, pixels = planes.shape
    matrix, validity = line_weights(days, wanted, reach)
    flat = planes.reshape(dates, channels * pixels).astype(np.float32, copy=False)
    filled = (matrix @ flat).reshape(len(wanted), channels, pixels)
    return filled, np.broadcast_to(validity[:, None], (len(wanted), pixels))


def line_weights(days: np.ndarray, wanted: np.ndarray, reach: float = REACH) -> tuple[np.ndarray, np.ndarray]:
    """The interpolation of a series without gaps, as a matrix.

    Args:
        days: ``[T]`` float32, ascending; of equal days the last one counts.
        wanted: ``[Tt]`` float32 target days.
        reach: days from the nearest date at which the validity has fallen to 0.

    Returns:
        ``[Tt, T]`` float32, and the validity ``[Tt]``.
    """
    matrix = np.zeros((len(wanted), len(days)), dtype=np.float32)
    distinct, first = np.unique(days[::-1], return_index=True)  # of equal days the last one counts
    source = len(days) - 1 - first
    for row, day in enumerate(wanted):
        after = int(np.searchsorted(distinct, day, side="right"))
        low, high = max(after - 1, 0), min(after, len(distinct) - 1)
        span = distinct[high] - distinct[low]
        weight = np.clip((day - distinct[low]) / span, 0, 1) if span > 0 else 0.0
        matrix[row, source[low]] += 1 - weight
        matrix[row, source[high]] += weight
    distance = np.abs(wanted[:, None] - days[None, :]).min(axis=1)
    return matrix, np.clip(1 - distance / np.float32(reach), 0, 1).astype(np.float32)
