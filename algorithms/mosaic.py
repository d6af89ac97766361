"""mosaic: maps of neighbouring tiles become one."""

from __future__ import annotations

from typing import Any

from qgis.core import QgsProcessingContext, QgsProcessingFeedback

from ..model.base.errors import LandloomError
from ..model.base.language import tr
from . import declare
from .base import FeedbackProgress, LandloomAlgorithm
from .classify import MapLayer
from .stackinputs import crs_or_none, number_or_none


class MakeMosaic(LandloomAlgorithm):
    """Streams through the maps; see ``model/mapping/mosaic.py``."""

    ID = "mosaic"
    NAME = "Mosaic maps"
    GROUP = "4 Maps"
    SUMMARY = (
        "Joins maps of neighbouring tiles, also of other UTM zones, to one map with overviews. Codes, names and "
        "colours are kept; where maps overlap, the more confident one counts."
    )
    EXAMPLE = (
        "qgis_process run landloom:mosaic --MAPS=38KPE.tif --MAPS=39KTV.tif --CONFIDENCES=38KPE_confidence.tif "
        "--CONFIDENCES=39KTV_confidence.tif --CRS=EPSG:32738 --OUTPUT=country.tif"
    )
    TAGS = ("merge", "tiles", "cog", "overviews", "utm", "country", "region")

    def initAlgorithm(self, configuration: dict[str, Any] | None = None) -> None:  # noqa: N802
        self.add(
            declare.rasters("MAPS", "Maps"),
            "Maps of class codes as 'Classify' writes them, in any CRS, with one nomenclature; 0 = no data. One map "
            "alone gets overviews.",
        )
        self.add(
            declare.rasters("CONFIDENCES", "Confidence of the maps", optional=True),
            "The CONFIDENCE of each map, 0 to 100 percent, in the order of MAPS: in overlaps the higher one counts. "
            "Empty: the first map that has data.",
        )
        self.add(
            declare.crs("CRS", "CRS of the mosaic", optional=True),
            "By default that of the first map. Maps of another CRS are brought to it by the nearest pixel.",
        )
        self.add(
            declare.number("RESOLUTION", "Pixel size", low=0.0, optional=True),
            "Pixel size in units of the CRS, above 0; by default that of the finest map.",
            advanced=True,
        )
        self.add_nomenclature(
            "Names and colours of the codes, for maps that have none. By default they come from the maps, the first "
            "that has them.",
            advanced=True,
        )
        self.add_memory()
        self.add(
            declare.output_raster("OUTPUT", "Mosaic", optional=True),
            "Cloud-optimised GeoTIFF of class codes with overviews, Byte or UInt16 by the largest code, 0 = no data, "
            "with colours, names and a style. Left out, only VRT is written.",
        )
        self.add(
            declare.output_raster("CONFIDENCE", "Confidence of the mosaic", optional=True, by_default=False),
            "GeoTIFF in percent, 0 to 100, 255 = no data; needs CONFIDENCES.",
        )
        self.add(
            declare.output_file("VRT", "Virtual mosaic", "VRT (*.vrt)", optional=True, by_default=False),
            "Virtual raster (.vrt) that shows the maps where they lie, at once and without a copy, the first of MAPS "
            "on top; it needs them to stay there.",
        )
        self.addOutput(declare.output_number("PIXELS", "Number of mapped pixels"))

    def work(
        self, parameters: dict[str, Any], context: QgsProcessingContext, feedback: QgsProcessingFeedback
    ) -> dict[str, Any]:
        from ..model.mapping.mosaic import mosaic
        from ..model.samples.tablefiles import read_table

        def sources(name: str) -> list[str]:
            layers = self.parameterAsLayerList(parameters, name, context) if parameters.get(name) else []
            return [layer.source() for layer in layers]

        maps = sources("MAPS")
        if not maps:
            raise LandloomError(tr("MAPS is missing: give the maps of the tiles."))
        table = self.parameterAsFile(parameters, "NOMENCLATURE", context)
        outputs = {
            name: self.parameterAsOutputLayer(parameters, name, context)
            for name in ("OUTPUT", "CONFIDENCE")
            if parameters.get(name)
        }
        virtual = self.parameterAsFileOutput(parameters, "VRT", context) if parameters.get("VRT") else None
        progress = FeedbackProgress(feedback)
        done = mosaic(
            maps,
            outputs.get("OUTPUT"),
            sources("CONFIDENCES"),
            outputs.get("CONFIDENCE"),
            crs_or_none(self, parameters, context),
            number_or_none(self, parameters, "RESOLUTION", context),
            read_table(table).nomenclature() if table else None,
            self.parameterAsInt(parameters, "MEMORY_MB", context),
            progress,
            virtual,
        )
        if "OUTPUT" in outputs:
            progress.info(
                tr("{pixels:,} pixels mapped, {overlap:,} of them by several maps.").format(
                    pixels=done.pixels, overlap=done.overlap
                )
            )
        titles = {"OUTPUT": self.tr("Mosaic"), "CONFIDENCE": self.tr("Confidence of the mosaic")}
        for name, path in outputs.items():
            MapLayer.name_on_load(context, path, titles[name])
        made = {**outputs, "VRT": virtual} if virtual else outputs
        return {**made, "PIXELS": done.pixels} if "OUTPUT" in outputs else made
