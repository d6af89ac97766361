"""The vote of a disc that no data cuts: only the pixels count that the centre reaches inside it, side by side.

A pixel's disc is a few rows of bits: ``[rows of the disc, pixels]`` uint64, bit k is the column k of the disc. Reaching
out from the centre then takes a handful of whole-number operations a row for all pixels at once, which is fast enough
to ask every pixel near no data, of which few are cut off from anything.
"""

from __future__ import annotations

import itertools

import numpy as np

_COLUMNS = 1024  # of a block: windows as bits take eight bytes a pixel
_AT_ONCE = 1 << 20  # rows of discs held at once


def half_widths(radius: int) -> list[int]:
    """Columns that a disc has on each side of its middle, by the distance from its middle row.

    The disc holds the pixels whose centre is within ``radius + 0.5`` pixels.
    """
    return [int(np.sqrt((radius + 0.5) ** 2 - dy * dy)) for dy in range(radius + 1)]


def vote_again(codes: np.ndarray, radius: int, keep: np.ndarray, result: np.ndarray) -> None:
    """Put right the vote of pixels from whose disc no data cuts something off.

    Args:
        codes: ``[H + 2 radius, W + 2 radius]`` class codes, 0 = no data.
        radius: pixels, 1 to 31.
        keep: codes that neither vote nor change; they cut nothing off.
        result: ``[H, W]`` what whole discs voted; changed in place.
    """
    width = result.shape[1]
    for left in range(0, width, _COLUMNS):
        right = min(width, left + _COLUMNS)
        block = codes[:, left : right + 2 * radius]
        if not block.all():
            _vote_in_block(block, radius, keep, result[:, left:right])


def _vote_in_block(codes: np.ndarray, radius: int, keep: np.ndarray, result: np.ndarray) -> None:
    span = 2 * radius + 1
    halves = half_widths(radius)
    disc = np.array([_run(radius - halves[abs(dy)], radius + halves[abs(dy)]) for dy in range(-radius, radius + 1)])
    data = _windows(codes != 0, span)
    own = codes[radius : radius + result.shape[0], radius : radius + result.shape[1]]
    touched = np.zeros(own.shape, bool)
    for row in range(span):
        touched |= (data[row : row + len(own)] & disc[row]) != disc[row]
    touched &= (own != 0) & ~np.isin(own, keep)
    rows, columns = np.nonzero(touched)
    planes: dict[int, np.ndarray] = {}
    for start in range(0, len(rows), max(1, _AT_ONCE // span)):
        y, x = (places[start : start + max(1, _AT_ONCE // span)] for places in (rows, columns))
        discs = np.stack([data[y + row, x] & disc[row] for row in range(span)])
        reached, cut = _reached(discs, radius)
        y, x = y[cut], x[cut]
        if not len(y):
            continue
        most, winner, mine = np.zeros(len(y), np.int64), np.zeros(len(y), codes.dtype), own[y, x]
        if not planes:
            present = (int(code) for code in np.unique(codes) if code and code not in keep)
            planes = {code: _windows(codes == code, span) for code in present}
        for code, plane in planes.items():  # rising codes: of equal ones the lowest stays, but for the pixel's own
            votes = sum(_ones(plane[y + row, x] & reached[row]) for row in range(span))
            better = (votes > most) | ((votes == most) & (mine == code))
            np.copyto(most, votes, where=better)
            np.copyto(winner, code, where=better)
        result[y, x] = winner


def _run(first: int, last: int) -> np.uint64:
    return np.uint64((1 << (last + 1)) - (1 << first))


def _windows(plane: np.ndarray, span: int) -> np.ndarray:
    """``[H, W - span + 1]`` uint64 of ``[H, W]`` bool: bit k tells of the pixel k columns to the right."""
    width = plane.shape[1] - span + 1
    bits, length = plane.astype(np.uint64), 1
    found, done = np.zeros((len(plane), width), np.uint64), 0
    while True:
        if span & length:
            found |= bits[:, done : done + width] << np.uint64(done)
            done += length
        if done == span:
            return found
        bits = bits[:, :-length] | bits[:, length:] << np.uint64(length)
        length *= 2


def _reached(discs: np.ndarray, radius: int) -> tuple[np.ndarray, np.ndarray]:
    """What the centre reaches of discs ``[rows, N]``, by sides of pixels that are set.

    Returns:
        the reached bits ``[rows, M]`` of those discs of which something is cut off, and their places ``[M]``.
    """
    span, count = discs.shape
    places = np.arange(count)
    reached = np.zeros_like(discs)
    reached[radius] = _spread(np.full(count, 1 << radius, np.uint64), discs[radius], span)
    found, found_places = [discs[:, :0]], [places[:0]]
    first = radius
    while len(places):  # down from the first row, and up to the top; most discs are filled after that
        before = reached.copy()
        path = [*range(first, span), *range(span - 2, -1, -1)]
        for source, row in itertools.pairwise(path):
            reached[row] = _spread(reached[row] | (reached[source] & discs[row]), discs[row], span)
        partly = (reached != discs).any(axis=0)
        still = partly & (reached != before).any(axis=0)
        ended = partly & ~still
        found.append(reached[:, ended])
        found_places.append(places[ended])
        reached, discs, places = reached[:, still], discs[:, still], places[still]
        first = 0
    return np.concatenate(found, axis=1), np.concatenate(found_places)


def _spread(seeds: np.ndarray, runs: np.ndarray, span: int) -> np.ndarray:
    """Fill the runs of set bits in which there is a seed; seeds lie in runs."""
    # Upwards a carry runs to the end of the run; seeds on its way keep their bit by themselves.
    filled: np.ndarray = (((runs + seeds) ^ runs) | seeds) & runs
    way, step = runs, 1
    while step < span:  # downwards by doubling
        shift = np.uint64(step)
        filled |= way & (filled >> shift)
        way = way & (way >> shift)
        step *= 2
    return filled


def _ones(bits: np.ndarray) -> np.ndarray:
    """How many bits are set, as int64."""
    if hasattr(np, "bitwise_count"):
        return np.bitwise_count(bits).astype(np.int64)
    pairs, fours, bytes_ = (np.uint64(mask * 0x0101010101010101) for mask in (0x55, 0x33, 0x0F))
    one, two, four = np.uint64(1), np.uint64(2), np.uint64(4)
    bits = bits - ((bits >> one) & pairs)
    bits = (bits & fours) + ((bits >> two) & fours)
    bits = (bits + (bits >> four)) & bytes_
    return ((bits * np.uint64(0x0101010101010101)) >> np.uint64(56)).astype(np.int64)
