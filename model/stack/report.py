"""The report of ``preparestack``: what was found, used, skipped and why; dates by sensor; gaps."""

from __future__ import annotations

import datetime
import itertools
import math
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from xml.sax.saxutils import escape

from ..base.html import Report
from ..base.progress import Progress
from ..base.provenance import Provenance
from .estimates import estimates, reading_speed, size_text
from .manifest import Sensor
from .prepare import Line, Prepared
from .sensors import OPTICAL

LONG_GAP = 40
"""Days between two usable dates above which a crop can be missed."""

USABLE = 0.2
"""A date counts as usable for gaps when this share of the pixels is valid."""

_WIDTH, _LEFT, _ROW = 900, 110, 90


def write_report(
    prepared: Prepared,
    path: str | os.PathLike[str],
    progress: Progress | None = None,
    made: Provenance | None = None,
) -> None:
    """Write the page, whole or not at all; ``made`` says how the stack came about."""
    stack = prepared.stack
    report = Report("Stack of images", str(stack.path))
    report.warnings(prepared.warnings)
    for note in prepared.notes:
        report.paragraph(note)
    grid = stack.grid
    report.paragraph(
        f"Grid: {grid.width} x {grid.height} pixels of {grid.resolution[0]:g} x {grid.resolution[1]:g} (units of the "
        f"CRS). Days count from {stack.season_start} of {stack.campaign_year}."
    )
    report.heading("Sensors")
    report.table(
        ["Sensor", "Bands", "Dates", "First", "Last", "Unit", "Mean valid share", "Longest gap (days)"],
        [_sensor_row(sensor, prepared.lines) for sensor in stack.sensors.values()],
    )
    report.heading("Dates and their valid share")
    report.paragraph(
        "A bar is a date, its height the share of pixels that are valid in the area. Red: more than "
        f"{LONG_GAP} days between two dates with at least {100 * USABLE:.0f} % valid pixels."
    )
    report.picture(dates_plot(list(stack.sensors.values()), prepared.lines))
    report.warnings(gap_lines(list(stack.sensors.values()), prepared.lines))
    report.heading("What comes next")
    report.table(
        ["Step", "Time", "Disk"],
        [one.texts() for one in estimates(stack, reading_speed(stack, progress))],
    )
    report.paragraph(
        f"Times from reading one window of this stack on this machine, and from known speeds on two cores; half or "
        f"double is possible. {_free(stack.path)}"
    )
    used = [line for line in prepared.lines if line.used]
    skipped = [line for line in prepared.lines if not line.used]
    report.heading(f"Used: {len(used)} dates")
    report.table(
        ["Sensor", "Date", "Products", "Valid", "Masked", "Remark"],
        [
            [line.sensor, line.date, line.name, _percent(line.valid), _percent(line.cloud), line.why]
            for line in sorted(used, key=lambda line: (line.sensor, line.date))
        ],
    )
    report.heading(f"Skipped: {len(skipped)}")
    if skipped:
        report.table(
            ["Sensor", "Date", "Name", "Why"],
            [
                [line.sensor, line.date, line.name, line.why]
                for line in sorted(skipped, key=lambda line: (line.sensor, line.date))
            ],
        )
    else:
        report.paragraph("Nothing was skipped.")
    if made is not None:
        report.provenance(made)
    report.write(path)


def gap_lines(sensors: Sequence[Sensor], lines: Sequence[Line]) -> list[str]:
    """A sentence for each gap that is too long."""
    return [
        f"{sensor.name}: {length} days without a usable date, from {first} to {last}. Add dates there, raise MAX_CLOUD "
        "or use a CLOUD_RULE that is less strict; a crop of that time can be missed."
        if sensor.kind == OPTICAL
        else f"{sensor.name}: {length} days without a usable date, from {first} to {last}. Add dates there."
        for sensor in sensors
        for first, last, length in gaps(sensor, lines)
        if length > LONG_GAP
    ]


def _free(path: Path) -> str:
    """How much room there is where the stack lies."""
    folder = next((one for one in path.parents if one.is_dir()), None)
    if folder is None:
        return ""
    return f"Free in {folder}: {size_text(shutil.disk_usage(folder).free / 2**20)}."


def gaps(sensor: Sensor, lines: Sequence[Line]) -> list[tuple[str, str, int]]:
    """Pairs of neighbouring usable dates and the days between them."""
    valid = {line.date: line.valid for line in lines if line.used and line.sensor == sensor.name}
    dates = [one.date for one in sensor.complete if one.date and valid.get(one.date, 1.0) >= USABLE]
    return [
        (first, last, (datetime.date.fromisoformat(last) - datetime.date.fromisoformat(first)).days)
        for first, last in itertools.pairwise(dates)
    ]


def dates_plot(sensors: Sequence[Sensor], lines: Sequence[Line]) -> str:
    """Bars by date and sensor with red lines for long gaps, as inline SVG."""
    dated = [sensor for sensor in sensors if any(one.date for one in sensor.complete)]
    days = [datetime.date.fromisoformat(one.date) for sensor in dated for one in sensor.complete if one.date]
    if not days:
        return ""
    first, last = min(days), max(days)
    span = max(1, (last - first).days)
    scale = (_WIDTH - _LEFT - 20) / span
    height = _ROW * len(dated) + 40

    def x_of(date: str | datetime.date) -> float:
        day = datetime.date.fromisoformat(date) if isinstance(date, str) else date
        return _LEFT + (day - first).days * scale

    parts = [
        f'<svg class="wide" xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" '
        'font-family="sans-serif" font-size="12" role="img">'
    ]
    for row, sensor in enumerate(dated):
        base = _ROW * (row + 1) - 8
        full = _ROW - 26
        parts.append(f'<text x="4" y="{base - full / 2:.0f}" fill="#222">{escape(sensor.name)}</text>')
        parts.append(f'<line x1="{_LEFT}" y1="{base}" x2="{_WIDTH - 20}" y2="{base}" stroke="#999"/>')
        valid = {line.date: line.valid for line in lines if line.used and line.sensor == sensor.name}
        for one in sensor.complete:
            share = valid.get(one.date, 1.0)
            share = 0.0 if math.isnan(share) else share
            x = x_of(one.date)
            parts.append(
                f'<line x1="{x:.1f}" y1="{base}" x2="{x:.1f}" y2="{base - max(1.0, share * full):.1f}" '
                f'stroke="#2b7a3d" stroke-width="3"><title>{escape(one.date)}: {100 * share:.0f} % valid</title></line>'
            )
        for start, end, length in gaps(sensor, lines):
            if length > LONG_GAP:
                y = base - full - 4
                parts.append(
                    f'<line x1="{x_of(start):.1f}" y1="{y}" x2="{x_of(end):.1f}" y2="{y}" stroke="#c0392b" '
                    f'stroke-width="3"/><text x="{(x_of(start) + x_of(end)) / 2:.1f}" y="{y - 4}" fill="#c0392b" '
                    f'text-anchor="middle">{length} d</text>'
                )
    for month in _months(first, last):
        x = x_of(month)
        parts.append(f'<line x1="{x:.1f}" y1="8" x2="{x:.1f}" y2="{height - 26}" stroke="#ddd"/>')
        if x < _WIDTH - 40:  # the name of the last month would be cut
            parts.append(f'<text x="{x:.1f}" y="{height - 10}" fill="#555" font-size="10">{month:%Y-%m}</text>')
    parts.append("</svg>")
    return "\n".join(parts)


def _months(first: datetime.date, last: datetime.date) -> list[datetime.date]:
    months = (last.year - first.year) * 12 + last.month - first.month
    step = max(1, math.ceil(months / 12))
    starts = []
    for number in range(1, months + 1, step):
        year, month = divmod(first.year * 12 + first.month - 1 + number, 12)
        starts.append(datetime.date(year, month + 1, 1))
    return starts


def _sensor_row(sensor: Sensor, lines: Sequence[Line]) -> list[str]:
    valid = [line.valid for line in lines if line.used and line.sensor == sensor.name and not math.isnan(line.valid)]
    longest = max((length for _, _, length in gaps(sensor, lines)), default=None)
    dates = [one.date for one in sensor.complete]
    unit = " ".join(text for text in (sensor.unit, sensor.calibration, sensor.orbit) if text)
    return [
        sensor.name,
        ", ".join(sensor.bands),
        str(len(dates)),
        dates[0] if dates else "",
        dates[-1] if dates else "",
        unit,
        _percent(sum(valid) / len(valid)) if valid else "",
        "" if longest is None else str(longest),
    ]


def _percent(share: float) -> str:
    return "" if math.isnan(share) else f"{100 * share:.1f} %"
