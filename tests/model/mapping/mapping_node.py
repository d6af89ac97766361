"""A machine where landloom is installed without QGIS, for processes that compute there."""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path

import pytest
from landloom.model.mapping import cluster

ROOT = Path(__file__).resolve().parents[3]


@contextlib.contextmanager
def installed(folder: Path):
    """The environment of such processes: a copy of the engine, as this process says that it has it too."""
    shutil.copytree(ROOT / "model", folder / "landloom" / "model", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "__init__.py", folder / "landloom")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cluster, "ROOT", folder / "landloom" / "model")
        cluster.code_hash.cache_clear()
        yield {**os.environ, "PYTHONPATH": str(folder), "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
    cluster.code_hash.cache_clear()
