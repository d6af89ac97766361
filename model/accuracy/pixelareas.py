"""The true area of a map's pixels, whatever its CRS.

In degrees a pixel is a piece of the ellipsoid between two parallels and two meridians, whose area is known exactly. In
a projected CRS it is nominally width times height; where the projection stretches areas by more than ``TOLERANCE``
somewhere on the map (Web Mercator does), the true area is measured on a lattice and interpolated.
"""

from __future__ import annotations

import numpy as np
from osgeo import osr

from ..base.errors import LandloomError
from ..base.language import tr
from ..base.raster import spatial_reference
from ..samples.reference import EQUAL_AREA
from ..stack.grid import Grid

TOLERANCE = 0.005
"""Share by which nominal areas may be wrong (0.04 % at the middle, up to 0.2 % at the edge of a UTM zone)."""
_NODES = 33
HECTARE = 10_000.0


class PixelAreas:
    """Hectares of the pixels of a grid.

    Attributes:
        kind: ``projected`` (all pixels alike), ``ellipsoid`` (by row) or ``stretched`` (by place).
        stretch: for a projected CRS, the largest relative difference between nominal and true area.
    """

    def __init__(self, grid: Grid) -> None:
        self._grid = grid
        reference = spatial_reference(grid.crs_wkt)
        width, height = grid.resolution
        self.stretch = 0.0
        if reference.IsGeographic():
            self.kind = "ellipsoid"
            self._rows = _rows_of_ellipsoid(grid, reference)
            return
        self._nominal = width * height * reference.GetLinearUnits() ** 2 / HECTARE
        self._factors = _factors(grid, reference)
        known = self._factors[np.isfinite(self._factors)]
        self.stretch = float(np.abs(known - 1).max()) if known.size else 0.0
        self.kind = "stretched" if self.stretch > TOLERANCE else "projected"
        if self.kind == "stretched" and known.size < self._factors.size:
            self._factors[~np.isfinite(self._factors)] = known.mean()

    @property
    def constant(self) -> float | None:
        """Hectares of every pixel, where they are alike."""
        return self._nominal if self.kind == "projected" else None

    def of(self, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """Hectares of pixels, in the shape that rows and columns broadcast to."""
        rows, columns = np.asarray(rows), np.asarray(columns)
        shape = np.broadcast_shapes(rows.shape, columns.shape)
        if self.kind == "projected":
            return np.full(shape, self._nominal)
        if self.kind == "ellipsoid":
            return np.broadcast_to(self._rows[rows], shape)
        y = np.clip((rows + 0.5) / self._grid.height, 0, 1) * (_NODES - 1)
        x = np.clip((columns + 0.5) / self._grid.width, 0, 1) * (_NODES - 1)
        i, j = np.minimum(y.astype(int), _NODES - 2), np.minimum(x.astype(int), _NODES - 2)
        v, u = y - i, x - j
        f = self._factors
        top = f[i, j] * (1 - u) + f[i, j + 1] * u
        low = f[i + 1, j] * (1 - u) + f[i + 1, j + 1] * u
        return self._nominal * (top * (1 - v) + low * v)

    def window(self, row: int, column: int, height: int, width: int) -> float | np.ndarray:
        """Hectares of a window's pixels: one number, ``[height, 1]`` or ``[height, width]``."""
        if self.kind == "projected":
            return self._nominal
        rows = np.arange(row, row + height)[:, None]
        if self.kind == "ellipsoid":
            return self._rows[rows]
        return self.of(rows, np.arange(column, column + width)[None, :])


def _rows_of_ellipsoid(grid: Grid, reference: osr.SpatialReference) -> np.ndarray:
    """``[height]`` hectares of a pixel of each row: its share of the zone of two parallels (Snyder 1987, 3-12)."""
    to_radians = reference.GetAngularUnits() or np.pi / 180
    a, b = reference.GetSemiMajor(), reference.GetSemiMinor()
    _, dx, _, top, _, dy = grid.transform
    latitude = (top + dy * np.arange(grid.height + 1)) * to_radians
    if np.abs(latitude).max() > np.pi / 2 + 1e-6:
        raise LandloomError(tr("The map reaches beyond a pole: its CRS cannot be right. Assign the right one to it."))
    sine = np.sin(np.clip(latitude, -np.pi / 2, np.pi / 2))
    e = np.sqrt(max(0.0, 1 - (b / a) ** 2))
    zone = 2 * sine if e < 1e-9 else (1 - e**2) * (sine / (1 - (e * sine) ** 2) + np.arctanh(e * sine) / e)
    return np.abs(np.diff(zone)) * a**2 / 2 * abs(dx) * to_radians / HECTARE


def _factors(grid: Grid, reference: osr.SpatialReference) -> np.ndarray:
    """``[N, N]`` true over nominal area at places spread over the map; NaN where the CRS has no such place."""
    x0, dx, _, y0, _, dy = grid.transform
    unit = reference.GetLinearUnits()
    step_x, step_y = abs(dx) * max(1.0, 100 / abs(dx * unit)), abs(dy) * max(1.0, 100 / abs(dy * unit))
    x = x0 + dx * grid.width * np.linspace(0, 1, _NODES)
    y = y0 + dy * grid.height * np.linspace(0, 1, _NODES)
    cx, cy = (one.ravel() for one in np.meshgrid(x, y))
    corners = [(-0.5, -0.5), (0.5, -0.5), (0.5, 0.5), (-0.5, 0.5)]
    points = np.concatenate([np.stack([cx + u * step_x, cy + v * step_y], axis=1) for u, v in corners])
    try:
        transformation = osr.CoordinateTransformation(reference, spatial_reference(EQUAL_AREA))
        there = np.array(transformation.TransformPoints(points.tolist()))[:, :2].reshape(4, -1, 2)
    except RuntimeError:  # when someone switched GDAL's exceptions on
        return np.full((_NODES, _NODES), np.nan)
    following = np.roll(there, -1, axis=0)
    with np.errstate(invalid="ignore", over="ignore"):
        area = np.abs((there[..., 0] * following[..., 1] - following[..., 0] * there[..., 1]).sum(axis=0)) / 2
        factors = area / (step_x * step_y * unit**2)
    return np.where(np.isfinite(factors) & (factors > 0), factors, np.nan).reshape(_NODES, _NODES)
