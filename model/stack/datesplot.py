"""The picture of a stack's dates: bars by date and sensor with red lines for long gaps, as inline SVG."""

from __future__ import annotations

import datetime
import math
from collections.abc import Mapping, Sequence

from ..base.xmltext import escape
from .manifest import Sensor
from .prepared import Line

_WIDTH, _LEFT, _RIGHT, _ROW = 900, 130, 20, 90
_FULL = _ROW - 32  # height of a bar of 100 %
_GREEN, _RED, _GREY = "#2b7a3d", "#c0392b", "#8a8f8c"

Gap = tuple[str, str, int]


def dates_plot(sensors: Sequence[Sensor], lines: Sequence[Line], long_gaps: Mapping[str, Sequence[Gap]]) -> str:
    """Bars by date and sensor.

    Args:
        sensors: each has a row; those without dates have none.
        lines: of the report, with the valid share of dates and with what was skipped.
        long_gaps: sensor -> first and last date, and days between them, which are drawn red.
    """
    dated = [sensor for sensor in sensors if any(one.date for one in sensor.complete)]
    used = {sensor.name: [one.date for one in sensor.complete if one.date] for sensor in dated}
    days = [datetime.date.fromisoformat(date) for dates in used.values() for date in dates]
    if not days:
        return ""
    first, last = min(days), max(days)
    scale = (_WIDTH - _LEFT - _RIGHT) / max(1, (last - first).days)
    height = _ROW * len(dated) + 44

    def x_of(date: str | datetime.date) -> float:
        day = datetime.date.fromisoformat(date) if isinstance(date, str) else date
        return _LEFT + (day - first).days * scale

    parts = [
        f'<svg class="wide" xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" '
        'font-family="sans-serif" font-size="12" role="img">'
    ]
    for month in _months(first, last):
        x = x_of(month)
        parts.append(f'<line x1="{x:.1f}" y1="8" x2="{x:.1f}" y2="{height - 30}" stroke="#ddd"/>')
        anchor = "end" if x > _WIDTH - 50 else "start" if x < _LEFT + 20 else "middle"
        place = f'x="{x:.1f}" y="{height - 14}" fill="#555" font-size="10" text-anchor="{anchor}"'
        parts.append(f"<text {place}>{month:%Y-%m}</text>")
    for row, sensor in enumerate(dated):
        base = _ROW * (row + 1) - 4
        parts += _axis(sensor.name, base)
        valid = {line.date: line.valid for line in lines if line.used and line.sensor == sensor.name}
        for date in used[sensor.name]:
            share = valid.get(date, 1.0)
            share = 0.0 if math.isnan(share) else share
            x = x_of(date)
            parts.append(
                f'<line x1="{x:.1f}" y1="{base}" x2="{x:.1f}" y2="{base - max(1.0, share * _FULL):.1f}" '
                f'stroke="{_GREEN}" stroke-width="3"><title>{escape(date)}: {100 * share:.0f} % valid</title></line>'
            )
        for line in lines:
            lost = not line.used and line.sensor == sensor.name and line.date not in used[sensor.name]
            if lost and _within(line.date, first, last):
                x = x_of(line.date)
                parts.append(
                    f'<line x1="{x:.1f}" y1="{base + 2}" x2="{x:.1f}" y2="{base + 8}" stroke="{_GREY}" '
                    f'stroke-width="3"><title>{escape(f"{line.date}, {line.name}: {line.why}")}</title></line>'
                )
        for start, end, length in long_gaps.get(sensor.name, ()):
            y = base - _FULL - 5
            parts.append(
                f'<line x1="{x_of(start):.1f}" y1="{y}" x2="{x_of(end):.1f}" y2="{y}" stroke="{_RED}" '
                f'stroke-width="3"/><text x="{(x_of(start) + x_of(end)) / 2:.1f}" y="{y - 4}" fill="{_RED}" '
                f'text-anchor="middle">{length} d</text>'
            )
    parts.append("</svg>")
    return "\n".join(parts)


def _axis(name: str, base: float) -> list[str]:
    """The name of a row, its line, and its ends."""
    left = _LEFT - 6
    return [
        f'<text x="4" y="{base - _FULL / 2 + 4:.0f}" fill="#222">{escape(name)}</text>',
        f'<line x1="{_LEFT - 3}" y1="{base}" x2="{_WIDTH - _RIGHT}" y2="{base}" stroke="#999"/>',
        f'<text x="{left}" y="{base + 3}" fill="#555" font-size="9" text-anchor="end">0</text>',
        f'<text x="{left}" y="{base - _FULL + 3}" fill="#555" font-size="9" text-anchor="end">100 %</text>',
    ]


def _within(date: str, first: datetime.date, last: datetime.date) -> bool:
    try:
        return first <= datetime.date.fromisoformat(date) <= last
    except ValueError:
        return False  # a date that is none is among the reasons


def _months(first: datetime.date, last: datetime.date) -> list[datetime.date]:
    """The firsts of months within a period, 12 at most."""
    months = (last.year - first.year) * 12 + last.month - first.month
    step = max(1, math.ceil(months / 12))
    starts = []
    for number in range(0 if first.day == 1 else 1, months + 1, step):
        year, month = divmod(first.year * 12 + first.month - 1 + number, 12)
        starts.append(datetime.date(year, month + 1, 1))
    return starts
