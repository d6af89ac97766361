from __future__ import annotations

import builtins

import numpy as np
import pytest
from landloom.model.base.errors import LandloomError, MissingPackageError
from landloom.model.networks.forest import Forest, fit_forest, from_sklearn

ensemble = pytest.importorskip("sklearn.ensemble")


def data(n=600, features=12, classes=5, seed=0):
    random = np.random.default_rng(seed)
    labels = random.integers(0, classes, n)
    values = random.normal(size=(n, features)).astype(np.float32)
    values[:, :classes] += 1.5 * np.eye(classes, dtype=np.float32)[labels]
    values[:, -1] = random.integers(0, 3, n)  # ties with thresholds
    return values, labels


@pytest.mark.parametrize("weights", ["none", "balanced"])
def test_probabilities_equal_scikit_learn(weights):
    values, labels = data()
    reference = ensemble.RandomForestClassifier(
        n_estimators=20,
        max_depth=25,
        min_samples_split=5,
        class_weight="balanced" if weights == "balanced" else None,
        random_state=3,
    ).fit(values, labels)
    forest = fit_forest(values, labels, 5, {"trees": 20}, weights, seed=3)
    fresh = data(1500, seed=1)[0]
    expected = reference.predict_proba(fresh)
    np.testing.assert_allclose(forest.predict_proba(fresh), expected, atol=1e-6)
    np.testing.assert_allclose(forest.predict_proba(np.asfortranarray(fresh), threads=2), expected, atol=1e-6)
    np.testing.assert_allclose(forest._evaluate(fresh), expected, atol=1e-6)
    assert forest._compile()


def test_values_at_a_threshold_go_left_as_in_scikit_learn():
    values, labels = data()
    reference = ensemble.RandomForestClassifier(10, random_state=0).fit(values, labels)
    forest = from_sklearn(reference, 5)
    at = np.zeros((len(forest.threshold), 12), dtype=np.float32)
    at[np.arange(len(at)), forest.feature] = forest.threshold
    near = np.nextafter(at, np.float32(np.inf), dtype=np.float32)
    for points in (at, near):
        np.testing.assert_allclose(forest._evaluate(points), reference.predict_proba(points), atol=1e-6)


def test_a_class_without_samples_has_probability_zero():
    values, labels = data()
    labels[labels == 2] = 3
    found = fit_forest(values, labels, 6, {"trees": 5}).predict_proba(values)
    assert found.shape == (600, 6)
    assert not found[:, [2, 5]].any()
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-5)


def test_one_class_gives_single_leaves():
    values, _ = data(30)
    found = fit_forest(values, np.zeros(30, int), 1, {"trees": 3}).predict_proba(values)
    assert np.all(found == 1)


def test_same_seed_same_forest_whatever_the_threads():
    values, labels = data()
    first = fit_forest(values, labels, 5, {"trees": 8}, seed=1, threads=1)
    second = fit_forest(values, labels, 5, {"trees": 8}, seed=1, threads=2)
    other = fit_forest(values, labels, 5, {"trees": 8}, seed=2)
    assert all(
        np.array_equal(a, b) for a, b in zip(first.to_tensors().values(), second.to_tensors().values(), strict=True)
    )
    assert not np.array_equal(first.threshold, other.threshold)


def test_arrays_survive_and_need_no_sklearn(monkeypatch):
    values, labels = data()
    forest = fit_forest(values, labels, 5, {"trees": 6})
    expected = forest.predict_proba(values)
    copy = Forest.from_tensors({name: array.copy() for name, array in forest.to_tensors().items()})
    imported = builtins.__import__

    def blocked(name, *arguments, **options):
        if name.split(".")[0] == "sklearn":
            raise ImportError(name)
        return imported(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", blocked)
    np.testing.assert_allclose(copy.predict_proba(values), expected, atol=1e-6)
    assert copy._compiled == [None]


def test_compiled_trees_that_disagree_are_not_used(monkeypatch):
    values, labels = data()
    forest = fit_forest(values, labels, 5, {"trees": 6})
    expected = forest._evaluate(values)
    monkeypatch.setattr(Forest, "_evaluate_compiled", lambda self, x: np.zeros((len(x), self.classes), np.float32))
    np.testing.assert_allclose(forest.predict_proba(values), expected, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "place", "value"),
    [
        ("left", 0, 0),  # a path that turns back
        ("left", 0, 10**6),
        ("right", 0, -1),
        ("left", 0, -2),
        ("feature", 0, 99),
        ("feature", 0, -1),
        ("threshold", 0, np.nan),
        ("leaf", 0, np.inf),
        ("start", 0, 5),
        ("start", 1, 10**6),
    ],
)
def test_arrays_that_are_not_trees_are_refused(name, place, value):
    values, labels = data()
    tensors = {key: array.copy() for key, array in fit_forest(values, labels, 5, {"trees": 3}).to_tensors().items()}
    tensors[name][place] = value
    with pytest.raises(LandloomError, match="damaged"):
        Forest.from_tensors(tensors)


def test_missing_or_wrongly_typed_arrays_are_refused():
    values, labels = data()
    tensors = fit_forest(values, labels, 5, {"trees": 3}).to_tensors()
    with pytest.raises(LandloomError, match="lacks arrays"):
        Forest.from_tensors({name: array for name, array in tensors.items() if name != "leaf"})
    with pytest.raises(LandloomError, match="not trees"):
        Forest.from_tensors({**tensors, "left": tensors["left"].astype(np.float32)})


@pytest.mark.parametrize("settings", [{"trees": 0}, {"trees": 10**9}, {"bushes": 3}, {"depth": "deep"}])
def test_wrong_settings_are_refused(settings):
    values, labels = data(20)
    with pytest.raises(LandloomError, match="randomforest"):
        fit_forest(values, labels, 5, settings)


def test_wrong_class_weights_no_samples_and_no_sklearn(monkeypatch):
    values, labels = data(20)
    with pytest.raises(LandloomError, match="CLASS_WEIGHTS"):
        fit_forest(values, labels, 5, class_weights="heavy")
    with pytest.raises(LandloomError, match="no training sample"):
        fit_forest(values[:0], labels[:0], 5)
    monkeypatch.setitem(__import__("sys").modules, "sklearn.ensemble", None)
    with pytest.raises(MissingPackageError, match="sklearn"):
        fit_forest(values, labels, 5)


def ranked_data(seed=0, n=3000):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 5, n)
    labels[: n // 200] = 5  # a rare class beyond the end of the others
    features = (rng.normal(size=(6, 12))[labels] + rng.normal(size=(n, 12))).astype(np.float32)
    features[labels == 5, 0] += 9
    return features, labels


def test_ranked_trees_compare_real_values(monkeypatch):
    """A forest grown on ranks gives each training sample what scikit-learn gives its ranks."""
    from landloom.model.networks import forest as module
    from landloom.model.networks.forestbins import to_ranks
    from sklearn.ensemble import RandomForestClassifier

    features, labels = ranked_data()
    monkeypatch.setattr(module, "RANKED", 1000)
    forest = module.fit_forest(features, labels, 6, {"trees": 10})
    ranks, _cuts = to_ranks(features)
    peer = RandomForestClassifier(10, max_depth=25, min_samples_split=5, random_state=0).fit(ranks, labels)
    np.testing.assert_allclose(forest.predict_proba(features), peer.predict_proba(ranks), atol=1e-6)


def test_ranks_cost_no_accuracy_and_keep_a_rare_class(monkeypatch):
    from landloom.model.networks import forest as module

    features, labels = ranked_data(n=6000)
    other, truth = features[1::2], labels[1::2]
    right, found = {}, {}
    for ranked in (10**9, 1000):
        monkeypatch.setattr(module, "RANKED", ranked)
        predicted = module.fit_forest(features[::2], labels[::2], 6).predict_proba(other).argmax(axis=1)
        right[ranked] = (predicted == truth).mean()
        found[ranked] = (predicted[truth == 5] == 5).mean()
    assert found[1000] >= found[10**9] - 0.1, found
    assert abs(right[1000] - right[10**9]) < 0.012, right


def test_cut_points_of_a_constant_feature():
    from landloom.model.networks.forestbins import to_ranks

    ranks, cuts = to_ranks(np.full((100, 2), 0.3, dtype=np.float32))
    assert len(np.unique(ranks)) == 1 and all(len(one) == 1 for one in cuts)
