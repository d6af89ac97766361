"""Shares of data and clear pixels of large dates: from small pictures of JPEG 2000 files, and from windows."""

from __future__ import annotations

import numpy as np
import pytest
from landloom.model.base.errors import LandloomError
from landloom.model.stack import measure, smallview
from landloom.model.stack.prepare import PrepareSettings, prepare_stack
from optical_archives import METADATA, write_image

SIDE = 640
OFFSETS = "".join(f'<BOA_ADD_OFFSET band_id="{k}">-1000</BOA_ADD_OFFSET>' for k in range(13))


@pytest.fixture(autouse=True)
def large(monkeypatch):
    """Grids of more than 10,000 pixels count as large."""
    monkeypatch.setattr(measure, "EXACT_PIXELS", 10_000)


def safe(folder, values, classes, date="20230821", suffix="jp2"):
    """A product of two bands and its scene classification."""
    name = f"S2A_MSIL2A_{date}T071211_N0509_R020_T38KPE_{date}T160857"
    root = folder / f"{name}.SAFE"
    images = root / "GRANULE" / "L2A_T38KPE" / "IMG_DATA"
    for band in ("B02", "B03"):
        path = images / "R10m" / f"T38KPE_{date}T071211_{band}_10m.{suffix}"
        write_image(path, values, 10, jp2=suffix == "jp2")
    path = images / "R20m" / f"T38KPE_{date}T071211_SCL_20m.{suffix}"
    write_image(path, classes.astype(np.uint8), 20, jp2=suffix == "jp2")
    offsets = f"<BOA_ADD_OFFSET_VALUES_LIST>{OFFSETS}</BOA_ADD_OFFSET_VALUES_LIST>"
    (root / "MTD_MSIL2A.xml").write_text(METADATA.format(name=name, baseline="05.09", offsets=offsets))


def fields(seed=0, low=1100, high=4000):
    """Patches of 40 x 40 pixels with some noise."""
    rng = np.random.default_rng(seed)
    patches = rng.integers(low, high, (SIDE // 40, SIDE // 40)).repeat(40, 0).repeat(40, 1)
    return (patches + rng.integers(0, 60, (SIDE, SIDE))).astype(np.uint16)


def test_small_pictures_of_jpeg_2000_give_the_shares_of_all_pixels(tmp_path, monkeypatch):
    """Thick clouds (9) two pixels wide over vegetation (4): a mean of classes would be water (6), so none is taken."""
    monkeypatch.setattr(smallview, "LARGEST", SIDE // 8)
    values, classes = fields(), np.full((SIDE // 2, SIDE // 2), 4)
    values[:, :200] = 0
    rng = np.random.default_rng(1)
    classes[(rng.random((160, 160)) < 0.4).repeat(2, 0).repeat(2, 1)] = 9
    safe(tmp_path / "in", values, classes)
    result = prepare_stack(tmp_path / "in", tmp_path / "stack.json", PrepareSettings())
    clear = (values > 0) & (classes == 4).repeat(2, 0).repeat(2, 1)
    (line,) = result.lines
    assert line.valid == pytest.approx(clear.mean(), abs=0.02)
    assert line.cloud == pytest.approx(1 - clear.sum() / (values > 0).sum(), abs=0.02)


def test_pixels_are_not_decoded_where_a_small_picture_does(tmp_path, monkeypatch):
    """A tile of 10,980 pixels is decoded in seconds at an eighth of its size, in a quarter of an hour as it is."""

    def pixels(*_):
        raise AssertionError("pixels were read")

    safe(tmp_path / "in", fields(), np.full((SIDE // 2, SIDE // 2), 4))
    monkeypatch.setattr(measure, "_count_windows", pixels)
    result = prepare_stack(tmp_path / "in", tmp_path / "stack.json", PrepareSettings())
    assert result.lines[0].valid == 1


def test_pixels_are_read_where_a_small_picture_cannot_be(tmp_path, monkeypatch):
    monkeypatch.setattr(smallview.gdal, "Warp", lambda *_, **__: None)
    safe(tmp_path / "in", fields(), np.full((SIDE // 2, SIDE // 2), 4))
    result = prepare_stack(tmp_path / "in", tmp_path / "stack.json", PrepareSettings())
    assert result.lines[0].valid == 1 and any("200,704 pixels" in note for note in result.notes)


def test_an_offset_taken_off_before_is_found_in_small_pictures_too(tmp_path):
    safe(tmp_path / "in", fields(low=200, high=1600), np.full((SIDE // 2, SIDE // 2), 4))
    with pytest.raises(LandloomError, match=r"BOA_ADD_OFFSET\) \d\d % of the clear values"):
        prepare_stack(tmp_path / "in", tmp_path / "stack.json", PrepareSettings())


def test_a_strip_between_the_windows_is_no_empty_date(tmp_path):
    """The edge of a swath that no window meets: its date is used, and told with its true share."""
    values = np.zeros((SIDE, SIDE), np.uint16)
    values[:, 70:90] = 2000  # windows of 64 pixels lie at 0, 96, 192 ...
    safe(tmp_path / "in", values, np.full((SIDE // 2, SIDE // 2), 4), suffix="tif")
    safe(tmp_path / "in", values * 0, np.full((SIDE // 2, SIDE // 2), 4), "20230831", "tif")
    result = prepare_stack(tmp_path / "in", tmp_path / "stack.json", PrepareSettings())
    used, empty = sorted(result.lines, key=lambda line: line.date)
    assert used.used and used.valid == pytest.approx(20 / SIDE)
    assert empty.why == "wholly without data"
    assert not any("estimated" in note for note in result.notes)


def test_a_few_windows_say_that_they_are_few(tmp_path):
    safe(tmp_path / "in", fields(), np.full((SIDE // 2, SIDE // 2), 4), suffix="tif")
    result = prepare_stack(tmp_path / "in", tmp_path / "stack.json", PrepareSettings())
    assert any("estimated on at least 200,704 pixels" in note for note in result.notes)
