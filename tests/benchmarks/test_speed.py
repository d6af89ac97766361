"""The speed benchmark runs from data to figures (tiny; its numbers mean nothing here)."""

from __future__ import annotations

import importlib.util
import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from osgeo import gdal

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def speed():
    if "speed" not in sys.modules:
        spec = importlib.util.spec_from_file_location("speed", BENCHMARKS / "speed.py")
        sys.modules["speed"] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules["speed"])
    return sys.modules["speed"]


def test_the_forest_from_data_to_figures(speed, tmp_path):
    pytest.importorskip("sklearn")
    words = ["--size", "120", "--networks", "randomforest", "--samples", "1500", "--runs", "1", "--repeat", "2"]
    assert speed.main([*words, "--folder", str(tmp_path / "données"), "--json", str(tmp_path / "speed.json")]) == 0
    figures = json.loads((tmp_path / "speed.json").read_text())
    forest = figures["networks"]["randomforest"]
    assert forest["pixels_per_second"] > 0 and forest["training_samples_per_second"] > 0
    assert 50 < forest["peak_memory_mb"] < figures["memory_mb"] + 1024
    assert forest["large_pixels"] == 240 * 240
    assert figures["peer_pixels_per_second"] is None and forest["ratio_to_peer"] is None
    assert figures["sampling_and_training"]["training_samples"] > 1000
    small = gdal.Open(str(tmp_path / "données" / "randomforest.tif")).ReadAsArray()
    large = gdal.Open(str(tmp_path / "données" / "randomforest_large.tif")).ReadAsArray()
    np.testing.assert_array_equal(large, np.tile(small, (2, 2)))


def test_a_network_its_shares_and_its_ceiling(speed, tmp_path):
    """The products traced must be those that the model is said to have."""
    pytest.importorskip("torch")
    from landloom.model.networks.modelfile import Model, describe

    words = ["--size", "192", "--networks", "tempcnn", "--samples", "500", "--network-samples", "64", "--runs", "1"]
    assert speed.main([*words, "--folder", str(tmp_path), "--json", str(tmp_path / "speed.json")]) == 0
    found = json.loads((tmp_path / "speed.json").read_text())["networks"]["tempcnn"]
    assert sum(found[f"{stage}_share"] for stage in ("reading", "computing", "writing")) == pytest.approx(1.0)
    assert 0 < found["ceiling_share"] < 1.5
    told = describe(Model.load(tmp_path / "tempcnn.safetensors"))["mflop_per_pixel"]
    assert found["mflop_traced"] == pytest.approx(told, rel=0.15)


def test_the_labels_can_be_learnt_and_the_peer_gets_the_same_pixels(speed, tmp_path):
    from sklearn.ensemble import RandomForestClassifier

    data = sys.modules["speed_data"]
    data.make_data(tmp_path, 200, 32_000)
    image = gdal.Open(str(data.write_one_image(tmp_path, 200)))
    assert image.RasterCount == 24 * 10 + 30 * 2 and image.GetRasterBand(1).DataType == gdal.GDT_Int16
    values = image.ReadAsArray()
    first = gdal.Open(str(tmp_path / f"S2_{data.dates_of('S2')[3].replace('-', '')}.tif")).ReadAsArray()
    np.testing.assert_array_equal(values[30:40], first)
    labels = gdal.GetDriverByName("MEM").Create("", 200, 200)
    labels.SetGeoTransform(image.GetGeoTransform())
    labels.SetProjection(image.GetProjection())
    reference = gdal.OpenEx(str(tmp_path / "reference.shp"))
    gdal.RasterizeLayer(labels, [1], reference.GetLayer(), options=["ATTRIBUTE=code"])
    codes = labels.ReadAsArray()
    rows, columns = np.indices(codes.shape)
    known = (codes > 0) & (rows % 10 == 5) & (columns % 5 == 0)
    train = known & (rows // 10 % 2 == 0)
    forest = RandomForestClassifier(20, random_state=0).fit(values[:, train].T, codes[train])
    accuracy = forest.score(values[:, known & ~train].T, codes[known & ~train])
    assert accuracy > 0.6


@pytest.mark.skipif(not shutil.which("otbcli_ImageClassifier"), reason="Orfeo Toolbox is not installed")
def test_the_peer(speed, tmp_path):
    data = sys.modules["speed_data"]
    data.make_data(tmp_path, 60, 400)
    image = data.write_one_image(tmp_path, 60)
    assert min(speed.train_peer(image, tmp_path / "reference.shp", tmp_path / "otb.rf", 256)) > 0
    assert min(speed.classify_peer(image, tmp_path / "otb.rf", tmp_path, 256)) > 0
    assert gdal.Open(str(tmp_path / "otb.tif")).RasterXSize == 60
    assert gdal.Open(str(tmp_path / "otb_confidence.tif")).RasterXSize == 60


def test_a_missing_json_is_refused(speed, capsys):
    with pytest.raises(SystemExit):
        speed.main(["--size", "100"])
    assert "--json is needed" in capsys.readouterr().err
