"""Inputs and the process that forks runs; many more examples and kills where ``LANDLOOM_NIGHTLY`` is 1."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

HERE = Path(__file__).parent
for place in (HERE, HERE.parent, HERE.parent / "model" / "mapping", HERE.parent / "model" / "samples"):
    sys.path.insert(0, str(place))

if os.environ.get("LANDLOOM_NIGHTLY") == "1":
    settings.register_profile(
        "landloom-nightly",
        deadline=None,
        max_examples=int(os.environ.get("LANDLOOM_EXAMPLES", "1500")),
        suppress_health_check=[HealthCheck.too_slow],
    )
    settings.load_profile("landloom-nightly")


@pytest.fixture(scope="session")
def zygote():
    if not hasattr(os, "fork"):
        pytest.skip("processes cannot be forked here")
    pytest.importorskip("torch")
    from faulty_runs import Zygote

    made = Zygote()
    yield made
    made.close()


@pytest.fixture(scope="session")
def inputs(tmp_path_factory, write_product, make_stack):
    """Step -> its inputs: products, stacks, reference data, samples and a model."""
    pytest.importorskip("sklearn")
    import faulty_runs
    import mapping_scene
    import samples_scene

    folder = tmp_path_factory.mktemp("fiabilité")
    made = faulty_runs.make_inputs(folder, write_product, make_stack, mapping_scene, samples_scene)
    return {
        "preparestack": {"products": made["products"]},
        "extractsamples": {"stack": made["stack"], "reference": made["reference"]},
        "classify": {"stack": made["scene"], "model": made["forest"], "block_pixels": 4096},
        "segment": {"stack": made["scene"]},
    }


@pytest.fixture(scope="session")
def undisturbed(inputs, zygote, tmp_path_factory):
    """A function: step -> (folder's seconds, what an undisturbed run gives); training learns from its samples."""
    import faulty_runs

    folder = tmp_path_factory.mktemp("undisturbed")
    known = {}

    def of(step):
        if step not in known:
            if step == "train":
                of("extractsamples")
                samples = folder / "extractsamples" / faulty_runs.NAMES["extractsamples"]
                inputs["train"] = {"samples": str(samples), "network": "ltae"}
            output = folder / step / faulty_runs.NAMES[step]
            run = zygote.run(step, inputs[step], output)
            assert run.done, run.told
            assert not faulty_runs.left_over(output.parent)
            known[step] = run.seconds, faulty_runs.content(step, output)
        return known[step]

    return of


@pytest.fixture(scope="session")
def qgis_zygote():
    """A process that forks runs of algorithms, through Processing."""
    if not hasattr(os, "fork"):
        pytest.skip("processes cannot be forked here")
    from faulty_runs import Zygote

    made = Zygote("--qgis")
    yield made
    made.close()


@pytest.fixture(scope="session")
def algorithms(qgis_zygote, make_stack, tmp_path_factory):
    """Name -> algorithm and parameters; but for the nightly tests only of those that need maps alone."""
    from algorithm_runs import all_runs, make_models, quick_runs, write_maps

    folder = tmp_path_factory.mktemp("algorithmes")
    maps = write_maps(folder / "maps")
    if os.environ.get("LANDLOOM_NIGHTLY") != "1":
        return quick_runs(maps)
    import samples_scene

    stack = str(make_stack(folder / "fields", samples_scene.sensors()))
    reference = str(samples_scene.write_layer(folder / "reference.gpkg", samples_scene.fields()))
    made = make_models(qgis_zygote, folder / "made", stack, reference, maps)
    return quick_runs(maps) | all_runs(maps, stack, reference, made)
