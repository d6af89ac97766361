"""VRT files: plain ones written as XML where pixel corners agree, warped ones where they do not.

A plain VRT costs no arithmetic but for bands of another resolution, which GDAL resamples while reading. Sources are
opened unshared (``shared="0"``), since one data set must never be used by two threads at a time.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from osgeo import gdal

from ..base.errors import LandloomError
from ..base.language import tr
from ..base.raster import DTYPES, open_raster, quiet_gdal
from ..base.xmltext import escape
from .grid import Grid, Window, place

NEAREST, BILINEAR, AVERAGE = "nearest", "bilinear", "average"


@dataclass(frozen=True)
class VrtBand:
    """One band of a plain VRT.

    Attributes:
        name: its description.
        path: the file it reads.
        band: the band of that file, from 1.
        size: columns and rows of that file.
        target: the rectangle of the VRT that the file covers.
        resampling: how it is resampled when ``target`` has another size.
        source_nodata: a value of the file that becomes ``nodata`` of the VRT, if they differ.
        scale: factor on the file's values.
        offset: added after the factor.
        function: GDAL's pixel function (``dB2pow``, ``intensity``), empty for none.
    """

    name: str
    path: str
    band: int
    size: tuple[int, int]
    target: Window
    resampling: str = NEAREST
    source_nodata: float | None = None
    scale: float = 1.0
    offset: float = 0.0
    function: str = ""


def plain_vrt(grid: Grid, bands: Sequence[VrtBand], dtype: str, nodata: float | None, folder: Path) -> str:
    """The XML of a plain VRT that will lie in ``folder``."""
    gdal_type = gdal.GetDataTypeName(DTYPES[dtype])
    lines = [
        f'<VRTDataset rasterXSize="{grid.width}" rasterYSize="{grid.height}">',
        f'  <SRS dataAxisToSRSAxisMapping="1,2">{escape(grid.crs_wkt)}</SRS>',
        f"  <GeoTransform>{', '.join(repr(float(value)) for value in grid.transform)}</GeoTransform>",
    ]
    for index, band in enumerate(bands, start=1):
        derived = ' subClass="VRTDerivedRasterBand"' if band.function else ""
        lines.append(f'  <VRTRasterBand dataType="{gdal_type}" band="{index}"{derived}>')
        lines.append(f"    <Description>{escape(band.name)}</Description>")
        if nodata is not None:
            lines.append(f"    <NoDataValue>{nodata!r}</NoDataValue>")
        if band.function:
            lines.append(f"    <PixelFunctionType>{band.function}</PixelFunctionType>")
        lines += source_lines(band, folder)
        lines.append("  </VRTRasterBand>")
    lines.append("</VRTDataset>")
    return "\n".join(lines) + "\n"


def source_lines(band: VrtBand, folder: Path) -> list[str]:
    """The element of a band of a VRT in ``folder`` that shows a file."""
    scaled = (band.scale, band.offset) != (1.0, 0.0)
    kind = "ComplexSource" if scaled or band.source_nodata is not None else "SimpleSource"
    same_size = (band.target.width, band.target.height) == band.size
    resampling = "" if same_size or band.resampling == NEAREST else f' resampling="{band.resampling}"'
    lines = [
        f"    <{kind}{resampling}>",
        f"      {source_filename(band.path, folder)}",
        f"      <SourceBand>{band.band}</SourceBand>",
        f'      <SrcRect xOff="0" yOff="0" xSize="{band.size[0]}" ySize="{band.size[1]}"/>',
        f'      <DstRect xOff="{band.target.column}" yOff="{band.target.row}" '
        f'xSize="{band.target.width}" ySize="{band.target.height}"/>',
    ]
    if scaled:
        lines.append(f"      <ScaleOffset>{band.offset!r}</ScaleOffset>")
        lines.append(f"      <ScaleRatio>{band.scale!r}</ScaleRatio>")
    if band.source_nodata is not None:
        lines.append(f"      <NODATA>{band.source_nodata!r}</NODATA>")
    lines.append(f"    </{kind}>")
    return lines


def source_filename(path: str, folder: Path) -> str:
    """The element that names a source, relative to the VRT's folder where both lie on one drive."""
    relative = relative_to(path, folder)
    if relative is None:
        return f'<SourceFilename relativeToVRT="0" shared="0">{escape(path)}</SourceFilename>'
    return f'<SourceFilename relativeToVRT="1" shared="0">{escape(relative)}</SourceFilename>'


def relative_to(path: str, folder: Path) -> str | None:
    """``path`` relative to ``folder`` with forward slashes; None on another drive or for GDAL's virtual paths."""
    if path.startswith("/vsi"):
        return None
    try:
        return Path(os.path.relpath(path, folder)).as_posix()
    except ValueError:
        return None


def warped_vrt(source: str, grid: Grid, dtype: str, resampling: str, nodata: float | None, folder: Path) -> str:
    """The XML of a warped VRT of all bands of ``source`` on ``grid``, to lie in ``folder``.

    Exact: error threshold 0. The no-data value that the source declares is left out of every mean.

    Raises:
        LandloomError: if the source cannot be brought to the grid.
    """
    xmin, ymin, xmax, ymax = grid.bounds
    dataset = open_raster(source)
    with quiet_gdal() as messages:
        options = gdal.WarpOptions(
            format="VRT",
            dstSRS=grid.crs_wkt,
            outputBounds=(xmin, ymin, xmax, ymax),
            width=grid.width,
            height=grid.height,
            resampleAlg=resampling,
            errorThreshold=0,
            outputType=DTYPES[dtype],
            dstNodata=nodata,
        )
        try:
            warped = gdal.Warp("", dataset, options=options)
        except RuntimeError as error:
            messages.append(str(error))
            warped = None
    if warped is None:
        reason = messages[-1] if messages else tr("GDAL gives no reason")
        raise LandloomError(
            tr("Cannot bring {source} to the grid of the stack: {reason}.").format(source=source, reason=reason)
        )
    text = warped.GetMetadata("xml:VRT")[0]
    start = text.index("<SourceDataset")
    end = text.index("</SourceDataset>")
    relative = relative_to(source, folder)
    name = source if relative is None else relative
    flag = 0 if relative is None else 1
    return text[:start] + f'<SourceDataset relativeToVRT="{flag}" shared="0">{escape(name)}' + text[end:]


def resampling_of(ratio: float) -> str:
    """How values of pixels ``ratio`` times as large as the grid's come to it: bilinear, or the mean of finer ones."""
    return BILINEAR if ratio > 1 else AVERAGE


def placement(source: Grid, grid: Grid, name: str) -> tuple[Window, float] | None:
    """As :func:`.grid.place`, checking that a raster whose corners agree also meets the grid.

    Raises:
        LandloomError: if it lies wholly outside.
    """
    placed = place(source, grid)
    if placed is not None:
        common = placed[0].intersection(grid.whole)
        if not common.width or not common.height:
            raise LandloomError(outside(name))
    return placed


def outside(name: str) -> str:
    """The sentence for a raster that does not meet the grid."""
    return tr("The raster {name} does not overlap the other layers; check its CRS and place, or leave it out.").format(
        name=name
    )
