"""Terrascope Sentinel-1 sigma0: a file a polarisation and a map of angles.

``S1A_IW_GRDH_SIGMA0_DV_20190815T173249_ASCENDING_161_91E0_V110_VV.tif`` holds linear power, NaN = no data. With a tile
at the end of the name (``_VV_31UFS.tif``) it is UInt16, dB = value / 1000 - 45, 65535 = no data.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from .base import Choice, Folder, Found, ProductForm, gather
from .sentinel1 import ANGLE_MAP, POLARISATIONS, radar_product, static_product

_FILE = re.compile(
    r"(?P<product>(?P<satellite>S1[A-D])_[A-Z]{2}_GRD[HMF]_SIGMA0_[SD][VH]_(?P<date>\d{8})T(?P<time>\d{6})_"
    r"(?P<direction>ASC|DES)C?ENDING_(?P<orbit>\d{1,3})_[0-9A-F]{4}_V(?P<version>\d+))_(?P<layer>VV|VH|HH|HV|angle)"
    r"(?:_(?P<tile>\d{2}[A-Z]{3}))?\.tiff?",
    re.IGNORECASE,
)


def find(folders: Sequence[Folder], choice: Choice) -> Found:
    """Products by the names of their files."""
    products, left_out = [], []
    for one in gather(folders, _FILE):
        match, tile = one.match, (one.match["tile"] or "").upper()
        direction, orbit = match["direction"].upper(), match["orbit"].zfill(3)
        bands = {band: (one.files[band], 1) for band in POLARISATIONS if band in one.files}
        if "ANGLE" in one.files:
            name = f"{match['product']}_angle"
            if "STATIC" in choice.sensors:
                layer = f"IA_{direction}_{orbit}"  # one map an orbit is enough
                products.append(static_product(FORM.name, name, {layer: (one.files["ANGLE"], 1)}, 0.0, layer))
            else:
                left_out.append((name, ANGLE_MAP))
        if bands:
            in_db = {"unit": "db", "scale": 0.001, "offset": -45.0, "nodata": 65535.0}
            products.append(
                radar_product(
                    FORM.name,
                    "_".join(filter(None, [match["product"], tile])),
                    match["date"],
                    bands,
                    choice,
                    **(in_db if tile else {"unit": "power"}),
                    tile=tile,
                    direction=direction,
                    orbit=orbit,
                    calibration="sigma0",
                    rank=(len(bands), int(match["version"])),
                    same="_".join([match["satellite"], match["date"], match["time"], tile]),
                )
            )
    return Found(tuple(products), tuple(left_out))


FORM = ProductForm(
    "Terrascope S1", "S1A_IW_GRDH_SIGMA0_DV_20190815T173249_ASCENDING_161_91E0_V110_VV.tif", find, ("VV", "VH")
)
