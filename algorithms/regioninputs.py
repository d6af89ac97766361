"""The parameters REGIONS and REGION_FIELD of train and classify."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qgis.core import (
    QgsProcessing,
    QgsProcessingContext,
    QgsProcessingFeedback,
    QgsProcessingParameterVectorLayer,
    QgsProcessingUtils,
)

from ..model.base.errors import LandloomError
from ..model.base.language import tr
from . import declare
from .base import LandloomAlgorithm

MOST_BLEND = 50_000.0


def add_regions(algorithm: LandloomAlgorithm, help: str) -> None:
    """Declare the two parameters."""
    tr = algorithm.tr
    algorithm.add(
        QgsProcessingParameterVectorLayer(
            "REGIONS", tr("Regions"), [QgsProcessing.SourceType.TypeVectorPolygon], optional=True
        ),
        help,
        advanced=True,
    )
    algorithm.add(
        declare.field("REGION_FIELD", "Field of the region", "REGIONS", optional=True),
        "The field of REGIONS with the name or number of the region; polygons of one name are one region.",
        advanced=True,
    )


def region_source(
    algorithm: LandloomAlgorithm,
    parameters: dict[str, Any],
    context: QgsProcessingContext,
    feedback: QgsProcessingFeedback,
    elsewhere: bool = False,
) -> tuple[str, str] | None:
    """The layer as GDAL names it, and the field; None where REGIONS is not given.

    Args:
        algorithm: train or classify.
        parameters: of the run.
        context: of the run.
        feedback: of the run.
        elsewhere: whether other machines will read the layer.

    Raises:
        LandloomError: if the layer cannot be read, or only one of the two is given.
    """
    field = (algorithm.parameterAsString(parameters, "REGION_FIELD", context) or "").strip()
    if parameters.get("REGIONS") in (None, ""):
        if field:
            raise LandloomError(tr("REGION_FIELD is given without REGIONS: give the layer, or leave the field empty."))
        return None
    if not field:
        raise LandloomError(tr("REGION_FIELD is missing: give the field of REGIONS that holds the region's name."))
    source, layer = algorithm.parameterAsCompatibleSourceLayerPathAndLayerName(
        parameters, "REGIONS", context, ["gpkg", "shp", "geojson"], "gpkg", feedback
    )
    if not source:
        raise LandloomError(
            tr("REGIONS cannot be opened: {parameters} is no layer of polygons.").format(
                parameters=parameters["REGIONS"]
            )
        )
    if elsewhere and Path(QgsProcessingUtils.tempFolder(context)).resolve() in Path(source).resolve().parents:
        feedback.pushWarning(
            tr(
                "REGIONS (in memory, filtered or temporary) is read from {source}, which other machines may not see: "
                "save it in the shared folder, and give that file."
            ).format(source=source)
        )
    return (f"{source}|layername={layer}" if layer else source), field
