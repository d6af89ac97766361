"""Step 3: the reference data, their classes, usual curves and suspects."""

from __future__ import annotations

import csv
import os
from dataclasses import replace

from qgis.core import Qgis, QgsMapLayer, QgsProject, QgsVectorLayer
from qgis.gui import QgsFieldComboBox, QgsMapLayerComboBox
from qgis.PyQt.QtCore import Qt
from qgis.PyQt.QtGui import QColor
from qgis.PyQt.QtWidgets import (
    QAbstractItemView,
    QColorDialog,
    QComboBox,
    QFileDialog,
    QHBoxLayout,
    QMessageBox,
    QPushButton,
    QSpinBox,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from ...model.base.charts import lines
from ...model.base.csvtext import as_given
from ...model.base.errors import LandloomError
from ...model.base.language import tr
from ...model.samples.spellings import alike, merge
from ...model.samples.table import NomenclatureTable, Row
from ...model.samples.tablefiles import read_table, write_table
from .. import plan
from ..svgview import SvgView
from .base import Step, quietly

VALUE, CODE, NAME, COLOR, COUNT, HECTARES, LEVEL1 = range(7)


class ReferenceStep(Step):
    """Chooses layer and field, edits the table of classes, and shows curves and suspects."""

    NAME = "reference"

    @staticmethod
    def title() -> str:
        return tr("Reference")

    @staticmethod
    def explanation() -> str:
        return tr(
            "Choose the polygons or points whose land cover is known, and list their classes. Names and codes can be "
            "edited; values with the same code and name are one class; a class that is ticked off is left out."
        )

    def build(self) -> None:
        self._table: NomenclatureTable | None = None
        self.layer = QgsMapLayerComboBox()
        # The name of older versions of QGIS is deprecated in newer ones.
        set_filters = getattr(self.layer, "setProxyModelFilters", None) or self.layer.setFilters
        # As flags: the signature that takes a number is deprecated.
        set_filters(Qgis.LayerFilters(Qgis.LayerFilter.PolygonLayer | Qgis.LayerFilter.PointLayer))
        self.layer.setAllowEmptyLayer(True)
        self.layer.layerChanged.connect(self._layer_chosen)
        self.browse = QPushButton("...")
        self.browse.setToolTip(tr("Choose a file"))
        self.browse.setMaximumWidth(36)
        self.browse.clicked.connect(self._browse)
        line = QHBoxLayout()
        line.addWidget(self.layer, 1)
        line.addWidget(self.browse)
        self.form.addRow(tr("Layer"), line)
        self.field = QgsFieldComboBox()
        self.field.fieldChanged.connect(lambda name: self.choose("class_field", name))
        self.form.addRow(tr("Class field"), self.field)
        self.row(self.button(tr("List the classes"), plan.nomenclature))
        self.table = QTableWidget(0, LEVEL1)
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.table.setMinimumHeight(220)
        self.table.verticalHeader().setVisible(False)
        self.table.itemChanged.connect(self._edited)
        self.table.cellDoubleClicked.connect(self._color)
        self.whole.addWidget(self.table, 1)
        self.spellings = QPushButton()
        self.spellings.clicked.connect(self._merge_spellings)
        self.together = QPushButton(tr("Merge the chosen rows"))
        self.together.clicked.connect(self._merge_chosen)
        self.row(self.spellings, self.together)
        self.level = QSpinBox()
        self.level.setToolTip(tr("0: the classes themselves; 1, 2...: the coarser classes of level1, level2..."))
        self.level.valueChanged.connect(lambda value: self.choose("level", int(value)))
        level_row = QWidget()
        level_line = QHBoxLayout(level_row)
        level_line.setContentsMargins(0, 0, 0, 0)
        self.samples_page = self.report_button(tr("Open the report"), "samples_report")
        level_line.addWidget(self.level)
        level_line.addWidget(self.button(tr("Extract samples"), plan.samples))
        level_line.addWidget(self.samples_page)
        level_line.addStretch(1)
        self.level.setPrefix(tr("Level") + " ")
        self.whole.addWidget(level_row)
        self.curve = QComboBox()
        self.curve.currentIndexChanged.connect(self._show_curve)
        self.whole.addWidget(self.curve)
        self._picture = QVBoxLayout()
        self.whole.addLayout(self._picture)
        self.suspects_told = self.sentence()
        self.suspects = QTableWidget(0, 3)
        self.suspects.setHorizontalHeaderLabels([tr("Feature"), tr("Class"), tr("Looks like")])
        self.suspects.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.suspects.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.suspects.verticalHeader().setVisible(False)
        self.suspects.setMaximumHeight(150)
        self.suspects.itemSelectionChanged.connect(self._show_suspect)
        self.whole.addWidget(self.suspects)

    def refresh(self) -> None:
        settings = self.project.settings
        layer = self._find_layer(settings.reference)
        quietly(self.layer, lambda: self.layer.setLayer(layer))
        quietly(self.field, lambda: self.field.setLayer(layer))
        if layer is not None and settings.class_field:
            quietly(self.field, lambda: self.field.setField(settings.class_field))
        elif layer is not None and self.field.currentField():
            self._loading = False
            self.choose("class_field", self.field.currentField())
            self._loading = True
        self._read_table()
        quietly(self.level, lambda: self.level.setValue(settings.level))
        self.enable(self.samples_page)
        self._show_samples()

    # ------------------------------------------------------------------ layer

    def _find_layer(self, reference: str) -> QgsMapLayer | None:
        project = QgsProject.instance()
        if not reference:
            return None
        layer = project.mapLayer(reference)
        path = reference.split("|", maxsplit=1)[0]
        if layer is None:
            same = (one for one in project.mapLayers().values() if source_of(one) == reference)
            layer = next(same, None)
        if layer is None and os.path.exists(path):
            made = QgsVectorLayer(reference, os.path.splitext(os.path.basename(path))[0], "ogr")
            if made.isValid():
                layer = project.addMapLayer(made)
        return layer

    def _browse(self) -> None:
        path, _ = QFileDialog.getOpenFileName(
            self, tr("Reference data"), str(self.project.folder), "GeoPackage, Shapefile (*.gpkg *.shp *.geojson);;*"
        )
        if path:
            self.take_file(path)

    def take_file(self, path: str) -> None:
        """Take a file as reference data; it is added to the map."""
        layer = QgsVectorLayer(path, os.path.splitext(os.path.basename(path))[0], "ogr")
        if not layer.isValid():
            self.panel.say(tr("{path} cannot be loaded as polygons or points.").format(path=path), bad=True)
            return
        QgsProject.instance().addMapLayer(layer)
        self.layer.setLayer(layer)

    def _layer_chosen(self, layer: QgsMapLayer | None) -> None:
        quietly(self.field, lambda: self.field.setLayer(layer))
        if self._loading or layer is None:
            return
        self.choose("reference", source_of(layer))
        likely = [one for one in ("class", "classe", "crop", "code", "label") if layer.fields().lookupField(one) >= 0]
        if likely:
            quietly(self.field, lambda: self.field.setField(likely[0]))
        self.choose("class_field", self.field.currentField())

    # ------------------------------------------------------------------ classes

    def _read_table(self) -> None:
        self._table = None
        path = self.project.path("nomenclature")
        if path.exists():
            try:
                self._table = read_table(path)
            except LandloomError as error:
                self.panel.say(str(error), bad=True)
        quietly(self.table, self._fill_table)
        groups = alike(self._table.rows) if self._table else []
        self.table.setVisible(self._table is not None)
        self.together.setVisible(self._table is not None)
        self.spellings.setVisible(bool(groups))
        self.spellings.setText(tr("Merge spellings: {count} ...").format(count=len(groups)))
        levels = max((len(row.parents) for row in self._table.rows), default=0) if self._table else 0
        quietly(self.level, lambda: self.level.setMaximum(levels))

    def _fill_table(self) -> None:
        rows = self._table.rows if self._table else ()
        levels = max((len(row.parents) for row in rows), default=0)
        self.table.setColumnCount(LEVEL1 + max(1, levels))
        headings = [tr("Value"), tr("Code"), tr("Name"), tr("Colour"), tr("Features"), tr("ha")]
        headings += [tr("Level {number}").format(number=i + 1) for i in range(max(1, levels))]
        self.table.setHorizontalHeaderLabels(headings)
        self.table.setRowCount(len(rows))
        for index, row in enumerate(rows):
            count = "" if row.count is None else str(row.count)
            hectares = "" if row.hectares is None else f"{row.hectares:.1f}"
            texts = [row.value, str(row.code), row.name, "", count, hectares]
            texts += [row.parents[i] if i < len(row.parents) else "" for i in range(max(1, levels))]
            for column, text in enumerate(texts):
                cell = QTableWidgetItem(text)
                if column in (VALUE, COLOR, COUNT, HECTARES):
                    cell.setFlags(cell.flags() & ~Qt.ItemFlag.ItemIsEditable)
                if column == VALUE:
                    cell.setFlags(cell.flags() | Qt.ItemFlag.ItemIsUserCheckable)
                    cell.setCheckState(Qt.CheckState.Checked if row.use else Qt.CheckState.Unchecked)
                elif column == COLOR:
                    cell.setBackground(QColor(row.color))
                    cell.setToolTip(tr("A double click changes the colour."))
                self.table.setItem(index, column, cell)
        self.table.resizeColumnsToContents()
        self.table.setColumnWidth(NAME, max(110, self.table.columnWidth(NAME)))
        self.table.setColumnWidth(COLOR, 50)

    def _edited(self, item: QTableWidgetItem) -> None:
        if self._table is None or self._loading:
            return
        index, column, text = item.row(), item.column(), item.text().strip()
        row = self._table.rows[index]
        if column == VALUE:
            changed = replace(row, use=item.checkState() == Qt.CheckState.Checked)
        elif column == CODE:
            changed = replace(row, code=int(text) if text.isdigit() else -1)
        elif column == NAME:
            changed = replace(row, name=text)
        elif column >= LEVEL1:
            parents = [*row.parents, *[""] * (column - LEVEL1 + 1 - len(row.parents))]
            parents[column - LEVEL1] = text
            while parents and not parents[-1]:
                parents.pop()
            changed = replace(row, parents=tuple(parents))
        else:
            return
        self._keep([changed if i == index else one for i, one in enumerate(self._table.rows)], row, changed)

    def _keep(self, rows: list[Row], before: Row | None = None, after: Row | None = None) -> None:
        """Write the table; what belongs to a class is changed in all its rows."""
        if self._table is None:
            return
        if before is not None and after is not None:
            if after.parents != before.parents:
                rows = [replace(one, parents=after.parents) if one.code == after.code else one for one in rows]
            if after.color != before.color:
                rows = [replace(one, color=after.color) if one.code == after.code else one for one in rows]
        try:
            made = NomenclatureTable(rows, self._table.source)
            write_table(made, self.project.path("nomenclature"), self.project.settings.class_field)
        except LandloomError as error:
            self.panel.say(str(error), bad=True)
            quietly(self.table, self._fill_table)
            return
        self.panel.say("")
        self._read_table()
        self.panel.keep()

    def _color(self, index: int, column: int) -> None:
        if column != COLOR or self._table is None:
            return
        row = self._table.rows[index]
        color = QColorDialog.getColor(QColor(row.color), self, row.name)
        if color.isValid():
            changed = replace(row, color=color.name())
            self._keep([changed if one is row else one for one in self._table.rows], row, changed)

    def _merge_spellings(self) -> None:
        """Ask for each group of like names."""
        if self._table is None:
            return
        made = self._table
        for group in alike(made.rows):
            names = ", ".join(f"'{row.name}' ({row.count or 0})" for row in group)
            question = tr("One class, '{name}'? {names}").format(name=group[0].name, names=names)
            if QMessageBox.question(self, tr("Merge spellings"), question) == QMessageBox.StandardButton.Yes:
                made = merge(made, [row.value for row in group])
        self._keep(made.rows)

    def _merge_chosen(self) -> None:
        chosen = sorted({item.row() for item in self.table.selectedItems()})
        if self._table is None or len(chosen) < 2:
            self.panel.say(tr("Choose two or more rows to merge."))
            return
        self._keep(merge(self._table, [self._table.rows[i].value for i in chosen]).rows)

    # ------------------------------------------------------------------ samples

    def _show_samples(self) -> None:
        self._curves = self.project.report("samples_report")
        titles = [one.get("title", "") for one in self._curves.get("curves", [])]
        quietly(self.curve, self.curve.clear)
        quietly(self.curve, lambda: self.curve.addItems(titles))
        self.curve.setVisible(bool(titles))
        self._show_curve()
        rows = []
        path = self.project.beside("samples_report", "suspects.csv")
        if path.exists():
            with path.open(newline="", encoding="utf-8") as stream:
                rows = list(csv.DictReader(stream))
        quietly(self.suspects, lambda: self._fill_suspects(rows))
        self.suspects.setVisible(bool(rows))
        self.suspects_told.setText(
            tr("Features that look like another class: {count}. A click shows one.").format(count=len(rows))
            if rows
            else ""
        )

    def _fill_suspects(self, rows: list[dict[str, str]]) -> None:
        self.suspects.setRowCount(len(rows))
        for index, row in enumerate(rows):
            for column, name in enumerate(("feature", "class", "looks_like")):
                self.suspects.setItem(index, column, QTableWidgetItem(as_given(row.get(name) or "")))

    def _show_curve(self, _index: int = 0) -> None:
        while self._picture.count():
            widget = self._picture.takeAt(0).widget()
            if widget is not None:
                widget.hide()
                widget.deleteLater()
        curves, index = self._curves.get("curves", []), self.curve.currentIndex()
        if not 0 <= index < len(curves):
            return
        one, classes = curves[index], self._curves.get("classes", [])
        names = [str(known.get("name")) for known in classes]
        colors = {row.code: row.color for row in self._table.rows} if self._table else {}
        nan = float("nan")
        series = {
            name: [nan if value is None else value for value in mean]
            for name, mean in zip(names, one["mean"], strict=False)
        }
        chosen = [colors.get(known.get("code"), "#808080") for known in classes]
        svg = lines(one["title"], one["days"], series, tr("day"), one["title"], chosen)
        self._picture.addWidget(SvgView(svg))

    def _show_suspect(self) -> None:
        index = self.suspects.currentRow()
        layer = self._find_layer(self.project.settings.reference)
        canvas = self.panel.canvas
        if index < 0 or layer is None or canvas is None:
            return
        number = self.suspects.item(index, 0).text()
        if number.lstrip("-").isdigit():
            canvas.zoomToFeatureIds(layer, [int(number)])
            canvas.zoomByFactor(3)
            canvas.flashFeatureIds(layer, [int(number)])


def source_of(layer: QgsMapLayer) -> str:
    """How a job names a layer: by its file, or by its id where it is filtered or in memory."""
    filtered = bool(layer.subsetString()) if isinstance(layer, QgsVectorLayer) else False
    return layer.source() if layer.providerType() == "ogr" and not filtered else layer.id()
