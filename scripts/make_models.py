"""Writes the example graphical models in resources/models/ from this description, so that they can be changed by text.

Run it as ``.venv/bin/python scripts/make_models.py``; the result is committed, and a test runs it.
"""

from __future__ import annotations

import os
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
) -> None:
    """Add an algorithm; ``outputs`` names those of its outputs that are outputs of the model, with their labels."""
    child = QgsProcessingModelChildAlgorithm(f"landloom:{algorithm}")
    child.setChildId(algorithm)
    child.setDescription(child.algorithm().displayName())
    child.setPosition(QPointF(400 + 230 * column, 100 + 60 * column))
    for name, source in sources.items():
        child.addParameterSources(name, [source])
    declared = {}
    for row, (output, label) in enumerate(outputs.items()):
        result = QgsProcessingModelOutput(label)
        result.setDescription(label)
        result.setChildId(algorithm)
        result.setChildOutputName(output)
        result.setPosition(QPointF(400 + 230 * column, 200 + 60 * column + 60 * row))
        declared[label] = result
    child.setModelOutputs(declared)
    model.addChildAlgorithm(child)


def land_cover_from_products() -> QgsProcessingModelAlgorithm:
    """Folder of products and reference layer -> stack -> samples -> network -> map."""
    model = QgsProcessingModelAlgorithm("Land cover from products", "Landloom examples")
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
    model = QgsProcessingModelAlgorithm("Objects from a stack", "Landloom examples")
    kind = QgsProcessingParameterNumber.Type
    stack = QgsProcessingParameterFile("stack", "Stack", fileFilter="Stack (*.json)")
    reference = QgsProcessingParameterVectorLayer(
        "reference", "Reference layer", [QgsProcessing.SourceType.TypeVectorAnyGeometry]
    )
    field = QgsProcessingParameterField("class_field", "Class field", parentLayerParameterName="reference")
    scale = QgsProcessingParameterNumber("scale", "Scale of the segments", kind.Double, defaultValue=10.0)
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


MODELS = {"land_cover_from_products": land_cover_from_products, "objects_from_a_stack": objects_from_a_stack}


def main() -> None:
    """Write every model.

    Raises:
        SystemExit: if one is not valid or cannot be written.
    """
    application = QgsApplication([], False)
    application.initQgis()
    plugin = load_provider()
    folder = ROOT / "resources" / "models"
    folder.mkdir(parents=True, exist_ok=True)
    for name, make in MODELS.items():
        model = make()
        valid, problems = model.validate()
        if not valid:
            raise SystemExit(f"{name}: {problems}")
        if not model.toFile(str(folder / f"{name}.model3")):
            raise SystemExit(f"{name} could not be written")
        print(folder / f"{name}.model3")
    plugin.unload()
    application.exitQgis()


if __name__ == "__main__":
    main()
