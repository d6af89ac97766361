"""Groups: what must not be split between training and test."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from osgeo import ogr

from ..base.errors import LandloomError
from ..base.language import tr
from ..base.progress import Progress
from .reference import Feature


def group_features(
    features: Sequence[Feature],
    distance: float,
    progress: Progress,
    scale: tuple[float, float] = (1.0, 1.0),
    by_field: bool = False,
) -> np.ndarray:
    """The group of each feature: its group field's value, or else itself joined with those nearer than a distance.

    Args:
        features: polygons or points.
        distance: metres; 0 joins none.
        progress: asked for cancellation.
        scale: metres per unit of x and of y.
        by_field: take the group field; a feature whose field is empty is a group of its own.

    Returns:
        ``[F]`` int64, numbered from 0 in the order of the features.

    Raises:
        LandloomError: if the distance is negative.
    """
    if distance < 0:
        raise LandloomError(tr("GROUP_DISTANCE is {distance:g}; give metres, 0 or more.").format(distance=distance))
    union = UnionFind(len(features))
    if by_field:
        first: dict[str, int] = {}
        for index, feature in enumerate(features):
            if feature.group is not None:
                union.join(first.setdefault(feature.group, index), index)
    elif distance > 0:
        for one, other in near_pairs(features, distance, progress, scale):
            union.join(one, other)
    roots = [union.root(index) for index in range(len(features))]
    numbers: dict[int, int] = {}
    return np.array([numbers.setdefault(root, len(numbers)) for root in roots], np.int64)


def near_pairs(
    features: Sequence[Feature], distance: float, progress: Progress, scale: tuple[float, float]
) -> Iterator[tuple[int, int]]:
    """Pairs of features nearer to each other than a distance in metres."""
    shapes = [_scaled(feature.geometry(), *scale) for feature in features]
    envelopes = np.array([shape.GetEnvelope() for shape in shapes])
    order = np.argsort(envelopes[:, 0], kind="stable")
    west, east, south, north = envelopes[order].T
    for position, index in enumerate(order):
        if position % 100 == 0:
            progress.check()
        # Only shapes that begin further east, but not too far, and meet the envelope grown by the distance.
        end = np.searchsorted(west, east[position] + distance, side="right")
        rest = slice(position + 1, end)
        near = (south[rest] <= north[position] + distance) & (north[rest] >= south[position] - distance)
        for other in order[rest][near]:
            if shapes[index].Distance(shapes[other]) < distance:
                yield int(index), int(other)


def _scaled(geometry: ogr.Geometry, x: float, y: float) -> ogr.Geometry:
    """The geometry with its coordinates multiplied, in place."""
    if (x, y) != (1.0, 1.0):
        for i in range(geometry.GetGeometryCount()):
            _scaled(geometry.GetGeometryRef(i), x, y)
        if not geometry.GetGeometryCount():
            for i in range(geometry.GetPointCount()):
                geometry.SetPoint_2D(i, geometry.GetX(i) * x, geometry.GetY(i) * y)
    return geometry


class UnionFind:
    """Disjoint sets of 0..n-1."""

    def __init__(self, n: int) -> None:
        self._parent = list(range(n))

    def root(self, one: int) -> int:
        """The set's lowest member so far joined."""
        while self._parent[one] != one:
            self._parent[one] = self._parent[self._parent[one]]
            one = self._parent[one]
        return one

    def join(self, one: int, other: int) -> None:
        """Make one set of two."""
        low, high = sorted((self.root(one), self.root(other)))
        self._parent[high] = low
