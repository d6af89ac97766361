"""How a network is trained: the recipe, its defaults and its checks."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

import numpy as np

from ..base.errors import LandloomError
from ..base.language import tr
from ..base.values import check_choice, check_range
from ..networks.registry import PIXELSET
from ..stack.indices import check_indices

NETWORKS = ("ltae", "twinns", "tempcnn", "randomforest")
CLASS_WEIGHTS = ("auto", "none", "balanced", "log")
EVALUATIONS = ("auto", "holdout", "folds")
FOREST = "randomforest"

#: Under this many groups a class (median over classes) the automatic evaluation is ``folds``.
GROUPS_FOR_HOLDOUT = 50

_STEPS = 800  # optimiser steps that the automatic number of epochs aims at
_FEWEST_EPOCHS, _MOST_EPOCHS = 25, 100


@dataclass(frozen=True)
class TrainingSettings:
    """All that decides a training besides the samples.

    The recipe (learning rate, dropped dates and sensors, smoothed labels, class weights, averaged weights) is the one
    that reached the best validation score on small field data; see ``docs/benchmarks.md``.

    Attributes:
        network: one of :data:`NETWORKS`, or ``pixelset``, which learns from objects only.
        epochs: most passes over the training samples; 0 chooses by the number of samples.
        batch_size: samples a step; made smaller for few samples and when the GPU is out of memory.
        learning_rate: highest rate of AdamW; 0 takes the default, a quarter of it with ``start_from``.
        class_weights: ``none``, ``balanced`` (inverse frequency), ``log`` (logarithm of it); ``auto`` is ``log`` for
            networks and ``balanced`` for the forest.
        sensors: those to use, ``S1`` means every ``S1_*``; empty = all.
        step: days between the regular dates of the networks that need them.
        indices: names of the indices added as channels; None = the defaults of the inputs.
        evaluation: ``holdout``, ``folds`` or ``auto``.
        fold_networks: with ``holdout``, also train a network for each fold of the groups that train, for descriptors of
            objects (see ``foldmodels.py``); with ``folds`` they are there anyway.
        runs: members of the ensemble, equal but for their seed.
        start_from: a model file whose weights are the start.
        device: ``auto``, ``cpu``, ``cuda`` or ``mps``.
        seed: start of all random numbers.
        memory_mb: working memory; inputs are kept ready in it when they fit.
        patience: share of the epochs without a better validation score after which training stops.
        weight_decay: of AdamW, on matrices and kernels only.
        label_smoothing: share of the target spread over all classes.
        auxiliary_weight: weight of each auxiliary head's loss.
        date_dropout: chance that an acquisition is hidden, by kind of sensor.
        sensor_dropout: chance that one of several sensors is hidden wholly.
        shift_days: the series moves by up to this many days, earlier or later.
        averaging: decay of the moving average of the weights, by which the model is validated and delivered.
        gradient_clip: largest norm of the gradient.
        set_pixels: of an object's set so many pixels are drawn anew at each step, for a network that reads sets.
    """

    network: str = "ltae"
    epochs: int = 0
    batch_size: int = 128
    learning_rate: float = 0.0
    class_weights: str = "auto"
    sensors: tuple[str, ...] = ()
    step: int = 10
    indices: tuple[str, ...] | None = None
    evaluation: str = "auto"
    fold_networks: bool = False
    runs: int = 1
    start_from: str = ""
    device: str = "auto"
    seed: int = 0
    memory_mb: int = 1024
    patience: float = 0.4
    weight_decay: float = 1e-2
    label_smoothing: float = 0.05
    auxiliary_weight: float = 0.3
    date_dropout_optical: float = 0.2
    date_dropout_radar: float = 0.15
    sensor_dropout: float = 0.12
    shift_days: float = 3.0
    averaging: float = 0.98
    gradient_clip: float = 1.0
    set_pixels: int = 8

    def __post_init__(self) -> None:
        """Check every value.

        Raises:
            LandloomError: naming the parameter and what it may be.
        """
        if self.network != PIXELSET:
            check_choice("NETWORK", self.network, NETWORKS)
        check_choice("CLASS_WEIGHTS", self.class_weights, CLASS_WEIGHTS)
        check_choice("EVALUATION", self.evaluation, EVALUATIONS)
        check_range("EPOCHS", self.epochs, 0, 100_000)
        check_range("BATCH_SIZE", self.batch_size, 2, 1_000_000)
        check_range("LEARNING_RATE", self.learning_rate, 0, 1)
        check_range("STEP", self.step, 1, 366)
        check_range("RUNS", self.runs, 1, 100)
        check_range("SEED", self.seed, 0, 2**31 - 1)
        check_range("MEMORY_MB", self.memory_mb, 16, 2**31)
        check_indices(self.indices or ())
        if self.network == FOREST and self.class_weights == "log":
            raise LandloomError(tr("CLASS_WEIGHTS log is for networks: choose none or balanced for randomforest."))
        if self.network == FOREST and self.fold_networks:
            raise LandloomError(tr("FOLD_NETWORKS needs a network; a random forest has no descriptors: leave it off."))
        if self.network == FOREST and self.start_from:
            raise LandloomError(tr("START_FROM needs a network; a random forest is always grown anew: leave it empty."))

    @property
    def is_forest(self) -> bool:
        """Whether the classifier is the random forest, which needs no torch."""
        return self.network == FOREST

    @property
    def weighting(self) -> str:
        """The class weights that ``auto`` stands for."""
        if self.class_weights != "auto":
            return self.class_weights
        return "balanced" if self.is_forest else "log"

    @property
    def rate(self) -> float:
        """The highest learning rate."""
        if self.learning_rate:
            return self.learning_rate
        return 5e-4 if self.start_from else 2e-3

    def batch_for(self, samples: int) -> int:
        """Samples a step: at least about eight steps an epoch, so that a few hundred samples train as well."""
        return int(max(2, min(self.batch_size, max(16, math.ceil(samples / 8)))))

    def epochs_for(self, samples: int) -> int:
        """Passes over the samples: as asked, else by the number of steps; half as many over sets, which hold more."""
        if self.epochs:
            return self.epochs
        steps_an_epoch = max(1, round(samples / self.batch_for(samples)))
        share = 0.5 if self.network == PIXELSET else 1.0
        return int(np.clip(math.ceil(share * _STEPS / steps_an_epoch), _FEWEST_EPOCHS, share * _MOST_EPOCHS))

    def but(self, **changes: Any) -> TrainingSettings:
        """The same settings with some changed."""
        return replace(self, **changes)

    def to_json(self) -> dict[str, Any]:
        """A dictionary that JSON can hold."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> TrainingSettings:
        """The inverse of :meth:`to_json`; unknown keys are ignored."""
        known = {field.name: content[field.name] for field in fields(cls) if field.name in content}
        for key in ("sensors", "indices"):
            if known.get(key) is not None:
                known[key] = tuple(known[key])
        return cls(**known)


def class_weights(labels: np.ndarray, classes: int, weighting: str) -> np.ndarray:
    """Weights of the classes in the loss.

    Args:
        labels: ``[N]`` class indices of the training samples.
        classes: number of classes K.
        weighting: ``none``, ``balanced`` (N / count) or ``log`` (log(N / count)).

    Returns:
        ``[K]`` float32, mean 1 over the classes that occur, clipped to 0.1..10; 1 for a class without samples.
    """
    counts = np.bincount(labels, minlength=classes).astype(np.float64)
    present = counts > 0
    weights = np.ones(classes)
    if weighting != "none" and present.sum() > 1:
        share = counts[present].sum() / counts[present]
        raw = np.log(share) if weighting == "log" else share
        weights[present] = np.clip(raw / raw.mean(), 0.1, 10.0)
    return weights.astype(np.float32)
