"""Kill -9 while any algorithm runs, through Processing: no final name holds half a file, the next run is as ever.

Just before a change that Python makes in the folder of the outputs, whichever it is, and at random moments. A few of
the quickest algorithms here; ``make nightly`` (``LANDLOOM_NIGHTLY=1``) kills all of them many times.
"""

from __future__ import annotations

import random
import signal

import pytest
from algorithm_runs import all_runs, content_of, emptied, make_models, quick_runs, start, temporary, write_maps
from faulty_runs import NIGHTLY, Zygote

QUICK = ["mosaic", "vectorise"]
SLOW = [
    "regularise", "fuse", "difference", "vectorise-shp", "areas", "sampledesign", "coregister", "coregister-image",
    "addrasters", "composite", "nomenclature", "check", "segment", "objectfeatures", "trainobjects",
    "trainobjects-pixelset", "classifyobjects", "train", "descriptors", "suggestlabels", "assess", "compare",
    "landcovermap", "samplescene",
]  # fmt: skip
CHANGES = 12 if NIGHTLY else 2
MOMENTS = 4 if NIGHTLY else 0
KEPT = ("work",)  # what landcovermap goes on from; its outputs are compared


@pytest.fixture(scope="module")
def qgis_zygote():
    made = Zygote("--qgis")
    yield made
    made.close()


@pytest.fixture(scope="module")
def runs(qgis_zygote, make_stack, tmp_path_factory):
    """Name -> algorithm and parameters."""
    folder = tmp_path_factory.mktemp("algorithmes")
    maps = write_maps(folder / "maps")
    if not NIGHTLY:
        return quick_runs(maps)
    import samples_scene

    stack = str(make_stack(folder / "fields", samples_scene.sensors()))
    reference = str(samples_scene.write_layer(folder / "reference.gpkg", samples_scene.fields()))
    made = make_models(qgis_zygote, folder / "made", stack, reference, maps)
    return quick_runs(maps) | all_runs(maps, stack, reference, made)


@pytest.mark.parametrize("name", [*QUICK, *(SLOW if NIGHTLY else [])])
def test_killed(name, qgis_zygote, runs, tmp_path):
    algorithm, parameters = runs[name]
    folder = tmp_path / "out"
    whole = start(qgis_zygote, algorithm, parameters, emptied(folder), {"at_event": [0, str(folder)]}).wait()
    assert whole.done, whole.told
    expected = content_of(folder, KEPT)
    assert expected and not [path.name for path in folder.rglob("*") if temporary(path.name)]
    again = start(qgis_zygote, algorithm, parameters, emptied(folder)).wait()
    assert again.done and content_of(folder, KEPT) == expected  # else nothing can be said of a run that goes on
    dice = random.Random(name)
    events = whole.told["events"]
    places = sorted(dice.sample(range(1, events + 1), min(CHANGES, events)))
    for place in [*places, *[0] * MOMENTS]:
        emptied(folder)
        if place:
            run = start(qgis_zygote, algorithm, parameters, folder, {"at_event": [place, str(folder)]}).wait()
        else:
            run = start(qgis_zygote, algorithm, parameters, folder).kill_after(dice.random() * whole.seconds)
        assert run.status in (0, -signal.SIGKILL)
        for path, held in content_of(folder, KEPT).items():
            assert path in expected, f"change {place}: {path} is left"
            assert held == expected[path], f"change {place}: {path}"
        run = start(qgis_zygote, algorithm, parameters, folder).wait()
        assert run.done, run.told
        assert content_of(folder, KEPT) == expected, f"change {place}"
        assert not [path.name for path in folder.rglob("*") if temporary(path.name)], f"change {place}"
