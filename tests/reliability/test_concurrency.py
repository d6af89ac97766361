"""Two runs on one output: one works, the other is refused in one sentence; two runs side by side share nothing."""

from __future__ import annotations

import errno
import json
import os
import signal
import socket
import threading
import time
from pathlib import Path

import pytest
from faulty_runs import NAMES, NIGHTLY, content, left_over
from landloom.model.base.errors import LandloomError
from landloom.model.base.files import whole_folder
from landloom.model.base.lock import Lock, lock_path, tidy

STEPS = ["preparestack", "extractsamples", "classify", "segment", *(["train"] if NIGHTLY else [])]


@pytest.mark.parametrize("step", STEPS)
def test_two_runs_on_one_output(step, zygote, inputs, undisturbed, tmp_path):
    """The first is stopped in mid-run (SIGSTOP) while the second tries."""
    seconds, expected = undisturbed(step)
    output = tmp_path / "out" / NAMES[step]
    first = zygote.start(step, inputs[step], output)
    end = time.monotonic() + max(20.0, 3 * seconds)
    locks = [lock_path(output), output.with_name(f"{output.name}.parts") / "lock"]
    while not any(path.exists() for path in locks):
        assert time.monotonic() < end, "it takes no lock"
        time.sleep(0.002)
    os.kill(first.pid, signal.SIGSTOP)
    try:
        while (state := Path(f"/proc/{first.pid}/stat").read_text().rpartition(")")[2].split()[0]) not in "TZ":
            assert time.monotonic() < end, f"it does not stop: {state}"
        locked = any(path.exists() for path in locks)  # else it was done before it was stopped
        second = zygote.start(step, inputs[step], tmp_path / "out" / NAMES[step])
        told = second.wait()
    finally:
        os.kill(first.pid, signal.SIGCONT)
    assert first.wait().done
    if locked:
        assert "Another run" in told.sentence and "choose another output" in told.sentence, told.told
    assert content(step, output) == expected
    assert not left_over(output.parent)


@pytest.mark.parametrize("step", ["extractsamples", "classify"] if NIGHTLY else ["classify"])
def test_two_runs_side_by_side(step, zygote, inputs, undisturbed, tmp_path):
    _, expected = undisturbed(step)
    outputs = [tmp_path / "same folder" / f"{number}{NAMES[step]}" for number in (1, 2)]
    start = tmp_path / "start"
    runs = [zygote.start(step, inputs[step], output, pause=str(start)) for output in outputs]
    start.touch()
    assert all(run.wait().done for run in runs)
    for output in outputs:
        found = {name.removeprefix(output.name[0]): value for name, value in content(step, output).items()}
        assert found == expected
    assert not left_over(tmp_path)


def test_a_lock_is_whole_from_its_first_moment(tmp_path, monkeypatch):
    """A run that is stopped or killed while it writes its lock keeps nobody out, and what it left is tidied up."""
    path, written, seen = lock_path(tmp_path / "x"), json.dump, []

    def dump(content, stream):
        assert not path.exists()
        seen.append(stream.name)
        if len(seen) == 1:  # another run comes in between
            (tmp_path / "x.01234567.partial").touch()  # as a run that was killed here leaves it
            with Lock(path, "x"):
                tidy(tmp_path / "x")
                assert [one.name for one in tmp_path.iterdir()] == ["x.lock"]
        written(content, stream)

    monkeypatch.setattr(json, "dump", dump)
    with Lock(path, "x"):
        assert json.loads(path.read_text())["pid"] == os.getpid()
    assert len(seen) == 3 and not list(tmp_path.iterdir())  # the first's, the other's, the first's once more


def test_a_folder_without_links_has_locks_too(tmp_path, monkeypatch):
    def refuse(*_):
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    path = lock_path(tmp_path / "x")
    with Lock(path, "x"):
        assert [one.name for one in tmp_path.iterdir()] == ["x.lock"] and path.read_text()
    path.write_text(json.dumps({"pid": os.getppid(), "host": socket.gethostname(), "time": "12:00", "token": "t"}))
    with pytest.raises(LandloomError, match=f"process {os.getppid()}"), Lock(path, "x"):
        pass
    path.write_text("")
    with pytest.raises(LandloomError, match="cut off less than 60 s ago"), Lock(path, "x"):
        pass
    os.utime(path, (time.time() - 61,) * 2)
    with Lock(path, "x"):
        pass
    assert not list(tmp_path.iterdir())


def test_a_lock_may_be_entered_again_by_its_thread_only(tmp_path):
    path, refused = lock_path(tmp_path / "x"), []

    def other():
        try:
            with Lock(path, "x"):
                pass
        except LandloomError as error:
            refused.append(str(error))

    with Lock(path, "x") as outer:
        with Lock(path, "x") as inner:
            assert inner.again and not outer.again
        assert path.exists()
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
    assert len(refused) == 1 and not path.exists()
    with Lock(path, "x", around=True), Lock(path, "x", around=True):  # as a step of landcovermap
        for _ in range(2):  # who takes it inside is the first to tidy up, each time
            with Lock(path, "x") as inner, Lock(path, "x") as innermost:
                assert not inner.again and innermost.again
        assert path.exists()
    assert not path.exists()


def test_what_a_killed_run_left_goes_and_what_it_was_replacing_comes_back(tmp_path):
    older = tmp_path / "samples.0123abcd.partial.old"
    older.mkdir()
    (older / "a").write_text("mine")
    for name in ("samples.0123abcd.partial", "samples.ffffffff.partial"):
        (tmp_path / name).mkdir()
    kept = ["samples.v2.0123abcd.partial", "samples.txt", "other.0123abcd.partial"]
    for name in kept:
        (tmp_path / name).write_text("others")
    tidy(tmp_path / "samples")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*kept, "samples"])
    assert (tmp_path / "samples" / "a").read_text() == "mine"
    with whole_folder(tmp_path / "samples") as folder:
        (folder / "b").write_text("new")
    assert [path.name for path in (tmp_path / "samples").iterdir()] == ["b"]
