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
    matrix = np.asarray(matrix, dtype=np.float64)
    total = matrix.sum()
    right, support, mapped = np.diag(matrix), matrix.sum(axis=1), matrix.sum(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        recall = np.where(support > 0, right / support, np.nan)
        precision = np.where(mapped > 0, right / mapped, np.nan)
        # F1 = 2 TP / (2 TP + FP + FN): defined, and 0, for a class that is never predicted.
        f1 = np.where(support > 0, 2 * right / (support + mapped), np.nan)
        accuracy = right.sum() / total if total else np.nan
        chance = (support * mapped).sum() / total**2 if total else np.nan
        kappa = (accuracy - chance) / (1 - chance) if chance != 1 else np.nan
    present = support > 0
    return Scores(
        overall_accuracy=float(accuracy),
        kappa=float(kappa),
        macro_f1=float(f1[present].mean()) if present.any() else float("nan"),
        weighted_f1=float((f1[present] * support[present]).sum() / total) if total else float("nan"),
        precision=precision,
        recall=recall,
        f1=f1,
        support=support,
    )
