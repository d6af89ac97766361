"""Protects what QGIS and the plugin repository read before any code runs."""

from __future__ import annotations

import configparser
import re
from pathlib import Path

import tomllib

ROOT = Path(__file__).resolve().parents[1]


def metadata():
    parser = configparser.ConfigParser(interpolation=None)
    parser.read(ROOT / "metadata.txt", encoding="utf-8")
    return parser["general"]


def test_required_entries_are_there():
    general = metadata()
    for key in ("name", "description", "version", "author", "email", "about", "tracker", "repository"):
        assert general[key].strip()
    assert general["qgisMinimumVersion"] == "3.34" and general["qgisMaximumVersion"] == "4.99"
    assert general["hasProcessingProvider"] == "yes"  # without it qgis_process does not list the plugin
    assert (ROOT / general["icon"]).is_file()


def test_one_version_everywhere():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["version"] == metadata()["version"]
    assert re.search(rf"^## {re.escape(project['version'])}\b", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)


def test_pip_packages_are_the_folders_that_exist():
    packages = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]["packages"]
    folders = {
        ".".join(["landloom", *path.parent.relative_to(ROOT).parts]) for path in (ROOT / "model").rglob("__init__.py")
    }
    assert set(packages) == folders | {"landloom"}
