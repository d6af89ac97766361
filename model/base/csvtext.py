"""CSV whose cells spreadsheets take for what they are: names from data never become formulas.

A cell that begins like a formula (``=``, ``+``, ``-``, ``@``; ``of:=`` in OpenDocument) would be computed by the
program that opens the table, which may ask addresses or start programs (OWASP, CSV injection). Such a text gets an
apostrophe in front; numbers stay as they are. Tables that Landloom reads again lose it on reading.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Any

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "of:=")


def csv_text(rows: Iterable[Sequence[Any]]) -> str:
    """The text of a table: commas, a line feed after each row."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([inert(cell) for cell in row] for row in rows)
    return text.getvalue()


def inert(cell: Any) -> Any:
    """A cell that is no formula: texts that begin like one get an apostrophe."""
    if not isinstance(cell, str) or not cell.startswith(_FORMULA):
        return cell
    try:
        float(cell)
    except ValueError:
        return f"'{cell}"
    return cell


def as_given(cell: str) -> str:
    """What :func:`inert` was given."""
    return cell[1:] if cell.startswith("'") and cell[1:].startswith(_FORMULA) else cell
