"""Choosing the grid of a new stack."""

from __future__ import annotations

from collections.abc import Sequence

from osgeo import gdal

from ..base.errors import LandloomError
from ..base.language import tr
from ..base.raster import quiet_gdal, spatial_reference
from .grid import Bounds, Grid, grid_of_bounds, place, reproject_bounds, same_crs


def choose_grid(
    grids: Sequence[Grid],
    crs: str | None = None,
    resolution: float | None = None,
    extent: tuple[Bounds, str] | None = None,
) -> Grid:
    """The grid that covers all rasters whose pixels are finest, on the lattice of the first of them.

    Args:
        grids: the rasters that count, of the sensor that gives the grid.
        crs: another CRS (WKT or EPSG:...), by default that of the finest raster.
        resolution: another pixel size in units of the CRS.
        extent: only this area (bounds and their CRS), grown to whole pixels.

    Raises:
        LandloomError: if nothing is left, or if the CRS or pixel size makes no sense.
    """
    if not grids:
        raise LandloomError(tr("There is no raster to take a grid from; give other INPUT."))
    if resolution is not None and not resolution > 0:
        raise LandloomError(tr("RESOLUTION is {resolution:g}; it must be above 0.").format(resolution=resolution))
    reference = min(grids, key=_pixel_metres)
    if crs and not same_crs(spatial_reference(crs).ExportToWkt(), reference.crs_wkt):
        target = spatial_reference(crs).ExportToWkt()
        size = (resolution, resolution) if resolution else _suggested(reference, target)
        origin = (0.0, 0.0)
    else:
        target = reference.crs_wkt
        size = (resolution, resolution) if resolution else reference.resolution
        origin = (reference.transform[0], reference.transform[3])
    union: Bounds | None = None
    for grid in grids:
        if grid is not reference and _pixel_metres(grid) > 1.01 * _pixel_metres(reference):
            continue
        bounds = grid.bounds
        if not same_crs(grid.crs_wkt, target):
            bounds = reproject_bounds(bounds, grid.crs_wkt, target)
        elif target == reference.crs_wkt and place(grid, reference) is None:
            bounds = _inside(bounds, reference)
        union = bounds if union is None else _union(union, bounds)
    if union is None:
        raise LandloomError(tr("There is no raster to take a grid from; give other INPUT."))
    if extent is not None:
        wanted = reproject_bounds(extent[0], extent[1], target)
        images, union = union, _intersection(union, wanted)
        if union[0] >= union[2] or union[1] >= union[3]:
            own, given = (", ".join(f"{value:.10g}" for value in box) for box in (images, wanted))
            raise LandloomError(
                tr(
                    "EXTENT does not overlap the images: in their CRS it is {given}, they cover {own} (xmin, "
                    "ymin, xmax, ymax); check its CRS and place."
                ).format(given=given, own=own)
            )
    chosen = grid_of_bounds(union, target, size, origin)
    if chosen.width > 2_000_000 or chosen.height > 2_000_000:
        raise LandloomError(
            tr("The grid would have {width} x {height} pixels; check RESOLUTION and CRS.").format(
                width=chosen.width, height=chosen.height
            )
        )
    return chosen


def _pixel_metres(grid: Grid) -> float:
    return grid.resolution[0] * grid.metres_per_unit


def _suggested(grid: Grid, target: str) -> tuple[float, float]:
    """Pixel size in another CRS, as GDAL suggests it; a whole number where that is near."""
    source = gdal.GetDriverByName("MEM").Create("", grid.width, grid.height, 1)
    source.SetProjection(grid.crs_wkt)
    source.SetGeoTransform(list(grid.transform))
    with quiet_gdal():
        warped = gdal.AutoCreateWarpedVRT(source, grid.crs_wkt, target)
    if warped is None:
        raise LandloomError(tr("The images cannot be brought to the CRS asked for; choose another CRS."))
    size = warped.GetGeoTransform()[1]
    if size > 1 and abs(size - round(size)) < 0.1 * size:
        size = float(round(size))
    return size, size


def _inside(bounds: Bounds, reference: Grid) -> Bounds:
    """Bounds of a raster on another lattice, shrunk to whole pixels of the reference so that no edge is half empty."""
    window = reference.window(bounds)
    dx, dy = reference.resolution
    x, y = reference.transform[0], reference.transform[3]
    return (
        x + (window.column + 1) * dx,
        y - (window.row + window.height - 1) * dy,
        x + (window.column + window.width - 1) * dx,
        y - (window.row + 1) * dy,
    )


def _union(a: Bounds, b: Bounds) -> Bounds:
    return min(a[0], b[0]), min(a[1], b[1]), max(a[2], b[2]), max(a[3], b[3])


def _intersection(a: Bounds, b: Bounds) -> Bounds:
    return max(a[0], b[0]), max(a[1], b[1]), min(a[2], b[2]), min(a[3], b[3])
