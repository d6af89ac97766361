"""classify through Processing: parameters, styles in QGIS, errors in one sentence."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
from osgeo import gdal
from qgis.core import (
    QgsFeature,
    QgsGeometry,
    QgsProcessingContext,
    QgsProcessingException,
    QgsProcessingFeedback,
    QgsProject,
    QgsRasterLayer,
    QgsRectangle,
    QgsVectorLayer,
)


def _scene():
    """The small scene of the engine's tests."""
    if "mapping_scene" not in sys.modules:
        path = Path(__file__).parents[1] / "model" / "mapping" / "mapping_scene.py"
        spec = importlib.util.spec_from_file_location("mapping_scene", path)
        sys.modules["mapping_scene"] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules["mapping_scene"])
    return sys.modules["mapping_scene"]


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    scene = _scene()
    folder = tmp_path_factory.mktemp("classify dossier é")
    stack = scene.make_stack(folder)
    return {"STACK": str(stack), "MODEL": str(scene.make_model(stack, "randomforest", folder / "maïs.safetensors"))}


@pytest.fixture(scope="module")
def mapped(landloom_provider, inputs, tmp_path_factory):
    import processing

    folder = tmp_path_factory.mktemp("carte")
    outputs = {name: str(folder / f"{name.lower()}.tif") for name in ("OUTPUT", "CONFIDENCE", "PROBABILITIES")}
    return processing.run("landloom:classify", {**inputs, **outputs})


def read(path):
    return gdal.Open(str(path)).ReadAsArray()


def test_precision_reaches_the_engine_and_its_answer_the_log(landloom_provider, inputs, mapped, tmp_path):
    import processing

    feedback = QgsProcessingFeedback()
    asked = {**inputs, "PRECISION": "bfloat16", "OUTPUT": str(tmp_path / "map.tif")}
    done = processing.run("landloom:classify", asked, feedback=feedback)
    assert "so float32 is used" in feedback.textLog()
    np.testing.assert_array_equal(read(done["OUTPUT"]), read(mapped["OUTPUT"]))
    with pytest.raises(QgsProcessingException, match="PRECISION"):
        processing.run("landloom:classify", {**asked, "PRECISION": "float16"})


def test_the_map_opens_with_its_classes_and_no_others(mapped):
    scene = _scene()
    layer = QgsRasterLayer(mapped["OUTPUT"], "map")
    assert layer.isValid() and layer.renderer().type() == "paletted"
    classes = layer.renderer().classes()
    expected = scene.nomenclature()
    assert [int(one.value) for one in classes] == list(expected.codes)
    assert [one.label for one in classes] == list(expected.names)
    assert [one.color.name() for one in classes] == list(expected.colors)
    assert layer.dataProvider().sourceNoDataValue(1) == 0
    confidence = QgsRasterLayer(mapped["CONFIDENCE"], "confidence")
    assert confidence.renderer().type() == "singlebandpseudocolor"
    function = confidence.renderer().shader().rasterShaderFunction()
    assert [item.value for item in function.colorRampItemList()] == [0, 25, 50, 75, 100]
    assert function.minimumValue() == 0 and function.maximumValue() == 100
    probabilities = QgsRasterLayer(mapped["PROBABILITIES"], "probabilities")
    assert probabilities.bandCount() == 4 and "riz pluvial é" in probabilities.bandName(2)
    assert mapped["PIXELS_PER_SECOND"] > 0


def test_only_what_is_asked_for_is_written(landloom_provider, inputs, tmp_path):
    import processing

    result = processing.run("landloom:classify", {**inputs, "OUTPUT": str(tmp_path / "map.tif")})
    assert set(result) == {"OUTPUT", "PIXELS_PER_SECOND"}
    assert {p.name for p in tmp_path.iterdir()} == {"map.tif", "map.tif.aux.xml", "map.qml"}


def test_extent_in_another_crs(landloom_provider, inputs, mapped, tmp_path):
    import processing

    result = processing.run(
        "landloom:classify",
        {**inputs, "EXTENT": "500300,500900,7999100,7999700 [EPSG:32738]", "OUTPUT": str(tmp_path / "map.tif")},
    )
    np.testing.assert_array_equal(read(result["OUTPUT"]), read(mapped["OUTPUT"])[30:90, 30:90])
    with pytest.raises(QgsProcessingException, match=r"EXTENT .* lies outside the stack"):
        processing.run(
            "landloom:classify", {**inputs, "EXTENT": "2,3,48,49 [EPSG:4326]", "OUTPUT": str(tmp_path / "b.tif")}
        )
    assert not (tmp_path / "b.tif").exists()


def test_a_mask_layer_in_memory(landloom_provider, inputs, mapped, tmp_path):
    import processing

    layer = QgsVectorLayer("Polygon?crs=EPSG:32738", "mask", "memory")
    feature = QgsFeature()
    feature.setGeometry(QgsGeometry.fromRect(QgsRectangle(500300, 7999100, 500900, 7999700)))
    layer.dataProvider().addFeature(feature)
    result = processing.run("landloom:classify", {**inputs, "MASK": layer, "OUTPUT": str(tmp_path / "map.tif")})
    expected = np.zeros_like(read(mapped["OUTPUT"]))
    expected[30:90, 30:90] = read(mapped["OUTPUT"])[30:90, 30:90]
    np.testing.assert_array_equal(read(result["OUTPUT"]), expected)
    raster = processing.run(
        "landloom:classify", {**inputs, "MASK": result["OUTPUT"], "OUTPUT": str(tmp_path / "again.tif")}
    )
    np.testing.assert_array_equal(read(raster["OUTPUT"]), expected)


def test_layers_are_named_when_they_are_loaded(landloom_provider, inputs, tmp_path):
    from qgis.core import QgsApplication

    context = QgsProcessingContext()
    context.setProject(QgsProject.instance())
    path = str(tmp_path / "map.tif")
    details = QgsProcessingContext.LayerDetails("OUTPUT", QgsProject.instance(), "OUTPUT")
    context.addLayerToLoadOnCompletion(path, details)
    algorithm = QgsApplication.processingRegistry().createAlgorithmById("landloom:classify")
    results, ok = algorithm.run({**inputs, "OUTPUT": path}, context, QgsProcessingFeedback(), {}, False)
    assert ok
    processor = context.layerToLoadOnCompletionDetails(path).postProcessor()
    layer = QgsRasterLayer(results["OUTPUT"], "OUTPUT")
    processor.postProcessLayer(layer, context, QgsProcessingFeedback())
    assert layer.name() == "Land cover (maïs)" and layer.renderer().type() == "paletted"


def test_map_and_confidence_come_in_a_group_named_by_the_run(landloom_provider, inputs, tmp_path):
    from processing.gui.Postprocessing import handleAlgorithmResults
    from qgis.core import QgsApplication, QgsProcessingOutputLayerDefinition

    project = QgsProject.instance()
    project.clear()
    context = QgsProcessingContext()
    context.setProject(project)
    parameters = dict(inputs)
    for name in ("OUTPUT", "CONFIDENCE"):
        parameters[name] = QgsProcessingOutputLayerDefinition(str(tmp_path / f"{name[:4].lower()}.tif"), project)
    algorithm = QgsApplication.processingRegistry().createAlgorithmById("landloom:classify")
    _, ok = algorithm.run(parameters, context, QgsProcessingFeedback(), {}, False)
    assert ok
    handleAlgorithmResults(algorithm, context, QgsProcessingFeedback(), parameters)
    groups = project.layerTreeRoot().findGroups()
    assert [one.name() for one in groups] == ["outp (maïs)"]
    assert [one.layer().name() for one in groups[0].findLayers()] == ["Land cover (maïs)", "Confidence (maïs)"]
    kinds = [one.layer().renderer().type() for one in groups[0].findLayers()]
    assert kinds == ["paletted", "singlebandpseudocolor"]
    del groups
    project.clear()


def test_cancel_leaves_nothing(landloom_provider, inputs, tmp_path):
    from qgis.core import QgsApplication

    feedback = QgsProcessingFeedback()
    feedback.cancel()
    algorithm = QgsApplication.processingRegistry().createAlgorithmById("landloom:classify")
    parameters = {**inputs, "OUTPUT": str(tmp_path / "map.tif")}
    with pytest.raises(QgsProcessingException, match="Cancelled"):
        algorithm.run(parameters, QgsProcessingContext(), feedback, {}, False)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"STACK": "nowhere/stack.json"}, "stack"),
        ({"MODEL": "nowhere.safetensors"}, "nowhere"),
        ({"DEVICE": "abacus"}, "DEVICE|abacus"),
        ({"OUTPUT": "/proc/map.tif"}, r"Cannot write .*map\.tif|Cannot write /proc"),
        ({"MASK": "nowhere.gpkg"}, "nowhere|MASK|Mask"),
    ],
)
def test_bad_input_is_one_sentence(landloom_provider, inputs, tmp_path, change, sentence):
    import processing

    parameters = {**inputs, "OUTPUT": str(tmp_path / "map.tif"), **change}
    with pytest.raises(QgsProcessingException, match=sentence):
        processing.run("landloom:classify", parameters)
    assert not list(tmp_path.iterdir())


def test_every_parameter_has_help(landloom_provider):
    from qgis.core import QgsApplication

    algorithm = QgsApplication.processingRegistry().algorithmById("landloom:classify")
    assert all(parameter.help() for parameter in algorithm.parameterDefinitions())
    names = [parameter.name() for parameter in algorithm.parameterDefinitions()]
    assert names == [
        "STACK", "MODEL", "EXTENT", "MASK", "LEVEL", "UNSURE_ERROR", "REGIONS", "REGION_FIELD", "BLEND", "DEVICE",
        "MEMORY_MB", "PRECISION", "SCHEDULER", "PATH_MAP", "OUTPUT", "CONFIDENCE", "PROBABILITIES",
    ]  # fmt: skip
