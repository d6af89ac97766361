"""assess: a map against reference polygons or points."""

from __future__ import annotations

from typing import Any

from qgis.core import (
    QgsProcessingContext,
    QgsProcessingFeedback,
)

from ..model.base.errors import LandloomError
from ..model.base.language import tr
from ..model.base.nomenclature import MOST_LEVELS
from . import declare
from .base import FeedbackProgress, LandloomAlgorithm
from .classify import MapLayer
from .nomenclature import reference_path
from .train import sample_folders

DESIGNS = ["auto", "purposive", "random", "stratified"]


class Assess(LandloomAlgorithm):
    """Judges any map of classes; see ``model/accuracy/assess.py``."""

    ID = "assess"
    NAME = "Assess map"
    GROUP = "6 Accuracy"
    SUMMARY = (
        "Compares any map of classes (of Landloom, iota2, sits...) with reference polygons or points: confusion "
        "matrix, scores per pixel and per polygon, and where classes are mixed up. From a probability sample, such as "
        "labelled points of 'Sample design', also the accuracy of the whole map and the area of its classes with 95 % "
        "intervals."
    )
    EXAMPLE = (
        "qgis_process run landloom:assess --MAP=map.tif --REFERENCE=control.gpkg --CLASS_FIELD=crop --SAMPLES=samples "
        "--REPORT=accuracy.html --TABLE=accuracy.json --OBJECTS=objects.gpkg"
    )
    TAGS = ("accuracy", "confusion matrix", "kappa", "validation", "area estimate", "olofsson", "iota2")

    def initAlgorithm(self, configuration: dict[str, Any] | None = None) -> None:  # noqa: N802
        self.add_map(
            "A raster of class codes with one band, whoever made it. What it declares as no data is not judged, nor is "
            "0, unless 0 is a class of the reference."
        )
        self.add_reference(
            "Polygons or points whose land cover is known, in any CRS; best some that did not train the map."
        )
        self.add_class_field(
            "The field that holds the class: a code or a name of the map, or a value that NOMENCLATURE lists. Features "
            "without a class are left out."
        )
        self.add_samples(
            "Folders of 'Extract samples' that trained the map: reference features whose group is in their training or "
            "validation part are not judged. Without it the report says that independence is unknown.",
            optional=True,
        )
        self.add_model(
            "The model that made the map: its file says which groups trained it (with EVALUATION folds all of them) "
            "and in which folders they are, so that SAMPLES may be left out.",
            optional=True,
            advanced=True,
        )
        self.add(
            declare.field("GROUP_FIELD", "Group field", optional=True),
            "Features with the same value, such as a farm, count as one draw.",
            advanced=True,
        )
        self.add_nomenclature(
            "A table that says which value of CLASS_FIELD is which code of the map; those with use = no are left out. "
            "Without it classes are matched by the map's names or by code."
        )
        self.add(
            declare.whole("LEVEL", "Level of the nomenclature", 0, 0, MOST_LEVELS),
            "0 for the classes themselves; 1, 2... for coarser.",
            advanced=True,
        )
        self.add(
            declare.raster("CONFIDENCE", "Confidence", optional=True),
            "The map's confidence, 0 to 100 percent or shares of 0 to 1; its mean goes into OBJECTS.",
        )
        self.add(
            declare.choice("DESIGN", "How the reference was chosen", DESIGNS, "auto"),
            "purposive: not by chance, so that the figures hold for the inside of these polygons only. random: simple "
            "or systematic sample of points. stratified: drawn by strata. auto: stratified where STRATUM_FIELD or "
            "PROBABILITY_FIELD is given, else purposive.",
        )
        self.add(
            declare.field("STRATUM_FIELD", "Stratum field", optional=True),
            "Stratum of each point. Without PROBABILITY_FIELD strata must be the classes of this map.",
            advanced=True,
        )
        self.add(
            declare.field("PROBABILITY_FIELD", "Probability field", optional=True),
            "Inclusion probability of each unit, above 0 to 1: pixels drawn over pixels in the stratum. Points without "
            "a class stay in the layer: they say how large the strata are.",
            advanced=True,
        )
        self.add_seed()
        self.add_memory()
        self.add_report(
            "Page with scores, intervals, matrices and the places where classes are mixed up; beside it the same "
            "figures as JSON, which 'Areas' takes, and CSV."
        )
        self.add(
            declare.output_file("TABLE", "Table", declare.JSON, optional=True, by_default=False),
            "All figures as JSON; 'Areas' takes it.",
        )
        self.add(
            declare.output_file("MATRIX", "Confusion matrix", declare.CSV, optional=True, by_default=False),
            "Confusion matrix in pixels as CSV: codes of the reference in rows, of the map in columns.",
        )
        self.add(
            declare.output_vector("OBJECTS", "Reference objects", optional=True),
            "The reference features with mapped class, agreement, confidence and verdict, styled.",
        )
        self.add_scores("Overall accuracy, 0 to 1; by area from a probability sample, else per pixel")

    def work(
        self, parameters: dict[str, Any], context: QgsProcessingContext, feedback: QgsProcessingFeedback
    ) -> dict[str, Any]:
        from ..model.accuracy.assess import assess
        from ..model.accuracy.assessfiles import write_assessment, write_matrix, write_objects
        from ..model.accuracy.assessment import AssessmentSettings
        from ..model.accuracy.assessreport import write_report
        from ..model.base.files import check_writable
        from ..model.base.reportfiles import beside
        from ..model.base.vectorfile import check_vector_path

        def text(name: str) -> str:
            return self.parameterAsString(parameters, name, context) or ""

        progress = FeedbackProgress(feedback)
        given = {name for name in ("REPORT", "TABLE", "MATRIX", "OBJECTS") if parameters.get(name)}
        results: dict[str, Any] = {
            name: self.parameterAsFileOutput(parameters, name, context) for name in given - {"OBJECTS"}
        }
        if "OBJECTS" in given:
            results["OBJECTS"] = self.parameterAsOutputLayer(parameters, "OBJECTS", context)
            check_vector_path(results["OBJECTS"], "OBJECTS")
        for path in results.values():
            check_writable(path)
        reference, crs = reference_path(self, parameters, context, feedback)
        samples = parameters.get("SAMPLES")
        settings = AssessmentSettings(
            class_field=text("CLASS_FIELD"),
            group_field=text("GROUP_FIELD"),
            nomenclature=self.parameterAsFile(parameters, "NOMENCLATURE", context) or "",
            level=self.parameterAsInt(parameters, "LEVEL", context),
            samples=tuple(str(folder) for folder in sample_folders(samples)) if samples else (),
            model=self.parameterAsFile(parameters, "MODEL", context) or "",
            confidence=raster_path(self, parameters, "CONFIDENCE", context) if parameters.get("CONFIDENCE") else "",
            design=self.parameterAsEnumString(parameters, "DESIGN", context) or DESIGNS[0],
            stratum_field=text("STRATUM_FIELD"),
            probability_field=text("PROBABILITY_FIELD"),
            reference_crs=crs,
            seed=self.parameterAsInt(parameters, "SEED", context),
            memory_mb=self.parameterAsInt(parameters, "MEMORY_MB", context),
        )
        done = assess(raster_path(self, parameters, "MAP", context), reference, settings, progress)
        if "REPORT" in results:
            write_report(done, results["REPORT"])
            write_assessment(done, beside(results["REPORT"], "report.json"))
            write_matrix(done, beside(results["REPORT"], "matrix_pixel.csv"))
        if "TABLE" in results:
            write_assessment(done, results["TABLE"])
        if "MATRIX" in results:
            write_matrix(done, results["MATRIX"])
        if "OBJECTS" in results:
            write_objects(done, results["OBJECTS"], progress)
            MapLayer.name_on_load(context, results["OBJECTS"], self.tr("Reference objects"))
        overall = done.pixel.overall_accuracy if done.estimates is None else done.estimates.overall.value
        progress.info(
            tr("Overall accuracy {overall_accuracy:.3f}, kappa {kappa:.3f}, macro F1 {macro_f1:.3f} per pixel.").format(
                overall_accuracy=done.pixel.overall_accuracy, kappa=done.pixel.kappa, macro_f1=done.pixel.macro_f1
            )
        )
        if done.estimates is not None:
            low, high = done.estimates.overall.interval
            progress.info(
                tr("Overall accuracy of the whole map {overall:.3f} (95 % interval {low:.3f} to {high:.3f}).").format(
                    overall=overall, low=low, high=high
                )
            )
        if done.estimates is None and not settings.samples and not settings.model:
            progress.warning(done.independence)  # an accuracy of 0.999 on what trained the map is no good news
        progress.percent(100)
        numbers = {"OVERALL_ACCURACY": overall, "KAPPA": done.pixel.kappa, "MACRO_F1": done.pixel.macro_f1}
        return results | numbers


def raster_path(
    algorithm: LandloomAlgorithm, parameters: dict[str, Any], name: str, context: QgsProcessingContext
) -> str:
    """The file of a raster parameter.

    Raises:
        LandloomError: if it cannot be loaded.
    """
    layer = algorithm.parameterAsRasterLayer(parameters, name, context)
    if layer is None or not layer.isValid():
        raise LandloomError(
            tr("{name} {get} cannot be loaded as a raster; check the path.").format(name=name, get=parameters.get(name))
        )
    if layer.dataProvider().name() != "gdal":
        raise LandloomError(
            tr("{name} must be a raster file, not a layer of {name2}: save it first.").format(
                name=name, name2=layer.dataProvider().name()
            )
        )
    return layer.source()
