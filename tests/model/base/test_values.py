"""Protects what a wrong value of a parameter is answered with: its name, itself and what it may be."""

from __future__ import annotations

import math

import pytest
from landloom.model.base.errors import LandloomError
from landloom.model.base.language import use_language
from landloom.model.base.values import check_choice, check_range


def test_a_word_is_one_of_the_options():
    check_choice("METHOD", "b", ("a", "b"))
    with pytest.raises(LandloomError) as caught:
        check_choice("METHOD", "c", (word for word in ("a", "b")))
    assert str(caught.value) == "METHOD is 'c'; choose one of: a, b."


@pytest.mark.parametrize("value", [0.01, 0.5, 1])
def test_the_ends_of_a_range_are_in_it(value):
    check_range("MIN_SHARE", value, 0.01, 1)


@pytest.mark.parametrize(
    ("value", "shown"), [(0, "0"), (1.5, "1.5"), (100_000_000, "100000000"), (math.nan, "nan"), (-math.inf, "-inf")]
)
def test_what_is_outside_a_range_is_told_in_full(value, shown):
    with pytest.raises(LandloomError) as caught:
        check_range("MIN_SHARE", value, 0.01, 1)
    assert str(caught.value) == f"MIN_SHARE is {shown}; choose a value from 0.01 to 1."


def test_whole_numbers_keep_their_digits_and_speak_french():
    use_language("fr")
    try:
        with pytest.raises(LandloomError, match=r"^SEED .*-1.*2147483647"):
            check_range("SEED", -1, 0, 2**31 - 1)
    finally:
        use_language("en")
