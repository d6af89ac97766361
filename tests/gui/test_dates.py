"""Ticks become SKIP_DATES and back, gaps follow the ticks, and time left is told from the pace."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from landloom.gui.dates import SKIPPED, best_dates, changed, is_ticked, long_gaps, with_tick
from landloom.gui.project import DateRow
from landloom.gui.timeleft import TimeLeft, time_text

ROWS = [
    DateRow("S1_ASC", "2021-01-01", "a", True, 1.0),
    DateRow("S2", "2021-01-01", "b", True, 0.9),
    DateRow("S2", "2021-02-01", "c", True, 0.8),
    DateRow("S2", "2021-03-01", "d", True, 0.1),
    DateRow("S2", "2021-04-05", "e", False, None, SKIPPED),
    DateRow("S2", "2021-04-10", "f", False, 0.7, "after END 2021-04-08"),
]


def test_gaps_follow_the_ticks():
    assert long_gaps(ROWS, "2021-04-05") == {"S1_ASC": [], "S2": []}
    assert long_gaps(ROWS, "")["S2"] == [("2021-02-01", "2021-04-05", 63)]  # 1 March is cloudy
    assert long_gaps(ROWS, "S2:2021-02-01")["S2"] == [("2021-01-01", "2021-04-05", 94)]


def test_what_was_skipped_for_another_reason_is_never_ticked():
    assert not is_ticked(ROWS[5], "")
    assert is_ticked(ROWS[4], "") and not is_ticked(ROWS[4], "2021-04-05")
    assert changed(ROWS, "2021-04-05") == 0
    assert changed(ROWS, "") == 1


def test_ticking_one_sensor_leaves_the_others_of_the_date_off():
    text = with_tick(ROWS, "2021-01-01", ROWS[1], True)
    assert text == "S1_ASC:2021-01-01"
    assert is_ticked(ROWS[1], text) and not is_ticked(ROWS[0], text)


@given(st.lists(st.tuples(st.integers(0, 4), st.booleans()), max_size=12))
def test_the_last_tick_of_each_date_counts(clicks):
    text, wanted = "2021-04-05", {index: index != 4 for index in range(5)}
    for index, ticked in clicks:
        text, wanted[index] = with_tick(ROWS, text, ROWS[index], ticked), ticked
    assert {index: is_ticked(ROWS[index], text) for index in range(5)} == wanted


def test_the_clearest_optical_date_comes_first():
    assert [row.date for row in best_dates(ROWS)] == ["2021-01-01", "2021-02-01", "2021-03-01"]
    assert best_dates(ROWS)[0].sensor == "S2"
    assert best_dates(ROWS[:1]) == ROWS[:1]


def test_time_left_by_a_steady_pace():
    left = TimeLeft(100.0)
    assert left.seconds(1, 101.0) is None
    for second in range(1, 41):
        found = left.seconds(second, 100.0 + second)
    assert found == pytest.approx(60)


def test_time_left_follows_a_slower_part():
    left = TimeLeft(0.0)
    for percent, now in ((10, 1), (50, 5)):
        left.seconds(percent, now)
    for step in range(1, 25):
        found = left.seconds(50 + step, 5 + 10 * step)
    assert 26 * 5 < found < 26 * 10  # the whole run alone would say 86 s, the last part 260 s


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, ""), (20, "under a minute left"), (150, "about 2 min left"), (7200, "about 2.0 h left")],
)
def test_time_in_words(seconds, text):
    assert time_text(seconds) == text
