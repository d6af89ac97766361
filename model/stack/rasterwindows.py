"""Windows of any raster on another grid: in any CRS, of any pixel size, one band at a time."""

from __future__ import annotations

import os

import numpy as np
from osgeo import gdal

from ..base.errors import LandloomError
from ..base.language import tr
from ..base.raster import open_raster, quiet_gdal, reading_failed
from .grid import Grid, Window, reproject_bounds
from .rasterinfo import RasterInfo, inspect

FINER = 1.5
"""Values of pixels this many times smaller than the grid's are averaged, others taken bilinearly."""


class RasterWindows:
    """One band of a raster, read on a grid. Not to be shared by threads.

    Args:
        path: the raster.
        band: its band, from 1.
        grid: on which windows are read.

    Raises:
        LandloomError: if it cannot be opened.
    """

    def __init__(self, path: str | os.PathLike[str], band: int, grid: Grid) -> None:
        self.path, self.grid = os.fspath(path), grid
        whole = open_raster(path)
        info = inspect(path)
        declared = info.nodata[band - 1]
        self._nodata = declared
        if declared is None and info.dtypes[band - 1].startswith(("int", "uint")):
            self._nodata = 0.0  # the dark rim of images that declare nothing
        with quiet_gdal():
            self._band = gdal.Translate("", whole, format="VRT", bandList=[band])
        self._whole = whole  # whose life the VRT needs
        own = info.grid.resolution[0] * info.grid.metres_per_unit
        self._resampling = "average" if grid.resolution[0] * grid.metres_per_unit > FINER * own else "bilinear"

    def read(self, window: Window) -> tuple[np.ndarray, np.ndarray]:
        """Values ``[H, W]`` float32 and where they are data ``[H, W]``; what lies outside the raster is none.

        Raises:
            LandloomError: if the raster cannot be read.
        """
        target = self.grid.crop(window)
        xmin, ymin, xmax, ymax = target.bounds
        with quiet_gdal() as messages:
            options = gdal.WarpOptions(
                format="MEM",
                dstSRS=self.grid.crs_wkt,
                outputBounds=(xmin, ymin, xmax, ymax),
                width=window.width,
                height=window.height,
                resampleAlg=self._resampling,
                errorThreshold=0,
                outputType=gdal.GDT_Float32,
                srcNodata=self._nodata,
                dstNodata=float("nan"),
                overviewLevel="NONE",  # which may lie half a pixel beside
            )
            try:
                warped = gdal.Warp("", self._band, options=options)
                values = None if warped is None else warped.ReadAsArray()
            except RuntimeError as error:  # when someone switched GDAL's exceptions on
                messages.append(str(error))
                values = None
        if values is None:
            raise reading_failed(self.path, messages)
        valid = np.isfinite(values)
        return np.where(valid, values, np.float32(0)), valid


def band_number(info: RasterInfo, wanted: str, parameter: str) -> int:
    """The band meant by a name or number; the first where nothing is wanted.

    Raises:
        LandloomError: if there is none such, naming those there are.
    """
    wanted = wanted.strip()
    if not wanted:
        return 1
    names = [name.lower() for name in info.descriptions]
    if wanted.lower() in names:
        return names.index(wanted.lower()) + 1
    if wanted.isdigit() and 1 <= int(wanted) <= len(names):
        return int(wanted)
    named = ", ".join(name for name in info.descriptions if name) or tr("none has a name")
    raise LandloomError(
        tr(
            "{parameter} {wanted} is no band of {path}: it has {n_names} ({named}); give one of these or a number."
        ).format(parameter=parameter, wanted=wanted, path=info.path, n_names=len(names), named=named)
    )


def common_window(grid: Grid, *others: Grid) -> Window:
    """The pixels of a grid within the bounds of all other rasters, whatever their CRS."""
    window = grid.whole
    for other in others:
        window = window.intersection(grid.window(reproject_bounds(other.bounds, other.crs_wkt, grid.crs_wkt)))
    return window
