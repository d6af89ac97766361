"""Full disk, folders that cannot be written, little memory and sources that change, for every algorithm.

One of the quickest here; ``make nightly`` (``LANDLOOM_NIGHTLY=1``) does so for all of them.
"""

from __future__ import annotations

import json
import shutil
import signal
from pathlib import Path

import pytest
from algorithm_runs import KEPT, QUICK, SLOW, check_finals, content_of, emptied, left_of, start
from faulty_runs import NIGHTLY

NAMES = [*QUICK, *SLOW] if NIGHTLY else QUICK[:1]
READ_IMAGES = [
    "composite", "segment", "objectfeatures", "trainobjects", "trainobjects-pixelset", "classifyobjects",
    "descriptors", "suggestlabels",
]  # fmt: skip


@pytest.fixture(scope="module")
def whole(qgis_zygote, algorithms, tmp_path_factory):
    """A function: name -> folder of outputs, and what an undisturbed run leaves there."""
    known = {}

    def of(name):
        if name not in known:
            folder = emptied(tmp_path_factory.mktemp(name) / "out")
            run = start(qgis_zygote, *algorithms[name], folder).wait()
            assert run.done, run.told
            known[name] = folder, content_of(folder, KEPT)
        return known[name]

    return of


def finish(name, zygote, algorithms, folder, expected):
    """The fault is over: the same run again."""
    run = start(zygote, *algorithms[name], folder).wait()
    assert run.done, run.told
    assert content_of(folder, KEPT) == expected
    assert not left_of(folder)


@pytest.mark.parametrize("name", NAMES)
def test_disk_full(name, qgis_zygote, algorithms, whole):
    """Files may not grow beyond a size: several, so that each of a run's files is the one that fails."""
    folder, expected = whole(name)
    for size in (0, 300, 3000, 30_000) if NIGHTLY else (1000,):
        emptied(folder)
        run = start(qgis_zygote, *algorithms[name], folder, {"limit": ["file", size]}).wait()
        if run.done:
            break
        assert run.status == 0 and run.sentence, run.told
        check_finals(folder, expected, f"at {size} bytes")
        finish(name, qgis_zygote, algorithms, folder, expected)


@pytest.mark.parametrize("name", NAMES)
def test_a_folder_that_cannot_be_made(name, qgis_zygote, algorithms, tmp_path):
    blocked = tmp_path / "blocked"
    blocked.write_text("a file")
    algorithm, parameters = algorithms[name]
    parameters = json.loads(json.dumps(parameters).replace("{out}", "{out}/blocked/folder"))
    run = start(qgis_zygote, algorithm, parameters, tmp_path).wait()
    assert "Cannot write" in run.sentence and str(blocked) in run.sentence
    assert blocked.read_text() == "a file" and [path.name for path in tmp_path.iterdir()] == ["blocked"]


@pytest.mark.skipif(not NIGHTLY, reason="make nightly")
@pytest.mark.parametrize("name", NAMES)
def test_little_memory(name, qgis_zygote, algorithms, whole):
    """Refused in one sentence, or done, or ended by a library; then the same as ever."""
    folder, expected = whole(name)
    for megabytes in (4, 32):
        emptied(folder)
        run = start(qgis_zygote, *algorithms[name], folder, {"limit": ["memory", megabytes << 20]}).wait()
        assert run.status in (0, 1, -signal.SIGABRT, -signal.SIGSEGV), run.status
        if run.told:
            assert run.done or run.sentence
        check_finals(folder, expected, f"in {megabytes} MB")
        finish(name, qgis_zygote, algorithms, folder, expected)


@pytest.mark.skipif(not NIGHTLY, reason="make nightly")
@pytest.mark.parametrize("action", ["replace", "delete"])
@pytest.mark.parametrize("name", READ_IMAGES)
def test_a_source_that_changes_during_a_run(name, action, qgis_zygote, algorithms, tmp_path):
    """What is read after the change is of other pixels: the run may not end as if nothing had happened."""
    algorithm, parameters = algorithms[name]
    original = Path(parameters["STACK"])
    shutil.copytree(original.parent, tmp_path / "stack")
    own = {**parameters, "STACK": str(tmp_path / "stack" / original.name)}
    sources = sorted((tmp_path / "stack").rglob("S2_*-05.tif"))
    source = sources[len(sources) // 2]
    size = source.stat().st_size
    folder = emptied(tmp_path / "out")
    run = start(qgis_zygote, algorithm, own, folder, {"at_read": [2, action, str(source)]}).wait()
    assert run.status == 0
    changed = not source.exists() or source.stat().st_size != size
    if run.done:
        assert not changed or "chang" in str(run.told["lines"]), "nobody saw it"
    else:
        assert source.name in run.sentence or "chang" in run.sentence, run.sentence
        assert not content_of(folder, KEPT)
