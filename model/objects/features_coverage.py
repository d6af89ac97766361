"""Which pixels an object covers, and how much of each: exactly for polygons, by looking up for rasters of labels.

The share of a pixel that lies in a polygon is found without rasterising more finely: by Green's theorem the area of a
polygon in a pixel is a sum over the pieces of its edges, each piece being within one pixel, plus for every pixel to the
right of a piece its height. All pieces of thousands of polygons are summed at once.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

import numpy as np

LEAST = 1e-6  # of a pixel: smaller shares are rounding errors or do not matter
_PIECES_AT_ONCE = 4_000_000


class Coverage(NamedTuple):
    """Pixels of objects, object after object.

    Attributes:
        start: ``[n + 1]`` where each object's entries begin.
        pixel: ``[e]`` int64, row * width + column in the window.
        weight: ``[e]`` float64, share of the pixel in the object, above 0, at most 1.
    """

    start: np.ndarray
    pixel: np.ndarray
    weight: np.ndarray

    @property
    def owner(self) -> np.ndarray:
        """``[e]`` object of each entry."""
        return np.repeat(np.arange(len(self.start) - 1), np.diff(self.start))


class Rings(NamedTuple):
    """The rings of polygons.

    Attributes:
        points: ``[v, 2]`` x and y, the last of a ring equal to its first.
        start: ``[r + 1]`` where each ring's points begin.
        owner: ``[r]`` object of each ring.
        hole: ``[r]`` bool.
    """

    points: np.ndarray
    start: np.ndarray
    owner: np.ndarray
    hole: np.ndarray


def rings_of(shapes: list[bytes]) -> Rings:
    """The rings of polygons and multipolygons given as little-endian two-dimensional WKB.

    Raises:
        ValueError: if a geometry is of another kind.
    """
    parts: list[np.ndarray] = []
    owners: list[int] = []
    holes: list[bool] = []

    def polygon(wkb: bytes, at: int, owner: int) -> int:
        (count,) = struct.unpack_from("<I", wkb, at)
        at += 4
        for ring in range(count):
            (size,) = struct.unpack_from("<I", wkb, at)
            at += 4
            parts.append(np.frombuffer(wkb, "<f8", 2 * size, at).reshape(size, 2))
            owners.append(owner)
            holes.append(ring > 0)
            at += 16 * size
        return at

    for owner, wkb in enumerate(shapes):
        order, kind = struct.unpack_from("<BI", wkb, 0)
        if order != 1 or kind not in (3, 6):
            raise ValueError(f"not a polygon in little-endian WKB: type {kind}")
        if kind == 3:
            polygon(wkb, 5, owner)
            continue
        (count,) = struct.unpack_from("<I", wkb, 5)
        at = 9
        for _ in range(count):
            at = polygon(wkb, at + 5, owner)
    sizes = np.array([len(part) for part in parts], np.int64)
    points = np.concatenate(parts) if parts else np.zeros((0, 2))
    return Rings(points, np.r_[0, np.cumsum(sizes)], np.array(owners, np.int64), np.array(holes, bool))


def ring_areas(rings: Rings) -> np.ndarray:
    """``[r]`` signed areas, counter-clockwise positive (shoelace formula)."""
    x, y = _relative(rings)
    cross = x[:-1] * y[1:] - x[1:] * y[:-1]
    return _sums(np.append(cross, 0.0), rings, 1) / 2


def _relative(rings: Rings) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates from the first point of each ring: products of large numbers would lose digits."""
    first = np.repeat(rings.points[rings.start[:-1]], np.diff(rings.start), axis=0)
    moved = rings.points - first
    return moved[:, 0], moved[:, 1]


def _sums(values: np.ndarray, rings: Rings, less: int) -> np.ndarray:
    """Sums over each ring's points but its last ``less``."""
    total = np.r_[0.0, np.cumsum(values[: len(rings.points)])]
    return total[rings.start[1:] - less] - total[rings.start[:-1]]


def shape_sums(rings: Rings, count: int) -> dict[str, np.ndarray]:
    """Area, perimeter and second central moments of objects, ``[count]`` each, in the units of the points.

    The moments are those of the area (not of the points): ``xx``, ``yy``, ``xy``, divided by the area.
    """
    x, y = _relative(rings)
    nx, ny = np.append(x[1:], 0.0), np.append(y[1:], 0.0)
    cross = x * ny - nx * y
    sign = np.where(rings.hole, -1.0, 1.0) * np.sign(ring_areas(rings))
    moments = {
        "a": cross / 2,
        "x": (x + nx) * cross / 6,
        "y": (y + ny) * cross / 6,
        "xx": (x * x + x * nx + nx * nx) * cross / 12,
        "yy": (y * y + y * ny + ny * ny) * cross / 12,
        "xy": (2 * x * y + x * ny + nx * y + 2 * nx * ny) * cross / 24,
    }
    ring = {name: _sums(values, rings, 1) * sign for name, values in moments.items()}
    # back to coordinates from one point for all rings of an object
    owner_first = np.full(count, -1, np.int64)
    owner_first[rings.owner[::-1]] = rings.start[:-1][::-1]
    shift = rings.points[rings.start[:-1]] - rings.points[owner_first[rings.owner]]
    dx, dy = shift[:, 0], shift[:, 1]
    a, sx, sy = ring["a"], ring["x"], ring["y"]
    whole = {
        "a": a,
        "x": sx + a * dx,
        "y": sy + a * dy,
        "xx": ring["xx"] + 2 * dx * sx + a * dx * dx,
        "yy": ring["yy"] + 2 * dy * sy + a * dy * dy,
        "xy": ring["xy"] + dx * sy + dy * sx + a * dx * dy,
    }
    total = {name: np.bincount(rings.owner, values, count) for name, values in whole.items()}
    area = np.maximum(total["a"], 1e-300)
    mx, my = total["x"] / area, total["y"] / area
    length = _sums(np.hypot(nx - x, ny - y), rings, 1)
    return {
        "area": total["a"],
        "perimeter": np.bincount(rings.owner, length, count),
        "xx": total["xx"] / area - mx * mx,
        "yy": total["yy"] / area - my * my,
        "xy": total["xy"] / area - mx * my,
    }


def cover_polygons(rings: Rings, count: int, width: int, height: int, partial: bool = True) -> Coverage:
    """The pixels of polygons.

    Args:
        rings: in pixels of a window: x to the right from its left edge, y down from its upper edge. What lies outside
            the window is left out.
        count: number of objects.
        width: of the window.
        height: of the window.
        partial: weigh a pixel by its share in the polygon; else a pixel counts wholly if its centre is inside, and
            polygons without any centre are weighed.
    """
    exact = _exact(rings, count, width, height)
    if partial:
        return exact
    centres = _centres(rings, count, width, height)
    empty = np.diff(centres.start) == 0
    if not empty.any():
        return centres
    owners = np.concatenate([centres.owner, exact.owner[empty[exact.owner]]])
    chosen = empty[exact.owner]
    return entries(
        owners,
        np.concatenate([centres.pixel, exact.pixel[chosen]]),
        np.concatenate([centres.weight, exact.weight[chosen]]),
        count,
    )


def entries(owner: np.ndarray, pixel: np.ndarray, weight: np.ndarray, count: int) -> Coverage:
    """A coverage from entries in any order."""
    order = np.argsort(owner, kind="stable")
    start = np.r_[0, np.cumsum(np.bincount(owner, minlength=count))]
    return Coverage(start, pixel[order], weight[order])


class _Boxes(NamedTuple):
    """A rectangle of cells for each object, one after another in memory; one column more than pixels."""

    column: np.ndarray
    row: np.ndarray
    width: np.ndarray
    height: np.ndarray
    start: np.ndarray


def _boxes(rings: Rings, count: int, width: int, height: int) -> _Boxes:
    low, high = np.full((count, 2), np.inf), np.full((count, 2), -np.inf)
    first_ring = np.flatnonzero(np.r_[True, rings.owner[1:] != rings.owner[:-1]])  # rings of an object lie together
    own = rings.owner[first_ring]
    low[own] = np.minimum.reduceat(rings.points, rings.start[first_ring], axis=0)
    high[own] = np.maximum.reduceat(rings.points, rings.start[first_ring], axis=0)
    low[~np.isfinite(low).all(axis=1) | ~np.isfinite(high).all(axis=1)] = 0.0  # as where a CRS cannot express it
    high[~np.isfinite(high).all(axis=1)] = 0.0
    limit = np.array([width, height])
    first = np.floor(np.clip(low, 0, limit)).astype(np.int64)
    last = np.ceil(np.clip(high, 0, limit)).astype(np.int64)
    size = np.maximum(last - first, 0)
    size[(size == 0).any(axis=1)] = 0
    return _Boxes(first[:, 0], first[:, 1], size[:, 0], size[:, 1], np.r_[0, np.cumsum((size[:, 0] + 1) * size[:, 1])])


def _edges(rings: Rings) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """First and last points ``[e, 2]``, object, and sign: exteriors count positive, holes negative."""
    ends = np.delete(np.arange(len(rings.points)), rings.start[1:] - 1)
    ring = np.repeat(np.arange(len(rings.owner)), np.diff(rings.start) - 1)
    sign = -np.sign(ring_areas(rings)) * np.where(rings.hole, -1.0, 1.0)
    return rings.points[ends], rings.points[ends + 1], rings.owner[ring], sign[ring]


def _exact(rings: Rings, count: int, width: int, height: int) -> Coverage:
    boxes = _boxes(rings, count, width, height)
    first, last, owner, sign = _edges(rings)
    steep = first[:, 1] != last[:, 1]
    first, last, owner, sign = first[steep], last[steep], owner[steep], sign[steep]
    # rows above and below the window have no pixel
    low, high = np.minimum(first[:, 1], last[:, 1]), np.maximum(first[:, 1], last[:, 1])
    inside = (high > 0) & (low < height)
    first, last, owner, sign = first[inside], last[inside], owner[inside], sign[inside]
    size = int(boxes.start[-1])
    area, cover = np.zeros(size), np.zeros(size)
    crossings = (np.abs(np.floor(last) - np.floor(first)).sum(axis=1) + 2).astype(np.int64)
    bounds = np.searchsorted(np.cumsum(crossings), np.arange(0, crossings.sum() + _PIECES_AT_ONCE, _PIECES_AT_ONCE))
    for begin, end in zip(bounds[:-1], np.r_[bounds[1:-1], len(first)], strict=True):
        part = slice(int(begin), int(end))
        _add_pieces(first[part], last[part], owner[part], sign[part], boxes, area, cover)
    total = np.cumsum(cover)
    lengths = np.repeat(boxes.width + 1, boxes.height)
    rows = np.r_[0, np.cumsum(lengths)][:-1].astype(np.int64)
    share = area + total
    if len(rows):
        share -= np.repeat(total[rows] - cover[rows], lengths)
    return _gather(share, boxes, width, LEAST)


def _add_pieces(
    first: np.ndarray,
    last: np.ndarray,
    owner: np.ndarray,
    sign: np.ndarray,
    boxes: _Boxes,
    area: np.ndarray,
    cover: np.ndarray,
) -> None:
    """Cut edges at the borders of pixels and add each piece to its pixel."""
    if not len(first):
        return
    step = last - first
    times, edges = [np.zeros(len(first)), np.ones(len(first))], [np.arange(len(first))] * 2
    for axis in range(2):
        low = np.minimum(first[:, axis], last[:, axis])
        high = np.maximum(first[:, axis], last[:, axis])
        begin = np.floor(low) + 1
        number = np.maximum(np.ceil(high) - begin, 0).astype(np.int64)
        edge = np.repeat(np.arange(len(first)), number)
        order = np.arange(len(edge)) - np.repeat(np.r_[0, np.cumsum(number)][:-1], number)
        with np.errstate(divide="ignore", invalid="ignore"):
            times.append((begin[edge] + order - first[edge, axis]) / step[edge, axis])
        edges.append(edge)
    time, edge = np.concatenate(times), np.concatenate(edges)
    order = np.lexsort((time, edge))
    time, edge = time[order], edge[order]
    same = edge[1:] == edge[:-1]
    begin, end, edge = time[:-1][same], time[1:][same], edge[1:][same]
    middle = (begin + end) / 2
    x = first[edge, 0] + middle * step[edge, 0]
    y = first[edge, 1] + middle * step[edge, 1]
    rise = (end - begin) * step[edge, 1] * sign[edge]
    own = owner[edge]
    row = np.floor(y).astype(np.int64) - boxes.row[own]
    kept = (row >= 0) & (row < boxes.height[own]) & (rise != 0)
    x, rise, own, row = x[kept], rise[kept], own[kept], row[kept]
    # what is left of the box covers its first column wholly; what is right of it lands in the column that is dropped
    column = np.clip(np.floor(x).astype(np.int64) - boxes.column[own], 0, boxes.width[own])
    right = np.clip(boxes.column[own] + column + 1 - x, 0.0, 1.0)
    place = boxes.start[own] + row * (boxes.width[own] + 1) + column
    area += np.bincount(place, rise * right, len(area))
    following = column < boxes.width[own]
    cover += np.bincount(place[following] + 1, rise[following], len(cover))


def _centres(rings: Rings, count: int, width: int, height: int) -> Coverage:
    boxes = _boxes(rings, count, width, height)
    first, last, owner, sign = _edges(rings)
    low, high = np.minimum(first[:, 1], last[:, 1]), np.maximum(first[:, 1], last[:, 1])
    begin = np.maximum(np.ceil(low - 0.5), 0).astype(np.int64)
    end = np.minimum(np.ceil(high - 0.5), height).astype(np.int64)
    number = np.maximum(end - begin, 0)
    edge = np.repeat(np.arange(len(first)), number)
    row = begin[edge] + np.arange(len(edge)) - np.repeat(np.r_[0, np.cumsum(number)][:-1], number)
    step = last - first
    x = first[edge, 0] + (row + 0.5 - first[edge, 1]) / step[edge, 1] * step[edge, 0]
    own = owner[edge]
    column = np.clip(np.ceil(x - 0.5).astype(np.int64) - boxes.column[own], 0, boxes.width[own])
    place = boxes.start[own] + (row - boxes.row[own]) * (boxes.width[own] + 1) + column
    kept = (row >= boxes.row[own]) & (row < boxes.row[own] + boxes.height[own])
    turns = np.bincount(place[kept], (np.sign(step[edge, 1]) * sign[edge])[kept], int(boxes.start[-1]))
    total = np.cumsum(turns)
    lengths = np.repeat(boxes.width + 1, boxes.height)
    rows = np.r_[0, np.cumsum(lengths)][:-1].astype(np.int64)
    if len(rows):
        total -= np.repeat(total[rows] - turns[rows], lengths)
    return _gather((total > 0.5).astype(np.float64), boxes, width, 0.5)


def _gather(share: np.ndarray, boxes: _Boxes, width: int, least: float) -> Coverage:
    """The cells above ``least``, as entries."""
    found = np.flatnonzero(share > least)
    owner = np.searchsorted(boxes.start, found, side="right") - 1
    place = found - boxes.start[owner]
    column = place % (boxes.width[owner] + 1)
    row = place // (boxes.width[owner] + 1)
    kept = column < boxes.width[owner]
    found, owner, column, row = found[kept], owner[kept], column[kept], row[kept]
    start = np.searchsorted(owner, np.arange(len(boxes.width) + 1))
    pixel = (boxes.row[owner] + row) * width + boxes.column[owner] + column
    return Coverage(start, pixel, np.minimum(share[found], 1.0))


def cover_labels(labels: np.ndarray, inner: int, count: int) -> Coverage:
    """The pixels of labelled objects.

    Args:
        labels: ``[H * inner, W * inner]`` int64 object of each point of a window, -1 = none; ``inner`` x ``inner``
            points lie in a pixel.
        inner: points along the side of a pixel.
        count: number of objects.
    """
    height, width = labels.shape[0] // inner, labels.shape[1] // inner
    row, column = np.nonzero(labels >= 0)
    owner = labels[row, column]
    pixel = (row // inner) * width + column // inner
    if inner == 1:
        return entries(owner, pixel, np.ones(len(owner)), count)
    both, number = np.unique(owner * (height * width) + pixel, return_counts=True)
    return entries(both // (height * width), both % (height * width), number / inner**2, count)
