"""The protocol on a user's own site: splits by polygon, both forests beside the networks, figures that agree."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from landloom.model.base.raster import spatial_reference
from osgeo import ogr

pytest.importorskip("torch")
pytest.importorskip("sklearn")

SIDE = 60
BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def site():
    spec = importlib.util.spec_from_file_location("landloom_site_benchmark", BENCHMARKS / "site.py")
    module = importlib.util.module_from_spec(spec)
    before = list(sys.path)
    spec.loader.exec_module(module)
    sys.path[:] = before
    return module


@pytest.fixture(scope="module")
def inputs(tmp_path_factory, make_stack):
    """36 fields of three classes that peak at different dates."""
    folder = tmp_path_factory.mktemp("site")
    rng = np.random.default_rng(1)
    labels = np.kron(rng.permutation(np.arange(36) % 3).reshape(6, 6), np.ones((10, 10), int))
    dates = [f"2021-0{month}-05" for month in range(1, 7)]
    season = np.exp(-((np.arange(6)[:, None, None] - np.array([1, 3, 5])[labels][None]) ** 2) / 2)
    values = (1500 + 1500 * season[:, None] + rng.normal(0, 250, (6, 2, SIDE, SIDE))).astype(np.int16)
    sensors = {"S2": {"values": values, "bands": ["B4", "B8"], "dates": dates, "nodata": -1, "scale": 1e-4}}
    stack = make_stack(folder, sensors)
    reference = folder / "reference.gpkg"
    dataset = ogr.GetDriverByName("GPKG").CreateDataSource(str(reference))
    layer = dataset.CreateLayer("reference", spatial_reference("EPSG:32738"), ogr.wkbPolygon)
    layer.CreateField(ogr.FieldDefn("class", ogr.OFTInteger))
    for row in range(0, SIDE, 10):
        for column in range(0, SIDE, 10):
            west, east = 500000 + 10 * column + 30, 500000 + 10 * column + 70
            north, south = 8000000 - 10 * row - 30, 8000000 - 10 * row - 70
            feature = ogr.Feature(layer.GetLayerDefn())
            feature.SetField("class", int(labels[row, column]) + 1)
            ring = f"{west} {south},{east} {south},{east} {north},{west} {north},{west} {south}"
            feature.SetGeometry(ogr.CreateGeometryFromWkt(f"POLYGON(({ring}))"))
            layer.CreateFeature(feature)
    dataset = layer = None
    return stack, reference


def test_the_figures_of_a_site(site, inputs, tmp_path, capsys):
    stack, reference = inputs
    output = tmp_path / "site.json"
    words = ["--stack", str(stack), "--reference", str(reference), "--class-field", "class", "--networks", "ltae"]
    assert site.main([*words, "--runs", "1", "--epochs", "2", "--output", str(output)]) == 0
    content = json.loads(output.read_text(encoding="utf-8"))
    forests = ["randomforest S2", "randomforest-balanced S2"]
    assert set(content["classifiers"]) == {*forests, "ltae S2"}
    assert content["protocol"]["train_share"] == 0.3 and content["protocol"]["runs"] == 1
    # 12 fields a class: 30 % of them is 3 or 4
    assert all(9 <= count <= 12 for count in content["groups_trained_by_run"])
    pairs = zip(content["groups_trained_by_run"], content["groups_tested_by_run"], strict=True)
    assert [trained + tested for trained, tested in pairs] == [36]
    for found in content["classifiers"].values():
        assert 0 <= found["overall_accuracy"]["mean"] <= 1 and found["macro_f1"]["std"] is None
        assert list(found["per_class_f1"]) and len(found["per_class_f1"]) == 3
    means = {key: found["overall_accuracy"]["mean"] for key, found in content["classifiers"].items()}
    assert means["randomforest S2"] > 0.9
    gain = content["classifiers"]["ltae S2"]["gain_over_better_forest"]["overall_accuracy"]
    assert gain["estimate"] == pytest.approx(means["ltae S2"] - max(means[key] for key in forests), abs=1e-6)
    page = output.with_suffix(".md").read_text(encoding="utf-8")
    assert page == capsys.readouterr().out.rstrip("\n") + "\n"
    assert "| ltae S2 |" in page and "30 % of the polygons" in page
    assert not Path(f"{output}.parts").exists()


def test_bad_input_is_one_sentence(site, inputs, tmp_path, capsys):
    stack, reference = inputs
    words = ["--stack", str(stack), "--reference", str(reference), "--output", str(tmp_path / "o.json")]
    assert site.main([*words, "--class-field", "species"]) == 1
    assert "species" in capsys.readouterr().err
    assert site.main([*words, "--class-field", "class", "--train-share", "1"]) == 1
    assert "--train-share" in capsys.readouterr().err
