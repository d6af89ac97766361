"""Folders that hold what nobody meant: the stack is made, and a warning tells what is odd."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from landloom.model.stack import oddities
from landloom.model.stack.prepare import PrepareSettings, prepare_stack
from landloom.model.stack.reader import StackReader


def prepare(folder, **settings):
    return prepare_stack(folder, Path(folder).parent / "stack.json", PrepareSettings(**settings))


def test_products_of_two_places_are_said_to_lie_far_apart(tmp_path, write_product):
    write_product.theia(tmp_path / "in", "20210105")
    write_product.theia(tmp_path / "in", "20210115", corner=(700000.0, 8100000.0))
    (warning,) = [line for line in prepare(tmp_path / "in").warnings if "far apart" in line]
    assert "20024 x 10024" in warning and "EXTENT" in warning
    one = prepare(tmp_path / "in", extent=((500000.0, 7999760.0, 500240.0, 8000000.0), "EPSG:32738"))
    assert not any("far apart" in line for line in one.warnings)
    assert [line.why for line in one.lines if not line.used] == ["it does not overlap the grid"]


def test_tiles_side_by_side_are_not_far_apart(tmp_path, write_product, monkeypatch):
    monkeypatch.setattr(oddities, "_LARGE", 100)
    for index, letter in enumerate("ABC"):
        write_product.theia(tmp_path / "in", "20210105", corner=(500000.0 + 240 * index, 8e6), tile=f"T38KP{letter}")
    assert not any("far apart" in line for line in prepare(tmp_path / "in").warnings)


def test_a_product_of_another_year_is_pointed_out(tmp_path, write_product):
    for date in ("20190105", "20210105", "20210115"):
        write_product.theia(tmp_path / "in", date)
    (warning,) = [line for line in prepare(tmp_path / "in").warnings if "another year" in line]
    assert "S2: 731 days lie between 2019-01-05 and 2021-01-05" in warning
    assert not any("another year" in line for line in prepare(tmp_path / "in", end="2021-12-31").warnings)


def test_nothing_but_clouds_is_said(tmp_path, write_product):
    for date in ("20210105", "20210115"):
        write_product.theia(tmp_path / "in", date, cloud=np.ones((24, 24)))
    result = prepare(tmp_path / "in")
    assert any("S2: no pixel is valid on any date" in line for line in result.warnings)
    write_product.theia(tmp_path / "in", "20210125", cloud=np.zeros((24, 24)))
    assert not any("no pixel is valid" in line for line in prepare(tmp_path / "in").warnings)


def test_a_band_without_data_is_no_date(tmp_path, write_product):
    """Every band counts, as in training: B3 of a date holds nothing, so that date shows nothing."""
    write_product.theia(tmp_path / "in", "20210105")
    write_product.theia(tmp_path / "in", "20210115", {"B3": np.full((24, 24), -10000, np.int16)})
    result = prepare(tmp_path / "in")
    assert [(line.date, line.why) for line in result.lines if not line.used] == [("2021-01-15", "wholly without data")]


def test_folders_of_no_known_archive_are_named(tmp_path, write_product):
    """Radar was found, the optical images beside it not: without a word the map would be of radar alone."""
    inside = write_product.theia(tmp_path / "in", "20210105")
    for folder, date in (("S2_20m", "20210103"), ("S2_20m", "20210108"), ("SCL", "2021-01-03"), ("labels", "")):
        (tmp_path / "in" / folder).mkdir(exist_ok=True)
        (tmp_path / "in" / folder / f"x_{date}.tif").touch()
    for quality in (inside / "DATA", inside / "MASKS"):
        quality.mkdir(exist_ok=True)
        (quality / "SENTINEL2A_20210105_ATB_R1.tif").touch()
    (warning,) = [line for line in prepare(tmp_path / "in").warnings if "no known archive" in line]
    assert "S2_20m (2 images), SCL (1 image)," in warning and "addrasters" in warning
    assert oddities.not_read("in", [("SCL", 1)], "in/SCL") == []


def test_images_of_no_known_archive_beside_products_are_named(tmp_path, write_product):
    """Right in the folder, where products that are files lie too: what begins like one of these is a layer of it."""
    write_product.theia(tmp_path / "in", "20210105")
    for name in ("PlanetScope_20210103_SR.tif", "PlanetScope_20210108_SR.tif", "2021-01-03.jp2", "map.tif"):
        (tmp_path / "in" / name).touch()
    band = next((tmp_path / "in").rglob("*_FRE_B4.tif")).name
    (tmp_path / "in" / f"{band.partition('20210105')[0]}20210105_QUICKLOOK.tif").touch()
    (warning,) = [line for line in prepare(tmp_path / "in").warnings if "no known archive" in line]
    assert "from 2021* (1 image), PlanetScope_* (2 images)," in warning
    assert oddities.not_read("in", [("PlanetScope_*", 2)], "in") == []


@pytest.mark.parametrize("content", [b"", b"not an image" * 50])
def test_files_that_are_no_images_say_what_they_are(tmp_path, write_product, content):
    write_product.theia(tmp_path / "été 2021", "20210105")
    next(write_product.theia(tmp_path / "été 2021", "20210115").glob("*_FRE_B4.tif")).write_bytes(content)
    (why,) = [line.why for line in prepare(tmp_path / "été 2021").lines if not line.used]
    assert ("the file is empty" if not content else "no format that GDAL knows") in why and "FRE_B4.tif" in why


def test_half_a_pixel_within_a_product_is_warped_not_shifted(tmp_path, write_product):
    """A ramp in a file whose corner lies half a pixel east: the stack's pixels hold the values at their own places."""
    write_product.theia(tmp_path / "in", "20210105", bands=("B2", "B3"))
    ramp = np.broadcast_to(np.arange(24, dtype=np.int16) * 100, (24, 24)).copy()
    path = next((tmp_path / "in").rglob("*_FRE_B3.tif"))
    write_product.raster(path, ramp, 10, corner=(500005.0, 8000000.0))
    result = prepare(tmp_path / "in", extent=((500000.0, 7999760.0, 500240.0, 8000000.0), "EPSG:32738"))
    with StackReader(result.stack) as reader:
        values = reader.read(result.stack.grid.whole)["S2"].values[0, 0, 1]
    np.testing.assert_array_equal(values[5, 1:23], np.arange(1, 23) * 100 - 50)
