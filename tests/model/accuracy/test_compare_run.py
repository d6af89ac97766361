"""Protects the comparison itself: fair, honest about chance, going on after a kill, leaving nothing when cancelled."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from landloom.model.accuracy import compare as compare_module
from landloom.model.accuracy.compare import compare
from landloom.model.accuracy.comparesettings import BALANCED, PLAIN, CompareSettings
from landloom.model.accuracy.comparetables import gains, sensor_gains
from landloom.model.base.errors import Cancelled, LandloomError
from landloom.model.base.progress import Progress

pytest.importorskip("sklearn")
sys.path.insert(0, str(Path(__file__).parents[1] / "training"))
import training_samples

FORESTS = {"networks": (), "runs": 2, "folds": 3, "device": "cpu"}


class Watching(Progress):
    def __init__(self, stop_at: int | None = None):
        self.lines: list[str] = []
        self.trainings = 0
        self.stop_at = stop_at

    def info(self, message):
        self.lines.append(message)

    def warning(self, message):
        self.lines.append(f"WARNING {message}")

    def text(self, message):
        self.trainings += message.startswith("Training ")

    def is_cancelled(self):
        return self.stop_at is not None and self.trainings >= self.stop_at


@pytest.fixture(scope="module")
def forests(tmp_path_factory):
    """Both forests on three sets of sensors, and what they predicted."""
    kept = {}
    real = compare_module.do

    def remember(task, pool, settings, progress):
        outcome = real(task, pool, settings, progress)
        kept[task.key] = (task, outcome)
        return outcome

    store = training_samples.make_store(groups=12, noise=8)
    compare_module.do = remember
    try:
        result = compare([store], CompareSettings(**FORESTS), tmp_path_factory.mktemp("compare") / "parts")
    finally:
        compare_module.do = real
    return store, result, kept


def test_everything_is_trained_and_tested_on_the_same_splits(forests):
    _store, result, kept = forests
    assert [one.key for one in result.configurations] == [
        f"{name} {sensors}" for sensors in ("S1", "S2", "S1+S2") for name in (PLAIN, BALANCED)
    ]
    assert result.together == ("S1", "S2") and len(kept) == 6 * 2 * 3
    for split in result.splits:
        own = [task.split for task, _ in kept.values() if (task.split.run, task.split.fold) == (split.run, split.fold)]
        assert len(own) == 6
        for other in own:
            np.testing.assert_array_equal(other.parts.test, split.parts.test)
            np.testing.assert_array_equal(other.learn, split.learn)
    assert result.counts == {"pixels": 180, "polygons": 36, "groups": 36}


def test_scores_are_those_of_scikit_learn_on_the_out_of_fold_predictions(forests):
    from sklearn import metrics

    store, result, kept = forests
    key = f"{BALANCED} S1+S2"
    for run in (0, 1):
        predicted = np.full(len(store), -1)
        for task, outcome in kept.values():
            if task.configuration.key == key and task.split.run == run:
                predicted[task.split.parts.test] = outcome.predicted
        assert (predicted >= 0).all()
        found = {name: values[run] for name, values in result.levels["pixel"].scores[key].items()}
        assert found["overall_accuracy"] == pytest.approx(metrics.accuracy_score(store.labels, predicted))
        assert found["kappa"] == pytest.approx(metrics.cohen_kappa_score(store.labels, predicted))
        for average in ("macro", "weighted"):
            expected = metrics.f1_score(store.labels, predicted, average=average)
            assert found[f"{average}_f1"] == pytest.approx(expected)
        np.testing.assert_allclose(found["f1"][:3], metrics.f1_score(store.labels, predicted, average=None))
    assert result.levels["pixel"].matrix(key).sum() == 180


def test_polygons_are_judged_by_the_mean_probability_of_their_pixels(forests):
    """Ten of a polygon's pixels outvote one: scores per polygon are higher on noisy pixels, and count polygons."""
    _store, result, _ = forests
    polygon, pixel = result.levels["polygon"], result.levels["pixel"]
    assert polygon.matrix(f"{PLAIN} S2").sum() == 36
    assert polygon.mean(f"{PLAIN} S2", "overall_accuracy") > pixel.mean(f"{PLAIN} S2", "overall_accuracy")


def test_gains_are_stated_against_the_better_forest_of_each_score(forests):
    """Also where the forests disagree from score to score; here one is set to be better in accuracy only."""
    _store, result, _ = forests
    judged = result.levels["pixel"]
    keys = [f"{PLAIN} S1+S2", f"{BALANCED} S1+S2"]
    for score in ("overall_accuracy", "kappa", "macro_f1", "weighted_f1"):
        values = [judged.mean(key, score) for key in keys]
        assert result.better_forest(("S1", "S2"), "pixel", score) == keys[int(np.argmax(values))]
    before = {score: judged.scores[keys[0]][score] for score in ("overall_accuracy", "macro_f1")}
    try:
        judged.scores[keys[0]]["overall_accuracy"] = np.array([1.0, 1.0])
        judged.scores[keys[0]]["macro_f1"] = np.array([0.0, 0.0])
        assert result.better_forest(("S1", "S2"), "pixel", "overall_accuracy") == keys[0]
        assert result.better_forest(("S1", "S2"), "pixel", "macro_f1") == keys[1]
    finally:
        judged.scores[keys[0]].update(before)
    assert gains(result) == []
    found = {(one.of, one.over, one.level, one.score): one for one, _ in sensor_gains(result)}
    one = found[keys[0], f"{PLAIN} S1", "pixel", "macro_f1"]
    expected = judged.mean(keys[0], "macro_f1") - judged.mean(f"{PLAIN} S1", "macro_f1")
    assert one.told.estimate == pytest.approx(expected) and one.told.low <= expected <= one.told.high


def test_cost_is_measured(forests):
    _store, result, _ = forests
    for facts in result.facts.values():
        assert facts["seconds_training"] > 0 and 0 < facts["seconds_per_pixel"] < 0.01 and facts["nodes"] > 10


def test_a_network_beside_the_forests(tmp_path):
    pytest.importorskip("torch")
    store = training_samples.make_store(groups=9, noise=2)
    watch = Watching()
    settings = CompareSettings(
        networks=("ltae",), sensor_sets=(("S1", "S2"),), runs=1, folds=3, epochs=2, device="cpu", learning_curve=True
    )
    result = compare([store], settings, tmp_path / "parts", progress=watch)
    told = watch.lines[0]
    assert "9 + 27 for the learning curve trainings" in told and "1 runs x 3 trainings" in told
    facts = result.facts["ltae S1+S2"]
    assert facts["parameters"] > 1000 and facts["mflop_per_pixel"] > 0.01
    found = gains(result)
    assert {(one.level, one.score) for one, _ in found} >= {("pixel", "macro_f1"), ("polygon", "kappa")}
    for one, p in found:
        assert one.of == "ltae S1+S2" and one.over.startswith("randomforest") and p == pytest.approx(one.told.p)
        assert one.told.low <= one.told.estimate <= one.told.high
    assert [curve.positions for curve in result.learning] == [[0.1, 0.25, 0.5, 1.0]] * 3


def test_labels_shuffled_by_group_leave_no_gain_over_chance(tmp_path):
    """The truth of a classifier that knows nothing: kappa 0, and no gain of a network over the forests."""
    pytest.importorskip("torch")
    store = training_samples.make_store(groups=20, pixels=3)
    random = np.random.default_rng(5)
    _, group = np.unique(store.groups, return_inverse=True)
    shuffled = random.permutation(np.arange(group.max() + 1) % 3).astype(np.int16)
    store.labels = shuffled[group]
    settings = CompareSettings(networks=("ltae",), sensor_sets=(("S1", "S2"),), runs=2, folds=3, epochs=3, device="cpu")
    result = compare([store], settings, tmp_path / "parts")
    for level in ("pixel", "polygon"):
        for one in result.configurations:
            kappa = result.levels[level].interval(one.key, "kappa")
            assert kappa.low < 0 < kappa.high or abs(kappa.estimate) < 0.1, (one.key, kappa)
    assert not any(one.told.significant and one.told.estimate > 0 for one, _ in gains(result))


def test_a_killed_comparison_goes_on_and_gives_the_same(tmp_path, monkeypatch):
    store = training_samples.make_store(groups=9, noise=6)
    settings = CompareSettings(**{**FORESTS, "runs": 1})
    whole = compare([store], settings, tmp_path / "whole")
    real, done = compare_module.do, []

    def killed(task, *rest):
        if len(done) == 7:
            raise KeyboardInterrupt
        done.append(task.key)
        return real(task, *rest)

    monkeypatch.setattr(compare_module, "do", killed)
    with pytest.raises(KeyboardInterrupt):
        compare([store], settings, tmp_path / "parts")
    kept = sorted((tmp_path / "parts").glob("*.npz"))
    assert len(kept) == 7
    kept[0].write_bytes(b"cut short")  # by the kill
    again = []
    monkeypatch.setattr(compare_module, "do", lambda task, *rest: again.append(task.key) or real(task, *rest))
    watch = Watching()
    result = compare([store], settings, tmp_path / "parts", progress=watch)
    assert any("7 finished trainings" in line for line in watch.lines)
    assert len(again) == 18 - 6 and len(set(again) & set(done)) == 1
    for level in ("pixel", "polygon"):
        for key, rows in whole.levels[level].runs.items():
            np.testing.assert_array_equal(result.levels[level].runs[key], rows)


def test_what_is_kept_may_be_compared_with_more_but_not_with_other_questions(tmp_path, monkeypatch):
    store = training_samples.make_store(groups=9)
    settings = CompareSettings(**{**FORESTS, "runs": 1, "sensor_sets": (("S2",),)})
    compare([store], settings, tmp_path / "parts")
    trained = []
    real = compare_module.do
    monkeypatch.setattr(compare_module, "do", lambda task, *rest: trained.append(task.key) or real(task, *rest))
    more = CompareSettings(**{**FORESTS, "runs": 2, "sensor_sets": (("S2",), ("S1",))})
    compare([store], more, tmp_path / "parts")
    assert len(trained) == 2 * 2 * 2 * 3 - 6
    watch = Watching()
    other = CompareSettings(**{**FORESTS, "runs": 1, "sensor_sets": (("S2",),), "seed": 1})
    compare([store], other, tmp_path / "parts", progress=watch)
    assert any("starts again" in line for line in watch.lines)
    assert len(list((tmp_path / "parts").glob("*.npz"))) == 6


def test_cancel_leaves_nothing(tmp_path):
    with pytest.raises(Cancelled):
        compare(
            [training_samples.make_store(groups=9)],
            CompareSettings(**FORESTS),
            tmp_path / "parts",
            progress=Watching(stop_at=3),
        )
    assert list(tmp_path.iterdir()) == []


def test_scores_by_last_date_never_see_what_comes_after(tmp_path):
    """All that tells the classes apart is the last image: before it, nothing is known; the date is named."""
    store = training_samples.make_store(groups=12)
    values = {name: array.copy() for name, array in store._values.items()}
    masks = {name: np.ones_like(array) for name, array in store._masks.items()}
    random = np.random.default_rng(0)
    values["S2"][:] = random.integers(1000, 1100, values["S2"].shape)
    values["S2"][:, -1] += (3000 * store.labels[:, None]).astype(np.int16)
    values["S1_ASC"][:] = random.gamma(10, 0.01, values["S1_ASC"].shape)
    store._values, store._masks = values, masks
    settings = CompareSettings(**{**FORESTS, "runs": 1, "season_curve": True, "season_dates": 4})
    result = compare([store], settings, tmp_path / "parts")
    assert len(result.season) == 2 and len(result.season_dates) == 4
    assert result.season_dates[-1] == "2021-06-10" and result.season_dates[0] >= "2021-02-01"
    for curve in result.season:
        accuracy = [one.estimate for one in curve.scores["overall_accuracy"]]
        assert max(accuracy[:-1]) < 0.6 and accuracy[-1] > 0.95
        assert accuracy[-1] == pytest.approx(result.levels["pixel"].mean(curve.configuration.key, "overall_accuracy"))
        assert curve.near_full("overall_accuracy") is None
    assert not result.learning


def test_the_first_date_near_the_full_season(tmp_path):
    """Here all is known from the first image on."""
    store = training_samples.make_store(groups=12)
    values = {name: array.copy() for name, array in store._values.items()}
    values["S2"][:] = (1000 + 3000 * store.labels[:, None, None]).astype(np.int16)
    store._values = values
    store._masks = {name: np.ones_like(array) for name, array in store._masks.items()}
    settings = CompareSettings(
        **{**FORESTS, "runs": 1, "season_curve": True, "season_dates": 3, "sensor_sets": (("S2",),)}
    )
    result = compare([store], settings, tmp_path / "parts")
    assert [curve.near_full("macro_f1") for curve in result.season] == [0, 0]


def test_more_groups_teach_more(tmp_path):
    store = training_samples.make_store(groups=24, pixels=2, noise=8)
    settings = CompareSettings(
        **{**FORESTS, "learning_curve": True, "evaluation": "holdout", "sensor_sets": (("S2",),)}
    )
    result = compare([store], settings, tmp_path / "parts")
    for curve in result.learning:
        assert curve.groups == sorted(curve.groups) and curve.groups[0] < 0.2 * curve.groups[-1]
        accuracy = [one.estimate for one in curve.scores["overall_accuracy"]]
        assert accuracy[-1] > accuracy[0]
        assert accuracy[-1] == pytest.approx(result.levels["pixel"].mean(curve.configuration.key, "overall_accuracy"))


def test_the_parts_of_the_samples(tmp_path):
    """One test for all runs: no test over splits, the bootstrap stands alone."""
    store = training_samples.make_store(groups=15)
    result = compare([store], CompareSettings(**{**FORESTS, "evaluation": "split"}), tmp_path / "parts")
    np.testing.assert_array_equal(result.splits[1].parts.test, store.indices(2))
    gain = result.levels["pixel"].gain(f"{PLAIN} S1+S2", f"{PLAIN} S1", "macro_f1")
    assert gain.told == gain.bootstrap and np.isnan(gain.corrected.p)
    assert result.counts["pixels"] == len(store.indices(2))


def test_bad_input_is_one_sentence(tmp_path):
    store = training_samples.make_store(groups=6)
    pytest.importorskip("torch")
    for words, changes in (
        (("twinns", "HALO 2"), {"networks": ("twinns",)}),
        (("L8", "S2"), {"sensor_sets": (("L8",),)}),
    ):
        with pytest.raises(LandloomError) as raised:
            compare([store], CompareSettings(**{**FORESTS, **changes}), tmp_path / "parts")
        assert all(word in str(raised.value) for word in words)
    one = training_samples.make_store(groups=1, classes=3)
    with pytest.raises(LandloomError, match="nothing can be judged"):
        compare([one], CompareSettings(**FORESTS), tmp_path / "parts")
    assert list(tmp_path.iterdir()) == []


def test_a_store_as_it_was_on_a_day(tmp_path):
    from landloom.model.samples.store import SampleStore

    store = SampleStore.open(training_samples.write_folder(tmp_path / "a"))
    early = store.until(62)
    assert early.specs["S2"].days == (5, 30, 62) and early.specs["S1_ASC"].days == (2, 50)
    assert early.specs["S2"].dates == store.specs["S2"].dates[:3]
    np.testing.assert_array_equal(
        early.batch([3, 1], halo=2)["S2"].values, store.batch([3, 1], halo=2)["S2"].values[:, :3]
    )
    early.release_pages()
    assert early.batch([0])["S2"].values.shape[1] == 3
    assert list(store.until(3).specs) == ["S1_ASC"]
    assert json.dumps(early.specs["S2"].to_json())
