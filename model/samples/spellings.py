"""Values of a class field that look like one class written in several ways: Maize, maize , MAIS / maïs, sorgum."""

from __future__ import annotations

import difflib
import itertools
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import replace

from .table import NomenclatureTable, Row

_CLOSE = 0.88
"""Share of letters in common (Ratcliff and Obershelp) above which two words may be slips of the pen."""

_SHORTEST = 5  # letters; shorter words are alike by chance


def plain(text: str) -> str:
    """A value without case, accents, blanks, signs and a plural s."""
    letters = unicodedata.normalize("NFKD", text.casefold())
    letters = re.sub(r"[^\w]|_", "", "".join(one for one in letters if not unicodedata.combining(one)))
    return letters[:-1] if len(letters) > 3 and letters.endswith("s") else letters


def alike(rows: Sequence[Row]) -> list[list[Row]]:
    """Groups of rows in use whose names may mean one class, but have different codes; the most frequent first.

    Names that differ in a number are never alike: C3 crop and C4 crop.
    """
    used = [row for row in rows if row.use]
    groups: dict[int, set[int]] = {index: {index} for index in range(len(used))}
    for a, b in itertools.combinations(range(len(used)), 2):
        if used[a].code != used[b].code and _same(used[a].name, used[b].name):
            merged = groups[a] | groups[b]
            for index in merged:
                groups[index] = merged
    found = {tuple(sorted(one)): None for one in groups.values() if len(one) > 1}
    return [sorted((used[i] for i in one), key=lambda row: -(row.count or 0)) for one in found]


def merge(table: NomenclatureTable, values: Sequence[str]) -> NomenclatureTable:
    """The table with some values as one class: code, name, colour and parents of the most frequent of them."""
    chosen = [row for row in table.rows if row.value in set(values)]
    if len(chosen) < 2:
        return table
    first = max(chosen, key=lambda row: row.count or 0)
    # What was one class with one of them before stays one class with it.
    codes = {row.code for row in chosen}
    rows = [
        replace(row, code=first.code, name=first.name, color=first.color, parents=first.parents)
        if row.code in codes
        else row
        for row in table.rows
    ]
    return NomenclatureTable(rows, table.source)


def _same(one: str, other: str) -> bool:
    if re.findall(r"\d+", one) != re.findall(r"\d+", other):
        return False
    a, b = plain(one), plain(other)
    if a == b:
        return bool(a)
    if min(len(a), len(b)) < _SHORTEST:
        return False
    return difflib.SequenceMatcher(None, a, b, autojunk=False).ratio() >= _CLOSE
