"""Training on a GPU, with the stand-in of ``stand_in_gpu.py``: every tensor is made there, the weights are the same."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from landloom.model.base.progress import Progress  # noqa: E402
from landloom.model.samples.store import SampleStore  # noqa: E402
from landloom.model.training import trainer as module  # noqa: E402
from landloom.model.training.checkpoints import Checkpoints  # noqa: E402
from landloom.model.training.loop import fit_recipe  # noqa: E402
from landloom.model.training.member import MemberTraining, scaler_of  # noqa: E402
from landloom.model.training.pool import SamplePool  # noqa: E402
from landloom.model.training.settings import TrainingSettings  # noqa: E402
from landloom.model.training.trainer import Trainer  # noqa: E402

sys.path.insert(0, str(Path(__file__).parents[2]))
from stand_in_gpu import GPU, stand_in  # noqa: E402


def trained(store, network, device):
    """Without dropout, whose random numbers differ from one kind of device to another."""
    settings = TrainingSettings(device="cpu", epochs=2, network=network, batch_size=16, memory_mb=200)
    pool = SamplePool([store])
    recipe = fit_recipe(pool, np.arange(len(pool)), settings, Progress())
    trainer = Trainer(pool, recipe, settings, device, Checkpoints(None), Progress(), {"dropout": 0.0})
    trainer.precision = None  # which needs a card
    own, held = np.arange(0, 64, 2), np.arange(1, 64, 4)
    sources = (trainer.source(own, True, 0.5), trainer.source(held, False, 0.5))
    return MemberTraining(trainer, own, held, sources, 0, "m").run()


@pytest.fixture
def no_card(monkeypatch):
    monkeypatch.setattr(module, "has_bfloat16", lambda device: True)
    torch.set_num_threads(1)


@pytest.mark.parametrize("network", ["ltae", "tempcnn", "twinns"])
def test_training_there_is_training_here(network, folder, no_card):
    """But for rounding, which Adam makes larger where a gradient is nearly 0 (biases before a normalisation)."""
    store = SampleStore.open(folder)
    here = trained(store, network, torch.device("cpu"))
    with stand_in() as gpu:
        there = trained(store, network, GPU)
    assert gpu.launches > 1000  # it was there
    np.testing.assert_allclose(there.validation, here.validation, atol=5e-3, rtol=0)
    assert [one["loss"] for one in there.history] == pytest.approx([one["loss"] for one in here.history], abs=1e-3)
    assert all(type(value) is np.ndarray for value in there.weights.values())


def test_only_float16_scales_its_gradients():
    assert scaler_of(None) is None and scaler_of(torch.bfloat16) is None
