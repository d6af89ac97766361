"""Which groups train, which validate, which test; and folds. What belongs to one group never lies in two parts.

Parts and folds are made once, when samples are extracted, and kept in the sample store, so that every network is
trained and judged on the same ones.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..base.errors import LandloomError
from ..base.language import tr
from ..base.nomenclature import listed

TRAINING, VALIDATION, TEST = 0, 1, 2
PART_NAMES = ("training", "validation", "test")

_WORDS = {
    TRAINING: {"training", "train", "learning", "learn", "apprentissage", "entrainement", "calibration", "app"},
    VALIDATION: {"validation", "valid", "val", "dev"},
    TEST: {"test", "testing", "tests", "evaluation", "eval"},
}


def split_groups(
    labels: Sequence[int] | np.ndarray,
    groups: Sequence[int] | np.ndarray,
    validation: float = 0.2,
    test: float = 0.2,
    seed: int = 0,
) -> np.ndarray:
    """Deal whole groups to training, validation and test, class by class.

    A class with one group is for training only, with two for training and test, with three or more for all three.
    Shares count groups, not samples. Where a group holds several classes the rule may be impossible to keep for all
    of them; then as few classes as a local search finds are absent from a part (see :func:`absent_classes`).

    Args:
        labels: ``[N]`` class index of each sample (or of each group, given once).
        groups: ``[N]`` group of each sample.
        validation: share of the groups of a class for validation, 0 to 1; 0 for none.
        test: share for the test; 0 for none.
        seed: the same seed deals alike, whatever the order of the samples.

    Returns:
        ``[N]`` uint8 of TRAINING, VALIDATION, TEST.

    Raises:
        LandloomError: if the shares leave nothing to train on.
    """
    if not (0 <= validation < 1 and 0 <= test < 1 and validation + test < 1):
        raise LandloomError(
            tr(
                "VALIDATION is {validation:g} and TEST {test:g}: both must be 0 or more and leave a share for training."
            ).format(validation=validation, test=test)
        )
    members, inverse, _ = _members(labels, groups)
    rng = np.random.default_rng(seed)
    part = np.full(inverse.max(initial=-1) + 1, -1, np.int8)
    quotas = {label: _quota(len(own), validation, test) for label, own in members.items()}
    for label in sorted(members, key=lambda one: (len(members[one]), one)):
        own = rng.permutation(members[label])
        free = [group for group in own if part[group] < 0]
        if free and not np.any(part[own] == TRAINING):
            part[free.pop(0)] = TRAINING
        for target in (TEST, VALIDATION):
            missing = quotas[label][target] - int(np.sum(part[own] == target))
            for group in free[: max(missing, 0)]:
                part[group] = target
            free = free[max(missing, 0) :]
        part[free] = TRAINING
    _repair(part, members, quotas)
    return part[inverse].astype(np.uint8)


def stratified_group_folds(
    labels: Sequence[int] | np.ndarray, groups: Sequence[int] | np.ndarray, n_folds: int, seed: int = 0
) -> np.ndarray:
    """Deal whole groups to folds so that each class has about as many groups in each.

    For groups of one class the numbers of its groups in two folds differ by one at most; among folds that have
    equally few, the one with the fewest samples of the class is taken.

    Returns:
        ``[N]`` int16, 0..n_folds-1.

    Raises:
        LandloomError: if there are fewer groups than folds.
    """
    members, inverse, sizes = _members(labels, groups)
    n_groups = inverse.max(initial=-1) + 1
    if n_folds < 1 or n_folds > max(n_groups, 1):
        raise LandloomError(
            tr("FOLDS is {n_folds}, but there are {n_groups} groups: choose 1 to {n_groups} folds.").format(
                n_folds=n_folds, n_groups=n_groups
            )
        )
    rng = np.random.default_rng(seed)
    fold = np.full(n_groups, -1, np.int16)
    total = np.zeros(n_folds)
    for label in sorted(members, key=lambda one: (len(members[one]), one)):
        own = rng.permutation(members[label])
        own = own[np.argsort(-sizes[own], kind="stable")]
        placed = own[fold[own] >= 0]
        count = np.bincount(fold[placed], minlength=n_folds).astype(float)
        weight = np.bincount(fold[placed], weights=sizes[placed], minlength=n_folds)
        for group in own[fold[own] < 0]:
            best = min(range(n_folds), key=lambda k: (count[k], weight[k], total[k], k))
            fold[group] = best
            count[best] += 1
            weight[best] += sizes[group]
            total[best] += sizes[group]
    return fold[inverse]


def block_units(
    x: np.ndarray, y: np.ndarray, groups: np.ndarray, block_size: float, scale: tuple[float, float] = (1.0, 1.0)
) -> np.ndarray:
    """The square block in which the middle of each sample's group lies: groups of a block stay together.

    Args:
        x: ``[N]`` coordinates in the stack's CRS.
        y: ``[N]``.
        groups: ``[N]``.
        block_size: side of a block, metres.
        scale: metres per unit of x and of y.

    Returns:
        ``[N]`` int64, 0..number of blocks-1.

    Raises:
        LandloomError: if the size is not positive.
    """
    if not block_size > 0:
        raise LandloomError(
            tr("BLOCK_SIZE is {block_size:g}; give the side of a block in metres, above 0.").format(
                block_size=block_size
            )
        )
    _, inverse = np.unique(groups, return_inverse=True)
    count = np.bincount(inverse)
    columns = np.floor(np.bincount(inverse, weights=x) / count * scale[0] / block_size)
    rows = np.floor(np.bincount(inverse, weights=y) / count * scale[1] / block_size)
    _, block = np.unique(np.stack([rows, columns], 1), axis=0, return_inverse=True)
    return block.reshape(-1).astype(np.int64)[inverse]


def part_of(value: Any) -> int:
    """The part that a text such as ``Training``, ``apprentissage`` or ``TEST`` names.

    Raises:
        LandloomError: if it names none.
    """
    plain = unicodedata.normalize("NFKD", str(value if value is not None else "")).encode("ascii", "ignore").decode()
    word = plain.strip().lower()
    for part, words in _WORDS.items():
        if word in words:
            return part
    raise LandloomError(
        tr(
            "'{value}' names no part: SPLIT_FIELD must hold training, validation or test (apprentissage, "
            "validation, test in French)."
        ).format(value=value)
    )


def absent_classes(labels: np.ndarray, split: np.ndarray, names: Sequence[str]) -> list[str]:
    """A sentence for each part in which classes are absent, though other samples lie there."""
    sentences = []
    for part, part_name in enumerate(PART_NAMES):
        present = np.unique(labels[split == part])
        if part != TRAINING and not len(present):
            continue
        absent = [name for index, name in enumerate(names) if index not in present]
        if absent:
            effect = tr("cannot be learnt") if part == TRAINING else tr("is left out of its scores")
            sentences.append(
                tr("Absent from the {part_name} part, so that it {effect}: {absent}.").format(
                    part_name=part_name, effect=effect, absent=listed(absent)
                )
            )
    return sentences


def _members(
    labels: Sequence[int] | np.ndarray, groups: Sequence[int] | np.ndarray
) -> tuple[dict[int, np.ndarray], np.ndarray, np.ndarray]:
    """Groups (numbered in sorted order) of each class, each sample's group number, and samples a group."""
    labels, groups = np.asarray(labels), np.asarray(groups)
    if labels.shape != groups.shape:
        raise LandloomError(
            tr("There are {n_labels} labels but {n_groups} groups: give one group a sample.").format(
                n_labels=len(labels), n_groups=len(groups)
            )
        )
    _, inverse = np.unique(groups, return_inverse=True)
    inverse = inverse.reshape(-1)
    pairs = np.unique(np.stack([labels.astype(np.int64), inverse], 1), axis=0)
    members = {int(label): pairs[pairs[:, 0] == label, 1] for label in np.unique(pairs[:, 0])}
    return members, inverse, np.bincount(inverse)


def _quota(n_groups: int, validation: float, test: float) -> dict[int, int]:
    """How many groups of a class should validate and test."""
    if n_groups < 2:
        return {TEST: 0, VALIDATION: 0}
    if n_groups == 2:
        return {TEST: int(test > 0), VALIDATION: int(test == 0 and validation > 0)}
    n_test = max(1, round(n_groups * test)) if test > 0 else 0
    n_validation = max(1, round(n_groups * validation)) if validation > 0 else 0
    while n_test + n_validation > n_groups - 1:
        if n_test >= n_validation:
            n_test -= 1
        else:
            n_validation -= 1
    return {TEST: n_test, VALIDATION: n_validation}


def _repair(part: np.ndarray, members: dict[int, np.ndarray], quotas: dict[int, dict[int, int]]) -> None:
    """Move single groups to other parts while that lessens the number of (class, part) pairs that lack a group."""
    classes_of: dict[int, list[int]] = {}
    for label, own in members.items():
        for group in own:
            classes_of.setdefault(int(group), []).append(label)
    if all(len(classes) == 1 for classes in classes_of.values()):
        return

    def lacking(label: int) -> int:
        own = part[members[label]]
        wanted = [TRAINING, *(target for target, quota in quotas[label].items() if quota)]
        return sum(not np.any(own == target) for target in wanted)

    for _ in range(3):
        moved = False
        for label in sorted(members):
            if not lacking(label):
                continue
            for group in members[label]:
                concerned = classes_of[int(group)]
                before, old = sum(lacking(one) for one in concerned), part[group]
                for target in (TRAINING, TEST, VALIDATION):
                    part[group] = target
                    if sum(lacking(one) for one in concerned) < before:
                        moved = True
                        break
                else:
                    part[group] = old
                if not lacking(label):
                    break
        if not moved:
            return
