"""Protects how parameters are declared: what each line of an algorithm makes QGIS show, accept and write."""

from __future__ import annotations

import pytest
from landloom.algorithms import declare
from landloom.algorithms.train import Train
from landloom.model.base.language import use_language
from qgis.core import QgsProcessingParameterDefinition, QgsProcessingParameterFile

FLAG = QgsProcessingParameterDefinition.Flag


@pytest.mark.parametrize(
    ("parameter", "good", "bad"),
    [
        (declare.whole("A", "Runs", 3, 1, 100), (1, 100), (0, 101)),
        (declare.whole("A", "Runs", 3, 1), (1, 10**8), (0,)),
        (declare.number("A", "Scale"), (-1e300, 0.5, 1e300), ("x",)),
        (declare.number("A", "Scale", low=0.5, optional=True), (None, 0.5, 1e9), (0.4,)),
        (declare.number("A", "Scale", 0.0, 0.0, 1.0), (0.0, 1.0), (-0.1, 1.1)),
        (declare.choice("A", "Network", ("ltae", "twinns"), "ltae"), ("twinns",), ("unet", ["ltae", "twinns"])),
        (declare.choice("A", "Networks", ["ltae", "twinns"], ["ltae"], several=True), (["ltae", "twinns"],), ("unet",)),
        (declare.text("A", "Title"), ("x",), ("",)),
        (declare.text("A", "Title", optional=True), ("x", "", None), ()),
    ],
)
def test_values_are_accepted_within_their_limits(landloom_provider, parameter, good, bad):
    assert all(parameter.checkValueIsAcceptable(value) for value in good)
    assert not any(parameter.checkValueIsAcceptable(value) for value in bad)


MAKERS = {
    "file": lambda optional: declare.file("A", "Stack", declare.STACK, optional),
    "folder": lambda optional: declare.folder("A", "Samples", optional),
    "files": lambda optional: declare.files("A", "Samples", optional),
    "raster": lambda optional: declare.raster("A", "Map", optional),
    "rasters": lambda optional: declare.rasters("A", "Maps", optional),
    "features": lambda optional: declare.features("A", "Zones", [declare.POLYGONS], optional),
    "polygons_or_raster": lambda optional: declare.polygons_or_raster("A", "Mask", optional),
    "field": lambda optional: declare.field("A", "Class field", "LAYER", optional),
    "extent": lambda optional: declare.extent("A", "Extent", optional),
    "crs": lambda optional: declare.crs("A", "CRS", optional),
    "output_raster": lambda optional: declare.output_raster("A", "Map", optional),
    "output_vector": lambda optional: declare.output_vector("A", "Points", declare.POINTS, optional),
    "output_file": lambda optional: declare.output_file("A", "Report", declare.HTML, optional),
    "output_folder": lambda optional: declare.output_folder("A", "Samples", optional),
}


@pytest.mark.parametrize("kind", MAKERS)
def test_parameters_are_required_unless_they_are_optional(landloom_provider, kind):
    assert not MAKERS[kind](False).flags() & FLAG.FlagOptional
    assert MAKERS[kind](True).flags() & FLAG.FlagOptional


def test_optional_outputs_are_made_by_default_or_where_asked_for(landloom_provider):
    for make in (declare.output_raster, declare.output_vector, declare.output_folder):
        assert make("A", "Map", optional=True).createByDefault()
        assert not make("A", "Map", optional=True, by_default=False).createByDefault()
    page = declare.output_file("A", "Report", declare.HTML, optional=True, by_default=False)
    assert not page.createByDefault() and page.defaultFileExtension() == "html"


def test_folders_and_files_are_told_apart(landloom_provider):
    behaviors = QgsProcessingParameterFile.Behavior
    assert declare.folder("A", "Samples").behavior() == behaviors.Folder
    assert declare.file("A", "Stack", declare.STACK).behavior() == behaviors.File
    assert declare.file("A", "Stack", declare.STACK).fileFilter() == "Stack (*.json)"


def test_labels_and_helps_come_in_the_language_in_use(landloom_provider):
    algorithm = Train()
    use_language("fr")
    try:
        algorithm.add(declare.whole("A", "Seed", 0), "Regions", advanced=True)
    finally:
        use_language("en")
    declared = algorithm.parameterDefinition("A")
    assert (declared.description(), declared.help()) == ("Graine", "Régions")
    assert declared.flags() & FLAG.FlagAdvanced
