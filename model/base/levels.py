"""One model, several levels of classes: probabilities summed up the tree, and decisions that agree between levels."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .nomenclature import Nomenclature


class Choice(NamedTuple):
    """The class of each pixel.

    Attributes:
        chosen: index in the nomenclature of the level.
        confidence: its probability, summed over the classes that it holds.
    """

    chosen: np.ndarray
    confidence: np.ndarray


class Levels:
    """Decides from the coarsest level down, so that maps of different levels never contradict each other.

    At the coarsest level (1) a pixel gets the class with the highest summed probability; at each finer level, and last
    among the classes themselves (level 0), the most probable one inside the class chosen before. So the coarsest map
    is the best that the model can make there, and the class of any finer map lies inside that of the coarser. Where a
    nomenclature has no levels, the most probable class is chosen. (With levels the class mapped at level 0 is another
    where one class is the most probable by itself, but several of another parent outweigh it together.)

    Args:
        nomenclature: the model's classes with their parents.
    """

    def __init__(self, nomenclature: Nomenclature) -> None:
        self.count = nomenclature.levels
        self._made = {level: nomenclature.at_level(level) for level in range(self.count + 1)}

    def nomenclature(self, level: int) -> Nomenclature:
        """The classes of a level, 0 for the model's own.

        Raises:
            LandloomError: if there is no such level.
        """
        if level not in self._made:
            return self._made[0][0].at_level(level)[0]  # which says so
        return self._made[level][0]

    def parents(self, level: int) -> np.ndarray:
        """``[K]`` the index at a level of each of the model's classes."""
        return self._made[level][1]

    def sums(self, probabilities: np.ndarray, level: int) -> np.ndarray:
        """``[K', ...]`` probabilities of a level's classes from ``[K, ...]`` of the model's."""
        classes, parents = self._made[level]
        if level == 0:
            return probabilities
        # Class by class and not as a product of matrices: the same pixel gives the same bits wherever it lies.
        result = np.zeros((len(classes), *probabilities.shape[1:]), probabilities.dtype)
        for own, parent in zip(probabilities, parents, strict=True):
            result[parent] += own
        return result

    def choose(self, probabilities: np.ndarray, level: int = 0) -> Choice:
        """The class of each pixel at a level, from ``[K, ...]`` probabilities of the model's classes."""
        inside = probabilities
        for coarser in range(1, level or self.count + 1):
            best = self.sums(inside, coarser).argmax(axis=0)
            parents = self.parents(coarser).reshape(-1, *[1] * best.ndim)
            inside = inside * (parents == best)
        chosen = self.sums(inside, level).argmax(axis=0)
        own = self.sums(probabilities, level)
        return Choice(chosen, np.take_along_axis(own, chosen[None], axis=0)[0])
