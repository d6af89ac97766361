"""Terrascope Sentinel-2 top of canopy: ``S2B_20190829T105029_31UFS_TOC-B04_10M_V200.tif``, 32767 = no data.

``SCENECLASSIFICATION_20M`` holds Sen2Cor's classes. Bands at 60 m and maps of angles are left.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from .base import Choice, Folder, Found, Product, ProductForm, ProductMask, gather, named_bands
from .theia import BANDS

_FILE = re.compile(
    r"(?P<product>(?P<satellite>S2[A-Z])_(?P<date>\d{8})T(?P<time>\d{6})_(?P<tile>\d{2}[A-Z]{3}))_"
    r"(?:TOC-)?(?P<layer>B\d{2}|B8A|SCENECLASSIFICATION)_[12]0M_V(?P<version>\d{3})\.tiff?",
    re.IGNORECASE,
)
_LAYERS = {band: f"B{band[1:].zfill(2)}" for band in BANDS}  # B2 is called B02


def find(folders: Sequence[Folder], choice: Choice) -> Found:
    """Products by the names of their files, whatever their folders are called."""
    products = []
    for one in gather(folders, _FILE):
        bands = named_bands(one.files, _LAYERS)
        if bands:
            classes, name = one.files.get("SCENECLASSIFICATION"), one.match["product"].upper()
            products.append(
                Product(
                    f"{name}_TOC_V{one.match['version']}",
                    FORM.name,
                    "S2",
                    "optical",
                    one.date,
                    bands,
                    (ProductMask(classes, invalid_values=choice.scl_invalid, buffered=True),) if classes else (),
                    nodata=32767.0,
                    scale=1e-4,
                    tile=f"T{one.match['tile'].upper()}",
                    rank=(len(bands), int(one.match["version"])),
                    same=name,
                )
            )
    return Found(tuple(products))


FORM = ProductForm("Terrascope S2 TOC", "S2B_20190829T105029_31UFS_TOC-B04_10M_V200.tif", find, BANDS)
