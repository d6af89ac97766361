"""Protects features of objects: values by hand, tiles and memory, other CRS, bad input, what is flagged and kept."""

from __future__ import annotations

import numpy as np
import pytest
from landloom.model.base.errors import Cancelled, LandloomError
from landloom.model.base.progress import Progress
from landloom.model.base.raster import spatial_reference, write_raster
from landloom.model.base.vectorfile import write_table
from landloom.model.objects.features import FeatureSettings, measure_objects, tiles
from landloom.model.objects.features_segments import open_segments
from landloom.model.objects.features_sources import RasterSource, StackSource
from landloom.model.stack.manifest import Stack
from osgeo import gdal, ogr

SIDE = 40
CORNER = (500000.0, 10.0, 0.0, 8000000.0, 0.0, -10.0)
UTM = spatial_reference("EPSG:32738").ExportToWkt()


class Said(Progress):
    def __init__(self):
        self.lines = []

    def info(self, message):
        self.lines.append(message)

    warning = info

    def text_of(self):
        return " ".join(self.lines)


def square(column, row, width, height, size=10.0):
    """A rectangle in pixels of the stack."""
    x, y = 500000 + column * size, 8000000 - row * size
    ring = [(x, y), (x + width * size, y), (x + width * size, y - height * size), (x, y - height * size), (x, y)]
    return "((" + ",".join(f"{a} {b}" for a, b in ring) + "))"


def polygons(path, *wkts, crs=UTM):
    shapes = [bytes(ogr.CreateGeometryFromWkt(wkt).ExportToWkb()) for wkt in wkts]
    write_table(path, "fields", crs, ogr.wkbUnknown, shapes, {"n": np.arange(len(shapes))}, Progress())
    return path


@pytest.fixture(scope="module")
def scene(tmp_path_factory, make_stack):
    folder = tmp_path_factory.mktemp("objets é")
    random = np.random.default_rng(0)
    values = random.integers(500, 4000, (3, 4, SIDE, SIDE)).astype(np.int16)
    clear = random.random((3, SIDE, SIDE)) > 0.3
    radar = random.gamma(4, 0.02, (2, 2, SIDE, SIDE)).astype(np.float32)
    slope = random.random((1, 1, SIDE, SIDE)).astype(np.float32)
    path = make_stack(
        folder,
        {
            "S2": {
                "values": values, "mask": clear, "bands": ["B3", "B4", "B8", "B11"], "scale": 1e-4,
                "dates": ["2021-01-05", "2021-02-05", "2021-03-05"],
            },
            "S1_ASC": {"values": radar, "bands": ["VV", "VH"], "dates": ["2021-01-07", "2021-02-07"], "kind": "radar"},
            "STATIC": {"values": slope, "bands": ["slope"], "dates": [""], "kind": "static"},
        },
    )  # fmt: skip
    return Stack.read(path), values * 1e-4, clear, radar, slope, folder


def measured(scene, segments, settings=None, sensors=(), indices=(), memory_mb=256, progress=None, rasters=()):
    source = StackSource(scene[0], sensors, indices, 64)
    try:
        return measure_objects(segments, [source, *rasters], settings or FeatureSettings(), memory_mb, progress)
    finally:
        source.close()


def test_values_by_hand(scene, tmp_path):
    _stack, values, clear, radar, slope, _folder = scene
    path = polygons(tmp_path / "f.gpkg", f"POLYGON{square(2, 3, 4, 5)}", f"POLYGON{square(10.5, 10, 2, 3)}")
    settings = FeatureSettings(percentiles=(50,))
    table = measured(scene, open_segments(path, Progress()), settings, indices=("NDVI",))
    own = (slice(3, 8), slice(2, 6))
    for date, name in enumerate(("20210105", "20210205", "20210305")):
        seen = clear[date][own]
        b8 = values[date, 2][own][seen]
        assert table.column(f"S2_{name}_B8_mean")[0] == pytest.approx(b8.mean(), rel=1e-5)
        assert table.column(f"S2_{name}_B8_std")[0] == pytest.approx(b8.std(), rel=1e-4)
        assert table.column(f"S2_{name}_valid")[0] == pytest.approx(seen.mean())
        b4 = values[date, 1][own][seen]
        assert table.column(f"S2_{name}_NDVI_mean")[0] == pytest.approx(((b8 - b4) / (b8 + b4)).mean(), rel=1e-4)
        expected = np.percentile(b8, 50, method="inverted_cdf")
        assert table.column(f"S2_{name}_B8_p50")[0] == pytest.approx(expected, rel=1e-5)
    vv = radar[1, 0][own]
    assert table.column("S1_ASC_20210207_VV_mean")[0] == pytest.approx(10 * np.log10(vv.mean()), rel=1e-4)
    assert table.column("S1_ASC_20210207_VV_std")[0] == pytest.approx((10 * np.log10(vv)).std(), rel=1e-4)
    # half of the pixels in the first and the last column count
    weight = np.tile([0.5, 1.0, 0.5], (3, 1))
    part = slope[0, 0][10:13, 10:13]
    assert table.column("STATIC_slope_mean")[1] == pytest.approx((part * weight).sum() / 6, rel=1e-5)
    assert table.pixels.tolist() == pytest.approx([20, 6])
    assert table.column("area_ha").tolist() == pytest.approx([0.2, 0.06])
    assert table.column("perimeter_m").tolist() == pytest.approx([180, 100])
    assert table.column("elongation").tolist() == pytest.approx([1.25, 1.5])
    assert table.column("compactness")[0] == pytest.approx(4 * np.pi * 2000 / 180**2)


def labels_of(folder, name, array, transform=CORNER, crs=UTM, nodata=None):
    return write_raster(folder / name, array, transform, crs, nodata)


def test_labels_give_what_their_polygons_give_whatever_the_memory(scene, tmp_path):
    random = np.random.default_rng(4)
    labels = np.kron(random.permutation(100).reshape(10, 10) + 1, np.ones((4, 4), int)).astype(np.int32)
    labels[7:9, 5:7] = 0
    raster = open_segments(labels_of(tmp_path, "l.tif", labels), Progress())
    one = measured(scene, raster)
    assert raster.ids.tolist() == list(range(1, 101))
    one.write(tmp_path / "objects.gpkg", Progress())
    again = open_segments(tmp_path / "objects.gpkg", Progress())
    other = measured(scene, again)
    np.testing.assert_allclose(other.values, one.values, rtol=1e-4, atol=1e-6)
    # tiles of a few objects give the very same
    source = StackSource(scene[0], (), (), 64)
    assert len(list(tiles(again, [source], 1e9))) == 1 and len(list(tiles(again, [source], 1e4))) > 8
    source.close()
    small = measured(scene, open_segments(tmp_path / "l.tif", Progress()), memory_mb=0.03)
    np.testing.assert_allclose(small.values, one.values, rtol=1e-5)
    dataset = gdal.OpenEx(str(tmp_path / "objects.gpkg"))
    layer = dataset.GetLayer(0)
    names = [layer.GetLayerDefn().GetFieldDefn(i).GetName() for i in range(layer.GetLayerDefn().GetFieldCount())]
    assert names[:3] == ["object", "pixels", "small"] and "S2_20210105_B3_mean" in names
    assert {feature.GetField("object") for feature in layer} == set(range(1, 101))


def test_finer_labels_weigh_pixels_and_other_crs_agree(scene, tmp_path):
    labels = np.zeros((SIDE * 4, SIDE * 4), np.int32)  # pixels of 2.5 m
    labels[10:31, 20:42] = 5
    fine = labels_of(tmp_path, "fine.tif", labels, (500000.0, 2.5, 0.0, 8000000.0, 0.0, -2.5))
    polygon = polygons(tmp_path / "p.gpkg", f"POLYGON{square(5, 2.5, 5.5, 5.25)}")
    by_labels = measured(scene, open_segments(fine, Progress()))
    by_polygon = measured(scene, open_segments(polygon, Progress()))
    np.testing.assert_allclose(by_labels.values, by_polygon.values, rtol=1e-4)
    # the polygon in degrees
    shape = ogr.CreateGeometryFromWkt(f"POLYGON{square(5, 2.5, 5.5, 5.25)}")
    shape.AssignSpatialReference(spatial_reference("EPSG:32738"))
    shape.Segmentize(5)
    shape.TransformTo(spatial_reference("EPSG:4326"))
    degrees = polygons(tmp_path / "d.gpkg", shape.ExportToWkt(), crs=spatial_reference("EPSG:4326").ExportToWkt())
    in_degrees = measured(scene, open_segments(degrees, Progress()))
    np.testing.assert_allclose(in_degrees.values[:, :-4], by_polygon.values[:, :-4], rtol=2e-3, atol=1e-4)
    np.testing.assert_allclose(in_degrees.column("area_ha"), by_polygon.column("area_ha"), rtol=5e-3)
    # labels in degrees, finer than the pixels
    target = str(tmp_path / "warped.tif")
    gdal.Warp(target, str(fine), dstSRS="EPSG:4326", resampleAlg="near", xRes=1e-5, yRes=1e-5)
    warped = measured(scene, open_segments(target, Progress()))
    assert warped.pixels[0] == pytest.approx(by_polygon.pixels[0], rel=0.02)
    np.testing.assert_allclose(warped.column("STATIC_slope_mean"), by_polygon.column("STATIC_slope_mean"), rtol=0.02)


def test_large_ids_small_outside_overlapping_multipart_and_invalid_objects(scene, tmp_path):
    labels = np.zeros((SIDE, SIDE))
    labels[2:6, 2:6], labels[10, 10] = 2.0**40 + 1, 2.0**33
    big = open_segments(labels_of(tmp_path, "big.tif", labels.astype(np.float64)), Progress())
    assert big.ids.tolist() == [2**33, 2**40 + 1]
    said = Said()
    table = measured(scene, big, progress=said)
    assert table.small.tolist() == [True, False] and "1 objects have fewer than 4 pixels" in said.text_of()
    assert np.isfinite(table.column("STATIC_slope_mean")).all()
    table.write(tmp_path / "big.gpkg", Progress())
    dataset = gdal.OpenEx(str(tmp_path / "big.gpkg"))
    assert sorted(feature.GetField("object") for feature in dataset.GetLayer(0)) == [2**33, 2**40 + 1]

    path = polygons(
        tmp_path / "odd.gpkg",
        f"POLYGON{square(2, 2, 4, 4)}",
        f"POLYGON{square(4, 2, 4, 4)}",  # overlaps the first
        f"MULTIPOLYGON({square(20, 20, 2, 2)},{square(30, 30, 2, 2)})",
        "POLYGON((500100 7999900,500140 7999860,500140 7999900,500100 7999860,500100 7999900))",  # a bow tie
        f"POLYGON{square(900, 900, 4, 4)}",
    )
    said = Said()
    table = measured(scene, open_segments(path, Progress()), progress=said)
    text = said.text_of()
    assert "1 invalid geometries were repaired" in text and "1 objects have several parts" not in text
    assert "2 objects have several parts" in text  # the bow tie became two triangles
    assert "2 objects overlap others" in text and "1 objects lie outside the images" in text
    assert table.pixels.tolist() == pytest.approx([16, 16, 8, 8, 0])
    assert np.isnan(table.values[4, :-4]).all() and np.isfinite(table.values[4, -4:]).all()
    whole = scene[4][0, 0]
    both = np.concatenate([whole[20:22, 20:22].ravel(), whole[30:32, 30:32].ravel()])
    assert table.column("STATIC_slope_mean")[2] == pytest.approx(both.mean(), rel=1e-5)
    assert table.column("STATIC_slope_mean")[1] == pytest.approx(whole[2:6, 4:8].mean(), rel=1e-5)


def test_rasters_at_their_own_resolution_with_texture(scene, tmp_path):
    random = np.random.default_rng(8)
    image = random.integers(1, 200, (2, 160, 160)).astype(np.uint8)
    image[:, :40, :40] = 0
    path = write_raster(
        tmp_path / "spot 6.tif", image, (500000.0, 2.5, 0.0, 8000000.0, 0.0, -2.5), UTM, 0, ["red", "nir"]
    )
    segments = open_segments(
        polygons(tmp_path / "f.gpkg", f"POLYGON{square(12, 3, 4, 5)}", f"POLYGON{square(9, 9, 2, 2)}"), Progress()
    )
    raster = RasterSource(path, texture=True)
    table = measured(scene, segments, FeatureSettings(shape=False), sensors=("STATIC",), rasters=[raster])
    own = image[0, 12:32, 48:64]
    assert table.column("spot_6_red_mean")[0] == pytest.approx(own.mean(), rel=1e-5)
    part = image[1, 36:44, 36:44].astype(float)  # a quarter has no data
    part[:4, :4] = np.nan
    assert table.column("spot_6_nir_mean")[1] == pytest.approx(np.nanmean(part), rel=1e-5)
    feature = pytest.importorskip("skimage.feature")
    low, high = raster.limits[0]
    grey = np.clip(np.floor((own - low) / ((high - low) / 16)), 0, 15).astype(np.uint8)
    matrix = feature.graycomatrix(grey, [1], [0, np.pi / 4, np.pi / 2, 3 * np.pi / 4], 16, symmetric=True)
    joined = matrix.sum(axis=3, keepdims=True) / matrix.sum()
    assert table.column("spot_6_red_contrast")[0] == pytest.approx(feature.graycoprops(joined, "contrast")[0, 0])
    again = RasterSource(path, texture=True, limits=raster.limits)
    assert again.limits == raster.limits
    with pytest.raises(LandloomError, match="2 bands, but the model knows 1"):
        RasterSource(path, texture=True, limits=raster.limits[:1])
    with pytest.raises(LandloomError, match="Two columns would be called"):
        measure_objects(segments, [raster, raster], FeatureSettings())


def test_an_object_larger_than_memory_rests_on_a_lattice(scene, tmp_path):
    path = polygons(tmp_path / "f.gpkg", f"POLYGON{square(0, 0, 40, 40)}", f"POLYGON{square(1, 1, 3, 3)}")
    said = Said()
    full = measured(scene, open_segments(path, Progress()))
    thin = measured(scene, open_segments(path, Progress()), memory_mb=0.3, progress=said)
    assert "too large for MEMORY_MB" in said.text_of()
    np.testing.assert_allclose(thin.values[1], full.values[1], rtol=1e-5)
    assert thin.pixels[0] == pytest.approx(1600, rel=0.15)
    slope = thin.column("STATIC_slope_mean")[0]
    assert (
        slope == pytest.approx(full.column("STATIC_slope_mean")[0], abs=0.05)
        and slope != full.column("STATIC_slope_mean")[0]
    )


def test_bad_input_is_one_sentence_and_cancelling_stops(scene, tmp_path):
    far = polygons(tmp_path / "far.gpkg", f"POLYGON{square(900, 900, 4, 4)}")
    with pytest.raises(LandloomError, match=r"None of the 1 segments of .*far.gpkg lies on the images"):
        measured(scene, open_segments(far, Progress()))
    points = polygons(tmp_path / "points.gpkg", "POINT(500010 7999990)")
    halves = labels_of(tmp_path, "half.tif", np.full((SIDE, SIDE), 1.5, np.float32))
    empty = labels_of(tmp_path, "empty.tif", np.zeros((SIDE, SIDE), np.int32))
    two = labels_of(tmp_path, "two.tif", np.ones((2, SIDE, SIDE), np.int32))
    naked = labels_of(tmp_path, "naked.tif", np.ones((SIDE, SIDE), np.int32), crs="")
    for path, sentence in (
        (points, "hold points: give polygons"),
        (halves, "hold fractions"),
        (empty, "no label above 0"),
        (two, "have 2 bands"),
        (naked, "CRS|coordinate reference"),
        (tmp_path / "none.gpkg", "The segments .*none.gpkg do not exist"),
    ):
        with pytest.raises(LandloomError, match=sentence):
            open_segments(path, Progress())
    for settings, sentence in (
        (FeatureSettings(statistics=("median",)), "FEATURES has 'median'"),
        (FeatureSettings(percentiles=(101,)), "FEATURES has p101"),
        (FeatureSettings(statistics=()), "no statistics"),
    ):
        with pytest.raises(LandloomError, match=sentence):
            measured(scene, open_segments(far, Progress()), settings)

    parsed, texture = FeatureSettings.parse("Mean; p90,p10.5,shape, texture")
    assert parsed == FeatureSettings(("mean",), (10.5, 90.0), True, True) and texture
    for text, sentence in (("mean,texturre", "FEATURES has 'texturre'"), ("shape", "no statistics")):
        with pytest.raises(LandloomError, match=sentence):
            FeatureSettings.parse(text)

    class Stopped(Progress):
        def is_cancelled(self):
            return True

    with pytest.raises(Cancelled):
        measured(scene, open_segments(far, Progress()), progress=Stopped())
