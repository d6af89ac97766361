"""Spectral and radar indices, and the matching of band names that they and the models need."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from .sensors import OPTICAL, RADAR

# The common names that some archives give to Sentinel-2 and Landsat 8 bands; a sensor without band numbers
# (PLANET: BLUE, GREEN, RED, NIR) has its indices by them.
ALTERNATIVES: dict[str, tuple[str, ...]] = {
    "RED": ("B4", "RED", "R"),
    "NIR": ("B8", "B8A", "NIR", "NIR1"),
    "SWIR": ("B11", "SWIR", "SWIR1"),
    "VV": ("VV",),
    "VH": ("VH",),
}


@dataclass(frozen=True)
class Index:
    """How an index is computed.

    Attributes:
        kind: of the sensors that have it.
        roles: what it needs (keys of ALTERNATIVES); empty = all bands.
        label: for people.
        formula: takes the arrays of the roles in order, physical values (reflectance, or dB for radar).
    """

    kind: str
    roles: tuple[str, ...]
    label: str
    formula: Callable[..., np.ndarray]


def normalised_difference(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """``(first - second) / (first + second)``, in -1..1; 0 where the sum is not positive or not a number."""
    total = np.add(first, second, dtype=np.float32)
    usable = total > 1e-6
    result = np.zeros(total.shape, dtype=np.float32)
    np.divide(np.subtract(first, second, dtype=np.float32), total, out=result, where=usable)
    return np.clip(result, -1.0, 1.0, out=result)


def brightness(*bands: np.ndarray) -> np.ndarray:
    """Root of the sum of the squares of all bands, as iota2 defines it."""
    total = np.square(bands[0], dtype=np.float32)
    for band in bands[1:]:
        total += np.square(band, dtype=np.float32)
    return np.sqrt(total, out=total)


# NDWI as iota2 computes it: (SWIR - NIR) / (SWIR + NIR). Gao's index of 1996 (doi 10.1016/S0034-4257(96)00067-3), now
# mostly called NDMI, has the opposite sign.
INDICES: dict[str, Index] = {
    "NDVI": Index(OPTICAL, ("NIR", "RED"), "NDVI", normalised_difference),
    "NDWI": Index(OPTICAL, ("SWIR", "NIR"), "NDWI (iota2): SWIR and NIR, minus NDMI", normalised_difference),
    "BRIGHTNESS": Index(OPTICAL, (), "brightness", brightness),
    "VV-VH": Index(RADAR, ("VV", "VH"), "VV - VH in dB", lambda vv, vh: np.subtract(vv, vh, dtype=np.float32)),
}


def canonical_band(name: str) -> str:
    """One spelling of a band name: ``B04``, ``b4`` and ``band_4`` are B4; ``B8A`` and ``B08A`` are B8A."""
    text = re.sub(r"[\s_\-]+", "", name).upper()
    found = re.fullmatch(r"(?:BAND|B)?0*(\d+)(A?)", text)
    return f"B{found[1]}{found[2]}" if found else text


def find_band(bands: Sequence[str], wanted: str) -> int | None:
    """Position of a band in a list, whatever its spelling; None if it is not there."""
    if wanted in bands:
        return list(bands).index(wanted)
    spelled = [canonical_band(band) for band in bands]
    key = canonical_band(wanted)
    return spelled.index(key) if key in spelled else None


def find_role(bands: Sequence[str], role: str) -> int | None:
    """Position of the band that plays a role, such as NIR (B8, else B8A); None if there is none."""
    for name in ALTERNATIVES[role]:
        position = find_band(bands, name)
        if position is not None:
            return position
    return None


def index_bands(name: str, kind: str, bands: Sequence[str]) -> tuple[int, ...] | None:
    """Positions of the bands that an index uses; None if this sensor does not have them."""
    index = INDICES.get(name.upper())
    if index is None or index.kind != kind:
        return None
    if not index.roles:
        return tuple(range(len(bands)))
    positions = [find_role(bands, role) for role in index.roles]
    known = tuple(position for position in positions if position is not None)
    return known if len(known) == len(positions) else None


def available_indices(kind: str, bands: Sequence[str], names: Sequence[str]) -> tuple[str, ...]:
    """Those of the wanted indices that a sensor with these bands can have, in the order wanted."""
    return tuple(name.upper() for name in names if index_bands(name, kind, bands) is not None)


def compute_index(name: str, values: Mapping[str, np.ndarray] | Sequence[np.ndarray]) -> np.ndarray:
    """Compute an index.

    Args:
        name: a key of INDICES.
        values: arrays of one shape in the order of the index's roles, or band name -> array. Reflectance, or dB.

    Returns:
        float32 of the same shape; 0 where a denominator is not positive.

    Raises:
        KeyError: if a band is not among ``values``.
    """
    index = INDICES[name.upper()]
    if isinstance(values, Mapping):
        bands = list(values)
        positions = index_bands(name, index.kind, bands)
        if positions is None:
            raise KeyError(f"{name} needs {', '.join(index.roles)}; there are {', '.join(bands)}")
        return index.formula(*(values[bands[position]] for position in positions))
    return index.formula(*values)
