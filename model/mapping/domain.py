"""How far the pixels of a map lie from what the model was trained on, by sensor."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import numpy as np

from ..base.language import tr
from ..stack.sensors import SensorSpec, Series
from .chunks import CHUNK, Area

SPACING = 8
"""Pixels between two that are looked at, in both directions, in every second chunk: 1 pixel in 128."""
WORTH_A_WARNING = 0.05
FEWEST = 20


class Ranges(Protocol):
    """What the count needs of an input recipe."""

    def outside_range(self, batch: dict[str, Series]) -> dict[str, float]:
        """Share of pixels outside the training range, by sensor; NaN where none has data."""


class DomainCount:
    """Counts pixels outside the training range on a fixed sample of pixels.

    The counts of chunks add up, so that they can be kept with the finished blocks of a run.

    Args:
        recipe: how the model's inputs are prepared, bound to the data.
        specs: the sensors that are read.
    """

    def __init__(self, recipe: Ranges, specs: Mapping[str, SensorSpec]) -> None:
        self._recipe = recipe
        self._sensors = list(specs)

    @property
    def size(self) -> int:
        """How many numbers :meth:`count` gives: two a sensor."""
        return 2 * len(self._sensors)

    def looks_at(self, chunk: Area) -> bool:
        """Whether a chunk is one of those looked at."""
        return (chunk.column // CHUNK + chunk.row // CHUNK) % 2 == 0

    def count(self, series: dict[str, Series], halo: int) -> np.ndarray:
        """``[2 * sensors]``: pixels outside the range and pixels looked at, by sensor."""
        where = slice(halo + SPACING // 2, halo + CHUNK, SPACING)
        sample = {
            name: Series(one.values[..., where, where], one.mask[..., where, where], one.days)
            for name, one in series.items()
        }
        shares = self._recipe.outside_range(sample)
        counts = np.zeros((len(self._sensors), 2))
        for row, name in enumerate(self._sensors):
            share = shares.get(name, float("nan"))
            if np.isfinite(share):
                seen = int(sample[name].mask.any(axis=1).sum())
                counts[row] = round(share * seen), seen
        return counts.ravel()

    def shares(self, counts: np.ndarray) -> dict[str, float]:
        """Share of pixels outside the range, by sensor; sensors without data are left out."""
        table = counts.reshape(-1, 2)
        return {name: float(row[0] / row[1]) for name, row in zip(self._sensors, table, strict=True) if row[1] > 0}

    def warnings(self, counts: np.ndarray) -> list[str]:
        """A sentence for each sensor with too many pixels outside."""
        table = counts.reshape(-1, 2)
        return [
            tr(
                "{outside:.0f} % of the pixels of {name} lie outside the range of values that the model "
                "was trained on: expect errors there. Is it another sensor, unit, season or landscape?"
            ).format(outside=100 * outside / seen, name=name)
            for name, (outside, seen) in zip(self._sensors, table, strict=True)
            if seen >= FEWEST and outside / seen > WORTH_A_WARNING
        ]
