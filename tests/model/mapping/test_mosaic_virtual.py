"""Protects the virtual mosaic: it shows what the file shows, without a copy, and moves with its maps."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from landloom.model.base.errors import Cancelled, LandloomError
from landloom.model.base.legend import legend_of
from landloom.model.base.progress import Progress
from landloom.model.base.raster import open_raster, write_raster
from landloom.model.mapping.mosaic import mosaic
from landloom.model.mapping.unsure import UNSURE_TAG

sys.path.insert(0, str(Path(__file__).parent))
from test_mosaic import CLASSES, UNSURE, gdal_exceptions, read, sure, tile  # noqa: F401


@pytest.fixture
def maps(tmp_path):
    """Two maps of one zone that overlap, and one of the next zone."""
    rng = np.random.default_rng(0)
    folder = tmp_path / "cartes & tuiles"
    folder.mkdir()
    made = []
    for number, (x, epsg) in enumerate([(819000.0, 32738), (819300.0, 32738), (180500.0, 32739)]):
        codes = rng.choice([0, 1, 300, 9], (60, 60))
        made.append(tile(folder / f"carte {number}.tif", codes, x=x, epsg=epsg, unsure=UNSURE))
    return made


def test_it_shows_what_the_file_shows(maps, tmp_path, gdal_exceptions):  # noqa: F811
    given = {"crs": "EPSG:32738", "resolution": 10.0}
    mosaic(maps, tmp_path / "one.tif", vrt=tmp_path / "deux.vrt", **given)
    assert np.array_equal(read(tmp_path / "one.tif"), read(tmp_path / "deux.vrt"))
    whole, virtual = (open_raster(tmp_path / name) for name in ("one.tif", "deux.vrt"))
    assert whole.GetGeoTransform() == virtual.GetGeoTransform()
    assert legend_of(whole) == legend_of(virtual) and legend_of(whole)[0][300] == "forêt"
    assert virtual.GetMetadataItem(UNSURE_TAG) == "9" and virtual.GetRasterBand(1).GetNoDataValue() == 0
    assert (tmp_path / "deux.qml").read_bytes() == (tmp_path / "one.qml").read_bytes()
    assert [path.name for path in (tmp_path / "deux_mosaic").iterdir()] == ["003_carte 2.vrt"]  # of the other zone
    assert not list(tmp_path.glob("*partial*"))
    # And alone, anew over the old one; all that belongs to it may be moved together.
    done = mosaic(maps, None, vrt=tmp_path / "deux.vrt", **given)
    assert done.pixels == 0 and len(done.nomenclature) == len(CLASSES) + 1
    whole = virtual = None
    expected = read(tmp_path / "one.tif")
    (tmp_path / "moved").mkdir()
    for name in ("cartes & tuiles", "deux.vrt", "deux_mosaic"):
        shutil.move(tmp_path / name, tmp_path / "moved" / name)
    assert np.array_equal(read(tmp_path / "moved" / "deux.vrt"), expected)


def test_other_values_of_no_data_are_transparent_too(tmp_path):
    grid = (500000.0, 10.0, 0.0, 8000000.0, 0.0, -10.0)
    crs = open_raster(tile(tmp_path / "a.tif", np.array([[1, 300, 1, 1]]))).GetProjection()
    top = write_raster(tmp_path / "top.tif", np.array([[0, 255, 1, 300]], np.uint16), grid, crs, 255)
    mosaic([top, tmp_path / "a.tif"], tmp_path / "m.tif", vrt=tmp_path / "m.vrt")
    assert read(tmp_path / "m.vrt").tolist() == read(tmp_path / "m.tif").tolist() == [[1, 300, 1, 300]]


def test_small_scales_read_the_overviews_of_the_maps(tmp_path):
    """Else looking at a country would read every pixel of it. Overviews have the most frequent class of four."""
    codes = np.ones((600, 600), int)
    codes[1::2, 1::2] = 300  # what every second pixel is
    one, other = tile(tmp_path / "a.tif", codes), tile(tmp_path / "b.tif", codes, x=506000.0)
    mosaic([one, other], None, vrt=tmp_path / "m.vrt")
    dataset = open_raster(tmp_path / "m.vrt")
    assert (dataset.ReadAsArray(buf_xsize=600, buf_ysize=300) == 1).all()
    assert (dataset.ReadAsArray() == 300).mean() == 0.25


def test_bad_input_is_named_and_cancelling_leaves_nothing(maps, tmp_path):
    trust = [sure(tmp_path / f"{number}_c.tif", np.full((60, 60), 50)) for number in range(3)]
    with pytest.raises(LandloomError, match="OUTPUT, VRT, or both"):
        mosaic(maps, None)
    with pytest.raises(LandloomError, match=r"end its name in \.vrt"):
        mosaic(maps, None, vrt=tmp_path / "m.tif")
    with pytest.raises(LandloomError, match="and OUTPUT"):
        mosaic(maps, None, trust, tmp_path / "c.tif", vrt=tmp_path / "m.vrt")
    mosaic(maps[:1], None, vrt=tmp_path / "first.vrt")
    with pytest.raises(LandloomError, match=r"first\.vrt"):
        mosaic([tmp_path / "first.vrt"], None, vrt=tmp_path / "first.vrt")

    class Stopping(Progress):
        checks = 0

        def is_cancelled(self):
            self.checks += 1
            return self.checks > 5

    with pytest.raises(Cancelled):
        mosaic(maps, None, vrt=tmp_path / "m.vrt", progress=Stopping())
    assert not list(tmp_path.glob("m*"))
