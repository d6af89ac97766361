"""Protects tables of areas: zones, what is outside and what overlaps add up to the map, in any CRS."""

from __future__ import annotations

import csv

import accuracy_data as data
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from landloom.model.accuracy.areas import HEADER, join_assessment, measure_areas, table_rows
from landloom.model.accuracy.assessfiles import assessment_json
from landloom.model.accuracy.mapreading import CategoricalMap
from landloom.model.base.errors import Cancelled, LandloomError
from landloom.model.base.progress import Progress
from landloom.model.base.tablefile import write_rows
from osgeo import ogr


def measured(path, zones=None, field="", memory=64, progress=None, crs=""):
    return measure_areas(CategoricalMap(path), zones, field, crs, memory, progress or Progress())


def by_zone(areas):
    """Zone -> class -> pixels."""
    found = {}
    for row in table_rows(areas):
        found.setdefault(row[0], {})[row[1]] = row[3]
    return found


@settings(max_examples=15)
@given(st.integers(0, 2**32 - 1))
def test_zones_add_up_to_the_map(tmp_path_factory, seed):
    """Zones - counted again + outside = the map, class by class, whatever zones overlap or reach beyond it."""
    random = np.random.default_rng(seed)
    folder = tmp_path_factory.mktemp("zones")
    array = random.integers(0, 4, (40, 50)).astype(np.uint8)
    path = data.write_map(folder / "map.tif", array, nodata=0)
    corners = random.uniform(-10, 45, (6, 2))
    sizes = random.uniform(1, 30, (6, 2))
    boxes = [data.box(*corner, *size) for corner, size in zip(corners, sizes, strict=True)] + [data.box(0, 0, 5, 5)]
    names = [*random.choice(["a", "b", "c"], 6).tolist(), "a"]
    zones = data.write_layer(folder / "zones.gpkg", boxes, {"name": names})
    areas = measured(path, zones, "name", memory=random.choice([64, 0.01]))
    for value in range(4):
        inside = sum(zone.values[value].pixels for zone in areas.zones if value in zone.values)
        again = areas.again.values[value].pixels if value in areas.again.values else 0
        outside = areas.outside.values[value].pixels if value in areas.outside.values else 0
        assert inside - again + outside == (array == value).sum()
    hectares = [row[4] for row in table_rows(areas) if row[0] == "(whole map)"]
    assert sum(hectares) == pytest.approx(array.size * 0.01)


def test_a_pixel_lies_where_its_centre_does(tmp_path):
    path = data.write_map(tmp_path / "map.tif", np.arange(1, 5, dtype=np.uint8).reshape(2, 2))
    zones = data.write_layer(
        tmp_path / "zones.gpkg", [data.box(0, 0, 2, 1.45), data.box(0, 1.45, 2, 2)], {"zone": [1, 2]}
    )
    found = by_zone(measured(path, zones, "zone"))
    assert found["1"] == {"1": 1, "2": 0, "3": 1, "4": 0} and found["2"] == {"1": 0, "2": 1, "3": 0, "4": 1}


def test_neighbours_share_no_pixel(tmp_path):
    """A border through pixel centres gives each pixel to one side only."""
    random = np.random.default_rng(0)
    array = random.integers(1, 3, (30, 30)).astype(np.uint8)
    path = data.write_map(tmp_path / "map.tif", array)
    boxes = [data.box(r, c, 10, 10) for r in (-0.5, 9.5, 19.5) for c in (-0.5, 9.5, 19.5)]
    areas = measured(path, data.write_layer(tmp_path / "zones.gpkg", boxes, {"n": list(range(9))}), "n")
    assert not areas.again.values and not [w for w in areas.warnings if "overlap" in w]


def test_zones_in_another_crs_and_polygons_of_one_name(tmp_path):
    array = np.ones((20, 20), np.uint8)
    array[:, 10:] = 2
    path = data.write_map(tmp_path / "map.tif", array, {1: "maize", 2: "rice"})
    boxes = [data.box(0, 0, 20, 5), data.box(0, 15, 20, 5), data.box(0, 5, 20, 10)]
    zones = data.write_layer(tmp_path / "zones.gpkg", boxes, {"name": ["edge", "edge", "middle"]}, to_epsg=4326)
    found = by_zone(measured(path, zones, "name"))
    assert found["edge"] == {"maize": 100, "rice": 100} and found["middle"] == {"maize": 100, "rice": 100}
    assert "(in no zone)" not in found
    alone = by_zone(measured(path, zones))
    assert list(alone) == ["(whole map)", "1", "2", "3"]


def test_degrees_are_measured_on_the_ellipsoid(tmp_path):
    """The same box of one degree at the equator and at 60 degrees: 12,309 km2 and 6,180 km2 (WGS 84)."""
    array = np.ones((610, 10), np.uint8)
    transform = (10.0, 0.1, 0.0, 60.5, 0.0, -0.1)
    path = data.write_map(tmp_path / "map.tif", array, epsg=4326, transform=transform)
    boxes = [data.box(600, 0, 10, 10, transform), data.box(0, 0, 10, 10, transform)]
    zones = data.write_layer(tmp_path / "zones.gpkg", boxes, {"at": ["equator", "sixty"]}, epsg=4326)
    areas = measured(path, zones, "at")
    hectares = {zone.name: zone.values[1].hectares for zone in areas.zones}
    for name, wkt in zip(("equator", "sixty"), boxes, strict=True):
        ring = ogr.CreateGeometryFromWkt(wkt)
        ring.Segmentize(0.01)
        from landloom.model.base.raster import spatial_reference
        from osgeo import osr

        ring.Transform(osr.CoordinateTransformation(spatial_reference("EPSG:4326"), spatial_reference("EPSG:6933")))
        assert hectares[name] == pytest.approx(ring.GetArea() / 10_000, rel=1e-6)
    assert areas.kind == "ellipsoid" and hectares["sixty"] < 0.51 * hectares["equator"]


def test_web_mercator_is_corrected_and_says_so(tmp_path):
    transform = (0.0, 100.0, 0.0, 8_400_000.0, 0.0, -100.0)  # 60 degrees north
    path = data.write_map(tmp_path / "map.tif", np.ones((20, 20), np.uint8), epsg=3857, transform=transform)
    areas = measured(path)
    assert areas.whole.hectares == pytest.approx(400 * 1.0 * 0.2507, rel=0.01)
    assert "projection changes areas" in areas.warnings[0]


def probability_sample(tmp_path, array, n=60):
    random = np.random.default_rng(2)
    rows, columns = np.divmod(random.choice(array.size, n, replace=False), array.shape[1])
    truth = np.where(random.random(n) < 0.8, array[rows, columns], 3 - array[rows, columns])
    points = [data.point(r, c) for r, c in zip(rows, columns, strict=True)]
    return data.write_layer(tmp_path / "points.gpkg", points, {"class": [int(t) for t in truth]})


def test_with_an_assessment_the_whole_map_has_estimates(tmp_path):
    array = np.random.default_rng(1).choice([1, 2], (30, 30), p=[0.7, 0.3]).astype(np.uint8)
    path = data.write_map(tmp_path / "map.tif", array, {1: "maize", 2: "rice"})
    content = assessment_json(data.judged(path, probability_sample(tmp_path, array), design="random"))
    zones = data.write_layer(tmp_path / "zones.gpkg", [data.box(0, 0, 30, 12)], {"name": ["west"]})
    areas = measured(path, zones, "name")
    join_assessment(areas, content, "a.json")
    rows = [dict(zip(HEADER, row, strict=True)) for row in table_rows(areas)]
    whole = [row for row in rows if row["zone"] == "(whole map)"]
    for row, found in zip(whole, content["whole_map"]["area_hectares"], strict=True):
        assert row["estimated_hectares"] == pytest.approx(found["value"], abs=1e-4)
        assert row["low_hectares"] < row["estimated_hectares"] < row["high_hectares"]
        assert row["basis"] == "pixel count and estimate"
    assert sum(row["estimated_hectares"] for row in whole) == pytest.approx(9.0)
    assert all(row["estimated_hectares"] is None for row in rows if row["zone"] != "(whole map)")


def test_an_assessment_by_purpose_gives_none_and_says_so(tmp_path):
    array = np.random.default_rng(1).choice([1, 2], (30, 30)).astype(np.uint8)
    path = data.write_map(tmp_path / "map.tif", array)
    content = assessment_json(data.judged(path, probability_sample(tmp_path, array), design="purposive"))
    areas = measured(path)
    join_assessment(areas, content, "a.json")
    assert "chosen by purpose" in areas.warnings[-1]
    assert all(row[7] is None for row in table_rows(areas))


@pytest.mark.parametrize("suffix", [".csv", ".ods", ".xlsx"])
def test_tables_hold_the_same_in_each_format(tmp_path, suffix):
    rows = [["été, <b>", 1, 0.25, None], ["x", 2, 1e9 + 0.5, None]]
    path = tmp_path / f"table{suffix}"
    write_rows(path, ["name", "n", "ha", "empty"], rows)
    if suffix == ".csv":
        with path.open(encoding="utf-8", newline="") as stream:
            found = list(csv.reader(stream))[1:]
    else:
        dataset = ogr.Open(str(path))
        layer = dataset.GetLayer(0)
        found = [[feature.GetField(i) for i in range(4)] for feature in layer]
        assert [layer.GetLayerDefn().GetFieldDefn(i).GetTypeName() for i in (1, 2)] == ["Integer", "Real"]
    assert [row[0] for row in found] == ["été, <b>", "x"]
    assert [float(row[2]) for row in found] == [0.25, 1e9 + 0.5]


def test_refuses(tmp_path):
    path = data.write_map(tmp_path / "map.tif", np.ones((5, 5), np.uint8))
    far = data.write_layer(tmp_path / "far.gpkg", [data.box(5000, 0, 5, 5)], {"name": ["x"]})
    lines = data.write_layer(tmp_path / "lines.gpkg", ["LINESTRING (500000 8000000, 500010 8000000)"], {"name": ["x"]})
    other = {"map": {"path": "other.tif", "pixels": {"1": 3}}, "classes": [], "whole_map": None}
    for work, message in (
        (lambda: measured(path, far, "name"), "None of the 1 zones .* lies on the map"),
        (lambda: measured(path, lines, "name"), "give polygons"),
        (lambda: measured(path, far, "nome"), "ZONE_FIELD is 'nome'"),
        (lambda: measured(path, tmp_path / "none.gpkg"), "do not exist"),
        (lambda: join_assessment(measured(path), other, "a.json"), r"is of another map \(other.tif\)"),
        (lambda: write_rows(tmp_path / "t.doc", ["a"], []), "unknown format"),
    ):
        with pytest.raises(LandloomError, match=message):
            work()


def test_cancelling_stops(tmp_path):
    class Stopped(Progress):
        def is_cancelled(self):
            return True

    path = data.write_map(tmp_path / "map.tif", np.ones((5, 5), np.uint8))
    with pytest.raises(Cancelled):
        measured(path, progress=Stopped())
