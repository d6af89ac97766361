"""The report of preparestack: gaps, estimates; VALID_COUNT and LONGEST_GAP against plain loops over pixels."""

from __future__ import annotations

import csv
import datetime
import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from landloom.model.stack.datesplot import dates_plot
from landloom.model.stack.estimates import Estimate, duration_text, estimates, reading_speed, size_text
from landloom.model.stack.manifest import Stack
from landloom.model.stack.prepare import PrepareSettings, prepare_stack
from landloom.model.stack.report import dates_table_path, gap_lines, gaps, write_report
from landloom.model.stack.validity import NO_DATE, longest_gap, write_validity
from osgeo import gdal


@pytest.fixture
def prepared(tmp_path, write_product):
    """Dates 40 and 41 days apart, one between them wholly clouded."""
    for date in ("20210101", "20210210", "20210323"):
        write_product.theia(tmp_path / "in", date)
    write_product.theia(tmp_path / "in", "20210301", cloud=np.ones((24, 24)))
    return prepare_stack(tmp_path / "in", tmp_path / "stack.json", PrepareSettings())


def test_only_gaps_over_forty_days_are_red_and_named(prepared, tmp_path):
    sensors = list(prepared.stack.sensors.values())
    assert [length for _, _, length in gaps(sensors[0], prepared.lines)] == [40, 41]
    plot = dates_plot(sensors, prepared.lines, {"S2": gaps(sensors[0], prepared.lines)[1:]})
    assert plot.count('stroke="#c0392b"') == 1 and "41 d" in plot and "40 d" not in plot
    # the line lies between the two dates' bars
    left, right = (f'x1="{x}"' in plot and x for x in _bars(plot, ("2021-02-10", "2021-03-23")))
    red = plot[: plot.index('stroke="#c0392b"')].rpartition("<line ")[2]
    assert f'x1="{left}"' in red and f'x2="{right}"' in red
    said = gap_lines(sensors, prepared.lines)
    assert len(said) == 1 and "41 days" in said[0] and "2021-02-10 to 2021-03-23" in said[0]
    write_report(prepared, tmp_path / "r.html")
    page = (tmp_path / "r.html").read_text("utf-8")
    assert "41 days without" in page and "What comes next" in page and "extractsamples" in page and "Free in" in page
    assert page.count('stroke="#c0392b"') == 1


def test_what_was_found_used_and_skipped_is_counted_and_listed(tmp_path, write_product):
    """Of five products one is a copy and one too cloudy: the page counts by archive, the CSV has a line for each."""
    for date in ("20210101", "20210210"):
        write_product.theia(tmp_path / "in", date)
    write_product.theia(tmp_path / "in" / "copy", "20210101")
    write_product.theia(tmp_path / "in", "20210120", cloud=np.ones((24, 24)))
    write_product.s1tiling(tmp_path / "in", "20210104")
    prepared = prepare_stack(tmp_path / "in", tmp_path / "stack.json", PrepareSettings(max_cloud=50))
    assert prepared.found == {("Theia S2 L2A", "S2"): 4, ("S1Tiling", "S1_ASC"): 1}
    assert prepared.taken == {("Theia S2 L2A", "S2"): 2, ("S1Tiling", "S1_ASC"): 1}
    write_report(prepared, tmp_path / "r.html")
    page = (tmp_path / "r.html").read_text("utf-8")
    assert "5 products found, 3 dates used, 2 products skipped." in page
    assert "24 x 24 pixels of 10 x 10 m (0.24 x 0.24 km), WGS 84 / UTM zone 38S." in page
    assert page.count('stroke="#8a8f8c"') == 1  # of the cloudy one: the copy's date is used
    with dates_table_path(tmp_path / "r.html").open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["used"] for row in rows] == ["yes"] * 3 + ["no"] * 2
    cloudy = next(row for row in rows if row["date"] == "2021-01-20")
    assert float(cloudy["masked_share"]) == 1 and "above MAX_CLOUD" in cloudy["why"]


def _bars(plot, dates):
    for date in dates:
        line = next(line for line in plot.splitlines() if f"<title>{date}" in line)
        yield line.split('x1="')[1].split('"')[0]


def test_estimates_grow_with_pixels_and_values(prepared):
    stack = Stack.read(prepared.stack.path)
    speed = reading_speed(stack)
    assert 0 < speed < 1
    rows = estimates(stack, 1e-3, samples=1000)
    steps = [row.step.split(",")[0] for row in rows]
    assert steps == ["extractsamples", "composite of S2", "classify the whole stack", "classify the whole stack"]
    assert rows[0].disk_mb == pytest.approx(1000 * 2.5 * 4 * 21 / 2**20)  # 4 dates of 10 int16 bands and a mask
    assert rows[2].minutes == pytest.approx(24 * 24 * 1e-3 / 60)
    assert estimates(stack, 2e-3)[2].minutes == pytest.approx(2 * rows[2].minutes)
    assert math.isnan(estimates(stack, float("nan"))[3].minutes)
    assert Estimate("a", float("nan"), 2000).texts() == ("a", "unknown", "2.0 GB")
    assert (duration_text(0.2), duration_text(80), duration_text(150)) == ("under a minute", "80 min", "2.5 h")
    assert size_text(0.1) == "under 1 MB"


@given(st.integers(0, 2**32 - 1), st.integers(1, 12))
def test_the_longest_gap_is_that_of_a_loop(seed, count):
    rng = np.random.default_rng(seed)
    days = np.sort(rng.choice(400, count, replace=False)) - 50
    mask = rng.random((count, 3, 4)) > rng.random()
    got = longest_gap(mask, days)
    for row, column in np.ndindex(3, 4):
        valid = [int(day) for day, ok in zip(days, mask[:, row, column], strict=True) if ok]
        ends = [int(days[0]), *valid, int(days[-1])]
        expected = max(b - a for a, b in itertools.pairwise(ends)) if valid else NO_DATE
        assert got[row, column] == expected


def test_the_rasters_of_validity_are_those_of_a_loop(make_stack, tmp_path):
    rng = np.random.default_rng(2)
    dates = ["2021-01-03", "2021-01-20", "2021-03-30", "2021-04-01"]
    values = rng.integers(1, 50, (4, 2, 30, 40)).astype(np.int16)
    values[rng.random(values.shape) > 0.9] = -10000  # one band without data invalidates
    mask = rng.random((4, 30, 40)) > 0.5
    radar = rng.random((4, 1, 30, 40)).astype(np.float32)
    radar[rng.random(radar.shape) > 0.8] = np.nan
    sensors = {
        "S2": dict(values=values, mask=mask, dates=dates, bands=["B4", "B8"], nodata=-10000),
        "S1_ASC": dict(values=radar, kind="radar", dates=dates, bands=["VV"]),
    }
    stack = Stack.read(make_stack(tmp_path, sensors))
    write_validity(stack, tmp_path / "count.tif", tmp_path / "gap.tif")
    days = [datetime.date.fromisoformat(date).toordinal() for date in dates]
    truth = {"S2": mask & (values != -10000).all(axis=1), "S1_ASC": np.isfinite(radar).all(axis=1)}
    for number, name in enumerate(stack.sensors, start=1):
        counts = gdal.Open(str(tmp_path / "count.tif"))
        band = counts.GetRasterBand(number)
        assert band.GetDescription() == name
        np.testing.assert_array_equal(band.ReadAsArray(), truth[name].sum(axis=0))
        longest = gdal.Open(str(tmp_path / "gap.tif")).ReadAsArray()[number - 1]
        for row, column in np.ndindex(30, 40):
            valid = [day for day, ok in zip(days, truth[name][:, row, column], strict=True) if ok]
            ends = [days[0], *valid, days[-1]]
            expected = max(b - a for a, b in itertools.pairwise(ends)) if valid else NO_DATE
            assert longest[row, column] == expected
