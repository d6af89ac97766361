"""Where chunks and blocks lie on the grid, and how large a block may be.

A *chunk* is what is computed at once: ``CHUNK`` x ``CHUNK`` pixels at fixed places, counted from the upper left pixel
of the grid, always whole (padded where it leaves the grid). So a pixel gets the same numbers whatever EXTENT, MASK,
block size or thread count. A *block* is what is read and written at once: a rectangle of chunks.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

CHUNK = 64
LARGEST_BLOCK = 512 * 512
"""Pixels: about a minute of the slowest network on two cores is what a crash may cost."""


class Area(NamedTuple):
    """A rectangle of pixels on the grid (the same fields as the stack's ``Window``)."""

    column: int
    row: int
    width: int
    height: int

    @property
    def right(self) -> int:
        return self.column + self.width

    @property
    def bottom(self) -> int:
        return self.row + self.height

    @property
    def pixels(self) -> int:
        return self.width * self.height

    def intersection(self, other: Area) -> Area:
        """What both cover; width or height 0 where they do not meet."""
        column, row = max(self.column, other.column), max(self.row, other.row)
        width = max(0, min(self.right, other.right) - column)
        height = max(0, min(self.bottom, other.bottom) - row)
        return Area(column, row, width, height)


@dataclass(frozen=True)
class Block:
    """What is read and written at once.

    Attributes:
        index: its number, row by row.
        area: the pixels it fills in the output, on the grid.
        chunked: the same widened to whole chunks: what is read.
    """

    index: int
    area: Area
    chunked: Area

    def chunks(self) -> Iterator[Area]:
        """Its chunks, row by row, each ``CHUNK`` x ``CHUNK``."""
        for row in range(self.chunked.row, self.chunked.bottom, CHUNK):
            for column in range(self.chunked.column, self.chunked.right, CHUNK):
                yield Area(column, row, CHUNK, CHUNK)

    @property
    def name(self) -> str:
        """The name of its part file, without suffix."""
        return f"block_r{self.area.row:06d}_c{self.area.column:06d}"


def block_shape(area: Area, pixels: int, source_block: tuple[int, int] = (256, 256)) -> tuple[int, int]:
    """Width and height of blocks: whole chunks, whole blocks of the source files where memory allows.

    Args:
        area: what is to be mapped.
        pixels: how many pixels fit in the memory of one block.
        source_block: width and height of the blocks in which the source files are stored; full-width strips give
            full-width blocks, so that each strip is decoded once.
    """
    pixels = min(pixels, LARGEST_BLOCK)
    most_wide = _up(area.right, CHUNK) - _down(area.column, CHUNK)
    most_high = _up(area.bottom, CHUNK) - _down(area.row, CHUNK)
    unit_w, unit_h = (min(math.lcm(size, CHUNK), 1 << 16) for size in source_block)
    unit_w, unit_h = min(unit_w, most_wide), min(unit_h, most_high)
    if unit_w * unit_h > pixels:  # such as 1024 x 1024 JPEG 2000 blocks in little memory
        unit_w = unit_h = CHUNK
    if pixels < CHUNK * CHUNK:
        return CHUNK, CHUNK
    width, height = unit_w, unit_h
    while True:
        wider = min(width + unit_w, most_wide)
        higher = min(height + unit_h, most_high)
        grow_wide = wider > width and wider * height <= pixels
        grow_high = higher > height and width * higher <= pixels
        if grow_wide and (width <= height or not grow_high):
            width = wider
        elif grow_high:
            height = higher
        else:
            return width, height


def plan_blocks(area: Area, width: int, height: int) -> list[Block]:
    """The blocks of ``width`` x ``height`` (multiples of CHUNK, or wider than all) that cover an area, row by row.

    Block borders lie at multiples of the block size from the grid's upper left pixel, so that they follow the blocks of
    the source files whatever the EXTENT.
    """
    blocks: list[Block] = []
    left, top = _down(area.column, CHUNK), _down(area.row, CHUNK)
    first_column = left if width >= area.right - left else _down(area.column, width)
    first_row = top if height >= area.bottom - top else _down(area.row, height)
    for row in range(first_row, area.bottom, height):
        for column in range(first_column, area.right, width):
            inside = area.intersection(Area(column, row, width, height))
            left, top = _down(inside.column, CHUNK), _down(inside.row, CHUNK)
            chunked = Area(left, top, _up(inside.right, CHUNK) - left, _up(inside.bottom, CHUNK) - top)
            blocks.append(Block(len(blocks), inside, chunked))
    return blocks


def _down(value: int, step: int) -> int:
    return value // step * step


def _up(value: int, step: int) -> int:
    return -(-value // step) * step
