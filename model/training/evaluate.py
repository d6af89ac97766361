"""Scores on samples that a model has not seen: per pixel, and per polygon by the mean probability of its pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..base.metrics import Scores, confusion_matrix, scores

if TYPE_CHECKING:
    from .pool import SamplePool


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
        calibration_error: expected calibration error over 15 equal bins of confidence (Guo et al. 2017), 0..1.
    """

    pixel: Scores
    pixel_matrix: np.ndarray
    polygon: Scores
    polygon_matrix: np.ndarray
    pixels: int
    polygons: int
    groups: int
    absent: tuple[int, ...]
    calibration_error: float

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
        }


def evaluate(pool: SamplePool, indices: np.ndarray, probabilities: np.ndarray) -> Evaluation:
    """Judge predictions.

    Args:
        pool: the samples.
        indices: ``[n]``, those that were predicted.
        probabilities: ``[n, K]``.

    Raises:
        ValueError: if there are none.
    """
    if not len(indices):
        raise ValueError("there is nothing to judge")
    labels, classes = pool.labels[indices], len(pool.nomenclature)
    predicted = probabilities.argmax(axis=1)
    matrix = confusion_matrix(labels, predicted, classes)
    own_labels, means = by_polygon(pool.polygons[indices], labels, probabilities)
    polygon_matrix = confusion_matrix(own_labels, means.argmax(axis=1), classes)
    return Evaluation(
        pixel=scores(matrix),
        pixel_matrix=matrix,
        polygon=scores(polygon_matrix),
        polygon_matrix=polygon_matrix,
        pixels=len(indices),
        polygons=len(own_labels),
        groups=len(np.unique(pool.groups[indices])),
        absent=tuple(int(k) for k in np.flatnonzero(matrix.sum(axis=1) == 0)),
        calibration_error=calibration_error(probabilities.max(axis=1), predicted == labels),
    )


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


def calibration_error(confidence: np.ndarray, right: np.ndarray, bins: int = 15) -> float:
    """Expected calibration error: mean distance of confidence and accuracy over equal bins, weighted by their size."""
    if not len(confidence):
        return float("nan")
    place = np.minimum((confidence * bins).astype(int), bins - 1)
    count = np.bincount(place, minlength=bins)
    gap = np.abs(np.bincount(place, confidence, bins) - np.bincount(place, right.astype(float), bins))
    return float(gap[count > 0].sum() / count.sum())


def softmax(logits: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    """Probabilities from logits along the last axis."""
    scaled = np.asarray(logits, dtype=np.float64) / temperature
    scaled -= scaled.max(axis=-1, keepdims=True)
    powers = np.exp(scaled)
    return powers / powers.sum(axis=-1, keepdims=True)


def fit_temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """The temperature by which an ensemble's probabilities fit best (Guo et al. 2017), found by golden section.

    Args:
        logits: ``[M, n, K]`` of the members, on samples that none has learnt from.
        labels: ``[n]``.

    Returns:
        a value in 0.25..4; 1 with fewer than 20 samples.
    """
    if len(labels) < 20:
        return 1.0
    rows = np.arange(len(labels))

    def loss(log_temperature: float) -> float:
        mean = softmax(logits, float(np.exp(log_temperature))).mean(axis=0)
        return float(-np.log(np.maximum(mean[rows, labels], 1e-12)).mean())

    low, high = np.log(0.25), np.log(4.0)
    ratio = (np.sqrt(5) - 1) / 2
    for _ in range(30):
        left, right = high - ratio * (high - low), low + ratio * (high - low)
        if loss(left) <= loss(right):
            high = right
        else:
            low = left
    return float(np.exp((low + high) / 2))
