"""What interrupted runs left, spoilt: the next run makes it anew, or refuses in one line; it is never believed."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import samples_scene
from hostile import HOSTILE, as_json, read_or_refused, spoilt, spoilt_bytes
from hypothesis import given
from hypothesis import strategies as st
from landloom.model.accuracy.compareunits import Finished
from landloom.model.base.elsewhere import read_order, write_order
from landloom.model.base.lock import Lock, lock_path
from landloom.model.base.progress import Progress
from landloom.model.mapping.chunks import Area
from landloom.model.mapping.journal import Journal
from landloom.model.mapping.layout import block_at
from landloom.model.samples.regions import Regions
from landloom.model.samples.store import CHIP, SAMPLE, SampleStore
from landloom.model.training.checkpoints import Checkpoints

WHOLE = Area(0, 0, 300, 200)
BLOCKS = [block_at(0, WHOLE, Area(0, 0, 256, 200)), block_at(1, WHOLE, Area(256, 0, 44, 200))]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("work")


@given(data=st.data())
def test_journals_of_maps(data, folder):
    place = folder / "journal"
    place.mkdir(exist_ok=True)
    journal = Journal(place)
    journal.start("abc", BLOCKS)
    path = place / "journal.json"
    sound = json.loads(path.read_text())
    assert journal.read() == sound
    if data.draw(st.booleans()):
        path.write_bytes(as_json(data.draw(spoilt(sound))))
    else:
        path.write_bytes(data.draw(spoilt_bytes(path.read_bytes())))
    found = journal.read()
    assert found is None or found["blocks"] == sound["blocks"]


@given(data=st.data())
def test_parts_of_maps(data, folder):
    place = folder / "parts"
    place.mkdir(exist_ok=True)
    journal = Journal(place)
    values = np.arange(200 * 256, dtype=np.uint8).reshape(1, 200, 256)
    journal.write(BLOCKS[0], {"map": values})
    path = journal.part(BLOCKS[0])
    raw = path.read_bytes()
    # anywhere in the file: headers of its members, what they hold, the list at its end
    cut = data.draw(st.integers(0, len(raw) - 1))
    path.write_bytes(raw[:cut] + data.draw(spoilt_bytes(raw[cut:])))
    if journal.has(BLOCKS[0]):
        with read_or_refused():
            assert journal.load(BLOCKS[0], "map").nbytes <= 1e7


@given(data=st.data())
def test_orders(data, folder):
    path = write_order(folder, "run", "classify", {"stack": "stack.json"})
    raw = path.read_bytes()
    path.write_bytes(data.draw(st.one_of(spoilt(json.loads(raw)).map(as_json), spoilt_bytes(raw))))
    with read_or_refused():
        assert isinstance(read_order(path), dict)


@given(data=st.data())
def test_locks(data, folder):
    output = folder / "output.tif"
    path = lock_path(output)
    held = {"pid": 2**22 + 1, "host": "elsewhere", "time": "2021-01-01 00:00:00", "token": "x"}
    path.write_bytes(data.draw(st.one_of(spoilt(held).map(as_json), spoilt_bytes(as_json(held)))))
    with read_or_refused(), Lock(path, output):
        pass
    path.unlink(missing_ok=True)


@given(data=st.data())
def test_checkpoints(data, folder):
    pytest.importorskip("torch")
    place = folder / "checkpoint"
    shutil.rmtree(place, ignore_errors=True)
    kept = Checkpoints(place, "key", Progress())
    kept.save("one", {"epoch": 3})
    kept.log({"unit": "one", "epoch": 1, "loss": 0.5})
    name = data.draw(st.sampled_from(["checkpoint.json", "training.jsonl", "one.pt"]))
    path = place / name
    path.write_bytes(data.draw(spoilt_bytes(path.read_bytes())))
    with read_or_refused():
        again = Checkpoints(place, "key", Progress())
        state = again.load("one")
        assert state is None or isinstance(state, dict)
        assert all(isinstance(line, str) for line in again.log_lines())


@given(data=st.data())
def test_finished_trainings_of_a_comparison(data, folder):
    place = folder / "comparison"
    place.mkdir(exist_ok=True)
    path = place / "comparison.json"
    whole = as_json({"format": "landloom-comparison", "version": 1, "key": "key"})
    path.write_bytes(data.draw(spoilt_bytes(whole)))
    with read_or_refused():
        Finished(place, "key", Progress())
    shutil.rmtree(place, ignore_errors=True)


# ---------------------------------------------------------------------- samples that lie


@pytest.fixture(scope="module")
def samples(make_stack, folder):
    from landloom.model.samples.extraction import extract_samples
    from landloom.model.samples.settings import ExtractionSettings

    stack = make_stack(folder / "stack", samples_scene.sensors())
    reference = samples_scene.write_layer(folder / "reference.gpkg", samples_scene.fields())
    extract_samples(stack, reference, ExtractionSettings("crop", max_per_group=3), folder / "samples", Progress())
    return folder / "samples"


NUMBERS = st.sampled_from([-1, 0, 1, 2, 7, 255, 2**15, 2**31 - 1, -(2**31), 2**62])


@given(data=st.data())
def test_tables_of_samples(data, samples, folder):
    """Chips and samples whose numbers lead outside of what the file holds."""
    name, kind = data.draw(st.sampled_from([("chips.npy", CHIP), ("samples.npy", SAMPLE)]))
    whole = np.load(samples / name)
    table = whole.copy()
    for _ in range(data.draw(st.integers(1, 3))):
        column = data.draw(st.sampled_from(kind.names))
        row, value = data.draw(st.integers(0, len(table) - 1)), data.draw(NUMBERS)
        if kind[column].kind in "iu":
            limits = np.iinfo(kind[column])
            table[column][row] = min(max(value, limits.min), limits.max)
        elif kind[column].kind == "f":
            table[column][row] = data.draw(st.sampled_from([np.nan, np.inf, -1e30]))
    place = folder / "lying"
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(samples, place)
    np.save(place / name, table)
    with read_or_refused():
        store = SampleStore.open(place)
        for series in store.batch(np.arange(len(store)), halo=store.halo).values():
            assert series.values.nbytes < 1e8


# ---------------------------------------------------------------------- layers of regions


REGIONS = {
    "type": "FeatureCollection",
    "features": [
        {
            "type": "Feature",
            "properties": {"zone": name},
            "geometry": {"type": "Polygon", "coordinates": [[[45, -18], [46, -18], [46, -19], [45, -19], [45, -18]]]},
        }
        for name in ("nord", "sud <é>")
    ],
}


@given(data=st.data())
def test_layers_of_regions(data, folder):
    path = folder / "regions.geojson"
    path.write_bytes(data.draw(st.one_of(spoilt(REGIONS).map(as_json), spoilt_bytes(as_json(REGIONS)))))
    with read_or_refused():
        found = Regions(str(path), "zone")
        assert all(found.names)


@given(value=st.sampled_from(HOSTILE))
def test_names_of_layers_of_regions(value):
    with read_or_refused():
        Regions(str(value), str(value))
