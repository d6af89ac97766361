"""The texts of this folder in the language in use; whoever uses it says how, since it imports nothing of ours."""

from __future__ import annotations

from collections.abc import Callable


class _Language:
    """How texts are translated; as they are until somebody says otherwise."""

    def __init__(self) -> None:
        self.translate: Callable[[str], str] = str


_LANGUAGE = _Language()


def translate_with(translate: Callable[[str], str]) -> None:
    """Translate texts by a function from now on."""
    _LANGUAGE.translate = translate


def tr(text: str) -> str:
    """The text in the language in use."""
    return _LANGUAGE.translate(text)


def mark(text: str) -> str:
    """The text as it is: one that is kept in a table and translated later comes into the catalogue by this."""
    return text
