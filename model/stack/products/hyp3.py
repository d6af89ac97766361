"""ASF HyP3 RTC of Sentinel-1: a file a polarisation.

``S1A_IW_20180128T161201_DVP_RTC30_G_gpuned_FD6A_VV.tif``: of the six letters the first says gamma0 or sigma0, the
second power, amplitude or decibel, the fourth whether speckle is filtered. Angles and DEM are static layers.

``_ls_map`` adds 1 tested, 2 look angle below the slope, 4 layover, 8 look angle below the opposite slope, 16 shadow; of
its values 1 alone is "not affected by either" (the README that comes with every product; product guide:
https://hyp3-docs.asf.alaska.edu/guides/rtc_product_guide/). All four kinds are masked.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from ...base.language import tr
from .base import Choice, Folder, Found, ProductForm, ProductMask, gather
from .sentinel1 import ANGLE_MAP, POLARISATIONS, declared_nodata, pass_of, radar_product, static_product

_FILE = re.compile(
    r"(?P<product>(?P<satellite>S1[A-D])_[A-Z0-9]{2}_(?P<date>\d{8})(?P<time>T\d{6})_[SD][VH][PRO]_RTC\d+_[A-Z]_"
    r"(?P<calibration>[gs])(?P<unit>[pad])[uw](?P<filtered>[nf])[ec][dm]_[0-9A-F]{4})_"
    r"(?P<layer>VV|VH|HH|HV|ls_map|inc_map|dem|area)\.tiff?",
    re.IGNORECASE,
)
_UNITS = {"p": "power", "a": "amplitude", "d": "db"}
LAYOVER_SHADOW = 2 | 4 | 8 | 16
_STATIC = {"INC_MAP": "LIA", "DEM": "DEM", "AREA": "GAMMA_AREA"}


def find(folders: Sequence[Folder], choice: Choice) -> Found:
    """Products by the names of their files."""
    products, left_out = [], []
    for one in gather(folders, _FILE):
        match, files = one.match, one.files
        direction, orbit = pass_of(match["satellite"], match["date"] + match["time"])
        for key, name in _STATIC.items():
            if key in files and "STATIC" in choice.sensors:
                layer = name if key == "DEM" else "_".join(filter(None, [name, direction, orbit]))
                products.append(static_product(FORM.name, f"{match['product']}_{key}", {layer: (files[key], 1)}))
            elif key in files:
                what = ANGLE_MAP if key != "DEM" else tr("not a date; write STATIC in SENSORS to take it")
                left_out.append((f"{match['product']}_{key.lower()}.tif", what))
        bands = {band: (files[band], 1) for band in POLARISATIONS if band in files}
        if bands:
            unit = _UNITS[match["unit"].lower()]
            paths = [path for path, _ in bands.values()]
            products.append(
                radar_product(
                    FORM.name,
                    match["product"],
                    match["date"],
                    bands,
                    choice,
                    masks=(ProductMask(files["LS_MAP"], invalid_bits=LAYOVER_SHADOW),) if "LS_MAP" in files else (),
                    unit=unit,
                    nodata=declared_nodata(paths, 0.0),
                    direction=direction,
                    orbit=orbit,
                    calibration="gamma0_rtc" if match["calibration"].lower() == "g" else "sigma0_rtc",
                    filtered=match["filtered"].lower() == "f",
                )
            )
    return Found(tuple(products), tuple(left_out))


FORM = ProductForm("ASF HyP3 RTC", "S1A_IW_20180128T161201_DVP_RTC30_G_gpuned_FD6A_VV.tif", find, ("VV", "VH"))
