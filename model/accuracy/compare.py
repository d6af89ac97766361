"""A comparison: networks and both forests on the same splits, beside maps made elsewhere; scores, gains, cost."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ..base.device import resolve_device
from ..base.errors import Cancelled, LandloomError
from ..base.language import tr
from ..base.nomenclature import Nomenclature
from ..base.optional import need
from ..base.progress import Progress, Remembering
from ..networks.registry import network_info
from ..training.loop import check_training_labels
from ..training.pool import SamplePool, describe
from .comparecurves import Curve, learning_tasks, season_ends, season_tasks
from .comparemaps import MapAtSamples, read_maps
from .comparescores import LEVELS, PIXEL, Gain, Judgement, Unit
from .comparesettings import FOLDS, CompareSettings, Configuration, choose_sensor_sets, configurations, widest
from .comparesplits import Split, deal, units_of
from .compareunits import Finished, Outcome, Pools, Task, do, question_hash

if TYPE_CHECKING:
    from ..samples.store import SampleStore

PARTS = ".parts"
_COST = {"randomforest": 1.0, "randomforest-balanced": 1.0, "tempcnn": 8.0, "ltae": 10.0, "twinns": 60.0}
_FEW_GROUPS = 30


@dataclass
class Comparison:
    """What a comparison found; the tables and the report are made of it.

    Attributes:
        settings: how.
        nomenclature: the classes.
        sets: the sets of sensors.
        together: the widest of them.
        configurations: what was trained.
        splits: the splits of all runs.
        levels: ``pixel`` and ``polygon`` -> judgement of all configurations.
        facts: key of a configuration -> seconds of training a run, parameters, seconds a pixel and so on.
        maps: maps made elsewhere.
        map_levels: key of a map -> level -> judgement of the map and of the configurations with all sensors, where
            the map has data.
        learning, season: the curves, by key; empty if they were not asked for.
        season_dates: the ends of the season that was read, ISO.
        counts: samples, polygons and groups that were judged.
        sensors: the sensors in words.
        warnings: what the reader should know.
        seconds: time it took, this time.
    """

    settings: CompareSettings
    nomenclature: Nomenclature
    sets: list[tuple[str, ...]]
    together: tuple[str, ...]
    configurations: list[Configuration]
    splits: list[Split]
    levels: dict[str, Judgement]
    facts: dict[str, dict[str, Any]]
    maps: list[MapAtSamples] = field(default_factory=list)
    map_levels: dict[str, dict[str, Judgement]] = field(default_factory=dict)
    learning: list[Curve] = field(default_factory=list)
    season: list[Curve] = field(default_factory=list)
    season_dates: list[str] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    sensors: str = ""
    warnings: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def forests(self, sensors: tuple[str, ...]) -> list[str]:
        """Keys of both forests on a set of sensors."""
        return [one.key for one in self.configurations if one.is_forest and one.sensors == sensors]

    def better_forest(self, sensors: tuple[str, ...], level: str, score: str) -> str:
        """Key of the better of the two forests for a score."""
        return self.levels[level].better(self.forests(sensors), score)

    def gain(self, one: Configuration, level: str, score: str) -> Gain:
        """What a network gains over the better forest with the same sensors."""
        return self.levels[level].gain(one.key, self.better_forest(one.sensors, level, score), score)


def compare(
    stores: Sequence[SampleStore],
    settings: CompareSettings,
    parts: str | os.PathLike[str],
    maps: Sequence[str | os.PathLike[str]] = (),
    progress: Progress | None = None,
    splits: Sequence[Split] | None = None,
) -> Comparison:
    """Train, test and judge; what is finished is kept in a folder, which the caller removes when all is written.

    A comparison that was killed goes on from its finished trainings; what it compares (networks, sensors, runs, curves)
    may then be more or less. When it is cancelled or fails with an error of the user's, nothing is left.

    Args:
        stores: one or more sample stores.
        settings: how.
        parts: the folder of finished trainings.
        maps: rasters made elsewhere.
        progress: told of each training.
        splits: to use instead of those dealt from the settings, for benchmarks.

    Raises:
        LandloomError: if samples, settings or maps do not do.
        Cancelled: if the user stops it.
    """
    begin = time.monotonic()
    progress = Remembering(progress or Progress())
    need("sklearn.ensemble", "The random forest")
    if settings.networks:
        resolve_device(settings.device)
    pool = SamplePool(stores, (), progress)
    for network in settings.networks:
        if network_info(network).halo > pool.halo:
            raise LandloomError(
                tr(
                    "{network} needs {halo} pixels of context, but the samples hold {halo2}: extract them "
                    "again with HALO {halo}, or leave it out of NETWORKS."
                ).format(network=network, halo=network_info(network).halo, halo2=pool.halo)
            )
    sets = choose_sensor_sets(settings.sensor_sets, pool.specs)
    units = units_of(pool, settings)
    dealt = list(splits) if splits is not None else deal(pool, units, settings)
    for split in dealt:
        progress.check()
        check_training_labels(pool, split.parts.training)
    found_maps = read_maps(maps, pool, progress)
    if found_maps:
        progress.warning(
            tr(
                "Whether the maps have learnt from the groups that judge them is unknown here; if so, their "
                "scores are too high."
            )
        )
    result = Comparison(
        settings,
        pool.nomenclature,
        sets,
        widest(sets, pool.specs),
        configurations(settings, sets),
        dealt,
        {},
        {},
        maps=found_maps,
        sensors=describe(pool.specs),
    )
    tested = np.unique(np.concatenate([split.parts.test for split in dealt]))
    result.counts = {
        "pixels": len(tested),
        "polygons": len(np.unique(np.stack([pool.polygons[tested], pool.labels[tested]]), axis=1).T),
        "groups": len(np.unique(units[tested])),
    }
    _name_what_is_not_judged(pool, units, tested, progress)
    finished = Finished(parts, question_hash(list(stores), settings, units), progress)
    try:
        _work(result, pool, units, Pools(list(stores)), finished, progress)
    except (LandloomError, Cancelled):
        finished.clear()
        raise
    result.warnings = progress.warnings
    result.seconds = time.monotonic() - begin
    return result


def _work(
    result: Comparison, pool: SamplePool, units: np.ndarray, pools: Pools, finished: Finished, progress: Progress
) -> None:
    """Do all tasks, then judge."""
    settings = result.settings
    main = [
        Task(one, split, timed=split.run == result.splits[0].run and split.fold == result.splits[0].fold)
        for split in result.splits
        for one in result.configurations
    ]
    wide = [one for one in result.configurations if one.sensors == result.together]
    ends = season_ends(pools.get(result.together).specs, settings.season_dates) if settings.season_curve else []
    learning = learning_tasks(pool, units, wide, result.splits, settings) if settings.learning_curve else []
    season = season_tasks(wide, result.splits, settings, [day for day, _ in ends[:-1]]) if settings.season_curve else []
    if settings.season_curve and len(ends) < 2:
        progress.warning(tr("SEASON_CURVE needs at least two dates of every sensor: it is left out."))
    _tell_cost(result, main, learning, season, progress)
    outcomes = _do_all([*main, *learning, *season], pools, settings, finished, progress.part(0, 95))
    progress.text(tr("Judging"))
    other = len(pool.nomenclature)
    kinds = [Unit.pixels(pool, units), Unit.polygons(pool, units)]
    for unit in kinds:
        runs = {}
        for one in result.configurations:
            own = [outcomes[Task(one, split).key] for split in result.splits]
            runs[one.key] = unit.rows(result.splits, own)
        result.levels[unit.level] = Judgement.of(
            unit, other + 1, result.splits, settings.evaluation, runs, settings.seed, progress
        )
        for source in result.maps:
            rows = _map_rows(unit, source, pool, result.splits)
            compared = {one.key: np.where(rows >= 0, runs[one.key], -1) for one in wide}
            if (rows >= 0).any():
                result.map_levels.setdefault(source.key, {})[unit.level] = Judgement.of(
                    unit,
                    other + 1,
                    result.splits,
                    settings.evaluation,
                    {**compared, source.key: np.where(compared[wide[0].key] >= 0, rows, -1)},
                    settings.seed,
                    progress,
                )
    _facts(result, outcomes)
    pixels = kinds[LEVELS.index(PIXEL)]
    full = {task.key: outcomes[task.key] for task in main}
    if learning:
        result.learning = Curve.all(wide, learning, outcomes, full, pixels, result, None)
    if season:
        result.season = Curve.all(wide, season, outcomes, full, pixels, result, ends)
    result.season_dates = [date for _, date in ends] if season else []
    progress.percent(98)


def _do_all(
    tasks: list[Task], pools: Pools, settings: CompareSettings, finished: Finished, progress: Progress
) -> dict[str, Outcome]:
    """The outcomes of all tasks, those of an interrupted run taken over."""
    outcomes: dict[str, Outcome] = {}
    cost = np.array([_COST[task.configuration.name] * len(task.configuration.sensors) for task in tasks])
    done, known, spent = 0.0, 0.0, 0.0
    told = 0.0
    for place, (task, own) in enumerate(zip(tasks, cost, strict=True)):
        progress.check()
        outcome = finished.load(task)
        if outcome is None or (task.timed and "seconds_per_pixel" not in outcome.facts):
            progress.text(
                tr("Training {place} of {n_tasks}: {key}").format(place=place + 1, n_tasks=len(tasks), key=task.key)
            )
            begin = time.monotonic()
            pool = pools.get(task.configuration.sensors, task.until)
            outcome = do(task, pool, settings, Quiet(progress.part(0, 0)))
            finished.keep(task, outcome)
            spent, known = spent + time.monotonic() - begin, known + own
        outcomes[task.key] = outcome
        done += own
        progress.percent(100 * done / cost.sum())
        # Told when every configuration was trained once, and then now and then.
        if spent > max(60.0, 2 * told) and place >= len({one.configuration for one in tasks}):
            progress.info(
                tr("{place} of {n_tasks} trainings done, about {minutes} to go.").format(
                    place=place + 1, n_tasks=len(tasks), minutes=_minutes(spent / known, cost, done)
                )
            )
            told = spent
    return outcomes


def _minutes(seconds_a_cost: float, cost: np.ndarray, done: float) -> str:
    return f"{max(1, round(seconds_a_cost * (cost.sum() - done) / 60))} min"


def _map_rows(unit: Unit, source: MapAtSamples, pool: SamplePool, splits: Sequence[Split]) -> np.ndarray:
    """``[R, N]`` the map's class of each thing that a run judges; a polygon's is that of most of its pixels."""
    if unit.level == PIXEL:
        predicted = source.predicted
    else:
        known = source.predicted >= 0
        votes = np.zeros((len(unit.reference), len(pool.nomenclature) + 1), np.int64)
        np.add.at(votes, (unit.of_sample[known], source.predicted[known]), 1)
        predicted = np.where(votes.sum(axis=1) > 0, votes.argmax(axis=1), -1)
    runs = sorted({split.run for split in splits})
    rows = np.full((len(runs), len(unit.reference)), -1, np.int16)
    for split in splits:
        own = unit.place(split.parts.test)
        rows[runs.index(split.run), own] = predicted[own]
    return rows


def _facts(result: Comparison, outcomes: dict[str, Outcome]) -> None:
    """Cost of each configuration: training of a run, mapping, size."""
    for one in result.configurations:
        facts: dict[str, Any] = {}
        seconds: dict[int, float] = {}
        for split in result.splits:
            outcome = outcomes[Task(one, split).key]
            seconds[split.run] = seconds.get(split.run, 0.0) + outcome.facts["seconds"]
            facts |= {name: value for name, value in outcome.facts.items() if name not in ("seconds", "epochs")}
        trainings = len(result.splits) / len(seconds)
        facts["seconds_training"] = float(np.mean(list(seconds.values()))) / trainings
        result.facts[one.key] = facts


def _tell_cost(
    result: Comparison, main: list[Task], learning: list[Task], season: list[Task], progress: Progress
) -> None:
    """Say before any work what it will cost."""
    settings = result.settings
    a_run = len(result.splits) // settings.runs if settings.evaluation == FOLDS else 1
    names = sorted({one.name for one in result.configurations})
    extra = (f" + {len(learning)} for the learning curve" if learning else "") + (
        f" + {len(season)} for the season" if season else ""
    )
    progress.info(
        tr(
            "{n_main}{extra} trainings: {n_names} classifiers ({names}) x {n_sets} sets of sensors ({sets}) x "
            "{runs} runs x {a_run} trainings. {counts} pixels in {counts2} polygons and {counts3} {split_by}s "
            "are judged. A killed run goes on from its finished trainings."
        ).format(
            n_main=len(main),
            extra=extra,
            n_names=len(names),
            names=", ".join(names),
            n_sets=len(result.sets),
            sets=", ".join("+".join(own) for own in result.sets),
            runs=settings.runs,
            a_run=a_run,
            counts=result.counts["pixels"],
            counts2=result.counts["polygons"],
            counts3=result.counts["groups"],
            split_by=settings.split_by,
        )
    )
    if result.counts["groups"] < _FEW_GROUPS:
        progress.warning(
            tr("Only {counts} {split_by}s are judged: intervals are rough, perhaps too narrow.").format(
                counts=result.counts["groups"], split_by=settings.split_by
            )
        )


def _name_what_is_not_judged(pool: SamplePool, units: np.ndarray, tested: np.ndarray, progress: Progress) -> None:
    present = set(pool.labels.tolist())
    absent = sorted(present - set(pool.labels[tested].tolist()))
    if absent:
        names = ", ".join(pool.nomenclature.names[k] for k in absent)
        progress.warning(tr("Never tested, so left out of the scores (too few groups): {names}.").format(names=names))


class Quiet(Progress):
    """What one of hundreds of trainings may tell: nothing but what is a warning, and asked whether to stop."""

    def __init__(self, inner: Progress) -> None:
        self._inner = inner

    def is_cancelled(self) -> bool:
        return self._inner.is_cancelled()
