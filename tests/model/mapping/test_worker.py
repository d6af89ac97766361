"""Workers of one machine: each gets a GPU of its own and its share of the processors."""

from __future__ import annotations

import argparse
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st
from landloom.model.base.errors import LandloomError
from landloom.model.mapping import worker


@given(st.integers(0, 9), st.integers(0, 5), st.integers(1, 64))
def test_gpus_and_processors_are_shared_out(processes, gpus, cores):
    names = [str(number) for number in range(gpus)]
    found = worker.assignments(processes, names, cores)
    assert len(found) == (processes or max(1, gpus))
    threads = [int(one["LANDLOOM_THREADS"]) for one in found]
    assert min(threads) >= 1 and (sum(threads) == cores or len(found) > cores)
    used = [one.get("CUDA_VISIBLE_DEVICES") for one in found]
    if not gpus:
        assert set(used) == {None}
    else:
        assert max(used.count(name) for name in names) - min(used.count(name) for name in names) <= 1


def test_two_gpus_by_default_are_two_workers():
    assert worker.assignments(0, ["0", "3"], 8) == [
        {"LANDLOOM_THREADS": "4", "CUDA_VISIBLE_DEVICES": "0"},
        {"LANDLOOM_THREADS": "4", "CUDA_VISIBLE_DEVICES": "3"},
    ]


@pytest.mark.parametrize(
    "value, expected", [("", []), ("-1", []), ("0,2", ["0", "2"]), ("GPU-8932f937, 1", ["GPU-8932f937", "1"])]
)
def test_a_queue_says_which_gpus_a_job_may_use(value, expected):
    assert worker.gpus_here({"CUDA_VISIBLE_DEVICES": value}) == expected


def test_otherwise_the_driver_is_asked(tmp_path, monkeypatch):
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\necho 'GPU 0: NVIDIA A (UUID: GPU-1)'\necho 'GPU 1: NVIDIA A (UUID: GPU-2)'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert worker.gpus_here({}) == ["0", "1"]
    monkeypatch.setenv("PATH", "/nowhere")
    assert worker.gpus_here({}) == []


def test_the_processes_get_what_was_assigned(tmp_path, monkeypatch):
    """Each worker is started with its environment; when one ends, all end."""
    log = tmp_path / "log"
    # The second ends once the first has told, which is ended with it.
    script = (
        f'echo "$CUDA_VISIBLE_DEVICES $LANDLOOM_THREADS" >>{log}; test "$CUDA_VISIBLE_DEVICES" = 1 || exec sleep 60; '
        f"until grep -q '^0' {log}; do sleep 0.05; done"
    )
    pytest.importorskip("distributed")
    monkeypatch.setattr(worker, "command", lambda arguments, number: ["/bin/sh", "-c", script])
    monkeypatch.setattr(worker, "thread_count", lambda: 6)
    arguments = argparse.Namespace(scheduler="tcp://x:1", processes=0, gpus="0,1", memory_limit="0", name="")
    assert worker.run(arguments) == 0
    assert sorted(log.read_text().splitlines()) == ["0 3", "1 3"]
    assert "CUDA_VISIBLE_DEVICES" not in os.environ or os.environ["CUDA_VISIBLE_DEVICES"] != "1"


def test_a_wrong_number_is_refused():
    pytest.importorskip("distributed")
    with pytest.raises(LandloomError, match="--processes is -1"):
        worker.run(argparse.Namespace(scheduler="x", processes=-1, gpus=None, memory_limit="0", name=""))
