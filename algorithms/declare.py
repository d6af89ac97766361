"""Declaring parameters: a line for what QGIS shows and checks, then the help.

``self.add(declare.whole("RUNS", "Runs", 3, 1, 100), "Times that ...")``: name, label, default, then the range or what
else there is to say. A parameter is required unless ``optional=True``. Labels and helps are given in English and
translated here; ``scripts/translations.py`` finds them where they stand. What several algorithms declare alike, such as
STACK or SEED, is a method of :class:`Declaring`, which takes the help where that differs.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from qgis.core import (
    QgsProcessing,
    QgsProcessingAlgorithm,
    QgsProcessingOutputNumber,
    QgsProcessingParameterBoolean,
    QgsProcessingParameterCrs,
    QgsProcessingParameterDefinition,
    QgsProcessingParameterEnum,
    QgsProcessingParameterExtent,
    QgsProcessingParameterFeatureSource,
    QgsProcessingParameterField,
    QgsProcessingParameterFile,
    QgsProcessingParameterFileDestination,
    QgsProcessingParameterFolderDestination,
    QgsProcessingParameterMapLayer,
    QgsProcessingParameterMultipleLayers,
    QgsProcessingParameterNumber,
    QgsProcessingParameterRasterDestination,
    QgsProcessingParameterRasterLayer,
    QgsProcessingParameterString,
    QgsProcessingParameterVectorDestination,
)

from ..model.base.device import DEVICES
from ..model.base.language import tr

POINTS = QgsProcessing.SourceType.TypeVectorPoint
POLYGONS = QgsProcessing.SourceType.TypeVectorPolygon
ANY_GEOMETRY = QgsProcessing.SourceType.TypeVectorAnyGeometry

CSV = "CSV (*.csv)"
TABLE = "CSV (*.csv);;OpenDocument (*.ods);;Excel (*.xlsx)"
HTML = "HTML (*.html)"
JSON = "JSON (*.json)"
MODEL = "Model (*.safetensors)"
STACK = "Stack (*.json)"
NOMENCLATURE = f"{TABLE};;iota2 text files (*.txt);;QGIS style (*.qml)"


def whole(
    name: str,
    label: str,
    default: int | None = None,
    low: int | None = None,
    high: int | None = None,
    optional: bool = False,
) -> QgsProcessingParameterNumber:
    """A whole number from ``low`` to ``high``; None is no limit."""
    kind = QgsProcessingParameterNumber.Type.Integer
    return _limited(QgsProcessingParameterNumber(name, tr(label), kind, default, optional), low, high)


def number(
    name: str,
    label: str,
    default: float | None = None,
    low: float | None = None,
    high: float | None = None,
    optional: bool = False,
) -> QgsProcessingParameterNumber:
    """A decimal number from ``low`` to ``high``; None is no limit."""
    kind = QgsProcessingParameterNumber.Type.Double
    return _limited(QgsProcessingParameterNumber(name, tr(label), kind, default, optional), low, high)


def _limited(
    parameter: QgsProcessingParameterNumber, low: float | None, high: float | None
) -> QgsProcessingParameterNumber:
    if low is not None:
        parameter.setMinimum(low)
    if high is not None:
        parameter.setMaximum(high)
    return parameter


def choice(
    name: str,
    label: str,
    options: Iterable[str],
    default: str | list[str] | None = None,
    several: bool = False,
    optional: bool = False,
) -> QgsProcessingParameterEnum:
    """One of some words, or several of them; scripts give the words, never numbers."""
    return QgsProcessingParameterEnum(
        name, tr(label), list(options), several, default, optional, usesStaticStrings=True
    )


def flag(name: str, label: str, default: bool = False) -> QgsProcessingParameterBoolean:
    """Yes or no."""
    return QgsProcessingParameterBoolean(name, tr(label), default)


def text(
    name: str, label: str, default: str | None = None, optional: bool = False, lines: bool = False
) -> QgsProcessingParameterString:
    """A text, of several ``lines`` where asked."""
    return QgsProcessingParameterString(name, tr(label), default, lines, optional)


def field(name: str, label: str, layer: str = "REFERENCE", optional: bool = False) -> QgsProcessingParameterField:
    """A field of the layer that another parameter names."""
    return QgsProcessingParameterField(name, tr(label), None, layer, optional=optional)


def file(name: str, label: str, filter: str = "", optional: bool = False) -> QgsProcessingParameterFile:
    """A file to read; ``filter`` is that of Qt's file dialog."""
    kind = QgsProcessingParameterFile.Behavior.File
    return QgsProcessingParameterFile(name, tr(label), kind, optional=optional, fileFilter=filter)


def folder(name: str, label: str, optional: bool = False) -> QgsProcessingParameterFile:
    """A folder to read."""
    return QgsProcessingParameterFile(name, tr(label), QgsProcessingParameterFile.Behavior.Folder, optional=optional)


def files(name: str, label: str, optional: bool = False) -> QgsProcessingParameterMultipleLayers:
    """A list of files or folders."""
    kind = QgsProcessing.SourceType.TypeFile
    return QgsProcessingParameterMultipleLayers(name, tr(label), kind, optional=optional)


def raster(name: str, label: str, optional: bool = False) -> QgsProcessingParameterRasterLayer:
    """A raster layer or file."""
    return QgsProcessingParameterRasterLayer(name, tr(label), optional=optional)


def entries_of(value: Any) -> list[Any]:
    """What a parameter for several things names: a list, or one thing alone."""
    return list(value) if isinstance(value, list | tuple) else [value]


def rasters(name: str, label: str, optional: bool = False) -> QgsProcessingParameterMultipleLayers:
    """A list of raster layers or files."""
    kind = QgsProcessing.SourceType.TypeRaster
    return QgsProcessingParameterMultipleLayers(name, tr(label), kind, optional=optional)


def features(
    name: str, label: str, geometries: Iterable[QgsProcessing.SourceType], optional: bool = False
) -> QgsProcessingParameterFeatureSource:
    """The features of a vector layer, or those selected in it."""
    return QgsProcessingParameterFeatureSource(name, tr(label), list(geometries), optional=optional)


def polygons_or_raster(name: str, label: str, optional: bool = False) -> QgsProcessingParameterMapLayer:
    """A layer of polygons or a raster."""
    return QgsProcessingParameterMapLayer(
        name, tr(label), optional=optional, types=[POLYGONS, QgsProcessing.SourceType.TypeRaster]
    )


def extent(name: str, label: str, optional: bool = False) -> QgsProcessingParameterExtent:
    """A rectangle in any CRS."""
    return QgsProcessingParameterExtent(name, tr(label), optional=optional)


def crs(name: str, label: str, optional: bool = False) -> QgsProcessingParameterCrs:
    """A coordinate reference system."""
    return QgsProcessingParameterCrs(name, tr(label), optional=optional)


def output_raster(
    name: str, label: str, optional: bool = False, by_default: bool = True
) -> QgsProcessingParameterRasterDestination:
    """A raster to write; an optional one is made ``by_default``, or only where it is asked for."""
    return QgsProcessingParameterRasterDestination(name, tr(label), None, optional, by_default)


def output_vector(
    name: str,
    label: str,
    geometry: QgsProcessing.SourceType = ANY_GEOMETRY,
    optional: bool = False,
    by_default: bool = True,
) -> QgsProcessingParameterVectorDestination:
    """A vector layer to write."""
    return QgsProcessingParameterVectorDestination(name, tr(label), geometry, None, optional, by_default)


def output_file(
    name: str, label: str, filter: str, optional: bool = False, by_default: bool = True
) -> QgsProcessingParameterFileDestination:
    """A file to write."""
    return QgsProcessingParameterFileDestination(name, tr(label), filter, None, optional, by_default)


def output_folder(
    name: str, label: str, optional: bool = False, by_default: bool = True
) -> QgsProcessingParameterFolderDestination:
    """A folder to write."""
    return QgsProcessingParameterFolderDestination(name, tr(label), None, optional, by_default)


def output_number(name: str, label: str) -> QgsProcessingOutputNumber:
    """A number that models and scripts read from the results; for ``addOutput``."""
    return QgsProcessingOutputNumber(name, tr(label))


class Declaring(QgsProcessingAlgorithm):
    """An algorithm that declares parameters, with those that several algorithms have alike."""

    def add(self, parameter: QgsProcessingParameterDefinition, help: str, advanced: bool = False) -> None:
        """Declare a parameter with its help (unit, range, advice)."""
        parameter.setHelp(tr(help))
        if advanced:
            parameter.setFlags(parameter.flags() | QgsProcessingParameterDefinition.Flag.FlagAdvanced)
        self.addParameter(parameter)

    def add_stack(self, help: str, optional: bool = False) -> None:
        """The parameter STACK."""
        self.add(file("STACK", "Stack", STACK, optional), help)

    def add_model(self, help: str, optional: bool = False, advanced: bool = False) -> None:
        """The parameter MODEL."""
        self.add(file("MODEL", "Model", MODEL, optional), help, advanced)

    def add_map(self, help: str) -> None:
        """The parameter MAP: class codes."""
        self.add(raster("MAP", "Map"), help)

    def add_reference(self, help: str, optional: bool = False) -> None:
        """The parameter REFERENCE."""
        self.add(features("REFERENCE", "Reference data", [POINTS, POLYGONS], optional), help)

    def add_class_field(self, help: str, optional: bool = False) -> None:
        """The parameter CLASS_FIELD."""
        self.add(field("CLASS_FIELD", "Class field", optional=optional), help)

    def add_nomenclature(self, help: str, advanced: bool = False) -> None:
        """The optional parameter NOMENCLATURE."""
        self.add(file("NOMENCLATURE", "Nomenclature", NOMENCLATURE, optional=True), help, advanced)

    def add_samples(self, help: str, optional: bool = False) -> None:
        """The parameter SAMPLES: folders."""
        self.add(files("SAMPLES", "Sample folders", optional), help)

    def add_zones(self, help: str) -> None:
        """The optional parameters ZONES and ZONE_FIELD."""
        self.add(features("ZONES", "Zones", [POLYGONS], optional=True), help)
        self.add(
            field("ZONE_FIELD", "Zone field", "ZONES", optional=True),
            "Names the zones; polygons with the same value are one. Without it each polygon is a zone, named by its "
            "number.",
        )

    def add_area(self, extent_help: str, mask_help: str) -> None:
        """The optional parameters EXTENT and MASK."""
        self.add(extent("EXTENT", "Extent", optional=True), extent_help)
        self.add(polygons_or_raster("MASK", "Mask", optional=True), mask_help)

    def add_zero_is_class(
        self,
        help: str = "Whether 0 is a class of the map, as in maps of 0 and 1, where it is not declared as no data.",
    ) -> None:
        """The parameter ZERO_IS_CLASS."""
        self.add(flag("ZERO_IS_CLASS", "0 is a class"), help, advanced=True)

    def add_device(self) -> None:
        """The parameter DEVICE."""
        self.add(
            choice("DEVICE", "Device", DEVICES, "auto"),
            "Where networks compute: auto takes a GPU where there is one. The resolved device is printed.",
            advanced=True,
        )

    def add_memory(self, default: int = 1024) -> None:
        """The parameter MEMORY_MB."""
        self.add(
            whole("MEMORY_MB", "Memory (MB)", default, 128),
            "Working memory in megabytes, 128 or more; larger rasters take longer, never more memory.",
            advanced=True,
        )

    def add_seed(self) -> None:
        """The parameter SEED."""
        self.add(
            whole("SEED", "Seed", 0, 0),
            "Start of the random numbers, 0 or more: the same seed and inputs give the same result on a CPU.",
            advanced=True,
        )

    def add_report(self, help: str, by_default: bool = True) -> None:
        """The optional output REPORT: a page."""
        self.add(output_file("REPORT", "Report", HTML, optional=True, by_default=by_default), help)

    def add_scores(self, overall: str) -> None:
        """The numbers OVERALL_ACCURACY, whose label says of what it is, and KAPPA and MACRO_F1 per pixel."""
        self.addOutput(output_number("OVERALL_ACCURACY", overall))
        self.addOutput(output_number("KAPPA", "Cohen's kappa per pixel"))
        self.addOutput(output_number("MACRO_F1", "Mean F1 of the classes per pixel, 0 to 1"))
