"""Protects who opens a table: no name that comes from data is computed as a formula, and ours come back as given."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from landloom.model.base.csvtext import as_given, csv_text, inert
from landloom.model.base.reportfiles import write_rows as write_report_rows
from landloom.model.base.tablefile import write_rows
from landloom.model.samples.table import NomenclatureTable, Row
from landloom.model.samples.tablefiles import read_table, write_table

FORMULAS = ['=HYPERLINK("http://x/","y")', "+1+1", "- maïs", "@SUM(A1)", "=cmd|' /C calc'!A0", "of:=1+1", "\t=1"]


@given(st.text(max_size=20))
def test_cells_are_no_formulas_and_come_back(text):
    cell = inert(text)
    try:
        number = bool(text) and float(text) is not None
    except ValueError:
        number = False
    assert number or not cell.startswith(("=", "+", "-", "@", "\t", "\r"))
    assert as_given(cell) == text or text.startswith("'")


@pytest.mark.parametrize("value", [-1, -1.5, "-12", "+3", "-1e-3", "maïs", "", None, True])
def test_numbers_and_other_texts_stay_as_they_are(value):
    assert inert(value) is value


def test_every_table_is_written_so(tmp_path):
    write_rows(tmp_path / "a.csv", ["name"], [[one] for one in FORMULAS])
    write_report_rows(tmp_path / "b.html", "classes", ["name"], [[one] for one in FORMULAS])
    for name in ("a.csv", "b_classes.csv"):
        read = list(csv.reader(io.StringIO((tmp_path / name).read_text("utf-8"))))
        assert [row[0] for row in read[1:]] == [f"'{one}" for one in FORMULAS]
    assert csv_text([["a", -1, "=1"]]) == "a,-1,'=1\n"


@pytest.mark.parametrize("suffix", [".csv", ".ods", ".xlsx"])
def test_a_nomenclature_comes_back_with_the_names_it_had(tmp_path, suffix):
    names = [one for one in FORMULAS if one.strip() == one]
    rows = [Row(name, number, name, "#112233", (), True, 3, 1.5) for number, name in enumerate(names, start=1)]
    write_table(NomenclatureTable(rows, ""), tmp_path / f"classes{suffix}")
    read = read_table(tmp_path / f"classes{suffix}")
    assert [(row.value, row.name) for row in read.rows] == [(name, name) for name in names]
