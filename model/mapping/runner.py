"""The block runner: plans the blocks of a map, has them computed, and survives being killed.

Blocks that an earlier run has done stay; the others are computed here (:mod:`.pipeline`) or elsewhere; then the files
are assembled of all of them.
"""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..base.elsewhere import Elsewhere, Planned, write_order
from ..base.errors import Cancelled, ChangedError, LandloomError
from ..base.files import check_writable, writing_failed
from ..base.freedmemory import give_back_freed_memory
from ..base.language import tr
from ..base.lock import Lock, lock_path, tidy
from ..base.progress import Progress
from .chunks import CHUNK, LARGEST_BLOCK, Area, Block
from .job import STATISTICS, Job, Summary
from .journal import Journal, fingerprint, parts_folder
from .layout import Layout, block_at, choose_layout
from .mask import AreaMask
from .outputs import assemble, check_outputs
from .pipeline import Pipeline, count_pixels
from .stages import WRITING, Stages

WORTH_A_WORD = 1.5
"""Times that each block of the source files is read on average, above which the log says so."""


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
        self._pixels = 0
        self._statistics = np.zeros(job.statistics)
        self._reach = self._room = self._kept = 0

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
        stages, reading = Stages(), 0
        if pending and job.elsewhere is not None:
            self._elsewhere(job.elsewhere, journal, blocks, pending, mask)
        elif pending:
            pipeline = Pipeline(job, progress, journal, mask)
            pipeline.run(pending, self._reach, self._room, 1.0 - len(pending) / len(blocks), self._kept)
            stages, reading = pipeline.stages, pipeline.readers
            self._pixels += pipeline.pixels
            self._statistics += pipeline.statistics
        seconds = time.monotonic() - begin
        progress.text(tr("Assembling the files"))
        give_back_freed_memory()
        memory = job.memory_mb * 2**20 // 2
        with stages.doing(WRITING):
            assemble(job.layers, job.grid, job.area, blocks, journal, memory, progress.part(97, 100))
        progress.percent(100)
        times = stages.summary() if job.elsewhere is None else {}
        return Summary(self._pixels, seconds, len(blocks), len(done), self._statistics, times, reading)

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
        sizes = {block.index: count_pixels(block, mask) for block in pending}
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
        Pipeline(self._job, self._progress, journal, mask).run(blocks, *layout)

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
        if job.memory_mb < job.least_mb():
            raise LandloomError(
                tr(
                    "MEMORY_MB {memory_mb} is too small for these images and this model: give {least} or more, and "
                    "the run goes on in the smallest blocks that there are."
                ).format(memory_mb=job.memory_mb, least=job.least_mb())
            )
        check = self._progress.check
        layout = choose_layout(job.area, job.halo, lattices, job.bytes_per_pixel, job.slots, job.room, most, check)
        self._reach, self._room, self._kept = layout.reach, layout.room, layout.kept
        if layout.decoded > WORTH_A_WORD:
            needed = -(-layout.memory_needed // 2**20) + job.reserve_mb
            self._progress.info(
                tr(
                    "Each block of the source files will be read {decoded:.1f} times on average with MEMORY_MB "
                    "{memory_mb}; with about {needed} it would be read once."
                ).format(decoded=layout.decoded, memory_mb=job.memory_mb, needed=needed)
            )
        return layout


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
