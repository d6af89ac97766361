"""Protects the window: heavy work runs in Processing's background task, the event loop keeps turning, cancel is quick.

The tests use the task that the Processing dialog itself starts (QgsProcessingAlgRunnerTask).
"""

from __future__ import annotations

import time

import pytest
from qgis.core import (
    QgsApplication,
    QgsProcessingAlgorithm,
    QgsProcessingAlgRunnerTask,
    QgsProcessingContext,
    QgsProcessingFeedback,
    QgsProject,
)
from qgis.PyQt.QtCore import QCoreApplication, QTimer


class Background:
    """An algorithm in the background, with a timer of the main thread that notes how late it is called."""

    def __init__(self, algorithm: str, parameters: dict) -> None:
        self.context = QgsProcessingContext()
        self.context.setProject(QgsProject.instance())
        self.feedback = QgsProcessingFeedback()
        found = QgsApplication.processingRegistry().algorithmById(algorithm)
        self.task = QgsProcessingAlgRunnerTask(found, parameters, self.context, self.feedback)
        self.finished: list[tuple[bool, dict]] = []
        self.task.executed.connect(lambda ok, results: self.finished.append((ok, results)))
        self.gaps: list[float] = []
        self._last = time.monotonic()
        self._timer = QTimer()
        self._timer.timeout.connect(self._tick)
        self._timer.start(10)
        QgsApplication.taskManager().addTask(self.task)

    def _tick(self) -> None:
        now = time.monotonic()
        self.gaps.append(now - self._last)
        self._last = now

    def wait(self, seconds: float, until=lambda: False) -> bool:
        """Turn the event loop until the task has ended or the condition holds."""
        end = time.monotonic() + seconds
        while time.monotonic() < end and not self.finished and not until():
            QCoreApplication.processEvents()
            time.sleep(0.002)
        return bool(self.finished)


@pytest.fixture(scope="module")
def prepared(landloom_provider, small_scene, tmp_path_factory):
    """Stack and samples of the small scene."""
    import processing

    folder = tmp_path_factory.mktemp("prepared")
    stack = processing.run("landloom:preparestack", {"INPUT": str(small_scene), "OUTPUT": str(folder / "stack.json")})
    samples = processing.run(
        "landloom:extractsamples",
        {
            "STACK": stack["OUTPUT"],
            "REFERENCE": str(small_scene / "reference.gpkg"),
            "CLASS_FIELD": "class",
            "OUTPUT": str(folder / "samples"),
        },
    )
    return folder, stack["OUTPUT"], samples["OUTPUT"]


def test_every_algorithm_may_run_in_the_background(landloom_provider):
    """Each is created anew and none is bound to the main thread, but the one that draws a page of QGIS's layouts."""
    no_threading = QgsProcessingAlgorithm.Flag.FlagNoThreading
    for algorithm in landloom_provider.algorithms():
        assert bool(algorithm.flags() & no_threading) == (algorithm.name() == "layout"), algorithm.name()
        assert algorithm.create().name() == algorithm.name()


def test_training_leaves_the_window_alive_and_cancels_within_two_seconds(prepared, tmp_path):
    _, _, samples = prepared
    pytest.importorskip("torch", reason="networks need torch")
    output = tmp_path / "model.safetensors"
    run = Background("landloom:train", {"SAMPLES": [samples], "NETWORK": "ltae", "EPOCHS": 500, "OUTPUT": str(output)})
    log = output.with_name(output.name + ".checkpoint")
    started = run.wait(120, until=lambda: log.exists() and any(log.iterdir()))
    assert not started, f"training ended before it could be cancelled: {run.feedback.textLog()}"
    run.gaps.clear()
    run.wait(3)
    assert len(run.gaps) > 20
    assert sorted(run.gaps)[int(0.95 * len(run.gaps))] < 0.5, max(run.gaps)
    begin = time.monotonic()
    run.task.cancel()
    assert run.wait(10), "cancel was not heard"
    assert time.monotonic() - begin < 2.5
    assert run.finished[0][0] is False
    assert not list(tmp_path.iterdir()), "cancel left something"


def test_classification_cancels_within_two_seconds_and_leaves_nothing(prepared, tmp_path):
    import processing

    _, stack, samples = prepared
    model = tmp_path / "model.safetensors"
    processing.run("landloom:train", {"SAMPLES": [samples], "NETWORK": "randomforest", "OUTPUT": str(model)})
    before = sorted(p.name for p in tmp_path.iterdir())
    run = Background("landloom:classify", {"STACK": stack, "MODEL": str(model), "OUTPUT": str(tmp_path / "map.tif")})
    run.wait(30, until=lambda: (tmp_path / "map.tif.parts").exists())
    begin = time.monotonic()
    run.task.cancel()
    assert run.wait(10)
    assert time.monotonic() - begin < 2.5
    if not run.finished[0][0]:  # it may have finished first on a fast machine
        assert sorted(p.name for p in tmp_path.iterdir()) == before


def test_results_arrive_styled(prepared, tmp_path):
    """The map that the task hands to the project has the classes of the nomenclature as its legend."""
    import processing
    from qgis.core import QgsPalettedRasterRenderer, QgsRasterLayer

    _, stack, samples = prepared
    model, output = tmp_path / "model.safetensors", tmp_path / "carte d'été.tif"
    processing.run("landloom:train", {"SAMPLES": [samples], "NETWORK": "randomforest", "OUTPUT": str(model)})
    run = Background("landloom:classify", {"STACK": stack, "MODEL": str(model), "OUTPUT": str(output)})
    assert run.wait(120)
    assert run.finished[0][0], run.feedback.textLog()
    layer = QgsRasterLayer(str(output), "map")
    assert isinstance(layer.renderer(), QgsPalettedRasterRenderer)
    labels = [one.label for one in layer.renderer().classes()]
    assert "maize" in labels and "" not in labels and all(one.value > 0 for one in layer.renderer().classes())
