"""The same inputs and seed give the same pixels: at any block size, memory and number of threads, in new processes."""

from __future__ import annotations

import pytest
from faulty_runs import NIGHTLY, content

CHOICES = [
    {"threads": 1},
    {"threads": 3, "block_pixels": 4096},
    {"threads": 2, "block_pixels": 20_000, "memory_mb": 160},
]


@pytest.mark.parametrize("network", ["randomforest", "ltae", *(["tempcnn", "twinns"] if NIGHTLY else [])])
def test_maps(network, zygote, inputs, tmp_path):
    import mapping_scene

    stack = inputs["classify"]["stack"]
    model = mapping_scene.make_model(stack, network, tmp_path / "model.safetensors", seed=3)
    found = []
    for number, choice in enumerate(CHOICES):
        output = tmp_path / str(number) / "map.tif"
        run = zygote.run("classify", {"stack": stack, "model": str(model), **choice}, output)
        assert run.done, run.told
        found.append(content("classify", output))
    assert found[0] == found[1] == found[2]


@pytest.mark.parametrize("step", ["extractsamples", "train", "segment"] if NIGHTLY else ["extractsamples"])
def test_other_steps(step, zygote, inputs, undisturbed, tmp_path):
    """Twice the same; and samples whatever the memory."""
    _, expected = undisturbed(step)
    output = tmp_path / "again" / "x.tif"
    assert zygote.run(step, {**inputs[step], "memory_mb": 64}, output).done
    found = content(step, output)
    if step == "segment":
        found, expected = set(found.values()), set(expected.values())
    assert found == expected
