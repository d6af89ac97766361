"""Spectral and radar indices, and the matching of band names that they and the models need."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..base.errors import LandloomError
from ..base.language import tr
from .expressions import is_expression, parse_expression, split_list
from .sensors import OPTICAL, RADAR, SensorSpec

# The common names that some archives give to Sentinel-2 and Landsat 8 bands; a sensor without band numbers
# (PLANET: BLUE, GREEN, RED, NIR) has its indices by them.
ALTERNATIVES: dict[str, tuple[str, ...]] = {
    "BLUE": ("B2", "BLUE", "B"),
    "GREEN": ("B3", "GREEN", "G"),
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
# mostly called NDMI, has the opposite sign. MNDWI: Xu 2006 (doi 10.1080/01431160600589179).
INDICES: dict[str, Index] = {
    "NDVI": Index(OPTICAL, ("NIR", "RED"), "NDVI", normalised_difference),
    "NDWI": Index(OPTICAL, ("SWIR", "NIR"), "NDWI (iota2): SWIR and NIR, minus NDMI", normalised_difference),
    "NDMI": Index(OPTICAL, ("NIR", "SWIR"), "NDMI (Gao 1996): NIR and SWIR", normalised_difference),
    "MNDWI": Index(OPTICAL, ("GREEN", "SWIR"), "MNDWI (Xu 2006): green and SWIR", normalised_difference),
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
    """Positions of the bands that an index or expression uses; None if this sensor does not have them."""
    index = INDICES.get(name.upper())
    if index is None:
        return _expression_bands(name, bands)
    if index.kind != kind:
        return None
    if not index.roles:
        return tuple(range(len(bands)))
    positions = [find_role(bands, role) for role in index.roles]
    known = tuple(position for position in positions if position is not None)
    return known if len(known) == len(positions) else None


def _expression_bands(text: str, bands: Sequence[str]) -> tuple[int, ...] | None:
    """Positions of the names of an expression, which are bands or roles such as NIR."""
    if not is_expression(text):
        return None
    found = []
    for name in parse_expression(text).names:
        position = find_band(bands, name)
        if position is None and name in ALTERNATIVES:
            position = find_role(bands, name)
        if position is None:
            return None
        found.append(position)
    return tuple(found)


def parse_indices(text: str) -> tuple[str, ...]:
    """The indices and expressions of a list such as ``NDVI, EVI=2.5*(B8-B4)/(B8+6*B4-7.5*B2+1)``.

    Raises:
        LandloomError: naming the first that is neither.
    """
    names = split_list(text)
    check_indices(names)
    return names


def check_indices(names: Sequence[str]) -> None:
    """Refuse what is neither an index nor an expression.

    Raises:
        LandloomError: naming the first such entry.
    """
    for name in names:
        if name.upper() in INDICES:
            continue
        known = tr("choose among {indices}, or write an expression such as (B8-B4)/(B8+B4)").format(
            indices=", ".join(INDICES)
        )
        if name.replace("_", "").isalnum():
            raise LandloomError(tr("INDICES names {name}, which is not known; {known}.").format(name=name, known=known))
        try:
            parse_expression(name)
        except LandloomError as error:
            raise LandloomError(tr("INDICES: {error} Or {known}.").format(error=error, known=known)) from error


def index_label(name: str) -> str:
    """What an index is called in legends and reports; of a named expression its name."""
    index = INDICES.get(name.upper())
    if index is not None:
        return index.label
    return parse_expression(name).label if is_expression(name) else name


def short_name(name: str) -> str:
    """A name without signs for files and bands: ``NDVI``, ``VV_VH``, that of an expression, or ``INDEX``."""
    label = name.upper() if name.upper() in INDICES else index_label(name)
    text = re.sub(r"[^A-Z0-9]+", "_", label).strip("_")
    return text if len(text) <= 24 else "INDEX"


def available_indices(kind: str, bands: Sequence[str], names: Sequence[str]) -> tuple[str, ...]:
    """Those of the wanted indices that a sensor with these bands can have, in the order wanted."""
    return tuple(re.sub(r"\s+", "", name).upper() for name in names if index_bands(name, kind, bands) is not None)


def check_applicable(names: Sequence[str], specs: Mapping[str, SensorSpec]) -> None:
    """Refuse an expression that no sensor has the bands for; known indices may be missing.

    Raises:
        LandloomError: naming the expression and the bands there are.
    """
    for name in names:
        fits = any(index_bands(name, spec.kind, spec.bands) is not None for spec in specs.values())
        if name.upper() not in INDICES and not fits:
            there = "; ".join(f"{sensor}: {', '.join(spec.bands)}" for sensor, spec in specs.items())
            raise LandloomError(
                tr("No sensor has the bands of the index {name}; there are {there}.").format(name=name, there=there)
            )


def compute_index(name: str, values: Mapping[str, np.ndarray] | Sequence[np.ndarray]) -> np.ndarray:
    """Compute an index.

    Args:
        name: a key of INDICES, or an expression.
        values: arrays of one shape in the order of :func:`index_bands`, or band name -> array. Reflectance, or dB.

    Returns:
        float32 of the same shape; 0 where a denominator is not positive or the result no number.

    Raises:
        KeyError: if a band is not among ``values``.
    """
    index = INDICES.get(name.upper())
    formula = parse_expression(name) if index is None else index.formula
    if isinstance(values, Mapping):
        bands = list(values)
        positions = index_bands(name, OPTICAL if index is None else index.kind, bands)
        if positions is None:
            needs = parse_expression(name).names if index is None else index.roles
            raise KeyError(f"{name} needs {', '.join(needs)}; there are {', '.join(bands)}")
        return formula(*(values[bands[position]] for position in positions))
    return formula(*values)
