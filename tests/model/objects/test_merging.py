"""Region merging against a slow, plain implementation of the same rules, and the worked cost of two regions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st


def graph_of(labels, image):
    """Regions of a small labelled image, straight from their definition."""
    from landloom.model.objects.merging import Regions

    count = int(labels.max())
    shape, sums, squares = np.zeros((7, count)), np.zeros((len(image), count)), np.zeros((len(image), count))
    wide = np.pad(labels, 1)
    edges = {}
    for k in range(1, count + 1):
        rows, columns = np.nonzero(labels == k)
        shape[:6, k - 1] = len(rows), 0, rows.min(), rows.max(), columns.min(), columns.max()
        values = image[:, rows, columns].astype(float)
        sums[:, k - 1], squares[:, k - 1] = values.sum(1), (values**2).sum(1)
        for r, c in zip(rows, columns, strict=True):
            for dr, dc in ((0, 1), (1, 0), (0, -1), (-1, 0)):
                other = wide[r + 1 + dr, c + 1 + dc]
                if other != k:
                    shape[1, k - 1] += 1
                    if other:
                        key = tuple(sorted((k - 1, other - 1)))
                        edges[key] = edges.get(key, 0) + 0.5
    left, right = np.array(sorted(edges)).reshape(-1, 2).T.astype(np.int32)
    lengths = np.array([edges[key] for key in sorted(edges)], float)
    return Regions(shape, sums, squares, left, right, lengths)


def heterogeneity(labels, image, chosen, criterion):
    """n sd and the two forms of a set of pixels, by their definitions."""
    inside = np.isin(labels, chosen)
    rows, columns = np.nonzero(inside)
    values = image[:, rows, columns].astype(float)
    n = len(rows)
    wide = np.pad(inside, 1)
    perimeter = sum((wide & ~np.roll(wide, shift, axis)).sum() for shift in (1, -1) for axis in (0, 1))
    box = 2 * (np.ptp(rows) + 1 + np.ptp(columns) + 1)
    colour = n * values.std(axis=1).mean()
    form = criterion.compactness * perimeter * np.sqrt(n) + (1 - criterion.compactness) * n * perimeter / box
    return criterion.colour * colour + (1 - criterion.colour) * form


def plain_merge(labels, image, criterion):
    """Mutual best pairs, round by round, with dictionaries and whole images."""
    labels = labels.copy()
    while True:
        pairs = set()
        for a, b in ((labels[:, :-1], labels[:, 1:]), (labels[:-1], labels[1:])):
            pairs |= {
                tuple(sorted(p)) for p in zip(a.ravel().tolist(), b.ravel().tolist(), strict=True) if p[0] != p[1]
            }
        cost = {
            (a, b): heterogeneity(labels, image, [a, b], criterion)
            - heterogeneity(labels, image, [a], criterion)
            - heterogeneity(labels, image, [b], criterion)
            for a, b in pairs
            if a and b
        }
        cost = {pair: value for pair, value in cost.items() if value < criterion.scale**2}
        best = {}
        for pair in sorted(cost, key=cost.get):
            for one in pair:
                best.setdefault(one, pair)
        mutual = [pair for pair in cost if best[pair[0]] == best[pair[1]] == pair]
        if not mutual:
            return labels
        for a, b in mutual:
            labels[labels == b] = a


def same_partition(a, b):
    """Whether two labellings cut the image alike."""
    return len(set(zip(a.ravel().tolist(), b.ravel().tolist(), strict=True))) == len(np.unique(a)) == len(np.unique(b))


@given(st.integers(0, 10_000), st.floats(2, 40), st.floats(0.3, 1), st.floats(0, 1))  # by shape alone, costs tie
def test_merging_equals_the_plain_rules(seed, scale, colour, compactness):
    from landloom.model.objects.merging import Criterion, merge

    rng = np.random.default_rng(seed)
    labels = np.arange(1, 43).reshape(6, 7).repeat(2, 0).repeat(2, 1)[: rng.integers(4, 13), : rng.integers(4, 15)]
    labels = np.unique(labels, return_inverse=True)[1].reshape(labels.shape) + 1
    image = rng.normal(0, 30, (2, *labels.shape)) + 40 * rng.integers(0, 2, labels.max() + 1)[labels]
    criterion = Criterion(scale, colour, compactness)
    regions, into = merge(graph_of(labels, image), criterion)
    merged = into[labels - 1]
    assert same_partition(merged, plain_merge(labels, image, criterion))
    # The graph that is left is that of the merged image.
    fresh = graph_of(merged + 1, image)
    for name in ("shape", "sums", "squares"):
        assert np.allclose(getattr(regions, name), getattr(fresh, name))
    edges = {(a, b): n for a, b, n in zip(regions.left, regions.right, regions.length, strict=True)}
    assert edges == {(a, b): n for a, b, n in zip(fresh.left, fresh.right, fresh.length, strict=True)}


def test_the_cost_of_two_pixels_by_hand():
    """Values 10 and 20 side by side: n sd = 2 * 5; compactness 6 sqrt 2 - 4 - 4; smoothness 2 * 6 / 6 - 1 - 1 = 0."""
    from landloom.model.objects.merging import Criterion, costs

    regions = graph_of(np.array([[1, 2]]), np.array([[[10.0, 20.0]]]))
    criterion = Criterion(1, 0.7, 0.4)
    cost = costs(regions, criterion, np.array([0]), regions.spread())
    assert cost[0] == pytest.approx(0.7 * 10 + 0.3 * 0.4 * (6 * np.sqrt(2) - 8))


def test_small_regions_join_the_nearest_colour():
    from landloom.model.objects.merging import absorb

    labels = np.array([[1, 1, 1, 2, 3, 3, 3]] * 3)
    labels[2, 3] = 3
    image = np.array([0, 10.0, 16.0, 30.0])[labels][None]
    regions, into = absorb(graph_of(labels, image), 3)
    assert len(regions) == 2 and into.tolist() == [0, 0, 1]  # 16 is nearer to 10 than to 30
    regions, into = absorb(graph_of(labels, image), 2)
    assert len(regions) == 3


def test_a_chain_of_small_regions_becomes_one():
    from landloom.model.objects.merging import absorb

    labels = np.arange(1, 10)[None]
    regions, into = absorb(graph_of(labels, np.arange(9.0)[None, None]), 9)
    assert len(regions) == 1 and not into.any()


def test_fixed_regions_neither_split_nor_join_unless_open():
    """What an earlier tile wrote under two numbers stays apart, whatever the cost."""
    from landloom.model.objects.merging import FIXED, Criterion, merge

    labels = np.array([[1, 2, 3, 4]])

    def merged(fixed, is_open):
        regions = graph_of(labels, np.zeros((1, 1, 4)))
        regions.shape[FIXED] = fixed
        regions.open = np.array([False, *is_open])
        regions, into = merge(regions, Criterion(100, 1.0, 0.5))
        return into.tolist(), regions.same

    assert len(set(merged([1, 1, 2, 2], [False, False])[0])) == 2
    into, _ = merged([1, 0, 0, 2], [False, False])
    assert into[0] not in into[1:] and into[3] not in into[:3]
    into, same = merged([1, 1, 2, 2], [True, True])
    assert len(set(into)) == 1 and sorted(same[0]) == [1, 2]


def test_cancelling_stops_merging():
    from landloom.model.base.errors import Cancelled
    from landloom.model.base.progress import Progress
    from landloom.model.objects.merging import Criterion, absorb, merge

    class Stopped(Progress):
        def is_cancelled(self):
            return True

    labels = np.arange(1, 10).reshape(3, 3)
    for call in (lambda g: merge(g, Criterion(), Stopped()), lambda g: absorb(g, 5, Stopped())):
        with pytest.raises(Cancelled):
            call(graph_of(labels, np.zeros((1, 3, 3))))
