"""addrasters: any dated rasters become a sensor of a stack."""

from __future__ import annotations

from typing import Any

from qgis.core import QgsProcessingContext, QgsProcessingFeedback

from ..model.base.errors import LandloomError
from ..model.base.language import tr
from ..model.stack.addrasters import UNITS, RasterSeries, add_rasters
from ..model.stack.sensors import KINDS
from . import declare
from .base import FeedbackProgress, LandloomAlgorithm
from .stackinputs import (
    add_grid_and_season,
    add_output,
    add_stack_to_extend,
    crs_or_none,
    holds_folder,
    number_or_none,
    raster_paths,
    year_or_none,
)


class AddRasters(LandloomAlgorithm):
    """Reads the user's own rasters; see ``model/stack/addrasters.py``."""

    ID = "addrasters"
    NAME = "Add rasters"
    GROUP = "1 Images"
    SUMMARY = (
        "Makes a stack of any rasters with dates in their names or band descriptions, or adds them to a stack as a "
        "new sensor, new bands or new dates. Nothing is copied."
    )
    EXAMPLE = (
        "qgis_process run landloom:addrasters --SENSOR=S2 --KIND=optical --RASTERS=S2_20210103.tif "
        "--RASTERS=S2_20210113.tif --MASKS=SCL_20210103.tif --MASKS=SCL_20210113.tif --INVALID_VALUES=0,1,3,8,9,10 "
        "--OUTPUT=stack.json"
    )
    TAGS = ("stack", "time series", "raster", "sentinel", "landsat", "planet", "radar", "import")

    def initAlgorithm(self, configuration: dict[str, Any] | None = None) -> None:  # noqa: N802
        add_stack_to_extend(
            self, "A stack to which the rasters are added; its grid is used. Empty: a new stack is made."
        )
        self.add(
            declare.text("SENSOR", "Sensor"),
            "Name of the series: capitals, digits and underscores, such as S2, S1_ASC, L8, PLANET or STATIC. An "
            "existing one gets new bands on equal dates, and new dates.",
        )
        self.add(
            declare.choice("KIND", "Kind", KINDS, "optical"),
            "optical, radar, or static for layers without dates such as elevation.",
        )
        self.add(
            declare.rasters("RASTERS", "Rasters"),
            "Files with a date in the name (S2_20210103.tif), with dates in the band descriptions (20210103_B4), or "
            "any with DATES; a folder stands for the rasters in it. Files of one date may hold different bands at "
            "different resolutions.",
        )
        self.add(
            declare.text("DATES", "Dates", lines=True, optional=True),
            "Dates such as 2021-01-03 or 20210103, separated by commas, or a text file of them: one for each raster in "
            "their order, or one for each group of bands of a single raster. Empty: from names and band descriptions.",
        )
        self.add(
            declare.text("BANDS", "Band names", optional=True),
            "Names separated by commas, in the order of the bands: B2,B3,B4,B8. Empty: from band descriptions and file "
            "names. B02 of a sensor S2 becomes B2; VV_dB of radar becomes VV.",
        )
        self.add(
            declare.number("SCALE", "Scale", optional=True),
            "Factor that turns values into reflectance or the radar unit: value * scale + offset. Empty: deduced, and "
            "the log says so.",
        )
        self.add(
            declare.number("OFFSET", "Offset", optional=True),
            "Added after the scale, in physical units; such as -0.1 for Sentinel-2 baseline 04.00. Empty: 0.",
            advanced=True,
        )
        self.add(
            declare.number("NODATA", "No data value", optional=True),
            "Value of pixels without data, in place of what the files declare. NaN and infinite values never count.",
        )
        self.add(
            declare.choice("RADAR_UNIT", "Radar unit", UNITS, optional=True),
            "Unit of radar values: db, power or amplitude. Empty: deduced from the values, and the log says so.",
        )
        self.add(
            declare.rasters("MASKS", "Masks", optional=True),
            "Rasters that say where the images are invalid, matched by the date in their names; one without a date "
            "holds for all dates. Any resolution.",
        )
        self.add(
            declare.text("INVALID_VALUES", "Invalid mask values", optional=True),
            "Mask values that mean invalid, separated by commas: 0,1,3,8,9,10 for Sen2Cor's SCL. Empty, and "
            "VALID_VALUES too: every value but 0 is invalid.",
        )
        self.add(
            declare.text("VALID_VALUES", "Valid mask values", optional=True),
            "Mask values that mean valid, separated by commas; every other one is invalid. Instead of INVALID_VALUES.",
        )
        add_grid_and_season(self)
        add_output(self)

    def checkParameterValues(  # noqa: N802
        self, parameters: dict[str, Any], context: QgsProcessingContext
    ) -> tuple[bool, str]:
        """As ever, but of the rasters in folders."""
        files: dict[str, Any] = {}
        try:
            for name in ("RASTERS", "MASKS"):
                if holds_folder(parameters.get(name)):
                    files[name] = raster_paths(parameters, name, context)
        except LandloomError as error:
            return False, str(error)
        return super().checkParameterValues({**parameters, **files}, context)

    def work(
        self, parameters: dict[str, Any], context: QgsProcessingContext, feedback: QgsProcessingFeedback
    ) -> dict[str, Any]:
        def text(name: str) -> str:
            return self.parameterAsString(parameters, name, context) or ""

        output = self.parameterAsFileOutput(parameters, "OUTPUT", context)
        if not output:
            raise LandloomError(tr("OUTPUT is missing; give the path of the stack.json to write."))
        series = RasterSeries(
            text("SENSOR"),
            self.parameterAsEnumString(parameters, "KIND", context) or "optical",
            raster_paths(parameters, "RASTERS", context),
            text("DATES"),
            text("BANDS"),
            number_or_none(self, parameters, "SCALE", context),
            number_or_none(self, parameters, "OFFSET", context),
            number_or_none(self, parameters, "NODATA", context),
            self.parameterAsEnumString(parameters, "RADAR_UNIT", context) if parameters.get("RADAR_UNIT") else "",
            raster_paths(parameters, "MASKS", context),
            text("INVALID_VALUES"),
            text("VALID_VALUES"),
            crs_or_none(self, parameters, context),
            number_or_none(self, parameters, "RESOLUTION", context),
            text("SEASON_START"),
            year_or_none(self, parameters, context),
        )
        stack = add_rasters(series, output, text("STACK") or None, FeedbackProgress(feedback))
        return {"OUTPUT": str(stack.path)}
