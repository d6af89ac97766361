"""The map tool "pixel time series": a click shows the series of a pixel, its classes, and the usual curves."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Any

from qgis.core import (
    QgsApplication,
    QgsCoordinateReferenceSystem,
    QgsCoordinateTransform,
    QgsCsException,
    QgsPointXY,
    QgsProject,
    QgsSettings,
    QgsTask,
)
from qgis.gui import QgsDockWidget, QgsFileWidget, QgsMapCanvas, QgsMapTool, QgsMapToolEmitPoint, QgsVertexMarker
from qgis.PyQt import sip
from qgis.PyQt.QtCore import Qt, pyqtSignal
from qgis.PyQt.QtGui import QColor
from qgis.PyQt.QtWidgets import QFormLayout, QLabel, QScrollArea, QVBoxLayout, QWidget

from ..model.base.errors import LandloomError
from ..model.base.language import tr
from ..model.base.progress import Progress
from ..model.mapping.pixelseries import ClassCurves, PixelSeries, class_curves, pixel_at, pixel_charts, pixel_series
from ..model.stack.manifest import Stack
from .svgview import SvgView

if TYPE_CHECKING:
    from ..model.networks.predictor import Predictor

_KEY = "landloom/pixel"


class Sources:
    """Stack, model and usual curves, loaded when they are first needed and kept while their files stay the same."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, str], tuple[Any, Any]] = {}
        self._lock = threading.Lock()

    def stack(self, path: str) -> Stack:
        """A stack by its file."""
        return self._get("stack", path, Stack.read)

    def predictor(self, path: str) -> Predictor | None:
        """What predicts with a model file; None for an empty path."""
        return self._get("model", path, _load_predictor) if path else None

    def curves(self, folder: str) -> ClassCurves | None:
        """Usual curves of a sample folder; None for an empty path."""
        return self._get("samples", folder, _load_curves) if folder else None

    def _get(self, kind: str, path: str, load: Any) -> Any:
        try:
            seen = os.stat(path).st_mtime_ns
        except OSError as error:
            raise LandloomError(
                tr("{path} cannot be read: {reason}. Choose it again.").format(path=path, reason=error.strerror)
            ) from error
        with self._lock:  # two clicks at once load it once
            known = self._kept.get((kind, path))
            if known is None or known[0] != seen:
                known = (seen, load(path))
                self._kept[kind, path] = known
            return known[1]


def _load_predictor(path: str) -> Predictor:
    from ..model.networks.modelfile import Model
    from ..model.networks.predictor import Predictor

    return Predictor(Model.load(path), threads=1)


def _load_curves(folder: str) -> ClassCurves:
    from ..model.samples.store import SampleStore

    return class_curves(SampleStore.open(folder), Progress())


class PixelTask(QgsTask):
    """Reads a pixel in the background, so that the window never waits for files."""

    ended = pyqtSignal(object, object, str)  # PixelSeries, ClassCurves, and the sentence of an error

    def __init__(self, sources: Sources, paths: tuple[str, str, str], column: int, row: int) -> None:
        super().__init__(tr("Reading the time series of a pixel"))
        self._sources, self._paths, self._place = sources, paths, (column, row)
        self._found: PixelSeries | None = None
        self._curves: ClassCurves | None = None
        self._error = ""

    def run(self) -> bool:
        stack, model, samples = self._paths
        try:
            self._found = pixel_series(self._sources.stack(stack), *self._place, self._sources.predictor(model))
            self._curves = self._sources.curves(samples)
        except (LandloomError, OSError) as error:
            self._error = str(error)
            return False
        return True

    def finished(self, result: bool) -> None:
        self.ended.emit(self._found, self._curves, self._error)


class PixelDock(QgsDockWidget):
    """Choice of stack, model and samples, and the pictures of the last pixel.

    Args:
        canvas: the map canvas that is clicked.
        parent: the window of QGIS.
    """

    def __init__(self, canvas: QgsMapCanvas, parent: QWidget | None = None) -> None:
        super().__init__(tr("Pixel time series"), parent)
        self.setObjectName("LandloomPixelTimeSeries")
        self._canvas, self._sources = canvas, Sources()
        self._task: PixelTask | None = None
        self.files = {
            "stack": self._file(tr("Stack (*.json)"), tr("the stack to read")),
            "model": self._file(tr("Model (*.safetensors)"), tr("optional: class probabilities")),
            "samples": self._file("", tr("optional: usual curves of the classes")),
        }
        self.files["samples"].setStorageMode(QgsFileWidget.StorageMode.GetDirectory)
        form = QFormLayout()
        for name, label in (("stack", tr("Stack")), ("model", tr("Model")), ("samples", tr("Samples"))):
            self.files[name].setFilePath(QgsSettings().value(f"{_KEY}/{name}", ""))
            form.addRow(label, self.files[name])
        self.sentence = QLabel(tr("Click on the map."))
        self.sentence.setWordWrap(True)
        self._pictures = QVBoxLayout()
        inside = QWidget()
        inside.setLayout(self._pictures)
        scroll = QScrollArea()
        scroll.setWidgetResizable(True)
        scroll.setWidget(inside)
        layout = QVBoxLayout()
        layout.addLayout(form)
        layout.addWidget(self.sentence)
        layout.addWidget(scroll, 1)
        whole = QWidget()
        whole.setLayout(layout)
        self.setWidget(whole)
        self._marker: QgsVertexMarker | None = None
        self._tool_before: QgsMapTool | None = None
        self.tool = QgsMapToolEmitPoint(canvas)
        self.tool.canvasClicked.connect(lambda point, _button: self.show_pixel(point))

    @staticmethod
    def _file(wanted: str, hint: str) -> QgsFileWidget:
        widget = QgsFileWidget()
        widget.setFilter(wanted)
        widget.lineEdit().setPlaceholderText(hint)
        return widget

    def show_pixel(self, point: QgsPointXY) -> None:
        """Read the pixel under a place of the canvas and show it.

        Args:
            point: in the CRS of the canvas.
        """
        paths = tuple(self.files[name].filePath().strip() for name in ("stack", "model", "samples"))
        for name, path in zip(("stack", "model", "samples"), paths, strict=True):
            QgsSettings().setValue(f"{_KEY}/{name}", path)
        if not paths[0]:
            self.sentence.setText(tr("Choose a stack first."))
            return
        try:
            stack = self._sources.stack(paths[0])
            crs = QgsCoordinateReferenceSystem.fromWkt(stack.grid.crs_wkt)
            change = QgsCoordinateTransform(self._canvas.mapSettings().destinationCrs(), crs, QgsProject.instance())
            place = change.transform(point)
            column, row = pixel_at(stack, place.x(), place.y())
        except (LandloomError, QgsCsException) as error:
            self.sentence.setText(str(error))
            return
        self._mark(point)
        self.sentence.setText(tr("Reading ..."))
        self._task = PixelTask(self._sources, (paths[0], paths[1], paths[2]), column, row)
        self._task.ended.connect(self._ended)
        self._day = f"{stack.campaign_year}-{stack.season_start}"
        QgsApplication.taskManager().addTask(self._task)

    def _ended(self, found: PixelSeries | None, curves: ClassCurves | None, error: str) -> None:
        if self.sender() is not self._task and self._task is not None and self.sender() is not None:
            return  # a later click is under way
        self._task = None
        self._clear()
        if found is None:
            self.sentence.setText(error)
            return
        text = tr("Column {column}, row {row}").format(column=found.column, row=found.row)
        if not any(one.mask.any() for one in found.sensors):
            text = f"{text}: {tr('no valid date')}"
        elif found.probabilities is not None and found.nomenclature is not None:
            best = int(found.probabilities.argmax())
            text = f"{text}: {found.nomenclature.names[best]} ({100 * float(found.probabilities[best]):.0f} %)"
        self.sentence.setText(text)
        for svg in pixel_charts(found, curves, first_day=self._day):
            self._pictures.addWidget(SvgView(svg))
        self._pictures.addStretch(1)

    def pictures(self) -> list[SvgView]:
        """What is shown."""
        found = [self._pictures.itemAt(i).widget() for i in range(self._pictures.count())]
        return [one for one in found if isinstance(one, SvgView)]

    def _clear(self) -> None:
        while self._pictures.count():
            widget = self._pictures.takeAt(0).widget()
            if widget is not None:
                widget.hide()
                widget.deleteLater()

    def _mark(self, point: QgsPointXY) -> None:
        if self._marker is None:
            self._marker = QgsVertexMarker(self._canvas)
            self._marker.setIconType(QgsVertexMarker.IconType.ICON_CROSS)
            self._marker.setColor(QColor("#d4308a"))
            self._marker.setPenWidth(2)
        self._marker.setCenter(point)

    def wait(self) -> None:
        """Let the reading end; for tests and scripts."""
        while self._task is not None:
            QgsApplication.processEvents()

    def start(self) -> None:
        """Show the dock and make the canvas wait for a click."""
        self.show()
        if self._canvas.mapTool() is not self.tool:
            self._tool_before = self._canvas.mapTool()
        self._canvas.setMapTool(self.tool)

    def remove(self) -> None:
        """Take everything off the canvas."""
        if self._canvas.mapTool() is self.tool:
            self._canvas.unsetMapTool(self.tool)
            if self._tool_before is not None and not sip.isdeleted(self._tool_before):
                self._canvas.setMapTool(self._tool_before)  # else a click on the map would do nothing
        self._tool_before = None
        if self._marker is not None:
            self._canvas.scene().removeItem(self._marker)
            self._marker = None
        self.close()
        self.deleteLater()


AREA = Qt.DockWidgetArea.RightDockWidgetArea
