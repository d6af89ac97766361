"""Descriptors of the folds' networks on the axes of the delivered one: known maps are found, and files are kept."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import training_samples
from landloom.model.base.progress import Progress
from landloom.model.networks.foldfile import folds_path, load_folds

torch = pytest.importorskip("torch")

from landloom.model.networks.modelfile import Model  # noqa: E402
from landloom.model.training.foldmodels import align, linear_map  # noqa: E402
from landloom.model.training.loop import describe_samples  # noqa: E402
from landloom.model.training.pool import SamplePool  # noqa: E402
from landloom.model.training.run import train  # noqa: E402
from landloom.model.training.settings import TrainingSettings  # noqa: E402


@pytest.fixture(scope="module")
def folded(tmp_path_factory):
    """A model trained with folds, its samples and the result."""
    store = training_samples.make_store(groups=8, pixels=4)
    output = tmp_path_factory.mktemp("plis") / "m.safetensors"
    result = train([store], TrainingSettings(network="ltae", evaluation="folds", epochs=6, device="cpu"), output)
    return output, SamplePool([store]), result


def test_a_linear_map_is_found_in_spite_of_empty_dimensions():
    """Of an affine function nothing is left unexplained, of noise nothing is explained, whatever the levels."""
    random = np.random.default_rng(0)
    x = random.normal(3, 2, (600, 12)).clip(0)
    x[:, 4] = 0
    matrix, level = random.normal(size=(5, 12)), random.normal(0, 10, 5)
    groups = np.repeat(np.arange(60), 10)
    vectors, mean, share = linear_map(x, x @ matrix.T + level, groups)
    assert share > 0.999
    assert np.allclose(vectors @ (x.T - mean[:, None]), (x @ matrix.T + level).T, atol=0.02)
    noise = random.normal(5, 1, (600, 3))
    assert linear_map(x, noise, groups)[2] < 0.05


def test_a_network_with_its_units_in_another_order_gives_the_same_coordinates(folded):
    """Which unit of a network holds what is chance: that alone must not change what an object looks like."""
    output, pool, _result = folded
    delivered = Model.load(output)
    other = copy.deepcopy(delivered)
    order = torch.from_numpy(np.random.default_rng(1).permutation(128))
    with torch.no_grad():
        for name, tensor in other.members[0].fusion.state_dict().items():
            if tensor.ndim and len(tensor) == 128:
                tensor.copy_(tensor[order].clone())
                assert name
    every = np.arange(len(pool))
    share = align(other, delivered, pool, every, "cpu", Progress())["fused"]
    assert share > 0.8
    mine = describe_samples(other, pool, every, "cpu", Progress())["fused"]
    theirs = describe_samples(delivered, pool, every, "cpu", Progress())["fused"]
    assert not np.allclose(mine, theirs, atol=0.1)
    expected = delivered.axes["fused"].project(theirs.T, 3)
    assert np.allclose(other.axes["fused"].project(mine.T, 3), expected, atol=0.05 * np.abs(expected).max())


def test_each_fold_keeps_the_network_that_has_not_seen_its_groups(folded):
    output, pool, result = folded
    networks = load_folds(output, Model.load_header(output))
    assert len(networks) == 5 == len(result.fold_models)
    seen = np.array([np.isin(np.unique(pool.groups), one.header.training_groups) for one in networks])
    assert (seen.sum(axis=0) == 4).all()  # every group is unknown to exactly one
    for one in networks:
        assert set(one.axes) == {"fused", "S1", "S2"}
        assert all(0 < share <= 1 for share in one.header.provenance["alignment"].values())
    assert set(result.model.header.training_groups) == set(np.unique(pool.groups).tolist())


def test_a_later_model_without_folds_takes_the_old_file_away(folded, tmp_path):
    output, pool, _result = folded
    later = tmp_path / "m.safetensors"
    later.write_bytes(output.read_bytes())
    folds_path(later).write_bytes(folds_path(output).read_bytes())
    train(pool.stores, TrainingSettings(network="ltae", evaluation="holdout", epochs=2, device="cpu"), later)
    assert not folds_path(later).exists() and load_folds(later, Model.load_header(later)) == []
