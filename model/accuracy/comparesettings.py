"""What a comparison compares: networks and both forests, each on each set of sensors."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ..base.errors import LandloomError
from ..base.language import tr
from ..base.nomenclature import listed
from ..base.values import check_choice, check_range
from ..networks.registry import NETWORKS
from ..stack.sensors import STATIC, SensorSpec, matches
from ..training.settings import FOREST, TrainingSettings

FOLDS, HOLDOUT, SPLIT = "folds", "holdout", "split"
EVALUATIONS = (FOLDS, HOLDOUT, SPLIT)
GROUP, BLOCK = "group", "block"
UNITS = (GROUP, BLOCK)
PLAIN, BALANCED = "randomforest", "randomforest-balanced"
FORESTS = (PLAIN, BALANCED)
SHARES = (0.1, 0.25, 0.5)  # of the training groups in the learning curve, besides all of them


@dataclass(frozen=True)
class CompareSettings:
    """What the user chose; see the parameters of ``compare``.

    Attributes:
        networks: names; both forests always take part.
        sensor_sets: each a tuple of sensors, ``S1`` meaning every ``S1_*``; empty = each sensor alone and all together.
        runs: times that everything is split and trained anew.
        evaluation: ``folds`` (every group is tested once a run), ``holdout`` (a share of the groups, drawn anew in each
            run) or ``split`` (the parts dealt by extractsamples; runs differ by the seed of training alone).
        folds: number of folds of a run.
        test: share of the groups that a holdout tests.
        split_by: ``group`` or ``block``: what stays together.
        block_size: side of a block, metres.
        epochs: most epochs; 0 = the network's default.
        step: days between the regular dates.
        learning_curve: also train on 10, 25 and 50 % of the training groups.
        season_curve: also train on the dates up to some days of the season.
        season_dates: how many ends of the season, the full one included.
        device, seed, memory_mb: as in training.
    """

    networks: tuple[str, ...] = ("ltae",)
    sensor_sets: tuple[tuple[str, ...], ...] = ()
    runs: int = 3
    evaluation: str = FOLDS
    folds: int = 5
    test: float = 0.2
    split_by: str = GROUP
    block_size: float = 5000.0
    epochs: int = 0
    step: int = 10
    learning_curve: bool = False
    season_curve: bool = False
    season_dates: int = 6
    device: str = "auto"
    seed: int = 0
    memory_mb: int = 1024

    def __post_init__(self) -> None:
        """Check every value.

        Raises:
            LandloomError: naming the parameter and what it may be.
        """
        for network in self.networks:
            if network not in NETWORKS or network == FOREST:
                choices = ", ".join(name for name in NETWORKS if name != FOREST)
                raise LandloomError(
                    tr("NETWORKS holds '{network}'; choose of: {choices}. Both forests always take part.").format(
                        network=network, choices=choices
                    )
                )
        check_choice("EVALUATION", self.evaluation, EVALUATIONS)
        check_choice("SPLIT_BY", self.split_by, UNITS)
        check_range("RUNS", self.runs, 1, 100)
        check_range("FOLDS", self.folds, 2, 100)
        check_range("SEASON_DATES", self.season_dates, 2, 100)
        if not 0 < self.test < 1:
            raise LandloomError(tr("TEST is {test:g}; give a share above 0 and below 1.").format(test=self.test))
        if self.split_by == BLOCK and not self.block_size > 0:
            raise LandloomError(
                tr("BLOCK_SIZE is {block_size:g}; give the side of a block in metres, above 0.").format(
                    block_size=self.block_size
                )
            )
        if self.evaluation == SPLIT and self.split_by == BLOCK:
            raise LandloomError(
                tr(
                    "EVALUATION is split, the parts that the samples have: SPLIT_BY block needs folds or "
                    "holdout. Or extract the samples again with SPLIT_BY block."
                )
            )
        for name in (*self.networks, PLAIN):
            self.training(name, (), 0)

    def training(self, name: str, sensors: tuple[str, ...], run: int) -> TrainingSettings:
        """How a classifier is trained in a run: the product's defaults, the plain forest without class weights."""
        forest = name in FORESTS
        weights = ("balanced" if name == BALANCED else "none") if forest else "auto"
        return TrainingSettings(
            network=FOREST if forest else name,
            class_weights=weights,
            sensors=sensors,
            epochs=self.epochs,
            step=self.step,
            device=self.device,
            seed=self.seed + run,
            memory_mb=self.memory_mb,
        )

    def to_json(self) -> dict[str, Any]:
        """A dictionary that JSON can hold."""
        return {
            **asdict(self),
            "networks": list(self.networks),
            "sensor_sets": ["+".join(sensors) for sensors in self.sensor_sets],
        }


@dataclass(frozen=True)
class Configuration:
    """A classifier on a set of sensors.

    Attributes:
        name: a network, ``randomforest`` (iota2's settings) or ``randomforest-balanced``.
        sensors: as the user named them, such as ``("S1", "S2")``.
    """

    name: str
    sensors: tuple[str, ...]

    @property
    def is_forest(self) -> bool:
        """Whether it is one of both forests."""
        return self.name in FORESTS

    @property
    def sensor_text(self) -> str:
        """``S1+S2``."""
        return "+".join(self.sensors)

    @property
    def key(self) -> str:
        """Its name in files."""
        return f"{self.name} {self.sensor_text}"


def read_sensor_sets(text: str) -> tuple[tuple[str, ...], ...]:
    """The sets of ``S1;S2;S1+S2``.

    Raises:
        LandloomError: if a set has an empty name or occurs twice.
    """
    sets: list[tuple[str, ...]] = []
    for one in re.split(r"[;,]", text):
        if not one.strip():
            continue
        names = tuple(name.strip() for name in one.split("+"))
        if not all(names) or len(set(names)) < len(names):
            raise LandloomError(
                tr("SENSOR_SETS holds '{one}': join different sensors by +, such as S1+S2.").format(one=one.strip())
            )
        if any(set(names) == set(other) for other in sets):
            raise LandloomError(
                tr("SENSOR_SETS names {names} twice: give each set once.").format(names="+".join(names))
            )
        sets.append(names)
    return tuple(sets)


def choose_sensor_sets(asked: Sequence[tuple[str, ...]], specs: Mapping[str, SensorSpec]) -> list[tuple[str, ...]]:
    """The sets asked for, checked; by default each sensor alone (``S1_*`` as one) and then all together.

    Raises:
        LandloomError: if the samples lack a sensor.
    """
    for names in asked:
        for name in names:
            if not any(matches(own, name) for own in specs):
                raise LandloomError(
                    tr("SENSOR_SETS asks for {name}, but the samples have {specs}.").format(
                        name=name, specs=listed(list(specs))
                    )
                )
    if asked:
        return list(asked)
    families: dict[str, None] = {}
    for name, spec in specs.items():
        if spec.kind != STATIC:
            families["S1" if name.startswith("S1_") else name] = None
    static = [name for name, spec in specs.items() if spec.kind == STATIC]
    singles = [(name,) for name in sorted(families)]
    together = (*sorted(families), *static)
    return [*singles, together] if len(together) > 1 else [together]


def widest(sets: Sequence[tuple[str, ...]], specs: Mapping[str, SensorSpec]) -> tuple[str, ...]:
    """The set with most sensors, the first of equal ones: what is told first, and what the curves are drawn for."""
    return max(sets, key=lambda names: sum(any(matches(own, name) for name in names) for own in specs))


def configurations(settings: CompareSettings, sets: Sequence[tuple[str, ...]]) -> list[Configuration]:
    """Every classifier on every set of sensors, the forests first."""
    return [Configuration(name, sensors) for sensors in sets for name in (*FORESTS, *settings.networks)]
