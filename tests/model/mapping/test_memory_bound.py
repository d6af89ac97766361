"""What a run adds to the memory of its process stays within MEMORY_MB, whatever it is made of."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import mapping_fakes as fakes
import pytest
from landloom.model.base.errors import LandloomError
from landloom.model.base.progress import Progress
from landloom.model.mapping.runner import BlockRunner
from osgeo import gdal

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
MEMORY_MB, COMPUTING_MB = 128, 24
SIDE, DATES, BANDS = 1536, 12, 8

RUN = f"""
import json, pathlib, sys
sys.path.insert(0, {str(HERE)!r})
import importlib.util
spec = importlib.util.spec_from_file_location("conftest", {str(ROOT / "tests" / "conftest.py")!r})
conftest = importlib.util.module_from_spec(spec); spec.loader.exec_module(conftest)
import numpy as np
import mapping_fakes as fakes
from landloom.model.base.progress import Progress
from landloom.model.mapping.runner import BlockRunner
from landloom.model.stack.reader import StackReader
from osgeo import gdal


def resident(what):
    line = next(line for line in pathlib.Path("/proc/self/status").read_text().splitlines() if line.startswith(what))
    return int(line.split()[1]) / 1024


computed, early = [], []


def compute(series, chunk):
    computed.append(chunk)
    if len(computed) == ({SIDE} // 64) ** 2 // 4:
        early.append(resident("VmHWM:"))
    one = series["S2"]
    mean = one.values.astype(np.float32).mean(axis=(0, 1, 2))  # memory that is freed, as of a network
    return {{"map": np.full((1, 64, 64), 1 + int(mean[0, 0]) % 2, np.uint8), "statistics": np.ones(1)}}


folder = pathlib.Path(sys.argv[1])
with StackReader(folder / "stack.json") as reader:
    reader.grid = reader.stack.grid
    settings = dict(compute=compute, halo=0, files=reader, bytes_per_pixel=reader.bytes_per_pixel + 2)
    job = fakes.make_job(folder, reader, memory_mb={MEMORY_MB}, reserve_mb={COMPUTING_MB}, **settings)
    held = resident("VmRSS:")
    summary = BlockRunner(job, Progress()).run()
added = dict(added=resident("VmHWM:") - held, early=early[0] - held)
print(json.dumps({{**added, "pixels": summary.pixels, "cached": gdal.GetCacheUsed()}}))
"""


def make_stack(folder):
    """Virtual rasters over empty images: quick to read, and GDAL keeps every block of their sources all the same."""
    from landloom.model.stack.build import source_of, write_stack
    from landloom.model.stack.manifest import Acquisition, Part, Sensor, Stack
    from landloom.model.stack.rasterinfo import inspect

    grid = fakes.utm_grid(SIDE, SIDE)
    acquisitions = []
    for number in range(DATES):
        options = ["TILED=YES", "SPARSE_OK=TRUE"]
        image = gdal.GetDriverByName("GTiff").Create(
            str(folder / f"{number}.tif"), SIDE, SIDE, BANDS, gdal.GDT_Int16, options
        )
        image.SetGeoTransform(grid.transform)
        image.SetProjection(grid.crs_wkt)
        image = None
        path = str(folder / f"{number}.vrt")
        gdal.Translate(path, str(folder / f"{number}.tif"), format="VRT")
        part = Part(str(number), {f"B{k}": (0, k) for k in range(1, BANDS + 1)}, (source_of(inspect(path), None),))
        acquisitions.append(Acquisition(f"2021-{number + 1:02d}-05", 30 * number + 4, (part,)))
    names = tuple(f"B{k}" for k in range(1, BANDS + 1))
    sensor = Sensor("S2", "optical", names, "int16", 1e-4, 0.0, None, "reflectance", acquisitions=tuple(acquisitions))
    return write_stack(Stack(folder / "stack.json", grid, "01-01", 2021, {"S2": sensor})).path


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the peak of memory is read from /proc")
def test_a_run_adds_no_more_than_memory_mb_and_no_more_with_the_size_of_the_map(tmp_path):
    """The images are 3.5 times as large; GDAL, left alone, would keep all of them here."""
    make_stack(tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", RUN, str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "GDAL_CACHEMAX": "2048"},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["pixels"] == SIDE * SIDE
    assert found["added"] <= 1.1 * MEMORY_MB, found
    assert found["added"] <= 1.2 * found["early"], found  # what a quarter of the map took is what the whole takes


def test_too_little_memory_is_told_before_any_work_with_the_least_that_does(tmp_path):
    reader = fakes.FakeReader(fakes.utm_grid(200, 200))
    job = fakes.make_job(tmp_path, reader, memory_mb=100, reserve_mb=90, bytes_per_pixel=3000)
    with pytest.raises(LandloomError, match="MEMORY_MB 100 is too small") as told:
        BlockRunner(job, Progress()).run()
    assert not reader.reads and not list(tmp_path.iterdir())
    least = job.least_mb()
    assert f"give {least} or more" in str(told.value)
    job.memory_mb = least
    assert BlockRunner(job, Progress()).run().pixels == 200 * 200
    job.memory_mb = least - 1
    with pytest.raises(LandloomError, match="too small"):
        BlockRunner(job, Progress()).run()
