"""areas: hectares and percent of each class by zone."""

from __future__ import annotations

from typing import Any

from qgis.core import QgsProcessingContext, QgsProcessingFeedback

from ..model.base.language import tr
from . import declare
from .assess import raster_path
from .base import FeedbackProgress, LandloomAlgorithm
from .nomenclature import reference_path


class Areas(LandloomAlgorithm):
    """Counts a map by zones; see ``model/accuracy/areas.py``."""

    ID = "areas"
    NAME = "Areas"
    GROUP = "6 Accuracy"
    SUMMARY = (
        "Writes a table of hectares and percent of each class of a map, by zones such as districts and for the whole "
        "map. With the assessment of a probability sample, also the area of each class on the whole map corrected for "
        "the map's errors, with its 95 % interval."
    )
    EXAMPLE = (
        "qgis_process run landloom:areas --MAP=map.tif --ZONES=districts.gpkg --ZONE_FIELD=name "
        "--ASSESSMENT=accuracy.json --OUTPUT=areas.ods"
    )
    TAGS = ("area", "hectares", "zonal", "statistics", "districts", "histogram")

    def initAlgorithm(self, configuration: dict[str, Any] | None = None) -> None:  # noqa: N802
        self.add_map(
            "A raster of class codes with one band, whoever made it, in any CRS: in degrees, pixels are measured on "
            "the ellipsoid."
        )
        self.add_zones(
            "Polygons in any CRS; a pixel lies in a zone when its centre does. Without zones, the whole map alone."
        )
        self.add(
            declare.file("ASSESSMENT", "Assessment", declare.JSON, optional=True),
            "The TABLE of 'Assess map' for this very map, from a probability sample.",
        )
        self.add_zero_is_class()
        self.add_memory()
        self.add(
            declare.output_file("OUTPUT", "Table", declare.TABLE),
            "Table with a row for each zone and class: pixels, hectares, percent, and, for the whole map, the "
            "estimate.",
        )
        self.add_report("Page with the same figures, zones in rows and classes in columns.")

    def work(
        self, parameters: dict[str, Any], context: QgsProcessingContext, feedback: QgsProcessingFeedback
    ) -> dict[str, Any]:
        from ..model.accuracy.areas import HEADER, join_assessment, measure_areas, pixel_sentence, table_rows
        from ..model.accuracy.areasreport import write_report
        from ..model.accuracy.assessfiles import read_assessment
        from ..model.accuracy.mapreading import CategoricalMap
        from ..model.base.files import check_writable
        from ..model.base.tablefile import check_table_path, write_rows

        progress = FeedbackProgress(feedback)
        output = self.parameterAsFileOutput(parameters, "OUTPUT", context)
        report = self.parameterAsFileOutput(parameters, "REPORT", context) if parameters.get("REPORT") else ""
        check_table_path(output)
        for path in (output, report):
            if path:
                check_writable(path)
        zones, crs = "", ""
        if parameters.get("ZONES") not in (None, ""):
            zones, crs = reference_path(self, parameters, context, feedback, "ZONES")
        zone_field = self.parameterAsString(parameters, "ZONE_FIELD", context) or ""
        path = self.parameterAsFile(parameters, "ASSESSMENT", context) or ""
        assessment = read_assessment(path) if path else None
        source = CategoricalMap(raster_path(self, parameters, "MAP", context))
        if self.parameterAsBool(parameters, "ZERO_IS_CLASS", context):
            source.use_zero()
        progress.text(tr("Counting the map"))
        memory = self.parameterAsInt(parameters, "MEMORY_MB", context)
        areas = measure_areas(source, zones or None, zone_field, crs, memory, progress.part(0, 95))
        if assessment is not None:
            join_assessment(areas, assessment, path)
        for sentence in areas.warnings:
            progress.warning(sentence)
        rows = list(table_rows(areas))
        write_rows(output, HEADER, rows, "areas")
        results: dict[str, Any] = {"OUTPUT": output}
        if report:
            write_report(areas, {"MAP": source.path, "ZONES": zones, "ASSESSMENT": path}, report)
            results["REPORT"] = report
        progress.info(
            tr("{hectares:.2f} ha with data in {n_zones} zones and the whole map.").format(
                hectares=areas.whole.hectares, n_zones=len(areas.zones)
            )
        )
        if zones:
            progress.info(pixel_sentence())
        progress.percent(100)
        return results
