"""The small scene, made once, and the helper module beside the tests."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(scope="session")
def field_stack(tmp_path_factory, make_stack):
    import samples_scene

    return make_stack(tmp_path_factory.mktemp("scène d'été"), samples_scene.sensors())


@pytest.fixture(scope="session")
def field_layer(tmp_path_factory):
    import samples_scene

    return samples_scene.write_layer(tmp_path_factory.mktemp("référence") / "champs.gpkg", samples_scene.fields())
