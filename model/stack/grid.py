"""The grid of a stack: one CRS, one pixel size, one corner."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import Any, NamedTuple

from osgeo import osr

from ..base.errors import LandloomError
from ..base.language import tr
from ..base.raster import GeoTransform, spatial_reference

Bounds = tuple[float, float, float, float]  # xmin, ymin, xmax, ymax

ALIGNMENT_TOLERANCE = 1e-3
"""Pixel corners agree when they differ by less than this share of a pixel."""


class Window(NamedTuple):
    """A rectangle of pixels; it may reach outside its grid."""

    column: int
    row: int
    width: int
    height: int

    def grown(self, halo: int) -> Window:
        """The same with ``halo`` more pixels on each side."""
        return Window(self.column - halo, self.row - halo, self.width + 2 * halo, self.height + 2 * halo)

    def intersection(self, other: Window) -> Window:
        """What both cover; width or height is 0 where they do not meet."""
        column, row = max(self.column, other.column), max(self.row, other.row)
        right = min(self.column + self.width, other.column + other.width)
        bottom = min(self.row + self.height, other.row + other.height)
        return Window(column, row, max(0, right - column), max(0, bottom - row))


@dataclass(frozen=True)
class Grid:
    """North-up pixels.

    Attributes:
        crs_wkt: the CRS as WKT.
        transform: GDAL's geotransform (x of the upper left corner, pixel width, 0, y, 0, negative pixel height).
        width: columns.
        height: rows.
    """

    crs_wkt: str
    transform: GeoTransform
    width: int
    height: int

    @property
    def resolution(self) -> tuple[float, float]:
        """Pixel width and height in units of the CRS, both positive."""
        return self.transform[1], -self.transform[5]

    @property
    def bounds(self) -> Bounds:
        """xmin, ymin, xmax, ymax."""
        x, dx, _, y, _, dy = self.transform
        return x, y + dy * self.height, x + dx * self.width, y

    @property
    def whole(self) -> Window:
        """The window of all pixels."""
        return Window(0, 0, self.width, self.height)

    @property
    def metres_per_unit(self) -> float:
        """Length of the CRS's unit in metres (for degrees, at the equator)."""
        reference = spatial_reference(self.crs_wkt)
        return 111_320.0 if reference.IsGeographic() else reference.GetLinearUnits()

    @property
    def pixel_area(self) -> float:
        """Square metres of a pixel; of a grid in degrees, that in its middle."""
        dx, dy = self.resolution
        if not spatial_reference(self.crs_wkt).IsGeographic():
            return dx * dy * self.metres_per_unit**2
        _, south, _, north = self.bounds
        return dx * dy * self.metres_per_unit**2 * math.cos(math.radians((south + north) / 2))

    def to_json(self) -> dict[str, Any]:
        """A dictionary that JSON can hold."""
        return {"crs": self.crs_wkt, "transform": list(self.transform), "width": self.width, "height": self.height}

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Grid:
        """The inverse of :meth:`to_json`."""
        transform = tuple(float(value) for value in content["transform"])
        return cls(str(content["crs"]), transform, int(content["width"]), int(content["height"]))  # type: ignore[arg-type]

    def window(self, bounds: Bounds) -> Window:
        """The pixels that bounds (in the grid's CRS) touch; may reach outside the grid."""
        x, dx, _, y, _, dy = self.transform
        tolerance = ALIGNMENT_TOLERANCE
        left = math.floor((bounds[0] - x) / dx + tolerance)
        right = math.ceil((bounds[2] - x) / dx - tolerance)
        top = math.floor((bounds[3] - y) / dy + tolerance)
        bottom = math.ceil((bounds[1] - y) / dy - tolerance)
        return Window(left, top, max(0, right - left), max(0, bottom - top))

    def crop(self, window: Window) -> Grid:
        """The grid of a window."""
        x, dx, _, y, _, dy = self.transform
        return Grid(
            self.crs_wkt, (x + window.column * dx, dx, 0.0, y + window.row * dy, 0.0, dy), window.width, window.height
        )

    def transform_of(self, window: Window) -> GeoTransform:
        """The geotransform of a window."""
        return self.crop(window).transform

    def same_as(self, other: Grid) -> bool:
        """Whether both have the same CRS, corners and size."""
        return (
            (self.width, self.height) == (other.width, other.height)
            and same_crs(self.crs_wkt, other.crs_wkt)
            and place(other, self) == (Window(0, 0, self.width, self.height), 1.0)
        )


def place(source: Grid, grid: Grid) -> tuple[Window, float] | None:
    """Where a raster lies on a grid when their pixel corners agree, else None.

    The CRS must be the same and one pixel size a whole multiple of the other, or equal; the raster's corner must be a
    corner of the grid's pixels.

    Returns:
        the rectangle that the raster covers, in pixels of the grid, and the raster's pixel size in pixels of the grid.
    """
    if not same_crs(source.crs_wkt, grid.crs_wkt):
        return None
    ratios = (source.transform[1] / grid.transform[1], source.transform[5] / grid.transform[5])
    if abs(ratios[0] - ratios[1]) > 1e-6 * abs(ratios[0]) or ratios[0] <= 0:
        return None
    size = ratios[0] if ratios[0] >= 1 else 1 / ratios[0]
    whole = round(size)
    length = max(source.width, source.height)
    if abs(size - whole) * length > ALIGNMENT_TOLERANCE * whole:
        return None
    ratio = float(whole) if ratios[0] >= 1 else 1.0 / whole
    edges = (
        (source.transform[0] - grid.transform[0]) / grid.transform[1],
        (source.transform[3] - grid.transform[3]) / grid.transform[5],
        source.width * ratio,
        source.height * ratio,
    )
    if any(abs(edge - round(edge)) > ALIGNMENT_TOLERANCE for edge in edges):
        return None
    return Window(*(round(edge) for edge in edges)), ratio


@functools.lru_cache(maxsize=256)
def same_crs(first: str, second: str) -> bool:
    """Whether two WKT mean the same CRS, whatever their names and axis order."""
    if first == second:
        return True
    options = ["IGNORE_DATA_AXIS_TO_SRS_AXIS_MAPPING=YES", "CRITERION=EQUIVALENT_EXCEPT_AXIS_ORDER_GEOGCRS"]
    return bool(spatial_reference(first).IsSame(spatial_reference(second), options))


def reproject_bounds(bounds: Bounds, source_crs: str, target_crs: str) -> Bounds:
    """The bounds in another CRS, with 21 points on each edge.

    Raises:
        LandloomError: if they cannot be expressed there.
    """
    if same_crs(source_crs, target_crs):
        return bounds
    transformation = osr.CoordinateTransformation(spatial_reference(source_crs), spatial_reference(target_crs))
    result = transformation.TransformBounds(*bounds, 21)
    if not all(math.isfinite(value) for value in result):
        raise LandloomError(tr("The extent cannot be expressed in the CRS asked for; choose another CRS."))
    return result


def grid_of_bounds(bounds: Bounds, crs_wkt: str, resolution: tuple[float, float], origin: tuple[float, float]) -> Grid:
    """The grid that covers bounds, its corner on the lattice through ``origin``."""
    dx, dy = resolution
    left = math.floor((bounds[0] - origin[0]) / dx + ALIGNMENT_TOLERANCE)
    right = math.ceil((bounds[2] - origin[0]) / dx - ALIGNMENT_TOLERANCE)
    top = math.ceil((bounds[3] - origin[1]) / dy - ALIGNMENT_TOLERANCE)
    bottom = math.floor((bounds[1] - origin[1]) / dy + ALIGNMENT_TOLERANCE)
    transform = (origin[0] + left * dx, dx, 0.0, origin[1] + top * dy, 0.0, -dy)
    return Grid(crs_wkt, transform, max(1, right - left), max(1, top - bottom))
