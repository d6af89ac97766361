"""What Sentinel-1 sees: backscatter by the water-cloud model, mixed, speckled."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..base.optional import need
from ..base.progress import Progress
from .constants import (
    ANGLE_SLOPE,
    BUILT_SD,
    BUILT_VH,
    BUILT_VV,
    FLOOD_BOUNCE_VV,
    FLOODED_VH,
    FLOODED_VV,
    LOOKS,
    MOISTURE_VH,
    MOISTURE_VV,
    NOISE_FLOOR,
    S1_EDGE_SHARE,
    S1_GAIN_SD,
    S1_PSF,
    S2_PSF,
    SOIL_VH,
    SOIL_VV,
    TEXTURE_SD,
    TILLAGE_VH,
    TILLAGE_VV,
    WATER_VH,
    WATER_VV,
    WIND_SD,
    Climate,
)
from .noise import stream, surface
from .seasons import State, Units, Weather, canopy_table

POLARISATIONS = ("vv", "vh")


def power(decibels: Any) -> Any:
    """Linear power from decibels."""
    return 10.0 ** (np.asarray(decibels) / 10.0)


def unit_backscatter(
    units: Units, climate: Climate, now: State, moisture: float, angle: float, wind: float
) -> np.ndarray:
    """``[U, 2]`` float32: VV and VH power of each unit, without speckle.

    Water-cloud model: a canopy over ground, ``A (1 - t2) + t2 * ground``, with ``t2 = exp(-2 k LAI / cos(angle))``;
    standing water is a smooth mirror under the canopy and adds stem-water double bounce in VV.
    """
    table = canopy_table(climate)[units.cover]
    cosine = np.cos(np.radians(angle))
    leaf = now.lai * (0.3 + 0.7 * now.fresh)
    stratum = np.array([c.stratum for c in climate.covers])[units.cover]
    water = (stratum == "water") & ~units.is_tree
    built = (stratum == "built") & ~units.is_tree
    slope = power(ANGLE_SLOPE * (angle - 38.0))
    columns = []
    for pol, (soil, wet, tilled, flooded, open_water, wall) in enumerate(
        (
            (SOIL_VV, MOISTURE_VV, TILLAGE_VV, FLOODED_VV, WATER_VV, BUILT_VV),
            (SOIL_VH, MOISTURE_VH, TILLAGE_VH, FLOODED_VH, WATER_VH, BUILT_VH),
        )
    ):
        ground = power(soil + wet * moisture + tilled * now.tilled + units.rough)
        ground = (1 - now.flood) * ground + now.flood * power(flooded + 0.5 * wind)
        through = np.exp(-2.0 * table[:, 2 + pol] * leaf / cosine)
        total = power(table[:, pol] + units.canopy) * (1 - through) + through * ground
        if pol == 0:
            total += now.flood * power(FLOOD_BOUNCE_VV) * np.sqrt(through) * (1 - np.sqrt(through))
        total = np.where(built, power(wall + 1.5 * units.rough), total)
        total = np.where(water, power(open_water + wind), total)
        columns.append(total * slope)
    return np.stack(columns, 1).astype(np.float32)


def speckle(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """``[H, W]`` float32 of mean 1, gamma distributed with 4.5 looks, correlated over about two pixels.

    The sum of nine squared Gaussian surfaces; each is white noise averaged over 2 x 2 pixels (of variance 1 again), for
    the cells of 20 m x 22 m are oversampled at 10 m.
    """
    count = round(2 * LOOKS)
    total = np.zeros(shape, np.float32)
    for _ in range(count):
        white = rng.standard_normal((shape[0] + 1, shape[1] + 1), dtype=np.float32)
        smooth = 0.5 * (white[1:, 1:] + white[:-1, 1:] + white[1:, :-1] + white[:-1, :-1])
        total += smooth * smooth
    return total / count


def backscatter(
    mixing: Any, units: Units, climate: Climate, now: State, weather: Weather, size: int,
    seed: int, orbit: int, date: int, day: int, progress: Progress,
) -> np.ndarray:  # fmt: skip
    """``[2, N, N]`` float32: linear power (sigma0) in VV and VH, 0 outside the swath."""
    ndimage = need("scipy.ndimage", "The sample scene")
    _, _, angle, _, _ = climate.orbits[orbit]
    rng = stream(seed, "radar", orbit, date)
    shape = (size, size)
    wind = WIND_SD * rng.standard_normal()
    gain = power(S1_GAIN_SD * rng.standard_normal())
    moist = surface(rng, shape, 80, 3.0)
    clean = mixing @ unit_backscatter(units, climate, now, float(weather.moisture[day]), angle, wind)
    lasting = stream(seed, "radar texture", orbit)
    grain = TEXTURE_SD * (0.6 * surface(lasting, shape, 40, 3.0) + 0.8 * surface(lasting, shape, 4, 1.0))
    roofs = surface(lasting, shape, 3, 1.0)
    is_built = (np.array([c.stratum == "built" for c in climate.covers])[units.cover] & ~units.is_tree).astype(
        np.float32
    )
    roofs = BUILT_SD * roofs * (mixing @ is_built).reshape(shape)
    result = np.empty((2, size, size), np.float32)
    blur = np.sqrt(S1_PSF**2 - S2_PSF**2)
    for pol in range(2):
        progress.check()
        image = clean[:, pol].reshape(shape) * power(grain + roofs + 0.4 * moist).astype(np.float32)
        image = ndimage.gaussian_filter(image, blur, mode="nearest") * gain + NOISE_FLOOR
        result[pol] = image * speckle(rng, shape)
    result = np.maximum(result, 1e-6)
    if rng.random() < S1_EDGE_SHARE:
        rows, columns = np.indices(shape)
        line = rng.uniform(0.03, 0.4) * size - 0.2 * (rows - size / 2)
        result[:, columns < line] = 0.0
    return result
