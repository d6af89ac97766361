"""The block runner: reads, computes and writes at the same time, within bounded memory, and survives being killed.

Threads only: readers fetch whole blocks, each with a reader of its own; computers take chunks of any block at hand;
one writer stores finished blocks; the calling thread shows progress, asks whether to stop, and assembles the files.
"""

from __future__ import annotations

import contextlib
import queue
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..base.device import device_failure
from ..base.elsewhere import Elsewhere, Planned, write_order
from ..base.errors import Cancelled, ChangedError, LandloomError
from ..base.files import check_writable, writing_failed
from ..base.language import tr
from ..base.lock import Lock, lock_path, start, tidy
from ..base.progress import Progress
from ..stack.grid import Window
from ..stack.sensors import Series
from .chunks import CHUNK, LARGEST_BLOCK, Area, Block
from .job import STATISTICS, Job, Summary
from .journal import Journal, fingerprint, parts_folder
from .layout import Layout, block_at, choose_layout
from .mask import AreaMask
from .outputs import assemble, check_outputs
from .stages import COMPUTING, READING, WRITING, Readers, Stages
from .watch import Watch

POLL = 0.1
WORTH_A_WORD = 1.5
"""Times that each block of the source files is read on average, above which the log says so."""
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


class BlockRunner:
    """Runs one :class:`Job`.

    Raises:
        Cancelled: when the user asked to stop; the parts are removed.
        LandloomError: when an input cannot be read or an output cannot be written; finished parts stay, and the same
            run goes on from them.
    """

    def __init__(self, job: Job, progress: Progress) -> None:
        self._job = job
        self._progress = progress
        self._stop = threading.Event()
        self._errors: list[BaseException] = []
        self._slots = threading.Semaphore(job.slots)
        self._tasks: queue.Queue[tuple[_Work, Area] | None] = queue.Queue()
        self._finished: queue.Queue[_Work | None] = queue.Queue(maxsize=2)
        self._counting = threading.Lock()
        self._pixels = self._chunks = 0
        self._chunk_seconds: list[float] = []
        self._statistics = np.zeros(job.statistics)
        self._reach = self._room = 0
        self._stages = Stages()
        self._reading = 0

    def run(self) -> Summary:
        """Do the job."""
        check_outputs([layer.path for layer in self._job.layers])
        for layer in self._job.layers:
            check_writable(layer.path)
        folder = parts_folder(self._job.layers[0].path)
        keep = False
        with contextlib.ExitStack() as locks:
            locks.enter_context(Lock(folder / "lock", self._job.layers[0].path))
            try:
                for layer in self._job.layers:
                    locks.enter_context(Lock(lock_path(layer.path), layer.path))
                    tidy(layer.path)
                return self._locked(Journal(folder))
            except (Cancelled, ChangedError):
                raise
            except BaseException as error:
                done = len(list(folder.glob("block_*[0-9].npz")))
                keep = done > 0 or isinstance(error, Planned)
                if keep and type(error) is LandloomError:
                    raise LandloomError(f"{error} {_kept(done, folder)}") from error
                raise
            finally:
                if not keep:  # before the lock is let go, so that a waiting run never sees half of the parts
                    _remove(folder)

    # ------------------------------------------------------------------ the calling thread

    def _locked(self, journal: Journal) -> Summary:
        job, progress = self._job, self._progress
        progress.text(tr("Planning"))
        blocks, mask = self._plan(journal)
        # Checked one by one, since a part may be damaged after a power cut.
        pending: list[Block] = []
        done: list[Block] = []
        for block in blocks:
            progress.check()
            (done if journal.has(block) else pending).append(block)
        if done:
            progress.info(
                tr("Going on from {n_done} of {n_blocks} blocks done by an earlier run.").format(
                    n_done=len(done), n_blocks=len(blocks)
                )
            )
            if job.statistics:
                self._statistics += np.sum([journal.load(block, STATISTICS) for block in done], axis=0)
        begin = time.monotonic()
        stages = self._stages = Stages()
        if pending and job.elsewhere is not None:
            self._elsewhere(job.elsewhere, journal, blocks, pending, mask)
        elif pending:
            self._pipeline(journal, blocks, pending, mask)
        seconds = time.monotonic() - begin
        progress.text(tr("Assembling the files"))
        memory = job.memory_mb * 2**20 // 3
        with stages.doing(WRITING):
            assemble(job.layers, job.grid, job.area, blocks, journal, memory, progress.part(97, 100))
        progress.percent(100)
        times = stages.summary() if job.elsewhere is None else {}
        return Summary(self._pixels, seconds, len(blocks), len(done), self._statistics, times, self._reading)

    def _elsewhere(
        self,
        elsewhere: Elsewhere,
        journal: Journal,
        blocks: Sequence[Block],
        pending: Sequence[Block],
        mask: AreaMask | None,
    ) -> None:
        """Let other processes compute the blocks: they get the path of an order, and numbers."""
        job = self._job
        run = (journal.read() or {}).get("hash", "")
        order = write_order(journal.folder, run, **job.order, layout=[self._reach, self._room])
        sizes = {block.index: self._count_pixels(block, mask) for block in pending}
        by_index = {block.index: block for block in pending}
        before = 97.0 * (1.0 - len(pending) / len(blocks))
        elsewhere.compute(order, sizes, lambda index: journal.part(by_index[index]), self._progress.part(before, 97.0))
        for block in pending:
            if not journal.has(block):
                raise LandloomError(
                    tr("The part {part} is damaged or gone: run again, it is made anew.").format(
                        part=journal.part(block)
                    )
                )
            if job.statistics:
                self._statistics += journal.load(block, STATISTICS)
        self._pixels += sum(sizes.values())

    def compute(self, journal: Journal, blocks: Sequence[Block], layout: Sequence[int], mask: AreaMask | None) -> None:
        """Compute blocks of a run that another process has planned and will assemble; their parts are left."""
        self._reach, self._room = layout
        self._pipeline(journal, blocks, blocks, mask)

    def _plan(self, journal: Journal) -> tuple[list[Block], AreaMask | None]:
        job, progress = self._job, self._progress
        run_hash = fingerprint(
            {
                **job.identity,
                "area": list(job.area),
                "chunk": CHUNK,
                "layers": [[layer.name, layer.bands, layer.dtype, layer.nodata] for layer in job.layers],
            }
        )
        layout = self._layout()
        blocks = layout.blocks
        earlier = journal.read()
        if earlier is not None and earlier.get("hash") != run_hash:
            progress.info(
                tr("An earlier run had another stack, model or parameters: starting again without its parts.")
            )
            earlier = None
        if earlier is not None:
            then = [block_at(index, job.area, Area(*one)) for index, one in enumerate(earlier.get("blocks", []))]
            # The result does not depend on the blocks: keep those of the earlier run unless memory is now short.
            if not then or _largest(then) > max(_largest(blocks), CHUNK * CHUNK):
                progress.info(tr("MEMORY_MB is now too small for the blocks of the earlier run: starting again."))
                earlier = None
            else:
                blocks = then
        if earlier is None:
            try:
                journal.start(run_hash, blocks)
            except OSError as error:
                raise LandloomError(writing_failed(journal.folder, error)) from error
        if job.mask is None:
            return blocks, None
        progress.text(tr("Reading the mask"))
        mask = AreaMask(job.mask, job.grid, job.area, journal.folder / "mask.tif", progress)
        return [block for block in blocks if any(mask.touches(chunk) for chunk in block.chunks())], mask

    def _layout(self) -> Layout:
        """Where the blocks are to lie; says so where memory is short."""
        job = self._job
        lattices = {} if job.files is None else job.files.lattices()
        most = min(LARGEST_BLOCK, job.block_pixels())
        check = self._progress.check
        layout = choose_layout(job.area, job.halo, lattices, job.bytes_per_pixel, job.slots, job.room, most, check)
        self._reach, self._room = layout.reach, layout.room
        if layout.decoded > WORTH_A_WORD:
            needed = -(-layout.memory_needed // 2**20) + job.reserve_mb
            self._progress.info(
                tr(
                    "Each block of the source files will be read {decoded:.1f} times on average with MEMORY_MB "
                    "{memory_mb}; with about {needed} it would be read once."
                ).format(decoded=layout.decoded, memory_mb=job.memory_mb, needed=needed)
            )
        return layout

    def _pipeline(
        self, journal: Journal, blocks: Sequence[Block], pending: Sequence[Block], mask: AreaMask | None
    ) -> None:
        job = self._job
        if job.files is not None:
            job.files.expect([Window(*block.chunked) for block in pending], job.halo, self._reach, self._room)
        source = _Pending(pending)
        readers = Readers(self._stages, job.threads, min(job.readers, len(pending)))
        readers.more(self._thread("reader", self._read, source, mask))
        computers = [self._thread("computer", self._compute) for _ in range(job.threads)]
        writer = self._thread("writer", self._write, journal)
        total = sum(self._count_pixels(block, mask) for block in pending)
        watch = Watch(self._progress, job.threads, total, 1.0 - len(pending) / len(blocks))
        try:
            for thread in (writer, *readers.threads, *computers):
                start(thread)
            while readers.alive():
                self._look(watch)
                if readers.too_slow():
                    readers.more(self._thread("reader", self._read, source, mask))
                    start(readers.threads[-1])
            self._reading = len(readers.threads)
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
            state = self._pixels, self._chunks, self._chunk_seconds[:]
        watch.show(*state)

    def _count_pixels(self, block: Block, mask: AreaMask | None) -> int:
        if mask is None:
            return block.area.pixels
        return sum(chunk.intersection(block.area).pixels for chunk in block.chunks() if mask.touches(chunk))

    # ------------------------------------------------------------------ the other threads

    def _thread(self, name: str, work: Callable[..., None], *arguments: Any) -> threading.Thread:
        def guarded() -> None:
            try:
                work(*arguments)
            except BaseException as error:
                self._errors.append(device_failure(error) or error)
                self._stop.set()

        return threading.Thread(target=guarded, name=f"landloom {name}", daemon=True)

    def _read(self, source: _Pending, mask: AreaMask | None) -> None:
        job = self._job
        with job.open_reader() as reader:
            while self._acquire_slot():
                block = source.next()
                if block is None:
                    break
                area = block.chunked
                chunks = [chunk for chunk in block.chunks() if mask is None or mask.touches(chunk)]
                with self._stages.doing(READING):
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
                with self._stages.idle():
                    task = self._tasks.get(timeout=POLL)
            except queue.Empty:
                continue
            if task is None:
                return
            work, chunk = task
            begin = time.monotonic()
            with self._stages.doing(COMPUTING):
                self._compute_chunk(work, chunk)
            seconds = time.monotonic() - begin
            with self._counting:
                self._pixels += chunk.intersection(work.block.area).pixels
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

    def _write(self, journal: Journal) -> None:
        while not self._stop.is_set():
            try:
                work = self._finished.get(timeout=POLL)
            except queue.Empty:
                continue
            if work is None:
                return
            try:
                with self._stages.doing(WRITING):
                    journal.write(work.block, work.arrays)
            except OSError as error:
                raise LandloomError(writing_failed(journal.folder, error)) from error
            if STATISTICS in work.arrays:
                self._statistics += work.arrays[STATISTICS]


class _Pending:
    """The blocks still to be read, handed out one by one."""

    def __init__(self, blocks: Sequence[Block]) -> None:
        self._blocks: Iterator[Block] = iter(blocks)
        self._lock = threading.Lock()

    def next(self) -> Block | None:
        with self._lock:
            return next(self._blocks, None)


def _largest(blocks: Sequence[Block]) -> int:
    return max(block.chunked.pixels for block in blocks)


def _kept(done: int, folder: Path) -> str:
    blocks = tr("The finished block is") if done == 1 else tr("The {done} finished blocks are").format(done=done)
    return tr("{blocks} kept in {folder}; the same run goes on from there.").format(blocks=blocks, folder=folder)


def _remove(folder: Path) -> None:
    """Remove the parts, the lock last."""
    with contextlib.suppress(OSError):
        Journal(folder).clear()
    shutil.rmtree(folder, ignore_errors=True)
