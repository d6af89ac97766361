"""Small charts as inline SVG, so that reports need no script, no network and no plotting package."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .language import tr

PALETTE = ("#2f6f4f", "#c4622d", "#3b6fb6", "#8a4fa3", "#b59b1f", "#2f9aa0", "#a33b4b", "#6b6b6b", "#7fae3c", "#d17fb0")
_LABEL = 24  # most characters of a label under a bar
_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 620, 260, 58, 14, 30, 44


def ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Round values that cover low..high."""
    if not (math.isfinite(low) and math.isfinite(high)) or high <= low:
        return [low]
    rough = (high - low) / count
    power = 10 ** math.floor(math.log10(rough))
    step = min((m * power for m in (1, 2, 2.5, 5, 10)), key=lambda s: abs(s - rough))
    first = math.ceil(low / step - 1e-9)
    return [round(i * step, 10) for i in range(first, math.floor(high / step + 1e-9) + 1)]


class _Frame:
    """Axes of a chart: from data to picture coordinates."""

    def __init__(self, x_range: tuple[float, float], y_range: tuple[float, float]) -> None:
        self.x0, self.x1 = x_range
        self.y0, self.y1 = y_range
        if self.x1 <= self.x0:
            self.x1 = self.x0 + 1.0
        if self.y1 <= self.y0:
            self.y0, self.y1 = self.y0 - 0.5, self.y1 + 0.5

    def x(self, value: float) -> float:
        return _LEFT + (value - self.x0) / (self.x1 - self.x0) * (_WIDTH - _LEFT - _RIGHT)

    def y(self, value: float) -> float:
        return _HEIGHT - _BOTTOM - (value - self.y0) / (self.y1 - self.y0) * (_HEIGHT - _TOP - _BOTTOM)

    def grid(self, x_label: str, y_label: str, x_ticks: bool = True) -> str:
        parts = []
        for tick in ticks(self.y0, self.y1):
            y = self.y(tick)
            parts.append(f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="#e3e8e4"/>')
            parts.append(f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{tick:g}</text>')
        if x_ticks:
            for tick in ticks(self.x0, self.x1, 8):
                parts.append(
                    f'<text x="{self.x(tick):.1f}" y="{_HEIGHT - _BOTTOM + 16}" text-anchor="middle">{tick:g}</text>'
                )
        middle = (_LEFT + _WIDTH - _RIGHT) / 2
        parts.append(f'<text x="{middle}" y="{_HEIGHT - 8}" text-anchor="middle">{html.escape(x_label)}</text>')
        parts.append(
            f'<text x="14" y="{_HEIGHT / 2}" text-anchor="middle" transform="rotate(-90 14 {_HEIGHT / 2})">'
            f"{html.escape(y_label)}</text>"
        )
        return "".join(parts)


def _picture(title: str, content: str, height: int = _HEIGHT) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height}" viewBox="0 0 {_WIDTH} {height}" '
        'font-family="Segoe UI,Helvetica,Arial,sans-serif" font-size="11" fill="#1d2a22">'
        f'<text x="{_LEFT}" y="18" font-size="13" font-weight="600">{html.escape(title)}</text>{content}</svg>'
    )


def _path(frame: _Frame, x: np.ndarray, y: np.ndarray) -> str:
    """A polyline that breaks where y is undefined."""
    commands, pen_up = [], True
    for a, b in zip(x, y, strict=True):
        if not math.isfinite(b):
            pen_up = True
            continue
        place = f"{frame.x(a):.1f} {frame.y(b):.1f}"
        commands.append(f"M{place}" if pen_up else f"L{place}")
        pen_up = False
    return "".join(commands)


def _dots(frame: _Frame, x: np.ndarray, y: np.ndarray, color: str) -> str:
    """Values without neighbours, as circles: Qt does not draw a line that has no length."""
    known = np.isfinite(np.concatenate([[np.nan], y, [np.nan]]))
    lone = np.flatnonzero(known[1:-1] & ~known[:-2] & ~known[2:])
    return "".join(f'<circle cx="{frame.x(x[i]):.1f}" cy="{frame.y(y[i]):.1f}" r="2.4" fill="{color}"/>' for i in lone)


def _band(frame: _Frame, x: np.ndarray, low: np.ndarray, high: np.ndarray, color: str) -> str:
    """Polygons between two lines, broken where either is undefined; a lone value is an upright stroke."""
    known = np.flatnonzero(np.isfinite(low) & np.isfinite(high))
    parts = []
    for run in np.split(known, np.flatnonzero(np.diff(known) > 1) + 1):
        if not len(run):
            continue
        sides = (*zip(x[run], low[run], strict=True), *zip(x[run][::-1], high[run][::-1], strict=True))
        points = " ".join(f"{frame.x(a):.1f},{frame.y(b):.1f}" for a, b in sides)
        lone = f' stroke="{color}" stroke-width="3"' if len(run) == 1 else ""
        parts.append(f'<polygon points="{points}" fill="{color}" opacity="0.18"{lone}/>')
    return "".join(parts)


def lines(
    title: str,
    x: Sequence[float],
    series: Mapping[str, Any],
    x_label: str = "",
    y_label: str = "",
    colors: Sequence[str] | None = None,
) -> str:
    """A line chart.

    Args:
        title: above the chart.
        x: ``[N]`` positions.
        series: label -> ``y [N]`` or ``(y, low, high)``; NaN breaks a line.
        x_label: under the axis.
        y_label: beside the axis.
        colors: one a series.
    """
    xs = np.asarray(x, dtype=float)
    values = {
        label: tuple(np.asarray(part, dtype=float) for part in (y if isinstance(y, tuple) else (y,)))
        for label, y in series.items()
    }
    every = np.concatenate([part for parts in values.values() for part in parts] or [np.zeros(1)])
    finite = every[np.isfinite(every)]
    if not finite.size or not xs.size:
        return _picture(title, f'<text x="{_LEFT}" y="60">{html.escape(tr("no values"))}</text>')
    margin = 0.05 * (finite.max() - finite.min())
    frame = _Frame((xs.min(), xs.max()), (finite.min() - margin, finite.max() + margin))
    parts = [frame.grid(x_label, y_label)]
    legend_x, legend_rows = float(_LEFT), 0
    for index, (label, lines_of) in enumerate(values.items()):
        color = html.escape((colors or PALETTE)[index % len(colors or PALETTE)])
        if len(lines_of) == 3:
            parts.append(_band(frame, xs, lines_of[1], lines_of[2], color))
        path = _path(frame, xs, lines_of[0])
        parts.append(f'<path d="{path}" fill="none" stroke="{color}" stroke-width="1.8" stroke-linecap="round"/>')
        parts.append(_dots(frame, xs, lines_of[0], color))
        width = 30 + 6.2 * len(label)
        if legend_x + width > _WIDTH - _RIGHT and legend_x > _LEFT:
            legend_x, legend_rows = float(_LEFT), legend_rows + 1
        y = _HEIGHT + 14 * legend_rows + 4
        parts.append(
            f'<line x1="{legend_x:.1f}" x2="{legend_x + 16:.1f}" y1="{y}" y2="{y}" stroke="{color}" stroke-width="3"/>'
            f'<text x="{legend_x + 20:.1f}" y="{y + 4}">{html.escape(label)}</text>'
        )
        legend_x += width
    return _picture(title, "".join(parts), _HEIGHT + 14 * (legend_rows + 1) + 2)


def bars(
    title: str,
    labels: Sequence[str],
    values: Sequence[float],
    y_label: str = "",
    colors: Sequence[str] | None = None,
) -> str:
    """A bar chart with one bar a label; undefined values leave a gap."""
    heights = np.asarray(values, dtype=float)
    finite = heights[np.isfinite(heights)]
    if not finite.size:
        return _picture(title, f'<text x="{_LEFT}" y="60">{html.escape(tr("no values"))}</text>')
    frame = _Frame((0, len(labels)), (min(0.0, finite.min()), max(finite.max() * 1.05, 1e-9)))
    parts = [frame.grid("", y_label, x_ticks=False)]
    slanted = max((len(str(label)) for label in labels), default=0) * 6 > (_WIDTH - _LEFT) / max(len(labels), 1)
    longest = min(max((len(str(label)) for label in labels), default=0), _LABEL)
    for index, (label, value) in enumerate(zip(labels, heights, strict=True)):
        left, right = frame.x(index + 0.15), frame.x(index + 0.85)
        if math.isfinite(value):
            color = html.escape(colors[index] if colors else PALETTE[0])
            top, foot = frame.y(max(value, 0)), frame.y(min(value, 0))
            parts.append(
                f'<rect x="{left:.1f}" y="{top:.1f}" width="{right - left:.1f}" height="{max(foot - top, 0):.1f}" '
                f'fill="{color}"><title>{html.escape(str(label))}: {value:g}</title></rect>'
            )
        x, y = (left + right) / 2, _HEIGHT - _BOTTOM + 14
        short = str(label) if len(str(label)) <= _LABEL else f"{str(label)[: _LABEL - 1]}…"
        turn = f' transform="rotate(-35 {x:.1f} {y})" text-anchor="end"' if slanted else ' text-anchor="middle"'
        parts.append(f'<text x="{x:.1f}" y="{y}"{turn}>{html.escape(short)}</text>')
    return _picture(title, "".join(parts), _HEIGHT + (int(3.6 * longest) if slanted else 0))


def reliability(
    title: str,
    series: Mapping[str, tuple[Any, Any, Any]],
    x_label: str = "",
    y_label: str = "",
) -> str:
    """A reliability diagram: the share that is right against confidence, with the diagonal of perfect calibration.

    Args:
        title: above the chart.
        series: label -> counts, mean confidences and shares right of the bins ``[B]``; larger dots are fuller bins,
            and bars at the foot show the counts of the last series.
        x_label: under the axis.
        y_label: beside the axis.
    """
    frame = _Frame((0.0, 1.0), (0.0, 1.0))
    parts = [frame.grid(x_label, y_label)]
    ends = [f"{frame.x(v):.1f}" for v in (0, 1)] + [f"{frame.y(v):.1f}" for v in (0, 1)]
    parts.append(
        f'<line x1="{ends[0]}" x2="{ends[1]}" y1="{ends[2]}" y2="{ends[3]}" stroke="#8a948d" stroke-dasharray="5 4"/>'
    )
    legend_x = float(_LEFT)
    for index, (label, (count, confidence, right)) in enumerate(series.items()):
        is_last = index == len(series) - 1
        color = PALETTE[0] if is_last else PALETTE[1]
        counts = np.asarray(count, dtype=float)
        most, width = max(float(counts.max(initial=0)), 1.0), 1.0 / max(len(counts), 1)
        x, y = np.asarray(confidence, dtype=float), np.asarray(right, dtype=float)
        for place in np.flatnonzero(counts) if is_last else ():
            left, top = frame.x(place * width), frame.y(0.2 * counts[place] / most)
            parts.append(
                f'<rect x="{left + 1:.1f}" y="{top:.1f}" width="{frame.x(width) - frame.x(0) - 2:.1f}" '
                f'height="{frame.y(0) - top:.1f}" fill="{color}" opacity="0.18"/>'
            )
        known = counts > 0
        parts.append(f'<path d="{_path(frame, x[known], y[known])}" fill="none" stroke="{color}" stroke-width="1.6"/>')
        for place in np.flatnonzero(known):
            radius = 2.0 + 3.5 * math.sqrt(counts[place] / most)
            parts.append(
                f'<circle cx="{frame.x(x[place]):.1f}" cy="{frame.y(y[place]):.1f}" r="{radius:.1f}" fill="{color}">'
                f"<title>{html.escape(label)}: {x[place]:.2f} → {y[place]:.2f} (n = {int(counts[place])})</title>"
                "</circle>"
            )
        foot = _HEIGHT + 4
        parts.append(
            f'<circle cx="{legend_x + 8:.1f}" cy="{foot}" r="4" fill="{color}"/>'
            f'<text x="{legend_x + 20:.1f}" y="{foot + 4}">{html.escape(label)}</text>'
        )
        legend_x += 40 + 6.2 * len(label)
    return _picture(title, "".join(parts), _HEIGHT + 16)
