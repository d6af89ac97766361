"""Reading the parameters that preparestack and addrasters share."""

from __future__ import annotations

import os
from typing import Any

from qgis.core import (
    QgsCoordinateReferenceSystem,
    QgsExpressionContext,
    QgsMapLayer,
    QgsProcessingContext,
    QgsProcessingParameterCrs,
    QgsProcessingParameterFile,
    QgsProcessingParameterFileDestination,
    QgsProcessingParameterNumber,
    QgsProcessingParameterString,
    QgsProcessingUtils,
    QgsProperty,
)

from .base import LandloomAlgorithm


def add_grid_and_season(algorithm: LandloomAlgorithm) -> None:
    """The parameters CRS, RESOLUTION, SEASON_START and CAMPAIGN_YEAR."""
    tr = algorithm.tr
    algorithm.add(
        QgsProcessingParameterCrs("CRS", tr("CRS of the stack"), optional=True),
        "By default that of the finest images. Not used where a stack is given.",
        advanced=True,
    )
    algorithm.add(
        optional_number("RESOLUTION", tr("Pixel size"), minimum=0.0),
        "Pixel size in units of the CRS, above 0; by default that of the finest images. Not used with a given stack.",
        advanced=True,
    )
    algorithm.add(
        QgsProcessingParameterString("SEASON_START", tr("Start of the season"), optional=True),
        "Month and day from which days are counted, as 01-01 (default) or 10-01.",
        advanced=True,
    )
    algorithm.add(
        QgsProcessingParameterNumber(
            "CAMPAIGN_YEAR",
            tr("Campaign year"),
            QgsProcessingParameterNumber.Type.Integer,
            optional=True,
            minValue=1970,
            maxValue=2200,
        ),
        "Year of the season's start, 1970 to 2200; by default that of the season that holds the middle of the period.",
        advanced=True,
    )


def add_stack(algorithm: LandloomAlgorithm, help: str) -> None:
    """The optional parameter STACK."""
    algorithm.add(
        QgsProcessingParameterFile(
            "STACK",
            algorithm.tr("Stack to extend"),
            behavior=QgsProcessingParameterFile.Behavior.File,
            fileFilter="Stack (*.json)",
            optional=True,
        ),
        help,
    )


def add_output(algorithm: LandloomAlgorithm) -> None:
    """The output stack.json."""
    algorithm.add(
        QgsProcessingParameterFileDestination("OUTPUT", algorithm.tr("Stack"), fileFilter="Stack (*.json)"),
        "stack.json; virtual rasters of every date, which open in QGIS, lie beside it in a folder named after it.",
    )


def optional_number(
    name: str, label: str, minimum: float | None = None, maximum: float | None = None
) -> QgsProcessingParameterNumber:
    """A decimal number that may stay empty."""
    parameter = QgsProcessingParameterNumber(name, label, QgsProcessingParameterNumber.Type.Double, optional=True)
    if minimum is not None:
        parameter.setMinimum(minimum)
    if maximum is not None:
        parameter.setMaximum(maximum)
    return parameter


def number_or_none(
    algorithm: LandloomAlgorithm, parameters: dict[str, Any], name: str, context: QgsProcessingContext
) -> float | None:
    """The number, or None where it was left empty."""
    if parameters.get(name) in (None, ""):
        return None
    return algorithm.parameterAsDouble(parameters, name, context)


def year_or_none(algorithm: LandloomAlgorithm, parameters: dict[str, Any], context: QgsProcessingContext) -> int | None:
    """CAMPAIGN_YEAR, or None where it was left empty."""
    if parameters.get("CAMPAIGN_YEAR") in (None, ""):
        return None
    return algorithm.parameterAsInt(parameters, "CAMPAIGN_YEAR", context)


def crs_or_none(algorithm: LandloomAlgorithm, parameters: dict[str, Any], context: QgsProcessingContext) -> str | None:
    """The CRS as GDAL understands it, or None where it was left empty."""
    if parameters.get("CRS") in (None, ""):
        return None
    return crs_text(algorithm.parameterAsCrs(parameters, "CRS", context)) or None


def crs_text(crs: QgsCoordinateReferenceSystem) -> str:
    """An EPSG code where the CRS has one, else WKT; empty for an invalid one."""
    if not crs.isValid():
        return ""
    if crs.authid().startswith("EPSG:"):
        return str(crs.authid())
    return str(crs.toWkt(QgsCoordinateReferenceSystem.WktVariant.WKT_PREFERRED_GDAL))


def raster_paths(parameters: dict[str, Any], name: str, context: QgsProcessingContext) -> list[str]:
    """The files of a list of rasters, without opening them as layers where paths are given."""
    value = parameters.get(name)
    if isinstance(value, QgsProperty):
        value = value.value(QgsExpressionContext())[0]
    if value is None or value == "":
        return []
    entries = value if isinstance(value, (list, tuple)) else [value]
    paths = []
    for entry in entries:
        if isinstance(entry, QgsMapLayer):
            paths.append(entry.source())
            continue
        text = str(entry)
        if not os.path.exists(text):
            layer = QgsProcessingUtils.mapLayerFromString(text, context)
            if layer is not None:
                text = layer.source()
        paths.append(text)
    return paths
