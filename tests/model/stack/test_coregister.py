"""Protects ``coregister``: known shifts are found to a tenth of a pixel, in the right direction, and read with."""

from __future__ import annotations

import json
import time
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from landloom.model.base.errors import Cancelled, LandloomError
from landloom.model.base.progress import Progress
from landloom.model.base.raster import open_raster, spatial_reference, write_raster
from landloom.model.stack.build import RasterInfos, building
from landloom.model.stack.coregister import coregister, decide, place_windows
from landloom.model.stack.coregisterimage import coregister_image
from landloom.model.stack.coregisterreference import CoregisterSettings, median_without
from landloom.model.stack.correlation import Measured, combine, edges, window_shift
from landloom.model.stack.grid import Grid, Window
from landloom.model.stack.join import join_parts
from landloom.model.stack.manifest import Stack
from landloom.model.stack.reader import StackReader
from landloom.model.stack.shiftreport import COLUMNS, shift_plot, write_report, write_table
from osgeo import gdal
from scipy import ndimage
from scipy.spatial import cKDTree

SIDE = 160
FINE = 4  # pixels of the ground's picture along a pixel of 10 m


@pytest.fixture(scope="module")
def ground():
    """Which field lies where, in pixels of 2.5 m, with a rim of 20 pixels of 10 m: ``ground(values) -> picture``."""
    side = (SIDE + 40) * FINE
    rng = np.random.default_rng(5)
    points = rng.uniform(0, side, (500, 2))
    rows, columns = np.mgrid[:side, :side]
    fields = cKDTree(points).query(np.c_[rows.ravel(), columns.ravel()])[1].reshape(side, side)
    return lambda seed, share=1.0: _of_fields(fields, seed, share)


def _of_fields(fields, seed, share):
    """Fields of one pattern of values, mixed with one of their own where ``share`` is below 1."""
    base = np.random.default_rng(0).normal(0, 1, 500)
    own = np.random.default_rng(seed).normal(0, 1, 500)
    return (share * base + np.sqrt(1 - share**2) * own)[fields]


def picture(fine, dx=0.0, dy=0.0, size=FINE):
    """What an image sees that lies ``dx`` pixels of 10 m too far left and ``dy`` too high: it must be moved by that."""
    moved = ndimage.shift(fine, (-dy * FINE, -dx * FINE), order=1, mode="nearest")
    rim = 20 * FINE
    cut = moved[rim:-rim, rim:-rim]
    return cut.reshape(cut.shape[0] // size, size, cut.shape[1] // size, size).mean(axis=(1, 3))


def as_values(image, noise=0.0, seed=0):
    rng = np.random.default_rng(seed)
    return np.rint(2000 + 300 * image + noise * rng.standard_normal(image.shape)).astype(np.int16)


def measure(first, second, valid=None):
    """By the windows of two pictures."""
    side, reach = 64, 16
    valid = np.ones(first.shape, bool) if valid is None else valid
    there, here = edges(first, np.ones_like(valid)), edges(second, valid)
    shifts = []
    for row in range(0, first.shape[0] - side - 2 * reach + 1, 32):
        for column in range(0, first.shape[1] - side - 2 * reach + 1, 32):
            cut = np.s_[row : row + side + 2 * reach, column : column + side + 2 * reach]
            try:
                shift = window_shift((there[0][cut], there[1][cut]), (here[0][cut], here[1][cut]), reach)
            except ValueError:
                shift = None
            shifts.append(shift)
    return combine(shifts)


@settings(max_examples=10)
@given(
    dx=st.floats(-4, 4),
    dy=st.floats(-4, 4),
    share=st.sampled_from([1.0, 0.5, -0.7]),
    noise=st.sampled_from([0.0, 0.15]),
    seed=st.integers(0, 99),
)
def test_known_shifts_are_found_to_a_tenth_of_a_pixel(ground, dx, dy, share, noise, seed):
    """Also where crops changed, or where bright became dark (share below 0), and with noise."""
    rng = np.random.default_rng(seed)
    first, second = picture(ground(1)), picture(ground(seed, share), dx, dy)
    first = first + noise * rng.standard_normal(first.shape)
    second = 40 + 7 * (second + noise * rng.standard_normal(second.shape))
    found = measure(first, second)
    assert found.is_known
    assert (found.dx, found.dy) == pytest.approx((dx, dy), abs=0.1)


def test_clouds_do_not_decide(ground):
    """Clouds and their shadows lie elsewhere than the ground says; masked, they say nothing."""
    first, second = picture(ground(1)), picture(ground(1), 1.3, -0.6)
    cloud = ndimage.gaussian_filter(np.random.default_rng(3).standard_normal(first.shape), 9) > 0.03
    # the reference holds the same clouds, unmasked and two pixels aside: they would say (-2, 0)
    first = np.where(ndimage.shift(cloud, (0, -2), order=0), 9.0, first)
    clouded = np.where(cloud, 9.0, second)
    open_eyed = measure(first, clouded)
    assert abs(open_eyed.dx - 1.3) > 0.5
    masked = measure(first, clouded, ~ndimage.binary_dilation(cloud, iterations=4))
    assert (masked.dx, masked.dy) == pytest.approx((1.3, -0.6), abs=0.15)


def test_windows_of_noise_do_not_agree(ground):
    found = measure(picture(ground(1)), np.random.default_rng(1).standard_normal((SIDE, SIDE)))
    assert not found.is_known
    assert combine([]).tried == 0 and not combine([]).is_known
    assert combine([None, None, None, None]).agreeing == 0


@given(st.integers(1, 9), st.integers(0, 10_000))
def test_the_median_without_a_date_is_that_of_the_others(count, seed):
    """Independent: numpy's masked median of the series with the date taken out."""
    rng = np.random.default_rng(seed)
    values = rng.integers(0, 6, (count, 3, 4)).astype(np.float32)
    valid = rng.random((count, 3, 4)) < 0.7
    ordered = np.sort(np.where(valid, values, np.inf), axis=0)
    out = int(rng.integers(0, count))
    result, some = median_without(ordered, valid.sum(axis=0), (values[out], valid[out]))
    rest = np.delete(np.arange(count), out)
    expected = np.ma.median(np.ma.masked_array(values[rest], ~valid[rest]), axis=0)
    assert np.array_equal(some, valid[rest].any(axis=0))
    assert np.allclose(result[some], np.ma.filled(expected, 0)[some])


TRUE = ((0.0, 0.0), (1.0, -1.0), (0.0, 0.1), (-0.4, 0.7), (0.0, 0.0), (5.0, 3.0), (0.0, 0.0), (0.0, 0.0))
"""What each date must be moved by: one lies a whole pixel beside, one too near, one between, one far away."""

DATES = tuple(f"2021-0{month}-05" for month in range(1, len(TRUE) + 1))


@pytest.fixture(scope="module")
def stack_path(tmp_path_factory, make_stack, ground):
    """Optical dates with 20 m bands in files of their own, a cloud each, and radar; as ``TRUE`` says."""
    folder = tmp_path_factory.mktemp("shifts")
    values, masks = [], []
    for number, (dx, dy) in enumerate(TRUE):
        image = as_values(picture(ground(number, 0.9), dx, dy), 20, number)
        mask = np.ones(image.shape, bool)
        column = 10 + 18 * number
        mask[30:60, column : column + 20] = False
        values.append(np.stack([image // 2, image]))
        masks.append(mask)
    values = np.where(np.array(masks)[:, None], np.array(values), 9000).astype(np.int16)
    rng = np.random.default_rng(0)
    radar = [10 ** (0.3 * picture(ground(1), dx, dy)) * rng.gamma(8, 0.125, (SIDE, SIDE)) * 0.1 for dx, dy in TRUE]
    return make_stack(
        folder,
        {
            "S2": {
                "values": values,
                "bands": ["B4", "B8"],
                "dates": DATES,
                "mask": np.array(masks),
                "nodata": -32768,
                "scale": 1e-4,
            },
            "S1_ASC": {
                "values": (10 * np.log10(np.array(radar)))[:, None].astype(np.float32),
                "bands": ["VV"],
                "dates": DATES,
                "kind": "radar",
                "unit": "db",
            },
        },
    )


@pytest.fixture(scope="module")
def aligned(stack_path):
    """The stack that coregister writes, its lines by sensor and date, and the stack before."""
    before = Stack.read(stack_path)
    _, rows = coregister(before, stack_path.with_name("aligned.json"), CoregisterSettings())
    return Stack.read(stack_path.with_name("aligned.json")), {(row.sensor, row.date): row for row in rows}, before


def test_dates_of_a_stack_are_measured_and_judged(aligned):
    stack, rows, _ = aligned
    for date, (dx, dy) in zip(DATES, TRUE, strict=True):
        row = rows["S2", date]
        assert (row.measured.dx, row.measured.dy) == pytest.approx((dx, dy), abs=0.1), date
        assert (row.east, row.north) == pytest.approx((10 * row.measured.dx, -10 * row.measured.dy))
    outcomes = [rows["S2", date].outcome for date in DATES]
    assert outcomes == ["small", "applied", "small", "applied", "small", "large", "small", "small"]
    shifts = [one.parts[0].shift for one in stack.sensors["S2"].acquisitions]
    assert shifts[1] == (1.0, -1.0)  # near a whole pixel: rounded
    assert shifts[3] == pytest.approx((-0.4, 0.7), abs=0.1)
    assert [shift is None for shift in shifts] == [True, False, True, False, True, True, True, True]


def test_radar_is_measured_in_decibels(aligned):
    _, rows, _ = aligned
    for date, (dx, dy) in zip(DATES, TRUE, strict=True):
        row = rows["S1_ASC", date]
        assert (row.measured.dx, row.measured.dy) == pytest.approx((dx, dy), abs=0.35), (
            date
        )  # the median holds three that lie beside
    assert rows["S1_ASC", DATES[5]].outcome == "large"


def test_days_names_and_all_else_stay(aligned):
    stack, _, before = aligned
    ours, theirs = stack.spec("S2"), before.spec("S2")
    assert ours == theirs
    assert stack.grid == before.grid
    # resampled radar is power: a mean of decibels is no backscatter
    assert stack.spec("S1_ASC").unit == "power" and before.spec("S1_ASC").unit == "db"
    assert stack.spec("S1_ASC").days == before.spec("S1_ASC").days
    assert stack.path.read_bytes() != before.path.read_bytes()


def test_the_moved_date_lies_on_the_others(aligned, ground):
    """The sign: what is read after the shift is nearer to the ground than before, not farther."""
    stack, _, before = aligned
    inner = np.s_[70:150, 12:150]  # without clouds
    for index in (1, 3):
        truth = as_values(picture(ground(index, 0.9)))[inner].astype(float)
        series = {}
        for name, one in (("before", before), ("after", stack)):
            with StackReader(one, ["S2"]) as reader:
                series[name] = reader.read_dates("S2", Window(0, 0, SIDE, SIDE), [index])
        error = {name: np.abs(one.values[0, 0, 1][inner] - truth).mean() for name, one in series.items()}
        assert error["after"] < 0.5 * error["before"], (index, error)


def test_whole_pixels_are_moved_as_they_are(aligned):
    """Exact values, read from the file itself; the mask moves along."""
    stack, _, before = aligned
    source = stack.sensors["S2"].acquisitions[1].parts[0].sources[0]
    assert source.corner == (1, -1)
    window = Window(20, 20, 100, 100)
    with StackReader(before, ["S2"]) as old, StackReader(stack, ["S2"]) as new:
        here = new.read_dates("S2", window, [1])
        there = old.read_dates("S2", Window(19, 21, 100, 100), [1])  # one to the left, one down
    assert np.array_equal(here.values, there.values)
    assert np.array_equal(here.mask, there.mask)
    assert not here.mask.all()


def test_what_moves_out_of_the_image_is_masked(aligned):
    stack, _, _ = aligned
    with StackReader(stack, ["S2"]) as reader:
        mask = reader.read_dates("S2", Window(0, 0, SIDE, SIDE), [1]).mask[0, 0]
        fraction = reader.read_dates("S2", Window(0, 0, SIDE, SIDE), [3]).mask[0, 0]
    assert not mask[:, 0].any() and not mask[-1].any()
    assert mask[:-1, 1:][70:].all()
    assert not fraction[0].any()


def test_the_virtual_raster_of_a_date_is_what_is_read(aligned):
    """So that an acquisition opens in QGIS where it is read."""
    stack, _, _ = aligned
    for index in (1, 3):
        part = stack.sensors["S2"].acquisitions[index].parts[0]
        dataset = open_raster(part.data)
        assert dataset.GetGeoTransform() == stack.grid.transform
        with StackReader(stack, ["S2"]) as reader:
            series = reader.read_dates("S2", Window(0, 0, SIDE, SIDE), [index])
        valid = series.mask[0, 0]
        assert np.array_equal(dataset.ReadAsArray()[:, valid], series.values[0, 0][:, valid])


def test_a_second_run_has_nothing_left_to_do(aligned, tmp_path):
    """And shifts add up: the sum keeps to the limit."""
    stack, _, _ = aligned
    again, rows = coregister(stack, tmp_path / "again.json", CoregisterSettings(("S2",), windows=9))
    assert not any(row.applied for row in rows)
    for ours, theirs in zip(again.sensors["S2"].acquisitions, stack.sensors["S2"].acquisitions, strict=True):
        assert ours.parts[0].shift == theirs.parts[0].shift
    outcome, total = decide(Measured(1.5, 0, 9, 9, 1, 0.1), (1.0, 0.0), CoregisterSettings())
    assert (outcome, total) == ("large", (1.0, 0.0))


@given(st.floats(-9, 9), st.floats(-9, 9), st.floats(0, 5), st.floats(0, 1))
def test_no_shift_above_the_limit_is_ever_stored(dx, dy, most, least):
    chosen = CoregisterSettings(max_shift=most, min_shift=min(least, most))
    outcome, total = decide(Measured(dx, dy, 9, 9, 1.0, 0.1), (0.0, 0.0), chosen)
    assert np.hypot(*total) <= most
    assert outcome == "applied" or total == (0.0, 0.0)
    assert (outcome == "large") == (np.hypot(dx, dy) > most)


def test_larger_pixels_of_a_date_move_along(tmp_path, make_stack, ground):
    """Whole pixels of the grid move files of 20 m pixels by half of theirs, read from the files themselves."""
    path = make_stack(
        tmp_path,
        {
            "S2": {"values": as_values(picture(ground(0)))[None, None], "bands": ["B8"], "dates": ["2021-01-05"]},
            "S2_20": {
                "values": as_values(picture(ground(0), size=2 * FINE))[None, None],
                "bands": ["B11"],
                "dates": ["2021-01-05"],
                "factor": 2,
                "nodata": -1,
            },
        },
    )
    stack = Stack.read(path)
    moved = with_shift(stack, "S2_20", (1.0, 2.0))
    with building(replace(moved, path=tmp_path / "moved.json"), Progress(), RasterInfos()) as build:
        moved = build.commit(build.stack)
    with StackReader(stack, ["S2_20"]) as old, StackReader(moved, ["S2_20"]) as new:
        there = old.read(Window(40, 40, 64, 64))["S2_20"].values
        here = new.read(Window(41, 42, 64, 64))["S2_20"].values
    assert np.array_equal(here, there)
    dataset = open_raster(moved.sensors["S2_20"].acquisitions[0].parts[0].data)
    assert np.array_equal(dataset.ReadAsArray(41, 42, 64, 64), there[0, 0, 0])


def with_shift(stack, name, shift):
    sensor = stack.sensors[name]
    moved = tuple(
        replace(one, parts=tuple(replace(part, shift=shift) for part in one.parts)) for one in sensor.acquisitions
    )
    return stack.with_sensor(replace(sensor, acquisitions=moved))


def test_a_copy_holds_the_moved_pixels(aligned, tmp_path):
    stack, _, before = aligned
    chosen = CoregisterSettings(("S2",), copy=str(tmp_path / "copies"))
    one = replace(before, sensors={"S2": before.sensors["S2"]})
    copied, _ = coregister(one, tmp_path / "copy.json", chosen)
    assert all(part.shift is None for one in copied.sensors["S2"].acquisitions for part in one.parts)
    with StackReader(stack, ["S2"]) as old, StackReader(copied, ["S2"]) as new:
        first, second = (reader.read(Window(0, 0, SIDE, SIDE))["S2"] for reader in (old, new))
    assert np.array_equal(first.mask, second.mask)
    assert np.array_equal(first.values, second.values)


def test_bands_that_were_not_moved_do_not_join_those_that_were(aligned):
    stack, _, before = aligned
    moved, still = (one.sensors["S2"].acquisitions[1].parts[0] for one in (stack, before))
    with pytest.raises(LandloomError, match="coregister"):
        join_parts(moved, still)


@pytest.mark.parametrize("epsg", [32738, 32739])
def test_an_image_of_small_pixels_is_moved_to_the_stack(tmp_path, stack_path, ground, epsg):
    """Another radiometry, 2.5 m pixels, also in another zone: the VRT lies where the ground is, pixels untouched."""
    grid = Stack.read(stack_path).grid
    east, north = 12.5, -8.0  # metres by which the image must be moved
    fine = 90 - 9 * ground(1, -0.8)[20 * FINE : -20 * FINE, 20 * FINE : -20 * FINE]
    image = tmp_path / "vhr.tif"
    transform = (grid.transform[0] - east, 2.5, 0.0, grid.transform[3] - north, 0.0, -2.5)
    write_raster(image, fine.astype(np.float32), transform, grid.crs_wkt)
    if epsg != 32738:
        there = str(tmp_path / "there.tif")
        gdal.Warp(there, str(image), dstSRS=f"EPSG:{epsg}", xRes=2.5, yRes=2.5, resampleAlg="bilinear", dstNodata=0)
        image = tmp_path / "there.tif"
    output = tmp_path / "moved.vrt"
    chosen = CoregisterSettings(("S2",), reference_date=DATES[0])
    row = coregister_image(image, output, chosen, stack_path)
    assert row.applied
    assert (row.east, row.north) == pytest.approx((east, north), abs=1.0)
    before, after = open_raster(image), open_raster(output)
    old, new = before.GetGeoTransform(), after.GetGeoTransform()
    assert np.array_equal(before.ReadAsArray(), after.ReadAsArray())
    if epsg == 32738:
        assert (new[0] - old[0], new[3] - old[3]) == pytest.approx((east, north), abs=1.0)
    else:  # the same place on the ground, whatever the zone
        back = gdal.Warp("", after, format="MEM", dstSRS=grid.crs_wkt, outputBounds=grid.bounds, xRes=10, yRes=10)
        values = back.ReadAsArray()
        assert measure(picture(ground(1)), values).length < 0.15
    # once more: nothing is left
    assert not coregister_image(output, tmp_path / "twice.vrt", chosen, stack_path).applied


def test_two_rasters_are_compared_in_the_larger_of_their_pixels(tmp_path, ground):
    crs = spatial_reference("EPSG:32738").ExportToWkt()
    write_raster(tmp_path / "s2.tif", as_values(picture(ground(1))), (5e5, 10, 0, 8e6, 0, -10), crs)
    fine = as_values(ground(1, 0.8)[20 * FINE : -20 * FINE, 20 * FINE : -20 * FINE])
    write_raster(tmp_path / "vhr.tif", fine, (5e5 + 45, 2.5, 0, 8e6, 0, -2.5), crs)
    chosen = CoregisterSettings(reference=str(tmp_path / "s2.tif"))
    row = coregister_image(tmp_path / "vhr.tif", tmp_path / "out.vrt", chosen)
    assert row.outcome == "large" and row.measured.dx == pytest.approx(-4.5, abs=0.1)
    assert open_raster(tmp_path / "out.vrt").GetGeoTransform()[0] == 5e5 + 45
    row = coregister_image(tmp_path / "vhr.tif", tmp_path / "out.vrt", replace(chosen, max_shift=5))
    assert open_raster(tmp_path / "out.vrt").GetGeoTransform()[0] == pytest.approx(5e5, abs=1)
    # the other way round: the image has the larger pixels
    chosen = CoregisterSettings(reference=str(tmp_path / "vhr.tif"), max_shift=5)
    row = coregister_image(tmp_path / "s2.tif", tmp_path / "back.vrt", chosen)
    assert row.measured.dx == pytest.approx(4.5, abs=0.1)


def test_a_raster_is_the_reference_of_a_stack(tmp_path, stack_path, ground):
    crs = Stack.read(stack_path).grid.crs_wkt
    reference = tmp_path / "reference.tif"
    write_raster(reference, as_values(picture(ground(0), 1.0, 0.0)), (5e5, 10, 0, 8e6, 0, -10), crs, names=["B8"])
    chosen = CoregisterSettings(("S2",), reference=str(reference), windows=9)
    _, rows = coregister(stack_path, tmp_path / "out.json", chosen)
    assert rows[0].measured.dx == pytest.approx(-1.0, abs=0.1)
    assert "reference.tif" in rows[0].reference


def test_a_date_is_the_reference_and_stays(tmp_path, stack_path):
    chosen = CoregisterSettings(("S2",), reference_date=DATES[1], max_shift=3, windows=9)
    stack, rows = coregister(stack_path, tmp_path / "out.json", chosen)
    assert rows[1].outcome == "reference"
    assert stack.sensors["S2"].acquisitions[1].parts[0].shift is None
    assert stack.sensors["S2"].acquisitions[0].parts[0].shift == (-1.0, 1.0)


def test_short_series_take_the_clearest_date(tmp_path, make_stack, ground):
    values = np.stack([as_values(picture(ground(1), dx, 0))[None] for dx in (0.6, 0.0)])
    mask = np.ones((2, SIDE, SIDE), bool)
    mask[0, :40] = False
    path = make_stack(tmp_path, {"S2": {"values": values, "bands": ["B8"], "dates": DATES[:2], "mask": mask}})
    _, rows = coregister(path, tmp_path / "out.json", CoregisterSettings())
    assert [row.outcome for row in rows] == ["applied", "reference"]
    assert rows[0].measured.dx == pytest.approx(0.6, abs=0.1)


def test_windows_are_spread_evenly_and_fit():
    grid = Grid("EPSG:32738", (0.0, 10.0, 0.0, 0.0, 0.0, -10.0), 1000, 300)
    windows = place_windows(grid, CoregisterSettings(windows=40))
    assert 30 <= len(windows) <= 45
    assert all(grid.whole.intersection(window) == window for window in windows)
    assert {windows[0][:2], windows[-1][:2]} == {(0, 0), (936, 236)}
    assert place_windows(replace(grid, height=40), CoregisterSettings())[0].width == 32


@pytest.mark.parametrize(
    ("chosen", "words"),
    [
        ({"band": "B99"}, "no band B99"),
        ({"sensors": ("L8",)}, "no sensor L8"),
        ({"reference_date": "1999-01-01"}, "REFERENCE_DATE"),
        ({"reference": "/nowhere.tif"}, "does not exist"),
        ({"max_shift": -1.0}, "MAX_SHIFT"),
        ({"min_shift": 3.0}, "MIN_SHIFT"),
        ({"bounds": (0.0, 0.0, 1.0, 1.0)}, "EXTENT"),
        ({"window": 4}, "WINDOW"),
    ],
)
def test_bad_input_is_named_and_nothing_written(stack_path, tmp_path, chosen, words):
    with pytest.raises(LandloomError, match=words):
        coregister(stack_path, tmp_path / "out.json", CoregisterSettings(**{"sensors": ("S2",), **chosen}))
    assert not list(tmp_path.iterdir())


def test_images_that_do_not_meet_are_refused(stack_path, tmp_path):
    crs = spatial_reference("EPSG:32738").ExportToWkt()
    write_raster(tmp_path / "far.tif", np.ones((90, 90), np.uint8), (7e5, 10, 0, 8e6, 0, -10), crs)
    with pytest.raises(LandloomError, match="do not overlap"):
        coregister_image(tmp_path / "far.tif", tmp_path / "out.vrt", CoregisterSettings(("S2",)), stack_path)
    with pytest.raises(LandloomError, match=r"\.vrt"):
        coregister_image(tmp_path / "far.tif", tmp_path / "out.tif", CoregisterSettings(("S2",)), stack_path)
    with pytest.raises(LandloomError, match="REFERENCE is missing"):
        coregister_image(tmp_path / "far.tif", tmp_path / "out.vrt", CoregisterSettings())


def test_a_damaged_shift_is_refused(aligned, tmp_path):
    content = json.loads(aligned[0].path.read_text())
    for bad in ([1.0], "1", [1e9, 0], [None, 0]):
        content["sensors"][0]["acquisitions"][1]["parts"][0]["shift"] = bad
        (tmp_path / "bad.json").write_text(json.dumps(content))
        with pytest.raises(LandloomError, match="shift"):
            Stack.read(tmp_path / "bad.json")


class Cancelling(Progress):
    """Says yes to the first question after some have passed."""

    def __init__(self, after: int) -> None:
        self.left = after
        self.times = [time.monotonic()]

    def is_cancelled(self) -> bool:
        self.times.append(time.monotonic())
        self.left -= 1
        return self.left < 0


def test_it_asks_often_and_stops(stack_path, tmp_path):
    progress = Cancelling(60)
    with pytest.raises(Cancelled):
        coregister(stack_path, tmp_path / "out.json", CoregisterSettings(), progress)
    assert np.diff(progress.times).max() < 1
    assert not list(tmp_path.iterdir())


def test_table_and_report_tell_each_date(aligned, tmp_path):
    _, rows, _ = aligned
    rows = list(rows.values())
    write_table(rows, tmp_path / "shifts.csv")
    lines = (tmp_path / "shifts.csv").read_text().splitlines()
    assert lines[0] == ",".join(COLUMNS) and len(lines) == 1 + len(rows)
    write_report(rows, CoregisterSettings(), tmp_path / "shifts.html", "stack.json")
    page = (tmp_path / "shifts.html").read_text()
    assert "MAX_SHIFT" in page and all(row.date in page for row in rows)
    facts = json.loads((tmp_path / "shifts_report.json").read_text())
    assert facts["kind"] == "coregister" and len(facts["images"]) == len(rows)
    assert sum(one["applied"] for one in facts["images"]) == sum(row.applied for row in rows)
    odd = replace(rows[0], sensor="<b>")
    assert "<b>" not in shift_plot([odd], 2)
