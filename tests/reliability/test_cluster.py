"""A run on other processes: the same pixels, a worker lost, cancelled, killed, gone on with; refusals in a sentence.

The workers are processes of their own on this machine, started as a user starts them; no real cluster is at hand.
"""

from __future__ import annotations

import contextlib
import copy
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import faulty_runs
import numpy as np
import pytest
from landloom.model.base.errors import Cancelled, LandloomError
from landloom.model.base.progress import Progress
from landloom.model.mapping import cluster as names
from landloom.model.mapping import daskcluster, job
from landloom.model.mapping.classify import classify
from landloom.model.mapping.daskcluster import DaskCluster
from landloom.model.mapping.descriptors import map_descriptors
from landloom.model.mapping.regionblend import RegionChoice
from landloom.model.networks.axes import fit_axes
from landloom.model.networks.modelfile import Model
from landloom.model.networks.predictor import Predictor
from landloom.model.samples.extraction import extract_samples
from landloom.model.samples.settings import ExtractionSettings
from landloom.model.stack.grid import Window
from landloom.model.stack.reader import StackReader
from osgeo import gdal

CONSOLE = "import sys; from landloom.model.mapping.console import main; sys.exit(main())"


class Told(Progress):
    """Keeps what it is told, and stops when ``stop`` says so."""

    def __init__(self, stop=lambda: False):
        self.lines, self.percents, self._stop = [], [], stop

    def info(self, message):
        self.lines.append(message)

    def warning(self, message):
        self.lines.append(message)

    def text(self, message):
        self.lines.append(message)

    def percent(self, value):
        self.percents.append(value)

    def is_cancelled(self):
        return self._stop()


def start(command, environment, **more):
    return subprocess.Popen(command, env=environment, start_new_session=True, stderr=subprocess.DEVNULL, **more)


def end(*processes):
    """Kill them with all that they started."""
    for one in processes:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(one.pid, signal.SIGKILL)
        one.wait(20)


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """That of a cluster node."""
    import mapping_node

    with mapping_node.installed(tmp_path_factory.mktemp("node")) as environment:
        yield environment


@pytest.fixture(scope="module")
def scheduler(environment, tmp_path_factory):
    """The address of a scheduler."""
    pytest.importorskip("distributed")
    file = tmp_path_factory.mktemp("scheduler") / "scheduler.json"
    command = [sys.executable, "-m", "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", "0"]
    process = start([*command, "--no-dashboard", "--scheduler-file", str(file)], environment)
    deadline = time.monotonic() + 60
    while not file.exists() or not file.read_text():
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    yield json.loads(file.read_text())["address"]
    end(process)


@pytest.fixture(scope="module")
def new_worker(scheduler, environment):
    """Starts a worker of that scheduler; all end with the module."""
    started = []

    def make(**changes):
        command = [sys.executable, "-c", CONSOLE, "worker", scheduler, "--gpus", "none"]
        started.append(start(command, {**environment, **changes}))
        return started[-1]

    yield make
    end(*started)


@pytest.fixture(scope="module")
def workers(new_worker):
    return [new_worker(), new_worker()]


@pytest.fixture
def small_blocks(monkeypatch):
    """Blocks of one chunk."""
    monkeypatch.setattr(job.Job, "block_pixels", lambda self: 4096)


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    """A stack, a forest and a network of it."""
    pytest.importorskip("torch")
    import mapping_scene

    folder = tmp_path_factory.mktemp("grappe é")
    stack = mapping_scene.make_stack(folder)
    models = {name: mapping_scene.make_model(stack, name, folder / f"{name}.safetensors") for name in NETWORKS}
    model = Model.load(models["ltae"])
    with Predictor(model, threads=1) as predictor, StackReader(stack) as reader:
        predictor.check_fits(reader.specs)
        found = predictor.describe(reader.read(Window(30, 30, 40, 40)), ["S2"]).descriptors["S2"][0]
    model.axes = {"S2": fit_axes([found.reshape(len(found), -1).T])}
    model.save(models["ltae"])
    return stack, models


NETWORKS = ("randomforest", "ltae")


def maps(stack, model, folder, **more):
    paths = [folder / name for name in ("map.tif", "confidence.tif", "probabilities.tif")]
    folder.mkdir(parents=True, exist_ok=True)
    made = classify(stack, model, *paths, device="cpu", **more)
    return [gdal.Open(str(path)).ReadAsArray() for path in paths], made


def equal(left, right):
    pairs = zip(left, right, strict=True)
    return all(a.shape == b.shape and np.array_equal(a, b, equal_nan=a.dtype.kind == "f") for a, b in pairs)


def parts(output):
    """The parts that a run has finished so far."""
    return list(Path(f"{output}.parts").glob("*[0-9].npz"))


@pytest.mark.parametrize("network", NETWORKS)
def test_pixels_are_those_of_this_machine(network, scene, scheduler, workers, small_blocks, tmp_path):
    """Of a part of the stack inside polygons, whose mask the workers get as a raster."""
    import samples_scene

    stack, models = scene
    grid = StackReader(stack).stack.grid
    x0, y0 = grid.transform[0], grid.transform[3]
    ring = [(x0 + 110, y0 - 90), (x0 + 1300, y0 - 200), (x0 + 900, y0 - 1200), (x0 + 50, y0 - 800)]
    wkt = "POLYGON((" + ", ".join(f"{x} {y}" for x, y in [*ring, ring[0]]) + "))"
    mask = samples_scene.write_layer(tmp_path / "mask.gpkg", [(wkt, {})]) if network == "ltae" else None
    where = {
        "bounds": (x0 + 55, y0 - 1255, x0 + 1444, y0 - 33),
        "mask": f"{mask}|layername=reference" if mask else None,
    }
    here, ours = maps(stack, models[network], tmp_path / "here", threads=1, **where)
    told = Told()
    with DaskCluster(scheduler, "", told) as cluster:
        there, theirs = maps(stack, models[network], tmp_path / "there", elsewhere=cluster, progress=told, **where)
    assert equal(here, there)
    assert ours.outside == theirs.outside  # counted by the workers
    assert ours.summary.pixels == theirs.summary.pixels and theirs.summary.blocks > 3
    assert [line for line in told.lines if line.startswith("Computing on")]
    assert told.percents == sorted(told.percents) and told.percents[-1] == 100
    assert not faulty_runs.left_over(tmp_path / "there")


@pytest.mark.parametrize("network", ["randomforest", "ltae"])
def test_models_of_regions_by_another_name_of_their_folders(network, scene, scheduler, workers, small_blocks, tmp_path):
    """PATH_MAP renames the layer too; one that is another on the workers is refused."""
    import mapping_scene

    stack, models = scene
    folder = tmp_path / "modèles"
    other = mapping_scene.make_model(stack, network, tmp_path / "east.safetensors", seed=7)
    own = {"west": models[network], "east": other}
    model, layer = mapping_scene.make_regional(folder, models[network], own)
    (tmp_path / "mount").symlink_to(folder)
    regions = RegionChoice(f"{layer}|layername=regions", "eco", 200)
    here, _ = maps(stack, model, tmp_path / "here", threads=1, regions=regions)
    alone, _ = maps(stack, models[network], tmp_path / "alone", threads=1)
    assert not equal(here, alone)
    with DaskCluster(scheduler, f"{folder}={tmp_path}/mount", Progress()) as cluster:
        assert cluster.path(str(layer)) == f"{tmp_path}/mount/{layer.name}"
        there, made = maps(stack, model, tmp_path / "there", elsewhere=cluster, regions=regions)
    assert equal(here, there) and made.summary.blocks > 3
    shutil.copytree(folder, tmp_path / "stale")
    (tmp_path / "stale" / layer.name).unlink()
    _, moved = mapping_scene.make_regional(tmp_path / "moved", models[network], {**own, "more": other})
    shutil.copy(moved, tmp_path / "stale" / layer.name)
    with (
        pytest.raises(LandloomError, match=r"On .*stale.* is not what it was when the run began"),
        DaskCluster(scheduler, f"{folder}={tmp_path}/stale", Progress()) as cluster,
    ):
        maps(stack, model, tmp_path / "out", elsewhere=cluster, regions=regions)
    assert not faulty_runs.left_over(tmp_path / "out")


def test_descriptors_by_another_name_of_the_folder(scene, scheduler, workers, small_blocks, tmp_path):
    """PATH_MAP: the workers know the folders by a link."""
    stack, models = scene
    model = models["ltae"]
    (tmp_path / "mount").symlink_to(stack.parents[1])
    (tmp_path / "out").mkdir()
    (tmp_path / "results").symlink_to(tmp_path / "out")
    path_map = f"{stack.parents[1]}={tmp_path}/mount ; {tmp_path}/out={tmp_path}/results/"
    here, there = tmp_path / "here.tif", tmp_path / "out" / "there.tif"
    map_descriptors(stack, model, here, branch="S2", dtype="int16", device="cpu", threads=2)
    with DaskCluster(scheduler, path_map, Progress()) as cluster:
        seen = cluster.path(str(stack)), cluster.path(f"{there}.parts")
        map_descriptors(stack, model, there, branch="S2", dtype="int16", device="cpu", elsewhere=cluster)
    assert seen[0].startswith(f"{tmp_path}/mount/") and seen[1] == f"{tmp_path}/results/there.tif.parts"
    assert equal(*([gdal.Open(str(path)).ReadAsArray()] for path in (here, there)))


def test_samples_are_those_of_this_machine(make_stack, scheduler, workers, tmp_path, monkeypatch):
    """Values, masks and tables byte for byte; a second run after one that was cut off goes on from its tiles."""
    import samples_scene
    from landloom.model.samples import extraction
    from landloom.model.samples.chips import reading_order

    monkeypatch.setattr(extraction, "reading_plan", lambda reader, plan, memory: reading_order(plan.windows, 16, 16))
    stack = make_stack(tmp_path / "fields", samples_scene.sensors())
    reference = samples_scene.write_layer(tmp_path / "reference.gpkg", samples_scene.fields())
    settings = ExtractionSettings("crop", max_per_group=30)
    extract_samples(stack, reference, settings, tmp_path / "here", Progress())
    folder = tmp_path / "there"

    def cut_off():
        if len(parts(folder)) >= 2:
            raise RuntimeError("the power is gone")
        return False

    with pytest.raises(RuntimeError, match="power"), DaskCluster(scheduler, "", Progress()) as cluster:
        extract_samples(stack, reference, settings, folder, Told(cut_off), cluster)
    assert not folder.exists()
    told = Told()
    with DaskCluster(scheduler, "", told) as cluster:
        extract_samples(stack, reference, settings, folder, told, cluster)
    assert [line for line in told.lines if line.startswith("Going on from")]
    assert faulty_runs.content("extractsamples", tmp_path / "here") == faulty_runs.content("extractsamples", folder)
    assert not faulty_runs.left_over(tmp_path)


def test_a_worker_killed_in_mid_run_costs_nothing_but_time(
    scene, scheduler, workers, new_worker, small_blocks, tmp_path
):
    stack, models = scene
    here, _ = maps(stack, models["ltae"], tmp_path / "here")
    output = tmp_path / "there" / "map.tif"
    killed = []

    def kill_one():
        if not killed and parts(output):
            killed.append(len(parts(output)))
            end(workers[0])
        return False

    with DaskCluster(scheduler, "", Progress()) as cluster:
        there, made = maps(stack, models["ltae"], tmp_path / "there", elsewhere=cluster, progress=Told(kill_one))
    assert killed and killed[0] < made.summary.blocks, "the worker was killed too late to tell anything"
    assert equal(here, there)
    workers[0] = new_worker()


def test_cancelling_leaves_nothing_and_stops_the_workers(scene, scheduler, workers, small_blocks, tmp_path):
    stack, models = scene
    output = tmp_path / "map.tif"
    with DaskCluster(scheduler, "", Progress()) as cluster:
        with pytest.raises(Cancelled):
            maps(stack, models["ltae"], tmp_path, elsewhere=cluster, progress=Told(lambda: bool(parts(output))))
        assert not list(tmp_path.iterdir())
        deadline = time.monotonic() + 30
        while any(cluster.client.processing().values()):
            assert time.monotonic() < deadline, "the workers go on"
            time.sleep(0.1)
    assert not list(tmp_path.iterdir())


def test_the_run_goes_on_after_its_own_process_was_killed(
    scene, scheduler, workers, environment, small_blocks, tmp_path
):
    """What the workers finish meanwhile counts too."""
    stack, models = scene
    here, _ = maps(stack, models["ltae"], tmp_path / "here")
    folder = tmp_path / "there"
    program = f"""
from landloom.model.base.progress import Progress
from landloom.model.mapping import job
from landloom.model.mapping.classify import classify
from landloom.model.mapping.daskcluster import DaskCluster
job.Job.block_pixels = lambda self: 4096
with DaskCluster({scheduler!r}, "", Progress()) as cluster:
    paths = [{str(folder)!r} + "/" + name for name in ("map.tif", "confidence.tif", "probabilities.tif")]
    classify({str(stack)!r}, {str(models["ltae"])!r}, *paths, device="cpu", elsewhere=cluster)
"""
    folder.mkdir()
    process = start([sys.executable, "-c", program], environment)
    while not parts(folder / "map.tif"):
        assert process.poll() is None, "it ended before it could be killed"
        time.sleep(0.02)
    end(process)
    told = Told()
    with DaskCluster(scheduler, "", told) as cluster:
        there, made = maps(stack, models["ltae"], folder, elsewhere=cluster, progress=told)
    assert [line for line in told.lines if line.startswith("Going on from")] and made.summary.resumed
    assert equal(here, there)


def test_what_fails_on_a_worker_is_told_with_its_machine_and_the_file(scene, scheduler, workers, tmp_path):
    """There, one image is missing."""
    stack, models = scene
    other = tmp_path / "other"
    shutil.copytree(stack.parents[1], other)
    lost = sorted(other.rglob("S2_*.tif"))[3]
    lost.unlink()
    with (
        pytest.raises(LandloomError) as caught,
        DaskCluster(scheduler, f"{stack.parents[1]}={other}", Progress()) as cluster,
    ):
        maps(stack, models["randomforest"], tmp_path / "out", elsewhere=cluster)
    text = str(caught.value)
    assert f"On {socket.gethostname()} (process" in text and str(lost) in text and "gone" in text and "PATH_MAP" in text
    assert type(caught.value) is LandloomError  # not one that would throw away what other workers have made
    assert cluster.client.status == "closed"


def test_a_folder_that_the_workers_do_not_see(scene, scheduler, workers, tmp_path):
    stack, models = scene
    with (
        pytest.raises(LandloomError, match=r"On .*/nowhere.*PATH_MAP"),
        DaskCluster(scheduler, f"{tmp_path}=/nowhere", Progress()) as cluster,
    ):
        maps(stack, models["randomforest"], tmp_path / "out", elsewhere=cluster)


@pytest.mark.parametrize("name, sentence", [("numpy", "pip install numpy==9.9"), ("Landloom's code", "another state")])
def test_other_versions_are_refused_before_any_work(name, sentence, scene, scheduler, workers, tmp_path, monkeypatch):
    stack, models = scene
    monkeypatch.setattr(daskcluster, "versions", lambda: {**names.versions(), name: "9.9"})
    with (
        pytest.raises(LandloomError, match=f"The worker tcp://.*{sentence}"),
        DaskCluster(scheduler, "", Progress()) as cluster,
    ):
        maps(stack, models["randomforest"], tmp_path, elsewhere=cluster)
    assert not list(tmp_path.iterdir())


def test_nobody_answers(scene, tmp_path, monkeypatch):
    stack, models = scene
    monkeypatch.setattr(daskcluster, "CONNECT", 1)
    with (
        pytest.raises(LandloomError, match=r"SCHEDULER tcp://127.0.0.1:9 does not answer"),
        DaskCluster("tcp://127.0.0.1:9", "", Progress()) as cluster,
    ):
        maps(stack, models["randomforest"], tmp_path, elsewhere=cluster)


def test_a_worker_that_hangs_is_named(scene, scheduler, workers, tmp_path, monkeypatch):
    stack, models = scene
    monkeypatch.setattr(daskcluster, "ALL", 4.0)
    with DaskCluster(scheduler, "", Progress()) as cluster:
        maps(stack, models["randomforest"], tmp_path / "before", elsewhere=cluster)  # all are there
        os.killpg(workers[1].pid, signal.SIGSTOP)
        try:
            with pytest.raises(
                LandloomError, match=r"Not all workers answer .* silent longest is tcp://.*start it again"
            ):
                maps(stack, models["randomforest"], tmp_path / "out", elsewhere=cluster)
        finally:
            os.killpg(workers[1].pid, signal.SIGCONT)
    assert not list((tmp_path / "out").iterdir())


def nothing_open():
    """Whether a worker has closed stack and model after a run."""
    from landloom.model.mapping import blockwork

    return blockwork._OPEN._session is None


nothing_open.__module__ = "__main__"  # travels by value


def test_this_process_keeps_its_settings(scene, scheduler, workers, small_blocks, tmp_path):
    """Neither torch nor Dask is set otherwise, and there is no default client that another plugin might use."""
    import dask
    import distributed
    import torch

    stack, models = scene
    before = copy.deepcopy(dask.config.config), torch.get_num_threads(), dict(os.environ)
    with DaskCluster(scheduler, "", Progress()) as cluster:
        maps(stack, models["randomforest"], tmp_path, elsewhere=cluster)
        client = cluster.client
        with pytest.raises(ValueError):
            distributed.default_client()
        assert set(client.run(nothing_open).values()) == {True}
    assert (dask.config.config, torch.get_num_threads(), dict(os.environ)) == before
    assert client.status == "closed"
