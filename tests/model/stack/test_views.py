"""Protects what is shown of a stack: every date with its own time, without gaps or overlaps, in one stretch."""

from __future__ import annotations

import datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from landloom.model.base.errors import LandloomError
from landloom.model.base.progress import Progress
from landloom.model.stack.manifest import Stack
from landloom.model.stack.views import last_days, shown_bands, views_of

DATES = ["2021-03-01", "2021-03-11", "2021-03-16", "2021-04-10"]


@pytest.fixture
def stack(tmp_path, make_stack):
    random = np.random.default_rng(1)
    values = random.integers(200, 3000, (4, 4, 20, 30)).astype(np.int16)
    clear = np.ones((4, 20, 30), bool)
    values[1], clear[1] = 9000, False  # clouds
    values[2, :, :5], clear[2, :5] = 9000, False
    sensors = {
        "S2": {"values": values, "bands": ["B2", "B3", "B4", "B8"], "dates": DATES, "mask": clear},
        "S1_ASC": {
            "values": random.random((3, 2, 20, 30)).astype(np.float32),
            "bands": ["VV", "VH"],
            "dates": ["2021-03-03", "2021-03-15", "2021-03-27"],
            "kind": "radar",
        },
        "STATIC": {
            "values": random.random((1, 1, 20, 30)).astype(np.float32),
            "bands": ["slope"],
            "dates": [""],
            "kind": "static",
        },
    }
    return Stack.read(make_stack(tmp_path, sensors)), values, clear


def test_every_date_lasts_until_the_next(stack):
    view = views_of(stack[0], ["S2"])[0]
    assert [(one.first, one.last) for one in view.images] == [
        ("2021-03-01", "2021-03-10"),
        ("2021-03-11", "2021-03-15"),
        ("2021-03-16", "2021-04-09"),
        ("2021-04-10", "2021-04-19"),  # 10 days, as dates lie apart by their median
    ]


@given(st.lists(st.dates(datetime.date(2015, 1, 1), datetime.date(2030, 1, 1)), min_size=1, max_size=30, unique=True))
def test_times_neither_overlap_nor_leave_gaps(days):
    dates = [one.isoformat() for one in sorted(days)]
    ends = last_days(dates)
    for last, following in zip(ends, dates[1:], strict=False):
        assert datetime.date.fromisoformat(last) + datetime.timedelta(days=1) == datetime.date.fromisoformat(following)
    assert all(first <= last for first, last in zip(dates, ends, strict=True))


def test_bands_of_true_and_false_colours(stack):
    sensor = stack[0].sensor("S2")
    assert shown_bands(sensor) == ("B4", "B3", "B2") and shown_bands(sensor, "false") == ("B8", "B4", "B3")
    assert shown_bands(stack[0].sensor("S1_ASC")) == ("VV", "VH", "VV")
    assert shown_bands(stack[0].sensor("STATIC")) == ("slope",)
    view = views_of(stack[0], ["S2"], colours="false")[0]
    assert view.images[0].bands == (4, 3, 2)


def test_clouds_do_not_stretch_colours(stack):
    _, values, clear = stack
    view = views_of(stack[0], ["S2"])[0]
    for (low, high), band in zip(view.stretch, (2, 1, 0), strict=True):
        valid = values[:, band][clear]
        assert (low, high) == pytest.approx(tuple(np.percentile(valid, (2, 98))))
        assert high < 3000


def test_a_stack_of_clouds_is_shown_too(tmp_path, make_stack):
    values = np.full((2, 3, 8, 8), 5000, np.int16)
    values[0] += np.arange(64).reshape(8, 8).astype(np.int16)
    mask = np.zeros((2, 8, 8), bool)
    sensors = {"S2": {"values": values, "bands": ["B2", "B3", "B4"], "dates": DATES[:2], "mask": mask}}
    view = views_of(Stack.read(make_stack(tmp_path, sensors)))[0]
    assert all(5000 <= low < high for low, high in view.stretch)


def test_choices_and_layers_without_a_date(stack):
    views = views_of(stack[0], start="2021-03-10", end="2021-03-31")
    assert {view.sensor: [one.first for one in view.images] for view in views} == {
        "S2": ["2021-03-11", "2021-03-16"],
        "S1_ASC": ["2021-03-15", "2021-03-27"],
        "STATIC": [""],
    }
    assert [view.sensor for view in views_of(stack[0], ["S1"])] == ["S1_ASC"]


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ({"start": "1.3.2021"}, "START is '1.3.2021'"),
        ({"end": "2021-02-30"}, "END is '2021-02-30'"),
        ({"start": "2022-01-01"}, "no date that is asked for"),
        ({"sensors": ["L8"]}, "no sensor L8; it has S2"),
    ],
)
def test_refuses_in_one_sentence(stack, choice, message):
    with pytest.raises(LandloomError, match=message):
        views_of(stack[0], progress=Progress(), **choice)


def test_a_lost_virtual_raster_is_named(stack):
    image = views_of(stack[0], ["S2"])[0].images[2]
    from pathlib import Path

    Path(image.path).unlink()
    with pytest.raises(LandloomError, match="S2_2021-03-16 of S2 has no virtual raster: make the stack again"):
        views_of(stack[0], ["S2"])
