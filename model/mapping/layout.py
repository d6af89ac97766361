"""Where blocks lie and in which order they are read, so that the blocks of the source files are decoded once.

A map block needs its own pixels and some around them. Where its right and lower edges lie a little before those of the
files' tiles (a chunk, the smallest step there is), what it needs never reaches into the next tiles, and only the last
rows and columns of the tiles before are to be kept. The rows are as long as a strip is wide: where memory is short the
map is made in several strips, at whose borders tiles are decoded twice.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..stack.grid import Window
from ..stack.lattice import FOREVER, Lattice, Uses
from .chunks import CHUNK, LARGEST_BLOCK, Area, Block

SIDES = (512, 384, 256, 192, 128, 64)
GOOD_ENOUGH = 1.15
"""Times each block is decoded at which no better order is looked for."""
MOST_LATTICES = 3
MOST_SIMULATED = 8
UNKNOWN_TILE = (256, 256)
_ROWS_TRIED = 3  # of tiles: what follows is like them
_SMALL_BLOCKS = 0.02  # what is lost by blocks of 512 / n pixels, for each n
_MOST_BLOCKS_TRIED = 6000


@dataclass(frozen=True)
class Layout:
    """Blocks in the order of reading.

    Attributes:
        blocks: what is read and written at once.
        reach: to how many blocks later pixels are kept.
        kept: bytes of decoded pixels that are kept at most, by what is foreseen.
        room: bytes that there are for them.
        decoded: how often each block of the files is decoded, on average of their bytes.
        memory_needed: bytes with which each would be decoded once; 0 where they are.
    """

    blocks: list[Block]
    reach: int
    kept: int
    room: int
    decoded: float
    memory_needed: int = 0


def choose_layout(
    area: Area,
    halo: int,
    lattices: Mapping[Lattice, int],
    bytes_per_pixel: int,
    slots: int,
    room: int,
    largest: int = LARGEST_BLOCK,
    check: Callable[[], None] = lambda: None,
) -> Layout:
    """The blocks and their order with which the least is decoded.

    Args:
        area: what is to be mapped.
        halo: pixels of context.
        lattices: of the source files, with the bytes of a pixel of all files that lie so; none where nothing is known.
        bytes_per_pixel: of the series of a pixel, as read.
        slots: blocks in memory at once.
        room: bytes for these blocks and for what is kept of the files.
        largest: pixels of a block at most.
        check: called often; raises to stop.
    """
    lattices = lattices or {Lattice((0, 0), 1, (area.right, area.bottom), UNKNOWN_TILE, Window(*area)): 0}
    lattices = _weightiest(lattices)
    best: tuple[float, Layout] | None = None
    needed = 0
    for side in SIDES:
        blocks = int(1.2 * slots * bytes_per_pixel * (side + 2 * halo) ** 2)
        if (side * side > largest or blocks > 0.75 * room) and side > CHUNK:
            continue
        left = max(room - blocks, 0)
        for lattice in sorted(lattices, key=_footprint, reverse=True)[:MOST_LATTICES]:
            tried, wish = _best_strip(area, halo, lattices, lattice, side, left, check)
            needed = needed or wish + blocks
            loss = tried.decoded * ((side + 2 * halo) / side) ** 2 + _SMALL_BLOCKS * 512 / side
            if best is None or loss < best[0] - 1e-9:
                best = loss, tried
        if best is not None and best[1].decoded <= GOOD_ENOUGH:
            break
    if best is None:
        raise RuntimeError("no size of blocks was tried")
    found = best[1]
    return replace(found, memory_needed=0 if found.decoded < 1.01 else needed)


def _weightiest(lattices: Mapping[Lattice, int]) -> dict[Lattice, int]:
    """Some lattices that stand for all: images whose edges differ by date have one each."""

    def weight(lattice: Lattice) -> int:
        return lattices[lattice] * lattice.cover.width * lattice.cover.height // lattice.ratio**2

    chosen = sorted(lattices, key=weight, reverse=True)[:MOST_SIMULATED]
    if len(chosen) == len(lattices):
        return dict(lattices)
    share = sum(map(weight, lattices)) / max(1, sum(map(weight, chosen)))
    return {lattice: math.ceil(lattices[lattice] * share) for lattice in chosen}


def _footprint(lattice: Lattice) -> int:
    """Pixels of the grid that a tile covers."""
    return lattice.tile[0] * lattice.tile[1] * lattice.ratio * lattice.ratio


def _best_strip(
    area: Area,
    halo: int,
    lattices: Mapping[Lattice, int],
    lattice: Lattice,
    side: int,
    room: int,
    check: Callable[[], None],
) -> tuple[Layout, int]:
    """The widest strips of tiles for which there is room, and the bytes that the widest of all would take."""
    columns, inner_columns = edges(area.column, area.right, lattice, halo, side, 0)
    rows, inner_rows = edges(area.row, area.bottom, lattice, halo, side, 1)
    few_rows = rows[: (_ROWS_TRIED if side > 2 * CHUNK else _ROWS_TRIED - 1) + 1]
    wish = 0
    strip = len(columns) - 1
    while True:
        blocks = ordered(area, columns, inner_columns, few_rows, inner_rows, strip)
        reach = FOREVER
        times, kept = simulated(blocks, halo, lattices, reach, check)
        wish = wish or kept
        if kept <= room:
            break
        if strip == 1:
            across = sum(columns[0] <= edge < columns[1] for edge in inner_columns)
            down = sum(rows[0] <= edge < rows[1] for edge in inner_rows)
            for reach in (2 * across * down, across * down, 1, 0):
                times, kept = simulated(blocks, halo, lattices, reach, check)
                if kept <= room:
                    break
            break
        strip = max(1, min(strip - 1, math.floor(strip * room / max(1, kept))))
    whole = ordered(area, columns, inner_columns, rows, inner_rows, strip)
    return Layout(whole, reach, kept, room, times), wish


def edges(start: int, end: int, lattice: Lattice, halo: int, side: int, axis: int) -> tuple[list[int], list[int]]:
    """Edges between ``start`` and ``end`` that follow the tiles of a lattice: those of the tiles, and those of blocks.

    Args:
        start: first pixel to be mapped.
        end: one past the last.
        lattice: whose tiles are followed.
        halo: pixels of context.
        side: pixels along the edge of a block.
        axis: 0 for columns, 1 for rows.
    """
    length = lattice.tile[axis] * lattice.ratio
    length *= max(1, side // length)
    corner = lattice.corner[axis]
    margin = halo + lattice.reach
    low, high = start // CHUNK * CHUNK, -(-end // CHUNK) * CHUNK
    number = (low - corner) // length
    outer: list[int] = []
    while not outer or outer[-1] < high:
        edge = (corner + number * length - margin) // CHUNK * CHUNK
        if not outer or edge > outer[-1]:
            outer.append(edge)
        number += 1
    while len(outer) > 1 and outer[1] <= low:
        outer.pop(0)
    inner: list[int] = []
    for first, last in itertools.pairwise(outer):
        parts = -(-(last - first) // side)
        inner += range(first, last, -(-(last - first) // (parts * CHUNK)) * CHUNK)
    outer = sorted({min(max(edge, low), high) for edge in outer})
    return outer, sorted({max(edge, low) for edge in inner if edge < high})


def ordered(
    area: Area,
    columns: Sequence[int],
    inner_columns: Sequence[int],
    rows: Sequence[int],
    inner_rows: Sequence[int],
    strip: int,
) -> list[Block]:
    """Blocks strip by strip, within a strip by rows of tiles, within a tile by rows."""
    blocks: list[Block] = []
    for first in range(0, len(columns) - 1, strip):
        own = columns[first : first + strip + 1]
        for top, bottom in itertools.pairwise(rows):
            for left, right in itertools.pairwise(own):
                for row, below in _between(inner_rows, top, bottom):
                    for column, beside in _between(inner_columns, left, right):
                        chunked = Area(column, row, beside - column, below - row)
                        blocks.append(block_at(len(blocks), area, chunked))
    return blocks


def block_at(index: int, area: Area, chunked: Area) -> Block:
    """The block of an area that a rectangle of whole chunks gives."""
    return Block(index, area.intersection(chunked), chunked)


def _between(inner: Sequence[int], first: int, last: int) -> list[tuple[int, int]]:
    """Beginnings and ends of the blocks of a tile."""
    own = [edge for edge in inner if first <= edge < last]
    return list(zip(own, [*own[1:], last], strict=True))


def simulated(
    blocks: Sequence[Block], halo: int, lattices: Mapping[Lattice, int], reach: int, check: Callable[[], None]
) -> tuple[float, int]:
    """How often the files' bytes are decoded, and the bytes kept at most."""
    tried = blocks[:_MOST_BLOCKS_TRIED]
    windows = np.array([tuple(Window(*block.chunked).grown(halo)) for block in tried], np.int64).reshape(-1, 4)
    decoded = once = 0
    kept = np.zeros(len(windows))
    for lattice, size in lattices.items():
        check()
        pixels, all_pixels, along = Uses(lattice, windows).simulate(reach)
        decoded += pixels * size
        once += all_pixels * size
        kept += along * size
    return (decoded / once if once else 1.0), int(kept.max(initial=0))
