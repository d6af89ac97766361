"""The files beside a report, for other programs: ``<report>_report.json`` and tables ``<report>_<name>.csv``.

Their keys and columns are always English and documented in ``docs/reports.md``; what people read is in the page.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .csvtext import csv_text
from .files import write_json, write_text
from .provenance import Provenance

FORMAT = "landloom-report"


def beside(report: str | os.PathLike[str], name: str) -> Path:
    """A file beside a report: ``stack.html`` has ``stack_dates.csv``."""
    path = Path(report)
    return path.with_name(f"{path.stem}_{name}")


def write_facts(
    report: str | os.PathLike[str], kind: str, content: Mapping[str, Any], made: Provenance | None = None
) -> Path:
    """Write ``<report>_report.json``: ``format``, ``kind`` (the algorithm), the content, ``provenance``.

    Raises:
        LandloomError: if it cannot be written.
    """
    path = beside(report, "report.json")
    whole = {"format": FORMAT, "kind": kind, **content, "provenance": made.to_json() if made else None}
    write_json(path, plain(whole))
    return path


def write_rows(
    report: str | os.PathLike[str], name: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]
) -> Path:
    """Write ``<report>_<name>.csv``: UTF-8, commas, decimal points, empty cells for what is undefined.

    Raises:
        LandloomError: if it cannot be written.
    """
    path = beside(report, f"{name}.csv")
    write_text(path, csv_text([columns, *([_cell(value) for value in row] for row in rows)]))
    return path


def plain(value: Any) -> Any:
    """What JSON can hold: NaN and infinity become null, numpy's numbers and arrays Python's."""
    if isinstance(value, Mapping):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return str(value) if isinstance(value, Path) else value


def _cell(value: Any) -> Any:
    value = plain(value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "" if value is None else f"{value:.6g}" if isinstance(value, float) else value
