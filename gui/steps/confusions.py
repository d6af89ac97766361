"""Step 7: classes that are mixed up -> a polygon -> its series and its image, with one click."""

from __future__ import annotations

from qgis.core import (
    QgsCoordinateReferenceSystem,
    QgsCoordinateTransform,
    QgsCsException,
    QgsGeometry,
    QgsProject,
)
from qgis.gui import QgsRubberBand
from qgis.PyQt.QtCore import Qt
from qgis.PyQt.QtGui import QColor
from qgis.PyQt.QtWidgets import QCheckBox, QComboBox, QTreeWidget, QTreeWidgetItem

from ...model.base.errors import LandloomError
from ...model.base.language import tr
from .. import plan
from ..confusions import object_geometry, read_pairs
from ..dates import best_dates
from ..imagelayer import show_image
from .base import Step, quietly

_FEATURE = int(Qt.ItemDataRole.UserRole)
_MOST_FEATURES = 200
_SURROUNDINGS = 6.0  # the map window is so many times as wide as the polygon


class ConfusionsStep(Step):
    """Lists confusions and leads to their places."""

    NAME = "confusions"

    @staticmethod
    def title() -> str:
        return tr("Confusions")

    @staticmethod
    def explanation() -> str:
        return tr(
            "Which classes the map mixes up, the worst first. A click on a polygon shows it on the map over the image, "
            "with its time series: is its label wrong, or the class hard?"
        )

    def build(self) -> None:
        self._band: QgsRubberBand | None = None
        self._shown: tuple | None = None
        self.judged = QComboBox()
        self.judged.addItem(tr("the preview"), "preview")
        self.judged.addItem(tr("the full map"), "map")
        self.judged.currentIndexChanged.connect(self._judged_chosen)
        self.form.addRow(tr("Of"), self.judged)
        self.unlearnt = QCheckBox(tr("Only polygons that the model has not learnt from"))
        self.unlearnt.setToolTip(
            tr(
                "A model remembers what it learnt: there it is right, but for the worst labels. With EVALUATION folds, "
                "the choice where labels are few, the final model has learnt from every polygon: then tick this off."
            )
        )
        self.unlearnt.toggled.connect(lambda on: self.choose("unlearnt", on))
        self.form.addRow("", self.unlearnt)
        self.image = QComboBox()
        self.form.addRow(tr("Image"), self.image)
        self.pages = [
            self.report_button(tr("Open the report"), "preview_accuracy"),
            self.report_button(tr("Open the report"), "accuracy_report"),
        ]
        self.row(self.button(tr("Look for confusions"), plan.assess), *self.pages)
        self.tree = QTreeWidget()
        self.tree.setHeaderLabels([tr("Reference → map"), tr("Pixels")])
        self.tree.setMinimumHeight(260)
        self.tree.currentItemChanged.connect(lambda item, _before: self._chosen(item))
        self.tree.itemClicked.connect(lambda item, _column: self._chosen(item))
        self.whole.addWidget(self.tree, 1)
        self.told = self.sentence()

    def refresh(self) -> None:
        settings = self.project.settings
        whole = settings.judged == "map"
        quietly(self.judged, lambda: self.judged.setCurrentIndex(int(whole)))
        quietly(self.unlearnt, lambda: self.unlearnt.setChecked(settings.unlearnt))
        self.enable(*self.pages)
        for page, shown in zip(self.pages, (not whole, whole), strict=True):
            page.setVisible(shown)
        self._fill_images()
        quietly(self.tree, self._fill_tree)

    def show_feature(self, feature: int) -> None:
        """Show a reference feature: on the map, its image and its series."""
        whole = self.project.settings.judged == "map"
        try:
            wkb, wkt = object_geometry(self.project.path("objects" if whole else "preview_objects"), feature)
            outline = QgsGeometry()
            outline.fromWkb(wkb)
            crs = QgsCoordinateReferenceSystem.fromWkt(wkt)
            self._show_image(outline)
            self._go_to(outline, crs)
        except (LandloomError, QgsCsException) as error:
            self.panel.say(str(error), bad=True)

    def stop(self) -> None:
        """Take the outline off the map."""
        if self._band is not None and self.panel.canvas is not None:
            self.panel.canvas.scene().removeItem(self._band)
        self._band = None

    # ------------------------------------------------------------------ inside

    def _judged_chosen(self, _index: int) -> None:
        self.choose("judged", self.judged.currentData())
        self.load()

    def _fill_images(self) -> None:
        before = self.image.currentData()
        try:
            rows = best_dates(self.project.dates())
        except (LandloomError, OSError):
            rows = []
        self.image.clear()
        for row in rows:
            share = "" if row.valid is None else f" ({100 * row.valid:.0f} %)"
            self.image.addItem(f"{row.sensor} {row.date}{share}", (row.sensor, row.date))
        self.image.setCurrentIndex(max(0, self.image.findData(before)) if rows else -1)

    def _fill_tree(self) -> None:
        self.tree.clear()
        name = "assessment" if self.project.settings.judged == "map" else "preview_assessment"
        if not self.project.has(name):
            self.told.setText(tr("Not looked for yet."))
            return
        try:
            pairs = read_pairs(self.project.path(name))
        except LandloomError as error:
            self.told.setText(str(error))
            return
        for pair in pairs:
            top = QTreeWidgetItem([f"{pair.reference} → {pair.mapped}", str(pair.pixels)])
            for feature, pixels in pair.features[:_MOST_FEATURES]:
                child = QTreeWidgetItem([tr("Feature {number}").format(number=feature), str(pixels)])
                child.setData(0, _FEATURE, feature)
                top.addChild(child)
            self.tree.addTopLevelItem(top)
        self.tree.setColumnWidth(0, 260)
        self.told.setText(
            tr("Pairs of classes that are mixed up: {count}.").format(count=len(pairs))
            if pairs
            else tr("Map and reference data agree everywhere.")
        )

    def _chosen(self, item: QTreeWidgetItem | None) -> None:
        feature = item.data(0, _FEATURE) if item is not None else None
        if feature is not None and not self._loading:
            self.show_feature(int(feature))

    def _show_image(self, outline: QgsGeometry) -> None:
        chosen = self.image.currentData()
        if chosen is None:
            return
        box = outline.boundingBox()
        box.grow(max(box.width(), box.height()) * (_SURROUNDINGS - 1) / 2)
        if (chosen, self.project.folder) != self._shown or not QgsProject.instance().mapLayersByName(" ".join(chosen)):
            self._shown = (chosen, self.project.folder)
            sensor, date = chosen
            show_image(str(self.project.path("stack")), sensor, date, QgsProject.instance(), box, on_top=True)

    def _go_to(self, outline: QgsGeometry, crs: QgsCoordinateReferenceSystem) -> None:
        canvas = self.panel.canvas
        if canvas is None:
            return
        change = QgsCoordinateTransform(crs, canvas.mapSettings().destinationCrs(), QgsProject.instance())
        shown = QgsGeometry(outline)
        shown.transform(change)
        box = shown.boundingBox()
        least = canvas.mapUnitsPerPixel() if box.isEmpty() else 0.0
        box.grow(max(box.width(), box.height(), 20 * least) * (_SURROUNDINGS - 1) / 2)
        canvas.setExtent(box)
        self.stop()
        self._band = QgsRubberBand(canvas, shown.type())
        self._band.setStrokeColor(QColor("#d4308a"))
        self._band.setFillColor(QColor(0, 0, 0, 0))
        self._band.setWidth(3)
        self._band.setToGeometry(shown, None)
        canvas.refresh()
        dock = self.panel.set_pixel_sources()
        if dock is not None:
            dock.show()
            dock.show_pixel(shown.pointOnSurface().asPoint())
