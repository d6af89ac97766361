"""The queue runs one job at a time in the background, keeps it in the project, offers it again, and stops when asked.

With PyTorch loaded, a training in the background never stalls the window for over 200 ms.
"""

from __future__ import annotations

import time

import pytest
from landloom.gui.jobs import JobQueue, commands, make_way
from landloom.gui.plan import CANCELLED, DONE, FAILED, HELD, RUNNING, WAITING, Job
from qgis.core import QgsApplication, QgsProject, QgsRasterLayer
from qgis.PyQt.QtCore import QCoreApplication, QTimer


def wait(until, seconds=60.0):
    """Turn the event loop until a condition holds."""
    end = time.monotonic() + seconds
    while time.monotonic() < end and not until():
        QCoreApplication.processEvents()
        time.sleep(0.002)
    return until()


def idle(queue):
    return not any(job.state in (WAITING, RUNNING) for job in queue.jobs) and queue.running is None


@pytest.fixture
def queue(landloom_provider):
    project = QgsProject.instance()
    project.clear()
    made = JobQueue()
    yield made
    made.stop()
    project.clear()
    made.deleteLater()


@pytest.fixture(scope="module")
def stack(tmp_path_factory, make_stack):
    import numpy as np

    folder = tmp_path_factory.mktemp("jobs")
    values = np.random.default_rng(0).integers(0, 5000, (4, 2, 64, 64)).astype(np.int16)
    dates = ["2021-01-10", "2021-01-20", "2021-02-10", "2021-03-10"]
    return str(make_stack(folder, {"S2": {"values": values, "bands": ["B4", "B8"], "dates": dates}}))


def job(stack, output, title="Composite", **parameters):
    inputs = {"STACK": stack, "SENSOR": "S2", "PERIOD": "month", "OUTPUT": str(output), **parameters}
    return Job("composite", inputs, title)


def test_one_after_the_other(queue, stack, tmp_path):
    ended = []
    queue.ended.connect(lambda one, _results: ended.append(one.title))
    queue.add([job(stack, tmp_path / "new" / "a", "first"), job(stack, tmp_path / "b", "second")])
    queue.add([job(stack, tmp_path / "c", "third")])
    assert [one.state for one in queue.jobs] == [RUNNING, WAITING, WAITING]
    assert wait(lambda: idle(queue))
    assert [one.state for one in queue.jobs] == [DONE] * 3
    assert ended == ["first", "second", "third"]
    assert (tmp_path / "new" / "a").is_dir() and (tmp_path / "c").is_dir()


def test_what_stands_behind_a_failure_is_held_and_runs_again(queue, stack, tmp_path):
    queue.add([job(str(tmp_path / "stack.json"), tmp_path / "a"), job(stack, tmp_path / "b")])
    queue.add([job(stack, tmp_path / "c")])
    assert wait(lambda: idle(queue))
    assert [one.state for one in queue.jobs] == [FAILED, HELD, DONE]
    assert "stack.json" in queue.jobs[0].message
    queue.jobs[0].parameters["STACK"] = stack
    queue.retry(queue.jobs[0])
    assert wait(lambda: idle(queue))
    assert [one.state for one in queue.jobs] == [DONE, DONE, DONE]


def test_the_project_keeps_what_is_not_done_and_offers_it(queue, stack, tmp_path):
    project = QgsProject.instance()
    queue.add([job(stack, tmp_path / "a", "premier")])
    queue.add([job(str(tmp_path / "none.json"), tmp_path / "b"), job(stack, tmp_path / "c", "été")])
    assert wait(lambda: idle(queue))
    path = str(tmp_path / "project.qgz")
    assert project.write(path)
    project.clear()
    assert queue.jobs == [] and queue.held == []
    assert project.read(path)
    assert [(one.title, one.state) for one in queue.jobs] == [("été", HELD)]
    wait(lambda: False, 0.3)
    assert not (tmp_path / "c").exists(), "nothing starts by itself"
    queue.resume()
    assert wait(lambda: idle(queue))
    assert (tmp_path / "c").is_dir()
    assert project.readEntry("Landloom", "/jobs", "")[0] == ""


def test_discarding_leaves_nothing_in_the_project(queue, stack, tmp_path):
    queue.add([job(str(tmp_path / "none.json"), tmp_path / "b"), job(stack, tmp_path / "c")])
    assert wait(lambda: idle(queue))
    queue.discard()
    assert queue.held == [] and QgsProject.instance().readEntry("Landloom", "/jobs", "")[0] == ""


def test_an_algorithm_that_is_not_there(queue):
    queue.add([Job("nothing", {}, "x")])
    assert wait(lambda: idle(queue))
    assert queue.jobs[0].state == FAILED and "nothing" in queue.jobs[0].message


def test_files_about_to_be_replaced_are_no_longer_shown(queue, stack, tmp_path):
    import numpy as np
    from landloom.model.base.raster import spatial_reference, write_raster

    crs = spatial_reference("EPSG:32738").ExportToWkt()
    layers = {}
    for name in ("map", "other"):
        write_raster(tmp_path / f"{name}.tif", np.ones((1, 4, 4), np.uint8), (0, 1, 0, 0, 0, -1), crs)
        layer = QgsProject.instance().addMapLayer(QgsRasterLayer(str(tmp_path / f"{name}.tif"), name))
        layers[name] = layer.id()
    algorithm = QgsApplication.processingRegistry().algorithmById("landloom:classify")
    classify = Job("classify", {"OUTPUT": str(tmp_path / "map.tif")}, "x")
    make_way(classify, algorithm, QgsProject.instance())
    assert list(QgsProject.instance().mapLayers()) == [layers["other"]]


def test_commands_repeat_the_job(landloom_provider, stack, tmp_path):
    line, python = commands(job(stack, tmp_path / "a b"))
    assert line.startswith("qgis_process run landloom:composite") and "--SENSOR=S2" in line and "a b" in line
    assert python.startswith('processing.run("landloom:composite"') and "'SENSOR':'S2'" in python.replace(" ", "")
    assert commands(Job("nothing", {}, "x")) == ("", "")


@pytest.fixture(scope="module")
def samples(landloom_provider, small_scene, tmp_path_factory):
    import processing

    folder = tmp_path_factory.mktemp("job samples")
    made = processing.run("landloom:preparestack", {"INPUT": str(small_scene), "OUTPUT": str(folder / "stack.json")})
    inputs = {
        "STACK": made["OUTPUT"],
        "REFERENCE": str(small_scene / "reference.gpkg"),
        "CLASS_FIELD": "class",
        "OUTPUT": str(folder / "samples"),
    }
    return processing.run("landloom:extractsamples", inputs)["OUTPUT"]


def test_a_training_never_stalls_the_window_and_cancel_holds_the_rest(queue, samples, tmp_path):
    pytest.importorskip("torch", reason="networks need torch")  # loaded before the measurement begins
    gaps, last, timer = [], [time.monotonic()], QTimer()

    def tick():
        now = time.monotonic()
        gaps.append(now - last[0])
        last[0] = now

    timer.timeout.connect(tick)
    timer.start(10)
    output = tmp_path / "model.safetensors"
    train = {"SAMPLES": [samples], "NETWORK": "ltae", "EPOCHS": 500, "OUTPUT": str(output)}
    queue.add([Job("train", train, "Train"), Job("classify", {"MODEL": str(output)}, "Map")])
    log = output.with_name(output.name + ".checkpoint")
    assert wait(lambda: queue.running is None or (log.exists() and any(log.iterdir())), 120)
    assert queue.running is not None, queue.jobs[0].message
    gaps.clear()
    last[0] = time.monotonic()
    wait(lambda: False, 4)
    timer.stop()
    # One gap is forgiven: a busy machine may not give the process its processor for a while.
    assert len(gaps) > 40
    assert sorted(gaps)[-2] < 0.2, sorted(gaps)[-5:]
    begin = time.monotonic()
    queue.cancel()
    assert wait(lambda: idle(queue), 10)
    assert time.monotonic() - begin < 2.5
    assert [one.state for one in queue.jobs] == [CANCELLED, HELD]
