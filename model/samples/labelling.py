"""From polygons to labelled pixels: who owns a pixel, overlaps, and how many pixels are kept of each.

Polygons are burnt from north to south, and tiles of the grid are let go as soon as no polygon can reach them any more,
so that memory depends on the polygons under way, not on the size of the raster.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from osgeo import ogr

from ..base.errors import LandloomError
from ..base.language import tr
from ..base.progress import Progress
from ..stack.grid import Grid
from .coverage import pixel_shares
from .reference import Feature

TILE = 256
MOST_WAITING = 2_000_000
FREE, DISPUTED = -1, -2


@dataclass
class Labelled:
    """Pixels that carry a label.

    Attributes:
        rows: ``[N]`` on the grid.
        columns: ``[N]``.
        owner: ``[N]`` index of the feature.
        pixels: ``[F]`` pixels of each feature before any were left out.
        disputed: pixels in features of different classes, left out.
        overlapping: features that have such pixels.
        thin: features that no pixel has enough of, kept with one pixel.
        shrunk: features that the inner buffer made vanish, kept with one pixel.
        lost: features that keep no pixel, as all of theirs belong to others or are disputed.
    """

    rows: np.ndarray
    columns: np.ndarray
    owner: np.ndarray
    pixels: np.ndarray
    disputed: int = 0
    overlapping: int = 0
    thin: int = 0
    shrunk: int = 0
    lost: list[int] = field(default_factory=list)

    def keep(self, chosen: np.ndarray) -> None:
        """Keep only some pixels."""
        self.rows, self.columns, self.owner = self.rows[chosen], self.columns[chosen], self.owner[chosen]


class _Canvas:
    """Owners of pixels, in tiles that exist only while polygons may still reach them."""

    def __init__(self, grid: Grid, classes: np.ndarray, cap: int, seed: int) -> None:
        self._grid, self._classes, self._cap, self._seed = grid, classes, cap, seed
        self._tiles: dict[tuple[int, int], np.ndarray] = {}
        self._kept: list[tuple[np.ndarray, np.ndarray]] = []
        self._waiting = 0
        self.pixels = np.zeros(len(classes), np.int64)
        self.disputed = 0
        self.overlapping: set[int] = set()

    def claim(self, owner: int, rows: np.ndarray, columns: np.ndarray) -> None:
        """Give pixels to a feature; what another class has already becomes disputed."""
        tile_rows, tile_columns = rows // TILE, columns // TILE
        if len(rows) and tile_rows[0] == tile_rows[-1] and np.ptp(tile_columns) == 0:
            self._claim(owner, int(tile_rows[0]), int(tile_columns[0]), rows, columns)
            return
        key = tile_rows * (self._grid.width // TILE + 1) + tile_columns
        order = np.argsort(key, kind="stable")
        for part in np.split(order, np.flatnonzero(np.diff(key[order])) + 1):
            if len(part):
                i = part[0]
                self._claim(owner, int(tile_rows[i]), int(tile_columns[i]), rows[part], columns[part])

    def _claim(self, owner: int, tile_row: int, tile_column: int, rows: np.ndarray, columns: np.ndarray) -> None:
        tile = self._tiles.get((tile_row, tile_column))
        if tile is None:
            tile = self._tiles[tile_row, tile_column] = np.full((TILE, TILE), FREE, np.int32)
        r, c = rows - tile_row * TILE, columns - tile_column * TILE
        now = tile[r, c]
        taken = now >= 0
        if taken.any():
            clash = taken & (self._classes[now] != self._classes[owner])
            if clash.any():
                self.overlapping.update(np.unique(now[clash]).tolist(), [owner])
                tile[r[clash], c[clash]] = DISPUTED
        if (now == DISPUTED).any():
            self.overlapping.add(owner)
        free = now == FREE
        tile[r[free], c[free]] = owner

    def release(self, before_row: int) -> None:
        """Let go of the tiles above a row."""
        for tile_row, tile_column in [key for key in self._tiles if (key[0] + 1) * TILE <= before_row]:
            tile = self._tiles.pop((tile_row, tile_column))
            self.disputed += int(np.sum(tile == DISPUTED))
            r, c = np.nonzero(tile >= 0)
            owner = tile[r, c]
            owners, counts = np.unique(owner, return_counts=True)
            self.pixels[owners] += counts
            flat = (r + tile_row * TILE) * self._grid.width + c + tile_column * TILE
            if self._cap and counts.max(initial=0) > self._cap:
                chosen = lowest_keys(owner, pixel_keys(flat, self._seed), self._cap)
                owner, flat = owner[chosen], flat[chosen]
            self._kept.append((owner, flat))
            self._waiting += len(owner)
            if self._cap and self._waiting > MOST_WAITING:
                self._prune()

    def _prune(self) -> None:
        owner, flat = self._joined()
        chosen = lowest_keys(owner, pixel_keys(flat, self._seed), self._cap)
        # What is left waits no more: it can only grow by what comes.
        self._kept, self._waiting = [(owner[chosen], flat[chosen])], 0

    def _joined(self) -> tuple[np.ndarray, np.ndarray]:
        if not self._kept:
            return np.zeros(0, np.int32), np.zeros(0, np.int64)
        owners, flats = zip(*self._kept, strict=True)
        return np.concatenate(owners), np.concatenate(flats)

    def finish(self) -> tuple[np.ndarray, np.ndarray]:
        """Owners and flat positions of all pixels kept, in the order of the grid."""
        self.release(self._grid.height + TILE)
        if self._cap:
            self._prune()
        owner, flat = self._joined()
        order = np.argsort(flat)
        return owner[order], flat[order]


def label_pixels(
    features: list[Feature],
    classes: np.ndarray,
    grid: Grid,
    progress: Progress,
    min_share: float = 0.5,
    inner_buffer: float = 0.0,
    max_per_feature: int = 0,
    seed: int = 0,
) -> Labelled:
    """Find the pixels of each feature.

    A pixel belongs to a polygon when at least ``min_share`` of it lies inside. A polygon of which no pixel has so much,
    or that the inner buffer makes vanish, keeps the pixel it covers most. A pixel in features of two classes is left
    out; in two of one class it belongs to the first. A point takes the pixel it lies in.

    Args:
        features: polygons or points in the grid's CRS.
        classes: ``[F]`` class of each.
        grid: the pixels.
        progress: asked for cancellation.
        min_share: 0 to 1.
        inner_buffer: polygons are shrunk by so much first, in units of the CRS.
        max_per_feature: keep so many pixels of a feature at most, drawn by a hash of place and seed; 0 for all.
        seed: of the draw.

    Raises:
        LandloomError: if ``min_share`` is not in 0 to 1.
    """
    if not 0 <= min_share <= 1:
        raise LandloomError(
            tr("MIN_SHARE is {min_share:g}; give a share of the pixel, 0 to 1.").format(min_share=min_share)
        )
    canvas = _Canvas(grid, np.asarray(classes), max_per_feature, seed)
    result = Labelled(*(np.zeros(0, np.int64),) * 3, canvas.pixels)
    top = np.array([one.envelope[3] for one in features])
    for number, index in enumerate(np.lexsort((np.arange(len(top)), -top))):
        if number % 50 == 0:
            progress.check()
            progress.percent(100 * number / len(features))
        first_row = int((top[index] - grid.transform[3]) / grid.transform[5]) - 1
        canvas.release(first_row)
        _label_one(int(index), features[index], grid, canvas, result, progress, min_share, inner_buffer)
    owner, flat = canvas.finish()
    result.owner = owner.astype(np.int64)
    result.rows, result.columns = np.divmod(flat, grid.width)
    result.disputed, result.overlapping = canvas.disputed, len(canvas.overlapping)
    result.lost = np.flatnonzero(canvas.pixels == 0).tolist()
    return result


def _label_one(
    index: int,
    feature: Feature,
    grid: Grid,
    canvas: _Canvas,
    result: Labelled,
    progress: Progress,
    min_share: float,
    inner_buffer: float,
) -> None:
    geometry = feature.geometry()
    if geometry.GetDimension() == 0:
        rows, columns = _point_pixels(geometry, grid)
        canvas.claim(index, rows, columns)
        return
    shrunk = geometry.Buffer(-inner_buffer) if inner_buffer > 0 else geometry
    if shrunk is None or shrunk.IsEmpty():
        result.shrunk += 1
        _claim_best(index, geometry, grid, canvas)
        return
    found = False
    for rows, columns, share in pixel_shares(shrunk, grid.transform, grid.width, grid.height):
        progress.check()
        enough = share >= min_share
        if enough.any():
            canvas.claim(index, rows[enough], columns[enough])
            found = True
    if not found:
        result.thin += 1
        _claim_best(index, geometry, grid, canvas)


def _claim_best(index: int, geometry: ogr.Geometry, grid: Grid, canvas: _Canvas) -> None:
    """Give a feature the one pixel that it covers most, or that holds a point of it where it is a sliver."""
    best = (0.0, 0, 0)
    for rows, columns, share in pixel_shares(geometry, grid.transform, grid.width, grid.height):
        if len(share) and share.max() > best[0]:
            i = int(np.argmax(share))
            best = (float(share[i]), int(rows[i]), int(columns[i]))
    if best[0] > 0:
        canvas.claim(index, np.array([best[1]]), np.array([best[2]]))
        return
    inside = geometry.PointOnSurface()
    if inside is not None and not inside.IsEmpty():
        canvas.claim(index, *_point_pixels(inside, grid))


def _point_pixels(geometry: ogr.Geometry, grid: Grid) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns of the pixels on the grid in which points lie."""
    count = geometry.GetGeometryCount()
    parts = [geometry.GetGeometryRef(i) for i in range(count)] if count else [geometry]
    points = np.array([(part.GetX(), part.GetY()) for part in parts]).reshape(-1, 2)
    columns = np.floor((points[:, 0] - grid.transform[0]) / grid.transform[1]).astype(np.int64)
    rows = np.floor((points[:, 1] - grid.transform[3]) / grid.transform[5]).astype(np.int64)
    pixels = np.unique(np.stack([rows, columns], 1), axis=0)
    inside = (pixels >= 0).all(1) & (pixels < (grid.height, grid.width)).all(1)
    return pixels[inside, 0], pixels[inside, 1]


def pixel_keys(flat: np.ndarray, seed: int) -> np.ndarray:
    """A random number for each pixel that depends on place and seed alone (the finaliser of SplitMix64)."""
    with np.errstate(over="ignore"):
        key = flat.astype(np.uint64) + np.uint64((seed + 1) * 0x9E3779B97F4A7C15 % 2**64)
        key = (key ^ (key >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        key = (key ^ (key >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return key ^ (key >> np.uint64(31))


def ranks(owner: np.ndarray, keys: np.ndarray) -> np.ndarray:
    """``[N]``: how many of the same owner have a lower key."""
    order = np.lexsort((keys, owner))
    sorted_owner = owner[order]
    starts = np.flatnonzero(np.r_[True, sorted_owner[1:] != sorted_owner[:-1]]) if len(owner) else np.zeros(0, int)
    lengths = np.diff(np.r_[starts, len(owner)])
    rank = np.empty(len(owner), np.int64)
    rank[order] = np.arange(len(owner)) - np.repeat(starts, lengths)
    return rank


def lowest_keys(owner: np.ndarray, keys: np.ndarray, cap: int) -> np.ndarray:
    """``[N]`` bool: the ``cap`` lowest keys of each owner; all where cap is 0."""
    return ranks(owner, keys) < cap if cap else np.ones(len(owner), bool)


def limit(
    labels: np.ndarray, groups: np.ndarray, keys: np.ndarray, max_per_group: int, max_per_class: int
) -> np.ndarray:
    """Which pixels to keep so that no group and no class has too many.

    Within a class the groups take turns, so that a small group loses pixels only after the large ones have. A group
    with several classes has the limit for each of them.

    Args:
        labels: ``[N]``.
        groups: ``[N]``.
        keys: ``[N]`` random numbers.
        max_per_group: 0 for no limit.
        max_per_class: 0 for no limit.

    Returns:
        ``[N]`` bool.
    """
    _, unit = np.unique(np.stack([groups, labels], 1), axis=0, return_inverse=True)
    rank = ranks(unit.reshape(-1), keys)
    keep = rank < max_per_group if max_per_group else np.ones(len(labels), bool)
    if max_per_class:
        for label in np.unique(labels):
            own = np.flatnonzero(keep & (labels == label))
            order = own[np.lexsort((keys[own], rank[own]))]
            keep[order[max_per_class:]] = False
    return keep
