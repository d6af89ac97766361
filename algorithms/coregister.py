"""coregister: the shifts of dates or of an image, measured and applied at reading."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qgis.core import (
    QgsCoordinateReferenceSystem,
    QgsProcessingContext,
    QgsProcessingFeedback,
)

from ..model.base.errors import LandloomError
from ..model.base.files import check_writable
from ..model.base.language import tr
from ..model.base.provenance import gather
from ..model.base.tablefile import check_table_path
from ..model.stack.coregister import DateShift, coregister
from ..model.stack.coregisterimage import coregister_image
from ..model.stack.coregisterreference import CoregisterSettings
from ..model.stack.correlation import WINDOW
from ..model.stack.grid import Bounds
from ..model.stack.manifest import Stack
from ..model.stack.rasterinfo import inspect
from ..model.stack.shiftreport import write_report, write_table
from . import declare
from .base import FeedbackProgress, LandloomAlgorithm


class Coregister(LandloomAlgorithm):
    """Measures in windows, block by block; see ``model/stack/coregister.py``."""

    ID = "coregister"
    NAME = "Co-register images"
    GROUP = "Tools"
    SUMMARY = (
        "Measures how far each date of a stack, or an image such as SPOT or Pléiades, lies from a reference, and moves "
        "it there at reading: nothing is copied, and no shift is applied that is longer than a limit or that windows "
        "do not agree on."
    )
    EXAMPLE = (
        "qgis_process run landloom:coregister --STACK=stack.json --SENSOR=S2 --OUTPUT=stack_aligned.json "
        "--TABLE=shifts.csv --REPORT=shifts.html"
    )
    TAGS = ("registration", "shift", "alignment", "phase correlation", "misregistration", "georeferencing", "spot")

    def initAlgorithm(self, configuration: dict[str, Any] | None = None) -> None:  # noqa: N802
        self.add_stack(
            "A stack.json whose dates are to be aligned; with INPUT, the stack that the image is aligned to.",
            optional=True,
        )
        self.add(
            declare.text("SENSOR", "Sensor", optional=True),
            "The sensors to align, separated by commas, such as S2 or S1_ASC; S1 means every S1_*. Empty: all with "
            "dates. With INPUT, the one sensor that is the reference.",
        )
        self.add(
            declare.raster("INPUT", "Image to align", optional=True),
            "In place of the dates of a stack: one image, such as SPOT, Pléiades or an orthophoto, in any CRS and of "
            "any pixel size.",
        )
        self.add(
            declare.raster("REFERENCE", "Reference", optional=True),
            "A raster that lies right, in any CRS. Empty: of each date the median of the others, or for series of "
            "fewer than 5 dates the clearest one; for INPUT the median of the dates of STACK.",
        )
        self.add(
            declare.text("REFERENCE_DATE", "Date as reference", optional=True),
            "In place of REFERENCE: a date of the sensor itself, such as 2021-01-13.",
            advanced=True,
        )
        self.add(
            declare.text("BAND", "Band", optional=True),
            "The band to compare: of a stack a name such as B8 or VV (empty: near infrared, else red, else the first); "
            "of INPUT a name or number (empty: the first).",
            advanced=True,
        )
        self.add(
            declare.text("REFERENCE_BAND", "Band of the reference", optional=True),
            "Name or number of its band to compare with; empty: the band of the same name, else the first.",
            advanced=True,
        )
        self.add(
            declare.number("MAX_SHIFT", "Longest shift (pixels)", 2.0, 0.0, 100.0),
            "Shifts longer than this, 0 to 100 pixels of the stack, are reported and not applied; of INPUT in the "
            "larger pixels of image and reference.",
        )
        self.add(
            declare.number("MIN_SHIFT", "Shortest shift (pixels)", 0.2, 0.0, 100.0),
            "Shifts shorter than this, in pixels, are not applied; what is this near to whole pixels is rounded to "
            "them, since they need no resampling.",
        )
        self.add(
            declare.extent("EXTENT", "Extent", optional=True),
            "Where windows are placed, in any coordinate system; everywhere by default. The shift holds for all.",
            advanced=True,
        )
        self.add(
            declare.whole("WINDOW", "Size of windows (pixels)", WINDOW, 32, 512),
            "Edge of the square windows in which shifts are measured, 32 to 512 pixels, twice as much for radar: "
            "larger ones bear more noise, smaller ones lie between clouds.",
            advanced=True,
        )
        self.add(
            declare.whole("WINDOWS", "Number of windows", 100, 3, 10000),
            "How many windows are spread over the images, 3 to 10,000; they overlap by half at most.",
            advanced=True,
        )
        self.add(
            declare.output_folder("COPY", "Folder for a copy", optional=True, by_default=False),
            "The moved pixels of the stack are copied to this folder, as by 'Prepare stack': quicker to read than what "
            "is resampled at each reading. Empty: nothing is copied.",
            advanced=True,
        )
        self.add_memory()
        self.add(
            declare.output_file("OUTPUT", "Aligned stack or image", "Stack (*.json);;Virtual raster (*.vrt)"),
            "The stack.json that is read with the shifts, which may be STACK itself; of INPUT a .vrt of the image in "
            "its new place.",
        )
        self.add(
            declare.output_file("TABLE", "Table", "CSV (*.csv);;OpenDocument (*.ods)", optional=True, by_default=False),
            "A line for each date: shift in pixels (dx to the right, dy down) and metres, windows, share that agrees, "
            "spread, applied or why not.",
        )
        self.add_report(
            "An HTML page with a picture of the shifts by date, and the same as JSON beside it.", by_default=False
        )
        self.addOutput(declare.output_number("APPLIED", "Number of images moved"))

    def work(
        self, parameters: dict[str, Any], context: QgsProcessingContext, feedback: QgsProcessingFeedback
    ) -> dict[str, Any]:
        def text(name: str) -> str:
            return (self.parameterAsString(parameters, name, context) or "").strip()

        def raster(name: str) -> str:
            if parameters.get(name) in (None, ""):
                return ""
            layer = self.parameterAsRasterLayer(parameters, name, context)
            return layer.source() if layer is not None else text(name)

        image, path = raster("INPUT"), self.parameterAsFile(parameters, "STACK", context) or ""
        if not image and not path:
            raise LandloomError(tr("STACK is missing: give a stack.json, or an image as INPUT."))
        output = self.parameterAsFileOutput(parameters, "OUTPUT", context)
        if not output:
            raise LandloomError(tr("OUTPUT is missing: give a stack.json to write, or with INPUT a .vrt."))
        wanted = ".vrt" if image else ".json"
        if Path(output).suffix.lower() != wanted:
            raise LandloomError(
                tr("OUTPUT {output} must end in {wanted}, since {what} is aligned.").format(
                    output=output, wanted=wanted, what=tr("an image") if image else tr("a stack")
                )
            )
        results: dict[str, Any] = {"OUTPUT": output}
        for name in ("TABLE", "REPORT"):
            if parameters.get(name):
                results[name] = self.parameterAsFileOutput(parameters, name, context)
                check_writable(results[name])
        if "TABLE" in results:
            check_table_path(results["TABLE"], "TABLE")
        reference = raster("REFERENCE")
        crs = Stack.read(path).grid.crs_wkt if path else inspect(reference or image).grid.crs_wkt
        settings = CoregisterSettings(
            tuple(name.strip().upper() for name in text("SENSOR").split(",") if name.strip()),
            reference,
            text("REFERENCE_DATE"),
            text("BAND"),
            text("REFERENCE_BAND"),
            self.parameterAsDouble(parameters, "MAX_SHIFT", context),
            self.parameterAsDouble(parameters, "MIN_SHIFT", context),
            self._bounds(parameters, context, crs),
            self.parameterAsInt(parameters, "WINDOW", context),
            self.parameterAsInt(parameters, "WINDOWS", context),
            self.parameterAsInt(parameters, "MEMORY_MB", context),
            self.parameterAsString(parameters, "COPY", context) if parameters.get("COPY") else "",
        )
        if image and settings.copy:
            raise LandloomError(
                tr("COPY is for stacks: an image keeps its pixels, only its place changes. Leave it empty.")
            )
        progress = FeedbackProgress(feedback)
        rows: list[DateShift]
        if image:
            rows = [coregister_image(image, output, settings, path or None, progress)]
        else:
            rows = coregister(path, output, settings, progress)[1]
        if "TABLE" in results:
            write_table(rows, results["TABLE"])
        if "REPORT" in results:
            inputs = {"STACK": path, "INPUT": image, "REFERENCE": reference}
            write_report(rows, settings, results["REPORT"], image or path, gather(inputs))
        return {**results, "APPLIED": sum(row.applied for row in rows)}

    def _bounds(self, parameters: dict[str, Any], context: QgsProcessingContext, crs_wkt: str) -> Bounds | None:
        if parameters.get("EXTENT") in (None, ""):
            return None
        crs = QgsCoordinateReferenceSystem.fromWkt(crs_wkt)
        extent = self.parameterAsExtent(parameters, "EXTENT", context, crs)
        if extent.isNull() or not extent.isFinite():
            raise LandloomError(tr("EXTENT is empty or not understood: give xmin,xmax,ymin,ymax and a CRS."))
        return extent.xMinimum(), extent.yMinimum(), extent.xMaximum(), extent.yMaximum()
