"""Small pictures show a date's colours, black where there is nothing, and are left where they would cost much."""

from __future__ import annotations

import numpy as np
import pytest
from landloom.model.base.errors import LandloomError
from landloom.model.stack import thumbnail as module
from landloom.model.stack.manifest import Stack
from landloom.model.stack.thumbnail import picture_bands, thumbnail


@pytest.fixture
def stack(tmp_path, make_stack):
    values = np.full((1, 3, 40, 80), 500, np.int16)
    values[0, 2, :, 40:] = 3000  # B4: the right half is red
    values[0, :, :10, :] = -9999
    radar = np.full((1, 1, 40, 80), 0.01, np.float32)
    radar[0, 0, :, 40:] = 1.0
    sensors = {
        "S2": {"values": values, "bands": ["B2", "B3", "B4"], "dates": ["2021-01-10"], "nodata": -9999},
        "S1_ASC": {"values": radar, "bands": ["VV"], "dates": ["2021-01-10"], "kind": "radar"},
    }
    return Stack.read(make_stack(tmp_path, sensors))


def test_colours_and_no_data(stack):
    sensor = stack.sensors["S2"]
    picture = thumbnail(stack, sensor, sensor.acquisitions[0], 40)
    assert picture.shape == (20, 40, 3) and picture.dtype == np.uint8
    assert (picture[:5] == 0).all()
    assert (picture[6:, 21:, 0] > 200).all() and (picture[6:, 21:, 1:] < 50).all()
    assert (picture[6:, :19] < 50).all() and (picture[6:, :19] > 0).all()


def test_radar_is_grey_in_decibels(stack):
    sensor = stack.sensors["S1_ASC"]
    picture = thumbnail(stack, sensor, sensor.acquisitions[0], 40)
    assert (picture[..., 0] == picture[..., 2]).all()
    assert picture[10, 5, 0] < picture[10, 35, 0]


def test_what_costs_much_has_none(stack, monkeypatch):
    monkeypatch.setattr(module, "CHEAP", 100)
    sensor = stack.sensors["S2"]
    assert thumbnail(stack, sensor, sensor.acquisitions[0]) is None


def test_a_lost_raster_is_named(stack):
    from pathlib import Path

    sensor = stack.sensors["S2"]
    path = sensor.acquisitions[0].parts[0].data
    Path(path).unlink()
    with pytest.raises(LandloomError, match=Path(path).name):
        thumbnail(stack, sensor, sensor.acquisitions[0])


def test_bands_of_a_picture(stack):
    assert picture_bands(stack.sensors["S2"]) == ("B4", "B3", "B2")
    assert picture_bands(stack.sensors["S1_ASC"]) == ("VV",)
