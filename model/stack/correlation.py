"""How far one picture of a place lies from another: correlation in the Fourier domain, in many small windows.

What is correlated are the edges (magnitude of the smoothed gradient): they stay where they are when a crop turns from
darker to brighter than its neighbour, in another band, in radar. Of scikit-image's ``phase_cross_correlation`` the
plain cross-correlation is used: with a whitened spectrum noise counts as much as fields do, and windows disagree.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..base.optional import need

WINDOW = 64
"""Pixels along the edge of a window: small enough to lie between clouds."""

SMOOTHING = {"radar": 2.0}
"""Standard deviation of the Gaussian whose gradient is taken, pixels, by kind of sensor; else 1."""

MIN_VALID = 0.5
"""Share of a window that both pictures must hold, clouds left out."""

AGREEMENT = 0.5
"""Windows agree whose shift is nearer than this to the median, pixels."""

MIN_WINDOWS = 3
"""Fewer windows say nothing."""

MIN_AGREEING = 0.5
"""Share of windows that must agree."""

_FEATHER = 6  # pixels over which weights rise from 0 beside what is masked
_UPSAMPLING = 50
_PASSES = 3


@dataclass(frozen=True)
class Measured:
    """What the windows say of one picture.

    Attributes:
        dx: columns to the right by which the picture must be moved to lie on the reference; NaN where unknown.
        dy: rows down.
        windows: windows in which both had enough valid pixels and a peak within reach.
        tried: windows that had enough valid pixels.
        agreeing: share of the tried windows whose shift is near the median.
        spread: of the agreeing windows' shifts, pixels: the standard deviation along an axis, the larger of both.
    """

    dx: float
    dy: float
    windows: int
    tried: int
    agreeing: float
    spread: float

    @property
    def length(self) -> float:
        """Length of the shift, pixels."""
        return float(np.hypot(self.dx, self.dy))

    @property
    def is_known(self) -> bool:
        """Whether enough windows agree."""
        return self.tried * self.agreeing >= MIN_WINDOWS and self.agreeing >= MIN_AGREEING


def margin(window: int) -> int:
    """Pixels around a window in which the other picture is looked for: larger shifts are not found."""
    return max(16, window // 8)


def edges(values: np.ndarray, valid: np.ndarray, smoothing: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Edges of a picture and where they are not those of clouds or of the picture's end.

    Args:
        values: ``[H, W]``.
        valid: ``[H, W]``, True = valid.
        smoothing: standard deviation of the Gaussian, pixels.

    Returns:
        magnitude of the gradient ``[H, W]`` float32, and where it comes of valid pixels ``[H, W]``.
    """
    ndimage = need("scipy.ndimage", "Co-registration")
    if not valid.any():
        return np.zeros(values.shape, np.float32), valid
    filled = np.where(valid, values, np.median(values[valid])).astype(np.float32)
    reach = int(np.ceil(2 * smoothing)) + 1
    kept = ndimage.binary_erosion(valid, iterations=reach, border_value=1)
    return ndimage.gaussian_gradient_magnitude(filled, smoothing), kept


def window_shift(
    reference: tuple[np.ndarray, np.ndarray], moving: tuple[np.ndarray, np.ndarray], reach: int
) -> tuple[float, float] | None:
    """By how much a picture must be moved to lie on another.

    Both are weighted by what both hold, with soft ends, so that no end of a mask is taken for a feature; and the second
    is cut again where the first pass found it, so that what is left is a fraction of a pixel.

    Args:
        reference: edges and where they are valid, ``[N, N]`` each; a margin of ``reach`` pixels is not used.
        moving: the same of the other picture; its margin is used.
        reach: the largest shift, pixels.

    Returns:
        columns to the right and rows down; None where too little is valid.

    Raises:
        ValueError: if the shift is out of reach.
    """
    correlate = need("skimage.registration", "Co-registration").phase_cross_correlation
    side = reference[0].shape[0]
    inner = slice(reach, side - reach)
    taper = np.hanning(side - 2 * reach + 2)[1:-1]
    taper = np.outer(taper, taper).astype(np.float32)
    found = np.zeros(2)
    for number in range(_PASSES):  # the first finds whole pixels, the next what is left
        start = np.round(found).astype(int)
        if np.any(np.abs(start) > reach):
            raise ValueError("out of reach")
        cut = tuple(slice(reach - one, side - reach - one) for one in start)
        valid = reference[1][inner, inner] & moving[1][cut]
        if valid.mean() < MIN_VALID:
            return None
        weight = taper * _feathered(valid)
        first = _weighted(reference[0][inner, inner], weight)
        second = _weighted(moving[0][cut], weight)
        if not first.any() or not second.any():
            return None
        factor = _UPSAMPLING if number else 1
        found = start + np.asarray(correlate(first, second, upsample_factor=factor, normalization=None)[0], float)
        if number and np.array_equal(np.round(found), start):
            break
    return float(found[1]), float(found[0])


def _feathered(valid: np.ndarray) -> np.ndarray:
    """Weights that rise from 0 beside what is not valid to 1 some pixels away."""
    if valid.all():
        return np.ones(valid.shape, np.float32)
    ndimage = need("scipy.ndimage", "Co-registration")
    return np.clip(ndimage.distance_transform_edt(valid) / _FEATHER, 0, 1).astype(np.float32)


def _weighted(values: np.ndarray, weight: np.ndarray) -> np.ndarray:
    return (values - (values * weight).sum() / weight.sum()) * weight


def combine(shifts: Sequence[tuple[float, float] | None]) -> Measured:
    """What windows agree on: the median of all, then that of those near it.

    Args:
        shifts: of the windows that had enough valid pixels; None for one whose peak was out of reach.
    """
    tried = len(shifts)
    known = np.array([one for one in shifts if one is not None], float).reshape(-1, 2)
    if not len(known):
        return Measured(float("nan"), float("nan"), 0, tried, 0.0, float("nan"))
    centre = np.median(known, axis=0)
    near = known
    for _ in range(3):
        near = known[np.abs(known - centre).max(axis=1) <= AGREEMENT]
        if not len(near):
            break
        centre = np.median(near, axis=0)
    spread = float(near.std(axis=0, ddof=1).max()) if len(near) > 1 else float("nan")
    return Measured(float(centre[0]), float(centre[1]), len(known), tried, len(near) / tried, spread)
