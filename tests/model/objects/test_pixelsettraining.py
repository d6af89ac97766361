"""Protects training on sets of pixels: what only a set shows is learnt, chance on shuffled labels, files, refusals."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from dataclasses import replace  # noqa: E402

from landloom.model.base.errors import Cancelled, LandloomError  # noqa: E402
from landloom.model.base.nomenclature import LandCoverClass, Nomenclature  # noqa: E402
from landloom.model.base.progress import Progress  # noqa: E402
from landloom.model.base.raster import spatial_reference, write_raster  # noqa: E402
from landloom.model.base.vectorfile import write_table  # noqa: E402
from landloom.model.networks.tensorfile import read_tensors, write_tensors  # noqa: E402
from landloom.model.objects.features_segments import open_segments  # noqa: E402
from landloom.model.objects.objectclassify import classify_objects  # noqa: E402
from landloom.model.objects.objectfolds import Divided  # noqa: E402
from landloom.model.objects.objectmatching import Matched  # noqa: E402
from landloom.model.objects.objectmodel import ObjectModel  # noqa: E402
from landloom.model.objects.objecttraining import ObjectTraining, train_objects  # noqa: E402
from landloom.model.objects.pixelsetmodel import SetModel  # noqa: E402
from landloom.model.objects.pixelsets import Picked, PixelSets  # noqa: E402
from landloom.model.objects.pixelsettraining import judge_sets, network_settings  # noqa: E402
from landloom.model.samples.settings import ExtractionSettings  # noqa: E402
from landloom.model.samples.store import SampleStore  # noqa: E402
from landloom.model.stack.sensors import SensorSpec  # noqa: E402
from landloom.model.training.loop import fit  # noqa: E402
from landloom.model.training.settings import TrainingSettings  # noqa: E402
from osgeo import ogr  # noqa: E402

UTM = spatial_reference("EPSG:32738").ExportToWkt()
CORNER = (500000.0, 10.0, 0.0, 8000000.0, 0.0, -10.0)
CLASSES = Nomenclature((LandCoverClass(4, "even", "#112233"), LandCoverClass(9, "mixed", "#445566")))
SPEC = SensorSpec("S2", "optical", ("B4", "B8"), ("2021-01-05", "2021-02-04", "2021-03-06"), (4, 34, 64), scale=1e-4)
QUICK = ObjectTraining(network="pixelset", epochs=12, folds=3, features="mean,std", indices=())


def spread_only(count, seed, shuffled=False):
    """Objects of two classes that are equal in mean on every date; the pixels of one differ, those of the other not.

    Object by object the mean is another. Half of the objects have clouds on a date; sets have 6 to 20 pixels.
    """
    random = np.random.default_rng(seed)
    labels = np.arange(count) % 2
    sizes = random.integers(6, 21, count)
    start = np.r_[0, np.cumsum(sizes)]
    values = np.zeros((start[-1], 3, 2), np.int16)
    masks = np.ones((start[-1], 3), bool)
    for one in range(count):
        part = slice(start[one], start[one + 1])
        mean = random.uniform(1500, 3500, (1, 3, 2))
        noise = random.normal(0, 1, (sizes[one], 3, 2))
        noise -= noise.mean(axis=0)
        values[part] = np.round(mean + noise * (60 if labels[one] == 0 else 600))
        if one % 4 < 2:
            masks[part, random.integers(3)] = False
    values[~masks] = 0
    if shuffled:
        labels = random.permutation(labels)
    blank = np.ones((count, 4))
    picked = Picked(np.arange(count), start, {"S2": values}, {"S2": masks}, sizes.astype(float), blank)
    groups = np.arange(count)
    store = PixelSets.of(picked, {"S2": SPEC}, False, CLASSES, labels, groups, ("01-01", 2021))
    return store, Matched(np.arange(count), labels, groups, np.ones(count))


def judged(store, matched, settings=QUICK, progress=None):
    training = network_settings(settings, 256, "cpu")
    return judge_sets(store, matched, CLASSES, settings, training, progress or Progress())


@pytest.fixture(scope="module")
def learnt():
    return judged(*spread_only(90, 0))


def test_what_a_mean_cannot_show_is_learnt(learnt):
    """Classes that are equal in mean on every date are told apart; whole groups are judged, each once."""
    assert learnt.scores.overall_accuracy > 0.9
    assert np.isfinite(learnt.probabilities).all()
    np.testing.assert_allclose(learnt.probabilities.sum(axis=1), 1, atol=1e-4)
    store, _matched = spread_only(90, 0)
    means = np.array([store._values["S2"][f : f + n].mean() for f, n in zip(store._first, store._count, strict=True)])
    assert abs(np.corrcoef(means, learnt.matched.labels)[0, 1]) < 0.3  # so no mean shows it


def test_shuffled_labels_give_chance():
    made = judged(*spread_only(90, 1, shuffled=True))
    assert abs(made.scores.kappa) < 0.25


def test_the_folds_are_those_of_the_forest_and_epochs_are_chosen_without_the_judged(learnt, monkeypatch):
    """The network is given groups to learn from and groups to choose by; those judged are among neither."""
    from landloom.model.objects import pixelsettraining

    store, matched = spread_only(30, 2)
    seen = []

    def spy(pool, training, validation, settings, *rest, **more):
        seen.append((set(training.tolist()), set(validation.tolist()), more))
        return fit(pool, training, validation, settings.but(epochs=2), *rest, **more)

    monkeypatch.setattr(pixelsettraining, "fit", spy)
    judged(store, matched)
    divided = Divided.of(matched, CLASSES, 3, 0, Progress())
    parts = list(divided.parts(matched.labels, 2))
    assert len(seen) == len(parts) + 1 == 4
    for (learning, choosing, _more), (_number, train, test) in zip(seen, parts, strict=False):
        assert choosing and not learning & choosing
        assert learning | choosing == set(np.flatnonzero(train).tolist())
        assert not (learning | choosing) & set(np.flatnonzero(test).tolist())
    everything, none, more = seen[-1]
    assert len(everything) == 30 and not none and more["last"][0] <= 2 and more["temperature"] > 0


def test_groups_with_a_class_of_their_own_always_teach():
    """A class that one group alone has is never judged, nor is anything else in that group."""
    labels = np.array([0, 0, 0, 0, 1, 1, 1, 2, 0])
    groups = np.array([1, 2, 3, 4, 5, 6, 7, 8, 8])
    three = Nomenclature((*CLASSES, LandCoverClass(11, "rare", "#778899")))
    divided = Divided.of(Matched(np.arange(9), labels, groups, np.ones(9)), three, 3, 0, Progress())
    assert divided.lonely.tolist() == [False] * 7 + [True] * 2 and "rare" in divided.warnings[0]
    for _number, train, test in divided.parts(labels, 3):
        assert train[7:].all() and not test[7:].any() and not set(groups[train]) & set(groups[test])


def test_a_saved_model_says_the_same(learnt, tmp_path):
    learnt.model.save(tmp_path / "sets.safetensors")
    loaded = SetModel.load(tmp_path / "sets.safetensors")
    assert (loaded.most, loaded.seed, loaded.scores) == (learnt.model.most, learnt.model.seed, learnt.model.scores)
    assert loaded.nomenclature == CLASSES and loaded.model.header.temperature == learnt.model.model.header.temperature
    facts = loaded.facts()
    assert facts["parameters"] > 10_000 and len(facts["epochs"]) == 3 and facts["mflop_per_object"] > 0
    for one, other in zip(
        loaded.model.members[0].parameters(), learnt.model.model.members[0].parameters(), strict=True
    ):
        assert torch.equal(one, other)
    with pytest.raises(LandloomError, match="has version 2: update"):  # what a reader that knows forests only says
        ObjectModel.load(tmp_path / "sets.safetensors")


def test_damaged_files_are_refused(learnt, tmp_path):
    learnt.model.save(tmp_path / "sets.safetensors")
    tensors, content = read_tensors(tmp_path / "sets.safetensors")
    bad = tmp_path / "bad.safetensors"
    for change, sentence in (
        ({"version": 9}, "version 9: update"),
        ({"pixels": 0}, "damaged"),
        ({"pixels": "many"}, "damaged"),
        ({"network": "other"}, "damaged"),
        ({"model": []}, "damaged"),
        ({"model": {**content["model"], "network": "ltae"}}, "bad.safetensors"),
        ({"model": {**content["model"], "members": 2}}, "bad.safetensors"),
    ):
        write_tensors(bad, tensors, {**content, **change})
        with pytest.raises(LandloomError, match=sentence):
            SetModel.load(bad)


def test_pixel_samples_are_refused():
    """The network learns from objects only."""
    series = {"S2": (np.ones((8, 3, 2), np.int16), None)}
    store = SampleStore.from_arrays(series, {"S2": SPEC}, np.arange(8) % 2, CLASSES, np.arange(8))
    with pytest.raises(LandloomError, match="reads the pixels of objects"):
        fit(store, np.arange(8), np.arange(0), TrainingSettings(network="pixelset", device="cpu", epochs=1))


SIDE, FIELD = 60, 5
FIELDS = SIDE // FIELD


def square(column, row, width, height):
    x, y = 500000 + column * 10, 8000000 - row * 10
    a, b = x + width * 10, y - height * 10
    return bytes(ogr.CreateGeometryFromWkt(f"POLYGON(({x} {y},{a} {y},{a} {b},{x} {b},{x} {y}))").ExportToWkb())


@pytest.fixture(scope="module")
def world(tmp_path_factory, make_stack):
    """Fields of two classes told by the radar, optical dates with clouds, labels as segments, a reference of half."""
    folder = tmp_path_factory.mktemp("jeux de pixels")
    random = np.random.default_rng(0)
    classes = random.integers(0, 2, (FIELDS, FIELDS))
    of_pixel = np.kron(classes, np.ones((FIELD, FIELD), int))
    optical = random.normal(2500, 300, (3, 3, SIDE, SIDE)).round().astype(np.int16)
    mask = random.random((3, SIDE, SIDE)) > 0.3
    radar = (np.where(of_pixel, 0.2, 0.05) * random.gamma(4, 0.25, (2, 2, SIDE, SIDE))).astype(np.float32)
    dates = ["2021-01-05", "2021-02-04", "2021-03-06"]
    sensors = {
        "S2": {"values": optical, "mask": mask, "bands": ["B4", "B8", "B11"], "dates": dates, "scale": 1e-4},
        "S1_ASC": {"values": radar, "bands": ["VV", "VH"], "dates": dates[:2], "kind": "radar"},
    }
    stack = make_stack(folder / "a", sensors)
    lacking = make_stack(folder / "b", {"S1_ASC": sensors["S1_ASC"]})
    numbers = np.kron(np.arange(1, FIELDS**2 + 1).reshape(FIELDS, FIELDS), np.ones((FIELD, FIELD), int))
    segments = write_raster(folder / "segments.tif", numbers.astype(np.int32), CORNER, UTM, 0)
    chosen = [(r, c) for r in range(FIELDS) for c in range(FIELDS) if (r + c) % 2]
    shapes = [square(c * FIELD, r * FIELD, FIELD, FIELD) for r, c in chosen]
    crops = {"crop": [int(classes[one]) + 1 for one in chosen]}
    write_table(folder / "reference.gpkg", "r", UTM, ogr.wkbPolygon, shapes, crops, Progress())
    return {"stack": stack, "lacking": lacking, "segments": segments, "reference": str(folder / "reference.gpkg"),
            "classes": classes.ravel(), "count": len(chosen), "folder": folder}  # fmt: skip


SETS = ObjectTraining(network="pixelset", epochs=10, folds=2)


def trained(world, settings=SETS, **more):
    segments = open_segments(world["segments"], Progress())
    extraction = ExtractionSettings(class_field="crop")
    return train_objects(
        world["stack"], segments, world["reference"], extraction, settings, device="cpu", memory_mb=64, **more
    )


@pytest.fixture(scope="module")
def result(world):
    made = trained(world)
    made.model.save(world["folder"] / "sets.safetensors")
    return made


def classified(world, output, **more):
    segments = open_segments(world["segments"], Progress())
    given = {"stack": world["stack"], "model": world["folder"] / "sets.safetensors", "memory_mb": 64, **more}
    stack, model = given.pop("stack"), given.pop("model")
    return classify_objects(stack, segments, model, output, device="cpu", **given)


def test_fields_are_learnt_and_mapped(world, result, tmp_path):
    assert result.scores.overall_accuracy > 0.9 and len(result.matched.objects) == world["count"]
    recipe = result.model.model.header.recipe
    assert recipe.sensors["S2"].indices == ("NDVI", "NDWI") and recipe.sensors["S1_ASC"].indices == ("VV-VH",)
    assert (
        result.model.reads_geometry
        and not SetModel(trained(world, replace(SETS, features="mean", epochs=1)).model.model).reads_geometry
    )
    done = classified(world, tmp_path / "map.gpkg")
    assert (done.labels == world["classes"]).mean() > 0.9
    small = classified(world, tmp_path / "again.gpkg", memory_mb=1)
    np.testing.assert_array_equal(done.labels, small.labels)
    np.testing.assert_allclose(done.confidence, small.confidence, atol=1e-5)
    layer = ogr.Open(str(tmp_path / "map.gpkg"))
    row = layer.GetLayer(0).GetNextFeature()
    assert row.GetField("pixels") == FIELD**2 and row.GetField("p_1") + row.GetField("p_2") == pytest.approx(
        1, abs=2e-4
    )


def test_a_sensor_that_the_stack_lacks_is_a_mask(world, result, tmp_path):
    """Without the optical dates the radar still tells the classes, and it is said."""

    class Heard(Progress):
        said = ""

        def warning(self, text):
            self.said += text

    heard = Heard()
    done = classified(world, tmp_path / "map.gpkg", stack=world["lacking"], progress=heard)
    assert (done.labels == world["classes"]).mean() > 0.8 and "lacks the sensor S2" in heard.said


def test_the_same_seed_gives_the_same_network(world, result):
    again = trained(world)
    np.testing.assert_array_equal(again.probabilities, result.probabilities)
    for one, other in zip(
        again.model.model.members[0].parameters(), result.model.model.members[0].parameters(), strict=True
    ):
        assert torch.equal(one, other)


def test_refusals_are_one_sentence(world, result, tmp_path, make_stack):
    for settings, more, sentence in (
        (replace(SETS, network="unet"), {}, "NETWORK is 'unet'; choose one of: randomforest, pixelset"),
        (replace(SETS, epochs=-1), {}, "EPOCHS is -1"),
        (replace(SETS, batch_size=1), {}, "BATCH_SIZE is 1"),
        (replace(SETS, learning_rate=2), {}, "LEARNING_RATE is 2"),
        (replace(SETS, class_weights="log", network="randomforest"), {}, "CLASS_WEIGHTS is 'log'"),
        (SETS, {"rasters": ["a.tif"]}, "RASTERS cannot be used with NETWORK pixelset"),
        (SETS, {"descriptors": "a.safetensors"}, "DESCRIPTORS cannot be used"),
        (replace(SETS, features="mean,texture"), {}, "FEATURES texture cannot be used"),
        (replace(SETS, sensors=("S3",)), {}, "S3"),
    ):
        with pytest.raises(LandloomError, match=sentence):
            trained(world, settings, **more)
    poor = make_stack(
        tmp_path / "poor",
        {"S2": {"values": np.ones((1, 1, 9, 9), np.int16), "bands": ["B4"], "dates": ["2021-01-05"]}},
    )
    other = make_stack(
        tmp_path / "other",
        {"L8": {"values": np.ones((1, 1, 9, 9), np.int16), "bands": ["B4"], "dates": ["2021-01-05"]}},
    )
    for more, sentence in (
        ({"stack": None}, "STACK is missing: the model reads S2, S1_ASC"),
        ({"stack": poor}, "lacks B8, B11"),
        ({"stack": other}, "has none of the model's sensors"),
        ({"rasters": ["a.tif"]}, "reads the stack only"),
    ):
        with pytest.raises(LandloomError, match=sentence):
            classified(world, tmp_path / "a.gpkg", **more)
    assert not (tmp_path / "a.gpkg").exists()


def test_cancelling_stops_at_once(world, result, tmp_path):
    class Later(Progress):
        """Cancelled in the middle of the first epoch."""

        calls = 0

        def is_cancelled(self):
            return self.calls > 0

        def percent(self, value):
            self.calls += value > 30

    with pytest.raises(Cancelled):
        trained(world, progress=Later())
