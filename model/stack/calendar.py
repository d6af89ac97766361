"""Dates and the days that networks count: one origin for all sensors of a stack."""

from __future__ import annotations

import contextlib
import datetime
import re
from collections.abc import Iterable

from ..base.errors import LandloomError
from ..base.language import tr

DEFAULT_SEASON_START = "01-01"

# 20210103, 2021-01-03, 2021_01_03, also followed by T and a time; not part of a longer number
_DATE = re.compile(r"(?<!\d)((?:19|20)\d{2})([-_./]?)(0[1-9]|1[0-2])\2(0[1-9]|[12]\d|3[01])(?!\d)")
# 2021003: year and day of year, as in HLS
_DAY_OF_YEAR = re.compile(r"(?<!\d)((?:19|20)\d{2})([0-3]\d{2})(?!\d)")


def parse_date(text: str) -> str:
    """An ISO date from ``2021-01-03`` or ``20210103``.

    Raises:
        LandloomError: if the text is not such a date.
    """
    match = _DATE.fullmatch(text.strip())
    date = _iso(match) if match else None
    if date is None:
        raise LandloomError(
            tr("'{text}' is not a date; write dates as 2021-01-03 or 20210103.").format(text=text.strip())
        )
    return date


def find_date(text: str) -> tuple[str, str] | None:
    """The first date within a name and what is left of the name without it, or None.

    >>> find_date("S2_20210103_10m")
    ('2021-01-03', 'S2_10m')
    """
    found = _find(text)
    return (found[0], _without(text, found[1])) if found else None


def before_date(text: str) -> str | None:
    """What stands before the first date within a name, or None.

    >>> before_date("S2_20210103_10m")
    'S2_'
    """
    found = _find(text)
    return text[: found[1].start()] if found else None


def _find(text: str) -> tuple[str, re.Match[str]] | None:
    for match in _DATE.finditer(text):
        iso = _iso(match)
        if iso:
            return iso, match
    for match in _DAY_OF_YEAR.finditer(text):
        year, day = int(match.group(1)), int(match.group(2))
        date = datetime.date(year, 1, 1) + datetime.timedelta(days=day - 1)
        if day >= 1 and date.year == year:
            return date.isoformat(), match
    return None


def parse_dates(text: str) -> list[str]:
    """ISO dates from a list separated by commas, semicolons, blanks or line ends.

    Raises:
        LandloomError: naming the first entry that is not a date.
    """
    return [parse_date(entry) for entry in re.split(r"[,;\s]+", text.strip()) if entry]


def check_season_start(text: str) -> str:
    """The season's start as ``MM-DD``.

    Raises:
        LandloomError: if it is no day of every year.
    """
    match = re.fullmatch(r"\s*(\d{1,2})-(\d{1,2})\s*", text)
    if match:
        month, day = int(match.group(1)), int(match.group(2))
        with contextlib.suppress(ValueError):
            datetime.date(2001, month, day)  # not a leap year: 02-29 is refused
            return f"{month:02d}-{day:02d}"
    raise LandloomError(
        tr("SEASON_START is '{text}'; write it as month-day, such as 01-01 or 10-01.").format(text=text)
    )


def day_of(date: str, season_start: str, campaign_year: int) -> int:
    """Days from the season's start to a date; may be negative or above 365.

    Args:
        date: ISO date.
        season_start: ``MM-DD``.
        campaign_year: the year of the season's start.
    """
    month, day = (int(part) for part in season_start.split("-"))
    return (datetime.date.fromisoformat(date) - datetime.date(campaign_year, month, day)).days


def default_campaign_year(dates: Iterable[str], season_start: str = DEFAULT_SEASON_START) -> int:
    """The year in which the season began that holds the middle of the period between the first and the last date.

    With a season from 10-01, images of October 2020 to September 2021 belong to the campaign of 2020.

    Raises:
        LandloomError: if there is no date.
    """
    ordered = sorted(date for date in dates if date)
    if not ordered:
        raise LandloomError(tr("There is no date, so CAMPAIGN_YEAR cannot be deduced; give it."))
    first, last = datetime.date.fromisoformat(ordered[0]), datetime.date.fromisoformat(ordered[-1])
    middle = first + (last - first) / 2
    begun = f"{middle:%m-%d}" >= season_start
    return middle.year if begun else middle.year - 1


def _iso(match: re.Match[str]) -> str | None:
    try:
        return datetime.date(int(match.group(1)), int(match.group(3)), int(match.group(4))).isoformat()
    except ValueError:
        return None


def _without(text: str, match: re.Match[str]) -> str:
    before, after = text[: match.start()], text[match.end() :]
    after = re.sub(r"^[T_-]?\d{6}(?!\d)", "", after) if re.match(r"^T\d{6}", after) else after
    return re.sub(r"([_\-. ])[_\-. ]+", r"\1", before + after).strip("_-. ")
