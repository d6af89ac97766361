"""The benchmark of objects: its scores, its table and its verdict, on toy figures."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def objects():
    spec = importlib.util.spec_from_file_location("landloom_objects_benchmark", BENCHMARKS / "objects.py")
    module = importlib.util.module_from_spec(spec)
    before = list(sys.path)
    spec.loader.exec_module(module)
    sys.path[:] = before
    return module


def runs_of(objects, *gains):
    return [
        {
            objects.PLAIN: {"overall_accuracy": 0.5, "macro_f1": 0.6},
            objects.BOTH: {"overall_accuracy": 0.5, "macro_f1": 0.6 + gain},
        }
        for gain in gains
    ]


def test_scores_by_hand(objects):
    """A class that is predicted but is not in the reference counts as an error and enters no mean."""
    found = objects.score(np.array([3, 3, 70, 70]), np.array([3, 9, 70, 70]))
    assert found["overall_accuracy"] == pytest.approx(0.75)
    assert found["macro_f1"] == pytest.approx((2 / 3 + 1) / 2)


def test_objects_that_were_never_judged_are_left_out(objects):
    model = SimpleNamespace(nomenclature=SimpleNamespace(classes=[SimpleNamespace(code=3), SimpleNamespace(code=70)]))
    matched = SimpleNamespace(objects=np.array([4, 6, 9]), labels=np.array([0, 1, 1]))
    probabilities = np.array([[0.9, 0.1], [np.nan, np.nan], [0.8, 0.2]])
    places, reference, predicted = objects.codes(
        SimpleNamespace(model=model, matched=matched, probabilities=probabilities)
    )
    assert places.tolist() == [4, 9] and reference.tolist() == [3, 70] and predicted.tolist() == [3, 3]


@pytest.mark.parametrize(("gains", "word"), [((0.01, 0.05), "they reach"), ((0.01, 0.02), "they do NOT reach")])
def test_the_verdict_is_the_mean_over_seeds(objects, gains, word):
    text = objects.verdict(runs_of(objects, *gains))
    assert word in text and "+1.0" in text


def test_the_table_has_means_and_spread(objects):
    lines = objects.table(runs_of(objects, 0.1, 0.2))
    assert len(lines) == 4 and "0.750 ± 0.071" in lines[3]
    assert "±" not in objects.table(runs_of(objects, 0.1))[3]


def test_pixel_sets_are_held_against_the_better_forest_of_each_seed(objects):
    """For each score by itself, since one forest may be the better in one and the other in the other."""
    run = {
        objects.BALANCED: {"overall_accuracy": 0.70, "macro_f1": 0.66},
        objects.PLAIN_WEIGHTS: {"overall_accuracy": 0.74, "macro_f1": 0.60},
        objects.SETS: {"overall_accuracy": 0.75, "macro_f1": 0.64},
    }
    text = objects.verdict_of_sets([run, run])
    assert "overall_accuracy: +1.0 points (+1.0, +1.0 by seed)" in text and "macro_f1: -2.0 points" in text
