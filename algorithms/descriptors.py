"""descriptors: what a network knows of each pixel, as a raster."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qgis.core import QgsProcessingContext, QgsProcessingFeedback

from ..model.base.errors import LandloomError
from ..model.base.language import tr
from . import declare
from .base import FeedbackProgress
from .classify import MapLayer
from .mapinputs import PRECISIONS, MapAlgorithm, add_precision, add_scheduler, scheduler
from .nomenclature import reference_path

TYPES = ["float32", "int16"]


class Descriptors(MapAlgorithm):
    """Computed as maps are; see ``model/mapping/descriptors.py``."""

    ID = "descriptors"
    NAME = "Descriptors"
    GROUP = "5 Objects"
    SUMMARY = (
        "Writes what a network knows of each pixel before it decides on a class: its descriptors, or their main axes. "
        "They are features for objects and for other models; the first three show as a picture in red, green and blue. "
        "A run that was cut off goes on from where it was."
    )
    EXAMPLE = (
        "qgis_process run landloom:descriptors --STACK=stack.json --MODEL=model.safetensors --DIMENSIONS=8 "
        "--OUTPUT=descriptors.tif"
    )
    TAGS = ("features", "embedding", "principal components", "objects", "deep learning")

    def initAlgorithm(self, configuration: dict[str, Any] | None = None) -> None:  # noqa: N802
        self.add_stack("A stack.json with the sensors and bands of the model; its dates and year may differ.")
        self.add_model("A model of a network, made by 'Train'. A random forest has no descriptors.")
        self.add(
            declare.text("BRANCH", "Branch", "fused", optional=True),
            "fused (default) joins all sensors. Or one branch, such as S1 or S2 of ltae and tempcnn, or S2_recurrent "
            "of twinns; a wrong name is answered with the list of those the model has.",
        )
        self.add(
            declare.whole("DIMENSIONS", "Dimensions", 16, 0, 64),
            "Number of bands, 1 to 64: the main axes (principal components) of the descriptors of the training pixels, "
            "the same for every raster made with the model. 0: all descriptors as they are, often 128 or more bands.",
        )
        self.add(
            declare.choice("TYPE", "Type of values", TYPES, "float32"),
            "float32 (no data: NaN); or int16, half the size, with a scale that QGIS and GDAL apply (no data: -32768).",
            advanced=True,
        )
        self.add(
            declare.features(
                "POINTS", "Points or polygons for the table", [declare.POINTS, declare.POLYGONS], optional=True
            ),
            "Points (their pixel) or polygons (means over their pixels, partial ones by their share), in any CRS: "
            "their descriptors are written to TABLE.",
        )
        self.add_area(
            "Part of the stack to compute, in any coordinate system; all of it by default.",
            "Polygons or a raster: pixels whose centre is outside (in a raster: 0 or no data) are not computed.",
        )
        self.add_device()
        self.add_memory()
        add_precision(self)
        add_scheduler(self)
        self.add(
            declare.output_raster("OUTPUT", "Descriptors"),
            "GeoTIFF with one band a dimension, named by branch and share of variance; a style shows the first three.",
        )
        self.add(
            declare.output_vector("TABLE", "Table of points or polygons", optional=True, by_default=False),
            "The features of POINTS with the fields feature (their number there), pixels (of polygons) and d1, d2 ...: "
            "the values of the bands of OUTPUT; empty outside it.",
        )

    def work(
        self, parameters: dict[str, Any], context: QgsProcessingContext, feedback: QgsProcessingFeedback
    ) -> dict[str, Any]:
        from ..model.base.files import check_writable
        from ..model.base.vectorfile import check_vector_path
        from ..model.mapping.descriptors import map_descriptors
        from ..model.objects.descriptortable import write_descriptor_table

        stack, model = (self.file(parameters, name, context) for name in ("STACK", "MODEL"))
        output = self.parameterAsOutputLayer(parameters, "OUTPUT", context)
        table = self.parameterAsOutputLayer(parameters, "TABLE", context) if parameters.get("TABLE") else ""
        places = parameters.get("POINTS") not in (None, "")
        if bool(table) != places:
            given, missing = ("TABLE", "POINTS") if table else ("POINTS", "TABLE")
            raise LandloomError(
                tr("{given} is given without {missing}: give both, or none of them.").format(
                    given=given, missing=missing
                )
            )
        if table:
            check_vector_path(table, "TABLE")
            check_writable(table)
        source, crs = reference_path(self, parameters, context, feedback, "POINTS") if places else ("", "")
        progress = FeedbackProgress(feedback)
        memory = self.parameterAsInt(parameters, "MEMORY_MB", context)
        with scheduler(self, parameters, context, progress) as elsewhere:
            map_descriptors(
                stack,
                model,
                output,
                branch=self.parameterAsString(parameters, "BRANCH", context).strip() or "fused",
                dimensions=self.parameterAsInt(parameters, "DIMENSIONS", context),
                dtype=self.parameterAsEnumString(parameters, "TYPE", context) or TYPES[0],
                bounds=self.bounds(parameters, stack, context),
                mask=self.mask_source(parameters, context, feedback),
                memory_mb=memory,
                device=self.parameterAsEnumString(parameters, "DEVICE", context) or declare.DEVICES[0],
                progress=progress.part(0, 90) if table else progress,
                elsewhere=elsewhere,
                precision=self.parameterAsEnumString(parameters, "PRECISION", context) or PRECISIONS[0],
            )
        results: dict[str, Any] = {"OUTPUT": output}
        if table:
            count = write_descriptor_table(output, source, crs, table, memory, progress.part(90, 100))
            progress.info(tr("{count} features with their descriptors in {table}.").format(count=count, table=table))
            results["TABLE"] = table
        MapLayer.name_on_load(context, output, self.tr("Descriptors ({})").format(Path(model).stem))
        return results
