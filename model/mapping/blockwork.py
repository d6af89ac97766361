"""The side of the workers: opens what an order names and computes pieces of it, each into its part.

Whatever goes wrong is told in the answer, as a sentence with the machine's name: an exception might need modules that
the other side has under another name, and the scheduler would have to understand it too.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import sys
import threading
import time
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from ..base.device import resolve_device, thread_count
from ..base.elsewhere import read_order
from ..base.errors import Cancelled, ChangedError, GoneError, LandloomError
from ..base.language import tr
from ..base.progress import Progress
from ..samples.tilework import Tiles
from ..stack.reader import StackReader
from .chunks import Area, Block
from .cluster import difference, this_machine, versions
from .job import Job
from .journal import Journal
from .layout import block_at
from .mask import AreaMask
from .runner import BlockRunner

THREADS = "LANDLOOM_THREADS"
"""Environment variable: computing threads of a worker, where several workers share a machine."""
LOOK = 1.0
"""Seconds between two looks at whether the run still wants its pieces."""


class Session(Protocol):
    """An order whose inputs are open."""

    def compute(self, numbers: Sequence[int], progress: Progress) -> None:
        """Make the parts of these pieces."""


class _Open:
    """The session of this process: opening a stack and a model takes seconds, so they stay open between tasks."""

    def __init__(self) -> None:
        self.lock = threading.Lock()  # one task at a time: it uses all threads and the whole of MEMORY_MB
        self._key: tuple[str, str] | None = None
        self._session: Session | None = None
        self._stack = contextlib.ExitStack()

    def session(self, path: str, run: str, threads: int) -> Session:
        """The session of an order, which must be that of the run."""
        if self._session is None or self._key != (path, run):
            self.close()
            order = read_order(path)
            if order["run"] != run:
                raise Cancelled
            self._session = open_session(order, Path(path).parent, threads, self._stack)
            self._key = path, run
        return self._session

    def of(self, path: str, run: str) -> bool:
        """Whether what is open belongs to this order."""
        return self._key == (path, run)

    def close(self) -> None:
        """Close what is open."""
        self._key = self._session = None
        self._stack.close()


_OPEN = _Open()
atexit.register(_OPEN.close)  # data sets must go before GDAL does


class StillWanted(Progress):
    """Stops when the order is gone or is that of another run: its folder belongs to somebody else then."""

    def __init__(self, order: str, run: str) -> None:
        self._order, self._run = order, run
        self._looked = time.monotonic()

    def is_cancelled(self) -> bool:
        if time.monotonic() - self._looked < LOOK:
            return False
        return not self.wanted()

    def wanted(self) -> bool:
        """Look now."""
        self._looked = time.monotonic()
        try:
            return bool(read_order(self._order)["run"] == self._run)
        except LandloomError:
            return False

    def ensure(self) -> None:
        """Raise :class:`Cancelled` unless the run wants its pieces at this moment."""
        if not self.wanted():
            raise Cancelled


class Blocks:
    """The blocks of a map; see :class:`BlockRunner`."""

    def __init__(self, job: Job, order: Mapping[str, Any], folder: Path) -> None:
        self._folder, self._layout = folder, order["layout"]
        content = Journal(folder).read()
        if content is None or content.get("hash") != order["run"]:
            raise Cancelled
        areas = [Area(*one) for one in content["blocks"]]
        self._blocks = [block_at(index, job.area, area) for index, area in enumerate(areas)]
        largest = max(area.pixels for area in areas)
        # The blocks were measured for the threads of the machine that planned them.
        most = int(job.room / (1.2 * max(1, job.bytes_per_pixel) * largest)) - 2
        self._job = replace(job, readers=max(1, min(job.readers, most)))
        self._mask = None
        if order["mask"]:
            self._mask = AreaMask(None, job.grid, job.area, folder / "mask.tif", Progress())

    def _inside(self, block: Block) -> bool:
        """Whether there is anything to map in a block."""
        return self._mask is None or any(self._mask.touches(chunk) for chunk in block.chunks())

    def compute(self, numbers: Sequence[int], progress: Progress) -> None:
        """Make the parts of these blocks; those that are there and whole stay."""
        check = progress.ensure if isinstance(progress, StillWanted) else None
        journal = Journal(self._folder, check)
        blocks = [self._blocks[number] for number in numbers if self._inside(self._blocks[number])]
        blocks = [block for block in blocks if not journal.has(block)]
        if blocks:
            BlockRunner(self._job, progress).compute(journal, blocks, self._layout, self._mask)


def open_session(order: Mapping[str, Any], folder: Path, threads: int, stack: contextlib.ExitStack) -> Session:
    """Open what an order names.

    Args:
        order: its content.
        folder: of its parts.
        threads: computing threads.
        stack: closes it.

    Raises:
        LandloomError: if an input is gone, or has changed.
    """
    algorithm, arguments = order["algorithm"], dict(order["arguments"])
    if algorithm == "classify":
        from .classify import open_classification

        return Blocks(
            stack.enter_context(open_classification(Progress(), None, None, threads, arguments)).job, order, folder
        )
    if algorithm == "descriptors":
        from .descriptors import open_descriptors

        return Blocks(
            stack.enter_context(open_descriptors(Progress(), None, None, threads, arguments))[0], order, folder
        )
    if algorithm == "extractsamples":
        reader = StackReader(arguments["stack"], memory_mb=arguments["memory_mb"] / 4)
        return Tiles(order, folder, stack.enter_context(reader))
    raise LandloomError(
        tr("This version of Landloom cannot compute '{algorithm}' of {folder}: install the same one.").format(
            algorithm=algorithm, folder=folder
        )
    )


def describe(network: bool) -> dict[str, Any]:
    """What a run wants to know of a worker: its machine, versions, and the device that ``auto`` means there.

    Args:
        network: whether a network is computed; only then torch is imported.
    """
    device = "cpu"
    if network:
        with contextlib.suppress(LandloomError):
            device = resolve_device("auto").type
    return {"machine": this_machine(), "versions": versions(), "device": device}


def compute(
    order: str, run: str, numbers: Sequence[int], expected: Mapping[str, str] | None = None, threads: int | None = None
) -> dict[str, Any]:
    """Compute pieces of a run.

    Args:
        order: path of the order, as this machine sees it.
        run: the hash that the order must have.
        numbers: of the pieces.
        expected: versions of the run's own process; torch is left out where it does not count.
        threads: computing threads; None for what the environment or the machine says.

    Returns:
        ``machine``, and ``error`` (a sentence), ``changed`` or ``stopped`` where the pieces were not made.
    """
    answer: dict[str, Any] = {"machine": this_machine()}
    with _OPEN.lock:
        try:
            apart = difference(
                versions(),
                expected or {},
                "torch" in (expected or {}),
                tr("The worker {this_machine}").format(this_machine=this_machine()),
            )
            if apart:
                raise LandloomError(apart)
            session = _OPEN.session(order, run, threads or own_threads())
            session.compute(numbers, StillWanted(order, run))
        except Cancelled:
            answer["stopped"] = True
        except GoneError as error:  # here only, it may be: nothing that others made is thrown away for that
            answer["error"] = tr(
                "The file {path} of the stack is gone, or this machine does not see it: keep stack and images in "
                "folders that all machines share, and give PATH_MAP where these have other names here."
            ).format(path=error.path)
        except ChangedError as error:
            answer |= {"error": str(error), "changed": True}
        except LandloomError as error:
            answer["error"] = str(error)
        except MemoryError:
            answer["error"] = tr("There is not enough memory: lower MEMORY_MB, or give the workers more.")
        except Exception as error:
            traceback.print_exc(file=sys.stderr)
            answer["error"] = tr("Something failed that should not, see the worker's log: {error!r}.").format(
                error=error
            )
        if len(answer) > 1:
            _OPEN.close()
    return answer


def close() -> None:
    """Close what the last task left open."""
    with _OPEN.lock:
        _OPEN.close()


def let_go(order: str, run: str) -> None:
    """Close what a run that has ended left open, unless this worker is at work for another one by now."""
    if _OPEN.lock.acquire(blocking=False):
        try:
            if _OPEN.of(order, run):
                _OPEN.close()
        finally:
            _OPEN.lock.release()


def own_threads() -> int:
    """Computing threads of this worker."""
    given = os.environ.get(THREADS, "")
    if given.isdigit() and int(given):
        return int(given)
    if "distributed.worker" in sys.modules:
        from distributed import get_worker

        with contextlib.suppress(ValueError):  # outside a task
            if get_worker().state.nthreads > 1:
                return int(get_worker().state.nthreads)
    return thread_count()
