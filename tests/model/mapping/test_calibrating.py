"""Threads and blocks follow the times of the first blocks, within what memory allows, and pixels never do."""

from __future__ import annotations

import threading
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
from landloom.model.stack.openfiles import OpenFiles
from landloom.model.stack.reader import StackReader
from osgeo import gdal

WIDE = Limits(threads=4, cores=4, readers=8)


def measured(reading, computing, share=0.1, speed_up=0.0):
    return Measured(reading, reading * share, computing, 0.01, speed_up)


@pytest.mark.parametrize(
    ("times", "limits", "expected"),
    [
        (measured(1.0, 40.0), WIDE, Chosen(1, 4)),  # computing takes long: one thread reads
        (measured(4.0, 8.0), WIDE, Chosen(2, 4)),  # a block each 2 s: two threads read
        (measured(30.0, 4.0), WIDE, Chosen(8, 4)),  # a slow server: as many as may be
        (measured(30.0, 4.0), WIDE._replace(readers=2), Chosen(2, 4)),  # there is memory for two
        (measured(30.0, 4.0, share=1.0), WIDE, Chosen(4, 4)),  # decoding takes the cores, of which there are four
        (measured(1.0, 40.0, speed_up=1.3), WIDE, Chosen(1, 2)),  # the products of one thread fill the processor
        (measured(1.0, 40.0, speed_up=3.6), WIDE, Chosen(1, 4)),
    ],
)
def test_what_is_chosen(times, limits, expected):
    assert choose(times, limits) == expected


@given(
    st.tuples(*[st.floats(0, 1e4)] * 4, st.floats(0, 64)),
    st.builds(Limits, st.integers(1, 64), st.integers(1, 64), st.integers(1, 8)),
)
def test_the_limits_hold_whatever_was_measured(times, limits):
    chosen = choose(Measured(*times), limits)
    assert 1 <= chosen.readers <= limits.readers
    assert 1 <= chosen.threads <= limits.threads


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


class FakeFiles:
    """Says what the runner asked of it, and how many blocks are in memory."""

    def __init__(self, reader):
        self.reader, self.threads, self.living, self.most = reader, [1], 0, 0
        self.freed = False
        self._lock = threading.Lock()
        self._read, reader.read = reader.read, self.read

    def read(self, window, halo=0):
        with self._lock:
            self.living += 1
            self.most = max(self.most, self.living)
        return self._read(window, halo)

    def lattices(self):
        return {}

    def expect(self, windows, halo, reach, room, cached=None):
        self.foretold = list(windows)

    def use_threads(self, count, around):
        with around():
            self.threads.append(count)

    def give_back(self, series):
        with self._lock:
            self.living -= 1

    def free(self):
        self.freed = True


@pytest.mark.parametrize("chosen", [Chosen(1, 1), Chosen(8, 1), Chosen(3, 2), Chosen(2, 4), None])
def test_pixels_and_blocks_in_memory_are_the_same_whatever_the_first_blocks_tell(tmp_path, monkeypatch, chosen):
    reader = fakes.FakeReader(fakes.utm_grid(640, 600))
    expected, files = fakes.expected_map(reader), FakeFiles(reader)
    if chosen is not None:
        monkeypatch.setattr(pipeline, "choose", lambda *_: chosen)
    told, running = Told(), []

    def slow(series, chunk):
        running.append(chunk)
        time.sleep(0.01)
        return fakes.compute(series, chunk)

    job = small_job(tmp_path, reader, slow, threads=4, files=files, readers=2)
    summary = BlockRunner(job, told).run()
    np.testing.assert_array_equal(gdal.Open(str(tmp_path / "map.tif")).ReadAsArray(), expected)
    assert len(running) == summary.blocks == 100 and summary.statistics[0] == 640 * 600
    lines = [line for line in told.lines if "to read" in line]
    assert len(lines) == 1
    assert summary.readers == files.threads[-1] == max(files.threads)
    assert files.most <= job.slots == 3
    assert files.freed and files.living == 0 and len(files.foretold) == 100
    if chosen is not None:
        assert summary.readers >= chosen.readers
        assert f"reading threads {chosen.readers}, computing threads {chosen.threads}" in lines[0]


def test_a_slow_server_is_asked_by_more_threads_at_once(tmp_path, make_stack, monkeypatch):
    """Reading that only waits: with two threads, the most there were, 25 blocks of 12 dates take 1.5 s or more."""
    values = np.random.default_rng(0).integers(1, 200, (12, 1, 320, 320)).astype(np.int16)
    dates = [f"2021-{month:02d}-05" for month in range(1, 13)]
    stack = make_stack(tmp_path / "stack", {"S2": dict(values=values, dates=dates, bands=["B4"])})
    plain, at_once, most = OpenFiles._read, [], []

    def slow(self, *rest):
        at_once.append(1)
        most.append(len(at_once))
        time.sleep(0.01)
        at_once.pop()
        plain(self, *rest)

    monkeypatch.setattr(OpenFiles, "_read", slow)
    with StackReader(stack) as reader:
        reader.grid = reader.stack.grid
        settings = dict(halo=0, files=reader, bytes_per_pixel=reader.bytes_per_pixel, readers=2, reserve_mb=0)
        job = small_job(tmp_path, reader, lambda series, _: first_date(series), **settings)
        summary = BlockRunner(job, Progress()).run()
    np.testing.assert_array_equal(gdal.Open(str(tmp_path / "map.tif")).ReadAsArray(), values[0, 0])
    assert 2 < max(most) <= summary.readers


def first_date(series):
    return {"map": series["S2"].values[0, 0].astype(np.uint8), "statistics": np.ones(1)}


def test_no_more_threads_read_than_there_is_memory_for(tmp_path, monkeypatch):
    """Each takes some beside the blocks; what is kept of the files for later blocks is not to be had."""
    reader = fakes.FakeReader(fakes.utm_grid(640, 600))
    seen = []
    monkeypatch.setattr(pipeline, "choose", lambda _, limits: seen.append(limits) or Chosen(1, 1))
    job = small_job(tmp_path, reader, memory_mb=64, reserve_mb=0, bytes_per_pixel=2000, files=FakeFiles(reader))
    left = job.room - int(1.2 * job.slots * job.bytes_per_pixel * CHUNK * CHUNK)
    BlockRunner(job, Progress()).run()
    assert 1 <= seen[0].readers <= max(1, left // (pipeline.READER_MB * 2**20)) < 8
