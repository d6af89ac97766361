"""S1Tiling's Sentinel-1 GeoTIFFs: a file a polarisation, linear power, 0 = no data.

``s1a_31TCJ_vv_ASC_030_20200108t175502.tif``, also with ``txxxxxx`` (two scenes joined), ``_NormLim``,
``_GammaNaughtRTC`` and ``_filtered``. The tag ``CALIBRATION`` says which backscatter it is. Border masks and maps of
incidence angles are no dates.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from ...base.errors import LandloomError
from ...base.raster import open_raster
from .base import Choice, Folder, Found, Product, ProductForm

BANDS = ("VV", "VH")

_FILE = re.compile(
    r"(?P<satellite>s1[a-d])_(?P<tile>[0-9a-z]{5,6})_(?P<band>vv|vh|hh|hv)_(?P<direction>ASC|DES)_(?P<orbit>\d{3})_"
    r"(?P<date>\d{8})t(?P<time>\d{6}|x{6})(?P<variant>_NormLim|_GammaNaughtRTC|)(?P<filtered>_filtered|)\.tiff?",
    re.IGNORECASE,
)
_NO_DATE = re.compile(
    r"((sin_)?LIA|IA|cos_LIA|tan_LIA|GAMMA_AREA)_.*\.tiff?|s1[a-d]_.*BorderMask.*\.tiff?", re.IGNORECASE
)

_CALIBRATIONS = {"sigma": "sigma0", "gamma": "gamma0", "normlim": "sigma0_normlim", "gammanaughtrtc": "gamma0_rtc"}


def find(folders: Sequence[Folder], choice: Choice) -> Found:
    """Products by the names of their files; VV and VH of one pass are one product."""
    groups: dict[tuple[str, str], dict[str, str]] = {}
    matches: dict[tuple[str, str], re.Match[str]] = {}
    left_out = []
    for folder in folders:
        for name in folder.files:
            match = _FILE.fullmatch(name)
            if match:
                key = (str(folder.path), name[: match.start("band")] + name[match.end("band") :])
                groups.setdefault(key, {})[match["band"].upper()] = str(folder.path / name)
                matches[key] = match
            elif _NO_DATE.fullmatch(name):
                kind = "a border mask" if "bordermask" in name.lower() else "a map of angles"
                left_out.append((name, f"{kind}, not a date"))
    products = []
    for key, files in sorted(groups.items()):
        match = matches[key]
        direction, orbit, date = match["direction"].upper(), match["orbit"], match["date"]
        filtered = bool(match["filtered"])
        order = sorted(files, key=lambda band: (*BANDS, band).index(band))
        products.append(
            Product(
                f"{match['satellite']}_{match['tile']}_{direction}_{orbit}_{date}t{match['time']}"
                f"{match['variant']}{match['filtered']}",
                FORM.name,
                f"S1_{direction}" + (f"_{orbit}" if choice.orbits == "orbit" else ""),
                "radar",
                f"{date[:4]}-{date[4:6]}-{date[6:]}",
                {band: (files[band], 1) for band in order},
                nodata=0.0,
                unit="power",
                tile=match["tile"].upper(),
                direction=direction,
                orbit=orbit,
                calibration=calibration_of(next(iter(files.values())), match["variant"]),
                rank=(len(files), 0 if filtered else 1),
                same="_".join([match["satellite"], match["tile"], direction, orbit, date, match["time"]]).lower()
                + match["variant"].lower(),
            )
        )
    return Found(tuple(products), tuple(left_out))


def calibration_of(path: str, variant: str) -> str:
    """``sigma0``, ``gamma0``, ``gamma0_rtc``, ``sigma0_normlim`` or ``unknown``, by name and tag."""
    if variant:
        return _CALIBRATIONS[variant.strip("_").lower()]
    try:
        tag = open_raster(path).GetMetadataItem("CALIBRATION") or ""
    except LandloomError:
        return "unknown"  # the file is refused with its own message when it is inspected
    return _CALIBRATIONS.get(re.sub(r"[^a-z]|0|naught$", "", tag.lower()), "unknown")


FORM = ProductForm("S1Tiling", "s1a_31TCJ_vv_ASC_030_20200108t175502.tif", find, BANDS)
