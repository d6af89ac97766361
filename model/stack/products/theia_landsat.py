"""Theia Landsat 8 and 9 L2A: ``LANDSAT8-OLITIRS-XS_20180511-103500-000_L2A_T31TCJ_D_V1-9_FRE_B2.tif``, 30 m.

As Theia's Sentinel-2, with masks of one resolution (``_CLM_XS.tif``).
"""

from __future__ import annotations

import re

from .base import ProductForm
from .theia import ANY_BIT, MuscateMask, muscate

BANDS = ("B1", "B2", "B3", "B4", "B5", "B6", "B7")

_FILE = re.compile(
    r"(?P<product>LANDSAT[89]-[A-Z]+-[A-Z]+_(?P<date>\d{8})-\d{6}-\d{3}_L2A_(?P<tile>T?[0-9A-Z]{5,10})_[A-Z]"
    r"_V(?P<major>\d+)-(?P<minor>\d+))_(?P<layer>(?:FRE|SRE)_B\d{1,2}|(?:CLM|SAT|EDG)_XS)\.tiff?",
    re.IGNORECASE,
)
_MASKS = (
    MuscateMask(("CLM_XS",), ANY_BIT, buffered=True),
    MuscateMask(("SAT_XS",), ANY_BIT),
    MuscateMask(("EDG_XS",), ANY_BIT),
)

FORM = ProductForm(
    "Theia Landsat L2A",
    "LANDSAT8-OLITIRS-XS_20180511-103500-000_L2A_T31TCJ_D_V1-9_FRE_B2.tif",
    muscate("Theia Landsat L2A", "L8", _FILE, BANDS, _MASKS),
    BANDS,
)
