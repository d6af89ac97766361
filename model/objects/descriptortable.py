"""Descriptors of points and polygons as a table, taken from a raster of descriptors."""

from __future__ import annotations

import os

import numpy as np
from osgeo import ogr

from ..base.errors import LandloomError
from ..base.language import tr
from ..base.progress import Progress
from ..base.raster import open_raster, read_array
from ..base.vectorfile import write_table
from ..samples.reference import ReferenceLayer
from ..stack.rasterinfo import inspect
from .features import FeatureSettings, measure_objects, multipolygons
from .features_segments import PolygonSegments
from .features_sources import RasterSource

LAYER = "descriptors"
_SIDE = 256


def write_descriptor_table(
    raster: str | os.PathLike[str],
    places: str,
    crs_wkt: str,
    output: str | os.PathLike[str],
    memory_mb: int,
    progress: Progress,
) -> int:
    """Write the descriptors of points (of their pixel) or polygons (means, partial pixels by their share).

    Fields: ``feature`` (its number in the layer), for polygons ``pixels``, then ``d1``, ``d2`` ... in the order of the
    bands; empty outside the raster and where it has no data.

    Args:
        raster: made by :func:`~landloom.model.mapping.descriptors.map_descriptors`.
        places: a layer of points or polygons in any CRS.
        crs_wkt: the CRS to believe in place of the layer's own, or empty text.
        output: the table; the suffix says the format.
        memory_mb: working memory.
        progress: shown, and asked whether to stop.

    Returns:
        the number of features.

    Raises:
        LandloomError: if the layer cannot be read, holds other geometries or does not meet the raster.
    """
    layer = ReferenceLayer(places, crs_wkt, "places")
    first = next((geometry for _feature, geometry, _ in layer.shapes(progress) if geometry is not None), None)
    if first is None:
        raise LandloomError(
            tr("The places {layer} hold no geometry: give points or polygons.").format(layer=layer.name)
        )
    if first.GetDimension() == 0:
        return _points(raster, layer, output, progress)
    segments = PolygonSegments(places, crs_wkt, progress)
    settings = FeatureSettings(statistics=("mean",), shape=False)
    table = measure_objects(segments, [RasterSource(raster)], settings, memory_mb, progress.part(0, 80))
    columns = {
        "feature": segments.ids,
        "pixels": np.round(table.pixels, 3),
        **{f"d{number}": table.values[:, number - 1] for number in range(1, len(table.names) + 1)},
    }
    shapes = multipolygons(segments)
    write_table(output, LAYER, segments.crs_wkt, ogr.wkbMultiPolygon, shapes, columns, progress.part(80, 100))
    return len(segments)


def _points(
    raster: str | os.PathLike[str], layer: ReferenceLayer, output: str | os.PathLike[str], progress: Progress
) -> int:
    info = inspect(raster)
    grid, dataset = info.grid, open_raster(info.path)
    ids: list[int] = []
    places: list[tuple[float, float]] = []
    for feature, geometry, _repaired in layer.shapes(progress, grid.crs_wkt):
        if geometry is None:
            continue
        if geometry.GetDimension() != 0:
            raise LandloomError(
                tr("{layer} mixes points and polygons: give them in two layers.").format(layer=layer.name)
            )
        centre = geometry.Centroid()
        ids.append(feature.GetFID())
        places.append((centre.GetX(), centre.GetY()))
    points = np.array(places, np.float64)
    column = np.floor((points[:, 0] - grid.transform[0]) / grid.transform[1])
    row = np.floor((points[:, 1] - grid.transform[3]) / grid.transform[5])
    inside = (column >= 0) & (column < grid.width) & (row >= 0) & (row < grid.height)
    if not inside.any():
        raise LandloomError(
            tr("None of the {n_ids} points of {layer} lies on the stack: check the CRS of both.").format(
                n_ids=len(ids), layer=layer.name
            )
        )
    values = np.full((len(ids), dataset.RasterCount), np.nan, np.float32)
    own = np.flatnonzero(inside)
    rows, columns = row[own].astype(np.int64), column[own].astype(np.int64)
    block = (rows // _SIDE) * (grid.width // _SIDE + 1) + columns // _SIDE
    order = np.argsort(block, kind="stable")
    for part in np.split(order, np.flatnonzero(np.diff(block[order])) + 1):
        progress.check()
        left, top = int(columns[part].min()), int(rows[part].min())
        width, height = int(columns[part].max()) - left + 1, int(rows[part].max()) - top + 1
        found = read_array(dataset, (left, top, width, height))
        values[own[part]] = _physical(dataset, found[:, rows[part] - top, columns[part] - left]).T
    table = {"feature": np.array(ids, np.int64)} | {f"d{k + 1}": values[:, k] for k in range(values.shape[1])}
    shapes = [_point(x, y) for x, y in places]
    write_table(output, LAYER, grid.crs_wkt, ogr.wkbPoint, shapes, table, progress.part(80, 100))
    return len(ids)


def _physical(dataset: object, raw: np.ndarray) -> np.ndarray:
    """Scaled values, NaN where there is no data."""
    band = dataset.GetRasterBand(1)  # type: ignore[attr-defined]
    nodata, scale = band.GetNoDataValue(), band.GetScale() or 1.0
    values = raw.astype(np.float32) * np.float32(scale)
    if nodata is not None and np.isfinite(nodata):
        values[raw == nodata] = np.nan
    return values


def _point(x: float, y: float) -> bytes:
    point = ogr.Geometry(ogr.wkbPoint)
    point.AddPoint_2D(x, y)
    return bytes(point.ExportToWkb())
