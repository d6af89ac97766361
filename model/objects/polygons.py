"""Polygons of the regions of a raster, strip by strip: memory holds a strip and the lines of regions that go on."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from osgeo import ogr

from ..base.freedmemory import give_back_freed_memory
from ..base.progress import Progress
from ..base.vectorfile import write_table
from ..stack.grid import Grid
from .arcs import Arcs, Rings, arcs_of, rings_of
from .simplify import simplified

ReadRows = Callable[[int, int], np.ndarray]
"""First row and number of rows -> labels ``[rows, W]``, 0 = outside."""

_BYTES_PER_PIXEL = 110  # of a strip: labels, sides of pixels, arcs of a map with many small patches


def rows_in_memory(width: int, height: int, memory_mb: float) -> int:
    """Rows of a strip."""
    return int(np.clip(memory_mb * 2**20 / 2 / (_BYTES_PER_PIXEL * width), 16, max(16, height)))


def polygons_of(
    read: ReadRows,
    grid: Grid,
    count: int,
    tolerance: float,
    rows: int,
    progress: Progress | None = None,
) -> Iterator[Rings]:
    """The rings of all regions, those of a strip in which regions end at a time, by rising label.

    Args:
        read: gives the labels 1..count; each is a region connected by pixel sides.
        grid: of the raster.
        count: the highest label.
        tolerance: pixels, see :func:`~landloom.model.objects.simplify.simplified`.
        rows: of a strip; lines keep their point on the border of two strips.
        progress: asked whether to stop.
    """
    progress = progress or Progress()
    above = np.zeros(grid.width, np.int64)
    done = np.zeros(count + 1, bool)
    done[0] = True
    waiting: Arcs | None = None
    for row in range(0, grid.height, rows):
        progress.check()
        height = min(rows, grid.height - row)
        last = row + height >= grid.height
        labels = read(row, height)
        arcs = simplified(arcs_of(above, labels, row, last), tolerance, grid.width, row + height, progress)
        if waiting is not None:
            arcs = Arcs.joined([waiting, arcs])
        wanted = np.zeros(count + 1, bool)
        wanted[arcs.left] = True
        wanted[arcs.right] = True
        goes_on = np.zeros(count + 1, bool)
        if not last:
            goes_on[labels[-1]] = True
        goes_on[0] = False
        wanted &= ~goes_on & ~done
        if wanted.any():
            yield rings_of(arcs, wanted)
            done |= wanted
        waiting = arcs.take(np.flatnonzero(goes_on[arcs.left] | goes_on[arcs.right]))
        above = labels[-1].astype(np.int64)


def written_order(last_row: np.ndarray, rows: int, height: int) -> np.ndarray:
    """Labels in the order in which :func:`polygons_of` gives them.

    A region that reaches the last row of a strip is whole only with the upper sides of the next one.

    Args:
        last_row: ``[N + 1]`` by label; label 0 is none.
        rows: of a strip.
        height: of the raster.
    """
    strip = np.minimum((last_row[1:] + 1) // rows, (height - 1) // rows)
    return np.argsort(strip, kind="stable") + 1


def wkb_of(rings: Rings, grid: Grid) -> Iterator[bytes]:
    """Each region's polygon as WKB, in the grid's CRS."""
    x, dx, _, y, _, dy = grid.transform
    points = np.empty((len(rings.points), 2), "<f8")
    points[:, 0] = x + rings.points[:, 0] * (dx / 2)
    points[:, 1] = y + rings.points[:, 1] * (dy / 2)
    borders = np.flatnonzero(np.concatenate([[True], rings.region[1:] != rings.region[:-1], [True]]))
    data, offsets = points.tobytes(), rings.offsets.tolist()
    for first, after in zip(borders[:-1].tolist(), borders[1:].tolist(), strict=True):
        parts = [struct.pack("<BII", 1, 3, after - first)]
        for ring in range(first, after):
            start, end = offsets[ring], offsets[ring + 1]
            parts.append(struct.pack("<I", end - start))
            parts.append(data[16 * start : 16 * end])
        yield b"".join(parts)


def write_polygons(
    path: str | os.PathLike[str],
    layer: str,
    read: ReadRows,
    grid: Grid,
    last_row: np.ndarray,
    columns: Mapping[str, np.ndarray | Sequence[object]],
    style: str,
    tolerance: float = 0.0,
    memory_mb: float = 1024,
    progress: Progress | None = None,
) -> None:
    """Write a layer of polygons with its style.

    Args:
        path: the file; its suffix says the format.
        layer: its name.
        read: gives the labels.
        grid: of the raster.
        last_row: ``[N + 1]`` the last row of each label.
        columns: name -> values by label, ``[N + 1]``.
        style: QML.
        tolerance: pixels.
        memory_mb: what may be taken.
        progress: told of the share done; asked whether to stop.

    Raises:
        LandloomError: if it cannot be written.
    """
    progress = progress or Progress()
    rows = rows_in_memory(grid.width, grid.height, memory_mb)
    order = written_order(last_row, rows, grid.height)
    count = len(last_row) - 1

    def geometries() -> Iterator[bytes]:
        for rings in polygons_of(read, grid, count, tolerance, rows, progress):
            yield from wkb_of(rings, grid)

    ordered = {name: np.asanyarray(values)[order] for name, values in columns.items()}
    write_table(path, layer, grid.crs_wkt, ogr.wkbPolygon, geometries(), ordered, progress, style)


def write_object_polygons(
    raster: ReadRows,
    grid: Grid,
    count: int,
    path: str | os.PathLike[str],
    memory_mb: float,
    progress: Progress,
) -> None:
    """The polygons of a segmentation, along pixel sides: ``id`` (the label) and ``area_m2``.

    Raises:
        LandloomError: if it cannot be written.
    """
    give_back_freed_memory()
    pixels = np.zeros(count + 1, np.int64)
    last_row = np.zeros(count + 1, np.int64)
    step = 256
    for row in range(0, grid.height, step):
        progress.check()
        labels = raster(row, min(step, grid.height - row))
        pixels += np.bincount(labels.ravel(), minlength=count + 1)
        for index in range(len(labels)):
            last_row[labels[index]] = row + index
    columns = {"id": np.arange(count + 1, dtype=np.int64), "area_m2": pixels * grid.pixel_area}
    write_polygons(
        path, Path(path).stem, raster, grid, last_row, columns, outline_style(), 0.0, memory_mb, progress.part(10, 100)
    )


def vector_style(renderer: str) -> str:
    """A QML document of a polygon layer's renderer."""
    return (
        "<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>\n"
        f'<qgis version="3.34.0" styleCategories="Symbology">\n{renderer}\n<blendMode>0</blendMode>\n'
        "<layerGeometryType>2</layerGeometryType>\n</qgis>\n"
    )


def outline_style() -> str:
    """Yellow outlines without a fill, to be laid over the image."""
    pairs = {
        "style": "no", "color": "255,255,255,0", "outline_color": "255,214,0,255", "outline_style": "solid",
        "outline_width": "0.26", "outline_width_unit": "MM",
    }  # fmt: skip
    options = "".join(f'<Option name="{name}" type="QString" value="{value}"/>' for name, value in pairs.items())
    return vector_style(
        '<renderer-v2 type="singleSymbol" enableorderby="0" forceraster="0" symbollevels="0"><symbols>'
        f'<symbol type="fill" name="0" alpha="1" clip_to_extent="1" force_rhr="0">'
        f'<layer class="SimpleFill" enabled="1" locked="0" pass="0"><Option type="Map">{options}</Option></layer>'
        "</symbol></symbols></renderer-v2>"
    )
