"""Numbers with their nouns, for log lines and messages."""

from __future__ import annotations

from collections.abc import Sized


def counted(number: int | Sized, noun: str, nouns: str = "") -> str:
    """A number, or how many something has, with its noun.

    Args:
        number: a number, or a list whose length counts.
        noun: for one.
        nouns: for any other number; by default ``noun`` with an s.

    >>> counted(1, "date"), counted([], "date"), counted(2, "class", "classes")
    ('1 date', '0 dates', '2 classes')
    """
    count = number if isinstance(number, int) else len(number)
    return f"{count} {noun if count == 1 else nouns or noun + 's'}"
