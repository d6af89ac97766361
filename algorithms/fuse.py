"""fuse: several maps of the same place become one."""

from __future__ import annotations

from typing import Any

from qgis.core import QgsProcessingContext, QgsProcessingFeedback

from ..model.base.errors import LandloomError
from ..model.base.language import tr
from ..model.base.nomenclature import HIGHEST_CODE
from . import declare
from .base import FeedbackProgress, LandloomAlgorithm
from .classify import MapLayer

METHODS = ["majority", "mean", "dempstershafer"]
BELIEFS = ["precision", "recall", "accuracy", "kappa"]


class Fuse(LandloomAlgorithm):
    """Streams through the maps; see ``model/mapping/fuse.py``."""

    ID = "fuse"
    NAME = "Fuse maps"
    GROUP = "4 Maps"
    SUMMARY = (
        "Makes one map of several maps of the same place, such as those of several models, runs, years or programs: "
        "by majority vote, by the mean of their probabilities, or by Dempster-Shafer with what each map's confusion "
        "matrix says of it. Classes are matched by code."
    )
    EXAMPLE = (
        "qgis_process run landloom:fuse --MAPS=a.tif --MAPS=b.tif --METHOD=dempstershafer --MATRICES=a.csv "
        "--MATRICES=b.csv --OUTPUT=fused.tif --CONFIDENCE=belief.tif"
    )
    TAGS = ("vote", "majority", "dempster", "shafer", "ensemble", "fusion", "combine")

    def initAlgorithm(self, configuration: dict[str, Any] | None = None) -> None:  # noqa: N802
        self.add(
            declare.rasters("MAPS", "Maps"),
            "Two or more maps of class codes (for mean: the PROBABILITIES that 'Classify' writes) with the same CRS "
            "and pixel corners; the result covers all of them. 0, no data and 'unsure' pixels of a map have no say.",
        )
        self.add(
            declare.choice("METHOD", "Method", METHODS, METHODS[0]),
            "majority: the class that most maps give. mean: the class with the highest mean probability. "
            "dempstershafer: the class of highest belief, a map counting for more where its matrix says that it is "
            "right more often.",
        )
        self.add(
            declare.files("MATRICES", "Confusion matrices", optional=True),
            "For dempstershafer: a CSV file for each map, in the order of the maps: the MATRIX of 'Assess', or that of "
            "the Orfeo ToolBox.",
        )
        self.add(
            declare.choice("BELIEF", "Mass of belief", BELIEFS, BELIEFS[0]),
            "For dempstershafer: what of a matrix tells how far to believe a map, 0 to 1. precision or recall of the "
            "class that it gives, or overall accuracy or kappa of the whole map.",
            advanced=True,
        )
        self.add(
            declare.whole("UNDECIDED", "Code of undecided pixels", 0, 0, HIGHEST_CODE),
            "What pixels get where two or more classes tie, 1 to 65535, a code that no class has; 0 leaves them "
            "without data.",
            advanced=True,
        )
        self.add_nomenclature(
            "Names and colours of the codes, for maps that have none, such as those of iota2 (its nomenclature.txt "
            "does). By default they come from the maps, the first that has them."
        )
        self.add_memory()
        self.add(
            declare.output_raster("OUTPUT", "Fused map"),
            "GeoTIFF of class codes, Byte or UInt16 by the largest code, 0 = no data, with colours, names and a style.",
        )
        self.add(
            declare.output_raster("CONFIDENCE", "Agreement", optional=True, by_default=False),
            "GeoTIFF in percent, 0 to 100, 255 = no data. majority: share of the maps with data that give the class; "
            "mean: its mean probability; dempstershafer: the belief in it.",
        )
        self.addOutput(declare.output_number("UNDECIDED_SHARE", "Share of undecided pixels, 0 to 1"))

    def work(
        self, parameters: dict[str, Any], context: QgsProcessingContext, feedback: QgsProcessingFeedback
    ) -> dict[str, Any]:
        from ..model.mapping.fuse import fuse
        from ..model.samples.tablefiles import read_table

        layers = self.parameterAsLayerList(parameters, "MAPS", context)
        if len(layers) < 2:
            raise LandloomError(tr("MAPS is missing or holds one raster only: give two or more maps."))
        table = self.parameterAsFile(parameters, "NOMENCLATURE", context)
        outputs = {
            name: self.parameterAsOutputLayer(parameters, name, context)
            for name in ("OUTPUT", "CONFIDENCE")
            if name == "OUTPUT" or parameters.get(name)
        }
        progress = FeedbackProgress(feedback)
        done = fuse(
            [layer.source() for layer in layers],
            self.parameterAsEnumString(parameters, "METHOD", context),
            outputs["OUTPUT"],
            outputs.get("CONFIDENCE"),
            self.parameterAsFileList(parameters, "MATRICES", context) if parameters.get("MATRICES") else [],
            self.parameterAsEnumString(parameters, "BELIEF", context),
            self.parameterAsInt(parameters, "UNDECIDED", context),
            read_table(table).nomenclature() if table else None,
            self.parameterAsInt(parameters, "MEMORY_MB", context),
            progress,
        )
        share = done.undecided / max(done.pixels, 1)
        progress.info(
            tr("{pixels:,} pixels, {undecided:,} of them undecided ({share:.2f} %).").format(
                pixels=done.pixels, undecided=done.undecided, share=100 * share
            )
        )
        results: dict[str, Any] = dict(outputs)
        titles = {"OUTPUT": self.tr("Fused map"), "CONFIDENCE": self.tr("Agreement")}
        MapLayer.load_together(context, {path: titles[name] for name, path in outputs.items()}, titles["OUTPUT"])
        results["UNDECIDED_SHARE"] = share
        return results
