"""Which of many pixels to label next: uncertain ones, in places alike within, unlike each other and apart.

Labelling what a model is sure of teaches it little; labelling the most uncertain pixels alone gives many of one kind
side by side. Both are weighed as in k-means++ (Arthur and Vassilvitskii 2007): each next place is drawn with a chance
in proportion to its uncertainty and to the squared distance of its descriptors from those already chosen, which is the
idea of BADGE (Ash et al. 2020, arXiv 1906.03671) without gradients.
"""

from __future__ import annotations

import numpy as np

METHODS = ("margin", "entropy")
SHARPNESS = 2.0
"""Power of the uncertainty in the weight: 0 draws at random, large values draw the most uncertain only."""
FLOOR = 0.01
"""What a pixel of which the model is certain counts as: it is drawn where there is no better one."""


def weight(unsure: np.ndarray) -> np.ndarray:
    """How much a pixel is worth, by its uncertainty."""
    return np.maximum(unsure, FLOOR) ** SHARPNESS


def uncertainty(probabilities: np.ndarray, method: str) -> np.ndarray:
    """How unsure a model is, 0 (sure) to 1.

    Args:
        probabilities: ``[K, ...]``, summing to 1.
        method: ``margin``, 1 - (highest - second), or ``entropy``, the entropy divided by that of equal shares.
    """
    if len(probabilities) < 2:
        return np.zeros(probabilities.shape[1:])
    if method == "entropy":
        shares = np.clip(probabilities, 1e-12, 1.0).astype(np.float64)
        return -(shares * np.log(shares)).sum(axis=0) / np.log(len(shares))
    two = np.partition(probabilities, -2, axis=0)[-2:].astype(np.float64)
    return 1.0 - (two[1] - two[0])


def unlikeness(descriptors: np.ndarray) -> np.ndarray:
    """How unlike its eight neighbours each pixel is: mean squared distance in descriptors.

    Args:
        descriptors: ``[D, H + 2, W + 2]``, one pixel more on every side.

    Returns:
        ``[H, W]``. High on the edges of fields, where a pixel holds two classes and teaches neither.
    """
    height, width = descriptors.shape[1] - 2, descriptors.shape[2] - 2
    centre = descriptors[:, 1:-1, 1:-1]
    total = np.zeros((height, width))
    for row in range(3):
        for column in range(3):
            if (row, column) != (1, 1):
                other = descriptors[:, row : row + height, column : column + width]
                total += np.square(other - centre).sum(axis=0)
    return total / 8


def random_keys(numbers: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Keys whose largest are a sample without replacement, drawn with chances in proportion to the weights.

    Source: Efraimidis and Spirakis 2006. The sample depends on no order: a reservoir may be filled piece by piece.

    Args:
        numbers: ``[n]`` uint64, a random number for each.
        weights: ``[n]``; 0 is never drawn.
    """
    share = (numbers.astype(np.float64) + 0.5) / 2.0**64
    with np.errstate(divide="ignore"):
        return np.where(weights > 0, np.log(share) / np.maximum(weights, 1e-300), -np.inf)


def choose(
    descriptors: np.ndarray,
    weights: np.ndarray,
    places: np.ndarray,
    count: int,
    distance: float,
    seed: int,
) -> np.ndarray:
    """Choose places, the one that helps most first.

    Args:
        descriptors: ``[n, D]``.
        weights: ``[n]``, 0 or more.
        places: ``[n, 2]`` in metres.
        count: how many.
        distance: metres between two of them at least.
        seed: the same seed chooses alike.

    Returns:
        indices; fewer than ``count`` where no candidate is left.
    """
    rng = np.random.default_rng(seed)
    left = weights > 0
    spread = np.full(len(weights), np.inf)
    chosen: list[int] = []
    while len(chosen) < count and left.any():
        if chosen:
            # Where all that is left equals what was chosen, uncertainty alone decides.
            chance = np.where(left, weights * spread, 0.0)
            if chance.sum() <= 0:
                chance = np.where(left, weights, 0.0)
            drawn = int(np.searchsorted(np.cumsum(chance), rng.random() * chance.sum(), side="right"))
            best = min(drawn, len(weights) - 1)
            if not left[best]:  # a rounding error at the end of the sum
                best = int(np.flatnonzero(left & (chance > 0))[-1])
        else:
            best = int(np.argmax(np.where(left, weights, -1.0)))
        chosen.append(best)
        np.minimum(spread, np.square(descriptors - descriptors[best]).sum(axis=1), out=spread)
        left &= np.square(places - places[best]).sum(axis=1) >= max(distance, 1e-9) ** 2
    return np.array(chosen, dtype=np.int64)


def near(places: np.ndarray, taken: np.ndarray, distance: float) -> np.ndarray:
    """``[n]`` whether a place is nearer than ``distance`` to one of ``taken``, some thousands at a time."""
    result = np.zeros(len(places), bool)
    for start in range(0, len(taken), 512):
        few = taken[start : start + 512]
        for first in range(0, len(places), 4096):
            part = slice(first, first + 4096)
            gaps = np.square(places[part, None] - few[None]).sum(axis=2)
            result[part] |= (gaps < distance**2).any(axis=1)
    return result
