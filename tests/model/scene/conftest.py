"""Two small scenes, made once for all tests of the scene."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="session")
def tropical(tmp_path_factory):
    from landloom.model.scene import simulate

    folder = tmp_path_factory.mktemp("scène tropicale") / "scene"
    return folder, simulate(folder, 140, "tropical", 3)


@pytest.fixture(scope="session")
def temperate(tmp_path_factory):
    from landloom.model.scene import simulate

    folder = tmp_path_factory.mktemp("temperate") / "scene"
    return folder, simulate(folder, 100, "temperate", 5)
