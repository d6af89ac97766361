"""Classes of land cover: their codes, names, colours and parents.

Arrays, samples and networks hold class *indices* 0..K-1; *codes* (1..65535) live in the nomenclature, in maps and in
tables that people read.
"""

from __future__ import annotations

import colorsys
import math
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .errors import LandloomError
from .language import tr

HIGHEST_CODE = 65535
LONGEST_NAME = 500
MOST_LEVELS = 20

# Familiar hues for common words, English and French; other classes take the next hue round the circle.
_FAMILIAR = (
    (r"water|\beau\b|eaux|lake|lac\b|river|rivi[eè]re|etang|étang", "#2a6fbb"),
    (r"forest|for[eê]t|wood|bois\b", "#1b6e2e"),
    (r"mangrove", "#1f7a6b"),
    (r"built|urban|urbain|b[aâ]ti|settlement|village|ville", "#c0392b"),
    (r"savann?a|savane", "#c9b458"),
    (r"grass|prairie|pasture|p[aâ]ture", "#9ccc65"),
    (r"bare|\bsol nu|sols nus|rock|rocher", "#b5a397"),
    (r"fallow|jach[eè]re", "#d9c7a0"),
)
_COLOR = re.compile(r"#[0-9a-f]{6}")


@dataclass(frozen=True)
class LandCoverClass:
    """One class.

    Attributes:
        code: 1..65535, the value in maps.
        name: what people read.
        color: ``#rrggbb``.
        parents: names of the coarser classes it belongs to, the coarsest (level 1) first; empty where unknown.
    """

    code: int
    name: str
    color: str
    parents: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        code = self.code
        if isinstance(code, bool) or not isinstance(code, int | np.integer) or not 1 <= code <= HIGHEST_CODE:
            raise LandloomError(
                tr("Class code {code!r} of '{name}' must be a whole number from 1 to {highest_code}.").format(
                    code=code, name=self.name, highest_code=HIGHEST_CODE
                )
            )
        object.__setattr__(self, "code", int(code))
        if not isinstance(self.name, str) or not self.name.strip() or len(self.name) > LONGEST_NAME:
            raise LandloomError(
                tr("The class with code {code} needs a name of 1 to {longest_name} characters.").format(
                    code=code, longest_name=LONGEST_NAME
                )
            )
        object.__setattr__(self, "color", normalise_color(self.color, f"class {code} ({self.name})"))
        parents = tuple(self.parents)
        if len(parents) > MOST_LEVELS or not all(isinstance(p, str) and len(p) <= LONGEST_NAME for p in parents):
            raise LandloomError(
                tr("The parents of class {code} ({name}) must be at most {most_levels} names.").format(
                    code=code, name=self.name, most_levels=MOST_LEVELS
                )
            )
        object.__setattr__(self, "parents", parents)


@dataclass(frozen=True)
class Nomenclature:
    """Classes in index order.

    Raises:
        LandloomError: if there is no class or a code is used twice.
    """

    classes: tuple[LandCoverClass, ...]
    _index: dict[int, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "classes", tuple(self.classes))
        if not self.classes:
            raise LandloomError(tr("The nomenclature holds no class: give at least one."))
        index: dict[int, int] = {}
        for position, one in enumerate(self.classes):
            if one.code in index:
                other = self.classes[index[one.code]]
                raise LandloomError(
                    tr("Code {code} stands for two classes, '{other}' and '{name}': give each its own code.").format(
                        code=one.code, other=other.name, name=one.name
                    )
                )
            index[one.code] = position
        object.__setattr__(self, "_index", index)

    def __len__(self) -> int:
        return len(self.classes)

    def __iter__(self) -> Iterator[LandCoverClass]:
        return iter(self.classes)

    def __getitem__(self, index: int) -> LandCoverClass:
        return self.classes[index]

    @property
    def codes(self) -> np.ndarray:
        """``[K]`` int64, in index order."""
        return np.array([one.code for one in self.classes], np.int64)

    @property
    def names(self) -> tuple[str, ...]:
        """Names in index order."""
        return tuple(one.name for one in self.classes)

    @property
    def colors(self) -> tuple[str, ...]:
        """``#rrggbb`` in index order."""
        return tuple(one.color for one in self.classes)

    @property
    def levels(self) -> int:
        """How many coarser levels the classes have."""
        return max(len(one.parents) for one in self.classes)

    def index_of(self, code: int) -> int:
        """Index of a code.

        Raises:
            LandloomError: if no class has it.
        """
        try:
            return self._index[int(code)]
        except KeyError:
            known = ", ".join(str(one.code) for one in self.classes)
            raise LandloomError(
                tr("No class has code {code}; the nomenclature's codes are {known}.").format(code=code, known=known)
            ) from None

    def at_level(self, level: int) -> tuple[Nomenclature, np.ndarray]:
        """The coarser classes of a level, and for each class here the index of its parent there.

        A parent's code and colour are those of its child with the lowest code, so that they do not change when a
        class with a higher code is added. A class without a parent at that level keeps its own name.

        Args:
            level: 1 for the coarsest; 0 for the classes themselves.

        Returns:
            the nomenclature of that level and an index array ``[K]``.

        Raises:
            LandloomError: if the level does not exist.
        """
        if level == 0:
            return self, np.arange(len(self))
        if not 1 <= level <= self.levels:
            raise LandloomError(
                tr("LEVEL is {level}, but the nomenclature has {levels} coarser levels: choose {what}.").format(
                    level=level,
                    levels=self.levels or "no",
                    what=f"0 to {self.levels}"
                    if self.levels
                    else tr("0, or give classes parents in a NOMENCLATURE table"),
                )
            )
        parents = [
            one.parents[level - 1] if level <= len(one.parents) and one.parents[level - 1] else one.name
            for one in self.classes
        ]
        merged: dict[str, LandCoverClass] = {}
        for position in sorted(range(len(self)), key=lambda i: self.classes[i].code):
            one, name = self.classes[position], parents[position]
            if name not in merged:
                merged[name] = LandCoverClass(one.code, name, one.color, one.parents[: level - 1])
        names = list(merged)
        return Nomenclature(tuple(merged.values())), np.array([names.index(name) for name in parents])

    def subset(self, indices: Iterable[int]) -> Nomenclature:
        """Only some classes, in the order given."""
        return Nomenclature(tuple(self.classes[int(i)] for i in indices))

    def to_json(self) -> list[dict[str, Any]]:
        """A list that JSON can hold."""
        return [
            {"code": one.code, "name": one.name, "color": one.color, "parents": list(one.parents)}
            for one in self.classes
        ]

    @classmethod
    def from_json(cls, content: Any) -> Nomenclature:
        """The inverse of :meth:`to_json`, for content that may come from anyone.

        Raises:
            LandloomError: if it is not what :meth:`to_json` gives.
        """
        if not isinstance(content, list) or len(content) > HIGHEST_CODE:
            raise LandloomError(tr("The nomenclature must be a list of classes: the file is damaged, make it again."))
        classes = []
        for entry in content:
            if not isinstance(entry, dict) or not isinstance(entry.get("parents", []), list):
                raise LandloomError(
                    tr("A class of the nomenclature is not readable: the file is damaged, make it again.")
                )
            classes.append(
                LandCoverClass(
                    entry.get("code", 0), entry.get("name", ""), entry.get("color", ""), tuple(entry.get("parents", []))
                )
            )
        return cls(tuple(classes))


def normalise_color(color: Any, owner: str = "a class") -> str:
    """``#rrggbb`` in lower case.

    Raises:
        LandloomError: if it is not such a text.
    """
    text = color.strip().lower() if isinstance(color, str) else ""
    if not _COLOR.fullmatch(text):
        raise LandloomError(
            tr("The colour {color!r} of {owner} must be written #rrggbb, such as #1b6e2e.").format(
                color=color, owner=owner
            )
        )
    return text


def hex_color(red: int, green: int, blue: int) -> str:
    """``#rrggbb`` from 0..255.

    Raises:
        LandloomError: if a value is outside 0..255.
    """
    if not all(0 <= value <= 255 for value in (red, green, blue)):
        raise LandloomError(
            tr("The colour {red} {green} {blue} must be three numbers from 0 to 255.").format(
                red=red, green=green, blue=blue
            )
        )
    return f"#{red:02x}{green:02x}{blue:02x}"


def default_color(name: str, position: int, taken: Collection[str] = ()) -> str:
    """A colour for a class that has none: by its name where that says it, else well apart from its neighbours."""
    for pattern, color in _FAMILIAR:
        if re.search(pattern, name.lower()) and color not in taken:
            return color
    while True:
        # The golden angle keeps successive hues far apart; lightness and saturation take turns for the next circle.
        hue = math.fmod(0.11 + position * 0.61803398875, 1.0)
        lightness = (0.45, 0.62, 0.33)[position % 3]
        red, green, blue = colorsys.hls_to_rgb(hue, lightness, (0.75, 0.55)[position // 3 % 2])
        color = hex_color(round(red * 255), round(green * 255), round(blue * 255))
        if color not in taken:
            return color
        position += 1


def source_value(value: Any) -> str | None:
    """A class value of a field as text that can be compared: 3, 3.0 and "3" are the same class, " maize" is "maize".

    Returns:
        the text, or None for an empty value (null, NaN, blank).
    """
    if value is None or (isinstance(value, float | np.floating) and not math.isfinite(value)):
        return None
    if isinstance(value, float | np.floating) and float(value).is_integer():
        value = int(value)
    text = str(value).strip()
    return text or None


def as_code(value: str) -> int | None:
    """The whole number that a source value is, or None if it is text ("01" is text: the zero may mean something)."""
    try:
        number = int(value)
    except ValueError:
        return None
    return number if str(number) == value else None


def assign_codes(values: Iterable[str]) -> tuple[dict[str, int], bool]:
    """Codes for the distinct source values of a class field.

    Whole numbers from 1 to 65535 are kept as given. If any value is text, 0, negative or larger, all get 1..N in
    sorted order: numbers first, in their order, then texts.

    Returns:
        the code of each value, in the order of the codes, and whether they were given anew.

    Raises:
        LandloomError: if there are more than 65535 classes.
    """
    distinct = sorted(set(values), key=_order)
    if len(distinct) > HIGHEST_CODE:
        raise LandloomError(
            tr("The class field holds {n_distinct} distinct values; at most {highest_code} classes fit.").format(
                n_distinct=len(distinct), highest_code=HIGHEST_CODE
            )
        )
    numbers = [as_code(value) for value in distinct]
    if all(number is not None and 1 <= number <= HIGHEST_CODE for number in numbers):
        return {value: int(value) for value in distinct}, False
    return {value: position for position, value in enumerate(distinct, start=1)}, True


def listed(names: Sequence[str], most: int = 20) -> str:
    """Names for a sentence, the first ones where there are very many."""
    rest = len(names) - most
    return ", ".join(names[:most]) + (tr(" and {n} more").format(n=rest) if rest > 0 else "")


def _order(value: str) -> tuple[bool, int, str]:
    number = as_code(value)
    return (number is None, number or 0, value)
