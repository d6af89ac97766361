"""Eco-climatic regions: polygons with a name, in which a class looks the same everywhere."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from osgeo import gdal, ogr, osr

from ..base.errors import LandloomError
from ..base.language import tr
from ..base.raster import quiet_gdal, spatial_reference
from ..base.vectorfile import features_of
from ..stack.burning import burnt
from ..stack.grid import Grid, Window

OUTSIDE = -1
MOST_REGIONS = 1000
_POLYGONS = (ogr.wkbPolygon, ogr.wkbMultiPolygon, ogr.wkbCurvePolygon, ogr.wkbMultiSurface)


class Regions:
    """The polygons of a layer by the name in a field; several polygons may make a region.

    Where polygons overlap, that which comes first in the layer counts. Features without a name or without a geometry
    are no region.

    Args:
        source: a layer that GDAL reads; ``file.gpkg|layername=name`` names one.
        field: that holds the region's name, text or number.

    Attributes:
        names: of the regions, sorted.

    Raises:
        LandloomError: if layer or field are not there, if it has no CRS, no polygons or too many regions.
    """

    def __init__(self, source: str, field: str) -> None:
        self.source, self.field = source, field
        dataset, layer = _open(source)
        reference = layer.GetSpatialRef()
        if reference is None:
            raise LandloomError(tr("REGIONS {source} has no CRS; assign one to it.").format(source=source))
        definition = layer.GetLayerDefn()
        fields = [definition.GetFieldDefn(place).GetName() for place in range(definition.GetFieldCount())]
        if field not in fields:
            raise LandloomError(
                tr("REGIONS {source} has no field {field}: REGION_FIELD must be one of {fields}.").format(
                    source=source, field=field, fields=", ".join(fields)
                )
            )
        self._crs = reference.ExportToWkt()
        self._shapes: list[tuple[str, ogr.Geometry]] = []
        for feature in features_of(layer, source):
            geometry = feature.GetGeometryRef()
            name = (feature.GetFieldAsString(field) or "").strip()
            if geometry is None or geometry.IsEmpty() or not name:
                continue
            if ogr.GT_Flatten(geometry.GetGeometryType()) not in _POLYGONS:
                raise LandloomError(
                    tr("REGIONS {source} holds {getGeometryName}: give a layer of polygons.").format(
                        source=source, getGeometryName=geometry.GetGeometryName()
                    )
                )
            self._shapes.append((name, geometry.GetLinearGeometry()))
        del dataset
        self.names = sorted({name for name, _ in self._shapes})
        if not self.names:
            raise LandloomError(
                tr("REGIONS {source} has no polygon with a name in {field}.").format(source=source, field=field)
            )
        if len(self.names) > MOST_REGIONS:
            raise LandloomError(
                tr(
                    "REGIONS {source} has {n_names:,} names in {field}; {most_regions:,} regions are the most. "
                    "Is REGION_FIELD the field of the region?"
                ).format(source=source, n_names=len(self.names), field=field, most_regions=MOST_REGIONS)
            )

    @property
    def identity(self) -> str:
        """A hash of names, places and CRS."""
        return self._hash(self._crs)

    @property
    def content(self) -> str:
        """A hash of names and places alone, the same on machines whose versions of PROJ write the CRS differently."""
        return self._hash("")

    def _hash(self, start: str) -> str:
        digest = hashlib.sha256(start.encode())
        for name, geometry in self._shapes:
            digest.update(name.encode() + b"\0" + bytes(geometry.ExportToWkb()))
        return digest.hexdigest()

    def locate(self, x: np.ndarray, y: np.ndarray, crs_wkt: str) -> np.ndarray:
        """The region of points.

        Args:
            x: ``[N]``.
            y: ``[N]``.
            crs_wkt: of the coordinates.

        Returns:
            ``[N]`` indices into ``names``; :data:`OUTSIDE` for none.
        """
        found = np.full(len(x), OUTSIDE)
        for name, geometry in reversed(self._in(crs_wkt)):
            west, east, south, north = geometry.GetEnvelope()
            near = np.flatnonzero((x >= west) & (x <= east) & (y >= south) & (y <= north))
            for place in near:
                point = ogr.Geometry(ogr.wkbPoint)
                point.AddPoint_2D(float(x[place]), float(y[place]))
                if geometry.Intersects(point):
                    found[place] = self.names.index(name)
        return found

    def painter(self, grid: Grid) -> RegionPainter:
        """What gives the regions of pixels of a grid."""
        return RegionPainter(self.names, self._in(grid.crs_wkt), grid)

    def _in(self, crs_wkt: str) -> list[tuple[str, ogr.Geometry]]:
        """The polygons in another CRS."""
        own, target = spatial_reference(self._crs), spatial_reference(crs_wkt)
        change = None if own.IsSame(target) else osr.CoordinateTransformation(own, target)
        moved = []
        for name, own_shape in self._shapes:
            geometry = own_shape.Clone()
            with quiet_gdal():
                try:
                    failed = change is not None and geometry.Transform(change) != 0
                except RuntimeError:
                    failed = True
            if failed:
                raise LandloomError(
                    tr("REGIONS {source} cannot be brought into the CRS of the stack: check its CRS.").format(
                        source=self.source
                    )
                )
            moved.append((name, geometry))
        return moved


class RegionPainter:
    """The regions of windows of a grid; for one thread at a time."""

    def __init__(self, names: Sequence[str], shapes: Sequence[tuple[str, ogr.Geometry]], grid: Grid) -> None:
        self.grid = grid
        self._memory = ogr.GetDriverByName("Memory").CreateDataSource("regions")
        self._layer = self._memory.CreateLayer("regions", spatial_reference(grid.crs_wkt), ogr.wkbUnknown)
        self._layer.CreateField(ogr.FieldDefn("number", ogr.OFTInteger))
        numbers = {name: number for number, name in enumerate(names, start=1)}
        for name, geometry in reversed(shapes):  # what is painted last stays
            feature = ogr.Feature(self._layer.GetLayerDefn())
            feature.SetField("number", numbers[name])
            feature.SetGeometry(geometry)
            self._layer.CreateFeature(feature)

    def read(self, window: Window) -> np.ndarray:
        """``[H, W]`` int32 indices of regions, by the centres of pixels, also outside the grid; -1 for none."""
        return burnt(self._layer, self.grid.crop(window), "uint16", "number").astype(np.int32) - 1


def _open(source: str) -> tuple[gdal.Dataset, ogr.Layer]:
    path, *options = source.split("|")
    name = next((one.split("=", 1)[1] for one in options if one.startswith("layername=")), "")
    with quiet_gdal():
        try:
            dataset = gdal.OpenEx(path, gdal.OF_VECTOR)
        except RuntimeError:  # when someone switched GDAL's exceptions on
            dataset = None
    layer = None if dataset is None else dataset.GetLayerByName(name) if name else dataset.GetLayer(0)
    if dataset is None or layer is None:
        raise LandloomError(
            tr("REGIONS {source} is no vector layer that GDAL reads; check the path.").format(source=source)
        )
    return dataset, layer
