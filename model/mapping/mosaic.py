"""mosaic: maps of neighbouring tiles, also of other UTM zones, become one map with overviews.

Every map is read where it lies if its pixels are those of the mosaic, else by the nearest of its pixels, so that no
code is made up. Where maps overlap, the pixel of the highest confidence counts; without any, that of the first map.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from osgeo import gdal

from ..base.errors import LandloomError
from ..base.gdalcache import CacheRoom
from ..base.language import tr
from ..base.legend import legend_of
from ..base.nomenclature import HIGHEST_CODE, LandCoverClass, Nomenclature
from ..base.progress import Progress
from ..base.raster import quiet_gdal, read_array
from ..base.words import counted
from ..stack.choosegrid import choose_grid
from ..stack.grid import Grid, Window, place, reproject_bounds, same_crs
from . import outputs
from .chunks import Area
from .classify import CONFIDENCE_NODATA, map_layers
from .fuseinputs import CACHE_MB, FuseInput, check_not_output, common_classes, pieces_of
from .mosaicvrt import write_virtual
from .tilewriter import write_tiles
from .unsure import GREYS, LEVEL_TAG, UNSURE_TAG

_BYTES = 96  # at work for each pixel of a piece


@dataclass(frozen=True)
class Mosaic:
    """What was made.

    Attributes:
        grid: of the map.
        nomenclature: its classes.
        pixels: with a class; 0 of a virtual raster alone, which is not read.
        overlap: of these, how many several maps cover.
    """

    grid: Grid
    nomenclature: Nomenclature
    pixels: int
    overlap: int


class MosaicInput(FuseInput):
    """A raster of one band that is read on the grid of the mosaic.

    Args:
        path: the raster.
        fill: its value where it has no data.
    """

    def __init__(self, path: str | os.PathLike[str], fill: int) -> None:
        super().__init__(path)
        if self.dataset.RasterCount != 1:
            raise LandloomError(
                tr("{path} has {count} bands: give rasters of one band.").format(
                    path=self.path, count=self.dataset.RasterCount
                )
            )
        if not self.grid.crs_wkt:
            raise LandloomError(tr("{path} has no CRS; assign one to it.").format(path=self.path))
        self._fill = fill
        self._nodata = self._declared = self.dataset.GetRasterBand(1).GetNoDataValue()
        self._on_grid = self.dataset
        self._target: Grid | None = None

    def let_go(self) -> None:
        """Free the blocks that GDAL keeps of it."""
        self._on_grid.FlushCache()
        super().let_go()
        self._on_grid = self.dataset
        if self._target is not None:
            self.bring_to(self._target)

    def bring_to(self, grid: Grid) -> None:
        """Read on another grid from now on."""
        self._target = grid
        placed = place(self.grid, grid)
        if placed is not None and placed[1] == 1.0:
            self.window = placed[0]
            return
        bounds = reproject_bounds(self.grid.bounds, self.grid.crs_wkt, grid.crs_wkt)
        self.window = grid.window(bounds).intersection(grid.whole)
        xmin, ymin, xmax, ymax = grid.crop(self.window).bounds
        with quiet_gdal() as messages:
            options = gdal.WarpOptions(
                format="VRT",
                dstSRS=grid.crs_wkt,
                outputBounds=(xmin, ymin, xmax, ymax),
                width=self.window.width,
                height=self.window.height,
                resampleAlg="near",
                errorThreshold=0,
                srcNodata=self._fill if self._declared is None else self._declared,
                dstNodata=self._fill,
            )
            try:
                self._on_grid = gdal.Warp("", self.dataset, options=options)
            except RuntimeError as error:  # when someone switched GDAL's exceptions on
                messages.append(str(error))
                self._on_grid = None
        if self._on_grid is None:
            raise LandloomError(
                tr("{path} cannot be brought to the grid of the mosaic: {reason}. Give another CRS.").format(
                    path=self.path, reason=messages[-1] if messages else tr("GDAL gives no reason")
                )
            )
        self._nodata = self._fill

    def read(self, area: Area) -> np.ndarray | None:
        """``[H, W]`` int32 of an area of the mosaic, the fill where it has nothing; None where it has nothing at all.

        Raises:
            LandloomError: if a value is no whole number from 0 to 65535.
        """
        both = self.window.intersection(Window(*area))
        if not both.width or not both.height:
            return None
        own = (both.column - self.window.column, both.row - self.window.row, both.width, both.height)
        values = read_array(self._on_grid, own, [1])[0]
        silent = ~np.isfinite(values) if self._nodata is None else (values == self._nodata) | ~np.isfinite(values)
        values = np.where(silent, self._fill, values)
        wrong = (values < 0) | (values > HIGHEST_CODE) | (values != np.rint(values))
        if wrong.any():
            raise LandloomError(
                tr(
                    "{path} holds the value {value}, which is no code from 1 to {highest}: give maps of classes."
                ).format(path=self.path, value=values[wrong][0], highest=HIGHEST_CODE)
            )
        result = np.full((area.height, area.width), self._fill, np.int32)
        top, left = both.row - area.row, both.column - area.column
        result[top : top + both.height, left : left + both.width] = values
        return result


class MosaicMap(MosaicInput):
    """A map of class codes, 0 = no data; its class 'unsure' is kept."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        super().__init__(path, 0)
        self.names, self.colors = legend_of(self.dataset)
        unsure = self.dataset.GetMetadataItem(UNSURE_TAG) or ""
        self.unsure = int(unsure) if unsure.isdigit() else 0
        self.level = self.dataset.GetMetadataItem(LEVEL_TAG) or ""

    def codes(self, progress: Progress) -> set[int]:
        """The codes that occur."""
        seen = np.zeros(HIGHEST_CODE + 1, bool)
        room = CacheRoom(CACHE_MB, self.let_go)
        for piece in pieces_of(self.grid, progress):
            found = self.read(piece)
            if found is not None:
                seen[found] = True
            room.check()
        return set((np.flatnonzero(seen[1:]) + 1).tolist())


def mosaic(
    maps: Sequence[str | os.PathLike[str]],
    output: str | os.PathLike[str] | None,
    confidences: Sequence[str | os.PathLike[str]] = (),
    confidence: str | os.PathLike[str] | None = None,
    crs: str | None = None,
    resolution: float | None = None,
    nomenclature: Nomenclature | None = None,
    memory_mb: int = 1024,
    progress: Progress | None = None,
    vrt: str | os.PathLike[str] | None = None,
) -> Mosaic:
    """Join maps to one.

    Args:
        maps: of classes, in any CRS; one alone gets overviews.
        output: a cloud-optimised GeoTIFF, Byte or UInt16 by the largest code, 0 = no data, with overviews, names,
            colours and a style; None for ``vrt`` alone.
        confidences: of each map, in the same order, Byte 0..100; none, or one for each map.
        confidence: that of the mosaic, likewise.
        crs: of the mosaic; by default that of the map with the finest pixels, the first of them.
        resolution: its pixel size; by default that of the finest map.
        nomenclature: names and colours to use; others come from the maps.
        memory_mb: working memory.
        progress: shown, and asked whether to stop.
        vrt: a virtual raster of the maps where they lie, the first on top; see ``mosaicvrt.py``.

    Raises:
        LandloomError: if a map cannot be used, or nothing can be written.
        Cancelled: if the user asked to stop; nothing is left then.
    """
    progress = progress or Progress()
    if not maps:
        raise LandloomError(tr("MAPS is empty: give at least one map."))
    if confidences and len(confidences) != len(maps):
        raise LandloomError(
            tr("CONFIDENCES names {n} rasters for {maps} maps: give one for each, in the order of MAPS.").format(
                n=len(confidences), maps=len(maps)
            )
        )
    if confidence and not (confidences and output):
        raise LandloomError(tr("CONFIDENCE needs CONFIDENCES, the confidence of each map, and OUTPUT."))
    if not output and not vrt:
        raise LandloomError(tr("There is nothing to write: give OUTPUT, VRT, or both."))
    if vrt and Path(vrt).suffix.lower() != ".vrt":
        raise LandloomError(tr("{path} is to be a virtual raster: end its name in .vrt.").format(path=vrt))
    paths = [Path(one) for one in (output, confidence) if one]
    for path in paths:
        if path.suffix.lower() not in (".tif", ".tiff"):
            raise LandloomError(tr("{path} is to be a GeoTIFF: end its name in .tif.").format(path=path))
    outputs.check_outputs(paths)
    labels = [MosaicMap(path) for path in maps]
    sure = [MosaicInput(path, CONFIDENCE_NODATA) for path in confidences]
    check_not_output([*labels, *sure], [*paths, *([Path(vrt)] if vrt else [])])
    codes: set[int] = set()
    for index, one in enumerate(labels):
        codes |= one.codes(progress.part(20.0 * index / len(labels), 20.0 * (index + 1) / len(labels)))
    if not codes:
        raise LandloomError(tr("No map holds a class, all pixels are no data: check MAPS."))
    grid = choose_grid([one.grid for one in labels], crs, resolution)
    elsewhere = sum(not same_crs(one.grid.crs_wkt, grid.crs_wkt) for one in labels)
    progress.info(
        tr("{maps} to {width:,} x {height:,} pixels of {size:g}; {elsewhere} come from another CRS.").format(
            maps=counted(labels, "map"),
            width=grid.width,
            height=grid.height,
            size=grid.resolution[0],
            elsewhere=elsewhere,
        )
    )
    for source in [*labels, *sure]:
        source.bring_to(grid)
    classes, unsure = _classes(labels, sorted(codes), nomenclature, progress)
    layers = map_layers(classes, output or vrt or "", confidence, unsure=unsure)
    levels = {one.level for one in labels}
    if len(levels) == 1 and levels != {""}:
        layers[0] = replace(layers[0], tags={**layers[0].tags, LEVEL_TAG: levels.pop()})
    most = max(outputs.TILE**2, int(memory_mb * 2**20 / 2 / _BYTES))
    room = CacheRoom(memory_mb / 8, *(one.let_go for one in [*labels, *sure]))
    pixels = overlap = 0

    def values(piece: Area) -> dict[str, np.ndarray]:
        nonlocal pixels, overlap
        joined, trust, times = _join(labels, sure, piece)
        pixels += int((times > 0).sum())
        overlap += int((times > 1).sum())
        room.check()
        return {"map": joined, "confidence": trust}

    if output:
        write_tiles(layers, grid, values, most, progress.part(20, 100))
    if vrt:
        if confidences:
            progress.info(tr("VRT shows the first map where several overlap: CONFIDENCES count in OUTPUT alone."))
        write_virtual(replace(layers[0], path=Path(vrt)), grid, labels, progress)
    whole = Nomenclature((*classes, unsure)) if unsure else classes
    return Mosaic(grid, whole, pixels, overlap)


def _join(
    labels: Sequence[MosaicMap], sure: Sequence[MosaicInput], piece: Area
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Codes, confidence and the number of maps with a class of an area, ``[H, W]`` each."""
    shape = (piece.height, piece.width)
    joined = np.zeros(shape, np.int32)
    best = np.full(shape, -1, np.int32)
    trust = np.full(shape, CONFIDENCE_NODATA, np.int32)
    times = np.zeros(shape, np.int32)
    for index, one in enumerate(labels):
        codes = one.read(piece)
        if codes is None:
            continue
        there = codes > 0
        times += there
        own = sure[index].read(piece) if sure else None
        if own is None:
            own = np.full(shape, CONFIDENCE_NODATA, np.int32)
        known = np.where(own == CONFIDENCE_NODATA, 0, own)
        wins = there & (known > best)
        joined[wins], best[wins], trust[wins] = codes[wins], known[wins], own[wins]
    return joined, trust, times


def _classes(
    labels: Sequence[MosaicMap], codes: Sequence[int], known: Nomenclature | None, progress: Progress
) -> tuple[Nomenclature, LandCoverClass | None]:
    """The classes, and the one of unsure pixels where the maps have one and the same code for it."""
    unsure = {one.unsure for one in labels} - {0}
    every = common_classes(labels, codes, known, progress)
    if len(unsure) != 1:
        return every, None
    code = unsure.pop()
    rest = Nomenclature(tuple(one for one in every if one.code != code))
    if not len(rest):
        return every, None
    name = next((one.names[code] for one in labels if code in one.names), tr("unsure"))
    color = next((one.colors[code] for one in labels if code in one.colors), GREYS[0])
    return rest, LandCoverClass(code, name, color)
