"""The zip of the plugin repository holds what the plugin needs and nothing else, and works from an empty profile."""

import importlib.util
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def _module():
    spec = importlib.util.spec_from_file_location("landloom_package", ROOT / "scripts" / "package.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    return _module().build(tmp_path_factory.mktemp("package") / "landloom.zip")


def test_the_zip_keeps_the_rules_of_the_repository(package) -> None:
    names = zipfile.ZipFile(package).namelist()
    assert {name.split("/")[0] for name in names} == {"landloom"}
    assert {"landloom/metadata.txt", "landloom/__init__.py", "landloom/LICENSE"} <= set(names)
    assert package.stat().st_size < 25_000_000
    assert len(names) == len(set(names))
    for name in names:
        assert not name.endswith((".pyc", ".so", ".dll", ".sh", ".bat"))
        assert "__pycache__" not in name and "\\" not in name and ".." not in name
        assert not name.startswith(("landloom/tests", "landloom/benchmarks", "landloom/scripts"))


def test_every_python_file_of_the_plugin_is_in_the_zip(package) -> None:
    names = set(zipfile.ZipFile(package).namelist())
    for folder in ("algorithms", "install", "model"):
        for path in (ROOT / folder).rglob("*.py"):
            assert f"landloom/{path.relative_to(ROOT).as_posix()}" in names


def test_help_in_the_zip_is_that_of_the_docs(package) -> None:
    with zipfile.ZipFile(package) as archive:
        page = archive.read("landloom/resources/help/docs/limits.html").decode()
        assert "landloom/resources/help/fr/train.html" in archive.namelist()
    for line in (ROOT / "docs" / "limits.md").read_text(encoding="utf-8").splitlines():
        if line.startswith("## "):
            assert f">{line[3:]}</h2>" in page


def test_the_same_tree_gives_the_same_bytes(package, tmp_path) -> None:
    assert _module().build(tmp_path / "again.zip").read_bytes() == package.read_bytes()


def test_an_algorithm_runs_from_the_zip_in_an_empty_profile(package, tmp_path) -> None:
    if shutil.which("qgis_process") is None:
        pytest.skip("qgis_process is not installed")
    plugins = tmp_path / "profile" / "profiles" / "default" / "python" / "plugins"
    plugins.mkdir(parents=True)
    with zipfile.ZipFile(package) as archive:
        archive.extractall(plugins)
    environment = {
        **os.environ,
        "HOME": str(tmp_path),
        "QGIS_CUSTOM_CONFIG_PATH": str(tmp_path / "profile"),
        "QT_QPA_PLATFORM": "offscreen",
        # As a user's QGIS: its own packages and those of this environment, but not this folder.
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if "site-packages" in path),
    }

    def qgis_process(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = ["qgis_process", *arguments]
        return subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=120)

    enabled = qgis_process("plugins", "enable", "landloom")
    assert enabled.returncode == 0, enabled.stderr
    report = tmp_path / "status.html"
    done = qgis_process("run", "landloom:status", "--", f"REPORT={report}")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Landloom" in report.read_text(encoding="utf-8")
