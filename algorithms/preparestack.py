"""preparestack: a stack from a folder of downloaded products."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from qgis.core import QgsProcessingContext, QgsProcessingFeedback

from ..model.base.errors import LandloomError
from ..model.base.files import check_writable
from ..model.base.language import tr
from ..model.base.provenance import gather
from ..model.stack.cloudrules import CLOUD_RULES, STANDARD
from ..model.stack.maskrules import scene_classes
from ..model.stack.prepare import Prepared, PrepareSettings, prepare_stack
from ..model.stack.products.base import SCL_INVALID
from ..model.stack.report import dates_table_path, write_report
from ..model.stack.skipdates import parse_skip_dates
from ..model.stack.speckle import LARGEST, METHODS, SMALLEST, speckle_name
from ..model.stack.validity import write_validity
from . import declare
from .base import FeedbackProgress, LandloomAlgorithm
from .stackinputs import (
    add_grid_and_season,
    add_output,
    add_stack_to_extend,
    crs_or_none,
    crs_text,
    number_or_none,
    year_or_none,
)

REFLECTANCES = ["FRE", "SRE"]
ORBITS = ["direction", "orbit", "centred"]


class PrepareStack(LandloomAlgorithm):
    """Finds products by what lies in a folder tree; see ``model/stack/prepare.py``."""

    ID = "preparestack"
    NAME = "Prepare stack"
    GROUP = "1 Images"
    SUMMARY = (
        "Makes a stack of all Sentinel-2, Landsat 8 and 9 and Sentinel-1 products found in a folder, as they were "
        "downloaded: nothing is renamed or copied. Clouds, saturation, swath edges and no data are masked."
    )
    EXAMPLE = "qgis_process run landloom:preparestack --INPUT=products --OUTPUT=stack.json --REPORT=stack.html"
    TAGS = ("stack", "time series", "sentinel-1", "sentinel-2", "theia", "muscate", "s1tiling", "clouds")

    def initAlgorithm(self, configuration: dict[str, Any] | None = None) -> None:  # noqa: N802
        self.add(
            declare.folder("INPUT", "Products"),
            "A folder (or one zip or tar file) that is searched through, with products nested, side by side or zipped. "
            "Sentinel-2 of Theia, "
            "Sen2Cor (.SAFE or single files), Terrascope and WorldCereal; Landsat 8 and 9 of Theia and USGS; "
            "Sentinel-1 of S1Tiling, ASF HyP3, OPERA, Planetary Computer, SNAP, Earth Engine, Terrascope and "
            "WorldCereal; layers without a date, such as a DEM. Also an ItemCollection of searchproducts "
            "(the path of its file, or its folder), whose files are read over HTTP.",
        )
        add_stack_to_extend(
            self, "A stack to which the products are added; its grid is used. Empty: a new stack is made."
        )
        self.add(
            declare.text("SENSORS", "Sensors", optional=True),
            "Sensors to take, separated by commas: S2,S1 or S2,S1_DES. S1 means every S1 sensor; STATIC layers without "
            "a date, maps of incidence angles among them. Empty: all but these maps.",
        )
        self.add(
            declare.text("BANDS", "Bands", optional=True),
            "Bands of optical sensors to take, separated by commas: B2,B3,B4,B8. A product that lacks one of them is "
            "left out, one that lacks others is used. Empty: the bands with which most values are kept.",
            advanced=True,
        )
        self.add(
            declare.text("START", "First date", optional=True),
            "Earlier products are skipped: 2021-01-01. Empty: no limit.",
        )
        self.add(
            declare.text("END", "Last date", optional=True), "Later products are skipped: 2021-12-31. Empty: no limit."
        )
        self.add(
            declare.text("SKIP_DATES", "Dates to leave out", optional=True),
            "Dates with haze or clouds that no mask has found, separated by commas: 2021-03-14 for every sensor, "
            "S2:2021-03-14 for one. Empty: none.",
            advanced=True,
        )
        self.add(
            declare.extent("EXTENT", "Extent", optional=True),
            "Only this area, grown to whole pixels; any CRS. Empty: all that the finest images cover.",
        )
        self.add(
            declare.number("MAX_CLOUD", "Largest cloud share (%)", 100.0, 0.0, 100.0),
            "Dates with a larger share of masked pixels within the extent are skipped; percent, 0 to 100.",
            advanced=True,
        )
        self.add(
            declare.number("MASK_BUFFER", "Buffer around clouds (m)", 0.0, 0.0, 5000.0),
            "Pixels nearer than this to a masked cloud or shadow are masked too; metres, 0 to 5000.",
            advanced=True,
        )
        self.add(
            declare.choice("CLOUD_RULE", "Cloud rule", CLOUD_RULES, STANDARD),
            "How strictly the products' cloud masks are used. standard: clouds, cirrus and shadows, as each archive "
            "advises; cloud: clouds only; strict: snow, dark and uncertain pixels too; none: not at all, for those who "
            "give USER_MASKS. Edges, saturation and no data always count.",
            advanced=True,
        )
        self.add(
            declare.folder("USER_MASKS", "Folder of your own cloud masks", optional=True),
            "Rasters by date from s2cloudless, OmniCloudMask or others, with the date in their name (and the tile, "
            "where several tiles have one date); they come on top of the products' masks. Empty: none.",
            advanced=True,
        )
        self.add(
            declare.text("USER_MASK_INVALID", "Invalid values of your masks", optional=True),
            "Values or ranges that mean cloud or shadow, separated by commas: 1,2,3 (OmniCloudMask) or 40-100 "
            "(probabilities in percent). Empty: every value but 0.",
            advanced=True,
        )
        self.add(
            declare.choice("REFLECTANCE", "Reflectance", REFLECTANCES, "FRE"),
            "Of Theia products: FRE (with) or SRE (without correction of slopes).",
            advanced=True,
        )
        self.add(
            declare.text(
                "SCL_INVALID", "Masked scene classes", ",".join(str(one) for one in SCL_INVALID), optional=True
            ),
            "Classes of the scene classification (SCL) of Sen2Cor and Terrascope products that are masked: 0 no data, "
            "1 defective, 2 dark, 3 cloud shadow, 4 vegetation, 5 bare, 6 water, 7 unclassified, 8 and 9 clouds, 10 "
            "cirrus, 11 snow. none masks nothing; empty takes the default 0,1,3,8,9,10.",
            advanced=True,
        )
        self.add(
            declare.choice("ORBITS", "Radar orbits", ORBITS, "direction"),
            "direction: one sensor for ascending and one for descending passes (S1_ASC, S1_DES); orbit: one for each "
            "relative orbit (S1_ASC_044); centred: as direction, with each orbit's mean (dB) brought to that of all.",
            advanced=True,
        )
        self.add(
            declare.choice("SPECKLE", "Speckle filter", METHODS, "none"),
            "quegan: multi-temporal filter of Quegan and Yu (2001) for each orbit and polarisation, applied whenever "
            "the stack is read; not to products that were filtered before. none: no filter.",
            advanced=True,
        )
        self.add(
            declare.whole("SPECKLE_WINDOW", "Window of the speckle filter (pixels)", 5, SMALLEST, LARGEST),
            "Width of the window in which the speckle filter takes means; odd, 3 to 21 pixels.",
            advanced=True,
        )
        add_grid_and_season(self)
        self.add(
            declare.output_folder("COPY", "Folder for a copy", optional=True, by_default=False),
            "The pixels of the stack are copied to this folder: a tiled GeoTIFF and its mask for each sensor, several "
            "times quicker to read. Of files behind addresses only the extent is read. Run the same again to go on "
            "after a cut line. Empty: nothing is copied.",
        )
        add_output(self)
        self.add_report(
            "What was found, used, skipped and why; dates by sensor with their valid share; long gaps; what comes "
            "next. The dates also come as a table beside it: stack.html has stack_dates.csv."
        )
        self.add(
            declare.output_raster("VALID_COUNT", "Number of valid dates", optional=True, by_default=False),
            "A band for each sensor: how many dates are valid in a pixel.",
        )
        self.add(
            declare.output_raster("LONGEST_GAP", "Longest gap", optional=True, by_default=False),
            "A band for each sensor: the longest time without a valid date, in days; 65535 where there is none.",
        )

    def work(
        self, parameters: dict[str, Any], context: QgsProcessingContext, feedback: QgsProcessingFeedback
    ) -> dict[str, Any]:
        def text(name: str) -> str:
            return (self.parameterAsString(parameters, name, context) or "").strip()

        folder = text("INPUT")
        if not folder:
            raise LandloomError(tr("INPUT is missing; give the folder that holds the products."))
        outputs = {"OUTPUT": self.parameterAsFileOutput(parameters, "OUTPUT", context)}
        if not outputs["OUTPUT"]:
            raise LandloomError(tr("OUTPUT is missing; give the path of the stack.json to write."))
        if parameters.get("REPORT"):
            outputs["REPORT"] = self.parameterAsFileOutput(parameters, "REPORT", context)
        for name in ("VALID_COUNT", "LONGEST_GAP"):
            if parameters.get(name):
                outputs[name] = self.parameterAsOutputLayer(parameters, name, context)
        for path in outputs.values():
            check_writable(path)
        extent = None
        if parameters.get("EXTENT"):
            box = self.parameterAsExtent(parameters, "EXTENT", context)
            if not box.isNull():
                crs = crs_text(self.parameterAsExtentCrs(parameters, "EXTENT", context))
                if not crs:
                    raise LandloomError(tr("EXTENT has no CRS; write it as xmin,xmax,ymin,ymax [EPSG:32738]."))
                extent = ((box.xMinimum(), box.yMinimum(), box.xMaximum(), box.yMaximum()), crs)
        settings = PrepareSettings(
            tuple(name for name in re.split(r"[,;\s]+", text("SENSORS").upper()) if name),
            crs_or_none(self, parameters, context),
            number_or_none(self, parameters, "RESOLUTION", context),
            extent,
            text("START"),
            text("END"),
            text("SEASON_START"),
            year_or_none(self, parameters, context),
            self.parameterAsDouble(parameters, "MAX_CLOUD", context),
            self.parameterAsDouble(parameters, "MASK_BUFFER", context),
            self.parameterAsEnumString(parameters, "REFLECTANCE", context) or "FRE",
            self.parameterAsEnumString(parameters, "ORBITS", context) or "direction",
            scl_invalid=scene_classes(text("SCL_INVALID")) if text("SCL_INVALID").strip() else SCL_INVALID,
            cloud_rule=self.parameterAsEnumString(parameters, "CLOUD_RULE", context) or STANDARD,
            user_masks=text("USER_MASKS"),
            user_mask_invalid=text("USER_MASK_INVALID"),
            speckle=speckle_name(
                self.parameterAsEnumString(parameters, "SPECKLE", context) or "none",
                self.parameterAsInt(parameters, "SPECKLE_WINDOW", context),
            ),
            copy=self.parameterAsString(parameters, "COPY", context) if parameters.get("COPY") else "",
            bands=tuple(name for name in re.split(r"[,;\s]+", text("BANDS")) if name),
            skip_dates=parse_skip_dates(text("SKIP_DATES")),
        )
        progress = FeedbackProgress(feedback)
        count, gap = outputs.get("VALID_COUNT"), outputs.get("LONGEST_GAP")
        share = 50 if count or gap else 95

        def write_others(prepared: Prepared) -> None:
            write_validity(prepared.stack, count, gap, progress.part(share, 98))
            if outputs.get("REPORT"):
                inputs = {"INPUT": folder, "STACK": text("STACK"), "USER_MASKS": settings.user_masks}
                write_report(prepared, outputs["REPORT"], made=gather(inputs))

        tables = [str(dates_table_path(outputs["REPORT"]))] if outputs.get("REPORT") else []
        with nothing_on_failure([*outputs.values(), *tables]):
            prepare_stack(
                folder, outputs["OUTPUT"], settings, text("STACK") or None, progress.part(0, share), write_others
            )
        return outputs


@contextlib.contextmanager
def nothing_on_failure(paths: Iterable[str]) -> Iterator[None]:
    """Remove the outputs that were written before something failed or was cancelled; older files stay."""
    new = [Path(path) for path in paths if not Path(path).exists()]
    try:
        yield
    except BaseException:
        for path in new:
            with contextlib.suppress(OSError):
                path.unlink()
        raise
