"""Dates of a stack as the panel shows them: gaps, what is ticked off, the best image. No widget."""

from __future__ import annotations

import datetime
import itertools
from collections.abc import Iterable, Sequence

from ..model.base.errors import LandloomError
from ..model.base.language import tr
from ..model.stack.report import LONG_GAP, USABLE
from ..model.stack.skipdates import SKIPPED, is_skipped, parse_skip_dates, skip_dates_text
from .project import DateRow

Gap = tuple[str, str, int]


def can_be_ticked(row: DateRow) -> bool:
    """Whether a tick changes anything: dates that were skipped for another reason stay out."""
    return row.used or row.why in (SKIPPED, tr(SKIPPED))  # the report may be of a time when QGIS spoke English


def is_ticked(row: DateRow, skip_dates: str) -> bool:
    """Whether a date shall be used.

    Args:
        row: the date.
        skip_dates: as the project keeps them; what is no date there ticks nothing off.
    """
    try:
        return can_be_ticked(row) and not is_skipped(row.sensor, row.date, parse_skip_dates(skip_dates))
    except LandloomError:
        return row.used


def with_tick(rows: Sequence[DateRow], skip_dates: str, row: DateRow, ticked: bool) -> str:
    """SKIP_DATES after a date was ticked or ticked off."""
    try:
        skips = list(parse_skip_dates(skip_dates))
    except LandloomError:
        skips = []
    one = (row.sensor, row.date)
    if not ticked:
        return skip_dates_text(dict.fromkeys([*skips, one]))
    # An entry for every sensor (or all of radar) becomes one for each of the other sensors.
    wide = [skip for skip in skips if skip != one and is_skipped(*one, [skip])]
    others = {(other.sensor, other.date) for other in rows if other.date == row.date and other.sensor != row.sensor}
    kept = [skip for skip in skips if skip != one and skip not in wide]
    kept += [other for other in sorted(others) if is_skipped(*other, wide)]
    return skip_dates_text(dict.fromkeys(kept))


def changed(rows: Iterable[DateRow], skip_dates: str) -> int:
    """How many dates are ticked otherwise than the stack was made."""
    return sum(is_ticked(row, skip_dates) != row.used for row in rows if can_be_ticked(row))


def long_gaps(rows: Iterable[DateRow], skip_dates: str) -> dict[str, list[Gap]]:
    """Sensor -> first and last date and days of the times above 40 days without a usable date."""
    usable: dict[str, set[str]] = {}
    for row in rows:
        dates = usable.setdefault(row.sensor, set())
        if is_ticked(row, skip_dates) and (row.valid is None or row.valid >= USABLE):
            dates.add(row.date)
    found = {}
    for sensor, dates in usable.items():
        pairs = [(a, b, (_day(b) - _day(a)).days) for a, b in itertools.pairwise(sorted(dates))]
        found[sensor] = [gap for gap in pairs if gap[2] > LONG_GAP]
    return found


def best_dates(rows: Iterable[DateRow], most: int = 40) -> list[DateRow]:
    """Dates of optical sensors (else of all) that are in the stack, the clearest first."""
    used = [row for row in rows if row.used]
    optical = [row for row in used if not row.sensor.startswith("S1")] or used
    return sorted(optical, key=lambda row: (-(row.valid if row.valid is not None else 1.0), row.date))[:most]


def _day(date: str) -> datetime.date:
    return datetime.date.fromisoformat(date)
