"""Self-contained HTML reports: no script, no network; every text is escaped here."""

from __future__ import annotations

import base64
import html
import json
import math
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from . import charts
from .files import write_text
from .language import language, tr
from .provenance import Provenance

_STYLE = """
body{font-family:'Segoe UI',Helvetica,Arial,sans-serif;color:#1d2a22;max-width:70em;margin:2em auto;padding:0 1.5em;
line-height:1.45}
h1{font-size:1.7em;margin:0 0 .1em}h2{font-size:1.2em;margin:1.8em 0 .4em;border-bottom:2px solid #3d7a4f}
.subtitle{color:#5c6b61;margin:0 0 1em}
table{border-collapse:collapse;margin:.6em 0 1.2em;font-size:.92em}
th,td{padding:.28em .6em;border-bottom:1px solid #dde4df;text-align:left;vertical-align:top}
th{background:#eef3ef}td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}
.scroll{overflow-x:auto}
.warning{background:#fff4dc;border-left:4px solid #d9920a;padding:.45em .9em;margin:.5em 0}
td.d{white-space:nowrap}td.c{white-space:nowrap;padding-right:1.4em}
.swatch{display:inline-block;width:.9em;height:.9em;border:1px solid #0003;margin-right:.5em;vertical-align:-.1em}
details{margin-top:2em}summary{font-size:1.2em;font-weight:600;border-bottom:2px solid #3d7a4f;cursor:pointer}
pre{background:#eef3ef;padding:.6em .9em;white-space:pre-wrap;overflow-wrap:anywhere;font-size:.85em}
.charts{display:flex;flex-wrap:wrap;gap:1em}img{max-width:100%;border:1px solid #dde4df}
svg{max-width:49.5%;height:auto}svg.wide{max-width:100%}
@page{size:A4;margin:14mm}
@media print{
body{max-width:none;margin:0;padding:0;font-size:9.5pt;-webkit-print-color-adjust:exact;print-color-adjust:exact}
.scroll{overflow:visible}table{font-size:.82em;max-width:100%}th,td{padding:.2em .4em}td{overflow-wrap:anywhere}
td.n{overflow-wrap:normal;white-space:nowrap}
table.wide{font-size:.56em}table.wide th,table.wide td{padding:.15em .2em}
table.wide thead th.n{writing-mode:vertical-rl;transform:rotate(180deg);max-height:14em;text-align:left}
thead{display:table-header-group}tr,svg,img,.warning{break-inside:avoid;page-break-inside:avoid}
h1,h2,summary{break-after:avoid;page-break-after:avoid}p{orphans:3;widows:3}
details::details-content{content-visibility:visible;block-size:auto}
}
"""

_RIGHT = ' class="n"'  # right-aligned numbers
_WHOLE = ' class="d"'  # not wrapped
_SWATCHED = ' class="c"'  # a class with its colour, not wrapped while it is short
_SHORT = 32
_MANY_COLUMNS = 12
_NUMBER_TEXT = re.compile(r"(<[ \u00a0])?[+-]?\d[\d\u202f,]*(\.\d+)?( ?%)?")
_DATE_TEXT = re.compile(r"\d{4}-\d\d-\d\d")


def number(value: Any, digits: int = 3) -> str:
    """A number for people: thin thousands, fixed digits, a dash for what is undefined."""
    if value is None:
        return "–"
    if isinstance(value, float | np.floating):
        return "–" if not math.isfinite(value) else f"{value:.{digits}f}"
    if isinstance(value, int | np.integer) and not isinstance(value, bool):
        return f"{int(value):,}".replace(",", "\u202f")
    return str(value)


class Report:
    """An HTML page built from top to bottom.

    Args:
        title: the heading of the page.
        subtitle: one line under it, such as the file it is about.
    """

    def __init__(self, title: str, subtitle: str = "") -> None:
        self._title, self._subtitle = title, subtitle
        self._parts: list[str] = []

    def heading(self, text: str) -> None:
        """Begin a section."""
        self._parts.append(f"<h2>{html.escape(text)}</h2>")

    def paragraph(self, text: str) -> None:
        """A paragraph of plain text."""
        self._parts.append(f"<p>{html.escape(text)}</p>")

    def link(self, text: str, target: str) -> None:
        """A link to another page, by a path relative to this one."""
        self._parts.append(f'<p><a href="{html.escape(target)}">{html.escape(text)}</a></p>')

    def warnings(self, messages: Iterable[str]) -> None:
        """What the reader should look at, each in a box of its own."""
        for message in messages:
            self._parts.append(f'<div class="warning">{html.escape(message)}</div>')

    def table(
        self,
        header: Sequence[str],
        rows: Iterable[Sequence[Any]],
        numeric: bool = True,
        colors: Sequence[str] | None = None,
    ) -> None:
        """A table; ``colors`` puts a swatch before the first cell of each row.

        Columns of numbers, and of texts that are numbers such as ``12.50`` or ``98.1 %``, are right-aligned with their
        heading.
        """
        lines = [list(row) for row in rows]
        right = {c for c in range(len(header)) if numeric and _is_numeric([line[c] for line in lines])}
        body = []
        for index, line in enumerate(lines):
            cells = []
            for column, value in enumerate(line):
                text, kind, swatch = number(value), "", ""
                if column in right:
                    kind = _RIGHT
                elif _DATE_TEXT.fullmatch(text):
                    kind = _WHOLE
                if colors is not None and column == 0:
                    swatch = f'<span class="swatch" style="background:{html.escape(colors[index])}"></span>'
                    kind = _SWATCHED if len(text) <= _SHORT else ""
                cells.append(f"<td{kind}>{swatch}{html.escape(text)}</td>")
            body.append(f"<tr>{''.join(cells)}</tr>")
        head = "".join(
            f"<th{_RIGHT if column in right else ''}>{html.escape(str(text))}</th>"
            for column, text in enumerate(header)
        )
        above = f"<thead><tr>{head}</tr></thead>" if any(header) else ""
        self._parts.append(
            f'<div class="scroll"><table{_width(len(header))}>{above}<tbody>{"".join(body)}</tbody></table></div>'
        )

    def confusion(
        self,
        matrix: np.ndarray,
        names: Sequence[str],
        shares: np.ndarray | None = None,
        totals: bool = False,
        digits: int | None = None,
        corner: str = "",
    ) -> None:
        """A confusion matrix: rows the reference, columns the prediction.

        Args:
            matrix: ``[K, K]``; NaN is shown as a dash.
            names: of the classes.
            shares: ``[K, K]`` 0 to 1, by which cells are shaded; by default the share of the row.
            totals: add the sum of each row and column.
            digits: behind the point of every cell; by default one, and none for whole numbers.
            corner: what rows and columns are, where they are something else.
        """
        matrix = np.asarray(matrix, dtype=float)
        share = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1e-12) if shares is None else shares
        share = np.nan_to_num(share)
        names = list(names)
        if totals:
            matrix = np.pad(matrix, (0, 1))
            matrix[-1], matrix[:, -1] = matrix.sum(axis=0), matrix.sum(axis=1)
            matrix[-1, -1] = matrix[-1, :-1].sum()
            share, names = np.pad(share, (0, 1)), [*names, tr("total")]
        head = "".join(f"<th{_RIGHT}>{html.escape(str(name))}</th>" for name in names)
        rows = []
        for i, name in enumerate(names):
            cells = []
            for j in range(len(names)):
                tint = "61,122,79" if i == j else "196,78,40"
                shade = f"rgba({tint},{0.75 * share[i, j]:.2f})"
                cell = float(matrix[i, j])
                whole = digits is None and cell.is_integer()
                value = number(int(cell) if whole else cell, 1 if digits is None else digits)
                cells.append(f'<td class="n" style="background:{shade}">{value}</td>')
            rows.append(f"<tr><th>{html.escape(str(name))}</th>{''.join(cells)}</tr>")
        corner = corner or f"{tr('reference')} \\ {tr('predicted')}"
        content = f"<thead><tr><th>{html.escape(corner)}</th>{head}</tr></thead><tbody>{''.join(rows)}</tbody>"
        self._parts.append(f'<div class="scroll"><table{_width(len(names))}>{content}</table></div>')

    def lines(
        self,
        title: str,
        x: Sequence[float],
        series: Mapping[str, Any],
        x_label: str = "",
        y_label: str = "",
        colors: Sequence[str] | None = None,
    ) -> None:
        """A line chart; a series is ``y`` or ``(y, low, high)``, the latter with a band."""
        self._parts.append(charts.lines(title, x, series, x_label, y_label, colors))

    def bars(
        self,
        title: str,
        labels: Sequence[str],
        values: Sequence[float],
        y_label: str = "",
        colors: Sequence[str] | None = None,
    ) -> None:
        """A bar chart."""
        self._parts.append(charts.bars(title, labels, values, y_label, colors))

    def picture(self, svg: str) -> None:
        """A chart made by :mod:`.charts`."""
        self._parts.append(svg)

    def image(self, png: bytes, text: str) -> None:
        """A picture inside the page; ``text`` says what it shows to those who do not see it."""
        source = base64.b64encode(png).decode("ascii")
        self._parts.append(f'<p><img src="data:image/png;base64,{source}" alt="{html.escape(text)}"/></p>')

    def provenance(self, made: Provenance) -> None:
        """A section that folds: inputs, versions, seed, date, and the command that makes the result again."""
        self._parts.append(f'<details open="open"><summary>{html.escape(tr("How this was made"))}</summary>')
        rows = [[tr("date"), made.made]]
        if made.seed is not None:
            rows.append([tr("seed"), str(made.seed)])
        rows += [[name, text] for name, text in made.versions.items()]
        self.table(["", ""], rows, numeric=False)
        if made.sources:
            header = [tr("input"), tr("path"), tr("size (bytes)"), tr("changed")]
            self.table(header, [[one.role, one.path, one.size, one.time or None] for one in made.sources])
        if made.command is not None:
            self.paragraph(tr("To make it again, run this in a shell:"))
            self._code(made.command.line)
            self.paragraph(
                tr("or give these parameters to {command} on standard input:").format(
                    command=f"qgis_process run {made.command.algorithm} -"
                )
            )
            self._code(json.dumps(made.command.parameters, indent=1, ensure_ascii=False))
        self._parts.append("</details>")

    def _code(self, text: str) -> None:
        self._parts.append(f"<pre>{html.escape(text)}</pre>")

    def html(self) -> str:
        """The page."""
        subtitle = f'<p class="subtitle">{html.escape(self._subtitle)}</p>' if self._subtitle else ""
        return (
            f'<!DOCTYPE html>\n<html lang="{language()}"><head><meta charset="utf-8">'
            f"<title>{html.escape(self._title)}</title><style>{_STYLE}</style></head><body>"
            f"<h1>{html.escape(self._title)}</h1>{subtitle}\n" + "\n".join(self._parts) + "\n</body></html>\n"
        )

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write the page, whole or not at all."""
        write_text(path, self.html())


def _width(columns: int) -> str:
    """Tables of many columns are printed smaller, their headings upright, so that the page holds them."""
    return ' class="wide"' if columns > _MANY_COLUMNS else ""


def _is_numeric(values: Sequence[Any]) -> bool:
    """Whether all cells of a column that say something are numbers, and some are."""
    known = [value for value in values if value is not None and value not in ("", "–")]
    return bool(known) and all(
        _NUMBER_TEXT.fullmatch(value) is not None
        if isinstance(value, str)
        else isinstance(value, int | float | np.number) and not isinstance(value, bool)
        for value in known
    )
