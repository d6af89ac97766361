"""The main axes of a network's descriptors among its training pixels, kept in the model.

Descriptors have a hundred dimensions and more; most of what they tell lies in a few. Which, is found by principal
component analysis (Pearson 1901) of training pixels, once, when the model is trained: so every map made with the model
has the same axes, and values of different maps can be compared.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from ..base.errors import LandloomError
from ..base.language import tr

MOST_AXES = 64
PREFIX = "axes"  # of the arrays' names in the model file
_ARRAYS = ("mean", "vectors", "shares", "low", "high", "raw_low", "raw_high")


@dataclass(frozen=True)
class Axes:
    """Main axes of one branch.

    Attributes:
        mean: ``[D]`` of the training pixels.
        vectors: ``[k, D]``, of length 1, the axis that explains most first; the largest entry of each is positive.
        shares: ``[k]`` share of the variance that each explains.
        low, high: ``[k]`` 2nd and 98th percentile of the training pixels on each axis.
        raw_low, raw_high: ``[D]`` the same of the descriptors as they are.
    """

    mean: np.ndarray
    vectors: np.ndarray
    shares: np.ndarray
    low: np.ndarray
    high: np.ndarray
    raw_low: np.ndarray
    raw_high: np.ndarray

    @property
    def length(self) -> int:
        """Length D of the descriptors."""
        return len(self.mean)

    def project(self, descriptors: np.ndarray, dimensions: int) -> np.ndarray:
        """Coordinates on the first axes: ``[D, N]`` -> ``[dimensions, N]`` float32."""
        return self.vectors[:dimensions] @ (descriptors - self.mean[:, None])

    def to_tensors(self) -> dict[str, np.ndarray]:
        """The arrays by name, for a file."""
        return {name: np.asarray(getattr(self, name), np.float32) for name in _ARRAYS}

    @classmethod
    def from_tensors(cls, tensors: dict[str, np.ndarray]) -> Axes:
        """The inverse of :meth:`to_tensors`.

        Raises:
            LandloomError: if arrays are missing or do not fit together.
        """
        try:
            axes = cls(**{name: tensors[name] for name in _ARRAYS})
            count, length = axes.vectors.shape
            shapes = [(length,), (count, length), (count,), (count,), (count,), (length,), (length,)]
            sound = all(
                getattr(axes, name).shape == shape and np.isfinite(getattr(axes, name)).all()
                for name, shape in zip(_ARRAYS, shapes, strict=True)
            )
        except (KeyError, ValueError, TypeError) as error:
            raise LandloomError(
                tr("The axes of the model's descriptors are damaged: train the model again.")
            ) from error
        if not sound or set(tensors) != set(_ARRAYS):
            raise LandloomError(tr("The axes of the model's descriptors are damaged: train the model again."))
        return axes


def fit_axes(descriptors: Iterable[np.ndarray]) -> Axes:
    """Main axes of descriptors.

    Args:
        descriptors: pieces ``[n, D]``; two rows or more in all.
    """
    values = np.concatenate([np.asarray(piece, np.float64) for piece in descriptors])
    mean = values.mean(axis=0)
    centred = values - mean
    variances, vectors = np.linalg.eigh(centred.T @ centred / max(1, len(values) - 1))
    order = np.argsort(variances)[::-1][:MOST_AXES]
    vectors = vectors[:, order].T
    largest = vectors[np.arange(len(vectors)), np.abs(vectors).argmax(axis=1)]
    vectors *= np.where(largest < 0, -1.0, 1.0)[:, None]
    total = max(float(variances.clip(0).sum()), 1e-30)
    low, high = np.percentile(centred @ vectors.T, [2, 98], axis=0)
    raw_low, raw_high = np.percentile(values, [2, 98], axis=0)
    arrays = (mean, vectors, variances[order].clip(0) / total, low, high, raw_low, raw_high)
    return Axes(*(np.asarray(array, np.float32) for array in arrays))


def axes_tensors(axes: dict[str, Axes]) -> dict[str, np.ndarray]:
    """The arrays of all branches, named ``axes.<branch>.<array>``."""
    return {
        f"{PREFIX}.{branch}.{name}": array for branch, own in axes.items() for name, array in own.to_tensors().items()
    }


def axes_from(tensors: dict[str, np.ndarray]) -> dict[str, Axes]:
    """The inverse of :func:`axes_tensors`; other arrays must not be there.

    Raises:
        LandloomError: if an array is missing, too much, or damaged.
    """
    branches: dict[str, dict[str, np.ndarray]] = {}
    for name, array in tensors.items():
        _prefix, _, rest = name.partition(".")
        branch, _, own = rest.rpartition(".")
        branches.setdefault(branch, {})[own] = array
    return {branch: Axes.from_tensors(own) for branch, own in branches.items()}
