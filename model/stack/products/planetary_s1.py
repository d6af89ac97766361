"""Sentinel-1 RTC of the Planetary Computer: gamma0 as linear power, a file a polarisation, -32768 = no data.

``S1A_IW_GRDH_1SDV_20191215T004339_20191215T004404_030352_0378DC_rtc/measurement/iw-vv.rtc.tiff``, or the name of the
item within that of the file.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from .base import Choice, Folder, Found, ProductForm
from .sentinel1 import SCENE, pass_of, radar_product

_IN_FOLDER = re.compile(r"(?:iw|ew|s\d)-(?P<band>vv|vh|hh|hv)\.rtc\.tiff?", re.IGNORECASE)
_WITH_ITEM = re.compile(
    SCENE.pattern + r"_rtc[_.-]+(?:(?:iw|ew|s\d)-)?(?P<band>vv|vh|hh|hv)(?:\.rtc)?\.tiff?", re.IGNORECASE
)


def find(folders: Sequence[Folder], choice: Choice) -> Found:
    """Products by the item's name, which the folder or the file bears."""
    items: dict[str, dict[str, tuple[str, int]]] = {}
    scenes: dict[str, re.Match[str]] = {}
    for folder in folders:
        around = next((found for part in reversed(folder.path.parts[-3:]) if (found := SCENE.match(part))), None)
        for name in folder.files:
            alone, inside = _WITH_ITEM.fullmatch(name), _IN_FOLDER.fullmatch(name)
            scene, band = (alone, alone) if alone else (around, inside)
            if scene and band:
                item = f"{SCENE.match(scene[0])[0]}_rtc"  # type: ignore[index]
                items.setdefault(item, {})[band["band"].upper()] = (folder.at(name), 1)
                scenes[item] = scene
    products = []
    for item, bands in sorted(items.items()):
        scene = scenes[item]
        direction, orbit = pass_of(scene["satellite"], scene["start"], scene["absolute"])
        products.append(
            radar_product(
                FORM.name,
                item,
                scene["start"][:8],
                bands,
                choice,
                unit="power",
                nodata=-32768.0,
                direction=direction,
                orbit=orbit,
                calibration="gamma0_rtc",
            )
        )
    return Found(tuple(products))


FORM = ProductForm(
    "Planetary Computer S1 RTC",
    "S1A_IW_GRDH_1SDV_20191215T004339_20191215T004404_030352_0378DC_rtc/measurement/iw-vv.rtc.tiff",
    find,
    ("VV", "VH"),
)
