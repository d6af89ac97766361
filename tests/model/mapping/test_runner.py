"""The block runner on fakes: seams, resuming, cancelling, locking, failing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import mapping_fakes as fakes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from landloom.model.base.errors import Cancelled, LandloomError
from landloom.model.base.progress import Progress
from landloom.model.mapping import outputs
from landloom.model.mapping.chunks import CHUNK, Area
from landloom.model.mapping.journal import Journal, parts_folder
from landloom.model.mapping.runner import BlockRunner
from landloom.model.mapping.watch import duration
from osgeo import gdal

HERE = Path(__file__).parent
ROOT = HERE.parents[2]


class Told(Progress):
    """Keeps what it is told; cancels when asked to."""

    def __init__(self, cancel=None):
        self.lines, self.percents, self.cancel = [], [], cancel

    def info(self, message):
        self.lines.append(message)

    def warning(self, message):
        self.lines.append(message)

    def percent(self, value):
        self.percents.append(value)

    def is_cancelled(self):
        return self.cancel is not None and self.cancel()


def read(path):
    return gdal.Open(str(path)).ReadAsArray()


def small_blocks(job, pixels=CHUNK * CHUNK):
    """The same job in blocks of about that many pixels."""
    job.memory_mb = 64
    job.reserve_mb = 0
    job.bytes_per_pixel = int(job.room / (1.2 * job.slots * pixels))
    return job


def test_one_block_and_many_give_the_same_file(tmp_path):
    reader = fakes.FakeReader(fakes.utm_grid(300, 210))
    one = BlockRunner(fakes.make_job(tmp_path / "one", reader), Progress()).run()
    job = small_blocks(fakes.make_job(tmp_path / "many", reader, threads=3, readers=2))
    many = BlockRunner(job, Progress()).run()
    assert one.blocks == 1 and many.blocks == 20
    expected = fakes.expected_map(reader)
    np.testing.assert_array_equal(read(tmp_path / "one" / "map.tif"), expected)
    np.testing.assert_array_equal(read(tmp_path / "many" / "map.tif"), expected)
    assert one.statistics[0] == many.statistics[0] == 300 * 210
    assert sorted(p.name for p in (tmp_path / "many").iterdir()) == ["map.tif"]


@settings(max_examples=12, deadline=None)
@given(st.data())
def test_any_extent_is_a_crop_of_the_whole(tmp_path_factory, data):
    reader = fakes.FakeReader(fakes.utm_grid(170, 140))
    column, row = data.draw(st.integers(0, 169)), data.draw(st.integers(0, 139))
    width, height = data.draw(st.integers(1, 170 - column)), data.draw(st.integers(1, 140 - row))
    area = Area(column, row, width, height)
    folder = tmp_path_factory.mktemp("extent")
    job = small_blocks(fakes.make_job(folder, reader, area), data.draw(st.sampled_from([4096, 8192, 20000])))
    BlockRunner(job, Progress()).run()
    dataset = gdal.Open(str(folder / "map.tif"))
    expected = fakes.expected_map(reader)[row : row + height, column : column + width]
    np.testing.assert_array_equal(dataset.ReadAsArray(), expected)
    assert dataset.GetGeoTransform() == (500000.0 + 10 * column, 10, 0, 8000000.0 - 10 * row, 0, -10)


def test_pixels_without_data_are_no_data_and_cost_nothing(tmp_path):
    holes = np.zeros((200, 200), bool)
    holes[:, :130] = True
    reader = fakes.FakeReader(fakes.utm_grid(200, 200), holes)
    computed = []

    def counted(series, chunk):
        result = fakes.compute(series, chunk)
        computed.append(result is not None)
        return result

    BlockRunner(fakes.make_job(tmp_path, reader, compute=counted), Progress()).run()
    values = read(tmp_path / "map.tif")
    assert (values[:, :130] == 0).all() and (values[:, 130:] > 0).all()
    assert sum(computed) == 8 and len(computed) == 16


def kill_after(count, fake_compute):
    """A computation that fails for good after so many chunks."""
    lock, left = threading.Lock(), [count]

    def failing(series, chunk):
        with lock:
            left[0] -= 1
            if left[0] < 0:
                raise LandloomError("The raster x.tif is truncated.")
        return fake_compute(series, chunk)

    return failing


def test_an_error_in_mid_run_leaves_nothing_final_and_the_same_run_goes_on(tmp_path):
    reader = fakes.FakeReader(fakes.utm_grid(300, 210))
    failing = small_blocks(fakes.make_job(tmp_path, reader, compute=kill_after(9, fakes.compute), threads=1))
    with pytest.raises(LandloomError, match=r"x\.tif is truncated.*kept in .*map\.tif\.parts"):
        BlockRunner(failing, Progress()).run()
    assert [p.name for p in tmp_path.iterdir()] == ["map.tif.parts"]
    assert not list((tmp_path / "map.tif.parts").glob("*partial*"))
    assert not (tmp_path / "map.tif.parts" / "lock").exists()
    told = Told()
    summary = BlockRunner(small_blocks(fakes.make_job(tmp_path, reader)), told).run()
    assert 5 <= summary.resumed <= 9
    assert any("Going on from" in line for line in told.lines)
    np.testing.assert_array_equal(read(tmp_path / "map.tif"), fakes.expected_map(reader))
    assert summary.statistics[0] == 300 * 210


def test_an_error_in_the_first_block_leaves_nothing(tmp_path):
    reader = fakes.FakeReader(fakes.utm_grid(100, 100))
    job = fakes.make_job(tmp_path, reader, compute=kill_after(0, fakes.compute))
    with pytest.raises(LandloomError, match="truncated"):
        BlockRunner(job, Progress()).run()
    assert not list(tmp_path.iterdir())


def test_another_model_starts_again_and_says_so(tmp_path):
    reader = fakes.FakeReader(fakes.utm_grid(300, 210))
    job = small_blocks(fakes.make_job(tmp_path, reader, compute=kill_after(9, fakes.compute), threads=1))
    with pytest.raises(LandloomError):
        BlockRunner(job, Progress()).run()
    told = Told()
    other = small_blocks(fakes.make_job(tmp_path, reader, identity={"stack": "a", "model": "c"}))
    summary = BlockRunner(other, told).run()
    assert summary.resumed == 0
    assert any("starting again" in line for line in told.lines)


def test_another_memory_keeps_the_finished_blocks(tmp_path):
    reader = fakes.FakeReader(fakes.utm_grid(300, 210))
    job = small_blocks(fakes.make_job(tmp_path, reader, compute=kill_after(9, fakes.compute), threads=1))
    with pytest.raises(LandloomError):
        BlockRunner(job, Progress()).run()
    summary = BlockRunner(fakes.make_job(tmp_path, reader), Progress()).run()
    assert summary.resumed >= 5
    np.testing.assert_array_equal(read(tmp_path / "map.tif"), fakes.expected_map(reader))


def test_a_damaged_part_is_made_again(tmp_path):
    reader = fakes.FakeReader(fakes.utm_grid(300, 210))
    job = small_blocks(fakes.make_job(tmp_path, reader, compute=kill_after(9, fakes.compute), threads=1))
    with pytest.raises(LandloomError):
        BlockRunner(job, Progress()).run()
    parts = sorted((tmp_path / "map.tif.parts").glob("*.npz"))
    content = bytearray(parts[0].read_bytes())
    content[len(content) // 2] ^= 255
    parts[0].write_bytes(content)
    parts[1].write_bytes(parts[1].read_bytes()[:50])
    summary = BlockRunner(small_blocks(fakes.make_job(tmp_path, reader)), Progress()).run()
    assert summary.resumed == len(parts) - 2
    np.testing.assert_array_equal(read(tmp_path / "map.tif"), fakes.expected_map(reader))


def test_cancel_leaves_nothing_within_two_seconds(tmp_path):
    reader = fakes.FakeReader(fakes.utm_grid(640, 640))
    started = threading.Event()

    def slow(series, chunk):
        started.set()
        time.sleep(0.3)
        return fakes.compute(series, chunk)

    asked = []

    def cancel():
        if started.is_set() and not asked:
            asked.append(time.monotonic())
        return bool(asked)

    with pytest.raises(Cancelled):
        BlockRunner(small_blocks(fakes.make_job(tmp_path, reader, compute=slow)), Told(cancel)).run()
    assert time.monotonic() - asked[0] < 2
    assert not list(tmp_path.iterdir())


def test_cancel_while_a_read_hangs(tmp_path):
    release = threading.Event()

    class Hanging(fakes.FakeReader):
        def read(self, window, halo=0):
            release.wait(20)
            return super().read(window, halo)

    begin = time.monotonic()
    with pytest.raises(Cancelled):
        BlockRunner(
            fakes.make_job(tmp_path, Hanging(fakes.utm_grid(100, 100))),
            Told(lambda: time.monotonic() - begin > 0.3),
        ).run()
    assert time.monotonic() - begin < 2.3
    assert not list(tmp_path.iterdir())
    release.set()


def test_a_second_run_on_the_same_output_is_refused(tmp_path):
    reader = fakes.FakeReader(fakes.utm_grid(200, 200))
    started, release = threading.Event(), threading.Event()

    def waiting(series, chunk):
        started.set()
        release.wait(20)
        return fakes.compute(series, chunk)

    first = threading.Thread(target=BlockRunner(fakes.make_job(tmp_path, reader, compute=waiting), Progress()).run)
    first.start()
    assert started.wait(10)
    with pytest.raises(LandloomError, match="Another run"):
        BlockRunner(fakes.make_job(tmp_path, reader), Progress()).run()
    release.set()
    first.join()
    np.testing.assert_array_equal(read(tmp_path / "map.tif"), fakes.expected_map(reader))
    assert [p.name for p in tmp_path.iterdir()] == ["map.tif"]


@pytest.mark.parametrize("content", ['{"pid": 999999999, "host": "%s"}', "", '{"pid": 1, "host": "elsewhere"}'])
def test_a_stale_lock_does_not_block(tmp_path, content):
    import socket

    reader = fakes.FakeReader(fakes.utm_grid(70, 70))
    folder = parts_folder(tmp_path / "map.tif")
    folder.mkdir()
    lock = folder / "lock"
    lock.write_text(content.replace("%s", socket.gethostname()))
    if "999999999" not in content:
        os.utime(lock, (time.time() - 600,) * 2)
    BlockRunner(fakes.make_job(tmp_path, reader), Progress()).run()
    assert (tmp_path / "map.tif").exists() and not folder.exists()


def test_disk_full_while_writing_a_part(tmp_path, monkeypatch):
    reader = fakes.FakeReader(fakes.utm_grid(300, 210))
    written = []
    write = Journal.write

    def filling(self, block, arrays):
        if len(written) == 3:
            raise OSError(28, "No space left on device")
        written.append(block)
        write(self, block, arrays)

    monkeypatch.setattr(Journal, "write", filling)
    with pytest.raises(LandloomError, match=r"No space left on device.*3 finished blocks are kept"):
        BlockRunner(small_blocks(fakes.make_job(tmp_path, reader)), Progress()).run()
    assert [p.name for p in tmp_path.iterdir()] == ["map.tif.parts"]


def test_disk_full_while_assembling_keeps_an_older_map(tmp_path):
    """A real limit on file size, as a full disk: the final file must not take its name."""
    code = f"""
import sys; sys.path.insert(0, {str(HERE)!r})
import importlib.util, resource, signal
spec = importlib.util.spec_from_file_location("conftest", {str(ROOT / "tests" / "conftest.py")!r})
conftest = importlib.util.module_from_spec(spec); spec.loader.exec_module(conftest)
import mapping_fakes as fakes, numpy as np, pathlib
from landloom.model.mapping.runner import BlockRunner
from landloom.model.mapping import outputs
from landloom.model.base.progress import Progress
from landloom.model.base.errors import LandloomError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
assemble = outputs.assemble
import landloom.model.mapping.runner as runner
def limited(*arguments):
    resource.setrlimit(resource.RLIMIT_FSIZE, (40000, 40000))
    assemble(*arguments)
runner.assemble = limited
rng = np.random.default_rng(0)
def noise(series, chunk):
    return {{"map": rng.integers(1, 250, (1, 64, 64)).astype(np.uint8), "statistics": np.zeros(1)}}
reader = fakes.FakeReader(fakes.utm_grid(640, 640))
try:
    BlockRunner(fakes.make_job(pathlib.Path({str(tmp_path)!r}), reader, compute=noise), Progress()).run()
except LandloomError as error:
    print("ERROR", error)
"""
    (tmp_path / "map.tif").write_bytes(b"older")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert "ERROR Cannot write" in done.stdout, done.stdout + done.stderr
    assert (tmp_path / "map.tif").read_bytes() == b"older"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["map.tif", "map.tif.parts"]


def test_a_file_that_does_not_read_back_is_not_published(tmp_path, monkeypatch):
    reader = fakes.FakeReader(fakes.utm_grid(100, 100))
    monkeypatch.setattr(outputs, "reads_back", lambda *_: False)
    with pytest.raises(LandloomError, match="Cannot write"):
        BlockRunner(fakes.make_job(tmp_path, reader), Progress()).run()
    assert [p.name for p in tmp_path.iterdir()] == ["map.tif.parts"]


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no kill -9 here")
def test_kill_in_mid_run_then_resume_gives_the_same_file(tmp_path):
    code = f"""
import sys; sys.path.insert(0, {str(HERE)!r})
import importlib.util
spec = importlib.util.spec_from_file_location("conftest", {str(ROOT / "tests" / "conftest.py")!r})
conftest = importlib.util.module_from_spec(spec); spec.loader.exec_module(conftest)
import mapping_fakes as fakes, pathlib, time
from landloom.model.mapping.runner import BlockRunner
from landloom.model.base.progress import Progress
def slow(series, chunk):
    time.sleep(0.05)
    return fakes.compute(series, chunk)
reader = fakes.FakeReader(fakes.utm_grid(640, 320))
job = fakes.make_job(pathlib.Path({str(tmp_path)!r}), reader, compute=slow, memory_mb=64, reserve_mb=0)
job.bytes_per_pixel = int(job.room / (1.2 * job.slots * 4096))
BlockRunner(job, Progress()).run()
"""
    folder = parts_folder(tmp_path / "map.tif")
    process = subprocess.Popen([sys.executable, "-c", code])
    deadline = time.monotonic() + 40
    while len(list(folder.glob("block_*[0-9].npz"))) < 5 and time.monotonic() < deadline:
        time.sleep(0.02)
    process.kill()
    process.wait()
    assert not (tmp_path / "map.tif").exists()
    assert json.loads((folder / "lock").read_text())["pid"] == process.pid
    reader = fakes.FakeReader(fakes.utm_grid(640, 320))
    summary = BlockRunner(small_blocks(fakes.make_job(tmp_path, reader)), Progress()).run()
    assert summary.resumed >= 5
    undisturbed = tmp_path / "other"
    BlockRunner(small_blocks(fakes.make_job(undisturbed, reader)), Progress()).run()
    assert (tmp_path / "map.tif").read_bytes() == (undisturbed / "map.tif").read_bytes()
    assert not folder.exists()


def test_outputs_are_checked_before_any_work(tmp_path):
    reader = fakes.FakeReader(fakes.utm_grid(70, 70))
    layers = [outputs.Layer("map", tmp_path / "map.png", 1, "uint8", 0)]
    with pytest.raises(LandloomError, match=r"map\.png must be a GeoTIFF"):
        BlockRunner(fakes.make_job(tmp_path, reader, layers=layers), Progress()).run()
    twice = [outputs.Layer(name, tmp_path / "map.tif", 1, "uint8", 0) for name in ("map", "confidence")]
    with pytest.raises(LandloomError, match="same name"):
        BlockRunner(fakes.make_job(tmp_path, reader, layers=twice), Progress()).run()
    (tmp_path / "a_file").write_text("")
    blocked = [outputs.Layer("map", tmp_path / "a_file" / "map.tif", 1, "uint8", 0)]
    with pytest.raises(LandloomError, match="Cannot write"):
        BlockRunner(fakes.make_job(tmp_path, reader, layers=blocked), Progress()).run()
    assert reader.reads == []


def test_time_is_estimated_and_progress_only_grows(tmp_path):
    told = Told()
    reader = fakes.FakeReader(fakes.utm_grid(300, 300))
    BlockRunner(small_blocks(fakes.make_job(tmp_path, reader)), told).run()
    assert sum(line.startswith("Estimated time") for line in told.lines) == 1
    assert told.percents == sorted(told.percents) and told.percents[-1] == 100


def test_duration_in_words():
    assert [duration(s) for s in (0.2, 40, 700, 12000)] == ["1 s", "40 s", "12 min", "3 h 20 min"]
