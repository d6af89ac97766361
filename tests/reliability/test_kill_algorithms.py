"""Kill -9 while any algorithm runs, through Processing: no final name holds half a file, the next run is as ever.

Just before a change that Python makes in the folder of the outputs, whichever it is, and at random moments. A few of
the quickest algorithms here; ``make nightly`` (``LANDLOOM_NIGHTLY=1``) kills all of them many times.
"""

from __future__ import annotations

import random
import signal

import pytest
from algorithm_runs import KEPT, QUICK, SLOW, check_finals, content_of, emptied, left_of, start
from faulty_runs import NIGHTLY

CHANGES = 7 if NIGHTLY else 2
MOMENTS = 2 if NIGHTLY else 0
ELSEWHERE = {
    "preparestack", "extractsamples", "classify",  # in test_kill.py
    "searchproducts",  # needs a server
    "openstack",  # writes nothing
    "status", "fromiota2", "layout",  # one file through whole_file, without work to lose
}  # fmt: skip


@pytest.mark.parametrize("name", [*QUICK, *(SLOW if NIGHTLY else [])])
def test_killed(name, qgis_zygote, algorithms, tmp_path):
    algorithm, parameters = algorithms[name]
    folder = tmp_path / "out"
    whole = start(qgis_zygote, algorithm, parameters, emptied(folder), {"at_event": [0, str(folder)]}).wait()
    assert whole.done, whole.told
    expected = content_of(folder, KEPT)
    assert expected and not left_of(folder)
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
        check_finals(folder, expected, f"change {place}")
        run = start(qgis_zygote, algorithm, parameters, folder).wait()
        assert run.done, run.told
        assert content_of(folder, KEPT) == expected, f"change {place}"
        assert not left_of(folder), f"change {place}"


def test_every_algorithm_is_killed_somewhere(landloom_provider):
    killed = {name.partition("-")[0] for name in (*QUICK, *SLOW)}
    from landloom.algorithms.base import LandloomAlgorithm  # Processing's own are the models

    listed = {one.name() for one in landloom_provider.algorithms() if isinstance(one, LandloomAlgorithm)}
    assert listed - ELSEWHERE == killed and listed >= ELSEWHERE
