"""WorldCereal (EWoC) pre-processed Sentinel-2 and Landsat 8 on Sentinel-2's tiles, 0 = no data.

``S2B_L2A_20190904T074619_N9999R135T36MXB_36MXB_B04.tif`` and ``LC08_L2SP_20190904_16906202T1_36MXB_B04.tif``; in
``_MASK.tif`` 1 is clear. Landsat's bands have Sentinel-2's names there and get their own again. Names with a time hold
reflectance times 10,000, those with a date alone the values of USGS's Collection 2.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from . import landsat_usgs
from .base import Choice, Folder, Found, Product, ProductForm, ProductMask, gather, named_bands
from .theia import BANDS

_FILE = re.compile(
    r"(?P<product>(?P<satellite>S2[A-Z]_L2A|LC0[89]_L2SP)_(?P<date>\d{8})(?P<time>T\d{6})?_[0-9A-Z]+_"
    r"(?P<tile>\d{2}[A-Z]{3}))_(?P<layer>B\d{2}|B8A|MASK)\.tiff?",
    re.IGNORECASE,
)
_SENTINEL2 = {band: f"B{band[1:].zfill(2)}" for band in BANDS}
_LANDSAT = {"B2": "B02", "B3": "B03", "B4": "B04", "B5": "B08", "B6": "B11", "B7": "B12"}


def find(folders: Sequence[Folder], choice: Choice) -> Found:
    """Products by the names of their files."""
    products = []
    for one in gather(folders, _FILE):
        match, mask = one.match, one.files.get("MASK")
        landsat = match["satellite"].upper().startswith("LC")
        bands = named_bands(one.files, _LANDSAT if landsat else _SENTINEL2)
        if bands:
            raw = landsat and not match["time"]
            products.append(
                Product(
                    match["product"],
                    FORM.name,
                    "L8" if landsat else "S2",
                    "optical",
                    one.date,
                    bands,
                    (ProductMask(mask, valid_values=(1.0,), buffered=True),) if mask else (),
                    nodata=0.0,
                    scale=landsat_usgs.SCALE if raw else 1e-4,
                    offset=landsat_usgs.OFFSET if raw else 0.0,
                    tile=f"T{match['tile'].upper()}",
                    rank=(len(bands),),
                )
            )
    return Found(tuple(products))


FORM = ProductForm("WorldCereal (EWoC)", "S2B_L2A_20190904T074619_N9999R135T36MXB_36MXB_B04.tif", find)
