"""Which samples train, choose and judge: by the split of the samples, or fold by fold."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ..base.errors import TooFewSamplesError
from ..base.language import tr
from ..samples.splits import TEST, TRAINING, VALIDATION, split_groups
from .settings import GROUPS_FOR_HOLDOUT

if TYPE_CHECKING:
    from .pool import SamplePool

HOLDOUT, FOLDS = "holdout", "folds"
VALIDATION_SHARE = 0.1


class Parts(NamedTuple):
    """Indices of samples.

    Attributes:
        training: to learn from.
        validation: to choose the epoch and the temperature; may be empty.
        test: to judge, once, at the end; never read before.
    """

    training: np.ndarray
    validation: np.ndarray
    test: np.ndarray


def groups_by_class(pool: SamplePool, among: np.ndarray | None = None) -> np.ndarray:
    """``[K]`` number of groups that hold samples of each class, of all samples or of those with the indices given."""
    chosen = slice(None) if among is None else among
    pairs = np.unique(np.stack([pool.labels[chosen], pool.groups[chosen]], axis=1), axis=0)
    return np.bincount(pairs[:, 0], minlength=len(pool.nomenclature))


def choose_evaluation(pool: SamplePool, asked: str) -> str:
    """``holdout`` or ``folds``; ``auto`` takes folds where a class has under about 50 groups (median over classes)."""
    if asked != "auto":
        return asked
    counts = groups_by_class(pool)
    can_fold = len(np.unique(pool.fold)) > 1
    return FOLDS if can_fold and np.median(counts[counts > 0]) < GROUPS_FOR_HOLDOUT else HOLDOUT


def holdout(pool: SamplePool) -> Parts:
    """The parts that were dealt when the samples were extracted.

    Raises:
        LandloomError: if there are no training or no test samples.
    """
    parts = Parts(*(np.flatnonzero(pool.split == part) for part in (TRAINING, VALIDATION, TEST)))
    for name, own in (("training", parts.training), ("test", parts.test)):
        if not len(own):
            raise TooFewSamplesError(
                tr(
                    "EVALUATION is holdout, but the samples have no {name} part: choose folds, or extract the "
                    "samples again with a larger TEST share or more groups."
                ).format(name=name)
            )
    return parts


def folds(pool: SamplePool, seed: int, among: np.ndarray | None = None) -> Iterator[tuple[int, Parts]]:
    """The folds that were dealt when the samples were extracted: each judges once what the others taught.

    The validation groups of a fold are cut from its training groups. A class with one group always trains and is never
    judged: no other group could have taught it.

    Args:
        pool: the samples.
        seed: of the validation groups.
        among: indices of the samples to divide; None = all.

    Yields:
        number of the fold, its parts.

    Raises:
        LandloomError: if there is one fold only.
    """
    chosen = np.arange(len(pool)) if among is None else np.sort(among)
    fold, groups = pool.fold[chosen], pool.groups[chosen]
    numbers = np.unique(fold)
    if len(numbers) < 2:
        raise TooFewSamplesError(
            tr(
                "The samples to divide lie in one fold: choose EVALUATION holdout without FOLD_NETWORKS, or extract "
                "the samples again with FOLDS 2 or more."
            )
        )
    lonely = groups_by_class(pool, chosen)[pool.labels[chosen]] < 2
    lonely = np.isin(groups, groups[lonely])  # the whole group, which may hold other classes, too
    for number in numbers:
        test = chosen[(fold == number) & ~lonely]
        if len(test):
            rest = chosen[(fold != number) | lonely]
            yield int(number), Parts(*cut_validation(pool.labels, pool.groups, rest, seed + int(number)), test)


def cut_validation(
    labels: np.ndarray, groups: np.ndarray, indices: np.ndarray, seed: int, share: float = VALIDATION_SHARE
) -> tuple[np.ndarray, np.ndarray]:
    """Cut validation groups from training samples, the same share of the groups of each class where that is possible.

    Args:
        labels: ``[N]`` of all samples.
        groups: ``[N]`` of all samples.
        indices: samples to divide.
        seed: the same seed divides alike.
        share: of the groups for validation.

    Returns:
        training and validation indices; a class with one group trains.
    """
    part = split_groups(labels[indices], groups[indices], validation=share, test=0.0, seed=seed)
    return indices[part == TRAINING], indices[part == VALIDATION]
