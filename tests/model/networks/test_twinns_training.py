"""How ``twinns`` learns from single patches: other ways than over tiles, to the same numbers and gradients."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from landloom.model.networks import patches, twinns, unrolled  # noqa: E402
from landloom.model.networks.registry import build  # noqa: E402

SENSORS = ("S2", "S1_ASC", "S1_DES")


def learnt(make_world, patient, monkeypatch=None):
    """Prediction, gradients and statistics of one step, by the way of patches or by that of tiles."""
    if monkeypatch is not None:
        monkeypatch.setattr(twinns, "takes", lambda module, x: False)
        monkeypatch.setattr(twinns, "mixes_precision", lambda: True)
    world = make_world(sensors=SENSORS)
    recipe = world.recipe()
    torch.manual_seed(0)
    network = build("twinns", recipe.shapes(), 4, {"dropout": 0.0}).train()
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weights in network.parameters():  # no bias stays 0
            weights.add_(0.05 * torch.randn(weights.shape, generator=generator))
    batch = world.batch(patient, 5, cloud=0.4, seed=7)
    for series in batch.values():
        series.mask[0] = False
    out = network(recipe.network_inputs(batch, regular=True))
    loss = out.logits.square().sum() + sum(x.square().sum() for x in out.auxiliary.values())
    loss.backward()
    gradients = {name: weights.grad for name, weights in network.named_parameters()}
    return out.logits.detach(), gradients, network.state_dict()


def test_patches_teach_what_tiles_teach(make_world, monkeypatch):
    logits, gradients, state = learnt(make_world, 12)
    other_logits, other_gradients, other_state = learnt(make_world, 12, monkeypatch)
    torch.testing.assert_close(logits, other_logits, atol=1e-4, rtol=1e-4)
    for name, other in other_gradients.items():
        if name.endswith("score_outer.bias"):  # a softmax does not change with it
            assert gradients[name] is None and other.abs().max() < 1e-4
        elif not name.endswith(("convolution.bias", "pointwise.S2.bias", "pointwise.S1.bias", "fusion.bias")):
            scale = float(other.abs().max())  # those left out are 0 but for rounding: normalisation takes biases away
            torch.testing.assert_close(gradients[name], other, atol=2e-3 * scale, rtol=0, msg=lambda m, n=name: n + m)
    for name, other in other_state.items():
        torch.testing.assert_close(state[name], other, atol=1e-4, rtol=1e-4)


def test_one_patch_is_normalised_by_the_running_statistics(make_world):
    """As a batch of one always was: nothing to divide by."""
    assert torch.isfinite(learnt(make_world, 1)[0]).all()


def test_winograd_products_are_the_convolution():
    torch.manual_seed(0)
    layers = torch.nn.Sequential(twinns.Convolution(7, 6, 3), twinns.Convolution(6, 5, 3)).double()
    layers[0].convolution.bias.data.normal_()
    x = torch.randn(4, 7, 5, 5, dtype=torch.float64)
    planes = x.permute(1, 0, 2, 3).flatten(2)
    expected = layers(x)[:, :, 0, 0].T[None]
    torch.testing.assert_close(patches.convolve_planes([planes[:3], planes[3:]], layers), expected, atol=1e-9, rtol=0)


def test_dates_of_patches_are_convolved_as_such():
    torch.manual_seed(0)
    layers = torch.nn.Sequential(twinns.Convolution(4, 6, 3), twinns.Convolution(6, 5, 3)).double()
    x, mask = torch.randn(4, 2, 3, 5, 5, dtype=torch.float64), torch.rand(4, 2, 5, 5) > 0.3
    joined = torch.cat([x, mask.unsqueeze(2).double()], dim=2).transpose(0, 1)
    expected = layers(joined.flatten(0, 1)).view(2, 4, 5)
    torch.testing.assert_close(patches.convolve_dates(x, mask, layers), expected, atol=1e-9, rtol=0)


def unit(dates=3, pixels=3, channels=2, hidden=2):
    """Arguments of the unit in float64; the first pixel has no date, the last all of them."""
    generator = torch.Generator().manual_seed(0)

    def some(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64).requires_grad_()

    valid = torch.rand(dates, pixels, generator=generator) > 0.4
    valid[:, 0], valid[:, -1] = False, True
    planes, fresh, bias = some(dates, pixels, channels), some(3 * hidden, channels), some(dates, 3 * hidden)
    memory, own, inner, shift = some(3 * hidden, hidden), some(hidden), some(hidden, hidden), some(hidden)
    return planes, valid, fresh, bias, memory, own, inner, shift, some(1, hidden)


def test_gradients_of_the_unit_are_those_of_its_formula():
    """By differences, for all that it takes."""
    assert torch.autograd.gradcheck(unrolled.Unrolled.apply, unit())


def test_the_unit_runs_without_python_between_its_steps():
    """And without TorchScript, where there is none, to the same bits; as in its later runs, optimised or not."""
    taken = [one.detach() for one in unit(5, 9, 4, 8)]
    planes, _valid, fresh, _bias, memory, _own, inner, _shift, outer = taken
    summary, *kept = unrolled.forward(*taken)
    back = [torch.ones_like(summary), planes, fresh, memory, inner, outer, *kept]
    for scripted, arguments in ((unrolled.FORWARD, taken), (unrolled.BACKWARD, back)):
        expected = scripted.function(*arguments)
        for _run in range(3):
            found = scripted(*arguments)
            assert scripted.is_compiled
            assert all(torch.equal(one, other) for one, other in zip(found, expected, strict=True))


def test_a_pixel_without_a_date_is_zero_and_teaches_nothing():
    arguments = unit()
    summary = unrolled.Unrolled.apply(*arguments)
    assert (summary[:, 0] == 0).all() and (summary[:, 1:] != 0).any()
    summary[:, 0].sum().backward()
    assert all(one.grad is None or (one.grad == 0).all() for one in arguments)
