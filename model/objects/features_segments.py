"""The objects to measure: polygons of a layer in any CRS, or a raster of labels, read in pieces."""

from __future__ import annotations

import os
import tempfile
import weakref
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from osgeo import gdal, ogr, osr

from ..base.errors import LandloomError
from ..base.gdalcache import CacheRoom, without_blocks
from ..base.language import tr
from ..base.progress import Progress
from ..base.raster import open_raster, quiet_gdal, read_array, spatial_reference
from ..samples.reference import ReferenceLayer
from ..stack.grid import Grid, Window, reproject_bounds, same_crs
from ..stack.rasterinfo import inspect
from ..stack.unchanged import Unchanged
from .features_coverage import Coverage, Rings, cover_labels, cover_polygons, rings_of, shape_sums

MOST_INNER = 8
"""A pixel is looked at in at most 8 x 8 points where labels are finer."""
_ROWS, _COLUMNS = 256, 1024
_READ = _ROWS * _COLUMNS  # pixels read at a time: each takes some 50 bytes then
_CACHE_MB = 16
_MOST_POLYGONISED = 16_000_000  # pixels of a window


class _Shapes:
    """Geometries of objects in a temporary file: memory does not grow with their corners."""

    def __init__(self, count: int) -> None:
        self._file = tempfile.TemporaryFile(prefix="landloom")  # noqa: SIM115 - it lives as long as the object
        weakref.finalize(self, self._file.close)
        self._places = [(-1, 0)] * count
        self._end = 0

    def put(self, one: int, wkb: bytes) -> None:
        self._file.seek(self._end)
        self._file.write(wkb)
        self._places[one] = (self._end, len(wkb))
        self._end += len(wkb)

    def append(self, wkb: bytes) -> None:
        self._places.append((-1, 0))
        self.put(len(self._places) - 1, wkb)

    def has(self, objects: np.ndarray) -> np.ndarray:
        return np.array([self._places[one][0] >= 0 for one in objects.tolist()], bool)

    def read(self, objects: np.ndarray) -> list[bytes]:
        shapes = []
        for one in objects.tolist():
            at, size = self._places[one]
            self._file.seek(at)
            shapes.append(self._file.read(size))
        return shapes


class Segments(ABC):
    """Objects, numbered from 0 inside; a name of theirs is their ``ids``.

    Attributes:
        ids: ``[n]`` int64, those of the layer's features or of the raster.
        bounds: ``[n, 4]`` xmin, ymin, xmax, ymax in ``crs_wkt``.
        crs_wkt: their CRS.
        source: file, for messages.
        notes: what a reader should know, such as how many geometries were repaired.
    """

    def __init__(self, source: str, crs_wkt: str, ids: np.ndarray, bounds: np.ndarray, notes: Sequence[str]) -> None:
        self.source, self.crs_wkt, self.ids, self.bounds, self.notes = source, crs_wkt, ids, bounds, list(notes)
        self._shapes = _Shapes(len(ids))

    def __len__(self) -> int:
        return len(self.ids)

    @abstractmethod
    def coverage(self, grid: Grid, window: Window, objects: np.ndarray, partial: bool) -> Coverage:
        """The pixels of a window of a grid that ``objects`` (ascending) cover."""

    @abstractmethod
    def bytes_per_pixel(self, grid: Grid, partial: bool) -> int:
        """Memory that :meth:`coverage` takes for a pixel of a window of a grid."""

    def check_unchanged(self) -> None:  # noqa: B027 - polygons are read once, as a whole
        """Look again at what is read piece by piece.

        Raises:
            ChangedError: naming a file that is gone or has changed.
        """

    @abstractmethod
    def geometries(self, objects: np.ndarray) -> list[bytes]:
        """Their polygons or multipolygons as little-endian WKB."""

    def shape_sums(self, objects: np.ndarray) -> dict[str, np.ndarray]:
        """Area, perimeter and second moments in metres, see :func:`.features_coverage.shape_sums`."""
        rings = rings_of(self.geometries(objects))
        points = rings.points
        reference = spatial_reference(self.crs_wkt)
        if reference.IsGeographic():
            centre = self.bounds[objects][:, [1, 3]].mean(axis=1)
            north = np.repeat(np.cos(np.radians(centre))[rings.owner], np.diff(rings.start))
            points = points * np.stack([111_320.0 * north, np.full(len(points), 110_574.0)], axis=1)
        else:
            points = points * reference.GetLinearUnits()
        return shape_sums(Rings(points, rings.start, rings.owner, rings.hole), len(objects))

    def windows(self, grid: Grid, objects: np.ndarray) -> np.ndarray:
        """``[k, 4]`` first column, first row, last column + 1, last row + 1 of each in a grid, cut to it."""
        box = self.bounds[objects]
        if not same_crs(self.crs_wkt, grid.crs_wkt):
            box = reprojected(box, self.crs_wkt, grid.crs_wkt)
        x, dx, _, y, _, dy = grid.transform
        columns = np.sort((box[:, [0, 2]] - x) / dx, axis=1)
        rows = np.sort((box[:, [1, 3]] - y) / dy, axis=1)
        first = np.floor(np.stack([columns[:, 0], rows[:, 0]], axis=1) + 1e-6)
        last = np.ceil(np.stack([columns[:, 1], rows[:, 1]], axis=1) - 1e-6)
        limit = np.array([grid.width, grid.height])
        with np.errstate(invalid="ignore"):
            both = np.concatenate([np.clip(first, 0, limit), np.clip(last, 0, limit)], axis=1)
        return np.nan_to_num(both).astype(np.int64)


class PolygonSegments(Segments):
    """Polygons of a layer; invalid ones are repaired, multipart ones are one object, overlapping ones share pixels.

    Their geometries wait in a temporary file, so that memory does not grow with their corners.

    Args:
        path: a file, or as QGIS writes it with ``|layername=...``.
        crs_wkt: the CRS to believe in place of the layer's own.
        progress: asked for cancellation.

    Raises:
        LandloomError: if it cannot be read or holds no polygon.
    """

    def __init__(self, path: str | os.PathLike[str], crs_wkt: str, progress: Progress) -> None:
        layer = ReferenceLayer(path, crs_wkt, "segments")
        wkt = layer.spatial_reference().ExportToWkt()
        shapes = _Shapes(0)
        ids: list[int] = []
        boxes: list[tuple[float, float, float, float]] = []
        repaired = empty = multipart = 0
        for feature, geometry, mended in layer.shapes(progress):
            if geometry is None:
                empty += 1
                continue
            if geometry.GetDimension() != 2:
                raise LandloomError(
                    tr("The segments {layer} hold points: give polygons, or a raster of labels.").format(
                        layer=layer.name
                    )
                )
            repaired += mended
            multipart += geometry.GetGeometryName() == "MULTIPOLYGON" and geometry.GetGeometryCount() > 1
            shapes.append(bytes(geometry.ExportToIsoWkb(ogr.wkbNDR)))
            west, east, south, north = geometry.GetEnvelope()
            ids.append(feature.GetFID())
            boxes.append((west, south, east, north))
        if not ids:
            raise LandloomError(
                tr("The segments {layer} hold no polygon: give polygons, or a raster of labels.").format(
                    layer=layer.name
                )
            )
        notes = []
        if repaired:
            notes.append(tr("{repaired:,} invalid geometries were repaired.").format(repaired=repaired))
        if empty:
            notes.append(
                tr("{empty:,} features have no geometry that can be used and are left out.").format(empty=empty)
            )
        if multipart:
            notes.append(
                tr("{multipart:,} objects have several parts: each is measured as one.").format(multipart=multipart)
            )
        super().__init__(layer.name, wkt, np.array(ids, np.int64), np.array(boxes), notes)
        self._shapes = shapes

    def geometries(self, objects: np.ndarray) -> list[bytes]:
        return self._shapes.read(objects)

    def bytes_per_pixel(self, grid: Grid, partial: bool) -> int:
        return 200  # the boxes of polygons overlap

    def coverage(self, grid: Grid, window: Window, objects: np.ndarray, partial: bool) -> Coverage:
        rings = rings_of(self.geometries(objects))
        points = rings.points
        if not same_crs(self.crs_wkt, grid.crs_wkt):
            points = transformed(points, self.crs_wkt, grid.crs_wkt)
        x, dx, _, y, _, dy = grid.transform
        scaled = np.stack([(points[:, 0] - x) / dx - window.column, (points[:, 1] - y) / dy - window.row], axis=1)
        return cover_polygons(
            Rings(scaled, rings.start, rings.owner, rings.hole), len(objects), window.width, window.height, partial
        )


class LabelSegments(Segments):
    """A raster of labels: one object a value; 0, negative values, NaN and no data are none.

    Args:
        path: the raster; labels may be of any size that fits 64 bits, also in floating-point files.
        progress: asked for cancellation.

    Raises:
        LandloomError: if it cannot be read or holds no object.
    """

    def __init__(self, path: str | os.PathLike[str], progress: Progress) -> None:
        info = inspect(path)
        if len(info.dtypes) != 1:
            raise LandloomError(
                tr("The segments {path} have {n_dtypes} bands: give a raster of labels with one.").format(
                    path=path, n_dtypes=len(info.dtypes)
                )
            )
        self.grid = info.grid
        self._nodata = info.nodata[0]
        self._dataset = open_raster(info.path)
        self._files = Unchanged(self._dataset)
        self._room = CacheRoom(_CACHE_MB)
        found = [np.zeros((0, 5), np.int64)]
        fraction = False
        for row in range(0, self.grid.height, _ROWS):
            for column in range(0, self.grid.width, _COLUMNS):
                progress.check()
                size = (min(_COLUMNS, self.grid.width - column), min(_ROWS, self.grid.height - row))
                raw = read_array(self._dataset, (column, row, *size))[0]
                self._room.check(self._let_go)
                fraction = fraction or (raw.dtype.kind == "f" and bool((raw % 1 > 0).any()))
                found.append(_boxes_of(self._clean(raw), column, row))
            found = [_joined(np.concatenate(found))]
        if fraction:
            raise LandloomError(
                tr("The segments {path} hold fractions, so they are no labels: give a raster of labels.").format(
                    path=path
                )
            )
        if not len(found[0]):
            raise LandloomError(
                tr("The segments {path} hold no label above 0: give a raster of labels, or polygons.").format(path=path)
            )
        ids, cells = found[0][:, 0].copy(), found[0][:, 1:]
        x, dx, _, y, _, dy = self.grid.transform
        bounds = np.stack(
            [x + cells[:, 0] * dx, y + cells[:, 3] * dy, x + cells[:, 2] * dx, y + cells[:, 1] * dy], axis=1
        )
        super().__init__(info.path, self.grid.crs_wkt, ids, bounds, [])

    def check_unchanged(self) -> None:
        self._files.check()

    def bytes_per_pixel(self, grid: Grid, partial: bool) -> int:
        return 100 * self._inner(grid, partial) ** 2

    def _let_go(self) -> None:
        self._dataset = without_blocks(self._dataset)

    def _clean(self, raw: np.ndarray) -> np.ndarray:
        """int64 labels, 0 = none."""
        if raw.dtype.kind == "f":
            raw = np.where(np.isfinite(raw), raw, 0)
        labels = raw.astype(np.int64)
        if self._nodata is not None and np.isfinite(self._nodata):
            labels[labels == int(self._nodata)] = 0
        return np.maximum(labels, 0)

    def _read(self, window: Window, objects: np.ndarray) -> np.ndarray:
        """``[H, W]`` place among ``objects`` of each label in a window within the raster; -1 = none of them."""
        labels = self._clean(read_array(self._dataset, tuple(window))[0])  # type: ignore[arg-type]
        self._room.check(self._let_go)
        own = self.ids[objects]
        place = np.searchsorted(own, labels)
        return np.where(own[np.minimum(place, len(own) - 1)] == labels, place, -1)

    def coverage(self, grid: Grid, window: Window, objects: np.ndarray, partial: bool) -> Coverage:
        own, inner = self.grid, self._inner(grid, partial)
        column = window.column + (np.arange(window.width * inner) + 0.5) / inner
        row = window.row + (np.arange(window.height * inner) + 0.5) / inner
        x, dx, _, y, _, dy = grid.transform
        if same_crs(own.crs_wkt, grid.crs_wkt):
            columns = np.floor((x + column * dx - own.transform[0]) / own.transform[1] + 1e-9).astype(np.int64)
            rows = np.floor((y + row * dy - own.transform[3]) / own.transform[5] + 1e-9).astype(np.int64)
            return cover_labels(self._picked(rows, columns, objects), inner, len(objects))
        east, north = np.meshgrid(x + column * dx, y + row * dy)
        points = transformed(np.stack([east.ravel(), north.ravel()], axis=1), grid.crs_wkt, own.crs_wkt)
        with np.errstate(invalid="ignore"):
            found_column = np.floor((points[:, 0] - own.transform[0]) / own.transform[1])
            found_row = np.floor((points[:, 1] - own.transform[3]) / own.transform[5])
        inside = (found_column >= 0) & (found_column < own.width) & (found_row >= 0) & (found_row < own.height)
        labels = np.full(len(points), -1, np.int64)
        if inside.any():
            columns, rows = found_column[inside].astype(np.int64), found_row[inside].astype(np.int64)
            left, top = int(columns.min()), int(rows.min())
            part = Window(left, top, int(columns.max()) - left + 1, int(rows.max()) - top + 1)
            labels[inside] = self._read(part, objects)[rows - top, columns - left]
        return cover_labels(labels.reshape(len(row), len(column)), inner, len(objects))

    def _inner(self, grid: Grid, partial: bool) -> int:
        """Points along the side of a pixel of a grid at which labels are looked up."""
        if not partial:
            return 1
        own = self.grid
        size = min(own.resolution) if same_crs(own.crs_wkt, grid.crs_wkt) else self._size_in(grid)
        return int(np.clip(np.ceil(max(grid.resolution) / size - 1e-6), 1, MOST_INNER))

    def _size_in(self, grid: Grid) -> float:
        """About how large a label's pixel is in units of another grid."""
        west, south, east, north = reproject_bounds(self.grid.bounds, self.grid.crs_wkt, grid.crs_wkt)
        return min((east - west) / self.grid.width, (north - south) / self.grid.height)

    def _picked(self, rows: np.ndarray, columns: np.ndarray, objects: np.ndarray) -> np.ndarray:
        result = np.full((len(rows), len(columns)), -1, np.int64)
        row = np.flatnonzero((rows >= 0) & (rows < self.grid.height))
        column = np.flatnonzero((columns >= 0) & (columns < self.grid.width))
        if len(row) and len(column):
            left = int(columns[column].min())
            width = int(columns[column].max()) - left + 1
            most = max(1, _READ // width)  # rows of labels read at a time
            for part in np.split(row, np.flatnonzero(np.diff(rows[row] // most)) + 1):
                top = int(rows[part].min())
                labels = self._read(Window(left, top, width, int(rows[part].max()) - top + 1), objects)
                result[np.ix_(part, column)] = labels[np.ix_(rows[part] - top, columns[column] - left)]
        return result

    def _window_of(self, objects: np.ndarray) -> Window:
        box = self.windows(self.grid, objects)
        left, top = box[:, :2].min(axis=0).tolist()
        right, bottom = box[:, 2:].max(axis=0).tolist()
        return Window(left, top, right - left, bottom - top)

    def geometries(self, objects: np.ndarray) -> list[bytes]:
        missing = objects[~self._shapes.has(objects)]
        if len(missing):
            for one, shape in zip(missing, self._polygons(missing), strict=True):
                self._shapes.put(int(one), shape)
        return self._shapes.read(objects)

    def _polygons(self, objects: np.ndarray) -> list[bytes]:
        window = self._window_of(objects)
        if window.width * window.height > _MOST_POLYGONISED and len(objects) > 1:  # far from each other
            halves = np.split(objects, [len(objects) // 2])
            return [shape for half in halves for shape in self._polygons(half)]
        memory = gdal.GetDriverByName("MEM").Create("", window.width, window.height, 1, gdal.GDT_Int32)
        memory.SetGeoTransform(self.grid.transform_of(window))
        height = max(1, _READ // window.width)
        for row in range(0, window.height, height):
            strip = Window(window.column, window.row + row, window.width, min(height, window.height - row))
            memory.GetRasterBand(1).WriteArray((self._read(strip, objects) + 1).astype(np.int32), 0, row)
        source = ogr.GetDriverByName("Memory").CreateDataSource("labels")
        layer = source.CreateLayer("labels", spatial_reference(self.crs_wkt), ogr.wkbPolygon)
        layer.CreateField(ogr.FieldDefn("label", ogr.OFTInteger))
        with quiet_gdal():
            gdal.Polygonize(memory.GetRasterBand(1), memory.GetRasterBand(1), layer, 0)
        shapes = [ogr.Geometry(ogr.wkbMultiPolygon) for _ in objects]
        for feature in layer:
            shapes[feature.GetField(0) - 1].AddGeometry(feature.GetGeometryRef())
        return [bytes(shape.ExportToIsoWkb(ogr.wkbNDR)) for shape in shapes]


def open_segments(path: str | os.PathLike[str], progress: Progress, crs_wkt: str = "") -> Segments:
    """Segments as a raster of labels or as polygons, whichever the file is.

    Raises:
        LandloomError: if it is neither.
    """
    name = os.fspath(path)
    file = name.split("|")[0]
    if "|layername=" not in name and (file.startswith("/vsi") or Path(file).exists()):
        with quiet_gdal():
            try:
                raster = gdal.OpenEx(file, gdal.OF_RASTER)
            except RuntimeError:
                raster = None
        if raster is not None and raster.RasterCount:
            return LabelSegments(file, progress)
    return PolygonSegments(name, crs_wkt, progress)


def transformed(points: np.ndarray, source: str, target: str) -> np.ndarray:
    """Points ``[v, 2]`` in another CRS; infinite where that is impossible."""
    change = osr.CoordinateTransformation(spatial_reference(source), spatial_reference(target))
    result = np.empty_like(points)
    with quiet_gdal():
        for start in range(0, len(points), 100_000):
            part = slice(start, start + 100_000)
            result[part] = np.array(change.TransformPoints(points[part].tolist()))[:, :2]
    return result


def reprojected(boxes: np.ndarray, source: str, target: str) -> np.ndarray:
    """Bounds ``[k, 4]`` in another CRS, by 5 points on every side."""
    share = np.linspace(0, 1, 5)
    u, v = (one.ravel() for one in np.meshgrid(share, share))
    x = boxes[:, [0]] + (boxes[:, [2]] - boxes[:, [0]]) * u
    y = boxes[:, [1]] + (boxes[:, [3]] - boxes[:, [1]]) * v
    points = transformed(np.stack([x.ravel(), y.ravel()], axis=1), source, target).reshape(len(boxes), -1, 2)
    return np.concatenate([points.min(axis=1), points.max(axis=1)], axis=1)


def _boxes_of(labels: np.ndarray, column: int, row: int) -> np.ndarray:
    """``[k, 5]`` int64: labels, rising, first column, first row, last column + 1, last row + 1 in the whole raster."""
    order = np.argsort(labels, axis=None, kind="stable")
    ordered = labels.ravel()[order]
    start = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
    rows, columns = order // labels.shape[1], order % labels.shape[1]
    boxes = np.stack(
        [
            ordered[start],
            np.minimum.reduceat(columns, start) + column,
            np.minimum.reduceat(rows, start) + row,
            np.maximum.reduceat(columns, start) + column + 1,
            np.maximum.reduceat(rows, start) + row + 1,
        ],
        axis=1,
    )
    return boxes[boxes[:, 0] > 0]


def _joined(boxes: np.ndarray) -> np.ndarray:
    """Boxes as of :func:`_boxes_of`, each label once."""
    boxes = boxes[np.argsort(boxes[:, 0], kind="stable")]
    start = np.flatnonzero(np.r_[True, boxes[1:, 0] != boxes[:-1, 0]]) if len(boxes) else np.zeros(0, np.int64)
    low, high = np.minimum.reduceat(boxes[:, :3], start, axis=0), np.maximum.reduceat(boxes[:, 3:], start, axis=0)
    return np.concatenate([low, high], axis=1)
