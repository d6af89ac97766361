"""Region merging on a graph of neighbours, by the criterion of Baatz & Schäpe (2000).

Baatz, M. & Schäpe, A. (2000): Multiresolution segmentation, Angewandte Geographische Informationsverarbeitung XII.
Merging two regions costs the growth of heterogeneity::

    cost   = w * colour + (1 - w) * (c * compactness + (1 - c) * smoothness)
    colour = mean over the bands of  n sd(merged) - n1 sd1 - n2 sd2
    compactness = l sqrt(n),  smoothness = n l / b,  each merged - first - second

with n pixels, perimeter l and perimeter b of the bounding box, both in pixel sides. In every round the pairs merge that
are each other's cheapest neighbour ("local mutual best fitting"), all at once, as long as a pair costs less than SCALE
squared: the result then depends on what is near only, never on an order of visits, which is what makes tiles agree.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from ..base.progress import Progress
from ..mapping.components import unique_edges

COUNT, PERIMETER, TOP, BOTTOM, LEFT, RIGHT, FIXED = range(7)
ROWS = 7
_AT_ONCE = 1 << 17  # edges whose costs are computed at once: of millions, the scratch would take more than the graph


@dataclass(frozen=True)
class Criterion:
    """The weights of the cost and where merging ends.

    Attributes:
        scale: pairs merge while they cost less than its square.
        colour: weight of colour beside shape, 0 to 1.
        compactness: weight of compactness beside smoothness, 0 to 1.
    """

    scale: float = 20.0
    colour: float = 0.5
    compactness: float = 0.5


@dataclass
class Regions:
    """Regions and their common borders.

    Attributes:
        shape: ``[7, N]`` float64: pixels, perimeter, first and last row, first and last column, fixed number.
        sums: ``[C, N]`` float64, sums of the bands; ``squares`` the same of their squares.
        left, right: ``[E]`` int32, the two regions of a border, left < right, each pair once.
        length: ``[E]`` float64, pixel sides of the border.
        open: by fixed number, whether such a region may still grow; see :mod:`stitching`.
        same: pairs of fixed numbers that became one region.

    The fixed number is 0 but for regions that an earlier tile has written: those with two numbers never merge, and with
    new pixels only where the earlier tile could not see their end.
    """

    shape: np.ndarray
    sums: np.ndarray
    squares: np.ndarray
    left: np.ndarray
    right: np.ndarray
    length: np.ndarray
    open: np.ndarray = field(default_factory=lambda: np.zeros(1, bool))
    same: list[tuple[int, int]] = field(default_factory=list)

    def __len__(self) -> int:
        return self.shape.shape[1]

    @property
    def count(self) -> np.ndarray:
        """``[N]`` pixels."""
        return self.shape[COUNT]

    @property
    def fixed(self) -> np.ndarray:
        """``[N]`` int64, the number under which an earlier tile has written it, or 0."""
        return self.shape[FIXED].astype(np.int64)

    @property
    def boxes(self) -> np.ndarray:
        """``[4, N]`` first and last row, first and last column."""
        return self.shape[TOP : RIGHT + 1]

    def spread(self) -> np.ndarray:
        """``[N]``: n times the standard deviation, mean over the bands."""
        return _spread(self.count, self.sums, self.squares)

    def allowed(self, edges: np.ndarray) -> np.ndarray:
        """Which of some edges may merge."""
        first, second = self.fixed[self.left[edges]], self.fixed[self.right[edges]]
        return (first == second) | ((self.open[first] | (first == 0)) & (self.open[second] | (second == 0)))


def _spread(count: np.ndarray, sums: np.ndarray, squares: np.ndarray) -> np.ndarray:
    total = np.zeros(count.shape)
    for one, square in zip(sums, squares, strict=True):
        variance = count * square
        variance -= one * one
        np.maximum(variance, 0, out=variance)
        total += np.sqrt(variance, out=variance)
    return total / max(1, len(sums))


def costs(regions: Regions, criterion: Criterion, edges: np.ndarray, spread: np.ndarray) -> np.ndarray:
    """``[len(edges)]`` float64: what merging the two regions of each edge costs.

    Args:
        regions: the graph.
        criterion: the weights.
        edges: indices of edges.
        spread: of :meth:`Regions.spread`.
    """
    pieces = [_costs(regions, criterion, edges[i : i + _AT_ONCE], spread) for i in range(0, len(edges), _AT_ONCE)]
    return np.concatenate(pieces) if pieces else np.zeros(0)


def _costs(regions: Regions, criterion: Criterion, edges: np.ndarray, spread: np.ndarray) -> np.ndarray:
    first, second = regions.left[edges], regions.right[edges]
    shape = regions.shape
    n1, n2 = shape[COUNT, first], shape[COUNT, second]
    n = n1 + n2
    colour = np.zeros(len(edges))
    for one, square in zip(regions.sums, regions.squares, strict=True):
        total = one[first] + one[second]
        variance = n * (square[first] + square[second])
        variance -= total * total
        np.maximum(variance, 0, out=variance)
        colour += np.sqrt(variance, out=variance)
    colour /= max(1, len(regions.sums))
    colour -= spread[first]
    colour -= spread[second]
    if criterion.colour >= 1:
        return colour
    l1, l2 = shape[PERIMETER, first], shape[PERIMETER, second]
    perimeter = l1 + l2 - 2 * regions.length[edges]
    boxes = [shape[row] for row in (TOP, BOTTOM, LEFT, RIGHT)]
    box = [2 * (b[i] - t[i] + r[i] - le[i] + 2) for i in (first, second) for t, b, le, r in [boxes]]
    top, left = np.minimum(boxes[0][first], boxes[0][second]), np.minimum(boxes[2][first], boxes[2][second])
    bottom, right = np.maximum(boxes[1][first], boxes[1][second]), np.maximum(boxes[3][first], boxes[3][second])
    merged_box = 2 * (bottom - top + right - left + 2)
    compact = perimeter * np.sqrt(n) - l1 * np.sqrt(n1) - l2 * np.sqrt(n2)
    smooth = n * perimeter / merged_box - n1 * l1 / box[0] - n2 * l2 / box[1]
    form = criterion.compactness * compact + (1 - criterion.compactness) * smooth
    return criterion.colour * colour + (1 - criterion.colour) * form


def merge(regions: Regions, criterion: Criterion, progress: Progress | None = None) -> tuple[Regions, np.ndarray]:
    """Merge neighbours by local mutual best fitting until no pair costs less than SCALE squared.

    Returns:
        the merged regions, and for each region given the index of the one it went into.
    """
    progress = progress or Progress()
    limit = criterion.scale**2
    into = np.arange(len(regions))
    cost = costs(regions, criterion, np.arange(len(regions.left)), regions.spread())
    while True:
        progress.check()
        pairs = _mutual(regions, cost, np.flatnonzero(cost < limit))
        if not len(pairs):
            return regions, into
        # What may not merge still counts as the cheapest neighbour until it comes to merging: elsewhere all goes on as
        # in one single tile. Where tiles agree, this never happens.
        good = regions.allowed(pairs)
        cost[pairs[~good]] = np.inf
        if not good.any():
            continue
        regions, step, cost, touched = _contract(regions, pairs[good], cost)
        into = step[into]
        cost[touched] = costs(regions, criterion, touched, regions.spread())


def absorb(
    regions: Regions, smallest: float, progress: Progress | None = None, seen: np.ndarray | None = None
) -> tuple[Regions, np.ndarray]:
    """Join regions of fewer than ``smallest`` pixels to the neighbour with the nearest mean colour.

    Each small region points to its nearest neighbour. A pair that point to each other, and those that point to a region
    which stays, merge at once; the others wait for the next round, when means have changed. A region without a
    neighbour stays.

    Args:
        regions: the graph.
        smallest: pixels.
        progress: asked whether to stop.
        seen: ``[N]`` bool, regions that are whole here; others (cut by the border of a tile) are not small.

    Returns:
        as :func:`merge`.
    """
    progress = progress or Progress()
    into = np.arange(len(regions))
    whole = np.ones(len(regions), bool) if seen is None else seen
    while True:
        progress.check()
        small = (regions.count < smallest) & whole
        edges = np.flatnonzero(small[regions.left] | small[regions.right])
        if not len(edges):
            return regions, into
        target = _nearest(regions, edges, small)
        sources = np.flatnonzero(target >= 0)
        if not len(sources):
            return regions, into
        aims = target[sources]
        # A pair that point to each other merge into the first; who points to one that itself moves has to wait.
        mutual = target[aims] == sources
        moves = np.zeros(len(regions), bool)
        moves[sources] = True
        moves[sources[mutual & (sources < aims)]] = False
        ready = moves[sources] & ~moves[aims]
        step = np.arange(len(regions))
        step[sources[ready]] = aims[ready]
        regions, step = _collapse(regions, step)
        kept = np.ones(len(regions), bool)
        kept[step[~whole]] = False
        whole = kept
        into = step[into]


def _nearest(regions: Regions, edges: np.ndarray, small: np.ndarray) -> np.ndarray:
    """For each small region the neighbour with the nearest mean, -1 for the others."""
    left, right = regions.left[edges], regions.right[edges]
    n1, n2 = regions.count[left], regions.count[right]
    distance = np.zeros(len(edges))
    for band in regions.sums:
        distance += (band[left] / n1 - band[right] / n2) ** 2
    order = np.argsort(distance, kind="stable")[::-1]
    left, right = left[order], right[order]
    target = np.full(len(regions), -1, np.int64)
    both = np.stack([left, right], axis=1).ravel()
    other = np.stack([right, left], axis=1).ravel()
    fixed = regions.fixed
    own = small[both] & ((fixed[both] == 0) | (fixed[both] == fixed[other]))
    target[both[own]] = other[own]  # of several the last one stays: the nearest
    return target


def _mutual(regions: Regions, cost: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Edges that are the cheapest of both their regions."""
    order = edges[np.argsort(cost[edges], kind="stable")[::-1]].astype(np.int32)
    best = np.full(len(regions), -1, np.int32)
    ends = np.stack([regions.left[order], regions.right[order]], axis=1).ravel()
    best[ends] = np.repeat(order, 2)  # of several the last one stays: the cheapest
    return order[(best[regions.left[order]] == order) & (best[regions.right[order]] == order)]


def _contract(
    regions: Regions, pairs: np.ndarray, cost: np.ndarray
) -> tuple[Regions, np.ndarray, np.ndarray, np.ndarray]:
    """Merge the regions of some edges, no two of which share a region.

    Returns:
        the new regions, where each old one went, the costs of the new edges (old ones where nothing changed), and the
        edges whose costs must be computed again.
    """
    keep, gone = regions.left[pairs], regions.right[pairs]
    shape, sums, squares = regions.shape, regions.sums, regions.squares
    sums[:, keep] += sums[:, gone]
    squares[:, keep] += squares[:, gone]
    shape[COUNT, keep] += shape[COUNT, gone]
    shape[PERIMETER, keep] += shape[PERIMETER, gone] - 2 * regions.length[pairs]
    for row, smaller in ((TOP, True), (LEFT, True), (BOTTOM, False), (RIGHT, False)):
        function = np.minimum if smaller else np.maximum
        shape[row, keep] = function(shape[row, keep], shape[row, gone])
    _join_fixed(regions, keep, gone)
    alive = np.ones(len(regions), bool)
    alive[gone] = False
    step = np.cumsum(alive) - 1
    step[gone] = step[keep]
    changed = np.zeros(int(alive.sum()), bool)
    changed[step[keep]] = True
    far, left, right, length = _regrouped(regions, step, changed)
    merged = Regions(
        shape[:, alive], sums[:, alive], squares[:, alive], left, right, length, regions.open, regions.same
    )
    kept = int(far.sum())
    new_cost = np.concatenate([cost[far], np.zeros(len(left) - kept)])
    return merged, step, new_cost, np.arange(kept, len(new_cost))


def _collapse(regions: Regions, step: np.ndarray) -> tuple[Regions, np.ndarray]:
    """Merge each region into ``step`` of it; a target goes nowhere itself."""
    gone = np.flatnonzero(step != np.arange(len(step)))
    keep = step[gone]
    inner = step[regions.left] == step[regions.right]
    shape = regions.shape
    for values in (*regions.sums, *regions.squares, shape[COUNT], shape[PERIMETER]):
        np.add.at(values, keep, values[gone])
    np.subtract.at(shape[PERIMETER], step[regions.left[inner]], 2 * regions.length[inner])
    for row, function in ((TOP, np.minimum), (LEFT, np.minimum), (BOTTOM, np.maximum), (RIGHT, np.maximum)):
        function.at(shape[row], keep, shape[row, gone])
    _join_fixed(regions, keep, gone)
    alive = np.ones(len(regions), bool)
    alive[gone] = False
    number = np.cumsum(alive) - 1
    total = number[step]
    changed = np.zeros(int(alive.sum()), bool)
    changed[total[gone]] = True
    _, left, right, length = _regrouped(regions, total, changed)
    merged = Regions(
        shape[:, alive],
        regions.sums[:, alive],
        regions.squares[:, alive],
        left,
        right,
        length,
        regions.open,
        regions.same,
    )
    return merged, total


def _regrouped(
    regions: Regions, step: np.ndarray, changed: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The edges after a merge: first those between regions that did not change, then the others, each pair once.

    Returns:
        which old edges are the first ones ``[E]``, and left, right and length of the new ones.
    """
    step = step.astype(np.int32)
    left, right = step[regions.left], step[regions.right]
    near = changed[left] | changed[right]
    far = ~near
    near &= left != right
    a, b, length = unique_edges(left[near], right[near], regions.length[near], len(changed))
    return (
        far,
        np.concatenate([left[far], a.astype(np.int32)]),
        np.concatenate([right[far], b.astype(np.int32)]),
        np.concatenate([regions.length[far], length]),
    )


def _join_fixed(regions: Regions, keep: np.ndarray, gone: np.ndarray) -> None:
    fixed = regions.shape[FIXED]
    first, second = fixed[keep], fixed[gone]
    for i in np.flatnonzero((first > 0) & (second > 0) & (first != second)):
        regions.same.append((int(first[i]), int(second[i])))
    np.maximum.at(fixed, keep, second)
