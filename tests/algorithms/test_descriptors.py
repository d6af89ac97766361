"""descriptors through Processing: bands, style in QGIS, refusals in one sentence."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from qgis.core import QgsProcessingException, QgsRasterLayer

pytest.importorskip("torch")


@pytest.fixture(scope="module")
def scene():
    sys.path.insert(0, str(Path(__file__).parents[1] / "model" / "mapping"))
    import mapping_scene

    return mapping_scene


@pytest.fixture(scope="module")
def inputs(scene, tmp_path_factory):
    import numpy as np
    from landloom.model.networks.axes import fit_axes
    from landloom.model.networks.modelfile import Model

    folder = tmp_path_factory.mktemp("descripteurs é")
    stack = scene.make_stack(folder)
    path = scene.make_model(stack, "ltae", folder / "maïs.safetensors")
    model = Model.load(path)
    model.axes = {"fused": fit_axes([np.random.default_rng(0).normal(size=(300, 128))])}
    model.save(path)
    return {"STACK": str(stack), "MODEL": str(path)}


def test_the_first_three_show_in_colours(landloom_provider, inputs, tmp_path):
    import processing

    result = processing.run(
        "landloom:descriptors", {**inputs, "DIMENSIONS": 4, "OUTPUT": str(tmp_path / "carte é.tif")}
    )
    layer = QgsRasterLayer(result["OUTPUT"], "descriptors")
    assert layer.isValid() and layer.bandCount() == 4 and "fused axis 2" in layer.bandName(2)
    renderer = layer.renderer()
    assert renderer.type() == "multibandcolor"
    assert [renderer.redBand(), renderer.greenBand(), renderer.blueBand()] == [1, 2, 3]
    contrast = renderer.greenContrastEnhancement()
    assert contrast.minimumValue() < 0 < contrast.maximumValue()


def test_fewer_than_three_show_in_grey(landloom_provider, inputs, tmp_path):
    import processing

    parameters = {**inputs, "DIMENSIONS": 2, "TYPE": "int16", "EXTENT": "500300,500900,7999100,7999700 [EPSG:32738]"}
    result = processing.run("landloom:descriptors", {**parameters, "OUTPUT": str(tmp_path / "a.tif")})
    layer = QgsRasterLayer(result["OUTPUT"], "descriptors")
    assert layer.renderer().type() == "singlebandgray" and (layer.width(), layer.height()) == (60, 60)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"BRANCH": "S7"}, "BRANCH is 'S7', but the model has: fused"),
        ({"DIMENSIONS": 65}, "DIMENSIONS is 65"),
        ({"TYPE": "byte"}, "TYPE is 'byte'"),
        ({"MODEL": ""}, "MODEL"),
    ],
)
def test_bad_input_is_one_sentence(landloom_provider, inputs, tmp_path, change, sentence):
    import processing

    with pytest.raises(QgsProcessingException, match=sentence):
        processing.run("landloom:descriptors", {**inputs, "OUTPUT": str(tmp_path / "a.tif"), **change})
    assert not list(tmp_path.iterdir())


def test_a_forest_is_refused(landloom_provider, scene, inputs, tmp_path):
    import processing

    forest = scene.make_model(Path(inputs["STACK"]), "randomforest", tmp_path / "f.safetensors")
    with pytest.raises(QgsProcessingException, match="A random forest has no descriptors"):
        processing.run("landloom:descriptors", {**inputs, "MODEL": str(forest), "OUTPUT": str(tmp_path / "a.tif")})
