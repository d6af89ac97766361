"""trainobjects: a classifier of objects from reference polygons and segments."""

from __future__ import annotations

from typing import Any

from qgis.core import QgsProcessingContext, QgsProcessingFeedback

from ..model.base.errors import LandloomError
from ..model.base.language import tr
from . import declare
from .base import FeedbackProgress
from .nomenclature import reference_path
from .objectinputs import ObjectAlgorithm

NETWORKS = ["randomforest", "pixelset"]
WEIGHTS = ["auto", "balanced", "none", "log"]


class TrainObjects(ObjectAlgorithm):
    """A forest on features of objects, or a network on their pixels; see ``model/objects/objecttraining.py``."""

    ID = "trainobjects"
    NAME = "Train on objects"
    GROUP = "5 Objects"
    SUMMARY = (
        "Trains a classifier of objects: reference polygons or points give a class to the segments they cover. A "
        "random forest reads statistics by date and band, indices, texture, shape and, if wanted, descriptors of a "
        "network; the network pixelset reads the pixels of each object as a set, date by date, with clouds as gaps. It "
        "is judged out of fold, by groups that no part of it has seen."
    )
    EXAMPLE = (
        "qgis_process run landloom:trainobjects --STACK=stack.json --SEGMENTS=segments.gpkg --REFERENCE=fields.gpkg "
        "--CLASS_FIELD=crop --OUTPUT=objects.safetensors --REPORT=objects.html"
    )
    TAGS = ("obia", "random forest", "moringa", "fields", "segments", "pixel set", "deep learning", "neural network")

    def initAlgorithm(self, configuration: dict[str, Any] | None = None) -> None:  # noqa: N802
        self.add_stack("A stack.json, whose dates are measured in every object.")
        self.add_segments()
        self.add(
            declare.features("REFERENCE", "Reference data", [declare.POLYGONS, declare.POINTS]),
            "Polygons or points whose land cover is known, in any CRS. They need not be segments themselves.",
        )
        self.add(
            declare.field("CLASS_FIELD", "Field of the class"),
            "The field of REFERENCE that holds the class, as number or text.",
        )
        self.add(
            declare.choice("NETWORK", "Classifier", NETWORKS, NETWORKS[0]),
            "randomforest: on FEATURES, needs no PyTorch. pixelset: a network that reads up to 64 pixels of each "
            "object on the true dates of the stack, with NDVI, NDWI and VV-VH where INDICES is left as it is, and of "
            "FEATURES only shape; RASTERS and DESCRIPTORS are for the forest.",
        )
        self.add(
            declare.file("NOMENCLATURE", "Nomenclature", optional=True),
            "Table made by 'Nomenclature' with codes, names, colours and what to use; by default from the field alone.",
        )
        self.add(
            declare.number("MIN_SHARE", "Smallest share covered", 0.5, 0.01, 1.0),
            "0.01 to 1: an object gets the class whose reference polygons cover most of it, if that is at least this "
            "share of its area. A point gives its class to the object it lies in.",
        )
        self.add(
            declare.field("GROUP_FIELD", "Field of the group", optional=True),
            "What must not be split between learning and judging, such as a farm or village; by default each feature.",
            advanced=True,
        )
        self.add(
            declare.number("GROUP_DISTANCE", "Distance within a group (m)", 0.0, 0.0),
            "Metres, 0 or more: reference features nearer to each other are one group. Not used with GROUP_FIELD.",
            advanced=True,
        )
        self.add_rasters()
        self.add_features()
        self.add_descriptors(
            "A pixel model of a network made by 'Train': the means of its descriptors are features too. Every object "
            "is described by a network that has not seen its group: with EVALUATION folds, or holdout and "
            "FOLD_NETWORKS, 'Train' keeps such networks beside the model; with holdout alone, objects that trained it "
            "are left out."
        )
        self.add(
            declare.folder("SAMPLES", "Samples of the pixel model", optional=True),
            "Folder made by 'Extract samples' that trained the model of DESCRIPTORS; by default where the model says "
            "that it was.",
        )
        self.add(
            declare.whole("DIMENSIONS", "Dimensions of descriptors", 16, 1, 64),
            "So many main axes of the descriptors are used, 1 to 64.",
            advanced=True,
        )
        self.add(
            declare.choice("CLASS_WEIGHTS", "Class weights", WEIGHTS, "auto"),
            "balanced: every class weighs the same, however many objects it has; none: every object weighs the same; "
            "log (pixelset only): in between; auto: balanced for the forest, log for pixelset.",
            advanced=True,
        )
        self.add(
            declare.whole("FOLDS", "Folds", 5, 2, 100),
            "The groups are dealt to so many folds, 2 to 100; each is judged by what learnt from the others.",
            advanced=True,
        )
        self.add(
            declare.whole("EPOCHS", "Epochs", 0, 0, 100_000),
            "Of pixelset: most passes over the objects; 0 chooses by their number (25 to 50). Groups cut from those "
            "that train a fold choose the epoch.",
            advanced=True,
        )
        self.add(
            declare.whole("BATCH_SIZE", "Batch size", 128, 2, 1_000_000),
            "Of pixelset: objects a step; fewer are taken when there are few objects or too little GPU memory.",
            advanced=True,
        )
        self.add(
            declare.number("LEARNING_RATE", "Learning rate", 0.0, 0.0, 1.0),
            "Of pixelset: highest learning rate, 0 to 1; 0 takes 0.002.",
            advanced=True,
        )
        self.add_seed()
        self.add_device()
        self.add_memory()
        self.add(
            declare.output_file("OUTPUT", "Model of objects", declare.MODEL),
            "A file for 'Classify objects': the classifier, what it reads, its classes and scores.",
        )
        self.add_report("HTML page with scores, confusions and what was matched; beside it JSON and CSV tables.")
        self.addOutput(declare.output_number("OVERALL_ACCURACY", "Overall accuracy"))
        self.addOutput(declare.output_number("KAPPA", "Kappa"))
        self.addOutput(declare.output_number("MACRO_F1", "Macro F1"))

    def work(
        self, parameters: dict[str, Any], context: QgsProcessingContext, feedback: QgsProcessingFeedback
    ) -> dict[str, Any]:
        from ..model.base.files import check_writable
        from ..model.base.optional import need
        from ..model.base.provenance import gather
        from ..model.objects.objectreport import write_object_report
        from ..model.objects.objecttraining import ObjectTraining, check_inputs, train_objects
        from ..model.samples.settings import ExtractionSettings

        def text(name: str) -> str:
            return self.parameterAsString(parameters, name, context) or ""

        network = self.parameterAsEnumString(parameters, "NETWORK", context) or NETWORKS[0]
        if network == NETWORKS[0]:
            need("sklearn.ensemble", "The random forest")
        else:
            need("torch", f"The network {network}")
        stack = self.file(parameters, "STACK", context)
        output = self.parameterAsFileOutput(parameters, "OUTPUT", context)
        report = self.parameterAsFileOutput(parameters, "REPORT", context) if parameters.get("REPORT") else ""
        if not output:
            raise LandloomError(tr("OUTPUT is missing: give a file, such as objects.safetensors."))
        for path in (output, report):
            if path:
                check_writable(path)
        settings = ObjectTraining(
            features=text("FEATURES"),
            partial=self.parameterAsBool(parameters, "PARTIAL", context),
            indices=tuple(self.words(parameters, "INDICES", context)),
            sensors=tuple(self.words(parameters, "SENSORS", context)),
            min_share=self.parameterAsDouble(parameters, "MIN_SHARE", context),
            network=network,
            epochs=self.parameterAsInt(parameters, "EPOCHS", context),
            batch_size=self.parameterAsInt(parameters, "BATCH_SIZE", context),
            learning_rate=self.parameterAsDouble(parameters, "LEARNING_RATE", context),
            class_weights=self.parameterAsEnumString(parameters, "CLASS_WEIGHTS", context) or WEIGHTS[0],
            folds=self.parameterAsInt(parameters, "FOLDS", context),
            dimensions=self.parameterAsInt(parameters, "DIMENSIONS", context),
            seed=self.parameterAsInt(parameters, "SEED", context),
        )
        settings.check()
        rasters = self.raster_files(parameters, context)
        descriptors = self.parameterAsFile(parameters, "DESCRIPTORS", context) or ""
        check_inputs(settings, rasters, descriptors)
        reference, crs = reference_path(self, parameters, context, feedback)
        extraction = ExtractionSettings(
            class_field=text("CLASS_FIELD"),
            nomenclature=self.parameterAsFile(parameters, "NOMENCLATURE", context) or "",
            group_field=text("GROUP_FIELD"),
            group_distance=self.parameterAsDouble(parameters, "GROUP_DISTANCE", context),
            reference_crs=crs,
        )
        extraction.check()
        progress = FeedbackProgress(feedback)
        progress.text(tr("Reading the segments"))
        segments = self.segments(parameters, context, feedback, progress)
        samples = self.parameterAsFile(parameters, "SAMPLES", context) or ""
        result = train_objects(
            stack,
            segments,
            reference,
            extraction,
            settings,
            rasters,
            descriptors,
            samples,
            self.parameterAsInt(parameters, "MEMORY_MB", context),
            self.parameterAsEnumString(parameters, "DEVICE", context) or declare.DEVICES[0],
            progress.part(2, 98),
        )
        results: dict[str, Any] = {"OUTPUT": output}
        if report:
            inputs = {"STACK": stack, "SEGMENTS": segments.source, "REFERENCE": reference, "RASTERS": rasters}
            made = gather({**inputs, "DESCRIPTORS": descriptors, "SAMPLES": samples}, settings.seed)
            write_object_report(report, result, settings, made)
            results["REPORT"] = report
        result.model.save(output)
        results |= {
            "OVERALL_ACCURACY": result.scores.overall_accuracy,
            "KAPPA": result.scores.kappa,
            "MACRO_F1": result.scores.macro_f1,
        }
        return results
