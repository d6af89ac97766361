"""segment: objects of an image, as a raster of labels and as polygons."""

from __future__ import annotations

from typing import Any

from qgis.core import QgsProcessingContext, QgsProcessingFeedback

from ..model.base.errors import LandloomError
from ..model.base.language import tr
from . import declare
from .base import FeedbackProgress
from .classify import MapLayer
from .mapinputs import MapAlgorithm


class Segment(MapAlgorithm):
    """Superpixels, region merging, stitched tiles; see ``model/objects/segmentation.py``."""

    ID = "segment"
    NAME = "Segment"
    GROUP = "5 Objects"
    SUMMARY = (
        "Cuts an image into objects such as fields: SLIC superpixels that are merged by the criterion of Baatz and "
        "Schäpe, as LSGRM and eCognition do, in bounded memory and without traces of tiles. The image is any raster at "
        "its own resolution (SPOT, Pléiades, aerial, a composite, descriptors), or sensors and dates of a stack."
    )
    EXAMPLE = (
        "qgis_process run landloom:segment --INPUT=spot.tif --MIN_SIZE=500 --OUTPUT=objects.tif --POLYGONS=objects.gpkg"
    )
    TAGS = ("obia", "object", "superpixel", "slic", "region merging", "baatz", "lsgrm", "multiresolution", "fields")

    def initAlgorithm(self, configuration: dict[str, Any] | None = None) -> None:  # noqa: N802
        self.add(
            declare.raster("INPUT", "Image", optional=True),
            "A raster: all its bands are used, with equal weights, each stretched so that its 2nd and 98th percentiles "
            "are 0 and 255. Give either this or a stack.",
        )
        self.add(
            declare.file("STACK", "Or a stack", declare.STACK, optional=True),
            "A stack.json made by 'Prepare stack' or 'Add rasters': its masks are used, what clouds hide is filled in.",
        )
        self.add(
            declare.text("SENSOR", "Sensors of the stack", optional=True),
            "One or several sensors of the stack, separated by commas, such as S2 or S2,S1_ASC; all by default. Radar "
            "is taken in dB.",
        )
        self.add(
            declare.text("DATES", "Dates of the stack", optional=True),
            "Dates such as 2021-05-03,2021-09-10, each of one of the sensors; pixels under clouds are interpolated in "
            "time. By default the medians of each quarter of the season.",
        )
        self.add(
            declare.number("SCALE", "Scale", low=0.01, optional=True),
            "How different the parts of an object may be, above 0: two neighbours merge while that costs less than "
            "SCALE squared. Larger values give larger objects. By default 80 m divided by the side of a pixel, for "
            "fields of some tenths of a hectare: 8 for Sentinel-2 (10 m), 13 for SPOT 6 and 7 (6 m), 53 where these "
            "are sharpened to 1.5 m; about twice that for fields above a hectare. The log tells how large the objects "
            "became.",
        )
        self.add(
            declare.number("MIN_SIZE", "Smallest object (m²)", 0.0, 0.0),
            "Square metres, 0 or more: smaller objects join the neighbour of the most similar colour. 0 keeps all.",
        )
        self.add(
            declare.number("COLOUR_WEIGHT", "Weight of colour", 0.5, 0.0, 1.0),
            "0 to 1: weight of colour; the rest is that of shape (shape weight = 1 - this).",
            advanced=True,
        )
        self.add(
            declare.number("COMPACTNESS_WEIGHT", "Weight of compactness", 0.5, 0.0, 1.0),
            "0 to 1: within shape, the weight of compactness; the rest is that of smooth borders.",
            advanced=True,
        )
        self.add(
            declare.whole("SUPERPIXEL", "Side of superpixels (pixels)", 4, 2, 32),
            "Pixels, 2 to 32: about the width of the narrowest object to be found. Larger is faster and takes less "
            "memory.",
            advanced=True,
        )
        self.add_area(
            "Part of the image to segment, in any coordinate system; all of it by default.",
            "Polygons or a raster: pixels whose centre is outside (in a raster: 0 or no data) belong to no object.",
        )
        self.add_memory()
        self.add(
            declare.output_raster("OUTPUT", "Objects"),
            "GeoTIFF (UInt32) with the number of the object of each pixel, 1 to N, 0 = no data or outside the mask. "
            "Every object is connected by pixel sides.",
        )
        self.add(
            declare.output_vector("POLYGONS", "Polygons of the objects", optional=True, by_default=False),
            "Polygons along the sides of pixels, with shared borders; fields: id (that of the raster) and area_m2.",
        )
        self.addOutput(declare.output_number("OBJECTS", "Number of objects"))

    def work(
        self, parameters: dict[str, Any], context: QgsProcessingContext, feedback: QgsProcessingFeedback
    ) -> dict[str, Any]:
        from ..model.base.vectorfile import check_vector_path
        from ..model.objects.polygons import write_object_polygons
        from ..model.objects.segmentation import SegmentSettings, open_image, read_labels, segment

        progress = FeedbackProgress(feedback)
        raster = None
        if parameters.get("INPUT") not in (None, ""):
            layer = self.parameterAsRasterLayer(parameters, "INPUT", context)
            if layer is None or not layer.isValid():
                raise LandloomError(
                    tr("INPUT {parameters} cannot be opened: give a raster that GDAL reads.").format(
                        parameters=parameters["INPUT"]
                    )
                )
            raster = layer.source()
        memory = self.parameterAsInt(parameters, "MEMORY_MB", context)
        image = open_image(
            raster,
            self.parameterAsFile(parameters, "STACK", context) or None,
            self.listed(parameters, "SENSOR", context, upper=True),
            self.listed(parameters, "DATES", context),
            memory,
        )
        polygons = self.parameterAsOutputLayer(parameters, "POLYGONS", context) if parameters.get("POLYGONS") else ""
        if polygons:
            check_vector_path(polygons, "POLYGONS")
        output = self.parameterAsOutputLayer(parameters, "OUTPUT", context)
        settings = SegmentSettings(
            None if parameters.get("SCALE") in (None, "") else self.parameterAsDouble(parameters, "SCALE", context),
            self.parameterAsDouble(parameters, "COLOUR_WEIGHT", context),
            self.parameterAsDouble(parameters, "COMPACTNESS_WEIGHT", context),
            self.parameterAsDouble(parameters, "MIN_SIZE", context),
            self.parameterAsInt(parameters, "SUPERPIXEL", context),
            self.mask_source(parameters, context, feedback),
            self.bounds_in(parameters, image.grid.crs_wkt, context),
            memory,
        )
        count = segment(image, output, settings, progress.part(0, 75 if polygons else 100))
        results: dict[str, Any] = {"OUTPUT": output, "OBJECTS": count}
        MapLayer.name_on_load(context, output, self.tr("Objects (raster)"))
        if polygons:
            grid, read = read_labels(output)
            write_object_polygons(read, grid, count, polygons, memory, progress.part(75, 100))
            results["POLYGONS"] = polygons
            MapLayer.name_on_load(context, polygons, self.tr("Objects"))
        return results

    def listed(
        self, parameters: dict[str, Any], name: str, context: QgsProcessingContext, upper: bool = False
    ) -> list[str]:
        """Names separated by commas."""
        text = self.parameterAsString(parameters, name, context) or ""
        parts = [one.strip() for one in text.replace(";", ",").split(",") if one.strip()]
        return [one.upper() for one in parts] if upper else parts
