"""Composites against numpy's own percentiles of the masked series."""

from __future__ import annotations

import itertools
import json
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from landloom.model.base.errors import Cancelled, LandloomError
from landloom.model.base.progress import Progress
from landloom.model.stack.composite import CompositeSettings, composite, percentile
from landloom.model.stack.indices import compute_index
from landloom.model.stack.periods import periods_of
from osgeo import gdal

DATES = ["2021-01-03", "2021-01-13", "2021-01-23", "2021-02-02", "2021-02-12", "2021-04-30"]
BANDS = ["B2", "B3", "B4", "B8", "B11"]


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    s2 = rng.integers(100, 5000, (6, 5, 70, 90)).astype(np.int16)
    mask = rng.random((6, 70, 90)) > 0.4
    mask[:, :3, :4] = False
    mask[5] = False
    s1 = rng.gamma(4, 0.02, (3, 2, 70, 90)).astype(np.float32)
    s1[:, :, 0, 0] = 0
    return s2, mask, s1


@pytest.fixture(scope="module")
def stack(tmp_path_factory, make_stack, data):
    s2, mask, s1 = data
    sensors = {
        "S2": dict(values=s2, mask=mask, dates=DATES, bands=BANDS, nodata=-10000, scale=1e-4, offset=-0.01),
        "S1_ASC": dict(values=s1, kind="radar", dates=DATES[:3], bands=["VV", "VH"], nodata=0),
        "S1_DES": dict(
            values=10 * np.log10(np.maximum(s1, 1e-6)), kind="radar", unit="db", dates=DATES[:3], bands=["VV", "VH"]
        ),
        "STATIC": dict(values=s1[:1, :1], kind="static", dates=[""], bands=["DEM"]),
    }
    return make_stack(tmp_path_factory.mktemp("composite é"), sensors, season_start="10-01", campaign_year=2020)


def expected(values, mask, percent):
    hidden = np.where(mask[:, None], values.astype(float), np.nan)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return np.nanpercentile(hidden, percent, axis=0)


@pytest.mark.parametrize(("statistic", "percent"), [("median", 50), ("percentile_10", 10), ("percentile_90", 90)])
def test_medians_and_percentiles_of_valid_dates(stack, data, tmp_path, statistic, percent):
    s2, mask, _ = data
    paths = composite(stack, tmp_path / "out", CompositeSettings("S2", "month", statistic, memory_mb=1))
    assert [path.name for path in paths] == [
        f"S2_{statistic}_2021-01-01_2021-01-31.tif",
        f"S2_{statistic}_2021-02-01_2021-02-28.tif",
        f"S2_{statistic}_2021-04-01_2021-04-30.tif",
    ]
    for path, dates in zip(paths, (slice(0, 3), slice(3, 5), slice(5, 6)), strict=True):
        dataset = gdal.Open(str(path))
        wanted = expected(s2[dates], mask[dates], percent)
        got = dataset.ReadAsArray().astype(float)
        got[got == -10000] = np.nan
        np.testing.assert_array_equal(np.isnan(got), np.isnan(wanted))
        np.testing.assert_allclose(got, wanted, atol=0.5001)
        band = dataset.GetRasterBand(2)
        assert (band.GetDescription(), band.GetScale(), band.GetOffset()) == ("B3", 1e-4, -0.01)
    assert dataset.GetMetadataItem("DATE_START") == "2021-04-01" and dataset.GetMetadataItem("DATES") == "2021-04-30"


def test_the_highest_ndvi_takes_the_whole_spectrum_of_its_date(stack, data, tmp_path):
    s2, mask, _ = data
    paths = composite(stack, tmp_path / "out", CompositeSettings("S2", "quarter", "max_ndvi", ("NDVI", "B8 / B4")))
    names = [path.name for path in paths]
    assert names[:3] == [f"S2_{name}max_ndvi_2021-01-01_2021-03-31.tif" for name in ("", "NDVI_", "B8_B4_")]
    physical = s2[:5] * 1e-4 - 0.01
    ndvi = (physical[:, 3] - physical[:, 2]) / (physical[:, 3] + physical[:, 2])
    ndvi[~mask[:5]] = -9
    best = ndvi.argmax(axis=0)
    some = mask[:5].any(axis=0)
    got = gdal.Open(str(paths[0])).ReadAsArray()
    wanted = np.take_along_axis(s2[:5], best[None, None], axis=0)[0]
    np.testing.assert_array_equal(got[:, some], wanted[:, some])
    assert (got[:, ~some] == -10000).all() and not some.all()
    index = gdal.Open(str(paths[1])).ReadAsArray()
    np.testing.assert_allclose(index[some], ndvi.max(axis=0)[some], atol=1e-4)
    assert np.isnan(index[~some]).all()


def test_indices_are_those_of_each_date(stack, data, tmp_path):
    s2, mask, _ = data
    paths = composite(stack, tmp_path / "out", CompositeSettings("S2", "all", "percentile_90", ("NDWI",)))
    physical = (s2 * 1e-4 - 0.01).astype(np.float32)
    ndwi = np.stack([compute_index("NDWI", [one[4], one[3]]) for one in physical])
    got = gdal.Open(str(paths[1]))
    np.testing.assert_allclose(got.ReadAsArray(), expected(ndwi[:, None], mask, 90)[0], atol=1e-5)
    assert "iota2" in got.GetRasterBand(1).GetDescription()


@pytest.mark.parametrize("sensor", ["S1_ASC", "S1_DES"])
def test_radar_is_averaged_as_power_and_written_in_db(stack, data, tmp_path, sensor):
    paths = composite(stack, tmp_path / "out", CompositeSettings(sensor, "season", "percentile_25", ("VV-VH",)))
    assert paths[0].name == f"{sensor}_percentile_25_2020-10-01_2021-09-30.tif"
    got = gdal.Open(str(paths[0])).ReadAsArray()
    wanted = 10 * np.log10(np.percentile(data[2][:, :, 1:].astype(float), 25, axis=0))
    np.testing.assert_allclose(got[:, 1:], wanted, atol=1e-4)
    assert np.isnan(got[:, 0, 0]).all() == (sensor == "S1_ASC")  # 0 is no data there
    difference = 10 * np.log10(data[2][:, 0, 1:] / data[2][:, 1, 1:])
    index = gdal.Open(str(paths[1])).ReadAsArray()[1:]
    np.testing.assert_allclose(index, np.percentile(difference, 25, axis=0), atol=1e-3)


def test_an_extent_and_the_memory_do_not_change_pixels(stack, tmp_path):
    whole = composite(stack, tmp_path / "a", CompositeSettings("S2", "all", memory_mb=2048))
    bounds = (500105.0, 7999405.0, 500705.0, 7999905.0)
    part = composite(stack, tmp_path / "b", CompositeSettings("S2", "all", bounds=bounds, memory_mb=1))
    a, b = gdal.Open(str(whole[0])), gdal.Open(str(part[0]))
    assert (b.RasterXSize, b.RasterYSize, b.GetGeoTransform()[0], b.GetGeoTransform()[3]) == (61, 51, 500100, 7999910)
    np.testing.assert_array_equal(a.ReadAsArray()[:, 9:60, 10:71], b.ReadAsArray())


@given(st.integers(0, 2**32 - 1), st.integers(1, 9), st.floats(0, 100))
def test_percentiles_are_numpys(seed, count, percent):
    rng = np.random.default_rng(seed)
    series, mask = rng.integers(-50, 50, (count, 4, 5)).astype(np.int16), rng.random((count, 4, 5)) > 0.5
    np.testing.assert_allclose(
        percentile(series, mask, percent), expected(series[:, None], mask, percent)[0], rtol=1e-4, atol=1e-4
    )


def test_periods_count_from_the_season():
    dates = ["2020-10-14", "2020-10-15", "2021-01-14", "2021-01-15", "2021-12-31"]
    assert [(one.first, one.last, one.dates) for one in periods_of(dates, "quarter", "10-15")] == [
        ("2020-07-15", "2020-10-14", (0,)),
        ("2020-10-15", "2021-01-14", (1, 2)),
        ("2021-01-15", "2021-04-14", (3,)),
        ("2021-10-15", "2022-01-14", (4,)),
    ]
    assert [one.first for one in periods_of(dates, "season", "10-15")] == ["2019-10-15", "2020-10-15", "2021-10-15"]
    assert [(one.first, one.last) for one in periods_of(dates, "month")][-1] == ("2021-12-01", "2021-12-31")
    assert periods_of([], "all") == []
    assert [one.last for one in periods_of(["2021-02-01"], "month")] == ["2021-02-28"]


@given(st.lists(st.dates(), min_size=1, max_size=20), st.sampled_from(["month", "quarter", "season"]),
       st.sampled_from(["01-01", "10-01", "07-31", "12-15"]))  # fmt: skip
def test_every_date_lies_in_its_one_period(dates, kind, start):
    dates = sorted({str(date) for date in dates if 1900 < date.year < 2100})
    periods = periods_of(dates, kind, start)
    assert [index for period in periods for index in period.dates] == list(range(len(dates)))
    assert all(period.first <= dates[index] <= period.last for period in periods for index in period.dates)
    assert all(first.last < second.first for first, second in itertools.pairwise(periods))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (dict(sensor="L8"), "no sensor L8"),
        (dict(sensor="S1"), "S1_ASC, S1_DES; choose one"),
        (dict(sensor="STATIC"), "has no dates"),
        (dict(sensor="S1_ASC", statistic="max_ndvi"), "needs red and near infrared"),
        (dict(sensor="S1_ASC", indices=("NDVI",)), "INDICES NDVI"),
        (dict(sensor="S2", indices=("B8/B99",)), "B99"),
        (dict(sensor="S2", indices=("NVDI",)), "not known"),
        (dict(sensor="S2", period="week"), "PERIOD"),
        (dict(sensor="S2", statistic="mean"), "STATISTIC"),
        (dict(sensor="S2", bounds=(0, 0, 10, 10)), "EXTENT"),
    ],
)
def test_what_cannot_be_made_leaves_nothing(stack, tmp_path, settings, message):
    with pytest.raises(LandloomError, match=message):
        composite(stack, tmp_path / "out", CompositeSettings(**settings))
    assert not list(tmp_path.iterdir())


def test_other_folders_are_not_replaced(stack, tmp_path):
    settings = CompositeSettings("S2", "all")
    composite(stack, tmp_path / "out", settings)
    composite(stack, tmp_path / "out", settings)
    assert json.loads((tmp_path / "out" / "composite.json").read_text())["composites"][0]["dates"] == DATES
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("x")
    with pytest.raises(LandloomError, match="something else"):
        composite(stack, tmp_path / "mine", settings)
    assert (tmp_path / "mine" / "thesis.txt").exists()


def test_cancelling_leaves_nothing(stack, tmp_path):
    class Stop(Progress):
        asked = 0

        def is_cancelled(self):
            self.asked += 1
            return self.asked > 6

    with pytest.raises(Cancelled):
        composite(stack, tmp_path / "out", CompositeSettings("S2"), Stop())
    assert not list(tmp_path.iterdir())


def test_an_empty_period_is_named(stack, tmp_path):
    class Noted(Progress):
        said = ""

        def warning(self, message):
            self.said += message

    composite(stack, tmp_path / "out", CompositeSettings("S2"), noted := Noted())
    assert "2021-04-01 to 2021-04-30" in noted.said and "2021-02" not in noted.said
