"""The folder of packages: last on the path, exchanged whole, removed whole, and nothing of an installation cut off."""

import sys

import pytest
from landloom.install import folder as packages


@pytest.fixture
def profile(tmp_path):
    before = list(sys.path)
    yield tmp_path
    sys.path[:] = before


def _make(folder, name, finished=True):
    folder.mkdir(parents=True)
    (folder / f"{name}.py").write_text(f"WHO = {name!r}\n")
    if finished:
        packages.write_record(folder, [f"{name}==1"], "cpu")


def test_the_folder_is_last_on_the_path_and_once(profile) -> None:
    folder = packages.packages_folder(profile)
    assert packages.activate(profile) is False  # nothing there, nothing on the path
    assert str(folder) not in sys.path
    _make(folder, "landloom_probe")
    assert packages.activate(profile) and packages.activate(profile)
    assert sys.path[-1] == str(folder)
    assert sys.path.count(str(folder)) == 1
    packages.deactivate(profile)
    assert str(folder) not in sys.path


def test_each_python_version_has_a_folder(profile) -> None:
    assert packages.packages_folder(profile, (3, 11)) != packages.packages_folder(profile, (3, 12))


def test_a_finished_installation_takes_its_place_at_the_next_start(profile) -> None:
    folder = packages.packages_folder(profile)
    _make(folder, "old")
    _make(packages.pending_folder(folder), "new")
    packages.activate(profile)
    assert packages.read_record(folder)["packages"] == ["new==1"]
    assert not packages.pending_folder(folder).exists()
    assert not packages.removed_folder(folder).exists()


def test_an_installation_cut_off_is_not_taken(profile) -> None:
    folder = packages.packages_folder(profile)
    _make(folder, "old")
    _make(packages.pending_folder(folder), "half", finished=False)
    packages.activate(profile)
    assert packages.read_record(folder)["packages"] == ["old==1"]


def test_files_in_use_wait_for_the_next_start(profile, monkeypatch) -> None:
    # Windows does not let a folder with loaded libraries be renamed.
    folder = packages.packages_folder(profile)
    _make(folder, "old")
    _make(packages.pending_folder(folder), "new")

    def refuse(*_arguments):
        raise PermissionError(13, "in use")

    with monkeypatch.context() as patched:
        patched.setattr("pathlib.Path.rename", refuse)
        assert packages.put_in_place(folder) is False
    assert packages.read_record(folder)["packages"] == ["old==1"]
    packages.activate(profile)
    assert packages.read_record(folder)["packages"] == ["new==1"]


def test_removing_leaves_nothing(profile) -> None:
    folder = packages.packages_folder(profile)
    _make(folder, "old")
    packages.activate(profile)
    assert packages.remove(profile) is True
    assert list(folder.parent.iterdir()) == []
    assert str(folder) not in sys.path


def test_a_damaged_record_is_no_record(profile) -> None:
    folder = packages.packages_folder(profile)
    folder.mkdir(parents=True)
    (folder / packages.RECORD).write_text("[1, 2")
    assert packages.read_record(folder) == {}
