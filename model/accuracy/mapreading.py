"""Reading a categorical map, whoever made it: its classes, its counts, and the values of some pixels."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from ..base.errors import LandloomError
from ..base.gdalcache import CacheRoom, without_blocks
from ..base.language import tr
from ..base.legend import legend_of
from ..base.nomenclature import listed
from ..base.progress import Progress
from ..base.raster import open_raster, read_array
from ..mapping.unsure import UNSURE_TAG
from ..stack.grid import Grid, Window
from ..stack.rasterinfo import inspect
from .pixelareas import PixelAreas

MOST_VALUES = 2000
PIECE = 512
_TABLE = 1 << 16  # widest span of values that is counted in a table
_CACHE_MB = 16  # GDAL may keep while single pixels are read
_BYTES = 64  # at work for each pixel of a strip


@dataclass(frozen=True)
class Count:
    """Pixels and hectares of one value of a map."""

    pixels: int
    hectares: float


@dataclass
class MapCounts:
    """What a map holds.

    Attributes:
        values: by value, the lowest first; values that are no data are not among them.
        no_data: pixels and hectares without data.
    """

    values: dict[int, Count] = field(default_factory=dict)
    no_data: Count = Count(0, 0.0)

    @property
    def pixels(self) -> int:
        """Pixels with data."""
        return sum(one.pixels for one in self.values.values())

    @property
    def hectares(self) -> float:
        """Hectares with data."""
        return sum(one.hectares for one in self.values.values())


class ValueSource(Protocol):
    """Values of pixels that can be counted by zones: a map, or two of them together.

    Attributes:
        path: what is read, for messages.
        grid: its pixels.
        nodata: values that are no data.
        areas: hectares of its pixels.
    """

    path: str
    grid: Grid
    nodata: set[int]
    areas: PixelAreas

    def strips(self, memory_mb: float, progress: Progress) -> Iterator[tuple[int, np.ndarray]]:
        """First row and values ``[H, W]`` of strips as wide as the grid, from the top down."""

    def name_of(self, value: int) -> str:
        """The name of a value."""


class CategoricalMap:
    """A raster of class values.

    Args:
        path: the raster; its first band is the map.
        parameter: its name in messages.

    Attributes:
        grid: its pixels.
        names: value -> name, from the raster's categories or its style; may be empty.
        colors: value -> ``#rrggbb``, likewise.
        nodata: values that are no data; see :meth:`use_zero`.

    Raises:
        LandloomError: if it is missing, damaged, has no CRS or several bands, or is no map of classes.
    """

    def __init__(self, path: str | os.PathLike[str], parameter: str = "MAP") -> None:
        info = inspect(path)
        self.path, self.grid, self._parameter = info.path, info.grid, parameter
        if len(info.dtypes) > 1:
            raise LandloomError(
                tr(
                    "{parameter} {path} has {n_dtypes} bands; a map of classes has one. Give the map itself, "
                    "not an image or its probabilities."
                ).format(parameter=parameter, path=info.path, n_dtypes=len(info.dtypes))
            )
        self._dataset = open_raster(self.path)
        self.dtype = np.dtype(info.dtypes[0])
        declared = info.nodata[0]
        self.nodata: set[int] = set() if declared is None or not float(declared).is_integer() else {int(declared)}
        self.names, self.colors = legend_of(self._dataset, zero=True)
        self.nodata |= {0} if 0 not in self.names or _means_nothing(self.names[0]) else set()
        self.areas = PixelAreas(self.grid)

    def use_zero(self) -> None:
        """Take 0 for a class, not for no data, unless the raster declares that it is none."""
        declared = self._dataset.GetRasterBand(1).GetNoDataValue()
        if declared is None or declared != 0:
            self.nodata.discard(0)

    def leave_out_unsure(self) -> int:
        """Take the class 'unsure' of UNSURE_ERROR for no data; gives its code, 0 where the map has none."""
        code = int(self._dataset.GetMetadataItem(UNSURE_TAG) or 0)
        if code:
            self.nodata.add(code)
        return code

    def name_of(self, value: int) -> str:
        """The name of a value; the value itself where there is none."""
        return self.names.get(value) or str(value)

    def read(self, window: Window) -> np.ndarray:
        """``[H, W]`` whole numbers of a window inside the map.

        Raises:
            LandloomError: if pixels cannot be read, or are not whole numbers.
        """
        return self.whole_numbers(read_array(self._dataset, window, [1])[0])

    def whole_numbers(self, values: np.ndarray) -> np.ndarray:
        """Values as whole numbers, NaN as no data.

        Raises:
            LandloomError: if they are not whole.
        """
        if values.dtype.kind == "f":
            known = np.isfinite(values)
            if (values[known] != np.round(values[known])).any():
                fraction = values[known][values[known] % 1 != 0][0]
                raise LandloomError(
                    tr("{parameter} {path} holds fractions such as {fraction:g}: it is no map of classes.").format(
                        parameter=self._parameter, path=self.path, fraction=fraction
                    )
                )
            filler = next(iter(self.nodata), 0)
            values = np.where(known, values, filler).astype(np.int64)
        return values

    def let_go(self) -> None:
        """Free the blocks that GDAL keeps of it."""
        self._dataset = without_blocks(self._dataset)

    def strips(self, memory_mb: float, progress: Progress) -> Iterator[tuple[int, np.ndarray]]:
        """First row and values ``[H, W]`` of strips as wide as the map, from the top down.

        Args:
            memory_mb: what all that is done with a strip may take; about ``_BYTES`` for a pixel.
            progress: told of the share read, and asked for cancellation.
        """
        grid = self.grid
        rows = int(max(1, min(grid.height, memory_mb * 2**20 / (grid.width * _BYTES), 2048)))
        block = self._dataset.GetRasterBand(1).GetBlockSize()[1]
        rows = rows // block * block or rows
        room = CacheRoom(memory_mb / 8, self.let_go)
        for row in range(0, grid.height, rows):
            progress.check()
            room.check()
            progress.percent(100 * row / grid.height)
            yield row, self.read(Window(0, row, grid.width, min(rows, grid.height - row)))
        progress.percent(100)

    def count(self, memory_mb: float, progress: Progress) -> MapCounts:
        """Count the pixels and hectares of every value, in one pass.

        Raises:
            LandloomError: if there are more than ``MOST_VALUES`` values, or none.
        """
        pixels: dict[int, int] = {}
        hectares: dict[int, float] = {}
        for row, values in self.strips(memory_mb, progress):
            progress.check()
            area = self.areas.window(row, 0, *values.shape)
            for value, count, own in counted(values, area):
                pixels[value] = pixels.get(value, 0) + count
                hectares[value] = hectares.get(value, 0.0) + own
            if len(pixels) > MOST_VALUES:
                raise LandloomError(
                    tr("{parameter} {path} holds more than {most_values} values: it is no map of classes.").format(
                        parameter=self._parameter, path=self.path, most_values=MOST_VALUES
                    )
                )
        result = MapCounts()
        missing = [value for value in pixels if value in self.nodata]
        result.no_data = Count(sum(pixels[v] for v in missing), sum(hectares[v] for v in missing))
        result.values = {v: Count(pixels[v], hectares[v]) for v in sorted(pixels) if v not in self.nodata}
        if not result.values:
            raise LandloomError(
                tr("{parameter} {path} holds no class: every pixel is no data ({nodata}).").format(
                    parameter=self._parameter, path=self.path, nodata=listed([str(v) for v in sorted(self.nodata)])
                )
            )
        return result

    def values_at(self, rows: np.ndarray, columns: np.ndarray, progress: Progress) -> np.ndarray:
        """``[N]`` int64 values of pixels, reading each part of the map once."""
        return values_at(self.path, rows, columns, progress)

    def is_no_data(self, values: np.ndarray) -> np.ndarray:
        """Which values are no data."""
        return np.isin(values, list(self.nodata))


def values_at(path: str | os.PathLike[str], rows: np.ndarray, columns: np.ndarray, progress: Progress) -> np.ndarray:
    """Values of the first band at some pixels: int64, or float64 where the raster's are.

    Args:
        path: a raster.
        rows: ``[N]``, inside it.
        columns: ``[N]``.
        progress: asked for cancellation.
    """
    dataset = open_raster(path)

    def let_go() -> None:
        nonlocal dataset
        dataset = without_blocks(dataset)

    room = CacheRoom(_CACHE_MB)
    across = dataset.RasterXSize // PIECE + 1
    piece = np.asarray(rows, np.int64) // PIECE * across + np.asarray(columns, np.int64) // PIECE
    order = np.argsort(piece, kind="stable")
    starts = np.flatnonzero(np.diff(piece[order])) + 1
    del piece
    result: np.ndarray | None = None
    for own in np.split(order, starts):
        if not len(own):
            continue
        progress.check()
        # Only the part of the piece that is asked for.
        top, left = int(rows[own].min()), int(columns[own].min())
        window = (left, top, int(columns[own].max()) - left + 1, int(rows[own].max()) - top + 1)
        values = read_array(dataset, window, [1])[0]
        if result is None:
            result = np.zeros(len(rows), np.float64 if values.dtype.kind == "f" else np.int64)
        result[own] = values[rows[own] - top, columns[own] - left]
        room.check(let_go)
    return np.zeros(0, np.int64) if result is None else result


def counted(values: np.ndarray, area: float | np.ndarray) -> list[tuple[int, int, float]]:
    """Value, pixels and hectares of the values in an array, given the hectares of its pixels."""
    flat = values.ravel()
    if not flat.size:
        return []
    lowest, highest = int(flat.min()), int(flat.max())
    if highest - lowest < _TABLE:
        index, offset = flat.astype(np.int64) - lowest, lowest
        present = np.flatnonzero(np.bincount(index))
        kinds = present + offset
    else:
        kinds, index = np.unique(flat, return_inverse=True)
        index, present = index.reshape(-1), np.arange(len(kinds))
    counts = np.bincount(index)[present]
    hectares: np.ndarray
    if isinstance(area, np.ndarray):
        hectares = np.bincount(index, np.broadcast_to(area, values.shape).ravel())[present]
    else:
        hectares = counts * float(area)
    return [(int(v), int(n), float(h)) for v, n, h in zip(kinds, counts, hectares, strict=True)]


def _means_nothing(name: str) -> bool:
    """Whether the name of the value 0 says that it is no class."""
    plain = name.lower().replace("-", " ").replace("_", " ")
    return plain in (
        "",
        "0",
        "no data",
        "nodata",
        "unclassified",
        "background",
        "none",
        "pas de donnees",
        "sans donnees",
    )
