"""Features of objects: statistics of their pixels by band and date and of rasters at their own resolution, and shape.

Objects are taken tile by tile, each whole: what it covers of a source is read once, all its statistics are computed,
and its row of the table is done. So memory depends on the size of a tile, not on that of the images or on their number.
"""

from __future__ import annotations

import math
import mmap
import os
import struct
import tempfile
import weakref
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from osgeo import ogr

from ..base.errors import LandloomError
from ..base.freedmemory import give_back_freed_memory
from ..base.language import tr
from ..base.progress import Progress
from ..base.vectorfile import write_table
from ..stack.grid import Grid, Window
from ..stack.units import decibels
from .features_coverage import Coverage
from .features_segments import Segments
from .features_sources import Measured, StackSource
from .features_statistics import STATISTICS, measure, percentile_name, sums
from .features_texture import LEVELS, MEASURES, grey_levels, textures

SMALL = 4
"""Objects of fewer pixels (of the first source) are flagged: their statistics rest on little."""
SHAPES = ("area_ha", "perimeter_m", "compactness", "elongation")
_OBJECTS_AT_ONCE = 20_000
_WRITTEN_AT_ONCE = 2000


@dataclass(frozen=True)
class FeatureSettings:
    """What is measured.

    Attributes:
        statistics: of ``mean``, ``std``.
        percentiles: 0 to 100.
        partial: weigh pixels by their share in the object; else those count whose centre is inside.
        shape: whether measures of shape are wanted.
    """

    statistics: tuple[str, ...] = ("mean", "std")
    percentiles: tuple[float, ...] = ()
    partial: bool = True
    shape: bool = True

    @classmethod
    def parse(cls, text: str, partial: bool = True) -> tuple[FeatureSettings, bool]:
        """Settings of a list such as ``mean,std,p10,p90,texture,shape``, and whether it holds ``texture``.

        Raises:
            LandloomError: if a word is none of these, or none asks for statistics.
        """
        words = [word.strip().lower() for word in text.replace(";", ",").split(",") if word.strip()]
        percentiles = []
        for word in words:
            if word[0] == "p" and word[1:].replace(".", "", 1).isdigit():
                percentiles.append(float(word[1:]))
            elif word not in (*STATISTICS, "texture", "shape"):
                raise LandloomError(
                    tr(
                        "FEATURES has '{word}': choose among mean, std, percentiles such as p10 or p50, "
                        "texture and shape."
                    ).format(word=word)
                )
        statistics = tuple(one for one in STATISTICS if one in words)
        settings = cls(statistics, tuple(sorted(set(percentiles))), partial, "shape" in words)
        settings.check()
        return settings, "texture" in words

    def check(self) -> None:
        """Check every value.

        Raises:
            LandloomError: naming the parameter and what it may be.
        """
        for one in self.statistics:
            if one not in STATISTICS:
                raise LandloomError(
                    tr("FEATURES has '{one}': choose among {statistics}.").format(
                        one=one, statistics=", ".join(STATISTICS)
                    )
                )
        if not self.statistics and not self.percentiles:
            raise LandloomError(tr("FEATURES asks for no statistics: choose mean, std or percentiles such as p50."))
        for percent in self.percentiles:
            if not 0 <= percent <= 100:
                raise LandloomError(
                    tr("FEATURES has p{percent:g}: percentiles lie between p0 and p100.").format(percent=percent)
                )


@dataclass
class ObjectTable:
    """What was measured.

    Attributes:
        segments: the objects.
        names: ``[F]`` names of the columns.
        values: ``[n, F]`` float32, NaN where an object has no valid pixel; in a temporary file.
        pixels: ``[n]`` pixels of the first source, by their shares.
        overlapping: objects that share pixels with others.
        folder: keeps the temporary file.
    """

    segments: Segments
    names: list[str]
    values: np.ndarray
    pixels: np.ndarray
    overlapping: int = 0
    folder: Any = field(default=None, repr=False)

    @property
    def small(self) -> np.ndarray:
        """``[n]`` bool, fewer than four pixels."""
        return self.pixels < SMALL - 1e-9

    def column(self, name: str) -> np.ndarray:
        """``[n]`` one column."""
        return self.values[:, self.names.index(name)]

    def columns(self) -> dict[str, np.ndarray]:
        """All columns for a file: ``object``, ``pixels``, ``small``, then the features."""
        return {
            "object": self.segments.ids,
            "pixels": np.round(self.pixels, 3),
            "small": self.small,
            **{name: self.values[:, place] for place, name in enumerate(self.names)},
        }

    def write(self, path: str | os.PathLike[str], progress: Progress, extra: Mapping[str, Any] | None = None) -> None:
        """Write polygons with the features, and columns of one's own before them.

        Raises:
            LandloomError: if it cannot be written.
        """
        write_table(
            path,
            "objects",
            self.segments.crs_wkt,
            ogr.wkbMultiPolygon,
            self._geometries(),
            {**(extra or {}), **self.columns()},
            progress,
        )

    def _geometries(self) -> Iterator[bytes]:
        for place, one in enumerate(multipolygons(self.segments)):
            if place % _WRITTEN_AT_ONCE == 0:
                release_pages(self.values)
            yield one


def release_pages(values: np.ndarray) -> None:
    """Let what was read or written of an array in a file no longer count as memory; it stays in the file."""
    mapped = getattr(values, "_mmap", None)
    if mapped is not None and hasattr(mapped, "madvise") and hasattr(mmap, "MADV_DONTNEED"):  # not on Windows
        mapped.madvise(mmap.MADV_DONTNEED)


def measure_objects(
    segments: Segments,
    sources: Sequence[Measured],
    settings: FeatureSettings,
    memory_mb: int = 1024,
    progress: Progress | None = None,
    objects: np.ndarray | None = None,
) -> ObjectTable:
    """Measure objects.

    Args:
        segments: the objects.
        sources: what is measured in them; ``pixels`` are those of the first.
        settings: which statistics.
        memory_mb: working memory; the table lies in a temporary file.
        progress: shown, and asked whether to stop.
        objects: those to measure; None = all. The rows of the others stay 0.

    Raises:
        LandloomError: if no object lies on the first source, or a source cannot be read.
        ChangedError: if a source changed meanwhile.
        Cancelled: if the user asked to stop.
    """
    progress = progress or Progress()
    wanted = np.arange(len(segments)) if objects is None else np.asarray(objects)
    settings.check()
    if not sources:
        raise LandloomError(tr("There is nothing to measure: give STACK or RASTERS."))
    widths = [len(column_names(source, settings)) for source in sources]
    names = [name for source in sources for name in column_names(source, settings)]
    names += SHAPES if settings.shape else ()
    _check_unique(names)
    folder = tempfile.TemporaryDirectory(prefix="landloom", ignore_cleanup_errors=True)
    shape = (len(segments), len(names))
    values = np.lib.format.open_memmap(Path(folder.name) / "features.npy", "w+", np.float32, shape)
    table = ObjectTable(segments, names, values, np.zeros(len(segments)), folder=folder)
    weakref.finalize(table, folder.cleanup)
    for note in segments.notes:
        progress.warning(note)
    room = memory_mb * 2**20 * 0.4
    done = sampled = 0
    for tile in tiles(segments, sources, room, wanted, settings.partial):
        progress.check()
        values[tile] = np.nan
        place = 0
        for source, width in zip(sources, widths, strict=True):
            columns = slice(place, place + width)
            sampled += _measure_tile(table, tile, source, source is sources[0], columns, settings, room, progress)
            place += width
        if settings.shape:
            values[tile, place:] = shape_measures(segments, tile)
        release_pages(values)
        give_back_freed_memory()
        done += len(tile)
        progress.percent(100.0 * done / max(1, len(wanted)))
    for source in sources:
        source.check_unchanged()
    segments.check_unchanged()
    _tell(table, wanted, sampled, progress)
    return table


def _tell(table: ObjectTable, wanted: np.ndarray, sampled: int, progress: Progress) -> None:
    segments = table.segments
    outside = int((table.pixels[wanted] == 0).sum())
    if outside == len(wanted):
        raise LandloomError(
            tr(
                "None of the {n_wanted:,} segments of {source} lies on the images: check the CRS and the place of both."
            ).format(n_wanted=len(wanted), source=segments.source)
        )
    if outside:
        progress.warning(
            tr("{outside:,} objects lie outside the images: their features are empty.").format(outside=outside)
        )
    small = int(table.small[wanted].sum()) - outside
    if small:
        progress.info(
            tr("{small:,} objects have fewer than {small2} pixels: they are kept and flagged ('small').").format(
                small=small, small2=SMALL
            )
        )
    if table.overlapping:
        progress.warning(
            tr("{overlapping:,} objects overlap others: each is measured on all of its own pixels.").format(
                overlapping=table.overlapping
            )
        )
    if sampled:
        progress.info(
            tr(
                "{sampled:,} times an object was too large for MEMORY_MB: its statistics rest on a lattice of "
                "its pixels."
            ).format(sampled=sampled)
        )


def column_names(source: Measured, settings: FeatureSettings) -> list[str]:
    """The columns of a source: statistics band by band and date by date, valid shares of dates, textures."""
    kinds = _kinds(settings)
    names = [f"{column}_{kind}" for column in source.names for kind in kinds]
    if isinstance(source, StackSource):
        names += [f"{name}_valid" for name in source.dates]
    if source.texture:
        names += [f"{column}_{one}" for column in source.names for one in MEASURES]
    return names


def _kinds(settings: FeatureSettings) -> list[str]:
    return [*settings.statistics, *map(percentile_name, settings.percentiles)]


def _check_unique(names: Sequence[str]) -> None:
    seen: set[str] = set()
    for name in names:
        if name.lower() in seen:  # SQLite's names have no case
            raise LandloomError(
                tr("Two columns would be called {name}: give rasters different names, and no raster twice.").format(
                    name=name
                )
            )
        seen.add(name.lower())


def tiles(
    segments: Segments,
    sources: Sequence[Measured],
    room: float,
    objects: np.ndarray | None = None,
    partial: bool = True,
) -> Iterator[np.ndarray]:
    """Objects near each other, ascending, so that what they cover of any source fits in ``room`` bytes.

    An object too large for that comes alone.
    """
    boxes = [segments.windows(source.grid, np.arange(len(segments))) for source in sources]
    sizes = [source.bytes_per_pixel + segments.bytes_per_pixel(source.grid, partial) for source in sources]

    def fits(own: np.ndarray) -> bool:
        if len(own) > _OBJECTS_AT_ONCE:
            return False
        for size, box in zip(sizes, boxes, strict=True):
            window = joined_window(box[own])
            if window is not None and float(window.width) * window.height * size > room:
                return False
        return True

    waiting = [np.arange(len(segments)) if objects is None else objects]
    while waiting:
        own = waiting.pop()
        if not len(own):
            continue
        if len(own) == 1 or fits(own):
            yield np.sort(own)
            continue
        waiting += halves(segments, own)


def halves(segments: Segments, own: np.ndarray) -> list[np.ndarray]:
    """Objects divided in the middle of the longer side of the place that they take, each half ascending."""
    box = segments.bounds[own]
    centres = (box[:, :2] + box[:, 2:]) / 2
    axis = int(np.argmax(np.ptp(centres, axis=0)))
    ordered = own[np.argsort(centres[:, axis], kind="stable")]
    return [np.sort(ordered[len(ordered) // 2 :]), np.sort(ordered[: len(ordered) // 2])]


def joined_window(box: np.ndarray) -> Window | None:
    """The window that holds all boxes that are not empty; None if all are."""
    box = box[(box[:, 2] > box[:, 0]) & (box[:, 3] > box[:, 1])]
    if not len(box):
        return None
    left, top = box[:, :2].min(axis=0).tolist()
    right, bottom = box[:, 2:].max(axis=0).tolist()
    return Window(left, top, right - left, bottom - top)


def _measure_tile(
    table: ObjectTable,
    tile: np.ndarray,
    source: Measured,
    is_first: bool,
    columns: slice,
    settings: FeatureSettings,
    room: float,
    progress: Progress,
) -> int:
    """Fill the columns of a source; gives the number of objects measured on a lattice of their pixels."""
    segments, grid, step = table.segments, source.grid, 1
    window = joined_window(segments.windows(grid, tile))
    if window is None:
        return 0
    bytes_per_pixel = source.bytes_per_pixel + segments.bytes_per_pixel(grid, settings.partial)
    size = float(window.width) * window.height * bytes_per_pixel
    if size > room:  # one large object
        step = math.ceil(math.sqrt(size / room))
        grid, lattice = thinned(grid, window, step)
        coverage = segments.coverage(grid, lattice, tile, False)
        seen = lattice
    else:
        coverage = segments.coverage(grid, window, tile, settings.partial)
        seen = window
    pixels = sums(coverage.weight, coverage.start)
    if is_first:
        table.pixels[tile] = pixels * step**2
        table.overlapping += _count_overlapping(coverage, seen)
    result = np.empty((len(tile), columns.stop - columns.start), np.float32)
    kinds = _kinds(settings)
    at = 0
    shares: list[np.ndarray] = []
    textured: list[np.ndarray] = []
    for layers in source.layers(window, step):
        progress.check()
        valid = None if layers.valid.all() else layers.valid
        found, total = measure(layers.values, valid, coverage, settings.statistics, settings.percentiles)
        if layers.linear is not None and "mean" in found:
            of_power = measure(layers.linear, valid, coverage, ("mean",))[0]["mean"]
            found["mean"][: len(of_power)] = decibels(of_power)
        for place in range(len(layers.names)):
            for kind in kinds:
                result[:, at] = found[kind][place]
                at += 1
        if isinstance(source, StackSource):
            shares.append(np.divide(total, pixels, out=np.full(len(tile), np.nan), where=pixels > 0))
        elif source.texture:
            for name, plane in zip(layers.names, layers.values, strict=True):
                low, high = source.limits[source.names.index(name)]
                grey = grey_levels(plane, low, high, LEVELS)
                textured += textures(grey, layers.valid, seen.width, coverage, LEVELS).values()
    for column in (*shares, *textured):
        result[:, at] = column
        at += 1
    table.values[tile, columns] = result
    return len(tile) if step > 1 else 0


def thinned(grid: Grid, window: Window, step: int) -> tuple[Grid, Window]:
    """The grid whose pixels are centred on every ``step``-th row and column of a window, and its whole window."""
    x, dx, _, y, _, dy = grid.transform_of(window)
    width, height = -(-window.width // step), -(-window.height // step)
    corner = (x + dx * (1 - step) / 2, dx * step, 0.0, y + dy * (1 - step) / 2, 0.0, dy * step)
    return Grid(grid.crs_wkt, corner, width, height), Window(0, 0, width, height)


def _count_overlapping(coverage: Coverage, window: Window) -> int:
    """Objects that share a pixel with others by more than its area."""
    total = np.bincount(coverage.pixel, coverage.weight, window.width * window.height)
    crowded = total[coverage.pixel] > 1 + 1e-3
    return len(np.unique(coverage.owner[crowded]))


def shape_measures(segments: Segments, tile: np.ndarray) -> np.ndarray:
    """``[n, 4]`` of :data:`SHAPES`."""
    found = segments.shape_sums(tile)
    area, perimeter = found["area"], found["perimeter"]
    half = (found["xx"] + found["yy"]) / 2
    root = np.sqrt(np.maximum(((found["xx"] - found["yy"]) / 2) ** 2 + found["xy"] ** 2, 0.0))
    with np.errstate(divide="ignore", invalid="ignore"):
        compactness = 4 * np.pi * area / perimeter**2
        elongation = np.sqrt((half + root) / np.maximum(half - root, 1e-12))
    return np.stack([area / 10_000, perimeter, compactness, elongation], axis=1)


def multipolygons(segments: Segments) -> Iterator[bytes]:
    """The geometry of every object as a multipolygon."""
    for start in range(0, len(segments), 1000):
        for wkb in segments.geometries(np.arange(start, min(start + 1000, len(segments)))):
            (kind,) = struct.unpack_from("<I", wkb, 1)
            yield wkb if kind == ogr.wkbMultiPolygon else struct.pack("<BII", 1, ogr.wkbMultiPolygon, 1) + wkb
