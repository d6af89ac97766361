"""A source that changes while objects are cut, measured, learnt or classified: one sentence, nothing written."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from landloom.model.base.errors import ChangedError
from landloom.model.base.progress import Progress
from landloom.model.base.raster import spatial_reference, write_raster
from landloom.model.base.vectorfile import write_table
from landloom.model.objects.features import FeatureSettings, measure_objects
from landloom.model.objects.features_segments import open_segments
from landloom.model.objects.features_sources import RasterSource
from landloom.model.objects.objectclassify import classify_objects
from landloom.model.objects.objecttraining import ObjectTraining, train_objects
from landloom.model.objects.segmentation import SegmentSettings, open_image, segment
from landloom.model.samples.settings import ExtractionSettings
from osgeo import ogr

pytest.importorskip("sklearn")
UTM = spatial_reference("EPSG:32738").ExportToWkt()
CORNER = (500000.0, 10.0, 0.0, 8000000.0, 0.0, -10.0)
FIELDS, FIELD = 8, 5
SIDE = FIELDS * FIELD


class Spoiling(Progress):
    """Gives a file another time when the work has come so far."""

    def __init__(self, path, after=0.0):
        self.path, self.after, self.done = path, after, False

    def percent(self, value):
        if not self.done and value >= self.after:
            self.done = True
            status = os.stat(self.path)
            os.utime(self.path, (status.st_atime, status.st_mtime + 60))


@pytest.fixture
def world(tmp_path, make_stack):
    random = np.random.default_rng(0)
    classes = random.permutation(np.arange(FIELDS**2) % 2).reshape(FIELDS, FIELDS)
    level = np.kron(1000 + 1500 * classes, np.ones((FIELD, FIELD)))
    values = (level + random.normal(0, 50, (2, 2, SIDE, SIDE))).astype(np.int16)
    folder = tmp_path / "in"
    sensor = {"values": values, "bands": ["B4", "B8"], "dates": ["2021-01-05", "2021-03-05"], "scale": 1e-4}
    stack = make_stack(folder, {"S2": sensor})
    numbers = np.kron(np.arange(1, FIELDS**2 + 1).reshape(FIELDS, FIELDS), np.ones((FIELD, FIELD))).astype(np.int32)
    segments = write_raster(folder / "segments.tif", numbers, CORNER, UTM, 0)
    raster = write_raster(folder / "spot.tif", level.astype(np.int16), CORNER, UTM)
    class_map = write_raster(
        folder / "map.tif", np.kron(classes + 1, np.ones((FIELD, FIELD))).astype(np.uint8), CORNER, UTM
    )
    shapes, crops = [], []
    for place in range(FIELDS**2):
        row, column = divmod(place, FIELDS)
        x, y, side = 500000 + column * FIELD * 10, 8000000 - row * FIELD * 10, FIELD * 10
        wkt = f"POLYGON(({x} {y},{x + side} {y},{x + side} {y - side},{x} {y - side},{x} {y}))"
        shapes.append(bytes(ogr.CreateGeometryFromWkt(wkt).ExportToWkb()))
        crops.append(int(classes[row, column]) + 1)
    write_table(folder / "reference.gpkg", "r", UTM, ogr.wkbPolygon, shapes, {"crop": crops}, Progress())
    out = tmp_path / "out"
    out.mkdir()
    image = next((folder / "rasters").glob("S2_2021*01*05.tif"))
    return {"stack": stack, "segments": Path(segments), "raster": Path(raster), "map": Path(class_map), "image": image,
            "reference": str(folder / "reference.gpkg"), "out": out}  # fmt: skip


def learnt(world, progress):
    segments = open_segments(world["segments"], Progress())
    return train_objects(
        world["stack"], segments, world["reference"], ExtractionSettings(class_field="crop"), ObjectTraining(folds=2),
        (str(world["raster"]),), progress=progress,
    )  # fmt: skip


@pytest.mark.parametrize("what", ["image", "raster", "segments"])
def test_measuring(world, what):
    segments = open_segments(world["segments"], Progress())
    sources = [RasterSource(world["raster"])]
    if what == "image":
        from landloom.model.objects.features_sources import StackSource
        from landloom.model.stack.manifest import Stack

        sources.append(StackSource(Stack.read(world["stack"]), (), (), 100))
    settings = FeatureSettings(statistics=("mean",))
    with pytest.raises(ChangedError, match=world[what].name):
        measure_objects(segments, sources, settings, 256, Spoiling(world[what]))
    for source in sources:
        source.close()


@pytest.mark.parametrize("what", ["image", "raster", "segments"])
def test_training(world, what):
    with pytest.raises(ChangedError, match=world[what].name):
        learnt(world, Spoiling(world[what], 50))


@pytest.mark.parametrize("what", ["image", "raster", "segments", "map"])
def test_classifying_writes_nothing(world, what):
    learnt(world, Progress()).model.save(world["reference"].replace("reference.gpkg", "m.safetensors"))
    segments = open_segments(world["segments"], Progress())
    spoiling = Spoiling(world[what], 81 if what == "map" else 40)  # the map is read last
    with pytest.raises(ChangedError, match=world[what].name):
        classify_objects(
            world["stack"], segments, world["reference"].replace("reference.gpkg", "m.safetensors"),
            world["out"] / "o.gpkg", (str(world["raster"]),), str(world["map"]),
            raster_output=str(world["out"] / "o_raster.tif"), progress=spoiling,
        )  # fmt: skip
    assert not list(world["out"].iterdir())


@pytest.mark.parametrize("what", ["image", "raster"])
def test_segmenting_writes_nothing(world, what):
    of_stack = what == "image"
    image = open_image(None if of_stack else str(world["raster"]), world["stack"] if of_stack else None, [], [], 256)
    with pytest.raises(ChangedError, match=world[what].name):
        segment(image, world["out"] / "labels.tif", SegmentSettings(scale=10), Spoiling(world[what]))
    assert not list(world["out"].iterdir())


def test_a_source_that_is_gone_is_named(world):
    segments, source = open_segments(world["segments"], Progress()), RasterSource(world["raster"])

    class Removing(Progress):
        def percent(self, value):
            world["raster"].unlink(missing_ok=True)

    with pytest.raises(ChangedError, match=r"spot\.tif is gone"):
        measure_objects(segments, [source], FeatureSettings(statistics=("mean",)), 256, Removing())
    source.close()


def test_notes_that_qgis_leaves_beside_a_raster_change_nothing(world):
    segments, source = open_segments(world["segments"], Progress()), RasterSource(world["raster"])

    class Noting(Progress):
        def percent(self, value):
            Path(f"{world['raster']}.aux.xml").write_text("<PAMDataset/>")

    measure_objects(segments, [source], FeatureSettings(statistics=("mean",)), 256, Noting())
    source.close()
