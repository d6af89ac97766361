"""Spellings of one class are found, other classes are not, and merging keeps code and name of the most frequent."""

from __future__ import annotations

import pytest
from landloom.model.base.errors import LandloomError
from landloom.model.samples.spellings import alike, merge, plain
from landloom.model.samples.table import NomenclatureTable, Row, table_of


def table(**counts):
    return table_of({name.replace("__", " "): (count, 1.0) for name, count in counts.items()})[0]


@pytest.mark.parametrize(
    ("one", "other"),
    [("Maïs", "MAIS "), ("rice_irrigated", "Rice irrigated"), ("bare soils", "Bare soil"), ("sorghum", "sorgum")],
)
def test_one_class_in_two_spellings(one, other):
    rows = [Row(one, 1, one, count=2), Row(other, 2, other, count=9)]
    assert [[row.value for row in group] for group in alike(rows)] == [[other, one]]


@pytest.mark.parametrize(
    ("one", "other"),
    [("C3 crop", "C4 crop"), ("rice", "maize"), ("oak", "oat"), ("forest", "fallow"), ("1", "11"), ("rain", "rice")],
)
def test_two_classes(one, other):
    assert alike([Row(one, 1, one), Row(other, 2, other)]) == []


def test_rows_that_are_one_class_or_left_out_are_not_asked_for():
    assert alike([Row("a maize", 1, "maize"), Row("maize", 1, "maize")]) == []
    assert alike([Row("Maize", 1, "Maize", use=False), Row("maize", 2, "maize")]) == []


def test_merging_takes_the_most_frequent():
    made = merge(table(Maize=3, maize=40, maizes=1, rice=9), ["Maize", "maize", "maizes"])
    rows = {row.value: row for row in made.rows}
    assert {(row.code, row.name, row.color) for row in (rows["Maize"], rows["maizes"])} == {
        (rows["maize"].code, "maize", rows["maize"].color)
    }
    assert rows["rice"].name == "rice"
    assert alike(made.rows) == []
    assert len(made.nomenclature()) == 2


def test_merging_one_row_changes_nothing():
    made = table(maize=3, rice=4)
    assert merge(made, ["maize"]) is made


def test_what_was_one_class_stays_one():
    rows = [Row("a", 1, "crop", count=1), Row("b", 1, "crop", count=1), Row("c", 2, "field", count=9)]
    made = merge(NomenclatureTable(rows), ["b", "c"])
    assert {(row.code, row.name) for row in made.rows} == {(2, "field")}


def test_plain_letters():
    assert plain("  Jachères_1 ") == "jacheres1"
    assert plain("rizs") == "riz" and plain("gas") == "gas"


def test_a_wrong_table_is_refused_as_ever():
    with pytest.raises(LandloomError):
        NomenclatureTable([Row("a", 1, "x"), Row("b", 1, "y")])
