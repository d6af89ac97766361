"""Forms of Sentinel-1 products and static layers: tiny ones in real naming, and the real ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from landloom.model.base.errors import LandloomError
from landloom.model.base.progress import Progress
from landloom.model.base.raster import spatial_reference, write_raster
from landloom.model.stack.grid import Window
from landloom.model.stack.prepare import PrepareSettings, prepare_stack
from landloom.model.stack.products import Choice, find_products
from landloom.model.stack.products.sentinel1 import direction_in, pass_of
from landloom.model.stack.reader import StackReader
from osgeo import gdal

FULL = Window(0, 0, 24, 24)
CRS = spatial_reference("EPSG:32738").ExportToWkt()
SCENE = "S1A_IW_GRDH_1SDV_20191215T004339_20191215T004404_030352_0378DC"


def tif(path, *bands, names=None, nodata=None, tags=None, size=10.0, dtype=np.float32, driver=None):
    values = np.stack([np.broadcast_to(np.asarray(band, dtype), (24, 24)) for band in bands])
    write_raster(path, values, (500000.0, size, 0.0, 8000000.0, 0.0, -size), CRS, nodata, names)
    if tags:
        dataset = gdal.Open(str(path), gdal.GA_Update)
        dataset.SetMetadata(tags)
        dataset.FlushCache()
    return Path(path)


def prepare(folder, stack=None, **settings):
    return prepare_stack(folder, Path(folder).parent / "stack.json", PrepareSettings(**settings), stack)


def read(result):
    with StackReader(result.stack) as reader:
        return reader.read(result.stack.grid.whole)


def skipped(result):
    return {line.name: line.why for line in result.lines if not line.used}


def decibels(sensor, series):
    """Values as networks see them, in dB."""
    values = series.values[0].astype(np.float64) * sensor.scale + sensor.offset
    return values if sensor.unit == "db" else {"power": 10, "amplitude": 20}[sensor.unit] * np.log10(values)


@pytest.mark.parametrize(
    ("satellite", "start", "absolute", "expected"),
    [  # names of scenes of known orbit
        ("S1A", "20191215T004339", "030352", ("ASC", "005")),
        ("S1A", "20190810T061853", "", ("DES", "081")),
        ("S1A", "20190815T062652", "", ("DES", "154")),
        ("S1A", "20180815T172437", "", ("ASC", "088")),
        ("S1B", "20190816T172354", "", ("ASC", "088")),
        ("S1B", "20200827T173231", "", ("ASC", "161")),
        ("S1B", "20190902T062627", "", ("DES", "154")),
        ("S1B", "20201229T041437", "024912", ("DES", "036")),
        ("S1B", "20210221T160645", "025707", ("ASC", "131")),
        ("S1B", "20200615T162409", "022046", ("ASC", "145")),
        ("S1B", "20210810T044826", "028179", ("DES", "153")),
        ("S1D", "20260810T044826", "", ("", "")),
    ],
)
def test_time_tells_the_pass(satellite, start, absolute, expected):
    assert pass_of(satellite, start) == expected
    assert pass_of(satellite, start, absolute) == expected


def test_words_for_directions():
    assert [direction_in(text) for text in ("S1_ASC_2021", "ORBIT DESCENDING", "desc_vv", "Descartes", "basc")] == [
        "ASC", "DES", "DES", "", "",
    ]  # fmt: skip


def test_s1tiling_in_all_its_forms(tmp_path, write_product):
    """Joined dates, calibration by name, filtered copies, a border mask for its own image, maps of angles."""
    folder = tmp_path / "in"
    write_product.s1tiling(folder / "38KPE", "20210104", variant="_NormLim")
    write_product.s1tiling(folder / "38KPE", "20210116", variant="_NormLim", time="xxxxxx")
    write_product.s1tiling(folder / "filtered" / "38KPE", "20210116", variant="_NormLim_filtered", time="xxxxxx")
    write_product.s1tiling(folder / "38KPE", "20210128", tag="gamma")
    for name in (
        "s1c_38KPE_vv_ASC_044_20210122t025501_NormLim.tif",
        "s1d_38KPE_vh_ASC_044_20210122t025501_NormLim.tif",
    ):
        tif(folder / name, 0.1)
    border = np.ones((24, 24))
    border[:, :5] = 0
    tif(folder / "38KPE" / "s1a_38KPE_vv_ASC_044_20210104t025501_BorderMask.tif", border, dtype=np.uint8)
    tif(folder / "38KPE" / "sin_LIA_s1a_38KPE_ASC_044.tif", 0.6)
    tif(folder / "38KPE" / "IA_s1a_38KPE_ASC_044.tif", 35)
    tif(folder / "38KPE" / "GAMMA_AREA_s1a_38KPE_ASC_044.tif", 1.5)
    result = prepare(folder)
    sensor = result.stack.sensors["S1_ASC"]
    assert (sensor.unit, sensor.calibration, sensor.orbit) == ("power", "sigma0_normlim", "ASC 044")
    assert [one.date for one in sensor.complete] == ["2021-01-04", "2021-01-16"]
    part = sensor.complete[0].parts[0]
    assert (part.orbit, part.calibration, part.unit, part.filtered) == ("ASC 044", "sigma0_normlim", "power", False)
    mask = read(result)["S1_ASC"].mask[0]
    assert not mask[0, :, :5].any() and mask[0, :, 5:].all() and mask[1].all()
    why = skipped(result)
    assert "gamma0 is not sigma0_normlim" in why["s1a_38KPE_ASC_044_20210128t025501"]
    assert "used instead" in why["s1a_38KPE_ASC_044_20210116txxxxxx_NormLim_filtered"]
    assert "no band VH" in why["s1c_38KPE_ASC_044_20210122t025501_NormLim"]
    assert "no band VV" in why["s1d_38KPE_ASC_044_20210122t025501_NormLim"]
    assert "write STATIC in SENSORS" in why["sin_LIA_s1a_38KPE_ASC_044.tif"]
    assert "STATIC" not in result.stack.sensors and any("several calibrations" in one for one in result.warnings)
    with_angles = prepare(folder, sensors=("S1", "STATIC")).stack
    assert set(with_angles.sensors["STATIC"].bands) == {"SIN_LIA_ASC_044", "IA_ASC_044", "GAMMA_AREA_ASC_044"}


def test_s1tiling_filtered_alone_is_read_and_never_filtered_again(tmp_path, write_product):
    for date in ("20210104", "20210116"):
        write_product.s1tiling(tmp_path / "in" / "filtered", date, variant="_GammaNaughtRTC_filtered")
    result = prepare(tmp_path / "in", speckle="quegan 5")
    sensor = result.stack.sensors["S1_ASC"]
    assert (sensor.calibration, sensor.speckle) == ("gamma0_rtc", "")
    assert any("SPECKLE is left out, since 2 products were filtered before" in line for line in result.warnings)


def test_hyp3_letters(tmp_path):
    """gamma0 and sigma0, power, amplitude and dB; layover and shadow; speckle filtered."""

    def product(date, letters, value):
        base = tmp_path / "in" / letters / f"S1A_IW_{date}T161201_DVP_RTC30_G_{letters}_FD6A"
        for band, factor in (("VV", 1.0), ("VH", 0.25)):
            power = np.full((24, 24), value * factor)
            power[0] = 0
            raw = {"p": power, "a": np.sqrt(power), "d": 10 * np.log10(np.maximum(power, 1e-30))}[letters[1]]
            if letters[1] == "d":
                raw[0] = 0
            tif(f"{base}_{band}.tif", raw, nodata=0)
        layover = np.ones((24, 24))
        layover[1] = np.tile((3, 5, 7, 9, 13, 17, 25, 31), 3)  # every kind: the README of HyP3 lists them
        layover[2] = 0  # not tested, which is no reason to mask
        tif(f"{base}_ls_map.tif", layover, dtype=np.uint8)
        tif(f"{base}_inc_map.tif", 0.7)
        tif(f"{base}_dem.tif", 100, dtype=np.int16)

    product("20180128", "gpuned", 0.1)
    product("20180209", "gauned", 0.2)
    product("20180221", "gdufed", 0.4)
    product("20180305", "spuned", 0.8)
    result = prepare(tmp_path / "in")
    (name,) = result.stack.sensors
    sensor, series = result.stack.sensors[name], read(result)[name]
    assert sensor.calibration == "gamma0_rtc" and sensor.unit == "power" and name in ("S1_ASC", "S1_DES")
    assert [part.unit for one in sensor.complete for part in one.parts] == ["power", "amplitude", "db"]
    assert [part.filtered for one in sensor.complete for part in one.parts] == [False, False, True]
    np.testing.assert_allclose(series.values[0, :, 0, 5, 5], [0.1, 0.2, 0.4], rtol=1e-5)
    np.testing.assert_allclose(series.values[0, :, 1, 5, 5], [0.025, 0.05, 0.1], rtol=1e-5)
    assert not series.mask[0, :, :2].any() and series.mask[0, :, 2:].all()
    why = skipped(result)
    assert sum("sigma0_rtc is not gamma0_rtc" in one for one in why.values()) == 1
    assert sum("map of angles" in one for one in why.values()) == 4
    assert any("1 of 3 products are filtered" in line for line in result.warnings)


def test_opera_bursts_are_mosaicked(tmp_path):
    for burst, value in (("100908-IW3", 0.1), ("100909-IW3", 0.2)):
        base = tmp_path / "in" / f"OPERA_L2_RTC-S1_T047-{burst}_20191215T004339Z_20230802T101010Z_S1A_30_v1.0"
        vv = np.full((24, 24), value)
        mask = np.zeros((24, 24))
        if burst.startswith("100908"):
            vv[:, 12:] = np.nan
            mask[3, :6] = (1, 2, 3, 255, 0, 0)
        else:
            vv[:, :12] = np.nan
        tif(f"{base}_VV.tif", vv, nodata=np.nan)
        tif(f"{base}_VH.tif", vv / 4, nodata=np.nan)
        tif(f"{base}_mask.tif", mask, dtype=np.uint8, nodata=255)
    tif(tmp_path / "in" / "OPERA_L2_RTC-S1-STATIC_T047-100908-IW3_20140403_S1A_30_v1.0_local_incidence_angle.tif", 40)
    result = prepare(tmp_path / "in", orbits="orbit")
    assert list(result.stack.sensors) == ["S1_ASC_047"]
    series = read(result)["S1_ASC_047"]
    assert len(result.stack.sensors["S1_ASC_047"].complete[0].parts) == 2
    np.testing.assert_array_equal(series.mask[0, 0, 3, :6], [False] * 4 + [True] * 2)
    np.testing.assert_allclose(series.values[0, 0, 0, 0], [0.1] * 12 + [0.2] * 12, rtol=1e-6)
    assert result.stack.sensors["S1_ASC_047"].calibration == "gamma0_rtc"
    static = prepare(tmp_path / "in", sensors=("STATIC",)).stack.sensors["STATIC"]
    assert static.bands == ("LOCAL_INCIDENCE_ANGLE_T047",)


def test_planetary_computer_by_folder_or_file_name(tmp_path):
    folder = tmp_path / "in" / f"{SCENE}_rtc" / "measurement"
    vv = np.full((24, 24), 0.1)
    vv[4] = -32768
    tif(folder / "iw-vv.rtc.tiff", vv, nodata=-32768)
    tif(folder / "iw-vh.rtc.tiff", 0.02, nodata=-32768)
    other = SCENE.replace("20191215T0043", "20191227T0043").replace("030352", "030527")
    tif(tmp_path / "in" / f"{other}_rtc_vv.tif", 0.2, nodata=-32768)
    tif(tmp_path / "in" / f"{other}_rtc_vh.tif", 0.05, nodata=-32768)
    result = prepare(tmp_path / "in")
    sensor, series = result.stack.sensors["S1_ASC"], read(result)["S1_ASC"]
    assert (sensor.orbit, sensor.calibration, len(sensor.complete)) == ("ASC 005", "gamma0_rtc", 2)
    assert not series.mask[0, 0, 4].any() and series.mask[0].sum() == 2 * 24 * 24 - 24


def test_snap_bands_files_and_stacks(tmp_path):
    folder = tmp_path / "in"
    one = f"{SCENE}_F0A1_Orb_Cal_Spk_TF_TC.tif"
    tif(folder / one, 0.02, 0.1, names=["Gamma0_VH", "Gamma0_VV"], nodata=0)
    result = prepare(folder)
    sensor = result.stack.sensors["S1_ASC"]
    assert (sensor.bands, sensor.calibration, sensor.unit) == (("VV", "VH"), "gamma0_rtc", "power")
    assert sensor.complete[0].parts[0].filtered and sensor.complete[0].date == "2019-12-15"
    np.testing.assert_allclose(read(result)["S1_ASC"].values[0, 0, :, 0, 0], [0.1, 0.02], rtol=1e-6)

    folder = tmp_path / "stack"
    names = [
        "Sigma0_VV_mst_04Jan2021",
        "Sigma0_VH_mst_04Jan2021",
        "Sigma0_VV_slv1_16Jan2021",
        "Sigma0_VH_slv1_16Jan2021",
    ]
    tif(folder / "S1_DES_Stack.tif", 0.1, 0.02, 0.2, 0.04, names=names)
    result = prepare(folder)
    assert [one.date for one in result.stack.sensors["S1_DES"].complete] == ["2021-01-04", "2021-01-16"]
    np.testing.assert_allclose(read(result)["S1_DES"].values[0, :, :, 0, 0], [[0.1, 0.02], [0.2, 0.04]], rtol=1e-6)

    folder = tmp_path / "files"
    for date, value in (("20210104", -8.0), ("20210116", -9.0)):
        tif(folder / f"Sigma0_VV_db_{date}.tif", value)
        tif(folder / f"Sigma0_VH_db_{date}.tif", value - 7)
    tif(folder / SCENE.replace("20191215", "20210220").__add__("_F0A1_Orb_Cal_TC.tif"), 0.1, 0.2)
    result = prepare(folder)
    sensor = result.stack.sensors["S1"]
    assert (sensor.unit, sensor.calibration, sensor.bands) == ("db", "sigma0", ("VV", "VH"))
    np.testing.assert_allclose(read(result)["S1"].values[0, :, 1, 0, 0], [-15, -16])
    assert any("its bands have no names such as Gamma0_VV" in why for why in skipped(result).values())


def test_earth_engine_file_a_date_and_one_of_many_bands(tmp_path):
    folder = tmp_path / "in"
    tif(folder / f"{SCENE}_F0A1.tif", -8, -15, 38, names=["VV", "VH", "angle"])
    tif(folder / "S1_ASC_20191227.tif", -9, -16, names=["VV_dB", "VH_dB"])
    result = prepare(folder, sensors=("S1_ASC",))
    sensor = result.stack.sensors["S1_ASC"]
    assert (sensor.unit, sensor.bands) == ("db", ("VV", "VH")) and len(sensor.complete) == 1  # sigma0 and unknown
    assert sum("calibration" in why for why in skipped(result).values()) == 1

    folder = tmp_path / "many"
    names = [f"{date}_{band}" for date in ("20210104", "20210116", "20210128") for band in ("VV", "VH")]
    tif(folder / "S1_DESC_2021.tif", -8, -15, -9, -16, -10, -17, names=names)
    sensor = prepare(folder).stack.sensors["S1_DES"]
    assert [one.date for one in sensor.complete] == ["2021-01-04", "2021-01-16", "2021-01-28"]

    folder = tmp_path / "unknown"
    tif(folder / "S1_20210104.tif", 0.1, 0.02, names=["VV", "VH"])
    result = prepare(folder)
    assert result.stack.sensors["S1"].unit == "power"
    assert any("its direction of flight is not known" in line for line in result.warnings)


def test_raw_scenes_are_named_with_ways_to_process_them(tmp_path, write_product):
    safe = tmp_path / "in" / f"{SCENE}_F0A1.SAFE"
    (safe / "measurement").mkdir(parents=True)
    (safe / "measurement" / "s1a-iw-grd-vv-20191215t004339-001.tiff").write_bytes(b"")
    with pytest.raises(LandloomError, match=r"raw Sentinel-1 GRD scene.*S1Tiling, SNAP or ASF HyP3"):
        find_products(tmp_path / "in", Choice(), Progress())
    write_product.s1tiling(tmp_path / "in", "20210104")
    assert "S1Tiling" in skipped(prepare(tmp_path / "in"))[SCENE + "_F0A1"]


def test_static_layers(tmp_path, write_product):
    """By word or folder; two of one kind on the same pixels keep their names; tiles join; no date, no START."""
    folder = tmp_path / "in"
    write_product.theia(folder, "20210105")
    tif(folder / "relief" / "MNT_25m.tif", 120, dtype=np.int16, nodata=-32768)
    tif(folder / "relief" / "slope.tif", 3.5, nodata=-9999)
    tif(folder / "soil" / "soil_clay.tif", 20)
    tif(folder / "soil" / "soil_sand.tif", 60)
    tif(folder / "static" / "distance to road.tif", 500)
    (folder / "static" / "dem_broken.tif").write_bytes(b"II*\0")
    result = prepare(folder, start="2021-01-02")
    static = result.stack.sensors["STATIC"]
    assert static.kind == "static" and len(static.acquisitions) == 1
    assert set(static.bands) == {"DEM", "SLOPE", "SOIL_CLAY", "SOIL_SAND", "DISTANCE_TO_ROAD"}
    values = dict(zip(static.bands, read(result)["STATIC"].values[0, 0, :, 3, 3], strict=True))
    assert values["DEM"] == 120 and values["SLOPE"] == 3.5 and values["SOIL_SAND"] == 60
    assert "dem_broken" in skipped(result)
    assert static.spec.dates == ("",) and result.stack.sensors["S2"].spec.days == (4,)
    assert list(prepare(folder, sensors=("S2",)).stack.sensors) == ["S2"]


def test_tiles_of_a_layer_are_mosaicked(tmp_path):
    for name, west, value in (("SRTM_41_16", 500000.0, 1), ("SRTM_42_16", 500240.0, 2)):
        write_raster(
            tmp_path / "in" / f"{name}.tif", np.full((24, 24), value, np.int16), (west, 10, 0, 8e6, 0, -10), CRS
        )
    result = prepare(tmp_path / "in")
    assert result.stack.sensors["STATIC"].bands == ("DEM",) and result.stack.grid.width == 48
    np.testing.assert_array_equal(read(result)["STATIC"].values[0, 0, 0, 0], [1] * 24 + [2] * 24)


def test_db_is_averaged_as_power(tmp_path):
    """dB at 5 m on a grid of 10 m: the mean of power, in dB."""
    rng = np.random.default_rng(0)
    fine = rng.uniform(-20, -5, (48, 48)).astype(np.float32)
    write_raster(tmp_path / "in" / "S1_ASC_20210104.tif", fine, (500000.0, 5, 0, 8e6, 0, -5), CRS, None, ["VV"])
    result = prepare(tmp_path / "in", resolution=10.0)
    sensor, series = result.stack.sensors["S1_ASC"], read(result)["S1_ASC"]
    power = (10 ** (fine.astype(np.float64) / 10)).reshape(24, 2, 24, 2).mean(axis=(1, 3))
    np.testing.assert_allclose(decibels(sensor, series)[0, 0], 10 * np.log10(power), atol=1e-3)


def test_real_terrascope(shared_data, tmp_path):
    result = prepare_stack(shared_data / "terrascope_S1_SIGMA0_V110", tmp_path / "a.json", PrepareSettings())
    sensor = result.stack.sensors["S1_ASC"]
    assert (len(sensor.complete), sensor.calibration, sensor.orbit) == (8, "sigma0", "ASC 088 161")
    native = decibels(sensor, read(result)["S1_ASC"])
    tiled = prepare_stack(shared_data / "terrascope_S1_SIGMA0_tiled_31UFS", tmp_path / "b.json", PrepareSettings())
    other = tiled.stack.sensors["S1_ASC"]
    dates = [one.date for one in other.complete]
    both = decibels(other, read(tiled)["S1_ASC"])
    for index, one in enumerate(sensor.complete):  # the same scenes at 10 m and, in other numbers, at 20 m
        if one.date in dates:
            fine = 10 * np.log10((10 ** (native[index] / 10)).mean(axis=(1, 2)))
            coarse = 10 * np.log10((10 ** (both[dates.index(one.date)] / 10)).mean(axis=(1, 2)))
            np.testing.assert_allclose(coarse, fine, atol=0.6)
    assert any("no band VV" in why for why in skipped(tiled).values())


def test_real_worldcereal(shared_data, tmp_path):
    for tile, orbit, dates in (("30", "DES 154", 4), ("36", "DES 050 152", None)):
        result = prepare_stack(
            shared_data / "ewoc_preproc" / "SAR" / tile, tmp_path / f"{tile}.json", PrepareSettings()
        )
        sensor = result.stack.sensors["S1_DES"]
        assert sensor.calibration == "sigma0" and set(sensor.bands) == {"VV", "VH"}
        assert sensor.orbit == orbit or dates is None
        series = read(result)["S1_DES"]
        valid = decibels(sensor, series).transpose(1, 0, 2, 3)[:, series.mask[0]]
        assert dates is None or len(sensor.complete) == dates
        assert -20 < valid[0].mean() < -4 and -25 < valid[1].mean() < -10  # VV and VH of land


def envi(path, values, description):
    """An ENVI image and its header, big-endian, as SNAP writes the bands of a BEAM-DIMAP product."""
    path.parent.mkdir(parents=True, exist_ok=True)
    driver = gdal.GetDriverByName("ENVI")
    dataset = driver.Create(str(path), 24, 24, 1, gdal.GDT_Float32, options=["SUFFIX=REPLACE"])
    dataset.SetGeoTransform((500000.0, 10.0, 0.0, 8000000.0, 0.0, -10.0))
    dataset.SetProjection(CRS)
    dataset.GetRasterBand(1).SetDescription(description)
    dataset.GetRasterBand(1).WriteArray(np.broadcast_to(np.float32(values), (24, 24)).copy())
    dataset.FlushCache()
    del dataset
    header = path.with_suffix(".hdr")
    header.write_text(header.read_text().replace("byte order = 0", "byte order = 1"))
    path.write_bytes(np.frombuffer(path.read_bytes(), "<f4").astype(">f4").tobytes())
    Path(f"{path}.aux.xml").unlink(missing_ok=True)


def test_snap_data_folders(tmp_path):
    """``.dim`` with its ``.data`` folder: bands are images in it; angles, elevation and tie points are no dates."""
    vv = np.full((24, 24), 0.1)
    vv[0, :4] = 0  # SNAP's no data, declared nowhere
    for scene, date in ((SCENE, "20191215"), (SCENE.replace("20191215T0043", "20191227T0043"), "20191227")):
        data = tmp_path / "in" / date / f"{scene}_F0A1_Orb_NR_Cal_TF_TC.data"
        envi(data / "Gamma0_VV.img", vv, "Gamma0_VV")
        envi(data / "Gamma0_VH.img", 0.02, "Gamma0_VH")
        envi(data / "localIncidenceAngle.img", 38.0, "localIncidenceAngle")
        envi(data / "tie_point_grids" / "incident_angle.img", 38.0, "incident_angle")
        data.with_suffix(".dim").write_text("<Dimap_Document/>")
    result = prepare(tmp_path / "in")
    sensor, series = result.stack.sensors["S1_ASC"], read(result)["S1_ASC"]
    assert [one.date for one in sensor.complete] == ["2019-12-15", "2019-12-27"] and list(result.stack.sensors) == [
        "S1_ASC"
    ]
    assert (sensor.bands, sensor.unit, sensor.calibration, sensor.orbit) == (
        ("VV", "VH"),
        "power",
        "gamma0_rtc",
        "ASC 005",
    )
    np.testing.assert_allclose(series.values[0, :, :, 5, 5], [[0.1, 0.02]] * 2, rtol=1e-6)
    assert (~series.mask[0]).sum() == 8 and not series.mask[0, :, 0, :4].any()


def test_intensities_of_a_data_folder_are_refused_with_what_to_run(tmp_path):
    envi(tmp_path / "in" / f"{SCENE}_F0A1_Orb.data" / "Intensity_VV.img", 90.0, "Intensity_VV")
    write_raster(tmp_path / "in" / "dem.tif", np.ones((24, 24), np.float32), (5e5, 10, 0, 8e6, 0, -10), CRS)
    result = prepare(tmp_path / "in")
    assert list(result.stack.sensors) == ["STATIC"]
    ((name, why),) = skipped(result).items()
    assert name == f"{SCENE}_F0A1_Orb Intensity_VV" and "run SNAP's Calibration" in why


def test_worldcereal_fills_are_no_values(shared_data, tmp_path):
    """Newer products fill with 65535, older with 0; taken for an amplitude 65535 would be a power of 21.525.

    Four ways to read them: as they lie, at another resolution, in another zone, and both kinds in one sensor.
    """
    sources = shared_data / "ewoc_preproc" / "SAR"
    empty = set()
    for path in sorted(sources.rglob("*_VV.tif")):
        values = gdal.Open(str(path)).ReadAsArray()
        if np.isin(values, (0, 65535)).all():
            empty.add(path.name[:19])
    assert len(empty) == 9
    for settings in ({}, {"resolution": 10.0}, {"crs": "EPSG:32735"}):
        result = prepare_stack(sources / "36", tmp_path / "a.json", PrepareSettings(**settings))
        sensor, series = result.stack.sensors["S1_DES"], read(result)["S1_DES"]
        assert len(sensor.complete) == 7 and series.mask.any()
        assert power_of(sensor, series).max() < 1
        why = skipped(result)
        assert {name[:19] for name, text in why.items() if text == "wholly without data"} == empty
    box = ((661440.0, 9648800.0, 661500.0, 9648860.0), "EPSG:32736")
    both = prepare_stack(sources, tmp_path / "b.json", PrepareSettings(crs="EPSG:32736", extent=box))
    assert power_of(both.stack.sensors["S1_DES"], read(both)["S1_DES"]).max() < 1


def power_of(sensor, series):
    """Values as power, whatever the sensor holds."""
    values = series.values[0].astype(np.float64) * sensor.scale + sensor.offset
    return {"power": values, "amplitude": values**2, "db": 10 ** (values / 10)}[sensor.unit]


def test_the_time_of_a_pass_gives_the_orbit_that_real_files_state(shared_data):
    """WorldCereal's newer products write TODO into the name and the orbit into a tag."""
    seen = set()
    for path in sorted((shared_data / "ewoc_preproc" / "SAR" / "36").rglob("*_VV.tif")):
        tags = gdal.Open(str(path)).GetMetadata()
        satellite, start = path.name[:3], path.name[4:19]
        assert pass_of(satellite, start) == (tags["ORBIT_DIRECTION"], tags["ORBIT"])
        seen.add(tags["ORBIT"])
    assert seen == {"050", "152"}
