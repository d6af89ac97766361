"""Read an iota2 configuration file, ``.cfg``: sections of keys with texts, numbers, lists and nested sections.

The notation is that of Python's package ``config``, as the files of iota2 use it: ``chain : { runs : 3, ... }`` with
commas or line ends between entries, ``#`` comments, and single or double quotes. Expressions and references
(``$chain.x``) are kept as the text that stands there: nothing is ever evaluated.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from .errors import LandloomError
from .language import tr

LARGEST = 2_000_000  # bytes
DEEPEST = 20  # nested sections

_TOKEN = re.compile(
    r"""(?P<space>[ \t\r]+|\#[^\n]*)
      | (?P<newline>\n)
      | (?P<string>'''(?:.|\n)*?'''|\"\"\"(?:.|\n)*?\"\"\"|'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*")
      | (?P<mark>[{}\[\]:,])
      | (?P<word>[^\s{}\[\]:,'"\#]+)""",
    re.VERBOSE,
)
_WORDS = {"true": True, "false": False, "none": None}


def read_config(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The sections of a file.

    Args:
        path: an iota2 ``.cfg``.

    Returns:
        section -> key -> value; values are str, int, float, bool, None, list and dict.

    Raises:
        LandloomError: if the file is not such a configuration, with the line.
    """
    name = Path(path).name
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise LandloomError(
            tr("Cannot read {path}: {reason}. Give the configuration file of iota2.").format(
                path=path, reason=error.strerror
            )
        ) from error
    if len(content) > LARGEST:
        raise LandloomError(
            tr("{name} is too large for a configuration file of iota2: give the .cfg.").format(name=name)
        )
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = content.decode("latin-1")
    if "\0" in text:
        raise LandloomError(tr("{name} is not a text: give the configuration file of iota2 (.cfg).").format(name=name))
    parser = _Parser(text, name)
    found = parser.entries(end="")
    if not any(isinstance(value, dict) for value in found.values()):
        raise LandloomError(
            tr("{name} has no section such as 'chain : {{ ... }}': give the .cfg of iota2.").format(name=name)
        )
    return found


class _Parser:
    """Recursive descent over the tokens of one file."""

    def __init__(self, text: str, name: str) -> None:
        self._name = name
        self._tokens: list[tuple[str, str, int]] = []
        line, place = 1, 0
        while place < len(text):
            match = _TOKEN.match(text, place)
            if match is None:
                raise self._error(tr("does not understand {text!r}").format(text=text[place]), line)
            kind, value = match.lastgroup or "", match.group()
            if kind != "space":
                self._tokens.append((kind, value, line))
            line += value.count("\n")
            place = match.end()
        self._tokens.append(("end", "", line))
        self._at, self._depth = 0, 0

    def _error(self, what: str, line: int) -> LandloomError:
        return LandloomError(
            tr("{name}, line {line}: {what}. Is it a configuration file of iota2?").format(
                name=self._name, line=line, what=what
            )
        )

    def _peek(self) -> tuple[str, str, int]:
        return self._tokens[self._at]

    def _next(self) -> tuple[str, str, int]:
        token = self._tokens[self._at]
        self._at = min(self._at + 1, len(self._tokens) - 1)
        return token

    def _skip(self, marks: str = "") -> None:
        while self._peek()[0] == "newline" or (self._peek()[0] == "mark" and self._peek()[1] in marks):
            self._next()

    def entries(self, end: str) -> dict[str, Any]:
        """Keys and values up to a closing mark, or to the end of the file for an empty one."""
        found: dict[str, Any] = {}
        while True:
            self._skip(",")
            kind, text, line = self._next()
            if kind == "end" or (kind == "mark" and text == end and end):
                if bool(end) != (kind == "mark"):
                    raise self._error(
                        tr("a '{end}' is missing").format(end=end)
                        if end
                        else tr("'{text}' closes nothing").format(text=text),
                        line,
                    )
                return found
            if kind not in ("word", "string"):
                raise self._error(tr("'{text}' stands where a key should").format(text=text), line)
            key = _unquoted(text) if kind == "string" else text
            self._skip()
            mark = self._next()
            if mark[:2] != ("mark", ":"):
                raise self._error(tr("after '{key}' comes no ':'").format(key=key), mark[2])
            found[key] = self._value()

    def _value(self) -> Any:
        self._skip()
        kind, text, line = self._next()
        if kind == "string":
            value = _unquoted(text)
            while self._peek()[0] == "string":  # texts that follow one another are one
                value += _unquoted(self._next()[1])
            return value
        if kind == "mark" and text in "{[":
            self._depth += 1
            if self._depth > DEEPEST:
                raise self._error(tr("sections lie too deep in one another"), line)
            nested: dict[str, Any] | list[Any] = self.entries("}") if text == "{" else self._list(line)
            self._depth -= 1
            return nested
        if kind != "word":
            raise self._error(
                tr("'{text}' stands where a value should").format(text=text.strip() or tr("the end of the line")), line
            )
        words = [text]
        # An expression is kept as text; a word before a colon is the next key.
        while self._peek()[0] == "word" and self._tokens[self._at + 1][:2] != ("mark", ":"):
            words.append(self._next()[1])
        return _plain(" ".join(words))

    def _list(self, line: int) -> list[Any]:
        values: list[Any] = []
        while True:
            self._skip(",")
            kind, text, _line = self._peek()
            if kind == "end":
                raise self._error("a ']' is missing", line)
            if (kind, text) == ("mark", "]"):
                self._next()
                return values
            values.append(self._value())


def _plain(text: str) -> Any:
    """A number, truth value or None where the text is one."""
    if text.lower() in _WORDS:
        return _WORDS[text.lower()]
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _unquoted(text: str) -> str:
    quote = text[:3] if text[:3] in ("'''", '"""') else text[0]
    inner = text[len(quote) : -len(quote)]
    return re.sub(r"\\(['\"\\])", r"\1", inner)
