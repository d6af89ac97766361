"""A map as polygons with class, area, mean confidence, shares of classes, valid dates; neighbours share borders."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..base.errors import LandloomError
from ..base.files import check_writable
from ..base.freedmemory import give_back_freed_memory
from ..base.gdalcache import CacheRoom
from ..base.language import tr
from ..base.nomenclature import Nomenclature
from ..base.progress import Progress
from ..base.qml import Category, categorized
from ..base.raster import read_array
from ..base.vectorfile import check_vector_path
from ..mapping.chunks import Area
from ..mapping.components import Components, check_regions, components
from ..mapping.fuseinputs import FuseInput, LabelMap
from ..mapping.labelraster import label_raster
from ..mapping.regularise import REGION_BYTES, SMALL_BYTES, WholeMap, legend_with
from ..mapping.regularise_rules import merge_small
from ..stack.grid import Grid, Window, place
from .polygons import vector_style, write_polygons
from .simplify import LARGEST_TOLERANCE

CONFIDENCE_NODATA = 255
_LARGEST_SEGMENT = 2**31 - 1
_REGION_BYTES, _CLASS_BYTES, _BAND_BYTES = 160, 24, 48  # of each region: at all, for each class counted, each band


@dataclass(frozen=True)
class VectoriseSettings:
    """The choices of ``vectorise``: see its parameters.

    Attributes:
        confidence, shares, probabilities, valid_count, segments: rasters, or None.
        tolerance: units of the map's CRS; None for half a pixel.
        min_area: hectares.
    """

    confidence: str | None = None
    shares: str | None = None
    probabilities: str | None = None
    valid_count: str | None = None
    segments: str | None = None
    tolerance: float | None = None
    min_area: float = 0.0
    memory_mb: float = 1024


class Beside:
    """Another raster with the pixels of the map.

    Raises:
        LandloomError: if its pixels are others.
    """

    def __init__(self, name: str, path: str, grid: Grid) -> None:
        self.source = FuseInput(path)
        found = place(self.source.grid, grid)
        if found is None or found[1] != 1:
            raise LandloomError(
                tr(
                    "{name} {path} has other pixels than the map: warp it to the map's CRS, pixel size and "
                    "corners first."
                ).format(name=name, path=path)
            )
        self._window = found[0]
        self.bands = self.source.dataset.RasterCount
        self.let_go = self.source.let_go

    def read(self, row: int, rows: int, width: int, band: int = 1) -> np.ndarray:
        """``[rows, width]`` float64, NaN outside and where there is no data."""
        values = np.full((rows, width), np.nan)
        both = self._window.intersection(Window(0, row, width, rows))
        if both.width and both.height:
            own = (both.column - self._window.column, both.row - self._window.row, both.width, both.height)
            raw = read_array(self.source.dataset, own, [band])[0].astype(np.float64)
            nodata = self.source.dataset.GetRasterBand(band).GetNoDataValue()
            if nodata is not None:
                raw[raw == nodata] = np.nan
            values[both.row - row : both.row - row + both.height, both.column : both.column + both.width] = raw
        return values


def vectorise(
    path: str | os.PathLike[str],
    output: str | os.PathLike[str],
    settings: VectoriseSettings | None = None,
    progress: Progress | None = None,
) -> int:
    """Write the patches of a map, or segments with their most frequent class, as polygons.

    Fields: ``code``, ``class``, ``area_ha`` (of its pixels), ``confidence`` (mean, percent), ``share_<code>`` (percent
    of its pixels with data that have this class in the map of SHARES or, with segments or MIN_AREA, in MAP),
    ``prob_<code>`` (mean probability, percent), ``valid_mean`` and ``valid_std`` (of the number of valid dates).

    Returns:
        the number of polygons.

    Raises:
        LandloomError: for wrong parameters, rasters with other pixels, or a failed write.
    """
    settings, progress = settings or VectoriseSettings(), progress or Progress()
    source, target = WholeMap(path), Path(output)
    grid = source.grid
    if not grid.crs_wkt:
        raise LandloomError(tr("The map {path} has no CRS; assign one to it.").format(path=source.path))
    tolerance = _pixels(settings.tolerance, grid)
    if settings.min_area < 0:
        raise LandloomError(
            tr("MIN_AREA is {min_area:g}; give hectares, 0 or more.").format(min_area=settings.min_area)
        )
    if settings.segments and settings.min_area:
        raise LandloomError(tr("MIN_AREA joins patches, but SEGMENTS stay as they are: give only one of them."))
    check_vector_path(target)
    check_writable(target)
    beside = {
        name: Beside(name, given, grid)
        for name, given in (
            ("CONFIDENCE", settings.confidence),
            ("PROBABILITIES", settings.probabilities),
            ("VALID_COUNT", settings.valid_count),
            ("SEGMENTS", settings.segments),
        )
        if given
    }
    shares = WholeMap(settings.shares) if settings.shares else None
    if shares is not None:
        Beside("SHARES", shares.path, grid)
        shares.window = place(shares.grid, grid)[0]  # type: ignore[index]
    legend = legend_with(source, progress.part(0, 5))
    size = grid.width, grid.height, settings.memory_mb / 2
    read: list[WholeMap | Beside] = [source, *beside.values(), *([shares] if shares else [])]
    room = CacheRoom(settings.memory_mb / 8, *(one.let_go for one in read))
    with label_raster(target, *size) as first, label_raster(target, *size) as second:
        progress.text(tr("Finding patches"))

        def rows_of(row: int, rows: int) -> np.ndarray:
            room.check()
            if "SEGMENTS" in beside:
                return _segment_numbers(beside["SEGMENTS"], row, rows, grid.width)
            return source.read(Area(0, row, grid.width, rows))

        memory = settings.memory_mb
        regions = components(rows_of, grid.width, grid.height, first, progress.part(5, 20), memory)
        if settings.min_area:
            smallest = settings.min_area * 1e4 / grid.pixel_area
            regions = _joined(regions, smallest, second, progress.part(20, 40), memory)
        if not len(regions):
            raise LandloomError(
                tr("There is nothing to vectorise in {path}: every pixel is 0 or no data.").format(path=source.path)
            )
        progress.text(tr("Measuring patches"))
        counted = shares or (source if settings.segments or settings.min_area else None)
        classes = len(legend) if counted is not None else 0
        bands = sum(one.bands if name == "PROBABILITIES" else 1 for name, one in beside.items() if name != "SEGMENTS")
        check_regions(len(regions), _REGION_BYTES + _CLASS_BYTES * classes + _BAND_BYTES * bands, memory)
        columns = _columns(regions, legend, grid, beside, counted, room, progress.part(40, 60))
        give_back_freed_memory()
        progress.text(tr("Writing polygons"))
        style = vector_style(categorized("code", [Category([str(one.code)], one.name, one.color) for one in legend]))
        write_polygons(
            target, target.stem, regions.read, grid, regions.last_row, columns, style, tolerance,
            settings.memory_mb, progress.part(60, 100),
        )  # fmt: skip
    progress.info(tr("{n_regions:,} polygons.").format(n_regions=len(regions)))
    return len(regions)


def _pixels(tolerance: float | None, grid: Grid) -> float:
    """TOLERANCE in pixels."""
    size = min(grid.resolution)
    pixels = 0.5 if tolerance is None else tolerance / size
    if not 0 <= pixels <= LARGEST_TOLERANCE:
        raise LandloomError(
            tr(
                "TOLERANCE is {tolerance:g}; give 0 (the sides of pixels) to {largest_tolerance:g} "
                "({largest_tolerance2} pixels). For a coarser map, regularise it first."
            ).format(
                tolerance=tolerance, largest_tolerance=LARGEST_TOLERANCE * size, largest_tolerance2=LARGEST_TOLERANCE
            )
        )
    return pixels


def _segment_numbers(segments: Beside, row: int, rows: int, width: int) -> np.ndarray:
    values = np.nan_to_num(segments.read(row, rows, width))
    if values.size and (values.min() < 0 or values.max() > _LARGEST_SEGMENT or (values % 1).any()):
        raise LandloomError(
            tr(
                "SEGMENTS {path} holds values that are no labels: give whole numbers from 1 to 2^31 - 1, 0 "
                "where there is none."
            ).format(path=segments.source.path)
        )
    return values.astype(np.int64)


def _joined(regions: Components, smallest: float, raster: object, progress: Progress, memory_mb: float) -> Components:
    """The regions left when those below the smallest area have joined a neighbour."""
    small = regions.pixels < smallest
    small[0] = False
    check_regions(len(regions), REGION_BYTES + SMALL_BYTES * float(small.mean()), memory_mb)
    borders = regions.borders(small, progress.part(0, 40))
    limit = np.full(int(regions.value.max()) + 1, smallest)
    codes, _ = merge_small(
        regions.value, regions.pixels, borders, limit, np.zeros(len(small), bool), progress.part(40, 50)
    )
    return components(
        lambda row, rows: codes[regions.read(row, rows)],
        regions.width,
        regions.height,
        raster,  # type: ignore[arg-type]
        progress.part(50, 100),
        memory_mb,
    )


def _columns(
    regions: Components,
    legend: Nomenclature,
    grid: Grid,
    beside: Mapping[str, Beside],
    counted: LabelMap | None,
    room: CacheRoom,
    progress: Progress,
) -> dict[str, np.ndarray]:
    """The fields, by number of the region."""
    count = len(regions) + 1
    sums = _Sums(count)
    codes = [int(code) for code in legend.codes]
    index = np.zeros(max(codes) + 1, np.int64)
    index[codes] = np.arange(1, len(codes) + 1)
    table = np.zeros((count, len(codes) + 1), np.int64) if counted is not None else None
    for row, numbers in regions.strips(progress):
        room.check()
        rows = len(numbers)
        present, flat = _numbered(numbers, count)
        if counted is not None and table is not None:
            found = counted.read(Area(0, row, grid.width, rows)).ravel()
            known = np.where(found < len(index), index[np.minimum(found, len(index) - 1)], 0)
            size = len(present) * table.shape[1]
            table[present] += np.bincount(flat * table.shape[1] + known, minlength=size).reshape(len(present), -1)
        for name in ("CONFIDENCE", "VALID_COUNT", "PROBABILITIES"):
            if name not in beside:
                continue
            for band in range(1, (beside[name].bands if name == "PROBABILITIES" else 1) + 1):
                values = beside[name].read(row, rows, grid.width, band).ravel()
                if name == "CONFIDENCE":
                    values[values == CONFIDENCE_NODATA] = np.nan
                sums.add(f"{name} {band}", present, flat, values)
    value = regions.value
    if "SEGMENTS" in beside and table is not None:
        most = table[:, 1:].argmax(axis=1)
        value = np.where(table[:, 1:].any(axis=1), np.array(codes)[most], 0)
    names = {0: ""} | {one.code: one.name for one in legend}
    columns = {
        "code": value.astype(np.int32),
        "class": np.array([names[code] for code in value.tolist()], object),
        "area_ha": np.round(regions.pixels * (grid.pixel_area / 1e4), 4),
    }
    if "SEGMENTS" in beside:
        columns = {"segment": regions.value, **columns}
    if "CONFIDENCE" in beside:
        columns["confidence"] = np.round(sums.mean("CONFIDENCE 1"), 1)
    if table is not None:
        total = np.maximum(table[:, 1:].sum(axis=1), 1)
        for place_of, code in enumerate(codes, start=1):
            columns[f"share_{code}"] = np.round(100 * table[:, place_of] / total, 2)
    columns |= dict(_probabilities(beside, sums))
    if "VALID_COUNT" in beside:
        columns["valid_mean"] = np.round(sums.mean("VALID_COUNT 1"), 2)
        columns["valid_std"] = np.round(sums.std("VALID_COUNT 1"), 2)
    return columns


def _numbered(numbers: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The regions of a strip, rising, and for each of its pixels the place among them: few of all regions are there."""
    there = np.zeros(count, bool)
    there[numbers] = True
    present = np.flatnonzero(there)
    place_of = np.zeros(count, np.int32)
    place_of[present] = np.arange(len(present))
    return present, place_of[numbers.ravel()].astype(np.int64)


def _probabilities(beside: Mapping[str, Beside], sums: _Sums) -> Iterator[tuple[str, np.ndarray]]:
    if "PROBABILITIES" not in beside:
        return
    raster = beside["PROBABILITIES"]
    codes = _band_codes(raster)
    for band, code in enumerate(codes, start=1):
        scale = raster.source.dataset.GetRasterBand(band).GetScale() or 1.0
        yield f"prob_{code}", np.round(100 * scale * sums.mean(f"PROBABILITIES {band}"), 2)


def _band_codes(raster: Beside) -> list[int]:
    """The class code of each band, as ``classify`` writes it; else the bands' numbers."""
    from ..mapping.classify import CODES_TAG

    tag = raster.source.dataset.GetMetadataItem(CODES_TAG)
    codes = [int(one) for one in tag.replace(",", " ").split()] if tag else []
    return codes if len(codes) == raster.bands else list(range(1, raster.bands + 1))


class _Sums:
    """Counts, sums and squares of values by region; NaN does not count."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._sums: dict[str, np.ndarray] = {}

    def add(self, name: str, present: np.ndarray, places: np.ndarray, values: np.ndarray) -> None:
        """Add pixels: their regions are ``present[places]``."""
        known = np.isfinite(values)
        places, values = places[known], values[known]
        if name not in self._sums:
            self._sums[name] = np.zeros((3, self._count))
        for total, weights in zip(self._sums[name], (None, values, values**2), strict=True):
            total[present] += np.bincount(places, weights, len(present))

    def mean(self, name: str) -> np.ndarray:
        """NaN where nothing was known."""
        n, total, _ = self._sums[name]
        return np.where(n > 0, total / np.maximum(n, 1), np.nan)

    def std(self, name: str) -> np.ndarray:
        """Of the population; NaN where nothing was known."""
        n, total, squares = self._sums[name]
        n = np.where(n > 0, n, np.nan)
        return np.sqrt(np.maximum(squares / n - (total / n) ** 2, 0))
