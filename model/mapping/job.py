"""What is to be mapped: the inputs of the block runner."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import numpy as np

from ..base.elsewhere import Elsewhere
from ..stack.grid import Grid, Window
from ..stack.lattice import Lattice
from ..stack.sensors import Series
from .chunks import CHUNK, Area
from .outputs import Layer
from .stages import Stage

STATISTICS = "statistics"
CACHED = 16
"""One part in so many of MEMORY_MB is for GDAL's own cache."""
HOLES = 0.9
"""Share of MEMORY_MB that is planned with: freed memory between pieces in use cannot always be given back."""


class Reader(Protocol):
    """What the runner needs of a stack reader."""

    def read(self, window: Window, halo: int = 0) -> dict[str, Series]:
        """Raw series of a window, widened by ``halo``; masked outside the grid."""

    def let_go(self) -> None:
        """Free what was kept for another read of the same place."""


class Files(Protocol):
    """What the runner needs of a reader that all reading threads share, to have each block decoded once."""

    def lattices(self) -> dict[Lattice, int]:
        """How the files' blocks lie on the grid, and the bytes of a pixel of all files that lie so."""

    def expect(self, windows: Sequence[Window], halo: int, reach: int, room: int, cached: int | None = None) -> None:
        """What will be read, in this order; what may be kept from one window to later ones, and by GDAL meanwhile."""

    def use_threads(self, count: int, around: Callable[[], AbstractContextManager[object]]) -> None:
        """From the next window on so many threads read it together; ``around`` is what a further one works within."""

    def give_back(self, series: Mapping[str, Series]) -> None:
        """Series that are not needed any more."""

    def free(self) -> None:
        """Nothing is read any more: free what was kept."""


Compute = Callable[[dict[str, Series], Area], "dict[str, np.ndarray] | None"]
"""Series of one chunk with its halo -> ``[bands, CHUNK, CHUNK]`` by layer name; None where there is nothing."""


class Summary(NamedTuple):
    """What a run did.

    Attributes:
        pixels: pixels computed in this run.
        seconds: time of reading, computing and writing, without assembling.
        blocks: blocks of the whole job.
        resumed: blocks that an earlier run had done.
        statistics: the sum over all blocks of what the computation counted.
        stages: where the time went, by the name of the stage; empty where other processes computed.
        readers: threads that read in the end.
    """

    pixels: int
    seconds: float
    blocks: int
    resumed: int
    statistics: np.ndarray
    stages: Mapping[str, Stage] = {}
    readers: int = 0


@dataclass
class Job:
    """What to map, where to, and within what bounds.

    Attributes:
        grid: the grid of the stack.
        area: the part of it to map.
        layers: the outputs, the main one first; its name decides the folder of parts.
        open_reader: opens a reader; called in the thread that reads.
        compute: called from several threads at once.
        halo: pixels of context around a chunk.
        bytes_per_pixel: of the series of one pixel as read.
        identity: what makes this run the same as another one: stack, model, parameters.
        files: the reader, where it can be told what will be read, and to read by several threads.
        mask: polygons or a raster, as :class:`AreaMask` takes them.
        memory_mb: what the run may add to the memory that the process holds when it begins.
        reserve_mb: what computing needs of it.
        readers: reading threads at most: a run begins with one and takes more while computing waits for reading.
        threads: computing threads.
        statistics: how many numbers a computation counts, in the array named ``statistics``.
        elsewhere: who computes the blocks; None for this process.
        order: algorithm and arguments from which another process opens the same job; see ``blockwork.py``.
    """

    grid: Grid
    area: Area
    layers: Sequence[Layer]
    open_reader: Callable[[], AbstractContextManager[Reader]]
    compute: Compute
    halo: int
    bytes_per_pixel: int
    identity: Mapping[str, Any]
    files: Files | None = None
    mask: str | None = None
    memory_mb: int = 1024
    reserve_mb: int = 128
    readers: int = 1
    threads: int = 1
    statistics: int = 0
    elsewhere: Elsewhere | None = None
    order: Mapping[str, Any] = field(default_factory=dict)

    @property
    def slots(self) -> int:
        """Blocks in memory at once: being read, waiting, and being computed."""
        return 3 if self.readers <= 2 else self.readers + 2

    @property
    def cached(self) -> int:
        """Bytes by which GDAL's own cache may grow."""
        return self.memory_mb * 2**20 // CACHED

    @property
    def room(self) -> int:
        """Bytes for blocks and for what is kept of the files."""
        return max(0, int(self.memory_mb * HOLES * 2**20) - self.reserve_mb * 2**20 - self.cached)

    def block_pixels(self) -> int:
        """How many pixels a block may have."""
        return int(self.room / (1.2 * self.slots * max(1, self.bytes_per_pixel)))

    def block_bytes(self, pixels: int) -> int:
        """What a block takes, with its context and results."""
        return int(1.2 * max(1, self.bytes_per_pixel) * pixels)

    def least_mb(self) -> int:
        """The least MEMORY_MB that suffices for blocks of one chunk."""
        needed = self.reserve_mb * 2**20 + 1.2 * self.slots * self.bytes_per_pixel * CHUNK * CHUNK
        return math.ceil(needed / (HOLES - 1 / CACHED) / 2**20)
