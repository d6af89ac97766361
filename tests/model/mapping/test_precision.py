"""PRECISION: fewer digits only where they gain something, and only if real chunks keep their classes."""

from __future__ import annotations

import mapping_scene as scene
import numpy as np
import pytest

torch = pytest.importorskip("torch")

from landloom.model.base.errors import LandloomError  # noqa: E402
from landloom.model.base.progress import Progress  # noqa: E402
from landloom.model.mapping import precision as module  # noqa: E402
from landloom.model.mapping.classify import classify  # noqa: E402
from landloom.model.mapping.precision import check_precision  # noqa: E402
from landloom.model.networks.predictor import why_not  # noqa: E402
from osgeo import gdal  # noqa: E402


class Told(Progress):
    def __init__(self):
        self.said = []

    def info(self, message):
        self.said.append(message)

    def warning(self, message):
        self.said.append(f"warning: {message}")

    def find(self, word):
        return next((line for line in self.said if word in line), "")


@pytest.fixture(scope="module")
def twinns_model(mapping_stack, tmp_path_factory):
    return scene.make_model(mapping_stack, "twinns", tmp_path_factory.mktemp("model") / "t.safetensors")


def classes(path):
    dataset = gdal.Open(str(path))
    return dataset.ReadAsArray()


def test_bfloat16_is_used_where_it_gains_and_the_classes_agree(mapping_stack, twinns_model, tmp_path, monkeypatch):
    if why_not("twinns", "cpu", "bfloat16"):
        pytest.skip("this processor has no bfloat16")
    monkeypatch.setattr(module, "AGREEMENT", 0.9)  # the model of this scene is hardly trained: many ties
    told = Told()
    classify(mapping_stack, twinns_model, tmp_path / "half.tif", progress=told, device="cpu", precision="bfloat16")
    assert "same class" in told.find("PRECISION")
    classify(mapping_stack, twinns_model, tmp_path / "full.tif", device="cpu")
    half, full = classes(tmp_path / "half.tif"), classes(tmp_path / "full.tif")
    assert (half == full).mean() > 0.9
    np.testing.assert_array_equal(half == 0, full == 0)


def test_float32_is_used_where_the_classes_do_not_agree(mapping_stack, twinns_model, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "why_not", lambda *_: "")
    monkeypatch.setattr(module, "_agreement", lambda *_: (989, 1000, 4))
    told = Told()
    classify(mapping_stack, twinns_model, tmp_path / "half.tif", progress=told, device="cpu", precision="bfloat16")
    assert told.find("1.10 % of 1,000 pixels tried").startswith("warning")
    classify(mapping_stack, twinns_model, tmp_path / "full.tif", device="cpu")
    np.testing.assert_array_equal(classes(tmp_path / "half.tif"), classes(tmp_path / "full.tif"))


@pytest.mark.parametrize("which", ["ltae_model", "forest_model"])
def test_who_gains_nothing_keeps_float32_and_says_so(which, mapping_stack, request, tmp_path):
    told = Told()
    model = request.getfixturevalue(which)
    classify(mapping_stack, model, tmp_path / "map.tif", progress=told, device="cpu", precision="bfloat16")
    assert "so float32 is used" in told.find("PRECISION")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [(("int4", False, False), "float32, bfloat16"), (("bfloat16", True, False), "REGIONS"),
     (("bfloat16", False, True), "SCHEDULER")],
)  # fmt: skip
def test_what_cannot_be_is_refused(arguments, words):
    with pytest.raises(LandloomError, match=words):
        check_precision(*arguments)
    check_precision("float32", True, True)
