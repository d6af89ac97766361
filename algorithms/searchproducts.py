"""searchproducts: items of a STAC API for an area and a period."""

from __future__ import annotations

import re
from typing import Any

from qgis.core import QgsProcessingContext, QgsProcessingFeedback

from ..model.base.errors import LandloomError
from ..model.base.files import check_writable
from ..model.base.language import tr
from ..model.stack.stac.search import ENDPOINTS, SearchSettings, search, write_footprints, write_items
from . import declare
from .base import FeedbackProgress, LandloomAlgorithm
from .stackinputs import crs_text


class SearchProducts(LandloomAlgorithm):
    """Asks page by page; see ``model/stack/stac/search.py``."""

    ID = "searchproducts"
    NAME = "Search products"
    GROUP = "1 Images"
    SUMMARY = (
        "Finds Sentinel-2, Sentinel-1 and Landsat images of an area and period in an online catalogue (STAC). 'Prepare "
        "stack' reads what is found without downloading whole images."
    )
    EXAMPLE = (
        'qgis_process run landloom:searchproducts --EXTENT="46.3,46.4,-19.0,-18.9 [EPSG:4326]" --START=2021-01-01 '
        "--END=2021-12-31 --MAX_CLOUD=80 --OUTPUT=items.json --FOOTPRINTS=footprints.gpkg"
    )
    TAGS = ("stac", "download", "catalogue", "sentinel-2", "sentinel-1", "landsat", "planetary computer", "copernicus")

    def initAlgorithm(self, configuration: dict[str, Any] | None = None) -> None:  # noqa: N802
        self.add(declare.extent("EXTENT", "Extent"), "The area; any CRS. Images that touch it are found.")
        self.add(declare.text("START", "First date"), "First date, such as 2021-01-01.")
        self.add(declare.text("END", "Last date"), "Last date, such as 2021-12-31.")
        self.add(
            declare.text("SENSORS", "Sensors", "S2", optional=True),
            "S2, S1 (terrain-corrected), L8 (Landsat 8 and 9) or names of the catalogue's collections, separated by "
            "commas. Empty: S2.",
        )
        self.add(
            declare.number("MAX_CLOUD", "Largest cloud share (%)", 100.0, 0.0, 100.0),
            "Images with more clouds, counted on the whole image, are left out; percent, 0 to 100. Networks use partly "
            "clouded images too: 80 or more is a good choice.",
        )
        self.add(
            declare.text("ENDPOINT", "Catalogue", "planetary-computer", optional=True),
            f"{', '.join(ENDPOINTS)}, or the address of any STAC API. Empty: planetary-computer.",
        )
        self.add(
            declare.output_file("OUTPUT", "Items", "STAC items (*.json)"),
            "A STAC ItemCollection: the INPUT of 'Prepare stack', as a file or in its folder.",
        )
        self.add(
            declare.output_vector("FOOTPRINTS", "Footprints", declare.POLYGONS, optional=True),
            "Outlines of the images with id, collection, date, platform and cloud cover in percent.",
        )
        self.addOutput(declare.output_number("COUNT", "Number of items"))

    def work(
        self, parameters: dict[str, Any], context: QgsProcessingContext, feedback: QgsProcessingFeedback
    ) -> dict[str, Any]:
        def text(name: str) -> str:
            return (self.parameterAsString(parameters, name, context) or "").strip()

        outputs: dict[str, Any] = {"OUTPUT": self.parameterAsFileOutput(parameters, "OUTPUT", context)}
        if not outputs["OUTPUT"]:
            raise LandloomError(tr("OUTPUT is missing; give the path of the JSON file to write."))
        if parameters.get("FOOTPRINTS"):
            outputs["FOOTPRINTS"] = self.parameterAsOutputLayer(parameters, "FOOTPRINTS", context)
        for path in outputs.values():
            check_writable(path)
        box = self.parameterAsExtent(parameters, "EXTENT", context)
        crs = crs_text(self.parameterAsExtentCrs(parameters, "EXTENT", context))
        if box.isNull() or not crs:
            raise LandloomError(tr("EXTENT or its CRS is missing; write it as xmin,xmax,ymin,ymax [EPSG:4326]."))
        for name in ("START", "END"):
            if not text(name):
                raise LandloomError(tr("{name} is missing; give a date such as 2021-01-01.").format(name=name))
        settings = SearchSettings(
            ((box.xMinimum(), box.yMinimum(), box.xMaximum(), box.yMaximum()), crs),
            text("START"),
            text("END"),
            tuple(name for name in re.split(r"[,;\s]+", text("SENSORS")) if name) or ("S2",),
            self.parameterAsDouble(parameters, "MAX_CLOUD", context),
            text("ENDPOINT") or "planetary-computer",
        )
        items = search(settings, FeedbackProgress(feedback))
        if outputs.get("FOOTPRINTS"):
            write_footprints(items, outputs["FOOTPRINTS"])
        write_items(items, outputs["OUTPUT"])
        return {**outputs, "COUNT": len(items)}
