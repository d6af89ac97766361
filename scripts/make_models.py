"""Writes the example graphical models in resources/models/ from this description, so that they can be changed by text.

Run it as ``.venv/bin/python scripts/make_models.py``; the result is committed, and the same on every run. The toolbox
shows them by ``algorithms/examples.py``, which has their ids, names and help; tests run them.
"""

from __future__ import annotations

import os
import xml.etree.ElementTree as ET
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

from qgis.core import (
    QgsApplication,
    QgsProcessing,
    QgsProcessingModelAlgorithm,
    QgsProcessingModelChildAlgorithm,
    QgsProcessingModelChildParameterSource,
    QgsProcessingModelOutput,
    QgsProcessingModelParameter,
    QgsProcessingParameterDefinition,
    QgsProcessingParameterEnum,
    QgsProcessingParameterField,
    QgsProcessingParameterFile,
    QgsProcessingParameterNumber,
    QgsProcessingParameterVectorLayer,
)
from qgis.PyQt.QtCore import QPointF

ROOT = Path(__file__).resolve().parents[1]
Source = QgsProcessingModelChildParameterSource


def load_provider() -> object:
    """Register the plugin's algorithms, which the model names."""
    from loading import load_package  # beside this script

    package = load_package()
    plugin = package.classFactory(None)
    plugin.initProcessing()
    return plugin


def add_input(model: QgsProcessingModelAlgorithm, definition: QgsProcessingParameterDefinition, row: int) -> None:
    """Add an input of the model, placed on the canvas of the modeler."""
    place = QgsProcessingModelParameter(definition.name())
    place.setPosition(QPointF(140, 70 + 90 * row))
    model.addModelParameter(definition, place)


def add_step(
    model: QgsProcessingModelAlgorithm,
    algorithm: str,
    sources: dict[str, QgsProcessingModelChildParameterSource],
    column: int,
    outputs: dict[str, str],
    name: str = "",
    lower: int = 0,
) -> None:
    """Add an algorithm; ``outputs`` names those of its outputs that are outputs of the model, with their labels.

    Args:
        model: takes it.
        algorithm: without the provider.
        sources: where its parameters come from.
        column: its place on the canvas.
        outputs: output -> label.
        name: of the step, where the algorithm comes twice.
        lower: how far down on the canvas.
    """
    child = QgsProcessingModelChildAlgorithm(f"landloom:{algorithm}")
    child.setChildId(name or algorithm)
    child.setDescription(child.algorithm().displayName())
    child.setPosition(QPointF(400 + 230 * column, 100 + 60 * column + lower))
    for parameter, source in sources.items():
        child.addParameterSources(parameter, [source])
    declared = {}
    for row, (output, label) in enumerate(outputs.items()):
        result = QgsProcessingModelOutput(label)
        result.setDescription(label)
        result.setChildId(name or algorithm)
        result.setChildOutputName(output)
        result.setPosition(QPointF(400 + 230 * column, 200 + 60 * column + 60 * row + lower))
        declared[label] = result
    child.setModelOutputs(declared)
    model.addChildAlgorithm(child)


def land_cover_from_products() -> QgsProcessingModelAlgorithm:
    """Folder of products and reference layer -> stack -> samples -> network -> map."""
    model = QgsProcessingModelAlgorithm("Land cover from products", "Example models")
    folder = QgsProcessingParameterFile("products", "Folder of products")
    folder.setBehavior(QgsProcessingParameterFile.Behavior.Folder)
    reference = QgsProcessingParameterVectorLayer(
        "reference", "Reference layer", [QgsProcessing.SourceType.TypeVectorAnyGeometry]
    )
    field = QgsProcessingParameterField("class_field", "Class field", parentLayerParameterName="reference")
    network = QgsProcessingParameterEnum(
        "network",
        "Network",
        options=["ltae", "twinns", "tempcnn", "randomforest"],
        defaultValue="ltae",
        usesStaticStrings=True,
    )
    for row, definition in enumerate((folder, reference, field, network)):
        add_input(model, definition, row)
    add_step(
        model,
        "preparestack",
        {"INPUT": Source.fromModelParameter("products")},
        0,
        {"OUTPUT": "Stack", "REPORT": "Images report"},
    )
    add_step(
        model,
        "extractsamples",
        {
            "STACK": Source.fromChildOutput("preparestack", "OUTPUT"),
            "REFERENCE": Source.fromModelParameter("reference"),
            "CLASS_FIELD": Source.fromModelParameter("class_field"),
        },
        1,
        {"OUTPUT": "Samples", "REPORT": "Samples report"},
    )
    add_step(
        model,
        "train",
        {
            "SAMPLES": Source.fromChildOutput("extractsamples", "OUTPUT"),
            "NETWORK": Source.fromModelParameter("network"),
        },
        2,
        {"OUTPUT": "Model", "REPORT": "Accuracy report"},
    )
    add_step(
        model,
        "classify",
        {
            "STACK": Source.fromChildOutput("preparestack", "OUTPUT"),
            "MODEL": Source.fromChildOutput("train", "OUTPUT"),
        },
        3,
        {"OUTPUT": "Land-cover map", "CONFIDENCE": "Confidence"},
    )
    return model


def objects_from_a_stack() -> QgsProcessingModelAlgorithm:
    """Stack and reference layer -> segments -> forest on their features -> classified polygons."""
    model = QgsProcessingModelAlgorithm("Objects from a stack", "Example models")
    kind = QgsProcessingParameterNumber.Type
    stack = QgsProcessingParameterFile("stack", "Stack", fileFilter="Stack (*.json)")
    reference = QgsProcessingParameterVectorLayer(
        "reference", "Reference layer", [QgsProcessing.SourceType.TypeVectorAnyGeometry]
    )
    field = QgsProcessingParameterField("class_field", "Class field", parentLayerParameterName="reference")
    scale = QgsProcessingParameterNumber("scale", "Scale of the segments", kind.Double, optional=True)
    scale.setMinimum(0.01)
    size = QgsProcessingParameterNumber("min_size", "Smallest segment (m²)", kind.Double, defaultValue=0.0)
    size.setMinimum(0.0)
    for row, definition in enumerate((stack, reference, field, scale, size)):
        add_input(model, definition, row)
    from_stack, segments = Source.fromModelParameter("stack"), Source.fromChildOutput("segment", "POLYGONS")
    add_step(
        model,
        "segment",
        {
            "STACK": from_stack,
            "SCALE": Source.fromModelParameter("scale"),
            "MIN_SIZE": Source.fromModelParameter("min_size"),
        },
        0,
        {"POLYGONS": "Segments"},
    )
    add_step(
        model,
        "trainobjects",
        {
            "STACK": from_stack,
            "SEGMENTS": segments,
            "REFERENCE": Source.fromModelParameter("reference"),
            "CLASS_FIELD": Source.fromModelParameter("class_field"),
        },
        1,
        {"OUTPUT": "Model of objects", "REPORT": "Accuracy report"},
    )
    add_step(
        model,
        "classifyobjects",
        {"STACK": from_stack, "SEGMENTS": segments, "MODEL": Source.fromChildOutput("trainobjects", "OUTPUT")},
        2,
        {"OUTPUT": "Classified objects"},
    )
    return model


def compare_two_years() -> QgsProcessingModelAlgorithm:
    """Two stacks and a model -> two clean maps -> their difference."""
    model = QgsProcessingModelAlgorithm("Compare two years", "Example models")
    kind = QgsProcessingParameterNumber.Type
    definitions = [
        QgsProcessingParameterFile("stack_before", "Stack before", fileFilter="Stack (*.json)"),
        QgsProcessingParameterFile("stack_after", "Stack after", fileFilter="Stack (*.json)"),
        QgsProcessingParameterFile("model", "Model", fileFilter="Model (*.safetensors)"),
        QgsProcessingParameterNumber(
            "radius", "Radius of the majority vote (pixels)", kind.Integer, defaultValue=1, minValue=0, maxValue=25
        ),
        QgsProcessingParameterVectorLayer(
            "zones", "Zones", [QgsProcessing.SourceType.TypeVectorPolygon], optional=True
        ),
    ]
    for row, definition in enumerate(definitions):
        add_input(model, definition, row)
    for place, year in enumerate(("before", "after")):
        sources = {"STACK": Source.fromModelParameter(f"stack_{year}"), "MODEL": Source.fromModelParameter("model")}
        add_step(model, "classify", sources, 0, {}, f"classify_{year}", 260 * place)
        sources = {
            "MAP": Source.fromChildOutput(f"classify_{year}", "OUTPUT"),
            "RADIUS": Source.fromModelParameter("radius"),
        }
        add_step(model, "regularise", sources, 1, {"OUTPUT": f"Map {year}"}, f"regularise_{year}", 260 * place)
    add_step(
        model,
        "difference",
        {
            "BEFORE": Source.fromChildOutput("regularise_before", "OUTPUT"),
            "AFTER": Source.fromChildOutput("regularise_after", "OUTPUT"),
            "ZONES": Source.fromModelParameter("zones"),
        },
        2,
        {"OUTPUT": "Map of differences", "TABLE": "Table of differences", "REPORT": "Report of differences"},
        lower=130,
    )
    return model


def in_order(path: Path) -> None:
    """Write the file's attributes in one order: Qt has another on every run."""
    root = ET.fromstring(path.read_text(encoding="utf-8"))
    for element in root.iter():
        given = sorted(element.attrib.items(), key=lambda one: (_ATTRIBUTES.find(one[0]), one[0]))
        element.attrib.clear()
        element.attrib.update(given)
    text = ET.tostring(root, encoding="unicode", short_empty_elements=True).replace(" />", "/>")
    path.write_text(f"<!DOCTYPE model>\n{text}\n", encoding="utf-8")


_ATTRIBUTES = "name type value"
MODELS = {
    "land_cover_from_products": land_cover_from_products,
    "objects_from_a_stack": objects_from_a_stack,
    "compare_two_years": compare_two_years,
}


def main() -> None:
    """Write every model.

    Raises:
        SystemExit: if one is not valid or cannot be written.
    """
    application = QgsApplication([], False)
    application.initQgis()
    plugin = load_provider()
    from landloom.algorithms import examples

    summaries = {one.FILE: one.SUMMARY for one in examples.EXAMPLES}
    folder = ROOT / "resources" / "models"
    folder.mkdir(parents=True, exist_ok=True)
    for name, make in MODELS.items():
        model = make()
        model.setHelpContent({"ALG_DESC": summaries[f"{name}.model3"]})
        places = {one: part.position().y() for one, part in model.parameterComponents().items()}
        model.setParameterOrder(sorted(places, key=lambda one: places[one]))  # as they stand on the canvas
        valid, problems = model.validate()
        if not valid:
            raise SystemExit(f"{name}: {problems}")
        if not model.toFile(str(folder / f"{name}.model3")):
            raise SystemExit(f"{name} could not be written")
        in_order(folder / f"{name}.model3")
        print(folder / f"{name}.model3")
    plugin.unload()
    application.exitQgis()


if __name__ == "__main__":
    main()
