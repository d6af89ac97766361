"""Protects the toolbox's pictures: an icon for each algorithm that can be told from the others, on light and dark."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest
from landloom.algorithms.provider import ALGORITHMS
from qgis.PyQt.QtGui import QImage

FOLDER = Path(__file__).resolve().parents[2] / "resources" / "icons"
IDS = [one.ID for one in ALGORITHMS]


def pixels(icon, size=16):
    """``[H, W, 4]`` red, green, blue and alpha of an icon."""
    image = icon.pixmap(size, size).toImage().convertToFormat(QImage.Format.Format_RGBA8888)
    data = image.constBits()
    data.setsize(image.sizeInBytes())
    return np.frombuffer(data, np.uint8).reshape(image.height(), image.width(), 4).copy()


@pytest.mark.parametrize("name", IDS)
def test_every_algorithm_has_a_small_icon_of_its_own(landloom_provider, name):
    path = FOLDER / f"{name}.svg"
    assert path.exists(), f"draw resources/icons/{name}.svg: 16 x 16 units, a few plain shapes, colours of the others"
    assert path.stat().st_size < 4000
    root = ET.parse(path).getroot()
    assert root.get("viewBox") == "0 0 16 16"
    assert {one.tag.rpartition("}")[2] for one in root.iter()} <= {"svg", "rect", "path", "circle"}
    drawn = pixels(landloom_provider.algorithm(name).icon())
    solid = drawn[drawn[..., 3] > 128][:, :3].astype(float)
    assert 30 < len(solid) < 256
    # Seen on white and on QGIS's dark grey alike: a good part of it stands out from either.
    light = solid @ (0.299, 0.587, 0.114)
    assert (light < 215).mean() > 0.5 and (light > 75).mean() > 0.5


def test_no_two_icons_look_alike(landloom_provider):
    drawn = {name: pixels(landloom_provider.algorithm(name).icon()).astype(float) for name in IDS}
    for index, one in enumerate(IDS):
        for other in IDS[index + 1 :]:
            assert np.abs(drawn[one] - drawn[other]).mean() > 8, f"{one} and {other}"
