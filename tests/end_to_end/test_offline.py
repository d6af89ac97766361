"""Protects that only ``searchproducts`` touches the network: every algorithm runs with it cut off, and none asks."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

import pytest

SCRIPT = Path(__file__).with_name("offline.py")
UNSHARE = ["unshare", "--map-root-user", "--net"]
ONLINE = {"searchproducts"}


@pytest.fixture(scope="module")
def cut_off() -> list[str]:
    """The start of a command whose network leads nowhere; empty where the system does not allow one."""
    if shutil.which("unshare") and subprocess.run([*UNSHARE, "true"], capture_output=True, check=False).returncode == 0:
        return UNSHARE
    return []


def told(*command: str) -> dict:
    # A busy machine is no failure, hence the long time.
    done = subprocess.run(command, capture_output=True, text=True, timeout=1800, check=False)
    lines = [line for line in done.stdout.splitlines() if line.startswith("TOLD ")]
    assert lines, done.stdout[-2000:] + done.stderr[-4000:]
    return json.loads(lines[-1][5:])


def test_no_algorithm_asks_for_the_network(cut_off, tmp_path) -> None:
    found = told(*cut_off, sys.executable, str(SCRIPT), str(tmp_path))
    assert found["failed"] == [] and found["asked"] == []
    if cut_off:
        assert found["counted"] == 0
    # A new algorithm belongs into the steps of offline.py.
    assert set(found["runs"]) | set(found["skipped"]) | ONLINE == set(found["help"])
    assert found["pages"] == 9
    for name, address in found["help"].items():  # help is local
        assert address.startswith("file:"), name
        assert Path(url2pathname(urlsplit(address).path)).is_file(), address


def test_who_asks_is_told(cut_off, tmp_path) -> None:
    found = told(*cut_off, sys.executable, str(SCRIPT), str(tmp_path), "probe")
    assert found["python"] > 0 and "urllib.Request" in found["asked"][0]
    assert any(one.startswith("http://192.0.2.1") for one in found["asked"])  # QGIS's own
    if cut_off:
        assert found["gdal"] > 0 and found["qt"] > 0
