"""Array jobs and Dask's workers on a real Slurm: part of `make nightly`, where `sbatch` is there and answers.

`tests/reliability/one_node_slurm.sh` starts a Slurm of one node on this machine. On a cluster, LANDLOOM_SLURM_FOLDER
names a folder that its nodes share; the Python of the tests must be there, too.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import textwrap
import time
from pathlib import Path

import faulty_runs
import numpy as np
import pytest
from landloom.model.base.errors import LandloomError
from landloom.model.base.progress import Progress
from landloom.model.mapping import console, dasktasks, job, sentjobs
from landloom.model.mapping.classify import classify
from landloom.model.mapping.daskcluster import DaskCluster
from osgeo import gdal


def told(*line):
    """What a program of Slurm prints."""
    done = subprocess.run(line, capture_output=True, text=True, timeout=120, check=False)
    return done.stdout.split() if done.returncode == 0 else None


@pytest.fixture
def shared():
    """A folder that all nodes see."""
    if not faulty_runs.NIGHTLY:
        pytest.skip("a real Slurm takes a minute: part of make nightly")
    if shutil.which("sbatch") is None:
        pytest.skip("there is no Slurm here (no sbatch)")
    if told("sinfo", "--noheader") is None:
        pytest.skip("sbatch is here, but no Slurm answers")
    place = tempfile.mkdtemp(prefix="landloom é ", dir=os.environ.get("LANDLOOM_SLURM_FOLDER"))
    yield Path(place)
    shutil.rmtree(place)


@pytest.fixture
def scene(shared, inputs, monkeypatch):
    """Stack and model there, and the map that one machine makes of them."""
    monkeypatch.setattr(job.Job, "block_pixels", lambda self: 4096)
    stack, model = Path(inputs["classify"]["stack"]), Path(inputs["classify"]["model"])
    shutil.copytree(stack.parent, shared / "data")
    shutil.copy(model, shared)
    classify(shared / "data" / stack.name, shared / model.name, shared / "here.tif", device="cpu", threads=1)
    return shared / "data" / stack.name, shared / model.name


@pytest.fixture
def node(shared):
    import mapping_node

    with mapping_node.installed(shared / "node") as environment:
        yield environment


def left(mine):
    """How many of our jobs wait or run."""
    return len(told("squeue", "--noheader", "--format=%A", "--name=" + mine))


def empty(mine, seconds=180):
    end = time.monotonic() + seconds
    while left(mine):
        assert time.monotonic() < end, "jobs stay in the queue"
        time.sleep(0.5)


def equal(shared):
    return np.array_equal(*(gdal.Open(str(shared / name)).ReadAsArray() for name in ("here.tif", "there.tif")))


def test_an_array_of_which_a_job_is_cancelled_and_that_is_sent_off_again(scene, shared, node):
    output = shared / "there.tif"
    names = ",".join(f"{output.name}.{kind}.sh" for kind in ("array", "assemble"))
    given = ["--stack", str(scene[0]), "--model", str(scene[1]), "--output", str(output)]
    more = ["--cpus", "1", "--memory-mb", "256", "--jobs", "2", "--time", "00:05:00"]
    assert console.main(["blocks", "plan", "classify", *given, *more]) == 0
    for cancelled in (True, False):
        subprocess.run(["sh", f"{output}.submit.sh"], env=node, cwd=shared, timeout=120, check=True)
        if cancelled:
            array = told("squeue", "--noheader", "--format=%A", f"--name={output.name}.array.sh")
            told("scancel", f"{min(array, key=int)}_1")
        empty(names)  # the job that assembles as well, though the array failed
        assert output.exists() != cancelled
    assert equal(shared) and not Path(f"{output}.parts").exists()


class Disturbing(Progress):
    """Cancels all jobs when the first block is there, as at their time limit."""

    def __init__(self, shared, name):
        self.shared, self.name, self.warnings = shared, name, []

    def warning(self, message):
        self.warnings.append(message)

    def is_cancelled(self):
        if self.shared and list(self.shared.glob("there.tif.parts/*[0-9].npz")):
            told("scancel", "--name=" + self.name)
            self.shared = None
        return False


def test_jobs_of_dask_end_and_are_replaced(scene, shared, node, monkeypatch):
    pytest.importorskip("dask_jobqueue")
    monkeypatch.setattr(dasktasks, "MOST_IN_TASK", 1)  # or all blocks might be there before the job ends
    monkeypatch.setattr(sentjobs, "EVERY", 1.0)
    monkeypatch.chdir(shared)  # where logs go
    name = f"landloom-{os.getpid()}"
    settings = f"""
        jobs: 2
        python: {sys.executable}
        cores: 1
        memory: 2GB
        walltime: "00:05:00"
        job-name: {name}
        job-script-prologue: ["export PYTHONPATH='{node["PYTHONPATH"]}'"]
    """
    file = shared / "jobs.yaml"
    file.write_text(textwrap.dedent(settings))
    progress = Disturbing(shared, name)
    with DaskCluster(f"slurm:{file}", "", progress) as cluster:
        classify(*scene, shared / "there.tif", device="cpu", elsewhere=cluster, progress=progress)
    empty(name)
    assert equal(shared) and [line for line in progress.warnings if "as many new ones are sent off" in line]

    file.write_text(textwrap.dedent(settings) + "queue: there-is-no-such-partition\n")
    with (
        DaskCluster(f"slurm:{file}", "", Progress()) as cluster,
        pytest.raises(LandloomError, match=r"takes no job of .*[Ii]nvalid partition"),
    ):
        classify(*scene, shared / "other.tif", device="cpu", elsewhere=cluster)
    assert not left(name)
