"""Codes, colours and levels of classes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from landloom.model.base.errors import LandloomError
from landloom.model.base.nomenclature import (
    LandCoverClass,
    Nomenclature,
    assign_codes,
    default_color,
    source_value,
)


def three():
    return Nomenclature(
        (
            LandCoverClass(11, "maize", "#FFCC00", ("crop", "annual")),
            LandCoverClass(12, "rice", "#00ffcc", ("crop", "annual")),
            LandCoverClass(40, "forest", "#005500", ("natural",)),
        )
    )


def test_whole_numbers_are_kept():
    assert assign_codes(["12", "3", "65535"]) == ({"3": 3, "12": 12, "65535": 65535}, False)


@pytest.mark.parametrize("odd", ["maize", "0", "-1", "65536", "01", "1.5"])
def test_one_odd_value_renumbers_all(odd):
    codes, renumbered = assign_codes(["7", "40", odd])
    assert renumbered
    assert sorted(codes.values()) == [1, 2, 3]
    assert codes["7"] < codes["40"]


def test_sorted_order_puts_numbers_before_texts():
    assert list(assign_codes(["b", "10", "9", "a", "-3"])[0]) == ["-3", "9", "10", "a", "b"]


@given(st.sets(st.one_of(st.integers(-5, 70000).map(str), st.text(min_size=1)), min_size=1, max_size=30))
def test_codes_are_valid_and_distinct(values):
    codes, renumbered = assign_codes(values)
    assert set(codes) == values
    assert len(set(codes.values())) == len(values)
    assert all(1 <= code <= 65535 for code in codes.values())
    assert renumbered == any(
        not (v.isascii() and v.isdigit() and v == str(int(v)) and 1 <= int(v) <= 65535) for v in values
    )


@pytest.mark.parametrize(
    ("given_value", "expected"),
    [(3, "3"), (3.0, "3"), (" 3 ", "3"), (np.float64(2.5), "2.5"), (None, None), (float("nan"), None), (" ", None)],
)
def test_source_value(given_value, expected):
    assert source_value(given_value) == expected


def test_index_and_order():
    classes = three()
    assert classes.codes.tolist() == [11, 12, 40]
    assert classes.names == ("maize", "rice", "forest")
    assert classes.colors[0] == "#ffcc00"
    assert classes.index_of(40) == 2
    with pytest.raises(LandloomError, match="No class has code 13; the nomenclature's codes are 11, 12, 40"):
        classes.index_of(13)


def test_levels():
    crop, parents = three().at_level(1)
    assert crop.names == ("crop", "natural") and parents.tolist() == [0, 0, 1]
    assert crop.codes.tolist() == [11, 40]
    second, parents = three().at_level(2)
    assert second.names == ("annual", "forest") and parents.tolist() == [0, 0, 1]
    assert second[0].parents == ("crop",)
    same, parents = three().at_level(0)
    assert same == three() and parents.tolist() == [0, 1, 2]
    with pytest.raises(LandloomError, match="LEVEL is 3"):
        three().at_level(3)


def test_a_parents_code_does_not_change_when_a_class_is_added():
    more = Nomenclature((*three(), LandCoverClass(99, "millet", "#123456", ("crop", "annual"))))
    assert more.at_level(1)[0] == three().at_level(1)[0]


def test_json_there_and_back():
    assert Nomenclature.from_json(three().to_json()) == three()


@pytest.mark.parametrize(
    "content",
    [
        None,
        {},
        [],
        ["maize"],
        [{"code": 1, "name": "a", "color": "red"}],
        [{"code": True, "name": "a", "color": "#000000"}],
        [{"code": 0, "name": "a", "color": "#000000"}],
        [{"code": 70000, "name": "a", "color": "#000000"}],
        [{"code": 1, "name": "", "color": "#000000"}],
        [{"code": 1, "name": "x" * 501, "color": "#000000"}],
        [{"code": 1, "name": "a", "color": "#000000", "parents": "crop"}],
        [{"code": 1, "name": "a", "color": "#000000", "parents": [1]}],
        [{"code": 1, "name": "a", "color": "#000000"}, {"code": 1, "name": "b", "color": "#000000"}],
    ],
)
def test_hostile_json_is_refused(content):
    with pytest.raises(LandloomError):
        Nomenclature.from_json(content)


def test_default_colors_differ():
    colors: list[str] = []
    for position in range(60):
        colors.append(default_color("forest" if position % 7 == 0 else f"crop {position}", position, colors))
    assert len(set(colors)) == 60
    assert default_color("Eau libre", 5) == default_color("water", 0)
