"""What forms of Sentinel-1 products share: names of scenes, relative orbits, polarisations, sensors."""

from __future__ import annotations

import datetime
import math
import re
from collections.abc import Sequence
from typing import Any

from ...base.errors import LandloomError
from ...base.raster import open_raster
from ..deduce import deduce_radar_unit
from .base import Choice, Product

POLARISATIONS = ("VV", "VH", "HH", "HV")
ANGLE_MAP = "a map of angles, not a date; write STATIC in SENSORS to take it as a static layer"

SCENE = re.compile(
    r"(?P<satellite>S1[A-D])_(?:IW|EW|S[1-6])_(?P<level>GRD[HMF]|SLC_)_1S(?P<mode>[SD][VH])_(?P<start>\d{8}T\d{6})_"
    r"\d{8}T\d{6}_(?P<absolute>\d{6})_[0-9A-F]{6}(?:_[0-9A-F]{4})?",
    re.IGNORECASE,
)
"""The name that ESA gives a scene; most processors keep it within theirs."""

_NAME = re.compile(r"(?:.*[^A-Za-z])?(?:S1[A-D]?|SENTINEL-?_?1[A-D]?)(?![A-Za-z0-9]).*\.tiff?", re.IGNORECASE)
_OTHERS = re.compile(
    r"s1[a-d]_[0-9a-z]{5,6}_(vv|vh|hh|hv)_.*|.*_RTC\d+_[A-Z]_[a-z]{6}_.*|OPERA_.*|(.*_)?(SIGMA0|GAMMA0|BETA0)_.*|"
    r".*_rtc[_.-].*|((sin|cos|tan)_)?(LIA|IA)_.*|GAMMA_AREA_.*|.*_BorderMask.*",
    re.IGNORECASE,
)

_CYCLE = 12 * 86400.0  # seconds in which the satellites repeat their 175 orbits
_ORBITS = 175
# Orbits from 2014-01-01 00:00 to the ascending node of orbit 0. Fitted to scenes of known orbit; good to 0.003 orbit.
_NODES = {"S1A": 24.522, "S1B": 112.0155, "S1C": 112.0155}
_FIRST = {"S1A": 73, "S1B": 27, "S1C": 172}  # absolute orbit less this, modulo 175, plus 1 is the relative orbit


def pass_of(satellite: str, start: str, absolute: str = "") -> tuple[str, str]:
    """Direction and relative orbit of a scene, where its name does not tell: the satellites keep their orbits in time.

    Args:
        satellite: such as ``S1A``; of others than A, B and C nothing is known.
        start: time of the acquisition, ``20191215T004339``.
        absolute: absolute orbit, if known.

    >>> pass_of("S1A", "20191215T004339", "030352"), pass_of("S1B", "20210810T044826")
    (('ASC', '005'), ('DES', '153'))
    """
    satellite = satellite.upper()
    if satellite not in _NODES:
        return "", ""
    try:
        time = datetime.datetime.strptime(start.upper(), "%Y%m%dT%H%M%S")
    except ValueError:
        return "", ""
    seconds = (time - datetime.datetime(2014, 1, 1)).total_seconds()
    place = (seconds / _CYCLE * _ORBITS - _NODES[satellite]) % _ORBITS
    orbit = int(place) or _ORBITS
    if absolute:
        orbit = (int(absolute) - _FIRST[satellite]) % _ORBITS + 1
    return "DES" if 0.25 < place % 1 < 0.75 else "ASC", f"{orbit:03d}"


def direction_in(text: str) -> str:
    """``ASC`` or ``DES`` where a word of the text says so, else empty."""
    found = re.search(r"(?<![A-Za-z])(ASC|DES)(?:C|C?ENDING)?(?![A-Za-z])", text, re.IGNORECASE)
    return found[1].upper() if found else ""


def radar_product(
    form: str, name: str, date: str, bands: dict[str, tuple[str, int]], choice: Choice, **others: Any
) -> Product:
    """A product of the sensor that ORBITS asks for; ``date`` is eight digits; bands come as VV, VH, HH, HV."""
    direction, orbit = others.get("direction", ""), others.get("orbit", "")
    sensor = "_".join(part for part in ("S1", direction, orbit if choice.orbits == "orbit" else "") if part)
    ordered = {band: bands[band] for band in POLARISATIONS if band in bands}
    others.setdefault("rank", (len(bands),))
    return Product(name, form, sensor, "radar", f"{date[:4]}-{date[4:6]}-{date[6:8]}", ordered, **others)


def static_product(
    form: str, name: str, bands: dict[str, tuple[str, int]], nodata: float | None = None, same: str = ""
) -> Product:
    """Layers without a date."""
    return Product(name, form, "STATIC", "static", "", bands, nodata=nodata, unit="", same=same)


def declared_nodata(paths: Sequence[str], default: float | None) -> float | None:
    """What the first file declares, else ``default``; of a file that cannot be read, too: it is refused later."""
    try:
        dataset = open_raster(paths[0])  # kept: a band lives no longer than its data set
        value = dataset.GetRasterBand(1).GetNoDataValue()
    except LandloomError:
        return default
    if value is None:
        return default
    return None if math.isnan(value) else float(value)


def unit_of(bands: dict[str, tuple[str, int]], default: float | None) -> tuple[str, float | None]:
    """Unit of files that do not tell it, by name and values, and their no-data value.

    Args:
        bands: band name -> (file, band of the file).
        default: no data where the file declares none and holds no dB.
    """
    by_path: dict[str, list[int]] = {}
    for path, number in bands.values():
        by_path.setdefault(path, []).append(number)
    nodata = declared_nodata(list(by_path), default)
    opened = {path: open_raster(path) for path in by_path}  # kept: a band lives no longer than its data set
    described = [opened[path].GetRasterBand(number).GetDescription() or "" for path, number in bands.values()]
    if any(re.search(r"_db(?![a-z])", text, re.IGNORECASE) for text in (*by_path, *described)):
        return "db", declared_nodata(list(by_path), None)
    unit, _ = deduce_radar_unit([(path, sorted(numbers)) for path, numbers in by_path.items()], 1.0, 0.0, nodata)
    return unit, declared_nodata(list(by_path), None) if unit == "db" else nodata


def is_radar_name(name: str) -> bool:
    """Whether a GeoTIFF's name says Sentinel-1 and is not of a form that has names of its own."""
    return bool(_NAME.fullmatch(name)) and not _OTHERS.fullmatch(name)
