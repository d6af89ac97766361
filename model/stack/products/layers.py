"""Layers without a date: elevation, slope, soil and whatever lies in a folder called ``static``.

Recognised by a word of the file's name (``dem.tif``, ``SRTM_41_16.tif``, ``slope_25m.tif``) or by the folder's name.
Tiles of one layer are mosaicked; bands take the name of the layer.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import PurePath

from ...base.errors import LandloomError
from ...base.raster import open_raster
from ..calendar import find_date
from .base import Choice, Folder, Found, ProductForm
from .sentinel1 import declared_nodata, static_product

_WORDS = {
    "DEM": "DEM|DSM|DTM|MNT|MNS|SRTM|ALTITUDE|ELEVATION|HEIGHT",
    "SLOPE": "SLOPE|PENTE",
    "ASPECT": "ASPECT|EXPOSITION",
    "SOIL": "SOILS?|SOLS?|CLAY|SAND|SILT|PEDOLOGY",
    "TWI": "TWI|TPI|HAND",
}
_LAYER = {key: re.compile(rf"(?:^|[^A-Za-z])(?:{words})(?![A-Za-z])", re.IGNORECASE) for key, words in _WORDS.items()}
_STATIC = re.compile(r"static|statique|ancillary|auxiliaires?", re.IGNORECASE)
_OTHER_PRODUCTS = re.compile(
    r"(S[12][A-D]?|T\d{2}[A-Z]{3}|L[CETO]0[4-9]|SENTINEL|LANDSAT|OPERA|(sin_|cos_|tan_)?LIA|IA|GAMMA_AREA)[_-].*",
    re.IGNORECASE,
)


def find(folders: Sequence[Folder], choice: Choice) -> Found:
    """Layers by the names of files and folders; two of one kind on the same pixels keep their own names."""
    files: list[tuple[str, str, str]] = []
    left_out = []
    for folder in folders:
        static = bool(_STATIC.fullmatch(folder.path.name))
        for name in folder.files:
            stem = PurePath(name).stem
            if PurePath(name).suffix.lower() not in (".tif", ".tiff", ".vrt", ".img", ".asc", ".hgt"):
                continue
            layer = next((key for key, word in _LAYER.items() if word.search(stem)), "")
            if _OTHER_PRODUCTS.match(name) or find_date(stem) or not (layer or static):
                continue
            files.append((folder.at(name), stem, layer or stem))
    opened = {}
    for path, stem, _ in files:
        try:
            dataset = open_raster(path)
            names = [dataset.GetRasterBand(number).GetDescription() for number in range(1, dataset.RasterCount + 1)]
            opened[path] = (tuple(dataset.GetGeoTransform()), dataset.RasterXSize, names)
        except LandloomError as error:
            left_out.append((stem, str(error)))
    products = []
    for path, stem, kind in files:
        if path not in opened:
            continue
        place, width, names = opened[path]
        rivals = [other for other, _, own in files if own == kind and other != path and other in opened]
        one_of_several = any(opened[other][:2] == (place, width) for other in rivals)
        title = re.sub(r"[^0-9A-Za-z]+", "_", stem if one_of_several else kind).strip("_").upper()
        if len(names) == 1:
            bands = {title: (path, 1)}
        else:
            own = [name if name and names.count(name) == 1 else str(n) for n, name in enumerate(names, start=1)]
            bands = {f"{title}_{name}": (path, number) for number, name in enumerate(own, start=1)}
        products.append(static_product(FORM.name, PurePath(path).name, bands, declared_nodata([path], None), path))
    return Found(tuple(products), tuple(left_out))


FORM = ProductForm("static layers (DEM, slope, soil, folder 'static')", "dem.tif", find)
