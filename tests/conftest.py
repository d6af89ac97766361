"""Loads the plugin under the name ``landloom`` whatever the clone is called, and gives what many tests share."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# The same examples on every run; a busy machine is no failure.
settings.register_profile(
    "landloom", deadline=None, derandomize=True, max_examples=40, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("landloom")

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

ROOT = Path(__file__).resolve().parents[1]
SHARED_DATA = ROOT.parent / "shared" / "data"


def _load_package() -> None:
    if "landloom" in sys.modules:
        return
    spec = importlib.util.spec_from_file_location(
        "landloom", ROOT / "__init__.py", submodule_search_locations=[str(ROOT)]
    )
    package = importlib.util.module_from_spec(spec)
    sys.modules["landloom"] = package
    spec.loader.exec_module(package)


_load_package()


@pytest.fixture(scope="session")
def shared_data():
    """The folder of real data, or a skip with the reason."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"real data not present: {SHARED_DATA.name} is not beside the project")
    return SHARED_DATA


@pytest.fixture(scope="session")
def landloom_provider(qgis_processing):
    """The plugin as qgis_process loads it."""
    from landloom import classFactory

    plugin = classFactory(None)
    plugin.initProcessing()
    yield plugin.provider
    plugin.unload()
