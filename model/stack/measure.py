"""How much of a date holds data and is valid, and whether its values can be what they are said to be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..base.errors import LandloomError, NoAnswerError
from ..base.language import tr
from ..base.progress import Progress
from ..base.raster import is_remote
from .grid import Grid, Window
from .manifest import Acquisition, Part, Sensor, Stack
from .reader import StackReader
from .smallview import count_small, has_small_views
from .stac.http import is_silent
from .stac.relink import Links, with_new_links

EXACT_PIXELS = 1_000_000
"""Shares of validity are counted on every pixel of smaller grids, on a lattice of windows of larger ones."""
_WINDOWS, _WINDOW = 7, 64

MAX_NEGATIVE = 0.05
"""A larger share of negative reflectances among clear ones shows that an offset was taken off twice."""


CHECKED = 0.01
"""Above this share in a small picture, negative values are counted on pixels themselves."""

_STRIP = 512


@dataclass(frozen=True)
class Shares:
    """Counts of pixels of a date: with data, valid, and valid with a negative value in the first band.

    Attributes:
        data: with data.
        valid: with data and not masked.
        negative: valid, with a negative value in the first band.
        pixels: all that were looked at.
    """

    data: int = 0
    valid: int = 0
    negative: int = 0
    pixels: int = 1


def sample_windows(grid: Grid) -> list[Window]:
    """All of a small grid; of a large one 7 x 7 windows of 64 pixels, spread evenly."""
    if grid.width * grid.height <= EXACT_PIXELS:
        return [grid.whole]
    width, height = min(_WINDOW, grid.width), min(_WINDOW, grid.height)
    columns = np.unique(np.linspace(0, grid.width - width, _WINDOWS).astype(int))
    rows = np.unique(np.linspace(0, grid.height - height, _WINDOWS).astype(int))
    return [Window(int(column), int(row), width, height) for row in rows for column in columns]


def measure(
    stack: Stack,
    sensor: Sensor,
    acquisition: Acquisition,
    windows: Sequence[Window],
    links: Links,
    progress: Progress,
) -> tuple[Acquisition, Shares, list[tuple[Part, str]]]:
    """Count the pixels of a date in some windows.

    Links that have expired meanwhile are renewed.

    Returns:
        the date without products whose pixels cannot be read, the counts, and these products with the reason.
    """
    try:
        return acquisition, _count(stack, sensor, acquisition, windows, progress), []
    except NoAnswerError:
        raise
    except LandloomError as error:
        again = with_new_links(acquisition, links)
        if again is not acquisition:
            return measure(stack, sensor, again, windows, {}, progress)
        if any(is_silent(source.path) for part in acquisition.parts for source in part.sources):
            raise NoAnswerError(
                tr("{error} Check the connection, then run the same again.").format(error=error)
            ) from error
        good, bad = [], []
        for part in acquisition.parts:
            try:
                _count(stack, sensor, replace(acquisition, parts=(part,)), windows, progress)
            except LandloomError as error:
                bad.append((part, str(error).rstrip(".")))
            else:
                good.append(part)
        if not bad:
            raise
        acquisition = replace(acquisition, parts=tuple(good))
        return acquisition, _count(stack, sensor, acquisition, windows, progress) if good else Shares(), bad


def check_offset(sensor: Sensor, acquisition: Acquisition, shares: Shares) -> None:
    """Stop where an offset that the metadata ask for makes clear values negative.

    Raises:
        LandloomError: if it does so for more than 5 % of them.
    """
    if shares.negative > MAX_NEGATIVE * shares.valid:
        raise LandloomError(
            tr(
                "With the offset of its metadata (BOA_ADD_OFFSET) {negative:.0f} % of the clear values in "
                "{bands} of {parts} are negative: it seems to be taken off already; get the product again, or "
                "take it out of the folder."
            ).format(
                negative=100 * shares.negative / shares.valid,
                bands=sensor.bands[0],
                parts=", ".join(part.product for part in acquisition.parts),
            )
        )


def _count(
    stack: Stack, sensor: Sensor, acquisition: Acquisition, windows: Sequence[Window], progress: Progress
) -> Shares:
    """Count on small grids every pixel by all bands; on large ones small pictures where there are some, else windows.

    What the windows show to be without data is looked through whole: a narrow strip of a swath may lie between them.
    """
    shares = _small(stack, sensor, acquisition, progress) if len(windows) > 1 else None
    if shares is not None:
        if sensor.offset < 0 and shares.negative > CHECKED * shares.valid:
            exact = _count_windows(stack, sensor, acquisition, windows, progress, sensor.bands[:1])
            shares = replace(shares, negative=round(exact.negative / exact.valid * shares.valid) if exact.valid else 0)
        return shares
    remote = any(is_remote(source.path) for part in acquisition.parts for source in part.sources)
    bands = sensor.bands[:1] if remote or len(windows) > 1 else sensor.bands
    shares = _count_windows(stack, sensor, acquisition, windows, progress, bands)
    if shares.data or len(windows) == 1 or remote:
        return shares
    grid = stack.grid
    strips = [Window(0, row, grid.width, min(_STRIP, grid.height - row)) for row in range(0, grid.height, _STRIP)]
    return _count_windows(stack, sensor, acquisition, strips, progress, bands)


def _small(stack: Stack, sensor: Sensor, acquisition: Acquisition, progress: Progress) -> Shares | None:
    """Counts of small pictures of a date; None where its files have none, or where their pixels must tell."""
    if not has_small_views(sensor, acquisition):
        return None
    try:
        pixels, counts = count_small(stack.grid, sensor, acquisition, progress)
    except NoAnswerError:
        raise
    except LandloomError:
        return None  # read as they are, they say which product is damaged
    return Shares(*counts, pixels)


def _count_windows(
    stack: Stack,
    sensor: Sensor,
    acquisition: Acquisition,
    windows: Sequence[Window],
    progress: Progress,
    bands: Sequence[str],
) -> Shares:
    alone = replace(sensor, acquisitions=(acquisition,))
    data = valid = negative = 0
    if not alone.complete:
        return Shares()
    with StackReader(replace(stack, sensors={sensor.name: alone}), bands={sensor.name: bands}) as reader:
        for window in windows:
            progress.check()
            holds, clear = reader.validity(sensor.name, 0, window)
            data += int(np.count_nonzero(holds))
            valid += int(np.count_nonzero(clear))
            if sensor.offset < 0 and clear.any():
                series = reader.read_dates(sensor.name, window, [0])
                values = series.values[0, 0, 0][series.mask[0, 0]].astype(np.float64)
                negative += int(np.count_nonzero(np.round(values * sensor.scale + sensor.offset, 9) < 0))
        reader.let_go()
    return Shares(data, valid, negative, sum(window.width * window.height for window in windows))
