"""Makes ``training_samples`` importable and gives small stores."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
import training_samples


@pytest.fixture(scope="session")
def store():
    return training_samples.make_store()


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    return training_samples.write_folder(tmp_path_factory.mktemp("données") / "échantillons 2021")
