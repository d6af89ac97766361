"""Sen2Cor Sentinel-2 L2A as single files, from Copernicus Data Space, Planetary Computer or Earth Search.

``T31TCJ_20230821T105031_B02_10m.tif`` (or ``.jp2``); or ``B02.tif``, ``B02_10m.tif``, ``blue.tif`` in a folder whose
name gives the date, as ``S2A_31TCJ_20230821_0_L2A``. Whether BOA_ADD_OFFSET is still in the values is told, in this
order, by ``MTD_MSIL2A.xml`` or a STAC item (``earthsearch:boa_offset_applied``, baseline) beside them, by the scale and
offset in the files, by the baseline in a folder's name, and else by the date and the values, with a warning.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import PurePath

import numpy as np
from osgeo import gdal

from ...base.errors import LandloomError
from ...base.language import tr
from ...base.raster import open_raster, read_array
from ..calendar import find_date
from .base import Choice, Folder, Found, Product, ProductForm
from .sen2cor import (
    ADD_OFFSET,
    BAND_IDS,
    FIRST_WITH_OFFSET,
    METADATA,
    Metadata,
    read_metadata,
    safe_root,
    sen2cor_product,
)
from .theia import BANDS
from .xmlfile import read_bytes

MAX_NEGATIVE = 0.05
"""An offset that would make a larger share of the values negative was taken off already."""

_COLOURS = {
    "blue": "B02", "green": "B03", "red": "B04", "rededge1": "B05", "rededge2": "B06", "rededge3": "B07", "nir": "B08",
    "nir08": "B8A", "swir16": "B11", "swir22": "B12", "scl": "SCL",
}  # fmt: skip
_BARE = frozenset(_COLOURS) - {"scl"}
_FILE = re.compile(
    r"(?:(?P<prefix>(?:L2A_)?T\d{2}[A-Z]{3}_\d{8}T\d{6}|S2[A-Z]_T?\d{1,2}[A-Z]{3}_\d{8}_\d+_L2A|S2[A-Z]_MSIL2A_\w+?)_)?"
    rf"(?P<layer>B\d{{2}}|B8A|SCL|{'|'.join(_COLOURS)})(?:_(?P<size>[12]0)m)?\.(?:jp2|tiff?)",
    re.IGNORECASE,
)
_TILE = re.compile(r"(?<![0-9A-Z])T?(?P<tile>\d{1,2}[A-Z]{3})(?![0-9A-Z])", re.IGNORECASE)
_SATELLITE = re.compile(r"(?<![0-9A-Z])S2[A-Z]_", re.IGNORECASE)
_BASELINE = re.compile(r"(?<![0-9A-Z])N(\d{4})(?![0-9A-Z])", re.IGNORECASE)
_INNER = ("R10M", "R20M", "10M", "20M")
_START = "2022-01-25"


def find(folders: Sequence[Folder], choice: Choice) -> Found:
    """Products by the names of their files and folders."""
    groups: dict[tuple[PurePath, str], dict[str, str]] = {}
    foreign: set[tuple[PurePath, str]] = set()
    beside = {folder.path: folder for folder in folders}
    for folder in folders:
        if safe_root(folder.path) is not None:
            continue
        base = folder.path.parent if folder.path.name.upper() in _INNER else folder.path
        for file in folder.files:
            match = _FILE.fullmatch(file)
            if match:
                if match["layer"].lower() in _BARE and not _SATELLITE.search(f"{match['prefix']} {base}"):
                    foreign.add((base, match["prefix"] or ""))  # red.tif may come from any camera
                layer = _COLOURS.get(match["layer"].lower(), match["layer"].upper())
                size = match["size"] or ("10" if layer in ("B02", "B03", "B04", "B08") else "20")
                groups.setdefault((base, match["prefix"] or ""), {})[f"{layer}_{size}"] = folder.at(file)
    products, left_out = [], []
    for (base, prefix), layers in sorted(groups.items()):
        if not any(layer.startswith("B") for layer in layers) or (base, prefix) in foreign:
            continue
        name = base.name if find_date(base.name) else prefix or base.name
        date = next((found[0] for found in map(find_date, (prefix, base.name, base.parent.name)) if found), "")
        if not date:
            if any(layer.startswith("SCL") for layer in layers):
                left_out.append((name, tr("no date is found in the names of its files and folders; rename its folder")))
            continue
        try:
            context = f"{prefix} {base.name} {base.parent.name}"
            products.append(_product(name, context, date, layers, beside.get(base), choice))
        except LandloomError as error:
            left_out.append((name, str(error).rstrip(".")))
    return Found(tuple(products), tuple(left_out))


def _product(
    name: str, context: str, date: str, layers: dict[str, str], folder: Folder | None, choice: Choice
) -> Product:
    tile, digits = _TILE.search(context), date.replace("-", "")
    time = re.search(rf"{digits}T(\d{{6}})", context)
    place = f"T{tile['tile'].upper().zfill(5)}" if tile else ""
    facts, remark = _facts(name, context, date, layers, folder)
    return sen2cor_product(FORM.name, facts, (place, digits, time[1] if time else ""), layers, choice, remark)


def _facts(name: str, context: str, date: str, layers: dict[str, str], folder: Folder | None) -> tuple[Metadata, str]:
    """What the values mean, and a remark where that is not written anywhere."""
    if folder is not None and METADATA in folder.files:
        return replace(read_metadata(folder.at(METADATA)), name=name), ""
    told = _item(folder, name) if folder is not None else None
    if told is not None:
        applied, baseline = told
        return _with(name, baseline, baseline >= FIRST_WITH_OFFSET and not applied), ""
    first = layers[min(layer for layer in layers if layer.startswith("B"))]
    dataset = open_raster(first)  # kept: a band lives no longer than its data set
    band = dataset.GetRasterBand(1)
    scale, offset = band.GetScale(), band.GetOffset()
    if scale and offset and 0 < scale < 1:
        return Metadata(name, 0.0, 1 / scale, dict.fromkeys(BAND_IDS, round(offset / scale, 6))), ""
    written = _BASELINE.search(context)
    if written:
        baseline = int(written[1]) / 100
        return _with(name, baseline, baseline >= FIRST_WITH_OFFSET), ""
    if date < _START:
        return _with(name, 0.0, False), ""
    there = _negative(dataset) <= MAX_NEGATIVE
    why = (
        tr("is subtracted, as from all after 2022-01-25")
        if there
        else tr("was taken off already, as their values show")
    )
    return _with(name, 0.0, there), tr("nothing says whether BOA_ADD_OFFSET is in the values; it {why}").format(why=why)


def _negative(dataset: gdal.Dataset) -> float:
    """The share of values that the offset would make negative, from windows spread over the image."""
    width, height = min(64, dataset.RasterXSize), min(64, dataset.RasterYSize)
    values = np.concatenate(
        [
            read_array(dataset, (int(column), int(row), width, height), [1]).ravel()
            for column in np.unique(np.linspace(0, dataset.RasterXSize - width, 5).astype(int))
            for row in np.unique(np.linspace(0, dataset.RasterYSize - height, 5).astype(int))
        ]
    )
    values = values[values > 0].astype(np.float64)
    return float(np.mean(values + ADD_OFFSET < 0)) if values.size else 0.0


def _with(name: str, baseline: float, offset: bool) -> Metadata:
    return Metadata(name, baseline, 10000.0, dict.fromkeys(BAND_IDS, ADD_OFFSET) if offset else {})


def _item(folder: Folder, name: str) -> tuple[bool, float] | None:
    """Whether the offset was applied and the baseline, from a STAC item beside the files."""
    names = [file for file in folder.files if file.lower().endswith((".json", ".geojson"))]
    for file in sorted(names, key=lambda one: not one.startswith(name))[:5]:
        try:
            content = json.loads(read_bytes(folder.at(file)))
        except (LandloomError, ValueError, RecursionError):
            continue  # another file, or none that says anything: the other ways are tried
        if not isinstance(content, dict) or "stac_version" not in content:
            continue
        properties = content.get("properties")
        if isinstance(properties, dict) and str(content.get("id", name)) in (name, folder.path.name):
            applied = properties.get("earthsearch:boa_offset_applied")
            try:
                baseline = float(str(properties.get("s2:processing_baseline", properties.get("processing:version"))))
            except ValueError:
                baseline = FIRST_WITH_OFFSET if applied is False else 0.0
            if applied is not None or baseline:
                return applied is True, baseline
    return None


FORM = ProductForm(
    "Sen2Cor S2 L2A files",
    "T31TCJ_20230821T105031_B02_10m.tif or S2A_31TCJ_20230821_0_L2A/B02.tif",
    find,
    BANDS,
)
