"""Two maps of classes read together: the pixels of the second brought to those of the first."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator

import numpy as np
from osgeo import gdal

from ..base.errors import LandloomError
from ..base.gdalcache import CacheRoom
from ..base.language import tr
from ..base.progress import Progress
from ..base.raster import open_raster, quiet_gdal, read_array
from ..mapping.chunks import Area
from ..mapping.mask import AreaMask
from ..stack.grid import Bounds, Grid, Window, place, reproject_bounds, same_crs
from .mapreading import MOST_VALUES, CategoricalMap
from .pixelareas import PixelAreas

NO_DATA = 0
_BYTES = 200  # at work for each pixel of a strip
_TABLE = 1 << 16  # widest span of values that is looked up in a table


class MapPair:
    """Two maps on the pixels of the first, where both lie.

    A pair of values that occurs gets a number from 1 on, in the order in which pairs are met; 0 is where a map has no
    data, or what the mask leaves out. So a pair can be counted as one map (``areas.measure_areas``).

    Args:
        before: gives the pixels.
        after: any CRS and pixels: where they differ, each pixel takes the value at its centre.
        bounds: the part to read, in the CRS of ``before``; None for all that both cover.

    Attributes:
        grid: the common part.
        pairs: number -> the values of both maps.
        warnings: what the reader should know of the grids.

    Raises:
        LandloomError: if the maps, or the maps and the bounds, have no pixel in common.
    """

    def __init__(self, before: CategoricalMap, after: CategoricalMap, bounds: Bounds | None = None) -> None:
        self.before, self.after = before, after
        self.path = f"{before.path}, {after.path}"
        self.nodata = {NO_DATA}
        self.warnings: list[str] = []
        self._mask: AreaMask | None = None
        placed = place(after.grid, before.grid)
        self._aligned = placed is not None and placed[1] == 1.0
        if placed is not None and self._aligned:
            there = placed[0]
        else:
            there = before.grid.window(_bounds_of(after.grid, before.grid))
        window = before.grid.whole.intersection(there)
        if not window.width or not window.height:
            raise LandloomError(
                tr("BEFORE {path} and AFTER {path2} have no pixel in common: check the CRS and place of both.").format(
                    path=before.path, path2=after.path
                )
            )
        if bounds is not None:
            window = window.intersection(before.grid.window(bounds))
            if not window.width or not window.height:
                raise LandloomError(tr("EXTENT lies beside what both maps cover: choose another, or none."))
        self._window, self._there = window, there
        self.grid = before.grid.crop(window)
        self.areas = PixelAreas(self.grid)
        self.pairs: dict[int, tuple[int, int]] = {}
        self._numbers: dict[tuple[int, int], int] = {}
        self._second = None if self._aligned else _warped(after, self.grid)
        self._room: CacheRoom | None = None
        self._tell()

    def use_mask(self, mask: AreaMask) -> None:
        """Take what lies outside a mask, which is on :attr:`grid`, for no data."""
        self._mask = mask

    def name_of(self, value: int) -> str:
        """The names of a pair's classes."""
        first, second = self.pairs[value]
        return f"{self.before.name_of(first)} -> {self.after.name_of(second)}"

    def read(self, window: Window) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """``[H, W]`` values of both maps in a window of :attr:`grid`, and where both have data.

        Raises:
            LandloomError: if pixels cannot be read, or are no whole numbers.
        """
        if self._room is not None:
            self._room.check(self._let_go)
        column, row = window.column + self._window.column, window.row + self._window.row
        own = Window(column, row, window.width, window.height)
        first = self.before.read(own)
        if self._second is None:
            there = Window(column - self._there.column, row - self._there.row, window.width, window.height)
            second = self.after.read(there)
            known = np.ones(second.shape, bool)
        else:
            both = read_array(self._second, (*window,))
            second, known = self.after.whole_numbers(both[0]), both[1] > 0
        known &= ~self.before.is_no_data(first) & ~self.after.is_no_data(second)
        if self._mask is not None:
            known &= self._mask.read(Area(*window))
        return first, second, known

    def _let_go(self) -> None:
        self.before.let_go()
        self.after.let_go()
        if self._second is not None:
            self._second = None  # closed first, so that what it has read is let go too
            self._second = _warped(self.after, self.grid)

    def numbers(self, window: Window, known_only: bool = False) -> np.ndarray:
        """``[H, W]`` int64 numbers of the pairs in a window.

        Args:
            window: of :attr:`grid`.
            known_only: meet no new pair (files that change while they are read are refused).

        Raises:
            LandloomError: if a map has too many values.
        """
        first, second, known = self.read(window)
        result = np.zeros(first.shape, np.int64)
        if not known.any():
            return result
        firsts, i = _indexed(first[known])
        seconds, j = _indexed(second[known])
        for one, values in ((self.before, firsts), (self.after, seconds)):
            if len(values) > MOST_VALUES:
                raise LandloomError(
                    tr("{path} holds more than {most_values} values: it is no map of classes.").format(
                        path=one.path, most_values=MOST_VALUES
                    )
                )
        kinds, index = _indexed(i * len(seconds) + j)
        found = []
        for kind in kinds:
            pair = int(firsts[kind // len(seconds)]), int(seconds[kind % len(seconds)])
            if pair not in self._numbers:
                if known_only:
                    raise LandloomError(tr("BEFORE or AFTER changed while it was read: run again when both are whole."))
                self._numbers[pair] = len(self._numbers) + 1
                self.pairs[self._numbers[pair]] = pair
            found.append(self._numbers[pair])
        result[known] = np.array(found, np.int64)[index]
        return result

    def strips(self, memory_mb: float, progress: Progress) -> Iterator[tuple[int, np.ndarray]]:
        """First row and pair numbers ``[H, W]`` of strips as wide as the grid, from the top down.

        Raises:
            LandloomError: at the end, if there is no pixel where both maps have a class.
        """
        grid = self.grid
        rows = int(max(1, min(grid.height, memory_mb * 2**20 / 3 / (grid.width * _BYTES), 1024)))
        rows = 2 ** (rows.bit_length() - 1)  # few strips reach over two rows of a file's blocks
        self._room = CacheRoom(memory_mb / 8)
        for row in range(0, grid.height, rows):
            progress.check()
            progress.percent(100 * row / grid.height)
            yield row, self.numbers(Window(0, row, grid.width, min(rows, grid.height - row)))
        if not self.pairs:
            raise LandloomError(
                tr(
                    "There is no pixel where both BEFORE {path} and AFTER {path2} have a class: check their "
                    "place, what is no data in them, and MASK."
                ).format(path=self.before.path, path2=self.after.path)
            )
        progress.percent(100)

    def _tell(self) -> None:
        if not self._aligned:
            other = not same_crs(self.after.grid.crs_wkt, self.before.grid.crs_wkt)
            what = tr("another CRS") if other else tr("another grid of pixels")
            self.warnings.append(
                tr(
                    "AFTER has {what} than BEFORE: each pixel of BEFORE is compared with the pixel of AFTER at its "
                    "centre. Along borders of fields this alone makes differences."
                ).format(what=what)
            )
        beyond = self._aligned and self._window != self._there
        if self._window != self.before.grid.whole or beyond:
            self.warnings.append(tr("Only the part that both maps cover, or that EXTENT leaves, is compared."))


def same_file(first: str, second: str) -> bool:
    """Whether two paths name one file."""
    return os.path.normcase(os.path.realpath(first)) == os.path.normcase(os.path.realpath(second))


def _indexed(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The values that occur, the lowest first, and for each of ``[N]`` values its place among them."""
    lowest, highest = int(values.min()), int(values.max())
    if highest - lowest >= _TABLE:
        kinds, index = np.unique(values, return_inverse=True)
        return kinds.astype(np.int64), index.reshape(-1).astype(np.int64)
    offset = values.astype(np.int64) - lowest
    kinds = np.flatnonzero(np.bincount(offset))
    places = np.zeros(highest - lowest + 1, np.int64)
    places[kinds] = np.arange(len(kinds))
    return kinds + lowest, places[offset]


def _bounds_of(source: Grid, target: Grid) -> Bounds:
    bounds = reproject_bounds(source.bounds, source.crs_wkt, target.crs_wkt)
    if not all(math.isfinite(one) for one in bounds):
        raise LandloomError(tr("AFTER cannot be brought into the CRS of BEFORE: check the CRS of both."))
    return bounds


def _warped(source: CategoricalMap, grid: Grid) -> gdal.Dataset:
    """The map at the pixel centres of a grid; its second band is 0 where it has no data or does not reach."""
    west, south, east, north = grid.bounds
    with quiet_gdal() as messages:
        try:
            dataset = gdal.Warp(
                "",
                open_raster(source.path),
                format="VRT",
                dstSRS=grid.crs_wkt,
                outputBounds=(west, south, east, north),
                width=grid.width,
                height=grid.height,
                resampleAlg="near",
                errorThreshold=0,
                dstAlpha=True,
            )
        except RuntimeError as error:  # when someone switched GDAL's exceptions on
            messages.append(str(error))
            dataset = None
    if dataset is None or dataset.RasterCount < 2:
        reason = messages[-1] if messages else tr("GDAL gives no reason")
        raise LandloomError(
            tr("AFTER {path} cannot be brought onto the pixels of BEFORE: {reason}.").format(
                path=source.path, reason=reason
            )
        )
    return dataset
