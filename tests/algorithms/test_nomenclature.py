"""nomenclature through Processing: new tables, updates, the formats, and bad input."""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "model" / "samples"))
import samples_scene


@pytest.fixture
def make(landloom_provider, tmp_path):
    import processing

    layer = samples_scene.write_layer(tmp_path / "référence" / "champs.gpkg", samples_scene.fields())

    def run(name="nomenclature é.csv", **parameters):
        given = {"REFERENCE": str(layer), "CLASS_FIELD": "crop", "OUTPUT": str(tmp_path / name)}
        return processing.run("landloom:nomenclature", {**given, **parameters})["OUTPUT"]

    return run


def rows(path):
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_a_table_without_geometry_is_named(make, tmp_path):
    """The sentence named the temporary file to which QGIS had copied it, and said that it 'hold none'."""
    from qgis.core import QgsProcessingException

    table = tmp_path / "relevés.csv"
    table.write_text("crop,x,y\nmaïs,1,2\n", encoding="utf-8")
    with pytest.raises(QgsProcessingException, match=r"REFERENCE relevés is a table without places: give polygons or"):
        make(REFERENCE=str(table))


def test_text_classes_get_codes_and_areas(make):
    table = rows(make())
    assert [(row["value"], row["code"], row["name"], row["use"], row["count"]) for row in table] == [
        ("eau", "1", "eau", "yes", "10"),
        ("forêt", "2", "forêt", "yes", "10"),
        ("maïs", "3", "maïs", "yes", "10"),
    ]
    # Ten squares of 80 m: 6.4 ha in UTM, whose scale there is 0.9996.
    assert float(table[0]["hectares"]) == pytest.approx(6.4 / 0.9996**2, rel=1e-3)
    assert len({row["color"] for row in table}) == 3


def test_number_classes_keep_their_codes(make):
    table = rows(make(CLASS_FIELD="number"))
    assert [(row["value"], row["code"]) for row in table] == [("5", "5"), ("7", "7"), ("300", "300")]


def test_update_keeps_codes_and_adds_classes(make, tmp_path):
    old = tmp_path / "old.csv"
    old.write_text("value,code,name,color,use\nmaïs,1,Maize,#ffcc00,yes\nblé,2,Wheat,#00ff00,no\n", encoding="utf-8")
    table = {row["value"]: row for row in rows(make(TABLE=str(old)))}
    assert {value: (row["code"], row["name"], row["count"]) for value, row in table.items()} == {
        "maïs": ("1", "Maize", "10"),
        "blé": ("2", "Wheat", "0"),
        "eau": ("3", "eau", "10"),
        "forêt": ("4", "forêt", "10"),
    }
    assert table["maïs"]["color"] == "#ffcc00" and table["blé"]["use"] == "no"


def test_iota2_files(make, tmp_path):
    make("nomenclature.txt", CLASS_FIELD="number")
    assert (tmp_path / "nomenclature.txt").read_text().splitlines() == ["5:5", "7:7", "300:300"]
    colors = [line.split() for line in (tmp_path / "colors.txt").read_text().splitlines()]
    assert [line[0] for line in colors] == ["5", "7", "300"]
    assert all(0 <= int(value) <= 255 for line in colors for value in line[1:])


def test_refuses(make, tmp_path):
    from qgis.core import QgsProcessingException

    for parameters, word in (
        ({"CLASS_FIELD": "culture"}, "no such field; it has crop"),
        ({"TABLE": str(tmp_path / "absent.csv")}, "does not exist"),
        ({"name": "table.doc"}, "end its name in"),
    ):
        with pytest.raises(QgsProcessingException, match=word):
            make(**parameters)
    empty = samples_scene.write_layer(tmp_path / "vide.gpkg", [])
    with pytest.raises(QgsProcessingException, match="hold no feature"):
        make(REFERENCE=str(empty))
    assert not list(tmp_path.glob("*.csv"))


def test_a_style_of_the_layer_and_back(make, tmp_path):
    style = make("légende.qml")
    table = {row["value"]: row for row in rows(make("table.csv", TABLE=style))}
    assert {value: row["code"] for value, row in table.items()} == {"eau": "1", "forêt": "2", "maïs": "3"}


def test_a_table_alone_is_written_in_another_format(make, tmp_path):
    make("nomenclature.txt", CLASS_FIELD="number")
    given = {"REFERENCE": None, "CLASS_FIELD": None, "TABLE": str(tmp_path / "nomenclature.txt")}
    assert [row["code"] for row in rows(make("from iota2.csv", **given))] == ["5", "7", "300"]
    make("legend.qml", **given)
    assert 'label="300"' in (tmp_path / "legend.qml").read_text(encoding="utf-8")


def test_neither_reference_nor_table_is_refused(make):
    from qgis.core import QgsProcessingException

    with pytest.raises(QgsProcessingException, match="Give REFERENCE"):
        make(REFERENCE=None, CLASS_FIELD=None)
    with pytest.raises(QgsProcessingException, match="CLASS_FIELD is missing"):
        make(CLASS_FIELD=None)
