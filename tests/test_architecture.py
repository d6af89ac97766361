"""Protects the design's house: which part may import which, and that nothing heavy is needed to list the algorithms."""

from __future__ import annotations

import ast
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ORDER = ["base", "scene", "stack", "samples", "networks", "training", "mapping", "objects", "accuracy"]
HEAVY = ["torch", "sklearn", "skimage", "scipy", "pandas", "geopandas", "safetensors", "pystac_client"]
HEAVY += ["dask", "distributed", "dask_jobqueue"]


def sources(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


def imported(path: Path) -> set[str]:
    """Absolute dotted names a file imports; relative ones are resolved below ``landloom``."""
    package = ["landloom", *path.relative_to(ROOT).parent.parts]
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            stem = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join([*stem, *([node.module] if node.module else [])])
            names |= {base} | {f"{base}.{alias.name}" for alias in node.names}
    return names


@pytest.mark.parametrize("path", sources("model"), ids=lambda p: str(p.relative_to(ROOT)))
def test_model_imports_one_way_and_never_qgis(path):
    names = imported(path)
    assert not [n for n in names if n.split(".")[0] in ("qgis", "processing")]
    assert not [n for n in names if n.startswith(("landloom.algorithms", "landloom.gui", "landloom.install"))]
    part = path.relative_to(ROOT / "model").parts[0]
    if part == "__init__.py":
        return
    rank = ORDER.index(part)
    for name in names:
        pieces = name.split(".")
        if pieces[:2] == ["landloom", "model"] and len(pieces) > 2 and pieces[2] in ORDER:
            assert ORDER.index(pieces[2]) <= rank, f"{path.name} of {part} imports {name}"


def test_install_imports_nothing_of_ours():
    for path in sources("install"):
        assert all(n.startswith("landloom.install") for n in imported(path) if n.startswith("landloom"))


def test_files_stay_readable():
    long = [p for f in ("model", "algorithms", "install") for p in sources(f) if len(p.read_text().splitlines()) > 450]
    assert not long, f"split these files: {long}"


def test_every_algorithm_is_listed_without_heavy_packages():
    """A run then raises one sentence that says what is missing and how to get it."""
    code = f"""
    import importlib.abc, importlib.util, os, sys
    os.environ["QT_QPA_PLATFORM"] = "offscreen"
    class Blocked(importlib.abc.MetaPathFinder):
        def find_spec(self, name, path=None, target=None):
            if name.split(".")[0] in {HEAVY!r}:
                raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
    sys.meta_path.insert(0, Blocked())
    root = {str(ROOT)!r}
    spec = importlib.util.spec_from_file_location("landloom", root + "/__init__.py", submodule_search_locations=[root])
    package = importlib.util.module_from_spec(spec); sys.modules["landloom"] = package
    spec.loader.exec_module(package)
    from qgis.core import QgsApplication, QgsProcessingContext, QgsProcessingFeedback
    app = QgsApplication([], False); app.initQgis()
    plugin = package.classFactory(None); plugin.initProcessing()
    ids = sorted(a.name() for a in plugin.provider.algorithms())
    print("LISTED", *ids)
    from landloom.install import how_to_get
    from landloom.model.base.errors import MissingPackageError
    from landloom.model.base.device import resolve_device
    from landloom.algorithms.base import in_one_sentence
    try:
        in_one_sentence(lambda: resolve_device("cpu"))
    except Exception as error:
        print("RAISED", type(error).__name__, error)
    status = QgsApplication.processingRegistry().algorithmById("landloom:status")
    results, ok = status.run({{"REPORT": "TEMPORARY_OUTPUT"}}, QgsProcessingContext(), QgsProcessingFeedback())
    print("STATE", ok, results.get("STATE"))
    sys.stdout.flush()
    os._exit(0)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    lines = {line.split(" ")[0]: line for line in done.stdout.splitlines()}
    from landloom.algorithms.examples import EXAMPLES
    from landloom.algorithms.provider import ALGORITHMS

    assert lines["LISTED"].split()[1:] == sorted(a.ID for a in (*ALGORITHMS, *EXAMPLES))
    assert "QgsProcessingException" in lines["RAISED"]
    assert "torch" in lines["RAISED"] and "pip install torch" in lines["RAISED"]
    assert lines["STATE"] == "STATE True incomplete"
