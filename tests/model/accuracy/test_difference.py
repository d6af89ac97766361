"""Protects the difference of two maps: equal to a cross table, whatever grid, codes, mask or zones they come with."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from landloom.model.accuracy.difference import (
    CLASS_HEADER,
    DifferenceSettings,
    class_rows,
    difference,
    honest_sentence,
    table_rows,
)
from landloom.model.accuracy.differenceclasses import Legend, changes, match_classes
from landloom.model.accuracy.differencereport import write_report
from landloom.model.accuracy.mappair import MapPair
from landloom.model.accuracy.mapreading import CategoricalMap
from landloom.model.base.errors import Cancelled, LandloomError
from landloom.model.base.legend import legend_of
from landloom.model.base.nomenclature import LandCoverClass, Nomenclature
from landloom.model.base.progress import Progress
from landloom.model.base.raster import open_raster, read_array, spatial_reference
from osgeo import gdal

sys.path.insert(0, str(Path(__file__).parent))
import accuracy_data as data

NAMES = {1: "maize", 2: "fallow", 3: "water"}
LEVELS = Nomenclature(
    (
        LandCoverClass(1, "maize", "#ffff00", ("cropland",)),
        LandCoverClass(2, "fallow", "#d9c7a0", ("cropland",)),
        LandCoverClass(3, "water", "#2a6fbb", ("water",)),
    )
)


def two_maps(folder, before, after, names=NAMES, after_names=None, **options):
    first = data.write_map(folder / "before.tif", np.asarray(before, np.uint8), names, nodata=0)
    second = data.write_map(folder / "after.tif", np.asarray(after, np.uint8), after_names or names, 0, **options)
    return first, second


def run(first, second, output, settings=None, mask=None, bounds=None, progress=None):
    pair = MapPair(CategoricalMap(first, "BEFORE"), CategoricalMap(second, "AFTER"), bounds)
    return difference(pair, output, settings or DifferenceSettings(), mask, progress)


def random_maps(seed, shape=(70, 90)):
    random = np.random.default_rng(seed)
    before = random.integers(0, 4, shape)
    return before, np.where(random.random(shape) < 0.7, before, random.integers(0, 4, shape))


def test_worked_by_hand(tmp_path):
    first, second = two_maps(tmp_path, [[1, 1, 2, 0], [3, 3, 2, 1]], [[1, 2, 2, 1], [3, 1, 1, 0]])
    found = run(first, second, tmp_path / "d.tif")
    assert read_array(open_raster(tmp_path / "d.tif"))[0].tolist() == [[101, 102, 202, 0], [303, 301, 201, 0]]
    assert [one.name for one in found.classes] == ["maize", "fallow", "water"]
    rows = {(row[1], row[2]): row for row in table_rows(found)}
    # Pixels of 10 m: 0.01 ha each; six of eight have a class in both maps.
    assert rows["maize", "fallow"][3:] == [1, 2, 102, 1, 0.01, pytest.approx(100 / 6, abs=1e-4)]
    assert found.no_data.pixels == 2 and found.whole.changed.pixels == 3
    classes = {row[1]: dict(zip(CLASS_HEADER, row, strict=True)) for row in class_rows(found)}
    assert classes["maize"] == {
        "zone": "(whole map)",
        "class": "maize",
        "before_pixels": 2,
        "after_pixels": 3,
        "before_hectares": 0.02,
        "after_hectares": 0.03,
        "unchanged_hectares": 0.01,
        "lost_hectares": 0.01,
        "gained_hectares": 0.02,
        "net_hectares": 0.01,
        "net_percent": 50.0,
    }


@given(st.integers(0, 10_000), st.integers(1, 4), st.sampled_from([1, 128]))
def test_equal_to_a_cross_table(tmp_path_factory, seed, classes, memory):
    folder = tmp_path_factory.mktemp("cross")
    random = np.random.default_rng(seed)
    shape = tuple(random.integers(1, 40, 2))
    before, after = random.integers(0, classes + 1, shape), random.integers(0, classes + 1, shape)
    first, second = two_maps(folder, before, after)
    known = (before > 0) & (after > 0)
    if not known.any():
        with pytest.raises(LandloomError, match="no pixel where both"):
            run(first, second, folder / "d.tif")
        return
    found = run(first, second, folder / "d.tif", DifferenceSettings(memory_mb=memory))
    table = {(row[3], row[4]): row[6] for row in table_rows(found)}
    expected = np.zeros((5, 5), int)
    np.add.at(expected, (before[known], after[known]), 1)
    assert table == {(i, j): expected[i, j] for i, j in np.argwhere(expected)}
    written = read_array(open_raster(folder / "d.tif"))[0]
    assert (written == np.where(known, 100 * before + after, 0)).all()
    # What classes lose others gain, and the whole stays the whole.
    rows = list(class_rows(found))
    assert sum(row[9] for row in rows) == pytest.approx(0, abs=1e-9)
    assert sum(row[7] for row in rows) == pytest.approx(sum(row[8] for row in rows))
    assert sum(row[4] for row in rows) == pytest.approx(0.01 * known.sum())


def test_the_map_of_differences_explains_itself(tmp_path):
    first, second = two_maps(tmp_path, [[1, 1, 2]], [[1, 2, 2]])
    run(first, second, tmp_path / "d.tif", DifferenceSettings(LEVELS))
    names, colors = legend_of(open_raster(tmp_path / "d.tif"))
    assert names == {101: "maize (unchanged)", 102: "maize -> fallow", 202: "fallow (unchanged)"}
    # Pale where nothing changed: lighter in every channel than the class and than any change.
    light = {code: sum(int(color[i : i + 2], 16) for i in (1, 3, 5)) for code, color in colors.items()}
    assert light[101] > light[102] and light[202] > light[102]
    style = (tmp_path / "d.qml").read_text()
    assert style.index("maize -&gt; fallow") < style.index("maize (unchanged)")  # what changed comes first


def test_classes_are_matched_by_name_where_both_have_names(tmp_path):
    first, second = two_maps(
        tmp_path, [[1, 2, 3, 3]], [[5, 1, 3, 3]], after_names={1: "Fallow ", 3: "rice", 5: "MAIZE"}
    )
    found = run(first, second, tmp_path / "d.tif")
    assert {(row[1], row[2]) for row in table_rows(found)} == {
        ("maize", "maize"),
        ("fallow", "fallow"),
        ("water", "rice"),
    }
    assert found.whole.changed.pixels == 2
    assert any("Code 3 is 'water' in BEFORE and 'rice' in AFTER" in one for one in found.warnings)
    assert any("Only AFTER has these classes: rice" in one for one in found.warnings)
    assert read_array(open_raster(tmp_path / "d.tif"))[0].tolist() == [[105, 201, 303, 303]]


def test_without_names_codes_decide(tmp_path):
    first = data.write_map(tmp_path / "a.tif", np.array([[1, 2, 3]], np.uint8), NAMES, nodata=0)
    second = data.write_map(tmp_path / "b.tif", np.array([[1, 2, 2]], np.uint8), nodata=0)
    found = run(first, second, tmp_path / "d.tif")
    assert [(row[1], row[2]) for row in table_rows(found) if row[1] != row[2]] == [("water", "fallow")]
    assert not [one for one in found.warnings if "Code" in one]


def test_levels_join_classes(tmp_path):
    first, second = two_maps(tmp_path, [[1, 2, 3, 1]], [[2, 1, 3, 3]])
    found = run(first, second, tmp_path / "d.tif", DifferenceSettings(LEVELS, 1))
    assert [one.name for one in found.classes] == ["cropland", "water"]
    assert found.whole.changed.pixels == 1
    with pytest.raises(LandloomError, match=r"LEVEL is 1.*give the NOMENCLATURE"):
        run(first, second, tmp_path / "d.tif", DifferenceSettings(None, 1))
    with pytest.raises(LandloomError, match="LEVEL is 3"):
        run(first, second, tmp_path / "d.tif", DifferenceSettings(LEVELS, 3))


def test_large_codes_are_numbered_by_size_of_the_change(tmp_path):
    first = data.write_map(tmp_path / "a.tif", np.array([[300, 300, 300, 7, 7]], np.uint16), nodata=0)
    second = data.write_map(tmp_path / "b.tif", np.array([[7, 7, 300, 300, 7]], np.uint16), nodata=0)
    found = run(first, second, tmp_path / "d.tif")
    assert read_array(open_raster(tmp_path / "d.tif"))[0].tolist() == [[1, 1, 4, 2, 3]]
    assert {row[5]: (row[3], row[4]) for row in table_rows(found)} == {
        1: (300, 7),
        2: (7, 300),
        3: (7, 7),
        4: (300, 300),
    }


def test_more_pairs_than_codes_are_refused():
    values = list(range(1, 301))
    matched = match_classes(Legend({}, {}, values), Legend({}, {}, values))
    pairs = {(i, j): 1.0 for i in range(300) for j in range(300)}
    with pytest.raises(LandloomError, match="differ in 90000 ways"):
        changes(matched, pairs)
    legend, codes = changes(matched, dict(list(pairs.items())[:65535]))
    assert len(legend) == len(set(codes.values())) == 65535 and max(codes.values()) == 65535


def test_shifted_extents_compare_what_both_cover(tmp_path):
    before, after = random_maps(1)
    first, _ = two_maps(tmp_path, before, after)
    moved = (data.ORIGIN[0] + 200, 10.0, 0.0, data.ORIGIN[1] - 100, 0.0, -10.0)
    second = data.write_map(tmp_path / "moved.tif", after[10:60, 20:].astype(np.uint8), NAMES, 0, transform=moved)
    found = run(first, second, tmp_path / "d.tif")
    known = (before > 0) & (after > 0)
    expected = np.where(known, 100 * before + after, 0)[10:60, 20:]
    assert (read_array(open_raster(tmp_path / "d.tif"))[0] == expected).all()
    assert any("Only the part that both maps cover" in one for one in found.warnings)
    x, _, _, y, _, _ = open_raster(tmp_path / "d.tif").GetGeoTransform()
    assert (x, y) == (moved[0], moved[3])


@pytest.mark.parametrize("case", ["coarser", "other CRS"])
def test_other_pixels_are_read_at_the_centre_as_gdalwarp_does(tmp_path, case):
    before, after = random_maps(2, (60, 60))
    first = data.write_map(tmp_path / "before.tif", before.astype(np.uint8), NAMES, nodata=0)
    if case == "coarser":
        transform = (data.ORIGIN[0] - 35, 30.0, 0.0, data.ORIGIN[1] + 12, 0.0, -30.0)
        second = data.write_map(tmp_path / "after.tif", after[:20, :20].astype(np.uint8), NAMES, 0, transform=transform)
    else:
        same = data.write_map(tmp_path / "same.tif", after.astype(np.uint8), NAMES, nodata=0)
        second = tmp_path / "after.tif"
        gdal.Warp(str(second), str(same), dstSRS="EPSG:4326", resampleAlg="near", dstNodata=0)
    found = run(first, second, tmp_path / "d.tif", DifferenceSettings(memory_mb=1))
    written = open_raster(tmp_path / "d.tif")
    x, a, _, y, _, e = written.GetGeoTransform()
    bounds = (x, y + e * written.RasterYSize, x + a * written.RasterXSize, y)
    options = {"outputBounds": bounds, "width": written.RasterXSize, "height": written.RasterYSize}
    crs = spatial_reference("EPSG:32738").ExportToWkt()
    there = [
        gdal.Warp(
            "", str(path), format="MEM", dstSRS=crs, resampleAlg="near", errorThreshold=0, **options
        ).ReadAsArray()
        for path in (first, second)
    ]
    known = (there[0] > 0) & (there[1] > 0)
    assert known.sum() > 500
    codes = 100 * there[0].astype(int) + there[1]
    assert (read_array(written)[0] == np.where(known, codes, 0)).all()
    assert any("AFTER has another" in one for one in found.warnings)


def test_mask_and_extent_leave_the_rest_out(tmp_path):
    before, after = random_maps(3)
    first, second = two_maps(tmp_path, before, after)
    x, y = data.ORIGIN
    west, east, north, south = x + 100, x + 300, y - 100, y - 300
    ring = f"POLYGON(({west} {north},{east} {north},{east} {south},{west} {south},{west} {north}))"
    mask = data.write_layer(tmp_path / "mask.gpkg", [ring], {"name": ["a"]})
    whole = np.where((before > 0) & (after > 0), 100 * before + after, 0)
    run(first, second, tmp_path / "d.tif", mask=str(mask))
    expected = np.zeros_like(whole)
    expected[10:30, 10:30] = whole[10:30, 10:30]
    assert (read_array(open_raster(tmp_path / "d.tif"))[0] == expected).all()
    run(first, second, tmp_path / "e.tif", bounds=(x + 100, y - 300, x + 300, y - 100))
    assert (read_array(open_raster(tmp_path / "e.tif"))[0] == whole[10:30, 10:30]).all()
    assert sorted(one.name for one in tmp_path.glob("*.tif")) == ["after.tif", "before.tif", "d.tif", "e.tif"]
    with pytest.raises(LandloomError, match="EXTENT lies beside"):
        run(first, second, tmp_path / "f.tif", bounds=(0, 0, 10, 10))


def test_zones_add_up_to_the_whole(tmp_path):
    before, after = random_maps(4)
    first, second = two_maps(tmp_path, before, after)
    x, y = data.ORIGIN
    box = "POLYGON(({0} {2},{1} {2},{1} {3},{0} {3},{0} {2}))"
    shapes = [box.format(x, x + 400, y, y - 700), box.format(x + 400, x + 800, y, y - 700)]
    zones = data.write_layer(tmp_path / "zones.gpkg", shapes, {"name": ["west", "east"]}, to_epsg=32738)
    found = run(first, second, tmp_path / "d.tif", DifferenceSettings(zones=str(zones), zone_field="name"))
    assert [one.name for one in found.zones] == ["east", "west", "(in no zone)"]
    west = next(one for one in found.zones if one.name == "west")
    known = (before > 0) & (after > 0)
    assert west.pixels == known[:, :40].sum()
    assert west.changed.pixels == (known & (before != after))[:, :40].sum()
    assert sum(one.pixels for one in found.zones) == found.whole.pixels == known.sum()


@pytest.mark.parametrize("change", ["same", "apart", "output", "fractions", "bands"])
def test_refuses_in_one_sentence(tmp_path, change):
    first, second = two_maps(tmp_path, [[1, 2]], [[2, 2]])
    output, message = tmp_path / "d.tif", ""
    if change == "same":
        second, message = first, "are the same file"
    elif change == "apart":
        second = data.write_map(tmp_path / "x.tif", np.ones((2, 2), np.uint8), transform=(0.0, 10.0, 0, 0.0, 0, -10.0))
        message = "no pixel in common"
    elif change == "output":
        output, message = second, "OUTPUT .* is AFTER"
    elif change == "fractions":
        second, message = data.write_map(tmp_path / "x.tif", np.full((1, 2), 1.5, np.float32)), "AFTER .* fractions"
    else:
        second, message = data.write_map(tmp_path / "x.tif", np.ones((3, 1, 2), np.uint8)), "AFTER .* has 3 bands"
    with pytest.raises(LandloomError, match=message):
        run(first, second, output)
    assert not (tmp_path / "d.tif").exists()


def test_a_cancelled_run_leaves_nothing(tmp_path):
    first, second = two_maps(tmp_path, *random_maps(5, (600, 40)))

    class Stopping(Progress):
        asked = 0

        def is_cancelled(self):
            self.asked += 1
            return self.asked > 3

    with pytest.raises(Cancelled):
        run(first, second, tmp_path / "d.tif", DifferenceSettings(memory_mb=1), progress=Stopping())
    assert sorted(one.name for one in tmp_path.iterdir() if not one.name.endswith(".aux.xml")) == [
        "after.tif",
        "before.tif",
    ]


def test_the_page_is_honest_and_has_its_figures_beside_it(tmp_path):
    first, second = two_maps(tmp_path, *random_maps(6))
    found = run(first, second, tmp_path / "d.tif")
    write_report(found, {"BEFORE": str(first)}, tmp_path / "d.html")
    page = (tmp_path / "d.html").read_text(encoding="utf-8")
    assert "no estimate of the area that changed" in page and honest_sentence()[:40] in page
    assert "maize -&gt; fallow" in page and "before \\ after" in page
    facts = data.read_json(tmp_path / "d_report.json")
    assert facts["changed_pixels"] == found.whole.changed.pixels
    assert sum(one["pixels"] for one in facts["changes"]) == facts["compared_pixels"]
    assert (tmp_path / "d_changes.csv").exists() and (tmp_path / "d_classes.csv").exists()
