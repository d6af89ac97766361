"""landcovermap: the whole job, from images and reference polygons to map and report, in one run."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

from qgis.core import (
    QgsProcessingContext,
    QgsProcessingException,
    QgsProcessingFeedback,
    QgsProcessingOutputRasterLayer,
)

from ..model.base.errors import Cancelled, LandloomError
from ..model.base.language import tr
from ..model.base.optional import need
from ..model.base.provenance import Provenance, gather
from ..model.base.reportfiles import beside
from ..model.networks.regionfile import regions_path
from ..model.networks.registry import network_info
from . import declare
from .base import FeedbackProgress, LandloomAlgorithm
from .mapinputs import add_classes
from .overview import PREVIEW_MODEL, write_overview
from .passedon import add_passed_on, passed_on, refuse_image_settings
from .regioninputs import add_regions, region_source
from .steps import StepFeedback, StepLog, features_fingerprint, fingerprint

NETWORKS = ["ltae", "twinns", "tempcnn", "randomforest"]
EVALUATIONS = ["auto", "holdout", "folds"]
PASSED_ON = ("SEED", "DEVICE", "MEMORY_MB")


class LandCoverMap(LandloomAlgorithm):
    """Runs the other algorithms as children; what they make stays in WORK_FOLDER."""

    ID = "landcovermap"
    NAME = "Land-cover map"
    GROUP = "4 Maps"
    SUMMARY = (
        "The whole job in one run: images and reference polygons in; land-cover map, confidence, trained model and "
        "accuracy report out. What each step makes is kept in the work folder, and a step whose inputs have not "
        "changed is skipped the next time."
    )
    EXAMPLE = (
        "qgis_process run landloom:landcovermap --INPUT=products --REFERENCE=reference.gpkg --CLASS_FIELD=class "
        "--NETWORK=ltae --OUTPUT=map.tif --CONFIDENCE=confidence.tif --MODEL=model.safetensors --REPORT=report.html"
    )
    TAGS = ("classification", "land cover", "sentinel", "time series", "deep learning", "workflow")

    def initAlgorithm(self, configuration: dict[str, Any] | None = None) -> None:  # noqa: N802
        self.add(
            declare.folder("INPUT", "Folder of downloaded products", optional=True),
            "Folder searched through for Sentinel-2 and Sentinel-1 products, nothing renamed. Give this or a stack.",
        )
        self.add(
            declare.file("STACK", "Stack (instead of a folder)", declare.STACK, optional=True),
            "A stack.json made by 'Prepare stack' or 'Add rasters'. Give this or a folder.",
        )
        self.add(
            declare.features("REFERENCE", "Reference polygons or points", [declare.POLYGONS, declare.POINTS]),
            "Places whose land cover is known, in any coordinate system; 10 or more of each class, spread out.",
        )
        self.add_class_field("Field of the reference layer that holds the class, as text or as a whole number.")
        self.add(
            declare.file("NOMENCLATURE", "Nomenclature table", optional=True),
            "Table of classes, names and colours made by 'Nomenclature', or iota2's nomenclature text file.",
        )
        self.add(
            declare.choice("NETWORK", "Network", NETWORKS, "ltae"),
            "ltae: fast, takes clouds and irregular dates as they are. twinns: sees the 5x5 surroundings, slower. "
            "tempcnn: convolutions in time. randomforest: iota2's forest, needs no PyTorch.",
        )
        self.add(
            declare.flag("PREVIEW", "Map with the random forest first"),
            "Trains a random forest first and writes its map to preview.tif in the work folder, minutes before the "
            "network is ready; it comes back as a layer too.",
        )
        self.add(
            declare.choice("EVALUATION", "Evaluation", EVALUATIONS, "auto"),
            "holdout: the delivered model is the one evaluated on groups set apart. folds: every group is scored "
            "once by a model that has not seen it, then the model is trained on all. auto: folds where labels are few.",
            advanced=True,
        )
        self.add(
            declare.extent("EXTENT", "Extent of the map", optional=True),
            "Part of the stack to map; all of it by default.",
            advanced=True,
        )
        add_classes(self)
        add_regions(
            self,
            "Polygons of eco-climatic regions: each is mapped by a model of its own samples; what is outside, and "
            "regions with too few samples, by that of all. They lie beside MODEL in <MODEL>_regions.safetensors.",
        )
        add_passed_on(self)
        self.add_seed()
        self.add_device()
        self.add_memory()
        self.add(
            declare.output_raster("OUTPUT", "Land-cover map"),
            "GeoTIFF of class codes with colours and names; 0 is no data.",
        )
        self.add(
            declare.output_raster("CONFIDENCE", "Confidence", optional=True),
            "Probability of the mapped class in percent, 255 is no data.",
        )
        self.add(
            declare.output_raster("PROBABILITIES", "Probabilities of all classes", optional=True, by_default=False),
            "GeoTIFF with one band a class: 0 to 10000, scale 0.0001; 65535 = no data.",
        )
        self.add(
            declare.output_file("MODEL", "Model", declare.MODEL, optional=True),
            "The trained model, to map other places and years with 'Classify'.",
        )
        self.add_report("Accuracy, areas and warnings, with links to the reports of each step.")
        self.add(
            declare.output_folder("WORK_FOLDER", "Work folder", optional=True, by_default=False),
            "Where stack, samples and reports of the steps are kept; by default <OUTPUT>_work beside the map.",
        )
        self.addOutput(declare.output_number("OVERALL_ACCURACY", "Overall accuracy"))
        self.addOutput(declare.output_number("KAPPA", "Kappa"))
        self.addOutput(declare.output_number("MACRO_F1", "Macro F1"))
        self.addOutput(
            declare.output_number("UNSURE_SHARE", "Share of the map that is unsure, 0 to 1 (with UNSURE_ERROR)")
        )
        self.addOutput(QgsProcessingOutputRasterLayer("PREVIEW_MAP", self.tr("Random forest's map (with PREVIEW)")))

    def work(
        self, parameters: dict[str, Any], context: QgsProcessingContext, feedback: QgsProcessingFeedback
    ) -> dict[str, Any]:
        job = _Job(self, parameters, context, feedback)
        try:
            stack = job.stack()
            samples = job.samples(stack)
            if self.parameterAsBool(parameters, "PREVIEW", context):
                job.preview(stack, samples)
            trained = job.train(samples)
            return job.classify(stack, trained)
        except (Cancelled, QgsProcessingException) as error:
            if feedback.isCanceled() and job.work.exists():
                raise LandloomError(
                    tr("Cancelled: the finished steps are kept in {work}.").format(work=job.work)
                ) from error
            raise
        finally:
            with contextlib.suppress(OSError):
                job.work.rmdir()  # only where it is empty, since nothing was made


class _Job:
    """One run: the steps in order, each skipped where its inputs are those of the last run."""

    def __init__(
        self,
        algorithm: LandCoverMap,
        parameters: dict[str, Any],
        context: QgsProcessingContext,
        feedback: QgsProcessingFeedback,
    ) -> None:
        self.algorithm, self.parameters, self.context = algorithm, parameters, context
        self.progress = FeedbackProgress(feedback)
        self.folder_input = algorithm.parameterAsFile(parameters, "INPUT", context)
        self.stack_input = algorithm.parameterAsFile(parameters, "STACK", context)
        if bool(self.folder_input) == bool(self.stack_input):
            raise LandloomError(
                tr("Give either INPUT (a folder of products) or STACK (a stack.json), not both or neither.")
            )
        if self.stack_input:
            refuse_image_settings(algorithm, parameters)
        self.regions, self.polygons = self._regions(feedback)
        rasters = {
            name: algorithm.parameterAsOutputLayer(parameters, name, context)
            for name in ("OUTPUT", "CONFIDENCE", "PROBABILITIES")
        }
        self.maps = {name: Path(path) for name, path in rasters.items() if path}
        self.output = self.maps["OUTPUT"]
        work = algorithm.parameterAsString(parameters, "WORK_FOLDER", context)
        self.work = Path(work) if work else self.output.with_name(f"{self.output.stem}_work")
        model = algorithm.parameterAsFileOutput(parameters, "MODEL", context)
        self.model = Path(model) if model else self.work / "model.safetensors"
        self.report = algorithm.parameterAsFileOutput(parameters, "REPORT", context)
        self.network = algorithm.parameterAsEnumString(parameters, "NETWORK", context)
        # Said before the images are read, not an hour later.
        need(network_info(self.network).needs_package, f"NETWORK={self.network}")
        self.log = StepLog(self.work)
        preview = algorithm.parameterAsBool(parameters, "PREVIEW", context)
        count = (1 if self.folder_input else 0) + 3 + (2 if preview else 0)
        self.feedback = StepFeedback(count, feedback)
        self.warnings: list[str] = []
        self._step = 0

    def _regions(self, feedback: QgsProcessingFeedback) -> tuple[dict[str, Any], str]:
        """REGIONS and REGION_FIELD, and a hash of the polygons; what is wrong with them is said before all steps."""
        from ..model.samples.regions import Regions

        found = region_source(self.algorithm, self.parameters, self.context, feedback)
        if found is None:
            return {}, ""
        return {"REGIONS": self.parameters["REGIONS"], "REGION_FIELD": found[1]}, Regions(*found).identity

    def child(
        self,
        algorithm: str,
        inputs: dict[str, Any],
        sources: list[Any],
        outputs: dict[str, Path],
        content: str = "",
        more: tuple[Path, ...] = (),
    ) -> dict:
        """Run one algorithm, or give its last outputs where nothing it depends on has changed.

        Args:
            algorithm: id without the provider.
            inputs: its parameters.
            sources: paths whose files decide whether it must run again.
            outputs: parameter -> path of what it makes.
            content: a hash of what no file tells.
            more: what it makes beside its outputs.
        """
        import processing

        self.feedback.setCurrentStep(self._step)
        self._step += 1
        self.progress.check()
        passed = {name: self.parameters[name] for name in PASSED_ON if self.parameters.get(name) is not None}
        known = {d.name() for d in _definitions(algorithm)}
        inputs = {**{k: v for k, v in passed.items() if k in known}, **inputs}
        key = fingerprint(algorithm, {**inputs, "content": content}, sources, self.progress)
        name = f"{algorithm}:{outputs[next(iter(outputs))].name}"
        earlier = self.log.results(name, key, [*outputs.values(), *more])
        if earlier is not None:
            self.progress.info(
                tr("{algorithm}: inputs have not changed, kept {next}").format(
                    algorithm=algorithm, next=next(iter(outputs.values()))
                )
            )
            self._note(algorithm, self.log.warnings(name))
            return earlier
        self.feedback.kept.clear()
        self.progress.text(f"{algorithm} ...")
        results = processing.run(
            f"landloom:{algorithm}",
            {**inputs, **{k: str(v) for k, v in outputs.items()}},
            context=self.context,
            feedback=self.feedback,
            is_child_algorithm=True,
        )
        self.progress.check()
        self.log.done(name, key, results, list(self.feedback.kept))
        self._note(algorithm, self.feedback.kept)
        return results

    def _note(self, algorithm: str, warnings: list[str]) -> None:
        """Keep the warnings of a step for the overview, each once."""
        self.warnings += [one for one in (f"{algorithm}: {text}" for text in warnings) if one not in self.warnings]

    def stack(self) -> Path:
        """The stack: given, or prepared from the folder of products."""
        if self.stack_input:
            return Path(self.stack_input)
        outputs = {"OUTPUT": self.work / "stack.json", "REPORT": self.work / "stack.html"}
        inputs = {"INPUT": self.folder_input, **self._passed_on("preparestack")}
        self.child("preparestack", inputs, [self.folder_input], outputs)
        return outputs["OUTPUT"]

    def samples(self, stack: Path) -> Path:
        """Samples of the reference data on the stack."""
        reference = self.parameters["REFERENCE"]
        nomenclature = self.algorithm.parameterAsFile(self.parameters, "NOMENCLATURE", self.context)
        inputs = {
            "STACK": str(stack),
            "REFERENCE": reference,
            "CLASS_FIELD": self.algorithm.parameterAsString(self.parameters, "CLASS_FIELD", self.context),
            **self._passed_on("extractsamples"),
        }
        if nomenclature:
            inputs["NOMENCLATURE"] = nomenclature
        # The features count, not the file: a layer may be in memory or filtered, edits may lie in a journal or a .dbf.
        features = self.algorithm.parameterAsSource(self.parameters, "REFERENCE", self.context)
        if features is None:
            raise LandloomError(tr("REFERENCE cannot be opened: give a layer of polygons or points."))
        fields = [inputs[name] for name in ("CLASS_FIELD", "GROUP_FIELD") if name in inputs]
        content = features_fingerprint(features, fields, self.progress)
        outputs = {
            "OUTPUT": self.work / "samples",
            "POINTS": self.work / "samples.gpkg",
            "REPORT": self.work / "samples.html",
        }
        self.child("extractsamples", inputs, [stack, nomenclature], outputs, content)
        return outputs["OUTPUT"]

    def train(self, samples: Path) -> dict[str, Any]:
        """The network asked for."""
        inputs: dict[str, Any] = {
            "SAMPLES": [str(samples)],
            "NETWORK": self.network,
            **self._passed_on("train"),
        }
        inputs |= self._evaluation()
        outputs = {"OUTPUT": self.model, "REPORT": self.work / "training.html"}
        more = (regions_path(self.model), beside(outputs["REPORT"], "report.json")) if self.regions else ()
        return self.child("train", inputs | self.regions, [samples], outputs, self.polygons, more)

    def _evaluation(self) -> dict[str, str]:
        """EVALUATION where it is given: for network and forest, whose scores stand side by side."""
        evaluation = self.algorithm.parameterAsEnumString(self.parameters, "EVALUATION", self.context)
        return {} if evaluation == "auto" else {"EVALUATION": evaluation}

    def preview(self, stack: Path, samples: Path) -> None:
        """The random forest and its map, before the network."""
        model = {"OUTPUT": self.work / PREVIEW_MODEL, "REPORT": self.work / "preview.html"}
        inputs = {"SAMPLES": [str(samples)], "NETWORK": "randomforest", **self._evaluation()}
        self.child("train", inputs, [samples], model)
        path = self.work / "preview.tif"
        inputs = {"STACK": str(stack), "MODEL": str(model["OUTPUT"]), **self._area()}
        self.child("classify", inputs, [stack, model["OUTPUT"], self._mask()], {"OUTPUT": path})
        self.progress.info(tr("The random forest's map is ready: {path}").format(path=path))
        project = self.context.project()
        if project is not None:
            details = QgsProcessingContext.LayerDetails("Preview (random forest)", project, "PREVIEW_MAP")
            self.context.addLayerToLoadOnCompletion(str(path), details)

    def classify(self, stack: Path, trained: dict[str, Any]) -> dict[str, Any]:
        """The map, its confidence and the overview."""
        outputs = self.maps
        inputs = {"STACK": str(stack), "MODEL": str(self.model), **self._area()}
        given = ((name, self.parameters.get(name)) for name in ("LEVEL", "UNSURE_ERROR"))
        inputs |= {name: value for name, value in given if value not in (None, "")}
        if self.regions:
            blend = {name: value for name, value in self._passed_on("classify").items() if name == "BLEND"}
            inputs |= self.regions | blend
        mapped = self.child("classify", inputs, [stack, self.model, self._mask()], outputs, self.polygons)
        results: dict[str, Any] = {name: str(path) for name, path in outputs.items()}
        results["MODEL"] = str(self.model)
        for number in ("OVERALL_ACCURACY", "KAPPA", "MACRO_F1"):
            results[number] = trained.get(number)
        if mapped.get("UNSURE_SHARE") is not None:
            results["UNSURE_SHARE"] = mapped["UNSURE_SHARE"]
        preview = self.algorithm.parameterAsBool(self.parameters, "PREVIEW", self.context)
        if preview:
            results["PREVIEW_MAP"] = str(self.work / "preview.tif")
        if self.report:
            made = self._provenance()
            regional = self.work / "training.html" if self.regions else None
            forest = self.work / PREVIEW_MODEL if preview and not network_info(self.network).is_forest else None
            write_overview(
                Path(self.report), self.output, self.network, results, self.work, self.warnings, made, regional, forest
            )
            results["REPORT"] = self.report
        return results

    def _provenance(self) -> Provenance:
        inputs = {
            "INPUT": self.folder_input,
            "STACK": self.stack_input,
            "REFERENCE": self._file("REFERENCE"),
            "NOMENCLATURE": self.algorithm.parameterAsFile(self.parameters, "NOMENCLATURE", self.context),
            "REGIONS": self._file("REGIONS") if self.regions else "",
        }
        return gather(inputs, self.algorithm.parameterAsInt(self.parameters, "SEED", self.context))

    def _file(self, name: str) -> str:
        """A layer's file, or its name where it has none."""
        layer = self.algorithm.parameterAsVectorLayer(self.parameters, name, self.context)
        return "" if layer is None else layer.source() if layer.providerType() == "ogr" else layer.name()

    def _passed_on(self, step: str) -> dict[str, Any]:
        return passed_on(self.algorithm, step, self.parameters)

    def _area(self) -> dict[str, Any]:
        """EXTENT and MASK where they are given."""
        extent = self.parameters.get("EXTENT")
        mask = {name: value for name, value in self._passed_on("classify").items() if name == "MASK"}
        return {**({} if extent in (None, "") else {"EXTENT": extent}), **mask}

    def _mask(self) -> str:
        """The file of MASK, which decides whether a map must be made anew; empty without one."""
        if "MASK" not in self._passed_on("classify"):
            return ""
        layer = self.algorithm.parameterAsLayer(self.parameters, "MASK", self.context)
        return "" if layer is None else layer.source().split("|")[0]


def _definitions(algorithm: str) -> list:
    from qgis.core import QgsApplication

    return QgsApplication.processingRegistry().algorithmById(f"landloom:{algorithm}").parameterDefinitions()
