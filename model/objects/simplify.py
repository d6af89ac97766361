"""Smoother and simpler arcs that still do not cross: no gap or overlap between polygons, whatever the tolerance.

First the stairs of pixels are cut through the middles of their sides: away from nodes only one line passes a pixel
corner, so nothing can meet. Then points are left out by Douglas and Peucker's rule (1973), arc by arc. That may make
lines cross or touch, so every shortcut is checked against all lines near it and, where they meet, taken back. With a
tolerance below two pixels a shortcut cannot pass over a whole island without touching it: an island and the pixels
round it are three pixels wide.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..base.progress import Progress
from .arcs import Arcs

LARGEST_TOLERANCE = 1.9
"""In pixels; see above."""
_ISLAND = 13  # points of a ring that is not simplified: of islands some pixels wide, triangles would be left
_BIN = 16  # of the search for neighbours, in half pixels
_PAIRS = 2_000_000  # compared at once


class Segments(NamedTuple):
    """Straight pieces of simplified arcs: first and last point, and where they stand among the arcs' points."""

    first: np.ndarray
    last: np.ndarray
    start: np.ndarray
    stop: np.ndarray


def straight(arcs: Arcs) -> Arcs:
    """The same lines without the points on straight stretches."""
    return _kept(arcs, _turns(arcs))


def simplified(arcs: Arcs, tolerance: float, width: int, bottom: int, progress: Progress | None = None) -> Arcs:
    """Smooth and simplify the arcs of a strip.

    Args:
        arcs: along the sides of pixels.
        tolerance: in pixels, 0 for the sides themselves, at most :data:`LARGEST_TOLERANCE`.
        width: columns of the raster.
        bottom: row below the strip; lines along it belong to the next strip.
        progress: asked whether to stop.
    """
    if tolerance <= 0 or not len(arcs):
        return straight(arcs)
    progress = progress or Progress()
    smooth = straight(_middles(arcs))
    keep = _douglas_peucker(smooth, 2 * tolerance)
    sizes = np.diff(smooth.offsets)
    keep |= np.repeat(smooth.closed & (sizes <= _ISLAND), sizes)
    _keep_off_border(smooth, keep, bottom)
    while True:
        progress.check()
        wrong = _conflicts(smooth, keep, width, progress)
        if not len(wrong):
            return _kept(smooth, keep)
        segments = _segments(smooth, keep)
        for one in wrong:
            keep[segments.start[one] : segments.stop[one] + 1] = True


def _kept(arcs: Arcs, keep: np.ndarray) -> Arcs:
    sizes = np.add.reduceat(keep.astype(np.int64), arcs.offsets[:-1]) if len(arcs) else np.zeros(0, np.int64)
    offsets = np.concatenate([[0], np.cumsum(sizes)])
    return Arcs(arcs.points[keep], offsets, arcs.left, arcs.right, arcs.leaves, arcs.arrives, arcs.closed)


def _ends(arcs: Arcs) -> np.ndarray:
    ends = np.zeros(len(arcs.points), bool)
    ends[arcs.offsets[:-1]] = True
    ends[arcs.offsets[1:] - 1] = True
    return ends


def _turns(arcs: Arcs) -> np.ndarray:
    """Points where a line turns, and its ends."""
    points = arcs.points
    keep = _ends(arcs)
    if len(points) > 2:
        before, after = points[1:-1] - points[:-2], points[2:] - points[1:-1]
        keep[1:-1] |= before[:, 0] * after[:, 1] != before[:, 1] * after[:, 0]
    return keep


def _middles(arcs: Arcs) -> Arcs:
    """Through the middles of the pixel sides; ends stay, closed arcs have none."""
    sizes = np.diff(arcs.offsets)
    middle = (arcs.points[1:] + arcs.points[:-1]) // 2
    inside = np.ones(len(middle), bool)
    inside[arcs.offsets[1:-1] - 1] = False  # from one arc to the next
    # An open arc has its first point, the middles and its last; a closed one the middles and the first of them again.
    new_sizes = np.where(arcs.closed, sizes, sizes + 1)
    offsets = np.concatenate([[0], np.cumsum(new_sizes)])
    points = np.empty((offsets[-1], 2), np.int64)
    owner = np.repeat(np.arange(len(arcs)), sizes - 1)
    rank = np.arange(len(owner)) - np.repeat(np.cumsum(sizes - 1) - (sizes - 1), sizes - 1)
    points[offsets[owner] + rank + ~arcs.closed[owner]] = middle[inside]
    opened = ~arcs.closed
    points[offsets[:-1][opened]] = arcs.points[arcs.offsets[:-1][opened]]
    points[offsets[1:][opened] - 1] = arcs.points[arcs.offsets[1:][opened] - 1]
    points[offsets[1:][arcs.closed] - 1] = points[offsets[:-1][arcs.closed]]
    return Arcs(points, offsets, arcs.left, arcs.right, arcs.leaves, arcs.arrives, arcs.closed)


def _douglas_peucker(arcs: Arcs, tolerance: float) -> np.ndarray:
    """Which points stay, ``[P]`` bool, for all arcs at once; closed ones keep three at least."""
    points = arcs.points.astype(np.float64)
    keep = _ends(arcs)
    if arcs.closed.any():
        owner = np.repeat(np.arange(len(arcs)), np.diff(arcs.offsets))
        away = points - points[arcs.offsets[owner]]
        for _ in range(2):  # the farthest point from the first, then the one farthest from that chord
            far = _farthest(np.hypot(*away.T), arcs.offsets)
            keep[far[arcs.closed]] = True
            chord = points[far[owner]] - points[arcs.offsets[owner]]
            away = np.zeros_like(points)
            from_first = points - points[arcs.offsets[owner]]
            away[:, 0] = np.abs(chord[:, 0] * from_first[:, 1] - chord[:, 1] * from_first[:, 0])
    active = np.arange(len(points))
    while len(active):
        marks = np.flatnonzero(keep)
        place = np.searchsorted(marks, active, side="right")
        inside = ~keep[active]
        active, place = active[inside], place[inside]
        if not len(active):
            break
        first, last = points[marks[place - 1]], points[marks[place]]
        distance = _distance(points[active], first, last)
        borders = np.flatnonzero(np.concatenate([[True], place[1:] != place[:-1]]))
        highest = np.maximum.reduceat(distance, borders)
        group = np.repeat(np.arange(len(borders)), np.diff(np.concatenate([borders, [len(place)]])))
        split = (highest > tolerance)[group]
        chosen = np.full(len(borders), -1)
        at_top = np.flatnonzero(split & (distance == highest[group]))
        chosen[group[at_top][::-1]] = at_top[::-1]  # the first of equal ones
        keep[active[chosen[chosen >= 0]]] = True
        active = active[split]
    return keep


def _farthest(distance: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """Index of the largest value of each piece, the first of equal ones."""
    highest = np.maximum.reduceat(distance, offsets[:-1])
    owner = np.repeat(np.arange(len(highest)), np.diff(offsets))
    at_top = np.flatnonzero(distance == highest[owner])
    found = np.zeros(len(highest), np.int64)
    found[owner[at_top][::-1]] = at_top[::-1]
    return found


def _distance(points: np.ndarray, first: np.ndarray, last: np.ndarray) -> np.ndarray:
    """From points to the segments between two others."""
    along = last - first
    length = (along**2).sum(axis=1)
    offset = points - first
    share = np.clip((offset * along).sum(axis=1) / np.where(length > 0, length, 1), 0, 1)
    return np.hypot(*(offset - share[:, None] * along).T)


def _keep_off_border(arcs: Arcs, keep: np.ndarray, bottom: int) -> None:
    """A line between two points of the strip's lower border would lie on lines of the next strip: bend it."""
    first, last = arcs.offsets[:-1], arcs.offsets[1:] - 1
    both = (arcs.points[first, 1] == 2 * bottom) & (arcs.points[last, 1] == 2 * bottom)
    kept = np.add.reduceat(keep.astype(np.int64), first)
    for one in np.flatnonzero(both & (kept == 2)):
        keep[first[one] : last[one] + 1] = True


def _segments(arcs: Arcs, keep: np.ndarray) -> Segments:
    marks = np.flatnonzero(keep)
    owner = np.searchsorted(arcs.offsets, marks, side="right")
    same = owner[1:] == owner[:-1]
    start, stop = marks[:-1][same], marks[1:][same]
    return Segments(arcs.points[start], arcs.points[stop], start, stop)


def _conflicts(arcs: Arcs, keep: np.ndarray, width: int, progress: Progress) -> np.ndarray:
    """Indices of shortcuts that cross, touch or cover another segment elsewhere than at a common end."""
    segments = _segments(arcs, keep)
    shortcut = segments.stop - segments.start > 1
    low, high = np.minimum(segments.first, segments.last), np.maximum(segments.first, segments.last)
    # Each segment is listed in every square of a coarse lattice that its box touches.
    low_bin, high_bin = low // _BIN, high // _BIN
    across = high_bin[:, 0] - low_bin[:, 0] + 1
    count = across * (high_bin[:, 1] - low_bin[:, 1] + 1)
    owner = np.repeat(np.arange(len(count)), count)
    rank = np.arange(len(owner)) - np.repeat(np.cumsum(count) - count, count)
    stride = 2 * (width + 1) // _BIN + 1
    square = (low_bin[owner, 1] + rank // across[owner]) * stride + low_bin[owner, 0] + rank % across[owner]
    order = np.lexsort((~shortcut[owner], square))  # shortcuts first in their square
    owner, square = owner[order], square[order]
    borders = np.flatnonzero(np.concatenate([[True], square[1:] != square[:-1]])) if len(square) else square
    size = np.diff(np.concatenate([borders, [len(square)]]))
    group = np.repeat(np.arange(len(borders)), size)
    after = (borders + size)[group] - np.arange(len(owner)) - 1  # those that follow in the same square
    after[~shortcut[owner]] = 0  # two plain segments never meet
    wrong = np.zeros(len(count), bool)
    total = np.concatenate([[0], np.cumsum(after)])
    begin = 0
    while begin < len(owner):
        progress.check()
        end = max(begin + 1, int(np.searchsorted(total, total[begin] + _PAIRS, side="right")) - 1)
        number = after[begin:end]
        one = np.repeat(np.arange(begin, end), number)
        other = one + 1 + np.arange(len(one)) - np.repeat(np.cumsum(number) - number, number)
        one, other = owner[one], owner[other]
        near = (low[one] <= high[other]).all(axis=1) & (low[other] <= high[one]).all(axis=1)
        one, other = one[near], other[near]
        meet = _meet(segments.first[one], segments.last[one], segments.first[other], segments.last[other])
        wrong[one[meet]] = True
        wrong[other[meet]] = True
        begin = end
    return np.flatnonzero(wrong & shortcut)


def _meet(a: np.ndarray, b: np.ndarray, c: np.ndarray, d: np.ndarray) -> np.ndarray:
    """Whether segments ab and cd, whose boxes meet, have more in common than one end."""
    ends = [(p == q).all(axis=1) for p in (a, b) for q in (c, d)]
    shared = np.sum(ends, axis=0)
    sides = [_side(a, b, c), _side(a, b, d), _side(c, d, a), _side(c, d, b)]
    crosses = (sides[0] * sides[1] <= 0) & (sides[2] * sides[3] <= 0)
    # With one common end they overlap where both go the same way from it.
    first, second = (
        np.where((ends[0] | ends[1])[:, None], b - a, a - b),
        np.where((ends[0] | ends[2])[:, None], d - c, c - d),
    )
    parallel = first[:, 0] * second[:, 1] == first[:, 1] * second[:, 0]
    onward = parallel & ((first * second).sum(axis=1) > 0)
    return np.where(shared == 0, crosses, np.where(shared == 1, onward, True))


def _side(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> np.ndarray:
    return np.sign((b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) - (b[:, 1] - a[:, 1]) * (c[:, 0] - a[:, 0]))
