"""A small sample scene and a runner of the real qgis_process, shared by the end-to-end tests."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@dataclass
class Run:
    """What a run of qgis_process gave."""

    code: int
    results: dict
    errors: str
    output: str


@pytest.fixture(scope="session")
def qgis_process():
    """Run an algorithm with parameters given as JSON on standard input; skips where QGIS is not installed."""
    if shutil.which("qgis_process") is None:
        pytest.skip("qgis_process is not installed")

    def run(algorithm: str, inputs: dict) -> Run:
        done = subprocess.run(
            [ROOT / "scripts" / "qgis_process", "--json", "run", algorithm, "-"],
            input=json.dumps({"inputs": inputs}),
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        results = {}
        if done.returncode == 0:
            results = json.loads(done.stdout[done.stdout.index("{") :])["results"]
        return Run(done.returncode, results, done.stderr, done.stdout)

    return run


@pytest.fixture(scope="session")
def scene(qgis_process, tmp_path_factory):
    """The folder of a small tropical scene, in a path with a space and an accent."""
    folder = tmp_path_factory.mktemp("scène d'essai") / "scene"
    run = qgis_process("landloom:samplescene", {"OUTPUT": str(folder), "SIZE": 120, "SEED": 3})
    assert run.code == 0, run.errors
    return folder
