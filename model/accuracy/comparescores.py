"""From the outcomes of a comparison to scores with their spread and interval, and to gains with their test."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ..base.intervals import SCORES, GroupBootstrap, Interval, bootstrap_groups, cautious, corrected_t
from ..base.metrics import confusion_matrix, score_arrays
from ..base.progress import Progress
from .comparesettings import SPLIT

if TYPE_CHECKING:
    from ..training.pool import SamplePool
    from .comparesplits import Split
    from .compareunits import Outcome

PIXEL, POLYGON = "pixel", "polygon"
LEVELS = (PIXEL, POLYGON)


@dataclass(frozen=True)
class Unit:
    """What is judged at a level: pixels, or polygons.

    Attributes:
        level: ``pixel`` or ``polygon``.
        reference: ``[N]`` class indices.
        groups: ``[N]`` what is independent.
        of_sample: ``[samples]`` the place of each sample in the arrays above.
    """

    level: str
    reference: np.ndarray
    groups: np.ndarray
    of_sample: np.ndarray

    @classmethod
    def pixels(cls, pool: SamplePool, groups: np.ndarray) -> Unit:
        """Every sample."""
        return cls(PIXEL, pool.labels, groups, np.arange(len(pool)))

    @classmethod
    def polygons(cls, pool: SamplePool, groups: np.ndarray) -> Unit:
        """Every polygon; pixels of one polygon with different labels count as different polygons."""
        pairs = np.stack([pool.polygons, pool.labels], axis=1)
        found, first, own = np.unique(pairs, axis=0, return_index=True, return_inverse=True)
        return cls(POLYGON, found[:, 1], groups[first], own.reshape(-1))

    def place(self, test: np.ndarray) -> np.ndarray:
        """Where the predictions of a test belong, in the order of the outcome's arrays."""
        # Polygons are told in the order of (polygon, label), which is that of their places.
        return self.of_sample[test] if self.level == PIXEL else np.unique(self.of_sample[test])

    def rows(self, splits: Sequence[Split], outcomes: Sequence[Outcome]) -> np.ndarray:
        """``[R, N]`` predicted class of each run, -1 where it did not judge."""
        runs = sorted({split.run for split in splits})
        rows = np.full((len(runs), len(self.reference)), -1, np.int16)  # of many runs and samples
        for split, outcome in zip(splits, outcomes, strict=True):
            predicted = outcome.predicted if self.level == PIXEL else outcome.polygons
            rows[runs.index(split.run), self.place(split.parts.test)] = predicted
        return rows


@dataclass
class Judgement:
    """All classifications of the same things, at one level.

    Attributes:
        unit: what was judged.
        classes: number of classes, the one of all that the nomenclature lacks included.
        splits: the splits of all runs.
        evaluation: how it was split.
        runs: key -> ``[R, N]`` predicted classes by run, -1 = not judged.
        bootstrap: of all runs.
        scores: key -> score -> ``[R]``, those by class ``[R, K]``.
        by_split: key -> score -> ``[S]``.
    """

    unit: Unit
    classes: int
    splits: Sequence[Split]
    evaluation: str
    runs: dict[str, np.ndarray]
    bootstrap: GroupBootstrap
    scores: dict[str, dict[str, np.ndarray]] = field(default_factory=dict)
    by_split: dict[str, dict[str, np.ndarray]] = field(default_factory=dict)
    _rows: dict[str, range] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        unit: Unit,
        classes: int,
        splits: Sequence[Split],
        evaluation: str,
        runs: Mapping[str, np.ndarray],
        seed: int,
        progress: Progress,
    ) -> Judgement:
        """Score every run, every split and every draw of groups."""
        every = np.concatenate(list(runs.values()))
        drawn = bootstrap_groups(unit.reference, every, unit.groups, classes, seed=seed, progress=progress)
        result = cls(unit, classes, splits, evaluation, dict(runs), drawn)
        first = 0
        for key, rows in runs.items():
            result._rows[key] = range(first, first + len(rows))
            first += len(rows)
            result.scores[key] = score_arrays(np.stack([result._matrix(row) for row in rows]))
            matrices = []
            for split in splits:
                own = unit.place(split.parts.test)
                row = np.full(len(unit.reference), -1, np.int16)
                row[own] = rows[min(split.run, len(rows) - 1)][own]
                matrices.append(result._matrix(row))
            result.by_split[key] = score_arrays(np.stack(matrices))
        return result

    def _matrix(self, row: np.ndarray) -> np.ndarray:
        judged = row >= 0
        return confusion_matrix(self.unit.reference[judged], row[judged], self.classes)

    def matrix(self, key: str) -> np.ndarray:
        """``[K, K]`` confusion counts, mean over the runs."""
        return np.mean([self._matrix(row) for row in self.runs[key]], axis=0)

    def mean(self, key: str, score: str) -> float:
        """Mean over the runs."""
        return float(np.nanmean(self.scores[key][score])) if np.isfinite(self.scores[key][score]).any() else np.nan

    def interval(self, key: str, score: str) -> Interval:
        """The interval of the mean score over the runs."""
        return self.bootstrap.interval(self._rows[key], score)

    def by_class(self, key: str) -> list[Interval]:
        """The intervals of the F1 of each class."""
        return self.bootstrap.by_class(self._rows[key])

    def gain(self, key: str, over: str, score: str) -> Gain:
        """What one gains over another on the same groups."""
        drawn = self.bootstrap.difference(self._rows[key], self._rows[over], score)
        differences = self.by_split[key][score] - self.by_split[over][score]
        ratio = float(np.mean([split.ratio for split in self.splits]))
        if self.evaluation == SPLIT:  # one test for all runs: its splits are no sample of tests
            differences = differences[:0]
        corrected = corrected_t(differences, ratio, drawn.estimate)
        return Gain(key, over, self.unit.level, score, cautious(drawn, corrected), drawn, corrected)

    def better(self, keys: Sequence[str], score: str) -> str:
        """Which of some has the higher mean score over the runs; the first of equal ones."""
        return max(keys, key=lambda key: value if np.isfinite(value := self.mean(key, score)) else -np.inf)


@dataclass(frozen=True)
class Gain:
    """The difference of two classifications: the figure told, and both methods behind it."""

    of: str
    over: str
    level: str
    score: str
    told: Interval
    bootstrap: Interval
    corrected: Interval

    def to_json(self) -> dict[str, Any]:
        """A dictionary that JSON can hold."""
        told = {name: value for name, value in self.told.to_json().items() if name != "level"}  # of confidence
        return {
            "of": self.of,
            "over": self.over,
            "level": self.level,
            "score": self.score,
            **told,
            "bootstrap": self.bootstrap.to_json(),
            "corrected_t": self.corrected.to_json(),
        }


def judge_once(unit: Unit, classes: int, rows: np.ndarray, seed: int) -> dict[str, Interval]:
    """Scores with intervals of one classification, its runs in ``rows [R, N]``."""
    drawn = bootstrap_groups(unit.reference, rows, unit.groups, classes, seed=seed)
    return {score: drawn.interval(range(len(rows)), score) for score in SCORES}
