"""objectfeatures: statistics of the pixels of objects, as a table."""

from __future__ import annotations

from typing import Any

from qgis.core import QgsProcessingContext, QgsProcessingFeedback

from ..model.base.errors import LandloomError
from ..model.base.language import tr
from . import declare
from .base import FeedbackProgress
from .objectinputs import ObjectAlgorithm


class ObjectFeatures(ObjectAlgorithm):
    """Tile by tile; see ``model/objects/features.py``."""

    ID = "objectfeatures"
    NAME = "Features of objects"
    GROUP = "5 Objects"
    SUMMARY = (
        "Measures objects: means, standard deviations and percentiles of every date of a stack and of other rasters at "
        "their own resolution, over valid pixels only, with indices, texture and shape. One row an object."
    )
    EXAMPLE = (
        "qgis_process run landloom:objectfeatures --SEGMENTS=fields.gpkg --STACK=stack.json --RASTERS=spot.tif "
        "--FEATURES=mean,std,p10,p90,texture,shape --OUTPUT=features.gpkg"
    )
    TAGS = ("zonal statistics", "obia", "texture", "haralick", "fields", "moringa")

    def initAlgorithm(self, configuration: dict[str, Any] | None = None) -> None:  # noqa: N802
        self.add_segments()
        self.add_stack(
            "A stack.json: every date of every sensor is measured over its valid pixels. This or RASTERS is needed.",
            optional=True,
        )
        self.add_rasters()
        self.add_features()
        self.add_memory()
        self.add(
            declare.output_vector("OUTPUT", "Objects with features", declare.POLYGONS),
            "Polygons with the fields object (its id), pixels (of the stack or the first raster), small (fewer than "
            "four), then SENSOR_DATE_BAND_mean and the like, SENSOR_DATE_valid (share of clear pixels), "
            "RASTER_BAND_contrast ..., area_ha, perimeter_m, compactness, elongation. Empty where nothing is valid.",
        )
        self.addOutput(declare.output_number("OBJECTS", "Number of objects"))

    def work(
        self, parameters: dict[str, Any], context: QgsProcessingContext, feedback: QgsProcessingFeedback
    ) -> dict[str, Any]:
        from ..model.base.files import check_writable
        from ..model.base.vectorfile import check_vector_path
        from ..model.objects.features import FeatureSettings, measure_objects
        from ..model.objects.features_sources import Measured, RasterSource, StackSource
        from ..model.stack.manifest import Stack

        output = self.parameterAsOutputLayer(parameters, "OUTPUT", context)
        if not output:
            raise LandloomError(tr("OUTPUT is missing: give a file, such as features.gpkg."))
        check_vector_path(output)
        check_writable(output)
        settings, texture = FeatureSettings.parse(
            self.parameterAsString(parameters, "FEATURES", context),
            self.parameterAsBool(parameters, "PARTIAL", context),
        )
        progress = FeedbackProgress(feedback)
        memory = self.parameterAsInt(parameters, "MEMORY_MB", context)
        sources: list[Measured] = []
        stack = self.parameterAsFile(parameters, "STACK", context)
        if stack:
            sensors, indices = (self.words(parameters, name, context) for name in ("SENSORS", "INDICES"))
            sources.append(StackSource(Stack.read(stack), sensors, indices, memory / 4))
        sources += [RasterSource(path, texture) for path in self.raster_files(parameters, context)]
        if not sources:
            raise LandloomError(tr("There is nothing to measure: give STACK or RASTERS."))
        progress.text(tr("Reading the segments"))
        segments = self.segments(parameters, context, feedback, progress)
        progress.text(tr("Measuring {n_segments} objects").format(n_segments=len(segments)))
        try:
            table = measure_objects(segments, sources, settings, memory, progress.part(2, 90))
        finally:
            for source in sources:
                source.close()
        progress.text(tr("Writing the table"))
        table.write(output, progress.part(90, 100))
        progress.info(
            tr("{n_segments} objects with {n_names} features in {output}.").format(
                n_segments=len(segments), n_names=len(table.names), output=output
            )
        )
        return {"OUTPUT": output, "OBJECTS": len(segments)}
