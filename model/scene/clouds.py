"""Clouds, their shadows, and the masks that a processor such as MAJA would give."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .constants import (
    CIRRUS_MAX,
    CIRRUS_SHARE,
    CLOUD_COMMON,
    CLOUD_EDGE,
    CLOUD_HEIGHT,
    HIGH_CLOUD_SHARE,
    THIN_MISSED,
    Climate,
)
from .noise import normal_quantile, stream, surface

# Bits of the MUSCATE cloud mask CLM; the thinnest clouds are in neither of the first two.
CLM_ANY, CLM_CLOUD, CLM_ONE_DATE, CLM_MANY_DATES = 1, 2, 4, 8
CLM_THINNEST, CLM_SHADOW_INSIDE, CLM_SHADOW_OUTSIDE, CLM_HIGH = 16, 32, 64, 128
LONGEST_SHADOW = 120  # pixels of 10 m
GROUP = 6  # dates whose cloudiness is spread evenly, so that a short series keeps to the season's probability


@dataclass(frozen=True)
class Sky:
    """The sky over one image.

    Attributes:
        opacity: ``[N, N]`` float32, 0 clear to 1 opaque, thin veil included.
        shadow: ``[N, N]`` float32, 0 to 1.
        bright: ``[N, N]`` float32, relative brightness of the cloud tops.
        clm: ``[N/2, N/2]`` uint8, the cloud mask at 20 m; it misses thin cloud and edges.
        sun_zenith, sun_azimuth: degrees.
    """

    opacity: np.ndarray
    shadow: np.ndarray
    bright: np.ndarray
    clm: np.ndarray
    sun_zenith: float
    sun_azimuth: float


def cloud_probability(climate: Climate, day: float) -> float:
    """Probability that a place is under cloud on a day (both ends of the year join)."""
    apart = (day - climate.cloud_peak + 183.0) % 365.0 - 183.0
    return climate.cloud_base + climate.cloud_amplitude * float(np.exp(-0.5 * (apart / climate.cloud_width) ** 2))


def common_cloudiness(count: int, seed: int) -> np.ndarray:
    """One standard normal number a date, evenly spread within each group of dates."""
    rng = stream(seed, "cloudiness")
    numbers: list[float] = []
    while len(numbers) < count:
        ranks = (rng.permutation(GROUP) + rng.random(GROUP)) / GROUP
        numbers += [normal_quantile(rank) for rank in ranks]
    return np.array(numbers[:count])


def overcast_date(climate: Climate, days: list[int]) -> int:
    """Which date is wholly clouded: the nearest to the peak of the cloudy season."""
    return int(np.argmin([abs((day - climate.cloud_peak + 183) % 365 - 183) for day in days]))


def sun(climate: Climate, day: int) -> tuple[float, float]:
    """Zenith and azimuth (degrees) of the mid-morning sun."""
    low, high = climate.sun_zenith
    longest = 85.0 if climate.name == "tropical" else 171.0  # day of the highest sun, in days of the scene
    zenith = low + (high - low) * 0.5 * (1 - np.cos(2 * np.pi * (day - longest) / 365.0))
    azimuth = 80.0 - 40.0 * (zenith - low) / (high - low) if climate.name == "tropical" else 150.0
    return float(zenith), float(azimuth)


def sky(size: int, climate: Climate, seed: int, date: int, day: int, common: float, overcast: bool) -> Sky:
    """The sky at the ``date``-th image, taken on ``day``."""
    rng = stream(seed, "sky", date)
    zenith, azimuth = sun(climate, day)
    wide = size + 2 * LONGEST_SHADOW
    field = np.sqrt(CLOUD_COMMON) * common + np.sqrt(1 - CLOUD_COMMON) * surface(rng, (wide, wide), 130, 2.9, 2)
    threshold = normal_quantile(cloud_probability(climate, day))
    dense = np.clip(THIN_MISSED + (threshold - field) / CLOUD_EDGE, 0.0, 1.0).astype(np.float32)
    if overcast:
        dense = np.clip(0.9 + 0.1 * field / 3, 0.85, 1.0).astype(np.float32)
    height = rng.uniform(*CLOUD_HEIGHT)
    reach = min(height * np.tan(np.radians(zenith)) / 10.0, LONGEST_SHADOW)
    # The shadow falls away from the sun: its source lies towards the sun (rows go south).
    source_row = round(-np.cos(np.radians(azimuth)) * reach)
    source_column = round(np.sin(np.radians(azimuth)) * reach)
    inside = slice(LONGEST_SHADOW, LONGEST_SHADOW + size)
    cloud = dense[inside, inside]
    first_row, first_column = LONGEST_SHADOW + source_row, LONGEST_SHADOW + source_column
    shadow = dense[first_row : first_row + size, first_column : first_column + size] * (1 - cloud)
    veil = np.zeros((size, size), np.float32)
    veil_seen = False
    if rng.random() < CIRRUS_SHARE:
        veil = CIRRUS_MAX * np.clip(0.5 + 0.5 * surface(rng, (size, size), 300, 3.2, 30), 0, 1)
        veil_seen = rng.random() < 0.4
    high = rng.random() < HIGH_CLOUD_SHARE
    bright = (1.0 + 0.16 * surface(rng, (size, size), 60, 2.6)).astype(np.float32)

    half = size // 2
    coarse_cloud, coarse_shadow, coarse_veil = (a.reshape(half, 2, half, 2).mean((1, 3)) for a in (cloud, shadow, veil))
    seen = coarse_cloud >= THIN_MISSED
    shaded = (coarse_shadow >= 0.5) & ~seen
    rows = 2 * np.arange(half)[:, None] + source_row
    columns = 2 * np.arange(half)[None, :] + source_column
    from_inside = (rows >= 0) & (rows < size) & (columns >= 0) & (columns < size)
    clm = np.zeros((half, half), np.uint8)
    clm[seen] |= CLM_ANY | CLM_CLOUD | CLM_MANY_DATES
    clm[seen & (coarse_cloud > 0.8)] |= CLM_ONE_DATE
    clm[shaded & from_inside] |= CLM_ANY | CLM_SHADOW_INSIDE
    clm[shaded & ~from_inside] |= CLM_ANY | CLM_SHADOW_OUTSIDE
    if high:
        clm[seen & (coarse_cloud > 0.9)] |= CLM_HIGH
    if veil_seen:
        clm[(coarse_veil > 0.75 * CIRRUS_MAX) & ~seen] |= CLM_THINNEST
    opacity = 1 - (1 - cloud) * (1 - veil)
    return Sky(opacity, shadow.astype(np.float32), bright, clm, zenith, azimuth)
