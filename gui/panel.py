"""The panel "Landloom": a dock that leads through a project in nine steps."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

from qgis.core import QgsMapLayer, QgsProject, QgsSettings
from qgis.gui import QgsDockWidget, QgsMapCanvas
from qgis.PyQt.QtCore import Qt, QTimer
from qgis.PyQt.QtWidgets import (
    QFrame,
    QGridLayout,
    QLabel,
    QScrollArea,
    QStackedWidget,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from ..model.base.errors import LandloomError
from ..model.base.language import tr
from .jobbar import JobBar
from .jobs import JobQueue
from .pixeltool import PixelDock
from .plan import DONE, FAILED, Job, is_done
from .project import Project
from .steps.base import Plan, Step
from .steps.check import CheckStep
from .steps.confusions import ConfusionsStep
from .steps.images import ImagesStep
from .steps.models import MapStep, NetworkStep, PreviewStep, ShareStep
from .steps.project import ProjectStep
from .steps.reference import ReferenceStep

AREA = Qt.DockWidgetArea.RightDockWidgetArea
STEP_CLASSES: tuple[type[Step], ...] = (
    ProjectStep,
    ImagesStep,
    ReferenceStep,
    CheckStep,
    PreviewStep,
    NetworkStep,
    ConfusionsStep,
    MapStep,
    ShareStep,
)
_SCOPE, _KEY = "Landloom", "/folder"
_LAST = "landloom/folder"
_NARROWEST = 400  # pixels


class Panel(QgsDockWidget):
    """Nine steps, and the job at work beneath them. Hiding it changes nothing: jobs belong to the queue.

    Args:
        queue: runs the jobs; lives longer than the panel.
        canvas: the map canvas, None in tests without one.
        parent: the window of QGIS.
        pixel: gives the dock of pixel series.
    """

    def __init__(
        self,
        queue: JobQueue,
        canvas: QgsMapCanvas | None = None,
        parent: QWidget | None = None,
        pixel: Callable[[], PixelDock] | None = None,
    ) -> None:
        super().__init__("Landloom", parent)
        self.setObjectName("LandloomPanel")
        self.queue, self.canvas, self.pixel = queue, canvas, pixel
        self.project: Project | None = None
        self._buttons: list[QToolButton] = []
        grid = QGridLayout()
        grid.setSpacing(2)
        for index, kind in enumerate(STEP_CLASSES):
            button = QToolButton()
            button.setCheckable(True)
            button.setAutoExclusive(True)
            button.setAutoRaise(True)
            button.setMinimumWidth(90)
            button.setSizePolicy(button.sizePolicy().Policy.Expanding, button.sizePolicy().Policy.Fixed)
            button.setToolTip(kind.explanation())
            button.clicked.connect(lambda _checked, i=index: self.go(i))
            grid.addWidget(button, index // 3, index % 3)
            self._buttons.append(button)
        self._pages = QStackedWidget()
        self.message = QLabel()
        self.message.setWordWrap(True)
        self.message.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.message.hide()
        self.steps: list[Step] = [kind(self) for kind in STEP_CLASSES]
        for step in self.steps:
            scroll = QScrollArea()
            scroll.setFrameShape(QFrame.Shape.NoFrame)
            scroll.setWidgetResizable(True)
            scroll.setWidget(step)
            self._pages.addWidget(scroll)
        self.bar = JobBar(queue)
        layout = QVBoxLayout()
        layout.setContentsMargins(6, 6, 6, 6)
        layout.addLayout(grid)
        layout.addWidget(self.message)
        layout.addWidget(self._pages, 1)
        layout.addWidget(self.bar)
        whole = QWidget()
        whole.setLayout(layout)
        whole.setMinimumWidth(_NARROWEST)
        self.setWidget(whole)
        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.setInterval(200)
        self._soon.timeout.connect(self.refresh)
        queue.ended.connect(self._ended)
        QgsProject.instance().readProject.connect(self._project_read)
        self._project_read()
        self.go(self._first_open())

    # ------------------------------------------------------------------ the project

    def open(self, folder: str) -> None:
        """Work in a folder; a new one is made."""
        folder = folder.strip()
        if not folder or not os.path.isabs(folder):
            return
        try:
            project = Project.open(folder)
            project.save()
        except LandloomError as error:
            self.say(str(error), bad=True)
            return
        self.project = project
        self.say("")
        QgsProject.instance().writeEntry(_SCOPE, _KEY, str(project.folder))
        QgsSettings().setValue(_LAST, str(project.folder))
        self.refresh()

    def keep(self) -> None:
        """Write the choices, and show what follows from them."""
        if self.project is None:
            return
        try:
            self.project.save()
        except LandloomError as error:
            self.say(str(error), bad=True)
        self._soon.start()

    def refresh(self) -> None:
        """Bring the step that is seen, and the marks of all, up to date."""
        current = self._pages.currentIndex()
        for index, (button, step) in enumerate(zip(self._buttons, self.steps, strict=True)):
            done = self.project is not None and is_done(self.project, step.NAME)
            button.setText(f"{'✓' if done else index + 1}  {step.title()}")
            button.setEnabled(index == 0 or self.project is not None)
            button.setChecked(index == current)
        if current == 0 or self.project is not None:
            self.steps[current].load()

    def go(self, index: int) -> None:
        """Show a step."""
        self._pages.setCurrentIndex(index)
        self.refresh()

    # ------------------------------------------------------------------ for the steps

    def run(self, plan: Plan) -> None:
        """Put the jobs of a step into the queue, or say what is missing."""
        if self.project is None:
            return
        try:
            jobs = plan(self.project)
        except (LandloomError, OSError) as error:
            self.say(str(error), bad=True)
            return
        self.say("")
        self.queue.add(jobs)

    def say(self, text: str, bad: bool = False) -> None:
        """Show a sentence above the step; empty for none."""
        self.message.setText(text)
        self.message.setStyleSheet("color: #c0392b; font-weight: bold" if bad else "")
        self.message.setVisible(bool(text))

    def look_at_layer(self, layers: Sequence[QgsMapLayer]) -> None:
        """Go to layers where the map does not show them yet."""
        if self.canvas is None or not layers:
            return
        box = self.canvas.mapSettings().layerExtentToOutputExtent(layers[0], layers[0].extent())
        if not box.intersects(self.canvas.extent()):
            self.canvas.setExtent(box)
        self.canvas.refresh()

    # ------------------------------------------------------------------ inside

    def _first_open(self) -> int:
        project = self.project
        if project is None:
            return 0
        undone = (i for i, step in enumerate(self.steps) if not is_done(project, step.NAME))
        return next(undone, len(self.steps) - 1)

    def _project_read(self, *_document: object) -> None:
        folder = QgsProject.instance().readEntry(_SCOPE, _KEY, "")[0] or (
            "" if self.project else QgsSettings().value(_LAST, "")
        )
        if folder and os.path.isdir(folder) and (self.project is None or str(self.project.folder) != folder):
            self.open(folder)

    def _ended(self, job: Job, _results: dict[str, Any]) -> None:
        if job.state == FAILED:
            self.say(tr("{title} failed: {message}").format(title=job.title, message=job.message), bad=True)
        elif job.state == DONE:
            self.say("")
        self._soon.start()

    def set_pixel_sources(self) -> PixelDock | None:
        """Give the dock of pixel series the files of this project."""
        if self.pixel is None or self.project is None:
            return None
        dock = self.pixel()
        model = next((name for name in ("model", "forest") if self.project.has(name)), "")
        for name, path in (
            ("stack", self.project.path("stack")),
            ("model", self.project.path(model) if model else None),
            ("samples", self.project.path("samples")),
        ):
            there = path is not None and path.exists()
            dock.files[name].setFilePath(str(path) if there else "")
        return dock

    def remove(self) -> None:
        """Let go of everything."""
        self._soon.stop()
        QgsProject.instance().readProject.disconnect(self._project_read)
        self.queue.ended.disconnect(self._ended)
        self.bar.remove()
        for step in self.steps:
            stop = getattr(step, "stop", None)
            if stop is not None:
                stop()
        self.close()
        self.deleteLater()
