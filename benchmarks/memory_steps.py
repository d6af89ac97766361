"""What the steps beside `classify` and `descriptors` add to the memory that a process holds, beside MEMORY_MB.

    python benchmarks/memory_steps.py --memory-mb 128,256 --json steps.json

Each step runs in a process of its own on images that would take two to four times MEMORY_MB as a whole: a stack of
virtual rasters (12 dates x 8 bands), a picture of 4 bands, maps of many small patches, ten times as wide as high. Held
before: the resident size with all libraries loaded. Added: the largest resident size of the run less that.
GDAL is allowed 2 GB of cache, as on a machine of 40 GB: who leaves it alone shows.
"""

from __future__ import annotations

import argparse
import importlib
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))
from common import load_package, peak_memory_mb

load_package()

import numpy as np  # noqa: E402
from landloom.model.base.freedmemory import give_back_freed_memory  # noqa: E402
from landloom.model.base.progress import Progress  # noqa: E402
from landloom.model.base.raster import spatial_reference, write_raster  # noqa: E402
from osgeo import gdal, ogr  # noqa: E402

DATES, BANDS = 12, 8
TIMES = 3.5  # the volume of the stack, of MEMORY_MB
CELL = 8  # pixels along an object
CORNER = (500000.0, 10.0, 0.0, 8000000.0, 0.0, -10.0)
LIBRARIES = (
    "sklearn.ensemble", "skimage.segmentation", "skimage.measure", "scipy.sparse.csgraph", "scipy.ndimage", "sqlite3",
    "scipy.spatial", "concurrent.futures.thread",
)  # fmt: skip


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


def make_reference(folder: Path, side: int) -> None:
    """Squares of three classes over the whole stack."""
    from landloom.model.base.vectorfile import write_table

    shapes, classes = [], []
    for row in range(8, side - 32, 64):
        for column in range(8, side - 32, 64):
            x, y = CORNER[0] + 10 * column, CORNER[3] - 10 * row
            ring = ogr.Geometry(ogr.wkbLinearRing)
            for dx, dy in ((0, 0), (0, -160), (160, -160), (160, 0), (0, 0)):
                ring.AddPoint_2D(x + dx, y + dy)
            shape = ogr.Geometry(ogr.wkbPolygon)
            shape.AddGeometry(ring)
            shapes.append(bytes(shape.ExportToWkb()))
            classes.append(1 + len(classes) % 3)
    write_table(
        folder / "reference.gpkg", "fields", utm(), ogr.wkbPolygon, shapes, {"class": np.array(classes)}, Progress()
    )


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


def make_all(folder: Path, memory_mb: int, steps: Collection[str]) -> None:
    """All that the steps read."""
    side = side_of(memory_mb)
    if set(steps) - set(MAPS):
        make_stack(folder, side)
        make_reference(folder, side)
        make_segments(folder, side)
    if "segment" in steps:
        make_picture(folder, picture_side(memory_mb))
    if set(steps) & set(MAPS):
        make_maps(folder, *map_size(memory_mb))


def extractsamples(folder: Path, memory_mb: int, progress: Progress) -> None:
    """Pixels of 256 in each square, all of them."""
    from landloom.model.samples.extraction import extract_samples
    from landloom.model.samples.settings import ExtractionSettings

    settings = ExtractionSettings("class", max_per_group=0, memory_mb=memory_mb)
    extract_samples(folder / "stack.json", folder / "reference.gpkg", settings, folder / "samples", progress)


def composite(folder: Path, memory_mb: int, progress: Progress) -> None:
    """Medians of quarters, with an index."""
    from landloom.model.stack.composite import CompositeSettings, composite

    settings = CompositeSettings("S2", "quarter", indices=("NDVI",), memory_mb=memory_mb)
    composite(folder / "stack.json", folder / "composites", settings, progress)


def segment(folder: Path, memory_mb: int, progress: Progress) -> None:
    """A picture, and its polygons."""
    from landloom.model.objects.polygons import write_object_polygons
    from landloom.model.objects.segmentation import SegmentSettings, open_image, read_labels, segment

    image = open_image(str(folder / "picture.tif"), None, (), (), memory_mb)
    count = segment(image, folder / "objects.tif", SegmentSettings(memory_mb=memory_mb), progress)
    grid, rows_of = read_labels(folder / "objects.tif")
    write_object_polygons(rows_of, grid, count, folder / "objects.gpkg", memory_mb, progress)


def segmentstack(folder: Path, memory_mb: int, progress: Progress) -> None:
    """The medians of quarters of a stack: 32 bands."""
    from landloom.model.objects.segmentation import SegmentSettings, open_image, segment

    image = open_image(None, str(folder / "stack.json"), ("S2",), (), memory_mb)
    segment(image, folder / "stackobjects.tif", SegmentSettings(memory_mb=memory_mb), progress)


def objectfeatures(folder: Path, memory_mb: int, progress: Progress) -> None:
    """Means, deviations and shapes of all objects, written as a GeoPackage."""
    from landloom.model.objects.features import FeatureSettings, measure_objects
    from landloom.model.objects.features_segments import open_segments
    from landloom.model.objects.features_sources import StackSource
    from landloom.model.stack.manifest import Stack

    source = StackSource(Stack.read(folder / "stack.json"), (), ("NDVI",), memory_mb / 4)
    segments = open_segments(folder / "segments.tif", progress)
    table = measure_objects(segments, [source], FeatureSettings(), memory_mb, progress)
    table.write(folder / "features.gpkg", progress)


def trainobjects(folder: Path, memory_mb: int, progress: Progress) -> None:
    """A forest on all objects in the squares."""
    from landloom.model.objects.features_segments import open_segments
    from landloom.model.objects.objecttraining import ObjectTraining, train_objects
    from landloom.model.samples.settings import ExtractionSettings

    stack, reference = folder / "stack.json", str(folder / "reference.gpkg")
    extraction = ExtractionSettings("class", memory_mb=memory_mb)
    segments = open_segments(folder / "segments.tif", progress)
    result = train_objects(
        stack, segments, reference, extraction, ObjectTraining(folds=2), memory_mb=memory_mb, progress=progress
    )
    result.model.save(folder / "objects.safetensors")


def classifyobjects(folder: Path, memory_mb: int, progress: Progress) -> None:
    """All objects, with their class in a raster too."""
    from landloom.model.objects.features_segments import open_segments
    from landloom.model.objects.objectclassify import classify_objects

    segments = open_segments(folder / "segments.tif", progress)
    classify_objects(
        folder / "stack.json", segments, folder / "objects.safetensors", folder / "classified.gpkg",
        raster_output=str(folder / "classes.tif"), memory_mb=memory_mb, progress=progress,
    )  # fmt: skip


def copy(folder: Path, memory_mb: int, progress: Progress) -> None:
    """`preparestack` with COPY, which has no MEMORY_MB of its own and plans with 512."""
    from landloom.model.stack.copying import copy_stack
    from landloom.model.stack.manifest import Stack

    copy_stack(Stack.read(folder / "stack.json"), folder / "copies", {}, progress, memory_mb)


def regularise(folder: Path, memory_mb: int, progress: Progress) -> None:
    """A vote, then a smallest area."""
    from landloom.model.mapping.regularise import RegulariseSettings, regularise

    settings = RegulariseSettings(2, 0.1, memory_mb=memory_mb)
    regularise(folder / "map.tif", folder / "regular.tif", settings, progress)


def vectorise(folder: Path, memory_mb: int, progress: Progress) -> None:
    """Patches with their confidence."""
    from landloom.model.objects.vectorise import VectoriseSettings, vectorise

    settings = VectoriseSettings(confidence=str(folder / "confidence.tif"), memory_mb=memory_mb)
    vectorise(folder / "map.tif", folder / "patches.gpkg", settings, progress)


def mosaic(folder: Path, memory_mb: int, progress: Progress) -> None:
    """Two maps of one place."""
    from landloom.model.mapping.mosaic import mosaic

    mosaic([folder / "map.tif", folder / "other.tif"], folder / "mosaic.tif", memory_mb=memory_mb, progress=progress)


def difference(folder: Path, memory_mb: int, progress: Progress) -> None:
    """Two maps of one place."""
    from landloom.model.accuracy.difference import DifferenceSettings, difference
    from landloom.model.accuracy.mappair import MapPair
    from landloom.model.accuracy.mapreading import CategoricalMap

    pair = MapPair(CategoricalMap(folder / "map.tif"), CategoricalMap(folder / "other.tif"))
    difference(pair, folder / "changes.tif", DifferenceSettings(memory_mb=memory_mb), progress=progress)


LEAST_MB = {"segment": 192, "segmentstack": 416}
"""Less is refused: tiles with their margins of so many bands would not fit."""
MAPS = {one.__name__: one for one in (regularise, vectorise, mosaic, difference)}
STEPS: dict[str, Callable[[Path, int, Progress], None]] = {
    one.__name__: one
    for one in (
        extractsamples, composite, segment, segmentstack, objectfeatures, trainobjects, classifyobjects, copy,
    )
} | MAPS  # fmt: skip


def resident_mb() -> float:
    """Resident size of this process now."""
    status = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in status if line.startswith("VmRSS:")).split()[1]) / 1024


def measured(task: dict[str, Any]) -> dict[str, Any]:
    """Run a step: what the process held before and at most."""
    give_back_freed_memory()
    held = resident_mb()
    Path("/proc/self/clear_refs").write_text("5")  # the largest size counts from now on
    begin = time.process_time()
    STEPS[task["do"]](Path(task["folder"]), task["memory_mb"], Progress())
    found = {"held_mb": held, "peak_mb": peak_memory_mb(), "cpu_seconds": time.process_time() - begin}
    return {**found, "added_mb": found["peak_mb"] - held}


def start(tasks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The same in a process of its own, one after the other.

    Raises:
        RuntimeError: with what it said, if it fails.
    """
    done = subprocess.run(
        [sys.executable, __file__, "--child", json.dumps(tasks)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "GDAL_CACHEMAX": "2048"},
    )
    if done.returncode:
        raise RuntimeError(done.stderr[-3000:])
    found: list[dict[str, Any]] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    """Run what was asked for and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", default=",".join(STEPS))
    parser.add_argument("--memory-mb", default="128,256")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--child", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.child:
        for name in LIBRARIES:
            importlib.import_module(name)
        print(json.dumps([measured(task) for task in json.loads(chosen.child)]))
        return
    steps, rows = chosen.steps.split(","), []
    if "classifyobjects" in steps and "trainobjects" not in steps:
        steps.insert(steps.index("classifyobjects"), "trainobjects")
    print("| what | MEMORY_MB | held before, MB | added at most, MB | of MEMORY_MB | processor, s |")
    print("|---|---|---|---|---|---|", flush=True)
    for given in map(int, chosen.memory_mb.split(",")):
        with tempfile.TemporaryDirectory() as temporary:
            make_all(Path(temporary), given, steps)
            for step in steps:
                memory_mb = max(given, LEAST_MB.get(step, 0))
                task = {"do": step, "folder": temporary, "memory_mb": memory_mb}
                try:
                    found = start([task])[0]
                except RuntimeError as error:
                    print(f"| `{step}` | {memory_mb:,} | failed: {str(error).splitlines()[-1]} |", flush=True)
                    continue
                rows.append({"what": step, "memory_mb": memory_mb, **found})
                print(
                    f"| `{step}` | {memory_mb:,} | {found['held_mb']:,.0f} | {found['added_mb']:,.0f} | "
                    f"{found['added_mb'] / memory_mb:.2f} | {found['cpu_seconds']:.1f} |",
                    flush=True,
                )
    if chosen.json:
        chosen.json.write_text(json.dumps({"rows": rows}, indent=1))


if __name__ == "__main__":
    main()
