"""What every step of the panel has: its explanation, its choices, its buttons and its commands."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from qgis.gui import QgsCollapsibleGroupBox
from qgis.PyQt.QtCore import Qt, QUrl
from qgis.PyQt.QtGui import QDesktopServices, QFontDatabase, QGuiApplication
from qgis.PyQt.QtWidgets import (
    QComboBox,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QPlainTextEdit,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from ...model.base.errors import LandloomError
from ...model.base.language import tr
from ..jobs import commands
from ..plan import STEPS, Job
from ..project import Project

if TYPE_CHECKING:
    from ..panel import Panel

Plan = Callable[[Project], list[Job]]


class CommandBox(QgsCollapsibleGroupBox):
    """The jobs of a step as commands, to copy."""

    def __init__(self, panel: Panel, plans: Sequence[Plan]) -> None:
        super().__init__(tr("The same as a command"))
        self._panel, self._plans = panel, plans
        self.form = QComboBox()
        self.form.addItems(["qgis_process", "Python"])
        self.text = QPlainTextEdit()
        self.text.setReadOnly(True)
        self.text.setFont(QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont))
        self.text.setMinimumHeight(90)
        self.copy = QPushButton(tr("Copy"))
        self.copy.clicked.connect(lambda: QGuiApplication.clipboard().setText(self.text.toPlainText()))
        head = QHBoxLayout()
        head.addWidget(self.form, 1)
        head.addWidget(self.copy)
        layout = QVBoxLayout(self)
        layout.addLayout(head)
        layout.addWidget(self.text)
        self.form.currentIndexChanged.connect(lambda _index: self.refresh())
        self.collapsedStateChanged.connect(lambda _collapsed: self.refresh())
        self.setCollapsed(True)

    def refresh(self) -> None:
        """Write the commands anew, where they are seen."""
        if self.isCollapsed() or self._panel.project is None:
            return
        parts = []
        for plan in self._plans:
            try:
                parts += [commands(job)[self.form.currentIndex()] for job in plan(self._panel.project)]
            except (LandloomError, OSError) as error:
                parts.append(f"# {error}")
        self.text.setPlainText("\n\n".join(parts))
        self.copy.setEnabled(any(not part.startswith("#") for part in parts))


class Step(QWidget):
    """One step. A subclass sets the class attributes, builds its choices in :meth:`build` and shows what there is in
    :meth:`refresh`.

    Args:
        panel: the panel around it.
    """

    NAME = ""  # key of plan.STEPS
    PLANS: tuple[str, ...] = ()

    def __init__(self, panel: Panel) -> None:
        super().__init__()
        self.panel = panel
        self._loading = False
        self.whole = QVBoxLayout(self)
        explanation = QLabel(self.explanation())
        explanation.setWordWrap(True)
        self.whole.addWidget(explanation)
        self.form = QFormLayout()
        self.form.setRowWrapPolicy(QFormLayout.RowWrapPolicy.WrapLongRows)
        self.form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        self.whole.addLayout(self.form)
        self.build()
        self.command: CommandBox | None = None
        if STEPS.get(self.NAME):
            self.command = CommandBox(panel, STEPS[self.NAME])
            self.whole.addWidget(self.command)
        self.whole.addStretch(1)

    @staticmethod
    def title() -> str:
        """Its short name, on the button."""
        raise NotImplementedError

    @staticmethod
    def explanation() -> str:
        """What is to be done here, one or two sentences."""
        raise NotImplementedError

    def build(self) -> None:
        """Make the widgets."""
        raise NotImplementedError

    def refresh(self) -> None:
        """Show the project's choices and results."""
        raise NotImplementedError

    # ------------------------------------------------------------------ for subclasses

    @property
    def project(self) -> Project:
        """The project of the panel; steps but the first are shown with one only."""
        if self.panel.project is None:
            raise RuntimeError("a step is asked for its project before there is one")
        return self.panel.project

    def load(self) -> None:
        """Refresh, without taking what is shown for a choice."""
        self._loading = True
        try:
            self.refresh()
        finally:
            self._loading = False
        if self.command is not None:
            self.command.refresh()

    def choose(self, name: str, value: Any) -> None:
        """Keep a choice of the user."""
        if self._loading or self.panel.project is None or getattr(self.project.settings, name) == value:
            return
        setattr(self.project.settings, name, value)
        self.panel.keep()

    def button(self, text: str, plan: Plan, hint: str = "") -> QPushButton:
        """A button that puts jobs into the queue."""
        made = QPushButton(text)
        made.setToolTip(hint)
        made.clicked.connect(lambda: self.panel.run(plan))
        return made

    def report_button(self, text: str, name: str) -> QPushButton:
        """A button that opens a page of the project; call :meth:`enable` for it in :meth:`refresh`."""
        made = QPushButton(text)
        made.setProperty("landloom", name)
        made.clicked.connect(lambda: open_file(str(self.project.path(name))))
        return made

    def enable(self, *buttons: QPushButton) -> None:
        """Allow the buttons whose page is there."""
        for one in buttons:
            one.setEnabled(self.project.has(one.property("landloom")))

    def row(self, *widgets: QWidget) -> QHBoxLayout:
        """Widgets side by side, at the end of the step."""
        line = QHBoxLayout()
        for one in widgets:
            line.addWidget(one)
        line.addStretch(1)
        self.whole.addLayout(line)
        return line

    def sentence(self) -> QLabel:
        """A line of text that wraps, at the end of the step."""
        label = QLabel()
        label.setWordWrap(True)
        label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.whole.addWidget(label)
        return label


def open_file(path: str) -> None:
    """Open a page or a folder with the program that is made for it."""
    QDesktopServices.openUrl(QUrl.fromLocalFile(path))


def quietly(widget: QWidget, change: Callable[[], object]) -> None:
    """Change what a widget shows without its signals."""
    before = widget.blockSignals(True)
    try:
        change()
    finally:
        widget.blockSignals(before)
