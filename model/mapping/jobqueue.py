"""SCHEDULER ``slurm:file.yaml`` and ``pbs:file.yaml``: workers that a job queue starts, by dask-jobqueue."""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import shlex
import signal
import subprocess  # nosec B404 # asks the queue about jobs, with lists of arguments and no shell
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from ..base.errors import LandloomError
from ..base.language import tr
from ..base.optional import need

KINDS = {"slurm": "SLURMCluster", "pbs": "PBSCluster"}
CANCEL = 60
"""Seconds to cancel jobs at the end; a busy queue takes its time, and workers end by themselves a minute later."""
_ADDRESS = re.compile(r"((tcp|tls|ucx|ucxx|ws|wss)://)?[^\s/:]+:\d{1,5}(/.*)?|((tcp|tls)://)?\[[0-9a-fA-F:]+\]:\d{1,5}")


def queue_of(scheduler: str) -> JobQueue | None:
    """The queue that SCHEDULER names; None where it is an address.

    Raises:
        LandloomError: if it is neither.
    """
    kind, _, path = scheduler.partition(":")
    if kind.lower() in KINDS and not path.isdigit():
        return JobQueue(kind.lower(), path)
    if not _ADDRESS.fullmatch(scheduler):
        raise LandloomError(
            tr(
                "SCHEDULER is '{scheduler}': give an address such as tcp://host:8786, or "
                "slurm:/path/jobqueue.yaml, or pbs:/path/jobqueue.yaml."
            ).format(scheduler=scheduler)
        )
    return None


class JobQueue:
    """A configuration of dask-jobqueue, with ``jobs`` and ``python`` in it.

    Args:
        kind: ``slurm`` or ``pbs``.
        path: the YAML file: ``jobqueue: {slurm: {...}}`` as dask-jobqueue documents it, or the inner part alone.

    Attributes:
        sent: the numbers of the jobs that were sent off, by the names that dask-jobqueue gives them.
        refusals: why jobs could not be sent off, in the words of the queue.

    Raises:
        LandloomError: if it cannot be read or lacks something.
    """

    def __init__(self, kind: str, path: str) -> None:
        self.kind, self.path = kind, path
        settings = self._read()
        jobs = settings.pop("jobs", None)
        if not isinstance(jobs, int) or isinstance(jobs, bool) or jobs < 1:
            raise LandloomError(
                tr("{path} holds no number of jobs: add a line such as 'jobs: 10' under {kind}.").format(
                    path=path, kind=kind
                )
            )
        self.jobs = jobs
        python = settings.get("python")
        if not isinstance(python, str) or not python.strip():
            # dask-jobqueue would take sys.executable, which is QGIS here.
            raise LandloomError(
                tr(
                    "{path} does not say which Python the workers use, one with GDAL, distributed and "
                    "landloom: add a line such as 'python: /shared/env/bin/python' under {kind}."
                ).format(path=path, kind=kind)
            )
        for needed in ("cores", "memory"):
            if needed not in settings:
                raise LandloomError(
                    tr("{path} holds no '{needed}' of a job: add it under {kind}.").format(
                        path=path, needed=needed, kind=kind
                    )
                )
        if " " in python and Path(python).exists():  # a path, not a command with arguments; a shell will read it
            settings["python"] = shlex.quote(python)
        self.settings = settings
        self.sent: dict[str, str] = {}
        self.refusals: list[str] = []
        settings.setdefault("processes", 1)  # dask-jobqueue would take several, each with all of MEMORY_MB
        _library(kind)

    def _read(self) -> dict[str, Any]:
        yaml = need("yaml", "SCHEDULER")
        try:
            content = yaml.safe_load(Path(self.path).read_text(encoding="utf-8"))
        except OSError as error:
            raise LandloomError(
                tr(
                    "SCHEDULER names {path}, which cannot be read ({reason}): give the path of a configuration "
                    "of dask-jobqueue."
                ).format(path=self.path, reason=error.strerror or error)
            ) from error
        except (yaml.YAMLError, ValueError) as error:
            raise LandloomError(
                tr("{path} is not YAML: {error}. Mend it.").format(path=self.path, error=str(error).splitlines()[0])
            ) from error
        for key in ("jobqueue", self.kind):
            if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
                content = content[key]
        if not isinstance(content, Mapping):
            raise LandloomError(
                tr("{path} holds no settings under jobqueue: {kind}: see docs/cluster.md.").format(
                    path=self.path, kind=self.kind
                )
            )
        return {str(name).replace("-", "_"): value for name, value in content.items()}

    @property
    def workers(self) -> int:
        """How many workers there are when all jobs run."""
        processes = self.settings["processes"]
        return self.jobs * (processes if isinstance(processes, int) else 1)

    def in_queue(self, numbers: Sequence[str]) -> set[str] | None:
        """Those of these jobs that wait or run; None where the queue does not tell.

        Args:
            numbers: of jobs, without the name of a server.
        """
        if self.kind == "slurm":
            line = ["squeue", "--noheader", "--format=%A", f"--jobs={','.join(numbers)}"]
        else:
            line = ["qstat", *numbers]
        try:
            done = subprocess.run(  # nosec B603 # constant program, numbers of jobs
                line, capture_output=True, text=True, timeout=60, check=False, stdin=subprocess.DEVNULL
            )
        except (OSError, subprocess.SubprocessError):
            return None
        if self.kind == "slurm":
            if done.returncode and "invalid job id" not in done.stderr.lower():
                return None
            return set(done.stdout.split()) & set(numbers)
        found = set()
        for words in map(str.split, done.stdout.splitlines()):  # number, name, user, time, state, queue
            number = re.match(r"\d+", words[0]) if len(words) >= 6 else None
            if number and words[-2] not in ("C", "F", "X"):  # states of jobs that have ended
                found.add(number[0])
        if done.returncode and not re.search("unknown job|has finished", done.stderr, re.IGNORECASE):
            return None
        return found & set(numbers)

    def _telling(self, kind: type) -> type:
        """Jobs that keep their numbers, or why they could not be sent off.

        dask-jobqueue forgets a job 15 s after its worker was lost; of one that was refused it only writes a log line.
        """
        sent, refusals = self.sent, self.refusals

        class Telling(kind):
            status: Any
            name: Any
            job_id: Any

            async def start(self) -> None:
                try:
                    await super().start()
                except Exception as error:
                    refusals.append(_reason(error))
                    self.status = type(self.status).running  # as if it had been sent off: see SentJobs
                else:
                    sent[str(self.name)] = str(self.job_id)

        return Telling

    @contextlib.contextmanager
    def started(self) -> Iterator[Any]:
        """The cluster, whose scheduler lives in a thread of this process; jobs are cancelled at the end."""
        dask_jobqueue = _library(self.kind)
        settings = {**self.settings}
        options = {"dashboard_address": ":0", "dashboard": False, **(settings.pop("scheduler_options", None) or {})}
        kind = getattr(dask_jobqueue, KINDS[self.kind])
        try:
            cluster = _naming(kind)(scheduler_options=options, job_cls=self._telling(kind.job_cls), **settings)
        except (TypeError, ValueError, OSError, RuntimeError) as error:
            raise LandloomError(
                tr("{path} is not what dask-jobqueue takes ({error}): mend it.").format(
                    path=os.fspath(self.path), error=str(error).splitlines()[0][:300]
                )
            ) from error
        try:
            try:
                cluster.scale(jobs=self.jobs)
            except (OSError, RuntimeError) as error:
                raise LandloomError(
                    tr(
                        "The job queue {kind} does not take jobs ({error}): run this on a machine where jobs "
                        "can be sent off."
                    ).format(kind=self.kind, error=str(error).splitlines()[0][:300])
                ) from error
            yield cluster
        finally:
            with contextlib.suppress(Exception):  # nothing is left to be closed
                cluster.close(timeout=CANCEL)


def _library(kind: str) -> ModuleType:
    """dask-jobqueue, without the handler of SIGINT that it would install: in QGIS that is not its business.

    In a thread, where QGIS runs algorithms, it could not even be imported for that.
    """
    original = signal.signal

    def other(number: Any, handler: Any) -> Any:
        if sys._getframe(1).f_globals.get("__name__", "").startswith("dask_jobqueue"):
            return signal.getsignal(number)
        return original(number, handler)

    signal.signal = other  # type: ignore[assignment]
    try:
        return need("dask_jobqueue", f"SCHEDULER {kind}")
    finally:
        signal.signal = original


def _naming(kind: type) -> type:
    """A cluster that gives no name twice: a new worker would be refused while that of its name is not forgotten."""
    numbers = itertools.count()

    class Naming(kind):
        def _new_worker_name(self, worker_number: int) -> str:
            return f"{self._name}-{next(numbers)}"

    Naming.__name__ = kind.__name__  # by which its workers are called
    return Naming


def _reason(error: Exception) -> str:
    """The last line of what the queue's program said, or of the error."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1][:300] if lines else type(error).__name__
