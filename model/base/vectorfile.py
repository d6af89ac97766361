"""Reading layers to their end; writing tables with geometries, whole or not at all.

GeoPackages of any size are written quickly, other formats by GDAL.

GDAL's Python interface sets one value of one feature at a time, which takes minutes for a hundred thousand objects with
hundreds of columns. A GeoPackage is a SQLite file with a documented content (OGC 12-128r18): GDAL creates it and its
spatial index, and the rows are written with Python's own sqlite3.
"""

from __future__ import annotations

import contextlib
import math
import os
import sqlite3
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from osgeo import gdal, ogr

from .errors import LandloomError
from .files import whole_file, write_text
from .language import tr
from .progress import Progress
from .raster import gdal_cannot_write, quiet_gdal, spatial_reference
from .stylefile import keep_style

DRIVERS = {".gpkg": "GPKG", ".shp": "ESRI Shapefile", ".geojson": "GeoJSON", ".json": "GeoJSON", ".fgb": "FlatGeobuf"}
MOST_COLUMNS = 1990
"""SQLite allows 2,000, some of which are GDAL's."""
_AT_ONCE = 2000


def check_vector_path(path: str | os.PathLike[str], name: str = "OUTPUT") -> None:
    """Check, before the work, that the format of a layer is known.

    Raises:
        LandloomError: if it is not.
    """
    if Path(path).suffix.lower() not in DRIVERS:
        raise LandloomError(
            tr("{name} {path} has an unknown format: end its name in {drivers}.").format(
                name=name, path=path, drivers=", ".join(DRIVERS)
            )
        )


def write_table(
    path: str | os.PathLike[str],
    layer: str,
    crs_wkt: str,
    geometry_type: int,
    geometries: Iterable[bytes | None],
    columns: Mapping[str, np.ndarray | Sequence[Any]],
    progress: Progress,
    style: str = "",
) -> None:
    """Write a layer.

    Args:
        path: the suffix says the format.
        layer: its name.
        crs_wkt: its CRS.
        geometry_type: such as ``ogr.wkbPoint``.
        geometries: one WKB a row, which may come from a generator.
        columns: name -> values, one a row: integers, floats (NaN = empty), bool or texts (None = empty); what a masked
            array hides is empty.
        progress: shown, and asked whether to stop.
        style: QML, kept beside the file and, of a GeoPackage, in it too, so that it travels with the data.

    Raises:
        LandloomError: if the format is unknown, there are too many columns, or the file cannot be written.
    """
    path = Path(path)
    check_vector_path(path)
    if len(columns) > MOST_COLUMNS:
        raise LandloomError(
            tr(
                "{path} would have {n_columns:,} columns; a table holds {most_columns:,}. Ask for fewer "
                "statistics, bands or dates."
            ).format(path=path, n_columns=len(columns), most_columns=MOST_COLUMNS)
        )
    arrays = {name: np.asanyarray(values) for name, values in columns.items()}
    driver = DRIVERS[path.suffix.lower()]
    with whole_file(path) as temporary:
        if driver == "GPKG":
            _create(temporary, driver, layer, crs_wkt, geometry_type, arrays, (), progress)
            _fill(temporary, layer, arrays, geometries, progress)
            if style:
                keep_style(temporary, layer, style)
        else:
            _create(temporary, driver, layer, crs_wkt, geometry_type, arrays, geometries, progress)
        if style:
            write_text(path.with_suffix(".qml"), style)


def features_of(layer: ogr.Layer, source: str) -> Iterator[ogr.Feature]:
    """The features of a layer, to its last one, whether GDAL's exceptions are on or off.

    Raises:
        LandloomError: naming the source, where a feature cannot be read: without exceptions GDAL only ends there.
    """
    layer.ResetReading()
    while True:
        with quiet_gdal() as messages:
            gdal.ErrorReset()
            try:
                feature = layer.GetNextFeature()
                broken = feature is None and gdal.GetLastErrorType() >= gdal.CE_Failure
            except RuntimeError as error:
                broken = True
                messages.append(str(error))
        if broken:
            raise LandloomError(
                tr("The layer {source} cannot be read to its end ({reason}): repair it, or export it anew.").format(
                    source=source, reason=" ".join(one for one in messages if one) or tr("a feature is damaged")
                )
            )
        if feature is None:
            return
        yield feature


def _kind(values: np.ndarray) -> tuple[int, int]:
    """OGR's type and subtype of a column."""
    if values.dtype.kind == "b":
        return ogr.OFTInteger, ogr.OFSTBoolean
    if values.dtype.kind in "iu":
        small = values.dtype.itemsize < 4 or values.dtype == np.int32
        return (ogr.OFTInteger if small else ogr.OFTInteger64), ogr.OFSTNone
    return (ogr.OFTReal if values.dtype.kind == "f" else ogr.OFTString), ogr.OFSTNone


def _create(
    path: Path,
    driver: str,
    name: str,
    crs_wkt: str,
    geometry_type: int,
    arrays: Mapping[str, np.ndarray],
    geometries: Iterable[bytes | None],
    progress: Progress,
) -> None:
    """Make the file; with geometries, write the rows too."""
    with quiet_gdal() as messages:
        try:
            dataset = gdal.GetDriverByName(driver).Create(str(path), 0, 0, 0, gdal.GDT_Unknown)
            layer = None
            if dataset is not None:
                options = ["SPATIAL_INDEX=NO", "GEOMETRY_NAME=geom", "FID=fid"] if driver == "GPKG" else []
                layer = dataset.CreateLayer(name, spatial_reference(crs_wkt), geometry_type, options)
            if layer is None:
                raise gdal_cannot_write(path, messages)
            for column, values in arrays.items():
                kind, subtype = _kind(values)
                definition = ogr.FieldDefn(column, kind)
                definition.SetSubType(subtype)
                if layer.CreateField(definition) != 0:
                    raise gdal_cannot_write(path, messages)
            for number, (geometry, row) in enumerate(zip(geometries, _rows(arrays), strict=False)):
                if number % 1000 == 0:
                    progress.check()
                feature = ogr.Feature(layer.GetLayerDefn())
                for place, value in enumerate(row):
                    if value is not None and not (isinstance(value, float) and math.isnan(value)):
                        feature.SetField(place, value)
                if geometry is not None:
                    feature.SetGeometryDirectly(ogr.CreateGeometryFromWkb(geometry))
                if layer.CreateFeature(feature) != 0:
                    raise gdal_cannot_write(path, messages)
            layer = dataset = feature = None
        except RuntimeError as error:  # when someone switched GDAL's exceptions on
            raise gdal_cannot_write(path, [*messages, str(error)]) from error


def _rows(arrays: Mapping[str, np.ndarray]) -> Iterator[tuple[Any, ...]]:
    """Rows of Python values, some thousands at a time."""
    count = len(next(iter(arrays.values()))) if arrays else 0
    for start in range(0, count, _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        yield from zip(*(values[part].tolist() for values in arrays.values()), strict=True)


def _fill(
    path: Path,
    layer: str,
    arrays: Mapping[str, np.ndarray],
    geometries: Iterable[bytes | None],
    progress: Progress,
) -> None:
    """Write the rows of a GeoPackage and its spatial index."""
    count = max(1, len(next(iter(arrays.values()))) if arrays else 0)
    extent = [np.inf, -np.inf, np.inf, -np.inf]
    table = _quoted(layer)
    try:
        with contextlib.closing(sqlite3.connect(path)) as connection:
            found = connection.execute("SELECT srs_id FROM gpkg_geometry_columns WHERE table_name = ?", (layer,))
            head = struct.pack("<2sBBi", b"GP", 0, 3, int(found.fetchone()[0]))  # little endian, with an envelope
            names = ", ".join(["geom", *map(_quoted, arrays)])
            marks = ", ".join("?" * (len(arrays) + 1))
            rows = zip((_blob(head, one, extent) for one in geometries), _rows(arrays), strict=True)
            done = 0
            while piece := [(blob, *values) for blob, values in islice(rows, _AT_ONCE)]:
                progress.check()
                insert = f"INSERT INTO {table} ({names}) VALUES ({marks})"  # nosec B608 # names are quoted, values bound
                connection.executemany(insert, piece)
                done += len(piece)
                progress.percent(100.0 * done / count)
            if np.isfinite(extent).all():
                connection.execute(
                    "UPDATE gpkg_contents SET min_x = ?, max_x = ?, min_y = ?, max_y = ? WHERE table_name = ?",
                    (*extent, layer),
                )
            connection.commit()
    except sqlite3.Error as error:
        raise gdal_cannot_write(path, [str(error)]) from error
    with quiet_gdal() as messages:
        try:
            dataset = gdal.OpenEx(str(path), gdal.OF_VECTOR | gdal.OF_UPDATE)
            quoted = layer.replace("'", "''")
            dataset.ExecuteSQL(f"SELECT CreateSpatialIndex('{quoted}', 'geom')")
            dataset = None
        except RuntimeError as error:
            raise gdal_cannot_write(path, [*messages, str(error)]) from error


def _blob(head: bytes, wkb: bytes | None, extent: list[float]) -> bytes | None:
    """GeoPackage's form of a geometry: header, envelope, WKB."""
    if wkb is None:
        return None
    west, east, south, north = ogr.CreateGeometryFromWkb(wkb).GetEnvelope()
    extent[:] = min(extent[0], west), max(extent[1], east), min(extent[2], south), max(extent[3], north)
    return head + struct.pack("<4d", west, east, south, north) + wkb


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
