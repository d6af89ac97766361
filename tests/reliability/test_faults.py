"""Full disk, read-only folder, sources that change or vanish during a run, too little memory.

The next run finishes with the result of an undisturbed one; what has a final name is whole; one sentence says why.
"""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path

import pytest
from faulty_runs import NAMES, NIGHTLY, check_finals, content, left_over

STEPS = ["preparestack", "extractsamples", "classify", *(["train", "segment"] if NIGHTLY else [])]


def finish(step, zygote, inputs, output, expected):
    """The fault is over: the same run again."""
    run = zygote.run(step, inputs[step], output)
    assert run.done, run.told
    assert content(step, output) == expected
    assert not left_over(output.parent)


@pytest.mark.parametrize("step", STEPS)
def test_disk_full(step, zygote, inputs, undisturbed, tmp_path):
    """Files may not grow beyond a size: many sizes, so that each of a run's files is the one that fails."""
    _, expected = undisturbed(step)
    output = tmp_path / "out" / NAMES[step]
    refused = 0
    for size in (0, 100, 3000, 20_000, 60_000) if NIGHTLY else (3000,):
        run = zygote.run(step, inputs[step], output, {"limit": ["file", size]})
        if run.done:
            break
        assert "Free space" in run.sentence or run.told.get("system"), run.told
        refused += 1
        check_finals(step, output, [expected])
    assert refused
    finish(step, zygote, inputs, output, expected)


@pytest.mark.parametrize("step", STEPS)
def test_read_only_folder(step, zygote, inputs, undisturbed, tmp_path):
    """As a folder in which nothing can be made: root may write everywhere, but not below a file."""
    undisturbed(step)
    blocked = tmp_path / "blocked"
    blocked.write_text("a file")
    run = zygote.run(step, inputs[step], tmp_path / "out" / "x", at=str(blocked / "folder" / NAMES[step]))
    assert "Cannot write" in run.sentence and str(blocked) in run.sentence
    assert blocked.read_text() == "a file"


@pytest.fixture
def own_sources(inputs, tmp_path):
    """Step -> its inputs with sources of their own, and one of these."""

    def copied(step):
        original = Path(inputs[step]["products" if step == "preparestack" else "stack"])
        folder = original if original.is_dir() else original.parent
        shutil.copytree(folder, tmp_path / "sources")
        key = "products" if step == "preparestack" else "stack"
        place = tmp_path / "sources" if original.is_dir() else tmp_path / "sources" / original.name
        sources = sorted((tmp_path / "sources").rglob("*S2*.tif" if step != "preparestack" else "*FRE_B3.tif"))
        return {**inputs[step], key: str(place)}, str(sources[len(sources) // 2])

    return copied


@pytest.mark.parametrize("action", ["delete", "truncate", "replace"])
@pytest.mark.parametrize("step", ["preparestack", "extractsamples", "classify"])
def test_a_source_that_changes_during_a_run(step, action, zygote, inputs, own_sources, undisturbed, tmp_path):
    """What is read after the change is of other pixels: the run may not end as if nothing had happened."""
    undisturbed(step)
    own, source = own_sources(step)
    output = tmp_path / "out" / NAMES[step]
    number = 3 if step == "classify" else 2
    run = zygote.run(step, own, output, {"at_read": [number, action, source]})
    assert run.status == 0
    if run.done:  # the last window was read before
        assert step == "preparestack" or any("chang" in line for line in run.told["lines"]), "nobody saw it"
    else:
        assert Path(source).name in run.sentence or "chang" in run.sentence, run.sentence
        assert action != "replace" or not left_over(output.parent)  # nothing made of it is gone on from
        assert not output.exists()


@pytest.mark.parametrize("step", STEPS if NIGHTLY else ["classify"])
def test_memory_limit(step, zygote, inputs, undisturbed, tmp_path):
    """With a few megabytes more than the libraries take: refused in one sentence, or done; then the same as ever."""
    _, expected = undisturbed(step)
    output = tmp_path / "out" / NAMES[step]
    for megabytes in (1, 8, 24, 64) if NIGHTLY else (8,):
        run = zygote.run(step, inputs[step], output, {"limit": ["memory", megabytes << 20]})
        assert run.status in (0, 1, -signal.SIGABRT, -signal.SIGSEGV), run.status
        if run.told:
            assert run.done or run.sentence
        check_finals(step, output, [expected])
    finish(step, zygote, inputs, output, expected)
    assert os.path.exists(output)
