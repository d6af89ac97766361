"""A chart of figures with their intervals, one a line: what two reports of accuracy share."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from .charts import PALETTE, ticks

_WIDTH, _RIGHT, _TOP, _ROW, _FOOT = 960, 30, 34, 22, 40
_LETTER = 6.2
_LONGEST = 46


class Range(NamedTuple):
    """A line of the chart.

    Attributes:
        label: what it is.
        estimate: a dot; nothing is drawn where it is not finite.
        low, high: the ends of its interval, a line; none where they are not finite.
        runs: single results, drawn as small marks.
        color: of dot and line, such as ``#2f6f4f``; empty = the first of the palette.
    """

    label: str
    estimate: float
    low: float = math.nan
    high: float = math.nan
    runs: Sequence[float] = ()
    color: str = ""


def ranges(title: str, rows: Sequence[Range], x_label: str = "", zero: bool = False) -> str:
    """Figures as dots on lines, their intervals and single results beside them.

    Args:
        title: above the chart.
        rows: from top to bottom.
        x_label: under the axis.
        zero: whether 0 is in the picture, with a line of its own: for differences.
    """
    numbers = [value for row in rows for value in (row.estimate, row.low, row.high, *row.runs)]
    finite = np.array([value for value in numbers if math.isfinite(value)] + ([0.0] if zero else []))
    head = f'<text x="8" y="18" font-size="13" font-weight="600">{html.escape(title)}</text>'
    height = _TOP + _ROW * len(rows) + _FOOT
    if not rows or not len(finite) or (zero and len(finite) == 1):
        return _svg(head + '<text x="8" y="44">no values</text>', 60)
    left = 16 + _LETTER * min(_LONGEST, max(len(row.label) for row in rows))
    low, high = float(finite.min()), float(finite.max())
    margin = 0.04 * (high - low) or 0.5
    low, high = low - margin, high + margin

    def place(value: float) -> float:
        return left + (value - low) / (high - low) * (_WIDTH - _RIGHT - left)

    bottom = _TOP + _ROW * len(rows)
    parts = [head]
    for tick in ticks(low, high, 8):
        x = place(tick)
        parts.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP}" y2="{bottom}" stroke="#e3e8e4"/>')
        parts.append(f'<text x="{x:.1f}" y="{bottom + 15}" text-anchor="middle">{tick:g}</text>')
    if zero:
        x = place(0.0)
        parts.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP}" y2="{bottom}" stroke="#1d2a22"/>')
    middle = (left + _WIDTH - _RIGHT) / 2
    parts.append(f'<text x="{middle:.1f}" y="{bottom + 32}" text-anchor="middle">{html.escape(x_label)}</text>')
    for index, row in enumerate(rows):
        y = _TOP + _ROW * (index + 0.5)
        label = row.label if len(row.label) <= _LONGEST else f"{row.label[: _LONGEST - 1]}…"
        color = html.escape(row.color or PALETTE[0])
        parts.append(f'<text x="{left - 8:.1f}" y="{y + 4:.1f}" text-anchor="end">{html.escape(label)}</text>')
        if math.isfinite(row.low) and math.isfinite(row.high):
            parts.append(
                f'<line x1="{place(row.low):.1f}" x2="{place(row.high):.1f}" y1="{y:.1f}" y2="{y:.1f}" '
                f'stroke="{color}" stroke-width="2.5" stroke-linecap="round"/>'
            )
        for run in row.runs:
            if math.isfinite(run):
                x = place(run)
                parts.append(
                    f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{y - 6:.1f}" y2="{y + 6:.1f}" stroke="{color}" '
                    'stroke-width="1.2" opacity="0.7"/>'
                )
        if math.isfinite(row.estimate):
            told = f"{html.escape(row.label)}: {row.estimate:.3g}"
            if math.isfinite(row.low):
                told += f" [{row.low:.3g}, {row.high:.3g}]"
            parts.append(
                f'<circle cx="{place(row.estimate):.1f}" cy="{y:.1f}" r="4.2" fill="{color}"><title>{told}</title>'
                "</circle>"
            )
    return _svg("".join(parts), height)


def _svg(content: str, height: int) -> str:
    return (
        f'<svg class="wide" xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height}" '
        f'viewBox="0 0 {_WIDTH} {height}" font-family="Segoe UI,Helvetica,Arial,sans-serif" font-size="11" '
        f'fill="#1d2a22">{content}</svg>'
    )
