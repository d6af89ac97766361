"""Products to a stack: which are found, how parts, masks and grids come out, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from landloom.model.base.errors import Cancelled, LandloomError
from landloom.model.base.progress import Progress
from landloom.model.base.raster import spatial_reference
from landloom.model.stack.datesplot import dates_plot
from landloom.model.stack.grid import Window
from landloom.model.stack.measure import sample_windows
from landloom.model.stack.prepare import PrepareSettings, prepare_stack
from landloom.model.stack.reader import StackReader
from landloom.model.stack.report import gaps, write_report
from landloom.model.stack.validity import NO_DATE, longest_gap, write_validity
from osgeo import gdal, osr

FULL = Window(0, 0, 24, 24)


def prepare(folder, output, stack=None, **settings):
    return prepare_stack(folder, output, PrepareSettings(**settings), stack)


def read(path, window=FULL, **options):
    with StackReader(path, **options) as reader:
        return reader.read(window), reader.specs


@pytest.fixture
def archive(tmp_path, write_product):
    """Two Theia dates (one nested deeper), two radar directions, and files that are no dates."""
    folder = tmp_path / "mes données"
    cloud = np.zeros((12, 12), np.uint8)
    cloud[2:4, 3:5] = 2
    b2 = np.full((24, 24), 800, np.int16)
    b2[:, :4] = -10000
    write_product.theia(folder, "20210105", {"B2": b2}, cloud)
    write_product.theia(folder / "deep" / "er", "20210115", cloud=np.zeros((24, 24)))
    write_product.s1tiling(folder / "s1", "20210104")
    write_product.s1tiling(folder / "s1", "20210109", "DES", "152", "xxxxxx", vv=np.eye(24) * 0.2)
    write_product.raster(folder / "s1" / "LIA_s1a_38KPE_ASC_044.tif", np.ones((24, 24), np.float32), 10)
    (folder / "s1" / "s1a_38KPE_vv_ASC_044_20210104t025501_BorderMask.tif").write_bytes(b"x")
    return folder


def test_products_are_found_wherever_they_lie(archive, tmp_path):
    result = prepare(archive, tmp_path / "out" / "stack.json")
    series, specs = read(result.stack.path)
    assert list(specs) == ["S1_ASC", "S1_DES", "S2"]
    s2 = specs["S2"]
    assert s2.bands == ("B2", "B3", "B4", "B5", "B6", "B7", "B8", "B8A", "B11", "B12")
    assert (s2.dates, s2.days, s2.scale, s2.nodata) == (("2021-01-05", "2021-01-15"), (4, 14), 1e-4, -10000)
    mask = np.ones((24, 24), bool)
    mask[4:8, 6:10] = False  # the cloud, at 20 m
    mask[:, :4] = False  # no data, declared nowhere
    np.testing.assert_array_equal(series["S2"].mask[0, 0], mask)
    assert series["S2"].mask[0, 1].all()
    assert (series["S2"].values[0, 0, 0][mask] == 800).all()
    assert (series["S2"].values[0, 0, :, ~mask] == 0).all()
    assert specs["S1_ASC"].unit == "power" and specs["S1_ASC"].calibration == "sigma0"
    assert specs["S1_DES"].orbit == "DES 152"
    np.testing.assert_array_equal(series["S1_DES"].mask[0, 0], np.eye(24, dtype=bool))  # 0 is no data
    assert {line.name for line in result.lines if not line.used} == {
        "LIA_s1a_38KPE_ASC_044.tif",
        "s1a_38KPE_vv_ASC_044_20210104t025501_BorderMask.tif",
    }


def test_files_side_by_side_in_one_folder(tmp_path, write_product):
    cloud = np.zeros((24, 24))
    cloud[3, 4] = 1
    for date in ("20210105", "20210115"):
        write_product.theia(tmp_path / "in", date, cloud=cloud, flat=True)
    write_product.s1tiling(tmp_path / "in", "20210109")
    series, specs = read(prepare(tmp_path / "in", tmp_path / "stack.json").stack.path)
    assert list(specs) == ["S1_ASC", "S2"] and (~series["S2"].mask).sum() == 2


def test_each_acquisition_opens_by_itself(archive, tmp_path):
    stack = prepare(archive, tmp_path / "stack.json").stack
    assert {path.suffix for path in (tmp_path / "stack_vrt").iterdir()} == {".vrt"}
    for sensor in stack.sensors.values():
        for acquisition in sensor.acquisitions:
            dataset = gdal.Open(acquisition.parts[0].data)
            assert (dataset.RasterXSize, dataset.RasterYSize) == (24, 24)
            assert dataset.GetGeoTransform() == stack.grid.transform == (500000, 10, 0, 8000000, 0, -10)
            names = [dataset.GetRasterBand(n + 1).GetDescription() for n in range(dataset.RasterCount)]
            assert names == list(sensor.bands)


def test_a_moved_folder_still_reads(archive, tmp_path):
    prepare(archive, tmp_path / "stack.json")
    before, _ = read(tmp_path / "stack.json")
    moved = tmp_path.with_name(tmp_path.name + " déplacé")
    tmp_path.rename(moved)
    after, _ = read(moved / "stack.json")
    moved.rename(tmp_path)
    for name, series in before.items():
        np.testing.assert_array_equal(series.values, after[name].values)


def test_twenty_metre_bands_near_no_data_are_not_mixed_with_it(tmp_path, write_product):
    b11 = np.full((12, 12), 2000, np.int16)
    b11[:, :5] = -10000
    write_product.theia(tmp_path / "in", "20210105", {"B11": b11})
    series, specs = read(prepare(tmp_path / "in", tmp_path / "stack.json").stack.path)
    values = series["S2"].values[0, 0, specs["S2"].bands.index("B11")]
    assert set(np.unique(values)) <= {0, 2000}


def test_two_tiles_of_one_date_become_a_mosaic(tmp_path, write_product):
    other = dict(tile="T38KQE", corner=(500160.0, 8000000.0))
    cloud = np.ones((24, 24))
    cloud[:, :12] = 0
    write_product.theia(tmp_path / "in", "20210105", {"B2": np.full((24, 24), 1, np.int16)}, cloud)
    write_product.theia(tmp_path / "in", "20210105", {"B2": np.full((24, 24), 2, np.int16)}, **other)
    stack = prepare(tmp_path / "in", tmp_path / "stack.json").stack
    assert (stack.grid.width, stack.grid.height) == (40, 24)
    series, _ = read(stack.path, Window(0, 0, 40, 24))
    row = series["S2"].values[0, 0, 0, 5]
    mask = series["S2"].mask[0, 0, 5]
    assert (row[:12] == 1).all() and (row[16:] == 2).all()
    assert mask[:12].all() and not mask[12:16].any() and mask[16:].all()


def test_another_zone_is_warped_as_gdal_warps(tmp_path, write_product):
    rng = np.random.default_rng(0)
    values = {band: rng.integers(500, 3000, (24, 24)).astype(np.int16) for band in ("B2", "B3", "B4", "B8")}
    folder = write_product.theia(tmp_path / "in", "20210105", values)
    stack = prepare(tmp_path / "in", tmp_path / "stack.json", crs="EPSG:32739", resolution=10.0).stack
    grid = stack.grid
    source = next(folder.glob("*FRE_B3.tif"))
    xmin, ymin, xmax, ymax = grid.bounds
    expected = gdal.Warp(
        "", str(source), format="MEM", dstSRS="EPSG:32739", outputBounds=(xmin, ymin, xmax, ymax), width=grid.width,
        height=grid.height, resampleAlg="bilinear", errorThreshold=0, srcNodata=-10000, dstNodata=-10000,
    ).ReadAsArray()  # fmt: skip
    series, specs = read(stack.path, grid.whole)
    mask = series["S2"].mask[0, 0]
    assert 300 < mask.sum() < mask.size
    ours = series["S2"].values[0, 0, specs["S2"].bands.index("B3")]
    np.testing.assert_allclose(ours[mask], expected[mask], rtol=1e-3)


def test_tiles_of_two_zones_are_one_mosaic_with_corners_where_they_belong(tmp_path, write_product):
    """A bright pixel in a tile of zone 38 and one in a tile of zone 39, of one date: PROJ tells where they belong."""
    bright = {"B2": np.full((24, 24), 500, np.int16)}
    bright["B2"][6, 9] = 5000
    write_product.theia(tmp_path / "in", "20210105", bright, bands=("B2",))
    to39 = osr.CoordinateTransformation(spatial_reference("EPSG:32738"), spatial_reference("EPSG:32739"))
    east, north, _ = to39.TransformPoint(500240.0, 8000000.0)
    corner = (round(east, -1), round(north, -1))
    other = {"B2": np.full((24, 24), 700, np.int16)}
    other["B2"][12, 15] = 6000
    write_product.theia(tmp_path / "in", "20210105", other, bands=("B2",), epsg=32739, corner=corner, tile="T39KTV")
    result = prepare(tmp_path / "in", tmp_path / "stack.json", crs="EPSG:32738", resolution=10.0)
    grid = result.stack.grid
    assert (grid.transform[0] % 10, grid.transform[3] % 10) == (0, 0)
    series, _ = read(result.stack.path, grid.whole)
    values, mask = series["S2"].values[0, 0, 0], series["S2"].mask[0, 0]
    assert len(result.stack.sensors["S2"].acquisitions[0].parts) == 2 and mask.sum() > 2 * 24 * 24 - 150

    def place(x, y):
        return int((grid.transform[3] - y) // 10), int((x - grid.transform[0]) // 10)

    assert values[place(500095.0, 7999935.0)] == 5000  # as it lies: the middle of row 6, column 9
    back = osr.CoordinateTransformation(spatial_reference("EPSG:32739"), spatial_reference("EPSG:32738"))
    x, y, _ = back.TransformPoint(corner[0] + 155.0, corner[1] - 125.0)
    row, column = place(x, y)
    window = values[row - 4 : row + 5, column - 4 : column + 5]
    assert np.unravel_index(window.argmax(), window.shape) == (4, 4) and 2500 < window.max() < 6000
    weights = np.where(window > 800, window - 700.0, 0)  # bilinear keeps the centre of mass
    rows, columns = np.indices(window.shape)
    centre = grid.transform[3] - 10 * (row - 4 + (weights * rows).sum() / weights.sum() + 0.5)
    middle = grid.transform[0] + 10 * (column - 4 + (weights * columns).sum() / weights.sum() + 0.5)
    assert abs(middle - x) < 2 and abs(centre - y) < 2  # half a pixel would be 5 m


def test_extent_and_resolution_choose_the_grid(archive, tmp_path):
    extent = ((500043.0, 7999801.0, 500101.0, 7999953.0), "EPSG:32738")
    grid = prepare(archive, tmp_path / "a.json", extent=extent).stack.grid
    assert grid.bounds == (500040.0, 7999800.0, 500110.0, 7999960.0)
    grid = prepare(archive, tmp_path / "b.json", resolution=20.0).stack.grid
    assert (grid.resolution, grid.width, grid.height) == ((20.0, 20.0), 12, 12)
    with pytest.raises(LandloomError, match=r"EXTENT does not overlap the images: in their CRS it is .*, they cover "):
        prepare(archive, tmp_path / "c.json", extent=((0, 0, 10, 10), "EPSG:32738"))


def test_dates_are_chosen(archive, tmp_path):
    stack = prepare(archive, tmp_path / "a.json", start="20210106", sensors=("S2", "S1")).stack
    assert {name: sensor.spec.dates for name, sensor in stack.sensors.items()} == {
        "S1_DES": ("2021-01-09",),
        "S2": ("2021-01-15",),
    }
    stack = prepare(archive, tmp_path / "b.json", sensors=("S1_ASC",), season_start="10-01", campaign_year=2020).stack
    assert stack.sensors["S1_ASC"].spec.days == (95,)
    with pytest.raises(LandloomError, match="after END"):
        prepare(archive, tmp_path / "c.json", end="2020-12-31")
    with pytest.raises(LandloomError, match="not a date"):
        prepare(archive, tmp_path / "d.json", start="2021-13-31")
    with pytest.raises(LandloomError, match="SRE"):
        prepare(archive / "deep", tmp_path / "e.json", reflectance="SRE")
    assert not list(tmp_path.glob("[c-e]*"))


def test_cloudy_and_empty_dates_are_skipped_and_named(tmp_path, write_product):
    empty = {band: np.full((24, 24), -10000, np.int16) for band in ("B2", "B3", "B4", "B8")}
    half = np.zeros((24, 24))
    half[:15] = 1
    write_product.theia(tmp_path / "in", "20210105", cloud=np.zeros((24, 24)))
    write_product.theia(tmp_path / "in", "20210110", empty)
    write_product.theia(tmp_path / "in", "20210115", cloud=half)
    result = prepare(tmp_path / "in", tmp_path / "stack.json", max_cloud=60)
    assert result.stack.sensors["S2"].spec.dates == ("2021-01-05",)
    why = {line.date: line.why for line in result.lines if not line.used}
    assert why["2021-01-10"] == "wholly without data" and why["2021-01-15"].startswith("62 % masked")
    assert not list((tmp_path / "stack_vrt").glob("*20210110*"))
    with pytest.raises(LandloomError, match="wholly without data"):
        prepare(tmp_path / "in", tmp_path / "b.json", start="2021-01-06", max_cloud=60)


def test_a_mask_buffer_is_in_metres(tmp_path, write_product):
    cloud = np.zeros((24, 24))
    cloud[12, 12] = 1
    write_product.theia(tmp_path / "in", "20210105", cloud=cloud)
    path = prepare(tmp_path / "in", tmp_path / "stack.json", mask_buffer=30.0).stack.path
    mask = read(path)[0]["S2"].mask[0, 0]
    rows, columns = np.indices((24, 24))
    np.testing.assert_array_equal(mask, (rows - 12) ** 2 + (columns - 12) ** 2 > 9)
    with StackReader(path) as reader:  # the cloud lies outside this window, its buffer does not
        np.testing.assert_array_equal(reader.read(Window(13, 10, 5, 5))["S2"].mask[0, 0], mask[10:15, 13:18])


def test_newer_versions_copies_and_calibrations(tmp_path, write_product):
    folder = tmp_path / "in"
    for version, value in (("1-8", 1), ("2-2", 2), ("1-9", 3)):
        write_product.theia(folder, "20210105", {"B2": np.full((24, 24), value, np.int16)}, version=version)
    write_product.theia(folder / "copy", "20210105", version="2-2")
    for date in ("20210101", "20210107"):
        write_product.s1tiling(folder, date)
    write_product.s1tiling(folder, "20210113", tag="gamma")
    write_product.s1tiling(folder / "filtered", "20210101", variant="_filtered", vv=9.0)
    result = prepare(folder, tmp_path / "stack.json")
    series, specs = read(result.stack.path)
    assert series["S2"].values[0, 0, 0, 0, 0] in (2, 1000)
    assert specs["S1_ASC"].dates == ("2021-01-01", "2021-01-07") and series["S1_ASC"].values.max() < 1
    assert len([line for line in result.lines if not line.used]) == 5


def test_orbits_can_be_sensors(tmp_path, write_product):
    write_product.s1tiling(tmp_path / "in", "20210101", orbit="044")
    write_product.s1tiling(tmp_path / "in", "20210106", orbit="117")
    assert list(prepare(tmp_path / "in", tmp_path / "a.json").stack.sensors) == ["S1_ASC"]
    stack = prepare(tmp_path / "in", tmp_path / "b.json", orbits="orbit").stack
    assert list(stack.sensors) == ["S1_ASC_044", "S1_ASC_117"] == stack.choose(["S1"])


def test_a_stack_is_extended_on_its_own_grid(archive, tmp_path, write_product):
    first = prepare(archive, tmp_path / "a.json", sensors=("S2",)).stack
    write_product.theia(archive, "20210301")
    second = prepare(archive, tmp_path / "b.json", stack=first.path).stack
    assert second.grid == first.grid and second.campaign_year == 2021
    assert second.sensors["S2"].spec.dates == ("2021-01-05", "2021-01-15", "2021-03-01")
    again = prepare(archive / "s1", first.path, stack=first.path, start="2021-01-09").stack
    assert list(again.sensors) == ["S2", "S1_DES"] and read(first.path)[0]["S2"].mask.any()


@pytest.mark.parametrize("damage", ["truncated", "no crs", "empty file"])
def test_a_damaged_product_is_skipped_and_named(archive, tmp_path, write_product, damage):
    path = next(archive.rglob("*20210115*_FRE_B5.tif"))
    if damage == "truncated":
        noise = np.random.default_rng(0).integers(0, 9999, (12, 12)).astype(np.int16)
        write_product.raster(path, noise, 20)
        path.write_bytes(path.read_bytes()[:-40])
    elif damage == "no crs":
        dataset = gdal.Open(str(path))
        gdal.GetDriverByName("GTiff").Create(str(path), 12, 12, 1, gdal.GDT_Int16).FlushCache()
        del dataset
    else:
        path.write_bytes(b"")
    result = prepare(archive, tmp_path / "stack.json")
    assert result.stack.sensors["S2"].spec.dates == ("2021-01-05",)
    assert "B5.tif" in next(line.why for line in result.lines if line.date == "2021-01-15")
    with pytest.raises(LandloomError, match=r"B5\.tif"):  # nothing usable is left: then it is an error
        prepare(archive, tmp_path / "out" / "stack.json", start="2021-01-10")
    assert not (tmp_path / "out").exists() or not list((tmp_path / "out").iterdir())


def test_an_empty_folder_and_no_folder(tmp_path):
    with pytest.raises(LandloomError, match="Theia S2 L2A"):
        prepare(tmp_path, tmp_path / "stack.json")
    with pytest.raises(LandloomError, match="not a folder"):
        prepare(tmp_path / "none", tmp_path / "stack.json")


def test_cancel_leaves_nothing(archive, tmp_path):
    class Cancelling(Progress):
        calls = 0

        def is_cancelled(self):
            self.calls += 1
            return self.calls > self.limit

    for limit in (0, 3, 12, 15):
        cancelling = Cancelling()
        cancelling.limit = limit
        with pytest.raises(Cancelled):
            prepare_stack(archive, tmp_path / "o" / "stack.json", PrepareSettings(), None, cancelling)
        assert not (tmp_path / "o").exists() or not list((tmp_path / "o").iterdir())


def test_an_older_stack_stays_when_writing_fails(archive, tmp_path, monkeypatch):
    from landloom.model.stack import build

    path = prepare(archive, tmp_path / "stack.json").stack.path
    before = path.read_text("utf-8")

    def full(*_):
        raise LandloomError("Cannot write: disk full.")

    monkeypatch.setattr(build, "write_json", full)
    with pytest.raises(LandloomError, match="disk full"):
        prepare(archive, path, start="2021-01-10")
    assert path.read_text("utf-8") == before
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["mes données", "stack.json", "stack_vrt"]
    assert read(path)[0]["S2"].mask.any()


def test_report_and_rasters_of_validity(archive, tmp_path, write_product):
    write_product.theia(archive, "20210320", cloud=np.ones((24, 24)))
    write_product.theia(archive, "20210401")
    result = prepare(archive, tmp_path / "stack.json")
    write_report(result, tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text("utf-8")
    assert "LIA_s1a_38KPE_ASC_044.tif" in page and "76 d" in page and "<script" not in page
    assert [length for _, _, length in gaps(result.stack.sensors["S2"], result.lines)] == [10, 76]
    assert dates_plot([], [], {}) == ""
    write_validity(result.stack, tmp_path / "count.tif", tmp_path / "gap.tif")
    count, gap = gdal.Open(str(tmp_path / "count.tif")), gdal.Open(str(tmp_path / "gap.tif"))
    assert [count.GetRasterBand(n).GetDescription() for n in (1, 2, 3)] == ["S1_ASC", "S1_DES", "S2"]
    values = count.GetRasterBand(3).ReadAsArray()
    assert (values[0, 0], values[5, 7], values[20, 20]) == (2, 2, 3)
    assert gap.GetRasterBand(3).ReadAsArray()[20, 20] == 76
    assert gap.GetRasterBand(2).ReadAsArray()[0, 1] == NO_DATE


def test_the_longest_gap_by_hand():
    days = np.array([0, 10, 30, 70])
    mask = np.array([[1, 0, 0, 1], [0, 0, 1, 0], [1, 1, 1, 1], [0, 0, 0, 0]], bool).T[:, :, None]
    assert longest_gap(mask, days)[:, 0].tolist() == [70, 40, 40, NO_DATE]


def test_windows_for_shares_cover_small_grids_whole_and_large_ones_evenly(archive, tmp_path):
    from dataclasses import replace

    grid = prepare(archive, tmp_path / "stack.json").stack.grid
    assert sample_windows(grid) == [grid.whole]
    windows = sample_windows(replace(grid, width=10980, height=10980))
    assert len(windows) == 49 and max(one.column + one.width for one in windows) == 10980


def test_real_theia_products(shared_data, tmp_path):
    """Real products without declared no data: dates wholly without data are named, pixels equal the files'."""
    result = prepare(shared_data / "theia_vosges2018", tmp_path / "stack.json")
    spec = result.stack.spec("S2")
    assert spec.bands == ("B2", "B3", "B4", "B8A", "B11", "B12") and len(spec.dates) == 23
    skipped = {line.date: line.why for line in result.lines if not line.used}
    assert skipped == {"2018-04-11": "wholly without data", "2018-04-21": "wholly without data"}
    assert any("B5, B6, B7, B8" in message for message in result.warnings)
    series, _ = read(result.stack.path, Window(0, 0, 80, 80))
    for index, date in enumerate(spec.dates):
        folder = next((shared_data / "theia_vosges2018").glob(f"*_{date.replace('-', '')}-*"))
        b2 = gdal.Open(str(next(folder.glob("*_FRE_B2.tif")))).ReadAsArray()
        clouds = gdal.Open(str(next(folder.glob("MASKS/*_CLM_R2.tif")))).ReadAsArray().repeat(2, 0).repeat(2, 1)
        valid = (b2 != -10000) & (clouds == 0)
        np.testing.assert_array_equal(series["S2"].mask[0, index], valid)
        np.testing.assert_array_equal(series["S2"].values[0, index, 0], np.where(valid, b2, 0))
