"""Which class of the map is which class of the reference data: by nomenclature, by name or by code."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..base.errors import LandloomError
from ..base.language import tr
from ..base.nomenclature import as_code, default_color, listed
from ..samples.table import NomenclatureTable, Row

NOMENCLATURE, NAME, CODE = "nomenclature", "name", "code"


@dataclass(frozen=True)
class MatchedClass:
    """A class of the map, of the reference data, or of both.

    Attributes:
        code: what stands for it in tables.
        name: what people read.
        color: ``#rrggbb``.
        map_values: values in the map; none where the map has no such class.
        reference_values: values of the class field; none where the reference data have no such class.
    """

    code: int
    name: str
    color: str
    map_values: tuple[int, ...] = ()
    reference_values: tuple[str, ...] = ()


@dataclass(frozen=True)
class Matching:
    """Classes of map and reference together, in the order of their codes.

    Attributes:
        classes: all of them.
        by: how they were matched: ``nomenclature``, ``name`` or ``code``.
        left_out: values of the class field that the nomenclature leaves out.
    """

    classes: tuple[MatchedClass, ...]
    by: str
    left_out: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.classes)

    @property
    def names(self) -> tuple[str, ...]:
        """Names in index order."""
        return tuple(one.name for one in self.classes)

    @property
    def colors(self) -> tuple[str, ...]:
        """Colours in index order."""
        return tuple(one.color for one in self.classes)

    @property
    def only_reference(self) -> tuple[str, ...]:
        """Names of the classes that the map lacks."""
        return tuple(one.name for one in self.classes if not one.map_values)

    @property
    def only_map(self) -> tuple[str, ...]:
        """Names of the classes that the reference data lack."""
        return tuple(one.name for one in self.classes if not one.reference_values)

    def of_reference(self, values: Sequence[str]) -> np.ndarray:
        """``[N]`` class indices of values of the class field; -1 for those left out."""
        index = {value: k for k, one in enumerate(self.classes) for value in one.reference_values}
        return np.array([index.get(value, -1) for value in values], np.int32)

    def of_map(self, values: np.ndarray) -> np.ndarray:
        """Class indices of values of the map; -1 for no data."""
        known = {value: k for k, one in enumerate(self.classes) for value in one.map_values}
        keys = np.array(sorted(known), np.int64)
        indices = np.array([known[value] for value in keys.tolist()], np.int32)
        if not len(keys):
            return np.full(np.shape(values), -1, np.int32)
        place = np.minimum(np.searchsorted(keys, values), len(keys) - 1)
        return np.where(keys[place] == values, indices[place], np.int32(-1))

    def sentences(self) -> list[str]:
        """What the reader should know: classes that have no counterpart."""
        found = []
        if self.only_reference:
            found.append(
                tr(
                    "The map has no class for these classes of the reference, so that all of their pixels count as "
                    "wrong: {names}. If they are classes of the map under other names, give a NOMENCLATURE that says "
                    "so."
                ).format(names=listed(self.only_reference))
            )
        if self.only_map:
            found.append(
                tr("The reference has nothing of these classes of the map, which cannot be judged: {names}.").format(
                    names=listed(self.only_map)
                )
            )
        if self.left_out:
            found.append(
                tr("The nomenclature leaves out these classes of the reference: {names}.").format(
                    names=listed(self.left_out)
                )
            )
        return found


def match_classes(
    map_values: Iterable[int],
    map_names: Mapping[int, str],
    map_colors: Mapping[int, str],
    reference_values: Iterable[str],
    class_field: str,
    table: NomenclatureTable | None = None,
    level: int = 0,
) -> Matching:
    """Match the classes of a map with those of reference data.

    With a nomenclature, a value of the class field is the class that the table says; a value of the map is the class
    with the map's name for it, with its code, or whose source value it is, in this order. Without one, by name or by
    code, whichever fits more values of the class field (by name where both do).

    Args:
        map_values: that occur in the map.
        map_names: value -> name, as far as known.
        map_colors: value -> ``#rrggbb``, as far as known.
        reference_values: of the class field.
        class_field: its name, for messages.
        table: the nomenclature.
        level: of the nomenclature, 0 for the classes themselves.

    Raises:
        LandloomError: if nothing fits, a value is not listed, or the level does not exist.
    """
    values, wanted = sorted(set(map_values)), sorted(set(reference_values))
    if level and table is None:
        raise LandloomError(
            tr("LEVEL is {level}, but no NOMENCLATURE says what the coarser classes are: give one.").format(level=level)
        )
    if table is not None:
        matching = _by_table(values, map_names, wanted, class_field, table, level)
    else:
        matching = _by_name_or_code(values, map_names, map_colors, wanted)
    if not any(one.map_values and one.reference_values for one in matching.classes):
        shown = [f"{v} ({map_names[v]})" if map_names.get(v, str(v)) != str(v) else str(v) for v in values]
        raise LandloomError(
            tr(
                "No class of {class_field} ({wanted}) is a class of the map ({shown}): choose another "
                "CLASS_FIELD, or give a NOMENCLATURE whose codes are those of the map."
            ).format(class_field=class_field, wanted=listed(wanted), shown=listed(shown))
        )
    return matching


def folded(name: str) -> str:
    """A name without what people write in different ways: case, blanks, underscores."""
    return " ".join(name.lower().replace("_", " ").split())


def _by_name_or_code(
    values: list[int], names: Mapping[int, str], colors: Mapping[int, str], wanted: list[str]
) -> Matching:
    by_name: dict[str, int] = {}
    for value in reversed(values):
        if names.get(value):
            by_name[folded(names[value])] = value
    named = {text: by_name[folded(text)] for text in wanted if folded(text) in by_name}
    numbers = {text: as_code(text) for text in wanted}
    coded = {text: number for text, number in numbers.items() if number is not None and number in set(values)}
    found, by = (named, NAME) if named and len(named) >= len(coded) else (coded, CODE)
    classes: dict[int, MatchedClass] = {}
    taken = set(colors.values())
    for position, value in enumerate(values):
        name = names.get(value) or str(value)
        color = colors.get(value) or default_color(name, position, taken)
        taken.add(color)
        own = tuple(text for text in wanted if found.get(text) == value)
        classes[value] = MatchedClass(value, name, color, (value,), own)
    for text in wanted:
        if text in found:
            continue
        number = numbers[text]
        code = number if number is not None and number > 0 and number not in classes else max([0, *classes]) + 1
        color = default_color(text, len(classes), taken)
        taken.add(color)
        classes[code] = MatchedClass(code, text, color, (), (text,))
    return Matching(tuple(classes[code] for code in sorted(classes)), by)


def _by_table(
    values: list[int],
    names: Mapping[int, str],
    wanted: list[str],
    class_field: str,
    table: NomenclatureTable,
    level: int,
) -> Matching:
    table.check_listed(wanted, class_field)
    nomenclature = table.nomenclature()
    merged, parents = nomenclature.at_level(level)
    codes = {int(code): int(parent) for code, parent in zip(nomenclature.codes, parents, strict=True)}
    rows = table.rows
    row_of = {value: _row_of(value, names.get(value, ""), rows, level, table.source) for value in values}
    of_map: dict[int, list[int]] = {}
    others: list[int] = []
    for value, row in row_of.items():
        if row is None or row.code not in codes:
            others.append(value)  # not listed, or left out: a class of the map alone
        else:
            of_map.setdefault(codes[row.code], []).append(value)
    of_reference: dict[int, list[str]] = {}
    left_out = []
    for text in wanted:
        row = table.find(text)
        if row is not None and row.use and row.code is not None:
            of_reference.setdefault(codes[row.code], []).append(text)
        else:
            left_out.append(text)
    classes = [
        MatchedClass(one.code, one.name, one.color, tuple(of_map.get(k, ())), tuple(of_reference.get(k, ())))
        for k, one in enumerate(merged)
        if k in of_map or k in of_reference
    ]
    taken = {one.code for one in classes}
    for value in others:
        code = value if value not in taken else max(taken) + 1
        taken.add(code)
        row = row_of[value]
        name = names.get(value) or (row.name if row else str(value))
        classes.append(MatchedClass(code, name, row.color if row else default_color(name, len(classes)), (value,)))
    return Matching(tuple(sorted(classes, key=lambda one: one.code)), NOMENCLATURE, tuple(left_out))


def _row_of(value: int, name: str, rows: Sequence[Row], level: int, source: str) -> Row | None:
    """The row of the nomenclature that a value of the map is."""
    text = folded(name)
    if text and text != str(value):
        for row in rows:
            if folded(row.name) == text:
                return row
        for row in rows:
            above = [folded(parent) for parent in row.parents]
            if text in above:
                if level and level <= above.index(text) + 1:
                    return row  # a coarser map: any of its classes has the parent asked for
                raise LandloomError(
                    tr("The map holds the class '{name}' of level {index} of {source}: set LEVEL to {index}.").format(
                        name=name, index=above.index(text) + 1, source=source
                    )
                )
    coded = [row for row in rows if row.code == value]
    if coded:
        return next((row for row in coded if row.use), coded[0])
    return next((row for row in rows if row.value == str(value)), None)
