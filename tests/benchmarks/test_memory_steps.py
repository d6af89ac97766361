"""What each step adds to the memory of its process stays within MEMORY_MB, though GDAL may cache 2 GB."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MEMORY_MB = 128  # the least that MEMORY_MB may be
WIDTH, HEIGHT = 16384, 768  # of the maps: all of their columns in whole tiles would take 400 MB at work
STEPS = (
    "extractsamples", "composite", "objectfeatures", "trainobjects", "classifyobjects", "regularise", "vectorise",
    "mosaic", "difference", "fuse", "fusemean", "areas", "sampledesign", "coregister",
)  # fmt: skip

pytestmark = pytest.mark.skipif(
    not os.access("/proc/self/clear_refs", os.W_OK), reason="the largest size of a process can only be reset on Linux"
)


@pytest.fixture(scope="module")
def added(tmp_path_factory):
    """MB by step; all run in one process, one after the other, since loading libraries takes as long as a step."""
    spec = importlib.util.spec_from_file_location("memory_steps", ROOT / "benchmarks" / "memory_steps.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.data.TIMES = 1.5
    folder = tmp_path_factory.mktemp("steps")
    module.make_all(folder, MEMORY_MB, ["extractsamples"])
    module.make_maps(folder, WIDTH, HEIGHT)
    tasks = [{"do": step, "folder": str(folder), "memory_mb": MEMORY_MB} for step in STEPS]
    return {step: found["added_mb"] for step, found in zip(STEPS, module.start(tasks), strict=True)}


@pytest.mark.parametrize("step", STEPS)
def test_a_step_adds_no_more_than_memory_mb(added, step):
    assert added[step] <= MEMORY_MB, added
