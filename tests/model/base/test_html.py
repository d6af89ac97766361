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


def cells(page: str, tag: str) -> list[str | None]:
    body = ElementTree.fromstring(page[page.index("<body>") : page.index("</html>")])
    return [cell.get("class") for cell in body.iter(tag)]


def test_columns_of_numbers_and_of_number_texts_are_right_aligned_with_their_heading():
    report = Report("t")
    report.table(
        ["class", "code", "ha", "share", "date", "mixed", "none"],
        [
            ("maize", "21", "4.56", "98.1 %", "2021-01-03", 3, None),
            ("rice", "1 200", 12, "–", "2021-01-13", "cpu", ""),
        ],
    )
    right = [None, None, "n", "n", None, None, None]
    assert cells(report.html(), "th") == right
    expected = [None, None, "n", "n", "d", None, None]
    assert cells(report.html(), "td") == expected * 2


def test_tables_of_many_columns_are_printed_smaller():
    report = Report("t")
    report.confusion(np.eye(13), [str(k) for k in range(13)])
    report.table([str(k) for k in range(12)], [range(12)])
    page = report.html()
    assert page.count('<table class="wide"><thead>') == 1 and page.count("<table><thead>") == 1
    assert "@media print" in page and page.startswith('<!DOCTYPE html>\n<html lang="en">')


def test_a_band_breaks_where_it_is_unknown():
    report = Report("t")
    low = [0.0, 0.0, np.nan, 0.0, np.nan, 0.0, 0.0]
    report.lines("c", list(range(7)), {"a": ([1.0] * 7, low, [2.0] * 7)})
    page = report.html()
    assert page.count("<polygon") == 3 and page.count('stroke-width="3"/><') >= 1


def test_long_labels_of_bars_are_cut_and_have_room():
    report = Report("t")
    report.bars("b", ["x" * 60, *"abcdefghij"], [1.0] * 11)
    page = report.html()
    assert "x" * 23 + "…" in page and "x" * 25 not in page.replace(f"<title>{'x' * 60}", "")
