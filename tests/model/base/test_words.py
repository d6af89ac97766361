"""Numbers with their nouns."""

from __future__ import annotations

from landloom.model.base.words import counted


def test_one_is_singular_and_lists_count():
    assert counted(1, "date") == "1 date" and counted(0, "date") == "0 dates" and counted(23, "date") == "23 dates"
    assert counted(["a"], "class", "classes") == "1 class" and counted("ab", "class", "classes") == "2 classes"
