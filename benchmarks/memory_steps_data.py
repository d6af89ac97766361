"""What `memory_steps.py` puts the steps to work on: images two to four times as large as MEMORY_MB, quick to make."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from landloom.model.base.progress import Progress
from landloom.model.base.raster import spatial_reference, write_raster
from landloom.model.mapping.classify import CODES_TAG
from osgeo import gdal, ogr

DATES, BANDS = 12, 8
TIMES = 3.5  # the volume of the stack, of MEMORY_MB
CELL = 8  # pixels along an object
CORNER = (500000.0, 10.0, 0.0, 8000000.0, 0.0, -10.0)


def utm() -> str:
    """The CRS of all images."""
    return str(spatial_reference("EPSG:32738").ExportToWkt())


def side_of(memory_mb: float) -> int:
    """Pixels along the stack."""
    return max(256, round(math.sqrt(TIMES * memory_mb * 2**20 / (2 * DATES * BANDS)) / 64) * 64)


def map_size(memory_mb: float) -> tuple[int, int]:
    """Columns and rows of the maps, as wide as ten times their height; as 64-bit numbers twice MEMORY_MB each."""
    height = max(256, round(math.sqrt(2 * memory_mb * 2**20 / 8 / 10) / 64) * 64)
    return 10 * height, height


def picture_side(memory_mb: float) -> int:
    """Pixels along the picture: to cut it in one piece takes 48 bytes a pixel, 2.5 times MEMORY_MB."""
    return max(1024, round(math.sqrt(2.5 * memory_mb * 2**20 / 48) / 64) * 64)


def make_stack(folder: Path, side: int) -> None:
    """Virtual rasters over images that are empty but for a corner: quick to make and read, and GDAL caches them all."""
    from landloom.model.stack.build import source_of, write_stack
    from landloom.model.stack.grid import Grid
    from landloom.model.stack.manifest import Acquisition, Part, Sensor, Stack
    from landloom.model.stack.rasterinfo import inspect

    random = np.random.default_rng(0)
    names = ("B2", "B3", "B4", "B5", "B6", "B7", "B8", "B11")[:BANDS]
    acquisitions = []
    for number in range(DATES):
        options = ["TILED=YES", "SPARSE_OK=TRUE"]
        driver = gdal.GetDriverByName("GTiff")
        image = driver.Create(str(folder / f"{number}.tif"), side, side, BANDS, gdal.GDT_Int16, options)
        image.SetGeoTransform(CORNER)
        image.SetProjection(utm())
        values = random.integers(500, 4000, (BANDS, 256, 256)).astype(np.int16)
        image.WriteArray(values, 0, 0)
        image = None
        path = str(folder / f"{number}.vrt")
        gdal.Translate(path, str(folder / f"{number}.tif"), format="VRT")
        bands = {name: (0, place) for place, name in enumerate(names, start=1)}
        part = Part(str(number), bands, (source_of(inspect(path), None),))
        acquisitions.append(Acquisition(f"2021-{number + 1:02d}-05", 30 * number + 4, (part,)))
    sensor = Sensor("S2", "optical", names, "int16", 1e-4, 0.0, None, "reflectance", acquisitions=tuple(acquisitions))
    grid = Grid(utm(), CORNER, side, side)
    write_stack(Stack(folder / "stack.json", grid, "01-01", 2021, {"S2": sensor}))


def make_squares(path: Path, width: int, height: int, classes: int, side: int = 16, step: int = 64) -> None:
    """Squares of so many classes over a whole image, `side` pixels along, one every `step` pixels."""
    from landloom.model.base.vectorfile import write_table

    shapes, values, along = [], [], 10.0 * side
    for row in range(8, height - step // 2, step):
        for column in range(8, width - step // 2, step):
            x, y = CORNER[0] + 10 * column, CORNER[3] - 10 * row
            ring = ogr.Geometry(ogr.wkbLinearRing)
            for dx, dy in ((0.0, 0.0), (0.0, -along), (along, -along), (along, 0.0), (0.0, 0.0)):
                ring.AddPoint_2D(x + dx, y + dy)
            shape = ogr.Geometry(ogr.wkbPolygon)
            shape.AddGeometry(ring)
            shapes.append(bytes(shape.ExportToWkb()))
            values.append(1 + len(values) % classes)
    write_table(path, "fields", utm(), ogr.wkbPolygon, shapes, {"class": np.array(values)}, Progress())


def make_segments(folder: Path, side: int) -> None:
    """A raster of labels, squares of 8 pixels."""
    cells = np.arange((side // CELL) ** 2, dtype=np.int32).reshape(side // CELL, -1) + 1
    write_raster(folder / "segments.tif", np.kron(cells, np.ones((CELL, CELL), np.int32)), CORNER, utm(), 0)


def make_picture(folder: Path, side: int) -> None:
    """Fields of one colour each with some noise, 4 bands."""
    random = np.random.default_rng(1)
    driver = gdal.GetDriverByName("GTiff")
    picture = driver.Create(str(folder / "picture.tif"), side, side, 4, gdal.GDT_Int16, ["TILED=YES"])
    picture.SetGeoTransform(CORNER)
    picture.SetProjection(utm())
    for row in range(0, side, 256):
        height = min(256, side - row)
        fields = np.kron(random.integers(500, 4000, (4, 256 // 16, -(-side // 24))), np.ones((16, 24)))
        values = fields[:, :height, :side] + random.normal(0, 60, (4, height, side))
        picture.WriteArray(values.astype(np.int16), 0, row)
    picture = None


def make_maps(folder: Path, width: int, height: int) -> None:
    """Two maps of five classes in patches of 16 x 16 pixels, a few of 1 pixel, and a confidence."""
    random = np.random.default_rng(2)
    for name in ("map", "other", "confidence"):
        driver = gdal.GetDriverByName("GTiff")
        kind = gdal.GDT_Byte if name == "confidence" else gdal.GDT_Int32
        raster = driver.Create(str(folder / f"{name}.tif"), width, height, 1, kind, ["TILED=YES", "COMPRESS=ZSTD"])
        raster.SetGeoTransform(CORNER)
        raster.SetProjection(utm())
        raster.GetRasterBand(1).SetNoDataValue(255 if name == "confidence" else 0)
        for row in range(0, height, 192):
            rows = min(192, height - row)
            if name == "confidence":
                values = np.full((rows, width), 80, np.uint8)
            else:
                values = np.kron(random.integers(1, 6, (12, -(-width // 16))), np.ones((16, 16), int))[:rows, :width]
                values[random.random(values.shape) < 0.0005] = 3
            raster.GetRasterBand(1).WriteArray(values, 0, row)
        raster = None


def make_probabilities(folder: Path, width: int, height: int) -> None:
    """The probabilities of five classes for each pixel of the maps, as `classify` writes them."""
    random = np.random.default_rng(3)
    driver = gdal.GetDriverByName("GTiff")
    options = ["TILED=YES", "COMPRESS=ZSTD", "INTERLEAVE=PIXEL"]
    raster = driver.Create(str(folder / "probabilities.tif"), width, height, 5, gdal.GDT_UInt16, options)
    raster.SetGeoTransform(CORNER)
    raster.SetProjection(utm())
    raster.SetMetadataItem(CODES_TAG, "1,2,3,4,5")
    for band in range(1, 6):
        raster.GetRasterBand(band).SetScale(0.0001)
        raster.GetRasterBand(band).SetNoDataValue(65535)
    for row in range(0, height, 256):
        rows = min(256, height - row)
        shares = random.dirichlet(np.ones(5), (-(-rows // 16), -(-width // 16))).transpose(2, 0, 1)
        values = np.kron(shares * 10_000, np.ones((1, 16, 16)))[:, :rows, :width]
        raster.WriteArray(values.astype(np.uint16), 0, row)
    raster = None
