"""Which objects teach and which are judged, the same for every classifier of objects."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ..base.errors import LandloomError
from ..base.language import tr
from ..base.nomenclature import Nomenclature, listed
from ..base.progress import Progress
from ..samples.splits import stratified_group_folds
from .objectmatching import Matched


@dataclass
class Divided:
    """Objects dealt to folds.

    Attributes:
        fold: ``[m]`` number of each object's fold; negative for objects that always teach and are never judged.
        lonely: ``[m]`` objects that always teach and are never judged: those of the groups that hold a class which no
            other group has, since nothing else could teach that class.
        warnings: what the reader should know.
    """

    fold: np.ndarray
    lonely: np.ndarray
    warnings: tuple[str, ...]

    @classmethod
    def of(
        cls,
        matched: Matched,
        nomenclature: Nomenclature,
        folds: int,
        seed: int,
        progress: Progress,
        fold: np.ndarray | None = None,
    ) -> Divided:
        """Deal whole groups to ``folds`` folds, alike for equal objects and seeds, or take ``fold`` ``[m]`` as it is.

        Raises:
            LandloomError: if nothing can be judged.
        """
        labels, groups = matched.labels, matched.groups
        pairs = np.unique(np.stack([labels, groups], axis=1), axis=0)
        alone = np.bincount(pairs[:, 0], minlength=len(nomenclature)) < 2
        lonely = np.isin(groups, groups[alone[labels]])
        count = min(folds, len(np.unique(groups)))
        warnings: list[str] = []
        if alone[labels].any():
            names = listed([nomenclature.names[k] for k in np.unique(labels[alone[labels]])])
            warnings.append(
                tr(
                    "With objects of one group only, so that they train and are left out of the scores: {names}."
                ).format(names=names)
            )
            beside = int(np.count_nonzero(lonely & ~alone[labels]))
            if beside:
                warnings.append(
                    tr(
                        "Only {judged} of {total} objects are judged: {beside} more are of groups that hold such a "
                        "class, too. Reference features that share a segment are one group."
                    ).format(judged=int(np.count_nonzero(~lonely)), total=len(labels), beside=beside)
                )
            for one in warnings:
                progress.warning(one)
        if count < 2 or lonely.all():
            raise LandloomError(
                tr(
                    "No class has objects of two groups, so nothing can be judged. Reference features that share a "
                    "segment are one group: add reference polygons, or make smaller segments."
                )
            )
        if fold is None:
            fold = stratified_group_folds(labels, groups, count, seed)
        return cls(fold, lonely, tuple(warnings))

    def parts(self, labels: np.ndarray, classes: int) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
        """Number of each fold that can judge, which objects teach ``[m]`` and which are judged ``[m]``, bool."""
        for number in np.unique(self.fold[self.fold >= 0]).tolist():
            test = (self.fold == number) & ~self.lonely
            train = (self.fold != number) | self.lonely
            if test.any() and np.count_nonzero(np.bincount(labels[train], minlength=classes)) > 1:
                yield number, train, test
