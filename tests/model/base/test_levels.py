"""Probabilities summed up the tree, and maps of different levels that never contradict each other."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from landloom.model.base.errors import LandloomError
from landloom.model.base.levels import Levels
from landloom.model.base.nomenclature import LandCoverClass, Nomenclature


def tree(*parents: tuple[str, ...]) -> Nomenclature:
    return Nomenclature(tuple(LandCoverClass(k + 1, f"c{k}", "#102030", own) for k, own in enumerate(parents)))


def test_by_hand():
    """Maize is the most probable class, but trees together outweigh it."""
    levels = Levels(tree(("crops",), ("trees",), ("trees",)))
    probabilities = np.array([0.4, 0.35, 0.25], np.float32)[:, None]
    assert levels.nomenclature(1).names == ("crops", "trees")
    np.testing.assert_allclose(levels.sums(probabilities, 1)[:, 0], [0.4, 0.6], rtol=1e-6)
    coarse, fine = levels.choose(probabilities, 1), levels.choose(probabilities)
    assert coarse.chosen.tolist() == [1] and coarse.confidence[0] == pytest.approx(0.6)
    assert fine.chosen.tolist() == [1] and fine.confidence[0] == pytest.approx(0.35)


@st.composite
def forests(draw):
    """A tree of two levels over 2 to 9 classes, some without parents, and probabilities of 30 pixels."""
    count = draw(st.integers(2, 9))
    parents = []
    for _ in range(count):
        coarse = draw(st.integers(0, 2))
        fine = draw(st.integers(0, 2))
        parents.append(draw(st.sampled_from([(f"A{coarse}", f"B{coarse}{fine}"), (f"A{coarse}",)])))
    seed = draw(st.integers(0, 10_000))
    shares = np.random.default_rng(seed).dirichlet(np.full(count, 0.4), 30).T.astype(np.float32)
    return tree(*parents), shares


@given(forests())
def test_every_finer_class_lies_inside_the_coarser(case):
    nomenclature, probabilities = case
    levels = Levels(nomenclature)
    chosen = {level: levels.choose(probabilities, level) for level in range(levels.count + 1)}
    for level in range(1, levels.count + 1):
        # The class at level 0 says which class every coarser map has.
        assert np.array_equal(levels.parents(level)[chosen[0].chosen], chosen[level].chosen)
        sums = levels.sums(probabilities, level)
        np.testing.assert_allclose(sums.sum(axis=0), 1, atol=1e-5)
        own = np.take_along_axis(sums, chosen[level].chosen[None], axis=0)[0]
        assert np.array_equal(own, chosen[level].confidence)
    assert np.array_equal(chosen[1].chosen, levels.sums(probabilities, 1).argmax(axis=0))


def test_without_levels_the_most_probable_class_is_chosen():
    probabilities = np.random.default_rng(0).dirichlet(np.ones(5), (8, 9)).transpose(2, 0, 1)
    levels = Levels(tree(*[()] * 5))
    chosen, confidence = levels.choose(probabilities)
    assert levels.count == 0 and np.array_equal(chosen, probabilities.argmax(axis=0))
    assert np.array_equal(confidence, probabilities.max(axis=0)) and chosen.shape == (8, 9)


@pytest.mark.parametrize("level", [-1, 2])
def test_a_level_that_is_not_there(level):
    with pytest.raises(LandloomError, match=f"LEVEL is {level}.* choose 0 to 1"):
        Levels(tree(("a",), ("b",))).nomenclature(level)
    with pytest.raises(LandloomError, match="no coarser levels: choose 0, or give classes parents"):
        Levels(tree((), ())).nomenclature(level)
