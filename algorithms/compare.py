"""compare: samples in; what networks gain over both forests, with intervals, tests and cost, out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qgis.core import QgsProcessingContext, QgsProcessingFeedback

from ..model.base.errors import LandloomError
from ..model.base.language import tr
from . import declare
from .base import FeedbackProgress, LandloomAlgorithm, is_none
from .train import sample_folders

NETWORKS = ["ltae", "tempcnn", "twinns"]
EVALUATIONS = ["folds", "holdout", "split"]
UNITS = ["group", "block"]


class Compare(LandloomAlgorithm):
    """Networks and both forests on the same splits, beside maps made elsewhere."""

    ID = "compare"
    NAME = "Compare classifiers"
    GROUP = "6 Accuracy"
    SUMMARY = (
        "Shows on your own samples what networks and sensors gain over a random forest (with iota2's settings and with "
        "balanced classes), how sure that is, and what it costs in time. Maps made elsewhere are scored on the same "
        "held-out groups. It trains many times, which the log counts before it starts; a run that was killed goes on "
        "from its finished trainings when it is started again in the same way."
    )
    EXAMPLE = (
        "qgis_process run landloom:compare --SAMPLES=samples --NETWORKS=ltae,tempcnn --RUNS=3 "
        '--SENSOR_SETS="S1;S2;S1+S2" --REPORT=comparison.html --TABLE=comparison.json'
    )
    TAGS = ("accuracy", "benchmark", "validation", "random forest", "iota2", "significance", "confidence interval")

    def initAlgorithm(self, configuration: dict[str, Any] | None = None) -> None:  # noqa: N802
        self.add_samples(
            "One or more folders made by 'Extract samples'. In the dialog, add the samples.json of each folder, or the "
            "folder. Classes are matched by code."
        )
        self.add(
            declare.choice("NETWORKS", "Networks", NETWORKS, ["ltae"], several=True, optional=True),
            "Networks to compare, one or more; both forests always take part. twinns needs samples with HALO 2 and "
            "takes several times as long as the others. None: only the forests and MAPS are compared, which needs no "
            "PyTorch.",
        )
        self.add(
            declare.whole("RUNS", "Runs", 3, 1, 100),
            "Times that everything is split and trained anew, 1 to 100: the report shows the spread over the runs. "
            "Time grows with it.",
        )
        self.add(
            declare.text("SENSOR_SETS", "Sets of sensors", optional=True),
            "Sets of sensors separated by semicolons, the sensors of a set joined by +, such as S1;S2;S1+S2 (S1 means "
            "every S1_*). Empty: each sensor alone and all together.",
        )
        self.add(
            declare.rasters("MAPS", "Maps made elsewhere", optional=True),
            "Rasters of classes made by other programs, such as iota2's Classif_Seed_0.tif or a map of sits, scored at "
            "the samples of the held-out groups. Classes are matched by name where the raster names them, else by "
            "code.",
        )
        self.add(
            declare.choice("EVALUATION", "Evaluation", EVALUATIONS, "folds"),
            "folds: in each run, every group is judged once by models that have learnt from the other folds; the "
            "surest. holdout: a share TEST of the groups, drawn anew in each run, FOLDS times as quick. split: the "
            "parts dealt by 'Extract samples', for MAPS made from the training part alone.",
        )
        self.add(
            declare.choice("SPLIT_BY", "Split by", UNITS, "group"),
            "What is never split between training and test, and what the intervals take for independent: group, the "
            "group of polygons of the samples; block, squares of BLOCK_SIZE with all groups in them, which tells how "
            "well the map does at some distance from the reference.",
        )
        self.add(
            declare.number("BLOCK_SIZE", "Block size (m)", 5000.0, 1.0),
            "With SPLIT_BY block: side of a square, metres, above 0.",
            advanced=True,
        )
        self.add(
            declare.whole("FOLDS", "Folds", 5, 2, 100),
            "With EVALUATION folds: number of folds of a run, 2 to 100.",
            advanced=True,
        )
        self.add(
            declare.number("TEST", "Test share", 0.2, 0.01, 0.9),
            "With EVALUATION holdout: share of the groups of each class that judges, 0.01 to 0.9.",
            advanced=True,
        )
        self.add(
            declare.flag("LEARNING_CURVE", "Learning curve"),
            "Also train with 10, 25 and 50 % of the training groups, all sensors: shows whether more reference "
            "polygons would help. Costs three more trainings for each of the first run.",
            advanced=True,
        )
        self.add(
            declare.flag("SEASON_CURVE", "Season curve"),
            "Also train with the images up to SEASON_DATES dates of the season, all sensors, and name the first date "
            "within 2 points of the full season. Costs SEASON_DATES - 1 more trainings for each of the first run.",
            advanced=True,
        )
        self.add(
            declare.whole("SEASON_DATES", "Dates of the season curve", 6, 2, 100),
            "With SEASON_CURVE: how many last dates are tried, evenly spread over the season and the last image "
            "included, 2 to 100.",
            advanced=True,
        )
        self.add(
            declare.whole("EPOCHS", "Epochs", 0, 0, 100_000),
            "Most passes over the training samples, 0 to 100000; 0 chooses by their number, as 'Train model' does. Not "
            "for the forests.",
            advanced=True,
        )
        self.add(
            declare.whole("STEP", "Days between regular dates", 10, 1, 366),
            "For the forests, tempcnn and twinns, which read gap-filled dates: days from one to the next, 1 to 366.",
            advanced=True,
        )
        self.add_device()
        self.add_seed()
        self.add_memory()
        self.add_report("Page with the gains and their intervals, scores, classes, cost and curves.")
        self.add(
            declare.output_file("TABLE", "Table", declare.JSON, optional=True),
            "All figures as JSON. Beside it <TABLE>.csv holds the scores, <TABLE>_gains.csv the gains and their tests, "
            "<TABLE>_classes.csv the scores by class. While it works, <TABLE>.parts (or <REPORT>.parts) holds the "
            "finished trainings.",
        )
        self.addOutput(
            declare.output_number(
                "GAIN",
                "Gain in macro F1 per pixel of the first network with all sensors over the better forest, -1 to 1",
            )
        )
        self.addOutput(declare.output_number("GAIN_LOW", "Lower end of the gain's interval of 95 %"))
        self.addOutput(declare.output_number("GAIN_HIGH", "Upper end of the gain's interval of 95 %"))
        self.addOutput(declare.output_number("P_VALUE", "Chance of a gain as large if there were none"))

    def work(
        self, parameters: dict[str, Any], context: QgsProcessingContext, feedback: QgsProcessingFeedback
    ) -> dict[str, Any]:
        from ..model.accuracy.comparereport import compare_and_write
        from ..model.accuracy.comparescores import PIXEL
        from ..model.accuracy.comparesettings import CompareSettings, read_sensor_sets
        from ..model.accuracy.comparetables import networks
        from ..model.accuracy.comparewords import MAIN
        from ..model.samples.store import SampleStore

        # Processing would take the default for an empty list, by which a user says that he wants none.
        none = is_none(parameters.get("NETWORKS"))
        settings = CompareSettings(
            networks=() if none else tuple(self.parameterAsEnumStrings(parameters, "NETWORKS", context)),
            sensor_sets=read_sensor_sets(self.parameterAsString(parameters, "SENSOR_SETS", context)),
            runs=self.parameterAsInt(parameters, "RUNS", context),
            evaluation=self.parameterAsEnumString(parameters, "EVALUATION", context),
            folds=self.parameterAsInt(parameters, "FOLDS", context),
            test=self.parameterAsDouble(parameters, "TEST", context),
            split_by=self.parameterAsEnumString(parameters, "SPLIT_BY", context),
            block_size=self.parameterAsDouble(parameters, "BLOCK_SIZE", context),
            epochs=self.parameterAsInt(parameters, "EPOCHS", context),
            step=self.parameterAsInt(parameters, "STEP", context),
            learning_curve=self.parameterAsBoolean(parameters, "LEARNING_CURVE", context),
            season_curve=self.parameterAsBoolean(parameters, "SEASON_CURVE", context),
            season_dates=self.parameterAsInt(parameters, "SEASON_DATES", context),
            device=self.parameterAsEnumString(parameters, "DEVICE", context),
            seed=self.parameterAsInt(parameters, "SEED", context),
            memory_mb=self.parameterAsInt(parameters, "MEMORY_MB", context),
        )
        report = self.parameterAsFileOutput(parameters, "REPORT", context)
        table = self.parameterAsFileOutput(parameters, "TABLE", context)
        if not (report or table):
            raise LandloomError(tr("REPORT and TABLE are empty: give at least one of the files to write."))
        if table and Path(table).suffix.lower() != ".json":
            table += ".json"
        stores = [SampleStore.open(folder) for folder in sample_folders(parameters.get("SAMPLES"))]
        result = compare_and_write(
            stores, settings, table or None, report or None, self._maps(parameters, context), FeedbackProgress(feedback)
        )
        outputs: dict[str, Any] = {name: path for name, path in (("REPORT", report), ("TABLE", table)) if path}
        together = [one for one in networks(result) if one.sensors == result.together]
        if together:
            told = result.gain(together[0], PIXEL, MAIN).told
            outputs |= {"GAIN": told.estimate, "GAIN_LOW": told.low, "GAIN_HIGH": told.high, "P_VALUE": told.p}
        return outputs

    def _maps(self, parameters: dict[str, Any], context: QgsProcessingContext) -> list[str]:
        """Paths of the maps."""
        self.check_rasters(parameters, context)
        layers = self.parameterAsLayerList(parameters, "MAPS", context)
        return [layer.source().split("|")[0] for layer in layers]
