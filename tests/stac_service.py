"""A small STAC API with its cloud-optimised GeoTIFFs, served on loopback, whose lines drop and whose links expire."""

from __future__ import annotations

import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import numpy as np
from osgeo import gdal, osr

CORNER, SIDE, EPSG = (500000.0, 8000000.0), 400, 32738
DATES = ("2021-01-03", "2021-01-13", "2021-01-23", "2021-02-02", "2021-02-12")
BANDS = {"red": ("B04", 10), "nir": ("B08", 10), "swir16": ("B11", 20)}
API = "https://api.stacspec.org/v1.0.0"


def write_files(folder: Path) -> None:
    """COGs of five dates: ``<date>_<key>.tif``, with their scene classification."""
    random = np.random.default_rng(5)
    for order, date in enumerate(DATES):
        for key, size in [*((key, size) for key, (_, size) in BANDS.items()), ("scl", 20)]:
            side = SIDE * 10 // size
            if key == "scl":
                values = np.full((side, side), 4, np.uint8)
                values[: 30 * order] = 9
                values[:, :10] = 0
            else:
                values = random.integers(1100, 6000, (side // 20, side // 20)).repeat(20, 0).repeat(20, 1)
                values = (values + random.integers(0, 40, (side, side))).astype(np.uint16)
                values[:, : 200 // size] = 0
            made = gdal.GetDriverByName("MEM").Create(
                "", side, side, 1, gdal.GDT_Byte if key == "scl" else gdal.GDT_UInt16
            )
            made.GetRasterBand(1).WriteArray(values)
            system = osr.SpatialReference()
            system.ImportFromEPSG(EPSG)
            made.SetProjection(system.ExportToWkt())
            made.SetGeoTransform((CORNER[0], size, 0, CORNER[1], 0, -size))
            if key != "scl":
                made.GetRasterBand(1).SetNoDataValue(0)
            options = ["COMPRESS=DEFLATE", "BLOCKSIZE=128", "OVERVIEWS=NONE"]
            gdal.GetDriverByName("COG").CreateCopy(str(folder / f"{date}_{key}.tif"), made, options=options)


def item(date: str, base: str, query: str = "", applied: bool | None = False, cloud: float = 10.0) -> dict:
    """The STAC item of a date, as Earth Search writes them; ``base`` is the address or folder of the files."""
    properties = {
        "datetime": f"{date}T07:12:11.024000Z", "platform": "sentinel-2a", "constellation": "sentinel-2",
        "eo:cloud_cover": cloud, "proj:epsg": EPSG, "s2:processing_baseline": "05.00", "grid:code": "MGRS-38KPE",
    }  # fmt: skip
    if applied is not None:
        properties["earthsearch:boa_offset_applied"] = applied
    assets = {}
    for key, (name, size) in {**BANDS, "scl": ("SCL", 20)}.items():
        side = SIDE * 10 // size
        raster = {"nodata": 0, "data_type": "uint8" if key == "scl" else "uint16", "spatial_resolution": size}
        if key != "scl":
            raster.update(scale=0.0001, offset=-0.1)
        assets[key] = {
            "href": f"{base}{date}_{key}.tif{query}",
            "type": "image/tiff; application=geotiff; profile=cloud-optimized",
            "roles": ["data"] if key == "scl" else ["data", "reflectance"],
            "eo:bands": [] if key == "scl" else [{"name": name if key == "nir" else key, "common_name": key}],
            "raster:bands": [raster], "proj:shape": [side, side],
            "proj:transform": [size, 0, CORNER[0], 0, -size, CORNER[1]],
        }  # fmt: skip
        if not assets[key]["eo:bands"]:
            del assets[key]["eo:bands"]
    assets["thumbnail"] = {"href": f"{base}preview.jpg", "type": "image/jpeg", "roles": ["thumbnail"]}
    west, south, east, north = 45.0, -18.14, 45.04, -18.08
    ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    return {
        "type": "Feature", "stac_version": "1.0.0", "id": f"S2A_38KPE_{date.replace('-', '')}_0_L2A",
        "collection": "sentinel-2-l2a", "geometry": {"type": "Polygon", "coordinates": [ring]},
        "bbox": [west, south, east, north], "properties": properties, "assets": assets, "links": [],
        "stac_extensions": [],
    }  # fmt: skip


class Service(ThreadingHTTPServer):
    """Serves ``folder``.

    Attributes:
        token: what the query of every file must hold; None for public files.
        drop: number of coming ranges that break off half-way.
        busy: number of coming requests for files that are answered by 503.
        expire_after: after so many ranges the token changes, once.
        searches: bodies of the searches so far.
        ranges: ranges sent so far; ``bytes_sent`` their sum.
    """

    daemon_threads = True

    def __init__(self, folder: Path, page: int = 2) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.folder, self.page = folder, page
        self.token: int | None = None
        self.drop = self.busy = self.busy_searches = self.ranges = self.bytes_sent = self.tokens = 0
        self.expire_after: int | None = None
        self.searches: list[dict] = []
        self.asked: list[str] = []
        self.lock = threading.Lock()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def item(self, date: str) -> dict:
        query = "" if self.token is None else f"?sig={self.token}"
        made = item(date, f"{self.address}/files/", query, cloud=20.0 * DATES.index(date))
        made["links"] = [{"rel": "self", "href": f"{self.address}/items/{date}", "type": "application/geo+json"}]
        return made


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Service

    def log_message(self, *_: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self._answer(b"", head=True)

    def do_GET(self) -> None:
        self._answer(b"")

    def do_POST(self) -> None:
        self._answer(self.rfile.read(int(self.headers.get("Content-Length", 0))))

    def _answer(self, body: bytes, head: bool = False) -> None:
        url = urlsplit(self.path)
        service = self.server
        with service.lock:
            service.asked.append(self.path)
        if url.path.startswith("/files/"):
            self._file(url.path[len("/files/") :], parse_qs(url.query), head)
        elif url.path.startswith("/items/"):
            self._json(service.item(url.path[len("/items/") :]))
        elif url.path.startswith("/token/"):
            service.tokens += 1
            self._json({"msft:expiry": "2999-01-01T00:00:00Z", "token": f"sig={service.token}"})
        elif url.path == "/search":
            self._search(json.loads(body) if body else {key: value[0] for key, value in parse_qs(url.query).items()})
        elif url.path == "/":
            links = [
                {"rel": rel, "href": service.address + path, "type": kind, **more}
                for rel, path, kind, more in (
                    ("self", "/", "application/json", {}), ("root", "/", "application/json", {}),
                    ("search", "/search", "application/geo+json", {"method": "POST"}),
                )
            ]  # fmt: skip
            self._json(
                {"type": "Catalog", "id": "loopback", "stac_version": "1.0.0", "description": "x", "links": links,
                 "conformsTo": [f"{API}/core", f"{API}/item-search", f"{API}/item-search#query"]}
            )  # fmt: skip
        else:
            self._refuse(404)

    def _search(self, asked: dict) -> None:
        service = self.server
        with service.lock:
            if service.busy_searches > 0:
                service.busy_searches -= 1
                self._refuse(503)
                return
            service.searches.append(asked)
        first, last = (text[:10] for text in asked["datetime"].split("/"))
        limit = asked.get("query", {}).get("eo:cloud_cover", {}).get("lte", 100)
        found = [
            one
            for date in DATES
            if first <= date <= last
            for one in [service.item(date)]
            if one["properties"]["eo:cloud_cover"] <= limit and one["collection"] in asked.get("collections", [])
        ]
        start = int(asked.get("token", 0))
        page = {"type": "FeatureCollection", "features": found[start : start + service.page], "links": []}
        if start + service.page < len(found):
            page["links"].append(
                {"rel": "next", "href": f"{service.address}/search", "method": "POST", "merge": True,
                 "body": {"token": str(start + service.page)}}
            )  # fmt: skip
        self._json(page)

    def _file(self, name: str, query: dict, head: bool) -> None:
        service = self.server
        with service.lock:
            if service.expire_after is not None and not head:
                service.expire_after -= 1
                if service.expire_after < 0:
                    service.token, service.expire_after = (service.token or 0) + 1, None
            busy, service.busy = service.busy > 0, max(0, service.busy - 1)
        if busy:
            return self._refuse(503)
        if service.token is not None and query.get("sig") != [str(service.token)]:
            return self._refuse(403)
        path = service.folder / name
        if "/" in name or not path.is_file():
            return self._refuse(404)
        content = path.read_bytes()
        match = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        start, stop = 0, len(content)
        if match:
            start, stop = int(match[1]), min(int(match[2] or len(content) - 1) + 1, len(content))
            if start >= len(content):
                return self._refuse(416)
        self.send_response(206 if match else 200)
        if match:
            self.send_header("Content-Range", f"bytes {start}-{stop - 1}/{len(content)}")
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Type", "image/tiff")
        self.send_header("Content-Length", str(stop - start))
        self.end_headers()
        if head:
            return None
        with service.lock:
            broken, service.drop = service.drop > 0, max(0, service.drop - 1)
            service.ranges += 1
            service.bytes_sent += stop - start
        if broken:
            self.wfile.write(content[start : (start + stop) // 2])
            self.close_connection = True
            self.connection.close()
            return None
        self.wfile.write(content[start:stop])
        return None

    def _json(self, content: dict) -> None:
        body = json.dumps(content).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _refuse(self, code: int) -> None:
        self.send_response(code)
        self.send_header("Content-Length", "0")
        self.end_headers()
