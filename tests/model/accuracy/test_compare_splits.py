"""Protects what a comparison rests on: nobody is judged by what taught him, and all have the same splits."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from landloom.model.accuracy.comparesettings import (
    CompareSettings,
    choose_sensor_sets,
    read_sensor_sets,
    widest,
)
from landloom.model.accuracy.comparesplits import deal, part_of_learning, units_of
from landloom.model.base.errors import LandloomError
from landloom.model.training.pool import SamplePool
from osgeo import ogr

sys.path.insert(0, str(Path(__file__).parents[1] / "samples"))
sys.path.insert(0, str(Path(__file__).parents[1] / "training"))
import samples_scene
import training_samples


class Pool(SimpleNamespace):
    """What dealing needs of a pool."""

    def __len__(self):
        return len(self.labels)


def some_pool(seed: int, groups: int, classes: int, mixed: bool) -> Pool:
    """Random groups; with ``mixed`` they hold several classes, as blocks do."""
    random = np.random.default_rng(seed)
    owner = random.integers(0, groups, 6 * groups)
    labels = random.integers(0, classes, len(owner)) if mixed else random.integers(0, classes, groups)[owner]
    split = random.integers(0, 3, groups)[owner]
    return Pool(labels=labels, groups=owner, nomenclature=range(classes), split=split)


@given(
    st.integers(0, 2**31),
    st.integers(3, 40),
    st.integers(2, 5),
    st.booleans(),
    st.sampled_from(["folds", "holdout"]),
)
def test_a_group_is_never_in_two_parts(seed, groups, classes, mixed, evaluation):
    pool = some_pool(seed, groups, classes, mixed)
    try:
        splits = deal(pool, pool.groups, CompareSettings(evaluation=evaluation, runs=2, folds=4))
    except LandloomError as error:
        assert "nothing" in str(error)
        return
    for split in splits:
        parts = [set(pool.groups[own].tolist()) for own in split.parts]
        assert not parts[0] & parts[1] and not parts[0] & parts[2] and not parts[1] & parts[2]
        assert sum(len(own) for own in split.parts) == len(pool)
        # A class that is judged was taught by another group.
        assert set(pool.labels[split.parts.test]) <= set(pool.labels[split.learn]) or mixed
    if evaluation == "folds":
        for run in (0, 1):
            judged = np.concatenate([split.parts.test for split in splits if split.run == run])
            assert len(judged) == len(set(judged.tolist()))


def test_every_group_is_judged_once_a_run_and_runs_differ():
    store = training_samples.make_store(groups=10)
    pool = SamplePool([store])
    splits = deal(pool, pool.groups, CompareSettings(runs=2, folds=5, seed=4))
    assert [(split.run, split.fold) for split in splits] == [(run, fold) for run in (0, 1) for fold in range(5)]
    tests = [np.concatenate([split.parts.test for split in splits if split.run == run]) for run in (0, 1)]
    assert all(sorted(own.tolist()) == list(range(len(pool))) for own in tests)
    assert set(splits[0].parts.test.tolist()) != set(splits[5].parts.test.tolist())
    assert np.mean([split.ratio for split in splits]) == pytest.approx(0.25)
    again = deal(pool, pool.groups, CompareSettings(runs=2, folds=5, seed=4))
    for one, other in zip(splits, again, strict=True):
        for mine, theirs in zip(one.parts, other.parts, strict=True):
            np.testing.assert_array_equal(mine, theirs)


def test_a_class_with_one_group_teaches_and_is_never_judged():
    labels, groups = np.repeat([0, 0, 0, 1, 1, 2], 4), np.repeat([0, 1, 2, 3, 4, 5], 4)
    pool = Pool(labels=labels, groups=groups, nomenclature=range(3))
    for evaluation in ("folds", "holdout"):
        for split in deal(pool, groups, CompareSettings(evaluation=evaluation, runs=3, folds=3)):
            assert 2 not in labels[split.parts.test] and 2 in labels[split.parts.training]


def test_a_lonely_class_keeps_its_whole_group_out_of_the_test():
    """Its group also holds another class: judging that would split the group."""
    labels, groups = np.array([0, 2, 0, 0, 1, 1, 1]), np.array([0, 0, 1, 2, 3, 4, 5])
    pool = Pool(labels=labels, groups=groups, nomenclature=range(3))
    for split in deal(pool, groups, CompareSettings(folds=3, runs=2)):
        assert 0 not in groups[split.parts.test]


def test_folds_of_a_training_keep_a_lonely_class_with_its_group():
    """EVALUATION folds of train: the group of a lonely class also holds another one, which must not judge it."""
    from landloom.model.training.folds import folds

    labels, groups = np.array([0, 2, 0, 0, 1, 1, 1]), np.array([0, 0, 1, 2, 3, 4, 5])
    pool = Pool(labels=labels, groups=groups, nomenclature=range(3), fold=np.array([0, 0, 1, 2, 0, 1, 2]))
    for _, parts in folds(pool, 0):
        assert not set(groups[parts.test]) & set(groups[np.concatenate([parts.training, parts.validation])])
        assert len(np.concatenate(parts)) == len(labels)


def test_parts_of_the_samples_that_split_a_group_are_refused():
    labels, groups = np.array([0, 0, 1, 1, 0, 1]), np.array([0, 0, 1, 1, 2, 3])
    pool = Pool(labels=labels, groups=groups, nomenclature=range(2), split=np.array([0, 0, 0, 0, 2, 2]))
    settings = CompareSettings(evaluation="split", runs=2)
    splits = deal(pool, groups, settings)
    assert [split.parts.test.tolist() for split in splits] == [[4, 5], [4, 5]]
    pool.split = np.array([0, 2, 0, 0, 2, 2])
    with pytest.raises(LandloomError, match="two parts"):
        deal(pool, groups, settings)


def test_parts_of_the_training_groups_are_nested_and_have_the_same_test():
    pool = SamplePool([training_samples.make_store(groups=20)])
    split = deal(pool, pool.groups, CompareSettings(runs=1))[0]
    before: set[int] = set()
    for share, count in ((0.1, 6), (0.25, 12), (0.5, 24)):
        fewer = part_of_learning(pool, pool.groups, split, share, 0)
        np.testing.assert_array_equal(fewer.parts.test, split.parts.test)
        own = set(pool.groups[fewer.learn].tolist())
        assert before <= own <= set(pool.groups[split.learn].tolist()) and len(own) == count
        before = own


def test_fields_seen_in_two_folders_are_on_one_side(tmp_path):
    """The same places in two years: what taught in 2021 must not judge in 2022."""
    from landloom.model.samples.store import SampleStore

    folders = [training_samples.write_folder(tmp_path / str(year), year=year) for year in (2021, 2022)]
    stores = [SampleStore.open(folder) for folder in folders]
    pool = SamplePool(stores)
    place = np.concatenate([store.x + 1e7 * store.y for store in stores])
    for settings in (CompareSettings(runs=2, folds=3), CompareSettings(runs=2, split_by="block", block_size=200.0)):
        units = units_of(pool, settings)
        for split in deal(pool, units, settings):
            assert not set(place[split.learn]) & set(place[split.parts.test])


def test_blocks_hold_groups_whole_and_are_square(tmp_path):
    from landloom.model.samples.store import SampleStore

    store = SampleStore.open(training_samples.write_folder(tmp_path / "a"))
    pool = SamplePool([store])
    units = units_of(pool, CompareSettings(split_by="block", block_size=210.0))
    for group in np.unique(pool.groups):
        assert len(np.unique(units[pool.groups == group])) == 1
    for unit in np.unique(units):
        middles = [store.x[pool.groups == group].mean() for group in np.unique(pool.groups[units == unit])]
        assert max(middles) - min(middles) < 210.0
    assert len(np.unique(units)) == 8  # 24 groups, 70 m apart
    with pytest.raises(LandloomError, match="one block"):
        deal(pool, units_of(pool, CompareSettings(split_by="block", block_size=1e9)), CompareSettings(split_by="block"))
    with pytest.raises(LandloomError, match="coordinates"):
        units_of(SamplePool([training_samples.make_store()]), CompareSettings(split_by="block"))


def test_neighbours_and_levels_never_leak(make_stack, tmp_path):
    """GROUP_DISTANCE joins fields within 25 m, LEVEL their classes: no field judges what its neighbour taught."""
    from landloom.model.base.progress import Progress
    from landloom.model.samples.extraction import extract_samples
    from landloom.model.samples.settings import ExtractionSettings
    from landloom.model.samples.store import SampleStore

    stack = make_stack(tmp_path / "stack", samples_scene.sensors())
    # Pairs of fields 20 m apart; from pair to pair it is 120 m.
    pairs = [row * 6 + column for row in (0, 2, 4) for column in (0, 1, 3, 4)]
    features = samples_scene.fields()
    layer = samples_scene.write_layer(tmp_path / "reference.gpkg", [features[place] for place in pairs])
    table = tmp_path / "nomenclature.csv"
    table.write_text(
        "value,code,name,color,level1,level1_code\neau,1,eau,#0000ff,eau,1\nforêt,2,forêt,#006600,vert,2\n"
        "maïs,3,maïs,#ffcc00,vert,2\n",
        encoding="utf-8",
    )
    closest = {}
    for level, distance in ((0, 0.0), (0, 25.0), (1, 25.0)):
        settings = ExtractionSettings("crop", nomenclature=str(table), level=level, group_distance=distance, halo=0)
        folder = tmp_path / f"samples {level} {distance}"
        extract_samples(stack, layer, settings, folder, Progress())
        pool = SamplePool([SampleStore.open(folder)])
        store = pool.stores[0]
        assert len(pool.nomenclature) == (2 if level else 3)
        gaps = []
        for split in deal(pool, pool.groups, CompareSettings(runs=2, folds=3)):
            teach, judge = (_fields(store.x[own], store.y[own], layer) for own in (split.learn, split.parts.test))
            assert not teach.keys() & judge.keys()
            gaps += [a.Distance(b) for a in teach.values() for b in judge.values()]
        closest[level, distance] = min(gaps)
    assert closest[0, 0.0] == pytest.approx(20)  # without it, neighbours do part
    assert closest[0, 25.0] == closest[1, 25.0] == pytest.approx(120)


def _fields(x: np.ndarray, y: np.ndarray, layer: Path) -> dict[int, ogr.Geometry]:
    """The polygons in which places lie, found by OGR alone."""
    source = ogr.Open(str(layer))
    found = {}
    for feature in source.GetLayer():
        shape = feature.GetGeometryRef()
        west, east, south, north = shape.GetEnvelope()
        if ((x > west) & (x < east) & (y > south) & (y < north)).any():
            found[feature.GetFID()] = shape.Clone()
    return found


def test_sensor_sets():
    specs = training_samples.specs()
    assert choose_sensor_sets((), specs) == [("S1",), ("S2",), ("S1", "S2")]
    assert choose_sensor_sets((), {"S2": specs["S2"]}) == [("S2",)]
    sets = read_sensor_sets(" S1 ; S2;S1_ASC+S2 ")
    assert sets == (("S1",), ("S2",), ("S1_ASC", "S2"))
    assert widest(choose_sensor_sets(sets, specs), specs) == ("S1_ASC", "S2")
    with pytest.raises(LandloomError, match="L8"):
        choose_sensor_sets((("L8",),), specs)
    for text in ("S1+;S2", "S1;S1", "S2+S1;S1+S2", "S1+S1"):
        with pytest.raises(LandloomError, match="SENSOR_SETS"):
            read_sensor_sets(text)


@pytest.mark.parametrize(
    ("word", "changes"),
    [
        ("NETWORKS", {"networks": ("unet",)}),
        ("NETWORKS", {"networks": ("randomforest",)}),
        ("EVALUATION", {"evaluation": "all"}),
        ("SPLIT_BY", {"split_by": "pixel"}),
        ("RUNS", {"runs": 0}),
        ("FOLDS", {"folds": 1}),
        ("TEST", {"test": 1.0}),
        ("BLOCK_SIZE", {"split_by": "block", "block_size": 0.0}),
        ("EVALUATION", {"split_by": "block", "evaluation": "split"}),
        ("SEASON_DATES", {"season_dates": 1}),
        ("EPOCHS", {"epochs": -1}),
        ("STEP", {"step": 0}),
    ],
)
def test_wrong_settings_are_named(word, changes):
    with pytest.raises(LandloomError, match=word):
        CompareSettings(**changes)
