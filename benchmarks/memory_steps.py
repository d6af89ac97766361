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

import memory_steps_data as data  # noqa: E402
from landloom.model.base.freedmemory import give_back_freed_memory  # noqa: E402
from landloom.model.base.progress import Progress  # noqa: E402

LIBRARIES = (
    "sklearn.ensemble", "skimage.segmentation", "skimage.measure", "scipy.sparse.csgraph", "scipy.ndimage", "sqlite3",
    "scipy.spatial", "concurrent.futures.thread",
)  # fmt: skip


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


def _train_objects(
    folder: Path, memory_mb: int, progress: Progress, name: str, descriptors: str = "", **settings: Any
) -> None:
    from landloom.model.objects.features_segments import open_segments
    from landloom.model.objects.objecttraining import ObjectTraining, train_objects
    from landloom.model.samples.settings import ExtractionSettings

    stack, reference = folder / "stack.json", str(folder / "reference.gpkg")
    extraction = ExtractionSettings("class", memory_mb=memory_mb)
    segments = open_segments(folder / "segments.tif", progress)
    training = ObjectTraining(folds=2, **settings)
    result = train_objects(
        stack, segments, reference, extraction, training, descriptors=descriptors, memory_mb=memory_mb,
        progress=progress,
    )  # fmt: skip
    result.model.save(folder / f"{name}.safetensors")


def trainobjects(folder: Path, memory_mb: int, progress: Progress) -> None:
    """A forest on all objects in the squares."""
    _train_objects(folder, memory_mb, progress, "objects")


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


def fuse(folder: Path, memory_mb: int, progress: Progress) -> None:
    """The votes of two maps, with their confidence."""
    from landloom.model.mapping.fuse import fuse

    maps = [folder / "map.tif", folder / "other.tif"]
    fuse(maps, "majority", folder / "fused.tif", folder / "votes.tif", memory_mb=memory_mb, progress=progress)


def fusemean(folder: Path, memory_mb: int, progress: Progress) -> None:
    """The mean of two files of probabilities of five classes."""
    from landloom.model.mapping.fuse import fuse

    maps = [folder / "probabilities.tif"] * 2
    fuse(maps, "mean", folder / "mean.tif", folder / "share.tif", memory_mb=memory_mb, progress=progress)


def warpedmosaic(folder: Path, memory_mb: int, progress: Progress) -> None:
    """Two maps brought to another UTM zone, nearest value."""
    from landloom.model.mapping.mosaic import mosaic

    maps = [folder / "map.tif", folder / "other.tif"]
    mosaic(maps, folder / "warped.tif", crs="EPSG:32739", memory_mb=memory_mb, progress=progress)


def areas(folder: Path, memory_mb: int, progress: Progress) -> None:
    """Hectares by class and zone, a few hundred squares."""
    from landloom.model.accuracy.areas import measure_areas
    from landloom.model.accuracy.mapreading import CategoricalMap

    zones = str(folder / "zones.gpkg")
    measure_areas(CategoricalMap(folder / "map.tif"), zones, "", "", memory_mb, progress)


def assess(folder: Path, memory_mb: int, progress: Progress) -> None:
    """Squares all over the map, with confidence."""
    from landloom.model.accuracy.assess import assess
    from landloom.model.accuracy.assessment import AssessmentSettings

    settings = AssessmentSettings("class", confidence=str(folder / "confidence.tif"), memory_mb=memory_mb)
    assess(folder / "map.tif", folder / "squares.gpkg", settings, progress)


def sampledesign(folder: Path, memory_mb: int, progress: Progress) -> None:
    """A sample of 1,000 points."""
    from landloom.model.accuracy.mapreading import CategoricalMap
    from landloom.model.accuracy.sampledesign import SampleSettings, draw, plan_sample

    source, settings = CategoricalMap(folder / "map.tif"), SampleSettings(size=1000, memory_mb=memory_mb)
    draw(source, plan_sample(source, settings, progress), progress)


def _mask(folder: Path, source: str, progress: Progress) -> None:
    from landloom.model.mapping.chunks import Area
    from landloom.model.mapping.mask import AreaMask
    from landloom.model.stack.rasterinfo import inspect

    grid = inspect(folder / "map.tif").grid
    whole = Area(0, 0, grid.width, grid.height)
    AreaMask(str(folder / source), grid, whole, folder / f"mask of {source}.tif", progress).close()


def maskpolygons(folder: Path, memory_mb: int, progress: Progress) -> None:
    """MASK of `classify`: polygons burnt onto the grid of the maps."""
    _mask(folder, "zones.gpkg", progress)


def maskraster(folder: Path, memory_mb: int, progress: Progress) -> None:
    """MASK of `classify`: a raster brought onto the grid of the maps."""
    _mask(folder, "confidence.tif", progress)


def coregister(folder: Path, memory_mb: int, progress: Progress) -> None:
    """All dates of the stack, compared in 100 windows."""
    from landloom.model.stack.coregister import coregister
    from landloom.model.stack.coregisterreference import CoregisterSettings

    coregister(folder / "stack.json", folder / "moved.json", CoregisterSettings(memory_mb=memory_mb), progress)


def suggestlabels(folder: Path, memory_mb: int, progress: Progress) -> None:
    """50 places by a forest, among a million pixels."""
    from landloom.model.accuracy.suggest import SuggestionSettings, suggest

    suggest(folder / "stack.json", folder / "forest.safetensors", SuggestionSettings(), memory_mb=memory_mb,
            progress=progress)  # fmt: skip


def trainsets(folder: Path, memory_mb: int, progress: Progress) -> None:
    """NETWORK pixelset on all objects in the squares, one epoch; PyTorch is loaded before."""
    _train_objects(folder, memory_mb, progress, "sets", network="pixelset", epochs=1)


def traindescribed(folder: Path, memory_mb: int, progress: Progress) -> None:
    """A forest on the descriptors of `ltae` too."""
    _train_objects(folder, memory_mb, progress, "described", descriptors=str(folder / "ltae.safetensors"))


def make_models(folder: Path, memory_mb: int, progress: Progress) -> None:
    """A forest and an `ltae` of few samples and one epoch: what they know does not matter here."""
    from landloom.model.samples.extraction import extract_samples
    from landloom.model.samples.settings import ExtractionSettings
    from landloom.model.samples.store import SampleStore
    from landloom.model.training.run import train
    from landloom.model.training.settings import TrainingSettings

    settings = ExtractionSettings("class", max_per_group=2, folds=2, memory_mb=memory_mb)
    extract_samples(folder / "stack.json", folder / "reference.gpkg", settings, folder / "few", progress)
    for network, name in (("randomforest", "forest"), ("ltae", "ltae")):
        how = TrainingSettings(network=network, epochs=1, evaluation="folds", fold_networks=network == "ltae")
        train([SampleStore.open(folder / "few")], how, folder / f"{name}.safetensors", None, progress)


LEAST_MB = {"segment": 192, "segmentstack": 416}
"""Less is refused: tiles with their margins of so many bands would not fit."""
Step = Callable[[Path, int, Progress], None]
MAPS: dict[str, Step] = {
    one.__name__: one
    for one in (
        regularise, vectorise, mosaic, difference, fuse, fusemean, warpedmosaic, areas, assess, sampledesign,
        maskpolygons, maskraster,
    )
}  # fmt: skip
WITH_MODELS: dict[str, Step] = {one.__name__: one for one in (suggestlabels, traindescribed)}
STEPS: dict[str, Step] = {
    one.__name__: one
    for one in (
        extractsamples, composite, segment, segmentstack, objectfeatures, trainobjects, classifyobjects, copy,
        coregister, trainsets,
    )
} | WITH_MODELS | MAPS  # fmt: skip
TORCH = ("trainsets", "traindescribed")


def make_all(folder: Path, memory_mb: int, steps: Collection[str]) -> None:
    """All that the steps read."""
    side = data.side_of(memory_mb)
    if set(steps) - set(MAPS):
        data.make_stack(folder, side)
        data.make_squares(folder / "reference.gpkg", side, side, 3)
        data.make_segments(folder, side)
    if set(steps) & set(WITH_MODELS):
        make_models(folder, memory_mb, Progress())
    if "segment" in steps:
        data.make_picture(folder, data.picture_side(memory_mb))
    if set(steps) & set(MAPS):
        make_maps(folder, *data.map_size(memory_mb))


def make_maps(folder: Path, width: int, height: int) -> None:
    """All that the steps with maps read."""
    data.make_maps(folder, width, height)
    data.make_probabilities(folder, width, height)
    data.make_squares(folder / "squares.gpkg", width, height, 5, step=96)
    data.make_squares(folder / "zones.gpkg", width, height, 5, side=300, step=256)


def resident_mb() -> float:
    """Resident size of this process now."""
    status = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in status if line.startswith("VmRSS:")).split()[1]) / 1024


def measured(task: dict[str, Any]) -> dict[str, Any]:
    """Run a step: what the process held before and at most."""
    if task["do"] in TORCH:
        importlib.import_module("torch")
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
