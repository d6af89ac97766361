"""Random streams and random surfaces, the same for the same seed."""

from __future__ import annotations

import zlib
from statistics import NormalDist

import numpy as np


def stream(seed: int, *names: str | int) -> np.random.Generator:
    """An independent generator for each purpose, so that adding one draw does not change all the others."""
    return np.random.default_rng([seed, *(zlib.crc32(str(name).encode()) for name in names)])


def surface(
    rng: np.random.Generator, shape: tuple[int, ...], longest: float, slope: float = 3.0, shortest: float = 0.0
) -> np.ndarray:
    """A random surface ``[H, W]`` float32 with mean 0 and variance 1 and a power-law spectrum.

    Args:
        rng: the stream of random numbers.
        shape: rows, columns.
        longest: wavelength in pixels above which the spectrum is flat.
        slope: exponent of the two-dimensional power spectrum (8/3 for clouds, 3 to 4 for soils).
        shortest: wavelength in pixels below which there is nothing.
    """
    height, width = (_fast_length(n + int(min(longest, n) / 4)) for n in shape)  # the margin hides the wrap-around
    frequency = np.hypot(np.fft.fftfreq(height, 1.0)[:, None], np.fft.rfftfreq(width, 1.0)[None, :])
    amplitude = np.maximum(frequency, 1.0 / longest) ** (-slope / 2.0)
    amplitude[0, 0] = 0.0
    if shortest:
        amplitude *= np.exp(-((frequency * shortest) ** 2))
    values = np.fft.irfft2(np.fft.rfft2(rng.standard_normal((height, width))) * amplitude, s=(height, width))
    values /= values.std()
    return values[: shape[0], : shape[1]].astype(np.float32)


def _fast_length(n: int) -> int:
    """The next length made of the factors 2, 3 and 5."""
    while True:
        rest = n
        for factor in (2, 3, 5):
            while rest % factor == 0:
                rest //= factor
        if rest == 1:
            return n
        n += 1


def normal_quantile(probability: float) -> float:
    """The standard normal quantile, kept within 6 standard deviations."""
    if probability <= 1e-9:
        return -6.0
    if probability >= 1 - 1e-9:
        return 6.0
    return NormalDist().inv_cdf(probability)
