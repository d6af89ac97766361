"""Protects the chart of figures with intervals: well-formed, escaped, and true to its numbers."""

from __future__ import annotations

import math
import re
from xml.etree import ElementTree

import pytest
from landloom.model.base.rangecharts import Range, ranges

HOSTILE = "<script>alert('x')</script> & \"maïs\""


def circles(svg: str) -> list[float]:
    return [float(one) for one in re.findall(r'<circle cx="([\d.]+)"', svg)]


def test_places_are_in_proportion_and_the_interval_surrounds_its_figure():
    svg = ranges("t", [Range("a", 1.0, 0.0, 4.0, (0.5, 2.0)), Range("b", 3.0)], "points")
    ElementTree.fromstring(svg)
    first, second = circles(svg)
    low, high = re.search(r'<line x1="([\d.]+)" x2="([\d.]+)"[^>]*stroke-width="2.5"', svg).groups()
    unit = (float(high) - float(low)) / 4
    assert first == pytest.approx(float(low) + unit, abs=0.2) and second == pytest.approx(first + 2 * unit, abs=0.2)
    assert svg.count('opacity="0.7"') == 2


def test_zero_has_a_line_where_it_is_asked_for():
    assert ranges("t", [Range("a", 5.0, 4.0, 6.0)], zero=True).count('stroke="#1d2a22"') == 1
    assert 'stroke="#1d2a22"' not in ranges("t", [Range("a", 5.0, 4.0, 6.0)])


def test_names_are_escaped_and_undefined_figures_leave_a_gap():
    svg = ranges(HOSTILE, [Range(HOSTILE, math.nan, math.nan, 2.0), Range("b", 1.0)], HOSTILE)
    ElementTree.fromstring(svg)
    assert "<script" not in svg and len(circles(svg)) == 1
    for rows in ([], [Range("a", math.nan)]):
        assert "no values" in ranges("t", rows, zero=True)
