"""Dates on which no pixel of a piece is valid cost no arithmetic."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from landloom.model.networks.modelfile import Model, ModelHeader  # noqa: E402
from landloom.model.networks.predictor import Predictor  # noqa: E402
from landloom.model.networks.registry import build  # noqa: E402
from landloom.model.networks.scripting import Scripted  # noqa: E402
from torch.utils.flop_counter import FlopCounterMode  # noqa: E402


@pytest.mark.parametrize("network", ["ltae", "twinns"])
def test_masked_dates_cost_nothing(make_world, network, monkeypatch):
    """Of the networks that read dates as they are; ``tempcnn`` reads as many regular dates whatever the clouds."""
    monkeypatch.setattr(Scripted, "__call__", lambda self, *given: self.function(*given))  # which can be counted
    world = make_world(dates=12, sensors=("S2", "S1_ASC"))
    recipe = world.recipe()
    header = ModelHeader(network, {}, recipe, world.nomenclature)
    predictor = Predictor(Model(header, [build(network, recipe.shapes(), 4).eval()]), threads=1)

    def flops(batch):
        predictor._compute(batch)  # what is made once for these dates
        with FlopCounterMode(display=False) as counter:
            predictor._compute(batch)
        return counter.get_total_flops()

    batch = world.batch(1, 12, cloud=0.0, seed=1)
    whole = flops(batch)
    batch["S2"].mask[:, 1::2] = False
    half = flops(batch)
    left = batch["S2"]
    few = left._replace(values=left.values[:, ::2], mask=left.mask[:, ::2], days=left.days[::2])
    assert half == flops({**batch, "S2": few}) < 0.95 * whole
    batch["S2"].mask[:] = False
    assert flops(batch) < 0.85 * whole
