"""``pip install`` of the plugin's folder gives a cluster node the whole engine and the command, without QGIS."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """Installed from a copy, since building writes into the source; nothing is downloaded."""
    pytest.importorskip("setuptools")
    source, target = (tmp_path_factory.mktemp(name) for name in ("source", "target"))
    for name in ("pyproject.toml", "README.md", "LICENSE", "__init__.py"):
        shutil.copy(ROOT / name, source)
    shutil.copytree(ROOT / "model", source / "model", ignore=shutil.ignore_patterns("__pycache__"))
    command = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation", "--no-index"]
    done = subprocess.run([*command, "--target", target, source], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return target


def test_every_module_of_the_engine_is_installed(installed):
    for path in (ROOT / "model").rglob("*.py"):
        assert (installed / "landloom" / path.relative_to(ROOT)).exists(), (
            f"add the package of {path} to pyproject.toml"
        )


def test_the_command_runs_without_qgis(installed, tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    code = "import sys, landloom.model.mapping.console; print(sys.modules['landloom'].__file__, 'qgis' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == [str(installed / "landloom" / "__init__.py"), "False"]
    command = installed / "bin" / "landloom"
    done = subprocess.run(
        [command, "blocks", "status", "nothing.parts"], env=environment, cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 1 and "holds no plan: make one with 'landloom blocks plan'" in done.stderr
