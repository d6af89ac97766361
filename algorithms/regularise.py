"""regularise: a map with fewer single pixels and small patches."""

from __future__ import annotations

from typing import Any

from qgis.core import QgsProcessingContext, QgsProcessingFeedback

from ..model.base.errors import LandloomError
from ..model.base.language import tr
from . import declare
from .base import FeedbackProgress, LandloomAlgorithm
from .classify import MapLayer


class Regularise(LandloomAlgorithm):
    """Streams through the map; see ``model/mapping/regularise.py``."""

    ID = "regularise"
    NAME = "Regularise"
    GROUP = "4 Maps"
    SUMMARY = (
        "Removes single pixels and small patches from a map: a majority vote around each pixel, then a smallest area "
        "(minimum mapping unit), for all classes or each its own. Chosen classes stay as they are, no data too; names, "
        "colours and style are kept."
    )
    EXAMPLE = (
        "qgis_process run landloom:regularise --MAP=map.tif --RADIUS=1 --MIN_AREA='0.1;3=0.5' --KEEP=7 "
        "--OUTPUT=regular.tif"
    )
    TAGS = ("majority", "filter", "sieve", "mmu", "minimum mapping unit", "smooth", "clean", "salt and pepper")

    def initAlgorithm(self, configuration: dict[str, Any] | None = None) -> None:  # noqa: N802
        self.add_map("A map of class codes, such as 'Classify' writes; 0 or its declared no data where there is none.")
        self.add(
            declare.whole("RADIUS", "Radius of the majority vote (pixels)", 1, 0, 25),
            "Pixels, 0 to 25; 0 for no vote. Each pixel takes the most frequent class of a disc around it (1: 3 x 3 "
            "pixels); a tie leaves it as it is.",
        )
        self.add(
            declare.text("MIN_AREA", "Smallest area (ha)", "", optional=True),
            "Hectares, 0 or more, none by default. Smaller patches take the class of the neighbour with the longest "
            "common border. For single classes write code=hectares, all separated by semicolons: 0.1;3=0.5;7=0.",
        )
        self.add(
            declare.text("KEEP", "Classes to keep", optional=True),
            "Codes separated by commas, such as 5,7 for roads and water: no pixel of these classes changes, and no "
            "other pixel becomes one of them.",
        )
        self.add_memory()
        self.add(
            declare.output_raster("OUTPUT", "Regularised map"),
            "GeoTIFF of class codes like the map, with its colours, names and style, 0 = no data.",
        )
        self.addOutput(declare.output_number("CHANGED", "Share of pixels that changed, 0 to 1"))

    def work(
        self, parameters: dict[str, Any], context: QgsProcessingContext, feedback: QgsProcessingFeedback
    ) -> dict[str, Any]:
        from ..model.mapping.regularise import RegulariseSettings, parse_areas, parse_codes, regularise

        layer = self.parameterAsRasterLayer(parameters, "MAP", context)
        if layer is None or not layer.isValid():
            raise LandloomError(
                tr("MAP {get} cannot be opened: give a map of class codes.").format(get=parameters.get("MAP"))
            )
        general, by_class = parse_areas(self.parameterAsString(parameters, "MIN_AREA", context) or "")
        settings = RegulariseSettings(
            self.parameterAsInt(parameters, "RADIUS", context),
            general,
            by_class,
            parse_codes(self.parameterAsString(parameters, "KEEP", context) or ""),
            self.parameterAsInt(parameters, "MEMORY_MB", context),
        )
        output = self.parameterAsOutputLayer(parameters, "OUTPUT", context)
        progress = FeedbackProgress(feedback)
        done = regularise(layer.source(), output, settings, progress)
        share = done.changed / max(1, done.pixels)
        progress.info(
            tr("{changed:,} of {pixels:,} pixels changed ({share:.1f} %).").format(
                changed=done.changed, pixels=done.pixels, share=100 * share
            )
        )
        MapLayer.name_on_load(context, output, self.tr("{} (regularised)").format(layer.name()))
        return {"OUTPUT": output, "CHANGED": share}
