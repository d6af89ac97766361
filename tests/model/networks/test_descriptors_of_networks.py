"""Protects descriptors: what a network gives before its classifier, joined for ensembles, and their main axes."""

from __future__ import annotations

import numpy as np
import pytest
from landloom.model.base.errors import LandloomError
from landloom.model.networks.axes import Axes, axes_from, axes_tensors, fit_axes
from landloom.model.networks.forest import fit_forest
from landloom.model.networks.inputs import FOREST_INDICES
from landloom.model.networks.modelfile import Model, ModelHeader
from landloom.model.networks.predictor import Predictor
from landloom.model.networks.registry import build

CLASSES = 4


def make(world, network, members=1):
    torch = pytest.importorskip("torch")
    recipe = world.recipe()
    modules = []
    for number in range(members):
        torch.manual_seed(number)
        modules.append(build(network, recipe.shapes(), CLASSES).eval())
    return Model(ModelHeader(network, {}, recipe, world.nomenclature), modules)


@pytest.mark.parametrize("network", ["ltae", "tempcnn", "twinns"])
def test_the_classifier_on_the_fused_descriptors_gives_the_probabilities(world, network):
    """Independent: softmax of the head's own weights on what describe gives."""
    model = make(world, network)
    with Predictor(model, threads=1) as predictor:
        batch = world.batch(3, side=7 + 2 * predictor.halo)
        description = predictor.describe(batch, ["fused"])
        np.testing.assert_array_equal(description.probabilities, predictor.predict(batch))
        fused = description.descriptors["fused"]
        assert fused.shape[1] == predictor.branches()["fused"]
        head = model.members[0].head
        weight, bias = (one.detach().numpy() for one in (head.weight, head.bias))
    logits = np.einsum("kd,bdhw->bkhw", weight, fused) + bias[None, :, None, None]
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    np.testing.assert_allclose(powers / powers.sum(axis=1, keepdims=True), description.probabilities, atol=1e-5)


def test_an_ensemble_joins_the_descriptors_of_its_members(world):
    model = make(world, "ltae", members=2)
    batch = world.batch(2, side=5)
    with Predictor(model, threads=1) as both:
        joined = both.describe(batch, ["S2", "fused"]).descriptors
        lengths = both.branches()
    assert next(iter(lengths)) == "fused" and {"S1", "S2"} < set(lengths)
    singles = []
    for member in model.members:
        with Predictor(Model(model.header, [member]), threads=1) as one:
            singles.append(one.describe(batch, ["S2"]).descriptors["S2"])
    np.testing.assert_array_equal(joined["S2"], np.concatenate(singles, axis=1))
    assert joined["fused"].shape[1] == lengths["fused"] == 256


def test_unknown_branches_and_forests_are_refused(world):
    with Predictor(make(world, "ltae"), threads=1) as predictor, pytest.raises(LandloomError, match="fused, S2, S1"):
        predictor.describe(world.batch(), ["S3"])
    recipe = world.recipe(index_names=FOREST_INDICES)
    batch = world.batch(60)
    forest = fit_forest(recipe.features(batch), np.arange(60) % CLASSES, CLASSES, {"trees": 3})
    model = Model(ModelHeader("randomforest", {}, recipe, world.nomenclature), [forest])
    with pytest.raises(LandloomError, match="random forest has no descriptors"):
        Predictor(model).describe(batch)


def test_axes_are_scikit_learns_principal_components(tmp_path):
    decomposition = pytest.importorskip("sklearn.decomposition")
    random = np.random.default_rng(0)
    values = random.normal(size=(500, 12)) @ random.normal(size=(12, 12)) + 5
    axes = fit_axes([values[:200], values[200:]])
    reference = decomposition.PCA(4).fit(values)
    np.testing.assert_allclose(axes.shares[:4], reference.explained_variance_ratio_, rtol=1e-5)
    own, theirs = axes.project(values.T.astype(np.float32), 4), reference.transform(values).T
    signs = np.sign((own * theirs).sum(axis=1))
    np.testing.assert_allclose(own * signs[:, None], theirs, atol=1e-3)
    np.testing.assert_allclose(np.percentile(own[0], [2, 98]), [axes.low[0], axes.high[0]], atol=1e-3)


def test_axes_lie_in_the_model_file(world, tmp_path):
    model = make(world, "ltae")
    model.axes = {"fused": fit_axes([np.random.default_rng(1).normal(size=(50, 128))])}
    model.save(tmp_path / "m.safetensors")
    again = Model.load(tmp_path / "m.safetensors")
    np.testing.assert_array_equal(again.axes["fused"].vectors, model.axes["fused"].vectors)
    tensors = axes_tensors(model.axes)
    tensors["axes.fused.mean"] = tensors["axes.fused.mean"][:5]
    with pytest.raises(LandloomError, match="damaged"):
        axes_from(tensors)
    with pytest.raises(LandloomError, match="damaged"):
        Axes.from_tensors({"mean": np.zeros(3)})
