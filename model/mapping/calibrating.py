"""How many threads read and compute: chosen from the times of the first blocks.

Whatever is chosen, the pixels are the same, and as many blocks are in memory; only the time of a run depends on it.
"""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass, field
from typing import NamedTuple

MOST_READERS = 8
"""More do not help: a disk or a server is as busy as it can be."""
READER_MB = 8
"""What a reading thread takes: open files and the tile in hand."""
ALONE = 2
"""Chunks that one thread computes before the others begin, so that one can see what these add."""


class Limits(NamedTuple):
    """What a run may take.

    Attributes:
        threads: computing threads at most.
        cores: of the processor, for this process.
        readers: reading threads at most.
    """

    threads: int
    cores: int
    readers: int


class Measured(NamedTuple):
    """Times of the first blocks.

    Attributes:
        reading: seconds of all reading threads together for a block.
        reading_cpu: those of them on a core.
        computing: seconds of all computing threads together for a block.
        writing: seconds to write one.
        speed_up: how many times as many chunks all threads do as one does alone; 0 where it was not measured.
    """

    reading: float
    reading_cpu: float
    computing: float
    writing: float
    speed_up: float


class Chosen(NamedTuple):
    """What a run takes."""

    readers: int
    threads: int


def choose(measured: Measured, limits: Limits) -> Chosen:
    """As few threads as keep the others busy.

    Computing threads: as many as speed it up, and one more where that is between two numbers. Reading threads: so many
    that blocks come as quickly as they are computed, but no more than there are cores for where reading takes these.
    """
    threads = limits.threads
    if measured.speed_up > 0:
        threads = min(threads, max(1, math.ceil(measured.speed_up + 0.5)))
    between = max(measured.computing / limits.threads, 1e-9)
    readers = math.ceil(measured.reading / between - 0.1)
    share = measured.reading_cpu / max(measured.reading, 1e-9)
    readers = min(readers, math.floor(limits.cores / max(share, 1e-9)), limits.readers)
    return Chosen(max(1, readers), threads)


@dataclass
class Calibration:
    """Collects the times until they suffice.

    Attributes:
        limits: what may be taken.
        chunks_of_block: of a usual block.
    """

    limits: Limits
    chunks_of_block: float
    _alone: list[float] = field(default_factory=list)
    _together: list[float] = field(default_factory=list)

    @property
    def first_threads(self) -> int:
        """Computing threads that begin: with two there is nothing to save."""
        return self.limits.threads if self.limits.threads <= 2 else 1

    def chunk(self, seconds: float, running: int) -> None:
        """A chunk was computed, not left out, while so many threads computed."""
        (self._together if running == self.limits.threads else self._alone).append(seconds)

    @property
    def others_may_begin(self) -> bool:
        """Whether one thread has computed alone for long enough."""
        return len(self._alone) >= ALONE

    @property
    def enough(self) -> bool:
        """Whether all threads have computed for long enough."""
        return len(self._together) >= 2 * self.limits.threads

    def measured(self, reading: float, reading_cpu: float, writing: float) -> Measured:
        """All times, with those of reading and writing a block."""
        # The first chunks of a thread may wait for a library: the later half of them counts.
        together = self._together[len(self._together) // 2 :]
        speed_up = 0.0
        if self._alone:
            # a bound from above: chunks that take long for other reasons must not cost a thread
            speed_up = self.limits.threads * max(self._alone[-ALONE:]) / max(min(together), 1e-9)
        return Measured(reading, reading_cpu, statistics.fmean(together) * self.chunks_of_block, writing, speed_up)
