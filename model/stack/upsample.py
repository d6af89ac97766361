"""Bilinear values of coarser pixels on a finer grid, as GDAL's own resampling gives them, several times as fast.

GDAL resamples through a virtual raster that declares no data block by block; here whole windows are computed at once.
A test holds both equal.
"""

from __future__ import annotations

import numpy as np


def source_span(start: int, length: int, ratio: int, size: int) -> tuple[int, int]:
    """First source pixel and number of source pixels that bilinear values of grid pixels need.

    Args:
        start: first grid pixel, counted from the first source pixel's corner.
        length: grid pixels.
        ratio: grid pixels in a source pixel.
        size: source pixels there are.
    """
    first = (2 * start + 1 - ratio) // (2 * ratio)
    last = (2 * (start + length - 1) + 1 - ratio) // (2 * ratio) + 1
    first, last = max(0, min(first, size - 1)), max(0, min(last, size - 1))
    return first, last - first + 1


def bilinear(
    values: np.ndarray,
    first: tuple[int, int],
    start: tuple[int, int],
    ratio: int,
    nodata: np.generic | None,
    out: np.ndarray,
) -> None:
    """Fill ``out`` with bilinear values.

    Args:
        values: ``[h, w]`` source pixels as :func:`source_span` asks for.
        first: row and column of the first of them in the source.
        start: row and column of the first grid pixel, counted from the source's corner.
        ratio: grid pixels in a source pixel, 2 or more.
        nodata: source pixels of this value have no weight; where no other is near, the result is this value. Pixels
            that are not finite have no weight either.
        out: ``[H, W]`` of the same type.
    """
    holes = np.zeros(values.shape, bool) if nodata is None else values == nodata
    if values.dtype.kind == "f":
        holes |= ~np.isfinite(values)
    any_holes = holes.any()
    if not any_holes and values.dtype.kind in "iu" and values.dtype.itemsize <= 2 and ratio <= 64:
        _whole_numbers(values, first, start, ratio, out)
        return
    rows = _taps(start[0], out.shape[0], ratio, first[0], values.shape[0])
    columns = _taps(start[1], out.shape[1], ratio, first[1], values.shape[1])
    if any_holes:
        _with_holes(values, ~holes, rows, columns, ratio, nodata, out)
    else:
        near, far, weight = rows
        share = (weight / np.float32(2 * ratio)).astype(np.float32)[:, None]
        lines = values[near] * (1 - share) + values[far] * share
        near, far, weight = columns
        share = (weight / np.float32(2 * ratio)).astype(np.float32)
        _store(lines[:, near] * (1 - share) + lines[:, far] * share, out)


def _taps(start: int, length: int, ratio: int, first: int, size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The two source pixels of each grid pixel, and the weight of the second in 1 / (2 ratio)."""
    twice = 2 * np.arange(start, start + length) + 1 - ratio
    near = twice // (2 * ratio)
    weight = (twice - near * 2 * ratio).astype(np.int32)
    return np.clip(near - first, 0, size - 1), np.clip(near + 1 - first, 0, size - 1), weight


_CACHED = 65536  # pixels of one phase computed at a time

_Taps = tuple[np.ndarray, np.ndarray, np.ndarray]


def _whole_numbers(
    values: np.ndarray, first: tuple[int, int], start: tuple[int, int], ratio: int, out: np.ndarray
) -> None:
    """Exact integer arithmetic, columns first; a few rows at a time stay in the processor's cache.

    Grid pixels that lie alike in their source pixel (of one phase) have the same weights, and the source pixels that
    they need follow one another: so each phase is a sum of two slices, each times a whole number.
    """
    whole = 2 * ratio
    tall, rows = _phases(start[0], out.shape[0], ratio, first[0], values.shape[0])
    wide, columns = _phases(start[1], out.shape[1], ratio, first[1], values.shape[1])
    values = values[_run(tall)][:, _run(wide)]
    by_row, by_column = _weights(rows, whole), _weights(columns, whole)
    width = out.shape[1]
    step = max(1, _CACHED // width)
    lines = np.empty((step + 2, width), np.int32)
    total = np.empty((step, width), np.int32)
    multiples = {weight: np.empty_like(lines) for weight in by_row if weight > 1}
    bits = np.int32(2 * (whole.bit_length() - 1) if ratio & (ratio - 1) == 0 else 0)
    for begin in range(0, -(-out.shape[0] // ratio), step):
        strip = values[begin : begin + step + 2].astype(np.int32)
        line = lines[: len(strip)]
        # Half of the last division, for rounding: of the two weights of a phase one is above the ratio.
        times = {weight: strip * np.int32(weight) + np.int32(ratio if weight > ratio else 0) for weight in by_column}
        for own, (left, share) in enumerate(columns):
            part = line[:, own::ratio]
            a = times[whole - share][:, left : left + part.shape[1]]
            if share:
                np.add(a, times[share][:, left + 1 : left + 1 + part.shape[1]], out=part)
            else:
                part[...] = a
        times = {1: line}
        for weight, multiple in multiples.items():
            times[weight] = np.multiply(line, np.int32(weight), out=multiple[: len(line)])
        for own, (near, share) in enumerate(rows):
            target = out[own + begin * ratio : own + (begin + step) * ratio : ratio]
            count = len(target)
            a = times[whole - share][near : near + count]
            if share:
                a = np.add(a, times[share][near + 1 : near + 1 + count], out=total[:count])
            # A shift of whole numbers is the division rounded down, below 0 too.
            target[...] = np.right_shift(a, bits, out=total[:count]) if bits else a // (whole * whole)


def _phases(start: int, length: int, ratio: int, first: int, size: int) -> tuple[np.ndarray, list[tuple[int, int]]]:
    """Which of ``size`` source pixels to take, and for each phase the first of them and the weight of the next one.

    The weight is in 1 / (2 ratio). Phase 0 is that of the first grid pixel; of two grid pixels of one phase that follow
    one another, the second needs the next source pixel.
    """
    twice = 2 * np.arange(start, start + min(ratio, length)) + 1 - ratio
    near = twice // (2 * ratio)
    weight = twice - near * 2 * ratio
    low = int(near[0])
    high = (2 * (start + length - 1) + 1 - ratio) // (2 * ratio) + 1
    taken = np.clip(np.arange(low, high + 1) - first, 0, size - 1)
    return taken, [(int(one) - low, int(share)) for one, share in zip(near, weight, strict=True)]


def _run(indices: np.ndarray) -> slice | np.ndarray:
    """A slice where indices count up by one; at the raster's edges they stand still: its last pixels are repeated."""
    if indices[-1] - indices[0] == len(indices) - 1:
        return slice(int(indices[0]), int(indices[-1]) + 1)
    return indices


def _weights(phases: list[tuple[int, int]], whole: int) -> set[int]:
    """Every weight that occurs, but for nothing."""
    return {weight for _, share in phases for weight in (share, whole - share) if weight}


def _with_holes(
    values: np.ndarray,
    valid: np.ndarray,
    rows: _Taps,
    columns: _Taps,
    ratio: int,
    nodata: np.generic | None,
    out: np.ndarray,
) -> None:
    """Weights of what is valid only, columns first and then rows, as GDAL does."""
    clean = np.where(valid, values, 0).astype(np.float64)
    wide, some = _weighted(clean, valid, columns, ratio)
    tall, any_valid = _weighted(wide.T, some.T, rows, ratio)
    _store(tall.T, out)
    out[~any_valid.T] = np.nan if nodata is None else nodata


def _weighted(values: np.ndarray, valid: np.ndarray, taps: _Taps, ratio: int) -> tuple[np.ndarray, np.ndarray]:
    near, far, weight = taps
    second = weight / (2.0 * ratio)
    a, b = (1 - second) * valid[:, near], second * valid[:, far]
    total = a + b
    some = total > 0
    return np.divide(a * values[:, near] + b * values[:, far], total, out=np.zeros(a.shape), where=some), some


def _store(values: np.ndarray, out: np.ndarray) -> None:
    out[...] = np.floor(values + 0.5) if out.dtype.kind in "iu" else values
