"""Checks of single values of parameters: one sentence each, which names the parameter and what it may be."""

from __future__ import annotations

from collections.abc import Iterable

from .errors import LandloomError
from .language import tr


def check_choice(name: str, value: str, options: Iterable[str]) -> None:
    """A word must be one of some.

    Args:
        name: of the parameter.
        value: given.
        options: those it may be, in the order in which they are told.

    Raises:
        LandloomError: naming the parameter and the options.
    """
    options = list(options)
    if value not in options:
        raise LandloomError(
            tr("{name} is '{value}'; choose one of: {options}.").format(
                name=name, value=value, options=", ".join(options)
            )
        )


def check_range(name: str, value: float, low: float, high: float) -> None:
    """A number must lie within two others, or be one of them; NaN never does.

    Raises:
        LandloomError: naming the parameter and its range.
    """
    if not low <= value <= high:
        raise LandloomError(
            tr("{name} is {value}; choose a value from {low} to {high}.").format(
                name=name, value=_shown(value), low=_shown(low), high=_shown(high)
            )
        )


def _shown(number: float) -> str:
    return str(number) if isinstance(number, int) else f"{number:g}"
