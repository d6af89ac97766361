"""Sentinel-1 exported from Earth Engine, and other dated GeoTIFFs whose bands are called VV, VH.

A file a date: ``S1A_IW_GRDH_1SDV_20191215T004339_20191215T004404_030352_0378DC_F0A1.tif`` or ``S1_ASC_20191215.tif``,
with bands ``VV``, ``VH`` (also ``VV_dB``) and maybe ``angle``, which is left. Or one file of many bands with dates in
their names: ``20191215_VV``, ``S1A_IW_..._F0A1_VV``. Values tell the unit: dB if they are negative. The
catalogue's GRD is sigma0.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import PurePath

from ...base.errors import LandloomError
from ...base.language import tr
from ...base.raster import open_raster
from ..calendar import find_date
from .base import Choice, Folder, Found, Product, ProductForm
from .sentinel1 import SCENE, direction_in, is_radar_name, pass_of, radar_product, unit_of

_BAND = re.compile(r"(?P<before>.*?)(?<![A-Za-z])(?P<band>VV|VH|HH|HV)(?:_d[Bb])?(?P<after>(?:[^A-Za-z].*)?)")
_CALIBRATED = re.compile("sigma|gamma|beta", re.IGNORECASE)  # SNAP's


def find(folders: Sequence[Folder], choice: Choice) -> Found:
    """Products by dates in the names of files or bands, which must be called by their polarisation."""
    products, left_out = [], []
    for folder in folders:
        for name in folder.files:
            if not is_radar_name(name) or any(part.upper().endswith(".SAFE") for part in folder.path.parts):
                continue
            try:
                found, why = _read(folder.at(name), PurePath(name).stem, choice)
            except LandloomError as error:
                found, why = [], str(error)
            products += found
            if why:
                left_out.append((name, why))
    return Found(tuple(products), tuple(left_out))


def _read(path: str, stem: str, choice: Choice) -> tuple[list[Product], str]:
    """The products of one file, one a date, and why there is none."""
    dataset = open_raster(path)
    numbers = range(1, dataset.RasterCount + 1)
    named = [(number, _BAND.fullmatch(dataset.GetRasterBand(number).GetDescription() or "")) for number in numbers]
    bands = [(number, match) for number, match in named if match and not _CALIBRATED.search(match["before"])]
    if not bands:
        return [], ""  # not radar, or bands without names: nothing to recognise
    tags = " ".join(f"{key} {value}" for key, value in (dataset.GetMetadata() or {}).items())
    groups: dict[str, dict[str, tuple[str, int]]] = {}
    for number, match in bands:
        text = f"{match['before']} {match['after']}".strip(" _")
        groups.setdefault(text if SCENE.search(text) or find_date(text) else stem, {})[match["band"]] = (path, number)
    products = []
    for text, own in groups.items():
        scene, dated = SCENE.search(text), find_date(text)
        if not scene and not dated:
            return [], tr("no date is found in its name nor in those of its bands")
        if scene:
            direction, orbit = pass_of(scene["satellite"], scene["start"], scene["absolute"])
        else:
            direction, orbit = direction_in(text) or direction_in(stem) or direction_in(tags), ""
        unit, nodata = unit_of(own, None)
        products.append(
            radar_product(
                FORM.name,
                stem if len(groups) == 1 else f"{stem} {text}",
                scene["start"][:8] if scene else (dated or ("",))[0].replace("-", ""),
                own,
                choice,
                unit=unit,
                nodata=nodata,
                direction=direction,
                orbit=orbit,
                calibration="sigma0" if scene else "unknown",
                remark="" if direction else tr("its direction of flight is not known, so that passes may be mixed"),
            )
        )
    return products, ""


FORM = ProductForm("Earth Engine S1 (bands called VV, VH)", "S1_ASC_20191215.tif", find)
