"""The nomenclature table: all kinds of files, grouping, renaming, recoding, leaving out, errors with lines."""

from __future__ import annotations

import pytest
from landloom.model.base.errors import LandloomError
from landloom.model.samples.table import NomenclatureTable, Row, table_of
from landloom.model.samples.tablefiles import read_table, write_table


def write(path, text, encoding="utf-8"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode(encoding))
    return path


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "légende d'été"
    folder.mkdir()
    return folder


@pytest.mark.parametrize("suffix", [".csv", ".ods", ".xlsx"])
def test_there_and_back(folder, suffix):
    rows = [
        Row("12", 12, "maïs, irrigué", "#ffcc00", ("culture", "été"), True, 7, 1.25),
        Row("riz", 13, 'riz "pluvial"', "#00ff00", ("culture",), True, 2, None),
        Row("x", 40, "autre", "#000000", (), False, 0, 0.0),
    ]
    path = folder / f"table{suffix}"
    write_table(NomenclatureTable(rows), path)
    table = read_table(path)
    assert [(r.value, r.code, r.name, r.color, r.parents, r.use) for r in table.rows] == [
        (r.value, r.code, r.name, r.color, r.parents, r.use) for r in rows
    ]
    assert [path.name for path in folder.iterdir()] == [f"table{suffix}"]


def test_group_rename_recode_leave_out(folder):
    path = write(
        folder / "n.csv",
        "value,code,name,use\nmaize,1,cereal,yes\nsorghum,1,cereal,\nrice,7,paddy,oui\nhedge,,,no\n",
    )
    table = read_table(path)
    classes = table.nomenclature()
    assert classes.names == ("cereal", "paddy") and classes.codes.tolist() == [1, 7]
    assert table.find("sorghum").code == 1
    assert not table.find("hedge").use
    assert table.find("wheat") is None
    assert table.nomenclature(["rice"]).names == ("paddy",)


def test_grouping_by_name_alone(folder):
    table = read_table(write(folder / "n.csv", "value,name\n3,cereal\n4,cereal\n9,rice\n"))
    assert table.nomenclature().names == ("cereal", "rice")
    assert table.find("3").code == table.find("4").code


def test_values_alone_keep_their_numbers(folder):
    table = read_table(write(folder / "n.csv", "value,name\n30,cereal\n9,rice\n"))
    assert {row.value: row.code for row in table.rows} == {"30": 30, "9": 9}


def test_french_headers_semicolons_and_windows_encoding(folder):
    text = "Valeur;Code;Libellé;Couleur;Niveau 1;Utilisé\r\n"
    text += "maïs;5;Maïs;#FFAA00;Culture;oui\r\nforêt;6;Forêt;;Naturel;non\r\n"
    table = read_table(write(folder / "n.csv", text, "cp1252"))
    assert [(r.value, r.code, r.name, r.parents, r.use) for r in table.rows] == [
        ("maïs", 5, "Maïs", ("Culture",), True),
        ("forêt", 6, "Forêt", ("Naturel",), False),
    ]
    assert table.rows[0].color == "#ffaa00"


def test_utf8_with_its_mark(folder):
    assert read_table(write(folder / "n.csv", "value,code\nmaïs,5\n", "utf-8-sig")).rows[0].value == "maïs"


@pytest.mark.parametrize("name", ["colors.txt", "Colours.TXT", "color.txt", "colorFile.txt"])
def test_iota2(folder, name):
    path = write(folder / "nomenclature.txt", "maïs: grain:12\n\nforêt:31\n")
    write(folder / name, "12 255 204 0\n31 0 100 0\n40 1 2 3\n")
    write(folder / "readme.txt", "nothing")
    table = read_table(path)
    assert [(r.value, r.code, r.name, r.color) for r in table.rows] == [
        ("12", 12, "maïs: grain", "#ffcc00"),
        ("31", 31, "forêt", "#006400"),
    ]
    # A text field holds the names.
    assert table.find("forêt").code == 31 and table.find("12").code == 12


def test_iota2_there_and_back(folder):
    rows = [Row("12", 12, "maïs", "#ffcc00"), Row("13", 12, "maïs"), Row("31", 31, "forêt", "#006400")]
    written = write_table(NomenclatureTable(rows), folder / "nomenclature.txt")
    assert [path.name for path in written] == ["nomenclature.txt", "colors.txt"]
    assert (folder / "colors.txt").read_text() == "12 255 204 0\n31 0 100 0\n"
    again = read_table(folder / "nomenclature.txt").nomenclature()
    assert again == NomenclatureTable(rows).nomenclature()
    assert [path.name for path in write_table(NomenclatureTable(rows), folder / "b.txt")] == ["b.txt", "b_colors.txt"]


@pytest.mark.parametrize(
    ("name", "text", "word"),
    [
        ("n.csv", "", "is empty"),
        ("n.csv", "code,name\n1,a\n", "no column 'value'"),
        ("n.csv", "value,code\na,1\n,2\n", "Line 3"),
        ("n.csv", "value,code\na,one\n", "Line 2 .* 'one' is not a whole number"),
        ("n.csv", "value,code\na,0\n", "codes are whole numbers from 1 to 65535"),
        ("n.csv", "value,code,use\na,1,perhaps\n", "write yes or no"),
        ("n.csv", "value,code\na,1\na,2\n", "'a' twice|two codes"),
        ("n.csv", "value,code,name\na,1,x\nb,1,y\n", "two names, 'x' and 'y'"),
        ("n.csv", "value,code,name\na,1,x\nb,2,x\n", "two codes, 1 and 2"),
        ("n.csv", "value,code,color\na,1,red\n", "#rrggbb"),
        ("n.txt", "maize\n", "expected name:label"),
        ("n.txt", "maize:x\n", "not a whole number"),
        ("n.txt", "\n", "is empty"),
    ],
)
def test_refuses(folder, name, text, word):
    path = write(folder / name, text)
    with pytest.raises(LandloomError, match=word):
        read_table(path)


def test_refuses_bad_colors_missing_and_binary_files(folder):
    path = write(folder / "nomenclature.txt", "a:1\n")
    write(folder / "colors.txt", "1 300 0 0\n")
    with pytest.raises(LandloomError, match="0 to 255"):
        read_table(path)
    write(folder / "colors.txt", "1 red\n")
    with pytest.raises(LandloomError, match="label R G B"):
        read_table(path)
    with pytest.raises(LandloomError, match="does not exist"):
        read_table(folder / "absent.csv")
    with pytest.raises(LandloomError, match="not a text file"):
        read_table(write(folder / "b.csv", "a\0b"))
    with pytest.raises(LandloomError, match="Cannot read the table"):
        read_table(write(folder / "b.ods", "not a spreadsheet"))


def test_leaving_out_everything_is_refused():
    with pytest.raises(LandloomError, match="leaves out every class"):
        NomenclatureTable([Row("a", 1, use=False)]).nomenclature()


def test_unlisted_values_are_listed():
    with pytest.raises(LandloomError, match="does not list these values of crop: b, c"):
        NomenclatureTable([Row("a", 1)], "n.csv").check_listed(["c", "a", "b", "b"], "crop")


def test_update_never_changes_a_code():
    table, renumbered = table_of({"b": (2, 1.0), "a": (1, None)})
    assert renumbered and [(r.value, r.code) for r in table.rows] == [("a", 1), ("b", 2)]
    later = table.update({"b": (5, 3.0), "aa": (1, 1.0), "c": (2, 0.5)})
    assert [(r.value, r.code, r.count) for r in later.rows] == [("a", 1, 0), ("b", 2, 5), ("aa", 3, 1), ("c", 4, 2)]
    numbers, renumbered = table_of({"3": (1, None), "8": (1, None)})
    assert not renumbered
    assert [(r.value, r.code) for r in numbers.update({"5": (1, None), "x": (1, None)}).rows] == [
        ("3", 3),
        ("8", 8),
        ("5", 5),
        ("x", 9),
    ]
