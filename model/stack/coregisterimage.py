"""coregister for one image, such as SPOT or Pléiades: a virtual raster that lies where the reference says.

Image and reference are compared in the larger of their pixels. The image keeps its values: only its place changes, so
that shifts of any fraction of a pixel cost nothing.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
from osgeo import gdal, osr

from ..base.errors import LandloomError
from ..base.files import check_writable, whole_file
from ..base.language import tr
from ..base.progress import Progress
from ..base.raster import gdal_cannot_write, open_raster, quiet_gdal, spatial_reference
from ..base.words import counted
from .composite import percentile
from .coregister import (
    DateShift,
    decide,
    measuring_band,
    metres,
    peaks,
    place_windows,
    tell,
)
from .coregisterreference import CoregisterSettings, Picture, check_settings
from .correlation import combine, edges, margin
from .grid import Grid, Window, grid_of_bounds, reproject_bounds, same_crs
from .manifest import Stack
from .rasterinfo import RasterInfo, inspect
from .rasterwindows import RasterWindows, band_number, common_window
from .reader import StackReader
from .shift import NONE

_MOST_DATES = 20


def coregister_image(
    image: str | os.PathLike[str],
    output: str | os.PathLike[str],
    settings: CoregisterSettings,
    stack: Stack | str | os.PathLike[str] | None = None,
    progress: Progress | None = None,
) -> DateShift:
    """Measure the shift of an image and write a VRT of it in the right place.

    Args:
        image: the raster to move.
        output: the ``.vrt``; the image as it is where no shift is applied.
        settings: ``reference`` names a raster; without it the stack's sensor is the reference, by the median of dates.
        stack: used without a reference raster.
        progress: told what was found, and asked whether to stop.

    Raises:
        LandloomError: if image and reference do not overlap or cannot be read, or nothing can be written.
    """
    progress = progress or Progress()
    check_settings(settings)
    if Path(output).suffix.lower() != ".vrt":
        raise LandloomError(
            tr("OUTPUT {output} is to be the image in its new place: end its name in .vrt.").format(output=output)
        )
    check_writable(output)
    info = inspect(image)
    number = band_number(info, settings.band, "BAND")
    with _Reference(info, number, settings, stack) as reference:
        grid = reference.grid
        within = common_window(grid, info.grid, reference.bounds)
        if not within.width or not within.height:
            raise LandloomError(
                tr("{image} and the reference {text} do not overlap; check their CRS and place.").format(
                    image=image, text=reference.text
                )
            )
        windows = place_windows(grid, settings, within)
        size = windows[0].width
        reach = max(margin(size), int(np.ceil(settings.max_shift)) + 2)
        moving = RasterWindows(image, number, grid)
        progress.info(
            tr("{file}: band {number}, {windows} of {size} pixels of {resolution:g} m, against {text}.").format(
                file=Path(image).name,
                number=number,
                windows=counted(windows, "window"),
                size=size,
                resolution=grid.resolution[0] * grid.metres_per_unit,
                text=reference.text,
            )
        )
        shifts: list[tuple[float, float] | None] = []
        for done, window in enumerate(windows):
            progress.check()
            wide = window.grown(reach)
            picture, there = moving.read(wide), reference.read(wide, progress)
            if picture[1].any() and there[1].any():
                shifts += peaks(edges(*there), edges(*picture), reach)
            progress.percent(95 * (done + 1) / len(windows))
        measured = combine(shifts)
        outcome, total = decide(measured, NONE, replace(settings, min_shift=0.0))
        if outcome == "applied" and measured.length < settings.min_shift:
            outcome, total = "small", NONE
        name = Path(image).name
        row = DateShift(name, "", measured, *metres(grid, measured), total, outcome, reference.text)
        tell(name, [row], settings, progress)
        _write(info, output, grid, within, total if row.applied else NONE)
    progress.percent(100)
    return row


class _Reference:
    """A raster, or the median of a sensor's dates, on the grid of comparison; a context manager."""

    def __init__(
        self, info: RasterInfo, number: int, settings: CoregisterSettings, stack: Stack | str | os.PathLike[str] | None
    ) -> None:
        self._reader: StackReader | None = None
        if settings.reference:
            there = inspect(settings.reference)
            wanted, name = settings.reference_band, info.descriptions[number - 1]
            if not wanted and name and name.lower() in (one.lower() for one in there.descriptions):
                wanted = name
            band = band_number(there, wanted, "REFERENCE_BAND")
            self.bounds, self.grid = there.grid, coarser(there.grid, info.grid)
            self._raster = RasterWindows(settings.reference, band, self.grid)
            self.text = f"{Path(settings.reference).name}, " + tr("band {number}").format(number=band)
            return
        if stack is None:
            raise LandloomError(tr("REFERENCE is missing: give a raster, or a STACK whose sensor is the reference."))
        stack = stack if isinstance(stack, Stack) else Stack.read(stack)
        names = stack.choose(settings.sensors)
        if len(names) > 1:
            raise LandloomError(
                tr("SENSOR means {names}; choose the one that is the reference.").format(names=", ".join(names))
            )
        name = names[0]
        band_name = measuring_band(stack.sensors[name], settings.reference_band, "REFERENCE_BAND")
        self.bounds = self.grid = stack.grid
        self._name = name
        self._reader = StackReader(stack, [name], {name: [band_name]}, settings.memory_mb, as_stored=True)
        dates = stack.spec(name).dates
        if settings.reference_date and settings.reference_date not in dates:
            raise LandloomError(
                tr("REFERENCE_DATE {reference_date} is no date of {name}; it has {dates}.").format(
                    reference_date=settings.reference_date, name=name, dates=", ".join(dates)
                )
            )
        if settings.reference_date:
            self._dates = [dates.index(settings.reference_date)]
            self.text = tr("{sensor} of {date}").format(sensor=name, date=settings.reference_date)
        else:
            self._dates = sorted(set(np.linspace(0, len(dates) - 1, _MOST_DATES).round().astype(int).tolist()))
            self.text = tr("the median of {sensor}, band {band}").format(sensor=name, band=band_name)

    def __enter__(self) -> _Reference:
        return self

    def __exit__(self, *_: object) -> None:
        if self._reader is not None:
            self._reader.close()

    def read(self, window: Window, progress: Progress) -> Picture:
        if self._reader is None:
            return self._raster.read(window)
        values, valid = [], []
        for index in self._dates:
            progress.check()
            series = self._reader.read_dates(self._name, window, [index])
            values.append(series.values[0, 0, 0].astype(np.float32))
            valid.append(series.mask[0, 0])
        self._reader.let_go()
        some = np.any(valid, axis=0)
        return np.where(some, percentile(np.stack(values), np.stack(valid), 50.0), np.float32(0)), some


def coarser(reference: Grid, image: Grid) -> Grid:
    """The grid of comparison: the reference's, or in its CRS one of the image's pixels where these are larger."""
    ours = reference.resolution[0] * reference.metres_per_unit
    theirs = image.resolution[0] * image.metres_per_unit
    if theirs <= 1.01 * ours:
        return reference
    if same_crs(reference.crs_wkt, image.crs_wkt):
        return image
    size = theirs / reference.metres_per_unit
    bounds = reproject_bounds(image.bounds, image.crs_wkt, reference.crs_wkt)
    return grid_of_bounds(bounds, reference.crs_wkt, (size, size), (0.0, 0.0))


def _write(
    info: RasterInfo, output: str | os.PathLike[str], grid: Grid, within: Window, shift: tuple[float, float]
) -> None:
    """The image as a VRT, moved by pixels of the grid of comparison."""
    east, north = shift[0] * grid.transform[1], shift[1] * grid.transform[5]
    xmin, ymin, xmax, ymax = grid.crop(within).bounds
    x, y = (xmin + xmax) / 2, (ymin + ymax) / 2
    if not same_crs(grid.crs_wkt, info.grid.crs_wkt):
        change = osr.CoordinateTransformation(spatial_reference(grid.crs_wkt), spatial_reference(info.grid.crs_wkt))
        before, after = change.TransformPoint(x, y)[:2], change.TransformPoint(x + east, y + north)[:2]
        east, north = after[0] - before[0], after[1] - before[1]
    transform = list(info.grid.transform)
    transform[0] += east
    transform[3] += north
    with whole_file(output) as temporary, quiet_gdal() as messages:
        try:
            dataset = gdal.GetDriverByName("VRT").CreateCopy(str(temporary), open_raster(info.path))
            if dataset is not None:
                dataset.SetGeoTransform(transform)
                dataset.FlushCache()
            dataset = None
        except RuntimeError as error:  # when someone switched GDAL's exceptions on
            messages.append(str(error))
        if not temporary.exists():
            raise gdal_cannot_write(output, messages)
