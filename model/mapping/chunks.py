"""Chunks and blocks of the grid.

A *chunk* is what is computed at once: ``CHUNK`` x ``CHUNK`` pixels at fixed places, counted from the upper left pixel
of the grid, always whole (padded where it leaves the grid). So a pixel gets the same numbers whatever EXTENT, MASK,
block size or thread count. A *block* is what is read and written at once: a rectangle of chunks.
"""

from __future__ import annotations

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
        index: its number, in the order of reading.
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
