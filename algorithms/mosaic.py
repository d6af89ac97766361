"""mosaic: maps of neighbouring tiles become one."""

from __future__ import annotations

from typing import Any

from qgis.core import (
    QgsProcessing,
    QgsProcessingContext,
    QgsProcessingFeedback,
    QgsProcessingOutputNumber,
    QgsProcessingParameterCrs,
    QgsProcessingParameterFile,
    QgsProcessingParameterFileDestination,
    QgsProcessingParameterMultipleLayers,
    QgsProcessingParameterRasterDestination,
)

from ..model.base.errors import LandloomError
from ..model.base.language import tr
from .base import FeedbackProgress, LandloomAlgorithm
from .classify import MapLayer
from .nomenclature import TABLE_FILTER
from .stackinputs import crs_or_none, number_or_none, optional_number


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
        tr = self.tr
        self.add(
            QgsProcessingParameterMultipleLayers("MAPS", tr("Maps"), QgsProcessing.SourceType.TypeRaster),
            "Maps of class codes as 'Classify' writes them, in any CRS, with one nomenclature; 0 = no data. One map "
            "alone gets overviews.",
        )
        self.add(
            QgsProcessingParameterMultipleLayers(
                "CONFIDENCES", tr("Confidence of the maps"), QgsProcessing.SourceType.TypeRaster, optional=True
            ),
            "The CONFIDENCE of each map, 0 to 100 percent, in the order of MAPS: in overlaps the higher one counts. "
            "Empty: the first map that has data.",
        )
        self.add(
            QgsProcessingParameterCrs("CRS", tr("CRS of the mosaic"), optional=True),
            "By default that of the first map. Maps of another CRS are brought to it by the nearest pixel.",
        )
        self.add(
            optional_number("RESOLUTION", tr("Pixel size"), minimum=0.0),
            "Pixel size in units of the CRS, above 0; by default that of the finest map.",
            advanced=True,
        )
        self.add(
            QgsProcessingParameterFile(
                "NOMENCLATURE",
                tr("Nomenclature"),
                behavior=QgsProcessingParameterFile.Behavior.File,
                optional=True,
                fileFilter=TABLE_FILTER,
            ),
            "Names and colours of the codes, for maps that have none. By default they come from the maps, the first "
            "that has them.",
            advanced=True,
        )
        self.add_memory()
        self.add(
            QgsProcessingParameterRasterDestination("OUTPUT", tr("Mosaic"), optional=True),
            "Cloud-optimised GeoTIFF of class codes with overviews, Byte or UInt16 by the largest code, 0 = no data, "
            "with colours, names and a style. Left out, only VRT is written.",
        )
        self.add(
            QgsProcessingParameterRasterDestination(
                "CONFIDENCE", tr("Confidence of the mosaic"), optional=True, createByDefault=False
            ),
            "GeoTIFF in percent, 0 to 100, 255 = no data; needs CONFIDENCES.",
        )
        self.add(
            QgsProcessingParameterFileDestination(
                "VRT", tr("Virtual mosaic"), "VRT (*.vrt)", optional=True, createByDefault=False
            ),
            "Virtual raster (.vrt) that shows the maps where they lie, at once and without a copy, the first of MAPS "
            "on top; it needs them to stay there.",
        )
        self.addOutput(QgsProcessingOutputNumber("PIXELS", tr("Number of mapped pixels")))

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
