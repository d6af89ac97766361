"""Threads that ask a GPU at the same time are answered in one step, each with its own pixels."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from landloom.model.networks.together import LEADERS, Together
from landloom.model.stack.sensors import Series


def batch(value, windows=1, days=(1.0, 2.0)):
    shape = (windows, len(days), 3, 4, 5)
    return {"S2": Series(np.full(shape, value, np.int16), np.ones((*shape[:2], *shape[3:]), bool), np.array(days))}


class Gpu:
    """Answers with the mean of each window, once it is let go on; remembers what it was asked."""

    def __init__(self):
        self.sizes, self.busy, self.go = [], threading.Semaphore(0), threading.Event()

    def __call__(self, joined):
        self.busy.release()
        assert self.go.wait(20)
        values = joined["S2"].values
        self.sizes.append(len(values))
        if (values < 0).any():
            raise RuntimeError("CUDA error")
        return values.mean(axis=(1, 2, 3, 4))


def asked(batches, most=10_000, what=("probabilities",) * 100):
    """The answers of threads of which the first keep the GPU busy until all have asked."""
    together, gpu = Together(), Gpu()
    with ThreadPoolExecutor(len(batches)) as pool:
        first = [pool.submit(together.ask, one, f"first {n}", most, gpu) for n, one in enumerate(batches[:LEADERS])]
        for _ in first:
            assert gpu.busy.acquire(timeout=20)
        others = [
            pool.submit(together.ask, one, kind, most, gpu) for one, kind in zip(batches[LEADERS:], what, strict=False)
        ]
        while len(together._waiting) < len(others):
            threading.Event().wait(0.01)
        gpu.go.set()
        return [*first, *others], gpu.sizes


def test_what_gathers_goes_together_and_each_gets_its_own():
    answers, sizes = asked([batch(n, windows=1 + n % 3) for n in range(12)])
    for n, answer in enumerate(answers):
        np.testing.assert_array_equal(answer.result(), np.full(1 + n % 3, n))
    assert sorted(sizes) == [1, 2, 21]


def test_no_more_pixels_than_there_is_room_for():
    answers, sizes = asked([batch(n) for n in range(12)], most=4 * 20)
    assert [float(answer.result()[0]) for answer in answers] == list(range(12))
    assert sorted(sizes) == [1, 1, 2, 4, 4]
    answers, sizes = asked([batch(n, windows=9) for n in range(4)], most=20)
    assert [len(answer.result()) for answer in answers] == sizes == [9] * 4


def test_only_the_same_question_about_like_series_is_joined():
    batches = [batch(0), batch(1), batch(2), batch(3, days=(1.0, 3.0)), batch(4, days=(1.0,)), batch(5), batch(6)]
    answers, sizes = asked(batches, what=("a", "a", "a", "a", "b"))
    assert [float(answer.result()[0]) for answer in answers] == list(range(7))
    assert sorted(sizes) == [1, 1, 1, 1, 1, 2]


def test_an_error_reaches_all_that_were_asked_with_it():
    answers, _sizes = asked([batch(0), batch(1), batch(2), batch(-1), batch(4)])
    for answer in answers[LEADERS:]:
        with pytest.raises(RuntimeError, match="CUDA error"):
            answer.result()
    assert answers[0].result() == 0


def test_the_next_question_is_answered_after_an_error():
    together = Together()
    with pytest.raises(ZeroDivisionError):
        together.ask(batch(1), "a", 100, lambda joined: 1 // 0)
    assert together.ask(batch(7), "a", 100, lambda joined: joined["S2"].values[:, 0, 0, 0, 0]) == 7
