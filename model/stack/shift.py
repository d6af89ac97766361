"""A product moved at reading: where its pixels come to lie, and the grid on which it is resampled for that.

A shift is columns to the right and rows down, in pixels of the stack's grid: what is *added* to the place of the
product's pixels. Whole pixels are moved as they are; other shifts are resampled, but masks, which take the nearest.
"""

from __future__ import annotations

from dataclasses import replace

from .grid import ALIGNMENT_TOLERANCE, Grid, Window
from .vrt import placement

Shift = tuple[float, float]
Placed = tuple[Window, float]

NONE: Shift = (0.0, 0.0)


def shift_or_none(shift: Shift | None) -> Shift:
    """The shift of a part that may have none."""
    return NONE if shift is None else shift


def is_whole(shift: Shift) -> bool:
    """Whether pixels come to lie on pixels."""
    return all(abs(value - round(value)) < ALIGNMENT_TOLERANCE for value in shift)


def rounded(shift: Shift) -> Shift:
    """The nearest shift of whole pixels."""
    return float(round(shift[0])), float(round(shift[1]))


def moved_window(window: Window, shift: Shift) -> Window:
    """A window after a shift of whole pixels."""
    return Window(window.column + round(shift[0]), window.row + round(shift[1]), window.width, window.height)


def moved_placement(source: Grid, grid: Grid, name: str, shift: Shift) -> Placed | None:
    """As :func:`.vrt.placement`, of a raster that is moved: None where it must be resampled for that."""
    placed = placement(source, grid, name)
    if placed is None or not is_whole(shift):
        return None
    return moved_window(placed[0], shift), placed[1]


def grid_before(grid: Grid, shift: Shift) -> Grid:
    """The grid moved the other way: what a raster holds on it, it holds on ``grid`` after the shift."""
    x, dx, _, y, _, dy = grid.transform
    return replace(grid, transform=(x - shift[0] * dx, dx, 0.0, y - shift[1] * dy, 0.0, dy))
