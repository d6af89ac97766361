"""Segmentation of an image into objects: superpixels, region merging, tiles stitched without a seam."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from osgeo import gdal

from ..base.errors import LandloomError
from ..base.files import check_writable, whole_file
from ..base.language import tr
from ..base.progress import Progress
from ..base.raster import gdal_cannot_write, gdal_options, open_raster, quiet_gdal, read_array
from ..mapping.chunks import Area
from ..mapping.labelraster import LabelRaster, label_raster
from ..mapping.mask import AreaMask
from ..mapping.outputs import check_outputs
from ..stack.grid import Bounds, Grid, Window
from ..stack.manifest import Stack
from .merging import Criterion
from .segmentation_image import RasterImage, StackImage, StretchedImage
from .segmentation_superpixels import Superpixels, chunk_mb
from .stitching import Stitcher, Tiles, write_numbered

FIELD_SCALE = 80.0
"""Metres: SCALE times the side of a pixel that suits smallholders' fields of some tenths of a hectare. What merging two
parts costs grows with their pixels, so SCALE grows with the pixels along a field."""

LOWEST_SCALE, HIGHEST_SCALE = 4.0, 400.0  # of those that follow from the pixel
MARGIN = 384
SMALLEST_TILE = 512
CREATION = ("TILED=YES", "COMPRESS=DEFLATE", "ZLEVEL=1", "PREDICTOR=2", "BIGTIFF=IF_SAFER")
_CHUNKS = 1 / 6  # of the memory, for chunks that are cut side by side
_BASE_MB = 24  # what is small: tables by object, the stretch, what waits to be written
_NUMBERS = 1 / 8  # of the memory, for GDAL's blocks of the raster of numbers


@dataclass(frozen=True)
class SegmentSettings:
    """The choices of ``segment``: see its parameters.

    Attributes:
        scale: None for :data:`FIELD_SCALE` metres divided by the side of a pixel.
        min_size: square metres; 0 for none.
        superpixel: side of a superpixel in pixels.
        tiles: side and margin in pixels instead of those that memory allows.
    """

    scale: float | None = None
    colour: float = 0.5
    compactness: float = 0.5
    min_size: float = 0.0
    superpixel: int = 4
    mask: str | None = None
    bounds: Bounds | None = None
    memory_mb: float = 1024
    tiles: Tiles | None = None

    def check(self) -> None:
        """Refuse what is out of range.

        Raises:
            LandloomError: naming the parameter.
        """
        if self.scale is not None and not self.scale > 0:
            raise LandloomError(tr("SCALE is {scale:g}; give a number above 0, such as 50.").format(scale=self.scale))
        for name, value in (("COLOUR_WEIGHT", self.colour), ("COMPACTNESS_WEIGHT", self.compactness)):
            if not 0 <= value <= 1:
                raise LandloomError(
                    tr("{name} is {value:g}; give a number from 0 to 1.").format(name=name, value=value)
                )
        if self.min_size < 0:
            raise LandloomError(
                tr("MIN_SIZE is {min_size:g}; give square metres, 0 or more.").format(min_size=self.min_size)
            )
        if not 2 <= self.superpixel <= 32:
            raise LandloomError(
                tr("SUPERPIXEL is {superpixel}; give a side from 2 to 32 pixels.").format(superpixel=self.superpixel)
            )


def open_image(
    raster: str | None, stack: Stack | str | None, sensors: Sequence[str], dates: Sequence[str], memory_mb: float
) -> RasterImage | StackImage:
    """The image to segment: a raster, or chosen sensors and dates of a stack.

    Raises:
        LandloomError: if neither or both are given.
    """
    if raster and not stack:
        if sensors or dates:
            raise LandloomError(tr("SENSOR and DATES choose from a STACK; leave them empty with INPUT."))
        return RasterImage(raster)
    if stack and not raster:
        return StackImage(stack, sensors, dates, stack_reading_mb(memory_mb))
    raise LandloomError(tr("Give either INPUT, a raster, or STACK, a stack.json."))


def segment(
    image: RasterImage | StackImage,
    output: str | os.PathLike[str],
    settings: SegmentSettings | None = None,
    progress: Progress | None = None,
) -> int:
    """Write the objects of an image as a raster of labels 1..N, 0 where there is no data or outside the mask.

    Args:
        image: what is segmented.
        output: the GeoTIFF (UInt32) to write.
        settings: the parameters.
        progress: told what is done; asked whether to stop.

    Returns:
        the number of objects.

    Raises:
        LandloomError: for a wrong parameter, nothing to segment, or a failed write.
        ChangedError: if the image changed meanwhile.
    """
    settings, progress = settings or SegmentSettings(), progress or Progress()
    settings.check()
    output = Path(output)
    check_outputs([output])
    check_writable(output)
    window = _window(image.grid, settings.bounds)
    width, height = window.width, window.height
    smallest = settings.min_size / image.grid.crop(window).pixel_area
    tiles = settings.tiles or tiles_for(width, height, image.bands, settings, image.reading_mb)
    plan = tiles.plan(width, height)
    scale = settings.scale or scale_for(image.grid.crop(window))
    criterion = Criterion(scale, settings.colour, settings.compactness)
    with label_raster(output, width, height, settings.memory_mb) as numbers:
        mask_path = output.with_name(f"{output.stem}.mask{os.getpid()}.partial.tif")
        try:
            mask = None
            if settings.mask:
                mask = AreaMask(settings.mask, image.grid, Area(*window), mask_path, progress)
            stretched = StretchedImage(image, window, mask)
            progress.info(
                tr(
                    "{width} x {height} pixels, {bands} bands, SCALE {scale:g}, superpixels of {superpixel} x "
                    "{superpixel} pixels, {n_plan} {what}."
                ).format(
                    scale=scale,
                    width=width,
                    height=height,
                    bands=image.bands,
                    superpixel=settings.superpixel,
                    n_plan=len(plan),
                    what=tr("tiles") if len(plan) > 1 else tr("tile"),
                )
            )
            progress.text(tr("Segmenting"))
            superpixels = Superpixels(stretched, settings.superpixel, threads_for(image.bands, settings))
            united = Stitcher(superpixels, criterion, smallest, numbers).run(plan, width, height, progress.part(0, 90))
            if mask is not None:
                mask.close()
        finally:
            mask_path.unlink(missing_ok=True)
        image.check_unchanged()
        sizes = write_labels(output, numbers, united, stretched.grid, progress.part(90, 100))
    progress.info(sizes_in_words(sizes, stretched.grid.pixel_area / 1e4, scale))
    return len(sizes)


def scale_for(grid: Grid) -> float:
    """SCALE by the size of the pixels: 8 for 10 m, 13 for 6 m, 53 for 1.5 m."""
    return round(float(np.clip(FIELD_SCALE / math.sqrt(grid.pixel_area), LOWEST_SCALE, HIGHEST_SCALE)), 1)


def sizes_in_words(sizes: np.ndarray, hectares: float, scale: float) -> str:
    """A log line on how large the objects are, by which one sees whether SCALE suits.

    Args:
        sizes: pixels of each object.
        hectares: of a pixel.
        scale: that was used.
    """
    if not len(sizes):
        return tr("No object.")
    median, large = (float(one) for one in np.percentile(sizes, [50, 90]))
    return tr(
        "{count:,} objects: half of them up to {median:,.0f} pixels ({median_ha:,.3g} ha), the largest tenth above "
        "{large:,.0f} pixels ({large_ha:,.3g} ha). Larger than your fields: a smaller SCALE than {scale:g}; smaller: "
        "a larger one."
    ).format(
        count=len(sizes),
        median=median,
        median_ha=median * hectares,
        large=large,
        large_ha=large * hectares,
        scale=scale,
    )


def write_labels(output: Path, numbers: LabelRaster, united: np.ndarray, grid: Grid, progress: Progress) -> np.ndarray:
    """Write the final labels; returns the pixels of each.

    Raises:
        LandloomError: if the file cannot be written.
    """
    with whole_file(output) as temporary, gdal_options(GDAL_PAM_ENABLED="NO"), quiet_gdal() as messages:
        sizes = np.zeros(0, np.int64)
        try:
            driver = gdal.GetDriverByName("GTiff")
            target = driver.Create(str(temporary), grid.width, grid.height, 1, gdal.GDT_UInt32, CREATION)
            if target is None:
                raise gdal_cannot_write(output, messages)
            target.SetGeoTransform(list(grid.transform))
            target.SetProjection(grid.crs_wkt)
            band = target.GetRasterBand(1)
            band.SetNoDataValue(0)
            band.SetDescription("object")
            sizes = write_numbered(numbers, united, band, grid.width, grid.height, progress)
            target.FlushCache()
            target = band = None
        except RuntimeError as error:
            messages.append(str(error))
        if any("rite" in message or "space" in message for message in messages):
            raise gdal_cannot_write(output, messages)
    return sizes


def stack_reading_mb(memory_mb: float) -> float:
    """For reading a stack: with more of it each block of the images is decoded less often."""
    return max(min(memory_mb / 4, 48.0), min(memory_mb / 8, 192.0))


def threads_for(bands: int, settings: SegmentSettings) -> int:
    """Chunks cut into superpixels side by side: one a processor, 4 at most, in a share of the memory."""
    affordable = int(settings.memory_mb * _CHUNKS / chunk_mb(bands, settings.superpixel))
    return max(1, min(4, os.cpu_count() or 1, affordable))


def tiles_for(width: int, height: int, bands: int, settings: SegmentSettings, reading_mb: float = 0.0) -> Tiles:
    """The largest tiles that memory allows; one for the whole image where it fits.

    Args:
        width: pixels of the image.
        height: pixels of the image.
        bands: of the image.
        settings: the parameters.
        reading_mb: what reading takes beside.

    Raises:
        LandloomError: if there is no room for the smallest tile, with the memory that has.
    """
    of_stack = reading_mb == stack_reading_mb(settings.memory_mb)  # which would be more with more memory

    def room_of(memory_mb: float) -> float:
        chunks = threads_for(bands, replace(settings, memory_mb=memory_mb)) * chunk_mb(bands, settings.superpixel)
        beside = _BASE_MB + chunks + (stack_reading_mb(memory_mb) if of_stack else reading_mb)
        return max(0.0, memory_mb * (1 - _NUMBERS) - beside) * 2**20

    room = room_of(settings.memory_mb)
    cells = 1 / settings.superpixel**2
    bytes_per_pixel = 12 + cells * (48 * bands + 380)  # measured: 48 for 4 bands and superpixels of 4 pixels
    side = int(math.sqrt(room / bytes_per_pixel))
    if width * height <= side * side:
        return Tiles(max(width, height), 0)
    smallest = SMALLEST_TILE + 2 * MARGIN
    if side >= smallest:
        return Tiles(side - 2 * MARGIN, MARGIN)
    pixels = min(width * height, min(width, smallest) * min(height, smallest))
    if pixels * bytes_per_pixel <= room:
        return Tiles(SMALLEST_TILE, MARGIN)
    least = math.ceil(settings.memory_mb) + 1
    while pixels * bytes_per_pixel > room_of(least):
        least += 1
    raise LandloomError(
        tr(
            "MEMORY_MB {memory_mb:g} is too small for {bands} bands: give {least} or more, or fewer bands by SENSOR "
            "and DATES."
        ).format(memory_mb=settings.memory_mb, bands=bands, least=least)
    )


def _window(grid: Grid, bounds: Bounds | None) -> Window:
    if bounds is None:
        return grid.whole
    window = grid.window(bounds).intersection(grid.whole)
    if not window.width or not window.height:
        raise LandloomError(tr("EXTENT does not meet the image: check its coordinates and CRS."))
    return window


def read_labels(path: str | os.PathLike[str]) -> tuple[Grid, Callable[[int, int], np.ndarray]]:
    """The grid of a raster of labels, and a function that reads some of its rows: first row, rows -> ``[rows, W]``."""
    source = RasterImage(path)
    dataset = open_raster(path)

    def rows_of(row: int, rows: int) -> np.ndarray:
        labels = read_array(dataset, (0, row, source.grid.width, rows), [1])[0]
        dataset.FlushCache()  # whole rows, which are not asked for again soon: GDAL would keep them
        return labels

    return source.grid, rows_of
