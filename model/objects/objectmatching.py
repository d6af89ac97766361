"""Which objects have a known class: reference polygons or points matched to segments by share of overlap."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from osgeo import ogr, osr

from ..base.progress import Progress
from ..base.raster import quiet_gdal, spatial_reference
from ..samples.groups import UnionFind
from ..samples.reference import Feature
from ..stack.grid import same_crs
from .features_segments import Segments, reprojected, transformed

MEETING = 0.1
"""Polygons that each cover so much of one object are one group; less is a border drawn a little off."""


@dataclass
class Matched:
    """Objects with a class.

    Attributes:
        objects: ``[m]`` their places among the segments, ascending.
        labels: ``[m]`` class indices.
        groups: ``[m]`` what must not be split; features that meet in an object are one group.
        shares: ``[m]`` share of the object's area that reference polygons of its class cover; 1 for points.
        thin: objects that reference polygons touch, but cover by less than the share asked for.
        disputed: objects left out because two classes cover them equally, or hold points of two classes.
        lost: features that gave no object its class.
        meeting: of each object the groups, as they were given, of the features that meet in it.
    """

    objects: np.ndarray
    labels: np.ndarray
    groups: np.ndarray
    shares: np.ndarray
    thin: int = 0
    disputed: int = 0
    lost: int = 0
    meeting: tuple[np.ndarray, ...] = ()

    def only(self, kept: np.ndarray) -> Matched:
        """Some of the objects; features that met in others only are groups of their own again."""
        meeting = tuple(one for one, keep in zip(self.meeting, kept.tolist(), strict=True) if keep)
        return replace(
            self,
            objects=self.objects[kept],
            labels=self.labels[kept],
            groups=joined_groups(meeting),
            shares=self.shares[kept],
            meeting=meeting,
        )


def joined_groups(meeting: Sequence[np.ndarray]) -> np.ndarray:
    """``[m]`` the group of each object, where all groups that meet in an object are one."""
    numbers = np.unique(np.concatenate([*meeting, np.zeros(0, np.int64)]))
    union = UnionFind(len(numbers))
    first = []
    for own in meeting:
        places = np.searchsorted(numbers, own).tolist()
        first.append(places[0])
        for place in places[1:]:
            union.join(places[0], place)
    return np.array([union.root(place) for place in first], np.int64)


def match(
    segments: Segments,
    features: Sequence[Feature],
    labels: np.ndarray,
    groups: np.ndarray,
    crs_wkt: str,
    min_share: float,
    progress: Progress,
) -> Matched:
    """Give objects the class that covers most of them.

    Args:
        segments: the objects.
        features: reference polygons or points.
        labels: ``[F]`` class index of each.
        groups: ``[F]`` group of each.
        crs_wkt: CRS of the features.
        min_share: smallest share of an object's area that polygons of the class must cover, above 0 to 1.
        progress: shown, and asked whether to stop.
    """
    change = None
    bounds = segments.bounds
    if not same_crs(segments.crs_wkt, crs_wkt):
        change = osr.CoordinateTransformation(spatial_reference(segments.crs_wkt), spatial_reference(crs_wkt))
        bounds = reprojected(bounds, segments.crs_wkt, crs_wkt)
    shapes: dict[int, ogr.Geometry] = {}
    covered: dict[int, dict[int, float]] = {}
    touching: dict[int, list[int]] = {}
    for place, feature in enumerate(features):
        if place % 20 == 0:
            progress.check()
            progress.percent(100.0 * place / len(features))
        geometry = feature.geometry()
        west, east, south, north = feature.envelope
        near = (bounds[:, 0] <= east) & (bounds[:, 2] >= west) & (bounds[:, 1] <= north) & (bounds[:, 3] >= south)
        found = np.flatnonzero(near)
        for one, wkb in zip(found.tolist(), segments.geometries(found), strict=True):
            shape = shapes.get(one)
            if shape is None:
                shape = ogr.CreateGeometryFromWkb(wkb)
                if change is not None:
                    shape.Transform(change)
                shapes[one] = shape
            area = _overlap(shape, geometry)
            if area > 0:
                own = covered.setdefault(one, {})
                own[int(labels[place])] = own.get(int(labels[place]), 0.0) + area
                if area >= MEETING:
                    touching.setdefault(one, []).append(place)
    return _decide(covered, touching, labels, groups, min_share)


def _overlap(shape: ogr.Geometry, geometry: ogr.Geometry) -> float:
    """Share of an object that a polygon covers; 1 for a point in it."""
    if geometry.GetDimension() == 0:
        return 1.0 if shape.Intersects(geometry) else 0.0
    with quiet_gdal():
        try:
            both = shape.Intersection(geometry)
        except RuntimeError:
            both = None
        if both is None:  # GEOS gives up on some invalid labels: a hair's breadth mends them
            both = shape.Buffer(0).Intersection(geometry)
    area = shape.GetArea()
    if both is None or both.GetDimension() < 2 or area <= 0:  # they touch at most
        return 0.0
    return min(1.0, both.GetArea() / area)


def _decide(
    covered: dict[int, dict[int, float]],
    touching: dict[int, list[int]],
    labels: np.ndarray,
    groups: np.ndarray,
    min_share: float,
) -> Matched:
    kept: list[tuple[int, int, float]] = []
    meeting: list[np.ndarray] = []
    thin = disputed = 0
    used: set[int] = set()
    for one in sorted(covered):
        ordered = sorted(covered[one].items(), key=lambda item: (-item[1], item[0]))
        label, share = ordered[0]
        if share < min_share or one not in touching:
            thin += 1
            continue
        if len(ordered) > 1 and ordered[1][1] >= share - 1e-9:
            disputed += 1
            continue
        places = touching[one]
        used.update(place for place in places if labels[place] == label)
        meeting.append(np.unique(groups[places]))
        kept.append((one, label, min(share, 1.0)))
    table = list(zip(*kept, strict=True)) if kept else [(), (), ()]
    return Matched(
        np.array(table[0], np.int64),
        np.array(table[1], np.int64),
        joined_groups(meeting),
        np.array(table[2], float),
        thin,
        disputed,
        len(labels) - len(used),
        tuple(meeting),
    )


def groups_within(
    segments: Segments, objects: np.ndarray, x: np.ndarray, y: np.ndarray, groups: np.ndarray, crs_wkt: str
) -> list[np.ndarray]:
    """For each of ``objects`` the groups that have any of their points ``x``, ``y`` in it, ascending."""
    points = np.stack([x, y], axis=1)
    if not same_crs(segments.crs_wkt, crs_wkt):
        points = transformed(points, crs_wkt, segments.crs_wkt)
    order = np.argsort(points[:, 0], kind="stable")
    points, groups = points[order], groups[order]
    result = []
    for one, wkb in zip(objects.tolist(), segments.geometries(objects), strict=True):
        west, south, east, north = segments.bounds[one]
        first, last = np.searchsorted(points[:, 0], [west, east + 1e-9])
        near = np.arange(first, last)
        near = near[(points[near, 1] >= south) & (points[near, 1] <= north)]
        shape = ogr.CreateGeometryFromWkb(wkb)
        inside = []
        for group in np.unique(groups[near]):
            many = ogr.Geometry(ogr.wkbMultiPoint)
            for east_north in points[near[groups[near] == group]].tolist():
                point = ogr.Geometry(ogr.wkbPoint)
                point.AddPoint_2D(*east_north)
                many.AddGeometry(point)
            if shape.Intersects(many):
                inside.append(group)
        result.append(np.array(inside, np.int64))
    return result
