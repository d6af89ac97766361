"""Optical product forms: what is found, what its values mean, what its masks say."""

from __future__ import annotations

import json
import os
import shutil
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from landloom.model.base.errors import LandloomError
from landloom.model.base.progress import Progress
from landloom.model.stack.grid import Window
from landloom.model.stack.manifest import Stack
from landloom.model.stack.maskrules import scene_classes
from landloom.model.stack.prepare import PrepareSettings, prepare_stack
from landloom.model.stack.products import FORMS, Choice, find_products
from landloom.model.stack.products.sen2cor import read_metadata
from landloom.model.stack.reader import StackReader
from optical_archives import METADATA, SIDE, TEN, TWENTY, surface, write_image, write_safe
from osgeo import gdal

FULL = Window(0, 0, SIDE, SIDE)
NAMES = {**{f"B{n}": f"B{n:02d}" for n in (2, 3, 4, 5, 6, 7, 8, 11, 12)}, "B8A": "B8A"}


def prepare(folder, output, stack=None, **settings):
    return prepare_stack(folder, output, PrepareSettings(**settings), stack)


def reflectance(path, sensor="S2", window=FULL):
    """Reflectance ``[T, C, H, W]``, NaN where masked, and the spec."""
    with StackReader(path) as reader:
        series, spec = reader.read(window)[sensor], reader.specs[sensor]
    values = series.values[0].astype(np.float64) * spec.scale + spec.offset
    return np.where(series.mask[0][:, None], values, np.nan), spec


def skipped(result):
    return {line.name: line.why for line in result.lines if not line.used}


@pytest.fixture
def jp2():
    if gdal.GetDriverByName("JP2OpenJPEG") is None:
        pytest.skip("GDAL has no driver to write JPEG 2000")


def test_two_baselines_of_one_surface_give_one_reflectance(tmp_path, jp2):
    old = write_safe(tmp_path / "in", "20190212", "02.12")
    write_safe(tmp_path / "in", "20230821", "05.09", made="20230822T021825")
    result = prepare(tmp_path / "in", tmp_path / "stack.json")
    values, spec = reflectance(tmp_path / "stack.json")
    assert spec.dates == ("2019-02-12", "2023-08-21") and spec.dtype == "uint16"
    assert (spec.scale, spec.offset, spec.nodata) == (1e-4, -0.1, 0.0)
    ten = [spec.bands.index(band) for band in ("B2", "B3", "B4", "B8")]
    np.testing.assert_array_equal(values[0, ten], values[1, ten])
    np.testing.assert_allclose(values[0], values[1], atol=1.0001e-4)  # two bilinear means, each rounded
    b2 = gdal.Open(str(next(old.rglob("*_B02_10m.jp2")))).ReadAsArray()
    np.testing.assert_allclose(values[0, 0][b2 > 0], b2[b2 > 0] * 1e-4, atol=1e-9)
    assert np.isnan(values[:, :, 0, -1]).all()  # 0 is no data before the offset
    alone = prepare(tmp_path / "in", tmp_path / "b.json", start="2023-01-01").stack
    assert alone.sensors["S2"].acquisitions[0].parts[0].scales == {}
    np.testing.assert_array_equal(reflectance(alone.path)[0][0], values[1])
    assert not [line for line in result.warnings if "another year" not in line]
    assert Stack.read(tmp_path / "stack.json").sensors["S2"] == result.stack.sensors["S2"]


def test_a_stack_of_old_products_is_extended_by_new_ones(tmp_path, jp2):
    write_safe(tmp_path / "a", "20190212", "02.12")
    write_safe(tmp_path / "b", "20230821", "05.09")
    first = prepare(tmp_path / "a", tmp_path / "a.json").stack
    before, _ = reflectance(first.path)
    second = prepare(tmp_path / "b", tmp_path / "b.json", stack=first.path).stack
    after, spec = reflectance(second.path)
    assert spec.offset == -0.1 and len(spec.dates) == 2
    np.testing.assert_allclose(after[0], before[0], atol=1.0001e-4)
    np.testing.assert_allclose(after[1], before[0], atol=1.0001e-4)


def test_each_band_has_its_own_offset(tmp_path, jp2):
    root = write_safe(tmp_path / "in", "20230821", "05.09")
    path = root / "MTD_MSIL2A.xml"
    path.write_text(path.read_text().replace('band_id="3">-1000', 'band_id="3">-500'))
    values, _ = reflectance(prepare(tmp_path / "in", tmp_path / "s.json").stack.path)
    b4 = surface("B04", offset=1000)
    np.testing.assert_allclose(values[0, 2][b4 > 0], (b4[b4 > 0] - 500.0) * 1e-4, atol=1e-9)
    b3 = surface("B03", offset=1000)
    np.testing.assert_allclose(values[0, 1][b3 > 0], (b3[b3 > 0] - 1000.0) * 1e-4, atol=1e-9)


def test_values_below_the_offset_are_kept(tmp_path, jp2):
    dark = np.full((SIDE, SIDE), 1400, np.uint16)
    dark[3, 3] = 985
    write_safe(tmp_path / "in", "20190212", "02.12")
    write_safe(tmp_path / "in", "20230821", "05.09", values={"B02": dark})
    values, _ = reflectance(prepare(tmp_path / "in", tmp_path / "s.json").stack.path)
    assert values[1, 0, 3, 3] == pytest.approx(-0.0015) and values[1, 0, 4, 4] == pytest.approx(0.04)


def test_an_offset_is_never_taken_off_twice(tmp_path, jp2):
    done = {band: surface(band) for band in TEN + TWENTY}  # values without the offset that the metadata ask for
    done["B02"] = np.full((SIDE, SIDE), 500, np.uint16)
    write_safe(tmp_path / "in", "20230821", "05.09", values=done)
    with pytest.raises(LandloomError, match=r"100 % of the clear values in B2 .* BOA_ADD_OFFSET|BOA_ADD_OFFSET.*100 %"):
        prepare(tmp_path / "in", tmp_path / "s.json")
    assert not (tmp_path / "s.json").exists() and not list(tmp_path.glob("s_vrt*"))


def test_scene_classes_are_chosen(tmp_path, jp2):
    classes = np.full((12, 12), 4)
    classes[0] = range(12)
    write_safe(tmp_path / "in", "20190212", "02.12", scl=classes)

    def masked(name, **settings):
        values, _ = reflectance(prepare(tmp_path / "in", tmp_path / name, **settings).stack.path)
        return [number for number in range(12) if np.isnan(values[0, 0, 1, 2 * number])]

    assert masked("a.json") == [0, 1, 3, 8, 9, 10]
    assert masked("b.json", scl_invalid=(6, 11)) == [6, 11]
    assert scene_classes("0, 3;11") == (0, 3, 11) and scene_classes("none") == ()
    for wrong in ("12", "clouds", "1.5", "-1"):
        with pytest.raises(LandloomError, match="SCL_INVALID"):
            scene_classes(wrong)


def test_the_newest_baseline_wins(tmp_path, jp2):
    write_safe(tmp_path / "in", "20190212", "02.12", made="20190213T000000")
    write_safe(tmp_path / "in", "20190212", "05.00", made="20230601T000000")
    result = prepare(tmp_path / "in", tmp_path / "s.json")
    assert [part.product for one in result.stack.sensors["S2"].acquisitions for part in one.parts] == [
        "S2A_MSIL2A_20190212T071211_N0500_R020_T38KPE_20230601T000000"
    ]
    (why,) = skipped(result).values()
    assert "N0500" in why


def test_real_metadata(shared_data):
    facts = {
        facts.baseline: facts
        for facts in map(read_metadata, map(str, (shared_data / "safe_metadata_only").glob("*.SAFE/MTD_MSIL2A.xml")))
    }
    assert sorted(facts) == [2.12, 4.0, 5.09] and facts[2.12].offsets == {}
    for baseline in (4.0, 5.09):
        assert len(facts[baseline].offsets) == 13 and set(facts[baseline].offsets.values()) == {-1000.0}
    assert {one.quantification for one in facts.values()} == {10000.0}
    assert facts[5.09].name == "S2A_MSIL2A_20230821T221941_N0509_R029_T01KAB_20230822T021825"


def test_products_of_ones_own_sen2cor_have_the_offset_that_they_state(tmp_path):
    path = tmp_path / "MTD_MSIL2A.xml"
    path.write_text(METADATA.format(name="S2A_x_N9999_y", baseline="99.99", offsets=""))
    assert read_metadata(str(path)).offsets == {}


def test_a_product_with_real_metadata(shared_data, tmp_path, jp2):
    root = next((shared_data / "safe_metadata_only").glob("*N0509*"))
    write_safe(tmp_path / "in", "20230821", "05.09", metadata=root / "MTD_MSIL2A.xml")
    values, _ = reflectance(prepare(tmp_path / "in", tmp_path / "s.json").stack.path)
    b2 = surface("B02", offset=1000)
    np.testing.assert_allclose(values[0, 0][b2 > 0], (b2[b2 > 0] - 1000.0) * 1e-4, atol=1e-9)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ('<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>', "document type"),
        ('<!DOCTYPE a [<!ENTITY x "y">]><a>&x;</a>'.encode("utf-16"), "document type"),
        ("<a><b></a>", "cannot be read as XML"),
        ("<a/>", "lack a baseline"),
        (METADATA.format(name="S2A_x", baseline="05.09", offsets=""), "no BOA_ADD_OFFSET"),
        ('<?xml version="1.0" encoding="nonsense"?><a/>', "metadata"),
        (None, "MTD_MSIL2A.xml"),
    ],
)
def test_bad_metadata_skip_a_product(tmp_path, jp2, content, why):
    write_safe(tmp_path / "in", "20190212", "02.12")
    root = write_safe(tmp_path / "in", "20190222", "02.12")
    (root / "MTD_MSIL2A.xml").unlink()
    if content is not None:
        (root / "MTD_MSIL2A.xml").write_bytes(content if isinstance(content, bytes) else content.encode())
    result = prepare(tmp_path / "in", tmp_path / "s.json")
    assert result.stack.sensors["S2"].spec.dates == ("2019-02-12",)
    assert why in skipped(result)[root.name.removesuffix(".SAFE")]


def test_zipped_products_are_read_as_they_are(tmp_path, jp2):
    plain = write_safe(tmp_path / "plain", "20230821", "05.09")
    folder = tmp_path / "in zipped é"
    folder.mkdir()
    with zipfile.ZipFile(folder / f"{plain.stem}.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(plain.rglob("*")):
            archive.write(path, path.relative_to(plain.parent))
        archive.writestr("../../outside.SAFE/MTD_MSIL2A.xml", "<a/>")
    (folder / "broken.zip").write_bytes(b"PK\x03\x04 nothing")
    (folder / "packed.tar.gz").write_bytes(b"x")
    result = prepare(folder, tmp_path / "a.json")
    expected = prepare(tmp_path / "plain", tmp_path / "b.json").stack
    np.testing.assert_array_equal(reflectance(tmp_path / "a.json")[0], reflectance(expected.path)[0])
    assert set(skipped(result)) == {"broken.zip", "packed.tar.gz"}


def test_tar_archives_are_read_or_named(tmp_path, write_product):
    """GDAL 3.6 cuts names above 100 characters, as Theia's with their folders are: then the archive is named."""
    name = "LC08_L2SP_199026_20200510_20200820_02_T1"
    for band in ("B4", "B5"):
        write_image(tmp_path / f"{name}_SR_{band}.TIF", np.full((24, 24), 9000, np.uint16), 10)
    write_product.theia(tmp_path / "theia", "20210115", bands=("B2",))
    (tmp_path / "in").mkdir()
    with tarfile.open(tmp_path / "in" / f"{name}.tar", "w") as archive:
        for path in sorted(tmp_path.glob("*.TIF")):
            archive.add(path, path.name)
    with tarfile.open(tmp_path / "in" / "theia.tar", "w") as archive:
        archive.add(tmp_path / "theia", ".")
    alone = prepare(tmp_path / "in" / f"{name}.tar", tmp_path / "alone.json")
    result = prepare(tmp_path / "in", tmp_path / "s.json")
    assert result.stack.spec("L8").bands == alone.stack.spec("L8").bands == ("B4", "B5")
    read = "S2" in result.stack.sensors  # by a GDAL that knows long names
    assert read or "names are too long; unpack it" in skipped(result)["theia.tar"]


def test_a_link_to_a_folder_above_ends(tmp_path, jp2):
    write_safe(tmp_path / "in", "20190212", "02.12")
    os.symlink(tmp_path / "in", tmp_path / "in" / "again")
    assert len(find_products(tmp_path / "in", Choice(), Progress()).products) == 1


def write_files(folder, pattern, offset=0, bands=TEN + TWENTY):
    for band in (*bands, "SCL"):
        size = 10 if band in TEN else 20
        values = np.full((12, 12), 4, np.uint8) if band == "SCL" else surface(band, offset=offset)
        write_image(folder / pattern.format(band=band, size=size), values, size)
    return folder


@pytest.mark.parametrize(
    ("folder", "pattern", "offset"),
    [
        ("S2A_38KPE_20190212_0_L2A", "{band}.tif", 0),
        ("S2A_38KPE_20230212_0_L2A", "{band}.tif", 0),  # taken off already: the values show it
        ("2023-02-12", "{band}_{size}m.tif", 1000),
        ("anything", "T38KPE_20230212T071211_{band}_{size}m.tif", 1000),
        ("S2A_MSIL2A_20230212T071211_N0509_R020_T38KPE/R{size}m", "T38KPE_20230212T071211_{band}_{size}m.tif", 1000),
        ("any", "S2A_38KPE_20190212_0_L2A_{band}.tif", 0),
    ],
)  # fmt: skip
def test_single_files_of_sen2cor(tmp_path, folder, pattern, offset):
    for band in (*TEN, *TWENTY, "SCL"):
        size = 10 if band in TEN else 20
        values = np.full((12, 12), 4, np.uint8) if band == "SCL" else np.maximum(surface(band), 200) + np.uint16(offset)
        if band == "B02":
            values = np.full((SIDE, SIDE), 400 + offset, np.uint16)
        write_image(tmp_path / "in" / folder.format(size=size) / pattern.format(band=band, size=size), values, size)
    result = prepare(tmp_path / "in", tmp_path / "s.json")
    values, spec = reflectance(tmp_path / "s.json")
    assert len(spec.bands) == 10 and spec.dates[0][5:] == "02-12"
    np.testing.assert_allclose(values[0, 0], 0.04, atol=1e-9)
    sure = "2019" in spec.dates[0] or "N0509" in folder
    assert bool(result.warnings) != sure and all("BOA_ADD_OFFSET" in warning for warning in result.warnings)
    if not sure:
        assert ("taken off already" in result.warnings[0]) == (offset == 0)


@pytest.mark.parametrize(("applied", "offset"), [(True, 0), (False, 1000)])
def test_a_stac_item_beside_the_files_tells_of_the_offset(tmp_path, applied, offset):
    name = "S2A_38KPE_20230212_0_L2A"
    folder = write_files(tmp_path / "in" / name, "{band}.tif", offset)
    write_image(folder / "B02.tif", np.full((SIDE, SIDE), 2000 + offset, np.uint16), 10)  # bright: values do not tell
    properties = {"earthsearch:boa_offset_applied": applied, "s2:processing_baseline": "05.09"}
    (folder / f"{name}.json").write_text(json.dumps({"stac_version": "1.0.0", "id": name, "properties": properties}))
    result = prepare(tmp_path / "in", tmp_path / "s.json")
    assert not result.warnings
    np.testing.assert_allclose(reflectance(tmp_path / "s.json")[0][0, 0, 5:], 0.2, atol=1e-9)


def test_single_files_without_a_date_are_named(tmp_path, jp2):
    write_files(tmp_path / "in" / "download", "{band}.tif")
    write_safe(tmp_path / "in", "20190212", "02.12")
    result = prepare(tmp_path / "in", tmp_path / "s.json")
    assert "no date" in skipped(result)["download"]


def test_colours_are_bands_only_in_folders_of_sentinel_2(tmp_path):
    for folder in ("S2A_38KPE_20190212_0_L2A", "drone 2019-02-12"):
        for colour, size in (("red", 10), ("nir", 10), ("swir16", 20), ("scl", 20)):
            values = np.full((240 // size, 240 // size), 4 if colour == "scl" else 900, np.uint16)
            write_image(tmp_path / "in" / folder / f"{colour}.tif", values, size)
    (product,) = [one for one in find_products(tmp_path / "in", Choice(), Progress()).products if one.sensor == "S2"]
    assert product.name.startswith("S2A") and tuple(product.bands) == ("B4", "B8", "B11") and len(product.masks) == 1


def test_theia_and_sen2cor_of_one_scale_keep_their_zeros(tmp_path, write_product, jp2):
    b2 = np.full((24, 24), 300, np.int16)
    b2[5, 5], b2[6, 6], b2[7, 7] = 0, -10000, -20
    write_product.theia(tmp_path / "in", "20190222", {"B2": b2})
    write_safe(tmp_path / "in", "20190212", "02.12")
    stack = prepare(tmp_path / "in", tmp_path / "s.json").stack
    values, spec = reflectance(stack.path)
    assert (spec.nodata, spec.dtype) == (-10000, "int32")
    assert values[1, 0, 5, 5] == 0 and np.isnan(values[1, 0, 6, 6]) and values[1, 0, 7, 7] == pytest.approx(-0.002)
    assert np.isnan(values[0, 0, 0, -1]) and np.isfinite(values[0, 0, 5:-5, 5:-5]).all()


def test_theia_masks_by_bits(tmp_path, write_product):
    base = write_product.theia(tmp_path / "in", "20210105", cloud=np.zeros((24, 24)))
    mg2 = np.zeros((24, 24), np.uint8)
    mg2[0, :8] = [1 << bit for bit in range(8)]
    edge = np.zeros((12, 12), np.uint8)
    edge[5, 5] = 1
    write_product.raster(base / "MASKS" / f"{base.name}_MG2_R1.tif", mg2, 10)
    write_product.raster(base / "MASKS" / f"{base.name}_EDG_R2.tif", edge, 20)
    values, _ = reflectance(prepare(tmp_path / "in", tmp_path / "s.json").stack.path)
    bad = np.isnan(values[0, 0])
    assert np.flatnonzero(bad[0]).tolist() == [1, 3, 5, 6, 7]  # water, snow and topographic shadow stay
    assert bad[10:12, 10:12].all() and bad.sum() == 9


def test_theia_slope_correction_is_chosen(tmp_path, write_product):
    base = write_product.theia(tmp_path / "in", "20210105")
    for path in list(base.glob("*_FRE_*")):
        shutil.copy(path, str(path).replace("_FRE_", "_SRE_"))
    write_product.raster(base / f"{base.name}_SRE_B2.tif", np.full((24, 24), 77, np.int16), 10)
    for choice, value in (("FRE", 0.1), ("SRE", 0.0077)):
        path = prepare(tmp_path / "in", tmp_path / f"{choice}.json", reflectance=choice).stack.path
        np.testing.assert_allclose(reflectance(path)[0][0, 0], value, atol=1e-9)


@pytest.mark.parametrize("satellite", ["A", "B", "C"])
@pytest.mark.parametrize("version", ["1-4", "2-2", "3-1", "4-0"])
def test_theia_versions_and_satellites(tmp_path, satellite, version):
    name = f"SENTINEL2{satellite}_20210105-071211-123_L2A_T38KPE_C_V{version}"
    for band in ("B2", "B8A"):
        size = 10 if band == "B2" else 20
        values = np.full((240 // size, 240 // size), 500, np.int16)
        write_image(tmp_path / "in" / name / f"{name}_FRE_{band}.tif", values, size)
    (product,) = find_products(tmp_path / "in", Choice(), Progress()).products
    assert (product.name, tuple(product.bands)) == (name, ("B2", "B8A"))


def test_partial_products_are_used_for_what_they_hold(tmp_path, write_product):
    few = ("B2", "B3", "B4", "B8")
    for day, bands in ((5, few), (10, few), (15, few), (20, (*few, "B5"))):
        write_product.theia(tmp_path / "in", f"202101{day:02d}", bands=bands)
    write_product.theia(tmp_path / "in", "20210125", bands=("B2",))
    result = prepare(tmp_path / "in", tmp_path / "s.json")
    spec = result.stack.spec("S2")
    assert spec.bands == few and len(spec.dates) == 4
    (why,) = skipped(result).values()
    assert "no band B3, B4, B8" in why
    assert any("have no B5" in warning for warning in result.warnings)
    assert any("1 of 5 products lack a band" in line and "2021-01-25" in line for line in result.warnings)


def test_a_partial_tile_leaves_its_date_to_the_other_tile(tmp_path, write_product):
    """Of two tiles of a date one lacks a band: its area is masked then, the other tile's is not."""
    east = {"corner": (500240.0, 8000000.0), "tile": "T38KQE"}
    for date in ("20210105", "20210115"):
        write_product.theia(tmp_path / "in", date, bands=("B2", "B3"))
        write_product.theia(tmp_path / "in", date, bands=("B2", "B3") if date == "20210105" else ("B2",), **east)
    result = prepare(tmp_path / "in", tmp_path / "s.json")
    assert result.stack.spec("S2").bands == ("B2", "B3") and result.stack.grid.width == 48
    with StackReader(result.stack) as reader:
        mask = reader.read(Window(0, 0, 48, 24))["S2"].mask[0]
    assert mask[0].all() and mask[1, :, :24].all() and not mask[1, :, 24:].any()
    (warning,) = [line for line in result.warnings if "lack a band" in line]
    assert "1 of 4 products" in warning and "without another product" not in warning and "BANDS" in warning


def test_pieces_of_one_product_in_several_folders_are_put_together(tmp_path, write_product):
    """Bands at 10 m in one folder, those at 20 m and the masks in another, as some people unpack them."""
    cloud = np.zeros((12, 12))
    cloud[0, 0] = 1
    write_product.theia(tmp_path / "in" / "20m", "20210105", bands=("B5", "B8A"), cloud=cloud)
    write_product.theia(tmp_path / "in" / "10m", "20210105", bands=("B2", "B3"))
    write_product.theia(tmp_path / "in" / "again", "20210105", bands=("B2",))
    result = prepare(tmp_path / "in", tmp_path / "s.json")
    assert result.stack.spec("S2").bands == ("B2", "B3", "B5", "B8A")
    with StackReader(result.stack) as reader:
        mask = reader.read(Window(0, 0, 24, 24))["S2"].mask[0, 0]
    assert (~mask).sum() == 4
    assert list(skipped(result).values()) == ["a copy of it was already found"]


def test_bands_are_chosen(tmp_path, write_product):
    """A product whose only fault is a band that nobody wants is used; other sensors keep their bands."""
    write_product.theia(tmp_path / "in", "20210105")
    write_product.theia(tmp_path / "in", "20210115", bands=("B2", "B8"))
    broken = next((write_product.theia(tmp_path / "in", "20210125")).glob("*_FRE_B5.tif"))
    broken.write_bytes(b"")
    write_product.s1tiling(tmp_path / "in", "20210104")
    result = prepare(tmp_path / "in", tmp_path / "s.json", bands=("B02", "b8"))
    assert result.stack.spec("S2").bands == ("B2", "B8") and len(result.stack.spec("S2").dates) == 3
    assert result.stack.spec("S1_ASC").bands == ("VV", "VH") and not skipped(result)
    assert not any("the stack goes without" in line for line in result.warnings)
    with pytest.raises(LandloomError, match=r"BANDS lists B99.*their bands are: B2, B3"):
        prepare(tmp_path / "in", tmp_path / "s.json", bands=("B2", "B99"))


def test_theia_monthly_syntheses_are_a_sensor_of_their_own(tmp_path, write_product):
    name = "SENTINEL2X_20210115-000000-000_L3A_T38KPE_D_V1-1"
    flags = np.full((24, 24), 4, np.uint8)
    flags[0, :5] = range(5)
    for band, size in (("B2", 10), ("B3", 10), ("B11", 20)):
        write_image(tmp_path / "in" / name / f"{name}_FRC_{band}.tif", np.full((240 // size,) * 2, 800, np.int16), size)
    write_image(tmp_path / "in" / name / "MASKS" / f"{name}_FLG_R1.tif", flags, 10)
    write_product.theia(tmp_path / "in", "20210115")
    stack = prepare(tmp_path / "in", tmp_path / "s.json").stack
    values, spec = reflectance(stack.path, "S2_L3A")
    assert list(stack.sensors) == ["S2", "S2_L3A"] and spec.bands == ("B2", "B3", "B11")
    assert np.flatnonzero(np.isnan(values[0, 0, 0])).tolist() == [0, 1] and np.isnan(values[0, 0]).sum() == 2


def write_usgs(folder, date="20210105", satellite="8", quality=None, value=10000):
    name = f"LC0{satellite}_L2SP_158072_{date}_20210115_02_T1"
    for band in range(1, 8):
        write_image(folder / name / f"{name}_SR_B{band}.TIF", np.full((8, 8), value + band, np.uint16), 30)
    bits = np.full((8, 8), 21824, np.uint16) if quality is None else quality
    write_image(folder / name / f"{name}_QA_PIXEL.TIF", bits, 30)
    return name


def test_landsat_of_usgs_and_theia_are_one_sensor(tmp_path):
    quality = np.full((8, 8), 21824, np.uint16)  # clear, with low confidences
    quality[0, :6] = [1, 1 << 1, 1 << 2, 1 << 3, 1 << 4, 1 << 5]  # fill, dilated, cirrus, cloud, shadow, snow
    write_usgs(tmp_path / "in", "20210105", "8", quality)
    write_usgs(tmp_path / "in", "20210113", "9")
    name = "LANDSAT8-OLITIRS-XS_20210121-070500-000_L2A_T38KPE_D_V1-9"
    for band in range(1, 8):
        raw = round((10000 + band) * 0.275 - 2000)  # the same surface
        write_image(tmp_path / "in" / name / f"{name}_FRE_B{band}.tif", np.full((8, 8), raw, np.int16), 30)
    clouds = np.zeros((8, 8), np.uint8)
    clouds[7, 7] = 16
    write_image(tmp_path / "in" / name / "MASKS" / f"{name}_CLM_XS.tif", clouds, 30)
    stack = prepare(tmp_path / "in", tmp_path / "s.json").stack
    values, spec = reflectance(stack.path, "L8", Window(0, 0, 8, 8))
    assert spec.bands == tuple(f"B{n}" for n in range(1, 8)) and len(spec.dates) == 3
    assert (spec.scale, spec.offset) == (0.0000275, -0.2)
    np.testing.assert_allclose(values[1, :, 4, 4], [(10000 + n) * 0.0000275 - 0.2 for n in range(1, 8)], atol=1e-9)
    np.testing.assert_allclose(values[2, :, 4, 4], values[1, :, 4, 4], atol=1e-4)
    assert np.flatnonzero(np.isnan(values[0, 0, 0])).tolist() == [0, 1, 2, 3, 4]
    assert np.isnan(values[2, 0]).sum() == 1


def test_real_terrascope_and_worldcereal(shared_data, tmp_path):
    stack = prepare(shared_data / "terrascope_S2_TOC_V200", tmp_path / "t.json").stack
    values, spec = reflectance(stack.path, window=Window(0, 0, 6, 6))
    assert len(spec.bands) == 10 and len(spec.dates) == 7 and spec.nodata == 32767
    for index, date in enumerate(spec.dates):
        part = stack.sensors["S2"].acquisitions[index].parts[0]
        b4 = gdal.Open(next(source.path for source in part.sources if "B04" in source.path)).ReadAsArray()
        classes = gdal.Open(part.masks[0].source.path).ReadAsArray().repeat(2, 0).repeat(2, 1)
        valid = (b4 != 32767) & ~np.isin(classes, (0, 1, 3, 8, 9, 10))
        expected = np.where(valid, b4 * 1e-4, np.nan)
        np.testing.assert_allclose(values[index, 2], expected, atol=1e-9, err_msg=date)
    result = prepare(shared_data / "ewoc_preproc", tmp_path / "e.json", sensors=("S2", "L8"))
    assert [len(one.complete) for one in result.stack.sensors.values()] == [14, 21]
    landsat, spec = reflectance(tmp_path / "e.json", "L8", Window(0, 0, 6, 6))
    near_infrared = landsat[:, spec.bands.index("B5"), 2, 2]
    assert np.isnan(near_infrared[[0, 11]]).all()  # masked, the second as Collection 2 values
    assert ((near_infrared > 0.1) & (near_infrared < 0.35))[np.isfinite(near_infrared)].all()


def test_one_processor_makes_a_date(tmp_path, write_product, jp2):
    write_product.theia(tmp_path / "in", "20190212")
    write_product.theia(tmp_path / "in", "20190222")
    write_safe(tmp_path / "in", "20190212", "02.12")
    write_safe(tmp_path / "in", "20190304", "05.09")
    result = prepare(tmp_path / "in", tmp_path / "s.json")
    assert result.stack.spec("S2").dates == ("2019-02-12", "2019-02-22", "2019-03-04")
    (why,) = skipped(result).values()
    assert why.startswith("the date is taken from ") and why.endswith("one processor makes a date")
    values, _ = reflectance(tmp_path / "s.json")
    np.testing.assert_allclose(values[1, 0], 0.1, atol=1e-9)  # Theia's 1000, though the sensor has an offset


def test_every_form_has_its_own_name_and_looks_like_a_file():
    assert len({form.name for form in FORMS}) == len(FORMS)
    assert all(form.looks_like for form in FORMS)


DAMAGES = ("cut image", "cut mask", "empty mask", "no image", "future", "impossible date", "no data", "bad pixels")


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_bad_product_costs_one_line_and_one_date(tmp_path, jp2, damage):
    write_safe(tmp_path / "in", "20190212", "02.12")
    date = {"future": "20990101", "impossible date": "20191340"}.get(damage, "20190222")
    nothing = {"B02": np.zeros((SIDE, SIDE), np.uint16)} if damage == "no data" else None
    root = write_safe(tmp_path / "in", date, "02.12", values=nothing)
    image, mask = next(root.rglob("*_B02_10m.jp2")), next(root.rglob("*_SCL_20m.jp2"))
    content = bytearray(image.read_bytes())
    if damage == "cut image":
        image.write_bytes(content[:-30])
    elif damage == "cut mask":
        mask.write_bytes(mask.read_bytes()[:-30])
    elif damage == "empty mask":
        mask.write_bytes(b"")
    elif damage == "no image":
        for path in root.rglob("*.jp2"):
            path.unlink()
    elif damage == "bad pixels":  # opens, has all its bytes, and cannot be decoded
        start = content.index(b"\xff\x93") + 2
        content[start:-2] = b"\xff" * (len(content) - start - 2)
        image.write_bytes(content)
    lines = []

    class Log(Progress):
        def info(self, text):
            lines.append(text)

    result = prepare_stack(tmp_path / "in", tmp_path / "s.json", PrepareSettings(), None, Log())
    assert result.stack.spec("S2").dates == ("2019-02-12",)
    (name,) = skipped(result)
    assert name == root.name.removesuffix(".SAFE")
    assert [line for line in lines if line.startswith("Skipped")] == [f"Skipped {name}: {skipped(result)[name]}."]
    assert not list((tmp_path / "s_vrt").glob(f"*{date}*"))


def test_one_bad_tile_leaves_the_other_of_its_date(tmp_path, jp2):
    write_safe(tmp_path / "in", "20190212", "02.12", tile="T38KPE")
    root = write_safe(tmp_path / "in", "20190212", "02.12", tile="T38KQE")
    image = next(root.rglob("*_B02_10m.jp2"))
    content = bytearray(image.read_bytes())
    start = content.index(b"\xff\x93") + 2
    content[start:-2] = b"\xff" * (len(content) - start - 2)
    image.write_bytes(content)
    result = prepare(tmp_path / "in", tmp_path / "s.json")
    (acquisition,) = result.stack.sensors["S2"].acquisitions
    assert ["T38KPE" in part.product for part in acquisition.parts] == [True]
    assert "T38KQE" in next(iter(skipped(result)))
    assert np.isfinite(reflectance(tmp_path / "s.json")[0]).any()


def test_nothing_usable_is_an_error_that_says_why(tmp_path, jp2):
    root = write_safe(tmp_path / "in", "20190212", "02.12")
    image = next(root.rglob("*_B03_10m.jp2"))
    image.write_bytes(image.read_bytes()[:-30])
    with pytest.raises(LandloomError, match=r"B03_10m\.jp2 is truncated"):
        prepare(tmp_path / "in", tmp_path / "s.json")


def test_copies_of_a_product_are_named(tmp_path, jp2):
    root = write_safe(tmp_path / "in", "20190212", "02.12")
    shutil.copytree(root, tmp_path / "in" / "copy" / root.name)
    result = prepare(tmp_path / "in", tmp_path / "s.json")
    assert skipped(result) == {root.stem: "a copy of it was already found"}
    assert len(result.stack.sensors["S2"].acquisitions[0].parts) == 1


def test_the_architecture_page_shows_the_shortest_form():
    from landloom.model.stack.products import theia_l3a

    folder = Path(theia_l3a.__file__).parent
    source = Path(theia_l3a.__file__).read_text("utf-8")
    page = (folder.parents[2] / "docs" / "architecture.md").read_text("utf-8")
    assert source in page
    forms = [path for path in folder.glob("*.py") if "\nFORM = " in path.read_text("utf-8")]
    assert len(forms) == len(FORMS)
    assert min(len(path.read_text("utf-8").splitlines()) for path in forms) == len(source.splitlines())
