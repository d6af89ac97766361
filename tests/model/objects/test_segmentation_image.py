"""The image that a stack is segmented as: medians of quarters without clouds, whatever the memory and threads."""

from __future__ import annotations

import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from landloom.model.objects.segmentation_image import StackImage
from landloom.model.stack.grid import Window

SIDE = 48
DATES = ["2021-01-05", "2021-02-04", "2021-03-06", "2021-04-15", "2021-05-05", "2021-08-03"]
QUARTERS = [[0, 1, 2], [3, 4], [5]]


@pytest.fixture(scope="module")
def world(tmp_path_factory, make_stack):
    """An optical and a radar sensor, a static layer; clouds hide whole quarters here and there, of one pixel all."""
    random = np.random.default_rng(0)
    values = random.integers(100, 5000, (6, 2, SIDE, SIDE)).astype(np.int16)
    mask = random.random((6, SIDE, SIDE)) < 0.6
    mask[:, 3, 4] = False
    radar = random.integers(1, 3000, (3, 1, SIDE, SIDE)).astype(np.uint16)
    height = random.normal(900, 30, (1, 1, SIDE, SIDE)).astype(np.float32)
    sensors = {
        "S2": {"values": values, "bands": ["B4", "B8"], "dates": DATES, "mask": mask, "scale": 1e-4, "offset": 0.1},
        "S1_ASC": {
            "values": radar, "bands": ["VV"], "dates": DATES[:3], "kind": "radar", "scale": 1e-3, "unit": "power",
        },
        "DEM": {"values": height, "bands": ["height"], "dates": [""], "kind": "static"},
    }  # fmt: skip
    path = make_stack(tmp_path_factory.mktemp("world"), sensors)
    return str(path), values, mask, radar, height


def medians(values, mask, quarters):
    """``[C * quarters, H, W]`` the slow way: those of the whole period where a quarter has none, else 0."""
    known = np.where(mask[:, None], values, np.nan)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        whole = np.nanmedian(known, axis=0)
        found = [np.nanmedian(known[quarter], axis=0) for quarter in quarters]
    return np.nan_to_num(np.stack([np.where(np.isnan(one), whole, one) for one in found], axis=1)).reshape(
        -1, SIDE, SIDE
    )


@pytest.mark.parametrize("memory_mb", [64, 0.25])
def test_medians_of_quarters_in_strips_of_any_height(world, memory_mb):
    path, values, mask, radar, height = world
    image = StackImage(path, [], [], memory_mb)
    found, valid = image.read(image.grid.whole)
    assert image.bands == len(found) == 2 * 3 + 1 + 1
    assert np.array_equal(valid, mask.any(axis=0))
    optical = medians(values * np.float32(1e-4) + np.float32(0.1), mask, QUARTERS)
    decibel = medians(10 * np.log10(radar * 1e-3), np.ones((3, SIDE, SIDE), bool), [[0, 1, 2]])
    expected = {"S2": optical, "S1_ASC": decibel, "DEM": height[0]}
    expected = np.concatenate([expected[name] for name in image._specs]) * valid
    assert np.allclose(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("dates", [[], ["2021-02-04", "2021-08-03"]])
def test_several_threads_read_what_one_reads(world, dates):
    path = world[0]
    windows = [Window(column, row, 20, 20) for row in range(0, 28, 4) for column in range(0, 28, 4)]
    alone = StackImage(path, ["S2"], dates, 0.25)
    expected = [alone.read(window) for window in windows]
    shared = StackImage(path, ["S2"], dates, 0.25)
    with ThreadPoolExecutor(4) as pool:
        for (values, valid), (own, ours) in zip(pool.map(shared.read, windows), expected, strict=True):
            assert np.array_equal(values, own) and np.array_equal(valid, ours)
