"""Scores on samples that a model has not seen: per pixel, and per polygon by the mean probability of its pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..base.calibration import Calibration, calibration_error
from ..base.levels import Levels
from ..base.metrics import Scores, confusion_matrix, scores

if TYPE_CHECKING:
    from .pool import SamplePool


MOST_CONFUSIONS = 10
MOST_POLYGONS = 6


@dataclass(frozen=True)
class LevelScores:
    """Scores of the coarser classes of a level.

    Attributes:
        level: 1 for the coarsest.
        names: of its classes.
        pixel, polygon: scores per pixel and per polygon.
        calibration_error: expected calibration error of the summed probabilities, 0..1.
    """

    level: int
    names: tuple[str, ...]
    pixel: Scores
    polygon: Scores
    calibration_error: float

    def to_json(self) -> dict[str, Any]:
        """A dictionary that JSON can hold."""
        return {
            "level": self.level,
            "names": list(self.names),
            "pixel": self.pixel.to_json(),
            "polygon": self.polygon.to_json(),
            "calibration_error": self.calibration_error,
        }


@dataclass(frozen=True)
class Confusion:
    """Pixels of one class that were mapped as another.

    Attributes:
        reference, predicted: indices of the classes.
        pixels: so many.
        share: of the judged pixels of the reference class, 0..1.
        polygons: where: (sample folder 0.., polygon as POINTS names it, wrong pixels, judged pixels) of the polygons
            with most of them.
        polygon_count: in so many polygons.
    """

    reference: int
    predicted: int
    pixels: int
    share: float
    polygons: tuple[tuple[int, int, int, int], ...]
    polygon_count: int

    def to_json(self) -> dict[str, Any]:
        """A dictionary that JSON can hold."""
        return {
            "reference": self.reference,
            "predicted": self.predicted,
            "pixels": self.pixels,
            "share": self.share,
            "polygons": [list(one) for one in self.polygons],
            "polygon_count": self.polygon_count,
        }


@dataclass(frozen=True)
class Evaluation:
    """How good a classification is.

    Attributes:
        pixel: scores per pixel.
        pixel_matrix: ``[K, K]``, rows the reference.
        polygon: scores per polygon; the class of a polygon is that of the highest mean probability of its pixels.
        polygon_matrix: ``[K, K]``.
        pixels, polygons, groups: how many were judged.
        absent: indices of the classes without a judged sample, which are left out of all means.
        calibration: of the confidence of the pixels.
        uncalibrated: the same before the temperature was applied, where it is known.
        levels: scores at each coarser level, level 1 first, with the probabilities summed up the tree.
        confusions: the pairs of classes confused most often.
    """

    pixel: Scores
    pixel_matrix: np.ndarray
    polygon: Scores
    polygon_matrix: np.ndarray
    pixels: int
    polygons: int
    groups: int
    absent: tuple[int, ...]
    calibration: Calibration
    uncalibrated: Calibration | None = None
    levels: tuple[LevelScores, ...] = ()
    confusions: tuple[Confusion, ...] = ()

    @property
    def calibration_error(self) -> float:
        """Expected calibration error, 0..1."""
        return self.calibration.error

    def to_json(self) -> dict[str, Any]:
        """A dictionary that JSON can hold."""
        return {
            "pixel": self.pixel.to_json(),
            "pixel_matrix": np.asarray(self.pixel_matrix).astype(int).tolist(),
            "polygon": self.polygon.to_json(),
            "polygon_matrix": np.asarray(self.polygon_matrix).astype(int).tolist(),
            "pixels": self.pixels,
            "polygons": self.polygons,
            "groups": self.groups,
            "absent": list(self.absent),
            "calibration_error": self.calibration_error,
            "calibration": self.calibration.to_json(),
            "uncalibrated": None if self.uncalibrated is None else self.uncalibrated.to_json(),
            "levels": [one.to_json() for one in self.levels],
            "confusions": [one.to_json() for one in self.confusions],
        }


def evaluate(
    pool: SamplePool, indices: np.ndarray, probabilities: np.ndarray, uncalibrated: np.ndarray | None = None
) -> Evaluation:
    """Judge predictions.

    Args:
        pool: the samples.
        indices: ``[n]``, those that were predicted.
        probabilities: ``[n, K]``.
        uncalibrated: ``[n, K]``, the same before temperature scaling.

    Raises:
        ValueError: if there are none.
    """
    if not len(indices):
        raise ValueError("there is nothing to judge")
    labels, classes = pool.labels[indices], len(pool.nomenclature)
    levels = Levels(pool.nomenclature)
    predicted = levels.choose(probabilities.T).chosen
    matrix = confusion_matrix(labels, predicted, classes)
    own_labels, means = by_polygon(pool.polygons[indices], labels, probabilities)
    polygon_matrix = confusion_matrix(own_labels, levels.choose(means.T).chosen, classes)
    before = None
    if uncalibrated is not None:
        before = Calibration.of(uncalibrated, labels, levels.choose(uncalibrated.T).chosen)
    return Evaluation(
        pixel=scores(matrix),
        pixel_matrix=matrix,
        polygon=scores(polygon_matrix),
        polygon_matrix=polygon_matrix,
        pixels=len(indices),
        polygons=len(own_labels),
        groups=len(np.unique(pool.groups[indices])),
        absent=tuple(int(k) for k in np.flatnonzero(matrix.sum(axis=1) == 0)),
        calibration=Calibration.of(probabilities, labels, predicted),
        uncalibrated=before,
        levels=tuple(
            _level_scores(levels, level, labels, probabilities, own_labels, means)
            for level in range(1, levels.count + 1)
        ),
        confusions=_confusions(pool, indices, predicted, matrix),
    )


def _level_scores(
    levels: Levels,
    level: int,
    labels: np.ndarray,
    probabilities: np.ndarray,
    polygon_labels: np.ndarray,
    polygon_means: np.ndarray,
) -> LevelScores:
    names, parents = levels.nomenclature(level).names, levels.parents(level)
    chosen, confidence = levels.choose(probabilities.T, level)
    of_polygons = levels.choose(polygon_means.T, level).chosen
    return LevelScores(
        level,
        names,
        scores(confusion_matrix(parents[labels], chosen, len(names))),
        scores(confusion_matrix(parents[polygon_labels], of_polygons, len(names))),
        calibration_error(confidence, chosen == parents[labels]),
    )


def _confusions(
    pool: SamplePool, indices: np.ndarray, predicted: np.ndarray, matrix: np.ndarray
) -> tuple[Confusion, ...]:
    """The most frequent pairs of classes confused, with the polygons that hold most of these pixels."""
    wrong = matrix.copy()
    np.fill_diagonal(wrong, 0)
    labels, found = pool.labels[indices], []
    judged = np.bincount(pool.polygons[indices])
    for place in np.argsort(-wrong, axis=None, kind="stable")[:MOST_CONFUSIONS]:
        reference, mapped = divmod(int(place), len(matrix))
        if not wrong[reference, mapped]:
            break
        own = indices[(labels == reference) & (predicted == mapped)]
        numbers, first, counts = np.unique(pool.polygons[own], return_index=True, return_counts=True)
        places = []
        for k in np.argsort(-counts, kind="stable")[:MOST_POLYGONS]:
            part = int(pool.part[own[first[k]]])
            name = int(pool.stores[part].polygons[own[first[k]] - pool.first(part)])
            places.append((part, name, int(counts[k]), int(judged[numbers[k]])))
        count = int(wrong[reference, mapped])
        share = count / float(matrix[reference].sum())
        found.append(Confusion(reference, mapped, count, share, tuple(places), len(numbers)))
    return tuple(found)


def by_polygon(polygons: np.ndarray, labels: np.ndarray, probabilities: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean probabilities of the pixels of each polygon.

    Args:
        polygons: ``[n]``; pixels of one polygon with different labels count as different polygons.
        labels: ``[n]``.
        probabilities: ``[n, K]``.

    Returns:
        labels ``[P]`` and mean probabilities ``[P, K]``.
    """
    pairs, own = np.unique(np.stack([polygons, labels], axis=1), axis=0, return_inverse=True)
    own = own.reshape(-1)
    sums = np.zeros((len(pairs), probabilities.shape[1]))
    np.add.at(sums, own, probabilities)
    return pairs[:, 1], sums / np.bincount(own)[:, None]
