"""Polygons as pixels, a window at a time: in one call for a whole raster, GDAL would hold all rows that its cache has
room for.
"""

from __future__ import annotations

import numpy as np
from osgeo import gdal, ogr

from ..base.raster import DTYPES
from .grid import Grid


def burnt(layer: ogr.Layer, place: Grid, dtype: str = "uint8", attribute: str = "", whole: bool = False) -> np.ndarray:
    """Burn the polygons of a layer.

    Args:
        layer: polygons in the CRS of the grid.
        place: the grid of the window.
        dtype: of the result.
        attribute: the field whose value is burnt; 1 without.
        whole: go through all polygons instead of setting a spatial filter, with which a file may give them in another
            order.

    Returns:
        ``[H, W]``: the value where the centre of a pixel lies in a polygon, of several the last; 0 elsewhere.
    """
    target = gdal.GetDriverByName("MEM").Create("", place.width, place.height, 1, DTYPES[dtype])
    target.SetGeoTransform(place.transform)
    target.SetProjection(place.crs_wkt)
    if whole:
        layer.SetSpatialFilter(None)
    else:
        layer.SetSpatialFilterRect(*place.bounds)
    if attribute:
        gdal.RasterizeLayer(target, [1], layer, options=[f"ATTRIBUTE={attribute}"])
    else:
        gdal.RasterizeLayer(target, [1], layer, burn_values=[1])
    return target.ReadAsArray()
