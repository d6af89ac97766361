"""Kill -9 at random moments and at every renaming: the next run gives what an undisturbed one gives.

A few kills here; ``make nightly`` (``LANDLOOM_NIGHTLY=1``) does more than fifty.
"""

from __future__ import annotations

import random
import shutil
import signal

import pytest
from faulty_runs import NAMES, NIGHTLY, check_finals, content, left_over

KILLS = 14 if NIGHTLY else 1
RENAMES = 12 if NIGHTLY else 2
STEPS = ["preparestack", "extractsamples", "train", "classify", "segment"]


@pytest.mark.parametrize("step", STEPS)
def test_killed_at_random_moments(step, zygote, inputs, undisturbed, tmp_path):
    """Several kills one after another, each of the run that goes on from the last; then it is let finish."""
    seconds, expected = undisturbed(step)
    dice = random.Random(f"{step} {KILLS}")
    for number in range(KILLS):
        output = tmp_path / str(number) / NAMES[step]
        for _ in range(dice.randint(1, 2)):
            run = zygote.start(step, inputs[step], output).kill_after(dice.random() * seconds)
            assert run.status in (0, -signal.SIGKILL)
            check_finals(step, output, [expected])
        run = zygote.run(step, inputs[step], output)
        assert run.done, run.told
        assert content(step, output) == expected
        assert not left_over(output.parent)


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
@pytest.mark.parametrize("step", STEPS if NIGHTLY else ["preparestack", "extractsamples"])
def test_killed_at_a_renaming(step, before, zygote, inputs, undisturbed, tmp_path):
    """An output that exists is replaced: it is the older or the new one, and never a mixture."""
    _, expected = undisturbed(step)
    first = tmp_path / "first" / NAMES[step]
    assert zygote.run(step, inputs[step], first).done
    numbers = range(1, RENAMES + 1)
    for number in numbers if NIGHTLY else [random.Random(f"{step} {before}").choice(numbers)]:
        output = tmp_path / str(number) / NAMES[step]
        shutil.copytree(first.parent, output.parent)
        run = zygote.run(step, inputs[step], output, {"at_rename": [number, before]})
        if run.status == 0:  # it renames less often
            break
        assert run.status == -signal.SIGKILL
        check_finals(step, output, [expected])
        run = zygote.run(step, inputs[step], output)
        assert run.done, run.told
        assert content(step, output) == expected
        assert not left_over(output.parent)
