"""Protects the benchmark of small machines: its steps fit the algorithms, and its limit kills what needs more."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def benchmark_module():
    spec = importlib.util.spec_from_file_location("small_machine", ROOT / "benchmarks" / "small_machine.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_steps_name_parameters_of_the_algorithms(benchmark_module, landloom_provider, tmp_path):
    steps = list(benchmark_module.steps(tmp_path, 100, 512))
    assert len(steps) > 12
    for name, inputs in steps:
        known = {one.name() for one in landloom_provider.algorithm(name).parameterDefinitions()}
        assert set(inputs) <= known, name
        assert inputs.get("MEMORY_MB", 512) == 512 and ("MEMORY_MB" in inputs) == ("MEMORY_MB" in known), name


def test_the_limit_kills_what_needs_more_memory(benchmark_module):
    try:
        limit = benchmark_module.Limit(100)
    except OSError:
        pytest.skip("control groups of memory may not be made here")
    try:
        for megabytes, code in ((20, 0), (300, -9)):
            command = [sys.executable, "-c", f"len(bytes(range(256)) * 4096 * {megabytes})"]
            assert subprocess.run(command, preexec_fn=limit.enter, check=False).returncode == code
        assert limit.killed() == 1
    finally:
        limit.remove()
    assert not limit.folder.exists()
