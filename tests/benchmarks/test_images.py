"""The benchmark of preparing and reading runs from data to figures (tiny; its seconds mean nothing here)."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path

import pytest
from osgeo import gdal

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def images():
    spec = importlib.util.spec_from_file_location("landloom_images_benchmark", BENCHMARKS / "images.py")
    module = importlib.util.module_from_spec(spec)
    before = list(sys.path)
    spec.loader.exec_module(module)
    sys.path[:] = before
    return module


@pytest.mark.skipif(not Path("/proc/self/io").exists(), reason="the system does not tell how much a process reads")
def test_from_products_to_figures(images, tmp_path):
    words = ["--size", "1100", "--dates", "2", "--window", "192", "--runs", "1", "--memory-mb", "200"]
    if gdal.GetDriverByName("JP2OpenJPEG") is None:
        words += ["--parts", "read,decoded,other_zone"]
    assert images.main([*words, "--folder", str(tmp_path / "données"), "--json", str(tmp_path / "images.json")]) == 0
    figures = json.loads((tmp_path / "images.json").read_text())
    assert figures["prepare"]["dates"] == 2 and figures["prepare"]["peak_memory_mb"] > 50
    for name in ("aligned", "theia", "theia_with_masks", "theia_resampled"):
        assert figures["read"][name]["gdal_seconds"] > 0 and figures["read"][name]["ratio"] > 0
    for halo in (0, 2):
        # 384 rows of the products, in tiles of 512: each is decoded once; headers were read before.
        counted = figures["decoded"][f"halo_{halo}"]
        assert 0.98 < counted["times"] < 1.2 and counted["foreseen"] == 1.0
    assert figures["other_zone"]["ratio"] > 0
    if "jp2" in figures:
        assert figures["jp2"]["read"]["ratio"] > 0 and figures["jp2"]["warp"]["ratio"] > 0


def test_both_sides_read_the_same_pixels(images, tmp_path):
    """What is timed is comparable: the same values of 10 m, in the same places."""
    stack = images.stack_of(images.make_tiffs(tmp_path, 600, 2), tmp_path / "aligned.json")
    ours = images.ours(stack, 100, 80, 300, False, {})
    theirs = images.gdal_own(stack, 100, 80, 300, False, {})
    assert (ours[0] == theirs).all()
