"""Protects the raster of descriptors: the network's own values, no seams, resuming, masks, styles."""

from __future__ import annotations

import mapping_scene as scene
import numpy as np
import pytest
from landloom.model.base.errors import Cancelled, LandloomError
from landloom.model.base.progress import Progress
from landloom.model.base.raster import open_raster
from landloom.model.mapping import descriptors as module
from landloom.model.mapping.descriptors import map_descriptors
from landloom.model.networks.axes import fit_axes
from landloom.model.networks.modelfile import Model
from landloom.model.networks.predictor import Predictor
from landloom.model.stack.grid import Window
from landloom.model.stack.reader import StackReader

pytest.importorskip("torch")


@pytest.fixture(scope="module")
def with_axes(mapping_stack, ltae_model, tmp_path_factory):
    """The model with the main axes of every seventh pixel, and the descriptors of the whole scene at once."""
    model = Model.load(ltae_model)
    with StackReader(mapping_stack) as reader:
        batch, specs = reader.read(Window(0, 0, scene.WIDTH, scene.HEIGHT)), reader.specs
    with Predictor(model, threads=1) as predictor:
        predictor.check_fits(specs)
        whole = predictor.describe(batch, ["fused", "S2"]).descriptors
    model.axes = {name: fit_axes([values[0].reshape(len(values[0]), -1).T[::7]]) for name, values in whole.items()}
    path = tmp_path_factory.mktemp("axes") / "model.safetensors"
    model.save(path)
    return path, model, {name: values[0] for name, values in whole.items()}


def read(path):
    return open_raster(path).ReadAsArray()


def test_values_are_the_networks_and_do_not_depend_on_blocks(mapping_stack, with_axes, tmp_path):
    path, model, whole = with_axes
    map_descriptors(mapping_stack, path, tmp_path / "a.tif", "S2", 3, threads=1)
    result = read(tmp_path / "a.tif")
    flat = whole["S2"].reshape(len(whole["S2"]), -1)
    expected = model.axes["S2"].project(flat, 3).reshape(3, scene.HEIGHT, scene.WIDTH)
    empty = np.zeros((scene.HEIGHT, scene.WIDTH), bool)
    empty[scene.EMPTY] = True
    assert np.isnan(result[:, empty]).all() and np.isfinite(result[:, ~empty]).all()
    np.testing.assert_allclose(result[:, ~empty], expected[:, ~empty], atol=2e-5)
    # other memory (other blocks), other threads, a part: the very same values
    x, y = 500000 + 310, 8000000 - 930
    map_descriptors(
        mapping_stack, path, tmp_path / "b.tif", "S2", 3, bounds=(x, y, x + 600, y + 500), memory_mb=128, threads=2
    )
    np.testing.assert_array_equal(read(tmp_path / "b.tif"), result[:, 43:93, 31:91])


def test_all_values_and_int16_with_a_scale(mapping_stack, with_axes, tmp_path):
    path, _model, whole = with_axes
    done = map_descriptors(mapping_stack, path, tmp_path / "raw.tif", dimensions=0, dtype="int16", threads=1)
    dataset = open_raster(tmp_path / "raw.tif")
    band = dataset.GetRasterBand(5)
    assert dataset.RasterCount == len(whole["fused"]) == len(done.names) and band.GetDescription() == "fused 5"
    step = band.GetScale()
    values = dataset.ReadAsArray()
    assert values.dtype == np.int16 and (values[(slice(None), *scene.EMPTY)] == -32768).all()
    seen = values[0] != -32768
    np.testing.assert_allclose(values[:, seen] * step, whole["fused"][:, seen], atol=0.51 * step + 1e-5)


class Interrupted(Progress):
    """Stops, as a crash or a user would, once a block is done."""

    def __init__(self, folder, error):
        self.folder, self.error = folder, error

    def is_cancelled(self):
        if any(self.folder.rglob("block_*.npz")):
            if self.error is not None:
                raise self.error
            return True
        return False


def test_goes_on_after_a_crash_and_leaves_nothing_when_cancelled(mapping_stack, with_axes, tmp_path, monkeypatch):
    path = with_axes[0]
    map_descriptors(mapping_stack, path, tmp_path / "whole.tif", dimensions=2, threads=1)
    monkeypatch.setattr("landloom.model.mapping.job.Job.block_pixels", lambda self: 64 * 64)
    with pytest.raises(RuntimeError):
        map_descriptors(
            mapping_stack,
            path,
            tmp_path / "a.tif",
            dimensions=2,
            threads=1,
            progress=Interrupted(tmp_path, RuntimeError()),
        )
    done = map_descriptors(mapping_stack, path, tmp_path / "a.tif", dimensions=2, threads=1)
    assert 0 < done.summary.resumed < done.summary.blocks
    np.testing.assert_array_equal(read(tmp_path / "a.tif"), read(tmp_path / "whole.tif"))
    folder = tmp_path / "cancelled"
    with pytest.raises(Cancelled):
        map_descriptors(
            mapping_stack, path, folder / "a.tif", dimensions=2, threads=1, progress=Interrupted(folder, None)
        )
    assert not list(folder.iterdir())


def test_what_cannot_be_is_refused_in_a_sentence(mapping_stack, with_axes, ltae_model, forest_model, tmp_path):
    output = tmp_path / "x.tif"
    for changes, sentence in (
        ({"model": forest_model}, "random forest has no descriptors"),
        ({"model": ltae_model}, "no main axes"),
        ({"branch": "S3"}, "BRANCH is 'S3', but the model has: fused, "),
        ({"dimensions": 65}, "DIMENSIONS is 65: choose 1 to 64"),
        ({"dtype": "byte"}, "TYPE is 'byte'"),
    ):
        with pytest.raises(LandloomError, match=sentence):
            map_descriptors(mapping_stack, changes.pop("model", with_axes[0]), output, threads=1, **changes)
    assert not list(tmp_path.iterdir())
    assert module.NODATA["int16"] == -32768
