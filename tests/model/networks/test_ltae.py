from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from landloom.model.networks import attending  # noqa: E402
from landloom.model.networks.base import SensorInput, SensorShape  # noqa: E402
from landloom.model.networks.ltae import LightTemporalAttention, day_encoding, sensor_groups  # noqa: E402
from landloom.model.networks.scripting import classes_only  # noqa: E402

SHAPES = {
    "S2": SensorShape("optical", 5, 8),
    "S1_ASC": SensorShape("radar", 3, 8),
    "S1_DES": SensorShape("radar", 3, 8),
    "STATIC": SensorShape("static", 2, 1),
}


def random_inputs(batch=7, dates=6, side=1, seed=0):
    random = torch.Generator().manual_seed(seed)
    inputs = {}
    for name, shape in SHAPES.items():
        count = 1 if shape.kind == "static" else dates
        mask = torch.rand((batch, count, side, side), generator=random) > 0.4
        x = torch.rand((batch, count, shape.channels, side, side), generator=random) * mask.unsqueeze(2)
        inputs[name] = SensorInput(x, mask, torch.arange(count) * 17.0 + 5)
    return inputs


@pytest.fixture
def network():
    torch.manual_seed(0)
    net = LightTemporalAttention(SHAPES, 4)
    net.train()
    for seed in range(3):  # so that the running statistics are not those of the start
        net(random_inputs(64, seed=seed))
    with torch.no_grad():
        net.branches["S1"].offsets.normal_()
    return net.eval()


def logits(network, inputs):
    with torch.no_grad():
        return network(inputs).logits


def test_shapes_and_names(network):
    out = network(random_inputs(3, side=2))
    assert out.logits.shape == (3, 4, 2, 2)
    assert out.descriptors["fused"].shape == (3, 128, 2, 2)
    assert set(out.descriptors) == {"S2", "S1", "STATIC", "fused"}
    assert set(network.train()(random_inputs()).auxiliary) == {"S2", "S1", "STATIC"}


def test_size():
    big = {"S2": SensorShape("optical", 12, 37), "S1_ASC": SensorShape("radar", 3, 37)}
    assert sum(weights.numel() for weights in LightTemporalAttention(big, 13).parameters()) < 150_000


def test_fully_masked_dates_change_nothing(network):
    inputs = random_inputs()
    x, mask, days = inputs["S2"][:3]
    longer = SensorInput(
        torch.cat([x, torch.zeros_like(x[:, :2])], dim=1),
        torch.cat([mask, torch.zeros_like(mask[:, :2])], dim=1),
        torch.cat([days, torch.tensor([3.0, 400.0])]),
    )
    torch.testing.assert_close(logits(network, {**inputs, "S2": longer}), logits(network, inputs), atol=1e-5, rtol=0)


def test_order_of_dates_does_not_matter(network):
    inputs = random_inputs()
    order = torch.tensor([3, 0, 5, 1, 4, 2])
    shuffled = {
        name: one if name == "STATIC" else SensorInput(one.x[:, order], one.mask[:, order], one.days[order])
        for name, one in inputs.items()
    }
    torch.testing.assert_close(logits(network, shuffled), logits(network, inputs), atol=1e-5, rtol=0)


def test_days_matter(network):
    inputs = random_inputs()
    moved = {**inputs, "S2": inputs["S2"]._replace(days=inputs["S2"].days + 60)}
    assert (logits(network, moved) - logits(network, inputs)).abs().max() > 1e-4


def test_values_under_the_mask_do_not_matter(network):
    inputs = random_inputs()
    one = inputs["S2"]
    dirty = {**inputs, "S2": one._replace(x=torch.where(one.mask.unsqueeze(2), one.x, 9.0))}
    torch.testing.assert_close(logits(network, dirty), logits(network, inputs), atol=1e-5, rtol=0)


@pytest.mark.parametrize("missing", ["S2", "S1_ASC", "STATIC"])
def test_absent_and_fully_masked_sensor_are_the_same(network, missing):
    inputs = random_inputs()
    masked = {**inputs, missing: inputs[missing]._replace(mask=torch.zeros_like(inputs[missing].mask))}
    absent = {name: one for name, one in inputs.items() if name != missing}
    torch.testing.assert_close(logits(network, masked), logits(network, absent), atol=1e-5, rtol=0)
    assert torch.isfinite(logits(network, absent)).all()


def test_pixels_without_any_date_give_numbers(network):
    inputs = {name: one._replace(mask=torch.zeros_like(one.mask)) for name, one in random_inputs().items()}
    assert torch.isfinite(logits(network, inputs)).all()
    network.train()
    out = network({name: one._replace(x=one.x.requires_grad_()) for name, one in inputs.items()})
    out.logits.sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in network.parameters() if p.grad is not None)


def test_pixels_do_not_see_each_other(network):
    inputs = random_inputs(5, side=3)
    whole = logits(network, inputs)
    one = {name: SensorInput(s.x[2:3, :, :, 1:2, 2:3], s.mask[2:3, :, 1:2, 2:3], s.days) for name, s in inputs.items()}
    torch.testing.assert_close(logits(network, one)[0, :, 0, 0], whole[2, :, 1, 2], atol=1e-5, rtol=0)


def test_evaluation_equals_the_plain_formulas(network):
    """Attention of one pixel, one group, written out with loops."""
    inputs = random_inputs(1)
    branch, one = network.branches["S2"], inputs["S2"]
    hidden = []
    for date in range(6):
        z = one.x[0, date, :, 0, 0]
        for number, layer in enumerate(branch.layers):
            z = layer.weight @ z + layer.bias + (branch.offsets[0] if number == 0 else 0)
            z = z + branch.timing[number].weight @ day_encoding(one.days, 64)[date]
            norm = layer.norm
            z = (z - norm.running_mean) / torch.sqrt(norm.running_var + 1e-5) * norm.weight + norm.bias
            z = torch.relu(z)
        hidden.append(z + day_encoding(one.days, len(z))[date])
    valid = [date for date in range(6) if one.mask[0, date, 0, 0]]
    size = len(hidden[0]) // branch.heads
    summary = []
    for head in range(branch.heads):
        scores = torch.stack([branch.key.weight[head] @ hidden[date] for date in valid])
        weights = torch.softmax(scores, dim=0)
        part = slice(head * size, (head + 1) * size)
        summary.append(sum(w * hidden[date][part] for w, date in zip(weights, valid, strict=True)))
    d = branch.descriptor
    z = d.weight @ torch.cat(summary) + d.bias
    z = (z - d.norm.running_mean) / torch.sqrt(d.norm.running_var + 1e-5) * d.norm.weight + d.norm.bias
    expected = torch.relu(z)
    found = network(inputs).descriptors["S2"][0, :, 0, 0]
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("widths", [(16,), (8, 32), (8, 16, 32)])
@pytest.mark.parametrize("scores", ["usual", "large", "small"])
def test_the_way_of_maps_gives_the_numbers_of_the_plain_way(monkeypatch, widths, scores):
    """Tiles of 5 pixels, of which one has no date; scores whose exponentials no float holds, or as 0."""
    torch.manual_seed(2)
    network = LightTemporalAttention(SHAPES, 4, {"widths": widths})
    network.train()(random_inputs(64))
    network.eval()
    for branch in network.branches.values():
        with torch.no_grad():
            branch.key.weight *= 1.0 if scores == "usual" else 300.0
            if scores == "small":  # ... however far the largest is below 0
                branch.key.weight.abs_().neg_()
    inputs = random_inputs(13, seed=5)
    for one in inputs.values():
        one.mask[3] = False
    careful = []
    monkeypatch.setattr(attending, "PIXELS_AT_ONCE", 5)
    with monkeypatch.context() as patched, torch.no_grad():
        summed = attending.summed
        patched.setattr(attending, "summed", lambda *given: careful.append(given[-1]) or summed(*given))
        patched.setattr(attending.ATTENDED, "_compiled", attending.attended)
        plain = network(inputs)
    assert any(careful) == (scores != "usual")
    with torch.inference_mode():
        quick = network(inputs)
    with torch.enable_grad():
        slow = network(inputs)
    for found in (plain, quick):
        torch.testing.assert_close(found.logits, slow.logits, atol=2e-5, rtol=2e-5)
        torch.testing.assert_close(found.descriptors["S2"], slow.descriptors["S2"], atol=2e-5, rtol=2e-5)


@pytest.mark.parametrize("hidden", [False, True])
def test_maps_of_classes_alone_are_those_with_descriptors(network, hidden):
    """Where nobody reads the descriptors they are not kept, in this thread and for this call only."""
    inputs = random_inputs(13, seed=6)
    if hidden:  # pixels without any date of one sensor, and another sensor that is not there
        inputs["S2"].mask[2:5] = False
        del inputs["STATIC"]
    else:
        inputs = {name: one._replace(mask=torch.ones_like(one.mask)) for name, one in inputs.items()}
    with torch.inference_mode():
        with classes_only():
            alone = network(inputs)
        whole = network(inputs)
    assert not alone.descriptors and "fused" in whole.descriptors
    torch.testing.assert_close(alone.logits, whole.logits, atol=0, rtol=0)
    with torch.enable_grad():
        torch.testing.assert_close(alone.logits, network(inputs).logits, atol=2e-5, rtol=2e-5)


def test_learns_which_date_matters():
    """A class told only by the value at one date among clouds."""
    torch.manual_seed(1)
    shapes = {"S2": SensorShape("optical", 3, 8)}
    network = LightTemporalAttention(shapes, 2)
    random = np.random.default_rng(0)
    optimiser = torch.optim.AdamW(network.parameters(), 5e-3)

    def sample(n):
        label = random.integers(0, 2, n)
        x = random.random((n, 8, 3, 1, 1)).astype(np.float32)
        x[:, 5, 0, 0, 0] = label
        mask = random.random((n, 8, 1, 1)) > 0.3
        mask[:, 5] = True
        inputs = {
            "S2": SensorInput(torch.from_numpy(x * mask[:, :, None]), torch.from_numpy(mask), torch.arange(8) * 15.0)
        }
        return inputs, torch.from_numpy(label)

    for _ in range(60):
        inputs, label = sample(128)
        loss = torch.nn.functional.cross_entropy(network.train()(inputs).logits[:, :, 0, 0], label)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    inputs, label = sample(500)
    assert (logits(network.eval(), inputs)[:, :, 0, 0].argmax(1) == label).float().mean() > 0.9


def test_orbits_share_a_branch_unless_their_channels_differ():
    assert sensor_groups(SHAPES) == {"S2": ["S2"], "S1": ["S1_ASC", "S1_DES"], "STATIC": ["STATIC"]}
    other = {"S1_ASC": SensorShape("radar", 3, 8), "S1_DES": SensorShape("radar", 1, 8)}
    assert sensor_groups(other) == {"S1": ["S1_ASC"], "S1_DES": ["S1_DES"]}


def test_training_batch_of_one_sample_works(network):
    assert torch.isfinite(network.train()(random_inputs(1)).logits).all()
