"""The table of sizes in docs/cluster.md follows from the speeds that stand above it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

TEXT = (Path(__file__).parents[3] / "docs" / "cluster.md").read_text(encoding="utf-8")
MEASURED = TEXT.split("measured on two cores")[1].split(":\n")[0]
SPEEDS = dict(re.findall(r"(?:`(\w+)`|forest) ([\d,]+)(?=,|\))", MEASURED))


def number(text):
    return float(text.replace(",", ""))


def test_core_hours_and_what_is_read_follow_from_the_speeds():
    names = ["", "ltae", "tempcnn", "twinns"]  # the forest has no code font
    assert sorted(SPEEDS) == sorted(names)
    rows = [line.split("|")[1:-1] for line in TEXT.splitlines() if line.startswith("| a ")]
    assert len(rows) == 3
    for row in rows:
        cells = [cell.strip() for cell in row]
        pixels = number(cells[1])
        for name, cell in zip(names, cells[2:6], strict=True):
            assert number(cell) == pytest.approx(pixels / number(SPEEDS[name]) * 2 / 3600, abs=0.051), (cells[0], name)
        value, unit = cells[6].split()
        assert number(value) * {"GB": 1e9, "TB": 1e12}[unit] == pytest.approx(600 * pixels, rel=0.01)
