"""check: every problem of a stack and of reference data at once."""

from __future__ import annotations

from typing import Any

from qgis.core import QgsProcessingContext, QgsProcessingFeedback

from ..model.base.errors import LandloomError
from ..model.base.language import tr
from ..model.base.provenance import gather
from ..model.base.words import counted
from . import declare
from .base import FeedbackProgress, LandloomAlgorithm
from .nomenclature import reference_path


class Check(LandloomAlgorithm):
    """Gathers problems and raises none of them; see ``model/samples/preflight.py``."""

    ID = "check"
    NAME = "Check before the work"
    GROUP = "Tools"
    SUMMARY = (
        "Lists all problems of a stack and of reference data at once, each with what to do: files that are gone or "
        "changed, missing CRS, no overlap, empty or unlisted classes, classes with few features, gaps over 40 days, "
        "too little disk space. It also estimates the minutes and the disk that the next steps take."
    )
    EXAMPLE = (
        "qgis_process run landloom:check --STACK=stack.json --REFERENCE=fields.gpkg --CLASS_FIELD=crop "
        "--REPORT=check.html"
    )
    TAGS = ("verify", "validate", "problems", "preflight", "estimate", "disk space")

    def initAlgorithm(self, configuration: dict[str, Any] | None = None) -> None:  # noqa: N802
        self.add_stack("A stack.json made by 'Prepare stack' or 'Add rasters'.")
        self.add_reference("Polygons or points whose land cover is known, in any CRS.")
        self.add_class_field("The field that holds the class, whole numbers or text.")
        self.add_nomenclature(
            "The table that will be given to 'Extract samples'; values that it does not list are named."
        )
        self.add_report("The list of problems, what was looked at, and the estimates, as an HTML page.")
        self.addOutput(declare.output_number("PROBLEMS", "Number of problems"))

    def work(
        self, parameters: dict[str, Any], context: QgsProcessingContext, feedback: QgsProcessingFeedback
    ) -> dict[str, Any]:
        from ..model.samples.preflight import preflight, write_report

        stack = self.parameterAsFile(parameters, "STACK", context)
        if not stack:
            raise LandloomError(tr("STACK is missing: give a stack.json."))
        reference, crs = reference_path(self, parameters, context, feedback)
        nomenclature = self.parameterAsFile(parameters, "NOMENCLATURE", context) or ""
        found = preflight(
            stack,
            reference,
            self.parameterAsString(parameters, "CLASS_FIELD", context) or "",
            nomenclature,
            crs,
            FeedbackProgress(feedback),
        )
        for about, sentence in found.problems:
            feedback.pushWarning(f"{about}: {sentence}")
        for one in found.steps:
            feedback.pushInfo("; ".join(one.texts()))
        feedback.pushInfo(f"{counted(found.problems, 'problem')}." if found.problems else tr("No problem was found."))
        outputs: dict[str, Any] = {"PROBLEMS": len(found.problems)}
        report = self.parameterAsFileOutput(parameters, "REPORT", context) if parameters.get("REPORT") else ""
        if report:
            made = gather({"STACK": stack, "REFERENCE": reference, "NOMENCLATURE": nomenclature})
            write_report(found, report, stack, made)
            outputs["REPORT"] = report
        return outputs
