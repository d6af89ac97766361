"""Pixel corners, days and the check of stack.json."""

from __future__ import annotations

import datetime
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from landloom.model.base.errors import LandloomError
from landloom.model.base.raster import spatial_reference
from landloom.model.stack.calendar import (
    check_season_start,
    day_of,
    default_campaign_year,
    find_date,
    parse_dates,
)
from landloom.model.stack.choosegrid import choose_grid
from landloom.model.stack.grid import Grid, Window, place, reproject_bounds, same_crs
from landloom.model.stack.manifest import Stack

UTM = spatial_reference("EPSG:32738").ExportToWkt()
GRID = Grid(UTM, (500000.0, 10.0, 0.0, 8000000.0, 0.0, -10.0), 100, 80)


@given(st.integers(-50, 150), st.integers(-50, 150), st.integers(1, 60), st.integers(1, 60))
def test_a_window_of_the_bounds_of_a_window_is_that_window(column, row, width, height):
    window = Window(column, row, width, height)
    assert GRID.window(GRID.crop(window).bounds) == window
    assert GRID.transform_of(window)[0] == 500000 + 10 * column


@given(st.integers(-30, 30), st.integers(-30, 30), st.sampled_from([1, 2, 3, 6]))
def test_rasters_whose_corners_agree_are_placed(column, row, factor):
    transform = (500000.0 + 10 * column, 10.0 * factor, 0.0, 8000000.0 - 10 * row, 0.0, -10.0 * factor)
    assert place(Grid(UTM, transform, 7, 5), GRID) == (Window(column, row, 7 * factor, 5 * factor), factor)


@pytest.mark.parametrize("shift", [5.0, 2.5, 0.1])
def test_a_shift_of_part_of_a_pixel_is_no_agreement(shift):
    assert place(Grid(UTM, (500000.0 + shift, 10.0, 0.0, 8000000.0, 0.0, -10.0), 7, 5), GRID) is None
    assert place(Grid(UTM, (500000.0, 15.0, 0.0, 8000000.0, 0.0, -15.0), 6, 6), GRID) is None
    other = spatial_reference("EPSG:32739").ExportToWkt()
    assert place(Grid(other, GRID.transform, 7, 5), GRID) is None


def test_finer_rasters_are_placed_only_on_whole_pixels():
    fine = Grid(UTM, (500000.0, 2.5, 0.0, 8000000.0, 0.0, -2.5), 40, 40)
    assert place(fine, GRID) == (Window(0, 0, 10, 10), 0.25)
    assert place(Grid(UTM, fine.transform, 42, 40), GRID) is None


def test_crs_are_compared_by_meaning():
    assert same_crs(UTM, spatial_reference("EPSG:32738").ExportToPrettyWkt())
    assert not same_crs(UTM, spatial_reference("EPSG:32737").ExportToWkt())


def test_a_grid_in_another_crs_covers_everything():
    wkt = spatial_reference("EPSG:4326").ExportToWkt()
    grid = choose_grid([GRID], crs="EPSG:4326")
    bounds = reproject_bounds(GRID.bounds, UTM, wkt)
    ours = grid.bounds
    assert ours[0] <= bounds[0] and ours[1] <= bounds[1] and ours[2] >= bounds[2] and ours[3] >= bounds[3]
    assert abs(grid.resolution[0] - 10 / 111_320) < 1e-5
    with pytest.raises(LandloomError, match="CRS"):
        choose_grid([GRID], crs="EPSG:nonsense")


@given(st.dates(datetime.date(1985, 1, 1), datetime.date(2100, 1, 1)), st.integers(1, 12), st.integers(1, 28))
def test_one_date_has_one_day(date, month, day):
    season = f"{month:02d}-{day:02d}"
    count = day_of(date.isoformat(), season, 2021)
    assert datetime.date(2021, month, day) + datetime.timedelta(days=count) == date


def test_the_campaign_year_is_that_of_the_middle():
    assert default_campaign_year(["2020-12-28", "2021-12-20"]) == 2021
    assert default_campaign_year(["2021-01-03", "2021-12-20", ""]) == 2021
    assert default_campaign_year(["2020-09-01", "2021-08-01"]) == 2021
    assert default_campaign_year(["2020-10-03", "2021-09-23"], "10-01") == 2020
    assert default_campaign_year(["2020-10-03", "2021-09-23"], "01-01") == 2021
    with pytest.raises(LandloomError):
        default_campaign_year([""])


@pytest.mark.parametrize(
    ("name", "date", "rest"),
    [
        ("S2_20210103_10m", "2021-01-03", "S2_10m"),
        ("2021-01-03", "2021-01-03", ""),
        ("20210103_B4", "2021-01-03", "B4"),
        ("B4 2021.01.03", "2021-01-03", "B4"),
        ("LC08_20200708T101112_VV", "2020-07-08", "LC08_VV"),
        ("HLS.S30.T31TCJ.2021003T105031.v2", "2021-01-03", "HLS.S30.T31TCJ.v2"),
        ("id12345678901_20210103", "2021-01-03", "id12345678901"),
    ],
)
def test_dates_in_names(name, date, rest):
    assert find_date(name) == (date, rest)


@pytest.mark.parametrize("name", ["S2_10m", "T31TCJ", "20211301", "20210230", "1234567890123", ""])
def test_names_without_a_date(name):
    assert find_date(name) is None


def test_lists_of_dates_and_seasons():
    assert parse_dates("2021-01-03; 20210104\n2021/01/05") == ["2021-01-03", "2021-01-04", "2021-01-05"]
    with pytest.raises(LandloomError, match="tomorrow"):
        parse_dates("2021-01-03,tomorrow")
    assert check_season_start("10-1") == "10-01"
    with pytest.raises(LandloomError):
        check_season_start("02-29")


@pytest.mark.parametrize(
    ("where", "value", "message"),
    [
        (("format",), "x", "not a Landloom stack"),
        (("version",), 9, "newer"),
        (("grid", "width"), 0, "grid.width"),
        (("grid", "transform", 2), 0.5, "north-up"),
        (("season",), {}, "season.start is missing"),
        (("sensors", 0, "kind"), "lidar", "kind"),
        (("sensors", 0, "acquisitions", 0, "parts", 0, "bands", "B4", 0), 7, "not listed"),
        (("sensors", 0, "acquisitions", 0, "day"), "x", "day"),
        (("sensors", 0, "acquisitions", 0, "parts", 0, "masks", 0, "valid_values"), [1], "exactly one rule"),
    ],
)
def test_a_damaged_stack_is_refused(tmp_path, make_stack, where, value, message):
    import numpy as np

    one = dict(
        values=np.ones((1, 1, 4, 4), np.int16), mask=np.ones((1, 4, 4), bool), dates=["2021-01-03"], bands=["B4"]
    )
    path = make_stack(tmp_path, {"S2": one})
    content = json.loads(path.read_text("utf-8"))
    target = content
    for key in where[:-1]:
        target = target[key]
    target[where[-1]] = value
    path.write_text(json.dumps(content), "utf-8")
    with pytest.raises(LandloomError, match=message):
        Stack.read(path)


def test_files_that_are_no_stack(tmp_path):
    (tmp_path / "a.json").write_text("{", "utf-8")
    with pytest.raises(LandloomError, match="Cannot read"):
        Stack.read(tmp_path / "a.json")
    with pytest.raises(LandloomError, match="does not exist"):
        Stack.read(tmp_path / "b.json")
