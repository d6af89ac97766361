"""Cloud masks: CLOUD_RULE by form, the user's own masks, MASK_BUFFER in metres, MAX_CLOUD inside the extent."""

from __future__ import annotations

import numpy as np
import pytest
from landloom.model.base.errors import LandloomError
from landloom.model.stack.cloudrules import CLOUD_RULES, with_cloud_rule
from landloom.model.stack.grid import Window
from landloom.model.stack.prepare import PrepareSettings, prepare_stack
from landloom.model.stack.products import Product, ProductMask
from landloom.model.stack.products.base import SCL_INVALID
from landloom.model.stack.products.landsat_usgs import QA_PIXEL_INVALID
from landloom.model.stack.products.theia import MG2_INVALID
from landloom.model.stack.reader import StackReader
from landloom.model.stack.usermasks import parse_values

FULL = Window(0, 0, 24, 24)


def mask_of(folder, output, window=FULL, **settings):
    prepared = prepare_stack(folder, output, PrepareSettings(**settings))
    with StackReader(output) as reader:
        return reader.read(window)["S2"].mask[0], prepared


@pytest.fixture
def clouds(tmp_path, write_product):
    """One date whose CLM has cloud (1 + 2), shadow (1 + 64) and thin cloud (16) side by side."""
    clm = np.zeros((24, 24), np.uint8)
    clm[0:4], clm[8:12], clm[16:20] = 1 | 2, 1 | 64, 16
    write_product.theia(tmp_path / "in", "20210105", cloud=clm)
    return tmp_path / "in", clm


@pytest.mark.parametrize(
    ("rule", "masked"), [("standard", (0, 8, 16)), ("strict", (0, 8, 16)), ("cloud", (0,)), ("none", ())]
)
def test_the_rule_of_theia_masks(clouds, tmp_path, rule, masked):
    folder, _ = clouds
    mask, _ = mask_of(folder, tmp_path / "stack.json", cloud_rule=rule)
    expected = np.ones((24, 24), bool)
    for row in masked:
        expected[row : row + 4] = False
    np.testing.assert_array_equal(mask[0], expected)


def rules_of(*masks):
    product = Product("p", "f", "S2", "optical", "2021-01-01", {"B4": ("b", 1)}, masks)
    return {rule: with_cloud_rule([product], rule)[0].masks for rule in CLOUD_RULES}


def test_rules_by_form():
    scl = rules_of(ProductMask("m", invalid_values=SCL_INVALID, buffered=True))
    assert [set(scl[rule][0].invalid_values) for rule in CLOUD_RULES] == [
        {0, 1, 3, 8, 9, 10}, {0, 1, 8, 9}, {0, 1, 2, 3, 7, 8, 9, 10, 11}, {0, 1},
    ]  # fmt: skip
    qa = rules_of(ProductMask("m", invalid_bits=QA_PIXEL_INVALID, buffered=True))
    assert [qa[rule][0].invalid_bits for rule in CLOUD_RULES] == [31, 9, 63, 1]
    mg2 = rules_of(ProductMask("m", invalid_bits=MG2_INVALID))
    assert [mg2[rule][0].invalid_bits for rule in CLOUD_RULES] == [234, 226, 254, 224]
    saturation = ProductMask("m", invalid_bits=255)
    assert set(rules_of(saturation).values()) == {(saturation,)}
    own = ProductMask("m", invalid_values=(4.0,), buffered=True)  # SCL_INVALID by the user
    assert set(rules_of(own).values()) == {(own,)}
    assert rules_of(ProductMask("m", valid_values=(1.0,), buffered=True))["none"] == ()
    assert rules_of(ProductMask("m", invalid_values=(0.0, 1.0), buffered=True))["strict"][0].invalid_values == (0, 1, 2)


def test_own_masks_come_on_top_or_instead(clouds, tmp_path, write_product):
    folder, clm = clouds
    write_product.theia(folder, "20210115")
    own = np.zeros((12, 12), np.uint8)
    own[:, 6:] = 3
    own[:, 11:] = 1
    write_product.raster(tmp_path / "masques" / "ocm_T38KPE_20210105T071211.tif", own, 20)
    write_product.raster(tmp_path / "masques" / "ocm_T31UFQ_20210115T071211.tif", own, 20)  # another tile
    write_product.raster(tmp_path / "masques" / "readme.tif", own, 20)
    settings = dict(user_masks=str(tmp_path / "masques"))
    mask, prepared = mask_of(folder, tmp_path / "a.json", **settings)
    expected = clm == 0
    expected[:, 12:] = False
    np.testing.assert_array_equal(mask[0], expected)
    assert mask[1].all()
    said = " ".join(prepared.warnings)
    assert "readme.tif" in said and "2021-01-15" in said and "of 2 rasters 1 cannot be used" in said
    mask, _ = mask_of(folder, tmp_path / "b.json", cloud_rule="none", user_mask_invalid="2-3", **settings)
    expected[...] = True
    expected[:, 12:22] = False
    np.testing.assert_array_equal(mask[0], expected)


def test_own_masks_grow_with_the_buffer_and_may_be_probabilities(tmp_path, write_product):
    write_product.theia(tmp_path / "in", "20210105")
    probability = np.full((24, 24), 10, np.uint8)
    probability[12, 12], probability[2, 2] = 40, 39
    write_product.raster(tmp_path / "own" / "20210105" / "probability.tif", probability, 10)
    mask, _ = mask_of(
        tmp_path / "in", tmp_path / "s.json", user_masks=str(tmp_path / "own"), user_mask_invalid="40-100",
        mask_buffer=20.0,
    )  # fmt: skip
    rows, columns = np.indices((24, 24))
    np.testing.assert_array_equal(mask[0], (rows - 12) ** 2 + (columns - 12) ** 2 > 4)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (dict(user_mask_invalid="1"), "USER_MASKS is empty"),
        (dict(user_masks="nowhere"), "not a folder"),
        (dict(user_masks="."), "no raster with a date"),
        (dict(user_masks="other"), "date, tile and place"),
        (dict(user_masks="other", user_mask_invalid="cloud"), "USER_MASK_INVALID"),
        (dict(user_masks="other", user_mask_invalid="9-1"), "USER_MASK_INVALID"),
        (dict(cloud_rule="some"), "CLOUD_RULE"),
    ],
)
def test_own_masks_that_cannot_be_used(clouds, tmp_path, write_product, monkeypatch, settings, message):
    folder, _ = clouds
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    (tmp_path / "empty" / "other").mkdir()
    with pytest.raises(LandloomError, match=message):
        if settings.get("user_masks") == "other":
            write_product.raster(tmp_path / "empty" / "other" / "m_20200101.tif", np.zeros((24, 24), np.uint8), 10)
        mask_of(folder, tmp_path / "s.json", **settings)
    assert not (tmp_path / "s.json").exists()


def test_values_and_ranges():
    assert parse_values("1, 3;5-7 2.5", "X") == (1, 3, 5, 6, 7, 2.5) and parse_values("", "X") == ()


@pytest.mark.parametrize("resolution", [10.0, 20.0])
def test_a_buffer_reaches_at_least_its_metres_and_less_than_a_pixel_more(tmp_path, write_product, resolution):
    cloud = np.zeros((24, 24))
    cloud[12:14, 12:14] = 1
    write_product.theia(tmp_path / "in", "20210105", cloud=cloud)
    side = int(240 / resolution)
    mask, _ = mask_of(
        tmp_path / "in", tmp_path / "s.json", Window(0, 0, side, side), mask_buffer=50.0, resolution=resolution
    )
    rows, columns = (np.indices((side, side)) + 0.5) * resolution
    # distance of a pixel's centre to the nearest centre of a masked pixel, metres
    centres = [130.0] if resolution == 20 else [125.0, 135.0]
    distance = np.min([np.hypot(rows - y, columns - x) for y in centres for x in centres], axis=0)
    assert not mask[0][distance <= 50].any() and mask[0][distance >= 50 + resolution].all()


def test_a_buffer_is_in_metres_where_the_crs_is_in_feet(tmp_path, write_product):
    at = dict(epsg=2277, corner=(3_000_000.0, 10_000_000.0))  # US survey feet: pixels of 10 and 20 feet
    cloud = np.zeros((24, 24))
    cloud[12, 12] = 1
    write_product.theia(tmp_path / "in", "20210105", cloud=cloud, **at)
    mask, _ = mask_of(tmp_path / "in", tmp_path / "s.json", mask_buffer=9.0)
    rows, columns = np.indices((24, 24))
    np.testing.assert_array_equal(mask[0], (rows - 12) ** 2 + (columns - 12) ** 2 > 9)  # 9 m = 29.5 feet


def test_max_cloud_counts_inside_the_extent(tmp_path, write_product):
    cloud = np.zeros((24, 24))
    cloud[:, 12:] = 1
    write_product.theia(tmp_path / "in", "20210105", cloud=cloud)
    write_product.theia(tmp_path / "in", "20210115")
    west = ((500000.0, 7999760.0, 500120.0, 8000000.0), "EPSG:32738")
    east = ((500120.0, 7999760.0, 500240.0, 8000000.0), "EPSG:32738")
    for extent, dates in ((west, ("2021-01-05", "2021-01-15")), (east, ("2021-01-15",)), (None, ("2021-01-15",))):
        settings = PrepareSettings(max_cloud=20, extent=extent)
        prepared = prepare_stack(tmp_path / "in", tmp_path / "s.json", settings)
        assert prepared.stack.spec("S2").dates == dates
