"""The sample store: patches against a direct read, arrays in memory, damaged folders."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from landloom.model.base.errors import LandloomError
from landloom.model.base.nomenclature import LandCoverClass, Nomenclature
from landloom.model.samples.store import SAMPLE, SampleStore, is_sample_folder
from landloom.model.samples.writer import SampleWriter, chip_table
from landloom.model.stack.sensors import SensorSpec, Series

CLASSES = Nomenclature((LandCoverClass(3, "a", "#112233"), LandCoverClass(9, "b", "#445566")))
SPECS = {
    "S2": SensorSpec("S2", "optical", ("B4", "B8", "B11"), ("2021-01-01", "2021-02-01"), (0, 31), "int16"),
    "S1_ASC": SensorSpec("S1_ASC", "radar", ("VV", "VH"), ("2021-01-05",) * 4, (4, 10, 16, 22), "float32"),
    "S1_DES": SensorSpec("S1_DES", "radar", ("VV",), ("2021-01-06",), (5,), "float32"),
}
HALO = 2
WINDOWS = [(0, 0, 9, 6), (20, 3, 5, 5), (-2, 10, 8, 12)]


def image(seed=0):
    """A window of 40 x 40 pixels whose upper left corner is (-5, -5)."""
    rng = np.random.default_rng(seed)
    series = {}
    for name, spec in SPECS.items():
        values = rng.integers(-100, 9000, (1, len(spec.days), len(spec.bands), 40, 40)).astype(spec.dtype)
        series[name] = Series(values, rng.random((1, len(spec.days), 40, 40)) > 0.3, np.array(spec.days))
    return series


def write(folder):
    folder.mkdir(parents=True)
    chips, pixels = chip_table(WINDOWS), []
    for chip, (_, _, width, height) in enumerate(WINDOWS):
        inner = [(chip, r, c) for r in range(HALO, height - HALO) for c in range(HALO, width - HALO)]
        pixels += inner
    samples = np.zeros(len(pixels), SAMPLE)
    samples["chip"], samples["row"], samples["column"] = np.array(pixels).T
    samples["label"] = np.arange(len(samples)) % 2
    samples["group"] = samples["chip"]
    series = image()
    with SampleWriter(folder, SPECS, sum(w * h for _, _, w, h in WINDOWS)) as writer:
        for column, row, width, height in WINDOWS:
            writer.append(series, slice(row + 5, row + 5 + height), slice(column + 5, column + 5 + width))
        writer.finish(chips, samples, CLASSES, ("10-01", 2021), HALO, "LOCAL", {"seed": 4})
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write(tmp_path_factory.mktemp("échantillons") / "a b")


@pytest.fixture(scope="module")
def store(folder):
    return SampleStore.open(folder)


@given(
    st.lists(st.integers(0, 40), max_size=30), st.integers(0, HALO), st.sampled_from([None, ["S1"], ["S2", "S1_DES"]])
)
def test_a_patch_equals_a_direct_read(store, indices, halo, sensors):
    indices = [index % len(store) for index in indices]
    batch = store.batch(indices, halo, sensors)
    samples, whole = np.load(store.folder / "samples.npy"), image()
    assert set(batch) == ({"S2", "S1_ASC", "S1_DES"} if sensors is None else set(store.sensor_names(sensors)))
    for name, series in batch.items():
        side = 2 * halo + 1
        assert series.values.shape == (len(indices), len(SPECS[name].days), len(SPECS[name].bands), side, side)
        assert series.values.dtype == SPECS[name].dtype and series.mask.dtype == bool
        assert series.days.tolist() == list(SPECS[name].days)
        for position, index in enumerate(indices):
            one = samples[index]
            column, row, _, _ = WINDOWS[one["chip"]]
            r, c = row + 5 + one["row"] - halo, column + 5 + one["column"] - halo
            direct = whole[name].values[0][:, :, r : r + side, c : c + side]
            assert np.array_equal(series.values[position], direct)
            assert np.array_equal(series.mask[position], whole[name].mask[0][:, r : r + side, c : c + side])


def test_patches_are_turned_as_numpy_turns_them(store):
    """Each by itself, values and masks alike; and the valid pixels in their middle are known without reading values."""
    indices, symmetries = np.array([40, 3, 3, 17, 25, 8, 0, 31]), np.arange(8)
    plain, turned = store.batch(indices, HALO), store.patches(indices, HALO, symmetries=symmetries)
    centres = store.centres(indices)
    for name in SPECS:
        assert np.array_equal(centres[name], plain[name].mask[:, :, HALO, HALO])
        for found, before in zip(turned[name][:2], plain[name][:2], strict=True):
            for position, symmetry in enumerate(symmetries):
                one = np.rot90(before[position], symmetry % 4, axes=(-2, -1))
                assert np.array_equal(found[position], one[..., ::-1] if symmetry >= 4 else one)


def test_what_is_known_of_the_samples(store):
    assert len(store) == 5 * 2 + 1 + 4 * 8
    assert store.season == ("10-01", 2021) and store.halo == HALO
    assert store.nomenclature == CLASSES and store.specs == SPECS
    assert store.labels.dtype == np.int16 and store.groups.dtype == np.int64 and store.split.dtype == np.uint8
    assert store.description["seed"] == 4
    assert isinstance(store._values["S2"].base, np.memmap)


def test_a_larger_halo_is_refused(store):
    with pytest.raises(LandloomError, match="HALO 3"):
        store.batch([0], 3)


def test_an_unknown_sensor_is_refused(store):
    with pytest.raises(LandloomError, match="no sensor L8; they have S2, S1_ASC, S1_DES"):
        store.batch([0], 0, ["L8"])


def test_from_arrays():
    rng = np.random.default_rng(1)
    values = rng.normal(0, 1, (50, 2, 3))
    values[4, 1, 2], values[5, 0, 0] = np.nan, np.inf
    radar, mask = rng.normal(0, 1, (50, 4, 2)), rng.random((50, 4)) > 0.5
    store = SampleStore.from_arrays(
        {"S2": (values, None), "S1_ASC": (radar, mask)}, SPECS, rng.integers(0, 2, 50), CLASSES, np.arange(50), seed=2
    )
    batch = store.batch([5, 4, 4, 0])
    assert batch["S2"].values.shape == (4, 2, 3, 1, 1)
    assert batch["S2"].mask[:, :, 0, 0].tolist() == [[False, True], [True, False], [True, False], [True, True]]
    assert not batch["S2"].values[1, 1].any()
    assert np.isfinite(batch["S2"].values).all()
    assert np.allclose(batch["S2"].values[3, :, :, 0, 0], values[0], atol=1e-6)
    assert np.array_equal(batch["S1_ASC"].mask[:, :, 0, 0], mask[[5, 4, 4, 0]])
    assert list(store.specs) == ["S2", "S1_ASC"] and store.folder is None and store.halo == 0
    assert set(store.split) == {0, 1, 2} and set(store.fold) == set(range(5))


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (dict(labels=[0, 2, 0]), "0 to 1"),
        (dict(groups=[0, 1]), "3 labels but 2 groups"),
        (dict(series={"S2": (np.zeros((3, 2, 2)), None)}), "expected samples x dates x bands"),
        (dict(series={"S2": (np.zeros((3, 2, 3)), np.ones((3, 3)))}), "expected samples x dates x bands"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(change, word):
    given = dict(series={"S2": (np.zeros((3, 2, 3)), None)}, specs=SPECS, labels=[0, 1, 0], groups=[0, 1, 2])
    with pytest.raises(LandloomError, match=word):
        SampleStore.from_arrays(nomenclature=CLASSES, **{**given, **change})


def damage(folder, name, how):
    path = folder / name
    if how == "missing":
        path.unlink()
    elif how == "cut":
        path.write_bytes(path.read_bytes()[:-40])
    elif how == "json":
        path.write_text("{", encoding="utf-8")
    else:
        content = json.loads(path.read_text(encoding="utf-8"))
        how(content)
        path.write_text(json.dumps(content), encoding="utf-8")


@pytest.mark.parametrize(
    ("name", "how", "word"),
    [
        ("samples.json", "missing", "not a folder of samples"),
        ("samples.json", "json", "damaged"),
        ("samples.json", lambda c: c.update(format="other"), "does not describe samples"),
        ("samples.json", lambda c: c.update(version=99), "version 99"),
        ("samples.json", lambda c: c.pop("season"), "season"),
        ("samples.json", lambda c: c["sensors"][0].update(days=[1, 2, 3]), "the days of a sensor"),
        ("samples.json", lambda c: [c["sensors"][0][key].pop() for key in ("days", "dates")], "S2.values.npy"),
        ("samples.json", lambda c: c["sensors"][0].update(name="../S2"), "the sensor ../S2"),
        ("samples.json", lambda c: c["sensors"][0].update(dtype="banana"), "damaged"),
        ("samples.json", lambda c: c.update(nomenclature=c["nomenclature"][:1]), "outside their chip or nomenclature"),
        ("samples.json", lambda c: c.update(halo=3), "outside their chip"),
        ("samples.npy", "missing", "samples.npy"),
        ("chips.npy", "cut", "chips.npy"),
        ("S1_ASC.values.npy", "cut", "S1_ASC.values.npy"),
        ("S1_ASC.mask.npy", "missing", "S1_ASC.mask.npy"),
    ],
)
def test_damaged_folders_are_refused(tmp_path, name, how, word):
    folder = write(tmp_path / "s")
    damage(folder, name, how)
    with pytest.raises(LandloomError, match=word):
        SampleStore.open(folder)


def test_pickles_are_not_loaded(tmp_path):
    folder = write(tmp_path / "s")
    np.save(folder / "samples.npy", np.array([{"a": 1}], object), allow_pickle=True)
    with pytest.raises(LandloomError, match=r"samples\.npy"):
        SampleStore.open(folder)


def test_release_pages_changes_nothing(folder):
    store = SampleStore.open(folder)
    before = store.batch([3, 1], 1)
    store.release_pages()
    after = store.batch([3, 1], 1)
    assert all(np.array_equal(before[name].values, after[name].values) for name in before)


def test_is_sample_folder(folder, tmp_path):
    assert is_sample_folder(folder)
    assert not is_sample_folder(tmp_path)
    assert not is_sample_folder(tmp_path / "absent")
