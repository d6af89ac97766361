"""sampledesign: a stratified random sample of a map, ready to be labelled."""

from __future__ import annotations

from typing import Any

from qgis.core import QgsProcessingContext, QgsProcessingFeedback

from ..model.base.language import tr
from . import declare
from .assess import raster_path
from .base import FeedbackProgress, LandloomAlgorithm
from .classify import MapLayer

ALLOCATIONS = ["rare", "proportional", "neyman", "equal"]


class SampleDesign(LandloomAlgorithm):
    """Plans and draws the points; see ``model/accuracy/sampledesign.py``."""

    ID = "sampledesign"
    NAME = "Sample design"
    GROUP = "6 Accuracy"
    SUMMARY = (
        "Draws a stratified random sample of a map's pixels, as large as a target standard error of the accuracy "
        "needs. The points come in random order with a form to label them in QGIS, in which the map's class is hidden; "
        "'Assess map' then gives the accuracy of the whole map and the area of its classes with their intervals."
    )
    EXAMPLE = (
        "qgis_process run landloom:sampledesign --MAP=map.tif --TARGET_ERROR=0.02 --OUTPUT=points.gpkg "
        "--REPORT=design.html"
    )
    TAGS = ("accuracy", "validation", "stratified sampling", "neyman", "cochran", "olofsson", "reference points")

    def initAlgorithm(self, configuration: dict[str, Any] | None = None) -> None:  # noqa: N802
        self.add_map("A raster of class codes with one band, whoever made it; its classes are the strata.")
        self.add(
            declare.number("TARGET_ERROR", "Target standard error", 0.02, 0.0001, 0.5),
            "Standard error of overall accuracy to be reached, a share above 0 and below 0.5: 0.02 gives a 95 % "
            "interval of about 4 percent points on each side.",
        )
        self.add(
            declare.whole("SIZE", "Points", 0, 0, 200_000), "Points in all; 0 takes as many as TARGET_ERROR needs."
        )
        self.add(
            declare.text("EXPECTED_ACCURACY", "Expected accuracy", "0.8", optional=True),
            "How accurate the classes are thought to be, shares from 0 to 1: one for all, and, after semicolons, of "
            "classes by name or code, such as 0.8; maize=0.6; 12=0.9. A wrong guess makes the error larger or smaller "
            "than asked, never the estimates biased.",
        )
        self.add(
            declare.choice("ALLOCATION", "Allocation", ALLOCATIONS, "rare"),
            "rare: proportional to area, with at least MIN_PER_CLASS points in each class; proportional; neyman: best "
            "for overall accuracy; equal: the same number in each class, best for the accuracy of each.",
        )
        self.add(
            declare.whole("MIN_PER_CLASS", "Least points of a class", 50, 0, 200_000),
            "For ALLOCATION rare: points that each class gets at least, 0 or more; all its pixels where it has fewer.",
        )
        self.add_nomenclature(
            "A table whose classes the form offers, also such as the map lacks; by default the map's. Give it to "
            "'Assess map' too.",
            advanced=True,
        )
        self.add_zero_is_class()
        self.add_seed()
        self.add_memory()
        self.add(
            declare.output_vector("OUTPUT", "Points", declare.POINTS),
            "Points at the centres of the pixels drawn, with a form and style; a GeoPackage keeps both inside.",
        )
        self.add_report("Page with the strata, their sizes and probabilities, and how to go on.")
        self.addOutput(declare.output_number("POINTS", "Points drawn"))
        self.addOutput(declare.output_number("EXPECTED_ERROR", "Expected standard error, a share"))

    def work(
        self, parameters: dict[str, Any], context: QgsProcessingContext, feedback: QgsProcessingFeedback
    ) -> dict[str, Any]:
        from ..model.accuracy.mapreading import CategoricalMap
        from ..model.accuracy.sampledesign import SampleSettings, draw, plan_sample, write_points
        from ..model.accuracy.samplereport import write_report
        from ..model.base.files import check_writable
        from ..model.base.vectorfile import check_vector_path

        progress = FeedbackProgress(feedback)
        output = self.parameterAsOutputLayer(parameters, "OUTPUT", context)
        report = self.parameterAsFileOutput(parameters, "REPORT", context) if parameters.get("REPORT") else ""
        check_vector_path(output)
        for path in (output, report):
            if path:
                check_writable(path)
        settings = SampleSettings(
            target_error=self.parameterAsDouble(parameters, "TARGET_ERROR", context),
            size=self.parameterAsInt(parameters, "SIZE", context),
            expected_accuracy=self.parameterAsString(parameters, "EXPECTED_ACCURACY", context) or "0.8",
            allocation=self.parameterAsEnumString(parameters, "ALLOCATION", context) or ALLOCATIONS[0],
            least=self.parameterAsInt(parameters, "MIN_PER_CLASS", context),
            nomenclature=self.parameterAsFile(parameters, "NOMENCLATURE", context) or "",
            zero=self.parameterAsBool(parameters, "ZERO_IS_CLASS", context),
            seed=self.parameterAsInt(parameters, "SEED", context),
            memory_mb=self.parameterAsInt(parameters, "MEMORY_MB", context),
        )
        source = CategoricalMap(raster_path(self, parameters, "MAP", context))
        progress.text(tr("Counting the map"))
        plan = plan_sample(source, settings, progress.part(0, 45))
        progress.text(tr("Drawing the points"))
        points = draw(source, plan, progress.part(45, 90))
        write_points(source, plan, points, output, progress.part(90, 98))
        for sentence in plan.warnings:
            progress.warning(sentence)
        for name, pixels, size in zip(plan.names, plan.pixels, plan.sizes, strict=True):
            progress.info(tr("{name}: {size} of {pixels} pixels").format(name=name, size=size, pixels=pixels))
        results: dict[str, Any] = {"OUTPUT": output}
        if report:
            write_report(plan, output, report)
            results["REPORT"] = report
        MapLayer.name_on_load(context, output, self.tr("Points to label"))
        progress.info(
            tr("{sizes} points; expected standard error of overall accuracy {error:.4f}.").format(
                sizes=int(plan.sizes.sum()), error=plan.error
            )
        )
        progress.percent(100)
        return results | {"POINTS": int(plan.sizes.sum()), "EXPECTED_ERROR": plan.error}
