"""Two curves: scores against the number of training groups, and against the last date that was read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..base.intervals import SCORES, Interval
from ..stack.sensors import STATIC, SensorSpec
from .comparescores import Unit, judge_once
from .comparesettings import FOLDS, SHARES, CompareSettings, Configuration
from .comparesplits import Split, part_of_learning
from .compareunits import Outcome, Task

if TYPE_CHECKING:
    from ..training.pool import SamplePool
    from .compare import Comparison

POINTS = 0.02  # of the full season: near enough to be told


@dataclass(frozen=True)
class Curve:
    """Scores of a configuration along something.

    Attributes:
        configuration: of what.
        positions: ``[X]`` share of the training groups, or last day of the season.
        groups: ``[X]`` mean number of groups that taught.
        scores: score -> ``[X]`` intervals.
    """

    configuration: Configuration
    positions: list[float]
    groups: list[float]
    scores: dict[str, list[Interval]]

    @classmethod
    def all(
        cls,
        configurations: Sequence[Configuration],
        tasks: Sequence[Task],
        outcomes: Mapping[str, Outcome],
        full: Mapping[str, Outcome],
        unit: Unit,
        result: Comparison,
        ends: Sequence[tuple[int, str]] | None,
    ) -> list[Curve]:
        """The curves of all configurations; the last point is that of the comparison, on the same test groups."""
        curves = []
        classes = len(result.nomenclature) + 1
        splits = used(result.splits, result.settings)
        for one in configurations:
            positions: list[float] = []
            groups: list[float] = []
            scores: dict[str, list[Interval]] = {score: [] for score in SCORES}
            own = [task for task in tasks if task.configuration == one]
            last = 1.0 if ends is None else float(ends[-1][0])
            points = [*dict.fromkeys(task.share if ends is None else float(task.until or 0) for task in own), last]
            for position in points:
                if position == last:
                    here = [Task(one, split) for split in splits]
                    found = [full[task.key] for task in here]
                else:
                    here = [task for task in own if position == (task.share if ends is None else task.until)]
                    found = [outcomes[task.key] for task in here]
                rows = unit.rows([task.split for task in here], found)
                for score, interval in judge_once(unit, classes, rows, result.settings.seed).items():
                    scores[score].append(interval)
                positions.append(float(position))
                groups.append(float(np.mean([len(np.unique(unit.groups[task.split.learn])) for task in here])))
            curves.append(cls(one, positions, groups, scores))
        return curves

    def near_full(self, score: str, points: float = POINTS) -> int | None:
        """The first place from which on the score stays within some points of the last one; None if only the last."""
        values = np.array([interval.estimate for interval in self.scores[score]])
        near = values >= values[-1] - points
        first = len(values) - 1
        while first > 0 and near[first - 1]:
            first -= 1
        return first if first < len(values) - 1 else None

    def to_json(self, name: str, labels: Sequence[Any] | None = None) -> dict[str, Any]:
        """A dictionary that JSON can hold; ``name`` is what the positions are."""
        return {
            "configuration": self.configuration.key,
            "points": [
                {
                    name: position if labels is None else labels[place],
                    "training_groups": self.groups[place],
                    **{score: self.scores[score][place].to_json() for score in SCORES},
                }
                for place, position in enumerate(self.positions)
            ],
        }


def used(splits: Sequence[Split], settings: CompareSettings) -> list[Split]:
    """The splits that curves are made on: the folds of the first run, which test every group, or all holdouts."""
    return [split for split in splits if settings.evaluation != FOLDS or split.run == splits[0].run]


def learning_tasks(
    pool: SamplePool,
    units: np.ndarray,
    configurations: Sequence[Configuration],
    splits: Sequence[Split],
    settings: CompareSettings,
) -> list[Task]:
    """The trainings on parts of the training groups."""
    tasks = []
    for share in SHARES:
        for split in used(splits, settings):
            fewer = part_of_learning(pool, units, split, share, settings.seed)
            if len(np.unique(pool.labels[fewer.parts.training])) > 1:
                tasks += [Task(one, fewer, share=share) for one in configurations]
    return tasks


def season_ends(specs: Mapping[str, SensorSpec], most: int) -> list[tuple[int, str]]:
    """Days and dates on which the season may end, evenly spread; the last is the full season.

    The first is one by which every sensor has at least two dates (or all that it has).
    """
    dated = [spec for spec in specs.values() if spec.kind != STATIC and spec.days]
    if not dated:
        return []
    first = max(sorted(spec.days)[min(1, len(spec.days) - 1)] for spec in dated)
    days = {day: date for spec in dated for day, date in zip(spec.days, spec.dates, strict=True)}
    possible = sorted(day for day in days if day >= first)
    wanted = np.linspace(possible[0], possible[-1], most)
    chosen = sorted({min(possible, key=lambda day: abs(day - place)) for place in wanted})
    return [(day, days[day]) for day in chosen]


def season_tasks(
    configurations: Sequence[Configuration], splits: Sequence[Split], settings: CompareSettings, days: Sequence[int]
) -> list[Task]:
    """The trainings on the dates up to each of some days."""
    return [Task(one, split, until=day) for day in days for split in used(splits, settings) for one in configurations]
