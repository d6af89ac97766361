"""Twinns and TempCNN: both read gap-filled series."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from landloom.model.networks.registry import build  # noqa: E402

SENSORS = ("S2", "S1_ASC", "S1_DES")


def trained_like(world, name):
    """A network whose running statistics are not those of the start."""
    torch.manual_seed(0)
    recipe = world.recipe()
    network = build(name, recipe.shapes(), 4)
    side = 2 * network.halo + 1
    for seed in range(3):
        network.train()(recipe.network_inputs(world.batch(16, side, seed=seed), regular=True))
    return recipe, network.eval()


@pytest.mark.parametrize("name", ["twinns", "tempcnn"])
def test_shapes_branches_and_gradients(make_world, name):
    world = make_world(sensors=SENSORS)
    recipe, network = trained_like(world, name)
    side = 2 * network.halo + 3
    out = network(recipe.network_inputs(world.batch(2, side), regular=True))
    assert out.logits.shape == (2, 4, 3, 3)
    assert out.descriptors["fused"].shape[0::2] == (2, 3)
    network.train()
    out = network(recipe.network_inputs(world.batch(8, 2 * network.halo + 1), regular=True))
    assert set(out.auxiliary) == set(out.descriptors) - {"fused"}
    (out.logits.sum() + sum(x.sum() for x in out.auxiliary.values())).backward()
    found = {name: p.grad for name, p in network.named_parameters() if not name.endswith("score_outer.bias")}
    assert not [name for name, grad in found.items() if grad is None or not torch.isfinite(grad).all()]


@pytest.mark.parametrize("name", ["twinns", "tempcnn"])
def test_patches_and_whole_tiles_give_the_same_numbers(make_world, name):
    world = make_world(sensors=SENSORS)
    recipe, network = trained_like(world, name)
    halo, side = network.halo, 6
    batch = world.batch(1, side + 2 * halo, seed=5)
    with torch.no_grad():
        tile = network(recipe.network_inputs(batch, regular=True)).logits
        patches = [
            network(
                recipe.network_inputs(
                    {
                        sensor: s._replace(
                            values=s.values[..., y : y + 2 * halo + 1, x : x + 2 * halo + 1],
                            mask=s.mask[..., y : y + 2 * halo + 1, x : x + 2 * halo + 1],
                        )
                        for sensor, s in batch.items()
                    },
                    regular=True,
                )
            ).logits
            for y in range(side)
            for x in range(side)
        ]
    joined = torch.cat(patches, dim=3).reshape(1, 4, side, side)
    torch.testing.assert_close(joined, tile, atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", ["twinns", "tempcnn"])
def test_a_pixel_without_any_date_gives_numbers(make_world, name):
    world = make_world(sensors=SENSORS)
    recipe, network = trained_like(world, name)
    batch = world.batch(2, 2 * network.halo + 1)
    dark = {sensor: s._replace(mask=s.mask & False) for sensor, s in batch.items()}
    assert torch.isfinite(network(recipe.network_inputs(dark, regular=True)).logits).all()
    assert torch.isfinite(network.train()(recipe.network_inputs(dark, regular=True)).logits).all()


def test_masked_date_keeps_the_state_of_twinns(make_world):
    """Of the raw dates only the branch of TWINNS that reads them may see a masked one, and it must not."""
    world = make_world(dates=5, sensors=("S2",))
    recipe, network = trained_like(world, "twinns")
    inputs = recipe.network_inputs(world.batch(1, 6, cloud=0.2), regular=True)["S2"]
    mask = inputs.mask.clone()
    mask[:, 2] = False
    one = inputs._replace(x=inputs.x * mask.unsqueeze(2), mask=mask)
    kept = torch.tensor([0, 1, 3, 4])
    fewer = one._replace(x=one.x[:, kept], mask=one.mask[:, kept], days=one.days[kept])
    for training in (False, True):
        branch = network.recurrent["S2"].train(training)
        branch.stem.eval()
        with torch.no_grad():
            torch.testing.assert_close(branch([one]), branch([fewer]), atol=1e-5, rtol=0)


def test_recurrent_branch_reads_dates_in_order_of_day(make_world):
    world = make_world(dates=5, sensors=("S2",))
    recipe, network = trained_like(world, "twinns")
    one = recipe.network_inputs(world.batch(1, 6, cloud=0.2), regular=True)["S2"]
    order = torch.tensor([4, 0, 2, 1, 3])
    shuffled = one._replace(x=one.x[:, order], mask=one.mask[:, order], days=one.days[order])
    branch = network.recurrent["S2"]
    with torch.no_grad():
        torch.testing.assert_close(branch([one]), branch([shuffled]), atol=1e-5, rtol=0)


def test_recurrence_equals_torch_gru_and_softmax(make_world):
    """With nothing masked the unit is torch's, and the accumulated softmax is the plain one."""
    branch = trained_like(make_world(dates=5, sensors=("S2",)), "twinns")[1].recurrent["S2"]
    width, hidden = branch.gates.in_features, branch.hidden
    unit = torch.nn.GRU(width, hidden, batch_first=True)
    with torch.no_grad():
        unit.weight_ih_l0.copy_(branch.gates.weight)
        unit.bias_ih_l0.copy_(branch.gates.bias)
        unit.weight_hh_l0.copy_(branch.recurrence.weight)
        unit.bias_hh_l0.copy_(branch.recurrence.bias)
        # torch: h' = (1 - z) n + z h; here the gate says how much is renewed, hence its sign
        unit.weight_ih_l0[hidden : 2 * hidden].neg_()
        unit.bias_ih_l0[hidden : 2 * hidden].neg_()
        unit.weight_hh_l0[hidden : 2 * hidden].neg_()
        unit.bias_hh_l0[hidden : 2 * hidden].neg_()
        x = torch.randn(3, 5, width)
        states = unit(x)[0]
        scores = branch.score_outer(torch.tanh(branch.score_inner(states)))
        expected = (torch.softmax(scores, dim=1) * states).sum(dim=1)
        mask = torch.ones(5, 3, dtype=torch.bool)
        found = branch._recur(x.transpose(0, 1), mask, branch.gates.bias.expand(5, -1))
    torch.testing.assert_close(found.T, expected, atol=1e-5, rtol=1e-5)


def test_tempcnn_equals_torch_convolutions(make_world):
    _recipe, network = trained_like(make_world(sensors=("S2",)), "tempcnn")
    branch = network.branches["S2"]
    dates, channels = 12, network.branches["S2"].layers[0].weight.shape[1] // branch.kernel
    x = torch.randn(dates, channels, 4)
    expected = x.permute(2, 1, 0)
    with torch.no_grad():
        for layer in branch.layers:
            weight = layer.weight.unflatten(1, (branch.kernel, -1)).transpose(1, 2)
            expected = torch.nn.functional.conv1d(expected, weight, layer.bias, padding=branch.kernel // 2)
            factor, offset = layer.norm.factor_and_offset()
            expected = torch.relu(expected * factor[:, None] + offset[:, None])
        found = x
        for layer in branch.layers:
            found = torch.relu(layer(branch._unfold(found)))
    torch.testing.assert_close(found.permute(2, 1, 0), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", ["ltae", "twinns", "tempcnn"])
@pytest.mark.parametrize("cloud", [0.0, 0.5])
def test_maps_are_computed_with_the_formulas_of_training(make_world, name, cloud):
    """With gradients evaluation goes layer by layer, without (maps) in fused steps: the same numbers."""
    world = make_world(sensors=("S2", "S1_ASC", "S1_DES"))
    recipe, network = trained_like(world, name)
    network.eval()
    for seed in (5, 6):  # the second time with weights that were folded before, then changed
        inputs = recipe.network_inputs(world.batch(9, 2 * network.halo + 3, cloud=cloud, seed=seed), regular=True)
        plain = network(inputs).logits.detach()
        with torch.inference_mode():
            torch.testing.assert_close(network(inputs).logits, plain, atol=2e-5, rtol=1e-5)
        with torch.no_grad():
            torch.testing.assert_close(network(inputs).logits, plain, atol=2e-5, rtol=1e-5)
            for weights in network.parameters():
                weights.mul_(0.9)


def test_large_scores_of_twinns_need_their_running_maximum(make_world):
    """Beyond the bound exponentials of scores would be infinite: a third way, to the same numbers."""
    world = make_world(sensors=("S2",))
    recipe, network = trained_like(world, "twinns")
    branch = network.eval().recurrent["S2"]
    with torch.no_grad():
        branch.score_outer.weight.mul_(200.0 / branch.score_outer.weight.abs().sum())
        branch.score_inner.weight.mul_(50.0)
    inputs = [recipe.network_inputs(world.batch(4, 6, cloud=0.4, seed=3), regular=True)["S2"]]
    plain = branch(inputs).detach()
    with torch.inference_mode():
        found = branch(inputs)
    assert torch.isfinite(found).all()
    torch.testing.assert_close(found, plain, atol=1e-4, rtol=1e-4)


def test_network_without_filled_series_says_so(make_world):
    world = make_world()
    recipe, network = trained_like(world, "tempcnn")
    with pytest.raises(ValueError, match="gap-filled"):
        network(recipe.network_inputs(world.batch(1, 1)))


@pytest.mark.parametrize("name", ["ltae", "twinns", "tempcnn"])
@pytest.mark.parametrize("precision", [torch.bfloat16, torch.float16])
def test_mixed_precision_trains_without_nan(make_world, name, precision):
    """As on a GPU; one pixel has no valid date at all."""
    world = make_world(sensors=SENSORS)
    recipe, network = trained_like(world, name)
    batch = world.batch(8, 2 * network.halo + 1)
    for series in batch.values():
        series.mask[0] = False
    inputs = recipe.network_inputs(batch, regular=True)
    with torch.no_grad():
        full = network(inputs).logits
        with torch.autocast("cpu", dtype=precision):
            half = network(inputs).logits
    torch.testing.assert_close(half.float(), full, atol=0.1, rtol=0.1)
    network.train()
    with torch.autocast("cpu", dtype=precision):
        out = network(inputs)
    loss = out.logits.float().sum() + sum(x.float().sum() for x in out.auxiliary.values())
    loss.backward()
    assert all(torch.isfinite(p.grad).all() for p in network.parameters() if p.grad is not None)
