"""The virtual form of a mosaic: a small file that shows the maps where they lie, without a copy of their pixels."""

from __future__ import annotations

import contextlib
import os
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from osgeo import gdal

from ..base.files import PARTIAL, make_folder, whole_file
from ..base.progress import Progress
from ..base.raster import DTYPES, open_raster
from ..stack.grid import Grid, place
from ..stack.vrt import NEAREST, VrtBand, source_lines, warped_vrt
from . import outputs

if TYPE_CHECKING:
    from .mosaic import MosaicMap


def write_virtual(layer: outputs.Layer, grid: Grid, labels: Sequence[MosaicMap], progress: Progress) -> None:
    """Write a VRT of maps, the first of the list on top where they overlap.

    Maps whose pixels are those of the mosaic are named as they are, so that their overviews serve; others by warped
    VRTs, which lie in the folder ``<stem>_mosaic`` and take the nearest pixel.

    Args:
        layer: names, colours and style; its path ends in ``.vrt``.
        grid: of the mosaic.
        labels: the maps, on that grid.
        progress: asked whether to stop.

    Raises:
        LandloomError: if it cannot be written; what was there before stays then.
        Cancelled: if the user asked to stop; likewise.
    """
    folder = layer.path.with_name(f"{layer.path.stem}_mosaic")
    made: list[Path] = []
    temporary = layer.path.with_name(f"{layer.path.stem}.{uuid.uuid4().hex[:8]}{PARTIAL}.vrt")
    try:
        sources = []
        for number, one in enumerate(labels):
            progress.check()
            sources.append(
                _source(one, grid, layer.dtype, folder / f"{number + 1:03d}_{Path(one.path).stem}.vrt", made)
            )
        lines = [line for source in reversed(sources) for line in source_lines(source, layer.path.parent)]
        with whole_file(temporary) as written:
            written.write_text(_description(layer, grid, lines), encoding="utf-8")
        open_raster(temporary)
        outputs.publish(layer, temporary)
    except BaseException:
        for path in made:
            path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # not ours alone
            folder.rmdir()
        raise
    finally:
        temporary.unlink(missing_ok=True)


def _source(one: MosaicMap, grid: Grid, dtype: str, path: Path, made: list[Path]) -> VrtBand:
    """How a map is shown; 0 is transparent."""
    placed = place(one.grid, grid)
    nodata = one.dataset.GetRasterBand(1).GetNoDataValue()
    source = one.path if one.path.startswith("/vsi") else os.path.abspath(one.path)
    if placed is None or placed[1] != 1.0 or nodata not in (None, 0.0):
        make_folder(path.parent)
        text = warped_vrt(source, grid.crop(one.window), dtype, NEAREST, 0.0, path.parent)
        if not path.exists():
            made.append(path)
        with whole_file(path) as temporary:
            temporary.write_text(text, encoding="utf-8")
        source = str(path.absolute())
    size = one.window.width, one.window.height
    return VrtBand("", source, 1, size, one.window, source_nodata=0.0)


def _description(layer: outputs.Layer, grid: Grid, sources: Sequence[str]) -> str:
    """The text of the VRT."""
    empty = gdal.GetDriverByName("VRT").Create("", grid.width, grid.height, 1, DTYPES[layer.dtype])
    empty.SetGeoTransform(grid.transform)
    empty.SetProjection(grid.crs_wkt)
    for name, text in layer.tags.items():
        empty.SetMetadataItem(name, text)
    band = empty.GetRasterBand(1)
    band.SetNoDataValue(layer.nodata)
    band.SetDescription(layer.band_names[0])
    band.SetRasterColorTable(layer.color_table)
    band.SetRasterCategoryNames(list(layer.categories))
    text = empty.GetMetadata("xml:VRT")[0]
    end = text.index("</VRTRasterBand>")
    return "\n".join([text[:end].rstrip(), *sources, "  " + text[end:]])
