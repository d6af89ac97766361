from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from landloom.model.base.errors import LandloomError
from landloom.model.networks.channels import DB_FLOOR, choose_sensors, group_of
from landloom.model.networks.inputs import (
    CLIP,
    FOREST_INDICES,
    InputRecipe,
)
from landloom.model.stack.sensors import SensorSpec, Series


def decibels(power):
    return np.maximum(10 * np.log10(np.maximum(power, 1e-30)), DB_FLOOR)


def test_recipe_survives_json(world):
    recipe = world.recipe()
    assert InputRecipe.from_json(json.loads(json.dumps(recipe.to_json()))) == recipe


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content.pop("sensors"),
        lambda content: content["sensors"].clear(),
        lambda content: content["sensors"]["S2"]["low"].pop(),
        lambda content: content["sensors"]["S2"].update(high=["x"]),
        lambda content: content["sensors"]["S2"].update(low=[float("nan")] * 7),
        lambda content: content["sensors"]["S2"].update(low=content["sensors"]["S2"]["high"]),
        lambda content: content["sensors"]["S2"].update(target_days=[]),
        lambda content: content["sensors"]["S1_ASC"].update(indices=["NDVI"]),
        lambda content: content["sensors"]["S2"].update(spec=3),
    ],
)
def test_damaged_recipe_is_refused(world, damage):
    content = world.recipe().to_json()
    damage(content)
    with pytest.raises(LandloomError, match="recipe of the model"):
        InputRecipe.from_json(content)


def test_percentiles_are_those_of_valid_values(world):
    batch = world.batch(300, seed=4)
    recipe = InputRecipe.fit_batches(world.specs, [batch])
    red = batch["S2"].values[:, :, 2][batch["S2"].mask] * 1e-4
    assert recipe.sensors["S2"].channels == ("B2", "B3", "B4", "B8", "B11", "NDVI", "NDWI")
    np.testing.assert_allclose(
        [recipe.sensors["S2"].low[2], recipe.sensors["S2"].high[2]], np.percentile(red, [2, 98]), rtol=1e-5
    )
    vv = decibels(batch["S1_ASC"].values[:, :, 0][batch["S1_ASC"].mask])
    np.testing.assert_allclose(recipe.sensors["S1_ASC"].low[0], np.percentile(vv, 2), rtol=1e-5)


def test_fit_reads_only_the_samples_given(world):
    asked = []

    class Store:
        specs = world.specs

        def batch(self, indices, halo=0, sensors=None):
            asked.extend(indices.tolist())
            return world.batch(len(indices))

    recipe = InputRecipe.fit(Store(), np.array([3, 5, 8]), ["S2"], step=15)
    assert sorted(asked) == [3, 5, 8]
    assert list(recipe.sensors) == ["S2"]
    assert recipe.step == 15


def test_masked_values_are_exactly_zero_and_valid_ones_scaled(world):
    pytest.importorskip("torch")
    recipe, batch = world.recipe(), world.batch(3, 4)
    inputs = recipe.network_inputs(batch)
    for name, one in inputs.items():
        x, mask = one.x.numpy(), batch[name].mask
        assert np.array_equal(one.mask.numpy(), mask)
        assert np.array_equal(one.days.numpy(), batch[name].days)
        assert not np.moveaxis(x, 2, -1)[~mask].any()
    part = recipe.sensors["S2"]
    red = (batch["S2"].values[:, :, 2] * 1e-4 - part.low[2]) / (part.high[2] - part.low[2])
    np.testing.assert_allclose(
        inputs["S2"].x.numpy()[:, :, 2][batch["S2"].mask], np.clip(red, *CLIP)[batch["S2"].mask], atol=1e-4
    )
    nir, red = batch["S2"].values[:, :, 3].astype(float), batch["S2"].values[:, :, 2]
    with np.errstate(invalid="ignore"):
        ndvi = ((nir - red) / (nir + red) - part.low[5]) / (part.high[5] - part.low[5])
    np.testing.assert_allclose(
        inputs["S2"].x.numpy()[:, :, 5][batch["S2"].mask], np.clip(ndvi, *CLIP)[batch["S2"].mask], atol=1e-4
    )


def test_masked_nan_never_reaches_a_network(world):
    pytest.importorskip("torch")
    batch = world.batch(2, 3, cloud=0.5)
    values = batch["S2"].values.astype(np.float32)
    values[np.broadcast_to(~batch["S2"].mask[:, :, None], values.shape)] = np.nan
    dirty = {**batch, "S2": batch["S2"]._replace(values=values)}
    recipe = world.recipe()
    clean, found = recipe.network_inputs(batch, regular=True)["S2"], recipe.network_inputs(dirty, regular=True)["S2"]
    assert np.array_equal(clean.x.numpy(), found.x.numpy())
    assert np.array_equal(clean.filled.numpy(), found.filled.numpy())
    assert np.array_equal(recipe.features(batch), recipe.features(dirty))


def test_filled_series_has_validity_last_and_zero_for_lost_pixels(world):
    pytest.importorskip("torch")
    batch = world.batch(1, 2)
    batch["S2"].mask[0, :, 0, 1] = False
    filled = world.recipe().network_inputs(batch, regular=True, raw=False)["S2"].filled.numpy()
    assert filled.shape == (1, len(world.recipe().sensors["S2"].target_days), 8, 2, 2)
    assert not filled[:, :, :, 0, 1].any()
    assert filled[:, :, -1].min() >= 0 and filled[:, :, -1].max() <= 1


def test_units_of_radar_agree(world):
    batch = world.batch(50)
    recipe = world.recipe()
    spec = world.specs["S1_ASC"]
    power = batch["S1_ASC"].values
    for unit, values in (("db", decibels(power)), ("amplitude", np.sqrt(power))):
        other = {**batch, "S1_ASC": batch["S1_ASC"]._replace(values=values.astype(np.float32))}
        bound, _warnings, _missing = recipe.bind({**world.specs, "S1_ASC": replace(spec, unit=unit)})
        np.testing.assert_allclose(bound.features(other), recipe.features(batch), atol=1e-3)


def test_bands_are_matched_by_name_and_reordered(world):
    batch = world.batch(20)
    order = [4, 2, 0, 3, 1]
    bands = [world.specs["S2"].bands[place] for place in order]
    spec = replace(world.specs["S2"], bands=("B12", *("B0" + band[1:] if len(band) == 2 else band for band in bands)))
    values = np.concatenate([np.ones_like(batch["S2"].values[:, :, :1]), batch["S2"].values[:, :, order]], axis=2)
    bound, warnings, missing = world.recipe().bind({**world.specs, "S2": spec})
    assert not warnings and not missing
    shuffled = {**batch, "S2": batch["S2"]._replace(values=values)}
    assert np.array_equal(bound.features(shuffled), world.recipe().features(batch))


def test_orbits_share_target_days_and_band_order(make_world):
    world = make_world(sensors=("S1_ASC", "S1_DES"))
    specs = {**world.specs, "S1_DES": replace(world.specs["S1_DES"], bands=("VH", "VV"))}
    batch = world.batch(30)
    recipe = InputRecipe.fit_batches(specs, [batch])
    assert recipe.sensors["S1_DES"].spec.bands == ("VV", "VH")
    assert recipe.sensors["S1_ASC"].target_days == recipe.sensors["S1_DES"].target_days
    vh = decibels(batch["S1_DES"].values[:, :, 0][batch["S1_DES"].mask])
    np.testing.assert_allclose(recipe.sensors["S1_DES"].low[1], np.percentile(vh, 2), rtol=1e-4)


def test_missing_band_is_refused_with_both_lists(world):
    specs = {**world.specs, "S2": replace(world.specs["S2"], bands=("B2", "B3", "B4"))}
    with pytest.raises(LandloomError, match=r"B8, B11.*needs the bands B2, B3, B4, B8, B11.*have B2, B3, B4"):
        world.recipe().bind(specs)


def test_other_calibration_is_refused_and_unknown_one_warned_of(world):
    spec = world.specs["S1_ASC"]
    with pytest.raises(LandloomError, match=r"sigma0.*gamma0"):
        world.recipe().bind({**world.specs, "S1_ASC": replace(spec, calibration="sigma0")})
    _recipe, warnings, _missing = world.recipe().bind({**world.specs, "S1_ASC": replace(spec, calibration="unknown")})
    assert len(warnings) == 1


def test_extra_and_missing_sensors_are_told(world):
    extra = SensorSpec("PLANET", "optical", ("RED",), ("2021-01-01",), (0,))
    _recipe, warnings, missing = world.recipe().bind({"S2": world.specs["S2"], "PLANET": extra})
    assert missing == ["S1_ASC"]
    assert "PLANET" in warnings[0]
    with pytest.raises(LandloomError, match="none of the model's sensors"):
        world.recipe().bind({"PLANET": extra})


def test_features_are_physical_and_named(world):
    recipe = world.recipe(index_names=FOREST_INDICES)
    batch = world.batch(5, cloud=0.0)
    features, names = recipe.features(batch), recipe.feature_names()
    assert features.shape == (5, len(names))
    assert features.dtype == np.float32
    day = recipe.sensors["S2"].target_days[0]
    assert day == batch["S2"].days[0]
    red, nir = (batch["S2"].values[:, 0, band, 0, 0] * 1e-4 for band in (2, 3))
    np.testing.assert_allclose(features[:, names.index(f"S2_B4_{day}")], red, rtol=1e-5)
    np.testing.assert_allclose(features[:, names.index(f"S2_NDVI_{day}")], (nir - red) / (nir + red), atol=1e-5)
    assert f"S2_BRIGHTNESS_{day}" in names


def test_another_year_has_its_own_days(world):
    recipe, batch = world.recipe(), world.batch(4)
    days = batch["S2"].days + 3
    moved = {**batch, "S2": Series(batch["S2"].values, batch["S2"].mask, days)}
    assert recipe.features(moved).shape == recipe.features(batch).shape
    assert not np.array_equal(recipe.features(moved), recipe.features(batch))


def test_outside_range_tells_other_data(world):
    recipe, batch = world.recipe(), world.batch(1, 12)
    inside = recipe.outside_range(batch)
    assert inside["S2"] < 0.05
    bright = {**batch, "S2": batch["S2"]._replace(values=(batch["S2"].values * 4).astype(np.int16))}
    assert recipe.outside_range(bright)["S2"] > 0.5


def test_sensor_choices(make_world):
    specs = make_world(sensors=("S2", "S1_ASC", "S1_DES")).specs
    assert list(choose_sensors(specs, ["S1"])) == ["S1_ASC", "S1_DES"]
    assert list(choose_sensors(specs, None)) == list(specs)
    with pytest.raises(LandloomError, match="no sensor L8"):
        choose_sensors(specs, ["L8"])
    assert [group_of(name) for name in specs] == ["S2", "S1", "S1"]
