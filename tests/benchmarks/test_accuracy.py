"""The accuracy benchmark, on a tiny set of points."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("sklearn")

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def accuracy():
    spec = importlib.util.spec_from_file_location("landloom_accuracy_benchmark", BENCHMARKS / "accuracy.py")
    module = importlib.util.module_from_spec(spec)
    before = list(sys.path)
    spec.loader.exec_module(module)
    sys.path[:] = before
    return module


def write_points(path: Path, seed: int, count: int = 90) -> Path:
    random = np.random.default_rng(seed)
    labels = np.arange(count) % 3
    dates = np.array([f"2021-{month:02d}-01" for month in range(1, 9)])
    season = np.exp(-((np.arange(8)[None] - np.array([1, 4, 6])[labels][:, None]) ** 2) / 3)
    optical = 0.1 + 0.3 * season[:, :, None] * np.array([0.2, 0.2, 1.0]) + random.normal(0, 0.02, (count, 8, 3))
    optical[random.random((count, 8)) < 0.2] = np.nan
    radar = -18 + 5 * season[:, :, None] * np.ones(2) + random.normal(0, 1.5, (count, 8, 2))
    np.savez(
        path, S1=radar.astype(np.float32), S2=optical.astype(np.float32), labels=labels, dates=dates,
        class_names=np.array(["maize", "rice", "fallow"]), group_location=np.arange(count) // 3 * 3 + labels,
        S1_bands=np.array(["VV", "VH"]), S2_bands=np.array(["B03", "B04", "B08"]),
    )  # fmt: skip
    return path


def test_cross_validation_gives_the_json_of_the_documentation(accuracy, tmp_path):
    data, out = write_points(tmp_path / "points.npz", 0), tmp_path / "out.json"
    words = ["--data", str(data), "--group", "group_location", "--networks", "ltae,randomforest,randomforest-balanced"]
    assert accuracy.main([*words, "--runs", "2", "--epochs", "3", "--json", str(out)]) == 0
    networks = json.loads(out.read_text())["networks"]
    assert list(networks) == ["ltae", "randomforest", "randomforest-balanced"]
    for found in networks.values():
        assert set(found) == {"overall_accuracy", "kappa", "macro_f1", "per_class_f1", "seconds"}
        for score in ("overall_accuracy", "kappa", "macro_f1", "seconds"):
            assert set(found[score]) == {"mean", "std"}
        assert set(found["per_class_f1"]) == {"maize", "rice", "fallow"}
    assert networks["randomforest"]["overall_accuracy"]["mean"] > 0.8


def test_training_on_one_set_and_judging_on_another(accuracy, tmp_path):
    train, test = write_points(tmp_path / "a.npz", 0), write_points(tmp_path / "b.npz", 1)
    out = tmp_path / "out.json"
    words = ["--train", str(train), "--test", str(test), "--networks", "randomforest", "--sensors", "S2"]
    assert accuracy.main([*words, "--runs", "1", "--json", str(out)]) == 0
    found = json.loads(out.read_text())["networks"]["randomforest"]
    assert found["macro_f1"]["mean"] > 0.8 and found["macro_f1"]["std"] == 0


def test_wrong_words_are_refused(accuracy, tmp_path, capsys):
    data = write_points(tmp_path / "points.npz", 0)
    assert accuracy.main(["--data", str(data), "--group", "village", "--json", str(tmp_path / "o.json")]) == 1
    assert "village" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        accuracy.main(["--json", str(tmp_path / "o.json")])
    assert not (tmp_path / "o.json").exists()
