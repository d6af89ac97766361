"""The nomenclature table: which value of a class field means which class, and whether it is used.

Columns: ``value`` (in the class field), ``code``, ``name``, ``color`` (#rrggbb), ``level1``, ``level2``... (parents,
the coarsest first), ``use`` (yes or no), ``count`` (features), ``hectares``. Values with the same code are one class.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from ..base.errors import LandloomError
from ..base.language import tr
from ..base.nomenclature import (
    HIGHEST_CODE,
    LandCoverClass,
    Nomenclature,
    as_code,
    assign_codes,
    default_color,
    listed,
    normalise_color,
)


@dataclass(frozen=True)
class Row:
    """One value of the class field.

    Attributes:
        value: as :func:`~landloom.model.base.nomenclature.source_value` gives it.
        code: None where still to be given.
        name: empty where it is the value itself.
        color: ``#rrggbb``, or empty where still to be chosen.
        parents: coarsest first.
        use: whether its features are used.
        count: features with this value.
        hectares: their area, None where unknown.
    """

    value: str
    code: int | None = None
    name: str = ""
    color: str = ""
    parents: tuple[str, ...] = ()
    use: bool = True
    count: int | None = None
    hectares: float | None = None


class NomenclatureTable:
    """Rows by source value.

    Args:
        rows: one a value.
        source: the file, for messages.
        by_name: whether a value that is no row's may also be a row's name (iota2's file holds only name and label).

    Raises:
        LandloomError: if a value is listed twice, or a code, name or colour is wrong.
    """

    def __init__(self, rows: Iterable[Row], source: str = "the nomenclature", by_name: bool = False) -> None:
        self.source = source
        self.rows = _complete(list(rows), source)
        self._by_value: dict[str, Row] = {}
        for row in self.rows:
            if row.value in self._by_value:
                raise LandloomError(
                    tr("{source} lists the value '{value}' twice: keep one of the rows.").format(
                        source=source, value=row.value
                    )
                )
            self._by_value[row.value] = row
        self._by_name = {row.name: row for row in reversed(self.rows)} if by_name else {}

    def find(self, value: str) -> Row | None:
        """The row of a source value, None if it is not listed."""
        return self._by_value.get(value) or self._by_name.get(value)

    def check_listed(self, values: Iterable[str], field: str) -> None:
        """Check that every value of a class field is listed.

        Raises:
            LandloomError: with the list of those that are not.
        """
        unlisted = sorted({value for value in values if self.find(value) is None})
        if unlisted:
            raise LandloomError(
                tr(
                    "{source} does not list these values of {field}: {unlisted}. Add a row for each, with use "
                    "= no for those to leave out."
                ).format(source=self.source, field=field, unlisted=listed(unlisted, 200))
            )

    def nomenclature(self, values: Iterable[str] | None = None) -> Nomenclature:
        """The classes in use, in the order of their codes.

        Args:
            values: only classes that these source values mean; all rows by default.

        Raises:
            LandloomError: if two names share a code or two codes a name, or no class is in use.
        """
        rows = self.rows if values is None else [row for row in map(self.find, values) if row is not None]
        used = {row.value: row for row in rows if row.use}
        if not used:
            raise LandloomError(
                tr("{source} leaves out every class: set use to yes for some.").format(source=self.source)
            )
        classes: dict[int, LandCoverClass] = {}
        for row in sorted(used.values(), key=lambda one: one.code or 0):
            if row.code is not None:
                one = LandCoverClass(row.code, row.name, row.color, row.parents)
                classes.setdefault(row.code, one)
        return Nomenclature(tuple(classes.values()))

    def update(self, counts: Mapping[str, tuple[int, float | None]]) -> NomenclatureTable:
        """The same table with the counts of a reference layer; new values are added, no code changes.

        A new value keeps its number as code where the table's numbers are its codes and it is free; else it gets the
        highest code + 1.

        Args:
            counts: features and hectares of each value.
        """
        rows = [
            replace(row, count=counts[row.value][0], hectares=counts[row.value][1])
            if row.value in counts
            else replace(row, count=0, hectares=0.0)
            for row in self.rows
        ]
        by_name = bool(self._by_name)
        taken = {row.code for row in rows}
        kept = all(row.code == as_code(row.value) for row in rows)
        for value in sorted(counts, key=lambda one: (as_code(one) is None, as_code(one) or 0, one)):
            if self.find(value) is not None:
                continue
            number = as_code(value)
            if kept and number is not None and 1 <= number <= HIGHEST_CODE and number not in taken:
                code = number
            else:
                code = max((one for one in taken if one is not None), default=0) + 1
            taken.add(code)
            count, hectares = counts[value]
            rows.append(Row(value, code, _free_name(value, rows), "", (), True, count, hectares))
        return NomenclatureTable(rows, self.source, by_name)


def table_of(counts: Mapping[str, tuple[int, float | None]]) -> tuple[NomenclatureTable, bool]:
    """A table for the values of a class field.

    Args:
        counts: features and hectares of each value.

    Returns:
        the table, and whether codes were given anew (see :func:`~landloom.model.base.nomenclature.assign_codes`).
    """
    codes, renumbered = assign_codes(counts)
    return NomenclatureTable(
        Row(value, code, value, count=counts[value][0], hectares=counts[value][1]) for value, code in codes.items()
    ), renumbered


def _complete(rows: list[Row], source: str) -> list[Row]:
    """Give codes, names and colours where they are missing; check that code and name go together."""
    rows = [replace(row, name=row.name.strip() or row.value) for row in rows]
    rows = _with_codes(rows, source)
    names: dict[int, str] = {}
    codes: dict[str, int] = {}
    for row in rows:
        if not row.use or row.code is None:
            continue
        if names.setdefault(row.code, row.name) != row.name:
            raise LandloomError(
                tr(
                    "In {source} code {code} has two names, '{names}' and '{row}': values that are one class "
                    "need the same code and the same name."
                ).format(source=source, code=row.code, names=names[row.code], row=row.name)
            )
        if codes.setdefault(row.name, row.code) != row.code:
            raise LandloomError(
                tr(
                    "In {source} '{row}' has two codes, {codes} and {code}: give it one code, or different names."
                ).format(source=source, row=row.name, codes=codes[row.name], code=row.code)
            )
    colors: dict[int | None, str] = {}
    for row in rows:
        if row.color:
            colors.setdefault(row.code, normalise_color(row.color, f"'{row.name}' in {source}"))
    taken = set(colors.values())
    for position, row in enumerate(sorted(rows, key=lambda one: one.code or 0)):
        if row.code not in colors:
            colors[row.code] = default_color(row.name, position, taken)
            taken.add(colors[row.code])
    parents: dict[int | None, tuple[str, ...]] = {}
    for row in rows:
        if row.parents:
            parents.setdefault(row.code, row.parents)
    return [replace(row, color=colors[row.code], parents=parents.get(row.code, ())) for row in rows]


def _with_codes(rows: list[Row], source: str) -> list[Row]:
    for row in rows:
        if row.code is not None and row.use and not 1 <= row.code <= HIGHEST_CODE:
            raise LandloomError(
                tr("In {source} '{value}' has code {code}: codes are whole numbers from 1 to {highest_code}.").format(
                    source=source, value=row.value, code=row.code, highest_code=HIGHEST_CODE
                )
            )
    by_name = {row.name: row.code for row in rows if row.code is not None}
    rows = [replace(row, code=by_name[row.name]) if row.code is None and row.name in by_name else row for row in rows]
    missing = [row for row in rows if row.code is None]
    if not missing:
        return rows
    given = [row.code for row in rows if row.code is not None]
    merged = len({row.name for row in missing}) < len(missing)
    if not given and not merged:
        codes, _ = assign_codes(row.value for row in missing)
        by_name = {row.name: codes[row.value] for row in missing}
    else:
        start = max(given, default=0) + 1
        by_name = {name: start + i for i, name in enumerate(sorted({row.name for row in missing}))}
    return [replace(row, code=by_name[row.name]) if row.code is None else row for row in rows]


def _free_name(value: str, rows: list[Row]) -> str:
    names = {row.name for row in rows}
    return value if value not in names else f"{value} (new)"
