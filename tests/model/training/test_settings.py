"""Checks, defaults and class weights."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from landloom.model.base.errors import LandloomError
from landloom.model.networks import registry
from landloom.model.training import settings as module
from landloom.model.training.early_stop import EarlyStop
from landloom.model.training.settings import TrainingSettings, class_weights


def test_names_agree_with_the_registry():
    assert set(module.NETWORKS) == set(registry.NETWORKS)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("network", "unet"),
        ("class_weights", "focal"),
        ("evaluation", "loo"),
        ("epochs", -1),
        ("batch_size", 1),
        ("learning_rate", float("nan")),
        ("learning_rate", 2.0),
        ("step", 0),
        ("runs", 0),
        ("seed", -1),
    ],
)
def test_wrong_values_are_refused_by_name(name, value):
    with pytest.raises(LandloomError, match=name.upper()):
        TrainingSettings(**{name: value})


def test_what_the_forest_cannot_do():
    with pytest.raises(LandloomError, match="CLASS_WEIGHTS"):
        TrainingSettings(network="randomforest", class_weights="log")
    with pytest.raises(LandloomError, match="START_FROM"):
        TrainingSettings(network="randomforest", start_from="a.safetensors")
    with pytest.raises(LandloomError, match="FOLD_NETWORKS needs a network"):
        TrainingSettings(network="randomforest", fold_networks=True)
    assert TrainingSettings(network="randomforest").weighting == "balanced"
    assert TrainingSettings().weighting == "log"


def test_json_round_trip():
    settings = TrainingSettings(sensors=("S1", "S2"), indices=(), epochs=3)
    assert TrainingSettings.from_json(settings.to_json()) == settings
    assert TrainingSettings.from_json(TrainingSettings().to_json()).indices is None


@given(st.integers(2, 10**6))
def test_few_and_many_samples_get_enough_steps(samples):
    settings = TrainingSettings()
    batch, epochs = settings.batch_for(samples), settings.epochs_for(samples)
    assert 2 <= batch <= 128
    steps = epochs * max(1, round(samples / batch))
    assert steps >= min(400, 100 * max(1, samples // 16))
    assert TrainingSettings(epochs=7).epochs_for(samples) == 7


def test_class_weights_by_hand():
    labels = np.repeat([0, 1, 3], [80, 15, 5])
    assert class_weights(labels, 4, "none").tolist() == [1, 1, 1, 1]
    balanced = class_weights(labels, 4, "balanced")
    assert balanced[[0, 1, 3]] / balanced[0] == pytest.approx([1, 80 / 15, 16], rel=1e-5)
    log = class_weights(labels, 4, "log")
    expected = np.log(100 / np.array([80, 15, 5]))
    assert log[[0, 1, 3]] == pytest.approx(expected / expected.mean(), rel=1e-5)
    assert balanced[2] == log[2] == 1


@given(st.lists(st.integers(0, 5), min_size=1, max_size=200), st.sampled_from(["none", "balanced", "log"]))
def test_class_weights_are_positive_and_bounded(labels, weighting):
    weights = class_weights(np.array(labels), 6, weighting)
    assert np.all((weights >= 0.1 - 1e-6) & (weights <= 10 + 1e-6))


def test_early_stop_takes_the_latest_of_equals_and_the_best_of_many():
    few = EarlyStop(patience=3, units=30)
    assert all(few.update(epoch, score) for epoch, score in enumerate([0.5, 0.70, 0.66, 0.69], start=1))
    assert few.epoch == 4
    many = EarlyStop(patience=3, units=10**6)
    chosen = [many.update(epoch, score) for epoch, score in enumerate([0.5, 0.70, 0.66, 0.69, 0.65], start=1)]
    assert chosen == [True, True, False, False, False]
    assert many.epoch == 2 and many.is_over(5) and not many.is_over(4)
    many.update(6, float("nan"))
    assert many.epoch == 2
