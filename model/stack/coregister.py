"""coregister: the shift of each date of a sensor to a reference, measured in windows and stored for reading.

What dates are compared with is in :mod:`.coregisterreference`, how two windows are in :mod:`.correlation`, and what
reading does with a shift in :mod:`.shift`.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ..base.errors import LandloomError
from ..base.language import mark, tr
from ..base.progress import Progress
from ..base.words import counted
from .build import RasterInfos, building
from .copying import copying
from .coregisterreference import SMALLEST_WINDOW, CoregisterSettings, Picture, Reference, check_settings
from .correlation import MIN_WINDOWS, SMOOTHING, Measured, combine, edges, margin, window_shift
from .grid import Grid, Window
from .manifest import Acquisition, Sensor, Stack
from .reader import StackReader
from .sensors import RADAR, STATIC
from .shift import NONE, Shift, rounded, shift_or_none
from .units import decibels, power

_BANDS = ("B8", "B08", "NIR", "B4", "B04", "RED")

REASONS = {
    "applied": mark("applied"),
    "reference": mark("the reference"),
    "few": mark("too few windows with enough valid pixels"),
    "disagree": mark("windows do not agree"),
    "large": mark("longer than MAX_SHIFT"),
    "small": mark("below MIN_SHIFT"),
}


@dataclass(frozen=True)
class DateShift:
    """One date, or an image: what was measured and what was done.

    Attributes:
        sensor: its sensor; of an image its name.
        date: ISO; empty for an image.
        measured: the shift to the reference, pixels of the grid.
        east: the same in metres.
        north: the same in metres.
        total: what is stored for reading, with a shift that was there before; pixels.
        outcome: a key of :data:`REASONS`.
        reference: what it was compared with.
    """

    sensor: str
    date: str
    measured: Measured
    east: float
    north: float
    total: Shift
    outcome: str
    reference: str

    @property
    def applied(self) -> bool:
        """Whether reading moves it."""
        return self.outcome == "applied"

    @property
    def label(self) -> str:
        """Sensor and date, for people."""
        return " ".join(text for text in (self.sensor, self.date) if text)


def coregister(
    stack: Stack | str | os.PathLike[str],
    output: str | os.PathLike[str],
    settings: CoregisterSettings,
    progress: Progress | None = None,
) -> tuple[Stack, list[DateShift]]:
    """Measure the shifts of a stack's sensors and write a stack that is read with them.

    Raises:
        LandloomError: if a sensor, band, date or the reference is not there, or nothing can be written.
    """
    progress = progress or Progress()
    stack = stack if isinstance(stack, Stack) else Stack.read(stack)
    check_settings(settings)
    names = _sensors(stack, settings)
    result, rows = stack, []
    for number, name in enumerate(names):
        share = 90 / len(names)
        part = progress.part(number * share, (number + 1) * share)
        found = measure_sensor(stack, name, settings, part)
        sensor, done = apply(stack.sensors[name], found, stack.grid, settings)
        rows += done
        result = result.with_sensor(sensor)
        tell(name, done, settings, progress)
    result = replace(result, path=Path(os.path.abspath(output)))
    with (
        building(result, progress.part(90, 92 if settings.copy else 100), RasterInfos()) as build,
        copying(build, build.stack, settings.copy, {}, progress.part(92, 100)) as (final, chosen),
    ):
        return final.commit(chosen), rows


def measure_sensor(
    stack: Stack, name: str, settings: CoregisterSettings, progress: Progress
) -> dict[str, tuple[Measured, str]]:
    """The shift of every date of a sensor, with the name of what it was compared with (empty: it is the reference)."""
    sensor = stack.sensors[name]
    spec = sensor.spec
    band = measuring_band(sensor, settings.band)
    windows = place_windows(stack.grid, settings, size=settings.window * (2 if spec.kind == RADAR else 1))
    size = windows[0].width
    reach = max(margin(size), int(np.ceil(settings.max_shift)) + 2)
    smoothing = SMOOTHING.get(spec.kind, 1.0)
    shifts: list[list[tuple[float, float] | None]] = [[] for _ in spec.dates]
    with StackReader(stack, [name], {name: [band]}, settings.memory_mb, as_stored=True) as reader:

        def read(index: int, window: Window) -> Picture:
            series = reader.read_dates(name, window, [index])
            values, valid = series.values[0, 0, 0], series.mask[0, 0]
            if spec.kind == RADAR:
                values = decibels(power(values, reader.specs[name]))
            return values.astype(np.float32), valid

        source = Reference(stack, name, settings, band, read, windows, progress)
        progress.info(
            tr("{name}: {dates}, band {band}, {windows} of {size} pixels, against {text}.").format(
                name=name,
                dates=counted(spec.dates, "date"),
                band=band,
                windows=counted(windows, "window"),
                size=size,
                text=source.text,
            )
        )
        for number, window in enumerate(windows):
            before, there = None, None
            for index, picture, reference in source.pairs(window.grown(reach), progress):
                progress.check()
                if there is None or reference is not before:
                    before, there = reference, edges(*reference, smoothing)
                shifts[index] += peaks(there, edges(*picture, smoothing), reach)
            reader.let_go()
            progress.percent(100 * (number + 1) / len(windows))
    return {
        date: (combine(shifts[index]), "" if index == source.index else source.text)
        for index, date in enumerate(spec.dates)
    }


def peaks(reference: Picture, picture: Picture, reach: int) -> list[tuple[float, float] | None]:
    """The shift of a window; None for one out of reach; nothing where too little is valid."""
    try:
        shift = window_shift(reference, picture, reach)
    except ValueError:
        return [None]
    return [] if shift is None else [shift]


def apply(
    sensor: Sensor, found: dict[str, tuple[Measured, str]], grid: Grid, settings: CoregisterSettings
) -> tuple[Sensor, list[DateShift]]:
    """The sensor with the shifts that are to be applied, and a line for each date."""
    acquisitions, rows = [], []
    for acquisition in sensor.acquisitions:
        if acquisition.date not in found:
            acquisitions.append(acquisition)
            continue
        measured, reference = found[acquisition.date]
        moved, total, outcome = _applied(acquisition, measured, not reference, settings)
        acquisitions.append(moved)
        east, north = metres(grid, measured)
        rows.append(DateShift(sensor.name, acquisition.date, measured, east, north, total, outcome, reference))
    return replace(sensor, acquisitions=tuple(acquisitions)), rows


def _applied(
    acquisition: Acquisition, measured: Measured, is_reference: bool, settings: CoregisterSettings
) -> tuple[Acquisition, Shift, str]:
    """The date moved, or as it was; the shift of its first part; and the outcome."""
    before = [shift_or_none(part.shift) for part in acquisition.parts]
    outcomes = [("reference", before[0]) if is_reference else decide(measured, shift, settings) for shift in before]
    outcome = max((one for one, _ in outcomes), key=lambda one: one != "applied")
    if outcome != "applied":  # of parts that were moved differently all are moved, or none
        return acquisition, before[0], outcome
    totals = [total for _, total in outcomes]
    parts = tuple(
        replace(part, shift=None if total == NONE else total)
        for part, total in zip(acquisition.parts, totals, strict=True)
    )
    return replace(acquisition, parts=parts), totals[0], outcome


def decide(measured: Measured, before: Shift, settings: CoregisterSettings) -> tuple[str, Shift]:
    """Whether a shift is applied, and what is then stored.

    What lies within MIN_SHIFT of whole pixels is rounded to them, since whole pixels need no resampling.

    Args:
        measured: what is left after ``before``.
        before: a shift that reading applied already.
        settings: the limits.

    Returns:
        a key of :data:`REASONS`, and the sum of both shifts, or ``before`` where nothing is applied.
    """
    if measured.tried < MIN_WINDOWS:
        return "few", before
    if not measured.is_known:
        return "disagree", before
    total = (before[0] + measured.dx, before[1] + measured.dy)
    if np.hypot(*total) > settings.max_shift:
        return "large", before
    if measured.length < settings.min_shift:
        return "small", before
    whole = rounded(total)
    near = np.hypot(total[0] - whole[0], total[1] - whole[1]) < settings.min_shift
    if near and np.hypot(*whole) <= settings.max_shift:
        total = whole
    return "applied", (float(total[0]) + 0.0, float(total[1]) + 0.0)


def metres(grid: Grid, measured: Measured) -> tuple[float, float]:
    """A shift in metres to the east and to the north."""
    width, height = grid.resolution
    return measured.dx * width * grid.metres_per_unit, -measured.dy * height * grid.metres_per_unit


def tell(name: str, rows: Sequence[DateShift], settings: CoregisterSettings, progress: Progress) -> None:
    """What was done, in the log; warnings for what needs a look."""
    applied = [row for row in rows if row.applied]
    progress.info(
        tr("{name}: the shift of {n_applied} of {images} is applied at reading.").format(
            name=name, n_applied=len(applied), images=counted(rows, "image")
        )
    )
    for row in rows:
        if row.outcome == "large":
            progress.warning(
                tr(
                    "{label}: not moved, since its shift of {dx:+.2f}, {dy:+.2f} pixels is longer than "
                    "MAX_SHIFT ({max_shift:g}); look at the image, then raise MAX_SHIFT or leave it out."
                ).format(label=row.label, dx=row.measured.dx, dy=row.measured.dy, max_shift=settings.max_shift)
            )
    for outcome, why in (
        ("disagree", tr("windows do not agree")),
        ("few", tr("too few windows have enough valid pixels")),
    ):
        labels = [row.date or row.sensor for row in rows if row.outcome == outcome]
        if labels:
            some = ", ".join(labels[:5]) + (
                tr(" and {n_labels} more").format(n_labels=len(labels) - 5) if len(labels) > 5 else ""
            )
            progress.warning(
                tr("{name}: not moved, since {why}: {some}; REPORT and TABLE tell more.").format(
                    name=name, why=why, some=some
                )
            )


def place_windows(
    grid: Grid, settings: CoregisterSettings, within: Window | None = None, size: int = 0
) -> list[Window]:
    """Square windows spread evenly over the grid, EXTENT, or a window; neighbours share half of their pixels at most.

    Raises:
        LandloomError: if EXTENT lies outside, or if there is room for no window.
    """
    area = grid.whole if within is None else within
    if settings.bounds is not None:
        area = area.intersection(grid.window(settings.bounds))
        if not area.width or not area.height:
            raise LandloomError(tr("EXTENT lies outside the images; choose one that meets them."))
    shorter = min(area.width, area.height)
    if shorter < SMALLEST_WINDOW:
        raise LandloomError(
            tr(
                "What the images have in common is {width} x {height} pixels; shifts need at least "
                "{smallest_window} x {smallest_window}."
            ).format(width=area.width, height=area.height, smallest_window=SMALLEST_WINDOW)
        )
    size = max(SMALLEST_WINDOW, min(size or settings.window, shorter // 2))
    most = [2 * (length - size) // size + 1 for length in (area.width, area.height)]
    columns = int(np.clip(round(np.sqrt(settings.windows * area.width / area.height)), 1, most[0]))
    rows = int(np.clip(round(settings.windows / columns), 1, most[1]))
    return [
        Window(area.column + int(x), area.row + int(y), size, size)
        for y in np.linspace(0, area.height - size, rows).round()
        for x in np.linspace(0, area.width - size, columns).round()
    ]


def _sensors(stack: Stack, settings: CoregisterSettings) -> list[str]:
    names = stack.choose(settings.sensors)
    dated = [name for name in names if stack.sensors[name].kind != STATIC]
    if settings.sensors and len(dated) < len(names):
        raise LandloomError(
            tr("SENSOR {names} has no dates; choose one with a time series.").format(
                names=", ".join(set(names) - set(dated))
            )
        )
    alone = [name for name in dated if len(stack.spec(name).dates) < 2 and not settings.reference]
    usable = [name for name in dated if name not in alone]
    if not usable:
        raise LandloomError(
            tr(
                "No sensor of {path} has two dates to compare; give a REFERENCE raster, or a SENSOR with more dates."
            ).format(path=stack.path)
        )
    return usable


def measuring_band(sensor: Sensor, wanted: str, parameter: str = "BAND") -> str:
    """The band to compare: as wanted, near infrared, red or the first.

    Raises:
        LandloomError: if it has none such.
    """
    if wanted:
        for band in sensor.bands:
            if band.lower() == wanted.strip().lower():
                return band
        raise LandloomError(
            tr("The sensor {sensor} has no band {wanted}; it has {bands}; change {parameter}.").format(
                sensor=sensor.name, wanted=wanted, bands=", ".join(sensor.bands), parameter=parameter
            )
        )
    known = {band.upper(): band for band in sensor.bands}
    return next((known[name] for name in _BANDS if name in known), sensor.bands[0])
