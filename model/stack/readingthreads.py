"""Threads that read the dates of one window together: so more of them need no more windows in memory."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager

from ..base.lock import start

Around = Callable[[], AbstractContextManager[object]]
_Work = tuple[list[Callable[[], None]], Around, "queue.SimpleQueue[BaseException | None]"]


class ReadingThreads:
    """The calling thread and helpers.

    A piece of work is always done by the same of them, so that each file is open in one thread only: its data set may
    take memory, and GDAL remembers blocks of it.
    """

    def __init__(self) -> None:
        self._helpers: list[queue.SimpleQueue[_Work | None]] = []
        self._around: Around = contextlib.nullcontext
        self._lock = threading.Lock()

    @property
    def count(self) -> int:
        """Threads that read, the calling one among them."""
        return 1 + len(self._helpers)

    def use(self, count: int, around: Around = contextlib.nullcontext) -> None:
        """From now on so many threads read; ``around`` surrounds what a helper does, to measure it."""
        with self._lock:
            self._around = around
            while self.count > max(1, count):
                self._helpers.pop().put(None)
            while self.count < count:
                work: queue.SimpleQueue[_Work | None] = queue.SimpleQueue()
                start(threading.Thread(target=_help, args=(work,), name="landloom reading", daemon=True))
                self._helpers.append(work)

    def run(self, pieces: Iterable[tuple[int, Callable[[], None]]]) -> None:
        """Do pieces of work: number, which says who does it, and what is to be called. Returns when all are done.

        Raises:
            BaseException: what a failing piece raised; the rest of its thread's share is left out.
        """
        listed = list(pieces)
        self._share_out(lambda own, count: [piece for number, piece in listed if number % count == own])

    def each(self, action: Callable[[], None]) -> None:
        """Call something in every thread."""
        self._share_out(lambda _own, _count: [action])

    def _share_out(self, share_of: Callable[[int, int], list[Callable[[], None]]]) -> None:
        done: queue.SimpleQueue[BaseException | None] = queue.SimpleQueue()
        with self._lock:  # a helper that is to go does first what it was given
            count = self.count
            for number, helper in enumerate(self._helpers, start=1):
                helper.put((share_of(number, count), self._around, done))
        error: BaseException | None = None
        try:
            for piece in share_of(0, count):
                piece()
        except BaseException as own:
            error = own
        for _ in range(count - 1):  # even after an error: they write into arrays that would be used again
            error = done.get() or error
        if error is not None:
            raise error


def _help(work: queue.SimpleQueue[_Work | None]) -> None:
    while (one := work.get()) is not None:
        share, around, done = one
        try:
            with around():
                for piece in share:
                    piece()
        except BaseException as error:
            done.put(error)
        else:
            done.put(None)
        del one, share, done  # else the arrays would be held until the next work comes
