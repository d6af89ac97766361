"""Which pixels a polygon covers, and by what share.

A polygon is burnt on a grid four times finer than the pixels (a fine cell belongs to it when its centre lies inside, by
the even-odd rule), so that shares come in sixteenths. Done with numpy alone, a few rows at a time.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from osgeo import ogr

FINER = 4
MOST_CELLS = 4_000_000


def pixel_shares(
    geometry: ogr.Geometry, transform: tuple[float, ...], width: int, height: int
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Pixels that a polygon covers in part at least.

    Args:
        geometry: polygon or multipolygon in the grid's CRS.
        transform: GDAL's geotransform of a north-up grid.
        width: columns of the grid.
        height: rows.

    Yields:
        rows, columns and shares (0 < share <= 1) of some pixels; a large polygon comes in several pieces.
    """
    start, end = _edges(geometry, transform)
    if not len(start):
        return
    low = np.minimum(start.min(0), end.min(0))
    high = np.maximum(start.max(0), end.max(0))
    left, right = max(0, int(np.floor(low[0]))), min(width, int(np.ceil(high[0])))
    top, bottom = max(0, int(np.floor(low[1]))), min(height, int(np.ceil(high[1])))
    if left >= right or top >= bottom:
        return
    step = max(1, MOST_CELLS // ((right - left) * FINER * FINER))
    for row in range(top, bottom, step):
        last = min(row + step, bottom)
        share = _burn(start, end, left, row, right - left, last - row)
        rows, columns = np.nonzero(share)
        yield rows + row, columns + left, share[rows, columns]


def _edges(geometry: ogr.Geometry, transform: tuple[float, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Starts and ends ``[E, 2]`` of all edges, in pixels (column, row), holes too."""
    starts, ends = [], []

    def collect(part: ogr.Geometry) -> None:
        if part.GetGeometryCount():
            for i in range(part.GetGeometryCount()):
                collect(part.GetGeometryRef(i))
            return
        if part.GetPointCount() < 3:
            return
        points = np.asarray(part.GetPoints())[:, :2]
        points = (points - (transform[0], transform[3])) / (transform[1], transform[5])
        starts.append(points)
        ends.append(np.roll(points, -1, axis=0))

    collect(geometry)
    if not starts:
        return np.zeros((0, 2)), np.zeros((0, 2))
    return np.concatenate(starts), np.concatenate(ends)


def _burn(start: np.ndarray, end: np.ndarray, left: int, top: int, width: int, height: int) -> np.ndarray:
    """Shares ``[height, width]`` of a window of pixels."""
    fine_width, fine_height = width * FINER, height * FINER
    x0, y0 = ((start - (left, top)) * FINER).T
    x1, y1 = ((end - (left, top)) * FINER).T
    # An edge crosses the centre line of fine row r (y = r + 0.5) when r + 0.5 lies in [min y, max y).
    first = np.clip(np.ceil(np.minimum(y0, y1) - 0.5), 0, fine_height).astype(np.int64)
    beyond = np.clip(np.ceil(np.maximum(y0, y1) - 0.5), 0, fine_height).astype(np.int64)
    count = beyond - first
    edge = np.repeat(np.arange(len(count)), count)
    row = first[edge] + np.arange(len(edge)) - np.repeat(np.cumsum(count) - count, count)
    slope = (x1[edge] - x0[edge]) / (y1[edge] - y0[edge])
    crossing = x0[edge] + (row + 0.5 - y0[edge]) * slope
    # Fine cells whose centre lies right of the crossing change sides there.
    column = np.clip(np.ceil(crossing - 0.5), 0, fine_width).astype(np.int64)
    sides = np.bincount(row * (fine_width + 1) + column, minlength=fine_height * (fine_width + 1))
    parity = (sides & 1).astype(np.uint8).reshape(fine_height, fine_width + 1)[:, :fine_width]
    inside = np.bitwise_xor.accumulate(parity, axis=1)
    by_row = np.sum([inside[:, i::FINER] for i in range(FINER)], axis=0, dtype=np.uint8)
    return np.sum([by_row[i::FINER] for i in range(FINER)], axis=0, dtype=np.uint8) / FINER**2
