"""What hiding, moving and turning must keep."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from landloom.model.networks.base import SensorInput  # noqa: E402
from landloom.model.training.augmentation import (  # noqa: E402
    draw_kept,
    hide_in_inputs,
    hide_in_series,
    move_season,
    turn,
)
from landloom.model.training.settings import TrainingSettings  # noqa: E402

KINDS = {"S2": "optical", "S1_ASC": "radar", "STATIC": "static"}


def centres(random, batch=200, valid=0.5):
    return {
        "S2": random.random((batch, 8)) < valid,
        "S1_ASC": random.random((batch, 5)) < valid,
        "STATIC": np.ones((batch, 1), bool),
    }


@given(st.integers(0, 1000), st.floats(0, 0.99), st.floats(0, 0.5), st.floats(0, 1))
@hypothesis_settings(max_examples=60, deadline=None)
def test_at_least_one_valid_acquisition_stays(seed, dates, sensor, valid):
    random = np.random.default_rng(seed)
    settings = TrainingSettings(date_dropout_optical=dates, date_dropout_radar=dates, sensor_dropout=sensor)
    there = centres(random, 50, valid)
    kept = draw_kept(there, KINDS, settings, random)
    assert set(kept) == {"S2", "S1_ASC"}
    before = there["S2"].any(axis=1) | there["S1_ASC"].any(axis=1)
    after = (there["S2"] & kept["S2"]).any(axis=1) | (there["S1_ASC"] & kept["S1_ASC"]).any(axis=1)
    assert np.array_equal(before, after)


def test_shares_are_those_asked_for():
    random = np.random.default_rng(0)
    settings = TrainingSettings(date_dropout_optical=0.3, date_dropout_radar=0.1, sensor_dropout=0.2)
    kept = draw_kept(centres(random, 20000, 1.0), KINDS, settings, random)
    gone = {name: ~one.any(axis=1) for name, one in kept.items()}
    assert gone["S2"].mean() == pytest.approx(0.2, abs=0.01)
    assert gone["S1_ASC"].mean() == pytest.approx(0.2, abs=0.01)
    assert not (gone["S2"] & gone["S1_ASC"]).any()
    assert kept["S2"][~gone["S2"]].mean() == pytest.approx(0.7, abs=0.01)
    assert kept["S1_ASC"][~gone["S1_ASC"]].mean() == pytest.approx(0.9, abs=0.01)


def test_a_single_sensor_is_never_hidden_wholly():
    random = np.random.default_rng(0)
    there = {"S2": np.ones((500, 30), bool)}
    kept = draw_kept(there, KINDS, TrainingSettings(sensor_dropout=0.5), random)
    assert kept["S2"].any(axis=1).all()


def inputs(batch=4, side=5):
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(batch, 6, 3, side, side, generator=generator) + 0.1
    mask = torch.rand(batch, 6, side, side, generator=generator) > 0.3
    days = torch.arange(6, dtype=torch.float32)
    return {"S2": SensorInput(x * mask[:, :, None], mask, days), "STATIC": SensorInput(x[:, :1], mask[:, :1], days[:1])}


def test_hidden_values_are_zero_and_nothing_else_changes():
    before = inputs()
    kept = {"S2": np.random.default_rng(0).random((4, 6)) > 0.4}
    after = hide_in_inputs(before, kept)
    mask = after["S2"].mask
    assert torch.equal(mask, before["S2"].mask & torch.from_numpy(kept["S2"])[:, :, None, None])
    assert torch.equal(after["S2"].x, before["S2"].x * mask[:, :, None])
    assert after["STATIC"] is before["STATIC"]


def test_hiding_before_and_after_preparing_is_the_same(store):
    from landloom.model.base.progress import Progress
    from landloom.model.training.loop import fit_recipe
    from landloom.model.training.pool import SamplePool

    pool, own = SamplePool([store]), np.arange(30)
    recipe = fit_recipe(pool, own, TrainingSettings(), Progress())
    raw = pool.batch(own)
    there = {name: one.mask[:, :, 0, 0] for name, one in raw.items()}
    kept = draw_kept(there, KINDS, TrainingSettings(), np.random.default_rng(3))
    early = recipe.network_inputs(hide_in_series(raw, kept))
    late = hide_in_inputs(recipe.network_inputs(raw), kept)
    for name in early:
        assert torch.equal(early[name].mask, late[name].mask)
        assert torch.equal(early[name].x, late[name].x)


def test_all_dated_sensors_move_by_the_same_days():
    before = inputs()
    after = move_season(before, KINDS, TrainingSettings(shift_days=5), np.random.default_rng(1))
    shift = after["S2"].days - before["S2"].days
    assert torch.allclose(shift, shift[0]) and 0 < abs(float(shift[0])) <= 5
    assert torch.equal(after["STATIC"].days, before["STATIC"].days)


def test_turning_moves_values_and_masks_together_and_keeps_the_centre():
    before = inputs()
    seen = set()
    for seed in range(40):
        after = turn(before, np.random.default_rng(seed))
        one = after["S2"]
        assert torch.equal(one.x != 0, one.mask[:, :, None].expand_as(one.x))
        assert torch.equal(one.x[..., 2, 2], before["S2"].x[..., 2, 2])
        assert torch.equal(one.x.flatten(-2).sort(dim=-1).values, before["S2"].x.flatten(-2).sort(dim=-1).values)
        seen.add(tuple(one.x[0, 0, 0].flatten().tolist()))
    assert len(seen) == 8
    pixel = {"S2": inputs(side=1)["S2"]}
    assert turn(pixel, np.random.default_rng(0)) is pixel
