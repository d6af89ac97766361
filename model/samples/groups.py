"""Groups: what must not be split between training and test."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..base.errors import LandloomError
from ..base.optional import need
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
        raise LandloomError(f"GROUP_DISTANCE is {distance:g}; give metres, 0 or more.")
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
) -> list[tuple[int, int]]:
    """Pairs of features nearer to each other than a distance in metres."""
    need("shapely", "GROUP_DISTANCE")
    from shapely import wkb
    from shapely.affinity import scale as scaled
    from shapely.geometry import box
    from shapely.strtree import STRtree

    shapes = [wkb.loads(feature.wkb) for feature in features]
    if scale != (1.0, 1.0):
        shapes = [scaled(shape, *scale, origin=(0, 0)) for shape in shapes]
    place = {id(shape): index for index, shape in enumerate(shapes)}
    tree = STRtree(shapes)
    pairs = []
    for index, shape in enumerate(shapes):
        if index % 100 == 0:
            progress.check()
        west, south, east, north = shape.bounds
        for found in tree.query(box(west - distance, south - distance, east + distance, north + distance)):
            # Shapely 1.8 gives the shapes, 2 their positions.
            other = int(found) if isinstance(found, int | np.integer) else place[id(found)]
            if other > index and shape.distance(shapes[other]) < distance:
                pairs.append((index, other))
    return pairs


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
