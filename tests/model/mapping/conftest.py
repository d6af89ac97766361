"""The small scene, made once, and the helper modules beside the tests."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(scope="session")
def mapping_stack(tmp_path_factory):
    import mapping_scene

    return mapping_scene.make_stack(tmp_path_factory.mktemp("mapping scène"))


@pytest.fixture(scope="session")
def forest_model(mapping_stack, tmp_path_factory):
    import mapping_scene

    return mapping_scene.make_model(mapping_stack, "randomforest", tmp_path_factory.mktemp("model") / "f.safetensors")


@pytest.fixture(scope="session")
def ltae_model(mapping_stack, tmp_path_factory):
    pytest.importorskip("torch")
    import mapping_scene

    return mapping_scene.make_model(mapping_stack, "ltae", tmp_path_factory.mktemp("model") / "l.safetensors")
