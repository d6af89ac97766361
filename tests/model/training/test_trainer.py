"""Inputs kept ready or read ahead, GPU memory that does not suffice, checkpoints."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from landloom.model.base.errors import LandloomError  # noqa: E402
from landloom.model.base.progress import Progress  # noqa: E402
from landloom.model.networks.registry import network_info  # noqa: E402
from landloom.model.samples.store import SampleStore  # noqa: E402
from landloom.model.training import source as source_module  # noqa: E402
from landloom.model.training.augmentation import draw_kept, draw_symmetry  # noqa: E402
from landloom.model.training.checkpoints import Checkpoints, training_hash  # noqa: E402
from landloom.model.training.loop import fit_recipe  # noqa: E402
from landloom.model.training.member import MemberTraining  # noqa: E402
from landloom.model.training.pool import SamplePool, kinds_of  # noqa: E402
from landloom.model.training.settings import TrainingSettings  # noqa: E402
from landloom.model.training.source import InputSource  # noqa: E402
from landloom.model.training.trainer import Trainer  # noqa: E402


def make_trainer(store, **changes) -> Trainer:
    settings = TrainingSettings(**{"device": "cpu", "epochs": 2, **changes})
    pool = SamplePool([store])
    recipe = fit_recipe(pool, np.arange(len(pool)), settings, Progress())
    return Trainer(pool, recipe, settings, torch.device("cpu"), Checkpoints(None), Progress())


@pytest.mark.parametrize("network", ["ltae", "tempcnn", "twinns"])
def test_inputs_kept_ready_are_those_read_ahead(network, folder):
    trainer = make_trainer(SampleStore.open(folder), network=network)
    pool, own = trainer.pool, np.arange(0, 200, 3)
    ready = InputSource(pool, trainer.recipe, own, network_info(network), None, 1000, Progress())
    read = InputSource(pool, trainer.recipe, own, network_info(network), None, 0, Progress())
    assert ready.is_kept and not read.is_kept
    cut = pool.batches(own, 20, np.random.default_rng(0))
    pairs = list(zip(ready.batches(cut, trainer.device), read.batches(cut, trainer.device), strict=True))
    assert len(pairs) == len(cut) > 2
    for own_batch, (one, other) in zip(cut, pairs, strict=True):
        assert np.array_equal(one.labels.numpy(), pool.labels[own_batch])
        for name in one.inputs:
            for a, b in zip(one.inputs[name], other.inputs[name], strict=True):
                assert (a is None and b is None) or torch.equal(a, b)


def test_augmentation_is_the_same_kept_ready_or_read_ahead(store):
    trainer = make_trainer(store)
    own = np.arange(60)
    sources = [
        InputSource(trainer.pool, trainer.recipe, own, trainer.info, trainer.settings, memory, Progress())
        for memory in (1000, 0)
    ]
    cut = trainer.pool.batches(own, 20)
    for one, other in zip(*(source.batches(cut, trainer.device, [1, 2]) for source in sources), strict=True):
        for name in one.inputs:
            assert torch.equal(one.inputs[name].mask, other.inputs[name].mask)
            assert torch.equal(one.inputs[name].x, other.inputs[name].x)
            assert torch.equal(one.inputs[name].days, other.inputs[name].days)


@pytest.mark.parametrize("network", ["tempcnn", "twinns"])
def test_gaps_are_filled_after_dates_are_hidden_and_patches_turned(network, folder, monkeypatch):
    """What is read in advance, several batches at once, is what the same numbers at random give step by step."""
    monkeypatch.setattr(source_module, "_PIXELS_AT_ONCE", 1200)
    trainer = make_trainer(SampleStore.open(folder), network=network)
    pool, own, settings, halo = trainer.pool, np.arange(0, 200, 3), trainer.settings, trainer.info.halo
    ready = InputSource(pool, trainer.recipe, own, trainer.info, settings, 1000, Progress())
    cut = pool.batches(own, 20, np.random.default_rng(0))
    assert len(ready._runs(cut)) < len(cut)
    for number, (few, found) in enumerate(zip(cut, ready.batches(cut, trainer.device, [4, 2]), strict=True)):
        random = np.random.default_rng([4, 2, number])
        raw = pool.batch(few, halo)
        there = {name: one.mask[:, :, halo, halo] for name, one in raw.items()}
        kept = draw_kept(there, kinds_of(pool.specs), settings, random)
        symmetry = draw_symmetry(random) if halo else 0
        for name, one in raw.items():
            mask = one.mask & kept[name][:, :, None, None]
            values, mask = (np.rot90(part, symmetry % 4, axes=(-2, -1)) for part in (one.values, mask))
            raw[name] = one._replace(
                values=(values[..., ::-1] if symmetry >= 4 else values).copy(),
                mask=mask[..., ::-1] if symmetry >= 4 else mask,
            )
        expected = trainer.recipe.network_inputs(raw, "cpu", True, trainer.info.needs_raw_dates)
        for name, one in expected.items():
            assert torch.equal(found.inputs[name].filled, one.filled)
            assert torch.equal(found.inputs[name].x, one.x)
            assert torch.equal(found.inputs[name].mask, one.mask)


class Told(Progress):
    def __init__(self):
        self.warnings = []

    def warning(self, message):
        self.warnings.append(message)


def small_gpu(limit):
    """Pretend that a network takes at most so many samples at once."""

    class OutOfMemory(RuntimeError):
        pass

    sizes = []

    def check(network, inputs):
        size = next(iter(inputs[0].values())).x.shape[0]
        sizes.append(size)
        if size > limit:
            raise OutOfMemory("CUDA out of memory")

    return check, sizes


def test_out_of_memory_is_answered_by_smaller_steps(store):
    trainer = make_trainer(store)
    trainer.progress = Told()
    check, sizes = small_gpu(8)
    build = trainer.network

    def limited():
        network = build()
        network.register_forward_pre_hook(check)
        return network

    trainer.network = limited
    own = np.arange(100)
    sources = (trainer.source(own, True, 0.5), trainer.source(own, False, 0.5))
    member = MemberTraining(trainer, own, own, sources, 0, "m").run()
    assert len(member.history) == 2 and np.isfinite(member.validation).all()
    assert max(sizes) > 8 and min(sizes) >= 2
    assert trainer.at_once <= 8
    assert trainer.progress.warnings and all("out of memory" in line for line in trainer.progress.warnings)


def test_out_of_memory_with_two_samples_is_an_error(store):
    trainer = make_trainer(store)
    check, _ = small_gpu(1)
    build = trainer.network

    def limited():
        network = build()
        network.register_forward_pre_hook(check)
        return network

    trainer.network = limited
    own = np.arange(50)
    with pytest.raises(LandloomError, match="DEVICE cpu"):
        MemberTraining(trainer, own, own[:0], (trainer.source(own, True, 0.5),) * 2, 0, "m").run()


def test_gradients_in_pieces_are_those_of_the_whole(store):
    """Without batch statistics in play (evaluation mode) pieces must add up to the step of the whole batch."""
    trainer = make_trainer(store)
    own = np.arange(40)
    work = MemberTraining(trainer, own, own[:0], (trainer.source(own, False, 0.5),) * 2, 0, "m")
    batch = next(iter(work.sources[0].batches([own], trainer.device)))
    gradients = []
    for at_once in (None, 16, 7):
        trainer.at_once = at_once
        work.network.eval()
        loss = work._step(batch, 0.0)
        gradients.append((loss, [p.grad.clone() for p in work.network.parameters() if p.grad is not None]))
    for loss, own_gradients in gradients[1:]:
        assert loss == pytest.approx(gradients[0][0], rel=1e-4)
        for a, b in zip(own_gradients, gradients[0][1], strict=True):
            assert torch.allclose(a, b, atol=1e-5)


def test_hash_tells_samples_and_settings_apart(store, folder):
    import training_samples

    settings = TrainingSettings()
    key = training_hash([store], settings)
    assert key == training_hash([store], settings.but(memory_mb=99))
    assert key != training_hash([store], settings.but(seed=1))
    assert key != training_hash([training_samples.make_store(groups=11)], settings)
    assert key != training_hash([store, store], settings)
    assert training_hash([SampleStore.open(folder)], settings) == training_hash([SampleStore.open(folder)], settings)


def test_damaged_checkpoint_is_as_none(tmp_path):
    first = Checkpoints(tmp_path / "c", "key")
    first.save("member 1", {"epoch": 1, "weights": {"a": torch.ones(2)}})
    assert Checkpoints(tmp_path / "c", "key").load("member 1")["epoch"] == 1
    (tmp_path / "c" / "member 1.pt").write_bytes(b"cut")
    assert Checkpoints(tmp_path / "c", "key").load("member 1") is None
    assert Checkpoints(tmp_path / "c", "key").load("member 2") is None


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_checkpoint_runs_no_code(tmp_path):
    import pickle

    class Evil:
        def __reduce__(self):
            return (open, (str(tmp_path / "touched"), "w"))

    folder = tmp_path / "c"
    Checkpoints(folder, "key").save("member 1", {"epoch": 1})
    (folder / "member 1.pt").write_bytes(pickle.dumps(Evil()))
    assert Checkpoints(folder, "key").load("member 1") is None
    assert not (tmp_path / "touched").exists()
