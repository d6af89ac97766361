"""WorldCereal (EWoC) pre-processed Sentinel-1 on Sentinel-2's tiles: sigma0 as UInt16, no data as declared or 0.

``S1B_20190821T062627_DES_154_01768002142E29A9_30SUG_SIGMA0_VV.tif``; dB = 20 log10(value) - 83, so the values are
amplitude. Where the relative orbit is written ``TODO`` the time of the pass gives it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from .base import Choice, Folder, Found, ProductForm, gather
from .sentinel1 import declared_nodata, pass_of, radar_product

_SCALE = 10 ** (-83 / 20)
_FILE = re.compile(
    r"(?P<product>(?P<satellite>S1[A-D])_(?P<date>\d{8})(?P<time>T\d{6})_(?P<direction>ASC|DES)_(?P<orbit>\d{3}|TODO)_"
    r"(?P<scene>[0-9A-F]+)_(?P<tile>\d{2}[A-Z]{3}))_(?P<calibration>SIGMA0|GAMMA0)_(?P<layer>VV|VH|HH|HV)\.tiff?",
    re.IGNORECASE,
)


def find(folders: Sequence[Folder], choice: Choice) -> Found:
    """Products by the names of their files."""
    products = []
    for one in gather(folders, _FILE):
        match = one.match
        orbit = match["orbit"]
        if not orbit.isdigit():
            orbit = pass_of(match["satellite"], match["date"] + match["time"])[1]
        products.append(
            radar_product(
                FORM.name,
                match["product"],
                match["date"],
                {band: (path, 1) for band, path in one.files.items()},
                choice,
                unit="amplitude",
                scale=_SCALE,
                nodata=declared_nodata(list(one.files.values()), 0.0),
                tile=match["tile"].upper(),
                direction=match["direction"].upper(),
                orbit=orbit,
                calibration=match["calibration"].lower(),
            )
        )
    return Found(tuple(products))


FORM = ProductForm(
    "WorldCereal (EWoC) S1", "S1B_20190821T062627_DES_154_01768002142E29A9_30SUG_SIGMA0_VV.tif", find, ("VV", "VH")
)
