"""The threads of a run: blocks are read, computed and written at the same time, within bounded memory.

Readers fetch whole blocks, each with a reader of its own; computers take chunks of any block at hand; one writer stores
finished blocks; the calling thread shows progress and asks whether to stop.
"""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..base.device import device_failure
from ..base.errors import LandloomError
from ..base.files import writing_failed
from ..base.lock import start
from ..base.progress import Progress
from ..stack.grid import Window
from ..stack.sensors import Series
from .chunks import CHUNK, Area, Block
from .job import STATISTICS, Job
from .journal import Journal
from .mask import AreaMask
from .stages import COMPUTING, READING, WRITING, Readers, Stages
from .watch import Watch

POLL = 0.1
PATIENCE = 1.2
"""Seconds that a cancelled run waits for reading and computing threads; they write nothing and end by themselves."""


@dataclass
class _Work:
    """One block on its way."""

    block: Block
    series: dict[str, Series] | None
    inside: np.ndarray | None
    arrays: dict[str, np.ndarray]
    left: int
    lock: threading.Lock = field(default_factory=threading.Lock)


class Pipeline:
    """Computes blocks of a job, each into its part.

    Args:
        job: what is computed.
        progress: shown, and asked whether to stop.
        journal: takes the parts.
        mask: the pixels wanted; None for all.

    Attributes:
        pixels: computed so far.
        statistics: the sum over the blocks of what the computation counted.
        stages: where the time went.
        readers: threads that read in the end.
    """

    def __init__(self, job: Job, progress: Progress, journal: Journal, mask: AreaMask | None) -> None:
        self._job, self._progress = job, progress
        self._journal, self._mask = journal, mask
        self._stop = threading.Event()
        self._errors: list[BaseException] = []
        self._slots = threading.Semaphore(job.slots)
        self._tasks: queue.Queue[tuple[_Work, Area] | None] = queue.Queue()
        self._finished: queue.Queue[_Work | None] = queue.Queue(maxsize=2)
        self._counting = threading.Lock()
        self._chunks = 0
        self._chunk_seconds: list[float] = []
        self.pixels = 0
        self.statistics = np.zeros(job.statistics)
        self.stages = Stages()
        self.readers = 0

    def run(self, pending: Sequence[Block], reach: int, room: int, before: float = 0.0) -> None:
        """Compute blocks, in this order.

        Args:
            pending: the blocks.
            reach: see :class:`Layout`.
            room: likewise.
            before: share of the whole that an earlier run did.

        Raises:
            Cancelled: if the user asked to stop.
            LandloomError: if an input cannot be read or a part cannot be written.
        """
        job = self._job
        if job.files is not None:
            job.files.expect([Window(*block.chunked) for block in pending], job.halo, reach, room)
        source = _Pending(pending)
        readers = Readers(self.stages, job.threads, min(job.readers, len(pending)))
        readers.more(self._thread("reader", self._read, source))
        computers = [self._thread("computer", self._compute) for _ in range(job.threads)]
        writer = self._thread("writer", self._write)
        total = sum(count_pixels(block, self._mask) for block in pending)
        watch = Watch(self._progress, job.threads, total, before)
        try:
            for thread in (writer, *readers.threads, *computers):
                start(thread)
            while readers.alive():
                self._look(watch)
                if readers.too_slow():
                    readers.more(self._thread("reader", self._read, source))
                    start(readers.threads[-1])
            self.readers = len(readers.threads)
            self._look(watch)
            for _ in computers:
                self._tasks.put(None)
            self._wait(computers, watch)
            self._put_finished(None)
            self._wait([writer], watch)
        except BaseException:
            self._stop.set()
            if writer.ident is not None:
                writer.join()  # short: it writes the part in hand, never more
            deadline = time.monotonic() + PATIENCE
            for thread in (*readers.threads, *computers):
                if thread.ident is not None:
                    thread.join(max(0.0, deadline - time.monotonic()))
            raise

    def _wait(self, threads: Sequence[threading.Thread], watch: Watch) -> None:
        for thread in threads:
            while thread.is_alive():
                thread.join(POLL)
                self._look(watch)
        if self._errors:
            raise self._errors[0]

    def _look(self, watch: Watch) -> None:
        """Raise what went wrong, ask whether to stop, and tell how far it is."""
        if self._errors:
            raise self._errors[0]
        self._progress.check()
        with self._counting:
            state = self.pixels, self._chunks, self._chunk_seconds[:]
        watch.show(*state)

    # ------------------------------------------------------------------ the other threads

    def _thread(self, name: str, work: Callable[..., None], *arguments: Any) -> threading.Thread:
        def guarded() -> None:
            try:
                work(*arguments)
            except BaseException as error:
                self._errors.append(device_failure(error) or error)
                self._stop.set()

        return threading.Thread(target=guarded, name=f"landloom {name}", daemon=True)

    def _read(self, source: _Pending) -> None:
        job, mask = self._job, self._mask
        with job.open_reader() as reader:
            while self._acquire_slot():
                block = source.next()
                if block is None:
                    break
                area = block.chunked
                chunks = [chunk for chunk in block.chunks() if mask is None or mask.touches(chunk)]
                with self.stages.doing(READING):
                    series = reader.read(Window(*area), halo=job.halo)
                    reader.let_go()
                if self._stop.is_set():
                    return
                arrays = {layer.name: layer.empty(block.area.height, block.area.width) for layer in job.layers}
                if job.statistics:
                    arrays[STATISTICS] = np.zeros(job.statistics)
                inside = None if mask is None else mask.read(area)
                work = _Work(block, series, inside, arrays, len(chunks))
                for chunk in chunks:
                    self._tasks.put((work, chunk))

    def _acquire_slot(self) -> bool:
        while not self._stop.is_set():
            if self._slots.acquire(timeout=POLL):
                return True
        return False

    def _compute(self) -> None:
        while not self._stop.is_set():
            try:
                with self.stages.idle():
                    task = self._tasks.get(timeout=POLL)
            except queue.Empty:
                continue
            if task is None:
                return
            work, chunk = task
            begin = time.monotonic()
            with self.stages.doing(COMPUTING):
                self._compute_chunk(work, chunk)
            seconds = time.monotonic() - begin
            with self._counting:
                self.pixels += chunk.intersection(work.block.area).pixels
                self._chunks += 1
                if len(self._chunk_seconds) < 1000:
                    self._chunk_seconds.append(seconds)
            with work.lock:
                work.left -= 1
                last = work.left == 0
            if last:
                if self._job.files is not None and work.series is not None:
                    self._job.files.give_back(work.series)
                work.series = work.inside = None
                self._slots.release()
                self._put_finished(work)

    def _compute_chunk(self, work: _Work, chunk: Area) -> None:
        block, halo = work.block, self._job.halo
        top, left = chunk.row - block.chunked.row, chunk.column - block.chunked.column
        size = CHUNK + 2 * halo
        rows, columns = slice(top, top + size), slice(left, left + size)
        inside = None if work.inside is None else work.inside[top : top + CHUNK, left : left + CHUNK]
        series = work.series or {}
        results = self._job.compute(
            {
                # Copies: equal memory layout for every chunk, so that equal pixels give equal numbers.
                name: Series(
                    np.ascontiguousarray(one.values[..., rows, columns]),
                    np.ascontiguousarray(one.mask[..., rows, columns]),
                    one.days,
                )
                for name, one in series.items()
            },
            chunk,
        )
        if results is None:
            return
        both = chunk.intersection(block.area)
        target = (
            slice(None),
            slice(both.row - block.area.row, both.bottom - block.area.row),
            slice(both.column - block.area.column, both.right - block.area.column),
        )
        origin = (
            slice(None),
            slice(both.row - chunk.row, both.bottom - chunk.row),
            slice(both.column - chunk.column, both.right - chunk.column),
        )
        for layer in self._job.layers:
            values = results[layer.name]
            if inside is not None:
                values = np.where(inside, values, np.asarray(layer.nodata, layer.dtype))
            work.arrays[layer.name][target] = values[origin]
        if STATISTICS in work.arrays and STATISTICS in results:
            with work.lock:
                work.arrays[STATISTICS] += results[STATISTICS]

    def _put_finished(self, work: _Work | None) -> None:
        while not self._stop.is_set():
            with contextlib.suppress(queue.Full):
                self._finished.put(work, timeout=POLL)
                return

    def _write(self) -> None:
        journal = self._journal
        while not self._stop.is_set():
            try:
                work = self._finished.get(timeout=POLL)
            except queue.Empty:
                continue
            if work is None:
                return
            try:
                with self.stages.doing(WRITING):
                    journal.write(work.block, work.arrays)
            except OSError as error:
                raise LandloomError(writing_failed(journal.folder, error)) from error
            if STATISTICS in work.arrays:
                self.statistics += work.arrays[STATISTICS]


class _Pending:
    """The blocks still to be read, handed out one by one."""

    def __init__(self, blocks: Sequence[Block]) -> None:
        self._blocks: Iterator[Block] = iter(blocks)
        self._lock = threading.Lock()

    def next(self) -> Block | None:
        with self._lock:
            return next(self._blocks, None)


def count_pixels(block: Block, mask: AreaMask | None) -> int:
    """How many pixels of a block are computed."""
    if mask is None:
        return block.area.pixels
    return sum(chunk.intersection(block.area).pixels for chunk in block.chunks() if mask.touches(chunk))
