"""The foot of the panel: the job at work with progress, time left and cancel; what waits, what was held; the log."""

from __future__ import annotations

from typing import Any

from qgis.PyQt.QtCore import Qt
from qgis.PyQt.QtWidgets import (
    QDialog,
    QFrame,
    QHBoxLayout,
    QLabel,
    QListWidget,
    QListWidgetItem,
    QMenu,
    QPlainTextEdit,
    QProgressBar,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from ..model.base.language import mark, tr
from .jobs import JobQueue
from .plan import CANCELLED, DONE, FAILED, HELD, RUNNING, WAITING, Job
from .timeleft import duration_text, time_text

_STATES = {
    WAITING: mark("waits"),
    RUNNING: mark("runs"),
    DONE: mark("done"),
    FAILED: mark("failed"),
    CANCELLED: mark("cancelled"),
    HELD: mark("held"),
}
_MOST_LOG_LINES = 5000


class JobBar(QFrame):
    """Shows a queue.

    Args:
        queue: the queue.
    """

    def __init__(self, queue: JobQueue, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setFrameShape(QFrame.Shape.StyledPanel)
        self._queue = queue
        self.title = QLabel()
        self.title.setWordWrap(True)
        self.progress = QProgressBar()
        self.progress.setRange(0, 1000)
        self.progress.setFormat("%p %")
        self.time = QLabel()
        self.cancel = QPushButton(tr("Cancel"))
        self.cancel.clicked.connect(queue.cancel)
        self.log_button = QPushButton(tr("Log"))
        self.log_button.clicked.connect(self._show_log)
        self.offer = QLabel()
        self.offer.setWordWrap(True)
        self.resume = QPushButton(tr("Go on"))
        self.resume.clicked.connect(queue.resume)
        self.drop = QPushButton(tr("Discard"))
        self.drop.clicked.connect(lambda _checked: queue.discard())
        self.list = QListWidget()
        self.list.setMaximumHeight(84)
        self.list.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self.list.customContextMenuRequested.connect(self._menu)
        self.list.setToolTip(tr("Right click: run again, or drop what waits."))
        line = QHBoxLayout()
        line.addWidget(self.progress, 1)
        line.addWidget(self.cancel)
        head = QHBoxLayout()
        head.addWidget(self.title, 1)
        head.addWidget(self.log_button)
        offered = QHBoxLayout()
        offered.addWidget(self.offer, 1)
        offered.addWidget(self.resume)
        offered.addWidget(self.drop)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(4, 4, 4, 4)
        layout.setSpacing(3)
        layout.addLayout(head)
        layout.addLayout(line)
        layout.addWidget(self.time)
        layout.addLayout(offered)
        layout.addWidget(self.list)
        self.log = QPlainTextEdit()
        self.log.setReadOnly(True)
        self.log.setMaximumBlockCount(_MOST_LOG_LINES)
        self._dialog: QDialog | None = None
        queue.changed.connect(self.refresh)
        queue.progressed.connect(self._progressed)
        queue.logged.connect(self._logged)
        self.refresh()

    def refresh(self) -> None:
        """Show the queue as it is."""
        running = self._queue.running
        self.title.setText(f"<b>{running.title}</b>" if running else tr("No job is running."))
        for widget in (self.progress, self.cancel, self.time):
            widget.setVisible(running is not None)
        held = self._queue.held
        for widget in (self.offer, self.resume, self.drop):
            widget.setVisible(bool(held))
        self.offer.setText(tr("Not finished: {titles}").format(titles=", ".join(job.title for job in held)))
        self.list.clear()
        for job in self._queue.jobs[::-1]:
            if job is running:
                continue
            item = QListWidgetItem(job_text(job))
            item.setData(int(Qt.ItemDataRole.UserRole), self._queue.jobs.index(job))
            item.setToolTip(job.message)
            self.list.addItem(item)
        self.list.setVisible(self.list.count() > 0)
        self.log_button.setVisible(bool(running) or not self.log.document().isEmpty())

    def remove(self) -> None:
        """Let go of the queue."""
        self._queue.changed.disconnect(self.refresh)
        self._queue.progressed.disconnect(self._progressed)
        self._queue.logged.disconnect(self._logged)
        if self._dialog is not None:
            self._dialog.close()

    def _progressed(self, percent: float, left: Any) -> None:
        self.progress.setValue(round(10 * percent))
        self.time.setText("; ".join(text for text in (self._queue.status, time_text(left)) if text))

    def _logged(self, kind: str, text: str) -> None:
        if kind == "title":
            text = f"--- {text}"
        elif kind in ("warning", "error"):
            text = f"{tr('Warning') if kind == 'warning' else tr('Error')}: {text}"
        self.log.appendPlainText(text)

    def _show_log(self) -> None:
        if self._dialog is None:
            self._dialog = QDialog(self)
            self._dialog.setWindowTitle(tr("Log of Landloom's jobs"))
            QVBoxLayout(self._dialog).addWidget(self.log)
            self._dialog.resize(700, 400)
        self._dialog.show()
        self._dialog.raise_()

    def _menu(self, place: Any) -> None:
        item = self.list.itemAt(place)
        index = item.data(int(Qt.ItemDataRole.UserRole)) if item is not None else -1
        if not 0 <= index < len(self._queue.jobs):
            return
        job = self._queue.jobs[index]
        menu = QMenu(self)
        if job.state in (FAILED, CANCELLED):
            menu.addAction(tr("Run again")).triggered.connect(lambda: self._queue.retry(job))
        elif job.state in (WAITING, HELD):
            menu.addAction(tr("Drop")).triggered.connect(lambda: self._queue.discard(job))
        if not menu.isEmpty():
            menu.exec(self.list.mapToGlobal(place))


def job_text(job: Job) -> str:
    """A job in one line."""
    took = f", {duration_text(job.seconds)}" if job.state == DONE else ""
    why = f": {job.message}" if job.message else ""
    return f"{job.title} ({tr(_STATES[job.state])}{took}){why}"
