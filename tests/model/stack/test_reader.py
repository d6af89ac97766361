"""Window reading against GDAL's own reading of the VRTs."""

from __future__ import annotations

import contextlib
import os
import threading
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from landloom.model.base.errors import LandloomError
from landloom.model.stack.build import write_stack
from landloom.model.stack.grid import Window
from landloom.model.stack.manifest import Stack
from landloom.model.stack.maskrules import dilate
from landloom.model.stack.reader import StackReader
from osgeo import gdal

DATES = ["2021-01-03", "2021-01-18", "2021-03-01"]


@pytest.fixture(scope="module")
def stack(tmp_path_factory, make_stack):
    rng = np.random.default_rng(1)
    s2 = rng.integers(1, 9000, (3, 2, 40, 50)).astype(np.int16)
    s2[0, :, :7, :9] = -10000
    s2[1, 1, 20:22, 5:9] = -10000
    s1 = rng.gamma(2.0, 0.05, (2, 2, 40, 50)).astype(np.float32)
    s1[0, 0, 3, 4], s1[1, 1, 8, 9], s1[1, 0, 30:, :] = np.nan, np.inf, 0
    b20 = rng.integers(1, 9000, (3, 2, 20, 25)).astype(np.int16)
    b20[2, :, 4:8, 10:20] = -10000
    f30 = rng.random((1, 1, 13, 16)).astype(np.float32)
    sensors = {
        "S2": dict(values=s2, mask=rng.random((3, 40, 50)) > 0.3, dates=DATES, bands=["B4", "B8"], nodata=-10000),
        "S2_20M": dict(values=b20, dates=DATES, bands=["B11", "B12"], nodata=-10000, factor=2),
        "S2_60M": dict(values=b20[:, :, :7, :9] % 5000, dates=DATES, bands=["B1", "B9"], nodata=-10000, factor=6),
        "F30": dict(values=f30, dates=DATES[:1], bands=["X"], factor=3, mask=rng.random((1, 13, 16)) > 0.5),
        "S1_ASC": dict(values=s1, kind="radar", dates=DATES[:2], bands=["VV", "VH"], nodata=0),
        "STATIC": dict(values=rng.random((1, 1, 40, 50)).astype(np.float32), kind="static", dates=[""], bands=["DEM"]),
    }
    return make_stack(tmp_path_factory.mktemp("é stack"), sensors)


def expected(stack, window):
    """The series as GDAL reads it through the VRTs, masked by the definition."""
    result = {}
    grid = stack.grid
    inside = window.intersection(grid.whole)
    for name, sensor in stack.sensors.items():
        shape = (len(sensor.acquisitions), len(sensor.bands), window.height, window.width)
        values, mask = np.zeros(shape, sensor.dtype), np.zeros((shape[0], *shape[2:]), bool)
        for index, acquisition in enumerate(sensor.acquisitions):
            part = acquisition.parts[0]
            if not inside.width or not inside.height:
                continue
            cut = np.s_[..., inside.row : inside.row + inside.height, inside.column : inside.column + inside.width]
            read = gdal.Open(part.data).ReadAsArray()[cut]  # whole: GDAL's bilinear values of tiny windows differ
            read = read if read.ndim == 3 else read[None]
            ok = np.isfinite(read).all(0)
            if sensor.nodata is not None:
                ok &= (read != sensor.nodata).all(0)
            for rule in part.masks:
                ok &= ~np.isin(gdal.Open(rule.raster).ReadAsArray()[cut], rule.invalid_values)
            rows = slice(inside.row - window.row, inside.row - window.row + inside.height)
            columns = slice(inside.column - window.column, inside.column - window.column + inside.width)
            values[index][:, rows, columns] = np.where(ok, read, 0)
            mask[index, rows, columns] = ok
        result[name] = values, mask
    return result


@settings(max_examples=40, deadline=None)
@given(st.integers(-20, 60), st.integers(-20, 60), st.integers(1, 70), st.integers(1, 70), st.integers(0, 4))
def test_a_window_is_what_gdal_reads_of_the_vrts(stack, column, row, width, height, halo):
    window = Window(column, row, width, height)
    with StackReader(stack) as reader:
        series = reader.read(window, halo)
        for name, (values, mask) in expected(reader.stack, window.grown(halo)).items():
            got = series[name]
            assert got.values.dtype == values.dtype
            np.testing.assert_array_equal(got.mask[0], mask, err_msg=name)
            tolerance = {"F30": dict(rtol=1e-5), "S2_60M": dict(atol=1)}.get(
                name, {"rtol": 0}
            )  # ties are rounded apart
            np.testing.assert_allclose(got.values[0].astype(float), values, err_msg=name, **tolerance)
            assert list(got.days) == list(reader.specs[name].days)


def test_bands_can_be_chosen_in_any_order(stack):
    window = Window(5, 5, 20, 20)
    with StackReader(stack) as all_bands, StackReader(stack, ["S2"], {"S2": ["B8", "B4"]}) as reader:
        assert list(reader.specs) == ["S2"]
        assert reader.specs["S2"].bands == ("B8", "B4")
        ours, theirs = reader.read(window)["S2"], all_bands.read(window)["S2"]
        valid = ours.mask & theirs.mask
        assert valid.any()
        swapped = theirs.values[:, :, ::-1]
        both = np.broadcast_to(valid[:, :, None], swapped.shape)
        np.testing.assert_array_equal(ours.values[both], swapped[both])


def test_a_choice_s1_means_every_direction(stack):
    assert StackReader(stack, ["S1"]).specs.keys() == {"S1_ASC"}
    with pytest.raises(LandloomError, match="no sensor L8"):
        StackReader(stack, ["L8"])
    with pytest.raises(LandloomError, match="no band B99"):
        StackReader(stack, bands={"S2": ["B99"]})


def test_threads_share_a_reader(stack):
    with StackReader(stack) as reader:
        windows = [Window(c, r, 16, 16) for c in range(0, 48, 8) for r in range(0, 32, 8)]
        alone = [reader.read(window, 2) for window in windows]
        wrong = []

        def work(start):
            for index in range(start, len(windows), 3):
                again = reader.read(windows[index], 2)
                wrong.extend(name for name in again if not np.array_equal(again[name][0], alone[index][name][0]))

        threads = [threading.Thread(target=work, args=(start,)) for start in range(3)]
        [thread.start() for thread in threads]
        [thread.join() for thread in threads]
        assert not wrong


def test_few_data_sets_stay_open(stack):
    with StackReader(stack) as reader, StackReader(stack) as unlimited:
        reader._files.limit = 0  # still 16
        for column in (0, 30):
            ours, theirs = reader.read(Window(column, 0, 8, 8)), unlimited.read(Window(column, 0, 8, 8))
            assert all(np.array_equal(ours[name].values, theirs[name].values) for name in ours)
            assert all(len(pool) <= 16 for pool in reader._files.pools.values())


@pytest.mark.parametrize("change", ["touched", "longer", "gone"])
def test_a_changed_source_is_named(tmp_path, make_stack, change):
    values = np.ones((1, 1, 4, 4), np.int16)
    path = make_stack(tmp_path, {"S2": dict(values=values, dates=DATES[:1], bands=["B4"])})
    source = tmp_path / "rasters" / "S2_2021-01-03.tif"
    if change == "gone":
        source.unlink()
    elif change == "touched":
        os.utime(source, (1, 1))
    else:
        source.write_bytes(source.read_bytes() + b"x")
    with pytest.raises(LandloomError, match=source.name):
        StackReader(path)


def test_pixels_that_cannot_be_read_name_the_file(tmp_path, make_stack):
    values = np.random.default_rng(0).integers(0, 9999, (1, 1, 64, 64)).astype(np.int16)
    path = make_stack(
        tmp_path, {"S2": dict(values=values, dates=DATES[:1], bands=["B4"], creation=["COMPRESS=DEFLATE"])}
    )
    source = tmp_path / "rasters" / "S2_2021-01-03.tif"
    status = source.stat()
    content = bytearray(source.read_bytes())
    content[300:3300] = b"\xff" * 3000
    source.write_bytes(bytes(content))
    os.utime(source, (status.st_atime, status.st_mtime))
    with pytest.raises(LandloomError, match=source.name), StackReader(path) as reader:
        reader.read(Window(0, 0, 64, 64))


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 6))
def test_dilation_is_a_disc(seed, radius):
    mask = np.random.default_rng(seed).random((15, 18)) > 0.95
    rows, columns = np.indices(mask.shape)
    naive = np.zeros_like(mask)
    for row, column in zip(*np.nonzero(mask), strict=True):
        naive |= (rows - row) ** 2 + (columns - column) ** 2 <= radius**2
    np.testing.assert_array_equal(dilate(mask, radius), naive)


@pytest.mark.parametrize("scale", [1e-4, 2e-4])
def test_products_of_another_offset_are_read_in_their_own_pixels(stack, tmp_path, scale):
    """Equal to GDAL's reading of the date's VRT, though it does not resample their bands of 20 m."""
    first = Stack.read(stack)
    sensors = {}
    for name in ("S2", "S2_20M", "S2_60M"):
        sensor = replace(first.sensors[name], scale=1e-4)
        acquisitions = []
        for one in sensor.acquisitions:
            part = one.parts[0]
            scales = dict.fromkeys(part.bands, (scale, -0.1)) if one.date < "2021-02" else {}
            acquisitions.append(replace(one, parts=(replace(part, scales=scales),)))
        sensors[name] = replace(sensor, acquisitions=tuple(acquisitions))
    written = write_stack(replace(first, path=tmp_path / "scaled.json", sensors=sensors))
    with StackReader(written) as reader:
        virtual = [read.path for one in reader._sensors["S2_20M"].acquisitions for read in one[0].reads]
        assert sum("_native" in path for path in virtual) == (2 if scale == 1e-4 else 0)
        for window in (Window(-3, 2, 60, 33), Window(0, 0, 50, 40)):
            series = reader.read(window, 1)
            for name, (values, mask) in expected(reader.stack, window.grown(1)).items():
                np.testing.assert_array_equal(series[name].mask[0], mask, err_msg=name)
                tolerance = 1 if name == "S2_60M" else 0  # ties are rounded apart
                np.testing.assert_allclose(series[name].values[0].astype(float), values, err_msg=name, atol=tolerance)


def test_the_stack_written_is_the_stack_read(stack, tmp_path):
    first = Stack.read(stack)
    assert Stack.read(first.write(stack.parent / "copy.json")).sensors == first.sensors


def test_threads_that_read_together_read_the_same_and_share_out_the_files(stack):
    window, used = Window(-3, 5, 40, 30), []

    @contextlib.contextmanager
    def around():
        used.append(threading.get_ident())
        yield

    with StackReader(stack) as alone, StackReader(stack) as reader:
        expected = alone.read(window, 1)
        for count in (3, 2):
            reader.use_threads(count, around)
            for _ in range(2):
                reader.read(Window(0, 0, 5, 5))
                used.clear()
                found = reader.read(window, 1)
                assert set(found) == set(expected)
                for name, series in expected.items():
                    np.testing.assert_array_equal(found[name].values, series.values)
                    np.testing.assert_array_equal(found[name].mask, series.mask)
            assert len(set(used)) == count - 1
            opened = [path for pool in reader._files.pools.values() for path in pool]
            assert len(opened) == len(set(opened)) == len({path for path, _ in reader._layers()})
        reader.let_go()
        reader.free()
        assert not reader._files.pools and reader._memory.kept == 0
        np.testing.assert_array_equal(reader.read(window, 1)["S2"].values, expected["S2"].values)


def test_what_goes_wrong_in_another_thread_is_told_with_the_file(stack, monkeypatch):
    with StackReader(stack) as reader:
        reader.use_threads(3, contextlib.nullcontext)
        reader.read(Window(0, 0, 9, 9))
        main, get = threading.get_ident(), reader._files._open

        def broken(path):
            if threading.get_ident() != main:
                raise LandloomError(f"Cannot read {path}")
            return get(path)

        monkeypatch.setattr(reader._files, "_open", broken)
        with pytest.raises(LandloomError, match=r"Cannot read .*\.(tif|vrt)"):
            reader.read(Window(0, 0, 9, 9))
