"""What the engine tells the outside while it works, and how it learns that it should stop."""

from __future__ import annotations

import sys
import time

from .errors import Cancelled


class Progress:
    """A silent progress; subclasses show it. Every long function takes one, and asks :meth:`check` often."""

    def percent(self, value: float) -> None:
        """Share of the work done, 0 to 100."""

    def info(self, message: str) -> None:
        """A line for the log."""

    def warning(self, message: str) -> None:
        """Something the user should look at, though the work goes on."""

    def text(self, message: str) -> None:
        """What is being done now, in a few words."""

    def is_cancelled(self) -> bool:
        """Whether the user asked to stop."""
        return False

    def check(self) -> None:
        """Raise :class:`Cancelled` if the user asked to stop."""
        if self.is_cancelled():
            raise Cancelled

    def part(self, start: float, end: float) -> Progress:
        """The progress of a step that takes this one from ``start`` to ``end`` percent."""
        return _Part(self, start, end)


class _Part(Progress):
    def __init__(self, whole: Progress, start: float, end: float) -> None:
        self._whole, self._start, self._end = whole, start, end

    def percent(self, value: float) -> None:
        self._whole.percent(self._start + (self._end - self._start) * value / 100.0)

    def info(self, message: str) -> None:
        self._whole.info(message)

    def warning(self, message: str) -> None:
        self._whole.warning(message)

    def text(self, message: str) -> None:
        self._whole.text(message)

    def is_cancelled(self) -> bool:
        return self._whole.is_cancelled()


class Remembering(Progress):
    """Passes everything on and keeps the warnings for a report."""

    def __init__(self, inner: Progress) -> None:
        self._inner = inner
        self.warnings: list[str] = []

    def percent(self, value: float) -> None:
        self._inner.percent(value)

    def info(self, message: str) -> None:
        self._inner.info(message)

    def warning(self, message: str) -> None:
        self.warnings.append(message)
        self._inner.warning(message)

    def text(self, message: str) -> None:
        self._inner.text(message)

    def is_cancelled(self) -> bool:
        return self._inner.is_cancelled()


class Quiet(Progress):
    """Shows how far it is and can be cancelled, but tells nothing: for what is done again and was told of once."""

    def __init__(self, inner: Progress | None = None) -> None:
        self._inner = inner or Progress()

    def percent(self, value: float) -> None:
        self._inner.percent(value)

    def is_cancelled(self) -> bool:
        return self._inner.is_cancelled()


class PrintedProgress(Progress):
    """Progress on a terminal, for benchmarks and scripts."""

    def __init__(self) -> None:
        self._start = time.monotonic()

    def info(self, message: str) -> None:
        print(f"[{time.monotonic() - self._start:7.1f} s] {message}", file=sys.stderr, flush=True)

    def warning(self, message: str) -> None:
        self.info(f"WARNING: {message}")
