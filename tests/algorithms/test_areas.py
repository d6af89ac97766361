"""Protects areas as users run it: equal to QGIS's own zonal histogram, in each format, with an assessment."""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import numpy as np
import processing
import pytest
from qgis.core import QgsProcessingException, QgsVectorLayer

sys.path.insert(0, str(Path(__file__).parents[1] / "model" / "accuracy"))
import accuracy_data as data

NAMES = {1: "maize", 2: "rice", 3: "water"}


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    folder = tmp_path_factory.mktemp("surfaces")
    random = np.random.default_rng(3)
    mapped = random.integers(1, 4, (50, 60)).astype(np.uint8)
    path = data.write_map(folder / "map.tif", mapped, NAMES, nodata=0)
    wkt = ["POLYGON ((500013 7999993, 500377 7999941, 500401 7999612, 500051 7999588, 500013 7999993))"]
    wkt.append("POLYGON ((500402 7999903, 500597 7999810, 500511 7999541, 500402 7999903))")
    return str(path), str(data.write_layer(folder / "zones.gpkg", wkt, {"district": ["nord", "sud"]})), mapped


def rows(path):
    with Path(path).open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def sheet(path):
    """Rows as QGIS reads them; no layer is left to outlive QGIS in the traceback of an expected error."""
    layer = QgsVectorLayer(path, "areas", "ogr")
    return [dict(zip(layer.fields().names(), one.attributes(), strict=True)) for one in layer.getFeatures()]


def test_equal_to_the_zonal_histogram_of_qgis(landloom_provider, case, tmp_path):
    output = str(tmp_path / "areas.csv")
    parameters = {"MAP": case[0], "ZONES": case[1], "ZONE_FIELD": "district", "OUTPUT": output}
    processing.run("landloom:areas", {**parameters, "REPORT": str(tmp_path / "areas.html")})
    histogram = processing.run(
        "native:zonalhistogram",
        {
            "INPUT_RASTER": case[0],
            "RASTER_BAND": 1,
            "INPUT_VECTOR": case[1],
            "COLUMN_PREFIX": "c",
            "OUTPUT": str(tmp_path / "histogram.gpkg"),
        },
    )["OUTPUT"]
    found = {(row["zone"], row["class"]): int(row["pixels"]) for row in rows(output)}
    for feature in QgsVectorLayer(histogram, "histogram", "ogr").getFeatures():
        for value, name in NAMES.items():
            assert found[feature["district"], name] == int(feature[f"c{value}"])
    for value, name in NAMES.items():
        assert found["(whole map)", name] == (case[2] == value).sum()
    page = (tmp_path / "areas.html").read_text(encoding="utf-8")
    assert "Figures of zones are counts of pixels" in page and "nord" in page
    assert [{**row, "hectares": ""} for row in rows(tmp_path / "areas_areas.csv")] == [
        {**row, "hectares": ""} | {"percent": f"{float(row['percent']):.6g}" if row["percent"] else ""}
        for row in rows(output)
    ]
    facts = data.read_json(tmp_path / "areas_report.json")
    assert facts["kind"] == "areas" and facts["provenance"]["algorithm"] == "landloom:areas"
    assert sum(one["pixels"] for one in facts["areas"] if one["zone"] == "(whole map)") == case[2].size
    percent = [float(row["percent"]) for row in rows(output) if row["zone"] == "nord"]
    assert sum(percent) == pytest.approx(100, abs=1e-3)


def test_with_an_assessment_of_a_sample(landloom_provider, case, tmp_path):
    random = np.random.default_rng(1)
    r, c = np.divmod(random.choice(3000, 200, replace=False), 60)
    truth = np.where(random.random(200) < 0.8, case[2][r, c], random.integers(1, 4, 200))
    points = data.write_layer(
        tmp_path / "p.gpkg", [data.point(*one) for one in zip(r, c, strict=True)], {"class": [int(k) for k in truth]}
    )
    table = str(tmp_path / "t.json")
    processing.run(
        "landloom:assess",
        {"MAP": case[0], "REFERENCE": str(points), "CLASS_FIELD": "class", "DESIGN": "random", "TABLE": table},
    )
    output = str(tmp_path / "areas.ods")
    processing.run(
        "landloom:areas",
        {"MAP": case[0], "ZONES": case[1], "ASSESSMENT": table, "OUTPUT": output, "REPORT": str(tmp_path / "a.html")},
    )
    whole = [row for row in sheet(output) if row["zone"] == "(whole map)"]
    assert sum(one["estimated_hectares"] for one in whole) == pytest.approx(30.0, abs=1e-3)
    assert all(one["low_hectares"] < one["estimated_hectares"] < one["high_hectares"] for one in whole)
    other = data.write_map(tmp_path / "other.tif", np.ones((50, 60), np.uint8))
    with pytest.raises(QgsProcessingException, match="is of another map"):
        processing.run("landloom:areas", {"MAP": str(other), "ASSESSMENT": table, "OUTPUT": output})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"OUTPUT": "/tmp/areas.doc"}, "unknown format|areas.doc"),
        ({"ZONE_FIELD": "region"}, "ZONE_FIELD"),
        ({"ASSESSMENT": __file__}, "is not JSON|ASSESSMENT"),
        ({"MAP": "/nowhere/map.tif"}, "MAP|map.tif"),
    ],
)
def test_refuses(landloom_provider, case, tmp_path, change, message):
    parameters = {"MAP": case[0], "ZONES": case[1], "OUTPUT": str(tmp_path / "a.csv"), **change}
    with pytest.raises(QgsProcessingException, match=message):
        processing.run("landloom:areas", parameters)
