"""Steps 5, 6, 8 and 9: the preview, the network, the full map, and the page for others."""

from __future__ import annotations

from qgis.core import QgsCoordinateReferenceSystem, QgsCoordinateTransform, QgsCsException, QgsProject
from qgis.PyQt.QtWidgets import QComboBox, QDoubleSpinBox, QHBoxLayout, QLabel, QLineEdit, QPushButton

from ...model.base.errors import LandloomError
from ...model.base.language import tr
from ...model.stack.manifest import Stack
from .. import plan
from .base import Step, quietly


def scores_text(report: dict) -> str:
    """The accuracy that a training reports, one sentence; empty where there is none."""
    scores = report.get("scores")
    pixel = scores.get("pixel") if isinstance(scores, dict) else None
    if not isinstance(pixel, dict):
        return ""
    found = [pixel.get("overall_accuracy"), pixel.get("macro_f1")]
    shown = [f"{100 * one:.1f} %" if isinstance(one, int | float) else tr("unknown") for one in found]
    return tr("Overall accuracy {accuracy}, mean F1 of the classes {f1}, on groups not learnt from.").format(
        accuracy=shown[0], f1=shown[1]
    )


class PreviewStep(Step):
    """A forest, minutes after the samples."""

    NAME = "preview"

    @staticmethod
    def title() -> str:
        return tr("Preview")

    @staticmethod
    def explanation() -> str:
        return tr(
            "A random forest and its map of 5 x 5 km: within minutes you see whether images and classes are right."
        )

    def build(self) -> None:
        here = QPushButton(tr("The map window's"))
        here.clicked.connect(self._here)
        middle = QPushButton(tr("The images'"))
        middle.clicked.connect(lambda: self.choose("preview_centre", ""))
        line = QHBoxLayout()
        line.addWidget(here)
        line.addWidget(middle)
        line.addStretch(1)
        self.form.addRow(tr("Middle"), line)
        self.place = self.sentence()
        self.page = self.report_button(tr("Open the report"), "forest_report")
        self.row(self.button(tr("Make the preview"), plan.preview), self.page)
        self.scores = self.sentence()

    def refresh(self) -> None:
        self.enable(self.page)
        try:
            self.place.setText(tr("Square: {extent}").format(extent=plan.preview_extent(self.project)))
        except LandloomError as error:
            self.place.setText(str(error))
        self.scores.setText(scores_text(self.project.report("forest_report")))

    def _here(self) -> None:
        canvas = self.panel.canvas
        if canvas is None or not self.project.has("stack"):
            return
        crs = QgsCoordinateReferenceSystem.fromWkt(Stack.read(self.project.path("stack")).grid.crs_wkt)
        change = QgsCoordinateTransform(canvas.mapSettings().destinationCrs(), crs, QgsProject.instance())
        try:
            place = change.transform(canvas.center())
        except QgsCsException as error:
            self.panel.say(str(error), bad=True)
            return
        self.choose("preview_centre", f"{place.x():.9g},{place.y():.9g}")


class NetworkStep(Step):
    """The network, trained in the background."""

    NAME = "network"

    @staticmethod
    def title() -> str:
        return tr("Network")

    @staticmethod
    def explanation() -> str:
        return tr(
            "Trains the model of the final map in the background: go on working. When PyTorch is loaded, the window "
            "may halt for a moment, once."
        )

    def build(self) -> None:
        self.network = QComboBox()
        for name, text in (
            ("ltae", tr("ltae: quick, takes clouds as they are")),
            ("twinns", tr("twinns: sees 5 x 5 pixels, slower")),
            ("tempcnn", tr("tempcnn: convolutions in time")),
            ("randomforest", tr("randomforest: needs no PyTorch")),
        ):
            self.network.addItem(text, name)
        self.network.currentIndexChanged.connect(lambda _i: self.choose("network", self.network.currentData()))
        self.form.addRow(tr("Network"), self.network)
        self.page = self.report_button(tr("Open the report"), "model_report")
        self.row(self.button(tr("Train"), plan.network), self.page)
        self.scores = self.sentence()

    def refresh(self) -> None:
        self.enable(self.page)
        quietly(
            self.network,
            lambda: self.network.setCurrentIndex(max(0, self.network.findData(self.project.settings.network))),
        )
        self.scores.setText(scores_text(self.project.report("model_report")))


class MapStep(Step):
    """The whole map with its confidence and its areas."""

    NAME = "map"

    @staticmethod
    def title() -> str:
        return tr("Map")

    @staticmethod
    def explanation() -> str:
        return tr("Maps all of the images with the trained network, and measures the area of each class.")

    def build(self) -> None:
        self.unsure = QDoubleSpinBox()
        self.unsure.setRange(0, 50)
        self.unsure.setSuffix(" %")
        self.unsure.setDecimals(1)
        self.unsure.setSpecialValueText(tr("every pixel gets a class"))
        self.unsure.valueChanged.connect(lambda value: self.choose("unsure", float(value)))
        self.form.addRow(tr("Share of errors accepted"), self.unsure)
        self.pages = [
            self.report_button(tr("Areas"), "areas_report"),
            self.report_button(tr("Training"), "model_report"),
            self.report_button(tr("Accuracy"), "accuracy_report"),
        ]
        self.other = QPushButton(tr("Compare with another map ..."))
        self.other.setToolTip(tr("What became of what between a map of another year or run and this one."))
        self.other.setProperty("landloom", "map")
        self.other.clicked.connect(self._compare)
        self.row(self.button(tr("Make the map"), plan.full_map), self.other)
        self.whole.addWidget(QLabel(tr("Reports:")))
        self.row(*self.pages)
        self.scores = self.sentence()

    def refresh(self) -> None:
        self.enable(*self.pages, self.other)
        quietly(self.unsure, lambda: self.unsure.setValue(self.project.settings.unsure))
        self.scores.setText(scores_text(self.project.report("model_report")))

    def _compare(self) -> None:
        """The dialog of 'Difference of two maps', with this map as the later one."""
        from processing import execAlgorithmDialog

        execAlgorithmDialog("landloom:difference", {"AFTER": str(self.project.path("map"))})


class ShareStep(Step):
    """The page to print and the package to send."""

    NAME = "share"

    @staticmethod
    def title() -> str:
        return tr("Share")

    @staticmethod
    def explanation() -> str:
        return tr(
            "A page of the map as PDF with legend, scale and accuracy, and a zip with map, style, metadata and reports."
        )

    def build(self) -> None:
        self.texts = {}
        for name, label in (
            ("title", tr("Title")),
            ("organisation", tr("Organisation")),
            ("licence", tr("Licence")),
        ):
            line = QLineEdit()
            line.editingFinished.connect(lambda n=name, w=line: self.choose(n, w.text().strip()))
            self.form.addRow(label, line)
            self.texts[name] = line
        self.language = QComboBox()
        for code, text in (("auto", tr("as QGIS")), ("en", "English"), ("fr", "français")):
            self.language.addItem(text, code)
        self.language.currentIndexChanged.connect(lambda _i: self.choose("language", self.language.currentData()))
        self.form.addRow(tr("Language"), self.language)
        self.page = self.report_button(tr("Open the page"), "page")
        self.row(self.button(tr("Make page and package"), plan.share), self.page)

    def refresh(self) -> None:
        settings = self.project.settings
        self.enable(self.page)
        for name, line in self.texts.items():
            line.setText(getattr(settings, name))
        quietly(
            self.language,
            lambda: self.language.setCurrentIndex(max(0, self.language.findData(settings.language))),
        )
