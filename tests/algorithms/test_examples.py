"""Protects the example models: listed like algorithms, explained, the same on every making, and each runs."""

from __future__ import annotations

import importlib.util
import sys
import time
from pathlib import Path

import processing
import pytest
from landloom.algorithms.examples import EXAMPLES, FOLDER
from landloom.model.base.language import use_language
from landloom.model.base.raster import open_raster
from qgis.core import QgsApplication, QgsProcessingContext, QgsProcessingModelAlgorithm, QgsVectorLayer

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def work(landloom_provider, small_scene, tmp_path_factory):
    """A folder with what the first model makes of the scene."""
    pytest.importorskip("sklearn", reason="the forest needs scikit-learn")
    folder = tmp_path_factory.mktemp("modèles d'exemple")
    done = processing.run(
        "landloom:landcoverfromproducts",
        {
            "products": str(small_scene),
            "reference": str(small_scene / "reference.gpkg"),
            "class_field": "class",
            "network": "randomforest",
            "stack": str(folder / "stack.json"),
            "samples": str(folder / "samples"),
            "model": str(folder / "model.safetensors"),
            "landcover_map": str(folder / "map.tif"),
            "accuracy_report": str(folder / "training.html"),
        },
    )
    return folder, done


def test_they_are_listed_with_all_their_parameters(landloom_provider):
    for example in EXAMPLES:
        algorithm = landloom_provider.algorithm(example.ID)
        assert isinstance(algorithm, QgsProcessingModelAlgorithm) and algorithm.id() == f"landloom:{example.ID}"
        assert algorithm.canExecute()[0]
        definitions = algorithm.parameterDefinitions()
        assert set(example.HELP) == {one.name() for one in definitions if not one.isDestination()}
        assert sum(one.isDestination() for one in definitions) >= 4
        given = {word[2:].partition("=")[0] for word in example.EXAMPLE.split() if word.startswith("--")}
        assert given <= {one.name() for one in definitions}
        needed = {one.name() for one in definitions if not one.flags() & one.FlagOptional and not one.defaultValue()}
        assert needed - {"scale", "min_size"} <= given


def test_a_settings_change_lists_them_once(landloom_provider):
    """QGIS loads the algorithms of a provider anew then."""
    before = sorted(one.name() for one in landloom_provider.algorithms())
    begin = time.perf_counter()
    landloom_provider.refreshAlgorithms()
    assert time.perf_counter() - begin < 0.5
    assert sorted(one.name() for one in landloom_provider.algorithms()) == before
    assert {one.ID for one in EXAMPLES} <= set(before)
    assert all(landloom_provider.algorithm(one.ID).canExecute()[0] for one in EXAMPLES)


def test_they_speak_the_language_of_qgis(landloom_provider):
    try:
        use_language("fr")
        algorithm = landloom_provider.algorithm("comparetwoyears").create()
        assert algorithm.displayName() == "Comparer deux années"
        labels = {one.name(): one.description() for one in algorithm.parameterDefinitions()}
        assert labels["stack_before"] == "Pile avant" and labels["map_after"] == "Carte après"
        assert "Modèles d'exemple" in algorithm.group().replace("\u2019", "'")
    finally:
        use_language("en")


def test_copied_commands_name_the_id(landloom_provider):
    algorithm = QgsApplication.processingRegistry().createAlgorithmById("landloom:comparetwoyears")
    values = {"stack_before": "a b.json", "radius": 2}
    line, good = algorithm.asQgisProcessCommand(values, QgsProcessingContext())
    assert good and line == "qgis_process run landloom:comparetwoyears --stack_before='a b.json' --radius=2"
    python = algorithm.asPythonCommand(values, QgsProcessingContext())
    assert python.startswith('processing.run("landloom:comparetwoyears"')


def test_files_are_those_that_the_script_makes(landloom_provider):
    """Attributes stand in one order, so that making them again changes nothing."""
    sys.path.insert(0, str(ROOT / "scripts"))
    try:
        spec = importlib.util.spec_from_file_location("make_models", ROOT / "scripts" / "make_models.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    finally:
        sys.path.pop(0)
    assert {f"{name}.model3" for name in module.MODELS} == {one.FILE for one in EXAMPLES}
    assert sorted(one.name for one in FOLDER.iterdir()) == sorted(one.FILE for one in EXAMPLES)
    for name, make in module.MODELS.items():
        text = (FOLDER / f"{name}.model3").read_text(encoding="utf-8")
        assert 'type="QString" name=' not in text and str(ROOT) not in text
        made, shipped = make(), QgsProcessingModelAlgorithm()
        assert shipped.fromFile(str(FOLDER / f"{name}.model3"))
        assert made.childAlgorithms().keys() == shipped.childAlgorithms().keys()
        described = {one.name(): one.description() for one in made.parameterDefinitions()}
        assert described == {one.name(): one.description() for one in shipped.parameterDefinitions()}


def test_land_cover_from_products_runs(work):
    folder, done = work
    assert open_raster(done["landcover_map"]).ReadAsArray().max() > 1
    assert (folder / "stack.json").exists() and (folder / "training.html").exists()
    assert (folder / "map.qml").exists()


def test_compare_two_years_runs(work):
    folder, _ = work
    done = processing.run(
        "landloom:comparetwoyears",
        {
            "stack_before": str(folder / "stack.json"),
            "stack_after": str(folder / "stack.json"),
            "model": str(folder / "model.safetensors"),
            "radius": 1,
            "map_before": str(folder / "before.tif"),
            "map_after": str(folder / "after.tif"),
            "map_of_differences": str(folder / "changes.tif"),
            "report_of_differences": str(folder / "changes.html"),
            "table_of_differences": str(folder / "changes.csv"),
        },
    )
    before, after = (open_raster(folder / name).ReadAsArray() for name in ("before.tif", "after.tif"))
    assert (before == after).all() and before.max() > 1
    # The same images twice: nothing differs.
    assert (open_raster(done["map_of_differences"]).ReadAsArray() == 101 * before.astype(int)).all()
    assert "The maps are equal" in (folder / "changes.html").read_text(encoding="utf-8")


def test_objects_from_a_stack_runs(work, small_scene):
    folder, _ = work
    done = processing.run(
        "landloom:objectsfromstack",
        {
            "stack": str(folder / "stack.json"),
            "reference": str(small_scene / "reference.gpkg"),
            "class_field": "class",
            "min_size": 0.0,
            "segments": str(folder / "segments.gpkg"),
            "model_of_objects": str(folder / "objects.safetensors"),
            "classified_objects": str(folder / "objects.gpkg"),
        },
    )
    assert QgsVectorLayer(done["classified_objects"], "objects", "ogr").featureCount() > 10
