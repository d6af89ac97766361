"""Dates that the user leaves out of a stack, such as those with haze or clouds that no mask has found."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from ..base.errors import LandloomError
from ..base.language import mark, tr
from .calendar import parse_date
from .products import Product
from .sensors import matches

Skips = Sequence[tuple[str, str]]
SKIPPED = mark("among SKIP_DATES")
"""Why a date is not used, in the report; the panel lets such dates be taken back."""


def parse_skip_dates(text: str) -> tuple[tuple[str, str], ...]:
    """Read a list such as ``2021-03-14, S2:2021-04-02``.

    Args:
        text: dates separated by commas, semicolons or blanks, each with the sensor before a colon, or for every sensor;
            ``S1`` means every ``S1_*``.

    Returns:
        sensor (empty for every one) and ISO date of each, in their order.

    Raises:
        LandloomError: if one is no date.
    """
    found = []
    for one in filter(None, re.split(r"[,;\s]+", text)):
        sensor, _, date = one.rpartition(":")
        try:
            found.append((sensor.upper(), parse_date(date)))
        except LandloomError as error:
            raise LandloomError(
                tr(
                    "SKIP_DATES holds '{one}', which is no date; write 2021-03-14, or S2:2021-03-14 for one sensor."
                ).format(one=one)
            ) from error
    return tuple(dict.fromkeys(found))


def skip_dates_text(skips: Iterable[tuple[str, str]]) -> str:
    """The inverse of :func:`parse_skip_dates`."""
    return ",".join(f"{sensor}:{date}" if sensor else date for sensor, date in skips)


def is_skipped(sensor: str, date: str, skips: Skips) -> bool:
    """Whether a date (ISO) of a sensor is left out."""
    return any(date == one and (not choice or matches(sensor, choice)) for choice, one in skips)


def unused_skips(products: Iterable[Product], skips: Skips) -> list[str]:
    """A warning for the dates of which nothing was found: most likely a slip of the pen."""
    there: set[tuple[str, str]] = set()
    for product in products:
        try:
            there.add((product.sensor, parse_date(product.date)))
        except LandloomError:  # layers without a date; what has an impossible one is named elsewhere
            continue
    lost = [one for one in skips if not any(is_skipped(sensor, date, [one]) for sensor, date in there)]
    return (
        [
            tr("SKIP_DATES names dates of which no product was found: {skip_dates_text}.").format(
                skip_dates_text=skip_dates_text(lost)
            )
        ]
        if lost
        else []
    )
