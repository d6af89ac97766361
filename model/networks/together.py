"""What several threads ask of a GPU at the same time, computed in one go.

A GPU starts a step on sixteen chunks as quickly as on one, and a small one leaves most of it idle. Nobody waits for
others to come: while a GPU computes, what is asked gathers, and goes to it together.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field

import numpy as np

from ..stack.sensors import Series

LEADERS = 2
"""Threads that bring work to the GPU: one prepares while what the other has brought is computed."""

Batch = dict[str, Series]


@dataclass(eq=False)
class _Question:
    """What one thread wants to know, and what came of it."""

    batch: Batch
    kind: Hashable
    taken: bool = False
    answered: threading.Event = field(default_factory=threading.Event)
    answer: np.ndarray | None = None
    error: BaseException | None = None

    @property
    def size(self) -> int:
        """How many windows it has."""
        return len(next(iter(self.batch.values())).values)

    @property
    def pixels(self) -> int:
        """Of all its windows."""
        return int(next(iter(self.batch.values())).mask[:, 0].size)


class Together:
    """Joins calls; each caller gets its own windows' answer, or the error of the call that they were in."""

    def __init__(self) -> None:
        self._waiting: list[_Question] = []
        self._gate = threading.Lock()
        self._turns = threading.Semaphore(LEADERS)

    def ask(self, batch: Batch, what: Hashable, most: int, compute: Callable[[Batch], np.ndarray]) -> np.ndarray:
        """The answer for a batch.

        Args:
            batch: raw series by sensor, ``[B, T, C, H, W]``.
            what: is asked; only questions with the same are joined, if their series are alike too.
            most: pixels of joined batches; one that has more by itself goes alone.
            compute: answers a batch, ``[B, ...]``; that of any caller with the same ``what`` may be used.
        """
        question = _Question(batch, (what, *(_likeness(name, batch[name]) for name in sorted(batch))))
        with self._gate:
            self._waiting.append(question)
        with self._turns:
            taken = self._take(question, most)
            if taken:
                _answer(taken, compute)
        question.answered.wait()  # for another thread, which has taken it along
        if question.error is not None:
            raise question.error
        if question.answer is None:
            raise AssertionError("neither an answer nor an error")
        return question.answer

    def _take(self, own: _Question, most: int) -> list[_Question]:
        """A question and those that waited with it; none if it was taken along already."""
        with self._gate:
            if own.taken:
                return []
            taken, pixels = [own], own.pixels
            for other in self._waiting:
                if other is not own and other.kind == own.kind and pixels + other.pixels <= most:
                    taken.append(other)
                    pixels += other.pixels
            for one in taken:
                one.taken = True
                self._waiting.remove(one)
            return taken


def _likeness(name: str, series: Series) -> Hashable:
    """What two series must share to be joined."""
    return name, series.values.shape[1:], series.values.dtype.str, np.asarray(series.days).tobytes()


def _answer(questions: list[_Question], compute: Callable[[Batch], np.ndarray]) -> None:
    try:
        found = compute(_joined([one.batch for one in questions]))
        first = 0
        for one in questions:
            one.answer = found[first : first + one.size]
            first += one.size
    except BaseException as error:  # is raised in each thread that asked
        for one in questions:
            one.error = error
    finally:
        for one in questions:
            one.answered.set()


def _joined(batches: list[Batch]) -> Batch:
    if len(batches) == 1:
        return batches[0]
    return {
        name: Series(
            np.concatenate([batch[name].values for batch in batches]),
            np.concatenate([batch[name].mask for batch in batches]),
            series.days,
        )
        for name, series in batches[0].items()
    }
