"""Confusion matrices and the scores drawn from them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Scores:
    """Accuracy of a classification; undefined values are NaN and enter no mean.

    Attributes:
        overall_accuracy: share of samples whose class is right, 0..1.
        kappa: Cohen's kappa (Cohen 1960), agreement beyond chance.
        macro_f1: mean F1 of the classes that occur in the reference.
        weighted_f1: mean F1 weighted by reference counts.
        precision, recall, f1, support: ``[K]``, by class (support: reference counts).
    """

    overall_accuracy: float
    kappa: float
    macro_f1: float
    weighted_f1: float
    precision: np.ndarray
    recall: np.ndarray
    f1: np.ndarray
    support: np.ndarray

    def to_json(self) -> dict[str, Any]:
        """A dictionary that JSON can hold; NaN becomes None."""

        def plain(value: Any) -> Any:
            if isinstance(value, np.ndarray):
                return [plain(one) for one in value.tolist()]
            return None if isinstance(value, float) and not np.isfinite(value) else value

        return {key: plain(getattr(self, key)) for key in self.__dataclass_fields__}


def confusion_matrix(
    reference: np.ndarray, predicted: np.ndarray, classes: int, weights: np.ndarray | None = None
) -> np.ndarray:
    """Count pairs of classes.

    Args:
        reference: ``[N]`` class indices 0..classes-1.
        predicted: ``[N]`` class indices 0..classes-1.
        classes: number of classes K.
        weights: ``[N]``, 1 each by default.

    Returns:
        ``[K, K]``, rows the reference, columns the prediction.

    Raises:
        ValueError: if an index is outside 0..K-1 or the lengths differ.
    """
    reference, predicted = np.asarray(reference), np.asarray(predicted)
    if reference.shape != predicted.shape:
        raise ValueError("reference and prediction differ in length")
    for values in (reference, predicted):
        if values.size and (values.min() < 0 or values.max() >= classes):
            raise ValueError(f"a class index is outside 0..{classes - 1}")
    flat = reference.astype(np.int64) * classes + predicted.astype(np.int64)
    counts = np.bincount(flat.ravel(), weights=None if weights is None else np.ravel(weights), minlength=classes**2)
    return counts.reshape(classes, classes)


def scores(matrix: np.ndarray) -> Scores:
    """Scores of a confusion matrix ``[K, K]`` whose rows are the reference."""
    plain: dict[str, Any] = {
        name: float(value) if value.ndim == 0 else value for name, value in score_arrays(matrix).items()
    }
    return Scores(**plain)


def score_arrays(matrices: np.ndarray) -> dict[str, np.ndarray]:
    """Scores of many confusion matrices at once.

    Args:
        matrices: ``[..., K, K]``, rows the reference.

    Returns:
        the attributes of :class:`Scores`: arrays ``[...]``, those by class ``[..., K]``; NaN where undefined.
    """
    matrices = np.asarray(matrices, dtype=np.float64)
    total = matrices.sum(axis=(-2, -1))
    right = np.diagonal(matrices, axis1=-2, axis2=-1)
    support, mapped = matrices.sum(axis=-1), matrices.sum(axis=-2)
    present = support > 0
    with np.errstate(divide="ignore", invalid="ignore"):
        recall = np.where(present, right / support, np.nan)
        precision = np.where(mapped > 0, right / mapped, np.nan)
        # F1 = 2 TP / (2 TP + FP + FN): defined, and 0, for a class that is never predicted.
        f1 = np.where(present, 2 * right / (support + mapped), np.nan)
        known = np.where(present, f1, 0.0)
        accuracy = right.sum(axis=-1) / total
        chance = (support * mapped).sum(axis=-1) / total**2
        kappa = np.where(chance != 1, (accuracy - chance) / (1 - chance), np.nan)
        macro_f1 = known.sum(axis=-1) / present.sum(axis=-1)
        weighted_f1 = (known * support).sum(axis=-1) / total
    return {
        "overall_accuracy": accuracy,
        "kappa": kappa,
        "macro_f1": macro_f1,
        "weighted_f1": weighted_f1,
        "precision": precision,
        "recall": recall,
        "f1": f1,
        "support": support,
    }
