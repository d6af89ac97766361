"""Multi-temporal speckle filter of radar series (Quegan & Yu 2001), at reading.

S. Quegan, J. J. Yu: Filtering of multichannel SAR images, IEEE Transactions on Geoscience and Remote Sensing 39 (11),
2001, doi 10.1109/36.964973, for dates whose speckle is uncorrelated:

    J_k(x) = E_k(x) / M * sum over the M dates i of I_i(x) / E_i(x)

with I the power and E its mean over a window around x. The mean of every date is kept, and M dates and a window of N
pixels bring up to about N M / (N + M - 1) times the looks.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..base.errors import LandloomError
from ..base.language import tr

METHODS = ("none", "quegan")
SMALLEST, LARGEST = 3, 21


def speckle_name(method: str, window: int) -> str:
    """What a stack keeps of the choice: ``quegan 5``, or nothing.

    Raises:
        LandloomError: if the window is even or out of range.
    """
    if method in ("", "none"):
        return ""
    if window % 2 == 0 or not SMALLEST <= window <= LARGEST:
        raise LandloomError(
            tr("SPECKLE_WINDOW is {window}; give an odd number from {smallest} to {largest}.").format(
                window=window, smallest=SMALLEST, largest=LARGEST
            )
        )
    return f"{method} {window}"


def speckle_radius(name: str) -> int:
    """Half the window of a filter's name in pixels, 0 for none.

    >>> speckle_radius("quegan 5"), speckle_radius("")
    (2, 0)
    """
    return int(name.split()[1]) // 2 if name else 0


def quegan(values: np.ndarray, mask: np.ndarray, radius: int, wanted: Sequence[int]) -> np.ndarray:
    """Filter the dates of one orbit.

    Sums run over the window in one fixed order, so that a pixel's result does not depend on the window it is read in.

    Args:
        values: ``[T, C, H + 2 radius, W + 2 radius]`` power, 0 where invalid.
        mask: ``[T, H + 2 radius, W + 2 radius]``, True where valid; only valid pixels count, in means and in M.
        radius: the window is ``2 radius + 1`` pixels wide.
        wanted: the dates to give.

    Returns:
        ``[len(wanted), C, H, W]`` float32; 0 where invalid.
    """
    inner = slice(radius, -radius)
    height, width = mask.shape[1] - 2 * radius, mask.shape[2] - 2 * radius
    result = np.zeros((len(wanted), values.shape[1], height, width), np.float32)
    full = np.float32((2 * radius + 1) ** 2)
    counts = [full if valid.all() else _window_sum(valid.astype(np.float32), radius) for valid in mask]
    centre = mask[:, inner, inner]
    means = np.empty((len(mask), height, width), np.float32)
    for channel in range(values.shape[1]):
        ratios = np.zeros((height, width), np.float32)
        dates = np.zeros((height, width), np.float32)
        for date, count in enumerate(counts):
            mean = means[date]
            mean[...] = _window_sum(values[date, channel], radius)
            np.divide(mean, count, out=mean, where=np.asarray(count > 0))
            usable = centre[date] & (mean > 0)
            ratio = np.divide(values[date, channel, inner, inner], mean, out=np.zeros_like(mean), where=usable)
            ratios += ratio
            dates += usable
        np.divide(ratios, dates, out=ratios, where=dates > 0)
        for place, date in enumerate(wanted):
            np.multiply(means[date], ratios, out=result[place, channel], where=centre[date])
    return result


def _window_sum(values: np.ndarray, radius: int) -> np.ndarray:
    """Sums over ``2 radius + 1`` squared pixels, ``[H, W]`` to ``[H - 2 radius, W - 2 radius]``, float32."""
    height, width = values.shape[0] - 2 * radius, values.shape[1] - 2 * radius
    lines = values[:height].astype(np.float32)
    for step in range(1, 2 * radius + 1):
        lines += values[step : step + height]
    total = lines[:, :width].copy()
    for step in range(1, 2 * radius + 1):
        total += lines[:, step : step + width]
    return total
