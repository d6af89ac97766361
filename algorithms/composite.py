"""composite: one image without clouds for each month, quarter or season of a stack."""

from __future__ import annotations

from typing import Any

from qgis.core import QgsCoordinateReferenceSystem, QgsProcessingContext, QgsProcessingFeedback

from ..model.base.errors import LandloomError
from ..model.base.language import tr
from ..model.stack.composite import STATISTICS, CompositeSettings, composite
from ..model.stack.indices import parse_indices
from ..model.stack.manifest import Stack
from ..model.stack.periods import PERIODS
from . import declare
from .base import FeedbackProgress, LandloomAlgorithm


class Composite(LandloomAlgorithm):
    """Reads, computes and writes in blocks; see ``model/stack/composite.py``."""

    ID = "composite"
    NAME = "Composite"
    GROUP = "1 Images"
    SUMMARY = (
        "Makes cloud-free images of a stack, one for each month, quarter or season, from the valid dates of every "
        "pixel: medians, percentiles, or the date with the highest NDVI. They carry their period, so that QGIS's "
        "temporal controller steps through them."
    )
    EXAMPLE = (
        "qgis_process run landloom:composite --STACK=stack.json --SENSOR=S2 --PERIOD=month --INDICES=NDVI "
        "--OUTPUT=composites"
    )
    TAGS = ("mosaic", "cloud free", "median", "ndvi", "monthly", "temporal", "percentile")

    def initAlgorithm(self, configuration: dict[str, Any] | None = None) -> None:  # noqa: N802
        self.add_stack("A stack.json made by 'Prepare stack' or 'Add rasters'; its masks are used as in training.")
        self.add(
            declare.text("SENSOR", "Sensor", "S2"),
            "The sensor of the stack to composite, such as S2 or S1_ASC. Radar is averaged as power and written in dB.",
        )
        self.add(
            declare.choice("PERIOD", "Period", PERIODS, "month"),
            "month: a calendar month; quarter: three, season: twelve months from the start of the stack's season; all: "
            "one composite of all dates.",
        )
        self.add(
            declare.choice("STATISTIC", "Statistic", STATISTICS, "median"),
            "Of the valid dates of a pixel: their median or a percentile (10 to 90) band by band, or all bands of the "
            "date with the highest NDVI.",
        )
        self.add(
            declare.text("INDICES", "Indices", optional=True),
            "Indices, each written as a raster of its own, separated by commas: NDVI, NDWI (as iota2: SWIR and NIR, "
            "minus NDMI), NDMI, MNDWI, BRIGHTNESS, VV-VH, or expressions such as EVI=2.5*(B8-B4)/(B8+6*B4-7.5*B2+1).",
        )
        self.add(
            declare.extent("EXTENT", "Extent", optional=True),
            "Part of the stack to composite, in any coordinate system; all of it by default.",
        )
        self.add_memory()
        self.add(
            declare.output_folder("OUTPUT", "Composites"),
            "A folder of GeoTIFFs named by sensor, statistic, first and last day, each with a style (.qml) that holds "
            "its period; composite.json lists them with the dates used.",
        )
        self.addOutput(declare.output_number("RASTERS", "Number of rasters"))

    def work(
        self, parameters: dict[str, Any], context: QgsProcessingContext, feedback: QgsProcessingFeedback
    ) -> dict[str, Any]:
        path = self.parameterAsFile(parameters, "STACK", context)
        if not path:
            raise LandloomError(tr("STACK is missing: give a stack.json."))
        output = self.parameterAsString(parameters, "OUTPUT", context)
        if not output:
            raise LandloomError(tr("OUTPUT is missing: give the name of a folder for the composites."))
        stack = Stack.read(path)
        bounds = None
        if parameters.get("EXTENT") not in (None, ""):
            crs = QgsCoordinateReferenceSystem.fromWkt(stack.grid.crs_wkt)
            extent = self.parameterAsExtent(parameters, "EXTENT", context, crs)
            if extent.isNull() or not extent.isFinite():
                raise LandloomError(tr("EXTENT is empty or not understood: give xmin,xmax,ymin,ymax and a CRS."))
            bounds = (extent.xMinimum(), extent.yMinimum(), extent.xMaximum(), extent.yMaximum())
        settings = CompositeSettings(
            (self.parameterAsString(parameters, "SENSOR", context) or "").strip().upper(),
            self.parameterAsEnumString(parameters, "PERIOD", context) or "month",
            self.parameterAsEnumString(parameters, "STATISTIC", context) or "median",
            parse_indices(self.parameterAsString(parameters, "INDICES", context) or ""),
            bounds,
            self.parameterAsInt(parameters, "MEMORY_MB", context),
        )
        if not settings.sensor:
            raise LandloomError(tr("SENSOR is empty: name one of {sensors}.").format(sensors=", ".join(stack.sensors)))
        paths = composite(stack, output, settings, FeedbackProgress(feedback))
        return {"OUTPUT": output, "RASTERS": len(paths)}
