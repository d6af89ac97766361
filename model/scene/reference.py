"""Reference polygons as a field team would bring them home: clustered round a few villages, a few labels wrong."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from osgeo import gdal, ogr, osr

from ..base.raster import gdal_cannot_write
from .constants import MIN_FIELD, WRONG_LABELS, Climate
from .landscape import FINE, Landscape
from .noise import stream

LAYER = "reference"
VISITED = 4  # villages
REACH = 450.0  # metres: scale by which visits become rare
PER_CLASS = 30  # polygons wished, at the default size
DEFAULT_AREA = 360 * 360
INSET = 3.0  # metres that surveyors stay inside a field
GPS_SD = 1.5  # metres


@dataclass(frozen=True)
class Reference:
    """The chosen parcels, ``[R]`` each: ``parcels``, true ``cover`` and given ``label`` (indices), ``village``."""

    parcels: np.ndarray
    cover: np.ndarray
    label: np.ndarray
    village: np.ndarray

    @property
    def wrong(self) -> np.ndarray:
        """Positions whose label is wrong."""
        return np.flatnonzero(self.cover != self.label)


def choose(land: Landscape, climate: Climate, seed: int) -> Reference:
    """Choose parcels near the visited villages, about equally many a class, and mislabel 3 % of them."""
    rng = stream(seed, "reference")
    size = land.parcel.shape[0] // 2
    visited = rng.permutation(len(land.villages))[: min(VISITED, len(land.villages))]
    places = land.villages[visited]
    distance = np.hypot(*(land.centre[:, None, :] - places[None]).transpose(2, 0, 1)) * FINE
    nearest = distance.argmin(1)
    eligible = (land.area >= 1.3 * MIN_FIELD) & (land.area <= 5.0)
    eligible[0] = False
    chosen = []
    wished = max(6, round(PER_CLASS * min(4.0, size * size / DEFAULT_AREA)))
    for index, cover in enumerate(climate.covers):
        here = np.flatnonzero(eligible & (land.cover == index))
        # Far ones are drawn too, but seldom: -log(u) / weight orders by weighted chance (Efraimidis & Spirakis 2006).
        weight = np.exp(-distance[here].min(1) / REACH) + 1e-4
        order = np.argsort(-np.log(rng.random(len(here))) / weight)
        many = 1.0 if not cover.share else float(np.clip(cover.share / 0.10, 0.8, 1.4))
        chosen.append(here[order[: min(round(wished * many), max(2, int(0.6 * len(here))))]])
    parcels = np.sort(np.concatenate(chosen))
    true = land.cover[parcels]
    label = true.copy()
    wrong = rng.permutation(len(parcels))[: round(WRONG_LABELS * len(parcels))]
    plants = [i for i, c in enumerate(climate.covers) if c.stratum not in ("water", "built")]
    for position in wrong:
        label[position] = rng.choice([i for i in plants if i != true[position]])
    return Reference(parcels, true, label, visited[nearest[parcels]])


def write(folder: Path, land: Landscape, chosen: Reference, climate: Climate, seed: int) -> int:
    """Write ``reference.gpkg`` (fields id, class, code, village), ``nomenclature.txt`` and ``colors.txt``.

    Returns:
        how many polygons were written; a parcel too narrow to walk round is left out.

    Raises:
        LandloomError: if GDAL cannot write the layer.
    """
    outlines = _outlines(land, chosen.parcels, climate)
    rng = stream(seed, "surveyors")
    reference = osr.SpatialReference()
    reference.ImportFromEPSG(climate.epsg)
    path = folder / "reference.gpkg"
    failed = gdal_cannot_write(path, [])
    gdal.SetThreadLocalConfigOption("OGR_CURRENT_DATE", f"{climate.first_day}T00:00:00.000Z")
    written = 0
    try:
        source = ogr.GetDriverByName("GPKG").CreateDataSource(str(path))
        if source is None:
            raise failed
        layer = source.CreateLayer(LAYER, reference, ogr.wkbPolygon)
        layer.CreateField(ogr.FieldDefn("id", ogr.OFTInteger))
        layer.CreateField(ogr.FieldDefn("class", ogr.OFTString))
        layer.CreateField(ogr.FieldDefn("code", ogr.OFTInteger))
        layer.CreateField(ogr.FieldDefn("village", ogr.OFTInteger))
        layer.StartTransaction()
        for parcel, label, village in zip(chosen.parcels, chosen.label, chosen.village, strict=True):
            outline = outlines.get(int(parcel))
            east, north = rng.normal(0, GPS_SD, 2)
            polygon = _walked(outline, east, north) if outline is not None else None
            if polygon is None:
                continue
            cover = climate.covers[label]
            feature = ogr.Feature(layer.GetLayerDefn())
            feature["id"] = int(parcel)
            feature["class"] = cover.name
            feature["code"] = cover.code
            feature["village"] = int(village) + 1
            feature.SetGeometry(polygon)
            if layer.CreateFeature(feature):
                raise failed
            written += 1
        layer.CommitTransaction()
        del layer
        del source
    except RuntimeError as error:  # where someone switched GDAL's exceptions on
        raise gdal_cannot_write(path, [str(error)]) from error
    finally:
        gdal.SetThreadLocalConfigOption("OGR_CURRENT_DATE", None)
    (folder / "nomenclature.txt").write_text(
        "".join(f"{c.name}:{c.code}\n" for c in climate.covers), encoding="utf-8", newline="\n"
    )
    (folder / "colors.txt").write_text(
        "".join(f"{c.code} {c.color[0]} {c.color[1]} {c.color[2]}\n" for c in climate.covers),
        encoding="utf-8",
        newline="\n",
    )
    return written


def _outlines(land: Landscape, parcels: np.ndarray, climate: Climate) -> dict[int, ogr.Geometry]:
    """The largest ring of each chosen parcel."""
    wanted = np.zeros(len(land.cover), bool)
    wanted[parcels] = True
    numbers = np.where(wanted[land.parcel], land.parcel, 0).astype(np.int32)
    raster = gdal.GetDriverByName("MEM").Create("", numbers.shape[1], numbers.shape[0], 1, gdal.GDT_Int32)
    raster.SetGeoTransform((climate.origin[0], FINE, 0.0, climate.origin[1], 0.0, -FINE))
    band = raster.GetRasterBand(1)
    band.WriteArray(numbers)
    driver = ogr.GetDriverByName("Memory") or ogr.GetDriverByName("MEM")  # MEM holds vectors from GDAL 3.11 on
    memory = driver.CreateDataSource("")
    layer = memory.CreateLayer("outlines", None, ogr.wkbPolygon)
    layer.CreateField(ogr.FieldDefn("parcel", ogr.OFTInteger))
    gdal.Polygonize(band, band, layer, 0)
    largest: dict[int, ogr.Geometry] = {}
    for feature in layer:
        geometry = feature.GetGeometryRef()
        parcel = feature.GetField(0)
        if parcel not in largest or geometry.Area() > largest[parcel].Area():
            largest[parcel] = geometry.Clone()
    return largest


def _walked(outline: ogr.Geometry, east: float, north: float) -> ogr.Geometry | None:
    """The polygon a surveyor would draw: smoother, a little inside, off by the GPS; None when nothing is left."""
    drawn = outline.Simplify(4.0).Buffer(-INSET, 2).Simplify(1.0)
    if drawn is None or drawn.IsEmpty():
        return None
    if drawn.GetGeometryType() == ogr.wkbMultiPolygon:
        drawn = max((drawn.GetGeometryRef(i) for i in range(drawn.GetGeometryCount())), key=lambda g: g.Area()).Clone()
    if drawn.Area() < 600.0 or not drawn.IsValid():
        return None
    moved = ogr.Geometry(ogr.wkbPolygon)
    for ring_index in range(drawn.GetGeometryCount()):
        ring, shifted = drawn.GetGeometryRef(ring_index), ogr.Geometry(ogr.wkbLinearRing)
        for point in range(ring.GetPointCount()):
            shifted.AddPoint_2D(ring.GetX(point) + east, ring.GetY(point) + north)
        moved.AddGeometry(shifted)
    return moved
