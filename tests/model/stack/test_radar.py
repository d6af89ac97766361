"""Orbits, units and calibration in the stack: levelling, the speckle filter by choice, joining, models."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from landloom.model.base.errors import LandloomError
from landloom.model.base.raster import spatial_reference, write_raster
from landloom.model.networks.channels import DB_FLOOR, source_bands, to_db
from landloom.model.stack.grid import Window
from landloom.model.stack.manifest import Stack
from landloom.model.stack.prepare import PrepareSettings, prepare_stack
from landloom.model.stack.reader import StackReader
from landloom.model.stack.speckle import quegan
from osgeo import gdal


def prepare(folder, output, stack=None, **settings):
    return prepare_stack(folder, output, PrepareSettings(**settings), stack)


def read(path, **options):
    with StackReader(path, **options) as reader:
        return reader.read(reader.stack.grid.whole)


@pytest.fixture
def two_orbits(tmp_path, write_product):
    """Three dates of orbit 044 and two of 117 that is 1.5 dB (VV) and 0.5 dB (VH) brighter; one DES date."""
    rng = np.random.default_rng(0)
    land = rng.uniform(-14, -6, (24, 24))
    for index, (date, orbit) in enumerate(
        [("20210104", "044"), ("20210109", "117"), ("20210116", "044"), ("20210121", "117"), ("20210128", "044")]
    ):
        shift = (1.5, 0.5) if orbit == "117" else (0, 0)
        noise = 0.2 * rng.standard_normal((24, 24))
        vv = 10 ** ((land + shift[0] + noise + 0.1 * index) / 10)
        vh = 10 ** ((land - 7 + shift[1] + noise) / 10)
        if orbit == "044":
            vv[:, :4] = vh[:, :4] = 0  # outside its swath
        write_product.s1tiling(tmp_path / "in", date, "ASC", orbit, vv=vv, vh=vh)
    write_product.s1tiling(tmp_path / "in", "20210107", "DES", "152")
    return tmp_path / "in"


def means(series, mask=None):
    """Mean dB of each date and band, [T, C]."""
    with np.errstate(divide="ignore"):
        decibels = 10 * np.log10(series.values[0].astype(np.float64))
    valid = series.mask[0].all(axis=0) if mask is None else mask
    return decibels[:, :, valid].mean(axis=2)


def test_sensors_by_direction_or_orbit(two_orbits, tmp_path):
    stack = prepare(two_orbits, tmp_path / "a.json").stack
    assert {name: one.orbit for name, one in stack.sensors.items()} == {"S1_ASC": "ASC 044 117", "S1_DES": "DES 152"}
    stack = prepare(two_orbits, tmp_path / "b.json", orbits="orbit").stack
    assert {name: len(one.complete) for name, one in stack.sensors.items()} == {
        "S1_ASC_044": 3, "S1_ASC_117": 2, "S1_DES_152": 1,
    }  # fmt: skip


def test_centred_orbits_have_one_mean_and_the_direction_keeps_its_own(two_orbits, tmp_path):
    plain = read(prepare(two_orbits, tmp_path / "a.json").stack.path)
    result = prepare(two_orbits, tmp_path / "b.json", orbits="centred")
    centred = read(tmp_path / "b.json")
    np.testing.assert_array_equal(centred["S1_ASC"].mask, plain["S1_ASC"].mask)
    before, after = means(plain["S1_ASC"]), means(centred["S1_ASC"])
    orbit = np.array([0, 1, 0, 1, 0])
    means_of_orbits = [after[orbit == 0].mean(axis=0), after[orbit == 1].mean(axis=0)]
    np.testing.assert_allclose(means_of_orbits[0], means_of_orbits[1], atol=1e-3)
    np.testing.assert_allclose(after.mean(axis=0), before.mean(axis=0), atol=1e-3)
    shift = after - before  # one for each orbit and band, whatever the date
    assert np.ptp(shift[orbit == 0], axis=0).max() < 1e-3 and np.ptp(shift[orbit == 1], axis=0).max() < 1e-3
    np.testing.assert_array_equal(centred["S1_DES"].values, plain["S1_DES"].values)
    np.testing.assert_array_equal(read(tmp_path / "b.json", as_stored=True)["S1_ASC"].values, plain["S1_ASC"].values)
    content = json.loads((tmp_path / "b.json").read_text("utf-8"))
    parts = [one["parts"][0] for one in content["sensors"][0]["acquisitions"]]
    assert {part["orbit"]: part["shift_db"] for part in parts}["ASC 117"]["VV"] == pytest.approx(shift[1, 0], abs=1e-3)
    assert [part["orbit"] for part in parts] == ["ASC 044", "ASC 117", "ASC 044", "ASC 117", "ASC 044"]
    assert all(part["unit"] == "power" and part["calibration"] == "sigma0" for part in parts)
    assert any("orbits are brought to one mean" in line for line in result.notes)
    with StackReader(tmp_path / "b.json", bands={"S1_ASC": ["VH"]}) as reader:
        only = reader.read(reader.stack.grid.whole)["S1_ASC"].values[0, :, 0]
    np.testing.assert_array_equal(only, centred["S1_ASC"].values[0, :, 1])


def test_new_dates_of_a_centred_sensor_are_centred_too(two_orbits, tmp_path, write_product):
    prepare(two_orbits, tmp_path / "a.json", orbits="centred", sensors=("S1_ASC",))
    write_product.s1tiling(tmp_path / "more", "20210203", "ASC", "117", vv=0.3, vh=0.1)
    stack = prepare(tmp_path / "more", tmp_path / "b.json", tmp_path / "a.json").stack
    shifts = {one.date: one.parts[0].shift_db["VV"] for one in stack.sensors["S1_ASC"].complete}
    assert shifts["2021-02-03"] == shifts["2021-01-09"] != shifts["2021-01-04"]


def test_centring_and_filtering_go_together(two_orbits, tmp_path):
    """A factor on a date does not disturb the filter, so both orders are the same."""
    filtered = read(prepare(two_orbits, tmp_path / "a.json", speckle="quegan 3").stack.path)["S1_ASC"]
    both = read(prepare(two_orbits, tmp_path / "b.json", speckle="quegan 3", orbits="centred").stack.path)["S1_ASC"]
    shift = means(both) - means(filtered)
    orbit = np.array([0, 1, 0, 1, 0])
    expected = filtered.values[0] * 10 ** (shift / 10)[:, :, None, None]
    np.testing.assert_allclose(both.values[0], expected, rtol=1e-5)
    assert np.ptp(shift[orbit == 1], axis=0).max() < 1e-4 and abs(shift[0, 0] - shift[1, 0]) > 1


def test_db_is_turned_to_power_for_filter_and_centring(tmp_path):
    rng = np.random.default_rng(1)
    crs, folder = spatial_reference("EPSG:32738").ExportToWkt(), tmp_path / "in"
    for date in ("20210104", "20210116", "20210128"):
        values = rng.uniform(-20, -5, (2, 24, 24)).astype(np.float32)
        values[0, 0] = np.nan
        path = folder / f"S1_DESC_{date}.tif"
        write_raster(path, values, (500000.0, 10, 0, 8e6, 0, -10), crs, np.nan, ["VV", "VH"])
    plain = prepare(folder, tmp_path / "a.json").stack
    filtered = prepare(folder, tmp_path / "b.json", speckle="quegan 3").stack
    assert (plain.sensors["S1_DES"].unit, filtered.sensors["S1_DES"].unit) == ("db", "power")
    series = read(filtered.path, as_stored=True)["S1_DES"]
    reference = read(plain.path)["S1_DES"]
    np.testing.assert_array_equal(series.mask, reference.mask)
    power = 10 ** (reference.values.astype(np.float64) / 10) * reference.mask[:, :, None]
    np.testing.assert_allclose(series.values, power, rtol=1e-5)
    assert filtered.spec("S1_DES").speckle == "quegan 3"


def test_new_dates_join_a_filtered_sensor(two_orbits, tmp_path, write_product):
    prepare(two_orbits, tmp_path / "a.json", speckle="quegan 3", sensors=("S1_ASC",))
    write_product.s1tiling(tmp_path / "more", "20210203", "ASC", "117")
    stack = prepare(tmp_path / "more", tmp_path / "b.json", tmp_path / "a.json").stack
    assert stack.sensors["S1_ASC"].speckle == "quegan 3" and len(stack.sensors["S1_ASC"].complete) == 6
    assert stack.sensors["S1_ASC"].orbit == "ASC 044 117"
    write_product.s1tiling(tmp_path / "filtered", "20210205", "ASC", "044", variant="_filtered")
    result = prepare(tmp_path / "filtered", tmp_path / "c.json", tmp_path / "b.json")
    assert result.stack.sensors["S1_ASC"].speckle == ""
    assert any("SPECKLE is left out" in line for line in result.warnings)


def test_a_model_wants_the_filter_it_was_trained_with(two_orbits, tmp_path):
    spec = prepare(two_orbits, tmp_path / "a.json", speckle="quegan 5").stack.spec("S1_ASC")
    assert source_bands(spec, spec, [])[1] == (0, 1)
    with pytest.raises(LandloomError, match="speckle filter of S1_ASC is none in the data"):
        source_bands(spec, replace(spec, speckle=""), [])
    assert type(spec).from_json(json.loads(json.dumps(spec.to_json()))) == spec


def test_older_stacks_still_read(two_orbits, tmp_path):
    prepare(two_orbits, tmp_path / "a.json")
    content = json.loads((tmp_path / "a.json").read_text("utf-8"))
    for sensor in content["sensors"]:
        del sensor["speckle"]
        for acquisition in sensor["acquisitions"]:
            for key in ("orbit", "calibration", "unit"):
                del acquisition["parts"][0][key]
    (tmp_path / "a.json").write_text(json.dumps(content), "utf-8")
    assert Stack.read(tmp_path / "a.json").sensors["S1_ASC"].speckle == ""
    content["sensors"][0]["speckle"] = "lee 5"
    (tmp_path / "a.json").write_text(json.dumps(content), "utf-8")
    with pytest.raises(LandloomError, match="speckle"):
        Stack.read(tmp_path / "a.json")


@pytest.mark.parametrize("unit", ["db", "amplitude"])
def test_warped_radar_is_averaged_in_power_wherever_it_is_read(tmp_path, unit):
    """Files in dB (or amplitude) of zone 38, read on a grid of zone 39: VRT, reader, copy and network's dB.

    The reference: the very same values turned into power first, warped by GDAL alone, and turned back into dB. A mean
    of dB would be lower on this speckle, which the last line makes sure of.
    """
    rng = np.random.default_rng(5)
    crs = spatial_reference("EPSG:32738").ExportToWkt()
    transform = (500000.0, 10.0, 0.0, 8e6, 0.0, -10.0)
    power = rng.gamma(1.0, 0.1, (2, 24, 24)) + 1e-4  # one look: as rough as it comes
    power[:, :3] = np.nan
    raw = (10 * np.log10(power) if unit == "db" else np.sqrt(power)).astype(np.float32)
    names = ["VV_dB", "VH_dB"] if unit == "db" else ["VV", "VH"]
    for date in ("20210104", "20210116"):
        write_raster(tmp_path / "in" / f"S1_ASC_{date}.tif", raw, transform, crs, np.nan, names)
    settings = {"crs": "EPSG:32739", "resolution": 10.0}
    stack = prepare(tmp_path / "in", tmp_path / "a.json", **settings).stack
    sensor, grid = stack.sensors["S1_ASC"], stack.grid
    assert (sensor.unit, sensor.scale, sensor.offset) == ("power", 1.0, 0.0)
    assert {part.unit for one in sensor.acquisitions for part in one.parts} == {unit}

    memory = gdal.GetDriverByName("MEM").Create("", 24, 24, 2, gdal.GDT_Float32)
    memory.SetGeoTransform(transform)
    memory.SetProjection(crs)
    memory.WriteArray(power.astype(np.float32))
    for band in (1, 2):
        memory.GetRasterBand(band).SetNoDataValue(float("nan"))
    xmin, ymin, xmax, ymax = grid.bounds
    warped = gdal.Warp(
        "", memory, format="MEM", dstSRS=grid.crs_wkt, outputBounds=(xmin, ymin, xmax, ymax), width=grid.width,
        height=grid.height, resampleAlg="bilinear", errorThreshold=0, dstNodata=float("nan"),
    ).ReadAsArray()  # fmt: skip
    expected = 10 * np.log10(warped.astype(np.float64))

    series = read(stack)["S1_ASC"]
    valid = series.mask[0, 0]
    np.testing.assert_array_equal(valid, np.isfinite(expected).all(axis=0))
    assert 300 < valid.sum() < valid.size
    seen = {
        "reader": series.values[0, 1],
        "vrt": gdal.Open(sensor.acquisitions[1].parts[0].data).ReadAsArray(),
        "copy": read(prepare(tmp_path / "in", tmp_path / "b.json", copy=str(tmp_path / "copy"), **settings).stack)[
            "S1_ASC"
        ].values[0, 1],
    }
    for name, values in seen.items():
        decibels = 10 * np.log10(values[:, valid].astype(np.float64))
        np.testing.assert_allclose(decibels, expected[:, valid], atol=1e-3, err_msg=name)
    planes = series.values[0][:, :, valid].astype(np.float32)
    to_db(planes, sensor.unit)
    np.testing.assert_allclose(planes[1], np.maximum(expected[:, valid], DB_FLOOR), atol=1e-3)

    naive = gdal.Warp(
        "", str(tmp_path / "in" / "S1_ASC_20210116.tif"), format="MEM", dstSRS=grid.crs_wkt, width=grid.width,
        outputBounds=(xmin, ymin, xmax, ymax), height=grid.height, resampleAlg="bilinear", errorThreshold=0,
    ).ReadAsArray()  # fmt: skip
    naive = naive if unit == "db" else 20 * np.log10(naive)
    assert np.nanmean(expected[:, valid] - naive[:, valid]) > 0.2


def test_the_filter_of_resampled_radar_works_on_the_power_of_the_grid(tmp_path):
    """dB at 20 m on a grid of 10 m: bilinear power is filtered, and a window reads its halo through the VRT."""
    rng = np.random.default_rng(6)
    crs = spatial_reference("EPSG:32738").ExportToWkt()
    for date in ("20210104", "20210116", "20210128"):
        raw = (10 * np.log10(rng.gamma(4, 0.02, (2, 12, 12)))).astype(np.float32)
        write_raster(
            tmp_path / "in" / f"S1_ASC_{date}.tif", raw, (5e5, 20.0, 0, 8e6, 0, -20.0), crs, None, ["VV", "VH"]
        )
    stack = prepare(tmp_path / "in", tmp_path / "a.json", resolution=10.0, speckle="quegan 5").stack
    stored, filtered = read(stack, as_stored=True)["S1_ASC"], read(stack)["S1_ASC"]
    wide = np.pad(stored.values[0] * stored.mask[0][:, None], ((0, 0), (0, 0), (2, 2), (2, 2)))
    expected = quegan(wide, np.pad(stored.mask[0], ((0, 0), (2, 2), (2, 2))), 2, [0, 1, 2])
    np.testing.assert_allclose(filtered.values[0], expected, rtol=1e-5)
    with StackReader(stack) as reader:
        part = reader.read(Window(7, 5, 6, 4))["S1_ASC"].values[0]
    np.testing.assert_array_equal(part, filtered.values[0][:, :, 5:9, 7:13])
