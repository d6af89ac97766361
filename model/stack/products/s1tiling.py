"""S1Tiling's Sentinel-1 GeoTIFFs: a file a polarisation, linear power, 0 = no data.

``s1a_31TCJ_vv_ASC_030_20200108t175502.tif``, also with ``txxxxxx`` (two scenes joined), ``_NormLim``,
``_GammaNaughtRTC`` and ``_filtered``. The tag ``CALIBRATION`` says which backscatter it is. ``_BorderMask.tif`` (0 =
border) masks the image it is named after; maps of incidence angles are static layers.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from ...base.errors import LandloomError
from ...base.language import tr
from ...base.raster import open_raster
from .base import Choice, Folder, Found, Product, ProductForm, ProductMask
from .sentinel1 import ANGLE_MAP, radar_product, static_product

BANDS = ("VV", "VH")

_FILE = re.compile(
    r"(?P<satellite>s1[a-d])_(?P<tile>[0-9a-z]{5,6})_(?P<band>vv|vh|hh|hv)_(?P<direction>ASC|DES)_(?P<orbit>\d{3})_"
    r"(?P<date>\d{8})t(?P<time>\d{6}|x{6})(?P<variant>_NormLim|_GammaNaughtRTC|)(?P<filtered>_filtered|)"
    r"(?P<border>_BorderMask|)\.tiff?",
    re.IGNORECASE,
)
_ANGLES = re.compile(
    r"(?P<layer>(?:sin_|cos_|tan_)?LIA|IA|GAMMA_AREA)_(?P<satellite>s1[a-d])_(?P<tile>[0-9a-z]{5,6})_"
    r"(?P<direction>ASC|DES)_(?P<orbit>\d{3})(?:_\d{8}t[0-9x]{6})?\.tiff?",
    re.IGNORECASE,
)

_CALIBRATIONS = {"sigma": "sigma0", "gamma": "gamma0", "normlim": "sigma0_normlim", "gammanaughtrtc": "gamma0_rtc"}


def find(folders: Sequence[Folder], choice: Choice) -> Found:
    """Products by the names of their files; VV and VH of one pass are one product."""
    groups: dict[tuple[str, str], dict[str, str]] = {}
    matches: dict[tuple[str, str], re.Match[str]] = {}
    borders: dict[str, list[str]] = {}
    products, left_out = [], []
    for folder in folders:
        for name in folder.files:
            match, angles = _FILE.fullmatch(name), _ANGLES.fullmatch(name)
            if match and match["border"]:
                if _opens(folder.at(name)):
                    borders.setdefault(_pass(match), []).append(folder.at(name))
                else:
                    left_out.append((name, tr("the border mask cannot be read; its image is used without it")))
            elif match:
                key = (str(folder.path), name[: match.start("band")] + name[match.end("band") :])
                groups.setdefault(key, {})[match["band"].upper()] = folder.at(name)
                matches[key] = match
            elif angles and "STATIC" in choice.sensors:
                layer = "_".join([angles["layer"], angles["direction"], angles["orbit"]]).upper()
                same = f"{layer}_{angles['tile']}".upper()
                products.append(static_product(FORM.name, name, {layer: (folder.at(name), 1)}, 0.0, same))
            elif angles:
                left_out.append((name, ANGLE_MAP))
    for key, files in sorted(groups.items()):
        products.append(_product(matches[key], files, borders.get(_pass(matches[key]), []), choice))
    return Found(tuple(products), tuple(left_out))


def _product(match: re.Match[str], files: dict[str, str], borders: list[str], choice: Choice) -> Product:
    direction, orbit, date = match["direction"].upper(), match["orbit"], match["date"]
    filtered = bool(match["filtered"])
    return radar_product(
        FORM.name,
        f"{match['satellite']}_{match['tile']}_{direction}_{orbit}_{date}t{match['time']}"
        f"{match['variant']}{match['filtered']}",
        date,
        {band: (path, 1) for band, path in files.items()},
        choice,
        masks=tuple(ProductMask(path, invalid_values=(0.0,)) for path in borders),
        nodata=0.0,
        unit="power",
        tile=match["tile"].upper(),
        direction=direction,
        orbit=orbit,
        calibration=calibration_of(next(iter(files.values())), match["variant"]),
        filtered=filtered,
        rank=(len(files), 0 if filtered else 1),
        same=_pass(match) + match["variant"].lower(),
    )


def _pass(match: re.Match[str]) -> str:
    """What files of one pass have in common, whatever was done to them."""
    return "_".join(match[key] for key in ("satellite", "tile", "direction", "orbit", "date", "time")).lower()


def _opens(path: str) -> bool:
    try:
        open_raster(path)
    except LandloomError:
        return False
    return True


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
