"""suggestlabels: places whose labelling would help a model most."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qgis.core import QgsProcessingContext, QgsProcessingFeedback

from ..model.base.errors import LandloomError
from ..model.base.language import tr
from . import declare
from .base import FeedbackProgress
from .classify import MapLayer
from .mapinputs import MapAlgorithm
from .nomenclature import reference_path

METHODS = ["margin", "entropy"]


class SuggestLabels(MapAlgorithm):
    """By uncertainty and diversity; see ``model/accuracy/suggest.py``."""

    ID = "suggestlabels"
    NAME = "Suggest places to label"
    GROUP = "6 Accuracy"
    SUMMARY = (
        "Proposes places whose labelling would help a model most: where it is unsure, unlike each other and apart, "
        "never on the edges of fields and never without data. The points are ready to be labelled: choose the class "
        "in the list of the field 'class', and QGIS fills in its code; then give the layer to 'Extract samples' with "
        "CLASS_FIELD code."
    )
    EXAMPLE = (
        "qgis_process run landloom:suggestlabels --STACK=stack.json --MODEL=model.safetensors --SAMPLES=samples "
        "--COUNT=50 --OUTPUT=to_label.gpkg"
    )
    TAGS = ("active learning", "uncertainty", "field work", "label", "reference data")

    def initAlgorithm(self, configuration: dict[str, Any] | None = None) -> None:  # noqa: N802
        self.add_stack("A stack.json with the sensors and bands of the model.")
        self.add_model("A model made by 'Train', a network or a random forest; its calibrated confidence is used.")
        self.add(
            declare.whole("COUNT", "Number of places", 50, 1, 10000),
            "How many places to propose, 1 to 10000. The first help most.",
        )
        self.add(
            declare.folder("SAMPLES", "Samples that are labelled already", optional=True),
            "Folder made by 'Extract samples': nothing nearer than DISTANCE to these samples is proposed.",
        )
        self.add(
            declare.features(
                "REFERENCE", "Reference data that exist already", [declare.POLYGONS, declare.POINTS], optional=True
            ),
            "Polygons or points, in any CRS: nothing inside them or nearer than DISTANCE is proposed.",
        )
        self.add(
            declare.number("DISTANCE", "Smallest distance (m)", 100.0, 0.0),
            "Metres between two places, and from what is labelled already; 0 or more.",
        )
        self.add(
            declare.choice("METHOD", "Uncertainty", METHODS, "margin"),
            "margin: how close the second class comes to the first; entropy: how evenly all classes share the "
            "probability.",
            advanced=True,
        )
        self.add(
            declare.whole("PIXELS", "Pixels to look at", 1_000_000, 0),
            "About how many pixels are computed, in squares of 64 x 64 spread over the area; 0 computes all of them. "
            "More take longer and find rarer places.",
            advanced=True,
        )
        self.add_area(
            "Part of the stack to search, in any coordinate system; all of it by default.",
            "Polygons or a raster: nothing outside (in a raster: 0 or no data) is proposed, as where nobody can go.",
        )
        self.add_seed()
        self.add_device()
        self.add_memory()
        self.add(
            declare.output_vector("OUTPUT", "Places to label", declare.POINTS),
            "Points with rank, class (empty, a list of the classes), its code, predicted and second class, confidence "
            "in percent and uncertainty 0 to 1; rings in the colour of the predicted class, filled once labelled.",
        )

    def work(
        self, parameters: dict[str, Any], context: QgsProcessingContext, feedback: QgsProcessingFeedback
    ) -> dict[str, Any]:
        from ..model.accuracy.suggest import SuggestionSettings, suggest
        from ..model.accuracy.suggestpoints import write_suggestions
        from ..model.base.files import check_writable
        from ..model.base.vectorfile import check_vector_path

        stack, model = (self.file(parameters, name, context) for name in ("STACK", "MODEL"))
        output = self.parameterAsOutputLayer(parameters, "OUTPUT", context)
        if not output:
            raise LandloomError(tr("OUTPUT is missing: give a file, such as to_label.gpkg."))
        check_vector_path(output)
        check_writable(output)
        samples = self.parameterAsFile(parameters, "SAMPLES", context)
        reference = None
        if parameters.get("REFERENCE") not in (None, ""):
            reference = reference_path(self, parameters, context, feedback)
        progress = FeedbackProgress(feedback)
        found = suggest(
            stack,
            model,
            SuggestionSettings(
                count=self.parameterAsInt(parameters, "COUNT", context),
                method=self.parameterAsEnumString(parameters, "METHOD", context) or METHODS[0],
                distance=self.parameterAsDouble(parameters, "DISTANCE", context),
                pixels=self.parameterAsInt(parameters, "PIXELS", context),
                seed=self.parameterAsInt(parameters, "SEED", context),
            ),
            samples=[samples] if samples else [],
            reference=reference,
            bounds=self.bounds(parameters, stack, context),
            mask=self.mask_source(parameters, context, feedback),
            memory_mb=self.parameterAsInt(parameters, "MEMORY_MB", context),
            device=self.parameterAsEnumString(parameters, "DEVICE", context) or declare.DEVICES[0],
            progress=progress.part(0, 95),
        )
        write_suggestions(output, found, progress.part(95, 100))
        MapLayer.name_on_load(context, output, self.tr("To label ({})").format(Path(model).stem))
        return {"OUTPUT": output}
