"""Protects reports: self-contained, well-formed, and safe whatever names the data hold."""

from __future__ import annotations

from xml.etree import ElementTree

import numpy as np
import pytest
from landloom.model.base.charts import ticks
from landloom.model.base.html import Report, number

HOSTILE = "<script>alert('x')</script> & \"maïs\""


def full_report() -> str:
    report = Report(HOSTILE, HOSTILE)
    report.heading(HOSTILE)
    report.paragraph(HOSTILE)
    report.warnings([HOSTILE])
    report.link(HOSTILE, '"><script>')
    report.table([HOSTILE, "n"], [(HOSTILE, 3), ("b", float("nan"))], colors=['"><script>', "#000000"])
    report.confusion(np.array([[3, 1], [0, 2]]), [HOSTILE, "b"])
    report.lines(HOSTILE, [1, 2, 3], {HOSTILE: ([1, np.nan, 3], [0, 0, 0], [4, 4, 4])}, HOSTILE, HOSTILE)
    report.bars(HOSTILE, [HOSTILE, "b"], [1.0, float("nan")], HOSTILE)
    return report.html()


def test_names_from_data_are_escaped_everywhere():
    page = full_report()
    assert "<script" not in page
    body = page[page.index("<body>") : page.index("</html>")]
    ElementTree.fromstring(body)  # well-formed


def test_nothing_is_fetched():
    page = full_report()
    assert "http" not in page.replace("http://www.w3.org/2000/svg", "")


def test_charts_without_values_say_so():
    report = Report("empty")
    report.lines("curve", [], {})
    report.lines("curve", [1, 2], {"a": [np.nan, np.nan]})
    report.bars("bars", ["a"], [float("nan")])
    assert report.html().count("no values") == 3


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (float("nan"), "–"),
        (0.12345, "0.123"),
        (1234567, "1\u202f234\u202f567"),
        ("a", "a"),
        (True, "True"),
    ],
)
def test_numbers_for_people(value, text):
    assert number(value) == text


@pytest.mark.parametrize(("low", "high"), [(0, 1), (-23.4, -5.1), (0, 12345), (1e-6, 3e-6)])
def test_ticks_are_round_and_inside(low, high):
    found = ticks(low, high)
    assert 3 <= len(found) <= 12
    assert all(low - 1e-9 <= t <= high + 1e-9 for t in found)
