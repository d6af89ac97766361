"""extractsamples: labelled pixels with their time series, split once for training, validation and test."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qgis.core import (
    QgsProcessingContext,
    QgsProcessingFeedback,
)

from ..model.base.language import tr
from ..model.base.nomenclature import MOST_LEVELS
from ..model.base.words import counted
from . import declare
from .base import FeedbackProgress, LandloomAlgorithm
from .mapinputs import add_scheduler, scheduler
from .nomenclature import reference_path

SPLIT_RULES = ["group", "block", "field"]


class ExtractSamples(LandloomAlgorithm):
    """Reads the series of labelled pixels; see ``model/samples/extraction.py``."""

    ID = "extractsamples"
    NAME = "Extract samples"
    GROUP = "2 Reference"
    SUMMARY = (
        "Reads the time series of the pixels in reference polygons or points, with some pixels of context, and deals "
        "them to training, validation, test and folds so that no polygon lies in two parts. The report shows the "
        "curves of each class and the polygons whose curve is unlike their class."
    )
    EXAMPLE = (
        "qgis_process run landloom:extractsamples --STACK=stack.json --REFERENCE=fields.gpkg --CLASS_FIELD=crop "
        "--OUTPUT=samples --REPORT=samples.html"
    )
    TAGS = ("training", "reference", "polygons", "time series", "split", "ground truth")

    def initAlgorithm(self, configuration: dict[str, Any] | None = None) -> None:  # noqa: N802
        self.add_stack("A stack.json made by 'Prepare stack' or 'Add rasters'.")
        self.add_reference("Polygons or points whose land cover is known, in any CRS.")
        self.add_class_field("The field that holds the class, whole numbers or text.")
        self.add_nomenclature(
            "A table of 'Nomenclature' (CSV, ODS, XLSX) that groups, renames, recodes and leaves out classes, or "
            "iota2's nomenclature.txt, whose colours are taken from colors.txt beside it. Every value of the field "
            "must be listed."
        )
        self.add(
            declare.whole("LEVEL", "Level of the nomenclature", 0, 0, MOST_LEVELS),
            "0 for the classes themselves; 1, 2... for the coarser classes in the columns level1, level2... of the "
            "nomenclature.",
            advanced=True,
        )
        self.add(
            declare.field("GROUP_FIELD", "Group field", optional=True),
            "Features with the same value stay together, such as a farm.",
            advanced=True,
        )
        self.add(
            declare.number("GROUP_DISTANCE", "Group distance (m)", 0.0, 0.0),
            "Polygons nearer to each other than this, in metres, stay together in training or test; 0 keeps each on "
            "its own. More gives a stricter test.",
            advanced=True,
        )
        self.add(
            declare.whole("HALO", "Context (pixels)", 2, 0, 64),
            "Pixels round each sample, 0 to 64: twinns needs 2; the others need none, and 0 saves disk.",
            advanced=True,
        )
        self.add(
            declare.number("INNER_BUFFER", "Inner buffer (m)", 0.0, 0.0),
            "Polygons are shrunk by this, in metres, so that mixed pixels of their border are left out. One that "
            "vanishes keeps the pixel it covers most.",
            advanced=True,
        )
        self.add(
            declare.number("MIN_SHARE", "Least share of a pixel", 0.5, 0.0, 1.0),
            "A pixel belongs to a polygon when at least this share of it, 0 to 1, lies inside. 1 keeps pure pixels "
            "only; a polygon without any keeps the pixel it covers most.",
            advanced=True,
        )
        self.add(
            declare.whole("MAX_PER_CLASS", "Most pixels of a class", 0, 0),
            "0 for no limit. Polygons take turns, so that large ones lose pixels first.",
            advanced=True,
        )
        self.add(
            declare.whole("MAX_PER_GROUP", "Most pixels of a group", 200, 0),
            "So that a large polygon does not drown small fields; 0 for no limit.",
            advanced=True,
        )
        self.add(
            declare.number("VALIDATION", "Share for validation", 0.2, 0.0, 0.9),
            "Share of the groups of each class that decides when training stops, 0 to 0.9.",
        )
        self.add(
            declare.number("TEST", "Share for the test", 0.2, 0.0, 0.9),
            "Share of the groups of each class that training never reads, 0 to 0.9. A class with one group is for "
            "training only, with two for training and test.",
        )
        self.add(declare.whole("FOLDS", "Folds", 5, 2, 50), "Folds of the cross-validation, 2 to 50.", advanced=True)
        self.add(
            declare.choice("SPLIT_BY", "Split by", SPLIT_RULES, "group"),
            "group: whole groups, class by class; block: whole squares of the map, a stricter test; field: as "
            "SPLIT_FIELD says.",
            advanced=True,
        )
        self.add(
            declare.number("BLOCK_SIZE", "Block size (m)", 5000.0, 1.0),
            "Side of the square blocks of SPLIT_BY block, in metres: more than the distance over which fields are "
            "alike.",
            advanced=True,
        )
        self.add(
            declare.field("SPLIT_FIELD", "Split field", optional=True),
            "For SPLIT_BY field: a field that holds training, validation or test (apprentissage, validation, test).",
            advanced=True,
        )
        self.add_seed()
        self.add_memory()
        add_scheduler(self)
        self.add(declare.output_folder("OUTPUT", "Samples"), "A new folder, or one of samples, which is replaced.")
        self.add(
            declare.output_vector("POINTS", "Points", declare.POINTS, optional=True, by_default=False),
            "The samples as points with class, group, split, fold and suspect, styled by the .qml beside. The same "
            "layer lies in the folder of samples.",
        )
        self.add_report("Counts and hectares, curves of each class, valid dates by month, suspect polygons.")

    def work(
        self, parameters: dict[str, Any], context: QgsProcessingContext, feedback: QgsProcessingFeedback
    ) -> dict[str, Any]:
        from ..model.base.files import check_writable
        from ..model.base.provenance import gather
        from ..model.samples.extraction import extract_samples
        from ..model.samples.points import check_points_path, export_points
        from ..model.samples.report import write_report
        from ..model.samples.settings import ExtractionSettings

        def text(name: str) -> str:
            return self.parameterAsString(parameters, name, context) or ""

        def whole(name: str) -> int:
            return self.parameterAsInt(parameters, name, context)

        def real(name: str) -> float:
            return self.parameterAsDouble(parameters, name, context)

        progress = FeedbackProgress(feedback)
        output = Path(self.parameterAsFileOutput(parameters, "OUTPUT", context))
        points = self.parameterAsOutputLayer(parameters, "POINTS", context) if parameters.get("POINTS") else ""
        report = self.parameterAsFileOutput(parameters, "REPORT", context) if parameters.get("REPORT") else ""
        if points:
            check_points_path(points)
        for path in (points, report):
            if path:
                check_writable(path)
        reference, crs = reference_path(self, parameters, context, feedback)
        settings = ExtractionSettings(
            class_field=text("CLASS_FIELD"),
            nomenclature=self.parameterAsFile(parameters, "NOMENCLATURE", context) or "",
            level=whole("LEVEL"),
            group_field=text("GROUP_FIELD"),
            group_distance=real("GROUP_DISTANCE"),
            halo=whole("HALO"),
            inner_buffer=real("INNER_BUFFER"),
            min_share=real("MIN_SHARE"),
            max_per_class=whole("MAX_PER_CLASS"),
            max_per_group=whole("MAX_PER_GROUP"),
            validation=real("VALIDATION"),
            test=real("TEST"),
            folds=whole("FOLDS"),
            split_by=self.parameterAsEnumString(parameters, "SPLIT_BY", context),
            block_size=real("BLOCK_SIZE"),
            split_field=text("SPLIT_FIELD"),
            seed=whole("SEED"),
            memory_mb=whole("MEMORY_MB"),
            reference_crs=crs,
        )
        stack = self.parameterAsFile(parameters, "STACK", context)
        share = 90 if points else 98
        with scheduler(self, parameters, context, progress) as elsewhere:
            extraction = extract_samples(stack, reference, settings, output, progress.part(0, share), elsewhere)
        results: dict[str, Any] = {"OUTPUT": str(output)}
        if points:
            export_points(output, points, progress.part(share, 98))
            results["POINTS"] = points
        if report:
            inputs = {"STACK": stack, "REFERENCE": reference, "NOMENCLATURE": settings.nomenclature}
            write_report(extraction, report, gather(inputs, settings.seed))
            results["REPORT"] = report
        for index, one in enumerate(extraction.nomenclature):
            progress.info(f"{one.name}: {counted(int((extraction.labels == index).sum()), 'pixel')}")
        progress.info(tr("{samples} in {output}.").format(samples=counted(len(extraction), "sample"), output=output))
        progress.percent(100)
        return results
