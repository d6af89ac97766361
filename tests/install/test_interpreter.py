"""The interpreter of QGIS is found on every system, also where ``sys.executable`` is QGIS itself."""

import sys

import pytest
from landloom.install.interpreter import Host, NoInterpreterError, find_interpreter, probe

WINDOWS = r"C:\Program Files\QGIS 3.40"
MAC = "/Applications/QGIS.app/Contents"
HOSTS = {
    "OSGeo4W and the standalone installer": (
        Host(
            "Windows",
            rf"{WINDOWS}\bin\qgis-bin.exe",
            rf"{WINDOWS}\apps\Python312",
            rf"{WINDOWS}\apps\Python312",
            (3, 12),
        ),
        rf"{WINDOWS}\apps\Python312\python.exe",
    ),
    "Windows, prefix unknown, OSGEO4W_ROOT set": (
        Host("Windows", rf"{WINDOWS}\bin\qgis-bin.exe", "", "", (3, 12), {"OSGEO4W_ROOT": WINDOWS}),
        rf"{WINDOWS}\apps\Python312\python.exe",
    ),
    "pythonw has no console": (
        Host("Windows", rf"{WINDOWS}\apps\Python312\pythonw.exe", "x", "x", (3, 12)),
        rf"{WINDOWS}\apps\Python312\python.exe",
    ),
    "macOS": (Host("Darwin", f"{MAC}/MacOS/QGIS", f"{MAC}/MacOS", f"{MAC}/MacOS", (3, 9)), f"{MAC}/MacOS/bin/python3"),
    "macOS, Frameworks": (
        Host("Darwin", f"{MAC}/MacOS/QGIS", "/none", "/none", (3, 12)),
        f"{MAC}/Frameworks/bin/python3.12",
    ),
    "Debian": (Host("Linux", "/usr/bin/python3", "/usr", "/usr", (3, 11)), "/usr/bin/python3"),
    "Linux, another Python first on the path": (
        Host("Linux", "/opt/python/bin/python3", "/usr", "/usr", (3, 11)),
        "/usr/bin/python3.11",
    ),
    "Linux, executable is QGIS": (Host("Linux", "/usr/bin/qgis", "/usr", "/usr", (3, 11)), "/usr/bin/python3.11"),
    "conda": (
        Host("Linux", "/c/envs/q/bin/python3.12", "/c/envs/q", "/c/envs/q", (3, 12), {"CONDA_PREFIX": "/c/envs/q"}),
        "/c/envs/q/bin/python3.12",
    ),
    "Flatpak": (Host("Linux", "", "/usr", "/usr", (3, 12), {"FLATPAK_ID": "org.qgis.qgis"}), "/usr/bin/python3.12"),
}


@pytest.mark.parametrize("name", HOSTS)
def test_the_right_interpreter_is_chosen(name) -> None:
    host, expected = HOSTS[name]
    wanted = f"{host.version[0]}.{host.version[1]}"
    # Only the expected file has the right version; /opt/python exists but is another one.
    there = {expected: wanted, "/opt/python/bin/python3": "3.13"}
    assert find_interpreter(host, there.__contains__, there.__getitem__) == expected


@pytest.mark.parametrize("name", HOSTS)
def test_qgis_itself_is_never_run_as_python(name) -> None:
    host, _expected = HOSTS[name]
    for candidate in host.candidates():
        assert "qgis-bin" not in candidate
        assert not candidate.endswith(("/qgis", "/MacOS/QGIS"))


def test_a_wrong_version_is_refused_and_named() -> None:
    host = HOSTS["Debian"][0]
    with pytest.raises(NoInterpreterError, match=r"No Python 3\.11 .*\(3\.12\)"):
        find_interpreter(host, lambda path: path == "/usr/bin/python3", lambda path: "3.12")


def test_this_process_has_an_interpreter() -> None:
    found = find_interpreter(Host.here())
    assert probe(found) == f"{sys.version_info.major}.{sys.version_info.minor}"


def test_what_does_not_run_has_no_version(tmp_path) -> None:
    broken = tmp_path / "python3"
    broken.write_text("#!/bin/sh\nexit 3\n")
    broken.chmod(0o755)
    assert probe(str(broken)) == ""
    assert probe(str(tmp_path / "absent")) == ""
