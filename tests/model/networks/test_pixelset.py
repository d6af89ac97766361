"""Protects the network of pixel sets: masks, order and size of sets, missing sensors, geometry, and its formulas."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from landloom.model.networks.base import SensorInput, SensorShape  # noqa: E402
from landloom.model.networks.ltae import day_encoding  # noqa: E402
from landloom.model.networks.pixelset import EPSILON, PixelSetAttention, pool  # noqa: E402
from landloom.model.networks.registry import GEOMETRY, build, network_info  # noqa: E402

SHAPES = {
    "S2": SensorShape("optical", 5, 8),
    "S1_ASC": SensorShape("radar", 3, 8),
    "S1_DES": SensorShape("radar", 3, 8),
    "STATIC": SensorShape("static", 2, 1),
    GEOMETRY: SensorShape("static", 4, 1),
}


def sets(batch=6, dates=5, pixels=9, seed=0, share=0.5):
    """Sets whose valid pixels differ from object to object; the first object has one pixel only."""
    random = torch.Generator().manual_seed(seed)
    inputs = {}
    for name, shape in SHAPES.items():
        count = 1 if shape.kind == "static" else dates
        if name == GEOMETRY:
            x = torch.rand((batch, 1, shape.channels, 1, 1), generator=random)
            inputs[name] = SensorInput(x, torch.ones(batch, 1, 1, 1, dtype=torch.bool), torch.zeros(1))
            continue
        mask = torch.rand((batch, count, 1, pixels), generator=random) < share
        mask[0, :, :, 1:] = False
        x = torch.rand((batch, count, shape.channels, 1, pixels), generator=random) * mask.unsqueeze(2)
        inputs[name] = SensorInput(x, mask, torch.arange(count) * 17.0 + 5)
    return inputs


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    net = PixelSetAttention(SHAPES, 4)
    net.train()
    for seed in range(3):  # so that the running statistics are not those of the start
        net(sets(32, seed=seed))
    with torch.no_grad():
        net.branches["S1"].offsets.normal_()
    return net.eval()


def logits(network, inputs):
    with torch.no_grad():
        return network(inputs).logits


def same(network, one, other):
    torch.testing.assert_close(logits(network, one), logits(network, other), atol=2e-5, rtol=0)


def test_an_object_gets_one_vector(network):
    out = network(sets(3))
    assert out.logits.shape == (3, 4, 1, 1)
    assert out.descriptors["fused"].shape == (3, 128, 1, 1)
    assert set(out.descriptors) == {"S2", "S1", "STATIC", "fused"}  # geometry goes into every branch
    net = build("pixelset", SHAPES, 4).train()
    assert set(net(sets()).auxiliary) == {"S2", "S1", "STATIC"}
    assert network_info("pixelset").reads_sets and network_info("pixelset").mask_aware


def test_the_order_of_pixels_does_not_matter(network):
    inputs = sets()
    order = torch.tensor([3, 8, 0, 5, 1, 7, 4, 2, 6])
    shuffled = dict(inputs)
    for name, one in inputs.items():
        if name != GEOMETRY:
            shuffled[name] = one._replace(x=one.x[..., order], mask=one.mask[..., order])
    same(network, shuffled, inputs)


def test_what_the_mask_hides_does_not_matter(network):
    inputs = sets()
    dirty, wider = dict(inputs), dict(inputs)
    for name, one in inputs.items():
        if name != GEOMETRY:
            dirty[name] = one._replace(x=torch.where(one.mask.unsqueeze(2), one.x, 7.0))
            wider[name] = one._replace(
                x=torch.cat([dirty[name].x, torch.full_like(one.x, 3.0)], dim=4),
                mask=torch.cat([one.mask, torch.zeros_like(one.mask)], dim=3),
            )
    same(network, dirty, inputs)
    same(network, wider, inputs)
    x, mask, days = inputs["S2"][:3]
    longer = SensorInput(
        torch.cat([x, torch.zeros_like(x[:, :2])], dim=1),
        torch.cat([mask, torch.zeros_like(mask[:, :2])], dim=1),
        torch.cat([days, torch.tensor([3.0, 400.0])]),
    )
    same(network, {**inputs, "S2": longer}, inputs)


def test_masks_hold_in_training_too():
    """The statistics of normalisation must not see what is masked, whether padding is computed or left out."""
    found = []
    for filler, padding in ((0.0, 0), (5.0, 0), (5.0, 40)):
        torch.manual_seed(1)
        net = PixelSetAttention(SHAPES, 4).train()
        net.dropout.p = 0.0
        inputs = sets(share=0.95)
        for name, one in inputs.items():
            if name == GEOMETRY:
                continue
            x = torch.where(one.mask.unsqueeze(2), one.x, filler)
            inputs[name] = one._replace(
                x=torch.cat([x, torch.full((*x.shape[:4], padding), filler)], dim=4),
                mask=torch.cat([one.mask, torch.zeros(*one.mask.shape[:3], padding, dtype=torch.bool)], dim=3),
            )
        out = net(inputs)
        out.logits.sum().backward()
        found.append((out.logits.detach(), net.branches["S2"].layers[0].weight.grad.clone()))
    for one in found[1:]:
        torch.testing.assert_close(one[0], found[0][0], atol=1e-4, rtol=0)
        torch.testing.assert_close(one[1], found[0][1], atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("missing", ["S2", "S1_ASC", "STATIC"])
def test_absent_and_fully_masked_sensor_are_the_same(network, missing):
    inputs = sets()
    masked = {**inputs, missing: inputs[missing]._replace(mask=torch.zeros_like(inputs[missing].mask))}
    same(network, masked, {name: one for name, one in inputs.items() if name != missing})


def test_objects_without_any_pixel_give_numbers(network):
    inputs = {
        name: one if name == GEOMETRY else one._replace(mask=torch.zeros_like(one.mask)) for name, one in sets().items()
    }
    assert torch.isfinite(logits(network, inputs)).all()
    with pytest.raises(ValueError, match="no sensor"):
        network({GEOMETRY: inputs[GEOMETRY]})
    net = PixelSetAttention(SHAPES, 4).train()
    net(inputs).logits.sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in net.parameters() if p.grad is not None)


def test_one_pixel_has_no_spread_and_its_gradient_is_finite():
    z = torch.rand(2, 3, 4, 1, requires_grad=True)
    summary = pool(z, torch.ones(2, 4, 1, dtype=torch.bool))
    torch.testing.assert_close(summary[:, :3], z[..., 0])
    assert (summary[:, 3:] == 0).all()
    summary.sum().backward()
    assert torch.isfinite(z.grad).all()


def test_objects_do_not_see_each_other(network):
    inputs = sets()
    one = {name: SensorInput(s.x[2:3], s.mask[2:3], s.days) for name, s in inputs.items()}
    torch.testing.assert_close(logits(network, one)[0], logits(network, inputs)[2], atol=2e-5, rtol=0)


def test_spread_geometry_and_days_matter(network):
    inputs = sets(share=1.0)
    one = inputs["S2"]
    flat = one._replace(x=one.x.mean(dim=4, keepdim=True).expand_as(one.x))
    for name, changed in (
        ("S2", flat),
        (GEOMETRY, inputs[GEOMETRY]._replace(x=inputs[GEOMETRY].x + 1)),
        ("S2", one._replace(days=one.days + 60)),
    ):
        assert (logits(network, {**inputs, name: changed})[1:] - logits(network, inputs)[1:]).abs().max() > 1e-4


def normed(layer, z):
    norm = layer.norm
    return torch.relu(
        (layer.weight @ z + layer.bias[:, None] - norm.running_mean[:, None])
        / torch.sqrt(norm.running_var + 1e-5)[:, None]
        * norm.weight[:, None]
        + norm.bias[:, None]
    )


def reference(branch, one, row, geometry):
    """The descriptor of one object, pixel by pixel and date by date."""
    hidden, valid = [], []
    for date in range(one.x.shape[1]):
        pixels = [k for k in range(one.x.shape[4]) if one.mask[row, date, 0, k]]
        if not pixels:
            continue
        code = day_encoding(one.days, 64)[date]
        outputs = []
        for k in pixels:
            z = one.x[row, date, :, 0, k][:, None]
            for number, layer in enumerate(branch.layers):
                shift = branch.timing[number].weight @ code + (branch.offsets[0] if number == 0 else 0)
                shifted = layer.norm.running_mean - shift
                scale = layer.norm.weight / torch.sqrt(layer.norm.running_var + 1e-5)
                z = torch.relu(
                    (layer.weight @ z + layer.bias[:, None] - shifted[:, None]) * scale[:, None]
                    + layer.norm.bias[:, None]
                )
            outputs.append(z[:, 0].numpy())
        outputs = np.array(outputs)
        variance = outputs.var(axis=0, ddof=1) if len(outputs) > 1 else np.zeros(outputs.shape[1])
        spread = np.sqrt(variance + EPSILON) - np.sqrt(EPSILON)
        summary = torch.from_numpy(np.concatenate([outputs.mean(axis=0), spread, geometry]).astype(np.float32))
        d, shift = branch.pooled, branch.pooled_timing.weight @ code
        z = d.weight @ summary + d.bias + shift
        z = (z - d.norm.running_mean) / torch.sqrt(d.norm.running_var + 1e-5) * d.norm.weight + d.norm.bias
        hidden.append(torch.relu(z) + code)
        valid.append(date)
    size = len(hidden[0]) // branch.heads
    summary = []
    for head in range(branch.heads):
        weights = torch.softmax(torch.stack([branch.key.weight[head] @ z for z in hidden]), dim=0)
        summary.append(sum(w * z[head * size : (head + 1) * size] for w, z in zip(weights, hidden, strict=True)))
    return normed(branch.descriptor, torch.cat(summary)[:, None])[:, 0]


@settings(max_examples=5, deadline=None)
@given(st.integers(0, 1000), st.integers(1, 7), st.floats(0.2, 1.0))
def test_evaluation_equals_the_plain_formulas(network, seed, pixels, share):
    inputs = sets(4, pixels=pixels, seed=seed, share=share)
    with torch.no_grad():
        found = network(inputs).descriptors["S2"]
        for row in range(4):
            if inputs["S2"].mask[row].any():
                geometry = inputs[GEOMETRY].x[row, 0, :, 0, 0].numpy()
                expected = reference(network.branches["S2"], inputs["S2"], row, geometry)
                torch.testing.assert_close(found[row, :, 0, 0], expected, atol=2e-5, rtol=1e-4)
