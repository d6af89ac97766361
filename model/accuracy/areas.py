"""Area of the classes of a map by zones: counted pixels, and, from an assessment, estimates for the whole map.

A pixel lies in a zone when its centre does. Zones may overlap: a pixel counts in each of them. What lies in no zone,
and what lies in several, are rows of their own, so that zones + outside - counted again = the whole map.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from osgeo import ogr, osr

from ..base.errors import LandloomError
from ..base.language import tr
from ..base.nomenclature import source_value
from ..base.progress import Progress
from ..base.raster import quiet_gdal, spatial_reference
from ..samples.reference import EQUAL_AREA, ReferenceLayer
from ..stack.burning import burnt
from ..stack.grid import Grid
from .mapreading import Count, MapCounts, ValueSource, counted

MOST_ZONES = 20_000
_OFF_BORDER = 1e-6  # of a pixel


@dataclass
class ZoneCounts:
    """Pixels and hectares of the map's values in a zone.

    Attributes:
        name: of the zone.
        values: value -> count, no data among them.
        hectares_of_polygons: to tell whether all of it lies on the map.
    """

    name: str
    values: dict[int, Count] = field(default_factory=dict)
    hectares_of_polygons: float = 0.0

    def add(self, value: int, pixels: int, hectares: float) -> None:
        """Add to a value's count."""
        before = self.values.get(value, Count(0, 0.0))
        self.values[value] = Count(before.pixels + pixels, before.hectares + hectares)


@dataclass
class Areas:
    """What was counted.

    Attributes:
        map_path: the map.
        names: value -> name.
        whole: of the map.
        zones: in the order of their names; empty without zones.
        outside: of the map's pixels, those in no zone; None without zones.
        again: of the map's pixels, those in several zones, once for each zone beyond the first.
        nodata: values that are no data.
        kind: how pixels are measured: ``projected``, ``ellipsoid`` or ``stretched``.
        assessment: of the whole map, as ``assess`` writes it; None without.
        warnings: sentences.
    """

    map_path: str
    names: Mapping[int, str]
    whole: MapCounts
    zones: list[ZoneCounts]
    outside: ZoneCounts | None
    again: ZoneCounts | None
    nodata: set[int]
    kind: str
    assessment: dict[str, Any] | None = None
    warnings: list[str] = field(default_factory=list)


@dataclass
class _Zone:
    counts: ZoneCounts
    shapes: list[tuple[ogr.Geometry, tuple[float, float, float, float]]]


def measure_areas(
    source: ValueSource,
    zones_path: str | os.PathLike[str] | None,
    zone_field: str,
    zones_crs: str,
    memory_mb: float,
    progress: Progress,
) -> Areas:
    """Count a map by zones in one pass.

    Args:
        source: the map.
        zones_path: a layer of polygons in any CRS, or None for the whole map alone.
        zone_field: names the zones, and polygons with the same value are one; each polygon is its own without it.
        zones_crs: the CRS to believe in place of the layer's own.
        memory_mb: what may be taken.
        progress: shown, and asked whether to stop.

    Raises:
        LandloomError: if zones cannot be read, are no polygons, or none lies on the map.
    """
    warnings: list[str] = []
    zones = _read_zones(source, zones_path, zone_field, zones_crs, warnings, progress) if zones_path else []
    outside = ZoneCounts(tr("(in no zone)")) if zones_path else None
    again = ZoneCounts(tr("(in several zones, counted again)")) if zones_path else None
    whole = ZoneCounts("")
    for row, values in source.strips(memory_mb, progress):
        height, width = values.shape
        area = source.areas.window(row, 0, height, width)
        for value, pixels, hectares in counted(values, area):
            whole.add(value, pixels, hectares)
        if outside is None or again is None:
            continue
        covered = np.zeros(values.shape, np.uint16)
        for zone in zones:
            progress.check()
            _count_zone(zone, source, row, values, area, covered)
        for target, times in ((outside, covered == 0), (again, np.maximum(covered, 1) - 1)):
            _count_covered(target, values, area, times)
    found = sorted(value for value in whole.values if value not in source.nodata)
    if not found:
        raise LandloomError(tr("MAP {path} holds no class: every pixel is no data.").format(path=source.path))
    empty = [one for value, one in whole.values.items() if value in source.nodata]
    counts = MapCounts(
        {value: whole.values[value] for value in found},
        Count(sum(one.pixels for one in empty), sum(one.hectares for one in empty)),
    )
    result = Areas(
        source.path,
        {value: source.name_of(value) for value in found},
        counts,
        [zone.counts for zone in zones],
        outside,
        again,
        source.nodata,
        source.areas.kind,
        warnings=warnings,
    )
    _tell(result, source)
    return result


def _read_zones(
    source: ValueSource,
    path: str | os.PathLike[str],
    zone_field: str,
    crs: str,
    warnings: list[str],
    progress: Progress,
) -> list[_Zone]:
    layer = ReferenceLayer(path, crs)
    position = layer.field_index(zone_field, "ZONE_FIELD") if zone_field else None
    origin, target = layer.spatial_reference(), spatial_reference(source.grid.crs_wkt)
    forward = None if origin.IsSame(target) else osr.CoordinateTransformation(origin, target)
    flat = osr.CoordinateTransformation(origin, spatial_reference(EQUAL_AREA))
    found: dict[str, _Zone] = {}
    beside = broken = 0
    west, south, east, north = source.grid.bounds
    layer.layer.ResetReading()
    with quiet_gdal():
        for number, feature in enumerate(layer.layer):
            if number % 200 == 0:
                progress.check()
            geometry = _polygons(feature.GetGeometryRef(), layer.name)
            name = str(feature.GetFID()) if position is None else source_value(feature.GetField(position))
            name = name or tr("(without a name)")
            measured = None if geometry is None else _transformed(geometry, flat)
            here = None if geometry is None else _transformed(geometry, forward)
            if here is None:
                broken += 1
                continue
            zone = found.setdefault(name, _Zone(ZoneCounts(name), []))
            if measured is not None:
                zone.counts.hectares_of_polygons += measured.GetArea() / 10_000
            envelope = here.GetEnvelope()
            if envelope[0] >= east or envelope[1] <= west or envelope[2] >= north or envelope[3] <= south:
                beside += 1
                continue
            zone.shapes.append((here, envelope))
            if len(found) > MOST_ZONES:
                raise LandloomError(
                    tr("ZONES has more than {most_zones} zones: give a ZONE_FIELD that puts polygons together.").format(
                        most_zones=MOST_ZONES
                    )
                )
    if not found:
        raise LandloomError(tr("ZONES {layer} holds no polygon: give polygons.").format(layer=layer.name))
    if not any(zone.shapes for zone in found.values()):
        raise LandloomError(
            tr("None of the {n_found} zones of {layer} lies on the map: check the CRS of both.").format(
                n_found=len(found), layer=layer.name
            )
        )
    if beside:
        warnings.append(tr("{n} polygons of ZONES lie beside the map.").format(n=beside))
    if broken:
        warnings.append(tr("{n} features of ZONES have no polygon that can be used.").format(n=broken))
    return [found[name] for name in sorted(found, key=_order)]


def _order(name: str) -> tuple[bool, float, str]:
    """Numbers by size, then texts."""
    try:
        number = float(name)
    except ValueError:
        return True, 0.0, name
    return not math.isfinite(number), number, name


def _polygons(geometry: ogr.Geometry | None, name: str) -> ogr.Geometry | None:
    if geometry is None or geometry.IsEmpty():
        return None
    if geometry.GetDimension() != 2:
        raise LandloomError(
            tr("ZONES {name} holds {getGeometryName}: give polygons.").format(
                name=name, getGeometryName=geometry.GetGeometryName().lower()
            )
        )
    geometry = geometry.Clone()
    geometry.FlattenTo2D()
    return geometry.GetLinearGeometry() if geometry.HasCurveGeometry() else geometry


def _transformed(geometry: ogr.Geometry, transformation: osr.CoordinateTransformation | None) -> ogr.Geometry | None:
    geometry = geometry.Clone()
    try:
        if transformation is not None and geometry.Transform(transformation) != 0:
            return None
    except RuntimeError:  # when someone switched GDAL's exceptions on
        return None
    return geometry if np.isfinite(geometry.GetEnvelope()).all() else None


def _count_zone(
    zone: _Zone,
    source: ValueSource,
    row: int,
    values: np.ndarray,
    area: float | np.ndarray,
    covered: np.ndarray,
) -> None:
    """Count one zone in a strip."""
    x, dx, _, y, _, dy = source.grid.transform
    height, width = values.shape
    top, bottom = y + row * dy, y + (row + height) * dy
    shapes = [(shape, box) for shape, box in zone.shapes if box[2] < top and box[3] > bottom]
    if not shapes:
        return
    left = max(0, math.floor((min(box[0] for _, box in shapes) - x) / dx))
    right = min(width, math.ceil((max(box[1] for _, box in shapes) - x) / dx))
    first = max(0, math.floor((max(box[3] for _, box in shapes) - top) / dy))
    last = min(height, math.ceil((min(box[2] for _, box in shapes) - top) / dy))
    if left >= right or first >= last:
        return
    # GDAL gives a pixel whose centre lies on a border along the row to both sides: move the centres off it.
    transform = (x + left * dx, dx, 0.0, top + (first - _OFF_BORDER) * dy, 0.0, dy)
    place = Grid(source.grid.crs_wkt, transform, right - left, last - first)
    inside = _burnt([shape for shape, _ in shapes], place)
    part = (slice(first, last), slice(left, right))
    covered[part] += inside
    own = area
    if isinstance(area, np.ndarray):
        own = np.broadcast_to(area, values.shape)[part][inside]
    for value, pixels, hectares in counted(values[part][inside], own):
        zone.counts.add(value, pixels, hectares)


def _burnt(shapes: list[ogr.Geometry], place: Grid) -> np.ndarray:
    """``[H, W]`` bool: pixels whose centre lies in one of the shapes."""
    with quiet_gdal():
        memory = ogr.GetDriverByName("Memory").CreateDataSource("zone")
        layer = memory.CreateLayer("zone", spatial_reference(place.crs_wkt), ogr.wkbUnknown)
        for shape in shapes:
            feature = ogr.Feature(layer.GetLayerDefn())
            feature.SetGeometry(shape)
            layer.CreateFeature(feature)
        return burnt(layer, place).astype(bool)


def _count_covered(target: ZoneCounts, values: np.ndarray, area: float | np.ndarray, times: np.ndarray) -> None:
    """Count the pixels of a strip, each so many times."""
    chosen = times > 0
    if not chosen.any():
        return
    weight = times[chosen].astype(np.float64)
    kinds, index = np.unique(values[chosen], return_inverse=True)
    own = np.broadcast_to(area, values.shape)[chosen] if isinstance(area, np.ndarray) else float(area)
    pixels = np.bincount(index.reshape(-1), weight)
    hectares = np.bincount(index.reshape(-1), weight * own)
    for value, n, size in zip(kinds, pixels, hectares, strict=True):
        target.add(int(value), round(n), float(size))


def _tell(result: Areas, source: ValueSource) -> None:
    if result.again is not None and result.again.values:
        total = sum(one.hectares for one in result.again.values.values())
        result.warnings.append(
            tr("Zones overlap: {hectares:.2f} ha are counted again, in each zone they lie in.").format(hectares=total)
        )
    partly = [
        zone.name
        for zone in result.zones
        if zone.hectares_of_polygons > 0
        and sum(one.hectares for one in zone.values.values()) < 0.98 * zone.hectares_of_polygons - 1
    ]
    if partly:
        text = tr("{n} zones lie partly beside the map or over themselves, such as {name}: only what is on it counts.")
        result.warnings.append(text.format(n=len(partly), name=partly[0]))
    if source.areas.kind == "stretched":
        result.warnings.append(
            tr(
                "The map's projection changes areas by up to {percent:.1f} %: hectares are those on the ground, not "
                "width times height of a pixel."
            ).format(percent=100 * source.areas.stretch)
        )


def join_assessment(areas: Areas, assessment: dict[str, Any], path: str) -> None:
    """Take the estimates of an assessment for the whole map.

    Raises:
        LandloomError: if it is of another map.
    """
    counted_then = {int(value): int(n) for value, n in assessment["map"]["pixels"].items()}
    counted_now = {value: one.pixels for value, one in areas.whole.values.items()}
    if counted_then != counted_now:
        raise LandloomError(
            tr(
                "ASSESSMENT {path} is of another map ({assessment}), or MAP has changed since: its classes "
                "have other numbers of pixels. Assess this map."
            ).format(path=path, assessment=assessment["map"]["path"])
        )
    areas.assessment = assessment
    if assessment.get("whole_map") is None:
        areas.warnings.append(
            tr(
                "The assessment rests on reference data chosen by purpose, from which no area can be estimated: all "
                "figures are pixel counts."
            )
        )


HEADER = (
    "zone",
    "class",
    "code",
    "pixels",
    "hectares",
    "percent",
    "basis",
    "estimated_hectares",
    "standard_error_hectares",
    "low_hectares",
    "high_hectares",
)
COUNTED, ESTIMATED = "pixel count", "pixel count and estimate"


def pixel_sentence() -> str:
    """What figures of zones are."""
    return tr(
        "Figures of zones are counts of pixels: they carry the errors of the map, and no interval is known for them."
    )


def table_rows(areas: Areas) -> Iterator[list[Any]]:
    """Rows as :data:`HEADER` names them: the whole map, each zone, then what is in no zone and in several.

    Percent are of the classified area of the zone; no data is a row without. The whole map comes first, since GDAL
    takes the types of a sheet's columns from its first rows.
    """
    codes, names, group = _classes(areas)
    whole = ZoneCounts(tr("(whole map)"), dict(areas.whole.values))
    empty = areas.whole.no_data
    if empty.pixels:
        whole.values[min(areas.nodata)] = empty
    estimates = _estimates(areas)
    for row in _zone_rows(whole.name, whole.values, codes, names, group, areas.nodata):
        found = estimates.pop(row[2], None) if row[2] is not None else None
        yield row if found is None else [*row[:6], ESTIMATED, *found]
    for code, found in estimates.items():  # classes of the reference that the map lacks
        yield [whole.name, names[code], code, 0, 0.0, 0.0, ESTIMATED, *found]
    for zone in [*areas.zones, *(one for one in (areas.outside, areas.again) if one is not None and one.values)]:
        yield from _zone_rows(zone.name, zone.values, codes, names, group, areas.nodata)


def _classes(areas: Areas) -> tuple[list[int], dict[int, str], dict[int, int]]:
    """Codes in order, their names, and the code of each of the map's values: those assessed, or the map's own."""
    names: dict[int, str] = {}
    group: dict[int, int] = {}
    if areas.assessment is not None:
        for one in areas.assessment["classes"]:
            names[int(one["code"])] = str(one["name"])
            group |= {int(value): int(one["code"]) for value in one["map_values"]}
    for value in areas.whole.values:
        if value not in group:
            names[value], group[value] = areas.names[value], value
    return sorted(set(group.values())), names, group


def _zone_rows(
    zone: str,
    values: Mapping[int, Count],
    codes: list[int],
    names: Mapping[int, str],
    group: Mapping[int, int],
    nodata: set[int],
) -> Iterator[list[Any]]:
    pixels, hectares = dict.fromkeys(codes, 0), dict.fromkeys(codes, 0.0)
    lost_pixels, lost_hectares = 0, 0.0
    for value, one in values.items():
        if value in nodata:
            lost_pixels, lost_hectares = lost_pixels + one.pixels, lost_hectares + one.hectares
        else:
            pixels[group[value]] += one.pixels
            hectares[group[value]] += one.hectares
    total = sum(hectares.values())
    empty = [None] * 4
    for code in codes:
        share = 100 * hectares[code] / total if total else None
        yield [zone, names[code], code, pixels[code], _rounded(hectares[code]), _rounded(share), COUNTED, *empty]
    if lost_pixels:
        yield [zone, tr("(no data)"), None, lost_pixels, _rounded(lost_hectares), None, COUNTED, *empty]


def _rounded(value: float | None) -> float | None:
    """To a square metre, or a ten-thousandth of a percent."""
    return None if value is None else round(value, 4)


def _estimates(areas: Areas) -> dict[int, list[Any]]:
    """Code -> estimated hectares, standard error, low, high of the whole map."""
    whole = None if areas.assessment is None else areas.assessment.get("whole_map")
    if whole is None or areas.assessment is None:
        return {}
    return {
        int(one["code"]): [_rounded(found[key]) for key in ("value", "standard_error", "low", "high")]
        for one, found in zip(areas.assessment["classes"], whole["area_hectares"], strict=True)
    }
