"""STAC items, alone or in an ItemCollection: the JSON says which file is which band, where it lies and how it scales.

The files may lie anywhere: beside the JSON or behind an address (:mod:`..stac.hrefs`). Names of bands come from
``eo:bands`` (or ``bands``) and the assets' keys; scale, offset and no data from ``raster:bands``. Sentinel-2's offset
of processing baseline 04.00 is used where no ``raster:bands`` tells it, and never where
``earthsearch:boa_offset_applied`` says that the values have it already.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ...base.errors import LandloomError
from ...base.language import tr
from ...base.raster import is_remote
from ..bandnames import tidy_band
from ..rasterinfo import RasterInfo
from ..sensors import OPTICAL, RADAR
from ..stac.hrefs import gdal_path
from ..stac.items import Asset, Item, looks_like_stac, read_items
from . import landsat_usgs
from .base import Choice, Folder, Found, Product, ProductForm, ProductMask

S2_BANDS = ("B2", "B3", "B4", "B5", "B6", "B7", "B8", "B8A", "B11", "B12")
_S2_NAMES = {
    "blue": "B2", "green": "B3", "red": "B4", "rededge071": "B5", "rededge075": "B6", "rededge078": "B7",
    "rededge1": "B5", "rededge2": "B6", "rededge3": "B7", "nir": "B8", "nir08": "B8A", "swir16": "B11", "swir22": "B12",
}  # fmt: skip
_LANDSAT_NAMES = {
    "coastal": "B1", "blue": "B2", "green": "B3", "red": "B4", "nir08": "B5", "swir16": "B6", "swir22": "B7"
}  # fmt: skip
_NUMBERED = re.compile(r"(?:.*[_-])?(?:SR_)?B0?(\d{1,2}A?)(?:_\d+m)?", re.IGNORECASE)


def check_file(path: Path) -> None:
    """Check that a file given as INPUT holds STAC items.

    Raises:
        LandloomError: if it does not.
    """
    if not path.name.lower().endswith((".json", ".geojson")) or not looks_like_stac(path):
        raise LandloomError(
            tr(
                "INPUT {path} is no STAC Item or ItemCollection; give a folder of products, or what "
                "searchproducts wrote."
            ).format(path=path)
        )


def find(folders: Sequence[Folder], choice: Choice) -> Found:
    """Products of all STAC items in JSON files."""
    products: list[Product] = []
    left_out: list[tuple[str, str]] = []
    for folder in folders:
        for name in folder.files:
            path = Path(folder.at(name))
            if not name.lower().endswith((".json", ".geojson")) or not looks_like_stac(path):
                continue
            try:
                items, wrong = read_items(path)
            except LandloomError as error:
                left_out.append((name, str(error)))
                continue
            left_out += wrong
            for item in items:
                try:
                    products.append(product_of(item, choice))
                except LandloomError as error:
                    left_out.append((item.name, str(error)))
    return Found(tuple(products), tuple(left_out))


def product_of(item: Item, choice: Choice) -> Product:
    """The product of one item.

    Raises:
        LandloomError: with the reason, if it cannot be used.
    """
    sensor, kind = _sensor(item, choice)
    chosen = _radar_bands(item) if kind == RADAR else _optical_bands(item, sensor)
    if not chosen:
        raise LandloomError(tr("it has no band that is a GeoTIFF or JPEG 2000 file"))
    scales = {band: (_number(of.get("scale"), None), _number(of.get("offset"), None)) for band, (_, of, _) in
              chosen.items()}  # fmt: skip
    common = Counter(scales.values()).most_common(1)[0][0]
    chosen = {band: chosen[band] for band in chosen if scales[band] == common}
    scale, offset = _reflectance(item, sensor, *common) if kind == OPTICAL else (common[0] or 1.0, common[1] or 0.0)
    nodata = next(
        (value for _, of, _ in chosen.values() if (value := _number(of.get("nodata"), None)) is not None), None
    )
    if nodata is None and sensor in ("S2", "L8"):
        nodata = 0.0
    paths: dict[str, str] = {}
    bands = {band: (_path(item, asset, paths), number) for band, (asset, _, number) in chosen.items()}
    masks = _masks(item, choice, paths)
    infos = {paths[key]: info for key in paths if (info := _info(item.assets[key], paths[key])) is not None}
    itself = item.addresses[0]
    links = {path: (itself, key) for key, path in paths.items() if is_remote(path) and itself.startswith("http")}
    date = _date(item)
    tile = item.text("grid:code", "s2:mgrs_tile").removeprefix("MGRS-") or "_".join(
        text for key in ("landsat:wrs_path", "landsat:wrs_row") if (text := item.text(key))
    )
    moment = item.text("datetime", "start_datetime")[:19]
    state, orbit = item.text("sat:orbit_state").upper(), item.text("sat:relative_orbit")
    return Product(
        item.name,
        FORM.name,
        sensor,
        kind,
        date,
        bands,
        masks,
        nodata=nodata,
        scale=scale,
        offset=offset,
        unit="power" if kind == RADAR else "reflectance",
        tile=f"T{tile}" if re.fullmatch(r"\d{2}[A-Z]{3}", tile) else tile,
        direction={"ASCENDING": "ASC", "DESCENDING": "DES"}.get(state, "") if kind == RADAR else "",
        orbit=orbit.zfill(3) if orbit and kind == RADAR else "",
        calibration=_calibration(item) if kind == RADAR else "",
        rank=(len(bands), _baseline(item)),
        same=f"{item.text('platform', 'constellation')} {moment} {tile} {orbit}".lower()
        if tile or orbit
        else item.name,
        infos=infos,
        links=links,
        processor="Sen2Cor" if sensor == "S2" else "",
        guarded=sensor == "S2" and offset != 0,
    )


def _sensor(item: Item, choice: Choice) -> tuple[str, str]:
    """Name of the sensor and its kind."""
    named = " ".join([item.text("platform"), item.text("constellation"), item.collection]).lower()
    if "sar:polarizations" in item.properties or "sentinel-1" in named:
        if item.text("sar:product_type").upper() in ("GRD", "SLC") and "rtc" not in item.collection.lower():
            raise LandloomError(
                tr(
                    "it is a raw radar scene; take terrain-corrected ones (such as sentinel-1-rtc), or process "
                    "it with S1Tiling or SNAP"
                )
            )
        name = "S1" if "sentinel-1" in named else _free_name(item)
        state = {"ASCENDING": "_ASC", "DESCENDING": "_DES"}.get(item.text("sat:orbit_state").upper(), "")
        orbit = item.text("sat:relative_orbit")
        by_orbit = state and orbit and choice.orbits == "orbit"
        return name + state + (f"_{orbit.zfill(3)}" if by_orbit else ""), RADAR
    if "sentinel-2" in named or re.match(r"S2[A-D]_", item.name):
        return "S2", OPTICAL
    if re.search(r"landsat-?[89]", named) or re.match(r"LC0[89]_", item.name):
        return "L8", OPTICAL
    return _free_name(item), OPTICAL


def _free_name(item: Item) -> str:
    text = item.text("constellation", "platform") or item.collection or "STAC"
    return re.sub(r"[^A-Z0-9]+", "_", text.upper()).strip("_") or "STAC"


Chosen = dict[str, tuple[Asset, dict[str, Any], int]]
"""band name -> asset, what it says of the band, number of the band in the file."""


def _optical_bands(item: Item, sensor: str) -> Chosen:
    """The bands of an item; of one at several resolutions or in two forms the finest, GeoTIFF before JPEG 2000."""
    found: Chosen = {}
    for asset in sorted(item.assets.values(), key=lambda one: (one.gsd, one.jpeg2000, one.key)):
        if asset.roles and not {"data", "reflectance"} & set(asset.roles):
            continue
        if len(asset.bands) > 1 and sensor in ("S2", "L8"):
            continue  # a picture in true colours
        for number, band in enumerate(asset.bands, start=1):
            name = _band_name(asset, band, sensor)
            if name and name not in found:
                found[name] = (asset, band, number)
    if sensor == "S2":
        return {name: found[name] for name in S2_BANDS if name in found}
    return found


def _band_name(asset: Asset, band: dict[str, Any], sensor: str) -> str:
    """Its name as other forms write it; empty for what is no band of the surface."""
    names = [str(band.get("name") or ""), asset.key]
    if sensor in ("S2", "L8"):
        known = _S2_NAMES if sensor == "S2" else _LANDSAT_NAMES
        for name in names:
            match = _NUMBERED.fullmatch(name)
            if match and (sensor == "S2" or f"B{match[1]}" in known.values()):
                return f"B{match[1].upper()}"
        common = str(band.get("common_name") or band.get("eo:common_name") or "").lower()
        key = asset.key.lower().removesuffix("-jp2")
        return known.get(key) or known.get(common, "")
    if not asset.roles and len(asset.bands) == 1 and not band.get("name") and asset.jpeg2000:
        return ""
    name = tidy_band(names[0] if names[0] else names[1], sensor, OPTICAL)
    return re.sub(r"[^A-Za-z0-9_]+", "_", name).upper()


def _radar_bands(item: Item) -> Chosen:
    found: Chosen = {}
    for asset in item.assets.values():
        for number, band in enumerate(asset.bands, start=1):
            for name in (str(band.get("name") or ""), asset.key):
                if name.upper() in ("VV", "VH", "HH", "HV"):
                    found.setdefault(name.upper(), (asset, band, number))
    return {name: found[name] for name in ("VV", "VH", "HH", "HV") if name in found}


def _masks(item: Item, choice: Choice, paths: dict[str, str]) -> tuple[ProductMask, ...]:
    """Sen2Cor's scene classification, or Landsat's quality bits by the rules of its files."""
    scl = tuple(float(value) for value in choice.scl_invalid)
    bits = []
    for asset in sorted(item.assets.values(), key=lambda one: (one.gsd, one.jpeg2000)):
        key = asset.key.lower().removesuffix("-jp2")
        if key in ("scl", "scl_20m", "scl_60m"):
            return (ProductMask(_path(item, asset, paths), invalid_values=scl, buffered=True),)
        if key == "qa_pixel":
            bits.append(ProductMask(_path(item, asset, paths), landsat_usgs.QA_PIXEL_INVALID, buffered=True))
        if key == "qa_radsat":
            bits.append(ProductMask(_path(item, asset, paths), landsat_usgs.QA_RADSAT_INVALID))
    return tuple(bits)


def _reflectance(item: Item, sensor: str, scale: float | None, offset: float | None) -> tuple[float, float]:
    """Scale and offset to reflectance."""
    if sensor == "L8" and scale is None and offset is None:
        return landsat_usgs.SCALE, landsat_usgs.OFFSET
    if sensor != "S2":
        return scale or 1.0, offset or 0.0
    for key in ("earthsearch:boa_offset_applied", "sentinel:boa_offset_applied"):
        if item.properties.get(key) is True:
            return scale or 1e-4, 0.0
    if offset is None:
        offset = -0.1 if _baseline(item) >= 4 else 0.0
    return scale or 1e-4, offset


def _baseline(item: Item) -> float:
    text = item.text("s2:processing_baseline", "processing:version", "sentinel2:processing_baseline")
    if not text:
        match = re.search(r"_N(\d{2})(\d{2})_", item.name)
        text = f"{match[1]}.{match[2]}" if match else "0"
    match = re.match(r"\d+(\.\d+)?", text)
    return float(match[0]) if match else 0.0


def _calibration(item: Item) -> str:
    named = f"{item.collection} {item.text('sar:product_type')} {item.name}".lower()
    if "rtc" in named:
        return "gamma0_rtc"
    return next((name for name in ("gamma0", "sigma0") if name in named), "unknown")


def _date(item: Item) -> str:
    match = re.match(r"\d{4}-\d{2}-\d{2}", item.text("datetime", "start_datetime"))
    if not match:
        raise LandloomError(tr("it has no date"))
    return match[0]


def _path(item: Item, asset: Asset, paths: dict[str, str]) -> str:
    if asset.key not in paths:
        paths[asset.key] = gdal_path(asset.href, item.folder, item.collection, item.addresses)
    return paths[asset.key]


def _info(asset: Asset, path: str) -> RasterInfo | None:
    """What the item says of a remote file, if it says enough to do without opening it."""
    if not is_remote(path) or asset.grid is None or not asset.dtype:
        return None
    count = len(asset.bands)
    nodata = tuple(_number(band.get("nodata"), None) for band in asset.bands)
    return RasterInfo(path, asset.grid, (asset.dtype,) * count, nodata, ("",) * count, {}, 0, 0.0)


def _number(value: Any, default: float | None) -> float | None:
    if isinstance(value, str) and value.lower() == "nan":
        return float("nan")
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else default


FORM = ProductForm("STAC items", "items.json of searchproducts", find)
