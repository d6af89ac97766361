"""Write the simulated sample scene."""

from __future__ import annotations

from typing import Any

from qgis.core import QgsProcessingContext, QgsProcessingFeedback, QgsProcessingOutputFile

from ..model.base.language import tr
from ..model.base.words import counted
from . import declare
from .base import FeedbackProgress, LandloomAlgorithm

CLIMATES = ["tropical", "temperate"]


class SampleScene(LandloomAlgorithm):
    ID = "samplescene"
    NAME = "Sample scene (simulated)"
    GROUP = "1 Images"
    SUMMARY = (
        "Writes a simulated season of Sentinel-2 and Sentinel-1 images over a farmed landscape, with reference "
        "polygons, in the form of real archives (Theia L2A product folders, S1Tiling files), to try every step without "
        "a download. It is a simulation: figures obtained on it show that a method runs, not how accurate it is."
    )
    EXAMPLE = "qgis_process run landloom:samplescene --SIZE=360 --CLIMATE=tropical --SEED=0 --OUTPUT=scene"
    TAGS = ("simulation", "demo", "Sentinel-1", "Sentinel-2", "Theia", "S1Tiling", "tutorial")

    SIZE = "SIZE"
    CLIMATE = "CLIMATE"
    SEED = "SEED"
    OUTPUT = "OUTPUT"
    REFERENCE = "REFERENCE"

    def initAlgorithm(self, configuration: dict[str, Any] | None = None) -> None:  # noqa: N802
        self.add(
            declare.choice(self.CLIMATE, "Climate", CLIMATES, "tropical"),
            "tropical: Madagascar, October to July, rice twice, maize, cotton, sugar cane, trees over crops, fallow; "
            "80 % clouds in the rains; one Sentinel-1 direction. temperate: south-west France, February to November, "
            "crops that differ in timing; 30 to 60 % clouds; two Sentinel-1 directions.",
        )
        self.add(
            declare.whole(self.SIZE, "Size (pixels of 10 m)", 360, 60, 2000),
            "Side of the scene in pixels of 10 m, an even number, 60 to 2000. The default is 3.6 km and takes about "
            "70 MB; disk space and time grow with the square.",
        )
        self.add_seed()
        self.add(
            declare.output_folder(self.OUTPUT, "Folder of the scene"),
            "A new or empty folder, or a former sample scene, which is replaced. A folder with other files is refused. "
            "It gets S2/, S1/, reference.gpkg, nomenclature.txt, colors.txt, truth/truth.tif and README.txt.",
        )
        self.addOutput(QgsProcessingOutputFile(self.REFERENCE, self.tr("Reference polygons")))

    def work(
        self, parameters: dict[str, Any], context: QgsProcessingContext, feedback: QgsProcessingFeedback
    ) -> dict[str, Any]:
        from ..model.scene import simulate

        folder = self.parameterAsString(parameters, self.OUTPUT, context)
        summary = simulate(
            folder,
            self.parameterAsInt(parameters, self.SIZE, context),
            self.parameterAsEnumString(parameters, self.CLIMATE, context),
            self.parameterAsInt(parameters, self.SEED, context),
            FeedbackProgress(feedback),
        )
        radar = ", ".join(f"{counted(dates, 'date')} in {orbit}" for orbit, dates in summary.s1_dates.items())
        clear = 100 * sum(summary.clear_share) / len(summary.clear_share)
        feedback.pushInfo(
            tr(
                "Simulated {climate} scene of {size} x {size} pixels: {n_s2_dates} Sentinel-2 dates "
                "({clear:.0f} % of the pixels clear), Sentinel-1: {radar}; {polygons} reference polygons, "
                "{n_wrong_labels} of them labelled wrong on purpose. The season starts on {season_start} "
                "(SEASON_START of 'Prepare stack')."
            ).format(
                climate=summary.climate,
                size=summary.size,
                n_s2_dates=len(summary.s2_dates),
                clear=clear,
                radar=radar,
                polygons=summary.polygons,
                n_wrong_labels=len(summary.wrong_labels),
                season_start=summary.season_start,
            )
        )
        return {self.OUTPUT: folder, self.REFERENCE: f"{folder}/reference.gpkg"}
