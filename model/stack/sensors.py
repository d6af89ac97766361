"""What a sensor is, and the series of values that travels between reader, sample store and networks."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any, NamedTuple

import numpy as np

OPTICAL, RADAR, STATIC = "optical", "radar", "static"
KINDS = (OPTICAL, RADAR, STATIC)


class Series(NamedTuple):
    """Values of one sensor for B windows, as read: scale and unit are in :class:`SensorSpec`.

    Attributes:
        values: ``[B, T, C, H, W]``, integers or float32; what the mask calls invalid is 0.
        mask: ``[B, T, H, W]``, True where a pixel is valid at a date.
        days: ``[T]`` int32, days since the season's start.
    """

    values: np.ndarray
    mask: np.ndarray
    days: np.ndarray


@dataclass(frozen=True)
class SensorSpec:
    """One co-registered series: its bands, dates and how raw values become physical ones.

    ``physical = raw * scale + offset``, in ``unit``: ``reflectance`` (0..1), for radar ``power``, ``db`` or
    ``amplitude``, else empty. ``dates`` are ISO (2021-05-03), empty text for a static layer; ``days`` count from the
    season's start. ``calibration`` is ``sigma0``, ``gamma0``, ``gamma0_rtc`` or ``unknown`` for radar; ``speckle``
    names the filter that the reader applies to it, such as ``quegan 5``.
    """

    name: str
    kind: str
    bands: tuple[str, ...]
    dates: tuple[str, ...]
    days: tuple[int, ...]
    dtype: str = "int16"
    scale: float = 1.0
    offset: float = 0.0
    nodata: float | None = None
    unit: str = ""
    calibration: str = ""
    orbit: str = ""
    speckle: str = ""

    def to_json(self) -> dict[str, Any]:
        """A dictionary that JSON can hold."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> SensorSpec:
        """The inverse of :meth:`to_json`; unknown keys are ignored.

        Raises:
            ValueError: naming the first value that is of a wrong kind; files come from anyone.
            TypeError: where ``content`` lacks one, or is no dictionary.
        """
        known = {key: content[key] for key in cls.__dataclass_fields__ if key in content}
        for key, sound in _SOUND.items():
            values = known.get(key, ())
            if not isinstance(values, (list, tuple)) or not all(sound(value) for value in values):
                raise ValueError(f"the {key} of a sensor")
            known[key] = tuple(values)
        if not known["bands"] or not known["dates"]:
            raise ValueError("the bands or dates of a sensor, which has none")
        if len(known["dates"]) != len(known["days"]):
            raise ValueError("the days of a sensor, of which each date has one")
        for key, value in known.items():
            if key in ("scale", "offset") or (key == "nodata" and value is not None):
                good = _is_number(value)
            else:
                good = key in _SOUND or key == "nodata" or isinstance(value, str)
            if not good:
                raise ValueError(f"the {key} of a sensor")
        return cls(**known)

    def with_dates(self, dates: tuple[str, ...], days: tuple[int, ...]) -> SensorSpec:
        """The same sensor at other dates."""
        return replace(self, dates=dates, days=days)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < math.inf


def _is_day(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) < 10**6


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


_SOUND: dict[str, Callable[[Any], bool]] = {"bands": _is_text, "dates": _is_text, "days": _is_day}


def matches(name: str, choice: str) -> bool:
    """Whether a sensor is meant by a choice such as ``S2``; ``S1`` means every ``S1_*``."""
    return name == choice or (choice == "S1" and name.startswith("S1_"))
