"""What Sentinel-2 sees: surface reflectance after a good but imperfect atmospheric correction."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..base.optional import need
from ..base.progress import Progress
from .clouds import Sky
from .constants import (
    ADJACENCY,
    BANDS_10M,
    BANDS_20M,
    CLOUD_SPECTRUM,
    ENDMEMBERS,
    HAZE_SD,
    HAZE_SPECTRUM,
    LEAF_TRAITS,
    S2_BANDS,
    S2_GAIN_SD,
    S2_NOISE,
    S2_SHIFT,
    SATURATION,
    SHADOW_DARKENING,
    SOIL_TEXTURE_SD,
    SWATH_EDGE_SHARE,
    VIGOUR_TEXTURE_SD,
    WET_DARKENING,
    Climate,
)
from .noise import stream, surface
from .seasons import State, Units, Weather

NO_DATA = -10000
GREEN = (1, 2, 7, 8, 9, 10)  # columns of the mixture that are green plants
GROUND = (0, 3, 4, 5, 6)


@dataclass(frozen=True)
class Texture:
    """Lasting differences inside parcels, ``[N * N]`` float32: relative leaf area and soil brightness."""

    vigour: np.ndarray
    soil: np.ndarray


def texture(size: int, seed: int) -> Texture:
    """Draw the lasting texture: slow gradients of fertility and soil, and a finer grain."""
    rng = stream(seed, "texture")
    shape = (size, size)
    fertile = 0.75 * surface(rng, shape, 45, 3.0) + 0.66 * surface(rng, shape, 6, 1.5)
    soil = 0.85 * surface(rng, shape, 120, 3.0) + 0.5 * surface(rng, shape, 5, 1.5)
    return Texture(np.exp(VIGOUR_TEXTURE_SD * fertile).ravel(), np.exp(SOIL_TEXTURE_SD * soil).ravel())


def spectra(climate: Climate) -> np.ndarray:
    """``[11, 10]`` float32: endmembers and leaf traits by band."""
    table = np.array([*ENDMEMBERS.values(), *LEAF_TRAITS.values()], np.float32)
    table[0] *= 1.0 - climate.soil_red * np.array([0.18, 0.10, 0, 0, 0, 0, 0, 0, -0.02, -0.02], np.float32)
    return table


def unit_mixture(units: Units, climate: Climate, now: State) -> np.ndarray:
    """``[U, 11]`` float32: share of each endmember in each unit, then its leaf traits times its green cover."""
    green = now.cover_green
    tree = np.where(units.is_tree, 1.0, np.array([c.tree for c in climate.covers])[units.cover])
    ground = 1.0 - green
    water = ground * now.flood
    burnt = (ground - water) * now.burnt
    dry = (ground - water - burnt) * now.dry
    soil = ground - water - burnt - dry
    stratum = np.array(
        [("water", "built").index(c.stratum) if c.stratum in ("water", "built") else -1 for c in climate.covers]
    )
    kind = np.where(units.is_tree, -1, stratum[units.cover])
    built = np.where(kind == 1, 0.7 * soil, 0.0)
    soil = soil - built
    columns = [soil * units.soil, green * (1 - tree), green * tree, dry, water, built, burnt]
    columns += [green * units.leaf[:, k] for k in range(3)]
    columns.append(green * now.flower)
    mixture = np.stack(columns, 1).astype(np.float32)
    mixture[kind == 0] = 0.0
    mixture[kind == 0, 4] = 1.0
    return mixture


def reflectance(
    mixing: Any, units: Units, climate: Climate, now: State, weather: Weather, lasting: Texture, air: Sky,
    seed: int, date: int, day: int, progress: Progress,
) -> np.ndarray:  # fmt: skip
    """``[10, N, N]`` float32 reflectance as delivered, all bands on the 10 m grid, clouds included."""
    ndimage = need("scipy.ndimage", "The sample scene")
    rng = stream(seed, "optical", date)
    size = air.opacity.shape[0]
    shares = mixing @ unit_mixture(units, climate, now)
    green = np.clip(shares[:, 1] + shares[:, 2], 1e-6, 0.999)
    grown = 1.0 - (1.0 - green) ** lasting.vigour
    shares[:, GREEN] *= (grown / green)[:, None]
    shares[:, GROUND] *= ((1.0 - grown) / (1.0 - green))[:, None]
    wet = np.clip(weather.moisture[day] + 0.12 * surface(rng, (size, size), 60, 3.0).ravel(), 0, 1)
    shares[:, 0] *= lasting.soil * (1.0 - WET_DARKENING * wet)
    shares[:, 4] *= 1.0 + 0.25 * rng.standard_normal()  # sediment
    ground = (shares @ spectra(climate)).T.reshape(len(S2_BANDS), size, size)
    shift = rng.normal(0, S2_SHIFT, 2)
    gain = np.exp(rng.normal(0, S2_GAIN_SD) + rng.normal(0, 0.4 * S2_GAIN_SD, len(S2_BANDS)))
    haze = np.abs(rng.normal(0, HAZE_SD)) * (1 + 0.5 * surface(rng, (size, size), 250, 3.2, 20))
    haze -= 0.7 * HAZE_SD  # the correction is unbiased on average
    shade = 1.0 - SHADOW_DARKENING * air.shadow
    result = np.empty_like(ground)
    for band in range(len(S2_BANDS)):
        progress.check()
        image = ndimage.shift(ground[band], shift, order=1, mode="nearest")
        around = ndimage.uniform_filter(ndimage.uniform_filter(image, 11, mode="nearest"), 11, mode="nearest")
        image = (1 - ADJACENCY) * image + ADJACENCY * around
        image = (image * gain[band] + haze * HAZE_SPECTRUM[band]) * shade
        image = image * (1 - air.opacity) + air.opacity * CLOUD_SPECTRUM[band] * air.bright
        image += rng.standard_normal((size, size), dtype=np.float32) * (S2_NOISE + 0.008 * image)
        result[band] = image
    return result


@dataclass(frozen=True)
class Image:
    """One product: int16 bands by name (10 m and 20 m) and uint8 masks ``CLM``, ``EDG``, ``SAT`` by resolution."""

    bands: dict[str, np.ndarray]
    masks: dict[str, np.ndarray]


def deliver(values: np.ndarray, air: Sky, outside: np.ndarray) -> Image:
    """Quantise, bring six bands to 20 m, and set what lies outside the swath to -10000.

    Args:
        values: ``[10, N, N]`` reflectance.
        air: gives the cloud mask.
        outside: ``[N/2, N/2]`` bool, outside the swath.
    """
    size = values.shape[1]
    half = size // 2
    fine_outside = np.kron(outside, np.ones((2, 2), bool))
    bands: dict[str, np.ndarray] = {}
    masks = {"CLM_R1": np.kron(air.clm, np.ones((2, 2), np.uint8)), "CLM_R2": air.clm.copy()}
    for resolution, names, hidden in (("R1", BANDS_10M, fine_outside), ("R2", BANDS_20M, outside)):
        saturated = np.zeros(hidden.shape, np.uint8)
        for bit, name in enumerate(names):
            image = values[S2_BANDS.index(name)]
            if resolution == "R2":
                image = image.reshape(half, 2, half, 2).mean((1, 3))
            full = image >= SATURATION
            saturated[full & ~hidden] |= 1 << bit
            number = np.rint(np.clip(image, 0.0001, SATURATION + 0.02) * 10000).astype(np.int16)
            number[hidden] = NO_DATA
            bands[name] = number
        masks[f"SAT_{resolution}"] = saturated
        masks[f"EDG_{resolution}"] = hidden.astype(np.uint8)
        masks[f"CLM_{resolution}"][hidden] = 0
    return Image(bands, masks)


def swath(size: int, seed: int, date: int) -> np.ndarray:
    """``[N/2, N/2]`` bool: what a date's swath does not reach (most dates: nothing)."""
    rng = stream(seed, "swath", date)
    half = size // 2
    outside = np.zeros((half, half), bool)
    if rng.random() < SWATH_EDGE_SHARE:
        rows, columns = np.indices(outside.shape)
        line = rng.uniform(0.15, 0.85) * half - 0.21 * (rows - half / 2)  # the track leans by about 12 degrees
        outside = columns > line if rng.random() < 0.5 else columns < line
    return outside
