"""Objects are described by networks that have not seen their labels: on labels dealt at random the score is chance."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from landloom.model.base.progress import Progress
from landloom.model.base.raster import spatial_reference, write_raster
from landloom.model.base.vectorfile import write_table
from osgeo import ogr

pytest.importorskip("sklearn")
pytest.importorskip("torch")

from landloom.model.objects import objecttraining, outoffold
from landloom.model.objects.features_segments import open_segments
from landloom.model.objects.objecttraining import ObjectTraining, train_objects
from landloom.model.samples.extraction import extract_samples
from landloom.model.samples.settings import ExtractionSettings
from landloom.model.samples.store import SampleStore
from landloom.model.training.run import train
from landloom.model.training.settings import TrainingSettings

UTM = spatial_reference("EPSG:32738").ExportToWkt()
CORNER = (500000.0, 10.0, 0.0, 8000000.0, 0.0, -10.0)
FIELDS, FIELD, CLASSES, DATES = 14, 4, 3, 5
COUNT = FIELDS**2
SIDE = FIELDS * FIELD
EXTRACTION = ExtractionSettings(class_field="crop", folds=3, halo=0, max_per_group=4)
FEW = ObjectTraining(features="mean", indices=(), dimensions=8)


def square(place):
    row, column = divmod(place, FIELDS)
    x, y, side = 500000 + column * FIELD * 10, 8000000 - row * FIELD * 10, FIELD * 10
    wkt = f"POLYGON(({x} {y},{x + side} {y},{x + side} {y - side},{x} {y - side},{x} {y}))"
    return bytes(ogr.CreateGeometryFromWkt(wkt).ExportToWkb())


def write_reference(path, places, crops):
    shapes = [square(place) for place in places]
    write_table(path, "fields", UTM, ogr.wkbPolygon, shapes, {"crop": [int(one) for one in crops]}, Progress())
    return str(path)


@pytest.fixture(scope="module")
def world(tmp_path_factory, make_stack):
    """Fields that are all different, so that a network can learn each by heart; their classes are dealt at random."""
    folder = tmp_path_factory.mktemp("champs é")
    random = np.random.default_rng(4)
    field = random.normal(2500, 700, (DATES, 3, FIELDS, FIELDS))
    values = np.kron(field, np.ones((FIELD, FIELD))) + random.normal(0, 60, (DATES, 3, SIDE, SIDE))
    dates = [f"2021-{month:02d}-05" for month in range(1, DATES + 1)]
    sensor = {"values": values.round().astype(np.int16), "bands": ["B3", "B4", "B8"], "scale": 1e-4, "dates": dates}
    stack = make_stack(folder / "stack", {"S2": sensor})
    labels = np.arange(1, COUNT + 1).reshape(FIELDS, FIELDS)
    segments = write_raster(folder / "segments.tif", np.kron(labels, np.ones((FIELD, FIELD))).astype(int), CORNER, UTM)
    crops = random.permutation(np.arange(COUNT) % CLASSES) + 1
    return {"folder": folder, "stack": stack, "segments": segments, "crops": crops}


def chain(world, name, places, crops, **changes):
    """Samples and a pixel model of some fields."""
    folder = world["folder"] / name
    reference = write_reference(world["folder"] / f"{name}.gpkg", places, crops)
    extract_samples(world["stack"], reference, EXTRACTION, folder, Progress())
    given = {"network": "ltae", "evaluation": "folds", "device": "cpu", "epochs": 30, "patience": 1.0, **changes}
    model = world["folder"] / f"{name}.safetensors"
    train([SampleStore.open(folder)], TrainingSettings(**given), model)
    return {"reference": reference, "samples": str(folder), "model": str(model)}


@pytest.fixture(scope="module")
def random_labels(world):
    """A pixel model whose classes mean nothing."""
    return chain(world, "dealt", range(COUNT), world["crops"])


def trained(world, made, reference="", **more):
    given = {"descriptors": made["model"], "samples": made["samples"], "device": "cpu", **more}
    segments = open_segments(world["segments"], Progress())
    return train_objects(world["stack"], segments, reference or made["reference"], EXTRACTION, FEW, **given)


def interval(count, chance=1 / CLASSES):
    """The scores that chance gives in 99 of 100 tries."""
    from scipy.stats import binom

    low, high = binom.interval(0.99, count, chance)
    return low / count, high / count


def test_labels_dealt_at_random_score_chance(world, random_labels):
    """The whole chain: nothing of an object's label reaches the score by way of the pixel model."""
    result = trained(world, random_labels)
    assert any("fused_axis_8" in name for name in result.model.recipe.names)
    judged = int(np.isfinite(result.probabilities).all(axis=1).sum())
    assert judged == COUNT and result.by_folds == COUNT and result.left_out == 0
    low, high = interval(judged)
    assert low <= result.scores.overall_accuracy <= high


def test_that_test_would_see_a_leak(world, random_labels, monkeypatch):
    """With the descriptors of the delivered model, which has learnt every field, the same labels score far better."""

    def leaking(matched, segments, descriptors, samples, folder, progress):
        return matched, outoffold.Describers([Path(descriptors)], np.zeros(len(matched.objects), int))

    monkeypatch.setattr(objecttraining, "describers", leaking)
    result = trained(world, random_labels)
    assert result.scores.overall_accuracy > interval(COUNT)[1] + 0.1
