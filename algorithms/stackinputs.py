"""Reading the parameters that preparestack and addrasters share."""

from __future__ import annotations

import os
from typing import Any

from qgis.core import (
    QgsCoordinateReferenceSystem,
    QgsExpressionContext,
    QgsMapLayer,
    QgsProcessingContext,
    QgsProcessingUtils,
    QgsProperty,
)

from ..model.stack.datedfiles import rasters_in
from . import declare
from .base import LandloomAlgorithm
from .declare import entries_of


def add_grid_and_season(algorithm: LandloomAlgorithm) -> None:
    """The parameters CRS, RESOLUTION, SEASON_START and CAMPAIGN_YEAR."""
    algorithm.add(
        declare.crs("CRS", "CRS of the stack", optional=True),
        "By default that of the finest images. Not used where a stack is given.",
        advanced=True,
    )
    algorithm.add(
        declare.number("RESOLUTION", "Pixel size", low=0.0, optional=True),
        "Pixel size in units of the CRS, above 0; by default that of the finest images. Not used with a given stack.",
        advanced=True,
    )
    algorithm.add(
        declare.text("SEASON_START", "Start of the season", optional=True),
        "Month and day from which days are counted, as 01-01 (default) or 10-01.",
        advanced=True,
    )
    algorithm.add(
        declare.whole("CAMPAIGN_YEAR", "Campaign year", low=1970, high=2200, optional=True),
        "Year of the season's start, 1970 to 2200; by default that of the season that holds the middle of the period.",
        advanced=True,
    )


def add_stack_to_extend(algorithm: LandloomAlgorithm, help: str) -> None:
    """The optional parameter STACK."""
    algorithm.add(declare.file("STACK", "Stack to extend", declare.STACK, optional=True), help)


def add_output(algorithm: LandloomAlgorithm) -> None:
    """The output stack.json."""
    algorithm.add(
        declare.output_file("OUTPUT", "Stack", declare.STACK),
        "stack.json; virtual rasters of every date, which open in QGIS, lie beside it in a folder named after it.",
    )


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
    """The files of a list of rasters, without opening them as layers where paths are given.

    A folder stands for the rasters in it.

    Raises:
        LandloomError: if a folder holds none.
    """
    value = parameters.get(name)
    if isinstance(value, QgsProperty):
        value = value.value(QgsExpressionContext())[0]
    if value is None or value == "":
        return []
    paths = []
    for entry in entries_of(value):
        if isinstance(entry, QgsMapLayer):
            paths.append(entry.source())
            continue
        text = str(entry)
        if os.path.isdir(text):
            paths += rasters_in(text, name)
            continue
        if not os.path.exists(text):
            layer = QgsProcessingUtils.mapLayerFromString(text, context)
            if layer is not None:
                text = layer.source()
        paths.append(text)
    return paths


def holds_folder(value: Any) -> bool:
    """Whether a list of rasters names a folder."""
    return any(isinstance(one, str) and os.path.isdir(one) for one in entries_of(value))
