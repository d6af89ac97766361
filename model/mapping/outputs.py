"""The rasters a run makes: what each holds, and how parts become whole files that take their names last."""

from __future__ import annotations

import contextlib
import os
import uuid
import zlib
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from osgeo import gdal

from ..base.errors import Cancelled, LandloomError
from ..base.files import PARTIAL, cannot_write, make_folder, writing_failed
from ..base.language import tr
from ..base.progress import Progress
from ..base.raster import DTYPES, gdal_handler, gdal_options, open_raster, read_array
from ..stack.grid import Grid
from .chunks import Area, Block
from .journal import Journal
from .overviews import needs_overviews, optimise

TILE = 256
SIDECARS = (".aux.xml", ".ovr", ".msk")


@dataclass(frozen=True)
class Layer:
    """One output raster.

    Attributes:
        name: how the computation calls it, such as ``map``.
        path: the GeoTIFF to write.
        bands: the number of bands.
        dtype: numpy's name of the type, such as ``uint8``.
        nodata: what pixels hold that are not computed.
        band_names: a description for each band, or none.
        scale: physical = value * scale, declared in the file.
        color_table: of the first band.
        categories: names by value, of the first band.
        qml: a QGIS style, written beside the file.
        tags: metadata items of the file.
    """

    name: str
    path: Path
    bands: int
    dtype: str
    nodata: float
    band_names: Sequence[str] = ()
    scale: float | None = None
    color_table: gdal.ColorTable | None = None
    categories: Sequence[str] = ()
    qml: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)

    def empty(self, height: int, width: int) -> np.ndarray:
        """``[bands, height, width]`` of no data."""
        return np.full((self.bands, height, width), self.nodata, self.dtype)


def check_outputs(paths: Sequence[Path]) -> None:
    """Refuse, before any work, names that are not GeoTIFFs or that are given twice.

    Raises:
        LandloomError: naming the output.
    """
    seen: set[str] = set()
    for path in paths:
        if path.suffix.lower() not in (".tif", ".tiff"):
            raise LandloomError(tr("The output {path} must be a GeoTIFF: let its name end in .tif.").format(path=path))
        if path.is_dir():
            raise LandloomError(tr("The output {path} is a folder: give the name of a .tif file.").format(path=path))
        key = os.path.normcase(os.path.abspath(path))
        if key in seen:
            raise LandloomError(tr("Two outputs have the same name {path}: give each its own.").format(path=path))
        seen.add(key)


def assemble(
    layers: Sequence[Layer],
    grid: Grid,
    area: Area,
    blocks: Sequence[Block],
    journal: Journal,
    memory: int,
    progress: Progress,
) -> None:
    """Make whole files of the parts; they take their final names together, the first layer last.

    Args:
        layers: the rasters to make.
        grid: the grid of the stack.
        area: the part of it that the files cover.
        blocks: those that have a part; the rest is no data.
        journal: gives the parts.
        memory: bytes to work in.
        progress: shown, and asked whether to stop.

    Raises:
        LandloomError: if a file cannot be written; nothing has its final name then, unless an output was
            opened by another program in this very moment.
    """
    temporary: dict[str, Path] = {}
    try:
        for index, layer in enumerate(layers):
            make_folder(layer.path.parent)
            name = f"{layer.path.stem}.{uuid.uuid4().hex[:8]}{PARTIAL}{layer.path.suffix}"
            temporary[layer.name] = layer.path.with_name(name)
            step = progress.part(100.0 * index / len(layers), 100.0 * (index + 1) / len(layers))
            _write(layer, temporary[layer.name], grid, area, blocks, journal, memory, step.part(0, 70))
            finish(layer, temporary[layer.name], area, step.part(70, 100))
        for layer in reversed(layers):
            publish(layer, temporary[layer.name])
    finally:
        for path in temporary.values():
            for suffix in ("", *SIDECARS):
                with contextlib.suppress(OSError):
                    Path(f"{path}{suffix}").unlink(missing_ok=True)


def finish(layer: Layer, temporary: Path, area: Area, progress: Progress) -> None:
    """Give a large raster of one band its overviews, before it is published.

    Raises:
        LandloomError: if there is no room for them.
    """
    if needs_overviews(area.width, area.height, layer.bands):
        optimise(temporary, bool(layer.categories or layer.color_table), progress)


def publish(layer: Layer, temporary: Path) -> None:
    """Give a raster its final name, after its sidecars have theirs; those of an older file go, and that before.

    So a kill in between leaves no raster under its name, rather than one with the classes of another.
    """
    final = layer.path
    style = final.with_suffix(".qml")
    partial = style.with_name(f"{style.stem}.{uuid.uuid4().hex[:8]}{PARTIAL}.qml")
    try:
        if layer.qml:
            partial.write_text(layer.qml, encoding="utf-8")
        final.unlink(missing_ok=True)
        style.unlink(missing_ok=True)
        for suffix in SIDECARS:
            new, old = Path(f"{temporary}{suffix}"), Path(f"{final}{suffix}")
            if new.exists():
                os.replace(new, old)
            else:
                old.unlink(missing_ok=True)
        if layer.qml:
            os.replace(partial, style)
        os.replace(temporary, final)
    except OSError as error:
        raise LandloomError(writing_failed(final, error)) from error
    finally:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)


@contextlib.contextmanager
def collected_errors() -> Iterator[list[str]]:
    """GDAL's errors of this thread; ``.aux.xml`` is allowed, since category names live there."""
    errors: list[str] = []

    def collect(level: int, message: str) -> None:
        if level >= gdal.CE_Failure:
            errors.append(message.strip())

    with gdal_options(GDAL_PAM_ENABLED="YES"):
        gdal.PushErrorHandler(gdal_handler(collect))
        try:
            yield errors
        finally:
            gdal.PopErrorHandler()


def _write(
    layer: Layer,
    path: Path,
    grid: Grid,
    area: Area,
    blocks: Sequence[Block],
    journal: Journal,
    memory: int,
    progress: Progress,
) -> None:
    checksums = []
    parts = _Parts(layer, blocks, journal, memory // 3)
    cached = gdal.GetCacheUsed() + memory // 3
    with collected_errors() as errors:
        try:
            dataset = create(layer, path, grid, area)
            if dataset is not None:
                for piece, values in _pieces(layer, area, parts, memory // 3, progress):
                    checksums.append((piece, checksum(values)))
                    for index in range(layer.bands):
                        band = dataset.GetRasterBand(index + 1)
                        band.WriteArray(values[index], piece.column - area.column, piece.row - area.row)
                        band = None
                    progress.check()
                    if errors:
                        break
                    if gdal.GetCacheUsed() > cached:  # whole tiles only, so that none is compressed twice
                        dataset.FlushCache()
                dataset.FlushCache()
            dataset = None
        except RuntimeError as error:  # when someone switched GDAL's exceptions on
            errors.append(str(error))
            dataset = None
    # GDAL may flush a tile from another thread, whose errors we do not see: what was written is read again.
    if errors or not reads_back(layer, path, area, checksums, progress):
        raise not_whole(layer.path, errors)


def not_whole(path: Path, errors: Sequence[str]) -> LandloomError:
    """The error of a file that is not what was written into it, by what GDAL said of it."""
    return LandloomError(cannot_write(path, errors[-1] if errors else tr("the file is not whole")))


def create(layer: Layer, path: Path, grid: Grid, area: Area) -> gdal.Dataset | None:
    """An empty GeoTIFF for a layer, with its names, colours and tags; None where GDAL cannot make it."""
    options = ["TILED=YES", f"BLOCKXSIZE={TILE}", f"BLOCKYSIZE={TILE}", "COMPRESS=DEFLATE", "BIGTIFF=IF_SAFER"]
    if layer.bands > 1:
        options += ["INTERLEAVE=BAND", "PREDICTOR=2"]
    driver = gdal.GetDriverByName("GTiff")
    dataset = driver.Create(str(path), area.width, area.height, layer.bands, DTYPES[layer.dtype], options)
    if dataset is None:
        return None
    x, a, b, y, d, e = grid.transform
    corner = (x + area.column * a + area.row * b, a, b, y + area.column * d + area.row * e, d, e)
    dataset.SetGeoTransform(corner)
    dataset.SetProjection(grid.crs_wkt)
    for name, text in layer.tags.items():
        dataset.SetMetadataItem(name, text)
    for index in range(layer.bands):
        band = dataset.GetRasterBand(index + 1)
        band.SetNoDataValue(layer.nodata)
        if layer.band_names:
            band.SetDescription(layer.band_names[index])
        if layer.scale is not None:
            band.SetScale(layer.scale)
            band.SetOffset(0.0)
        if index == 0 and layer.color_table is not None:
            band.SetRasterColorTable(layer.color_table)
        if index == 0 and layer.categories:
            band.SetRasterCategoryNames(list(layer.categories))
    return dataset


class _Parts:
    """The parts of one layer, a few of them kept in memory."""

    def __init__(self, layer: Layer, blocks: Sequence[Block], journal: Journal, memory: int) -> None:
        self._layer, self._journal = layer, journal
        self._rows: dict[int, list[Block]] = {}
        for block in blocks:
            self._rows.setdefault(block.area.row, []).append(block)
        self._kept: OrderedDict[int, np.ndarray] = OrderedDict()
        self._used, self._memory = 0, memory

    def fill(self, piece: Area) -> np.ndarray:
        """``[bands, H, W]`` of a piece of the grid."""
        values = self._layer.empty(piece.height, piece.width)
        for row in self._rows.values():
            if row[0].area.row >= piece.bottom or row[0].area.bottom <= piece.row:
                continue
            for block in row:
                both = block.area.intersection(piece)
                if both.width and both.height:
                    values[_slices(both, piece)] = self._load(block)[_slices(both, block.area)]
        return values

    def _load(self, block: Block) -> np.ndarray:
        part = self._kept.pop(block.index, None)
        if part is None:
            part = self._journal.load(block, self._layer.name)
            self._used += part.nbytes
        self._kept[block.index] = part
        while self._used > self._memory and len(self._kept) > 1:
            self._used -= self._kept.popitem(last=False)[1].nbytes
        return part


def _slices(part: Area, whole: Area) -> tuple[slice, slice, slice]:
    top, left = part.row - whole.row, part.column - whole.column
    return slice(None), slice(top, top + part.height), slice(left, left + part.width)


def _pieces(
    layer: Layer, area: Area, parts: _Parts, memory: int, progress: Progress
) -> Iterator[tuple[Area, np.ndarray]]:
    """Whole tiles of the file, so that each is compressed once, row by row."""
    size = TILE * TILE * layer.bands * np.dtype(layer.dtype).itemsize
    width = max(1, min(memory // (2 * size), 64)) * TILE
    for row in range(0, area.height, TILE):
        progress.percent(100.0 * row / area.height)
        for column in range(0, area.width, width):
            piece = Area(
                area.column + column,
                area.row + row,
                min(width, area.width - column),
                min(TILE, area.height - row),
            )
            yield piece, parts.fill(piece)


def checksum(values: np.ndarray) -> int:
    """What :func:`reads_back` compares."""
    return zlib.crc32(np.ascontiguousarray(values).data)


def reads_back(layer: Layer, path: Path, area: Area, checksums: list[tuple[Area, int]], progress: Progress) -> bool:
    """Whether a file holds what was written: GDAL may flush a tile from another thread, whose errors we do not see."""
    try:
        dataset = open_raster(path)
        if (dataset.RasterXSize, dataset.RasterYSize, dataset.RasterCount) != (area.width, area.height, layer.bands):
            return False
        for piece, expected in checksums:
            progress.check()
            window = (piece.column - area.column, piece.row - area.row, piece.width, piece.height)
            if checksum(read_array(dataset, window)) != expected:
                return False
            dataset.FlushCache()  # GDAL would keep these tiles, which nobody reads again
    except Cancelled:
        raise
    except LandloomError:
        return False
    return bool(checksums)
