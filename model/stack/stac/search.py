"""Searching a STAC API: area, dates, cloud -> items, page by page."""

from __future__ import annotations

import datetime
import json
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from osgeo import gdal, ogr

from ...base.errors import LandloomError
from ...base.files import whole_file, write_json
from ...base.language import tr
from ...base.optional import need
from ...base.progress import Progress
from ...base.raster import quiet_gdal, spatial_reference
from ...base.words import counted
from ..calendar import parse_date
from ..grid import Bounds, reproject_bounds

TIMEOUT = 30.0
RETRIES = 5
BACKOFF = 0.5
"""Seconds, doubled at each try: a busy server (429, 502, 503, 504) or a dropped line is asked again."""

LARGEST = 20_000
"""Items of one search; more would be a slip of area or period."""

DRIVERS = {".gpkg": "GPKG", ".geojson": "GeoJSON", ".json": "GeoJSON", ".shp": "ESRI Shapefile", ".fgb": "FlatGeobuf"}


@dataclass(frozen=True)
class Endpoint:
    """A public STAC API: its address and the collections of sensors; ``note`` is told with results."""

    address: str
    collections: dict[str, str]
    note: str = ""


USUAL = {"S2": "sentinel-2-l2a", "S1": "sentinel-1-rtc", "L8": "landsat-c2-l2"}

ENDPOINTS = {
    "planetary-computer": Endpoint("https://planetarycomputer.microsoft.com/api/stac/v1", USUAL),
    "earth-search": Endpoint("https://earth-search.aws.element84.com/v1", {"S2": "sentinel-2-l2a"}),
    "copernicus": Endpoint(
        "https://stac.dataspace.copernicus.eu/v1",
        {"S2": "sentinel-2-l2a"},
        "Files of the Copernicus Data Space need an account: give GDAL its token (GDAL_HTTP_HEADER_FILE) before "
        "preparestack reads them.",
    ),
}


@dataclass(frozen=True)
class SearchSettings:
    """What is searched for.

    Attributes:
        bounds: of the area, and their CRS.
        start: first date.
        end: last date.
        sensors: ``S2``, ``S1``, ``L8``, or names of collections.
        max_cloud: largest cloud cover of an item, percent.
        endpoint: a name of ENDPOINTS, or an address.
    """

    bounds: tuple[Bounds, str]
    start: str
    end: str
    sensors: Sequence[str] = ("S2",)
    max_cloud: float = 100.0
    endpoint: str = "planetary-computer"


def search(settings: SearchSettings, progress: Progress | None = None) -> list[dict[str, Any]]:
    """The items of all pages, sorted by date, as the service gives them.

    Raises:
        LandloomError: if a setting is wrong, the service cannot be reached or is none, or nothing is found.
        MissingPackageError: without pystac-client.
    """
    progress = progress or Progress()
    start, end = parse_date(settings.start), parse_date(settings.end)
    if start > end:
        raise LandloomError(tr("START {start} lies after END {end}; exchange them.").format(start=start, end=end))
    if not 0 <= settings.max_cloud <= 100:
        raise LandloomError(
            tr("MAX_CLOUD is {max_cloud:g}; give a percentage from 0 to 100.").format(max_cloud=settings.max_cloud)
        )
    bounds = reproject_bounds(*settings.bounds, "EPSG:4326")
    if not (bounds[0] < bounds[2] and bounds[1] < bounds[3]):
        raise LandloomError(tr("EXTENT is empty; give an area."))
    endpoint = _endpoint(settings.endpoint)
    collections = _collections(settings.sensors, endpoint, settings.endpoint)
    found: dict[tuple[str, str], dict[str, Any]] = {}
    progress.text(tr("Searching {address}").format(address=endpoint.address))
    for page in _pages(endpoint.address, bounds, (start, end), collections, settings.max_cloud):
        progress.check()
        for item in page.get("features", ()):
            if isinstance(item, dict) and _wanted(item, settings):
                found[str(item.get("collection")), str(item.get("id"))] = item
        progress.info(tr("{items} so far.").format(items=counted(found, "item")))
        if len(found) > LARGEST:
            raise LandloomError(
                tr("More than {largest} items were found; search a smaller EXTENT or period.").format(largest=LARGEST)
            )
    if not found:
        raise LandloomError(
            tr(
                "Nothing is found in {collections} at {address} from {start} to {end} with at most "
                "{max_cloud:g} % clouds; check EXTENT and its CRS, the dates, MAX_CLOUD and SENSORS."
            ).format(
                collections=", ".join(collections),
                address=endpoint.address,
                start=start,
                end=end,
                max_cloud=settings.max_cloud,
            )
        )
    if endpoint.note:
        progress.warning(endpoint.note)
    for name, count in Counter(name for name, _ in found).items():
        progress.info(f"{name}: {counted(count, 'item')}.")
    return sorted(found.values(), key=lambda item: (_moment(item), str(item.get("id"))))


def write_items(items: Sequence[dict[str, Any]], path: str | os.PathLike[str]) -> None:
    """Write a STAC ItemCollection, whole or not at all."""
    write_json(path, {"type": "FeatureCollection", "features": list(items)})


def write_footprints(items: Sequence[dict[str, Any]], path: str | os.PathLike[str]) -> None:
    """Write the items' outlines as polygons in longitude and latitude, with id, collection, date, platform and cloud.

    Raises:
        LandloomError: if the format is unknown or the file cannot be written.
    """
    driver = DRIVERS.get(Path(path).suffix.lower())
    if driver is None:
        raise LandloomError(
            tr("{path} has a format that is not known; choose one of {drivers}.").format(
                path=path, drivers=", ".join(DRIVERS)
            )
        )
    with whole_file(path) as temporary, quiet_gdal() as messages:
        try:
            dataset = gdal.GetDriverByName(driver).Create(str(temporary), 0, 0, 0, gdal.GDT_Unknown)
            layer = dataset.CreateLayer("footprints", spatial_reference("EPSG:4326"), ogr.wkbMultiPolygon)
            for name, kind in (("id", ogr.OFTString), ("collection", ogr.OFTString), ("date", ogr.OFTDate)):
                layer.CreateField(ogr.FieldDefn(name, kind))
            layer.CreateField(ogr.FieldDefn("platform", ogr.OFTString))
            layer.CreateField(ogr.FieldDefn("cloud", ogr.OFTReal))
            for item in items:
                layer.CreateFeature(_outline(layer, item))
            layer = dataset = None
        except (AttributeError, RuntimeError) as error:
            reason = messages[-1] if messages else str(error)
            raise LandloomError(
                tr("Cannot write {path}: {reason}. Choose another FOOTPRINTS.").format(path=path, reason=reason)
            ) from error


def _outline(layer: ogr.Layer, item: dict[str, Any]) -> ogr.Feature:
    feature = ogr.Feature(layer.GetLayerDefn())
    properties = item.get("properties") or {}
    feature["id"], feature["collection"] = str(item.get("id")), str(item.get("collection") or "")
    feature["date"], feature["platform"] = _moment(item)[:10], str(properties.get("platform") or "")
    cloud = properties.get("eo:cloud_cover")
    if isinstance(cloud, (int, float)):
        feature["cloud"] = float(cloud)
    shape = ogr.CreateGeometryFromJson(json.dumps(item["geometry"])) if item.get("geometry") else None
    if shape is not None:
        feature.SetGeometry(ogr.ForceToMultiPolygon(shape))
    return feature


def _endpoint(text: str) -> Endpoint:
    text = text.strip()
    if text in ENDPOINTS:
        return ENDPOINTS[text]
    if urlsplit(text).scheme not in ("http", "https") or not urlsplit(text).hostname:
        raise LandloomError(
            tr("ENDPOINT is '{text}'; choose one of {endpoints}, or give the address of a STAC API.").format(
                text=text[:80], endpoints=", ".join(ENDPOINTS)
            )
        )
    return next((one for one in ENDPOINTS.values() if one.address == text.rstrip("/")), Endpoint(text, USUAL))


def _collections(sensors: Sequence[str], endpoint: Endpoint, name: str) -> list[str]:
    chosen = []
    for sensor in sensors or ("S2",):
        known = endpoint.collections.get(sensor.upper())
        if known is None and sensor.upper() in USUAL:
            others = [key for key, one in ENDPOINTS.items() if sensor.upper() in one.collections]
            raise LandloomError(
                tr("{name} has no {sensor} that is ready to use; choose ENDPOINT {others}.").format(
                    name=name, sensor=sensor.upper(), others=" or ".join(others)
                )
            )
        chosen.append(known or sensor)
    return list(dict.fromkeys(chosen))


def _pages(address: str, bounds: Bounds, dates: tuple[str, str], collections: list[str], max_cloud: float) -> Any:
    """Pages of items; every error of the service becomes one sentence."""
    client_module = need("pystac_client", "Searching a STAC API")
    errors = need("pystac_client.exceptions", "Searching a STAC API")
    retry = need("urllib3.util.retry", "Searching a STAC API").Retry(
        total=RETRIES, backoff_factor=BACKOFF, status_forcelist=(429, 502, 503, 504), allowed_methods=None
    )
    io = need("pystac_client.stac_api_io", "Searching a STAC API").StacApiIO(timeout=TIMEOUT, max_retries=retry)
    try:
        client = client_module.Client.open(address, stac_io=io)
        query = None
        if max_cloud < 100 and client.conforms_to("QUERY"):
            query = (
                {"eo:cloud_cover": {"lte": max_cloud}}
                if all("s1" not in c and "-1-" not in c for c in collections)
                else None
            )
        last = datetime.date.fromisoformat(dates[1]).isoformat()
        found = client.search(
            collections=collections,
            bbox=bounds,
            datetime=f"{dates[0]}T00:00:00Z/{last}T23:59:59Z",
            query=query,
            limit=100,
        )
        yield from found.pages_as_dicts()
    except errors.APIError as error:
        code = getattr(error, "status_code", None)
        if code in (400, 404, 422):
            raise LandloomError(
                tr(
                    "The service {address} does not understand the search (HTTP {code}); check that ENDPOINT "
                    "is a STAC API's address and that it has {collections}."
                ).format(address=address, code=code, collections=", ".join(collections))
            ) from error
        if code:
            raise LandloomError(
                tr("The service {address} refuses the search (HTTP {code}); try again later.").format(
                    address=address, code=code
                )
            ) from error
        raise LandloomError(
            tr("The service {address} cannot be reached; check the network and ENDPOINT.").format(address=address)
        ) from error
    except (OSError, ValueError, KeyError, TypeError, NotImplementedError) as error:
        raise LandloomError(
            tr("{address} does not answer as a STAC API does; check ENDPOINT.").format(address=address)
        ) from error
    except Exception as error:
        if type(error).__module__.startswith("pystac"):
            raise LandloomError(
                tr("{address} does not answer as a STAC API does; check ENDPOINT.").format(address=address)
            ) from error
        raise


def _wanted(item: dict[str, Any], settings: SearchSettings) -> bool:
    """Whether cloud and satellite are as wanted, for services that do not filter."""
    properties = item.get("properties")
    if not isinstance(properties, dict):
        return False
    cloud = properties.get("eo:cloud_cover")
    if isinstance(cloud, (int, float)) and cloud > settings.max_cloud:
        return False
    landsat = item.get("collection") == USUAL["L8"] and any(one.upper() == "L8" for one in settings.sensors)
    return not landsat or str(properties.get("platform")).lower() in ("landsat-8", "landsat-9")


def _moment(item: dict[str, Any]) -> str:
    properties = item.get("properties") or {}
    return str(properties.get("datetime") or properties.get("start_datetime") or "")
