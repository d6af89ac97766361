"""Installing for real, offline from a folder of wheels: QGIS's own packages stay, and a failure changes nothing."""

import os
import subprocess
import sys
import zipfile
from importlib.metadata import version
from pathlib import Path

import pytest
from landloom.install.folder import packages_folder, pending_folder, read_record
from landloom.install.pipjob import (
    CPU,
    CUDA,
    InstallCancelled,
    InstallError,
    Item,
    Request,
    environment_for_pip,
    held_versions,
    install,
    resolve,
)

pytest.importorskip("pip")


def _wheel(folder: Path, name: str, number: str, requires: tuple[str, ...] = ()) -> None:
    """A pure wheel, as a builder would make it."""
    info = f"{name}-{number}.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {number}\n"
    metadata += "".join(f"Requires-Dist: {one}\n" for one in requires)
    with zipfile.ZipFile(folder / f"{name}-{number}-py3-none-any.whl", "w") as archive:
        archive.writestr(f"{name}/__init__.py", f"VERSION = {number!r}\n")
        archive.writestr(f"{info}/METADATA", metadata)
        archive.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{info}/RECORD", "")


@pytest.fixture(scope="module")
def wheels(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheels é")
    _wheel(folder, "landloomprobe", "1.0", ("landloompart>=1", "numpy"))
    _wheel(folder, "landloomprobe", "2.0", ("landloompart>=1", "numpy>=99"))
    _wheel(folder, "landloompart", "1.5")
    _wheel(folder, "landloomhungry", "1.0", ("numpy>=99",))
    _wheel(folder, "numpy", "99.0")
    return folder


def _request(tmp_path, wheels, *packages):
    return Request(sys.executable, packages_folder(tmp_path), packages, wheels=wheels)


def _never() -> bool:
    return False


def test_only_what_is_missing_is_installed_and_numpy_stays(tmp_path, wheels) -> None:
    request = _request(tmp_path, wheels, "landloomprobe")
    before = version("numpy")
    lines: list[str] = []
    items = resolve(request, held_versions(request.folder), lines.append, _never)
    # Version 2 wants another numpy than QGIS holds, so the older one is taken.
    assert {(item.name, item.version) for item in items} == {("landloomprobe", "1.0"), ("landloompart", "1.5")}
    assert all(item.size for item in items)
    progress: list[float] = []
    assert install(request, items, lines.append, progress.append, _never) is True
    assert progress == sorted(progress) and progress[-1] == pytest.approx(100)
    assert {path.name for path in request.folder.iterdir() if path.is_dir()} >= {"landloomprobe", "landloompart"}
    assert not (request.folder / "numpy").exists()
    assert read_record(request.folder)["packages"] == ["landloompart==1.5", "landloomprobe==1.0"]
    # Another process, with the folder last on its path: numpy is QGIS's, the new package is found.
    code = (
        f"import sys; sys.path.append({str(request.folder)!r}); import numpy, landloomprobe; "
        "print(numpy.__version__, landloomprobe.VERSION)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [before, "1.0"]


def test_what_needs_another_numpy_is_refused(tmp_path, wheels) -> None:
    request = _request(tmp_path, wheels, "landloomhungry")
    with pytest.raises(InstallError, match="versions other than those that QGIS holds"):
        resolve(request, held_versions(request.folder), lambda _line: None, _never)
    assert not request.folder.exists()


def test_a_package_that_is_not_there_is_named_as_such(tmp_path, wheels) -> None:
    request = _request(tmp_path, wheels, "landloomabsent")
    with pytest.raises(InstallError, match="folder of wheels"):
        resolve(request, {}, lambda _line: None, _never)


def test_a_failure_keeps_the_packages_that_were_there(tmp_path, wheels) -> None:
    request = _request(tmp_path, wheels, "landloompart")
    items = resolve(request, held_versions(request.folder), lambda _line: None, _never)
    install(request, items, lambda _line: None, lambda _percent: None, _never)
    gone = [*items, Item("landloomabsent", "1", "https://nowhere.invalid/x.whl", 10)]
    with pytest.raises(InstallError):
        install(request, gone, lambda _line: None, lambda _percent: None, _never)
    assert read_record(request.folder)["packages"] == ["landloompart==1.5"]
    assert not pending_folder(request.folder).exists()


def test_cancelling_leaves_nothing(tmp_path, wheels) -> None:
    request = _request(tmp_path, wheels, "landloompart")
    items = [Item("landloompart", "1.5", "", 100)]
    with pytest.raises(InstallCancelled):
        install(request, items, lambda _line: None, lambda _percent: None, lambda: True)
    assert not request.folder.exists() and not pending_folder(request.folder).exists()


def test_too_little_space_is_said_before_anything_is_fetched(tmp_path, wheels) -> None:
    request = _request(tmp_path, wheels, "landloompart")
    with pytest.raises(InstallError, match=r"MB free, but \d+ MB are needed"):
        install(request, [Item("landloompart", "1.5", "", 10**15)], lambda _line: None, lambda _percent: None, _never)
    assert not pending_folder(request.folder).exists()


def test_pip_is_blind_to_what_was_installed_before(tmp_path) -> None:
    request = Request(sys.executable, tmp_path / "own", (), proxy="http://p:1")
    paths = os.pathsep.join([str(tmp_path / "own"), "/else"])
    found = environment_for_pip(request, {"PYTHONPATH": paths})
    assert found["PYTHONPATH"] == "/else"
    assert found["PIP_PROXY"] == "http://p:1"
    assert "PYTHONPATH" not in environment_for_pip(request, {"PYTHONPATH": str(tmp_path / "own")})


def test_the_other_build_is_never_taken_silently(tmp_path) -> None:
    folder = tmp_path / "w"
    folder.mkdir()
    _wheel(folder, "torch", "9.0", ("nvidia_fake",))
    _wheel(folder, "nvidia_fake", "1.0")
    held = {name: number for name, number in held_versions(tmp_path).items() if name != "torch"}
    request = Request("/usr/bin/python3", packages_folder(tmp_path), ("torch",), CPU, folder)
    if subprocess.run(["/usr/bin/python3", "-m", "pip", "--version"], capture_output=True, check=False).returncode:
        pytest.skip("the system's Python has no pip")
    with pytest.raises(InstallError, match="CPU build"):
        resolve(request, held, lambda _line: None, _never)
    cuda = Request("/usr/bin/python3", packages_folder(tmp_path), ("torch",), CUDA, folder)
    names = {item.name.replace("_", "-") for item in resolve(cuda, held, lambda _line: None, _never)}
    assert names == {"torch", "nvidia-fake"}
