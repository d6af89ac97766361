"""Protects which class of the map is taken for which of the reference, however either names them."""

from __future__ import annotations

import numpy as np
import pytest
from landloom.model.accuracy.matching import match_classes
from landloom.model.base.errors import LandloomError
from landloom.model.samples.table import NomenclatureTable, Row


def pairs(matching):
    """Map values and reference values of each class."""
    return {one.name: (one.map_values, one.reference_values) for one in matching.classes}


def test_by_code():
    found = match_classes([11, 12], {}, {}, ["11", "12"], "code")
    assert found.by == "code" and pairs(found) == {"11": ((11,), ("11",)), "12": ((12,), ("12",))}


def test_by_name_whatever_case_and_underscores():
    names = {1: "Rice, first season", 2: "water"}
    found = match_classes([1, 2], names, {1: "#010203"}, ["rice,_first season", "Water"], "crop")
    assert found.by == "name" and found.classes[0].color == "#010203"
    np.testing.assert_array_equal(found.of_reference(["Water", "rice,_first season"]), [1, 0])
    np.testing.assert_array_equal(found.of_map(np.array([[2, 0], [1, 9]])), [[1, -1], [0, -1]])


def test_names_that_are_numbers_come_before_codes():
    """Landloom gives the values 0, 1, 2 the codes 1, 2, 3 and keeps them as names."""
    names = {1: "0", 2: "1", 3: "2"}
    found = match_classes([1, 2, 3], names, {}, ["0", "1", "2"], "class")
    assert found.by == "name" and found.of_reference(["0", "1", "2"]).tolist() == [0, 1, 2]


def test_codes_where_names_do_not_fit():
    found = match_classes([11, 12], {11: "maize", 12: "rice"}, {}, ["11", "12", "13"], "code")
    assert found.by == "code"
    assert found.only_reference == ("13",) and found.only_map == ()
    assert "13" in found.sentences()[0] and "NOMENCLATURE" in found.sentences()[0]


def test_classes_without_counterpart_are_named():
    found = match_classes([1, 2], {1: "maize", 2: "cloud"}, {}, ["maize", "mangrove"], "crop")
    assert (found.only_map, found.only_reference) == (("cloud",), ("mangrove",))
    assert [one.code for one in found.classes] == [1, 2, 3]
    assert found.of_reference(["mangrove"]).tolist() == [2]
    text = " ".join(found.sentences())
    assert "mangrove" in text and "cloud" in text


TABLE = NomenclatureTable(
    [
        Row("ma", 11, "maize", "#112233", ("crops",)),
        Row("ri", 12, "rice", "", ("crops",)),
        Row("fo", 21, "forest", "", ("trees",)),
        Row("??", 99, "unknown", "", (), use=False),
    ],
    "table.csv",
)


def test_by_nomenclature():
    found = match_classes([11, 12, 21], {}, {}, ["ma", "fo", "??"], "crop", TABLE)
    assert found.by == "nomenclature" and found.left_out == ("??",)
    assert pairs(found) == {"maize": ((11,), ("ma",)), "rice": ((12,), ()), "forest": ((21,), ("fo",))}
    assert found.of_reference(["??", "fo"]).tolist() == [-1, 2]


def test_the_maps_name_counts_more_than_its_number():
    found = match_classes([1, 2], {1: "Forest", 2: "maize"}, {}, ["ma", "fo"], "crop", TABLE)
    assert pairs(found) == {"maize": ((2,), ("ma",)), "forest": ((1,), ("fo",))}


def test_a_level_joins_classes():
    found = match_classes([11, 12, 21], {}, {}, ["ma", "ri", "fo"], "crop", TABLE, level=1)
    assert pairs(found) == {"crops": ((11, 12), ("ma", "ri")), "trees": ((21,), ("fo",))}


def test_a_map_of_a_level():
    """Its codes are those of the children with the lowest code; its names tell the level."""
    found = match_classes([11, 21], {11: "crops", 21: "trees"}, {}, ["ma", "ri", "fo"], "crop", TABLE, level=1)
    assert pairs(found) == {"crops": ((11,), ("ma", "ri")), "trees": ((21,), ("fo",))}
    with pytest.raises(LandloomError, match=r"'crops' of level 1 of table\.csv: set LEVEL to 1"):
        match_classes([11, 21], {11: "crops", 21: "trees"}, {}, ["ma", "fo"], "crop", TABLE)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([1], {1: "maize"}, {}, ["7"], "crop"), r"No class of crop \(7\) is a class of the map \(1 \(maize\)\)"),
        (([1], {}, {}, ["1"], "crop", None, 1), "LEVEL is 1, but no NOMENCLATURE"),
        (([11], {}, {}, ["xx"], "crop", TABLE), "does not list these values of crop: xx"),
        (([11], {}, {}, ["ma"], "crop", TABLE, 3), "LEVEL is 3"),
    ],
)
def test_refuses(arguments, message):
    with pytest.raises(LandloomError, match=message):
        match_classes(*arguments)
