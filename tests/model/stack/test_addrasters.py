"""Any rasters to a stack: dates, band names, resolutions, masks, units, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from landloom.model.base.errors import LandloomError
from landloom.model.base.progress import Progress
from landloom.model.base.raster import spatial_reference, write_raster
from landloom.model.stack.addrasters import RasterSeries, add_rasters
from landloom.model.stack.bandnames import common_name_parts, tidy_band
from landloom.model.stack.grid import Window
from landloom.model.stack.manifest import Stack
from landloom.model.stack.reader import StackReader
from osgeo import gdal

CRS = spatial_reference("EPSG:32738").ExportToWkt()
FULL = Window(0, 0, 12, 10)


class Log(Progress):
    def __init__(self):
        self.lines = []

    def info(self, message):
        self.lines.append(message)

    warning = info


@pytest.fixture
def write(tmp_path):
    """Write a raster of 12 x 10 pixels of 10 m (or 6 x 5 of 20 m ...) and give its path."""

    def write(name, array, names=None, nodata=None, size=None, x=500000.0, y=8000000.0, crs=CRS):
        array = np.asarray(array)
        array = array if array.ndim == 3 else array[None]
        size = size or 120.0 / array.shape[2]
        return str(
            write_raster(tmp_path / "donnés" / name, array, (x, size, 0, y, 0, -size), crs, nodata=nodata, names=names)
        )

    return write


def add(tmp_path, sensor, kind, rasters, stack=None, log=None, out="stack.json", **more):
    return add_rasters(RasterSeries(sensor, kind, rasters, **more), tmp_path / out, stack, log)


def read(stack, window=FULL):
    with StackReader(stack.path) as reader:
        return reader.read(window), reader.specs


def values(seed, bands=2, height=10, width=12):
    return np.random.default_rng(seed).integers(500, 4000, (bands, height, width)).astype(np.int16)


def test_dates_in_names_bands_in_descriptions(tmp_path, write):
    a, b = values(1), values(2)
    rasters = [write("S2_20210203_x.tif", b, ["B04", "B08"]), write("S2_2021-01-03_x.tif", a, ["B04", "B08"])]
    log = Log()
    series, specs = read(add(tmp_path, "s2", "optical", rasters, log=log))
    assert specs["S2"].dates == ("2021-01-03", "2021-02-03") and specs["S2"].bands == ("B4", "B8")
    assert specs["S2"].scale == 1e-4 and any("SCALE taken as 0.0001" in line for line in log.lines)
    np.testing.assert_array_equal(series["S2"].values[0], [a, b])
    assert list(series["S2"].days) == [2, 33]


def test_a_file_a_band_and_bands_from_names(tmp_path, write):
    a = values(1)
    rasters = [write("X_20210103_B4.tif", a[0]), write("X_20210103_B8.tif", a[1])]
    rasters += [write("X_20210113_B8.tif", a[1]), write("X_20210113_B4.tif", a[0])]
    series, specs = read(add(tmp_path, "S2", "optical", rasters))
    assert specs["S2"].bands == ("B4", "B8")
    np.testing.assert_array_equal(series["S2"].values[0], [a, a])


def test_one_file_of_many_dates_by_descriptions_or_by_dates(tmp_path, write):
    a = values(3, bands=4)
    described = write("all.tif", a, ["20210103_B4", "20210103_B8", "20210113_B4", "20210113_B8"])
    series, specs = read(add(tmp_path, "S2", "optical", [described]))
    assert specs["S2"].bands == ("B4", "B8") and specs["S2"].dates == ("2021-01-03", "2021-01-13")
    np.testing.assert_array_equal(series["S2"].values[0], a.reshape(2, 2, 10, 12))
    plain = write("plain.tif", a)
    more = dict(dates="2021-01-03, 20210113", bands="B4,B8")
    again, _ = read(add(tmp_path, "S2", "optical", [plain], out="b.json", **more))
    np.testing.assert_array_equal(again["S2"].values, series["S2"].values)
    (tmp_path / "dates.txt").write_text("2021-01-03\n2021-01-13\n")
    more = dict(dates=str(tmp_path / "dates.txt"), bands="B4,B8")
    assert read(add(tmp_path, "S2", "optical", [plain], out="c.json", **more))[1]["S2"].days == (2, 12)


def test_two_resolutions_become_one_sensor(tmp_path, write):
    ten, twenty = values(1), values(2, 2, 5, 6)
    ten[0, 0, 0] = 0
    first = add(tmp_path, "S2", "optical", [write("a_20210103.tif", ten, ["B04", "B08"], 0)])
    later = [
        write("b_20210103.tif", twenty, ["B05", "B11"], 0),
        write("b_20210203.tif", twenty, ["B05", "B11"], 0),
    ]
    log = Log()
    stack = add(tmp_path, "S2", "optical", later, first.path, log)
    assert stack.grid == first.grid and stack.sensors["S2"].bands == ("B4", "B5", "B8", "B11")
    assert stack.spec("S2").dates == ("2021-01-03",)
    assert any("2021-02-03" in line and "B4, B8" in line for line in log.lines)
    series, _ = read(stack)
    source = gdal.Open(later[0])
    expected = gdal.Warp("", source, format="MEM", xRes=10, yRes=10, resampleAlg="bilinear").ReadAsArray()
    valid = series["S2"].mask[0, 0]
    assert valid.sum() == 119 and not valid[0, 0]
    np.testing.assert_array_equal(series["S2"].values[0, 0][[1, 3]][:, valid], expected[:, valid])
    with pytest.raises(LandloomError, match=r"already has B11, B5 on 2021-01-03"):
        add(tmp_path, "S2", "optical", later, stack.path)
    both = [write("a_20210103.tif", ten, ["B04", "B08"], 0), later[0]]
    together, _ = read(add(tmp_path, "S2", "optical", both, out="c.json"))
    np.testing.assert_array_equal(together["S2"].values, series["S2"].values)


def test_masks_by_date_values_and_resolution(tmp_path, write):
    scl = np.full((5, 6), 4, np.uint8)
    scl[1, 2], scl[3, 3] = 9, 0
    rasters = [write(f"a_2021010{day}.tif", values(day), ["B4", "B8"]) for day in (3, 5)]
    masks = [write("scl_20210105.tif", scl)]
    log = Log()
    series, _ = read(add(tmp_path, "S2", "optical", rasters, masks=masks, invalid_values="0, 3,8;9", log=log))
    clear = ~np.isin(scl, [0, 9]).repeat(2, 0).repeat(2, 1)
    assert series["S2"].mask[0, 0].all() and any("used whole: 1 date (" in line for line in log.lines)
    np.testing.assert_array_equal(series["S2"].mask[0, 1], clear)
    series, _ = read(add(tmp_path, "S2", "optical", rasters, masks=masks, valid_values="4", out="b.json"))
    np.testing.assert_array_equal(series["S2"].mask[0, 1], clear)
    for_all = [write("mask.tif", (scl == 9).astype(np.uint8))]
    series, _ = read(add(tmp_path, "S2", "optical", rasters, masks=for_all, out="c.json"))
    assert (series["S2"].mask[0] == (scl != 9).repeat(2, 0).repeat(2, 1)).all()


def test_nan_infinite_and_no_data_never_count(tmp_path, write):
    a = np.random.default_rng(0).random((2, 10, 12)).astype(np.float32)
    a[0, 1, 1], a[1, 2, 2], a[0, 3, 3], a[0, 4, 4] = np.nan, np.inf, -np.inf, -9999
    series, specs = read(add(tmp_path, "PLANET", "optical", [write("p_20210103.tif", a)], nodata=-9999.0))
    assert specs["PLANET"].scale == 1 and specs["PLANET"].bands == ("band_1", "band_2")
    mask = np.ones((10, 12), bool)
    for pixel in range(1, 5):
        mask[pixel, pixel] = False
    np.testing.assert_array_equal(series["PLANET"].mask[0, 0], mask)
    assert np.isfinite(series["PLANET"].values).all()


def test_files_with_different_no_data_become_one_series(tmp_path, write):
    a, b = values(1, 1), values(2, 1)
    a[0, 0, 0], b[0, 1, 1] = -999, 0
    rasters = [write("a_20210103.tif", a, ["B4"], -999), write("a_20210113.tif", b, ["B4"], 0)]
    series, _ = read(add(tmp_path, "S2", "optical", rasters))
    assert np.argwhere(~series["S2"].mask[0]).tolist() == [[0, 0, 0], [1, 1, 1]]


@pytest.mark.parametrize(
    ("make", "unit"),
    [(lambda p: 10 * np.log10(p), "db"), (lambda p: p, "power"), (np.sqrt, "amplitude")],
)
def test_the_radar_unit_is_deduced_and_said(tmp_path, write, make, unit):
    power = np.random.default_rng(0).gamma(4, [[[0.02]], [[0.005]]], (2, 10, 12))
    raster = write("s1_20210103.tif", make(power).astype(np.float32), ["VV_x", "Sigma0_VH"])
    log = Log()
    stack = add(tmp_path, "S1_ASC", "radar", [raster], log=log)
    assert stack.sensors["S1_ASC"].unit == unit and stack.sensors["S1_ASC"].bands == ("VV", "VH")
    assert any(f"taken as {unit}" in line for line in log.lines)
    given = add(tmp_path, "S1_ASC", "radar", [raster], radar_unit="power", out="b.json")
    assert given.sensors["S1_ASC"].unit == "power"


@pytest.mark.parametrize("unit", ["db", "amplitude"])
def test_radar_is_resampled_in_power(tmp_path, write, unit):
    power = np.random.default_rng(0).gamma(2, 0.05, (1, 5, 6)).astype(np.float32)
    power[0, 2, 2] = np.nan
    raw = 10 * np.log10(power) if unit == "db" else np.sqrt(power)
    first = add(tmp_path, "S2", "optical", [write("a_20210103.tif", values(1), ["B4", "B8"])])
    stack = add(tmp_path, "S1", "radar", [write("s1_20210104.tif", raw, ["VV"])], first.path, radar_unit=unit)
    assert stack.sensors["S1"].unit == "power"
    linear = gdal.Open(write("power.tif", power, nodata=np.nan))
    expected = gdal.Warp("", linear, format="MEM", xRes=10, yRes=10, resampleAlg="bilinear").ReadAsArray()
    series, _ = read(stack)
    mask = series["S1"].mask[0, 0]
    assert mask.sum() > 100
    np.testing.assert_allclose(series["S1"].values[0, 0, 0][mask], expected[mask], rtol=1e-4)
    later = write("s1_20210204.tif", raw, ["VV"])
    longer = add(tmp_path, "S1", "radar", [later], stack.path, radar_unit=unit)
    series, _ = read(longer)
    np.testing.assert_array_equal(series["S1"].values[0, 0], series["S1"].values[0, 1])


def test_static_layers_have_one_date_and_day_zero(tmp_path, write):
    stack = add(tmp_path, "STATIC", "static", [write("dem.tif", values(1, 1)), write("slope.tif", values(2, 1))])
    assert stack.sensors["STATIC"].bands == ("dem", "slope") and stack.spec("STATIC").dates == ("",)
    series, _ = read(stack)
    assert series["STATIC"].values.shape == (1, 1, 2, 10, 12) and list(series["STATIC"].days) == [0]


def test_one_origin_of_days_for_all_sensors(tmp_path, write):
    first = add(tmp_path, "A", "optical", [write(f"a_{day}.tif", values(1)) for day in ("20201228", "20211001")])
    assert first.campaign_year == 2021 and first.spec("A").days == (-4, 273)
    stack = add(tmp_path, "B", "optical", [write("b_20210103.tif", values(2))], first.path)
    assert stack.spec("B").days == (2,)
    moved = add(
        tmp_path, "C", "optical", [write("c_20210103.tif", values(2))], stack.path, season_start="10-01",
        campaign_year=2020,
    )  # fmt: skip
    assert moved.spec("A").days == (88, 365) and moved.spec("C").days == (94,)


def test_a_new_grid_by_crs_and_resolution(tmp_path, write):
    rasters = [write("a_20210103.tif", values(1)), write("a_20210113.tif", values(1, 2, 5, 6))]
    stack = add(tmp_path, "A", "optical", rasters, crs="EPSG:32739", resolution=15.0)
    assert stack.grid.resolution == (15.0, 15.0)
    coarse = add(tmp_path, "A", "optical", rasters, resolution=20.0, out="b.json")
    assert (coarse.grid.width, coarse.grid.height) == (6, 5)
    with pytest.raises(LandloomError, match="RESOLUTION"):
        add(tmp_path, "A", "optical", rasters, resolution=-1.0)


def test_whole_numbers_without_no_data_get_one_when_warped(tmp_path, write):
    raster = write("a_20210103.tif", values(1).astype(np.uint8) + 1, ["B4", "B8"])
    stack = add(tmp_path, "A", "optical", [raster], crs="EPSG:32739", scale=1.0)
    mask = read(stack, stack.grid.whole)[0]["A"].mask
    assert 60 < mask.sum() < mask.size


def refusals(write):
    good = write("a_20210103.tif", values(1), ["B4", "B8"])
    other = write("b_20210113.tif", values(1), ["B4", "B8"])
    noise = write("n_20210103.tif", values(1, 40))
    with open(noise, "rb+") as file:
        file.truncate(5000)
    return {
        "missing": (dict(rasters=["/nowhere/x_20210103.tif"]), "does not exist"),
        "truncated": (dict(rasters=[noise]), r"n_20210103\.tif"),
        "no date": (dict(rasters=[write("x.tif", values(1))]), "No date"),
        "impossible date": (dict(rasters=[write("x_20211345.tif", values(1))]), "No date"),
        "no crs": (dict(rasters=[write("c_20210103.tif", values(1), crs="")]), "has no CRS"),
        "no overlap": (dict(rasters=[good, write("f_20210113.tif", values(1), x=600000.0)]), "does not overlap"),
        "too few dates": (dict(rasters=[good, other], dates="20210103"), "DATES lists 1 dates for 2 rasters"),
        "dates for bands": (dict(rasters=[good], dates="20210103,20210104,20210105"), "no multiple"),
        "no such date": (dict(rasters=[good], dates="2021-02-30"), "not a date"),
        "band names": (dict(rasters=[good], bands="B4"), "BANDS lists 1 names"),
        "same band": (dict(rasters=[good, write("d_20210103.tif", values(1), ["B4", "B9"])]), "B4 of S2 comes twice"),
        "kind": (dict(rasters=[good], kind="lidar"), "KIND"),
        "unit": (dict(rasters=[good], kind="radar", radar_unit="volt"), "RADAR_UNIT"),
        "name": (dict(rasters=[good], sensor="S 2"), "SENSOR"),
        "both": (dict(rasters=[good], masks=[other], invalid_values="1", valid_values="2"), "not both"),
        "no masks": (dict(rasters=[good], invalid_values="1"), "MASKS is empty"),
        "numbers": (dict(rasters=[good], masks=[good], invalid_values="a"), "INVALID_VALUES"),
        "mask dates": (dict(rasters=[good], masks=[other]), "No mask has a date"),
        "nothing": (dict(rasters=[]), "RASTERS is empty"),
        "season": (dict(rasters=[good], season_start="13-01"), "SEASON_START"),
        "scale": (dict(rasters=[good], scale=0.0), "SCALE is 0"),
    }


@pytest.mark.parametrize(
    "case",
    [
        "missing",
        "truncated",
        "no date",
        "impossible date",
        "no crs",
        "no overlap",
        "too few dates",
        "dates for bands",
        "no such date",
        "band names",
        "same band",
        "kind",
        "unit",
        "name",
        "both",
        "no masks",
        "numbers",
        "mask dates",
        "nothing",
        "season",
        "scale",
    ],
)
def test_bad_input_is_one_clear_sentence_and_nothing_is_written(tmp_path, write, case):
    more, message = refusals(write)[case]
    with pytest.raises(LandloomError, match=message) as error:
        add(tmp_path / "out", **{"sensor": "S2", "kind": "optical", **more})
    assert "\n" not in str(error.value)
    assert not (tmp_path / "out").exists() or not list((tmp_path / "out").iterdir())


def test_what_does_not_fit_the_stack_is_refused(tmp_path, write):
    first = add(tmp_path, "S2", "optical", [write("a_20210103.tif", values(1), ["B4", "B8"])])
    content = first.path.read_text("utf-8")
    later = write("a_20210203.tif", values(1), ["B4", "B8"])
    for more, message in (
        (dict(kind="radar"), "optical, not radar"),
        (dict(kind="optical", scale=0.5), "scale of sensor S2"),
    ):
        with pytest.raises(LandloomError, match=message):
            add(tmp_path, "S2", rasters=[later], stack=first.path, **more)
    with pytest.raises(LandloomError, match="does not overlap"):
        add(tmp_path, "S2", "optical", [write("z_20210203.tif", values(1), x=900000.0)], first.path)
    with pytest.raises(LandloomError, match="does not exist"):
        add(tmp_path, "S2", "optical", [later], tmp_path / "none.json")
    assert first.path.read_text("utf-8") == content and Stack.read(first.path) == first


def test_an_output_that_cannot_be_written(tmp_path, write):
    (tmp_path / "file").write_text("x")
    with pytest.raises(LandloomError, match="Cannot write"):
        add(tmp_path, "S2", "optical", [write("a_20210103.tif", values(1))], out="file/stack.json")


def test_band_names():
    assert [tidy_band(name, "S2", "optical") for name in ("B02", "b8a", "B11", "B12_20m", "NDVI")] == [
        "B2",
        "B8A",
        "B11",
        "B12",
        "NDVI",
    ]
    assert [tidy_band(name, "S1_ASC", "radar") for name in ("vv", "VH_dB", "Sigma0_VV", "VV_VH", "angle")] == [
        "VV",
        "VH",
        "VV",
        "VV_VH",
        "angle",
    ]
    assert tidy_band("B02", "L8", "optical") == "B02"
    assert common_name_parts([]) == []


def glob(folder):
    return sorted(str(path) for path in folder.glob("*.tif"))


def test_real_flanders(shared_data, tmp_path):
    """10 m and 20 m bands, Sen2Cor classes and radar in dB of a real year, compared with the files by hand."""
    data = shared_data / "flanders2018"
    masks = dict(masks=glob(data / "S2_SCL"), invalid_values="0,1,3,8,9,10")
    ten, twenty = glob(data / "S2_10m")[30:60], glob(data / "S2_20m")[30:60]
    stack = add(tmp_path, "S2", "optical", ten, **masks)
    stack = add(tmp_path, "S2", "optical", twenty, stack.path, **masks)
    stack = add(tmp_path, "S1", "radar", glob(data / "S1")[40:60], stack.path)
    assert (len(stack.spec("S2").dates), stack.sensors["S2"].unit, stack.sensors["S1"].unit) == (
        30,
        "reflectance",
        "power",
    )
    assert len(stack.sensors["S2"].acquisitions[0].parts[0].masks) == 1
    series, specs = read(stack, Window(0, 0, 64, 64))
    for index in range(0, 30, 7):
        date = specs["S2"].dates[index].replace("-", "")
        fine = gdal.Open(str(data / "S2_10m" / f"S2_{date}_10m.tif")).ReadAsArray()
        coarse = gdal.Warp(
            "", str(data / "S2_20m" / f"S2_{date}_20m.tif"), format="MEM", xRes=10, yRes=10, resampleAlg="bilinear"
        ).ReadAsArray()
        scl = gdal.Open(str(data / "S2_SCL" / f"S2_{date}_SCL.tif")).ReadAsArray().repeat(2, 0).repeat(2, 1)
        valid = ~np.isin(scl, [0, 1, 3, 8, 9, 10]) & (fine > 0).all(0) & (coarse > 0).all(0)
        np.testing.assert_array_equal(series["S2"].mask[0, index], valid)
        bands = series["S2"].values[0, index]
        np.testing.assert_array_equal(bands[[0, 1, 2, 6]][:, valid], fine[:, valid])
        np.testing.assert_array_equal(bands[[3, 4, 5, 7, 8, 9]][:, valid], coarse[:, valid])


@pytest.mark.parametrize("name", ["tanzania2021", "belgium2021"])
def test_other_real_series(shared_data, tmp_path, name):
    data = shared_data / name
    optical = glob(data / "S2_20m")[:20] or glob(data / "S2")
    stack = add(tmp_path, "S2", "optical", optical)
    stack = add(tmp_path, "S1_ASC", "radar", glob(data / "S1"), stack.path)
    series, specs = read(stack, stack.grid.whole)
    assert specs["S1_ASC"].unit == "db"  # one grid, nothing resampled
    raw = gdal.Open(glob(data / "S1")[3]).ReadAsArray()
    np.testing.assert_array_equal(series["S1_ASC"].values[0, 3], np.nan_to_num(raw, nan=0, neginf=0))
    raw = np.stack([gdal.Open(path).ReadAsArray() for path in optical])
    np.testing.assert_array_equal(series["S2"].mask[0], (raw != 0).all(1))
