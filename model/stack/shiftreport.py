"""What ``coregister`` found: the table, the page, and the picture of shifts."""

from __future__ import annotations

import datetime
import math
import os
from collections.abc import Sequence

from ..base import tablefile
from ..base.html import Report
from ..base.language import tr
from ..base.provenance import Provenance
from ..base.reportfiles import write_facts
from ..base.xmltext import escape
from .coregister import REASONS, DateShift
from .coregisterreference import CoregisterSettings
from .correlation import AGREEMENT, MIN_AGREEING, MIN_VALID, MIN_WINDOWS

COLUMNS = (
    "sensor",
    "date",
    "dx",
    "dy",
    "east_m",
    "north_m",
    "windows",
    "agreeing_share",
    "spread",
    "applied",
    "reason",
    "stored_dx",
    "stored_dy",
    "reference",
)

_SIZE, _EDGE = 320, 40
_GREEN, _GREY, _RED = "#2b7a3d", "#8a8f8c", "#c0392b"
_COLORS = {"applied": _GREEN, "large": _RED}


def write_table(rows: Sequence[DateShift], path: str | os.PathLike[str]) -> None:
    """A line for each date, as CSV, ODS or XLSX; lengths in pixels but where the name says metres.

    Raises:
        LandloomError: if the format is unknown or the file cannot be written.
    """
    tablefile.write_rows(path, COLUMNS, [_cells(row) for row in rows], "shifts")


def _cells(row: DateShift) -> list[object]:
    one = row.measured
    numbers = [one.dx, one.dy, row.east, row.north]
    stored = list(row.total)
    return [
        row.sensor,
        row.date,
        *(round(value, 3) + 0.0 for value in numbers),
        one.tried,
        round(one.agreeing, 3),
        round(one.spread, 3),
        "yes" if row.applied else "no",
        tr(REASONS[row.outcome]),
        *stored,
        row.reference,
    ]


def write_report(
    rows: Sequence[DateShift],
    settings: CoregisterSettings,
    path: str | os.PathLike[str],
    what: str,
    made: Provenance | None = None,
) -> None:
    """The page, and ``<report>_report.json`` beside it.

    Args:
        rows: by sensor and date.
        settings: the limits.
        path: of the page.
        what: the stack or image, for the heading.
        made: how the result came about.
    """
    report = Report(tr("Co-registration"), what)
    large = [row for row in rows if row.outcome == "large"]
    report.warnings(
        tr(
            "{label}: its shift of {length} pixels is longer than MAX_SHIFT and is not applied. Look at the image; "
            "raise MAX_SHIFT if the shift is real, or leave the date out."
        ).format(label=row.label, length=f"{row.measured.length:.1f}")
        for row in large
    )
    report.paragraph(
        tr("{applied} of {count} images are moved at reading.").format(
            applied=sum(row.applied for row in rows), count=len(rows)
        )
    )
    report.paragraph(
        tr(
            "A shift is what an image must be moved by to lie on the reference: dx to the right, dy down, in pixels. "
            "It is the median of windows that agree to {near} pixel; windows of which less than {valid} % is valid in "
            "both images are left out. Nothing is applied where fewer than {windows} windows or less than {share} % of "
            "them agree, below MIN_SHIFT ({low} pixels) and above MAX_SHIFT ({high} pixels)."
        ).format(
            near=f"{AGREEMENT:g}",
            valid=f"{100 * MIN_VALID:.0f}",
            windows=MIN_WINDOWS,
            share=f"{100 * MIN_AGREEING:.0f}",
            low=f"{settings.min_shift:g}",
            high=f"{settings.max_shift:g}",
        )
    )
    for sensor in dict.fromkeys(row.sensor for row in rows):
        own = [row for row in rows if row.sensor == sensor]
        report.heading(sensor)
        reference = next((row.reference for row in own if row.reference), "")
        if reference:
            report.paragraph(tr("Compared with {reference}.").format(reference=reference))
        _sensor_section(report, own, settings)
    if made is not None:
        report.provenance(made)
    report.write(path)
    content = {
        "input": what,
        "max_shift": settings.max_shift,
        "min_shift": settings.min_shift,
        "images": [
            {**dict(zip(COLUMNS, _cells(row), strict=True)), "applied": row.applied, "outcome": row.outcome}
            for row in rows
        ],
    }
    write_facts(path, "coregister", content, made)


def _sensor_section(report: Report, rows: Sequence[DateShift], settings: CoregisterSettings) -> None:
    report.picture(shift_plot(rows, settings.max_shift))
    dated = [row for row in rows if row.date and row.measured.is_known]
    if len(dated) > 1:
        days = [datetime.date.fromisoformat(row.date).toordinal() for row in dated]
        x = [day - days[0] for day in days]
        series = {}
        for label, values in (
            (tr("dx, to the right"), [row.measured.dx for row in dated]),
            (tr("dy, down"), [row.measured.dy for row in dated]),
        ):
            spread = [row.measured.spread for row in dated]
            low = [value - one for value, one in zip(values, spread, strict=True)]
            high = [value + one for value, one in zip(values, spread, strict=True)]
            series[label] = (values, low, high)
        report.lines(
            tr("Shift by date, with the spread of windows"),
            x,
            series,
            tr("days since {date}").format(date=dated[0].date),
            tr("pixels"),
        )
    report.table(
        [
            tr("Date"),
            tr("dx (pixels)"),
            tr("dy (pixels)"),
            tr("East (m)"),
            tr("North (m)"),
            tr("Windows"),
            tr("Agreeing"),
            tr("Spread (pixels)"),
            tr("Applied"),
            tr("Why"),
        ],
        [
            [
                row.date or row.sensor,
                *(_text(value, 2) for value in (row.measured.dx, row.measured.dy)),
                *(_text(value, 1) for value in (row.east, row.north)),
                row.measured.tried,
                f"{100 * row.measured.agreeing:.0f} %" if row.measured.tried else "",
                _text(row.measured.spread, 2, ""),
                tr("yes") if row.applied else tr("no"),
                tr(REASONS[row.outcome]),
            ]
            for row in rows
        ],
    )


def _text(value: float, digits: int, sign: str = "+") -> str:
    rounded = round(value, digits) + 0.0 if math.isfinite(value) else 0.0  # no minus before a zero
    return f"{rounded:{sign if rounded else ''}.{digits}f}" if math.isfinite(value) else ""


def shift_plot(rows: Sequence[DateShift], max_shift: float) -> str:
    """Each image a dot where its shift points, within the circle of MAX_SHIFT: green is applied, red is too long."""
    known = [row for row in rows if row.measured.is_known]
    longest = max([max_shift, *(row.measured.length for row in known)]) * 1.1 or 1.0
    middle = _SIZE / 2
    scale = (middle - _EDGE) / longest
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_SIZE} {_SIZE + 34}" width="{_SIZE}" '
        'font-family="sans-serif" font-size="11" role="img">',
        f'<line x1="{_EDGE}" y1="{middle}" x2="{_SIZE - _EDGE}" y2="{middle}" stroke="#ccc"/>',
        f'<line x1="{middle}" y1="{_EDGE}" x2="{middle}" y2="{_SIZE - _EDGE}" stroke="#ccc"/>',
        f'<circle cx="{middle}" cy="{middle}" r="{max_shift * scale:.1f}" fill="none" stroke="{_RED}" '
        'stroke-dasharray="5 4"/>',
        f'<text x="{middle + 4}" y="{middle - max_shift * scale - 4:.1f}" fill="{_RED}">MAX_SHIFT = {max_shift:g}'
        "</text>",
        f'<text x="{_SIZE - _EDGE + 4}" y="{middle + 4}">dx</text>',
        f'<text x="{middle - 5}" y="{_SIZE - _EDGE + 14}">dy</text>',
    ]
    for row in known:
        one = row.measured
        x, y = middle + one.dx * scale, middle + one.dy * scale
        parts.append(
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{_COLORS.get(row.outcome, _GREY)}" fill-opacity="0.7">'
            f"<title>{escape(row.label)}: {one.dx:+.2f}, {one.dy:+.2f}</title></circle>"
        )
    legend = ((_GREEN, tr("applied")), (_RED, tr("too long")), (_GREY, tr("left as it is")))
    for number, (color, text) in enumerate(legend):
        x = 10 + number * 100
        parts.append(
            f'<circle cx="{x}" cy="{_SIZE + 14}" r="4" fill="{color}"/><text x="{x + 9}" y="{_SIZE + 18}">'
            f"{escape(text)}</text>"
        )
    return "\n".join([*parts, "</svg>"])
