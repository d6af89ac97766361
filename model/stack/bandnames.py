"""One name for a band, however a file calls it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from .calendar import find_date
from .sensors import RADAR

_SENTINEL2 = re.compile(r"B0?(\d{1,2}A?)(?:_\d+m)?", re.IGNORECASE)
_POLARISATION = re.compile(r"(?<![A-Z])(VV|VH|HH|HV)(?![A-Z])", re.IGNORECASE)


def tidy_band(name: str, sensor: str, kind: str) -> str:
    """``B02`` of Sentinel-2 becomes ``B2`` as Theia writes it; ``VV_dB`` or ``Sigma0_VV`` of radar becomes ``VV``.

    >>> tidy_band("B02", "S2", "optical"), tidy_band("VV_dB", "S1", "radar"), tidy_band("NDVI", "S2", "optical")
    ('B2', 'VV', 'NDVI')
    """
    name = name.strip()
    if kind == RADAR:
        found = _POLARISATION.findall(name)
        return found[0].upper() if len(found) == 1 else name
    if sensor.upper().startswith("S2"):
        match = _SENTINEL2.fullmatch(name)
        return f"B{match.group(1).upper()}" if match else name
    return name


def common_name_parts(paths: Sequence[str]) -> list[str]:
    """What each file name has that the others have not, dates aside; the one word left where they are all alike.

    >>> common_name_parts(["X_20210103_B4.tif", "X_20210103_B8.tif"])
    ['B4', 'B8']
    >>> common_name_parts(["NDVI_20210103.tif", "NDVI_20210113.tif"])
    ['NDVI', 'NDVI']
    """
    words = []
    for path in paths:
        stem = Path(path).stem
        found = find_date(stem)
        words.append([word for word in re.split(r"[_\-. ]+", found[1] if found else stem) if word])
    if not words:
        return []
    common = set.intersection(*(set(each) for each in words))
    rests = ["_".join(word for word in each if word not in common) for each in words]
    if not any(rests):
        return [each[0] if len(each) == 1 else "" for each in words]
    return rests
