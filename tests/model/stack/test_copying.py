"""COPY: equal to what was copied, from folders and over lines that drop; resumed; new links for expired ones."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from landloom.model.base.errors import Cancelled, LandloomError, NoAnswerError
from landloom.model.base.progress import Progress
from landloom.model.stack import copies, copying, rasterinfo
from landloom.model.stack.prepare import PrepareSettings, prepare_stack
from landloom.model.stack.reader import StackReader
from landloom.model.stack.stac import hrefs
from osgeo import gdal

EXTENT = ((500505.0, 7997005.0, 503005.0, 7999555.0), "EPSG:32738")


class Told(Progress):
    def __init__(self):
        self.lines = []

    def info(self, message):
        self.lines.append(message)


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(copying, "PAUSES", (0.05, 0.1, 0.1))
    monkeypatch.setattr(rasterinfo, "PAUSES", (0.05, 0.1))
    monkeypatch.setattr(hrefs, "RETRIES", {"max_retry": "2", "retry_delay": "0.05"})
    gdal.VSICurlClearCache()


@pytest.fixture
def collection(tmp_path, stac_api):
    """Writes the ItemCollection of the service as it is now."""
    import stac_service

    def write():
        path = tmp_path / "items.json"
        items = [stac_api.item(date) for date in stac_service.DATES]
        path.write_text(json.dumps({"type": "FeatureCollection", "features": items}), "utf-8")
        return path

    return write


def prepare(source, folder, copy="", progress=None, **settings):
    settings = PrepareSettings(**{"extent": EXTENT, **settings}, copy=str(copy))
    return prepare_stack(source, folder / f"{'copied' if copy else 'plain'}.json", settings, progress=progress).stack


ROOT = Path(__file__).resolve().parents[3]


def check_equal(one, two):
    assert set(one.sensors) == set(two.sensors)
    with StackReader(one) as first, StackReader(two) as second:
        for name, expected in first.read(one.grid.whole, halo=3).items():
            copied = second.read(one.grid.whole, halo=3)[name]
            np.testing.assert_array_equal(copied.mask, expected.mask)
            np.testing.assert_array_equal(copied.values, expected.values)
            np.testing.assert_array_equal(copied.days, expected.days)
            assert first.specs[name] == second.specs[name] and expected.mask.any() and not expected.mask.all()


@pytest.fixture(scope="module")
def local(stac_files, tmp_path_factory):
    """The stack of the files as they lie on the disk."""
    import stac_service

    folder = tmp_path_factory.mktemp("local")
    items = [stac_service.item(date, f"{stac_files}/") for date in stac_service.DATES]
    (folder / "items.json").write_text(json.dumps({"type": "FeatureCollection", "features": items}), "utf-8")
    return prepare(folder / "items.json", folder)


def test_products_of_several_forms_read_equal_from_their_copy(tmp_path, write_product):
    random = np.random.default_rng(1)
    for date in ("20210105", "20210115", "20210125"):
        values = {"B4": random.integers(-10001, 5000, (24, 24)).astype(np.int16)}
        values["B4"][3] = -10000
        write_product.theia(tmp_path / "in", date, values=values, cloud=random.random((24, 24)) > 0.8)
        write_product.theia(tmp_path / "in", date, tile="T38KPF", corner=(500120.0, 8000000.0), cloud=np.ones((24, 24)))
        vv = random.gamma(4, 0.05, (24, 24))
        vv[5:7] = 0
        write_product.s1tiling(tmp_path / "in", date, vv=vv)
    settings = {"extent": None, "mask_buffer": 20}
    plain = prepare(tmp_path / "in", tmp_path, **settings)
    told = Told()
    copied = prepare(tmp_path / "in", tmp_path, tmp_path / "copie d'été", told, **settings)
    check_equal(plain, copied)
    assert sorted(path.name for path in (tmp_path / "copie d'été").iterdir()) == [
        "S1_ASC.json", "S1_ASC.tif", "S1_ASC_mask.tif", "S2.json", "S2.tif", "S2_mask.tif"
    ]  # fmt: skip
    assert [line for line in told.lines if "MB of values" in line and "under a minute" in line]
    part = copied.sensors["S2"].acquisitions[1].parts[0]
    assert part.sources[0].path.endswith("S2.tif") and part.bands["B2"] == (0, 11) and part.masks[0].band == 2
    data = gdal.Open(part.sources[0].path)
    assert data.GetRasterBand(11).GetDescription() == "2021-01-15 B2" and data.RasterCount == 30
    assert data.GetRasterBand(1).GetBlockSize() == [128, 128] and gdal.Open(part.data).RasterCount == 10
    told = Told()
    check_equal(plain, prepare(tmp_path / "in", tmp_path, tmp_path / "copie d'été", told, **settings))
    assert len([line for line in told.lines if "is current" in line]) == 2
    with pytest.raises(LandloomError, match="already in STACK"):
        prepare_stack(tmp_path / "in", tmp_path / "more.json", PrepareSettings(), copied.path)


def test_only_the_window_travels_and_values_are_equal(tmp_path, local, stac_api, collection):
    copied = prepare(
        collection(), tmp_path, tmp_path / "copy", extent=((502005.0, 7998005.0, 503005.0, 7999005.0), "EPSG:32738")
    )
    sizes = sum(path.stat().st_size for path in stac_api.folder.iterdir())
    assert copied.grid.width == 101 and stac_api.bytes_sent < 0.75 * sizes
    window = local.grid.window(copied.grid.bounds)
    with StackReader(local) as first, StackReader(copied) as second:
        expected, got = first.read(window)["S2"], second.read(copied.grid.whole)["S2"]
    np.testing.assert_array_equal(got.mask, expected.mask)
    np.testing.assert_array_equal(got.values, expected.values)


def test_a_remote_stack_reads_without_copy_and_files_are_not_all_opened(tmp_path, local, stac_api, collection):
    remote = prepare(collection(), tmp_path)
    check_equal(local, remote)
    heads = {path for path in stac_api.asked if "/files/" in path}
    assert len(heads) <= 20  # five dates of four files
    assert str(remote.sensors["S2"].acquisitions[0].parts[0].sources[0].path).startswith("/vsicurl?")


@pytest.mark.parametrize("fault", ["drop", "busy"])
def test_dropped_lines_and_busy_servers(tmp_path, local, stac_api, collection, fault):
    path = collection()
    setattr(stac_api, fault, 5)
    check_equal(local, prepare(path, tmp_path, tmp_path / "copy"))
    assert getattr(stac_api, fault) == 0


def test_expired_links_are_renewed_before_and_while_copying(tmp_path, local, stac_api, collection):
    stac_api.token = 1
    path = collection()
    stac_api.token = 2  # the links written have expired
    stac_api.expire_after = 45
    check_equal(local, prepare(path, tmp_path, tmp_path / "copy"))
    assert stac_api.token == 3 and len([one for one in stac_api.asked if one.startswith("/items/")]) > 5


def test_links_without_a_new_one_say_so_and_the_run_goes_on_later(tmp_path, local, stac_api, collection, monkeypatch):
    stac_api.token = 1
    path = collection()
    stac_api.token = 2
    monkeypatch.setattr(stac_api, "item", lambda date: {"id": date})
    with pytest.raises(LandloomError, match=r"expired.*searchproducts"):
        prepare(path, tmp_path, tmp_path / "copy")
    assert not (tmp_path / "copied.json").exists()


def test_a_cut_line_is_resumed_from_the_journal(tmp_path, local, stac_api, collection, monkeypatch):
    path, done = collection(), []
    write_date = copying._SensorCopy._write_date

    def cut(self, date, *others):
        if len(done) == 3:
            raise LandloomError("The line is cut.")
        write_date(self, date, *others)
        done.append(date)

    monkeypatch.setattr(copying, "THREADS", 1)
    with monkeypatch.context() as cutting:
        cutting.setattr(copying._SensorCopy, "_write_date", cut)
        with pytest.raises(LandloomError, match="run the same again"):
            prepare(path, tmp_path, tmp_path / "copy")
    names = sorted(one.name for one in (tmp_path / "copy" / "S2.parts").iterdir())
    assert names == sorted(
        [f"{date.replace('-', '')}{end}.tif" for date in done for end in ("", "_mask")] + ["journal.json"]
    )
    assert not (tmp_path / "copied.json").exists() and not (tmp_path / "copy" / "S2.tif").exists()
    again = []
    monkeypatch.setattr(
        copying._SensorCopy, "_write_date", lambda self, date, *o: (again.append(date), write_date(self, date, *o))[1]
    )
    told = Told()
    check_equal(local, prepare(path, tmp_path, tmp_path / "copy", told))
    assert len(again) == 2 and not set(again) & set(done) and any("3 of 5 dates" in line for line in told.lines)
    assert not (tmp_path / "copy" / "S2.parts").exists()


KILLED = """
import importlib.util, sys, time
root, source, folder = sys.argv[1:]
spec = importlib.util.spec_from_file_location("landloom", root + "/__init__.py", submodule_search_locations=[root])
sys.modules["landloom"] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(sys.modules["landloom"])
from landloom.model.stack import copying
from landloom.model.stack.prepare import PrepareSettings, prepare_stack
write_date = copying._SensorCopy._write_date
copying._SensorCopy._write_date = lambda *all: (time.sleep(0.4), write_date(*all))
copying.THREADS = 1
prepare_stack(source, folder + "/copied.json", PrepareSettings(copy=folder + "/copy"))
"""


def test_a_killed_process_is_gone_on_from(tmp_path, write_product, monkeypatch):
    """SIGKILL while dates are copied: the same run keeps what was whole, tidies up and gives the same pixels."""
    random = np.random.default_rng(1)
    for day in range(1, 9):
        values = {band: random.integers(1, 5000, (24, 24)).astype(np.int16) for band in ("B2", "B3", "B4", "B8")}
        write_product.theia(tmp_path / "in", f"2021010{day}", values, (random.random((24, 24)) > 0.7).astype(np.uint8))
    child = subprocess.Popen([sys.executable, "-c", KILLED, str(ROOT), str(tmp_path / "in"), str(tmp_path)])
    journal = tmp_path / "copy" / "S2.parts" / "journal.json"
    end = time.monotonic() + 120
    while not (journal.exists() and len(json.loads(journal.read_text("utf-8"))["dates"]) >= 2):
        assert child.poll() is None and time.monotonic() < end
        time.sleep(0.05)
    child.kill()
    assert child.wait(30) == -signal.SIGKILL
    kept = set(json.loads(journal.read_text("utf-8"))["dates"])
    left = list(tmp_path.glob("copied_vrt.*"))
    assert 2 <= len(kept) < 8 and not (tmp_path / "copied.json").exists() and len(left) == 1
    os.utime(left[0], (0, 0))
    again, write_date = [], copying._SensorCopy._write_date
    monkeypatch.setattr(
        copying._SensorCopy, "_write_date", lambda self, date, *o: (again.append(date), write_date(self, date, *o))[1]
    )
    copied = prepare(tmp_path / "in", tmp_path, tmp_path / "copy", extent=None)
    assert len(again) == 8 - len(kept) and not set(again) & kept
    check_equal(prepare(tmp_path / "in", tmp_path, extent=None), copied)
    assert not (tmp_path / "copy" / "S2.parts").exists() and not list(tmp_path.glob("*.partial*"))
    # Killed once the copy was whole, but before its parts were removed: the next run does, unless a date is only there.
    parts = tmp_path / "copy" / "S2.parts"
    whole = json.loads((tmp_path / "copy" / "S2.json").read_text("utf-8"))
    for dates, stays in (({**whole["dates"], "2022-01-01": "x"}, True), (whole["dates"], False)):
        parts.mkdir(exist_ok=True)
        (parts / "journal.json").write_text(json.dumps({**whole, "dates": dates}))
        prepare(tmp_path / "in", tmp_path, tmp_path / "copy", extent=None)
        assert parts.exists() == stays and len(again) == 8 - len(kept)


def test_new_dates_join_a_copy_and_another_grid_starts_again(tmp_path, local, collection, monkeypatch):
    path, read = collection(), []
    write_date = copying._SensorCopy._write_date
    monkeypatch.setattr(
        copying._SensorCopy, "_write_date", lambda self, date, *o: (read.append(date), write_date(self, date, *o))[1]
    )
    prepare(path, tmp_path, tmp_path / "copy", end="2021-01-25")
    assert len(read) == 3
    check_equal(local, prepare(path, tmp_path, tmp_path / "copy"))
    assert len(read) == 5
    smaller = prepare(
        path,
        tmp_path,
        tmp_path / "copy",
        end="2021-01-15",
        extent=((500505.0, 7998005.0, 502005.0, 7999005.0), "EPSG:32738"),
    )
    assert len(read) == 7 and smaller.grid.width == 151


def test_cancelling_stops_soon_and_keeps_whole_dates_only(tmp_path, stac_api, collection):
    class Impatient(Progress):
        copied = False

        def text(self, message):
            self.copied = self.copied or "copied 1 of" in message

        def is_cancelled(self):
            return self.copied

    with pytest.raises(Cancelled):
        prepare(collection(), tmp_path, tmp_path / "copy", Impatient())
    assert not (tmp_path / "copied.json").exists()
    assert not [path for path in (tmp_path / "copy").rglob("*partial*")]
    assert threading.active_count() < 20


def test_no_server_is_no_reason_to_skip(tmp_path, stac_api, collection):
    path = collection()
    stac_api.shutdown()
    stac_api.server_close()
    with pytest.raises(NoAnswerError, match="connection"):
        prepare(path, tmp_path)


def test_files_of_others_are_not_overwritten(tmp_path, collection):
    (tmp_path / "copy").mkdir()
    (tmp_path / "copy" / "S2.tif").write_bytes(b"mine")
    with pytest.raises(LandloomError, match="another folder"):
        prepare(collection(), tmp_path, tmp_path / "copy")
    assert (tmp_path / "copy" / "S2.tif").read_bytes() == b"mine"


def test_a_disk_too_small_is_said_before(tmp_path, collection, monkeypatch):
    monkeypatch.setattr(copying, "COMPRESSED", 1e12)
    with pytest.raises(LandloomError, match="free"):
        prepare(collection(), tmp_path, tmp_path / "copy")


def test_wrong_places_of_a_catalogue_are_found_out(tmp_path, local, collection):
    path = collection()
    content = json.loads(path.read_text())
    for one in content["features"]:
        one["assets"]["red"]["proj:transform"][2] += 5
    path.write_text(json.dumps(content))
    result = prepare_stack(path, tmp_path / "s.json", PrepareSettings(extent=EXTENT))
    assert any("proj:" in line for line in result.warnings)
    check_equal(local, result.stack)


def test_strips_fit_into_memory():
    from landloom.model.stack.grid import Grid

    grid = Grid("", (0, 10, 0, 0, 0, -10), 10980, 10980)
    for memory in (16, 128, 4096):
        windows = copies.strips(grid, 63, memory)
        assert sum(one.width * one.height for one in windows) == grid.width * grid.height
        assert max(one.width * one.height for one in windows) <= max(copies.TILE**2, memory * 2**20 / 63)


def test_planetary_computer_links_are_signed_by_gdal(tmp_path, stac_api, monkeypatch):
    stac_api.token = 7

    def loopback(href, collection, links):
        return {"pc_url_signing": "yes", "pc_collection": collection} if "127.0.0.1" in href else {}

    monkeypatch.setattr(hrefs, "SIGNINGS", [loopback])
    path = hrefs.gdal_path(f"{stac_api.address}/files/2021-01-03_red.tif", tmp_path, "sentinel-2-l2a")
    before = gdal.GetConfigOption("VSICURL_PC_SAS_TOKEN_URL")
    gdal.SetConfigOption("VSICURL_PC_SAS_TOKEN_URL", f"{stac_api.address}/token/")
    try:
        info = rasterinfo.inspect(path)
    finally:
        gdal.SetConfigOption("VSICURL_PC_SAS_TOKEN_URL", before)
    assert (
        info.grid.width == 400
        and stac_api.tokens == 1
        and any("/token/sentinel-2-l2a" in one for one in stac_api.asked)
    )
