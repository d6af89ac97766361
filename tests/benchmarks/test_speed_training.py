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


@pytest.fixture
def module(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARK.parent))
    spec = importlib.util.spec_from_file_location("speed_training", BENCHMARK)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(("network", "memory_mb", "cold"), [("ltae", 1024, False), ("tempcnn", 16, True)])
def test_an_epoch_is_told_apart(module, monkeypatch, tmp_path, network, memory_mb, cold):
    """Shares of all that was done, from samples kept ready and from those read; nothing stays patched."""
    from landloom.model.training.member import MemberTraining
    from landloom.model.training.source import InputSource

    before = MemberTraining._epoch, MemberTraining._step, InputSource._inputs
    monkeypatch.syspath_prepend(str(BENCHMARK.parents[1] / "tests" / "model" / "training"))
    from training_samples import write_folder

    write_folder(tmp_path / "samples")
    found = module.epochs(tmp_path, network, 20, memory_mb, 1, cold)
    shares = [found[f"share_of_{part}"] for part in ("steps", "inputs", "the_rest")]
    assert sum(shares) == pytest.approx(1) and all(0 <= share < 1 for share in shares)
    assert (found["share_of_inputs"] > 0) == (network == "tempcnn")
    assert found["samples_per_processor_second"] > 0 and found["mb_from_disk"] >= 0
    assert (MemberTraining._epoch, MemberTraining._step, InputSource._inputs) == before


def test_what_is_missing_is_told(module, capsys):
    with pytest.raises(SystemExit):
        module.main(["--json", "x.json"])
    assert "--folder or --against" in capsys.readouterr().err
