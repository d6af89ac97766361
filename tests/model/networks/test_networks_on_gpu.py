"""Maps on a GPU, with the stand-in of ``stand_in_gpu.py``: values, devices, how often the GPU is waited for."""

from __future__ import annotations

import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from landloom.model.networks import preparing, twinns  # noqa: E402
from landloom.model.networks.modelfile import Model, ModelHeader  # noqa: E402
from landloom.model.networks.predictor import BFLOAT16, Predictor  # noqa: E402
from landloom.model.networks.registry import build  # noqa: E402
from landloom.model.networks.together import Together  # noqa: E402

sys.path.insert(0, str(Path(__file__).parents[2]))
from stand_in_gpu import GPU, stand_in  # noqa: E402

NETWORKS = ("ltae", "tempcnn", "twinns")
SENSORS = ("S2", "S1_ASC", "S1_DES")


def make(world, network, members=1):
    recipe = world.recipe()
    torch.manual_seed(1)
    networks = [build(network, recipe.shapes(), len(world.nomenclature)).eval() for _ in range(members)]
    for one in networks:  # statistics as after training: else folding would change nothing
        for name, value in one.named_buffers():
            if name.endswith(("running_mean", "running_var")):
                value.add_(0.1 * torch.rand_like(value))
    return Model(ModelHeader(network, {}, recipe, world.nomenclature, temperature=1.2), networks)


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("cloud", [0.0, 0.4])
def test_a_map_is_that_of_the_processor(make_world, network, cloud):
    world = make_world(sensors=SENSORS)
    batch = world.batch(2, 9, cloud=cloud, seed=2)
    batch["S2"].mask[:, 2] = False  # a date without any pixel
    batch["S1_DES"].mask[:] |= cloud == 0  # a sensor without clouds
    here = Predictor(make(world, network, members=2), threads=1).predict(batch)
    with stand_in():
        there = Predictor(make(world, network, members=2), GPU, threads=1)._compute(batch)
    np.testing.assert_allclose(there, here, atol=1e-6)


@pytest.mark.parametrize("network", NETWORKS)
def test_descriptors_and_fewer_digits_are_made_there_too(make_world, network):
    world = make_world(sensors=SENSORS)
    batch = world.batch(1, 7, seed=2)
    with Predictor(make(world, network), threads=1) as predictor:
        here = predictor.describe(batch, list(predictor.branches()))
        branches = list(predictor.branches())
    with stand_in():
        there = Predictor(make(world, network), GPU, threads=1)._compute(batch, branches)
        short = Predictor(make(world, network), GPU, threads=1, precision=BFLOAT16)._compute(batch)
    classes = here.probabilities.shape[1]
    np.testing.assert_allclose(there[:, :classes], here.probabilities, atol=1e-6)
    np.testing.assert_allclose(there[:, classes:], np.concatenate(list(here.descriptors.values()), 1), atol=2e-5)
    np.testing.assert_allclose(short, here.probabilities, atol=0.02)
    assert not np.array_equal(short, here.probabilities)


@pytest.mark.parametrize(
    ("network", "waits", "launches"),
    [("ltae", 24, 200), ("tempcnn", 9, 250), ("twinns", 16, 1000)],
)
def test_steps_are_few_and_large_and_seldom_waited_for(make_world, network, waits, launches):
    """A GPU starts some 200,000 steps a second, whatever their size, and stands still while a number is asked for."""
    world = make_world(dates=12, sensors=SENSORS)
    batch = world.batch(1, 40, cloud=0.4, seed=2)
    with stand_in() as gpu:
        predictor = Predictor(make(world, network), GPU, threads=1)
        predictor._compute(batch)
        gpu.counts.clear()  # what is made once for all blocks
        predictor._compute(batch)
    assert gpu.waits <= waits and gpu.launches <= launches


def test_the_stand_in_would_show_a_tensor_on_the_wrong_device():
    with stand_in():
        on_gpu = torch.zeros(3, device=GPU)
        with pytest.raises(RuntimeError, match="same device"):
            on_gpu + torch.ones(3)
        with pytest.raises(RuntimeError, match="numpy"):
            on_gpu.numpy()
        assert (on_gpu + torch.tensor(1.0)).cpu().tolist() == [1, 1, 1]
        assert on_gpu[torch.tensor([0, 1])].shape == (2,)


@pytest.mark.parametrize("dtype", ["uint16", "uint8", "int16", "float64"])
def test_raw_values_travel_in_as_few_bytes_as_can_be(make_world, dtype):
    """Unsigned ones of two bytes too, whose upper half PyTorch would take for negative; float64 as mps has it not."""
    world = make_world(sensors=("S2",))
    recipe = world.recipe()
    series = world.batch(2, 3, cloud=0.2)["S2"]
    series = series._replace(values=(series.values.astype("int64") * 12 % (250 if dtype == "uint8" else 32000)))
    if dtype == "uint16":
        series.values[::2] += 33000
    series = series._replace(values=series.values.astype(dtype))
    travelled = []

    def sent(values, device):
        travelled.append((values.ndim, values.element_size()))
        return values.to(device)

    with stand_in(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(preparing, "to_device", sent)
        there = recipe.network_inputs({"S2": series}, GPU)["S2"].x.cpu()
    torch.testing.assert_close(there, recipe.network_inputs({"S2": series})["S2"].x, atol=0, rtol=0)
    assert dict(travelled)[3] == min(4, np.dtype(dtype).itemsize)


def test_convolutions_of_maps_are_not_rounded_to_tf32(make_world):
    torch.manual_seed(0)
    x, weight, bias = torch.randn(2, 3, 8, 7), torch.randn(4, 3, 3, 3), torch.randn(4)
    assert torch.equal(twinns.convolve_exactly(x, weight, bias), torch.conv2d(x, weight, bias))
    world = make_world(sensors=("S2",))
    seen = []
    with stand_in(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(twinns, "convolve_exactly", lambda *one: (seen.append(1), torch.conv2d(*one))[1])
        Predictor(make(world, "twinns"), GPU, threads=1)._compute(world.batch(1, 7))
    assert len(seen) == 4


@pytest.mark.parametrize("network", NETWORKS)
def test_chunks_of_several_threads_are_computed_in_one_step(make_world, network):
    """Maps and descriptors, on the processor: joined, each gets what it gets alone."""
    world = make_world(sensors=SENSORS)
    batches = [world.batch(1, 9, cloud=0.3, seed=seed) for seed in range(6)]
    with Predictor(make(world, network), threads=1) as predictor:
        alone = [predictor.describe(one) for one in batches]
        predictor._together, predictor.block = Together(), 100_000
        compute, sizes = predictor._compute, []

        def slow(part, branches):
            sizes.append(len(part["S2"].mask))
            time.sleep(0.2)  # meanwhile the others ask
            return compute(part, branches)

        predictor._compute = slow
        with ThreadPoolExecutor(len(batches)) as pool:
            joined = list(pool.map(predictor.describe, batches))
    assert sum(sizes) == len(batches) and len(sizes) < len(batches)
    for one, other in zip(joined, alone, strict=True):
        np.testing.assert_allclose(one.probabilities, other.probabilities, atol=1e-6)
        np.testing.assert_allclose(one.descriptors["fused"], other.descriptors["fused"], atol=2e-5)


@pytest.mark.parametrize("network", NETWORKS)
def test_a_full_gpu_gets_smaller_blocks(make_world, network):
    """And a map is the same, whether windows or rows are divided."""
    world = make_world(sensors=SENSORS)
    batch = world.batch(3, 12, seed=4)
    with Predictor(make(world, network), threads=1) as predictor:
        predictor.block = 10_000
        whole, compute, sizes = predictor.predict(batch), predictor._compute, []

        def small(part, *branches):
            series = part["S2"].mask
            sizes.append(series.shape[0] * (series.shape[2] - 2 * predictor.halo))
            if sizes[-1] > 3:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
            return compute(part, *branches)

        predictor._compute = small
        np.testing.assert_allclose(predictor.predict(batch), whole, atol=1e-6)
        tried = len(sizes)
        predictor.predict(batch)
        assert max(sizes[tried:]) <= 3  # what was found out is not forgotten

        def full(part, *branches):
            raise torch.OutOfMemoryError("CUDA out of memory.")

        predictor._compute = full
        with pytest.raises(torch.OutOfMemoryError):
            predictor.predict(batch)
