"""Reading STAC Item and ItemCollection files, and what an asset says of its pixels.

Both generations are read: STAC 1.0 with ``eo:bands`` and ``raster:bands``, and 1.1 with ``bands``.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...base.errors import LandloomError
from ...base.language import tr
from ...base.raster import spatial_reference
from ..grid import Grid

LARGEST = 512 * 2**20
"""Bytes; larger files are no catalogue of items."""

_PEEK = 65536
_RASTERS = ("image/tiff", "image/jp2", "image/vnd.stac.geotiff", "application/geotiff")
_SUFFIXES = (".tif", ".tiff", ".jp2")
_DTYPES = ("uint8", "int8", "uint16", "int16", "uint32", "int32", "float32", "float64")


@dataclass(frozen=True)
class Asset:
    """One file of an item.

    Attributes:
        key: its name in the item.
        href: as the item gives it.
        roles: such as ``data``, ``reflectance``, ``cloud``.
        bands: for each band ``name``, ``common_name`` and the like, with ``scale``, ``offset``, ``nodata``,
            ``data_type`` where they are given.
        grid: its pixels by ``proj:``, None where it does not say.
        gsd: pixel size in metres, 0 where it does not say.
        jpeg2000: whether it is a JPEG 2000 file.
    """

    key: str
    href: str
    roles: tuple[str, ...]
    bands: tuple[dict[str, Any], ...]
    grid: Grid | None = None
    gsd: float = 0.0
    jpeg2000: bool = False

    def of_first(self, key: str) -> Any:
        """A field of the first band, None where there is none."""
        return self.bands[0].get(key) if self.bands else None

    @property
    def dtype(self) -> str:
        """Numpy's type name, empty where it does not say."""
        kind = self.of_first("data_type")
        return kind if kind in _DTYPES else ""


@dataclass(frozen=True)
class Item:
    """One STAC item: ``properties`` as they are, its rasters, and the folder of its file."""

    name: str
    collection: str
    properties: dict[str, Any]
    assets: dict[str, Asset]
    folder: Path
    links: dict[str, str] = field(default_factory=dict)

    def text(self, *keys: str) -> str:
        """The first of some properties that is there, as text."""
        for key in keys:
            value = self.properties.get(key)
            if value not in (None, ""):
                return str(value)
        return ""

    @property
    def addresses(self) -> tuple[str, ...]:
        """Its own address (or empty text), and those of its root and collection."""
        return self.links.get("self", ""), *(self.links.get(rel, "") for rel in ("root", "collection", "parent"))


def looks_like_stac(path: Path) -> bool:
    """Whether a JSON file holds STAC items, by its beginning."""
    try:
        if path.stat().st_size > LARGEST:
            return False
        with path.open("rb") as stream:
            start = stream.read(_PEEK)
    except OSError:
        return False
    return b'"stac_version"' in start and (b'"Feature' in start or b'"assets"' in start)


def read_items(path: Path) -> tuple[list[Item], list[tuple[str, str]]]:
    """The items of a file, and (name, why) of those that cannot be used.

    Raises:
        LandloomError: if the file is no STAC Item or ItemCollection.
    """
    try:
        if path.stat().st_size > LARGEST:
            raise LandloomError(
                tr("{path} is larger than {largest} MB; search a smaller area or period.").format(
                    path=path, largest=LARGEST >> 20
                )
            )
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise LandloomError(
            tr("Cannot read {path}: {error}. Give a STAC Item or ItemCollection.").format(path=path, error=error)
        ) from error
    kind = content.get("type") if isinstance(content, dict) else None
    features = content.get("features") if kind == "FeatureCollection" else [content]
    if kind not in ("Feature", "FeatureCollection") or not isinstance(features, list):
        raise LandloomError(
            tr("{path} is no STAC Item or ItemCollection; make one with searchproducts.").format(path=path)
        )
    items, left_out = [], []
    for index, feature in enumerate(features):
        try:
            items.append(parse_item(feature, path.parent))
        except LandloomError as error:
            name = feature.get("id") if isinstance(feature, dict) else None
            left_out.append((str(name or f"{path.name}, item {index + 1}"), str(error)))
    return items, left_out


def parse_item(content: Any, folder: Path) -> Item:
    """An item from its JSON; assets that are no rasters are left out.

    Raises:
        LandloomError: if it is no STAC item.
    """
    if not isinstance(content, dict) or not isinstance(content.get("assets"), dict) or not content.get("id"):
        raise LandloomError(tr("it is no STAC item (no id or assets)"))
    properties = content.get("properties")
    if not isinstance(properties, dict):
        raise LandloomError(tr("it has no properties"))
    links: dict[str, str] = {}
    listed = content.get("links")
    for link in listed if isinstance(listed, list) else ():
        if isinstance(link, dict) and isinstance(link.get("href"), str):
            links.setdefault(str(link.get("rel")), link["href"])
    assets = {}
    for key, asset in content["assets"].items():
        if isinstance(asset, dict) and isinstance(asset.get("href"), str) and _is_raster(asset):
            assets[str(key)] = _asset(str(key), asset, properties)
    return Item(str(content["id"]), str(content.get("collection") or ""), properties, assets, folder, links)


def _href(asset: dict[str, Any]) -> str:
    """The address, or the one over HTTPS where the first is a bucket's (``alternate``)."""
    alternate = asset.get("alternate")
    if not re.match(r"(https?|file):", asset["href"]) and isinstance(alternate, dict):
        for other in alternate.values():
            if isinstance(other, dict) and str(other.get("href", "")).startswith(("https://", "http://")):
                return str(other["href"])
    return str(asset["href"])


def _is_raster(asset: dict[str, Any]) -> bool:
    kind = str(asset.get("type") or "").lower().partition(";")[0].strip()
    if kind:
        return kind in _RASTERS
    return re.sub(r"[?#].*", "", asset["href"]).lower().endswith(_SUFFIXES)


def _asset(key: str, asset: dict[str, Any], properties: dict[str, Any]) -> Asset:
    roles = asset.get("roles")
    bands = _bands(asset)
    gsd = next((_number(place.get("gsd")) for place in (asset, *bands) if _number(place.get("gsd"))), 0.0)
    href = _href(asset)
    jpeg2000 = "jp2" in str(asset.get("type") or "").lower() or re.sub(r"[?#].*", "", href).lower().endswith(".jp2")
    grid = _grid(asset, properties)
    if not gsd and grid is not None:
        gsd = grid.resolution[0]
    gsd = gsd or _number(next((band.get("spatial_resolution") for band in bands), 0.0))
    roles = tuple(str(role) for role in roles) if isinstance(roles, list) else ()
    return Asset(key, href, roles, bands, grid, gsd, jpeg2000)


def _bands(asset: dict[str, Any]) -> tuple[dict[str, Any], ...]:
    """One dictionary a band from ``eo:bands``, ``raster:bands``, ``bands`` and the asset itself."""
    lists = [asset.get(key) for key in ("bands", "eo:bands", "raster:bands")]
    count = max([len(one) for one in lists if isinstance(one, list)], default=1)
    merged: list[dict[str, Any]] = [{} for _ in range(max(count, 1))]
    for band in merged:
        for key in ("scale", "offset", "nodata", "data_type"):
            value = asset.get(f"raster:{key}", asset.get(key))
            if value is not None:
                band[key] = value
    for one in lists:
        for band, entry in zip(merged, one if isinstance(one, list) else (), strict=False):
            if isinstance(entry, dict):
                band.update({str(key).removeprefix("raster:").removeprefix("eo:"): entry[key] for key in entry})
    return tuple(merged)


def _grid(asset: dict[str, Any], properties: dict[str, Any]) -> Grid | None:
    """The pixels by ``proj:code`` (or ``proj:epsg``, ``proj:wkt2``), ``proj:transform`` and ``proj:shape``."""

    def of(key: str) -> Any:
        return asset.get(key, properties.get(key))

    transform, shape = of("proj:transform"), of("proj:shape")
    if not isinstance(transform, list) or not isinstance(shape, list) or len(transform) < 6 or len(shape) != 2:
        return None
    code, epsg, wkt = of("proj:code"), of("proj:epsg"), of("proj:wkt2")
    crs = str(code) if code else f"EPSG:{epsg}" if epsg else str(wkt or "")
    try:
        a, b, x, d, e, y = (float(value) for value in transform[:6])
        height, width = (int(value) for value in shape)
        if not all(abs(value) < 1e12 for value in (a, b, x, d, e, y)) or max(height, width) >= 2**31:
            return None  # NaN, infinity, or an image of no world
        if not crs or b or d or a <= 0 or e >= 0 or height < 1 or width < 1:
            return None
        return Grid(spatial_reference(crs).ExportToWkt(), (x, a, 0.0, y, 0.0, e), width, height)
    except (TypeError, ValueError, OverflowError, LandloomError):
        return None


def _number(value: Any) -> float:
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else 0.0
