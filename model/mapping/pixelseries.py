"""What a stack, a model and samples know of one pixel: its series with masks, what fills the gaps, and its classes."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from ..base import charts
from ..base.errors import LandloomError
from ..base.language import tr
from ..base.nomenclature import Nomenclature
from ..samples.curves import Curve, measure_curves, quantity, quantity_title
from ..stack.gapfill import gapfill, target_days
from ..stack.grid import Window
from ..stack.manifest import Stack
from ..stack.reader import StackReader

if TYPE_CHECKING:
    from ..base.progress import Progress
    from ..networks.predictor import Predictor
    from ..samples.store import SampleStore
    from ..stack.sensors import SensorSpec

Line = np.ndarray | tuple[np.ndarray, ...]  # values, or values with a band
VALID, MASKED, FILLED, CLASS = "#2f6f4f", "#c4622d", "#3b6fb6", "#8a4fa3"


@dataclass(frozen=True)
class SensorSeries:
    """One quantity of one sensor at a pixel.

    Attributes:
        sensor: its name.
        title: ``NDVI`` or ``VH (dB)``.
        days: ``[T]`` from the season's start.
        dates: ``[T]`` as ``YYYY-MM-DD``.
        values: ``[T]``, also of masked dates, NaN where the files hold nothing.
        mask: ``[T]``, True = valid.
        filled_days, filled: ``[S]``, the values that networks with regular dates read; empty without a valid date.
    """

    sensor: str
    title: str
    days: np.ndarray
    dates: tuple[str, ...]
    values: np.ndarray
    mask: np.ndarray
    filled_days: np.ndarray
    filled: np.ndarray


@dataclass(frozen=True)
class PixelSeries:
    """A pixel.

    Attributes:
        column, row: in the stack's grid.
        sensors: those with NDVI or VH.
        nomenclature, probabilities: classes of the model and ``[K]``; None without a model or valid date.
    """

    column: int
    row: int
    sensors: list[SensorSeries]
    nomenclature: Nomenclature | None = None
    probabilities: np.ndarray | None = None


@dataclass
class ClassCurves:
    """Usual curves of the classes of a sample folder.

    Attributes:
        nomenclature: their classes.
        curves: sensor's title (``NDVI`` ...) -> curve by class.
    """

    nomenclature: Nomenclature
    curves: dict[str, Curve] = field(default_factory=dict)


def class_curves(store: SampleStore, progress: Progress) -> ClassCurves:
    """Usual curves, to be kept while pixels are looked at: measuring takes seconds."""
    found = measure_curves(store, progress)
    return ClassCurves(store.nomenclature, {one.title.partition(",")[0]: one for one in found.curves})


def pixel_at(stack: Stack, x: float, y: float) -> tuple[int, int]:
    """Column and row of a place.

    Args:
        stack: whose grid counts.
        x: easting or longitude in the CRS of the stack.
        y: northing or latitude.

    Raises:
        LandloomError: if the place is outside.
    """
    grid = stack.grid
    column = int(np.floor((x - grid.transform[0]) / grid.transform[1]))
    row = int(np.floor((y - grid.transform[3]) / grid.transform[5]))
    if not (0 <= column < grid.width and 0 <= row < grid.height):
        raise LandloomError(tr("The place is outside the stack: click within it."))
    return column, row


def pixel_series(
    stack: Stack | str | os.PathLike[str], column: int, row: int, predictor: Predictor | None = None, step: int = 10
) -> PixelSeries:
    """Read a pixel.

    Args:
        stack: the stack or its file.
        column: of the pixel.
        row: of the pixel.
        predictor: gives class probabilities; its model must fit the stack.
        step: days between filled values, as in training.

    Raises:
        LandloomError: if files are missing or changed, or the model does not fit.
    """
    sensors = []
    with StackReader(stack, as_stored=False) as reader:
        window = Window(column, row, 1, 1)
        read = reader.read(window)
        for name, series in read.items():
            spec = reader.specs[name]
            title = quantity_title(spec)
            if title:
                sensors.append(_sensor(spec, title, quantity(spec, series), step))
        probabilities, nomenclature = None, None
        if predictor is not None:
            predictor.check_fits(reader.specs)
            batch = reader.read(window, predictor.halo) if predictor.halo else read
            seen = any(series.mask[:, :, predictor.halo, predictor.halo].any() for series in batch.values())
            if seen:
                probabilities = predictor.predict(batch)[0, :, 0, 0]
                nomenclature = predictor.model.header.nomenclature
    return PixelSeries(column, row, sensors, nomenclature, probabilities)


def _sensor(spec: SensorSpec, title: str, found: tuple[np.ndarray, np.ndarray], step: int) -> SensorSeries:
    values, mask = found[0][0].astype(np.float32), found[1][0]
    days = np.asarray(spec.days)
    targets = np.asarray(target_days(spec.days, step)) if mask.any() else np.zeros(0, int)
    filled = np.zeros(0, np.float32)
    if len(targets):
        planes = np.where(mask, values, 0)[None, :, None, None, None]
        filled = gapfill(planes, mask[None, :, None, None], days, targets)[0][0, :, 0, 0, 0]
    return SensorSeries(spec.name, title, days, spec.dates, values, mask, targets, filled)


def pixel_charts(
    pixel: PixelSeries, curves: ClassCurves | None = None, shown: int = 2, first_day: str = ""
) -> list[str]:
    """The pixel as SVG pictures: a chart a sensor, and one of the classes.

    Args:
        pixel: from :func:`pixel_series`.
        curves: usual curves to compare with: those of the likeliest classes are drawn, or without a model those
            that come nearest to the pixel.
        shown: how many of them.
        first_day: date of day 0, named under the axis.
    """
    pictures = []
    names = _likeliest(pixel, shown) or ([] if curves is None else _nearest(pixel, curves, shown))
    for one in pixel.sensors:
        x, series, colors = _lines(one)
        curve = curves.curves.get(one.title) if curves is not None else None
        if curve is not None and curves is not None:
            for name, color in zip(names, (CLASS, "#b59b1f"), strict=False):
                if name not in curves.nomenclature.names:
                    continue
                k = curves.nomenclature.names.index(name)
                both = np.union1d(x, curve.days)
                series = {label: _on(both, x, line) for label, line in series.items()}
                mean, low, high = (_between(both, curve.days, part[k]) for part in (curve.mean, curve.low, curve.high))
                series[tr("usual: {name}").format(name=name)] = (mean, low, high)
                colors.append(color)
                x = both
        label = tr("days from the season's start")
        if first_day:
            label = tr("days from {date}").format(date=first_day)
        pictures.append(charts.lines(f"{one.sensor}: {one.title}", x.tolist(), series, label, one.title, colors))
    if pixel.probabilities is not None and pixel.nomenclature is not None:
        percent = [round(100 * float(p), 1) for p in pixel.probabilities]
        pictures.append(
            charts.bars(
                tr("Class probabilities"), pixel.nomenclature.names, percent, "%", colors=pixel.nomenclature.colors
            )
        )
    return pictures


def _likeliest(pixel: PixelSeries, count: int) -> list[str]:
    if pixel.probabilities is None or pixel.nomenclature is None:
        return []
    return [pixel.nomenclature.names[k] for k in np.argsort(-pixel.probabilities, kind="stable")[:count]]


def _nearest(pixel: PixelSeries, curves: ClassCurves, count: int) -> list[str]:
    """The classes whose usual curves come nearest to the valid values, in widths of their usual spread."""
    names = curves.nomenclature.names
    sums, dates = np.zeros(len(names)), np.zeros(len(names), int)
    for one in pixel.sensors:
        curve = curves.curves.get(one.title)
        if curve is None or not one.mask.any():
            continue
        days, values = one.days[one.mask], one.values[one.mask]
        for k in range(len(names)):
            mean, low, high = (_between(days, curve.days, part[k]) for part in (curve.mean, curve.low, curve.high))
            apart = np.abs(values - mean) / np.maximum(high - low, 1e-6)
            known = np.isfinite(apart)
            sums[k] += np.minimum(apart[known], 10.0).sum()  # one odd date does not decide
            dates[k] += known.sum()
    order = [int(k) for k in np.argsort(sums / np.maximum(dates, 1), kind="stable") if dates[k]]
    return [names[k] for k in order[:count]]


def _lines(one: SensorSeries) -> tuple[np.ndarray, dict[str, Line], list[str]]:
    """Valid and masked dates as dots, and the filled series as a line, over one axis of days."""
    days = np.unique(np.concatenate([one.days, one.filled_days]).astype(float))
    # Between any two days a place without value, so that dates are dots and not joined to a line.
    x = np.unique(np.concatenate([days, (days[1:] + days[:-1]) / 2]))
    series: dict[str, Line] = {}
    colors = []
    for label, chosen, color in ((tr("valid"), one.mask, VALID), (tr("masked"), ~one.mask, MASKED)):
        line = np.full(len(x), np.nan)
        line[np.searchsorted(x, one.days[chosen])] = one.values[chosen]
        series[label] = line
        colors.append(color)
    if len(one.filled_days):
        series[tr("filled")] = _between(x, one.filled_days, one.filled)
        colors.append(FILLED)
    return x, series, colors


def _between(x: np.ndarray, days: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Linear interpolation inside the known days, NaN outside and where nothing is known."""
    known = np.isfinite(values)
    if not known.any():
        return np.full(len(x), np.nan)
    result = np.interp(x, np.asarray(days)[known], np.asarray(values)[known])
    outside = (x < np.asarray(days)[known][0]) | (x > np.asarray(days)[known][-1])
    return np.where(outside, np.nan, result)


def _on(
    x: np.ndarray, own: np.ndarray, line: np.ndarray | tuple[np.ndarray, ...]
) -> np.ndarray | tuple[np.ndarray, ...]:
    """A line at more places: dots stay dots, lines are interpolated."""
    if isinstance(line, tuple):
        return tuple(_between(x, own, part) for part in line)
    if np.isfinite(line).sum() > 0.9 * len(line):
        return _between(x, own, line)
    result = np.full(len(x), np.nan)
    result[np.searchsorted(x, own)] = line
    return result
