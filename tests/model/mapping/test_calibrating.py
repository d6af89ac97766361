"""Threads and blocks follow the times of the first blocks, within what memory allows, and pixels never do."""

from __future__ import annotations

import time

import mapping_fakes as fakes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from landloom.model.base.progress import Progress
from landloom.model.mapping import pipeline
from landloom.model.mapping.calibrating import Calibration, Chosen, Limits, Measured, choose
from landloom.model.mapping.chunks import CHUNK
from landloom.model.mapping.runner import BlockRunner
from osgeo import gdal

WIDE = Limits(threads=4, cores=4, readers=8, slots=12)


def measured(reading, computing, share=0.1, speed_up=0.0):
    return Measured(reading, reading * share, computing, 0.01, speed_up)


@pytest.mark.parametrize(
    ("times", "limits", "expected"),
    [
        (measured(1.0, 40.0), WIDE, Chosen(1, 4, 3)),  # computing takes long: one thread reads
        (measured(4.0, 8.0), WIDE, Chosen(2, 4, 4)),  # a block each 2 s: two threads read
        (measured(30.0, 4.0), WIDE, Chosen(8, 4, 10)),  # a slow server: as many as may be
        (measured(30.0, 4.0), WIDE._replace(slots=5), Chosen(3, 4, 5)),  # memory for five blocks
        (measured(30.0, 4.0), WIDE._replace(readers=2), Chosen(2, 4, 4)),  # more would close files
        (measured(30.0, 4.0, share=1.0), WIDE, Chosen(4, 4, 6)),  # decoding takes the cores, of which there are four
        (measured(1.0, 40.0, speed_up=1.3), WIDE, Chosen(1, 2, 3)),  # the products of one thread fill the processor
        (measured(1.0, 40.0, speed_up=3.6), WIDE, Chosen(1, 4, 3)),
        (measured(30.0, 4.0), WIDE._replace(slots=3), Chosen(1, 4, 3)),
    ],
)
def test_what_is_chosen(times, limits, expected):
    assert choose(times, limits) == expected


@given(
    st.tuples(*[st.floats(0, 1e4)] * 4, st.floats(0, 64)),
    st.builds(Limits, st.integers(1, 64), st.integers(1, 64), st.integers(1, 8), st.integers(3, 40)),
)
def test_the_limits_hold_whatever_was_measured(times, limits):
    chosen = choose(Measured(*times), limits)
    assert 1 <= chosen.readers <= max(1, min(limits.readers, limits.slots - 2))
    assert 1 <= chosen.threads <= limits.threads
    assert 3 <= chosen.slots <= limits.slots


def test_a_thread_that_others_do_not_speed_up():
    """One thread alone takes 1 s a chunk, four take 4 s each: they do no more together."""
    calibration = Calibration(WIDE, chunks_of_block=16)
    assert calibration.first_threads == 1
    for _ in range(2):
        assert not calibration.others_may_begin
        calibration.chunk(1.0, 1)
    assert calibration.others_may_begin
    for _ in range(8):
        assert not calibration.enough
        calibration.chunk(4.0, 4)
    assert calibration.enough
    found = calibration.measured(2.0, 0.5, 0.1)
    assert found == Measured(2.0, 0.5, 64.0, 0.1, 1.0)
    assert choose(found, WIDE).threads == 2
    assert Calibration(WIDE._replace(threads=2), 16).first_threads == 2


def small_job(folder, reader, compute=fakes.compute, **changes):
    """Blocks of one chunk, and memory for many."""
    job = fakes.make_job(folder, reader, compute=compute, **changes)
    job.block_pixels = lambda: CHUNK * CHUNK
    return job


class Told(Progress):
    def __init__(self):
        self.lines = []

    def info(self, message):
        self.lines.append(message)


@pytest.mark.parametrize("chosen", [Chosen(1, 1, 3), Chosen(8, 1, 10), Chosen(3, 2, 5), Chosen(2, 4, 40), None])
def test_pixels_are_the_same_whatever_the_first_blocks_tell(tmp_path, monkeypatch, chosen):
    reader = fakes.FakeReader(fakes.utm_grid(640, 600))
    if chosen is not None:
        monkeypatch.setattr(pipeline, "choose", lambda *_: chosen)
    told, running = Told(), []

    def slow(series, chunk):
        running.append(chunk)
        time.sleep(0.01)
        return fakes.compute(series, chunk)

    summary = BlockRunner(small_job(tmp_path, reader, slow, threads=4), told).run()
    np.testing.assert_array_equal(gdal.Open(str(tmp_path / "map.tif")).ReadAsArray(), fakes.expected_map(reader))
    assert len(running) == summary.blocks == 100 and summary.statistics[0] == 640 * 600
    lines = [line for line in told.lines if "to read" in line]
    assert len(lines) == 1
    if chosen is not None:
        assert summary.readers >= chosen.readers
        assert f"reading threads {chosen.readers}, computing threads {chosen.threads}" in lines[0]


def test_a_slow_server_is_asked_by_more_threads_at_once(tmp_path):
    """Reading that only waits: with two threads, the most there were, 100 blocks take 2.5 s or more."""

    class Slow(fakes.FakeReader):
        def read(self, window, halo=0):
            time.sleep(0.05)
            return super().read(window, halo)

    reader = Slow(fakes.utm_grid(640, 640))
    begin = time.monotonic()
    summary = BlockRunner(small_job(tmp_path, reader, readers=2), Progress()).run()
    assert summary.readers > 2
    assert summary.seconds <= time.monotonic() - begin


def test_no_more_blocks_are_in_memory_than_there_is_room_for(tmp_path, monkeypatch):
    reader = fakes.FakeReader(fakes.utm_grid(640, 600))
    seen = []
    monkeypatch.setattr(pipeline, "choose", lambda _, limits: seen.append(limits) or Chosen(1, 1, 3))
    job = small_job(tmp_path, reader, memory_mb=64, reserve_mb=0, bytes_per_pixel=2000)
    BlockRunner(job, Progress()).run()
    each = job.block_bytes(CHUNK * CHUNK) + pipeline.READER_MB * 2**20
    assert seen[0].slots == max(3, job.room // each) and seen[0].slots * each <= job.room
