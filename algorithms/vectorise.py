"""vectorise: a map as polygons."""

from __future__ import annotations

from typing import Any

from qgis.core import QgsProcessingContext, QgsProcessingFeedback

from ..model.base.errors import LandloomError
from ..model.base.language import tr
from . import declare
from .base import FeedbackProgress, LandloomAlgorithm
from .classify import MapLayer
from .stackinputs import number_or_none

RASTERS = ("CONFIDENCE", "SHARES", "PROBABILITIES", "VALID_COUNT", "SEGMENTS")


class Vectorise(LandloomAlgorithm):
    """Streams through the map; see ``model/objects/vectorise.py``."""

    ID = "vectorise"
    NAME = "Vectorise"
    GROUP = "4 Maps"
    SUMMARY = (
        "Turns a map into polygons with class, area and, on request, mean confidence, shares of classes and valid "
        "dates. Borders are smoothed and simplified once for both neighbours: no gaps, no overlaps, valid geometries."
    )
    EXAMPLE = (
        "qgis_process run landloom:vectorise --MAP=regular.tif --CONFIDENCE=confidence.tif --SHARES=map.tif "
        "--TOLERANCE=8 --OUTPUT=map.gpkg"
    )
    TAGS = ("polygonize", "vector", "simplify", "smooth", "topology", "polygons")

    def initAlgorithm(self, configuration: dict[str, Any] | None = None) -> None:  # noqa: N802
        self.add_map("A map of class codes, such as 'Classify' or 'Regularise' write; 0 and no data give no polygon.")
        self.add(
            declare.number("TOLERANCE", "Tolerance", low=0.0, optional=True),
            "How far borders may move, in units of the map's CRS, 0 to 1.9 pixels: 0 follows the sides of the pixels; "
            "by default half a pixel, which removes the stairs.",
        )
        self.add(
            declare.number("MIN_AREA", "Smallest area (ha)", 0.0, 0.0),
            "Hectares, 0 or more: smaller patches join the neighbour with the longest common border, as in "
            "'Regularise'.",
        )
        self.add(
            declare.raster("CONFIDENCE", "Confidence", optional=True),
            "The CONFIDENCE raster of 'Classify' (0 to 100, 255 = no data): gives the field confidence, the mean of "
            "each polygon.",
        )
        self.add(
            declare.raster("SHARES", "Map whose classes are counted", optional=True),
            "A map of class codes, such as the one before 'Regularise': gives fields share_<code>, percent of the "
            "polygon's pixels with data. By default MAP itself, where SEGMENTS or MIN_AREA are given.",
            advanced=True,
        )
        self.add(
            declare.raster("PROBABILITIES", "Probabilities of all classes", optional=True),
            "The PROBABILITIES raster of 'Classify': gives fields prob_<code>, the mean of each polygon in percent.",
            advanced=True,
        )
        self.add(
            declare.raster("VALID_COUNT", "Number of valid dates", optional=True),
            "The VALID_COUNT raster of 'Prepare stack': gives fields valid_mean and valid_std, mean and standard "
            "deviation of the number of valid dates within each polygon.",
            advanced=True,
        )
        self.add(
            declare.raster("SEGMENTS", "Segments", optional=True),
            "Labels of objects, such as 'Segment' writes: the polygons are then these objects with their most frequent "
            "class, not the patches of the map.",
            advanced=True,
        )
        self.add_memory()
        self.add(
            declare.output_vector("OUTPUT", "Polygons"),
            "Polygons in the map's CRS and colours; fields: code, class, area_ha and those of the rasters given.",
        )
        self.addOutput(declare.output_number("POLYGONS", "Number of polygons"))

    def work(
        self, parameters: dict[str, Any], context: QgsProcessingContext, feedback: QgsProcessingFeedback
    ) -> dict[str, Any]:
        from ..model.objects.vectorise import VectoriseSettings, vectorise

        sources = {}
        for name in ("MAP", *RASTERS):
            if name != "MAP" and parameters.get(name) in (None, ""):
                continue
            layer = self.parameterAsRasterLayer(parameters, name, context)
            if layer is None or not layer.isValid():
                raise LandloomError(
                    tr("{name} {get} cannot be opened: give a raster that GDAL reads.").format(
                        name=name, get=parameters.get(name)
                    )
                )
            sources[name] = layer
        settings = VectoriseSettings(
            **{name.lower(): layer.source() for name, layer in sources.items() if name != "MAP"},
            tolerance=number_or_none(self, parameters, "TOLERANCE", context),
            min_area=self.parameterAsDouble(parameters, "MIN_AREA", context),
            memory_mb=self.parameterAsInt(parameters, "MEMORY_MB", context),
        )
        output = self.parameterAsOutputLayer(parameters, "OUTPUT", context)
        count = vectorise(sources["MAP"].source(), output, settings, FeedbackProgress(feedback))
        MapLayer.name_on_load(context, output, sources["MAP"].name())
        return {"OUTPUT": output, "POLYGONS": count}
