"""Splits and folds: no group in two parts, the rules by class, the shares."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from landloom.model.base.errors import LandloomError
from landloom.model.samples.splits import (
    TEST,
    TRAINING,
    VALIDATION,
    absent_classes,
    block_units,
    part_of,
    split_groups,
    stratified_group_folds,
)


@st.composite
def single_class_groups(draw):
    """Samples whose groups hold one class each."""
    per_class = draw(st.lists(st.integers(1, 12), min_size=1, max_size=6))
    labels, groups, group = [], [], 0
    for label, n_groups in enumerate(per_class):
        for _ in range(n_groups):
            size = draw(st.integers(1, 5))
            labels += [label] * size
            groups += [group * 7 - 20] * size
            group += 1
    order = np.random.default_rng(draw(st.integers(0, 9))).permutation(len(labels))
    return np.array(labels)[order], np.array(groups)[order], per_class


@given(single_class_groups(), st.integers(0, 1000))
def test_rules_by_class(case, seed):
    labels, groups, per_class = case
    split = split_groups(labels, groups, 0.2, 0.2, seed)
    for group in np.unique(groups):
        assert len(np.unique(split[groups == group])) == 1
    for label, n_groups in enumerate(per_class):
        parts = set(split[labels == label].tolist())
        if n_groups == 1:
            assert parts == {TRAINING}
        elif n_groups == 2:
            assert parts == {TRAINING, TEST}
        else:
            assert parts == {TRAINING, VALIDATION, TEST}


@given(single_class_groups(), st.integers(0, 5))
def test_the_order_of_samples_does_not_matter(case, seed):
    labels, groups, _ = case
    order = np.random.default_rng(1).permutation(len(labels))
    assert np.array_equal(
        split_groups(labels, groups, seed=seed)[order], split_groups(labels[order], groups[order], seed=seed)
    )


@given(
    st.lists(st.tuples(st.integers(0, 4), st.integers(0, 15)), min_size=1, max_size=120),
    st.sampled_from([0.0, 0.1, 0.3]),
    st.sampled_from([0.0, 0.2, 0.4]),
)
def test_groups_of_several_classes_stay_whole(pairs, validation, test):
    labels, groups = np.array(pairs).T
    split = split_groups(labels, groups, validation, test, 3)
    for group in np.unique(groups):
        assert len(np.unique(split[groups == group])) == 1
    assert (split == TRAINING).any()
    if test == 0:
        assert not (split == TEST).any()


def test_the_local_search_finds_a_possible_split():
    # The rare class sits in groups 0 and 1, so one of them must test; the common one has other groups to spare.
    labels, groups = np.array([0, 0, *[1] * 12]), np.array([0, 1, *range(12)])
    for seed in range(10):
        split = split_groups(labels, groups, 0.2, 0.2, seed)
        assert set(split[labels == 0]) == {TRAINING, TEST}
        assert set(split[labels == 1]) == {TRAINING, VALIDATION, TEST}


def test_shares_count_groups():
    groups = np.repeat(np.arange(100), 3)
    split = split_groups(np.zeros(300, int), groups, 0.1, 0.3, 0)
    assert [np.sum(split == part) // 3 for part in (TRAINING, VALIDATION, TEST)] == [60, 10, 30]


def test_shares_that_leave_nothing_are_refused():
    with pytest.raises(LandloomError, match=r"VALIDATION is 0\.5 and TEST 0\.5"):
        split_groups([0, 0], [0, 1], 0.5, 0.5)


@given(single_class_groups(), st.integers(1, 5), st.integers(0, 100))
def test_folds_cover_and_keep_groups_whole(case, n_folds, seed):
    labels, groups, per_class = case
    n_groups = len(np.unique(groups))
    if n_folds > n_groups:
        with pytest.raises(LandloomError, match="FOLDS"):
            stratified_group_folds(labels, groups, n_folds, seed)
        return
    folds = stratified_group_folds(labels, groups, n_folds, seed)
    assert folds.min() >= 0 and folds.max() < n_folds
    for group in np.unique(groups):
        assert len(np.unique(folds[groups == group])) == 1
    for label, count in enumerate(per_class):
        groups_by_fold = [len(np.unique(groups[(labels == label) & (folds == k)])) for k in range(n_folds)]
        assert sum(groups_by_fold) == count
        assert max(groups_by_fold) - min(groups_by_fold) <= 1


def test_folds_balance_samples_too():
    groups = np.repeat(np.arange(20), np.r_[[50] * 4, [2] * 16])
    folds = stratified_group_folds(np.zeros(len(groups), int), groups, 4, 0)
    assert np.ptp(np.bincount(folds)) == 0


def test_blocks_hold_whole_groups():
    rng = np.random.default_rng(0)
    x, y = rng.uniform(0, 1000, (2, 400))
    groups = rng.integers(0, 60, 400)
    blocks = block_units(x, y, groups, 250)
    for group in np.unique(groups):
        assert len(np.unique(blocks[groups == group])) == 1
        own = groups == group
        assert 0 <= x[own].mean() <= 1000
    own_group = block_units(x, y, np.arange(400), 250)
    corners = np.stack([x // 250, y // 250], 1)
    for block in np.unique(own_group):
        assert len(np.unique(corners[own_group == block], axis=0)) == 1
    with pytest.raises(LandloomError, match="BLOCK_SIZE"):
        block_units(x, y, groups, 0)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("Training", TRAINING),
        ("apprentissage", TRAINING),
        ("Entraînement", TRAINING),
        (" VALIDATION ", VALIDATION),
        ("val", VALIDATION),
        ("Test", TEST),
        ("évaluation", TEST),
    ],
)
def test_words_for_parts(text, part):
    assert part_of(text) == part


@pytest.mark.parametrize("text", ["", None, "maize", "0"])
def test_other_words_are_refused(text):
    with pytest.raises(LandloomError, match="SPLIT_FIELD"):
        part_of(text)


def test_absent_classes_are_named():
    labels, split = np.array([0, 0, 0, 1, 1, 2]), np.array([0, 1, 2, 0, 2, 0])
    sentences = absent_classes(labels, split, ["a", "b", "c"])
    assert len(sentences) == 2
    assert "validation" in sentences[0] and sentences[0].endswith("b, c.")
    assert "test" in sentences[1] and sentences[1].endswith(": c.")
