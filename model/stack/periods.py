"""The periods of a year that composites are made of."""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from dataclasses import dataclass

PERIODS = ("month", "quarter", "season", "all")


@dataclass(frozen=True)
class Period:
    """Dates that make one composite.

    Attributes:
        first: its first day, ISO.
        last: its last day, ISO.
        dates: indices of the dates within it.
    """

    first: str
    last: str
    dates: tuple[int, ...]


def periods_of(dates: Iterable[str], kind: str, season_start: str = "01-01") -> list[Period]:
    """Group dates, ISO and in order; periods without a date are left out.

    ``month`` is a month of the calendar; ``quarter`` three months and ``season`` twelve, both counted from the season's
    start; ``all`` goes from the first date to the last.

    >>> [one.first for one in periods_of(["2021-01-31", "2021-02-01", "2021-05-05"], "quarter", "11-01")]
    ['2020-11-01', '2021-02-01', '2021-05-01']
    """
    dates = list(dates)
    if kind == "all":
        return [Period(dates[0], dates[-1], tuple(range(len(dates))))] if dates else []
    length = {"month": 1, "quarter": 3, "season": 12}[kind]
    month, day = (int(part) for part in season_start.split("-")) if kind != "month" else (1, 1)
    groups: dict[datetime.date, list[int]] = {}
    for index, text in enumerate(dates):
        date = datetime.date.fromisoformat(text)
        months = date.year * 12 + date.month - month
        first = _first_day(months // length * length + month, day)
        if date < first:
            first = _first_day((months // length - 1) * length + month, day)
        elif date >= (after := _next(first, length, day)):
            first = after
        groups.setdefault(first, []).append(index)
    return [
        Period(first.isoformat(), (_next(first, length, day) - datetime.timedelta(days=1)).isoformat(), tuple(indices))
        for first, indices in sorted(groups.items())
    ]


def _first_day(months: int, day: int) -> datetime.date:
    """A day of the month that is ``months`` after the December before year 0; the last one of a shorter month."""
    year, month = divmod(months - 1, 12)
    following = datetime.date(year + month // 11, (month + 1) % 12 + 1, 1)
    return datetime.date(year, month + 1, min(day, (following - datetime.timedelta(days=1)).day))


def _next(first: datetime.date, length: int, day: int) -> datetime.date:
    return _first_day(first.year * 12 + first.month + length, day)
