"""The pixels round a sample: which rows of a store's files hold them, and how they lie in memory once read."""

from __future__ import annotations

import math
from functools import cache

import numpy as np

_ROWS_AT_ONCE = 1024
"""Of 24 dates of 10 bands they are half a megabyte, which second-level caches hold."""


def offsets(halo: int, symmetries: np.ndarray | None = None) -> np.ndarray:
    """How far down and across from a sample the pixels round it lie.

    Args:
        halo: pixels on each side.
        symmetries: ``[B]``, how patches are turned: so many quarter turns as ``np.rot90`` makes them, from 4 on then
            mirrored from left to right; None = not at all.

    Returns:
        ``[2, B or 1, side * side]``.
    """
    return _turned(halo)[:, [0] if symmetries is None else symmetries]


@cache
def _turned(halo: int) -> np.ndarray:
    """:func:`offsets` of the eight symmetries of a square."""
    shift = np.arange(-halo, halo + 1)
    grid = np.stack(np.meshgrid(shift, shift, indexing="ij"))
    turned = [np.rot90(grid, quarter, axes=(1, 2)) for quarter in range(4)]
    return np.stack([*turned, *(one[..., ::-1] for one in turned)], axis=1).reshape(2, 8, -1)


def planes_of_rows(rows: np.ndarray, place: np.ndarray, side: int) -> np.ndarray:
    """Patches of pixels, date by date, from pixels that lie one after the other.

    Args:
        rows: ``[B * side * side, T, ...]``, sample by sample.
        place: ``[B]``, for each patch wanted its place among these.
        side: of a patch.

    Returns:
        ``[B, T, ..., side, side]``; in memory dates are outermost, pixels innermost, patches just before them.
    """
    area, shape = side * side, rows.shape[1:]
    flat = rows.reshape(len(place), area, math.prod(shape))
    planes = np.empty((flat.shape[2], len(place) * area), rows.dtype)
    few = max(1, _ROWS_AT_ONCE // area)
    for first in range(0, len(place), few):
        piece = flat[place[first : first + few]].reshape(-1, flat.shape[2])
        planes[:, first * area : first * area + len(piece)] = piece.T
    return np.moveaxis(planes.reshape(*shape, len(place), side, side), -3, 0)
