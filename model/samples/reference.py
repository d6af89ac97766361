"""Reading reference data: polygons or points with a class field, in any CRS and format that GDAL reads."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from osgeo import gdal, ogr, osr

from ..base.errors import LandloomError
from ..base.language import tr
from ..base.nomenclature import source_value
from ..base.progress import Progress
from ..base.raster import quiet_gdal, spatial_reference
from ..base.vectorfile import features_of
from ..stack.grid import Grid

EQUAL_AREA = "EPSG:6933"


@dataclass
class Feature:
    """A polygon or point that lies on the grid.

    Attributes:
        fid: its number in the layer.
        value: the class field's value.
        wkb: its geometry in the grid's CRS.
        envelope: xmin, xmax, ymin, ymax in the grid's CRS.
        group: value of the group field, None without one.
        part: value of the split field, None without one.
    """

    fid: int
    value: str
    wkb: bytes
    envelope: tuple[float, float, float, float]
    group: str | None = None
    part: str | None = None

    def geometry(self) -> ogr.Geometry:
        """The geometry, of which the caller has the only copy."""
        return ogr.CreateGeometryFromWkb(self.wkb)


@dataclass
class Reference:
    """What was read.

    Attributes:
        features: those on the grid, with a class.
        is_point: whether they are points.
        outside: features outside the grid.
        empty: features without a class or a geometry.
        repaired: invalid geometries that were repaired.
        values: every value of the class field, of features outside too.
    """

    features: list[Feature]
    is_point: bool
    outside: int = 0
    empty: int = 0
    repaired: int = 0
    values: tuple[str, ...] = ()


class ReferenceLayer:
    """A layer opened for reading.

    Args:
        path: a file, or as QGIS writes it with ``|layername=...``.
        crs_wkt: the CRS to believe in place of the layer's own.
        what: how messages call the layer, in the plural.

    Raises:
        LandloomError: if it cannot be opened or is not made of polygons or points.
    """

    def __init__(self, path: str | os.PathLike[str], crs_wkt: str = "", what: str = "reference data") -> None:
        self.what = what
        name, layer_name, layer_id = _split_uri(os.fspath(path))
        if not name.startswith("/vsi") and not Path(name).exists():
            raise LandloomError(tr("The {what} {name} do not exist; check the path.").format(what=what, name=name))
        with quiet_gdal() as messages:
            try:
                self._dataset = gdal.OpenEx(name, gdal.OF_VECTOR)
            except RuntimeError as error:
                messages.append(str(error))
                self._dataset = None
        if self._dataset is None or self._dataset.GetLayerCount() == 0:
            raise LandloomError(
                tr("Cannot open the {what} {name}: {messages}.").format(
                    what=what, name=name, messages=" ".join(messages) or tr("no layer in it")
                )
            )
        if layer_name:
            self.layer = self._dataset.GetLayerByName(layer_name)
        else:
            self.layer = self._dataset.GetLayer(layer_id)
        if self.layer is None:
            raise LandloomError(
                tr("{name} has no layer {layer_name}.").format(name=name, layer_name=layer_name or layer_id)
            )
        self.name = name
        self._crs_wkt = crs_wkt
        self._check_type()

    def _check_type(self) -> None:
        kind = ogr.GT_Flatten(self.layer.GetGeomType())
        if kind in (ogr.wkbLineString, ogr.wkbMultiLineString, ogr.wkbNone):
            what = ogr.GeometryTypeToName(kind).lower()
            raise LandloomError(
                tr("The {what} {name} hold {what2}; polygons or points are needed.").format(
                    what=self.what, name=self.name, what2=what
                )
            )

    @property
    def fields(self) -> list[str]:
        """Names of the attributes."""
        definition = self.layer.GetLayerDefn()
        return [definition.GetFieldDefn(i).GetName() for i in range(definition.GetFieldCount())]

    def field_index(self, field: str, parameter: str) -> int:
        """Position of a field, found whatever its case.

        Raises:
            LandloomError: if there is none, with the list of those there are.
        """
        names = self.fields
        if field in names:
            return names.index(field)
        folded = [name.lower() for name in names]
        if field and field.lower() in folded:
            return folded.index(field.lower())
        raise LandloomError(
            tr("{parameter} is '{field}', but {name} has no such field; it has {names}.").format(
                parameter=parameter, field=field, name=self.name, names=", ".join(names) or "none"
            )
        )

    @property
    def holds_points(self) -> bool:
        """Whether the layer declares points, for its style."""
        return ogr.GT_Flatten(self.layer.GetGeomType()) in (ogr.wkbPoint, ogr.wkbMultiPoint)

    def spatial_reference(self) -> osr.SpatialReference:
        """The CRS with x before y.

        Raises:
            LandloomError: if it is missing.
        """
        wkt = self._crs_wkt or self._own_wkt()
        reference = spatial_reference(wkt) if wkt else None
        # GeoPackages without a CRS say "Undefined geographic SRS" or "Undefined Cartesian SRS".
        if reference is None or (reference.GetName() or "").lower().startswith("undefined"):
            raise LandloomError(
                tr(
                    "The {what} {name} have no coordinate reference system: set it in the layer's properties "
                    "and save it."
                ).format(what=self.what, name=self.name)
            )
        return reference

    def _own_wkt(self) -> str:
        reference = self.layer.GetSpatialRef()
        return "" if reference is None else reference.ExportToWkt()

    def values(
        self, field: str, progress: Progress, parameter: str = "CLASS_FIELD"
    ) -> dict[str, tuple[int, float | None]]:
        """Features and hectares of each value of a class field.

        Areas are measured on the equal-area projection EPSG:6933; None for points and where the CRS is missing.

        Raises:
            LandloomError: if the field is missing or empty.
        """
        position = self.field_index(field, parameter)
        transformation = None
        with contextlib.suppress(LandloomError):
            transformation = osr.CoordinateTransformation(self.spatial_reference(), spatial_reference(EQUAL_AREA))
        counts: dict[str, int] = {}
        areas: dict[str, float] = {}
        for feature in self._each(progress):
            value = source_value(feature.GetField(position))
            if value is None:
                continue
            counts[value] = counts.get(value, 0) + 1
            geometry = feature.GetGeometryRef()
            if geometry is None or transformation is None or geometry.GetDimension() != 2:
                continue
            geometry = geometry.Clone()
            if _transformed(geometry, transformation):
                areas[value] = areas.get(value, 0.0) + geometry.GetArea() / 10_000
        if not counts:
            raise LandloomError(self._nothing_in(field, parameter))
        return {value: (count, areas.get(value)) for value, count in counts.items()}

    def read(
        self,
        grid: Grid,
        class_field: str,
        progress: Progress,
        group_field: str = "",
        split_field: str = "",
        what: str = "stack",
    ) -> Reference:
        """Read the features that lie on a grid, reprojected to its CRS and repaired where invalid.

        Args:
            grid: the pixels.
            class_field: holds the class.
            progress: asked for cancellation.
            group_field: holds what stays together; empty for none.
            split_field: holds the part; empty for none.
            what: whose grid it is, for messages.

        Raises:
            LandloomError: if a field or the CRS is missing, or no feature with a class lies on the grid.
        """
        class_position = self.field_index(class_field, "CLASS_FIELD")
        group_position = self.field_index(group_field, "GROUP_FIELD") if group_field else None
        split_position = self.field_index(split_field, "SPLIT_FIELD") if split_field else None
        source, target = self.spatial_reference(), spatial_reference(grid.crs_wkt)
        transformation = None if source.IsSame(target) else osr.CoordinateTransformation(source, target)
        result = Reference([], False)
        values: set[str] = set()
        points = polygons = 0
        extent = [np.inf, -np.inf, np.inf, -np.inf]
        xmin, ymin, xmax, ymax = grid.bounds
        for feature in self._each(progress):
            value = source_value(feature.GetField(class_position))
            geometry = feature.GetGeometryRef()
            if value is None or geometry is None or geometry.IsEmpty():
                result.empty += 1
                continue
            values.add(value)
            geometry, repaired = _prepared(geometry, transformation)
            if geometry is None:
                result.outside += 1
                continue
            result.repaired += repaired
            points += geometry.GetDimension() == 0
            polygons += geometry.GetDimension() == 2
            west, east, south, north = envelope = geometry.GetEnvelope()
            extent = [min(extent[0], west), max(extent[1], east), min(extent[2], south), max(extent[3], north)]
            if west >= xmax or east <= xmin or south >= ymax or north <= ymin:
                # A point on the outer edge has no pixel either.
                result.outside += 1
                continue
            result.features.append(
                Feature(
                    feature.GetFID(),
                    value,
                    bytes(geometry.ExportToWkb()),
                    envelope,
                    None if group_position is None else source_value(feature.GetField(group_position)),
                    None if split_position is None else source_value(feature.GetField(split_position)),
                )
            )
        if not values:
            raise LandloomError(self._nothing_in(class_field, "CLASS_FIELD"))
        if points and polygons:
            raise LandloomError(tr("{name} mixes points and polygons: give them in two layers.").format(name=self.name))
        if not result.features:
            raise LandloomError(
                tr(
                    "None of the {outside} features of {name} lies on the {what}: in its CRS they cover "
                    "{extent_text}, the {what} {extent_text2}. Check the CRS of both."
                ).format(
                    outside=result.outside,
                    name=self.name,
                    what=what,
                    extent_text=_extent_text(extent),
                    extent_text2=_extent_text([xmin, xmax, ymin, ymax]),
                )
            )
        result.is_point = points > 0
        result.values = tuple(sorted(values))
        return result

    def shapes(self, progress: Progress, crs_wkt: str = "") -> Iterator[tuple[Any, ogr.Geometry | None, bool]]:
        """Every feature with its geometry as a flat polygon or point, whatever its class.

        Args:
            progress: asked for cancellation.
            crs_wkt: CRS of the geometries; the layer's own by default.

        Yields:
            the feature, its geometry (None if it has none that can be used), whether that had to be repaired.

        Raises:
            LandloomError: if the CRS is missing.
        """
        source = self.spatial_reference()
        target = spatial_reference(crs_wkt) if crs_wkt else source
        transformation = None if source.IsSame(target) else osr.CoordinateTransformation(source, target)
        for feature in self._each(progress):
            geometry = feature.GetGeometryRef()
            if geometry is None or geometry.IsEmpty():
                yield feature, None, False
            else:
                yield feature, *_prepared(geometry, transformation)

    def _nothing_in(self, field: str, parameter: str) -> str:
        if self.layer.GetFeatureCount() == 0:
            return tr("The {what} {name} hold no feature: give polygons or points.").format(
                what=self.what, name=self.name
            )
        return tr(
            "{parameter} '{field}' is empty in every feature of {name}: fill it, or choose another field."
        ).format(parameter=parameter, field=field, name=self.name)

    def _each(self, progress: Progress) -> Iterator[Any]:
        with quiet_gdal():
            for number, feature in enumerate(features_of(self.layer, self.name)):
                if number % 200 == 0:
                    progress.check()
                yield feature


def _split_uri(path: str) -> tuple[str, str, int]:
    """File, layer name and layer number of a path as QGIS writes it."""
    name, *options = path.split("|")
    layer_name, layer_id = "", 0
    for option in options:
        key, _, value = option.partition("=")
        if key.lower() == "layername":
            layer_name = value
        elif key.lower() == "layerid" and value.isdigit():
            layer_id = int(value)
    return name, layer_name, layer_id


def _prepared(
    geometry: ogr.Geometry, transformation: osr.CoordinateTransformation | None
) -> tuple[ogr.Geometry | None, bool]:
    """A flat polygon or point in the grid's CRS, and whether it had to be repaired; None if nothing is left of it."""
    geometry = geometry.Clone()
    geometry.FlattenTo2D()
    if geometry.HasCurveGeometry():
        geometry = geometry.GetLinearGeometry()
    repaired = False
    if geometry.GetDimension() == 2 and not geometry.IsValid():
        repaired = True
        geometry = _polygons_of(_made_valid(geometry))
        if geometry is None:
            return None, repaired
    if transformation is not None and not _transformed(geometry, transformation):
        return None, repaired
    if geometry.GetDimension() not in (0, 2) or geometry.IsEmpty() or not np.isfinite(geometry.GetEnvelope()).all():
        return None, repaired
    return geometry, repaired


def _transformed(geometry: ogr.Geometry, transformation: osr.CoordinateTransformation) -> bool:
    """Reproject in place; False where that is impossible, whether GDAL's exceptions are on or off."""
    try:
        return geometry.Transform(transformation) == 0
    except RuntimeError:
        return False


def _made_valid(geometry: ogr.Geometry) -> ogr.Geometry | None:
    try:
        return geometry.MakeValid()
    except RuntimeError:
        return None


def _polygons_of(geometry: ogr.Geometry | None) -> ogr.Geometry | None:
    """Only the polygons of what a repair gave: it may add lines and points."""
    if geometry is None or geometry.IsEmpty():
        return None
    if ogr.GT_Flatten(geometry.GetGeometryType()) in (ogr.wkbPolygon, ogr.wkbMultiPolygon):
        return geometry
    result = ogr.Geometry(ogr.wkbMultiPolygon)
    for i in range(geometry.GetGeometryCount()):
        part = _polygons_of(geometry.GetGeometryRef(i).Clone())
        if part is None:
            continue
        if ogr.GT_Flatten(part.GetGeometryType()) == ogr.wkbPolygon:
            result.AddGeometry(part)
        else:
            for j in range(part.GetGeometryCount()):
                result.AddGeometry(part.GetGeometryRef(j))
    return None if result.IsEmpty() else result


def _extent_text(extent: list[float]) -> str:
    if not np.isfinite(extent).all():
        return "nothing"
    digits = 4 if max(abs(value) for value in extent) <= 360 else 0
    west, east, south, north = (f"{value:.{digits}f}" for value in extent)
    return f"x {west} to {east}, y {south} to {north}"
