"""MASK: which pixels are inside, whatever the strips it is burnt in, and that its size costs no memory."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from landloom.model.base.errors import LandloomError
from landloom.model.base.progress import Progress
from landloom.model.base.raster import spatial_reference, write_raster
from landloom.model.base.vectorfile import write_table
from landloom.model.mapping import mask as module
from landloom.model.mapping.chunks import Area
from landloom.model.mapping.mask import AreaMask
from landloom.model.stack.grid import Grid
from osgeo import gdal, ogr

UTM = str(spatial_reference("EPSG:32738").ExportToWkt())
TRANSFORM = (500000.0, 10.0, 0.0, 8000000.0, 0.0, -10.0)


def random_polygons(path, grid, count=60, seed=3):
    """Stars of 3 to 9 corners, some of them beside the grid."""
    random = np.random.default_rng(seed)
    shapes = []
    for _ in range(count):
        corners = int(random.integers(3, 10))
        angle = np.sort(random.uniform(0, 2 * np.pi, corners))
        reach = random.uniform(20, 900, corners)
        x = TRANSFORM[0] + random.uniform(-300, 10 * grid.width + 300) + reach * np.cos(angle)
        y = TRANSFORM[3] - random.uniform(-300, 10 * grid.height + 300) + reach * np.sin(angle)
        ring = ogr.Geometry(ogr.wkbLinearRing)
        for place in zip([*x, x[0]], [*y, y[0]], strict=True):
            ring.AddPoint_2D(*map(float, place))
        shape = ogr.Geometry(ogr.wkbPolygon)
        shape.AddGeometry(ring)
        shapes.append(bytes(shape.ExportToWkb()))
    write_table(path, "mask", UTM, ogr.wkbPolygon, shapes, {"number": np.arange(count)}, Progress())
    return shapes


def inside_ring(x, y, ring):
    """Whether a ray to the east from each place crosses the ring an odd number of times."""
    odd = np.zeros(x.shape, bool)
    for (x0, y0), (x1, y1) in itertools.pairwise(ring):
        if y0 != y1:
            odd ^= ((y0 > y) != (y1 > y)) & (x < x0 + (y - y0) / (y1 - y0) * (x1 - x0))
    return odd


@pytest.mark.parametrize("strip", [8 * 2**20, 1], ids=["one strip", "strips of 256 rows"])
def test_a_pixel_is_inside_when_its_centre_lies_in_a_polygon(tmp_path, monkeypatch, strip):
    monkeypatch.setattr(module, "_STRIP", strip)
    grid, area = Grid(UTM, TRANSFORM, 300, 700), Area(40, 30, 240, 640)
    shapes = random_polygons(tmp_path / "mask.gpkg", grid)
    mask = AreaMask(str(tmp_path / "mask.gpkg"), grid, area, tmp_path / "mask.tif", Progress())
    rows, columns = np.mgrid[area.row : area.bottom, area.column : area.right]
    x, y = TRANSFORM[0] + 10 * (columns + 0.5), TRANSFORM[3] - 10 * (rows + 0.5)
    expected = np.zeros(x.shape, bool)
    for one in shapes:
        shape = ogr.CreateGeometryFromWkb(one)
        expected |= inside_ring(x, y, np.array(shape.GetGeometryRef(0).GetPoints())[:, :2])
    assert 0.1 < expected.mean() < 0.9
    np.testing.assert_array_equal(mask.read(area), expected)
    assert mask.pixels == expected.sum()
    around = mask.read(Area(0, 0, 300, 700))
    assert around.sum() == expected.sum()  # beyond the mapped area all is outside


@pytest.mark.parametrize("virtual", [False, True], ids=["file", "virtual raster"])
def test_a_raster_on_another_grid_masks_by_its_nearest_value(tmp_path, monkeypatch, virtual):
    """Also where GDAL's blocks are let go after each piece."""
    monkeypatch.setattr(module, "_CACHE_MB", 0)
    monkeypatch.setattr(module, "PIECE", 256)
    random = np.random.default_rng(0)
    values = random.choice(np.array([0, 1, 7, -5, np.nan], np.float32), (90, 80))
    source = tmp_path / "source.tif"
    write_raster(source, values, (499900.0, 40.0, 0.0, 8000120.0, 0.0, -40.0), UTM, -5.0)
    if virtual:
        gdal.Translate(str(tmp_path / "source.vrt"), str(source), format="VRT")
        source = tmp_path / "source.vrt"
    grid = Grid(UTM, TRANSFORM, 300, 340)
    area = Area(0, 0, 300, 340)
    mask = AreaMask(str(source), grid, area, tmp_path / "mask.tif", Progress())
    rows, columns = np.mgrid[0:340, 0:300]
    own_rows, own_columns = (120 + 10 * rows + 5) // 40, (100 + 10 * columns + 5) // 40
    inside = (own_rows < 90) & (own_columns < 80)
    found = values[np.minimum(own_rows, 89), np.minimum(own_columns, 79)]
    expected = inside & np.isfinite(found) & (found != 0) & (found != -5)
    np.testing.assert_array_equal(mask.read(area), expected)


@pytest.fixture
def much_cache():
    before = gdal.GetCacheMax()
    gdal.SetCacheMax(2**30)
    yield
    gdal.SetCacheMax(before)


@pytest.mark.parametrize("kind", ["polygons", "raster"])
def test_the_size_of_a_mask_costs_no_memory(tmp_path, much_cache, kind):
    """Of 64 million pixels GDAL keeps less than half, in making the mask and in reading it."""
    side = 8192
    grid = Grid(UTM, TRANSFORM, side, side)
    if kind == "raster":
        source = tmp_path / "source.tif"
        options = ["TILED=YES", "COMPRESS=DEFLATE", "ZLEVEL=1"]
        raster = gdal.GetDriverByName("GTiff").Create(str(source), side, side, 1, gdal.GDT_Byte, options)
        raster.SetGeoTransform(TRANSFORM)
        raster.SetProjection(UTM)
        raster.GetRasterBand(1).Fill(1)
        raster = None
    else:
        source = tmp_path / "source.gpkg"
        random_polygons(source, grid, 3000)
    begin = gdal.GetCacheUsed()
    kept = []

    class Watched(Progress):
        def is_cancelled(self):
            kept.append(gdal.GetCacheUsed() - begin)
            return False

    mask = AreaMask(str(source), grid, Area(0, 0, side, side), tmp_path / "mask.tif", Watched())
    for row in range(0, side, 1024):
        mask.read(Area(0, row, side, 1024))
        kept.append(gdal.GetCacheUsed() - begin)
    assert mask.pixels and len(kept) > 8 and max(kept) < side**2 / 2


def test_refuses_lines_and_what_leaves_nothing(tmp_path):
    grid, area = Grid(UTM, TRANSFORM, 64, 64), Area(0, 0, 64, 64)
    line = ogr.CreateGeometryFromWkt("LINESTRING (500010 7999990, 500200 7999800)")
    far = ogr.CreateGeometryFromWkt("POLYGON ((0 0, 10 0, 10 10, 0 0))")
    for name, shape, kind, said in (
        ("line", line, ogr.wkbLineString, "give polygons or a raster"),
        ("far", far, ogr.wkbPolygon, "leaves nothing to map"),
    ):
        path = tmp_path / f"{name}.gpkg"
        write_table(path, "mask", UTM, kind, [bytes(shape.ExportToWkb())], {"number": np.arange(1)}, Progress())
        with pytest.raises(LandloomError, match=said):
            AreaMask(str(path), grid, area, tmp_path / "mask.tif", Progress())
