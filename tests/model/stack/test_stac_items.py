"""STAC items: which file is which band, how it scales, and which addresses are taken."""

from __future__ import annotations

import json

import numpy as np
import pytest
from landloom.model.base.errors import LandloomError
from landloom.model.base.raster import address_of
from landloom.model.stack.prepare import PrepareSettings, prepare_stack
from landloom.model.stack.products.base import Choice
from landloom.model.stack.products.stac import product_of
from landloom.model.stack.reader import StackReader
from landloom.model.stack.stac.hrefs import gdal_path, lasting
from landloom.model.stack.stac.items import parse_item, read_items


def write_collection(path, items):
    path.write_text(json.dumps({"type": "FeatureCollection", "features": items}), "utf-8")
    return path


@pytest.fixture
def items(stac_files):
    import stac_service

    return [stac_service.item(date, f"{stac_files}/", applied=None) for date in stac_service.DATES]


def product(content, folder, **choice):
    return product_of(parse_item(content, folder), Choice(**choice))


def test_an_item_becomes_a_product(items, stac_files):
    made = product(items[0], stac_files)
    assert (made.sensor, made.date, made.tile, made.unit) == ("S2", "2021-01-03", "T38KPE", "reflectance")
    assert list(made.bands) == ["B4", "B8", "B11"] and made.bands["B8"][0] == f"{stac_files}/2021-01-03_nir.tif"
    assert (made.scale, made.offset, made.nodata) == (1e-4, -0.1, 0.0)
    assert made.masks[0].path.endswith("scl.tif") and 9.0 in made.masks[0].invalid_values


@pytest.mark.parametrize(
    ("properties", "told", "offset"),
    [
        ({"earthsearch:boa_offset_applied": True}, -0.1, 0.0),
        ({"earthsearch:boa_offset_applied": False}, -0.1, -0.1),
        ({"sentinel:boa_offset_applied": True}, None, 0.0),
        ({"s2:processing_baseline": "05.09"}, None, -0.1),
        ({"s2:processing_baseline": "03.01"}, None, 0.0),
        ({"s2:processing_baseline": "03.01"}, 0, 0.0),
    ],
)
def test_the_offset_is_taken_once(items, stac_files, properties, told, offset):
    del items[0]["properties"]["s2:processing_baseline"]
    items[0]["properties"].update(properties)
    for asset in items[0]["assets"].values():
        for band in asset.get("raster:bands", []):
            band.pop("offset", None)
            if told is not None:
                band["offset"] = told
    assert product(items[0], stac_files).offset == offset


def test_newer_stac_with_bands_in_place_of_eo_and_raster(items, stac_files):
    for asset in items[0]["assets"].values():
        raster = asset.pop("raster:bands", [{}])[0]
        eo = asset.pop("eo:bands", [{}])[0]
        asset["bands"] = [{**eo, "data_type": raster.get("data_type"), "nodata": raster.get("nodata")}]
        asset["raster:scale"], asset["raster:offset"] = raster.get("scale"), raster.get("offset")
    items[0]["properties"]["proj:code"] = f"EPSG:{items[0]['properties'].pop('proj:epsg')}"
    made = product(items[0], stac_files)
    assert list(made.bands) == ["B4", "B8", "B11"] and (made.scale, made.offset, made.nodata) == (1e-4, -0.1, 0.0)
    assert parse_item(items[0], stac_files).assets["nir"].grid.width == 400


@pytest.mark.parametrize("told", [True, False])
def test_landsat_items_have_the_rules_of_its_files(stac_files, tmp_path, told):
    """Snow stays, as in the files; CLOUD_RULE knows the bits; scale and offset also where the item has none."""
    from landloom.model.stack.cloudrules import with_cloud_rule

    tiff, data = "image/tiff; application=geotiff", ["data", "reflectance"]
    assets = (("red", "OLI_B4", data), ("nir08", "OLI_B5", data), ("qa_pixel", "", ["cloud"]), ("qa_radsat", "", []))
    raster = [{"scale": 0.0000275, "offset": -0.2, "nodata": 0, "data_type": "uint16"}] if told else [{}]
    for name in ("red.tif", "nir08.tif", "qa_pixel.tif", "qa_radsat.tif"):
        (tmp_path / name).write_bytes(b"")
    item = {
        "id": "LC09_L2SP_170070_20230106_02_T1", "collection": "landsat-c2-l2", "links": [],
        "properties": {"datetime": "2023-01-06T07:00:00Z", "platform": "landsat-9", "instruments": ["oli", "tirs"],
                       "landsat:wrs_path": "170", "landsat:wrs_row": "070"},
        "assets": {
            key: {"href": f"{key}.tif", "type": tiff, "roles": roles, "raster:bands": raster,
                  **({"eo:bands": [{"name": name, "common_name": key}]} if name else {})}
            for key, name, roles in assets
        },
    }  # fmt: skip
    made = product(item, tmp_path)
    assert made.sensor == "L8" and set(made.bands) == {"B4", "B5"}
    assert (made.scale, made.offset, made.nodata) == (0.0000275, -0.2, 0)
    assert [mask.invalid_bits for mask in made.masks] == [0b11111, 0b100001111111]
    (strict,) = with_cloud_rule([made], "strict")
    assert strict.masks[0].invalid_bits == 0b111111


def test_planetary_computer_and_copernicus_names(stac_files, tmp_path):
    tiff = "image/tiff; application=geotiff; profile=cloud-optimized"
    for name in ("B02_10m.jp2", "B02_20m.jp2", "B8A_20m.jp2", "SCL_20m.jp2", "B01_60m.jp2"):
        (tmp_path / name).write_bytes(b"")
    copernicus = {
        "id": "S2B_MSIL2A_20230101T000000_N0509_R006_T38KPE_x", "collection": "sentinel-2-l2a", "links": [],
        "properties": {"datetime": "2023-01-01T07:00:00Z", "platform": "sentinel-2b"},
        "assets": {
            name[:-4]: {"href": "s3://eodata/" + name, "alternate": {"https": {"href": f"https://example.org/{name}"}},
                        "type": "image/jp2", "roles": ["data", "reflectance"], "gsd": int(name.split("_")[1][:2]),
                        "bands": [{"name": name[:3]}]}
            for name in ("B02_20m.jp2", "B02_10m.jp2", "B8A_20m.jp2", "SCL_20m.jp2", "B01_60m.jp2")
        },
    }  # fmt: skip
    made = product(copernicus, tmp_path)
    assert list(made.bands) == ["B2", "B8A"] and "B02_10m" in made.bands["B2"][0] and made.offset == -0.1
    assert "SCL_20m" in made.masks[0].path
    radar = {
        "id": "S1A_IW_GRDH_x_rtc", "collection": "sentinel-1-rtc",
        "links": [{"rel": "root", "href": "https://planetarycomputer.microsoft.com/api/stac/v1"}],
        "properties": {"datetime": "2023-01-01T07:00:00Z", "platform": "SENTINEL-1A", "sar:polarizations": ["VV", "VH"],
                       "sar:product_type": "GRD", "sat:orbit_state": "descending", "sat:relative_orbit": 20},
        "assets": {key: {"href": f"https://x.blob.core.windows.net/s1/{key}.tif", "type": tiff, "roles": ["data"],
                         "raster:bands": [{"nodata": -32768, "data_type": "float32"}]} for key in ("vh", "vv")},
    }  # fmt: skip
    made = product(radar, tmp_path)
    assert (made.sensor, made.unit, made.calibration, made.orbit) == ("S1_DES", "power", "gamma0_rtc", "020")
    assert list(made.bands) == ["VV", "VH"] and "pc_url_signing=yes&pc_collection=sentinel-1-rtc" in made.bands["VV"][0]
    assert product(radar, tmp_path, orbits="orbit").sensor == "S1_DES_020"
    radar["collection"] = "sentinel-1-grd"
    with pytest.raises(LandloomError, match="raw radar"):
        product(radar, tmp_path)


@pytest.mark.parametrize(
    "href",
    [
        "/vsicurl/http://127.0.0.1/a.tif", "/vsimem/a.tif", "/vsizip/a.zip/b.tif", "s3://bucket/a.tif", "ftp://x/a.tif",
        "GTIFF_DIR:1:a.tif", 'NETCDF:"a.nc":b', "<VRTDataset/>", "http:///a.tif", "", "a\nb.tif", "none.tif",
        "javascript:1", "PG:host=x", "../../../etc", "/vsistdin/",
    ],
)  # fmt: skip
def test_other_addresses_are_refused(href, tmp_path):
    with pytest.raises(LandloomError):
        gdal_path(href, tmp_path)


def test_addresses_that_are_taken(tmp_path):
    (tmp_path / "a b.tif").write_bytes(b"x")
    expected = str(tmp_path / "a b.tif")
    for href in ("a b.tif", "./a%20b.tif", expected, (tmp_path / "a b.tif").as_uri()):
        assert gdal_path(href, tmp_path) == expected
    path = gdal_path("https://host/a.tif?sig=1&x=2", tmp_path)
    assert path.startswith("/vsicurl?") and address_of(path) == "https://host/a.tif?sig=1&x=2"
    assert lasting(path) == "https://host/a.tif" and lasting("/data/a.tif") == "/data/a.tif"
    assert address_of(gdal_path("./a.tif", tmp_path, "", ("https://host/b/item.json",))) == "https://host/b/a.tif"
    assert "pc_url" not in gdal_path("https://x.blob.core.windows.net/a.tif", tmp_path)


def test_damaged_items_are_named(tmp_path, items):
    items[1] = {"type": "Feature", "id": "broken"}
    items[2]["assets"]["red"]["href"] = "none.tif"
    items[3]["properties"] = None
    items[4]["properties"]["datetime"] = None
    prepared = prepare_stack(write_collection(tmp_path / "items.json", items), tmp_path / "s.json", PrepareSettings())
    assert [one.date for one in prepared.stack.sensors["S2"].acquisitions] == ["2021-01-03"]
    assert len([line for line in prepared.lines if not line.used]) == 4
    for text in ("{", "[]", '{"type": "FeatureCollection", "features": 3, "stac_version": 1, "assets": 2}', '{"a": 1}'):
        (tmp_path / "bad.json").write_text(text)
        with pytest.raises(LandloomError):
            prepare_stack(tmp_path / "bad.json", tmp_path / "s.json", PrepareSettings())
    with pytest.raises(LandloomError):
        read_items(tmp_path / "bad.json")


@pytest.mark.parametrize("as_folder", [True, False])
def test_values_equal_those_of_the_files(tmp_path, items, stac_files, as_folder):
    from osgeo import gdal

    path = write_collection(tmp_path / "items" / "found.json" if (tmp_path / "items").mkdir() is None else "", items)
    source = path.parent if as_folder else path
    stack = prepare_stack(source, tmp_path / "s.json", PrepareSettings()).stack
    series = StackReader(stack).read(stack.grid.whole)["S2"]
    assert series.values.shape == (1, 5, 3, 400, 400)
    raw = gdal.Open(str(stac_files / "2021-01-13_nir.tif")).ReadAsArray()
    classes = gdal.Open(str(stac_files / "2021-01-13_scl.tif")).ReadAsArray().repeat(2, 0).repeat(2, 1)
    valid = np.isin(classes, (4,)) & (raw != 0)
    np.testing.assert_array_equal(series.mask[0, 1], valid)
    np.testing.assert_array_equal(series.values[0, 1, 1], raw * valid)
