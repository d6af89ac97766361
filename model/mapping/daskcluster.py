"""SCHEDULER: the pieces of a run, computed by the workers of a Dask cluster.

Tasks carry the path of an order and numbers; parts come back through the shared folder. Nothing of Dask's settings is
changed in this process, no process is started by it, and the connection is closed however a run ends.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from ..base.elsewhere import read_order
from ..base.errors import LandloomError
from ..base.language import tr
from ..base.optional import need
from ..base.progress import Progress
from .answers import in_time
from .cluster import PathMap, difference, versions
from .dasktasks import CONNECT, LAST, LOST, NO_WORKERS, POLL, Tasks, short
from .jobqueue import JobQueue, queue_of
from .remote import beside
from .sentjobs import SentJobs

ANSWER = 120.0
"""Seconds for an answer of a scheduler."""
ALL = 600.0
"""Seconds for the answer of all workers: importing torch on busy machines or from a network drive takes minutes. A
scheduler gives up a worker that hangs before that (``worker-ttl``), and the others' answers count."""


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
        self.jobs: SentJobs | None = None
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
        self._check_certificates()
        try:
            where: Any = self.address
            if self.queue is not None:
                where = self._open.enter_context(self.queue.started())
                self.jobs = SentJobs(self.queue, where)
            # Not the default client: other plugins may use Dask in this process too.
            self.client = self._distributed.Client(where, timeout=CONNECT, set_as_default=False, asynchronous=False)
        except (*LOST, ValueError, RuntimeError) as error:
            raise LandloomError(
                tr(
                    "SCHEDULER {address} does not answer ({short}): check the address, start it with 'dask "
                    "scheduler', or leave SCHEDULER empty to compute on this machine."
                ).format(address=self.address, short=short(error))
            ) from error
        self._open.callback(self._close_client)

    def _check_certificates(self) -> None:
        """Dask itself fails in words about its own arguments."""
        if not self.address.startswith("tls:"):
            return
        known = self._distributed.Security().get_tls_config_for_role("client")
        if not all(known.get(name) for name in ("ca_file", "cert", "key")):
            raise LandloomError(
                tr(
                    "SCHEDULER {address} is encrypted, and Dask knows no certificates on this machine: name them in "
                    "~/.config/dask/tls.yaml, as docs/cluster.md shows."
                ).format(address=self.address)
            )

    def _close_client(self) -> None:
        with contextlib.suppress(Exception):  # a scheduler that is gone: there is nothing left to close
            in_time(lambda: self.client.close(timeout=5), LAST)

    # ------------------------------------------------------------------ what a run asks

    def device(self, asked: str, network: bool) -> str:
        """See :class:`~..base.elsewhere.Elsewhere`; checks that the workers' versions are those of this process."""
        self._connect()
        self._await_workers()
        self._check_dask()
        ours = versions()
        self.expected = {name: version for name, version in ours.items() if network or name != "torch"}
        kinds: dict[str, str] = {}
        for address, told in self._described(network).items():
            if not isinstance(told, dict):
                raise LandloomError(
                    tr("The worker {address} does not answer as it should ({short}): restart it.").format(
                        address=address, short=short(told)
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
        self._progress = progress
        run = read_order(order)["run"]
        tasks = Tasks(self, self.path(str(order)), run, pieces, part, progress)
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
                    address=self.address, short=short(error)
                )
            ) from error

    def count(self) -> int:
        """How many workers there are."""
        with self.connection():
            return len(in_time(self.client.nthreads, ANSWER, self._progress))

    def _described(self, network: bool) -> dict[str, Any]:
        """What every worker tells of itself, or why it does not; those that were lost meanwhile are left out."""
        while True:
            self._await_workers()
            found = self._all_answer(lambda: self.client.run(beside("describe"), network, on_error="return"))
            with self.connection():
                there = in_time(self.client.nthreads, ANSWER, self._progress)
            told = {address: one for address, one in found.items() if isinstance(one, dict) or address in there}
            if told:
                return told

    def _all_answer(self, ask: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """The answer of all workers at once.

        Raises:
            LandloomError: if one is silent, with the one that was heard of least lately.
        """
        with self.connection():
            try:
                return in_time(ask, ALL, self._progress)
            except TimeoutError as error:
                seen = in_time(self.client.scheduler_info, LAST, self._progress)["workers"]
                silent = min(seen, key=lambda address: float(seen[address].get("last_seen", 0)), default="?")
                raise LandloomError(
                    tr(
                        "Not all workers answer within {seconds:.0f} s; the one that was silent longest is {address}: "
                        "end it, or start it again."
                    ).format(seconds=ALL, address=silent)
                ) from error

    def _await_workers(self) -> None:
        begin, told = time.monotonic(), False
        while not self.count():
            self._progress.check()
            if not told:
                self._progress.info(tr("Waiting for workers of {address}.").format(address=self.address))
                told = True
            if self.jobs is not None:
                self.jobs.look_after(0, lambda: 0, self._progress)
            if self.queue is None and time.monotonic() - begin > NO_WORKERS:
                raise LandloomError(
                    tr("SCHEDULER {address} has no workers: start some with 'landloom worker {address}'.").format(
                        address=self.address
                    )
                )
            time.sleep(POLL)

    def _check_dask(self) -> None:
        """Python and Dask first: without these, the workers could not even be asked for the rest."""
        found = self._all_answer(lambda: self.client.get_versions(check=False))
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


def _lower(sentence: str) -> str:
    return sentence[0].lower() + sentence[1:]


def _minor(version: str) -> str:
    return ".".join(str(version).split(".")[:2])
