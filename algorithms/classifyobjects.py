"""classifyobjects: polygons with class and confidence from segments and a model of objects."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qgis.core import QgsProcessingContext, QgsProcessingFeedback

from ..model.base.errors import LandloomError
from ..model.base.language import tr
from . import declare
from .base import FeedbackProgress
from .classify import MapLayer
from .objectinputs import ObjectAlgorithm


class ClassifyObjects(ObjectAlgorithm):
    """See ``model/objects/objectclassify.py``."""

    ID = "classifyobjects"
    NAME = "Classify objects"
    GROUP = "5 Objects"
    SUMMARY = (
        "Gives every object its class, confidence, second class and probabilities by a model of 'Train on objects'; "
        "with a map of pixels also the share of each class in the object. As polygons and, if wanted, as a raster."
    )
    EXAMPLE = (
        "qgis_process run landloom:classifyobjects --STACK=stack.json --SEGMENTS=segments.gpkg "
        "--MODEL=objects.safetensors --OUTPUT=land_cover.gpkg"
    )
    TAGS = ("obia", "map", "fields", "segments", "moringa")

    def initAlgorithm(self, configuration: dict[str, Any] | None = None) -> None:  # noqa: N802
        self.add_stack("A stack.json with the sensors and bands of the model; its dates and year may differ.")
        self.add_segments()
        self.add_model("A model made by 'Train on objects'.")
        self.add_rasters()
        self.add_descriptors(
            "The pixel model whose descriptors the model of objects reads, if it is not where it was in training."
        )
        self.add(
            declare.raster("MAP", "Map of pixels", optional=True),
            "A map of 'Classify' with the same codes: the share of each class in every object is written too.",
        )
        self.add_device()
        self.add_memory()
        self.add(
            declare.output_vector("OUTPUT", "Classified objects", declare.POLYGONS),
            "Polygons with class (code; 0 outside the images), name, confidence in percent, second and second_name, "
            "p_CODE (probability 0 to 1), share_CODE (of MAP, 0 to 1), object, pixels and small (fewer than four).",
        )
        self.add(
            declare.output_raster("RASTER", "The same as a raster", optional=True, by_default=False),
            "GeoTIFF of class codes on the stack's grid, 0 = no object, with colours and names.",
        )
        self.addOutput(declare.output_number("OBJECTS", "Number of objects"))

    def work(
        self, parameters: dict[str, Any], context: QgsProcessingContext, feedback: QgsProcessingFeedback
    ) -> dict[str, Any]:
        from ..model.base.files import check_writable
        from ..model.base.vectorfile import check_vector_path
        from ..model.objects.objectclassify import classify_objects

        stack, model = (self.file(parameters, name, context) for name in ("STACK", "MODEL"))
        output = self.parameterAsOutputLayer(parameters, "OUTPUT", context)
        raster = self.parameterAsOutputLayer(parameters, "RASTER", context) if parameters.get("RASTER") else ""
        if not output:
            raise LandloomError(tr("OUTPUT is missing: give a file, such as land_cover.gpkg."))
        check_vector_path(output)
        for path in (output, raster):
            if path:
                check_writable(path)
        class_map = ""
        if parameters.get("MAP") not in (None, ""):
            layer = self.parameterAsRasterLayer(parameters, "MAP", context)
            if layer is None or not layer.isValid():
                raise LandloomError(
                    tr("MAP {parameters} cannot be opened: give a map made by 'Classify'.").format(
                        parameters=parameters["MAP"]
                    )
                )
            class_map = layer.source()
        progress = FeedbackProgress(feedback)
        progress.text(tr("Reading the segments"))
        segments = self.segments(parameters, context, feedback, progress)
        classify_objects(
            stack,
            segments,
            model,
            output,
            self.raster_files(parameters, context),
            class_map,
            self.parameterAsFile(parameters, "DESCRIPTORS", context) or "",
            raster,
            self.parameterAsInt(parameters, "MEMORY_MB", context),
            self.parameterAsEnumString(parameters, "DEVICE", context) or declare.DEVICES[0],
            progress,
        )
        name = Path(model).stem
        results: dict[str, Any] = {"OUTPUT": output, "OBJECTS": len(segments)}
        MapLayer.name_on_load(context, output, self.tr("Objects ({})").format(name))
        if raster:
            MapLayer.name_on_load(context, raster, self.tr("Objects as a raster ({})").format(name))
            results["RASTER"] = raster
        return results
