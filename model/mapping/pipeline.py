"""The threads of a run: blocks are read, computed and written at the same time, within bounded memory.

One thread reads block after block, with the help of others where that is slow: so as many blocks are in memory however
many threads read, and what is kept of the files for later blocks is what was foreseen. Computers take chunks of any
block at hand; one writer stores finished blocks; the calling thread shows progress and asks whether to stop.
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

from ..base.device import device_failure, thread_count
from ..base.errors import LandloomError
from ..base.files import writing_failed
from ..base.freedmemory import give_back_freed_memory
from ..base.language import tr
from ..base.lock import start
from ..base.progress import Progress
from ..stack.grid import Window
from ..stack.sensors import Series
from .calibrating import MOST_READERS, READER_MB, Calibration, Chosen, Limits, choose
from .chunks import CHUNK, Area, Block
from .job import STATISTICS, Job
from .journal import Journal
from .mask import AreaMask
from .stages import COMPUTING, READING, WRITING, Readers, Stages
from .watch import Watch

POLL = 0.1
TIDY = 2.0
"""Seconds after which freed memory is given back: several threads leave holes of a hundred megabytes else."""
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
        self._source = _Pending([])
        self._tasks: queue.Queue[tuple[_Work, Area] | None] = queue.Queue()
        self._finished: queue.Queue[_Work | None] = queue.Queue(maxsize=1)
        self._counting = threading.Lock()
        self._tidied = time.monotonic()
        self._chunks = 0
        self._chunk_seconds: list[float] = []
        self.pixels = 0
        self.statistics = np.zeros(job.statistics)
        self._readers = Readers(Stages(), 1, 1)
        self._computers: list[threading.Thread] = []
        self._calibration = Calibration(Limits(job.threads, job.threads, 1), 1.0)
        self._chosen: Chosen | None = None
        self.stages = Stages()
        self.readers = 0

    def run(
        self, pending: Sequence[Block], reach: int, room: int, before: float = 0.0, kept: int | None = None
    ) -> None:
        """Compute blocks, in this order.

        Args:
            pending: the blocks.
            reach: see :class:`Layout`.
            room: likewise.
            before: share of the whole that an earlier run did.
            kept: see :class:`Layout`; None where it is not known: then no more threads read than the job says.

        Raises:
            Cancelled: if the user asked to stop.
            LandloomError: if an input cannot be read or a part cannot be written.
        """
        job = self._job
        if job.files is not None:
            job.files.expect([Window(*block.chunked) for block in pending], job.halo, reach, room, job.cached)
        source = self._source = _Pending(pending)
        largest = max(block.chunked.pixels for block in pending)
        self._calibration = Calibration(self._limits(room, kept), largest / (CHUNK * CHUNK))
        readers = self._readers = Readers(self.stages, job.threads, 1 if job.files is None else job.readers)
        reader = self._thread("reader", self._read, source)
        computers = self._computers = [self._thread("computer", self._compute, n) for n in range(job.threads)]
        writer = self._thread("writer", self._write)
        total = sum(count_pixels(block, self._mask) for block in pending)
        watch = Watch(self._progress, job.threads, total, before)
        try:
            for thread in (writer, reader, *computers[: self._calibration.first_threads]):
                start(thread)
            while reader.is_alive():
                reader.join(POLL)
                self._look(watch)
                if readers.too_slow():
                    self._read_with(readers.count + 1)
            self.readers = readers.count
            self._look(watch)
            for _ in computers:
                self._tasks.put(None)
            self._wait(computers, watch)
            self._put_finished(None)
            self._wait([writer], watch)
            if job.files is not None:
                job.files.free()
        except BaseException:
            self._stop.set()
            if writer.ident is not None:
                writer.join()  # short: it writes the part in hand, never more
            deadline = time.monotonic() + PATIENCE
            for thread in (reader, *computers):
                if thread.ident is not None:
                    thread.join(max(0.0, deadline - time.monotonic()))
            raise

    def _limits(self, room: int, kept: int | None) -> Limits:
        """What the first blocks' times may lead to, where there is so much room for what is kept of the files."""
        job = self._job
        readers = 1 if job.files is None else job.readers
        if job.files is not None and kept is not None:
            readers = max(readers, min(MOST_READERS, (room - kept) // (READER_MB * 2**20)))
        return Limits(job.threads, max(thread_count(), job.threads), readers)

    def _adapt(self) -> None:
        """Once the first blocks have shown what takes how long: take as many threads as that asks for."""
        calibration, job = self._calibration, self._job
        if calibration.others_may_begin:
            for thread in self._computers:
                if thread.ident is None:
                    start(thread)
        if self._chosen is not None or not calibration.enough or self.stages.count(READING) < 2 or self._source.empty:
            return
        reading, writing = self.stages.mean(READING), self.stages.mean(WRITING)
        measured = calibration.measured(reading.seconds, reading.cpu_seconds, writing.seconds)
        chosen = self._chosen = choose(measured, calibration.limits)
        self._progress.info(
            tr(
                "A block takes {reading:.1f} s to read, {computing:.1f} s to compute and {writing:.1f} s to write: "
                "reading threads {readers}, computing threads {threads}, blocks in memory {slots}."
            ).format(
                reading=measured.reading,
                computing=measured.computing / job.threads,
                writing=measured.writing,
                readers=chosen.readers,
                threads=chosen.threads,
                slots=job.slots,
            )
        )
        self._readers.most = max(self._readers.most, chosen.readers)
        if chosen.readers > self._readers.count:
            self._read_with(chosen.readers)

    def _read_with(self, count: int) -> None:
        """Let so many threads read, from the next block on."""
        self._readers.take(count)
        if self._job.files is not None:
            self._job.files.use_threads(count, lambda: self.stages.doing(READING, counted=False))

    def _wait(self, threads: Sequence[threading.Thread], watch: Watch) -> None:
        for thread in threads:
            while thread.is_alive():
                thread.join(POLL)
                self._look(watch)
        if self._errors:
            raise self._errors[0]

    def _look(self, watch: Watch) -> None:
        """Raise what went wrong, ask whether to stop, tell how far it is, and give freed memory back now and then."""
        if self._errors:
            raise self._errors[0]
        self._progress.check()
        if time.monotonic() - self._tidied > TIDY:
            give_back_freed_memory()
            self._tidied = time.monotonic()
        self._adapt()
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
                    self._slots.release()
                    break
                area = block.chunked
                chunks = [chunk for chunk in block.chunks() if mask is None or mask.touches(chunk)]
                with self.stages.doing(READING):
                    series = reader.read(Window(*area), halo=job.halo)
                    reader.let_go()
                    give_back_freed_memory()
                if self._stop.is_set():
                    return
                arrays = {layer.name: layer.empty(block.area.height, block.area.width) for layer in job.layers}
                if job.statistics:
                    arrays[STATISTICS] = np.zeros(job.statistics)
                inside = None if mask is None else mask.read(area)
                work = _Work(block, series, inside, arrays, len(chunks))
                for chunk in chunks:
                    self._tasks.put((work, chunk))
                del work, series, arrays, inside  # else they would be held while the next block is read

    def _acquire_slot(self) -> bool:
        while not self._stop.is_set():
            if self._slots.acquire(timeout=POLL):
                return True
        return False

    def _compute(self, number: int) -> None:
        while not self._stop.is_set():
            if self._chosen is not None and number >= self._chosen.threads:
                return
            try:
                with self.stages.idle():
                    task = self._tasks.get(timeout=POLL)
            except queue.Empty:
                continue
            if task is None:
                return
            work, chunk = task
            begin = time.monotonic()
            running = sum(thread.ident is not None for thread in self._computers)
            with self.stages.doing(COMPUTING):
                computed = self._compute_chunk(work, chunk)
            seconds = time.monotonic() - begin
            with self._counting:
                self.pixels += chunk.intersection(work.block.area).pixels
                self._chunks += 1
                if len(self._chunk_seconds) < 1000:
                    self._chunk_seconds.append(seconds)
                if computed and not self._calibration.enough:
                    self._calibration.chunk(seconds, running)
            with work.lock:
                work.left -= 1
                last = work.left == 0
            if last:
                if self._job.files is not None and work.series is not None:
                    self._job.files.give_back(work.series)
                work.series = work.inside = None
                self._put_finished(work)
                self._slots.release()
            del task, work  # else it would be held until the next chunk comes

    def _compute_chunk(self, work: _Work, chunk: Area) -> bool:
        """Compute a chunk of a block; False where there is nothing in it."""
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
            return False
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
        return True

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
            del work


class _Pending:
    """The blocks still to be read, handed out one by one."""

    def __init__(self, blocks: Sequence[Block]) -> None:
        self._blocks: Iterator[Block] = iter(blocks)
        self._left = len(blocks)
        self._lock = threading.Lock()

    def next(self) -> Block | None:
        with self._lock:
            found = next(self._blocks, None)
            self._left -= found is not None
            return found

    @property
    def empty(self) -> bool:
        """Whether none is left."""
        return self._left == 0


def count_pixels(block: Block, mask: AreaMask | None) -> int:
    """How many pixels of a block are computed."""
    if mask is None:
        return block.area.pixels
    return sum(chunk.intersection(block.area).pixels for chunk in block.chunks() if mask.touches(chunk))
