"""The pieces of one run on their way to the workers of a Dask cluster and back."""

from __future__ import annotations

import asyncio
import contextlib
import time
import uuid
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from ..base.errors import ChangedError, LandloomError
from ..base.language import tr
from ..base.progress import Progress
from .answers import in_time
from .remote import beside, remote
from .sentjobs import SentJobs
from .watch import duration

POLL = 0.2
CONNECT = 15
"""Seconds to reach a scheduler."""
NO_WORKERS = 120.0
"""Seconds without any worker after which a run gives up; a job queue may take as long as it likes."""
VISIBLE = 60.0
"""Seconds until a part must be seen here: network file systems remember for a while what was not there."""
TRIES = 3
"""Times that a piece is given out, when workers say that they stopped or its part is not there."""
MOST_IN_TASK = 8
TELL = 1.0
"""Seconds between two looks at how far the run is."""
LAST = 10.0
"""Seconds for the last words with a cluster; it does without them if it must."""
LOST = (OSError, TimeoutError, asyncio.TimeoutError)  # Dask's CommClosedError is an OSError


class Cluster(Protocol):
    """What the tasks need of a cluster."""

    address: str
    client: Any
    jobs: SentJobs | None
    expected: dict[str, str]

    def connection(self) -> contextlib.AbstractContextManager[None]:
        """What is asked inside may fail because the scheduler is gone: a sentence then."""

    def count(self) -> int:
        """How many workers there are."""


class Tasks:
    """The pieces of one run on their way."""

    def __init__(
        self,
        cluster: Cluster,
        order: str,
        run: str,
        pieces: Mapping[int, int],
        part: Callable[[int], Path],
        progress: Progress,
    ) -> None:
        self._cluster, self._progress = cluster, progress
        self._order, self._run, self._pieces = order, run, pieces
        self._parts = {part(number): number for number in pieces}
        self._folder = next(iter(self._parts)).parent
        self._waiting = list(pieces)
        self._tries = dict.fromkeys(pieces, 0)
        self._under_way: dict[Any, list[int]] = {}
        self._done: set[int] = set()
        self._function = remote("compute")
        self._begin = self._told = time.monotonic()
        self._damaged = bool(self._there())  # parts that are there and must be made again
        self._alone: float | None = None

    def run(self) -> None:
        """Give out pieces until all have their parts."""
        while len(self._done) < len(self._pieces):
            self._progress.check()
            with self._cluster.connection():
                self._hand_out()
                self._take_back()
                self._tell()
            time.sleep(POLL)

    def cancel(self) -> None:
        """Take back what is under way; workers that are at it notice when the order is gone."""
        client = self._cluster.client
        with contextlib.suppress(Exception):  # the scheduler may be gone
            in_time(lambda: client.cancel(list(self._under_way), force=True), LAST)
        with contextlib.suppress(Exception):
            in_time(lambda: client.run(beside("let_go"), self._order, self._run, on_error="ignore"), LAST)

    def _hand_out(self) -> None:
        workers = self._cluster.count()
        self._wait_for(workers)
        while self._waiting and len(self._under_way) < 2 * workers:
            # Several at a time, so that reading and computing overlap; at the end one, so that none waits for another.
            count = max(1, min(MOST_IN_TASK, len(self._waiting) // (4 * workers)))
            numbers, self._waiting = self._waiting[:count], self._waiting[count:]
            for number in numbers:
                self._tries[number] += 1
            future = self._cluster.client.submit(
                self._function,
                self._order,
                self._run,
                numbers,
                self._cluster.expected,
                key=f"landloom-{uuid.uuid4().hex}",
                pure=False,
            )
            self._under_way[future] = numbers

    def _wait_for(self, workers: int) -> None:
        """Say once that no worker is left, and give up after a while unless a queue starts new ones."""
        if self._cluster.jobs is not None:
            self._cluster.jobs.look_after(workers, lambda: len(self._there()), self._progress)
        if workers:
            self._alone = None
            return
        now = time.monotonic()
        if self._alone is None:
            self._alone = now
            self._progress.warning(tr("No worker is left: waiting for new ones."))
        if self._cluster.jobs is None and now - self._alone > NO_WORKERS:
            raise LandloomError(
                tr("SCHEDULER {address} has lost all its workers: start new ones.").format(
                    address=self._cluster.address
                )
            )

    def _take_back(self) -> None:
        for future in [one for one in self._under_way if one.status not in ("pending",)]:
            numbers = self._under_way.pop(future)
            if future.status == "cancelled":
                raise LandloomError(
                    tr("SCHEDULER {address} was lost, or has cancelled the run.").format(address=self._cluster.address)
                )
            if future.status == "error":
                raise LandloomError(failure(future.exception(timeout=CONNECT)))
            try:
                # Lost: its worker ended with the answer, before anybody had asked for it.
                answer = {"machine": "A worker", "stopped": True}
                if future.status != "lost":
                    answer = in_time(partial(future.result, timeout=CONNECT), 2 * CONNECT, self._progress)
            except LOST:  # the worker ended with its answer: the folder shows what it has done
                answer = {"machine": "A worker", "stopped": True}
            future.release()
            if "error" in answer:
                kind = ChangedError if answer.get("changed") else LandloomError
                raise kind(f"On {answer['machine']}: {answer['error']}")
            missing = self._missing(numbers, 0.0 if answer.get("stopped") else VISIBLE)
            self._done.update(set(numbers) - set(missing))
            for number in missing:
                if self._tries[number] >= TRIES:
                    raise LandloomError(
                        tr(
                            "{answer} has computed a part that does not come to be in {folder}: is this the "
                            "same shared folder there? See PATH_MAP."
                        ).format(answer=answer["machine"], folder=self._folder)
                    )
            self._waiting = [*missing, *self._waiting]

    def _missing(self, numbers: list[int], patience: float) -> list[int]:
        """The pieces without a part, after some seconds in which the file system may come to show it."""
        end = time.monotonic() + patience
        while True:
            there = self._there()
            missing = [number for number in numbers if number not in there]
            if not missing or time.monotonic() > end:
                return missing
            self._progress.check()
            time.sleep(POLL)

    def _there(self) -> set[int]:
        """The pieces whose parts lie in the folder; listing it asks the server, where looking for a name might not."""
        names = {path.name: number for path, number in self._parts.items()}
        with contextlib.suppress(OSError):
            return {names[path.name] for path in self._folder.iterdir() if path.name in names}
        return set()

    def _tell(self) -> None:
        now = time.monotonic()
        if now - self._told < TELL:
            return
        self._told = now
        total = max(1, sum(self._pieces.values()))
        there = self._there()
        if len(there) == len(self._pieces) and not self._damaged:
            self._done |= there  # a worker that was lost after its last part cannot say so
        share = sum(self._pieces[number] for number in there) / total
        self._progress.percent(100.0 * share)
        workers = self._cluster.count()
        if share > 0.01 and workers:
            left = duration((now - self._begin) * (1.0 - share) / share)
            self._progress.text(
                tr("Computing on {workers} workers: {share:.0f} %, {left} left").format(
                    workers=workers, share=100 * share, left=left
                )
            )


def failure(error: BaseException | None) -> str:
    """A sentence about a task that Dask itself gave up."""
    if type(error).__name__ == "KilledWorker":
        worker = getattr(getattr(error, "last_worker", None), "address", "a worker")
        return tr(
            "Several workers ended while they computed the same piece, last {worker}: most likely "
            "their memory ran out; lower MEMORY_MB or give them more."
        ).format(worker=worker)
    return tr("A worker failed: {short}.").format(short=short(error))


def short(error: BaseException | None) -> str:
    """The first line of what an error says."""
    return (str(error).strip().split("\n")[0] or type(error).__name__).rstrip(".")[:300]
