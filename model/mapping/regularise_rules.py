"""The two rules that regularise a map: the vote in a disc, and small regions joining a neighbour."""

from __future__ import annotations

import numpy as np

from ..base.progress import Progress
from .components import groups, unique_edges
from .regularise_connected import half_widths, vote_again


def majority(codes: np.ndarray, radius: int, keep: np.ndarray) -> np.ndarray:
    """Each pixel takes the class that most pixels of a disc around it have.

    The disc holds the pixels whose centre is within ``radius + 0.5`` pixels, and of these only those which the pixel
    reaches from side to side within the disc without crossing no data. A tie leaves the pixel as it is, or, where its
    own class is not among the most frequent, gives the lowest code. No data (0) and kept classes neither vote nor
    change; kept classes are no barrier.

    Args:
        codes: ``[H + 2 radius, W + 2 radius]`` class codes, 0 = no data.
        radius: pixels.
        keep: codes that stay.

    Returns:
        ``[H, W]``.
    """
    height, width = codes.shape[0] - 2 * radius, codes.shape[1] - 2 * radius
    own = codes[radius : radius + height, radius : radius + width]
    if radius == 0:
        return own.copy()
    kept = np.isin(own, keep)
    result = own.copy()
    most = np.zeros(own.shape, np.int32)
    present = [int(code) for code in np.unique(codes) if code and code not in keep]
    half = half_widths(radius)
    count = np.empty(own.shape, np.int32)
    sums = np.zeros((codes.shape[0], codes.shape[1] + 1), np.int32)
    for code in present:
        np.cumsum(codes == code, axis=1, out=sums[:, 1:])
        count[...] = 0
        for dy in range(-radius, radius + 1):
            reach = half[abs(dy)]
            rows = sums[radius + dy : radius + dy + height]
            count += rows[:, radius + reach + 1 : radius + reach + 1 + width]
            count -= rows[:, radius - reach : radius - reach + width]
        better = (count > most) | ((count == most) & (own == code))
        np.copyto(most, count, where=better)
        np.copyto(result, code, where=better)
    fixed = kept | (own == 0)
    np.copyto(result, own, where=fixed)
    vote_again(codes, radius, keep, result)
    return result


def merge_small(
    value: np.ndarray,
    pixels: np.ndarray,
    borders: tuple[np.ndarray, np.ndarray, np.ndarray],
    limit: np.ndarray,
    kept: np.ndarray,
    progress: Progress | None = None,
) -> tuple[np.ndarray, int]:
    """Join regions below the limit of their class to a neighbour until none is left that has one.

    In a round, every small region that is smaller than its small neighbours (of equal ones, that with the earlier first
    pixel) takes the class of the neighbour with which it has the longest border (of equal ones the larger, then the
    earlier one). Regions of one class that touch are one region in the next round.

    Args:
        value: ``[N + 1]`` code of each region; region 0 is no data. Regions are numbered by their first pixel.
        pixels: ``[N + 1]``.
        borders: lower number, higher number and length of each pair of neighbours of which one at least is small.
        limit: pixels by code.
        kept: ``[N + 1]`` regions that neither change nor grow.
        progress: asked whether to stop.

    Returns:
        ``[N + 1]`` the code of each region, and how many regions are left.
    """
    progress = progress or Progress()
    code, size, leader = value.copy(), pixels.astype(np.int64), np.arange(len(value))
    into = np.arange(len(value))
    left, right, length = (one.astype(np.int64) for one in borders)
    fit = ~(kept[left] | kept[right])
    left, right, length = left[fit], right[fit], length[fit]
    count = len(value) - 1
    while True:
        progress.check()
        small = size < limit[code]
        useful = small[left] | small[right]
        left, right, length = left[useful], right[useful], length[useful]
        if not len(left):
            return code[into], count
        source, target, side = np.concatenate([left, right]), np.concatenate([right, left]), np.tile(length, 2)
        own = small[source]
        source, target, side = source[own], target[own], side[own]
        later = (size[source] > size[target]) | ((size[source] == size[target]) & (leader[source] > leader[target]))
        waits = np.zeros(len(code), bool)
        waits[source[small[target] & later]] = True
        ready = ~waits[source]
        source, target, side = source[ready], target[ready], side[ready]
        order = np.lexsort((-leader[target], size[target], side))  # the best one last
        best = np.full(len(code), -1, np.int64)
        best[source[order]] = target[order]
        moved = np.flatnonzero(best >= 0)
        code[moved] = code[best[moved]]
        equal = code[left] == code[right]
        group = groups(left[equal], right[equal], len(code))
        total = int(group.max()) + 1
        count -= len(code) - total
        new_size = np.bincount(group, size, total).astype(np.int64)
        new_leader = np.full(total, len(value), np.int64)
        np.minimum.at(new_leader, group, leader)
        new_code = np.zeros(total, code.dtype)
        new_code[group] = code
        code, size, leader, into = new_code, new_size, new_leader, group[into]
        left, right = group[left], group[right]
        outer = left != right
        left, right, length = unique_edges(left[outer], right[outer], length[outer], total)
