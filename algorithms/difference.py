"""difference: what became of what between two maps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qgis.core import QgsProcessingContext, QgsProcessingFeedback, QgsProcessingUtils

from ..model.base.nomenclature import MOST_LEVELS
from . import declare
from .assess import raster_path
from .base import FeedbackProgress
from .classify import MapLayer
from .mapinputs import MapAlgorithm
from .nomenclature import reference_path


class Difference(MapAlgorithm):
    """Streams through both maps; see ``model/accuracy/difference.py``."""

    ID = "difference"
    NAME = "Difference of two maps"
    GROUP = "4 Maps"
    SUMMARY = (
        "Compares two maps of classes, such as those of two years or two runs: a map of what became of what, a table "
        "of hectares from each class to each class, and what every class lost and gained, also by zones. Differences "
        "hold the errors of both maps and are no estimate of the area that changed."
    )
    EXAMPLE = (
        "qgis_process run landloom:difference --BEFORE=map_2020.tif --AFTER=map_2021.tif --ZONES=districts.gpkg "
        "--ZONE_FIELD=name --OUTPUT=changes.tif --TABLE=changes.ods --REPORT=changes.html"
    )
    TAGS = ("change", "transition", "from-to", "gain", "loss", "compare", "cross", "years")

    def initAlgorithm(self, configuration: dict[str, Any] | None = None) -> None:  # noqa: N802
        self.add(
            declare.raster("BEFORE", "Map before"),
            "A raster of class codes with one band, whoever made it, such as that of the earlier year or of the first "
            "run; its pixels are those of the result.",
        )
        self.add(
            declare.raster("AFTER", "Map after"),
            "The map of the later year or of the other run. Its CRS, pixels and extent may be others: each pixel of "
            "BEFORE is then compared with the one at its centre, where both lie.",
        )
        self.add_zones("Polygons in any CRS, for a matrix of each; a pixel lies in a zone when its centre does.")
        self.add_nomenclature(
            "Names, colours and coarser classes for both maps. By default those of the maps hold: classes are the "
            "same when their names are; where a map has no names, when their codes are.",
            advanced=True,
        )
        self.add(
            declare.whole("LEVEL", "Level of the classes", 0, 0, MOST_LEVELS),
            "0: the classes of the maps. 1, 2...: the coarser classes of the nomenclature's columns level1, "
            "level2...: differences inside one of them do not count.",
            advanced=True,
        )
        self.add_zero_is_class(
            "Whether 0 is a class of both maps, as in maps of 0 and 1, where it is not declared as no data."
        )
        self.add_area(
            "Part of the maps to compare, in any coordinate system; all that both cover by default.",
            "Polygons or a raster (0 and no data are outside): nothing is compared outside, the result is 0 there.",
        )
        self.add_memory()
        self.add(
            declare.output_raster("OUTPUT", "Map of differences"),
            "GeoTIFF of from-to classes, 0 = no data, with names and colours: a change has the colour of the class "
            "that came, what did not change is pale. Codes are 100 x code before + code after where all codes are at "
            "most 99, else numbers from 1 on, listed in TABLE.",
        )
        self.add(
            declare.output_file("TABLE", "Table from-to", declare.TABLE, optional=True),
            "Table with a row for each pair of classes that occurs, by zone: codes, pixels, hectares, percent.",
        )
        self.add(
            declare.output_file("CLASSES", "Table of losses and gains", declare.TABLE, optional=True, by_default=False),
            "Table with a row for each class, by zone: hectares before, after, unchanged, lost, gained and net.",
        )
        self.add_report(
            "Page with the matrix in hectares, losses and gains of each class, the largest differences, and the zones."
        )
        self.addOutput(declare.output_number("CHANGED", "Share of the compared pixels that differ, 0 to 1"))

    def work(
        self, parameters: dict[str, Any], context: QgsProcessingContext, feedback: QgsProcessingFeedback
    ) -> dict[str, Any]:
        from ..model.accuracy.difference import (
            CLASS_HEADER,
            HEADER,
            DifferenceSettings,
            class_rows,
            difference,
            honest_sentence,
            table_rows,
        )
        from ..model.accuracy.differencereport import summary, write_report
        from ..model.accuracy.mappair import MapPair
        from ..model.accuracy.mapreading import CategoricalMap
        from ..model.base.files import check_writable
        from ..model.base.tablefile import check_table_path, write_rows
        from ..model.samples.tablefiles import read_table

        progress = FeedbackProgress(feedback)
        files = {
            name: self.parameterAsFileOutput(parameters, name, context)
            for name in ("TABLE", "CLASSES", "REPORT")
            if parameters.get(name)
        }
        for name, path in files.items():
            if name != "REPORT":
                check_table_path(path, name)
            check_writable(path)
        before = CategoricalMap(raster_path(self, parameters, "BEFORE", context), "BEFORE")
        after = CategoricalMap(raster_path(self, parameters, "AFTER", context), "AFTER")
        for one in (before, after):
            one.leave_out_unsure()
            if self.parameterAsBool(parameters, "ZERO_IS_CLASS", context):
                one.use_zero()
        zones, crs = "", ""
        if parameters.get("ZONES") not in (None, ""):
            zones, crs = reference_path(self, parameters, context, feedback, "ZONES")
        nomenclature = self.parameterAsFile(parameters, "NOMENCLATURE", context) or ""
        settings = DifferenceSettings(
            read_table(nomenclature).nomenclature() if nomenclature else None,
            self.parameterAsInt(parameters, "LEVEL", context),
            zones,
            self.parameterAsString(parameters, "ZONE_FIELD", context) or "",
            crs,
            self.parameterAsInt(parameters, "MEMORY_MB", context),
        )
        mask = self.mask_source(parameters, context, feedback)
        pair = MapPair(before, after, self.bounds_in(parameters, before.grid.crs_wkt, context))
        output = self.parameterAsOutputLayer(parameters, "OUTPUT", context)
        found = difference(pair, output, settings, mask, progress.part(0, 95))
        for sentence in found.warnings:
            progress.warning(sentence)
        if "TABLE" in files:
            write_rows(files["TABLE"], HEADER, table_rows(found), "changes")
        if "CLASSES" in files:
            write_rows(files["CLASSES"], CLASS_HEADER, class_rows(found), "classes")
        if "REPORT" in files:
            inputs = {"BEFORE": before.path, "AFTER": after.path, "ZONES": zones, "NOMENCLATURE": nomenclature}
            write_report(found, {**inputs, "MASK": mask or ""}, files["REPORT"])
        progress.info(summary(found))
        progress.info(honest_sentence())
        title = self.tr("Difference ({before} -> {after})").format(
            before=Path(before.path).stem, after=Path(after.path).stem
        )
        if MapLayer.name_on_load(context, output, title, title) and "TABLE" in files:
            _load_table(context, files["TABLE"], self.tr("Hectares from class to class"), title)
        progress.percent(100)
        return {"OUTPUT": output, **files, "CHANGED": found.whole.changed.pixels / max(1, found.whole.pixels)}


def _load_table(context: QgsProcessingContext, path: str, title: str, group: str) -> None:
    """Show a table beside the map in the layer tree; numbers of a CSV file as numbers."""
    source = f"{path}|option:AUTODETECT_TYPE=YES" if path.lower().endswith(".csv") else path
    details = QgsProcessingContext.LayerDetails(title, context.project(), "TABLE", QgsProcessingUtils.LayerHint.Vector)
    details.groupName = group
    details.forceName = True
    context.addLayerToLoadOnCompletion(source, details)
