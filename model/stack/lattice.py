"""How a file's blocks lie on the grid, and which parts of them several windows need.

Windows that follow one another share blocks of the files, all the more where context is read around them or where
a file's pixels are larger than the grid's. Here is worked out, for all windows of a run and before the first is read,
what of a block must be kept for later windows and until when.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from .grid import Window
from .upsample import source_span

SMALLEST_TILE = 64
"""Pixels of the grid along the edge: smaller blocks, such as rows of a file, are handled several at a time."""
VIRTUAL_TILE = 512
"""The tile of virtual rasters, whose own blocks say nothing about those of their sources."""
FOREVER = 1 << 60


@dataclass(frozen=True)
class Lattice:
    """The tiles of a file (its blocks, or several of them) and how a window of the grid is read from it.

    Attributes:
        corner: column and row of the grid at which its first pixel lies.
        ratio: pixels of the grid along the edge of one of its pixels.
        size: its columns and rows.
        tile: columns and rows of its tiles, in its own pixels.
        cover: the pixels of the grid that are read from it at all.
        margin: pixels of the grid read around a window.
        smooth: whether larger pixels are resampled bilinearly; otherwise the nearest are taken.
    """

    corner: tuple[int, int]
    ratio: int
    size: tuple[int, int]
    tile: tuple[int, int]
    cover: Window
    margin: int = 0
    smooth: bool = False

    def span(self, window: Window) -> Window | None:
        """The file's pixels that a window needs; None where they do not meet."""
        common = window.grown(self.margin).intersection(self.cover)
        if not common.width or not common.height:
            return None
        column, row = common.column - self.corner[0], common.row - self.corner[1]
        if self.ratio == 1:
            return Window(column, row, common.width, common.height)
        if self.smooth:
            left, width = source_span(column, common.width, self.ratio, self.size[0])
            top, height = source_span(row, common.height, self.ratio, self.size[1])
            return Window(left, top, width, height)
        left, top = column // self.ratio, row // self.ratio
        right, bottom = (column + common.width - 1) // self.ratio + 1, (row + common.height - 1) // self.ratio + 1
        return Window(left, top, right - left, bottom - top)

    def tiles(self, span: Window) -> Iterator[tuple[int, int]]:
        """Column and row of each tile that a span touches."""
        width, height = self.tile
        for row in range(span.row // height, (span.row + span.height - 1) // height + 1):
            for column in range(span.column // width, (span.column + span.width - 1) // width + 1):
                yield column, row

    def area(self, tile: tuple[int, int]) -> Window:
        """The file's pixels in a tile."""
        width, height = self.tile
        return Window(tile[0] * width, tile[1] * height, width, height).intersection(Window(0, 0, *self.size))

    @property
    def reach(self) -> int:
        """How far beyond a window, in pixels of the grid, the file is read at most."""
        return self.margin + (-(-self.ratio // 2) if self.smooth and self.ratio > 1 else 0)


def tile_size(block: tuple[int, int], ratio: int) -> tuple[int, int]:
    """Columns and rows of tiles: whole blocks of the file, none smaller than :data:`SMALLEST_TILE` on the grid."""
    least = -(-SMALLEST_TILE // ratio)
    width, height = (side * -(-least // side) for side in block)
    return width, height


class TileUses:
    """The windows that need a tile, and the cells into which their edges cut it.

    Attributes:
        positions: ``[P]`` the windows' places in the order of reading.
        rows, columns: the cells' edges in the file's pixels, ``[R + 1]`` and ``[C + 1]``.
        needed: ``[P, R, C]``, whether a window needs a cell.
        until: ``[P, R, C]``, to which window a cell read for window P is to be kept; -1 for not at all.
    """

    def __init__(self, area: Window, positions: Sequence[int], spans: Sequence[Window], reach: int) -> None:
        self.positions = np.asarray(positions, np.int64)
        boxes = np.array([tuple(span.intersection(area)) for span in spans], np.int64).reshape(-1, 4)
        left, top = boxes[:, 0], boxes[:, 1]
        right, bottom = left + boxes[:, 2], top + boxes[:, 3]
        self.columns = np.unique(np.concatenate([left, right]))
        self.rows = np.unique(np.concatenate([top, bottom]))
        in_columns = (left[:, None] <= self.columns[:-1]) & (self.columns[1:] <= right[:, None])
        in_rows = (top[:, None] <= self.rows[:-1]) & (self.rows[1:] <= bottom[:, None])
        self.needed = in_rows[:, :, None] & in_columns[:, None, :]
        self.until = np.full(self.needed.shape, -1, np.int64)
        following = np.full(self.needed.shape[1:], FOREVER)  # the next window that needs the cell, and
        end = following.copy()  # the last one of those that follow one another within reach
        for index in range(len(self.positions) - 1, -1, -1):
            position = self.positions[index]
            near = (following < FOREVER) & (following - position <= reach)
            self.until[index][near] = end[near]
            here = self.needed[index]
            following[here] = position
            end[here] = np.where(near, end, position)[here]

    def sizes(self) -> np.ndarray:
        """``[R, C]`` pixels of each cell."""
        return np.outer(np.diff(self.rows), np.diff(self.columns))


class Uses:
    """What all windows of a run need of the files of one lattice.

    Args:
        lattice: of the files.
        windows: ``[N, 4]`` column, row, width and height in the order of reading, with their context.
        reach: windows between two needs of a cell at most, if it is to be kept from one to the other.
    """

    def __init__(self, lattice: Lattice, windows: np.ndarray, reach: int = FOREVER) -> None:
        self.lattice = lattice
        self.reach = reach
        self._windows = windows
        self._uses: dict[tuple[int, int], TileUses] = {}

    def span(self, position: int) -> Window | None:
        """The file's pixels that a window needs."""
        return self.lattice.span(Window(*self._windows[position].tolist()))

    def of(self, tile: tuple[int, int]) -> TileUses:
        """The uses of a tile."""
        uses = self._uses.get(tile)
        if uses is None:
            uses = self._uses[tile] = self._tile_uses(tile, self.reach)
        return uses

    def forget(self, position: int) -> None:
        """Free what is remembered of tiles that no window after ``position`` needs."""
        span = self.span(position)
        if span is not None:
            for tile in self.lattice.tiles(span):
                if tile in self._uses and self._uses[tile].positions[-1] <= position:
                    del self._uses[tile]

    def _tile_uses(self, tile: tuple[int, int], reach: int) -> TileUses:
        lattice = self.lattice
        area = lattice.area(tile)
        ratio = lattice.ratio
        around = lattice.margin + ratio + 1  # enough for whatever is read around a window
        left, top = area.column * ratio + lattice.corner[0], area.row * ratio + lattice.corner[1]
        on_grid = Window(left, top, area.width * ratio, area.height * ratio).grown(around)
        column, row, width, height = self._windows.T
        near = (column < on_grid.column + on_grid.width) & (column + width > on_grid.column)
        near &= (row < on_grid.row + on_grid.height) & (row + height > on_grid.row)
        positions, spans = [], []
        for position in np.flatnonzero(near).tolist():
            span = self.span(position)
            if span is not None:
                both = span.intersection(area)
                if both.width and both.height:
                    positions.append(position)
                    spans.append(both)
        return TileUses(area, positions, spans, reach)

    def simulate(self, reach: int) -> tuple[int, int, np.ndarray]:
        """What reading in this order costs.

        Returns:
            the file's pixels decoded; those of all tiles needed; and ``[windows]`` the pixels kept while each is read.
        """
        decoded = once = 0
        change = np.zeros(len(self._windows) + 1)
        tiles: dict[tuple[int, int], None] = {}
        for position in range(len(self._windows)):
            span = self.span(position)
            if span is not None:
                tiles.update(dict.fromkeys(self.lattice.tiles(span)))
        for tile in tiles:
            uses = self._tile_uses(tile, reach)
            positions = uses.positions.tolist()
            area = self.lattice.area(tile)
            pixels = area.width * area.height
            once += pixels
            sizes = uses.sizes()
            kept = np.full(sizes.shape, -1, np.int64)
            for index, position in enumerate(positions):
                if (kept[uses.needed[index]] >= position).all():
                    continue
                decoded += pixels
                until = uses.until[index]
                new = (until >= 0) & (kept < position)
                change[position] += sizes[new].sum()
                np.subtract.at(change, until[new] + 1, sizes[new])
                kept[new] = until[new]
        return decoded, once, np.cumsum(change)[:-1]
