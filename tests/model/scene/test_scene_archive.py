"""The files look as those of Theia and S1Tiling, and as iota2 finds them."""

from __future__ import annotations

import datetime
import re
from xml.etree import ElementTree

import numpy as np
import pytest
from landloom.model.scene.constants import BANDS_10M, BANDS_20M, CLIMATES, S2_BANDS
from osgeo import gdal, ogr, osr

PRODUCT = re.compile(r"SENTINEL2[AB]_\d{8}-\d{6}-\d{3}_L2A_T\d{2}[A-Z]{3}_C_V\d-\d")
S1_NAME = re.compile(r"s1[ab]_\w{5}_(vv|vh)_(ASC|DES)_\d{3}_\d{8}t(\d{6}|xxxxxx)\.tif")


@pytest.fixture(params=["tropical", "temperate"])
def scene(request):
    return request.getfixturevalue(request.param)


def products(folder):
    return sorted((folder / "S2").glob("*/*"), key=lambda p: p.name.split("_")[1])


def read(path):
    return gdal.Open(str(path)).ReadAsArray()


def test_theia_folders(scene):
    folder, summary = scene
    found = products(folder)
    assert 24 <= len(found) <= 40
    dates = []
    for product in found:
        assert PRODUCT.fullmatch(product.name) and product.parent.name == f"T{summary.tile}"
        # how iota2 takes the date of a product
        dates.append(datetime.datetime.strptime(product.name.split("_")[1].split("-")[0], "%Y%m%d").date().isoformat())
        assert sorted(p.name for p in product.glob("*_FRE_*.tif")) == sorted(
            f"{product.name}_FRE_{band}.tif" for band in S2_BANDS
        )
        for mask in ("CLM", "EDG", "SAT"):
            for resolution in ("R1", "R2"):
                assert (product / "MASKS" / f"{product.name}_{mask}_{resolution}.tif").is_file()
    assert dates == summary.s2_dates and dates == sorted(set(dates))
    steps = np.diff([datetime.date.fromisoformat(d).toordinal() for d in dates])
    assert set(steps) == {5, 10}


def test_the_metadata_is_well_formed(scene):
    product = products(scene[0])[0]
    root = ElementTree.parse(product / f"{product.name}_MTD_ALL.xml").getroot()
    assert root.findtext(".//PRODUCT_ID") == product.name
    assert root.findtext(".//REFLECTANCE_QUANTIFICATION_VALUE") == "10000"
    assert "SIMULATED" in root.findtext(".//TITLE")


def test_grids(scene):
    folder, summary = scene
    climate = CLIMATES[summary.climate]
    expected = osr.SpatialReference()
    expected.ImportFromEPSG(climate.epsg)
    product = products(folder)[0]
    files = [(product / f"{product.name}_FRE_{band}.tif", 10, "Int16") for band in BANDS_10M]
    files += [(product / f"{product.name}_FRE_{band}.tif", 20, "Int16") for band in BANDS_20M]
    files += [(path, 10 if path.stem.endswith("R1") else 20, "Byte") for path in (product / "MASKS").glob("*.tif")]
    files += [(next((folder / "S1").glob("*/*.tif")), 10, "Float32"), (folder / "truth" / "truth.tif", 10, "Byte")]
    for path, resolution, kind in files:
        dataset = gdal.Open(str(path))
        assert dataset.GetGeoTransform() == (*(climate.origin[0], resolution, 0), climate.origin[1], 0, -resolution)
        assert (dataset.RasterXSize, dataset.RasterYSize) == (summary.size * 10 // resolution,) * 2
        assert gdal.GetDataTypeName(dataset.GetRasterBand(1).DataType) == kind
        assert dataset.GetSpatialRef().IsSame(expected)
    assert gdal.Open(str(files[0][0])).GetRasterBand(1).GetNoDataValue() is None, "not declared, as in the archive"


def test_masks_agree_with_the_images(scene):
    folder, _summary = scene
    edges, saturated, bits = 0, 0, 0
    for product in products(folder):
        masks = {p.stem[-6:]: read(p) for p in (product / "MASKS").glob("*.tif")}
        for resolution, band in (("R1", "B2"), ("R2", "B11")):
            image = read(product / f"{product.name}_FRE_{band}.tif")
            assert np.array_equal(masks[f"EDG_{resolution}"] == 1, image == -10000)
            assert image[image != -10000].min() > 0
        clm, fine = masks["CLM_R2"], masks["CLM_R1"]
        assert np.array_equal(np.kron(clm, np.ones((2, 2), np.uint8)), fine)
        assert ((clm & 1 > 0) >= (clm & 2 > 0)).all(), "bit 0 sums up clouds and shadows"
        assert ((clm & 1) > 0)[(clm & (32 | 64)) > 0].all()
        assert not ((clm & 2 > 0) & (clm & (32 | 64) > 0)).any(), "a pixel is cloud or shadow"
        edges += masks["EDG_R1"].any()
        saturated += int((masks["SAT_R1"] > 0).sum())
        bits |= int(np.bitwise_or.reduce(clm, axis=None))
        for bit, band in enumerate(BANDS_20M):
            image = read(product / f"{product.name}_FRE_{band}.tif")
            assert np.array_equal(masks["SAT_R2"] >> bit & 1 > 0, image >= 9000)
    assert edges >= 1, "the edge of a swath crosses the scene on some dates"
    assert saturated > 0
    assert bits & (1 | 2 | 8 | 32) == 1 | 2 | 8 | 32


def test_one_date_is_wholly_clouded(scene):
    folder, summary = scene
    product = products(folder)[summary.s2_dates.index(summary.overcast_date)]
    assert (read(product / "MASKS" / f"{product.name}_CLM_R1.tif") & 3 == 3).all()
    assert read(product / f"{product.name}_FRE_B2.tif").min() > 1500


def test_s1tiling_files(scene):
    folder, summary = scene
    files = sorted((folder / "S1" / summary.tile).glob("*.tif"))
    assert all(S1_NAME.fullmatch(path.name) for path in files)
    orbits = {"_".join(path.name.split("_")[3:5]) for path in files}
    assert orbits == set(summary.s1_dates)
    assert {o[:3] for o in orbits} == ({"DES"} if summary.climate == "tropical" else {"ASC", "DES"})
    assert len(files) == 2 * sum(len(dates) for dates in summary.s1_dates.values())
    dataset = gdal.Open(str(files[0]))
    tags = dataset.GetMetadata()
    assert tags["CALIBRATION"] == "sigma" and tags["ORBIT_DIRECTION"] in ("ASC", "DES")
    assert tags["RELATIVE_ORBIT_NUMBER"] == files[0].name.split("_")[4]
    values = np.stack([read(path) for path in files])
    assert np.isfinite(values).all() and values.min() >= 0 and values.max() < 50
    assert (values == 0).any(), "0 = no data beyond the swath on some dates"


def test_iota2_text_files(scene):
    folder, summary = scene
    names = [line.rsplit(":", 1) for line in (folder / "nomenclature.txt").read_text().splitlines()]
    colors = [line.split() for line in (folder / "colors.txt").read_text().splitlines()]
    expected = [(c.name, str(c.code)) for c in CLIMATES[summary.climate].covers]
    assert [tuple(n) for n in names] == expected
    assert [c[0] for c in colors] == [code for _, code in expected]
    assert all(0 <= int(v) <= 255 for c in colors for v in c[1:]) and all(len(c) == 4 for c in colors)


def test_reference_layer(scene):
    folder, summary = scene
    source = ogr.Open(str(folder / "reference.gpkg"))
    layer = source.GetLayer(0)
    fields = {f.GetName(): f.GetTypeName() for f in layer.schema}
    assert fields == {"id": "Integer", "class": "String", "code": "Integer", "village": "Integer"}
    by_code = {c.code: c.name for c in CLIMATES[summary.climate].covers}
    ids = []
    for feature in layer:
        assert by_code[feature["code"]] == feature["class"]
        assert feature.GetGeometryRef().IsValid() and feature.GetGeometryRef().GetGeometryName() == "POLYGON"
        ids.append(feature["id"])
    assert len(ids) == len(set(ids)) == summary.polygons
