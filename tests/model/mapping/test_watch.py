"""Protects the time that is announced: near the truth whether computing or reading takes it."""

from __future__ import annotations

import re

import pytest
from landloom.model.base.progress import Progress
from landloom.model.mapping import watch


class Told(Progress):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def info(self, message: str) -> None:
        self.lines.append(message)


@pytest.mark.parametrize(
    ("computing", "apart"),
    [(1.0, 0.5), (0.1, 5.0)],
    ids=["two threads compute without a pause", "chunks are read slowly"],
)
def test_the_estimate_is_near_the_truth(monkeypatch, computing, apart):
    clock = [0.0]
    monkeypatch.setattr(watch.time, "monotonic", lambda: clock[0])
    told = Told()
    one = watch.Watch(told, threads=2, total=100_000, done_before=0.0)
    clock[0] = 20.0  # libraries start up
    for chunk in range(1, 101):
        clock[0] += apart
        one.show(chunk * 1000, chunk, [computing] * chunk)
    (line,) = told.lines
    number, unit = re.match(r"Estimated time: (\d+) (s|min) ", line).groups()
    assert int(number) * (60 if unit == "min" else 1) == pytest.approx(clock[0], rel=0.1)
