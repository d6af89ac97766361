"""Chips: small windows that hold a group's labelled pixels and their context, and the order in which to read them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from ..stack.grid import Window

LARGEST = 64
WORTH = 0.9  # a window is cut in two when that leaves less than this share of its pixels


class ChipPlan(NamedTuple):
    """Where chips lie and which sample lies in which.

    Attributes:
        windows: ``[M, 4]`` column, row, width, height on the grid, halo included.
        chip: ``[N]`` chip of each sample.
    """

    windows: np.ndarray
    chip: np.ndarray


def plan_chips(rows: np.ndarray, columns: np.ndarray, groups: np.ndarray, halo: int) -> ChipPlan:
    """Cover the labelled pixels of each group with few windows.

    The bounding window of a group's pixels is cut where that saves pixels, so that a group whose pixels are scattered
    does not drag along all that lies between; no chip is wider than 64 pixels, halo not counted.

    Args:
        rows: ``[N]``.
        columns: ``[N]``.
        groups: ``[N]``.
        halo: pixels of context on each side.
    """
    # Squares counted from each group's own corner, so that a small field is never cut.
    _, group = np.unique(groups, return_inverse=True)
    corner = np.full((2, group.max(initial=-1) + 1), np.iinfo(np.int64).max)
    np.minimum.at(corner[0], group, rows)
    np.minimum.at(corner[1], group, columns)
    square_row, square_column = (rows - corner[0][group]) // LARGEST, (columns - corner[1][group]) // LARGEST
    order = np.lexsort((columns, rows, square_column, square_row, group))
    key = np.stack([group, square_row, square_column], 1)[order]
    starts = np.flatnonzero(np.r_[True, (key[1:] != key[:-1]).any(1)]) if len(order) else np.zeros(0, np.int64)
    windows: list[tuple[int, int, int, int]] = []
    chip = np.zeros(len(rows), np.int64)
    for part in np.split(order, starts[1:]) if len(order) else []:
        for members in _cut(rows, columns, part, 2 * halo):
            chip[members] = len(windows)
            top, left = int(rows[members].min()), int(columns[members].min())
            height, width = int(rows[members].max()) - top + 1, int(columns[members].max()) - left + 1
            windows.append((left - halo, top - halo, width + 2 * halo, height + 2 * halo))
    return ChipPlan(np.array(windows, np.int64).reshape(-1, 4), chip)


def _cut(rows: np.ndarray, columns: np.ndarray, members: np.ndarray, border: int) -> Iterator[np.ndarray]:
    """Cut a window's pixels in two, and these again, as long as that saves pixels."""
    r, c = rows[members], columns[members]
    area = (np.ptp(r) + 1 + border) * (np.ptp(c) + 1 + border)
    if (np.ptp(r) + 1) * (np.ptp(c) + 1) == len(members):
        yield members
        return
    best, halves = WORTH * area, None
    for along, across in ((r, c), (c, r)):
        order = np.argsort(along, kind="stable")
        a, b = along[order], across[order]
        low, high = np.minimum.accumulate(b), np.maximum.accumulate(b)
        low_after, high_after = np.minimum.accumulate(b[::-1])[::-1], np.maximum.accumulate(b[::-1])[::-1]
        cuts = np.flatnonzero(a[1:] > a[:-1])
        if not len(cuts):
            continue
        before = (a[cuts] - a[0] + 1 + border) * (high[cuts] - low[cuts] + 1 + border)
        after = (a[-1] - a[cuts + 1] + 1 + border) * (high_after[cuts + 1] - low_after[cuts + 1] + 1 + border)
        i = int(np.argmin(before + after))
        if before[i] + after[i] < best:
            best = float(before[i] + after[i])
            halves = (members[order[: cuts[i] + 1]], members[order[cuts[i] + 1 :]])
    if halves is None:
        yield members
        return
    for half in halves:
        yield from _cut(rows, columns, half, border)


def reading_order(windows: np.ndarray, tile_width: int, tile_height: int) -> tuple[np.ndarray, list[np.ndarray]]:
    """The order in which to read chips so that the sources' blocks are read about once.

    Chips are gathered by the tile of the grid in which their upper left corner lies.

    Args:
        windows: ``[M, 4]``.
        tile_width: pixels.
        tile_height: pixels.

    Returns:
        chips in the order of reading ``[M]``, and the same cut into one array a tile.
    """
    tile_row, tile_column = windows[:, 1] // tile_height, windows[:, 0] // tile_width
    order = np.lexsort((windows[:, 0], windows[:, 1], tile_column, tile_row))
    changes = np.flatnonzero((np.diff(tile_row[order]) != 0) | (np.diff(tile_column[order]) != 0)) + 1
    return order, np.split(order, changes)


def bounding_window(windows: np.ndarray) -> Window:
    """The window that holds all of some windows ``[M, 4]``."""
    left, top = windows[:, 0].min(), windows[:, 1].min()
    right, bottom = (windows[:, 0] + windows[:, 2]).max(), (windows[:, 1] + windows[:, 3]).max()
    return Window(int(left), int(top), int(right - left), int(bottom - top))
