"""OPERA RTC of Sentinel-1: gamma0 as linear power, a file a polarisation for each burst, NaN = no data.

``OPERA_L2_RTC-S1_T047-100908-IW3_20230801T012345Z_20230802T101010Z_S1A_30_v1.0_VV.tif``; in ``_mask.tif`` 0 is neither
layover nor shadow, 1 shadow, 2 layover, 3 both, 255 no sample (product specification, section 4.3; the same table:
https://developers.google.com/earth-engine/datasets/catalog/OPERA_RTC_L2_V1_S1). Layers of
``OPERA_L2_RTC-S1-STATIC_...`` are static.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from .base import Choice, Folder, Found, ProductForm, ProductMask, gather
from .sentinel1 import ANGLE_MAP, POLARISATIONS, pass_of, radar_product, static_product

_FILE = re.compile(
    r"(?P<product>OPERA_L2_RTC-S1_T(?P<orbit>\d{3})-(?P<burst>\d+-[A-Z]{2}\d)_(?P<date>\d{8})(?P<time>T\d{6})Z_"
    r"(?P<made>\d{8}T\d{6})Z_(?P<satellite>S1[A-D])_\d+_v[\d.]+)_(?P<layer>VV|VH|HH|HV|mask)\.tiff?",
    re.IGNORECASE,
)
_STATIC = re.compile(
    r"(?P<product>OPERA_L2_RTC-S1-STATIC_T(?P<orbit>\d{3})-\d+-[A-Z]{2}\d_\w+_v[\d.]+)_"
    r"(?P<layer>local_incidence_angle|incidence_angle|rtc_anf\w*|number_of_looks)\.tiff?",
    re.IGNORECASE,
)


def find(folders: Sequence[Folder], choice: Choice) -> Found:
    """Products by the names of their files; bursts of one pass are mosaicked."""
    products, left_out = [], []
    for one in gather(folders, _FILE):
        match, mask = one.match, one.files.get("MASK")
        bands = {band: (one.files[band], 1) for band in POLARISATIONS if band in one.files}
        if bands:
            products.append(
                radar_product(
                    FORM.name,
                    match["product"],
                    match["date"],
                    bands,
                    choice,
                    masks=(ProductMask(mask, valid_values=(0.0,)),) if mask else (),
                    unit="power",
                    tile=f"T{match['orbit']}-{match['burst']}".upper(),
                    direction=pass_of(match["satellite"], match["date"] + match["time"])[0],
                    orbit=match["orbit"],
                    calibration="gamma0_rtc",
                    rank=(len(bands), int(match["made"][:8]), int(match["made"][9:])),
                    same="_".join([match["orbit"], match["burst"], match["date"], match["satellite"]]).upper(),
                )
            )
    for one in gather(folders, _STATIC):
        for key, path in one.files.items():
            if "STATIC" in choice.sensors:
                layer = f"{key}_T{one.match['orbit']}"
                products.append(static_product(FORM.name, f"{one.match['product']}_{key.lower()}", {layer: (path, 1)}))
            else:
                left_out.append((f"{one.match['product']}_{key.lower()}.tif", ANGLE_MAP))
    return Found(tuple(products), tuple(left_out))


FORM = ProductForm(
    "OPERA RTC", "OPERA_L2_RTC-S1_T047-100908-IW3_20230801T012345Z_20230802T101010Z_S1A_30_v1.0_VV.tif", find
)
