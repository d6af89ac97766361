"""The comparison benchmark, on a tiny set of points: its words, its files, its refusals."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("sklearn")

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def benchmark_module():
    spec = importlib.util.spec_from_file_location("landloom_compare_benchmark", BENCHMARKS / "compare.py")
    module = importlib.util.module_from_spec(spec)
    before = list(sys.path)
    spec.loader.exec_module(module)
    sys.path[:] = before
    return module


def write_points(path: Path, count: int = 60) -> Path:
    random = np.random.default_rng(0)
    labels = np.arange(count) % 3
    dates = np.array([f"2021-{month:02d}-01" for month in range(1, 9)])
    season = np.exp(-((np.arange(8)[None] - np.array([1, 4, 6])[labels][:, None]) ** 2) / 3)
    optical = 0.1 + 0.3 * season[:, :, None] * np.array([0.2, 0.2, 1.0]) + random.normal(0, 0.02, (count, 8, 3))
    radar = -18 + 5 * season[:, :, None] * np.ones(2) + random.normal(0, 1.5, (count, 8, 2))
    np.savez(
        path, S1=radar.astype(np.float32), S2=optical.astype(np.float32), labels=labels, dates=dates,
        class_names=np.array(["maize", "rice", "fallow"]), village=np.arange(count) // 3,
        S1_bands=np.array(["VV", "VH"]), S2_bands=np.array(["B03", "B04", "B08"]),
    )  # fmt: skip
    return path


def test_report_and_tables(benchmark_module, tmp_path):
    data = write_points(tmp_path / "points.npz")
    words = ["--data", str(data), "--group", "village", "--networks", "", "--sensor-sets", "S2;S1+S2", "--folds", "2"]
    files = ["--table", str(tmp_path / "t.json"), "--report", str(tmp_path / "t.html")]
    assert benchmark_module.main([*words, *files, "--runs", "1"]) == 0
    table = json.loads((tmp_path / "t.json").read_text(encoding="utf-8"))
    # A village is judged whole; each point is an object of its own.
    assert table["judged"] == {"pixels": 60, "polygons": 60, "groups": 20}
    assert table["sensor_sets"] == ["S2", "S1+S2"] and not table["gains"] and table["sensor_gains"]
    assert "Each polygon is one pixel" in (tmp_path / "t.html").read_text(encoding="utf-8")


def test_wrong_words_are_refused(benchmark_module, tmp_path, capsys):
    data = write_points(tmp_path / "points.npz")
    words = ["--group", "village", "--networks", "unet", "--table", str(tmp_path / "t.json"), "--report", "t.html"]
    assert benchmark_module.main(["--data", str(data), *words]) == 1
    assert "unet" in capsys.readouterr().err
    assert not (tmp_path / "t.json").exists()
