"""The tutorial works in the real QGIS window, from an empty profile: dialogs, styled layers, a clicked pixel."""

import importlib.util
import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NEEDED = ("qgis", "xvfb-run")


@pytest.mark.skipif(any(shutil.which(one) is None for one in NEEDED), reason="needs qgis and xvfb-run")
def test_the_tutorial_in_a_window(tmp_path) -> None:
    spec = importlib.util.spec_from_file_location("landloom_screenshots", ROOT / "scripts" / "screenshots.py")
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    work = tmp_path / "mon travail d'été"
    (tmp_path / "temporary").mkdir()
    pictures = script.run_window(tmp_path / "temporary", work, size=90)
    for name in ("map.tif", "map.qml", "confidence.tif", "model.safetensors", "report.html", "map_work/stack.json"):
        assert (work / name).is_file(), name
    report = (work / "report.html").read_text(encoding="utf-8")
    assert "qgis_process run landloom:landcovermap" in report  # what a dialog leaves empty is no obstacle
    for name in ("menu", "packages", "scene_dialog", "map_dialog", "map_log", "map", "confidence", "pixel", "panel"):
        assert (pictures / f"{name}.png").stat().st_size > 10_000, name
