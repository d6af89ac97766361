"""Step 2: where images come from, and their dates: a table with small pictures, and a timeline with gaps in red."""

from __future__ import annotations

import numpy as np
from qgis.core import QgsApplication, QgsProject
from qgis.gui import QgsFileWidget
from qgis.PyQt.QtCore import QSize, Qt
from qgis.PyQt.QtGui import QColor, QIcon, QPixmap
from qgis.PyQt.QtWidgets import (
    QAbstractItemView,
    QComboBox,
    QDoubleSpinBox,
    QFormLayout,
    QHeaderView,
    QLineEdit,
    QPushButton,
    QTableWidget,
    QTableWidgetItem,
    QWidget,
)

from ...model.base.errors import LandloomError
from ...model.base.language import tr
from ...model.stack.report import USABLE
from .. import plan
from ..dates import can_be_ticked, changed, is_ticked, long_gaps, with_tick
from ..imagelayer import show_image
from ..project import SOURCES, DateRow
from ..thumbnails import SIDE, ThumbnailTask, image_of
from ..timeline import Timeline
from .base import Step, quietly

_PLACE = int(Qt.ItemDataRole.UserRole)


class ImagesStep(Step):
    """Prepares the stack and shows its dates."""

    NAME = "images"

    @staticmethod
    def title() -> str:
        return tr("Images")

    @staticmethod
    def explanation() -> str:
        return tr(
            "Give the folder of the products as they were downloaded, search a catalogue, or take a stack that exists. "
            "Tick bad dates off and prepare again; a double click shows a date on the map."
        )

    def build(self) -> None:
        self._rows: list[DateRow] = []
        self._task: ThumbnailTask | None = None
        self._pictures: dict[tuple[str, str], QIcon] = {}
        self._pictured = ""
        self.source = QComboBox()
        self.source.addItems([tr("A folder of products"), tr("A search in a catalogue"), tr("A stack that exists")])
        self.source.currentIndexChanged.connect(self._source_chosen)
        self.form.addRow(tr("From"), self.source)
        self.pages: list[QWidget] = []
        self.products = _file(True, tr("products in the folder of the project"))
        self.products.fileChanged.connect(lambda path: self.choose("products", path.strip()))
        self.sensors, self.found_sensors = QLineEdit(), QLineEdit()
        for line, hint in ((self.sensors, tr("all, or S2,S1_DES")), (self.found_sensors, tr("S2, or S2,S1"))):
            line.setPlaceholderText(hint)
            line.editingFinished.connect(lambda w=line: self.choose("sensors", w.text().strip()))
        self.cloud = QDoubleSpinBox()
        self.cloud.setRange(0, 100)
        self.cloud.setSuffix(" %")
        self.cloud.setDecimals(0)
        self.cloud.valueChanged.connect(lambda value: self.choose("max_cloud", float(value)))
        self.catalogue = QComboBox()
        self.catalogue.setEditable(True)
        self.catalogue.addItems(["planetary-computer", "earth-search", "copernicus"])
        self.catalogue.currentTextChanged.connect(lambda text: self.choose("catalogue", text.strip()))
        self.search = self.button(tr("Search"), plan.search)
        self.stack = _file(False, tr("stack.json"))
        self.stack.setFilter(tr("Stack (*.json)"))
        self.stack.fileChanged.connect(lambda path: self.choose("stack", path.strip()))
        for rows in (
            ((tr("Products"), self.products), (tr("Sensors"), self.sensors)),
            (
                (tr("Catalogue"), self.catalogue),
                (tr("Sensors"), self.found_sensors),
                (tr("Largest cloud share"), self.cloud),
                ("", self.search),
            ),
            ((tr("Stack"), self.stack),),
        ):
            page = QWidget()
            form = QFormLayout(page)
            form.setContentsMargins(0, 0, 0, 0)
            for label, widget in rows:
                form.addRow(label, widget)
            self.pages.append(page)
            self.whole.addWidget(page)
        self.prepare = self.button(tr("Prepare the stack"), plan.prepare)
        self.page = self.report_button(tr("Open the report"), "stack_report")
        self.row(self.prepare, self.page)
        self.timeline = Timeline()
        self.timeline.chosen.connect(self.select)
        self.whole.addWidget(self.timeline)
        self.gaps = self.sentence()
        self.gaps.setStyleSheet("color: #c0392b")
        self.table = QTableWidget(0, 4)
        self.table.setHorizontalHeaderLabels([tr("Date"), tr("Sensor"), tr("Valid"), tr("Remark")])
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.table.setMinimumHeight(260)
        self.table.verticalHeader().setVisible(False)
        self.table.horizontalHeader().setSectionResizeMode(3, QHeaderView.ResizeMode.Stretch)
        self.table.setIconSize(QSize(SIDE // 2, SIDE // 2))
        self.table.itemChanged.connect(self._ticked)
        self.table.itemSelectionChanged.connect(self._selected)
        self.table.cellDoubleClicked.connect(lambda row, _column: self.show_on_map(row))
        self.whole.addWidget(self.table, 1)
        self.shown = QPushButton(tr("Show on the map"))
        self.shown.clicked.connect(lambda: self.show_on_map(self.table.currentRow()))
        self.all = self.button(tr("Open all dates in QGIS"), plan.open_images)
        self.all.setToolTip(tr("One layer a date; the temporal controller of the window steps through them."))
        self.row(self.shown, self.all)
        self.told = self.sentence()

    def refresh(self) -> None:
        settings = self.project.settings
        quietly(self.source, lambda: self.source.setCurrentIndex(SOURCES.index(settings.source)))
        self._show_page()
        self.prepare.setVisible(settings.source != "stack")
        self.page.setVisible(settings.source != "stack")
        self.products.setFilePath(settings.products)
        self.stack.setFilePath(settings.stack)
        self.sensors.setText(settings.sensors)
        self.found_sensors.setText(settings.sensors)
        quietly(self.cloud, lambda: self.cloud.setValue(settings.max_cloud))
        quietly(self.catalogue, lambda: self.catalogue.setCurrentText(settings.catalogue))
        self.enable(self.page)
        try:
            self._rows = self.project.dates()
        except (LandloomError, OSError) as error:
            self._rows = []
            self.panel.say(str(error), bad=True)
        self._fill()

    def select(self, sensor: str, date: str) -> None:
        """Go to a date in the table."""
        for index, row in enumerate(self._rows):
            if (row.sensor, row.date) == (sensor, date):
                self.table.selectRow(index)
                self.table.scrollToItem(self.table.item(index, 0))
                return

    def show_on_map(self, index: int) -> None:
        """Add a date to the map."""
        if not 0 <= index < len(self._rows):
            return
        row = self._rows[index]
        try:
            layers = show_image(str(self.project.path("stack")), row.sensor, row.date, QgsProject.instance())
        except LandloomError as error:
            self.panel.say(str(error), bad=True)
            return
        self.panel.look_at_layer(layers)

    def stop(self) -> None:
        """End reading pictures."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()

    # ------------------------------------------------------------------ inside

    def _source_chosen(self, index: int) -> None:
        self.choose("source", SOURCES[index])
        self.load()

    def _show_page(self) -> None:
        for index, page in enumerate(self.pages):
            page.setVisible(index == self.source.currentIndex())

    def _fill(self) -> None:
        skips = self.project.settings.skip_dates
        ticks = self.project.settings.source != "stack"
        there = bool(self._rows)
        for widget in (self.table, self.shown, self.all, self.told):
            widget.setVisible(there)
        quietly(self.table, lambda: self._fill_table(skips, ticks))
        self._tell()
        self._read_pictures()

    def _fill_table(self, skips: str, ticks: bool) -> None:
        self.table.setRowCount(len(self._rows))
        for index, row in enumerate(self._rows):
            share = "" if row.valid is None else f"{100 * row.valid:.0f} %"
            cells = [QTableWidgetItem(text) for text in (row.date, row.sensor, share, row.why)]
            first = cells[0]
            if ticks and can_be_ticked(row):
                first.setFlags(first.flags() | Qt.ItemFlag.ItemIsUserCheckable)
                state = Qt.CheckState.Checked if is_ticked(row, skips) else Qt.CheckState.Unchecked
                first.setCheckState(state)
            first.setData(_PLACE, index)
            first.setToolTip(row.product)
            cells[3].setToolTip(row.why)
            picture = self._pictures.get((row.sensor, row.date))
            if picture is not None:
                first.setIcon(picture)
            if not row.used:
                for cell in cells:
                    cell.setForeground(QColor("#8a8f8c"))
            elif row.valid is not None and row.valid < USABLE:
                cells[2].setForeground(QColor("#c0392b"))
            for column, cell in enumerate(cells):
                self.table.setItem(index, column, cell)
        for column in range(3):
            self.table.resizeColumnToContents(column)

    def _tell(self) -> None:
        """Timeline, gaps and what the ticks change."""
        skips = self.project.settings.skip_dates
        gaps = long_gaps(self._rows, skips)
        self.timeline.show_dates([(row, is_ticked(row, skips)) for row in self._rows], gaps)
        lines = [
            tr("{sensor}: {days} days without a usable date, {first} to {last}.").format(
                sensor=sensor, days=days, first=first, last=last
            )
            for sensor, found in gaps.items()
            for first, last, days in found
        ]
        self.gaps.setText("\n".join(lines))
        self.gaps.setVisible(bool(lines))
        count = changed(self._rows, skips) if self.project.settings.source != "stack" else 0
        used = sum(row.used for row in self._rows)
        text = tr("Dates in the stack: {count}.").format(count=used)
        if count:
            text += " " + tr("Ticks changed: {count}; press 'Prepare the stack' to apply them.").format(count=count)
        self.told.setText(text)

    def _ticked(self, item: QTableWidgetItem) -> None:
        if item.column() or self._loading:
            return
        row = self._rows[item.data(_PLACE)]
        ticked = item.checkState() == Qt.CheckState.Checked
        self.choose("skip_dates", with_tick(self._rows, self.project.settings.skip_dates, row, ticked))
        self._tell()

    def _selected(self) -> None:
        index = self.table.currentRow()
        if 0 <= index < len(self._rows):
            self.timeline.select(self._rows[index].sensor, self._rows[index].date)

    def _read_pictures(self) -> None:
        stack = self.project.path("stack")
        state = f"{stack} {stack.stat().st_mtime_ns}" if stack.exists() else ""
        if state == self._pictured:
            return
        self.stop()
        self._pictured, self._pictures = state, {}
        wanted = [(row.sensor, row.date) for row in self._rows if row.used]
        if not state or not wanted:
            return
        self._task = ThumbnailTask(str(stack), wanted)
        self._task.made.connect(self._picture_made)
        self._task.taskCompleted.connect(self._pictures_ended)  # then QGIS deletes it
        self._task.taskTerminated.connect(self._pictures_ended)
        QgsApplication.taskManager().addTask(self._task)

    def _pictures_ended(self) -> None:
        if self.sender() is self._task:
            self._task = None

    def _picture_made(self, sensor: str, date: str, picture: np.ndarray) -> None:
        icon = QIcon(QPixmap.fromImage(image_of(picture)))
        self._pictures[sensor, date] = icon
        for index, row in enumerate(self._rows):
            item = self.table.item(index, 0)
            if (row.sensor, row.date) == (sensor, date) and row.used and item is not None:
                before = self.table.blockSignals(True)  # an icon is no tick
                item.setIcon(icon)
                self.table.blockSignals(before)
                self.table.setRowHeight(index, SIDE // 2 + 4)
                self.table.viewport().update()
        self.table.resizeColumnToContents(0)


def _file(folder: bool, hint: str) -> QgsFileWidget:
    mode = QgsFileWidget.StorageMode
    made = QgsFileWidget()
    made.setStorageMode(mode.GetDirectory if folder else mode.GetFile)
    made.lineEdit().setPlaceholderText(hint)
    return made
