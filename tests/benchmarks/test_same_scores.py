"""The benchmark of equal scores (nothing is trained here)."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def benchmark(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    spec = importlib.util.spec_from_file_location("same_scores", ROOT / "benchmarks" / "same_scores.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_network_of_another_source_is_trained(benchmark, monkeypatch):
    from landloom.model.networks import twinns
    from landloom.model.networks.base import SensorShape
    from landloom.model.networks.registry import build

    monkeypatch.setitem(sys.modules, twinns.__name__, twinns)  # put back afterwards
    source = (ROOT / benchmark.NETWORK).read_text(encoding="utf-8")
    benchmark.with_source(source.replace('"stem": (16, 32)', '"stem": (24, 40)'))
    network = build("twinns", {"S2": SensorShape("optical", 4, 6)}, 3)
    assert type(network) is not twinns.Twinns
    assert network.recurrent["S2"].stem[0].convolution.out_channels == 24


def test_differences_are_paired(benchmark):
    """By hand: 1, 2 and 3 points, standard deviation 1, and 4.303 is Student's quantile of 2 degrees of freedom."""

    def run(value):
        return {unit: dict.fromkeys(benchmark.SCORES, value) for unit in benchmark.UNITS}

    runs = [{"a": run(0.5 + 0.1 * seed), "b": run(0.49 + 0.09 * seed)} for seed in range(3)]
    one = benchmark.differences(runs, "a", "b")["pixel"]["macro_f1"]
    assert one["n"] == 3 and one["mean"] == pytest.approx(2.0)
    assert one["interval"] == pytest.approx([2 - 4.3027 / 3**0.5, 2 + 4.3027 / 3**0.5], abs=1e-3)
    assert benchmark.differences(runs[:1], "a", "b")["pixel"]["macro_f1"]["interval"] is None


def test_a_commit_is_needed(benchmark, capsys, tmp_path):
    with pytest.raises(SystemExit):
        benchmark.main(["--json", str(tmp_path / "one.json")])
    assert "--against is needed" in capsys.readouterr().err
    with pytest.raises(subprocess.CalledProcessError):
        benchmark.source_of("no such commit")
