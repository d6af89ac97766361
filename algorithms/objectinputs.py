"""What the algorithms on objects share: SEGMENTS, STACK, RASTERS, FEATURES and the like."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qgis.core import QgsProcessingContext, QgsProcessingFeedback, QgsRasterLayer

from ..model.base.errors import LandloomError
from ..model.base.language import tr
from ..model.base.progress import Progress
from . import declare
from .mapinputs import MapAlgorithm

if TYPE_CHECKING:
    from ..model.objects.features_segments import Segments


class ObjectAlgorithm(MapAlgorithm):
    """Base of the algorithms that measure objects."""

    def add_segments(self) -> None:
        """The parameter SEGMENTS."""
        self.add(
            declare.polygons_or_raster("SEGMENTS", "Segments"),
            "The objects: polygons (fields, parcels, segments) or a raster of labels (0 = none), in any CRS and at any "
            "resolution. Multipart polygons are one object, overlapping ones are measured each by itself, invalid ones "
            "are repaired and counted.",
        )

    def add_rasters(self) -> None:
        """The parameter RASTERS."""
        self.add(
            declare.rasters("RASTERS", "Other rasters", optional=True),
            "Rasters to measure at their own resolution and in any CRS: SPOT, Pléiades, elevation, descriptors. Their "
            "no data is left out.",
        )

    def add_descriptors(self, help: str) -> None:
        """The optional parameter DESCRIPTORS: a model of pixels."""
        self.add(
            declare.file("DESCRIPTORS", "Pixel model whose descriptors are features", declare.MODEL, optional=True),
            help,
        )

    def add_features(self, default: str = "mean,std,shape") -> None:
        """The parameters FEATURES, INDICES, SENSORS and PARTIAL."""
        self.add(
            declare.text("FEATURES", "Features", default),
            "Separated by commas: mean, std (standard deviation), percentiles such as p10 or p50, texture (Haralick's "
            "measures of RASTERS), shape (area, perimeter, compactness, elongation).",
        )
        self.add(
            declare.text("INDICES", "Indices", "NDVI,NDWI,BRIGHTNESS", optional=True),
            "Indices to measure beside the bands, separated by commas: NDVI, NDWI, NDMI, MNDWI, BRIGHTNESS, VV-VH or "
            "expressions of bands. A sensor without their bands goes without; empty: none.",
            advanced=True,
        )
        self.add(
            declare.text("SENSORS", "Sensors", optional=True),
            "Sensors of the stack to measure, separated by commas, S1 meaning every S1_*; all by default.",
            advanced=True,
        )
        self.add(
            declare.flag("PARTIAL", "Weigh partial pixels", True),
            "Yes: a pixel counts by the share of it that lies in the object, best for small fields. No: it counts "
            "wholly if its centre is inside, as in QGIS's zonal statistics.",
            advanced=True,
        )

    def segments(
        self,
        parameters: dict[str, Any],
        context: QgsProcessingContext,
        feedback: QgsProcessingFeedback,
        progress: Progress,
    ) -> Segments:
        """The objects of SEGMENTS.

        Raises:
            LandloomError: if they cannot be opened.
        """
        from ..model.objects.features_segments import open_segments

        layer = self.parameterAsLayer(parameters, "SEGMENTS", context)
        if layer is None or not layer.isValid():
            raise LandloomError(
                tr("SEGMENTS {get} cannot be opened: give polygons or a raster of labels.").format(
                    get=parameters.get("SEGMENTS")
                )
            )
        if isinstance(layer, QgsRasterLayer):
            return open_segments(layer.source(), progress)
        source = self.vector_source(parameters, "SEGMENTS", context, feedback)
        crs = layer.crs()
        return open_segments(source or "", progress, crs.toWkt() if crs.isValid() else "")

    def raster_files(self, parameters: dict[str, Any], context: QgsProcessingContext) -> list[str]:
        """The files of RASTERS."""
        return [layer.source() for layer in self.parameterAsLayerList(parameters, "RASTERS", context)]

    def words(self, parameters: dict[str, Any], name: str, context: QgsProcessingContext) -> list[str]:
        """A list separated by commas."""
        text = self.parameterAsString(parameters, name, context) or ""
        return [word.strip() for word in text.split(",") if word.strip()]
