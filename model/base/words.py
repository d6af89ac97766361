"""Numbers with their nouns, for log lines and messages, in the language in use."""

from __future__ import annotations

from collections.abc import Sized

from .language import language, tr


def counted(number: int | Sized, noun: str, nouns: str = "") -> str:
    """A number, or how many something has, with its noun.

    Args:
        number: a number, or a list whose length counts.
        noun: for one, in English; a literal, which scripts/translations.py finds.
        nouns: for any other number; by default ``noun`` with an s.

    >>> counted(1, "date"), counted([], "date"), counted(2, "class", "classes")
    ('1 date', '0 dates', '2 classes')
    """
    count = number if isinstance(number, int) else len(number)
    one = count == 1 or (count == 0 and language() == "fr")  # in French, none of something is singular
    return f"{count} {tr(noun if one else nouns or noun + 's')}"
