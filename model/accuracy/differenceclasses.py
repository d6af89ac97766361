"""Which classes of two maps are the same, and how what became of them is numbered, named and coloured."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ..base.errors import LandloomError
from ..base.language import tr
from ..base.nomenclature import HIGHEST_CODE, LandCoverClass, Nomenclature, default_color, hex_color, listed

READABLE = 99
"""Up to this code a change is numbered 100 x code before + code after."""
_LONGEST = 240
_PALE, _ORIGIN = 0.72, 0.25


@dataclass(frozen=True)
class MapClass:
    """A class of both maps.

    Attributes:
        name: what people read.
        color: ``#rrggbb``.
        before: its code in the first map; None where that map does not have it.
        after: likewise in the second.
    """

    name: str
    color: str
    before: int | None
    after: int | None


@dataclass(frozen=True)
class Matched:
    """The classes of both maps.

    Attributes:
        classes: in the order of their codes in the first map, then those of the second alone.
        before: value of the first map -> index of its class.
        after: likewise of the second.
        warnings: what the reader should look at.
    """

    classes: tuple[MapClass, ...]
    before: Mapping[int, int]
    after: Mapping[int, int]
    warnings: tuple[str, ...]


@dataclass
class Legend:
    """What a map says of its values, and those that occur.

    Attributes:
        names: value -> name; may be empty.
        colors: value -> ``#rrggbb``; may be empty.
        values: that occur, the lowest first.
    """

    names: Mapping[int, str]
    colors: Mapping[int, str]
    values: list[int]


def match_classes(before: Legend, after: Legend, nomenclature: Nomenclature | None = None, level: int = 0) -> Matched:
    """Find the classes that two maps share: by name where both have names, else by code.

    Args:
        before: of the first map.
        after: of the second.
        nomenclature: classes to use: a value is the class of its name in it, else that of its code.
        level: of the nomenclature, 0 for its own classes.

    Raises:
        LandloomError: if the nomenclature has no such level, or there is a level but no nomenclature.
    """
    if level and nomenclature is None:
        raise LandloomError(
            tr(
                "LEVEL is {level}, but the coarser classes are not known: give the NOMENCLATURE that has them, "
                "or LEVEL 0."
            ).format(level=level)
        )
    warnings: list[str] = []
    coarse, parents = nomenclature.at_level(level) if nomenclature else (None, None)
    made: dict[str, dict] = {}
    places: list[dict[int, str]] = []
    unlisted: dict[int, str] = {}
    for own, other in ((before, after), (after, before)):
        keys: dict[int, str] = {}
        for value in own.values:
            name = own.names.get(value) or other.names.get(value) or str(value)
            color = own.colors.get(value) or ("" if own.names.get(value) else other.colors.get(value)) or ""
            code = value
            if nomenclature is not None and coarse is not None and parents is not None:
                known = _find(nomenclature, name, value)
                if known is None:
                    unlisted[value] = name
                else:
                    one = coarse[int(parents[known])]
                    name, color, code = one.name, one.color, one.code
            key = _plain(name)
            side = "before" if own is before else "after"
            entry = made.setdefault(key, {"name": name, "color": color, "before": None, "after": None})
            entry["color"] = entry["color"] or color
            entry[side] = code if entry[side] is None else min(code, entry[side])
            keys[value] = key
        places.append(keys)
    if unlisted:
        shown = listed([f"{name} ({value})" for value, name in sorted(unlisted.items())])
        warnings.append(tr("NOMENCLATURE does not list these classes of the maps: {classes}.").format(classes=shown))
    order = sorted(made, key=lambda key: _order(made[key]["before"], made[key]["after"]))
    taken: set[str] = set()
    classes = []
    for position, key in enumerate(order):
        entry = made[key]
        color = entry["color"] or default_color(entry["name"], position, taken)
        taken.add(color)
        classes.append(MapClass(entry["name"], color, entry["before"], entry["after"]))
    warnings += _doubts(classes)
    index = {key: position for position, key in enumerate(order)}
    first, second = ({value: index[key] for value, key in keys.items()} for keys in places)
    return Matched(tuple(classes), first, second, tuple(warnings))


def changes(matched: Matched, hectares: Mapping[tuple[int, int], float]) -> tuple[Nomenclature, dict]:
    """What became of what: the classes of the map of differences, the largest changes first, then what is unchanged.

    A code is 100 x code before + code after where all codes are at most 99, so that it means the same in the
    differences of any two such maps; else they are numbered 1, 2 ... in this order.

    Args:
        matched: classes of both maps.
        hectares: of each pair of classes that occurs.

    Returns:
        the nomenclature, and the code of each pair.

    Raises:
        LandloomError: if there are more than 65535 pairs.
    """
    if len(hectares) > HIGHEST_CODE:
        raise LandloomError(
            tr(
                "The maps differ in {n_hectares} ways, but a map of differences has room for {highest_code}: "
                "join classes by the LEVEL of a NOMENCLATURE."
            ).format(n_hectares=len(hectares), highest_code=HIGHEST_CODE)
        )
    order = sorted(hectares, key=lambda pair: (pair[0] == pair[1], pair[0] if pair[0] == pair[1] else -hectares[pair]))
    codes = _codes(matched.classes, order)
    classes = []
    for pair in order:
        first, second = (matched.classes[index] for index in pair)
        classes.append(LandCoverClass(codes[pair], change_name(first, second), change_color(first, second)))
    return Nomenclature(tuple(classes)), codes


def change_name(first: MapClass, second: MapClass) -> str:
    """``maize -> fallow``, or ``maize (unchanged)``."""
    if first is second:
        return tr("{name} (unchanged)").format(name=first.name[: 2 * _LONGEST])
    return f"{first.name[:_LONGEST]} -> {second.name[:_LONGEST]}"


def change_color(first: MapClass, second: MapClass) -> str:
    """The colour of the class that came, tinged with the one that went; pale where nothing changed."""
    if first is second:
        return _mixed(first.color, "#f4f4f4", _PALE)
    return _mixed(second.color, first.color, _ORIGIN)


def _codes(classes: Iterable[MapClass], order: list[tuple[int, int]]) -> dict[tuple[int, int], int]:
    listed_classes = list(classes)
    firsts = {index: listed_classes[index].before for index, _ in order}
    seconds = {index: listed_classes[index].after for _, index in order}
    for side in (firsts, seconds):
        known = [code for code in side.values() if code is not None]
        if len(known) < len(side) or len(set(known)) < len(known) or min(known) < 1 or max(known) > READABLE:
            return {pair: number for number, pair in enumerate(order, start=1)}
    return {(i, j): 100 * int(firsts[i] or 0) + int(seconds[j] or 0) for i, j in order}


def _doubts(classes: list[MapClass]) -> list[str]:
    """Signs that the maps have different nomenclatures."""
    found = []
    names = {one.after: one.name for one in classes if one.after is not None}
    for one in classes:
        other = names.get(one.before) if one.before is not None else None
        if other is not None and other != one.name:
            found.append(
                tr("Code {code} is '{first}' in BEFORE and '{second}' in AFTER: classes are matched by name.").format(
                    code=one.before, first=one.name, second=other
                )
            )
    for side, label in (("before", "BEFORE"), ("after", "AFTER")):
        alone = [one.name for one in classes if getattr(one, "after" if side == "before" else "before") is None]
        if alone:
            found.append(
                tr("Only {map} has these classes: {classes}. Are they spelt differently in the other map?").format(
                    map=label, classes=listed(alone)
                )
            )
    return found


def _find(nomenclature: Nomenclature, name: str, value: int) -> int | None:
    """The index of a class by its name, else by its code."""
    for index, one in enumerate(nomenclature):
        if _plain(one.name) == _plain(name):
            return index
    return next((index for index, one in enumerate(nomenclature) if one.code == value), None)


def _plain(name: str) -> str:
    return " ".join(name.casefold().split())


def _order(before: int | None, after: int | None) -> tuple[bool, int]:
    return before is None, before if before is not None else after or 0


def _mixed(color: str, other: str, share: float) -> str:
    """A colour with a share of another."""
    first, second = ([int(one[place : place + 2], 16) for place in (1, 3, 5)] for one in (color, other))
    return hex_color(*(round((1 - share) * a + share * b) for a, b in zip(first, second, strict=True)))
