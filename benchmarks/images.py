"""Preparing and reading stacks, beside GDAL's own reading of the same files.

    python benchmarks/images.py --size 10980 --dates 24 --window 1024 --json images.json

- ``prepare``: Theia S2 L2A products (10 bands, masks; dates are hard links) are made a stack, without COPY, in a
  process of its own: seconds and the largest resident size.
- ``read``: a window of all dates and bands. ``aligned``: ten bands at 10 m a file; ``theia``: six of the bands at 20 m,
  which the reader resamples to 10 m. GDAL's own reading opens the same files and reads the same pixels as they lie,
  without resampling; both begin with files closed and so with GDAL's cache empty, take turns and use one thread; masks
  are left out in both, or read in both; both read into memory used before. ``theia_resampled``: beside GDAL's reading
  through VRTs to the same 10 m. ``ratio`` = GDAL's seconds / ours, median of the runs.
- ``other_zone``: the window in the next UTM zone, beside ``gdalwarp`` of the same files (bilinear, exact) in memory.
- ``jp2``: JPEG 2000 images of 10 bands at 10 m, beside GDAL's reading of the same window and beside ``gdalwarp`` of it.
- ``decoded``: how often each source block is decoded when the upper rows (twice the window) of the whole width are read
  block by block, in the places and order in which ``classify`` reads. It is counted by the system: the bytes that the
  process asked of its files (``/proc/self/io``) over the bytes of the blocks that those rows touch.

The load of the machine (load average) is noted, since other programs spoil seconds; CPU seconds are given too.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from osgeo import gdal

sys.path.insert(0, str(Path(__file__).resolve().parent))
from common import load_package, peak_memory_mb
from images_data import make_products, make_tiffs

load_package()

RESERVE_MB = 160
"""What `classify` keeps of MEMORY_MB for computing with two threads."""


# ---------------------------------------------------------------------- what a child process does


def child(task: dict[str, Any]) -> dict[str, Any]:
    """Do one task; add how much memory and CPU time this process took."""
    import resource

    result = {"prepare": prepare, "decoded": decoded}[task.pop("do")](**task)
    used = resource.getrusage(resource.RUSAGE_SELF)
    return {**result, "peak_memory_mb": peak_memory_mb(), "cpu_seconds": used.ru_utime + used.ru_stime}


def prepare(products: str, output: str) -> dict[str, Any]:
    """Make a stack and its report."""
    from landloom.model.stack.prepare import PrepareSettings, prepare_stack
    from landloom.model.stack.report import write_report

    begin = time.monotonic()
    page = str(Path(output).with_suffix(".html"))
    prepared = prepare_stack(products, output, PrepareSettings(), before_commit=lambda one: write_report(one, page))
    return {"seconds": time.monotonic() - begin, "dates": len(prepared.stack.spec("S2").dates)}


def decoded(stack: str, rows: int, halo: int, memory_mb: int) -> dict[str, Any]:
    """Read the upper ``rows`` of the grid as ``classify`` does and count."""
    from landloom.model.mapping.chunks import Area
    from landloom.model.mapping.job import Job
    from landloom.model.mapping.layout import choose_layout
    from landloom.model.stack.grid import Window
    from landloom.model.stack.reader import StackReader

    with StackReader(stack, memory_mb=memory_mb) as reader:
        grid = reader.stack.grid
        area = Area(0, 0, grid.width, min(rows, grid.height))
        job = Job(grid, area, [], None, None, halo, reader.bytes_per_pixel, {}, memory_mb=memory_mb)  # type: ignore[arg-type]
        job.reserve_mb = RESERVE_MB
        most = job.block_pixels()
        layout = choose_layout(area, halo, reader.lattices(), job.bytes_per_pixel, job.slots, job.room, most)
        windows = [Window(*block.chunked) for block in layout.blocks]
        reader.expect(windows, halo, layout.reach, layout.room)
        before = bytes_asked()
        begin = time.monotonic()
        for window in windows:
            reader.read(window, halo)
            reader.let_go()
        seconds = time.monotonic() - begin
        asked = bytes_asked() - before
        there = sum(bytes_of_blocks(path, area.height + halo, grid.width) for path in sources(reader))
    block = max(layout.blocks, key=lambda one: one.chunked.pixels).chunked
    return {
        "times": asked / there,
        "foreseen": layout.decoded,
        "block": [block.width, block.height],
        "blocks": len(windows),
        "kept_mb": layout.kept / 2**20,
        "seconds": seconds,
    }


def sources(reader: Any) -> list[str]:
    """Every file of the stack, masks too."""
    return [source.path for sensor in reader.stack.sensors.values() for source in set(sensor.sources())]


def bytes_asked() -> int:
    """Bytes that this process has read from files and sockets."""
    return int(Path("/proc/self/io").read_text().split("rchar: ")[1].split()[0])


def bytes_of_blocks(path: str, rows: int, width: int) -> int:
    """Bytes of the blocks of a GeoTIFF that the upper rows of a grid ``width`` wide need.

    Bilinear values at 10 m need one more pixel of 20 m.
    """
    dataset = gdal.Open(path)
    total = 0
    for index in range(1, dataset.RasterCount + 1):
        band = dataset.GetRasterBand(index)
        columns, high = band.GetBlockSize()
        coarse = dataset.RasterXSize < width and band.DataType != gdal.GDT_Byte
        reach = min(rows * dataset.RasterXSize / width + (0.5 if coarse else 0.0), dataset.RasterYSize)
        for y in range(int(-(-reach // high))):
            for x in range(-(-dataset.RasterXSize // columns)):
                total += int(band.GetMetadataItem(f"BLOCK_SIZE_{x}_{y}", "TIFF") or 0)
    return total


def run_child(**task: Any) -> dict[str, Any]:
    """Run a task in a process of its own."""
    command = [sys.executable, str(Path(__file__).resolve()), "--child", json.dumps(task)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{task['do']} failed: {done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


# ---------------------------------------------------------------------- ours and GDAL's reading


Memory = dict[str, Any]
"""What both sides read into, used again by each run: new memory costs the system's time, not that of reading."""


def ours(stack: str, column: int, row: int, side: int, masks: bool, memory: Memory) -> np.ndarray:
    """Open the stack and read a window."""
    from landloom.model.stack.grid import Window
    from landloom.model.stack.reader import StackReader

    with StackReader(stack) as reader:
        if not masks:
            for sensor in reader._sensors.values():
                for parts in sensor.acquisitions:
                    for part in parts:
                        part.masks.clear()
        reader.give_back(memory.pop("ours", {}))
        memory["ours"] = reader.read(Window(column, row, side, side))
        return memory["ours"]["S2"].values


def gdal_own(stack: str, column: int, row: int, side: int, masks: bool, memory: Memory) -> np.ndarray:
    """Open the same files and read the same blocks as they lie, coarser pixels into arrays of their own size."""
    from landloom.model.stack.manifest import Stack
    from landloom.model.stack.upsample import source_span

    sensor = Stack.read(stack).sensor("S2")
    shape = (len(sensor.acquisitions), len(sensor.bands), side, side)
    values = memory.setdefault("gdal", np.zeros(shape, sensor.dtype))
    fine = np.empty((side, side), np.uint8)
    opened = {}
    for place, acquisition in enumerate(sensor.acquisitions):
        part = acquisition.parts[0]
        for source in {*part.sources, *((mask.source for mask in part.masks) if masks else ())}:
            opened[source.path] = gdal.OpenEx(source.path)
        by_file: dict[int, list[int]] = {}
        for band in sensor.bands:
            by_file.setdefault(part.bands[band][0], []).append(sensor.bands.index(band))
        for index, channels in by_file.items():
            source = part.sources[index]
            ratio = source.ratio
            numbers = [part.bands[sensor.bands[channel]][1] for channel in channels]
            dataset = opened[source.path]
            if ratio == 1:
                target = values[place, channels[0] : channels[-1] + 1]
                dataset.ReadAsArray(column, row, side, side, buf_obj=target, band_list=numbers)
            else:
                left, width = source_span(column, side, ratio, dataset.RasterXSize)
                top, height = source_span(row, side, ratio, dataset.RasterYSize)
                dataset.ReadAsArray(left, top, width, height, band_list=numbers)
        for mask in part.masks if masks else ():
            if mask.source.ratio == 1:
                opened[mask.source.path].ReadAsArray(column, row, side, side, buf_obj=fine)
            else:
                opened[mask.source.path].ReadAsArray(column // 2, row // 2, side // 2, side // 2)
    return values


def gdal_resampled(stack: str, column: int, row: int, side: int, masks: bool, memory: Memory) -> np.ndarray:
    """GDAL's own reading through the stack's VRTs, which resample to 10 m as the reader does."""
    from landloom.model.stack.manifest import Stack

    result = []
    for acquisition in Stack.read(stack).sensor("S2").acquisitions:
        part = acquisition.parts[0]
        result.append(gdal.Open(part.data).ReadAsArray(column, row, side, side))
        for mask in part.masks if masks else ():
            gdal.Open(mask.raster).ReadAsArray(column, row, side, side)
    return np.stack(result)


def gdal_warped(stack: str, column: int, row: int, side: int, masks: bool, memory: Memory) -> np.ndarray:
    """GDAL's own warp of the same files to the same window."""
    from landloom.model.stack.grid import Window
    from landloom.model.stack.manifest import Stack

    opened = Stack.read(stack)
    sensor, grid = opened.sensor("S2"), opened.grid.crop(Window(column, row, side, side))
    xmin, ymin, xmax, ymax = grid.bounds
    common = dict(
        format="MEM", dstSRS=grid.crs_wkt, outputBounds=(xmin, ymin, xmax, ymax), width=side, height=side,
        errorThreshold=0,
    )  # fmt: skip
    result = []
    for acquisition in sensor.acquisitions:
        part = acquisition.parts[0]
        for source in part.sources:
            nodata = sensor.nodata
            warped = gdal.Warp(
                "", source.path, resampleAlg="bilinear", srcNodata=nodata, dstNodata=nodata, **common
            ).ReadAsArray()
            result.append(warped)
        for mask in part.masks if masks else ():
            gdal.Warp("", mask.source.path, resampleAlg="near", **common).ReadAsArray()
    return np.concatenate([one if one.ndim == 3 else one[None] for one in result])


def beside(
    peer: Callable[..., np.ndarray], stack: str, window: tuple[int, int, int], masks: bool, runs: int
) -> dict[str, Any]:
    """Take turns; medians of seconds and their ratio."""
    seconds: dict[str, list[float]] = {"gdal": [], "ours": []}
    cpu: dict[str, list[float]] = {"gdal": [], "ours": []}
    memory: Memory = {}
    for _ in range(runs + 1):  # the first warms the system's file cache for both
        for name, read in (("gdal", peer), ("ours", ours)):
            begin, used = time.monotonic(), time.process_time()
            read(stack, *window, masks, memory)
            seconds[name].append(time.monotonic() - begin)
            cpu[name].append(time.process_time() - used)
    result = {f"{name}_seconds": statistics.median(values[1:]) for name, values in seconds.items()}
    result |= {f"{name}_cpu_seconds": statistics.median(values[1:]) for name, values in cpu.items()}
    result["ratio"] = result["gdal_seconds"] / result["ours_seconds"]
    result["ratio_cpu"] = result["gdal_cpu_seconds"] / result["ours_cpu_seconds"]
    return result


# ---------------------------------------------------------------------- stacks


def stack_of(paths: list[str], output: Path) -> str:
    """A stack of images of ten bands."""
    from landloom.model.stack.addrasters import add_rasters
    from landloom.model.stack.datedfiles import RasterSeries

    bands = "B2,B3,B4,B5,B6,B7,B8,B8A,B11,B12"
    add_rasters(RasterSeries("S2", "optical", tuple(paths), bands=bands, scale=1e-4, nodata=-10000.0), output)
    return str(output)


def run(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """All figures."""
    from landloom.model.stack.prepare import PrepareSettings, prepare_stack

    wanted = set(options.parts.split(","))
    figures: dict[str, Any] = {
        "machine": f"{os.cpu_count()} x {platform.processor() or platform.machine()}, GDAL {gdal.__version__}",
        "load_before": os.getloadavg()[0],
    }
    side = min(options.window, options.size)
    corner = (options.size - side) // 2 // 512 * 512
    window = (corner, corner, side)
    products = make_products(folder, options.size, options.dates)
    stack = str(folder / "theia.json")
    figures["prepare"] = run_child(do="prepare", products=str(products), output=stack)
    show("prepare", figures["prepare"])
    if "read" in wanted:
        aligned = stack_of(make_tiffs(folder, max(2 * side, 512), options.dates), folder / "aligned.json")
        place = (side // 2 // 512 * 512,) * 2 + (side,)
        figures["read"] = {"aligned": beside(gdal_own, aligned, place, False, options.runs)}
        for masks in (False, True):
            name = "theia_with_masks" if masks else "theia"
            figures["read"][name] = beside(gdal_own, stack, window, masks, options.runs)
        figures["read"]["theia_resampled"] = beside(gdal_resampled, stack, window, False, options.runs)
        for name, one in figures["read"].items():
            show(f"read {name}", one)
    if "decoded" in wanted:
        figures["decoded"] = {}
        for halo in (0, 2):
            one = run_child(do="decoded", stack=stack, rows=2 * side, halo=halo, memory_mb=options.memory_mb)
            figures["decoded"][f"halo_{halo}"] = one
            show(f"decoded, halo {halo}", one)
    if "other_zone" in wanted:
        few = folder / "few"
        few.mkdir(exist_ok=True)
        for one in sorted(products.iterdir())[: min(4, options.dates)]:
            link = few / one.name
            if not link.exists():
                link.symlink_to(one, target_is_directory=True)
        other = str(folder / "other_zone.json")
        prepare_stack(few, other, PrepareSettings(crs="EPSG:32739", resolution=10.0))
        figures["other_zone"] = beside(gdal_warped, other, window, True, max(1, options.runs - 2))
        show("other zone (4 dates)", figures["other_zone"])
    if "jp2" in wanted and gdal.GetDriverByName("JP2OpenJPEG") is not None:
        jp2 = stack_of(make_tiffs(folder, max(2 * side, 512), 2, "JP2OpenJPEG"), folder / "jp2.json")
        figures["jp2"] = {}
        for name, peer in (("read", gdal_own), ("warp", gdal_warped)):
            figures["jp2"][name] = beside(peer, jp2, (0, 0, side), False, max(1, options.runs - 2))
            show(f"jp2 (2 dates) beside GDAL's {name}", figures["jp2"][name])
    figures["load_after"] = os.getloadavg()[0]
    return figures


def show(name: str, figures: dict[str, Any]) -> None:
    """One line."""
    text = ", ".join(f"{key} {one:.2f}" if isinstance(one, float) else f"{key} {one}" for key, one in figures.items())
    print(f"{name}: {text}", flush=True)


def main(arguments: list[str] | None = None) -> int:
    """Run and print; see the top of the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=10980, help="pixels along the edge of a product")
    parser.add_argument("--dates", type=int, default=24)
    parser.add_argument("--window", type=int, default=1024)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--memory-mb", type=int, default=1024)
    parser.add_argument("--parts", default="read,decoded,other_zone,jp2", help="besides prepare, separated by commas")
    parser.add_argument("--folder", type=Path, help="keeps the data; by default a temporary folder")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.child:
        print(json.dumps(child(json.loads(options.child))))
        return 0
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        figures = run(options, folder)
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
