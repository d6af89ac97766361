"""Segmenting a large image tile by tile so that no object shows a tile's border.

Every tile is segmented with a margin around it. Superpixels lie on one lattice for all tiles, and merging looks at near
neighbours only, so that inside the margin two tiles find the same objects. A tile writes the objects whose middle is in
it, whole, also where they reach into the margin; the next tile sees them as fixed: it may not split them, join two of
them or add to them. An object that the border of a margin cut is *open*: the next tile may let it grow on. So every
pixel has one object, objects are connected, and where tiles do agree the result is that of one single tile.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from osgeo import gdal

from ..base.errors import LandloomError
from ..base.freedmemory import give_back_freed_memory
from ..base.language import tr
from ..base.progress import Progress
from ..mapping.labelraster import LabelRaster
from ..stack.grid import Window
from .merging import BOTTOM, LEFT, RIGHT, TOP, Criterion, Regions, absorb, merge
from .segmentation_superpixels import Superpixels

STRIP = 256
_ROWS_OF_BLOCKS = 256  # as GDAL writes tiles; whole ones are packed once
_NUMBERED_AT_ONCE = 1_000_000  # pixels


@dataclass(frozen=True)
class Tiles:
    """How an image is cut.

    Attributes:
        side: pixels of a tile without its margin.
        margin: pixels around it.
    """

    side: int
    margin: int

    def plan(self, width: int, height: int) -> list[tuple[Window, Window]]:
        """Each tile, row by row, and the same with its margin."""
        whole = Window(0, 0, width, height)
        tiles = []
        for row in range(0, height, self.side):
            for column in range(0, width, self.side):
                core = Window(column, row, self.side, self.side).intersection(whole)
                tiles.append((core, core.grown(self.margin).intersection(whole)))
        return tiles


class Stitcher:
    """Segments tile after tile into a raster of numbers.

    Args:
        superpixels: of the whole image.
        criterion: of merging.
        smallest: pixels of the smallest object.
        raster: takes the numbers, 0 = no data.
    """

    def __init__(self, superpixels: Superpixels, criterion: Criterion, smallest: float, raster: LabelRaster) -> None:
        self._superpixels = superpixels
        self._criterion = criterion
        self._smallest = smallest
        self._raster = raster
        self._open = np.zeros(1, bool)  # by number; 0 is none
        self._same: list[tuple[int, int]] = []

    def run(self, tiles: list[tuple[Window, Window]], width: int, height: int, progress: Progress) -> np.ndarray:
        """Write all tiles.

        Returns:
            ``[numbers + 1]`` uint32: what became one object has one number here.
        """
        for index, (core, wide) in enumerate(tiles):
            progress.check()
            step = progress.part(100 * index / len(tiles), 100 * (index + 1) / len(tiles))
            later = tiles[index + 1 :]
            self._tile(core, wide, later, (width, height), step, fixed=index > 0)
        return _united(len(self._open), self._same)

    def _tile(
        self,
        core: Window,
        wide: Window,
        later: list[tuple[Window, Window]],
        size: tuple[int, int],
        progress: Progress,
        fixed: bool,
    ) -> None:
        read = self._raster.read if fixed else None
        labels, regions = self._superpixels.graph(wide, read, progress.part(0, 60))
        regions.open, regions.same = self._open, self._same
        cut = _cut(regions, wide, size)
        regions, into = absorb(regions, self._superpixels.fragment, progress, ~cut)
        progress.percent(65)
        give_back_freed_memory()
        regions, step = merge(regions, self._criterion, progress)
        into = step[into]
        progress.percent(85)
        give_back_freed_memory()
        cut = _cut(regions, wide, size)
        regions, step = absorb(regions, self._smallest, progress, ~cut)
        into = step[into]
        cut = _cut(regions, wide, size)
        table = np.zeros(len(into) + 1, np.uint32)
        table[1:] = self._number(regions, cut, later)[into]
        del regions, into, step
        for row in range(0, wide.height, STRIP):
            progress.check()
            values = table[labels[row : row + STRIP]]
            if fixed:  # what is written stays
                place = Window(wide.column, wide.row + row, wide.width, len(values))
                written = self._raster.read(place)
                values = np.where(written > 0, written, values)
            self._raster.write(values, wide.column, wide.row + row)
        self._raster.flush()
        del labels
        give_back_freed_memory()
        progress.percent(100)

    def _number(self, regions: Regions, cut: np.ndarray, later: list[tuple[Window, Window]]) -> np.ndarray:
        """The number of each region: where it is written already, a new one, or 0 where it is left to a later tile."""
        numbers = regions.fixed.copy()
        top, bottom, left, right = regions.boxes
        middle_row, middle_column = (top + bottom) / 2, (left + right) / 2
        keep = numbers == 0
        for core, wide in later:
            theirs = (middle_row >= core.row) & (middle_row < core.row + core.height)
            theirs &= (middle_column >= core.column) & (middle_column < core.column + core.width)
            whole = (top >= wide.row) & (bottom < wide.row + wide.height)
            whole &= (left >= wide.column) & (right < wide.column + wide.width)
            keep &= ~(theirs & whole)
        new = np.flatnonzero(keep)
        if len(self._open) + len(new) >= 2**29:
            raise LandloomError(
                tr("More than 500 million objects: raise SCALE or MIN_SIZE, or segment a smaller EXTENT.")
            )
        numbers[new] = np.arange(len(self._open), len(self._open) + len(new))
        self._open = np.concatenate([self._open, cut[new]])
        return numbers


def _cut(regions: Regions, wide: Window, size: tuple[int, int]) -> np.ndarray:
    """Regions that touch a border of the tile's margin which is no border of the image."""
    width, height = size
    cut = np.zeros(len(regions), bool)
    if wide.row > 0:
        cut |= regions.shape[TOP] <= wide.row
    if wide.column > 0:
        cut |= regions.shape[LEFT] <= wide.column
    if wide.row + wide.height < height:
        cut |= regions.shape[BOTTOM] >= wide.row + wide.height - 1
    if wide.column + wide.width < width:
        cut |= regions.shape[RIGHT] >= wide.column + wide.width - 1
    return cut


def _united(count: int, pairs: list[tuple[int, int]]) -> np.ndarray:
    """Number -> the lowest number of what became one with it."""
    parent = np.arange(count)

    def root(one: int) -> int:
        while parent[one] != one:
            parent[one] = parent[parent[one]]
            one = int(parent[one])
        return one

    for first, second in pairs:
        a, b = sorted((root(first), root(second)))
        parent[b] = a
    while True:
        up = parent[parent]
        if np.array_equal(up, parent):
            return parent.astype(np.uint32)
        parent = up


def write_numbered(
    numbers: LabelRaster, united: np.ndarray, target: gdal.Band, width: int, height: int, progress: Progress
) -> np.ndarray:
    """Write 1..N in the order in which objects come, line by line, and return the pixels of each, ``[N]``.

    Raises:
        LandloomError: if the target cannot be written.
    """
    final = np.zeros(len(united), np.uint32)
    sizes = np.zeros(len(united), np.int64)
    count = 0
    rows = min(_ROWS_OF_BLOCKS, max(1, _NUMBERED_AT_ONCE // width))
    for top in range(0, height, _ROWS_OF_BLOCKS):
        written = np.empty((min(_ROWS_OF_BLOCKS, height - top), width), np.uint32)
        for row in range(0, len(written), rows):
            progress.check()
            values = united[numbers.read(Window(0, top + row, width, min(rows, len(written) - row)))]
            # The first pixel of an object differs from that before it and from that above it.
            begins = values > 0
            begins[:, 1:] &= values[:, 1:] != values[:, :-1]
            begins[1:] &= values[1:] != values[:-1]
            candidates = values[begins]
            fresh, first = np.unique(candidates[final[candidates] == 0], return_index=True)
            fresh = fresh[np.argsort(first)]
            final[fresh] = np.arange(count + 1, count + 1 + len(fresh))
            count += len(fresh)
            written[row : row + len(values)] = final[values]
            sizes[: count + 1] += np.bincount(written[row : row + len(values)].ravel(), minlength=count + 1)
        target.WriteArray(written, 0, top)
        target.FlushCache()  # whole rows of blocks; GDAL would keep them
        progress.percent(100 * min(1.0, (top + len(written)) / height))
    return sizes[1 : count + 1]
