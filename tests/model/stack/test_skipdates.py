"""Dates that the user leaves out: what may be written, which products go, and that a slip of the pen is named."""

from __future__ import annotations

import pytest
from landloom.model.base.errors import LandloomError
from landloom.model.stack.prepare import PrepareSettings, prepare_stack
from landloom.model.stack.skipdates import is_skipped, parse_skip_dates, skip_dates_text


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("", ()),
        ("2021-03-14", (("", "2021-03-14"),)),
        ("20210314; s2:2021-04-02", (("", "2021-03-14"), ("S2", "2021-04-02"))),
        ("S2:20210314,S2:2021-03-14", (("S2", "2021-03-14"),)),
    ],
)
def test_what_may_be_written(text, meant):
    assert parse_skip_dates(text) == meant
    assert parse_skip_dates(skip_dates_text(meant)) == meant


@pytest.mark.parametrize("text", ["yesterday", "S2:", "2021-02-30", "2021-03-14:S2"])
def test_what_is_no_date_is_named(text):
    with pytest.raises(LandloomError, match="SKIP_DATES holds"):
        parse_skip_dates(text)


def test_a_sensor_means_itself_and_s1_all_radar():
    skips = parse_skip_dates("S1:2021-01-04,S2:2021-01-05,2021-01-06")
    assert is_skipped("S1_ASC", "2021-01-04", skips) and not is_skipped("S2", "2021-01-04", skips)
    assert is_skipped("S2", "2021-01-05", skips) and not is_skipped("S1_ASC", "2021-01-05", skips)
    assert is_skipped("S2", "2021-01-06", skips) and is_skipped("S1_DES", "2021-01-06", skips)


def test_the_dates_are_left_out_and_told(tmp_path, write_product):
    folder = tmp_path / "products"
    for date in ("20210105", "20210115", "20210125"):
        write_product.theia(folder, date)
        write_product.s1tiling(folder, date)
    skips = parse_skip_dates("S2:2021-01-15,2021-01-25,2021-12-24")
    result = prepare_stack(folder, tmp_path / "stack.json", PrepareSettings(skip_dates=skips))
    dates = {name: [one.date for one in sensor.acquisitions] for name, sensor in result.stack.sensors.items()}
    assert dates == {"S1_ASC": ["2021-01-05", "2021-01-15"], "S2": ["2021-01-05"]}
    told = {(line.sensor, line.date) for line in result.lines if line.why == "among SKIP_DATES"}
    assert told == {("S2", "2021-01-15"), ("S2", "2021-01-25"), ("S1_ASC", "2021-01-25")}
    assert [one for one in result.warnings if "SKIP_DATES" in one and "2021-12-24" in one]
