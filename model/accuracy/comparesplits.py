"""Which groups train, choose and judge in each run of a comparison: the same for all that is compared."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ..base.errors import LandloomError
from ..base.language import tr
from ..samples.extraction import metric_scale
from ..samples.splits import TEST, block_units, split_groups, stratified_group_folds
from ..stack.grid import Grid
from ..training.folds import Parts, cut_validation, holdout
from .comparesettings import BLOCK, FOLDS, HOLDOUT, CompareSettings

if TYPE_CHECKING:
    from ..samples.store import SampleStore
    from ..training.pool import SamplePool


class Split(NamedTuple):
    """One training and its test.

    Attributes:
        run: 0, 1, ...
        fold: within the run.
        parts: indices of samples.
        ratio: groups of the test over those that teach (training and validation).
    """

    run: int
    fold: int
    parts: Parts
    ratio: float

    @property
    def learn(self) -> np.ndarray:
        """The samples that the test may know nothing of: training and validation."""
        return np.sort(np.concatenate([self.parts.training, self.parts.validation]))


def units_of(pool: SamplePool, settings: CompareSettings) -> np.ndarray:
    """``[N]`` what is never split, and what the bootstrap draws: groups, or square blocks of them.

    Raises:
        LandloomError: if blocks are asked for but the samples have no coordinates.
    """
    if settings.split_by != BLOCK:
        return pool.groups
    blocks = np.zeros(len(pool), np.int64)
    systems = [store.crs_wkt for store in pool.stores]
    for system in dict.fromkeys(systems):
        if not system:
            raise LandloomError(
                tr("SPLIT_BY is block, but the samples have no coordinates: choose group, or extract them again.")
            )
        # Groups that lie in several folders of a CRS are one: all their samples have a say in where they lie.
        own = np.isin(pool.part, [part for part, other in enumerate(systems) if other == system])
        stores = [store for store, other in zip(pool.stores, systems, strict=True) if other == system]
        x, y = (np.concatenate([getattr(store, axis) for store in stores]) for axis in ("x", "y"))
        scale = _scale(stores[0], x, y)
        blocks[own] = blocks.max() + 1 + block_units(x, y, pool.groups[own], settings.block_size, scale)
    return blocks


def _scale(store: SampleStore, x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """Metres per unit of x and y at the samples."""
    west, north = float(x.min()), float(y.max())
    size = max(1, math.ceil(north - float(y.min())))
    return metric_scale(Grid(store.crs_wkt, (west, 1.0, 0.0, north, 0.0, -1.0), 1, size))


def deal(pool: SamplePool, units: np.ndarray, settings: CompareSettings) -> list[Split]:
    """The splits of all runs, from the seed of each; a class with one unit always trains and is never judged.

    Raises:
        LandloomError: if nothing can be judged, or if a unit would lie in two parts.
    """
    splits = []
    if len(np.unique(units)) < 2:
        raise LandloomError(
            tr(
                "All samples lie in one {split_by}: nothing independent is left to judge. Give more reference data"
            ).format(split_by=settings.split_by)
            + (tr(" or a smaller BLOCK_SIZE.") if settings.split_by == BLOCK else ".")
        )
    pairs = np.unique(np.stack([pool.labels, units], axis=1), axis=0)
    lonely = np.bincount(pairs[:, 0], minlength=len(pool.nomenclature))[pool.labels] < 2
    # A unit in which a class without another unit lies is kept whole, so that it is never on both sides.
    lonely = np.isin(units, units[lonely])
    for run in range(settings.runs):
        seed = settings.seed + run
        if settings.evaluation == FOLDS:
            count = min(settings.folds, len(np.unique(units)))
            number = stratified_group_folds(pool.labels, units, count, seed)
            tests = [np.flatnonzero((number == fold) & ~lonely) for fold in range(count)]
        elif settings.evaluation == HOLDOUT:
            part = split_groups(pool.labels, units, validation=0.0, test=settings.test, seed=seed)
            tests = [np.flatnonzero((part == TEST) & ~lonely)]
        else:
            splits.append(_checked(run, 0, holdout(pool), units))
            continue
        for fold, test in enumerate(tests):
            if len(test):
                rest = np.setdiff1d(np.arange(len(pool)), test)
                training, validation = cut_validation(pool.labels, units, rest, seed + fold)
                splits.append(_checked(run, fold, Parts(training, validation, test), units))
    if not splits:
        raise LandloomError(
            tr(
                "No class has two {split_by}s, so nothing can be judged: add reference polygons, and see "
                "whether CLASS_FIELD of 'Extract samples' was the field of the class."
            ).format(split_by=settings.split_by)
        )
    return splits


def _checked(run: int, fold: int, parts: Parts, units: np.ndarray) -> Split:
    """The split, after making sure that no unit lies in two of its parts."""
    training, validation, test = (np.unique(units[own]) for own in parts)
    shared = np.concatenate(
        [np.intersect1d(training, test), np.intersect1d(validation, test), np.intersect1d(training, validation)]
    )
    if len(shared):
        raise LandloomError(
            tr(
                "{n_shared} groups (such as {shared}) lie in two parts, so that the test would know what it "
                "judges: choose EVALUATION folds, or extract the samples again with a SPLIT_FIELD that agrees "
                "with the groups."
            ).format(n_shared=len(shared), shared=shared[0])
        )
    return Split(run, fold, parts, len(test) / max(1, len(training) + len(validation)))


def part_of_learning(pool: SamplePool, units: np.ndarray, split: Split, share: float, seed: int) -> Split:
    """The split with a share of the units that teach; a larger share holds the smaller ones. The test is the same."""
    learn = split.learn
    random = np.random.default_rng([seed, split.run, split.fold])
    kept: set[int] = set()
    for label in np.unique(pool.labels[learn]):
        own = random.permutation(np.unique(units[learn[pool.labels[learn] == label]]))
        kept.update(own[: max(1, math.ceil(share * len(own)))].tolist())
    fewer = learn[np.isin(units[learn], list(kept))]
    training, validation = cut_validation(pool.labels, units, fewer, seed + split.run + split.fold)
    return _checked(split.run, split.fold, Parts(training, validation, split.parts.test), units)
