"""MASK: what is to be mapped, from polygons or a raster, brought onto the grid."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from osgeo import gdal, ogr, osr

from ..base.errors import LandloomError
from ..base.gdalcache import CacheRoom, without_blocks
from ..base.language import tr
from ..base.progress import Progress
from ..base.raster import gdal_cannot_write, open_raster, quiet_gdal, read_array, spatial_reference
from ..base.vectorfile import features_of
from ..stack.burning import burnt
from ..stack.grid import Grid, Window
from .chunks import CHUNK, Area
from .outputs import TILE, collected_errors

PIECE = 1024
_STRIP = 8 * 2**20  # pixels that are burnt at once, three bytes each
_CACHE_MB = 16  # GDAL may keep of a mask that is a raster
CREATION = ["TILED=YES", "COMPRESS=DEFLATE", "ZLEVEL=1", "SPARSE_OK=TRUE", "BIGTIFF=IF_SAFER"]


class AreaMask:
    """A mask on the grid, kept as a Byte raster of the mapped area.

    Args:
        source: a polygon layer or a raster; ``file.gpkg|layername=name`` names a layer. A raster masks by its first
            band: 0, no data and NaN are outside. Pixels count as inside a polygon by their centre. None where another
            process has already written ``path``.
        grid: the stack's grid.
        area: the part of the grid to be mapped.
        path: where the raster is written.
        progress: asked whether to stop.

    Raises:
        LandloomError: if the source cannot be read, has no CRS, is not of polygons, or leaves nothing to map.
    """

    def __init__(self, source: str | None, grid: Grid, area: Area, path: Path, progress: Progress) -> None:
        self._path = str(path)
        self._area = area
        self._local = threading.local()
        self.pixels = 0
        self._chunks: set[tuple[int, int]] = set()
        if source is None:
            self._summarise(progress)
            return
        dataset, place = _open(source), grid.crop(Window(*area))
        if isinstance(dataset, tuple):
            _burn(dataset, source, place, self._path, progress)
        else:
            _resample(dataset, source, place, self._path, progress)
        self._summarise(progress)
        if self.pixels == 0:
            raise LandloomError(
                tr(
                    "The mask {source} leaves nothing to map: it does not meet the mapped area. Check its CRS "
                    "and place."
                ).format(source=source)
            )

    def touches(self, chunk: Area) -> bool:
        """Whether any pixel of a chunk is inside."""
        return (chunk.column // CHUNK, chunk.row // CHUNK) in self._chunks

    def read(self, area: Area) -> np.ndarray:
        """``[H, W]`` bool, True inside the mask; pixels beyond the mapped area are outside. For any thread."""
        inside = np.zeros((area.height, area.width), bool)
        part = area.intersection(self._area)
        if part.width and part.height:
            dataset = getattr(self._local, "dataset", None)
            if dataset is None:
                dataset = self._local.dataset = open_raster(self._path)
            window = (part.column - self._area.column, part.row - self._area.row, part.width, part.height)
            top, left = part.row - area.row, part.column - area.column
            inside[top : top + part.height, left : left + part.width] = read_array(dataset, window)[0] > 0
            dataset.FlushCache()  # its blocks are small and quickly decoded: each thread would keep the whole mask
        return inside

    def close(self) -> None:
        """Close this thread's copy."""
        self._local.dataset = None

    def _summarise(self, progress: Progress) -> None:
        first_row = self._area.row // PIECE * PIECE
        first_column = self._area.column // PIECE * PIECE
        for row in range(first_row, self._area.bottom, PIECE):
            for column in range(first_column, self._area.right, PIECE):
                progress.check()
                inside = self.read(Area(column, row, PIECE, PIECE))
                self.pixels += int(np.count_nonzero(inside))
                step = PIECE // CHUNK
                touched = inside.reshape(step, CHUNK, step, CHUNK).any(axis=(1, 3))
                for r, c in np.argwhere(touched):
                    self._chunks.add((column // CHUNK + int(c), row // CHUNK + int(r)))
        self.close()


def mask_identity(source: str) -> list[object]:
    """What changes when the mask changes: for the hash of a run. Temporary copies of one layer are equal.

    Raises:
        LandloomError: if the mask cannot be read.
    """
    dataset = _open(source)
    if isinstance(dataset, tuple):
        import hashlib

        layer = dataset[1]
        digest = hashlib.sha256()
        for feature in features_of(layer, source):
            geometry = feature.GetGeometryRef()
            digest.update(b"" if geometry is None else bytes(geometry.ExportToWkb()))
        reference = layer.GetSpatialRef()
        return ["polygons", digest.hexdigest(), reference.ExportToWkt() if reference else ""]
    status = os.stat(source) if os.path.exists(source) else None
    return ["raster", source, status.st_size if status else 0, status.st_mtime_ns if status else 0]


def _open(source: str) -> gdal.Dataset | tuple[gdal.Dataset, ogr.Layer]:
    """A raster data set, or a vector one with its layer (the data set must outlive the layer)."""
    path, *options = source.split("|")
    layer_name = next((o.split("=", 1)[1] for o in options if o.lower().startswith("layername=")), None)
    if not os.path.exists(path) and not path.startswith("/vsi"):
        raise LandloomError(tr("The mask {path} does not exist; check MASK.").format(path=path))
    with quiet_gdal():
        raster = vector = None
        try:
            raster = None if layer_name else gdal.OpenEx(path, gdal.OF_RASTER)
        except RuntimeError:
            raster = None
        if raster is not None and raster.RasterCount:
            return raster
        try:
            vector = gdal.OpenEx(path, gdal.OF_VECTOR)
        except RuntimeError:
            vector = None
        layer = None if vector is None else vector.GetLayerByName(layer_name) if layer_name else vector.GetLayer(0)
    if vector is None or layer is None:
        raise LandloomError(
            tr("The mask {source} is neither a raster nor a vector layer that GDAL reads; check MASK.").format(
                source=source
            )
        )
    return vector, layer


def _create(path: str, place: Grid) -> gdal.Dataset:
    with quiet_gdal():
        try:
            driver = gdal.GetDriverByName("GTiff")
            dataset = driver.Create(path, place.width, place.height, 1, gdal.GDT_Byte, CREATION)
        except RuntimeError:
            dataset = None
    if dataset is None:
        raise gdal_cannot_write(path, [])
    dataset.SetGeoTransform(place.transform)
    dataset.SetProjection(place.crs_wkt)
    return dataset


@contextlib.contextmanager
def _whole(path: str) -> Iterator[None]:
    """Turn GDAL's errors while it writes into one of ours: half a mask would give half a map."""
    with collected_errors() as errors:
        try:
            yield
        except RuntimeError as error:
            errors.append(str(error))
    if errors:
        raise gdal_cannot_write(path, errors)


def _burn(opened: tuple[gdal.Dataset, ogr.Layer], source: str, place: Grid, path: str, progress: Progress) -> None:
    layer = opened[1]
    own = layer.GetSpatialRef()
    if own is None:
        raise LandloomError(tr("The mask {source} has no CRS; assign one to it.").format(source=source))
    own = own.Clone()
    own.SetAxisMappingStrategy(osr.OAMS_TRADITIONAL_GIS_ORDER)
    target = spatial_reference(place.crs_wkt)
    same = bool(own.IsSame(target))
    forward = None if same else osr.CoordinateTransformation(own, target)
    memory = ogr.GetDriverByName("Memory").CreateDataSource("mask")
    shapes = memory.CreateLayer("mask", target, ogr.wkbUnknown)
    west, south, east, north = place.bounds
    layer.ResetReading()
    for number, feature in enumerate(layer):
        if number % 1000 == 0:
            progress.check()
        geometry = feature.GetGeometryRef()
        if geometry is None or geometry.IsEmpty():
            continue
        if ogr.GT_Flatten(geometry.GetGeometryType()) not in (
            ogr.wkbPolygon,
            ogr.wkbMultiPolygon,
            ogr.wkbCurvePolygon,
            ogr.wkbMultiSurface,
            ogr.wkbGeometryCollection,
        ):
            raise LandloomError(
                tr("The mask {source} holds {getGeometryName}: give polygons or a raster.").format(
                    source=source, getGeometryName=geometry.GetGeometryName()
                )
            )
        geometry = geometry.Clone()
        with quiet_gdal():
            try:
                failed = forward is not None and geometry.Transform(forward) != 0
            except RuntimeError:
                failed = True
        if failed:
            raise LandloomError(
                tr("The mask {source} cannot be brought into the stack's CRS: check its CRS.").format(source=source)
            )
        x0, x1, y0, y1 = geometry.GetEnvelope()
        if x1 < west or x0 > east or y1 < south or y0 > north:
            continue
        shape = ogr.Feature(shapes.GetLayerDefn())
        shape.SetGeometry(geometry)
        shapes.CreateFeature(shape)
    target = _create(path, place)
    rows = max(1, _STRIP // place.width // TILE) * TILE
    with _whole(path):
        for row in range(0, place.height, rows):
            progress.check()
            strip = place.crop(Window(0, row, place.width, min(rows, place.height - row)))
            target.GetRasterBand(1).WriteArray(burnt(shapes, strip), 0, row)
            target.FlushCache()
        target = None


def _resample(dataset: gdal.Dataset, source: str, place: Grid, path: str, progress: Progress) -> None:
    if not dataset.GetProjection():
        raise LandloomError(tr("The mask {source} has no CRS; assign one to it.").format(source=source))
    aligned = _aligned(dataset, source, place)
    target = _create(path, place)

    def let_go() -> None:
        nonlocal dataset, aligned
        dataset = without_blocks(dataset)
        aligned = _aligned(dataset, source, place)

    room = CacheRoom(_CACHE_MB, let_go)
    for row in range(0, place.height, PIECE):
        for column in range(0, place.width, PIECE):
            progress.check()
            width, height = min(PIECE, place.width - column), min(PIECE, place.height - row)
            values = read_array(aligned, (column, row, width, height), [1])[0]
            inside = (values != 0) & ~np.isnan(values)
            if inside.any():
                with _whole(path):
                    target.GetRasterBand(1).WriteArray(inside.astype(np.uint8), column, row)
                    target.FlushCache()
            room.check()
    with _whole(path):
        target.FlushCache()
        target = None


def _aligned(dataset: gdal.Dataset, source: str, place: Grid) -> gdal.Dataset:
    """A raster as a virtual one on the grid of an area: the nearest value, 0 outside."""
    nodata = dataset.GetRasterBand(1).GetNoDataValue()
    with quiet_gdal():
        try:
            aligned = gdal.Warp(
                "",
                dataset,
                format="VRT",
                dstSRS=place.crs_wkt,
                outputBounds=place.bounds,
                width=place.width,
                height=place.height,
                resampleAlg="near",
                errorThreshold=0,
                srcNodata=nodata,
                dstNodata=None if nodata is None else 0,
                warpOptions=["INIT_DEST=0"],
            )
        except RuntimeError:  # when someone switched GDAL's exceptions on
            aligned = None
    if aligned is None:
        raise LandloomError(
            tr("The mask {source} cannot be brought onto the stack's grid: check its CRS and place.").format(
                source=source
            )
        )
    return aligned
