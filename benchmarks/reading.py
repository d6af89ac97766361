"""How fast windows are read from products and from their COPY, both through the stack's reader.

    benchmarks/reading.py [--products FOLDER] [--dates 12] [--size 4096] [--extent 1024] [--window 256] [--tile 0]
                          [--json OUT]

Without --products it writes products of its own: Theia S2 L2A with 10 bands, packed as GDAL does (DEFLATE, in
rows; with --tile in tiles of so many pixels), those at 20 m resampled by the reader. Reads are interleaved, on other
windows each, median of three rounds.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from common import load_package  # isort: skip

BANDS = {"B2": 10, "B3": 10, "B4": 10, "B5": 20, "B6": 20, "B7": 20, "B8": 10, "B8A": 20, "B11": 20, "B12": 20}


def write_products(folder: Path, dates: int, size: int, tile: int = 0) -> None:
    """Theia products with texture that packs about as well as real images, a seventh of it clouded."""
    from landloom.model.base.raster import spatial_reference, write_raster

    crs = spatial_reference("EPSG:32738").ExportToWkt()
    creation = ["COMPRESS=DEFLATE"]
    if tile:
        creation += ["TILED=YES", f"BLOCKXSIZE={tile}", f"BLOCKYSIZE={tile}"]
    random = np.random.default_rng(0)
    smooth = random.integers(300, 4000, (size // 16 + 1, size // 16 + 1)).astype(np.float32)
    first: Path | None = None
    for index in range(dates):
        name = f"SENTINEL2A_2021{1 + index // 3:02d}{1 + 10 * (index % 3):02d}-071211-123_L2A_T38KPE_C_V2-2"
        target = folder / name
        (target / "MASKS").mkdir(parents=True)
        if first is not None:  # other dates are links to the first: they cost as much to read
            for path in sorted(first.rglob("*.tif")):
                (target / path.relative_to(first).parent / path.name.replace(first.name, name)).hardlink_to(path)
            continue
        first = target
        for number, (band, metres) in enumerate(BANDS.items()):
            side, step = size * 10 // metres, 16 * 10 // metres
            values = smooth.repeat(step, 0).repeat(step, 1)[:side, :side] * (0.8 + 0.05 * number)
            values = (values + random.normal(0, 40, (side, side))).astype(np.int16)
            place = (500000.0, metres, 0.0, 8000000.0, 0.0, -metres)
            write_raster(target / f"{name}_FRE_{band}.tif", values, place, crs, creation=creation)
        cloud = (smooth.repeat(16, 0).repeat(16, 1)[:size, :size] > 3400).astype(np.uint8)
        place = (500000.0, 10, 0.0, 8000000.0, 0.0, -10)
        write_raster(target / "MASKS" / f"{name}_CLM_R1.tif", cloud, place, crs, creation=creation)


def seconds(stack: object, window: int, seed: int, count: int = 4) -> tuple[float, float]:
    """Time to read a window of all dates, of several read once, with data sets newly opened: by clock, by processor."""
    from landloom.model.stack.grid import Window
    from landloom.model.stack.reader import StackReader

    random = np.random.default_rng(seed)
    with StackReader(stack) as reader:  # type: ignore[arg-type]
        grid = reader.stack.grid
        places = random.integers(0, [grid.width - window + 1, grid.height - window + 1], (count, 2))
        start, worked = time.perf_counter(), time.process_time()
        for column, row in places.tolist():
            reader.read(Window(column, row, window, window))
        return (time.perf_counter() - start) / count, (time.process_time() - worked) / count


def main() -> None:
    """Prepare, copy, read both, print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--products", type=Path)
    parser.add_argument("--dates", type=int, default=12)
    parser.add_argument("--size", type=int, default=4096)
    parser.add_argument(
        "--extent", type=int, default=1024, help="pixels of 10 m in the middle that are prepared and copied"
    )
    parser.add_argument("--window", type=int, default=256)
    parser.add_argument("--tile", type=int, default=0, help="edge of the products' tiles in pixels, 0 for rows")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    load_package()
    from landloom.model.stack.prepare import PrepareSettings, prepare_stack

    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        products = arguments.products
        if products is None:
            products = folder / "products"
            write_products(products, arguments.dates, arguments.size, arguments.tile)
        west, north = (
            500000 + 5 * (arguments.size - arguments.extent),
            8000000 - 5 * (arguments.size - arguments.extent),
        )
        side = 10 * arguments.extent
        extent = None if arguments.products else ((west, north - side, west + side, north), "EPSG:32738")
        plain = prepare_stack(products, folder / "plain.json", PrepareSettings(extent=extent)).stack
        start = time.perf_counter()
        settings = PrepareSettings(extent=extent, copy=str(folder / "copy"))
        copied = prepare_stack(products, folder / "copied.json", settings).stack
        took = time.perf_counter() - start
        rounds = [
            (seconds(plain, arguments.window, seed), seconds(copied, arguments.window, seed)) for seed in range(3)
        ]
        slow, quick = (statistics.median(one[0] for one in each) for each in zip(*rounds, strict=True))
        slow_work, quick_work = (statistics.median(one[1] for one in each) for each in zip(*rounds, strict=True))
        result = {
            "dates": sum(len(sensor.complete) for sensor in plain.sensors.values()),
            "bands": {name: len(sensor.bands) for name, sensor in plain.sensors.items()},
            "pixels": [plain.grid.width, plain.grid.height],
            "window": arguments.window,
            "products_seconds": round(slow, 4),
            "copy_seconds": round(quick, 4),
            "times_as_fast": round(slow / quick, 2),
            "times_as_fast_by_processor": round(slow_work / quick_work, 2),
            "copying_seconds": round(took, 1),
            "products_mb": _megabytes(products),
            "copy_mb": _megabytes(folder / "copy"),
            "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        }
    print(json.dumps(result, indent=1))
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


def _megabytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) >> 20


if __name__ == "__main__":
    sys.exit(main())
