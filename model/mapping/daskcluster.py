"""SCHEDULER: the pieces of a run, computed by the workers of a Dask cluster.

Tasks carry the path of an order and numbers; parts come back through the shared folder. Nothing of Dask's settings is
changed in this process, no process is started by it, and the connection is closed however a run ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from ..base.elsewhere import read_order
from ..base.errors import ChangedError, LandloomError
from ..base.language import tr
from ..base.optional import need
from ..base.progress import Progress
from .cluster import PathMap, difference, versions
from .jobqueue import JobQueue, queue_of
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
LOST = (OSError, TimeoutError, asyncio.TimeoutError)  # Dask's CommClosedError is an OSError


def _remote(name: str) -> Callable[..., Any]:
    """A function of ``blockwork`` that travels by value: the plugin may have another package name here than there."""

    def call(*arguments: Any) -> Any:
        import importlib
        import socket

        try:
            module = importlib.import_module("landloom.model.mapping.blockwork")
        except ImportError as error:
            machine = socket.gethostname()  # no tr here: the plugin may be missing there
            return {"machine": machine, "error": f"The worker cannot import landloom ({error}): run there pip install "
                    "of the plugin's folder, and see that its Python has GDAL and numpy."}  # fmt: skip
        return getattr(module, name)(*arguments)

    call.__module__ = "__main__"  # so that Dask does not look for this module there
    return call


class DaskCluster:
    """Workers of a Dask cluster, as :class:`~..base.elsewhere.Elsewhere`; a context manager.

    Args:
        scheduler: ``tcp://host:8786``, ``host:8786``, ``tls://host:8786``, or ``slurm:`` or ``pbs:`` with the path of a
            configuration of dask-jobqueue.
        path_map: see :class:`PathMap`.
        progress: asked whether to stop while workers are awaited.

    Raises:
        LandloomError: if SCHEDULER or PATH_MAP is not of these forms.
        MissingPackageError: without ``distributed``, or ``dask_jobqueue`` where a queue is asked for.
    """

    def __init__(self, scheduler: str, path_map: str, progress: Progress) -> None:
        self.address = scheduler.strip()
        self.path = PathMap(path_map)
        self._progress = progress
        self._distributed = need("distributed", "SCHEDULER")
        self.queue: JobQueue | None = queue_of(self.address)
        self._open = contextlib.ExitStack()
        self.client: Any = None
        self.expected: dict[str, str] = {}

    def __enter__(self) -> DaskCluster:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()

    def _connect(self) -> None:
        """Reach the scheduler, or start one with its jobs: done late, when inputs have proved to be sound."""
        if self.client is not None:
            return
        try:
            where: Any = self.address
            if self.queue is not None:
                where = self._open.enter_context(self.queue.started())
            # Not the default client: other plugins may use Dask in this process too.
            self.client = self._distributed.Client(where, timeout=CONNECT, set_as_default=False, asynchronous=False)
        except (*LOST, ValueError, RuntimeError) as error:
            raise LandloomError(
                tr(
                    "SCHEDULER {address} does not answer ({short}): check the address, start it with 'dask "
                    "scheduler', or leave SCHEDULER empty to compute on this machine."
                ).format(address=self.address, short=_short(error))
            ) from error
        self._open.callback(self._close_client)

    def _close_client(self) -> None:
        with contextlib.suppress(Exception):  # a scheduler that is gone: there is nothing left to close
            self.client.close(timeout=5)

    # ------------------------------------------------------------------ what a run asks

    def device(self, asked: str, network: bool) -> str:
        """See :class:`~..base.elsewhere.Elsewhere`; checks that the workers' versions are those of this process."""
        self._connect()
        self._await_workers()
        self._check_dask()
        ours = versions()
        self.expected = {name: version for name, version in ours.items() if network or name != "torch"}
        with self.connection():
            found = self.client.run(_remote("describe"), network, on_error="return")
        kinds: dict[str, str] = {}
        for address, told in found.items():
            if not isinstance(told, dict):
                raise LandloomError(
                    tr("The worker {address} does not answer as it should ({short}): restart it.").format(
                        address=address, short=_short(told)
                    )
                )
            who = tr("The worker {address} on {told}").format(address=address, told=told["machine"])
            if "error" in told:
                raise LandloomError(f"{who}: {told['error']}")
            apart = difference(told["versions"], ours, network, who)
            if apart:
                raise LandloomError(apart)
            kinds[told["device"]] = who
            if network and asked in ("cuda", "mps") and told["device"] != asked:
                raise LandloomError(
                    tr("DEVICE is {asked}, but {lower} has none: choose auto or cpu.").format(
                        asked=asked, lower=_lower(who)
                    )
                )
        if asked != "auto":
            return asked if network else "cpu"
        if len(kinds) > 1:
            listed = "; ".join(f"{kind}: {_lower(who)}" for kind, who in sorted(kinds.items()))
            raise LandloomError(
                tr("The workers have different devices ({listed}), and pixels would differ: give DEVICE.").format(
                    listed=listed
                )
            )
        return next(iter(kinds))

    def compute(self, order: Path, pieces: Mapping[int, int], part: Callable[[int], Path], progress: Progress) -> None:
        """See :class:`~..base.elsewhere.Elsewhere`."""
        if not self.expected:
            raise AssertionError("device() comes first")
        run = read_order(order)["run"]
        tasks = _Tasks(self, self.path(str(order)), run, pieces, part, progress)
        progress.info(tr("Computing on {count} workers of {address}.").format(count=self.count(), address=self.address))
        try:
            tasks.run()
        finally:
            tasks.cancel()

    # ------------------------------------------------------------------ the connection

    @contextlib.contextmanager
    def connection(self) -> Iterator[None]:
        """What is asked inside may fail because the scheduler is gone: a sentence then."""
        try:
            yield
        except LandloomError:
            raise
        except Exception as error:
            if not isinstance(error, LOST) and self.client.status not in ("closed", "closing"):
                raise
            raise LandloomError(
                tr("The connection to SCHEDULER {address} was lost ({short}).").format(
                    address=self.address, short=_short(error)
                )
            ) from error

    def count(self) -> int:
        with self.connection():
            return len(self.client.nthreads())

    def _await_workers(self) -> None:
        begin, told = time.monotonic(), False
        while not self.count():
            self._progress.check()
            if not told:
                self._progress.info(tr("Waiting for workers of {address}.").format(address=self.address))
                told = True
            if self.queue is not None and len(self.queue.refusals) >= self.queue.jobs:
                raise LandloomError(
                    tr(
                        "The job queue takes no job of {path} ({reason}): mend it, or ask those who run the queue."
                    ).format(path=self.queue.path, reason=self.queue.refusals[-1])
                )
            if self.queue is None and time.monotonic() - begin > NO_WORKERS:
                raise LandloomError(
                    tr("SCHEDULER {address} has no workers: start some with 'landloom worker {address}'.").format(
                        address=self.address
                    )
                )
            time.sleep(POLL)

    def _check_dask(self) -> None:
        """Python and Dask first: without these, the workers could not even be asked for the rest."""
        with self.connection():
            found = self.client.get_versions(check=False)
        ours = found["client"]
        for who, theirs in (("The scheduler", found["scheduler"]), *found["workers"].items()):
            name = who if who == "The scheduler" else tr("The worker {who}").format(who=who)
            python, own = (_minor(one["host"]["python"]) for one in (theirs, ours))
            apart = difference({"Python": python}, {"Python": own}, False, name)
            for package in ("dask", "distributed"):
                apart = apart or difference(
                    {package: str(theirs["packages"].get(package))}, {package: ours["packages"][package]}, False, name
                )
            if apart:
                raise LandloomError(apart)


class _Tasks:
    """The pieces of one run on their way."""

    def __init__(
        self,
        cluster: DaskCluster,
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
        self._function = _remote("compute")
        self._begin = self._told = time.monotonic()
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
        with contextlib.suppress(Exception):  # the scheduler may be gone
            self._cluster.client.cancel(list(self._under_way), force=True)
        with contextlib.suppress(Exception):
            if not self._under_way:
                self._cluster.client.run(_remote("close"), wait=False)

    def _hand_out(self) -> None:
        workers = len(self._cluster.client.nthreads())
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
        if workers:
            self._alone = None
            return
        now = time.monotonic()
        if self._alone is None:
            self._alone = now
            self._progress.warning(tr("No worker is left: waiting for new ones."))
        if self._cluster.queue is None and now - self._alone > NO_WORKERS:
            raise LandloomError(
                tr("SCHEDULER {address} has lost all its workers: start new ones.").format(
                    address=self._cluster.address
                )
            )

    def _take_back(self) -> None:
        for future in [one for one in self._under_way if one.status not in ("pending",)]:
            numbers = self._under_way.pop(future)
            if future.status in ("cancelled", "lost"):
                raise LandloomError(
                    tr("SCHEDULER {address} was lost, or has cancelled the run.").format(address=self._cluster.address)
                )
            if future.status == "error":
                raise LandloomError(_failure(future.exception(timeout=CONNECT)))
            try:
                answer = future.result(timeout=CONNECT)
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
        if now - self._told < 1.0:
            return
        self._told = now
        total = max(1, sum(self._pieces.values()))
        share = sum(self._pieces[number] for number in self._there()) / total
        self._progress.percent(100.0 * share)
        workers = len({one for one in self._cluster.client.nthreads()})
        if share > 0.01:
            left = duration((now - self._begin) * (1.0 - share) / share)
            self._progress.text(
                tr("Computing on {workers} workers: {share:.0f} %, {left} left").format(
                    workers=workers, share=100 * share, left=left
                )
            )


def _failure(error: BaseException | None) -> str:
    """A sentence about a task that Dask itself gave up."""
    if type(error).__name__ == "KilledWorker":
        worker = getattr(getattr(error, "last_worker", None), "address", "a worker")
        return tr(
            "Several workers ended while they computed the same piece, last {worker}: most likely "
            "their memory ran out; lower MEMORY_MB or give them more."
        ).format(worker=worker)
    return tr("A worker failed: {short}.").format(short=_short(error))


def _short(error: BaseException | None) -> str:
    return (str(error).strip().split("\n")[0] or type(error).__name__).rstrip(".")[:300]


def _lower(sentence: str) -> str:
    return sentence[0].lower() + sentence[1:]


def _minor(version: str) -> str:
    return ".".join(str(version).split(".")[:2])
