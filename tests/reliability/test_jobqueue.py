"""SCHEDULER slurm:... and pbs:...: jobs are sent to a stand-in of the queue, which runs them on this machine."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import sys
import textwrap
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import faulty_runs
import numpy as np
import pytest
from landloom.model.base.errors import LandloomError
from landloom.model.base.progress import Progress
from landloom.model.mapping import dasktasks, job, sentjobs
from landloom.model.mapping.classify import classify
from landloom.model.mapping.daskcluster import DaskCluster
from landloom.model.mapping.jobqueue import JobQueue, queue_of
from osgeo import gdal

SEND = """\
import os, shutil, subprocess, sys
copy = {folder!r} + "/job" + str(os.getpid()) + ".sh"
shutil.copy(sys.argv[1], copy)
null = subprocess.DEVNULL
pid = subprocess.Popen(["bash", copy], stdin=null, stdout=null, stderr=null, start_new_session=True).pid
with open({folder!r} + "/sent", "a") as log:
    print(pid, file=log)
print(f"Submitted batch job {{pid}}" if {slurm!r} else f"{{pid}}.server")
"""
CANCEL = """\
import os, signal, sys
for one in sys.argv[1:]:
    with open({folder!r} + "/cancelled", "a") as log:
        print(one.split(".")[0], file=log)
    os.killpg(int(one.split(".")[0]), signal.SIGKILL)
"""
GOOD = "jobs: 2\npython: /env/bin/python\ncores: 4\nmemory: 8GB\n"
TELL = """\
import re, sys
for number in re.findall(r"\\b\\d+\\b", " ".join(sys.argv[1:])):
    try:
        state = open("/proc/" + number + "/stat").read().rsplit(")", 1)[1].split()[0]
    except OSError:
        continue
    if state != "Z":
        print(number if {slurm!r} else number + ".server  worker  me  00:00:01 R short")
"""


@pytest.fixture
def queue(tmp_path, monkeypatch):
    """The programs of a queue on the path; whatever they started ends with the test."""
    programs = tmp_path / "bin"
    programs.mkdir()
    kinds = {"sbatch": SEND, "qsub": SEND, "scancel": CANCEL, "qdel": CANCEL, "squeue": TELL, "qstat": TELL}
    for name, text in kinds.items():
        (programs / f"{name}.py").write_text(text.format(folder=str(tmp_path), slurm=name.startswith("s")))
        program(programs / name, f'exec {shlex.quote(sys.executable)} {shlex.quote(str(programs / name))}.py "$@"')
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    yield tmp_path
    for line in (tmp_path / "sent").read_text().split() if (tmp_path / "sent").exists() else []:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(int(line), signal.SIGKILL)


class TimeLimit(Progress):
    """Ends the first job when the first block is there."""

    def __init__(self, queue):
        self.queue, self.warnings = queue, []

    def warning(self, message):
        self.warnings.append(message)

    def is_cancelled(self):
        if self.queue is not None and list(self.queue.glob("there.tif.parts/*[0-9].npz")):
            os.killpg(int((self.queue / "sent").read_text().split()[0]), signal.SIGKILL)
            self.queue = None
        return False


def program(path, line):
    """A program of one line: the name of a Python cannot stand after #! if there is a space in it."""
    path.write_text(f"#!/bin/sh\n{line}\n")
    path.chmod(0o755)


def write(path, text):
    path.write_text(textwrap.dedent(text))
    return path


@pytest.mark.parametrize("kind", ["slurm", *(["pbs"] if faulty_runs.NIGHTLY else [])])
def test_jobs_compute_are_replaced_and_are_cancelled_at_the_end(kind, queue, inputs, monkeypatch, tmp_path_factory):
    """The first job ends in mid-run, as at its time limit."""
    pytest.importorskip("dask_jobqueue")
    import mapping_node

    monkeypatch.setattr(job.Job, "block_pixels", lambda self: 4096)
    monkeypatch.setattr(dasktasks, "MOST_IN_TASK", 1)  # or all blocks might be there before the job ends
    monkeypatch.setattr(sentjobs, "EVERY", 0.5)
    monkeypatch.setattr(dasktasks, "CONNECT", 1.0)  # the answer of the first job will not come
    stack, model = inputs["classify"]["stack"], inputs["classify"]["model"]
    ended = TimeLimit(queue)
    maps = [queue / name for name in ("here.tif", "there.tif")]
    classify(stack, model, maps[0], device="cpu", threads=1)
    with mapping_node.installed(tmp_path_factory.mktemp("node")) as environment:
        file = write(
            queue / "jobs é.yaml",
            f"""
            jobqueue:
              {kind}:
                jobs: 1
                python: {sys.executable}
                cores: 1
                memory: 2GB
                interface: lo
                log-directory: {queue}
                job-script-prologue: ["export PYTHONPATH='{environment["PYTHONPATH"]}'"]
            """,
        )
        with DaskCluster(f"{kind}:{file}", "", Progress()) as cluster:
            classify(stack, model, maps[1], device="cpu", elsewhere=cluster, progress=ended)
    assert np.array_equal(*(gdal.Open(str(path)).ReadAsArray() for path in maps))
    sent = (queue / "sent").read_text().split()
    assert "1 of 1 jobs have ended: as many new ones are sent off." in ended.warnings
    assert len(sent) == 2 and sent[1] in (queue / "cancelled").read_text().split()


def test_jobs_that_end_at_once_are_not_waited_for(queue, inputs, monkeypatch):
    pytest.importorskip("dask_jobqueue")
    before = threading.enumerate()
    monkeypatch.setattr(sentjobs, "EVERY", 0.5)
    file = write(
        queue / "jobs.yaml", GOOD.replace("/env/bin/python", "/none") + f"interface: lo\nlog-directory: {queue}\n"
    )
    stack, model = inputs["classify"]["stack"], inputs["classify"]["model"]
    with (
        DaskCluster(f"slurm:{file}", "", Progress()) as cluster,
        pytest.raises(LandloomError, match=r"All jobs of .*jobs.yaml have ended before they finished anything"),
    ):
        classify(stack, model, queue / "map.tif", device="cpu", elsewhere=cluster)
    own = [one for one in threading.enumerate() if one.name == "IO loop" and one not in before]
    for one in own:
        one.join(20)
    assert not [one for one in own if one.is_alive()]


@pytest.mark.parametrize(
    "kind, answer, code, left",
    [
        ("slurm", "7\\n9\\n", 0, {"7"}),
        ("slurm", "slurm_load_jobs error: Invalid job id specified", 1, set()),
        ("slurm", "squeue: fatal: Could not establish a configuration source", 1, None),
        (
            "pbs",
            "Job id  Name  User  Time Use S Queue\\n7.srv  w  me  0 R short\\n8.srv  w  me  0 C short\\n",
            0,
            {"7"},
        ),
        ("pbs", "qstat: 7.srv Job has finished, use -x or -H to obtain historical job information", 35, set()),
        ("pbs", "qstat: Unknown Job Id 7.srv", 153, set()),
        ("pbs", "qstat: cannot connect to server srv (errno=111)", 255, None),
    ],
)
def test_what_a_queue_says_of_jobs(kind, answer, code, left, queue):
    """In the words of Slurm 22.05, and of OpenPBS and Torque by their documents."""
    pytest.importorskip("dask_jobqueue")
    where = "" if code == 0 else " >&2"
    program(queue / "bin" / ("squeue" if kind == "slurm" else "qstat"), f"printf '{answer}'{where}; exit {code}")
    assert JobQueue(kind, str(write(queue / "jobs.yaml", GOOD))).in_queue(["7", "8"]) == left


def test_a_queue_that_takes_no_job_is_not_waited_for(queue, inputs):
    """dask-jobqueue logs that sbatch failed, and goes on without workers: a run would wait for ever."""
    pytest.importorskip("dask_jobqueue")
    program(queue / "bin" / "sbatch", "echo 'sbatch: error: invalid partition specified: none' >&2; exit 1")
    file = write(
        queue / "jobs.yaml",
        f"jobs: 2\npython: {sys.executable}\ncores: 1\nmemory: 1GB\ninterface: lo\nlog-directory: {queue}\n",
    )
    stack, model = inputs["classify"]["stack"], inputs["classify"]["model"]
    with (
        DaskCluster(f"slurm:{file}", "", Progress()) as cluster,
        pytest.raises(LandloomError, match=r"takes no job of .*jobs.yaml \(sbatch: error: invalid partition specified"),
    ):
        classify(stack, model, queue / "map.tif", device="cpu", elsewhere=cluster)
    assert not (queue / "map.tif").exists()


def test_a_python_whose_path_has_a_space_is_found_by_the_job(tmp_path):
    pytest.importorskip("dask_jobqueue")
    (tmp_path / "an environment").mkdir()
    python = str(tmp_path / "an environment" / "python")
    Path(python).touch()
    for text, expected in ((python, f"'{python}'"), ("conda run python", "conda run python")):
        queue = JobQueue("slurm", str(write(tmp_path / "jobs.yaml", GOOD.replace("/env/bin/python", text))))
        assert queue.settings["python"] == expected


@pytest.mark.parametrize(
    "text, sentence",
    [
        (GOOD.replace("jobs: 2", "jobs: 0"), "holds no number of jobs: add a line such as 'jobs: 10' under slurm"),
        (GOOD.replace("jobs: 2", "jobs: yes"), "holds no number of jobs"),
        (GOOD.replace("python: /env/bin/python", ""), "does not say which Python the workers use"),
        (GOOD.replace("memory: 8GB", ""), "holds no 'memory'"),
        ("- a\n- b\n", "holds no settings"),
        ("a: [", "is not YAML"),
        ("!!python/object/apply:os.system ['touch /tmp/hacked']", "is not YAML"),
    ],
)
def test_a_configuration_that_would_not_work_is_refused(text, sentence, tmp_path):
    pytest.importorskip("dask_jobqueue")
    with pytest.raises(LandloomError, match=sentence):
        JobQueue("slurm", str(write(tmp_path / "jobs.yaml", text)))


def test_the_library_is_loaded_in_a_thread_and_leaves_signals_alone(tmp_path, monkeypatch):
    """QGIS runs algorithms in threads; there dask-jobqueue fails to take over SIGINT, as it tries when imported."""
    pytest.importorskip("dask_jobqueue")
    for name in [one for one in sys.modules if one.split(".")[0] == "dask_jobqueue"]:
        monkeypatch.delitem(sys.modules, name)
    path = str(write(tmp_path / "jobs.yaml", GOOD))
    before = signal.getsignal(signal.SIGINT), signal.signal
    with ThreadPoolExecutor(1) as pool:
        pool.submit(JobQueue, "slurm", path).result()
    for name in [one for one in sys.modules if one.split(".")[0] == "dask_jobqueue"]:
        del sys.modules[name]
    JobQueue("slurm", path)  # in the main thread
    assert (signal.getsignal(signal.SIGINT), signal.signal) == before


def test_settings_may_lie_at_the_top_or_where_dask_jobqueue_has_them(tmp_path):
    pytest.importorskip("dask_jobqueue")
    nested = "jobqueue:\n  slurm:\n" + textwrap.indent(GOOD + "job-extra-directives: [a]\n", "    ")
    for text in (GOOD, nested):
        found = JobQueue("slurm", str(write(tmp_path / "jobs.yaml", text)))
        assert found.jobs == 2 and found.settings["cores"] == 4
    assert found.settings["job_extra_directives"] == ["a"]


@pytest.mark.parametrize("text", ["tcp://host:8786", "host:8786", "tls://a.b.c:8786", "tcp://[::1]:8786", "slurm:8786"])
def test_addresses(text):
    assert queue_of(text) is None


@pytest.mark.parametrize("text", ["host", "http:/x", "sge:jobs.yaml", "tcp://host", "tcp://a b:80"])
def test_what_is_no_scheduler_is_refused(text):
    with pytest.raises(LandloomError, match="give an address such as tcp://host:8786"):
        queue_of(text)


def test_a_missing_configuration_is_named():
    with pytest.raises(LandloomError, match=r"/none/jobs.yaml, which cannot be read"):
        queue_of("slurm:/none/jobs.yaml")
