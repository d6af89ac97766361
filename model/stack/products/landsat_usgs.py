"""USGS Landsat 8 and 9 Collection 2 Level 2: ``LC08_L2SP_199026_20200510_20200820_02_T1_SR_B4.TIF``, 30 m.

Reflectance = raw * 0.0000275 - 0.2, 0 = no data. ``QA_PIXEL`` invalidates by bits, ``QA_RADSAT`` where bands are
saturated or hidden by relief.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from .base import Choice, Folder, Found, Product, ProductForm, ProductMask, gather, named_bands

BANDS = ("B1", "B2", "B3", "B4", "B5", "B6", "B7")
SCALE, OFFSET = 0.0000275, -0.2
QA_PIXEL_INVALID = 1 | 2 | 4 | 8 | 16
"""Fill, dilated cloud, cirrus, cloud, cloud shadow; snow and water stay valid."""
QA_RADSAT_INVALID = 127 | 2048
"""Bands 1 to 7 saturated; hidden by relief."""

_FILE = re.compile(
    r"(?P<product>LC0(?P<satellite>[89])_L2S[PR]_(?P<place>\d{6})_(?P<date>\d{8})_(?P<made>\d{8})_02_(?P<tier>T[12]))_"
    r"(?:SR_)?(?P<layer>B\d|QA_PIXEL|QA_RADSAT)\.tiff?",
    re.IGNORECASE,
)


def find(folders: Sequence[Folder], choice: Choice) -> Found:
    """Products by the names of their files; both satellites are the sensor L8."""
    products = []
    for one in gather(folders, _FILE):
        bands = named_bands(one.files, {band: band for band in BANDS})
        if bands:
            match, name, masks = one.match, one.match["product"].upper(), []
            if "QA_PIXEL" in one.files:
                masks.append(ProductMask(one.files["QA_PIXEL"], QA_PIXEL_INVALID, buffered=True))
            if "QA_RADSAT" in one.files:
                masks.append(ProductMask(one.files["QA_RADSAT"], QA_RADSAT_INVALID))
            products.append(
                Product(
                    name,
                    FORM.name,
                    "L8",
                    "optical",
                    one.date,
                    bands,
                    tuple(masks),
                    nodata=0.0,
                    scale=SCALE,
                    offset=OFFSET,
                    tile=match["place"],
                    rank=(len(bands), -int(match["tier"][1]), int(match["made"])),
                    same=f"LC0{match['satellite']}_{match['place']}_{match['date']}",
                )
            )
    return Found(tuple(products))


FORM = ProductForm("Landsat Collection 2", "LC08_L2SP_199026_20200510_20200820_02_T1_SR_B4.TIF", find, BANDS)
