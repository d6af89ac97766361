"""simulate: the same bytes for the same seed, nothing of the user's lost, nothing half written."""

from __future__ import annotations

import hashlib
import json

import pytest
from landloom.model.base.errors import Cancelled, LandloomError
from landloom.model.base.progress import Progress
from landloom.model.scene import check_folder, simulate


def digest(folder):
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    folder = tmp_path_factory.mktemp("small") / "scene"
    simulate(folder, 60, "tropical", 7)
    return folder


def test_same_seed_same_bytes_and_another_seed_another_scene(small, tmp_path):
    first = digest(small)
    simulate(tmp_path / "again", 60, "tropical", 7)
    assert digest(tmp_path / "again") == first
    simulate(tmp_path / "again", 60, "tropical", 8)  # replaces a former sample scene
    other = digest(tmp_path / "again")
    assert other["truth/truth.tif"] != first["truth/truth.tif"]
    assert [p.name for p in tmp_path.iterdir()] == ["again"]


def test_a_folder_with_other_files_is_refused(small, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(LandloomError, match=r"notes\.txt.*nothing was deleted"):
        simulate(tmp_path, 60)
    assert (tmp_path / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize("name", ["thesis.odt", "S2/mine.tif", "truth/my map.qgz"])
def test_a_former_scene_with_a_stranger_is_refused(small, name):
    stranger = small / name
    stranger.write_text("mine")
    try:
        with pytest.raises(LandloomError, match=stranger.name):
            check_folder(small)
    finally:
        stranger.unlink()
    check_folder(small)


def test_a_file_is_refused(tmp_path):
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(LandloomError, match="is a file"):
        simulate(file, 60)


@pytest.mark.parametrize("size", [0, 58, 61, 100_000])
def test_wrong_size(tmp_path, size):
    with pytest.raises(LandloomError, match=f"SIZE is {size}"):
        simulate(tmp_path / "out", size)
    assert not (tmp_path / "out").exists()


def test_wrong_climate_or_seed(tmp_path):
    with pytest.raises(LandloomError, match="tropical, temperate"):
        simulate(tmp_path / "out", 60, "polar")
    with pytest.raises(LandloomError, match="SEED"):
        simulate(tmp_path / "out", 60, seed=-1)


def test_cancel_leaves_nothing(tmp_path):
    class Impatient(Progress):
        asked = 0

        def is_cancelled(self):
            self.asked += 1
            return self.asked > 60

    with pytest.raises(Cancelled):
        simulate(tmp_path / "out", 60, progress=Impatient())
    assert list(tmp_path.iterdir()) == []


def test_the_marker_says_simulated(small):
    marker = json.loads((small / "scene.json").read_text())
    assert marker["simulated"] is True and marker["seed"] == 7 and marker["season_start"] == "10-01"
    assert "SIMULATED" in (small / "README.txt").read_text()


def test_progress_reaches_the_end(tmp_path):
    class Recorder(Progress):
        values: list[float] = []

        def percent(self, value):
            self.values.append(value)

    recorder = Recorder()
    simulate(tmp_path / "out", 60, "temperate", 1, recorder)
    assert recorder.values == sorted(recorder.values) and recorder.values[-1] == 100
