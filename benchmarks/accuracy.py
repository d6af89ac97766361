"""Accuracy of the networks and of both forests on point series, through the product's own sample store and training.

With --data: StratifiedGroupKFold(5, shuffle, random_state=run) by --group, scores of the pooled out-of-fold
predictions; networks stop by groups cut from the training folds. With --train and --test: trained on the one, judged on
the other. Gains with intervals and tests, on several sets of sensors: compare.py.

    python benchmarks/accuracy.py --data canada2017.npz --group group_h3cell --networks ltae --json out.json
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent))
from common import load_package, read_point_series

load_package()

if TYPE_CHECKING:
    from landloom.model.base.metrics import Scores
    from landloom.model.training.pool import SamplePool
    from landloom.model.training.settings import TrainingSettings

FOLDS = 5
SCORES = ("overall_accuracy", "kappa", "macro_f1")


def settings_for(name: str, run: int, arguments: argparse.Namespace) -> TrainingSettings:
    """The product's defaults for a network of the list; the plain forest without class weights."""
    from landloom.model.accuracy.comparesettings import FORESTS, CompareSettings

    settings = CompareSettings(networks=(), epochs=arguments.epochs, device=arguments.device)
    members = 1 if name in FORESTS else arguments.members
    return settings.training(name, tuple(arguments.sensors.split("+")), run).but(runs=members)


def predict_test(
    pool: SamplePool, learn: np.ndarray, test_pool: SamplePool, test: np.ndarray, settings: TrainingSettings
) -> np.ndarray:
    """Class probabilities of test samples by a model that learnt from other samples, its validation groups included."""
    from landloom.model.accuracy.compareunits import learn_and_predict
    from landloom.model.base.progress import Progress
    from landloom.model.training.folds import Parts, cut_validation

    parts = Parts(*cut_validation(pool.labels, pool.groups, learn, settings.seed), test)
    return learn_and_predict(pool, parts, settings, Progress(), test_pool)[1]


def cross_validated(name: str, run: int, arguments: argparse.Namespace) -> Scores:
    """Scores of the pooled out-of-fold predictions of one run."""
    from landloom.model.base.metrics import confusion_matrix, scores
    from landloom.model.training.pool import SamplePool
    from sklearn.model_selection import StratifiedGroupKFold

    settings = settings_for(name, run, arguments)
    store = read_point_series(arguments.data, arguments.group)
    pool = SamplePool([store], settings.sensors)
    _, groups = np.unique(store.groups, return_inverse=True)
    predicted = np.full(len(pool), -1)
    folds = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=run).split(pool.labels, pool.labels, groups)
    for learn, test in folds:
        predicted[test] = predict_test(pool, learn, pool, test, settings).argmax(axis=1)
    return scores(confusion_matrix(pool.labels, predicted, len(pool.nomenclature)))


def trained_and_tested(name: str, run: int, arguments: argparse.Namespace) -> Scores:
    """Scores on --test of a model trained on --train; classes are matched by name."""
    from landloom.model.base.errors import LandloomError
    from landloom.model.base.metrics import confusion_matrix, scores
    from landloom.model.training.pool import SamplePool

    settings = settings_for(name, run, arguments)
    pool = SamplePool([read_point_series(arguments.train, arguments.group)], settings.sensors)
    other = SamplePool([read_point_series(arguments.test)], settings.sensors)
    places = {label: place for place, label in enumerate(pool.nomenclature.names)}
    unknown = [label for label in other.nomenclature.names if label not in places]
    if unknown:
        raise LandloomError(f"{arguments.test} has classes that {arguments.train} lacks: {', '.join(unknown)}.")
    labels = np.array([places[label] for label in other.nomenclature.names])[other.labels]
    every = np.arange(len(other))
    probabilities = predict_test(pool, np.arange(len(pool)), other, every, settings)
    return scores(confusion_matrix(labels, probabilities.argmax(axis=1), len(pool.nomenclature)))


def mean_and_std(values: list[float]) -> dict[str, float]:
    """Mean and standard deviation over the runs (0 for one run)."""
    return {"mean": float(np.mean(values)), "std": float(np.std(values, ddof=1)) if len(values) > 1 else 0.0}


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """The content of the JSON file."""
    one_run = cross_validated if arguments.data else trained_and_tested
    names = read_names(arguments)
    networks: dict[str, Any] = {}
    for name in [word for word in arguments.networks.split(",") if word]:
        found, seconds = [], []
        for run in range(arguments.runs):
            begin = time.monotonic()
            found.append(one_run(name, run, arguments))
            seconds.append(time.monotonic() - begin)
            print(
                f"{name} run {run}: OA {found[-1].overall_accuracy:.4f}, kappa {found[-1].kappa:.4f}, macro F1 "
                f"{found[-1].macro_f1:.4f} ({seconds[-1]:.0f} s)",
                file=sys.stderr,
                flush=True,
            )
        networks[name] = {score: mean_and_std([getattr(one, score) for one in found]) for score in SCORES}
        networks[name]["per_class_f1"] = {
            label: mean_and_std([float(one.f1[k]) for one in found if np.isfinite(one.f1[k])] or [0.0])
            for k, label in enumerate(names)
        }
        networks[name]["seconds"] = mean_and_std(seconds)
    return {
        "data": [str(path) for path in (arguments.data, arguments.train, arguments.test) if path],
        "group": arguments.group,
        "sensors": arguments.sensors,
        "runs": arguments.runs,
        "networks": networks,
    }


def read_names(arguments: argparse.Namespace) -> tuple[str, ...]:
    """Names of the classes."""
    return read_point_series(arguments.data or arguments.train).nomenclature.names


def parse(words: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", help="point series to cross-validate on (.npz)")
    parser.add_argument("--group", help="array of groups, such as group_location or group_h3cell")
    parser.add_argument("--train", help="point series to learn from (.npz)")
    parser.add_argument("--test", help="point series to judge on (.npz)")
    parser.add_argument(
        "--networks", default="ltae,randomforest,randomforest-balanced", help="names, separated by commas"
    )
    parser.add_argument("--sensors", default="S1+S2", help="S1, S2 or S1+S2")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--members", type=int, default=1, help="networks in an ensemble")
    parser.add_argument("--epochs", type=int, default=0, help="0 = the product's default")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--json", required=True, help="where the figures go")
    arguments = parser.parse_args(words)
    if bool(arguments.data) == bool(arguments.train and arguments.test):
        parser.error("give either --data, or --train and --test")
    if arguments.data and not arguments.group:
        parser.error("--data needs --group")
    return arguments


def main(words: list[str] | None = None) -> int:
    """Measure and write; 1 with a sentence when something is wrong."""
    from landloom.model.base.errors import LandloomError
    from landloom.model.base.files import write_json

    arguments = parse(words)
    try:
        write_json(arguments.json, measure(arguments))
    except LandloomError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
