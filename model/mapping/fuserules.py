"""The rules by which maps become one: majority vote, Dempster-Shafer, mean of probabilities.

Where maps have a pixel at all, its class is the one with the highest score; two or more classes with the same highest
score are a tie, which is nobody's to break: the pixel is *undecided*.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

NO_DATA, UNDECIDED = 0, -1
_TOLERANCE = 1e-9  # scores nearer than this, relative, are equal: sums in another order differ in the last digits


class Fused(NamedTuple):
    """The result for ``[H, W]`` pixels.

    Attributes:
        codes: int32; 0 where no map has data, -1 where classes tie.
        confidence: float32 0..1 of the class (of each of those that tie); 0 where there is no data.
    """

    codes: np.ndarray
    confidence: np.ndarray


def majority(labels: np.ndarray) -> Fused:
    """The class that most maps give; its confidence is the share of those with data that give it.

    Args:
        labels: ``[N, H, W]`` codes, 0 = no data.
    """
    votes = np.zeros(labels.shape, np.int16)
    for own in labels:
        votes += labels == own
    votes[labels == NO_DATA] = 0
    voters = (labels != NO_DATA).sum(axis=0)
    share = votes.max(axis=0) / np.maximum(voters, 1)
    return Fused(_highest(labels, votes), share.astype(np.float32))


def dempster_shafer(labels: np.ndarray, masses: Sequence[Mapping[int, float]]) -> Fused:
    """Dempster's rule of combination over what each map says, weighed by how right it usually is.

    A map that gives class c supports {c} with its mass m(c), and all other classes together with 1 - m(c) (Xu, Krzyzak
    & Suen 1992). For such supports the rule has a closed form: the odds of c are the product of m / (1 - m) over the
    maps that give c, and its belief is its odds over the sum of those of all classes given, plus 1 where some class is
    given by no map. ``otbcli_FusionOfClassifications`` takes the class of highest belief in the same way.

    A mass of 0, that of a class which is not in the matrix, says nothing; a mass of 1 is certainty.

    Args:
        labels: ``[N, H, W]`` codes, 0 = no data.
        masses: for each map, code -> mass 0..1; a code that is not there has mass 0.

    Returns:
        the classes; their confidence is the belief. Undecided where maps are certain of different classes and where no
        map says anything.
    """
    odds = np.ones(labels.shape)
    heard = np.zeros(labels.shape, bool)
    for own, mass in zip(labels, masses, strict=True):
        table = np.zeros(max(int(own.max()), max(mass, default=0)) + 1)
        table[list(mass)] = list(mass.values())
        table[NO_DATA] = 0.0
        table = np.clip(table, 0.0, 1.0)
        with np.errstate(divide="ignore"):
            weight = np.where(table > 0, table / (1.0 - table), 1.0)[own]
        says = (labels == own) & (table > 0)[own]
        np.multiply(odds, weight, out=odds, where=says)
        heard |= says
    odds[~heard] = 0.0
    first = np.stack([~(labels[:k] == labels[k]).any(axis=0) for k in range(len(labels))]) & heard
    classes = len({code for mass in masses for code in mass})
    rest = first.sum(axis=0) < classes
    codes = _highest(labels, odds)
    certain = (first & np.isinf(odds)).sum(axis=0)
    top = odds.max(axis=0)
    with np.errstate(invalid="ignore"):
        belief = np.where(np.isinf(top), 1.0, top / (np.where(first, odds, 0.0).sum(axis=0) + rest))
    undecided = (certain > 1) | ~heard.any(axis=0)
    codes[undecided] = UNDECIDED
    belief[undecided] = 0.0
    nothing = (labels == NO_DATA).all(axis=0)
    codes[nothing], belief[nothing] = NO_DATA, 0.0
    return Fused(codes, belief.astype(np.float32))


def mean_probability(
    probabilities: Sequence[np.ndarray], places: Sequence[np.ndarray], valid: Sequence[np.ndarray], codes: np.ndarray
) -> Fused:
    """The class whose probability is highest in the mean over the maps that have the pixel.

    Args:
        probabilities: for each map ``[K_i, H, W]`` 0..1.
        places: for each map ``[K_i]``, where its classes stand in ``codes``; a class it does not know has 0 there.
        valid: for each map ``[H, W]``, where it has data.
        codes: ``[K]`` codes of all classes.

    Returns:
        the classes; their confidence is the mean probability.
    """
    height, width = valid[0].shape
    total = np.zeros((len(codes), height, width), np.float32)
    count = np.zeros((height, width), np.float32)
    for values, place, known in zip(probabilities, places, valid, strict=True):
        for band, position in zip(values, place, strict=True):
            total[position] += np.where(known, band, 0.0)
        count += known
    mean = total / np.maximum(count, 1)
    every = np.broadcast_to(codes.astype(np.int32)[:, None, None], mean.shape)
    found = _highest(every, mean)
    found[count == 0] = NO_DATA
    return Fused(found, mean.max(axis=0))


def _highest(labels: np.ndarray, score: np.ndarray) -> np.ndarray:
    """``[H, W]`` label of the highest score ``[N, H, W]``; -1 where another label has the same, 0 without labels."""
    top = score.max(axis=0)
    best = np.take_along_axis(labels, score.argmax(axis=0)[None], axis=0)[0].astype(np.int32)
    equal = score >= top * (1 - _TOLERANCE)
    tied = (equal & (labels != best) & (labels != NO_DATA)).any(axis=0)
    best[tied & (best != NO_DATA)] = UNDECIDED
    return best
