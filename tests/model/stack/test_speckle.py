"""The multi-temporal speckle filter: against the formula pixel by pixel, looks and means, windows, orbits."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from landloom.model.base.errors import LandloomError
from landloom.model.stack.grid import Window
from landloom.model.stack.manifest import Stack
from landloom.model.stack.reader import StackReader
from landloom.model.stack.speckle import quegan, speckle_name, speckle_radius


def direct(values, mask, radius):
    """Quegan & Yu (2001), equation for uncorrelated speckle, one pixel at a time."""
    dates, channels, height, width = values.shape
    result = np.zeros((dates, channels, height - 2 * radius, width - 2 * radius))

    def mean(date, channel, row, column):
        rows, columns = slice(row - radius, row + radius + 1), slice(column - radius, column + radius + 1)
        valid = mask[date, rows, columns]
        return values[date, channel, rows, columns][valid].astype(float).mean() if valid.any() else 0.0

    for channel in range(channels):
        for row in range(radius, height - radius):
            for column in range(radius, width - radius):
                ratios = []
                for date in range(dates):
                    local = mean(date, channel, row, column)
                    if mask[date, row, column] and local > 0:
                        ratios.append(values[date, channel, row, column] / local)
                for date in range(dates):
                    if mask[date, row, column]:
                        level = mean(date, channel, row, column)
                        result[date, channel, row - radius, column - radius] = level * (
                            np.mean(ratios) if ratios else 0
                        )
    return result


@given(
    st.integers(0, 10_000), st.integers(1, 4), st.sampled_from([1, 2]), st.sampled_from([0.0, 0.3]), st.integers(1, 2)
)
def test_equals_the_formula(seed, dates, radius, missing, channels):
    rng = np.random.default_rng(seed)
    values = rng.gamma(4, 0.05, (dates, channels, 9, 8)).astype(np.float32)
    mask = rng.random((dates, 9, 8)) >= missing
    values *= mask[:, None]
    filtered = quegan(values, mask, radius, range(dates))
    np.testing.assert_allclose(filtered, direct(values, mask, radius), rtol=2e-5, atol=1e-8)


def test_looks_rise_and_means_stay():
    rng = np.random.default_rng(1)
    looks, dates, radius = 4.4, 20, 3
    level = np.linspace(0.05, 0.3, dates)[:, None, None, None]
    values = (level * rng.gamma(looks, 1 / looks, (dates, 1, 220, 220))).astype(np.float32)
    filtered = quegan(values, np.ones((dates, 220, 220), bool), radius, range(dates))
    before = values[:, :, radius:-radius, radius:-radius]
    enl = [array.mean(axis=(2, 3)) ** 2 / array.var(axis=(2, 3)) for array in (before, filtered)]
    assert enl[0].mean() == pytest.approx(looks, rel=0.03)
    pixels = (2 * radius + 1) ** 2
    best = pixels * dates / (pixels + dates - 1)
    assert enl[1].mean() > 0.75 * best * looks  # of what can be had: neighbouring windows overlap
    np.testing.assert_allclose(filtered.mean(axis=(2, 3)), before.mean(axis=(2, 3)), rtol=0.01)


def test_one_date_alone_and_dark_pixels_stay():
    rng = np.random.default_rng(2)
    values = rng.gamma(4, 0.05, (1, 1, 12, 12)).astype(np.float32)
    values[..., :6] = 0  # power of 0 is a value, where the mask says so
    filtered = quegan(values, np.ones((1, 12, 12), bool), 1, [0])
    np.testing.assert_allclose(filtered, values[:, :, 1:-1, 1:-1], rtol=1e-6)


def test_names():
    assert speckle_name("none", 4) == "" and speckle_name("quegan", 7) == "quegan 7" and speckle_radius("quegan 7") == 3
    for window in (4, 1, 23):
        with pytest.raises(LandloomError, match="SPECKLE_WINDOW"):
            speckle_name("quegan", window)


@pytest.fixture
def two_orbits(tmp_path, make_stack):
    """Six dates of two orbits in turn, with masks; filtered with a window of 5."""
    rng = np.random.default_rng(3)
    dates = [f"2021-01-{day:02d}" for day in (1, 3, 13, 15, 25, 27)]
    values = rng.gamma(4.4, 0.02, (6, 2, 22, 26)).astype(np.float32)
    mask = rng.random((6, 22, 26)) > 0.1
    mask[2, 6:12] = False
    series = dict(values=values, bands=("VV", "VH"), dates=dates, kind="radar", unit="power", mask=mask)
    stack = Stack.read(make_stack(tmp_path, {"S1_ASC": series}))
    sensor = stack.sensors["S1_ASC"]
    acquisitions = [
        replace(one, parts=tuple(replace(part, orbit=f"ASC 0{44 + 73 * (index % 2)}") for part in one.parts))
        for index, one in enumerate(sensor.acquisitions)
    ]
    sensor = replace(sensor, acquisitions=tuple(acquisitions), speckle="quegan 5")
    path = stack.with_sensor(sensor).write()
    return path, values * mask[:, None], mask


def test_the_reader_filters_each_orbit_by_itself(two_orbits):
    path, values, mask = two_orbits
    wide = np.pad(values, ((0, 0), (0, 0), (2, 2), (2, 2)))
    wide_mask = np.pad(mask, ((0, 0), (2, 2), (2, 2)))
    with StackReader(path) as reader:
        assert reader.specs["S1_ASC"].speckle == "quegan 5"
        series = reader.read(Window(0, 0, 26, 22))["S1_ASC"]
    for orbit in (slice(0, 6, 2), slice(1, 6, 2)):
        expected = direct(wide[orbit], wide_mask[orbit], 2)
        np.testing.assert_allclose(series.values[0, orbit], expected, rtol=2e-5, atol=1e-8)
    np.testing.assert_array_equal(series.mask[0], mask)
    with StackReader(path, as_stored=True) as reader:
        np.testing.assert_array_equal(reader.read(Window(0, 0, 26, 22))["S1_ASC"].values[0], values)


def test_windows_dates_and_bands_equal_the_whole(two_orbits):
    path, _, _ = two_orbits
    with StackReader(path) as reader:
        whole = reader.read(Window(0, 0, 26, 22))["S1_ASC"]
        for window in (Window(0, 0, 7, 5), Window(7, 5, 12, 9), Window(21, 15, 5, 7)):
            part = reader.read(window)["S1_ASC"]
            rows, columns = (
                slice(window.row, window.row + window.height),
                slice(window.column, window.column + window.width),
            )
            np.testing.assert_array_equal(part.values, whole.values[..., rows, columns])
            np.testing.assert_array_equal(part.mask, whole.mask[..., rows, columns])
        halo = reader.read(Window(10, 9, 4, 4), halo=3)["S1_ASC"]
        np.testing.assert_array_equal(halo.values, whole.values[..., 6:16, 7:17])
        some = reader.read_dates("S1_ASC", Window(3, 4, 15, 15), [4, 1])
        np.testing.assert_array_equal(some.values[0], whole.values[0, [4, 1], :, 4:19, 3:18])
    with StackReader(path, bands={"S1_ASC": ["VH"]}) as reader:
        band = reader.read(Window(0, 0, 26, 22))["S1_ASC"]
        np.testing.assert_array_equal(band.values[0, :, 0], whole.values[0, :, 1])


def test_memory_counts_the_filter(two_orbits):
    path, _, _ = two_orbits
    with StackReader(path) as reader, StackReader(path, as_stored=True) as plain:
        assert plain.bytes_per_pixel == 6 * (2 * 4 + 1)
        assert reader.bytes_per_pixel > plain.bytes_per_pixel
