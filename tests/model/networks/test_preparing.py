"""Inputs are prepared by torch on the device: the numbers are those of numpy's formulas, which serve the forest."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from landloom.model.networks import attending, preparing, recurring, tempcnn  # noqa: E402
from landloom.model.networks.inputs import CLIP, scaling  # noqa: E402
from landloom.model.networks.modelfile import Model, ModelHeader  # noqa: E402
from landloom.model.networks.predictor import Predictor  # noqa: E402
from landloom.model.networks.registry import build  # noqa: E402
from landloom.model.networks.scripting import Scripted, remembered  # noqa: E402
from landloom.model.stack.gapfill import fill_planes  # noqa: E402
from landloom.model.stack.indices import compute_index, index_bands  # noqa: E402


def scaled(part, values):
    """Bands and indices of physical values [T, C, N], scaled as a network takes them."""
    channels = [values]
    for index in part.indices:
        bands = index_bands(index, part.spec.kind, part.spec.bands)
        channels.append(compute_index(index, [values[:, band] for band in bands])[:, None])
    factor, shift = scaling(part)
    return np.clip(np.concatenate(channels, axis=1) * factor + shift, *CLIP)


def by_numpy(recipe, name, series):
    """The scaled gap-filled series, as the forest's formulas give it."""
    part = recipe.sensors[name]
    planes, valid, days = recipe._physical(name, series)
    values, validity = fill_planes(planes, valid, days, part.target_days)
    whole = scaled(part, values)
    whole = np.concatenate([whole, validity[:, None]], axis=1)
    whole[:, :, ~valid.any(axis=0)] = 0
    return whole


@pytest.mark.parametrize("cloud", [0.0, 0.4, 0.97])
def test_filled_series_equal_those_of_numpy(make_world, cloud):
    world = make_world(sensors=("S2", "S1_ASC"))
    recipe = world.recipe()
    batch = world.batch(5, 3, cloud=cloud, seed=2)
    inputs = recipe.network_inputs(batch, regular=True, raw=False)
    for name in recipe.sensors:
        found = inputs[name].filled.permute(1, 2, 0, 3, 4).flatten(2).numpy()
        np.testing.assert_allclose(found, by_numpy(recipe, name, batch[name]), atol=2e-6)


def test_dates_equal_those_of_numpy(make_world, monkeypatch):
    """Some pixels at a time, the last few fewer; bands that are 0 have no NDVI; what is masked may be no number."""
    world = make_world(sensors=("S2", "S1_ASC"))
    recipe = world.recipe()
    batch = world.batch(5, 3, cloud=0.4, seed=2)
    batch["S2"].values[1] = 0
    batch["S1_ASC"].values[~np.broadcast_to(batch["S1_ASC"].mask[:, :, None], batch["S1_ASC"].values.shape)] = np.nan
    monkeypatch.setattr(preparing, "PIXELS_AT_ONCE", 4)
    for name, part in recipe.sensors.items():
        planes, valid, _days = recipe._physical(name, batch[name])
        expected = np.where(valid[:, None], scaled(part, planes), 0)
        found = recipe.network_inputs(batch)[name].x.permute(1, 2, 0, 3, 4).flatten(2).numpy()
        np.testing.assert_allclose(found, expected, atol=2e-6)


def test_dates_in_any_order_give_the_same_filled_series(world):
    recipe = world.recipe()
    series = world.batch(4, 1, cloud=0.3)["S2"]
    order = np.random.default_rng(0).permutation(len(series.days))
    mixed = series._replace(values=series.values[:, order], mask=series.mask[:, order], days=series.days[order])
    first, second = (recipe.network_inputs({"S2": one}, regular=True)["S2"].filled for one in (series, mixed))
    torch.testing.assert_close(first, second, atol=0, rtol=0)


@pytest.mark.parametrize("dtype", ["uint16", "int32", "float64", ">i2"])
def test_raw_values_of_any_type_and_read_only_ones_are_taken(world, dtype):
    recipe = world.recipe()
    series = world.batch(3, 1)["S2"]
    whole = series._replace(values=np.abs(np.rint(series.values)).astype(np.float32))
    other = whole._replace(values=whole.values.astype(dtype))
    other.values.flags.writeable = False
    first, second = (recipe.network_inputs({"S2": one})["S2"].x for one in (whole, other))
    torch.testing.assert_close(first, second, atol=1e-6, rtol=1e-6)


def test_dates_without_a_valid_pixel_can_be_left_out_and_change_nothing(world):
    recipe = world.recipe()
    batch = world.batch(3, 2, cloud=0.2)
    batch["S2"].mask[:, [1, 3]] = False
    all_dates, fewer = (recipe.network_inputs(batch, regular=True, drop=drop)["S2"] for drop in (False, True))
    left = [date for date in range(len(all_dates.days)) if date not in (1, 3)]
    torch.testing.assert_close(fewer.x, all_dates.x[:, left], atol=0, rtol=0)
    torch.testing.assert_close(fewer.days, all_dates.days[left], atol=0, rtol=0)
    torch.testing.assert_close(fewer.filled, all_dates.filled, atol=0, rtol=0)
    batch["S2"].mask[:] = False
    nothing = recipe.network_inputs(batch, regular=True, drop=True)["S2"]
    assert nothing.x.shape[1] == 0 and not nothing.filled.any()


def scripted_functions():
    for module in (preparing, attending, recurring, tempcnn):
        for name, value in vars(module).items():
            if isinstance(value, Scripted):
                yield f"{module.__name__.rsplit('.', 1)[1]}.{name}", value


@pytest.mark.parametrize(("name", "function"), list(scripted_functions()))
def test_every_step_compiles(name, function):
    """Else maps are right but slow: threads wait for Python, and nobody would notice."""
    assert isinstance(function._compile(), torch.jit.ScriptFunction), name


@pytest.mark.parametrize("cloud", [0.0, 0.4])
@pytest.mark.parametrize("dtype", ["int16", "float32"])
def test_what_ltae_prepares_itself_is_what_is_prepared_for_it(make_world, monkeypatch, cloud, dtype):
    """Some pixels at a time, the last few fewer, of three sensors in two branches; what is masked may be no number."""
    world = make_world(sensors=("S2", "S1_ASC", "S1_DES"))
    recipe = world.recipe()
    batch = world.batch(1, 9, cloud=cloud, seed=2)
    if cloud:
        batch["S2"].mask[:, 1] = False
        batch["S1_DES"].mask[:] = False
    else:
        for one in batch.values():
            one.mask[:] = True
    for name, one in batch.items():
        values = one.values if dtype == "float32" else np.rint(one.values * (1 if name == "S2" else 300))
        values = values.astype(dtype)
        if dtype == "float32":
            values[~np.broadcast_to(one.mask[:, :, None], values.shape)] = np.nan
        batch[name] = one._replace(values=values)
    torch.manual_seed(0)
    member = build("ltae", recipe.shapes(), 4).eval()
    with torch.inference_mode():
        before = member(recipe.network_inputs(batch, drop=True))
        monkeypatch.setattr(attending, "PIXELS_AT_ONCE", 32)
        later = recipe.network_inputs(batch, drop=True, later=True)
        found = member(later)
    assert all(one.unprepared is not None and one.x.numel() == 0 for one in later.values())
    torch.testing.assert_close(found.logits, before.logits, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(found.descriptors["S1"], before.descriptors["S1"], atol=1e-5, rtol=1e-5)


def test_only_one_network_without_indices_of_its_own_prepares_the_dates(make_world, monkeypatch):
    world = make_world(sensors=("S2", "S1_ASC"))
    batch = world.batch(1, 5)
    for indices, members, waits in ((("NDVI",), 1, True), (("NDVI",), 2, False), (("(B8-B4)/(B8+B4+0.5)",), 1, False)):
        recipe = world.recipe(index_names=indices)
        assert recipe.sensors["S2"].indices == indices
        torch.manual_seed(0)
        network = build("ltae", recipe.shapes(), 4).eval()
        header = ModelHeader("ltae", {}, recipe, world.nomenclature)
        with Predictor(Model(header, [network] * members), threads=1) as predictor, monkeypatch.context() as patched:
            seen, forward = [], network.forward
            patched.setattr(network, "forward", lambda given: seen.append(given) or forward(given))  # noqa: B023
            found = predictor.predict(batch)
        assert [all(one.unprepared is not None for one in given.values()) for given in seen] == [waits] * members
        with torch.inference_mode():
            expected = torch.softmax(network(recipe.network_inputs(batch)).logits, dim=1).numpy()
        np.testing.assert_allclose(found, expected, atol=1e-5)


def test_without_torchscript_the_numbers_are_the_same(make_world, monkeypatch):
    world = make_world(sensors=("S2", "S1_ASC"))
    recipe = world.recipe()
    batch = world.batch(2, 7, cloud=0.3)
    for network in ("ltae", "tempcnn", "twinns"):
        torch.manual_seed(0)
        member = build(network, recipe.shapes(), 3).eval()
        inputs = recipe.network_inputs(batch, regular=True)
        with torch.inference_mode():
            compiled = member(inputs).logits
            for _ in range(3):  # TorchScript looks at its first runs and then writes the steps anew
                torch.testing.assert_close(member(inputs).logits, compiled, atol=0, rtol=0)
            with monkeypatch.context() as patched:
                for _name, function in scripted_functions():
                    patched.setattr(function, "_compiled", function.function)
                torch.testing.assert_close(member(inputs).logits, compiled, atol=0, rtol=0)


def test_what_is_remembered_is_made_anew_when_a_weight_changes():
    module = torch.nn.Sequential(torch.nn.Linear(2, 1), torch.nn.BatchNorm1d(1))
    made = []

    def make():
        made.append(1)
        return len(made)

    assert [remembered(module, "key", make) for _ in range(3)] == [1, 1, 1]
    assert remembered(module, "other", make) == 2
    with torch.no_grad():
        module[0].weight.add_(1)
    assert remembered(module, "key", make) == 3
    module[1].running_mean.fill_(2)
    assert remembered(module, "key", make) == 4
    module.load_state_dict(module.state_dict())
    assert remembered(module, "key", make) == 5


def test_pieces_are_what_is_computed(make_world):
    world = make_world(sensors=("S2",))
    recipe = world.recipe()
    header = ModelHeader("ltae", {}, recipe, world.nomenclature)
    with Predictor(Model(header, [build("ltae", recipe.shapes(), 4)])) as predictor:
        predictor.block = 8
        batch = world.batch(2, 4)
        sizes = [piece["S2"].values.shape for piece in predictor.pieces(batch)]
        assert [(size[0], size[3], size[4]) for size in sizes] == [(1, 2, 4)] * 4
