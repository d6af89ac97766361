"""Segmentation of images: what an object is, tiles against one tile, masks, and what is left when things go wrong."""

from __future__ import annotations

import numpy as np
import pytest
from osgeo import gdal

CORNER = (500000.0, 10.0, 0.0, 8000000.0, 0.0, -10.0)


def landscape(size, seed, noise=60.0):
    """An image of four bands of irregular fields of about 100 pixels, blurred and noisy."""
    from scipy.ndimage import gaussian_filter
    from scipy.spatial import cKDTree

    rng = np.random.default_rng(seed)
    centres = rng.uniform(0, size, (size * size // 100, 2))
    wobble = np.stack([gaussian_filter(rng.normal(size=(size, size)), 4) * 30 for _ in range(2)], axis=-1)
    pixels = np.stack(np.indices((size, size)), axis=-1) + wobble
    field = cKDTree(centres).query(pixels.reshape(-1, 2))[1].reshape(size, size)
    image = rng.uniform(500, 4000, (len(centres), 4))[field]
    image = gaussian_filter(image, (0.6, 0.6, 0)) + rng.normal(0, noise, image.shape)
    return image.transpose(2, 0, 1).clip(1, 10000).astype(np.uint16)


def write(path, values, nodata=0):
    from landloom.model.base.raster import spatial_reference, write_raster

    return write_raster(path, values, CORNER, spatial_reference("EPSG:32738").ExportToWkt(), nodata)


def run(image, output, tiles=None, progress=None, **settings):
    from landloom.model.objects.segmentation import RasterImage, SegmentSettings, segment
    from landloom.model.objects.stitching import Tiles

    given = SegmentSettings(tiles=Tiles(*tiles) if tiles else None, **{"scale": 20.0, **settings})
    count = segment(RasterImage(image), output, given, progress)
    labels = gdal.Open(str(output)).ReadAsArray()
    assert count == labels.max()
    return labels


def same_objects(a, b):
    """True for pixels whose object has the very same pixels in both."""
    key = a.astype(np.int64) << 32 | b
    _, inverse, number = np.unique(key, return_inverse=True, return_counts=True)
    common = number[inverse].reshape(a.shape)
    return (common == np.bincount(a.ravel())[a]) & (common == np.bincount(b.ravel())[b])


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    return write(tmp_path_factory.mktemp("image") / "image.tif", landscape(420, 0))


@pytest.fixture(scope="module")
def whole(image, tmp_path_factory):
    return run(image, tmp_path_factory.mktemp("whole") / "whole.tif", min_size=800)


def test_objects_are_connected_numbered_and_not_small(whole):
    from skimage.measure import label

    assert label(whole, connectivity=1, background=0).max() == whole.max()
    first = np.unique(whole, return_index=True)
    assert first[0].tolist() == list(range(1, whole.max() + 1))  # no pixel without object, no number left out
    assert (np.diff(first[1]) > 0).all()  # in the order in which they come
    assert np.bincount(whole.ravel())[1:].min() >= 8
    assert 800 < whole.max() < 3000  # about 1,700 fields


@pytest.mark.parametrize(("side", "margin", "share"), [(140, 96, 0.995), (105, 48, 0.95)])
def test_tiles_leave_no_trace(image, whole, tmp_path, side, margin, share):
    """Tiles far smaller than any that memory asks for: nearly all objects are those of one single tile.

    With a margin of several objects 99.5 % of the pixels agree, across the tiles' borders as well as away from them.
    """
    from skimage.measure import label

    tiled = run(image, tmp_path / "tiled.tif", tiles=(side, margin), min_size=800)
    same = same_objects(whole, tiled)
    lines = np.arange(420)
    near = (lines % side < 4) | (lines % side >= side - 4)
    near = near[:, None] | near[None, :]
    assert same[near].mean() >= share and same[~near].mean() >= share
    assert label(tiled, connectivity=1, background=0).max() == tiled.max() and (tiled > 0).all()
    if same.all():
        assert np.array_equal(whole, tiled)
    # A line between two tiles is an object border no more often than any other line.
    on_lines = np.mean([(tiled[i] != tiled[i - 1]).mean() for i in range(side, 420, side)])
    elsewhere = np.mean([(tiled[i] != tiled[i - 1]).mean() for i in range(1, 420) if i % side])
    assert on_lines < 1.15 * elsewhere


def test_an_object_larger_than_tiles_is_one(tmp_path):
    """A lake over four tiles, wider than their margins, with fields on its shore."""
    values = landscape(256, 3)
    rows, columns = np.indices((256, 256))
    lake = (rows - 128) ** 2 + (columns - 128) ** 2 < 100**2
    values[:, lake] = np.random.default_rng(0).integers(295, 306, (4, int(lake.sum())))
    path = write(tmp_path / "lake.tif", values)
    tiled = run(path, tmp_path / "tiled.tif", tiles=(128, 24), min_size=5000)
    core = (rows - 128) ** 2 + (columns - 128) ** 2 < 90**2
    share = np.bincount(tiled[core]).max() / core.sum()
    assert share > 0.98


def test_no_data_and_not_a_number_belong_to_no_object(tmp_path):
    values = landscape(96, 1).astype(np.float32)
    values[:, 30:34] = -1
    values[2, 60:70, 60:70] = np.nan
    labels = run(write(tmp_path / "gaps.tif", values, nodata=-1), tmp_path / "o.tif")
    gaps = np.zeros((96, 96), bool)
    gaps[30:34] = gaps[60:70, 60:70] = True
    assert ((labels == 0) == gaps).all()
    assert not set(np.unique(labels[:30])) & set(np.unique(labels[34:]))  # nothing passes the gap


def test_scale_and_values_work_together(image, tmp_path):
    """A larger scale gives fewer objects; the unit of the values does not matter."""
    counts = [run(image, tmp_path / "o.tif", scale=scale).max() for scale in (10, 30, 90)]
    assert counts[0] > counts[1] > counts[2]
    values = gdal.Open(str(image)).ReadAsArray()
    other = write(tmp_path / "reflectance.tif", (values / 10000.0).astype(np.float32))
    assert run(other, tmp_path / "o.tif", scale=30).max() == pytest.approx(counts[1], rel=0.02)


@pytest.mark.parametrize(("side", "expected"), [(10.0, 8.0), (6.0, 13.3), (1.5, 53.3), (30.0, 4.0), (0.05, 400.0)])
def test_the_scale_follows_the_pixels(side, expected):
    from landloom.model.base.raster import spatial_reference
    from landloom.model.objects.segmentation import scale_for
    from landloom.model.stack.grid import Grid

    wkt = spatial_reference("EPSG:32738").ExportToWkt()
    assert scale_for(Grid(wkt, (500000.0, side, 0.0, 8000000.0, 0.0, -side), 100, 100)) == expected


def test_the_log_tells_the_scale_and_how_large_objects_are(image, tmp_path):
    """Median and largest tenth as numpy has them, in pixels and hectares."""
    from landloom.model.base.progress import Progress

    class Listening(Progress):
        def __init__(self):
            super().__init__()
            self.lines = []

        def info(self, text):
            self.lines.append(text)

    heard = Listening()
    labels = run(image, tmp_path / "o.tif", progress=heard, scale=None)
    assert np.array_equal(labels, run(image, tmp_path / "same.tif", scale=8.0))
    median, large = np.percentile(np.bincount(labels.ravel())[1:], [50, 90])
    assert "SCALE 8," in heard.lines[0]
    assert (
        f"{labels.max():,} objects: half of them up to {median:,.0f} pixels ({median / 100:.3g} ha)" in heard.lines[-1]
    )
    assert f"above {large:,.0f} pixels" in heard.lines[-1]


def test_memory_decides_on_tiles():
    from landloom.model.objects.segmentation import SegmentSettings, threads_for, tiles_for

    settings = SegmentSettings(memory_mb=1024)
    assert len(tiles_for(3900, 3900, 4, settings).plan(3900, 3900)) == 1
    several = tiles_for(20000, 20000, 4, settings)
    plan = several.plan(20000, 20000)
    assert len(plan) > 1 and several.margin > 0
    seen = np.zeros((200, 200), int)
    for core, _ in several.plan(200, 200):
        seen[core.row : core.row + core.height, core.column : core.column + core.width] += 1
    assert (seen == 1).all()
    smaller = tiles_for(20000, 20000, 4, SegmentSettings(memory_mb=512))
    assert smaller.side < several.side
    finer = tiles_for(20000, 20000, 4, SegmentSettings(memory_mb=1024, superpixel=2))
    assert finer.side < several.side
    assert tiles_for(20000, 20000, 4, settings, reading_mb=300).side < several.side
    # Many bands take memory as chunks, too: fewer of these at once.
    assert threads_for(200, settings) == 1 <= threads_for(4, settings)
    assert tiles_for(20000, 20000, 40, settings).side < several.side


@pytest.mark.parametrize("bands", [1, 4, 16, 17, 60])
def test_too_little_memory_is_refused_with_what_does(bands):
    from landloom.model.base.errors import LandloomError
    from landloom.model.objects.segmentation import SegmentSettings, stack_reading_mb, tiles_for

    def tiles(memory_mb, side=20000):
        return tiles_for(side, side, bands, SegmentSettings(memory_mb=memory_mb), stack_reading_mb(memory_mb))

    with pytest.raises(LandloomError, match=rf"MEMORY_MB 128 is too small for {bands} bands") as told:
        tiles(128)
    least = int(str(told.value).split("give ")[1].split()[0])
    assert tiles(least).side >= 512 and tiles(least).margin == 384
    assert tiles(least, 500).margin == 0
    with pytest.raises(LandloomError, match=f"give {least} or more"):
        tiles(least - 1)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"scale": 0}, "SCALE is 0"),
        ({"colour": 1.2}, "COLOUR_WEIGHT is 1.2"),
        ({"compactness": -1}, "COMPACTNESS_WEIGHT is -1"),
        ({"min_size": -5}, "MIN_SIZE is -5"),
        ({"superpixel": 1}, "SUPERPIXEL is 1"),
        ({"bounds": (0, 0, 10, 10)}, "EXTENT does not meet"),
    ],
)
def test_wrong_settings_are_named(image, tmp_path, settings, message):
    from landloom.model.base.errors import LandloomError

    with pytest.raises(LandloomError, match=message):
        run(image, tmp_path / "o.tif", **settings)
    assert not list(tmp_path.iterdir())


def test_images_that_cannot_be_segmented(tmp_path):
    from landloom.model.base.errors import LandloomError
    from landloom.model.base.raster import spatial_reference, write_raster

    nothing = write(tmp_path / "empty.tif", np.zeros((1, 20, 20), np.uint8))
    with pytest.raises(LandloomError, match="no valid pixel"):
        run(nothing, tmp_path / "o.tif")
    bare = write_raster(tmp_path / "bare.tif", np.ones((1, 20, 20), np.uint8), CORNER, "")
    with pytest.raises(LandloomError, match="has no CRS"):
        run(bare, tmp_path / "o.tif")
    turned = write_raster(
        tmp_path / "turned.tif", np.ones((1, 20, 20), np.uint8), (0, 1, 0.2, 0, 0.2, -1),
        spatial_reference("EPSG:32738").ExportToWkt(),
    )  # fmt: skip
    with pytest.raises(LandloomError, match="rotated"):
        run(turned, tmp_path / "o.tif")


def test_one_value_everywhere_is_one_object_or_few(tmp_path):
    flat = write(tmp_path / "flat.tif", np.full((2, 64, 64), 7, np.uint8))
    labels = run(flat, tmp_path / "o.tif", colour=1.0)
    assert labels.max() == 1


def test_cancelling_leaves_nothing(image, tmp_path):
    from landloom.model.base.errors import Cancelled
    from landloom.model.base.progress import Progress

    class Stopping(Progress):
        asked = 0

        def is_cancelled(self):
            self.asked += 1
            return self.asked > 12

    with pytest.raises(Cancelled):
        run(image, tmp_path / "o.tif", progress=Stopping())
    assert not list(tmp_path.iterdir())


def test_superpixels_are_the_same_in_every_window(image):
    """The lattice lies on the image, so a pixel has the same superpixel whatever is asked for."""
    from landloom.model.objects.segmentation import RasterImage
    from landloom.model.objects.segmentation_image import StretchedImage
    from landloom.model.objects.segmentation_superpixels import Superpixels
    from landloom.model.stack.grid import Window

    source = RasterImage(image)
    superpixels = Superpixels(StretchedImage(source, source.grid.whole), 4)
    everything, _ = superpixels.graph(source.grid.whole)
    part, regions = superpixels.graph(Window(130, 77, 200, 150))
    assert len(regions) == part.max()
    inside = (slice(8, -8), slice(8, -8))
    assert same_objects(everything[77:227, 130:330][inside], part[inside]).mean() > 0.9999
