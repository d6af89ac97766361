"""What each date of a sensor is compared with: a raster, a date, or, of each date, the median of the others.

A date is never compared with a picture that holds its own noise, which would draw every shift to nothing. Series too
short for a median take the clearest date.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..base.errors import LandloomError
from ..base.language import tr
from ..base.progress import Progress
from .correlation import WINDOW, margin
from .grid import Bounds, Window
from .manifest import Stack
from .rasterinfo import inspect
from .rasterwindows import RasterWindows, band_number

MEDIAN_DATES = 5
"""Series of fewer dates are compared with their clearest one."""

MOST_IN_MEDIAN = 60
SMALLEST_WINDOW = 32

_CLEARNESS_WINDOWS = 16

Picture = tuple[np.ndarray, np.ndarray]  # values [H, W], valid [H, W]


@dataclass(frozen=True)
class CoregisterSettings:
    """The choices of ``coregister``: see its parameters. Lengths are in pixels."""

    sensors: tuple[str, ...] = ()
    reference: str = ""
    reference_date: str = ""
    band: str = ""
    reference_band: str = ""
    max_shift: float = 2.0
    min_shift: float = 0.2
    bounds: Bounds | None = None
    window: int = WINDOW
    windows: int = 100
    memory_mb: float = 1024
    copy: str = ""


def check_settings(settings: CoregisterSettings) -> None:
    """Check the numbers.

    Raises:
        LandloomError: naming the parameter that is out of range.
    """
    for name, value, low, high in (
        ("MAX_SHIFT", settings.max_shift, 0.0, 100.0),
        ("MIN_SHIFT", settings.min_shift, 0.0, settings.max_shift),
        ("WINDOW", settings.window, SMALLEST_WINDOW, 512),
        ("WINDOWS", settings.windows, 3, 10_000),
    ):
        if not low <= value <= high:
            raise LandloomError(
                tr("{name} is {value:g}; give a number from {low:g} to {high:g}.").format(
                    name=name, value=value, low=low, high=high
                )
            )


class Reference:
    """What each date is compared with, window by window.

    Attributes:
        text: what it is, for people.
        index: the date that is the reference, or None.
    """

    def __init__(
        self,
        stack: Stack,
        name: str,
        settings: CoregisterSettings,
        band: str,
        read: Callable[[int, Window], Picture],
        windows: Sequence[Window],
        progress: Progress,
    ) -> None:
        self.index: int | None = None
        self._read = read
        self._raster: RasterWindows | None = None
        dates = stack.spec(name).dates
        self._dates = range(len(dates))
        if settings.reference:
            info = inspect(settings.reference)
            wanted = settings.reference_band
            if not wanted and band.lower() in (one.lower() for one in info.descriptions):
                wanted = band
            number = band_number(info, wanted, "REFERENCE_BAND")
            self._raster = RasterWindows(settings.reference, number, stack.grid)
            self.text = f"{Path(settings.reference).name}, " + tr("band {number}").format(number=number)
            return
        if settings.reference_date:
            if settings.reference_date not in dates:
                raise LandloomError(
                    tr("REFERENCE_DATE {reference_date} is no date of {name}; it has {dates}.").format(
                        reference_date=settings.reference_date, name=name, dates=", ".join(dates)
                    )
                )
            self.index = dates.index(settings.reference_date)
        elif len(dates) < MEDIAN_DATES:
            some = windows[:: max(1, len(windows) // _CLEARNESS_WINDOWS)]
            shares = []
            for index in self._dates:
                progress.check()
                shares.append(sum(int(read(index, window)[1].sum()) for window in some))
            self.index = int(np.argmax(shares))
        if self.index is not None:
            self.text = tr("{sensor} of {date}").format(sensor=name, date=dates[self.index])
            return
        self.text = tr("the median of the other dates")
        side = windows[0].width + 2 * margin(windows[0].width)
        fitting = int(settings.memory_mb * 2**20 / 4 / (16 * side * side))
        count = max(MEDIAN_DATES, min(MOST_IN_MEDIAN, fitting, len(dates)))
        self._of_median = sorted(set(np.linspace(0, len(dates) - 1, count).round().astype(int).tolist()))

    def pairs(self, window: Window, progress: Progress) -> Iterator[tuple[int, Picture, Picture]]:
        """Each date of a window that is no reference: its index, its picture and that of the reference."""
        if self._raster is not None or self.index is not None:
            reference = self._raster.read(window) if self._raster is not None else self._read(self.index or 0, window)
            for index in self._dates if reference[1].any() else ():
                if index != self.index:
                    progress.check()
                    yield index, self._read(index, window), reference
            return
        pictures = {}
        for index in self._of_median:
            progress.check()
            pictures[index] = self._read(index, window)
        values = np.stack([picture[0] for picture in pictures.values()])
        valid = np.stack([picture[1] for picture in pictures.values()])
        values[~valid] = np.inf
        values.sort(axis=0)
        count = valid.sum(axis=0)
        for index in self._dates:
            progress.check()
            own = pictures.get(index)
            picture = self._read(index, window) if own is None else own
            yield index, picture, median_without(values, count, own)


def median_without(ordered: np.ndarray, count: np.ndarray, own: Picture | None) -> Picture:
    """The median of a series without one of its pictures.

    Args:
        ordered: ``[T, H, W]`` the valid values in ascending order, then infinity.
        count: ``[H, W]`` how many are valid.
        own: the picture that is left out; None for one that is not among them.

    Returns:
        the median, and where it is one of anything.
    """
    left = np.zeros(count.shape, bool) if own is None else own[1]
    rest = count - left
    total = np.zeros(count.shape, np.float32)
    for place in (np.maximum(rest - 1, 0) // 2, rest // 2):
        value = np.take_along_axis(ordered, place[None], axis=0)[0]
        if own is not None:
            above = np.minimum(place + 1, len(ordered) - 1)
            later = np.take_along_axis(ordered, above[None], axis=0)[0]
            value = np.where(left & (own[0] <= value), later, value)
        total += np.where(rest > 0, value, 0) / 2
    return total, rest > 0
