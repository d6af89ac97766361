"""How the dates of a stack are shown one after the other: each with its time, all of a sensor in the same colours."""

from __future__ import annotations

import datetime
import itertools
import os
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..base.errors import LandloomError
from ..base.language import tr
from ..base.progress import Progress
from ..base.raster import open_raster, quiet_gdal, read_array, reading_failed
from .grid import Grid, Window
from .indices import find_role
from .manifest import Acquisition, Part, Sensor, Stack
from .maskrules import valid_values
from .sensors import OPTICAL, RADAR, STATIC
from .thumbnail import is_cheap

TRUE, FALSE = "true", "false"
COLOURS = (TRUE, FALSE)
_ROLES = {TRUE: ("RED", "GREEN", "BLUE"), FALSE: ("NIR", "RED", "GREEN")}
_ORDER = {OPTICAL: 0, RADAR: 1, STATIC: 2}
_SAMPLED = 8  # dates that are looked at for the stretch
_SIDE = 256  # pixels along a side of what is read of them
_LOW, _HIGH = 2.0, 98.0


@dataclass(frozen=True)
class DatedImage:
    """A product as it is shown.

    Attributes:
        path: its virtual raster.
        title: sensor and date, and the product where a date has several.
        first: its day, ISO; empty for a static layer.
        last: the last day on which it is the newest, ISO; empty likewise.
        bands: numbers of its bands, from 1: three for red, green and blue, or one for grey.
    """

    path: str
    title: str
    first: str
    last: str
    bands: tuple[int, ...]


@dataclass(frozen=True)
class SensorView:
    """The images of a sensor.

    Attributes:
        sensor: its name.
        bands: names of the bands shown.
        images: by date, the oldest first.
        stretch: for each band shown, the value shown dark and the one shown bright, for all dates.
        nodata: stored value that is no data, None where there is none.
    """

    sensor: str
    bands: tuple[str, ...]
    images: tuple[DatedImage, ...]
    stretch: tuple[tuple[float, float], ...]
    nodata: float | None


def shown_bands(sensor: Sensor, colours: str = TRUE) -> tuple[str, ...]:
    """Three bands for red, green and blue, or one for grey.

    Radar is shown as co-, cross- and co-polarised, which keeps forest, fields and water apart.
    """
    if sensor.kind == RADAR:
        return (sensor.bands[0], sensor.bands[1], sensor.bands[0]) if len(sensor.bands) > 1 else sensor.bands[:1]
    for choice in (colours, *(one for one in COLOURS if one != colours)):
        places = [find_role(sensor.bands, role) for role in _ROLES[choice]]
        known = [place for place in places if place is not None]
        if len(known) == 3:
            return tuple(sensor.bands[place] for place in known)
    return sensor.bands[:3] if len(sensor.bands) >= 3 else sensor.bands[:1]


def views_of(
    stack: Stack,
    sensors: Sequence[str] | None = None,
    start: str = "",
    end: str = "",
    colours: str = TRUE,
    progress: Progress | None = None,
) -> list[SensorView]:
    """What is shown of a stack, optical sensors first.

    Args:
        stack: whose dates are shown.
        sensors: as :meth:`Stack.choose` takes them; all by default.
        start: first day, ISO; empty for no limit.
        end: last day, likewise.
        colours: ``true`` or ``false`` for optical sensors, where they have the bands.
        progress: asked whether to stop.

    Raises:
        LandloomError: if days are no dates, a sensor is not there, no date is left, or a raster cannot be read.
    """
    progress = progress or Progress()
    for name, day in (("START", start), ("END", end)):
        if day:
            _check_day(name, day)
    views = []
    chosen = stack.choose(list(sensors) if sensors else None)
    chosen.sort(key=lambda name: _ORDER.get(stack.sensor(name).kind, len(_ORDER)))  # each kind as in the stack
    for number, name in enumerate(chosen):
        own = stack.sensor(name)
        kept = [
            one
            for one in own.complete
            if not one.date or ((not start or one.date >= start) and (not end or one.date <= end))
        ]
        if not kept:
            progress.warning(tr("{name} has no date that is asked for.").format(name=name))
            continue
        step = progress.part(100.0 * number / len(chosen), 100.0 * (number + 1) / len(chosen))
        views.append(_view(stack, own, kept, colours, step))
    if not any(image.first for view in views for image in view.images):
        raise LandloomError(
            tr("The stack {path} has no date that is asked for: check SENSORS, START and END.").format(path=stack.path)
        )
    return views


def _check_day(name: str, day: str) -> None:
    try:
        good = datetime.date.fromisoformat(day).isoformat() == day
    except ValueError:
        good = False
    if not good:
        raise LandloomError(tr("{name} is '{day}': write a day as 2021-06-30.").format(name=name, day=day))


def _view(stack: Stack, sensor: Sensor, kept: list[Acquisition], colours: str, progress: Progress) -> SensorView:
    bands = shown_bands(sensor, colours)
    images = []
    for acquisition, last in zip(kept, last_days([one.date for one in kept]), strict=True):
        parts = [part for part in acquisition.parts if all(band in part.bands for band in bands)]
        for part in parts:
            if not part.data or not os.path.exists(part.data):
                raise LandloomError(
                    tr("{product} of {sensor} has no virtual raster: make the stack again.").format(
                        product=part.product, sensor=sensor.name
                    )
                )
            names = list(part.bands)
            title = f"{sensor.name} {acquisition.date}".strip()
            if len(parts) > 1:
                title += f" ({part.product})"
            numbers = tuple(names.index(band) + 1 for band in bands)
            images.append(DatedImage(part.data, title, acquisition.date, last, numbers))
    return SensorView(sensor.name, bands, tuple(images), _stretch(stack, sensor, kept, bands, progress), sensor.nodata)


def last_days(dates: Sequence[str]) -> list[str]:
    """The day before the next date of each date; the last one lasts as long as dates lie apart, by their median.

    Args:
        dates: ISO, in order; an empty text (a static layer) has no last day.
    """
    days = [datetime.date.fromisoformat(one) for one in dates if one]
    gaps = [(after - before).days for before, after in itertools.pairwise(days)]
    usual = max(1, round(statistics.median(gaps))) if gaps else 1
    ends = [after - datetime.timedelta(days=1) for after in days[1:]]
    if days:
        ends.append(days[-1] + datetime.timedelta(days=usual - 1))
    found = iter(ends)
    return [next(found).isoformat() if one else "" for one in dates]


def _stretch(
    stack: Stack, sensor: Sensor, kept: list[Acquisition], bands: tuple[str, ...], progress: Progress
) -> tuple[tuple[float, float], ...]:
    """The 2nd and the 98th percentile of the valid values of some dates: one stretch for all, so that change shows."""
    places = np.unique(np.linspace(0, len(kept) - 1, min(_SAMPLED, len(kept))).round().astype(int))
    clear: list[list[np.ndarray]] = [[] for _ in bands]
    any_data: list[list[np.ndarray]] = [[] for _ in bands]
    for done, place in enumerate(places):
        progress.percent(100.0 * done / len(places))
        acquisition = kept[int(place)]
        whole = is_cheap(stack, sensor, acquisition)
        for part in acquisition.parts:
            progress.check()
            if not all(band in part.bands for band in bands):
                continue
            values, holds, valid = _sample(stack.grid, sensor, part, bands, whole)
            for index in range(len(bands)):
                any_data[index].append(values[index][holds])
                clear[index].append(values[index][holds & valid])
    found = []
    for with_masks, without in zip(clear, any_data, strict=True):
        known = np.concatenate(with_masks) if any(len(one) for one in with_masks) else np.concatenate(without)
        low, high = np.percentile(known, (_LOW, _HIGH)) if known.size else (0.0, 1.0)
        found.append((float(low), float(high) if high > low else float(low) + 1.0))
    return tuple(found)


def _sample(
    grid: Grid, sensor: Sensor, part: Part, bands: tuple[str, ...], whole: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """``[C, H, W]`` values of a part as they are stored, and where they are data and valid.

    ``whole``: all of it at a small size; else the middle at its own, where the former would take long.
    """
    side = 2 * _SIDE
    if whole:
        window = None
    else:
        width, height = min(side, grid.width), min(side, grid.height)
        window = Window((grid.width - width) // 2, (grid.height - height) // 2, width, height)
    names = list(part.bands)
    dataset = open_raster(part.data)
    values = _read(part.data, [names.index(band) + 1 for band in bands], window)
    holds = np.isfinite(values).all(axis=0)
    for one in (sensor.nodata, dataset.GetRasterBand(1).GetNoDataValue()):
        if one is not None:
            holds &= (values != one).all(axis=0)
    valid = np.ones(holds.shape, bool)
    for rule in part.masks:
        valid &= valid_values(rule, _read(rule.raster, [1], window)[0])
    return values, holds, valid


def _read(path: str, bands: Sequence[int], window: Window | None) -> np.ndarray:
    """``[C, H, W]`` of a window, or of the whole at a small size: the nearest pixels.

    Raises:
        LandloomError: naming the file that cannot be read.
    """
    dataset = open_raster(path)
    if window is not None:
        return read_array(dataset, (*window,), bands)
    step = max(1.0, max(dataset.RasterXSize, dataset.RasterYSize) / _SIDE)
    width, height = max(1, round(dataset.RasterXSize / step)), max(1, round(dataset.RasterYSize / step))
    with quiet_gdal() as messages:
        try:
            read = [dataset.GetRasterBand(one).ReadAsArray(buf_xsize=width, buf_ysize=height) for one in bands]
        except RuntimeError as error:  # when someone switched GDAL's exceptions on
            messages.append(str(error))
            read = [None]
    if any(one is None for one in read):
        raise reading_failed(path, messages)
    return np.stack(read)
