"""The queue of the panel: one job at a time in the background, kept in the QGIS project and offered again."""

from __future__ import annotations

import time
import uuid
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from qgis.core import (
    QgsApplication,
    QgsMapLayer,
    QgsProcessingAlgorithm,
    QgsProcessingAlgRunnerTask,
    QgsProcessingContext,
    QgsProcessingFeedback,
    QgsProcessingOutputLayerDefinition,
    QgsProject,
)
from qgis.PyQt.QtCore import QObject, QTimer, pyqtSignal

from ..model.base.language import tr
from .plan import CANCELLED, DONE, FAILED, HELD, PROVIDER, RUNNING, WAITING, Job, jobs_from_text, jobs_to_text
from .timeleft import TimeLeft

_SCOPE, _KEY = "Landloom", "/jobs"
_INTERVAL = 400  # milliseconds between two looks at the job that runs
_MOST_LINES = 5000
_MOST_ENDED = 30


class JobFeedback(QgsProcessingFeedback):
    """Gathers what a job says; the window looks at it now and then, so that a chatty job never floods it."""

    def __init__(self) -> None:
        super().__init__(False)
        self.lines: deque[tuple[str, str]] = deque(maxlen=_MOST_LINES)  # thread-safe: append and popleft only
        self.last_error = ""
        self.text = ""

    def pushInfo(self, info: str) -> None:  # noqa: N802
        self.lines.append(("info", info))

    def pushWarning(self, warning: str) -> None:  # noqa: N802
        self.lines.append(("warning", warning))

    def pushCommandInfo(self, info: str) -> None:  # noqa: N802
        self.lines.append(("info", info))

    def pushConsoleInfo(self, info: str) -> None:  # noqa: N802
        self.lines.append(("info", info))

    def pushDebugInfo(self, info: str) -> None:  # noqa: N802
        self.lines.append(("info", info))

    def pushFormattedMessage(self, html: str, text: str) -> None:  # noqa: N802
        self.lines.append(("info", text))

    def setProgressText(self, text: str) -> None:  # noqa: N802
        self.text = text
        self.lines.append(("info", text))

    def reportError(self, error: str, fatalError: bool = False) -> None:  # noqa: N802, N803
        self.last_error = error.strip()
        self.lines.append(("error", error))


class _Run:
    """What belongs to the job that runs; kept until the task has ended."""

    def __init__(self, job: Job, algorithm: QgsProcessingAlgorithm, project: QgsProject) -> None:
        self.job, self.algorithm = job, algorithm
        self.feedback = JobFeedback()
        self.context = QgsProcessingContext()
        self.context.setProject(project)
        self.context.setFeedback(self.feedback)
        self.parameters = job_parameters(job, algorithm, project)
        self.start = time.monotonic()
        self.left = TimeLeft(self.start)
        self.cancelled = False
        self.task: QgsProcessingAlgRunnerTask | None = None


def find_algorithm(name: str) -> QgsProcessingAlgorithm | None:
    """An algorithm of Landloom."""
    return QgsApplication.processingRegistry().algorithmById(f"{PROVIDER}:{name}")


def job_parameters(job: Job, algorithm: QgsProcessingAlgorithm, project: QgsProject) -> dict[str, Any]:
    """The parameters as the task takes them: layers that are to be loaded are asked for by name."""
    made = dict(job.parameters)
    for name, title in job.layers.items():
        if made.get(name):
            definition = QgsProcessingOutputLayerDefinition(made[name], project)
            definition.destinationName = title
            made[name] = definition
    return made


def commands(job: Job) -> tuple[str, str]:
    """The same run as a line for a shell and as Python; empty where the algorithm is not there."""
    algorithm = find_algorithm(job.algorithm)
    if algorithm is None:
        return "", ""
    context = QgsProcessingContext()
    line, _good = algorithm.asQgisProcessCommand(job.parameters, context)
    return line, algorithm.asPythonCommand(job.parameters, context)


class JobQueue(QObject):
    """Runs jobs one after the other. Lives as long as the plugin, whether its panel is shown or not.

    Args:
        parent: the owner.
        project: the QGIS project that keeps the queue; that of the window by default.
    """

    changed = pyqtSignal()  # the list of jobs
    progressed = pyqtSignal(float, object)  # percent, seconds left or None
    logged = pyqtSignal(str, str)  # kind, text
    ended = pyqtSignal(object, object)  # Job, results

    def __init__(self, parent: QObject | None = None, project: QgsProject | None = None) -> None:
        super().__init__(parent)
        self._project = project or QgsProject.instance()
        self.jobs: list[Job] = []
        self._run: _Run | None = None
        self._timer = QTimer(self)
        self._timer.setInterval(_INTERVAL)
        self._timer.timeout.connect(self._look)
        self._project.readProject.connect(self._read)
        self._project.cleared.connect(self._forget)
        self._read()

    # ------------------------------------------------------------------ what is asked

    @property
    def running(self) -> Job | None:
        """The job at work."""
        return self._run.job if self._run else None

    @property
    def held(self) -> list[Job]:
        """Jobs of an earlier session, or behind one that failed."""
        return [job for job in self.jobs if job.state == HELD]

    @property
    def status(self) -> str:
        """What the job at work says it is doing."""
        return self._run.feedback.text if self._run else ""

    def add(self, jobs: Sequence[Job]) -> None:
        """Put jobs that belong together at the end, and start where nothing runs."""
        batch = uuid.uuid4().hex
        for job in jobs:
            job.batch = batch
            self.jobs.append(job)
        self._tell()
        self._next()

    def resume(self) -> None:
        """Run what was held."""
        for job in self.held:
            job.state, job.message = WAITING, ""
        self._tell()
        self._next()

    def discard(self, job: Job | None = None) -> None:
        """Drop a job that waits or is held; without one, all that are held."""
        dropped = self.held if job is None else [job] if job.state in (WAITING, HELD) else []
        self.jobs = [one for one in self.jobs if one not in dropped]
        self._tell()

    def retry(self, job: Job) -> None:
        """Run a job again that failed or was cancelled, and what was held behind it."""
        if job.state not in (FAILED, CANCELLED):
            return
        job.state, job.message = WAITING, ""
        for one in self.jobs:
            if one.batch == job.batch and one.state == HELD:
                one.state = WAITING
        self._tell()
        self._next()

    def cancel(self) -> None:
        """Stop the job at work; those of its batch are held."""
        if self._run:
            self._run.cancelled = True
            self._run.feedback.cancel()
            if self._run.task is not None:
                self._run.task.cancel()

    def stop(self) -> None:
        """End: for unloading the plugin. Waits for the job, which hears a cancel within two seconds."""
        self._project.readProject.disconnect(self._read)
        self._project.cleared.disconnect(self._forget)
        run = self._run
        self.cancel()
        end = time.monotonic() + 10
        while self._run is run and run is not None and time.monotonic() < end:
            QgsApplication.processEvents()
            time.sleep(0.01)
        self._timer.stop()

    # ------------------------------------------------------------------ the run

    def _next(self) -> None:
        if self._run is not None:
            return
        job = next((one for one in self.jobs if one.state == WAITING), None)
        if job is None:
            return
        algorithm = find_algorithm(job.algorithm)
        if algorithm is None:
            self._finish(job, FAILED, tr("The algorithm {name} is not there.").format(name=job.algorithm))
            return
        job.state, job.message = RUNNING, ""
        run = _Run(job, algorithm, self._project)
        good, message = algorithm.checkParameterValues(run.parameters, run.context)
        if not good:
            self._finish(job, FAILED, message)
            return
        try:
            make_way(job, algorithm, self._project)
        except OSError as error:
            self._finish(job, FAILED, str(error))
            return
        self._run = run
        self._tell()
        self.logged.emit("title", job.title)
        self.progressed.emit(0.0, None)
        self._timer.start()
        if algorithm.flags() & QgsProcessingAlgorithm.Flag.FlagNoThreading:
            # A page of QGIS's layouts can be drawn by the main thread alone; the window is painted once before.
            QTimer.singleShot(50, self._run_here)
            return
        run.task = QgsProcessingAlgRunnerTask(algorithm, run.parameters, run.context, run.feedback)
        run.task.executed.connect(self._executed)
        QgsApplication.taskManager().addTask(run.task)

    def _run_here(self) -> None:
        run = self._run
        if run is None or run.task is not None:
            return
        results, good = run.algorithm.create().run(run.parameters, run.context, run.feedback)
        self._executed(good, results)

    def _executed(self, successful: bool, results: dict[str, Any]) -> None:
        run = self._run
        if run is None:
            return
        self._look()
        self._timer.stop()
        run.job.seconds = time.monotonic() - run.start
        if successful:
            self._load(run)
            self._run = None
            self._finish(run.job, DONE, "", results)
        else:
            self._run = None
            stopped = run.cancelled or run.feedback.isCanceled()
            self._finish(run.job, CANCELLED if stopped else FAILED, "" if stopped else run.feedback.last_error)

    def _finish(self, job: Job, state: str, message: str, results: dict[str, Any] | None = None) -> None:
        job.state, job.message = state, message
        if state != DONE:
            for one in self.jobs:
                if one.batch == job.batch and one.state == WAITING:
                    one.state = HELD
        over = [one for one in self.jobs if not one.open]
        for one in over[:-_MOST_ENDED]:
            self.jobs.remove(one)
        self._tell()
        self.ended.emit(job, results or {})
        # Not from within the signal of a task that has just ended.
        QTimer.singleShot(0, self._next)

    def _load(self, run: _Run) -> None:
        from processing.gui.Postprocessing import handleAlgorithmResults

        handleAlgorithmResults(run.algorithm, run.context, run.feedback, run.parameters)
        root = self._project.layerTreeRoot()
        for name in reversed(run.job.layers):
            path = run.job.parameters.get(name, "")
            layer = next((one for one in self._project.mapLayers().values() if shows(one, path)), None)
            node = root.findLayer(layer.id()) if layer is not None else None
            if layer is None or node is None:
                continue
            style = Path(path).with_suffix(".qml")
            if style.exists():
                layer.loadNamedStyle(str(style))
            copy = node.clone()
            copy.setItemVisibilityChecked(name == next(iter(run.job.layers)))
            copy.setExpanded(node.isExpanded())
            home = node.parent()  # the group of the run, where it has several layers
            home.insertChildNode(0, copy)
            home.removeChildNode(node)

    def _look(self) -> None:
        run = self._run
        if run is None:
            return
        while run.feedback.lines:
            self.logged.emit(*run.feedback.lines.popleft())
        percent = run.feedback.progress()
        self.progressed.emit(percent, run.left.seconds(percent, time.monotonic()))

    # ------------------------------------------------------------------ the QGIS project

    def _tell(self) -> None:
        still = [job for job in self.jobs if job.open]
        text = jobs_to_text(still) if still else ""
        if text != self._project.readEntry(_SCOPE, _KEY, "")[0]:
            if text:
                self._project.writeEntry(_SCOPE, _KEY, text)
            else:
                self._project.removeEntry(_SCOPE, _KEY)
        self.changed.emit()

    def _read(self, *_document: object) -> None:
        """Take over the jobs of a project that was opened; they are offered, not started."""
        there = [job for job in self.jobs if job is self.running]
        self.jobs = [*there, *jobs_from_text(self._project.readEntry(_SCOPE, _KEY, "")[0])]
        self.changed.emit()

    def _forget(self) -> None:
        """A new project has no jobs of the last one; the job at work goes on."""
        self.jobs = [job for job in self.jobs if job is self.running]
        self.changed.emit()


def shows(layer: QgsMapLayer, path: str) -> bool:
    """Whether a layer shows a file."""
    return bool(path) and Path(layer.source().split("|")[0]) == Path(path)


def make_way(job: Job, algorithm: QgsProcessingAlgorithm, project: QgsProject) -> None:
    """Make the folders of the outputs, and take layers off the project that show files about to be replaced."""
    targets = []
    for definition in algorithm.parameterDefinitions():
        value = job.parameters.get(definition.name())
        if definition.isDestination() and isinstance(value, str) and value:
            Path(value).parent.mkdir(parents=True, exist_ok=True)
            targets.append(value)
    shown = [one.id() for one in project.mapLayers().values() if any(shows(one, target) for target in targets)]
    if shown:
        project.removeMapLayers(shown)
