"""The file of the networks of the folds: read back as written, bound to its model, refused when damaged."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from landloom.model.base.errors import LandloomError
from landloom.model.base.nomenclature import LandCoverClass, Nomenclature
from landloom.model.networks.axes import fit_axes
from landloom.model.networks.foldfile import KEY, folds_path, load_folds, save_folds
from landloom.model.networks.inputs import InputRecipe
from landloom.model.networks.modelfile import Model, ModelHeader
from landloom.model.networks.tensorfile import read_tensors, write_tensors
from landloom.model.stack.sensors import SensorSpec, Series

torch = pytest.importorskip("torch")


def network(seed: int, groups=()) -> Model:
    from landloom.model.networks.registry import build

    spec = SensorSpec("S2", "optical", ("B4", "B8"), ("2021-01-05", "2021-02-04"), (4, 34), "int16", 1e-4)
    random = np.random.default_rng(seed)
    series = Series(random.integers(1, 4000, (20, 2, 2, 1, 1)).astype(np.int16), np.ones((20, 2, 1, 1), bool), [4, 34])
    recipe = InputRecipe.fit_batches({"S2": spec}, [{"S2": series}], step=30, index_names=())
    torch.manual_seed(seed)
    module = build("ltae", recipe.shapes(), 2, {}).eval()
    classes = Nomenclature((LandCoverClass(1, "mil", "#aa0000"), LandCoverClass(2, "forêt", "#00aa00")))
    header = ModelHeader("ltae", {}, recipe, classes, training_groups=list(groups))
    return Model(header, [module], {"fused": fit_axes([random.normal(size=(300, 128))])})


@pytest.fixture
def saved(tmp_path):
    """A delivered model with two networks of folds beside it."""
    folds = [network(1, [2, 3]), network(2, [1, 3])]
    path = tmp_path / "modèle.safetensors"
    delivered = network(0, [1, 2, 3])
    kept = save_folds(folds_path(path), folds)
    delivered.header = replace(delivered.header, provenance={KEY: kept})
    delivered.save(path)
    return path, folds


def test_what_is_read_is_what_was_written(saved):
    path, folds = saved
    assert folds_path(path).name == "modèle_folds.safetensors"
    read = load_folds(path, Model.load_header(path))
    assert [list(one.header.training_groups) for one in read] == [[2, 3], [1, 3]]
    for mine, theirs in zip(folds, read, strict=True):
        for name, tensor in mine.members[0].state_dict().items():
            assert torch.equal(tensor, theirs.members[0].state_dict()[name])
        assert np.array_equal(mine.axes["fused"].vectors, theirs.axes["fused"].vectors)
        assert mine.header.recipe == theirs.header.recipe


def test_a_model_without_folds_has_none(tmp_path):
    network(0).save(tmp_path / "m.safetensors")
    assert load_folds(tmp_path / "m.safetensors", Model.load_header(tmp_path / "m.safetensors")) == []


@pytest.mark.parametrize("spoil", ["format", "folds", "number", "shape"])
def test_a_damaged_file_is_refused_with_its_name(saved, spoil):
    path, _folds = saved
    beside = folds_path(path)
    tensors, metadata = read_tensors(beside)
    if spoil == "format":
        metadata["format"] = "landloom-model"
    elif spoil == "folds":
        metadata["folds"] = {}
    elif spoil == "number":
        tensors["7.0.head.weight"] = np.zeros(3, np.float32)
    else:
        tensors["0.0.head.weight"] = np.zeros(3, np.float32)
    write_tensors(beside, tensors, metadata)
    header = Model.load_header(path)
    with pytest.raises(LandloomError, match="from another training"):
        load_folds(path, header)
    from landloom.model.base.files import file_hash

    kept = {**header.provenance[KEY], "sha256": file_hash(beside)}
    with pytest.raises(LandloomError, match=r"modèle_folds\.safetensors: .*train the model again"):
        load_folds(path, replace(header, provenance={KEY: kept}))
