"""Protects the mosaic: codes, names and colours as in the tiles, the more confident one in overlaps, any zone."""

from __future__ import annotations

import numpy as np
import pytest
from landloom.model.base.errors import Cancelled, LandloomError
from landloom.model.base.legend import legend_of
from landloom.model.base.nomenclature import LandCoverClass, Nomenclature
from landloom.model.base.progress import Progress
from landloom.model.base.raster import open_raster, spatial_reference, write_raster
from landloom.model.mapping import overviews
from landloom.model.mapping.classify import map_layers
from landloom.model.mapping.mosaic import mosaic
from landloom.model.mapping.tilewriter import write_tiles
from landloom.model.mapping.unsure import UNSURE_TAG
from landloom.model.stack.grid import Grid
from osgeo import gdal, ogr, osr

CLASSES = Nomenclature(tuple(LandCoverClass(*one) for one in ((1, "riz", "#3366cc"), (300, "forêt", "#115511"))))
UNSURE = LandCoverClass(9, "unsure", "#8c8c8c")


@pytest.fixture(params=[False, True], ids=["errors", "exceptions"])
def gdal_exceptions(request):
    """GDAL answers with errors, or raises, as other plugins may have asked for."""
    modules = [one for one in (gdal, ogr, osr) if bool(one.GetUseExceptions()) != request.param]
    for module in modules if request.param else reversed(modules):  # GDAL wants the last one switched off first
        module.UseExceptions() if request.param else module.DontUseExceptions()
    yield
    for module in reversed(modules) if request.param else modules:
        module.DontUseExceptions() if request.param else module.UseExceptions()


def tile(path, codes, x=500000.0, y=8000000.0, epsg=32738, size=10.0, unsure=None):
    """A map as classify writes it, and a confidence beside it."""
    grid = Grid(spatial_reference(f"EPSG:{epsg}").ExportToWkt(), (x, size, 0.0, y, 0.0, -size), *codes.shape[::-1])
    layers = map_layers(CLASSES, path, unsure=unsure)

    def values(area):
        return {"map": codes[area.row : area.bottom, area.column : area.right]}

    write_tiles(layers, grid, values, 512 * 512, Progress())
    return path


def sure(path, values, x=500000.0, y=8000000.0, epsg=32738):
    crs = spatial_reference(f"EPSG:{epsg}").ExportToWkt()
    return write_raster(path, values.astype(np.uint8), (x, 10.0, 0.0, y, 0.0, -10.0), crs, 255)


def read(path):
    return open_raster(path).ReadAsArray()


def test_in_overlaps_the_more_confident_counts(tmp_path):
    left = tile(tmp_path / "a.tif", np.array([[1, 1, 1, 0]]))
    right = tile(tmp_path / "b.tif", np.array([[300, 300, 300, 300]]), x=500010.0)
    first = sure(tmp_path / "a_c.tif", np.array([[90, 40, 50, 255]]))
    second = sure(tmp_path / "b_c.tif", np.array([[60, 50, 70, 80]]), x=500010.0)
    output, trust = tmp_path / "m.tif", tmp_path / "c.tif"
    done = mosaic([left, right], output, [first, second], trust)
    # column 2: a tie, the first map counts
    assert read(output).tolist() == [[1, 300, 1, 300, 300]]
    assert read(trust).tolist() == [[90, 60, 50, 70, 80]]
    assert (done.pixels, done.overlap) == (5, 2)
    mosaic([right, left], output)
    assert read(output).tolist() == [[1, 300, 300, 300, 300]]


def test_names_colours_style_and_unsure_are_kept(tmp_path):
    left = tile(tmp_path / "a.tif", np.array([[1, 9]]), unsure=UNSURE)
    right = tile(tmp_path / "b.tif", np.array([[300, 1]]), x=500020.0, unsure=UNSURE)
    output = tmp_path / "m.tif"
    done = mosaic([left, right], output)
    dataset = open_raster(output)
    assert dataset.ReadAsArray().tolist() == [[1, 9, 300, 1]]
    assert dataset.GetRasterBand(1).DataType == gdal.GDT_UInt16
    names, colors = legend_of(dataset)
    assert {code: names[code] for code in (1, 9, 300)} == {1: "riz", 9: "unsure", 300: "forêt"}
    assert colors[300] == "#115511"
    assert dataset.GetMetadataItem(UNSURE_TAG) == "9"
    assert output.with_suffix(".qml").exists()
    assert [one.code for one in done.nomenclature] == [1, 300, 9]


def test_it_is_cloud_optimised_with_overviews_of_classes(tmp_path):
    codes = np.kron(np.random.default_rng(0).choice([1, 300], (15, 13)), np.ones((80, 80), int))
    output = tmp_path / "m.tif"
    mosaic([tile(tmp_path / "a.tif", codes)], output)
    dataset = open_raster(output)
    assert dataset.GetMetadataItem("LAYOUT", "IMAGE_STRUCTURE") == "COG"
    assert np.array_equal(dataset.ReadAsArray(), codes)
    band = dataset.GetRasterBand(1)
    assert band.GetOverviewCount() >= 1
    assert set(np.unique(band.GetOverview(0).ReadAsArray())) <= {1, 300}  # no mean of codes


def test_tiles_of_two_zones(tmp_path, gdal_exceptions):
    """Independent: GDAL's own warp of each tile onto the mosaic's grid."""
    rng = np.random.default_rng(1)
    west = tile(tmp_path / "38.tif", rng.choice([1, 300], (60, 70)), 819000.0, 8000000.0, 32738)
    change = osr.CoordinateTransformation(spatial_reference("EPSG:32738"), spatial_reference("EPSG:32739"))
    x, y = change.TransformPoint(819400.0, 8000100.0)[:2]
    east = tile(tmp_path / "39.tif", rng.choice([1, 300], (80, 70)), x, y, 32739)
    output = tmp_path / "m.tif"
    done = mosaic([west, east], output)
    result = open_raster(output)
    xmin, ymin, xmax, ymax = done.grid.bounds
    expected = np.zeros((done.grid.height, done.grid.width), int)
    for path in (east, west):  # the first of the list lies on top
        warped = gdal.Warp(
            "",
            str(path),
            format="MEM",
            dstSRS=done.grid.crs_wkt,
            outputBounds=(xmin, ymin, xmax, ymax),
            width=done.grid.width,
            height=done.grid.height,
            resampleAlg="near",
            errorThreshold=0,
        ).ReadAsArray()
        expected = np.where(warped > 0, warped, expected)
    assert np.array_equal(result.ReadAsArray(), expected)
    assert (expected[:, -30:] > 0).any() and (expected[:, :40] > 0).any() and done.overlap > 1000
    assert spatial_reference(result.GetProjection()).GetAuthorityCode(None) == "32738"
    mosaic([west, east], output, crs="EPSG:32739", resolution=20)
    assert open_raster(output).GetGeoTransform()[1] == 20
    assert spatial_reference(open_raster(output).GetProjection()).GetAuthorityCode(None) == "32739"


def test_bad_input_is_named(tmp_path):
    good = tile(tmp_path / "a.tif", np.array([[1, 300]]))
    crs = spatial_reference("EPSG:32738").ExportToWkt()
    many = write_raster(tmp_path / "two.tif", np.ones((2, 3, 3), np.uint8), (5e5, 10, 0, 8e6, 0, -10), crs)
    decimal = write_raster(tmp_path / "half.tif", np.full((3, 3), 0.5, np.float32), (5e5, 10, 0, 8e6, 0, -10), crs)
    lost = write_raster(tmp_path / "lost.tif", np.ones((3, 3), np.uint8), (5e5, 10, 0, 8e6, 0, -10), "")
    output = tmp_path / "m.tif"
    for maps, more, words in (
        ([], {}, "MAPS is empty"),
        ([many], {}, "2 bands"),
        ([decimal], {}, "no code"),
        ([lost], {}, "no CRS"),
        ([good], {"confidences": [good, good]}, "one for each"),
        ([good], {"confidence": tmp_path / "c.tif"}, "CONFIDENCES"),
        ([good], {"crs": "EPSG:99999"}, "CRS"),
        ([tile(tmp_path / "empty.tif", np.zeros((2, 2), int))], {}, "no data"),
    ):
        with pytest.raises(LandloomError, match=words):
            mosaic(maps, output, **more)
    with pytest.raises(LandloomError, match=r"\.tif"):
        mosaic([good], tmp_path / "m.vrt")
    with pytest.raises(LandloomError, match=r"a\.tif"):
        mosaic([good], good)
    assert not output.exists()


def test_overviews_leave_pixels_names_and_colours(tmp_path):
    """What every large map gets before it has its name; a file cut short is noticed, and nothing is published."""
    codes = np.kron(np.random.default_rng(0).choice([1, 300], (15, 13)), np.ones((40, 40), int))
    path = tile(tmp_path / "a.tif", codes)
    dataset = open_raster(path)
    assert dataset.GetMetadataItem("LAYOUT", "IMAGE_STRUCTURE") == "COG"
    assert dataset.GetRasterBand(1).GetOverviewCount() >= 1
    assert np.array_equal(dataset.ReadAsArray(), codes)
    assert legend_of(dataset)[0][300] == "forêt"
    small = tile(tmp_path / "b.tif", codes[:100, :100])
    assert open_raster(small).GetRasterBand(1).GetOverviewCount() == 0


def test_overviews_that_cannot_be_written_leave_the_raster(tmp_path, monkeypatch):
    codes = np.ones((600, 20), int)
    monkeypatch.setattr(overviews, "_checksums", lambda path: [])  # as what a full disk leaves reads
    with pytest.raises(LandloomError, match="Cannot write"):
        tile(tmp_path / "a.tif", codes)
    assert not list(tmp_path.iterdir())


def test_cancelling_leaves_nothing(tmp_path):
    class Stop(Progress):
        def is_cancelled(self):
            return True

    good = tile(tmp_path / "a.tif", np.ones((600, 600), int))
    before = set(tmp_path.iterdir())
    with pytest.raises(Cancelled):
        mosaic([good], tmp_path / "m.tif", progress=Stop())
    assert set(tmp_path.iterdir()) == before
