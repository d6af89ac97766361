"""The example models of the toolbox: graphical models of ``resources/models/``, made by ``scripts/make_models.py``.

A model is called like any algorithm, ``landloom:<id>``; its file opens in the model designer, to be changed and kept
under another name.
"""

from __future__ import annotations

import html
from pathlib import Path
from typing import ClassVar

from qgis.core import QgsProcessingModelAlgorithm

from ..model.base.language import language, mark, tr

FOLDER = Path(__file__).resolve().parents[1] / "resources" / "models"
HELP_FOLDER = Path(__file__).resolve().parents[1] / "resources" / "help"
_FIELD = mark("Field of the reference layer with the class, whole numbers or text.")
_REFERENCE = mark("Polygons or points whose class is known, in any CRS.")


class ExampleModel(QgsProcessingModelAlgorithm):
    """A graphical model with an id, names in QGIS's language and help, as the algorithms have them.

    Attributes:
        ID: name without the provider.
        FILE: in ``resources/models/``.
        NAME: for people.
        GROUP: of the toolbox.
        SUMMARY: what it does.
        EXAMPLE: a ``qgis_process`` command line.
        HELP: help of its inputs by name; outputs have that of their algorithm.
    """

    ID = ""
    FILE = ""
    NAME = ""
    GROUP = "Example models"
    SUMMARY = ""
    EXAMPLE = ""
    HELP: ClassVar[dict[str, str]] = {}

    def __init__(self) -> None:
        super().__init__()
        # False where the file is not there: the model then has no steps and cannot be run, which QGIS says.
        self.fromFile(str(FOLDER / self.FILE))
        self.setSourceFilePath(str(FOLDER / self.FILE))
        for definition in self.parameterDefinitions():
            definition.setDescription(tr(definition.description()))
            if definition.name() in self.HELP:
                definition.setHelp(tr(self.HELP[definition.name()]))

    def name(self) -> str:
        return self.ID

    def displayName(self) -> str:  # noqa: N802
        return tr(self.NAME)

    def group(self) -> str:
        return tr(self.GROUP)

    def groupId(self) -> str:  # noqa: N802
        return "examplemodels"

    def tags(self) -> list[str]:
        return ["example", "model", "workflow", "chain"]

    def helpUrl(self) -> str:  # noqa: N802
        own = HELP_FOLDER / language() / f"{self.ID}.html"
        return (own if own.exists() else HELP_FOLDER / "en" / f"{self.ID}.html").as_uri()

    def shortDescription(self) -> str:  # noqa: N802
        return tr(self.SUMMARY)

    def shortHelpString(self) -> str:  # noqa: N802
        parts = [f"<p>{html.escape(tr(self.SUMMARY))}</p>"]
        for one in self.parameterDefinitions():
            parts.append(f"<p><b>{html.escape(one.description())}</b>: {html.escape(one.help())}</p>")
        parts.append(f"<p><b>{html.escape(tr('Example'))}</b></p><p><code>{html.escape(self.EXAMPLE)}</code></p>")
        return "\n".join(parts)

    def createInstance(self) -> ExampleModel:  # noqa: N802
        return type(self)()


class LandCoverFromProducts(ExampleModel):
    """Folder of products and reference layer -> stack -> samples -> network -> map."""

    ID = "landcoverfromproducts"
    FILE = "land_cover_from_products.model3"
    NAME = "Land cover from products"
    SUMMARY = (
        "From a folder of satellite products and a reference layer to a map: prepares the stack, extracts samples, "
        "trains and classifies, and keeps what each step makes."
    )
    EXAMPLE = (
        "qgis_process run landloom:landcoverfromproducts --products=products --reference=fields.gpkg "
        "--class_field=crop --network=randomforest --stack=stack.json --samples=samples "
        "--model=model.safetensors --landcover_map=map.tif"
    )
    HELP: ClassVar[dict[str, str]] = {
        "products": mark("Folder of the products as they were downloaded, nothing renamed; zip files are read too."),
        "reference": _REFERENCE,
        "class_field": _FIELD,
        "network": mark("ltae, twinns and tempcnn need PyTorch, randomforest does not."),
    }


class ObjectsFromStack(ExampleModel):
    """Stack and reference layer -> segments -> forest on their features -> classified polygons."""

    ID = "objectsfromstack"
    FILE = "objects_from_a_stack.model3"
    NAME = "Objects from a stack"
    SUMMARY = (
        "From a stack and a reference layer to classified fields: segments the stack, trains a forest on what each "
        "segment looks like through the season, and classifies all segments."
    )
    EXAMPLE = (
        "qgis_process run landloom:objectsfromstack --stack=stack.json --reference=fields.gpkg --class_field=crop "
        "--min_size=0 --segments=segments.gpkg --model_of_objects=objects.safetensors "
        "--classified_objects=objects.gpkg"
    )
    HELP: ClassVar[dict[str, str]] = {
        "stack": mark("A stack.json, as 'Prepare stack' writes it."),
        "reference": _REFERENCE,
        "class_field": _FIELD,
        "scale": mark(
            "Above 0; larger values give larger segments. By default 80 m divided by the side of a pixel, which suits "
            "fields of some tenths of a hectare: 8 for 10 m."
        ),
        "min_size": mark("Square metres, 0 or more: smaller segments are joined to a neighbour."),
    }


class CompareTwoYears(ExampleModel):
    """Two stacks and a model -> two clean maps -> their difference."""

    ID = "comparetwoyears"
    FILE = "compare_two_years.model3"
    NAME = "Compare two years"
    SUMMARY = (
        "Maps two stacks, such as those of two years, with one model, cleans both maps in the same way, and compares "
        "them: a map of what became of what, hectares from class to class, and a report. Differences hold the errors "
        "of both maps."
    )
    EXAMPLE = (
        "qgis_process run landloom:comparetwoyears --stack_before=2020/stack.json --stack_after=2021/stack.json "
        "--model=model.safetensors --radius=1 --map_before=map_2020.tif --map_after=map_2021.tif "
        "--map_of_differences=changes.tif --report_of_differences=changes.html"
    )
    HELP: ClassVar[dict[str, str]] = {
        "stack_before": mark("The stack.json of the earlier year, with the sensors that the model reads."),
        "stack_after": mark("The stack.json of the later year, prepared in the same way; its extent may differ."),
        "model": mark("One model for both years: of these years, or of others ('Train' takes the samples of several)."),
        "radius": mark("Pixels, 0 to 25; 0 for no vote: both maps are cleaned alike, so that fewer borders differ."),
        "zones": mark("Polygons, such as districts, for hectares by zone; none by default."),
    }


EXAMPLES: tuple[type[ExampleModel], ...] = (LandCoverFromProducts, ObjectsFromStack, CompareTwoYears)
