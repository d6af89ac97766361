"""Protects the set-up on machines unlike this one: how apt's own entry is copied, and what pip is held to."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"


def load(name: str):
    spec = importlib.util.spec_from_file_location(name, SCRIPTS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def apt(tmp_path, monkeypatch):
    """add_backports with an /etc/apt of its own."""
    module = load("add_backports")
    (tmp_path / "sources.list.d").mkdir()
    monkeypatch.setattr(module, "APT", tmp_path)
    return module, tmp_path


def test_a_deb822_entry_is_copied_with_its_address_and_key(apt):
    module, folder = apt
    (folder / "sources.list.d" / "debian.sources").write_text(
        "Types: deb\n# a comment\nURIs: http://mirror.example/debian\nSuites: bookworm bookworm-updates\n"
        "Components: main\nSigned-By: /key.gpg\n\nTypes: deb\nURIs: http://mirror.example/security\n"
        "Suites: bookworm-security\nComponents: main\n"
    )
    name, text = module.backports_entry("bookworm")
    assert name == "bookworm-backports.sources"
    assert text == (
        "Types: deb\nURIs: http://mirror.example/debian\nSuites: bookworm-backports\nComponents: main\n"
        "Signed-By: /key.gpg\n"
    )


def test_a_one_line_entry_is_copied(apt):
    module, folder = apt
    (folder / "sources.list").write_text("deb [arch=amd64] http://mirror.example/debian bookworm main contrib\n")
    name, text = module.backports_entry("bookworm")
    assert name == "bookworm-backports.list"
    assert text == "deb [arch=amd64] http://mirror.example/debian bookworm-backports main contrib\n"


def test_no_entry_is_said_in_one_sentence(apt):
    with pytest.raises(SystemExit, match="no entry for bookworm"):
        apt[0].backports_entry("bookworm")


def test_requirements_names_what_is_missing():
    import numpy

    done = subprocess.run(
        [
            sys.executable,
            SCRIPTS / "requirements.py",
            "missing",
            "numpy",
            f"numpy=={numpy.__version__}",
            "no-such-thing==1",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["no-such-thing==1"]


def test_pip_is_held_to_the_system_numpy():
    import numpy

    done = subprocess.run(
        [sys.executable, SCRIPTS / "requirements.py", "held"], capture_output=True, text=True, check=True
    )
    assert f"numpy=={numpy.__version__}" in done.stdout.splitlines()


def test_without_rights_the_one_command_is_printed(tmp_path):
    """Neither root nor sudo: exit 1 and the command to run."""
    fake = tmp_path / "bin"
    fake.mkdir()
    for name, body in {"dpkg-query": "exit 1", "sudo": "exit 1", "id": "echo 1000", "apt-get": "exit 0"}.items():
        (fake / name).write_text(f"#!/bin/sh\n{body}\n")
        (fake / name).chmod(0o755)
    done = subprocess.run(
        ["sh", SCRIPTS / "setup", "packages"],
        env={"PATH": f"{fake}:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stdout.strip() == f"sudo sh {SCRIPTS.parent}/scripts/setup packages"
