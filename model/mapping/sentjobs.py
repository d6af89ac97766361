"""The jobs of a run in the queue: what became of them, and new ones for those whose time was over."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from ..base.errors import LandloomError
from ..base.language import tr
from ..base.progress import Progress
from .answers import in_time
from .jobqueue import JobQueue

EVERY = 15.0
"""Seconds between two questions to the queue, which has other users; none is asked while all workers are there."""
PATIENCE = 60.0
"""Seconds for an answer of a queue."""


class SentJobs:
    """The jobs of one run.

    dask-jobqueue sends jobs off and waits: it does not see that they ended before their workers came up, nor does it
    replace those that reached their time limit.

    Args:
        queue: where they are.
        cluster: of dask-jobqueue, which sends them off.
    """

    def __init__(self, queue: JobQueue, cluster: Any) -> None:
        self._queue, self._cluster = queue, cluster
        self._looked = time.monotonic()
        self._sent, self._refused, self._done, self._told = queue.jobs, 0, 0, 0

    def look_after(self, workers: int, done: Callable[[], int], progress: Progress) -> None:
        """Send off new jobs for those that have ended, if any piece was done since the last ones were sent off.

        Args:
            workers: that there are now.
            done: tells how many pieces are done.
            progress: told of new jobs, and asked whether to stop.

        Raises:
            LandloomError: if the queue takes no job, or all have ended without any use.
        """
        if workers >= self._queue.workers:
            return
        known = dict(self._queue.sent)
        refusals = self._queue.refusals[self._refused :]
        if not workers and not known and len(refusals) >= self._sent:
            raise LandloomError(
                tr("The job queue takes no job of {path} ({reason}): mend it, or ask those who run the queue.").format(
                    path=self._queue.path, reason=refusals[-1]
                )
            )
        if len(refusals) > self._told:
            self._told = len(refusals)
            progress.warning(
                tr("The job queue has refused {count} of {jobs} jobs ({reason}).").format(
                    count=len(refusals), jobs=self._sent, reason=refusals[-1]
                )
            )
        if time.monotonic() - self._looked < EVERY:
            return
        self._looked = time.monotonic()
        left = self._left(list(known.values()), progress) if known else None
        if left is None:
            return
        so_far = done()
        ended = [name for name, number in known.items() if number not in left]
        if not workers and len(ended) == len(known) and so_far <= self._done:
            raise LandloomError(
                tr(
                    "All jobs of {path} have ended before they finished anything, the last was {number}: their logs "
                    "say why (log-directory in that file names their folder). 'python', or the time or memory of a "
                    "job, may be wrong."
                ).format(path=self._queue.path, number=max(known.values(), key=int))
            )
        if ended and so_far > self._done:
            progress.warning(
                tr("{count} of {jobs} jobs have ended: as many new ones are sent off.").format(
                    count=len(ended), jobs=self._queue.jobs
                )
            )
            self._renew(ended, progress)
            self._sent, self._refused, self._done, self._told = len(ended), len(self._queue.refusals), so_far, 0

    def _left(self, numbers: list[str], progress: Progress) -> set[str] | None:
        try:
            return in_time(lambda: self._queue.in_queue(numbers), PATIENCE, progress)
        except TimeoutError:
            return None

    def _renew(self, ended: list[str], progress: Progress) -> None:
        async def renew() -> None:  # where the cluster lives: its thread reads the same tables
            for name in ended:
                self._cluster.workers.pop(name, None)
                self._cluster.worker_spec.pop(name, None)
            self._cluster.scale(jobs=self._queue.jobs)

        for name in ended:
            del self._queue.sent[name]
        in_time(lambda: self._cluster.sync(renew), PATIENCE, progress)
