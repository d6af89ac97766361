"""SCHEDULER slurm:... and pbs:...: jobs are sent to a stand-in of the queue, which runs them on this machine."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import textwrap

import faulty_runs
import numpy as np
import pytest
from landloom.model.base.errors import LandloomError
from landloom.model.base.progress import Progress
from landloom.model.mapping import job
from landloom.model.mapping.classify import classify
from landloom.model.mapping.daskcluster import DaskCluster
from landloom.model.mapping.jobqueue import JobQueue, queue_of
from osgeo import gdal

SEND = """\
#!{python}
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
#!{python}
import os, signal, sys
for one in sys.argv[1:]:
    with open({folder!r} + "/cancelled", "a") as log:
        print(one.split(".")[0], file=log)
    os.killpg(int(one.split(".")[0]), signal.SIGKILL)
"""


@pytest.fixture
def queue(tmp_path, monkeypatch):
    """The programs of a queue on the path; whatever they started ends with the test."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, text in (("sbatch", SEND), ("qsub", SEND), ("scancel", CANCEL), ("qdel", CANCEL)):
        words = {"python": sys.executable, "folder": str(tmp_path), "slurm": name == "sbatch"}
        (programs / name).write_text(text.format(**words))
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    yield tmp_path
    for line in (tmp_path / "sent").read_text().split() if (tmp_path / "sent").exists() else []:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(int(line), signal.SIGKILL)


def write(path, text):
    path.write_text(textwrap.dedent(text))
    return path


@pytest.mark.parametrize("kind", ["slurm", *(["pbs"] if faulty_runs.NIGHTLY else [])])
def test_jobs_compute_and_are_cancelled_at_the_end(kind, queue, inputs, monkeypatch, tmp_path_factory):
    pytest.importorskip("dask_jobqueue")
    import mapping_node

    monkeypatch.setattr(job.Job, "block_pixels", lambda self: 4096)
    stack, model = inputs["classify"]["stack"], inputs["classify"]["model"]
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
            classify(stack, model, maps[1], device="cpu", elsewhere=cluster)
    assert np.array_equal(*(gdal.Open(str(path)).ReadAsArray() for path in maps))
    sent = (queue / "sent").read_text().split()
    assert sent and set(sent) == set((queue / "cancelled").read_text().split())


GOOD = "jobs: 2\npython: /env/bin/python\ncores: 4\nmemory: 8GB\n"


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
