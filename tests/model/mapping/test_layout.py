"""Blocks follow the tiles of the files: each tile is decoded once, within the memory there is, and no pixel changes."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import mapping_fakes as fakes
import mapping_scene
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from landloom.model.base.progress import Progress
from landloom.model.mapping.chunks import CHUNK, Area
from landloom.model.mapping.classify import classify
from landloom.model.mapping.layout import choose_layout
from landloom.model.mapping.runner import BlockRunner
from landloom.model.stack.blockcache import BlockCache
from landloom.model.stack.grid import Window
from landloom.model.stack.lattice import FOREVER, Lattice
from landloom.model.stack.manifest import Stack
from landloom.model.stack.reader import StackReader
from osgeo import gdal

DATES = ["2021-01-03", "2021-02-13", "2021-03-05"]
TILED = ["TILED=YES", "BLOCKXSIZE=256", "BLOCKYSIZE=256", "COMPRESS=DEFLATE", "INTERLEAVE=BAND"]
IO = Path("/proc/self/io")


def noise(*shape, seed=0):
    return np.random.default_rng(seed).integers(1, 10_000, shape).astype(np.int16)


@pytest.fixture(scope="module")
def tiled_stack(make_stack, tmp_path_factory):
    """Three dates of 1,100 x 1,100 pixels: two bands of 10 m with masks, two of 20 m, in tiles of 256."""
    clear = np.random.default_rng(5).random((3, 1100, 1100)) > 0.2
    sensors = {
        "S2": dict(values=noise(3, 2, 1100, 1100), mask=clear, dates=DATES, bands=["B4", "B8"], creation=TILED),
        "S2_20M": dict(
            values=noise(3, 2, 550, 550, seed=1), dates=DATES, bands=["B11", "B12"], creation=TILED, factor=2
        ),
    }
    return make_stack(tmp_path_factory.mktemp("tiled"), sensors)


def count_valid(halo):
    def compute(series, chunk):
        centre = slice(halo, halo + CHUNK)
        valid = series["S2"].mask[0, :, centre, centre].any(axis=0)
        return {"map": valid[None].astype(np.uint8), "statistics": np.array([valid.sum()])}

    return compute


def run(folder, reader, halo, **changes):
    grid = reader.stack.grid
    fake = fakes.FakeReader(fakes.utm_grid(grid.width, grid.height))
    settings = dict(halo=halo, files=reader, bytes_per_pixel=reader.bytes_per_pixel, compute=count_valid(halo))
    progress = changes.pop("progress", Progress())
    job = fakes.make_job(folder, fake, **{**settings, **changes})
    job.grid, job.open_reader = grid, _Shared(reader)
    return BlockRunner(job, progress).run()


class _Shared:
    """Every thread gets the one reader."""

    def __init__(self, reader):
        self._reader = reader

    def __call__(self):
        return self

    def __enter__(self):
        return self._reader

    def __exit__(self, *_):
        pass


def bytes_read():
    return int(IO.read_text().split("rchar: ")[1].split()[0])


def bytes_of_all_blocks(stack, pixels=10_000):
    """Of those that the upper left ``pixels`` x ``pixels`` of 10 m touch."""
    total = 0
    for sensor in Stack.read(stack).sensors.values():
        for source in set(sensor.sources()):
            dataset = gdal.Open(source.path)
            reach = -(-pixels // source.ratio)
            for number in range(1, dataset.RasterCount + 1):
                band = dataset.GetRasterBand(number)
                columns, rows = band.GetBlockSize()
                for y in range(-(-min(dataset.RasterYSize, reach) // rows)):
                    for x in range(-(-min(dataset.RasterXSize, reach) // columns)):
                        total += int(band.GetMetadataItem(f"BLOCK_SIZE_{x}_{y}", "TIFF"))
    return total


@pytest.mark.skipif(not IO.exists(), reason="the system does not tell how much a process reads")
@pytest.mark.parametrize("halo", [0, 2])
@pytest.mark.parametrize("readers", [1, 3])
def test_a_run_decodes_each_block_of_the_files_once(tiled_stack, tmp_path, halo, readers):
    """Counted by the system: the bytes that the process asks of its files over those of the files' blocks."""
    there = bytes_of_all_blocks(tiled_stack)
    with StackReader(tiled_stack) as reader:
        # Room for blocks of 256 pixels and the last rows of the tiles, not for the scene.
        memory = 16 + 8 * readers
        before = bytes_read()
        summary = run(tmp_path, reader, halo, memory_mb=memory, reserve_mb=0, readers=readers)
        asked = bytes_read() - before
        assert reader._cache.used == 0
    assert summary.blocks > 9 and summary.statistics[0] > 1_000_000
    assert asked / there <= 1.5, asked / there


@pytest.mark.skipif(not IO.exists(), reason="the system does not tell how much a process reads")
def test_classify_decodes_each_block_once(tiled_stack, tmp_path):
    """The same from a trained forest to a map, over 640 x 640 pixels in several blocks."""
    pytest.importorskip("sklearn")
    model = mapping_scene.make_model(tiled_stack, "randomforest", tmp_path / "forest.safetensors")
    x, y = Stack.read(tiled_stack).grid.transform[0:4:3]
    there = bytes_of_all_blocks(tiled_stack, 640)
    before = bytes_read()
    bounds = (x, y - 6400, x + 6400, y)
    done = classify(tiled_stack, model, tmp_path / "map.tif", bounds=bounds, memory_mb=124, threads=1)
    asked = bytes_read() - before - 3 * model.stat().st_size
    assert done.summary.blocks > 4 and done.summary.pixels == 640 * 640
    assert asked / there <= 1.5, asked / there


@pytest.mark.skipif(not IO.exists(), reason="the system does not tell how much a process reads")
def test_the_count_of_decoded_blocks_would_show_it(tiled_stack, tmp_path, monkeypatch):
    """Without what is kept, the same run reads more than twice as much: the count above can fail."""
    there = bytes_of_all_blocks(tiled_stack)
    monkeypatch.setattr(StackReader, "expect", lambda *_: None)
    with StackReader(tiled_stack) as reader:
        before = bytes_read()
        run(tmp_path, reader, 2, memory_mb=24, reserve_mb=0)
        assert (bytes_read() - before) / there > 2


@pytest.fixture(scope="module")
def odd_stack(make_stack, tmp_path_factory):
    """Small rasters of all kinds: tiles, strips, coarse pixels, masks, floats with holes."""
    rng = np.random.default_rng(3)
    floats = rng.random((2, 2, 180, 210)).astype(np.float32)
    floats[rng.random(floats.shape) < 0.02] = np.nan
    tiled = ["TILED=YES", "BLOCKXSIZE=64", "BLOCKYSIZE=32"]
    mask = rng.random((3, 180, 210)) > 0.3
    values = noise(3, 2, 180, 210)
    values[:, :, :40, 30:60] = -9999
    sensors = {
        "S2": dict(values=values, mask=mask, dates=DATES, bands=["B4", "B8"], nodata=-9999, creation=tiled),
        "S2_20M": dict(
            values=noise(3, 1, 90, 105), dates=DATES, bands=["B11"], factor=2, creation=["BLOCKYSIZE=7"]
        ),
        "S2_60M": dict(values=noise(3, 1, 30, 35), dates=DATES, bands=["B1"], factor=6, creation=["INTERLEAVE=PIXEL"]),
        "S1_ASC": dict(values=floats, kind="radar", dates=DATES[:2], bands=["VV", "VH"], creation=["BLOCKYSIZE=1"]),
    }  # fmt: skip
    return make_stack(tmp_path_factory.mktemp("odd é"), sensors)


@settings(max_examples=25)
@given(st.data())
def test_what_is_kept_changes_no_bit(odd_stack, data):
    """Whatever area, halo, memory, reach and threads: windows equal those read alone."""
    column, row = data.draw(st.integers(0, 150)), data.draw(st.integers(0, 130))
    area = Area(column, row, data.draw(st.integers(1, 210 - column)), data.draw(st.integers(1, 180 - row)))
    halo = data.draw(st.sampled_from([0, 1, 2, 5]))
    room = data.draw(st.sampled_from([0, 20_000, 10**9]))
    with StackReader(odd_stack) as reader, StackReader(odd_stack) as plain:
        layout = choose_layout(area, halo, reader.lattices(), reader.bytes_per_pixel, 3, 2_000_000, 128 * 64)
        windows = [Window(*block.chunked) for block in layout.blocks]
        keep = data.draw(st.lists(st.booleans(), min_size=len(windows), max_size=len(windows)))
        windows = [window for window, wanted in zip(windows, keep, strict=True) if wanted]  # of a run gone on with
        reader.expect(windows, halo, data.draw(st.sampled_from([0, 1, 3, FOREVER])), room)
        threads = data.draw(st.sampled_from([1, 3]))
        wrong = []

        def work(start):
            for window in windows[start::threads]:
                ours, theirs = reader.read(window, halo), plain.read(window, halo)
                wrong.extend(
                    name
                    for name in theirs
                    if not np.array_equal(ours[name].values, theirs[name].values)
                    or not np.array_equal(ours[name].mask, theirs[name].mask)
                )
                assert reader._cache.used <= room
                reader.give_back(ours)  # its memory is used again by the next read

        workers = [threading.Thread(target=work, args=(start,)) for start in range(threads)]
        [one.start() for one in workers]
        [one.join() for one in workers]
        assert not wrong
        assert reader._cache.used == 0
        again = Window(area.column, area.row, 10, 10)  # not foretold
        np.testing.assert_array_equal(reader.read(again)["S2"].values, plain.read(again)["S2"].values)


def test_context_of_masks_filters_and_partial_images_is_foreseen(odd_stack, tmp_path, monkeypatch):
    """What is read is what was foretold, also around windows: nothing is read past what is kept."""
    stack = Stack.read(odd_stack)
    s2, s1 = stack.sensors["S2"], stack.sensors["S1_ASC"]

    def cut_and_buffered(part):
        masks = tuple(replace(mask, buffer=40.0) for mask in part.masks)
        return replace(part, masks=masks, cover=Window(20, 10, 150, 160))

    acquisitions = tuple(replace(one, parts=tuple(map(cut_and_buffered, one.parts))) for one in s2.acquisitions)
    stack = stack.with_sensor(replace(s2, acquisitions=acquisitions))
    stack = stack.with_sensor(replace(s1, speckle="quegan 5"))
    served, serve = [], BlockCache.read
    monkeypatch.setattr(BlockCache, "read", lambda *args: served.append(serve(*args)) or served[-1])
    with StackReader(stack) as reader, StackReader(stack) as plain:
        layout = choose_layout(
            Area(0, 0, 210, 180), 2, reader.lattices(), reader.bytes_per_pixel, 3, 2_000_000, 64 * 64
        )
        windows = [Window(*block.chunked) for block in layout.blocks]
        reader.expect(windows, 2, layout.reach, layout.room)
        for window in windows:
            ours, theirs = reader.read(window, 2), plain.read(window, 2)
            for name in theirs:
                np.testing.assert_array_equal(ours[name].values, theirs[name].values)
                np.testing.assert_array_equal(ours[name].mask, theirs[name].mask)
    assert len(served) > 50 and all(served)
    assert max(one.margin for one in reader.lattices()) == 4


def lattice(tile, ratio=1, margin=0, size=10_980, corner=(0, 0)):
    cover = Window(0, 0, size, size)
    return Lattice(corner, ratio, (size // ratio, size // ratio), tile, cover, margin, ratio > 1)


THEIA = {lattice((512, 512)): 264, lattice((512, 512), 2): 288}
LAYOUTS = {
    "tiles of 256": {lattice((256, 256)): 216, lattice((256, 256), 2): 288},
    "tiles of 512": THEIA,
    "JPEG 2000, tiles of 1024": {lattice((1024, 1024)): 216, lattice((1024, 1024), 2): 288},
    "rows": {lattice((10_980, 64)): 216, lattice((5_490, 32), 2): 288},
    "masks grown by 100 m": {**THEIA, lattice((512, 512), 1, 10): 24},
    "another corner": {lattice((512, 512), corner=(-100, -37)): 216, lattice((512, 512), 2, corner=(-100, -36)): 288},
}


@pytest.mark.parametrize("name", LAYOUTS)
@pytest.mark.parametrize("halo", [0, 2])
def test_a_whole_tile_of_24_dates_is_decoded_once_in_a_gigabyte(name, halo):
    """10,980 x 10,980 pixels, 24 dates x 10 bands, MEMORY_MB 1024 of which 160 are for computing."""
    room = (1024 - 160) * 2**20
    layout = choose_layout(Area(0, 0, 10_980, 10_980), halo, LAYOUTS[name], 504, 3, room)
    assert layout.decoded <= 1.5 and layout.memory_needed == 0
    largest = max(block.chunked.pixels for block in layout.blocks)
    assert layout.kept + 3 * 504 * largest <= room
    assert sum(block.area.pixels for block in layout.blocks) == 10_980**2


def test_little_memory_decodes_more_and_says_how_much_would_do():
    """The fewer megabytes the more is decoded, never more than there is room for."""
    times = []
    for megabytes in (2000, 500, 300, 120):
        layout = choose_layout(Area(0, 0, 10_980, 4_000), 2, THEIA, 504, 3, megabytes * 2**20)
        assert layout.kept <= layout.room <= megabytes * 2**20
        assert (layout.memory_needed > megabytes * 2**20) == (layout.decoded > 1.01)
        times.append(layout.decoded)
    assert times == sorted(times) and times[0] < 1.01 < times[-1]


@settings(max_examples=60)
@given(st.data())
def test_blocks_cover_the_area_with_whole_chunks_once(data):
    column, row = data.draw(st.integers(0, 700)), data.draw(st.integers(0, 700))
    area = Area(column, row, data.draw(st.integers(1, 900)), data.draw(st.integers(1, 900)))
    tiles = st.sampled_from([(64, 64), (100, 60), (256, 256), (512, 128), (2000, 64), (1024, 1024)])
    corners = st.tuples(st.integers(-300, 0), st.integers(-300, 0))
    lattices = {
        lattice(data.draw(tiles), data.draw(st.sampled_from([1, 2, 6])), size=1602, corner=data.draw(corners)): 20
        for _ in range(data.draw(st.integers(0, 3)))
    }
    halo = data.draw(st.integers(0, 12))
    room = data.draw(st.sampled_from([10**5, 10**7, 10**9]))
    blocks = choose_layout(area, halo, lattices, 40, 3, room, data.draw(st.sampled_from([64 * 64, 200 * 100]))).blocks
    covered = np.zeros((1700, 1700), np.uint8)
    for index, block in enumerate(blocks):
        assert block.index == index and all(number % CHUNK == 0 for number in block.chunked)
        assert block.area == area.intersection(block.chunked) and block.area.pixels > 0
        covered[block.area.row : block.area.bottom, block.area.column : block.area.right] += 1
    inside = covered[area.row : area.bottom, area.column : area.right]
    assert (inside == 1).all() and covered.sum() == area.pixels
    assert len({block.name for block in blocks}) == len(blocks)


def test_the_log_says_when_memory_is_short(tiled_stack, tmp_path):
    class Told(Progress):
        lines: list[str] = []

        def info(self, message):
            self.lines.append(message)

    with StackReader(tiled_stack) as reader:
        run(tmp_path, reader, 2, memory_mb=2, reserve_mb=0, progress=Told())
    assert any("times on average with MEMORY_MB 2; with about" in line for line in Told.lines), Told.lines
