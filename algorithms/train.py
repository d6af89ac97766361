"""train: samples in; a trained model, its report and its accuracy out."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qgis.core import QgsMapLayer, QgsProcessingContext, QgsProcessingFeedback

from ..model.base.errors import LandloomError
from ..model.base.language import tr
from ..model.base.provenance import gather
from ..model.stack.expressions import split_list
from . import declare
from .base import FeedbackProgress, LandloomAlgorithm
from .declare import entries_of
from .regioninputs import add_regions, region_source

if TYPE_CHECKING:
    from ..model.base.metrics import Scores
    from ..model.samples.store import SampleStore
    from ..model.training.settings import TrainingSettings

NETWORKS = ["ltae", "twinns", "tempcnn", "randomforest"]
CLASS_WEIGHTS = ["auto", "none", "balanced", "log"]
EVALUATIONS = ["auto", "holdout", "folds"]
MANIFEST = "samples.json"


class Train(LandloomAlgorithm):
    """Trains a network or a forest, judges it on samples it has not seen, and saves it in one file."""

    ID = "train"
    NAME = "Train model"
    GROUP = "3 Models"
    SUMMARY = (
        "Trains a network or a random forest on samples made by 'Extract samples' and judges it on groups it has not "
        "seen. The model is one file, to map with 'Classify'. A training that was interrupted goes on where it "
        "stopped when it is started again in the same way."
    )
    EXAMPLE = (
        "qgis_process run landloom:train --SAMPLES=samples --NETWORK=ltae --OUTPUT=model.safetensors "
        "--REPORT=training.html"
    )
    TAGS = ("training", "deep learning", "neural network", "random forest", "classification", "twinns", "fine-tune")

    def initAlgorithm(self, configuration: dict[str, Any] | None = None) -> None:  # noqa: N802
        self.add_samples(
            "One or more folders made by 'Extract samples', of several years or sites for example. In the dialog, add "
            "the samples.json of each folder, or the folder. Classes are matched by code."
        )
        self.add(
            declare.choice("NETWORK", "Network", NETWORKS, "ltae"),
            "ltae: reads the true dates, needs no gap filling, quick. twinns: also sees 5 x 5 pixels, slower. tempcnn: "
            "convolutions over gap-filled dates. randomforest: needs no PyTorch.",
        )
        self.add(
            declare.whole("EPOCHS", "Epochs", 0, 0, 100_000),
            "Most passes over the training samples; 0 chooses by their number (25 to 100). Training stops earlier when "
            "the validation score gets no better. Not for the forest.",
        )
        self.add(
            declare.whole("BATCH_SIZE", "Batch size", 128, 2, 1_000_000),
            "Samples a step; fewer are taken when there are few samples or too little GPU memory.",
            advanced=True,
        )
        self.add(
            declare.number("LEARNING_RATE", "Learning rate", 0.0, 0.0, 1.0),
            "Highest learning rate, 0 to 1; 0 takes 0.002, or 0.0005 when starting from a model.",
            advanced=True,
        )
        self.add(
            declare.choice("CLASS_WEIGHTS", "Class weights", CLASS_WEIGHTS, "auto"),
            "What rare classes weigh. none: as many as there are; balanced: every class the same; log (networks "
            "only): in between; auto: log for networks, balanced for the forest.",
            advanced=True,
        )
        self.add(
            declare.text("SENSORS", "Sensors", optional=True),
            "Sensors to use, separated by commas, such as S2 or S1,S2 (S1 means every S1_*); empty = all.",
        )
        self.add(
            declare.whole("STEP", "Days between regular dates", 10, 1, 366),
            "For twinns, tempcnn and randomforest, which read gap-filled dates: days from one to the next. The model "
            "keeps it.",
            advanced=True,
        )
        self.add(
            declare.text("INDICES", "Indices", optional=True),
            "Indices added to the bands, separated by commas: NDVI, NDWI (as iota2: SWIR and NIR, minus NDMI), NDMI, "
            "MNDWI, BRIGHTNESS, VV-VH, or an expression of bands such as EVI=2.5*(B8-B4)/(B8+6*B4-7.5*B2+1) with + - * "
            "/ ** sqrt log abs min max; none = none; empty = those that suit the network.",
            advanced=True,
        )
        self.add(
            declare.choice("EVALUATION", "Evaluation", EVALUATIONS, "auto"),
            "holdout: the test groups judge the delivered model. folds: each group is judged once by a model that has "
            "not seen it, then the delivered model is trained on all, which takes about six times as long. auto: folds "
            "where classes have under about 50 groups.",
        )
        self.add(
            declare.flag("FOLD_NETWORKS", "Networks of folds for descriptors of objects"),
            "Yes: with EVALUATION holdout, a network is also trained for each fold of the training groups and kept in "
            "<OUTPUT>_folds.safetensors, so that 'Train on objects' can learn from descriptors of these groups too. It "
            "takes about five times as long. With folds they are there anyway.",
            advanced=True,
        )
        self.add(
            declare.whole("RUNS", "Members of the ensemble", 1, 1, 20),
            "Networks trained with different seeds, whose mean is the model: somewhat better, and as many times "
            "slower.",
            advanced=True,
        )
        self.add(
            declare.file("START_FROM", "Start from model", self.tr("Model (*.safetensors)"), optional=True),
            "A model trained before, of the same network and sensors, whose weights are the start: to add a year, a "
            "site or a class. Classes are matched by code.",
            advanced=True,
        )
        add_regions(
            self,
            "Polygons of eco-climatic regions: beside the model of all samples, one is trained for each region, of the "
            "samples in it, and kept in <OUTPUT>_regions.safetensors. 'Classify' blends them at the borders.",
        )
        self.add_device()
        self.add_seed()
        self.add_memory()
        self.add(
            declare.output_file("OUTPUT", "Model", self.tr("Model (*.safetensors)")),
            "The trained model. Beside it <OUTPUT>.training.jsonl holds the log, one line an epoch, and "
            "<OUTPUT>_folds.safetensors the networks of the folds, where there are any.",
        )
        self.add_report(
            "Page with scores per pixel and per polygon, confusion matrices and learning curves. With REGIONS a page "
            "of the regions, and one of each training beside it."
        )
        self.add_scores("Overall accuracy per pixel, 0 to 1")

    def work(
        self, parameters: dict[str, Any], context: QgsProcessingContext, feedback: QgsProcessingFeedback
    ) -> dict[str, Any]:
        from ..model.samples.store import SampleStore
        from ..model.training.run import train
        from ..model.training.settings import TrainingSettings

        indices = split_list(self.parameterAsString(parameters, "INDICES", context))
        settings = TrainingSettings(
            network=self.parameterAsEnumString(parameters, "NETWORK", context),
            epochs=self.parameterAsInt(parameters, "EPOCHS", context),
            batch_size=self.parameterAsInt(parameters, "BATCH_SIZE", context),
            learning_rate=self.parameterAsDouble(parameters, "LEARNING_RATE", context),
            class_weights=self.parameterAsEnumString(parameters, "CLASS_WEIGHTS", context),
            sensors=words(self.parameterAsString(parameters, "SENSORS", context)),
            step=self.parameterAsInt(parameters, "STEP", context),
            indices=() if [i.lower() for i in indices] == ["none"] else indices or None,
            evaluation=self.parameterAsEnumString(parameters, "EVALUATION", context),
            fold_networks=self.parameterAsBool(parameters, "FOLD_NETWORKS", context),
            runs=self.parameterAsInt(parameters, "RUNS", context),
            start_from=self.parameterAsFile(parameters, "START_FROM", context),
            device=self.parameterAsEnumString(parameters, "DEVICE", context),
            seed=self.parameterAsInt(parameters, "SEED", context),
            memory_mb=self.parameterAsInt(parameters, "MEMORY_MB", context),
        )
        output = self.parameterAsFileOutput(parameters, "OUTPUT", context)
        if not output:
            raise LandloomError(tr("OUTPUT is empty: give the model file to write, such as model.safetensors."))
        if Path(output).suffix.lower() != ".safetensors":
            output += ".safetensors"
        report = self.parameterAsFileOutput(parameters, "REPORT", context)
        folders = sample_folders(parameters.get("SAMPLES"))
        stores = [SampleStore.open(folder) for folder in folders]
        regions = region_source(self, parameters, context, feedback)
        if regions:
            pixel = self._by_region(stores, regions, settings, output, report, feedback)
        else:
            pixel = train(stores, settings, output, report or None, FeedbackProgress(feedback)).evaluation.pixel
        outputs: dict[str, Any] = {
            "OUTPUT": output,
            "OVERALL_ACCURACY": pixel.overall_accuracy,
            "KAPPA": pixel.kappa,
            "MACRO_F1": pixel.macro_f1,
        }
        if report:
            outputs["REPORT"] = report
        return outputs

    def _by_region(
        self,
        stores: list[SampleStore],
        regions: tuple[str, str],
        settings: TrainingSettings,
        output: str,
        report: str,
        feedback: QgsProcessingFeedback,
    ) -> Scores:
        """A model of all samples and one of each region; the scores of the map that they make."""
        from ..model.samples.regions import Regions
        from ..model.training.regions import train_regions
        from ..model.training.regionsreport import write_report

        reports = Path(report) if report else None
        trained = train_regions(stores, Regions(*regions), settings, output, FeedbackProgress(feedback), reports)
        if report:
            folders = [str(store.folder) for store in stores]
            write_report(trained, report, output, gather({"SAMPLES": folders, "REGIONS": regions[0]}, settings.seed))
        return trained.combined


def words(text: str) -> tuple[str, ...]:
    """The words of a list separated by commas, semicolons or blanks."""
    return tuple(word for word in re.split(r"[,;\s]+", text.strip()) if word)


def sample_folders(value: Any) -> list[Path]:
    """The folders meant by SAMPLES.

    Args:
        value: a path, a list of paths, several paths separated by semicolons, or layers (the points of a sample
            folder, opened in QGIS); the folder itself or a file in it.

    Raises:
        LandloomError: if it is empty, or if a path does not exist or is given twice.
    """
    texts: list[str] = []
    for one in entries_of(value):
        if isinstance(one, QgsMapLayer):
            texts.append(one.source().split("|")[0])
        elif one is not None:
            text = os.fspath(one) if isinstance(one, os.PathLike) else str(one)
            # A path may hold a semicolon: only what does not exist as it stands is a list.
            texts.extend([text] if os.path.exists(text) else text.split(";"))
    folders: list[Path] = []
    for text in (one.strip().strip('"') for one in texts):
        if not text:
            continue
        path = Path(text)
        in_folder = path.is_file()
        if in_folder:
            path = path.parent
        if not path.is_dir():
            raise LandloomError(
                tr("SAMPLES names {text}, which does not exist: give folders made by 'Extract samples'.").format(
                    text=text
                )
            )
        if path.resolve() in [folder.resolve() for folder in folders]:
            if in_folder:  # the dialog's 'Add Directory' gives every file of the folder
                continue
            raise LandloomError(tr("SAMPLES names {text} twice: give each folder once.").format(text=text))
        folders.append(path)
    if not folders:
        raise LandloomError(tr("SAMPLES is empty: give at least one folder made by 'Extract samples'."))
    return folders
