"""Step 1: the folder, the area and the season."""

from __future__ import annotations

from qgis.core import QgsCoordinateReferenceSystem, QgsRectangle
from qgis.gui import QgsDateEdit, QgsExtentWidget, QgsFileWidget
from qgis.PyQt.QtCore import QDate
from qgis.PyQt.QtWidgets import QDateEdit, QLineEdit, QPushButton

from ...model.base.language import tr
from .base import Step, open_file

_FORM = "yyyy-MM-dd"


class ProjectStep(Step):
    """Chooses the folder in which everything of the project lies."""

    NAME = "project"

    @staticmethod
    def title() -> str:
        return tr("Project")

    @staticmethod
    def explanation() -> str:
        return tr(
            "Choose a folder: everything that is made lies in it, and the panel goes on there the next time. Area and "
            "dates may stay empty: then all that the images cover is taken."
        )

    def build(self) -> None:
        self.folder = QgsFileWidget()
        self.folder.setStorageMode(QgsFileWidget.StorageMode.GetDirectory)
        self.folder.setDialogTitle(tr("Folder of the project"))
        self.folder.lineEdit().setPlaceholderText(tr("a new or an earlier folder"))
        self.folder.fileChanged.connect(lambda path: None if self._loading else self.panel.open(path))
        self.form.addRow(tr("Folder"), self.folder)
        self.area = QgsExtentWidget(None, QgsExtentWidget.WidgetStyle.CondensedStyle)
        self.area.setNullValueAllowed(True, tr("all that the images cover"))
        if self.panel.canvas is not None:
            self.area.setMapCanvas(self.panel.canvas)
        for line in self.area.findChildren(QLineEdit):
            line.setPlaceholderText(tr("all that the images cover"))
        self.area.setToolTip(tr("From a layer, from the map window, or drawn on the map: the arrow beside it."))
        self.area.extentChanged.connect(self._area_chosen)
        self.form.addRow(tr("Area"), self.area)
        self.start, self.end = self._date("start"), self._date("end")
        self.form.addRow(tr("First date"), self.start)
        self.form.addRow(tr("Last date"), self.end)
        self.season = QDateEdit()
        self.season.setDisplayFormat("MM-dd")
        self.season.setToolTip(
            tr("Month and day from which days are counted: 01-01, or 10-01 where the season lasts over New Year.")
        )
        self.season.dateChanged.connect(lambda date: self.choose("season_start", date.toString("MM-dd")))
        self.form.addRow(tr("Season starts"), self.season)
        self.show_folder = QPushButton(tr("Show the folder"))
        self.show_folder.clicked.connect(lambda: open_file(str(self.project.folder)))
        self.row(self.show_folder)

    def refresh(self) -> None:
        there = self.panel.project is not None
        for one in (self.area, self.start, self.end, self.season, self.show_folder):
            one.setEnabled(there)
        if self.panel.project is None:
            return
        settings = self.project.settings
        self.folder.setFilePath(str(self.project.folder))
        self._show_area(settings.area)
        for widget, text in ((self.start, settings.start), (self.end, settings.end)):
            if text:
                widget.setDate(QDate.fromString(text, _FORM))
            elif not widget.isNull():
                widget.clear()
        self.season.setDate(QDate.fromString(f"2001-{settings.season_start}", _FORM))

    def _date(self, name: str) -> QgsDateEdit:
        made = QgsDateEdit()
        made.setAllowNull(True)
        made.setNullRepresentation(tr("no limit"))
        made.setDisplayFormat(_FORM)
        made.setCalendarPopup(True)
        made.clear()
        made.dateValueChanged.connect(lambda date: self.choose(name, date.toString(_FORM) if date.isValid() else ""))
        return made

    def _area_chosen(self, _extent: QgsRectangle) -> None:
        if not self.area.isValid():
            self.choose("area", "")
            return
        box, crs = self.area.outputExtent(), self.area.outputCrs()
        numbers = (box.xMinimum(), box.xMaximum(), box.yMinimum(), box.yMaximum())
        self.choose("area", f"{','.join(f'{one:.9g}' for one in numbers)} [{crs.authid()}]")

    def _show_area(self, text: str) -> None:
        if not text:
            if self.area.isValid():
                self.area.clear()
            return
        numbers, _, crs = text.rstrip("]").partition("[")
        west, east, south, north = (float(one) for one in numbers.split(","))
        self.area.setOutputExtentFromUser(
            QgsRectangle(west, south, east, north), QgsCoordinateReferenceSystem(crs.strip())
        )
