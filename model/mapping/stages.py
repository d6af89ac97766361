"""Where the time of a run goes, and whether reading keeps up."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from typing import NamedTuple

READING, COMPUTING, WRITING = "reading", "computing", "writing"
TRIAL, IDLE = 2.0, 0.25
"""After so many seconds in which computing waited for more than this share of them, one more thread reads."""


class Stage(NamedTuple):
    """Time that one kind of work took.

    Attributes:
        seconds: of all threads that did it, together.
        cpu_seconds: of these the seconds on a core; of computing, what the process used beside the other two.
    """

    seconds: float
    cpu_seconds: float


class Stages:
    """Times the threads of a run; shared by them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seconds = dict.fromkeys((READING, COMPUTING, WRITING), 0.0)
        self._cpu = dict.fromkeys((READING, COMPUTING, WRITING), 0.0)
        self._count = dict.fromkeys((READING, COMPUTING, WRITING), 0)
        self._idle: dict[int, float] = {}
        self._idled = 0.0
        self._begin = time.process_time()

    @contextlib.contextmanager
    def doing(self, stage: str, counted: bool = True) -> Iterator[None]:
        """What the calling thread does within; not ``counted`` where it helps another one that does it."""
        begin, cpu = time.monotonic(), time.thread_time()
        try:
            yield
        finally:
            with self._lock:
                self._seconds[stage] += time.monotonic() - begin
                self._cpu[stage] += time.thread_time() - cpu
                self._count[stage] += counted

    @contextlib.contextmanager
    def idle(self) -> Iterator[None]:
        """While a computing thread has nothing to do."""
        key, begin = threading.get_ident(), time.monotonic()
        with self._lock:
            self._idle[key] = begin
        try:
            yield
        finally:
            with self._lock:
                del self._idle[key]
                self._idled += time.monotonic() - begin

    def idle_seconds(self) -> float:
        """Seconds that computing threads had nothing to do so far, all together."""
        now = time.monotonic()
        with self._lock:
            return self._idled + sum(now - begin for begin in self._idle.values())

    def count(self, stage: str) -> int:
        """How often it was done."""
        return self._count[stage]

    def mean(self, stage: str) -> Stage:
        """Seconds of threads that it takes to do once; 0 before the first time."""
        with self._lock:
            times = max(1, self._count[stage])
            return Stage(self._seconds[stage] / times, self._cpu[stage] / times)

    def summary(self) -> dict[str, Stage]:
        """The stages; networks compute in threads of their own, so computing is what the others do not account for."""
        with self._lock:
            used = time.process_time() - self._begin
            cpu = {**self._cpu, COMPUTING: max(0.0, used - self._cpu[READING] - self._cpu[WRITING])}
            return {name: Stage(seconds, cpu[name]) for name, seconds in self._seconds.items()}


class Readers:
    """How many threads read a block together: one, and more while computing waits for them; ``most`` of them."""

    def __init__(self, stages: Stages, computers: int, most: int) -> None:
        self.count = 1
        self._stages, self._computers, self.most = stages, computers, most
        self._since, self._idle = time.monotonic(), stages.idle_seconds()

    def take(self, count: int) -> None:
        """So many from now on; look anew."""
        self.count = count
        self._since, self._idle = time.monotonic(), self._stages.idle_seconds()

    def too_slow(self) -> bool:
        """Whether computing waited for much of the last seconds, and there may be one more."""
        passed = time.monotonic() - self._since
        if passed < TRIAL or self.count >= self.most:
            return False
        idle = self._stages.idle_seconds()
        waited, self._since, self._idle = idle - self._idle, time.monotonic(), idle
        return waited > IDLE * passed * self._computers
