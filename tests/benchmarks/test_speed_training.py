"""The benchmark of training runs (its figures mean nothing here)."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch")

BENCHMARK = Path(__file__).resolve().parents[2] / "benchmarks" / "speed_training.py"


def test_a_step_of_the_sources_at_a_place(tmp_path):
    words = [sys.executable, "-W", "ignore", str(BENCHMARK), "--step", str(BENCHMARK.parents[1]), "--threads", "1"]
    found = json.loads(subprocess.run(words, capture_output=True, text=True, check=True).stdout.splitlines()[-1])
    assert found["samples_per_second"] > 0 and found["samples_per_cpu_second"] > 0


def test_what_is_missing_is_told(capsys):
    spec = importlib.util.spec_from_file_location("speed_training", BENCHMARK)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    with pytest.raises(SystemExit):
        module.main(["--json", "x.json"])
    assert "--folder or --against" in capsys.readouterr().err
