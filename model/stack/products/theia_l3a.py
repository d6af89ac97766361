"""Theia Sentinel-2 L3A: monthly syntheses, ``SENTINEL2X_20181015-000000-000_L3A_T31TCJ_D_V1-1_FRC_B2.tif``.

Of the flags (FLG) 0 is no data and 1 cloud. Syntheses are a sensor of their own, ``S2_L3A``: never mixed with dates.
"""

from __future__ import annotations

import re

from .base import ProductForm
from .theia import BANDS, MuscateMask, muscate

_FILE = re.compile(
    r"(?P<product>SENTINEL2[A-Z]_(?P<date>\d{8})-\d{6}-\d{3}_L3A_(?P<tile>T\d{2}[A-Z]{3})_[A-Z]"
    r"_V(?P<major>\d+)-(?P<minor>\d+))_(?P<layer>FRC_B\d{1,2}A?|FLG_R[12])\.tiff?",
    re.IGNORECASE,
)
_MASKS = (MuscateMask(("FLG_R1", "FLG_R2"), invalid_values=(0.0, 1.0), buffered=True),)

FORM = ProductForm(
    "Theia S2 L3A",
    "SENTINEL2X_20181015-000000-000_L3A_T31TCJ_D_V1-1_FRC_B2.tif",
    muscate("Theia S2 L3A", "S2_L3A", _FILE, BANDS, _MASKS, "FRC"),
    BANDS,
)
