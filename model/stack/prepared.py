"""What came of preparing a stack: the stack, what became of every product, and what to tell the user."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from ..base.language import tr
from .manifest import Stack
from .products import Product


@dataclass(frozen=True)
class Line:
    """One line of the report: what became of a product or date."""

    sensor: str
    date: str
    name: str
    used: bool
    why: str = ""
    valid: float = float("nan")  # share of the grid's pixels
    cloud: float = float("nan")  # share of masked pixels among those with data


@dataclass
class Prepared:
    """A stack and how it came about.

    Attributes:
        stack: what was made.
        lines: what became of every date and product.
        warnings: what the user should look at.
        notes: what else to say.
        found: name of a form and sensor -> how many products of them were found.
        taken: the same -> how many of them are in the stack.
    """

    stack: Stack
    lines: list[Line] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    found: Counter[tuple[str, str]] = field(default_factory=Counter)
    taken: Counter[tuple[str, str]] = field(default_factory=Counter)


def taken(stack: Stack, products: Sequence[Product]) -> Counter[tuple[str, str]]:
    """How many products of each form and sensor the stack holds."""
    names = {
        (name, part.product)
        for name, sensor in stack.sensors.items()
        for one in sensor.acquisitions
        for part in one.parts
    }
    return Counter((one.form, one.sensor) for one in products if (one.sensor, one.name) in names)


def reasons(result: Prepared) -> str:
    """Why products were skipped, the most frequent reasons first."""
    count = Counter(line.why for line in result.lines if not line.used)
    return "; ".join(f"{number} {why}" for why, number in count.most_common(4)) or tr("nothing was found")


def nothing_usable(folder: str | os.PathLike[str], result: Prepared) -> str:
    """The sentence for a folder of which no product can be used."""
    return tr("No product of {folder} can be used: {reasons}. Check INPUT, SENSORS, START, END and EXTENT.").format(
        folder=folder, reasons=reasons(result)
    )
