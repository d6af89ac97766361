"""What is fused: maps of classes or of probabilities, their common grid and their classes."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from osgeo import gdal

from ..base.errors import LandloomError
from ..base.gdalcache import CacheRoom, without_blocks
from ..base.language import tr
from ..base.legend import legend_of
from ..base.matrixfile import read_matrix
from ..base.metrics import scores
from ..base.nomenclature import HIGHEST_CODE, LandCoverClass, Nomenclature, default_color
from ..base.progress import Progress
from ..base.raster import open_raster, read_array
from ..stack.grid import Grid, Window, place, same_crs
from .chunks import Area
from .classify import CODES_TAG, COLORS_TAG
from .unsure import UNSURE_TAG

BELIEFS = ("precision", "recall", "accuracy", "kappa")
CACHE_MB = 16
"""GDAL may keep so much while the codes of a map are gathered, piece after piece."""
_ROWS, _COLUMNS = 256, 2048


class FuseInput:
    """A raster on its own grid, and where it lies on that of all.

    Raises:
        LandloomError: if it cannot be opened, or is not north-up.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = os.fspath(path)
        self.dataset: gdal.Dataset = open_raster(path)
        x, a, b, y, d, e = self.dataset.GetGeoTransform()
        if b or d or a <= 0 or e >= 0:
            raise LandloomError(
                tr("{path} is rotated or runs south to north: warp it to a north-up grid first.").format(path=self.path)
            )
        self.grid = Grid(
            self.dataset.GetProjection(), (x, a, b, y, d, e), self.dataset.RasterXSize, self.dataset.RasterYSize
        )
        self.window = self.grid.whole
        self.names: dict[int, str] = {}
        self.colors: dict[int, str] = {}

    def let_go(self) -> None:
        """Free the blocks that GDAL keeps of it."""
        self.dataset = without_blocks(self.dataset)

    def pixels(self, area: Area, bands: Sequence[int]) -> tuple[np.ndarray, tuple[slice, slice]] | None:
        """``[bands, h, w]`` of what it has of an area of the common grid, and where that lies in it."""
        both = self.window.intersection(Window(*area))
        if not both.width or not both.height:
            return None
        own = (both.column - self.window.column, both.row - self.window.row, both.width, both.height)
        rows = slice(both.row - area.row, both.row - area.row + both.height)
        columns = slice(both.column - area.column, both.column - area.column + both.width)
        return read_array(self.dataset, own, bands), (rows, columns)


def pieces_of(grid: Grid, progress: Progress) -> Iterator[Area]:
    """A raster cut into pieces along its usual blocks; asks whether to stop."""
    for row in range(0, grid.height, _ROWS):
        progress.percent(100.0 * row / grid.height)
        for column in range(0, grid.width, _COLUMNS):
            progress.check()
            yield Area(column, row, min(_COLUMNS, grid.width - column), min(_ROWS, grid.height - row))


class LabelMap(FuseInput):
    """A map of class codes; 0, its declared no data and its class 'unsure' say nothing."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        super().__init__(path)
        if self.dataset.RasterCount != 1:
            raise LandloomError(
                tr(
                    "{path} has {rasterCount} bands, but a map of classes has one; for rasters of "
                    "probabilities choose METHOD=mean."
                ).format(path=self.path, rasterCount=self.dataset.RasterCount)
            )
        unsure = self.dataset.GetMetadataItem(UNSURE_TAG)
        nodata = self.dataset.GetRasterBand(1).GetNoDataValue()
        self._silent = [float(one) for one in (nodata, unsure) if one is not None]
        self.names, self.colors = legend_of(self.dataset)
        for code in (int(one) for one in self._silent if np.isfinite(one)):
            self.names.pop(code, None)

    def read(self, area: Area) -> np.ndarray:
        """``[H, W]`` int32 codes, 0 where it says nothing.

        Raises:
            LandloomError: if a value is no class code.
        """
        labels = np.zeros((area.height, area.width), np.int32)
        found = self.pixels(area, [1])
        if found is None:
            return labels
        values, where = found[0][0], found[1]
        silent = np.isin(values, self._silent) | ~np.isfinite(values)
        values = np.where(silent, 0, values)
        if values.size and (values.min() < 0 or values.max() > HIGHEST_CODE or (values != values.astype(int)).any()):
            wrong = values[(values < 0) | (values > HIGHEST_CODE) | (values != values.astype(int))][0]
            raise LandloomError(
                tr(
                    "{path} holds the value {wrong}, which is no class code (1 to {highest_code}): give maps "
                    "of classes, or declare that value as no data."
                ).format(path=self.path, wrong=wrong, highest_code=HIGHEST_CODE)
            )
        labels[where] = values
        return labels

    def codes(self, progress: Progress) -> set[int]:
        """The codes that occur."""
        seen = np.zeros(HIGHEST_CODE + 1, bool)
        room = CacheRoom(CACHE_MB, self.let_go)
        for piece in pieces_of(self.grid, progress):
            own = Area(self.window.column + piece.column, self.window.row + piece.row, piece.width, piece.height)
            seen[self.read(own)] = True
            room.check()
        return set(np.flatnonzero(seen[1:]) + 1)


class ProbabilityMap(FuseInput):
    """The probabilities of all classes as ``classify`` writes them."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        super().__init__(path)
        text = self.dataset.GetMetadataItem(CODES_TAG)
        codes = [int(one) for one in (text or "").split(",") if one.strip().isdigit()]
        if len(codes) != self.dataset.RasterCount:
            raise LandloomError(
                tr(
                    "{path} does not tell the classes of its bands: METHOD=mean takes the PROBABILITIES that "
                    "'Classify' writes; for maps of classes choose majority or dempstershafer."
                ).format(path=self.path)
            )
        bands = [self.dataset.GetRasterBand(number + 1) for number in range(len(codes))]
        colors = (self.dataset.GetMetadataItem(COLORS_TAG) or "").split(",")
        self.band_codes = codes
        self.names = {code: band.GetDescription() or str(code) for code, band in zip(codes, bands, strict=True)}
        self.colors = {code: color for code, color in zip(codes, colors, strict=False) if color}
        self._nodata, self._scale = bands[0].GetNoDataValue(), bands[0].GetScale() or 1.0

    def read(self, area: Area) -> tuple[np.ndarray, np.ndarray]:
        """``[K, H, W]`` float32 probabilities 0..1 and ``[H, W]`` where there are any."""
        values = np.zeros((len(self.band_codes), area.height, area.width), np.float32)
        valid = np.zeros((area.height, area.width), bool)
        found = self.pixels(area, range(1, len(self.band_codes) + 1))
        if found is not None:
            raw, (rows, columns) = found
            known = np.isfinite(raw[0])
            if self._nodata is not None:
                known &= raw[0] != self._nodata
            valid[rows, columns] = known
            values[:, rows, columns] = np.where(known, raw, 0) * np.float32(self._scale)
        return values, valid


def common_grid(inputs: Sequence[FuseInput]) -> Grid:
    """The grid that covers all; each input learns where it lies on it.

    Raises:
        LandloomError: if CRS, pixel size or pixel corners differ, or a map meets no other.
    """
    first = inputs[0]
    for one in inputs[1:]:
        where = place(one.grid, first.grid)
        if where is None or where[1] != 1.0:
            what = "another CRS" if not same_crs(one.grid.crs_wkt, first.grid.crs_wkt) else tr("another grid of pixels")
            raise LandloomError(
                tr(
                    "{path} has {what} than {path2}: warp it first with 'Warp (reproject)', nearest neighbour, "
                    "to pixels of {resolution:g} on the same corners."
                ).format(path=one.path, what=what, path2=first.path, resolution=first.grid.resolution[0])
            )
        one.window = where[0]
    for one in inputs:
        both = [one.window.intersection(other.window) for other in inputs if other is not one]
        if both and not any(common.width and common.height for common in both):
            raise LandloomError(
                tr(
                    "{path} overlaps none of the other MAPS, so that there is nothing to fuse: leave it out, or join "
                    "maps of different places with 'Mosaic maps'."
                ).format(path=one.path)
            )
    left, top = (min(getattr(one.window, side) for one in inputs) for side in ("column", "row"))
    right = max(one.window.column + one.window.width for one in inputs)
    bottom = max(one.window.row + one.window.height for one in inputs)
    for one in inputs:
        one.window = Window(one.window.column - left, one.window.row - top, one.window.width, one.window.height)
    return first.grid.crop(Window(left, top, right - left, bottom - top))


def common_classes(
    inputs: Sequence[FuseInput], codes: Sequence[int], known: Nomenclature | None, progress: Progress
) -> Nomenclature:
    """The classes of the result by code: those of ``known`` first, then each input's, in their order.

    A code with different names is warned of, since it may mean different things.
    """
    given = {one.code: one for one in known} if known else {}
    classes: list[LandCoverClass] = []
    taken: set[str] = {one.color for one in given.values()}
    for position, code in enumerate(sorted(codes)):
        if code in given:
            classes.append(given[code])
            continue
        names = list(dict.fromkeys(one.names[code] for one in inputs if code in one.names))
        if len(names) > 1:
            progress.warning(
                tr(
                    "Code {code} has different names, {names}: '{names2}' is used. Check that the maps share "
                    "one nomenclature, or give NOMENCLATURE."
                ).format(code=code, names=", ".join(names), names2=names[0])
            )
        name = names[0] if names else str(code)
        color = next((one.colors[code] for one in inputs if code in one.colors), "")
        classes.append(LandCoverClass(code, name, color or default_color(name, position, taken)))
        taken.add(classes[-1].color)
    return Nomenclature(tuple(classes))


def masses_of(path: str | os.PathLike[str], belief: str) -> dict[int, float]:
    """The mass of belief of each class of a map by its confusion matrix, 0..1.

    ``precision`` and ``recall`` are those of the class, ``accuracy`` and ``kappa`` those of the whole map. What is
    undefined or negative is 0: the map says nothing there.

    Raises:
        LandloomError: if the matrix cannot be read.
    """
    codes, matrix = read_matrix(path)
    found = scores(matrix)
    values = {
        "precision": found.precision,
        "recall": found.recall,
        "accuracy": np.full(len(codes), found.overall_accuracy),
        "kappa": np.full(len(codes), found.kappa),
    }[belief]
    return {code: max(0.0, float(value)) for code, value in zip(codes, np.nan_to_num(values), strict=True)}


def check_not_output(inputs: Sequence[FuseInput], outputs: Sequence[Path]) -> None:
    """Refuse to write over what is read.

    Raises:
        LandloomError: naming the file.
    """
    read = {os.path.normcase(os.path.realpath(one.path)) for one in inputs}
    for path in outputs:
        if os.path.normcase(os.path.realpath(path)) in read:
            raise LandloomError(tr("{path} is one of MAPS: give the output another name.").format(path=path))
