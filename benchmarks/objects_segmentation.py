"""Segmentation beside the Orfeo ToolBox's LargeScaleMeanShift: seconds, peak memory, agreement with the true fields.

The land is that of the sample scene's simulator (several seeds side by side), drawn at 5 m: fields, woods, villages,
tree crowns. Each field gets its own colour in four bands (its class's times a lognormal of 15 %), with texture of some
pixels, the blur of a sensor (0.7 pixels) and noise. A field counts by its best intersection over union with a segment.

    python benchmarks/objects_segmentation.py --size 4000 --peer otb --json segmentation.json

With ``--repeat N`` the image stands N x N times in a virtual raster, for larger ones than disks like: 5 times 4000 are
20,000 pixels. There is no agreement then. With ``--polygons`` the time and memory of writing them count too.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent))
import common

common.load_package()

PIECE = 1000  # pixels of 5 m of one seed
NOISE = 60.0
CRS, CORNER = "EPSG:32738", (500000.0, 5.0, 0.0, 8000000.0, 0.0, -5.0)


def draw_piece(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """The image ``[4, PIECE, PIECE]`` uint16 and the fields ``[PIECE, PIECE]`` of one seed."""
    from landloom.model.base.progress import Progress
    from landloom.model.scene.constants import CLIMATES
    from landloom.model.scene.landscape import draw
    from scipy.ndimage import gaussian_filter

    climate = CLIMATES["tropical"]
    land = draw(PIECE // 2, climate, seed, Progress())
    rng = np.random.default_rng(seed)
    by_class = rng.uniform(300, 3500, (len(climate.covers), 4))
    colour = by_class[land.cover] * np.exp(rng.normal(0, 0.15, (len(land.cover), 4)))
    image = colour[land.parcel].astype(np.float32)
    image[land.crown] = 0.5 * image[land.crown] + 0.5 * rng.uniform(300, 1500, 4)
    image *= np.exp(0.35 * gaussian_filter(rng.normal(size=image.shape[:2]), 2))[..., None]
    image = gaussian_filter(image, (0.7, 0.7, 0)) + rng.normal(0, NOISE, image.shape)
    return image.transpose(2, 0, 1).clip(1, 10000).astype(np.uint16), land.parcel


def make_image(folder: Path, size: int) -> tuple[Path, Path]:
    """Write the image and the fields (0 = margins) of ``size`` x ``size`` pixels, once."""
    from landloom.model.base.raster import spatial_reference
    from osgeo import gdal

    image, truth = folder / f"image_{size}.tif", folder / f"fields_{size}.tif"
    if image.exists() and truth.exists():
        return image, truth
    pieces = -(-size // PIECE)
    drawn = [draw_piece(seed) for seed in range(min(16, pieces * pieces))]
    temporary = [path.with_suffix(".partial.tif") for path in (image, truth)]
    driver = gdal.GetDriverByName("GTiff")
    options = ["TILED=YES", "BIGTIFF=IF_SAFER"]
    kinds = ((4, gdal.GDT_UInt16), (1, gdal.GDT_Int32))
    targets = [
        driver.Create(str(path), size, size, bands, kind, options)
        for path, (bands, kind) in zip(temporary, kinds, strict=True)
    ]
    for target in targets:
        target.SetGeoTransform(CORNER)
        target.SetProjection(spatial_reference(CRS).ExportToWkt())
    offset = 0
    for number in range(pieces * pieces):
        row, column = PIECE * (number // pieces), PIECE * (number % pieces)
        values, fields = drawn[number * 7 % len(drawn)]  # neighbours differ also where seeds come again
        high, wide = min(PIECE, size - row), min(PIECE, size - column)
        targets[0].WriteArray(values[:, :high, :wide], column, row)
        numbered = np.where(fields > 0, fields + offset, 0)
        targets[1].WriteArray(numbered[:high, :wide].astype(np.int32), column, row)
        offset += int(fields.max())
    targets.clear()
    for path, final in zip(temporary, (image, truth), strict=True):
        path.rename(final)
    return image, truth


def repeated(image: Path, times: int) -> Path:
    """A virtual raster that shows an image ``times`` x ``times`` times."""
    from osgeo import gdal

    source = gdal.Open(str(image))
    side, bands = source.RasterXSize, source.RasterCount
    path = image.with_suffix(f".{times}.vrt")
    target = gdal.GetDriverByName("VRT").Create(str(path), side * times, side * times, bands, gdal.GDT_UInt16)
    target.SetGeoTransform(source.GetGeoTransform())
    target.SetProjection(source.GetProjection())
    for band in range(1, bands + 1):
        parts = {
            f"source_{number}": f'<SimpleSource><SourceFilename relativeToVRT="1">{image.name}</SourceFilename>'
            f'<SourceBand>{band}</SourceBand><SrcRect xOff="0" yOff="0" xSize="{side}" ySize="{side}"/>'
            f'<DstRect xOff="{number % times * side}" yOff="{number // times * side}" xSize="{side}" ySize="{side}"/>'
            "</SimpleSource>"
            for number in range(times * times)
        }
        target.GetRasterBand(band).SetMetadata(parts, "new_vrt_sources")
    target.FlushCache()
    return path


def agreement(labels: Path, truth: Path, smallest: int = 20) -> tuple[float, float, int]:
    """Mean best intersection over union of the fields, the same weighted by area, and how many fields count.

    Args:
        labels: raster of segments.
        truth: raster of fields, 0 = none.
        smallest: pixels of a field that counts.
    """
    from osgeo import gdal

    segments, fields = gdal.Open(str(labels)), gdal.Open(str(truth))
    keys, numbers = np.zeros(0, np.int64), np.zeros(0, np.int64)
    for row in range(0, fields.RasterYSize, 512):
        rows = min(512, fields.RasterYSize - row)
        one = fields.ReadAsArray(0, row, fields.RasterXSize, rows).ravel().astype(np.int64)
        other = segments.ReadAsArray(0, row, fields.RasterXSize, rows).ravel().astype(np.int64)
        key, number = np.unique(one << 32 | other, return_counts=True)
        keys, inverse = np.unique(np.concatenate([keys, key]), return_inverse=True)
        numbers = np.bincount(inverse, np.concatenate([numbers, number])).astype(np.int64)
    field, segment = keys >> 32, keys & 0xFFFFFFFF
    sizes, areas = np.bincount(field, numbers), np.bincount(segment, numbers)
    overlap = np.where(segment > 0, numbers / (sizes[field] + areas[segment] - numbers), 0.0)
    best = np.zeros(len(sizes))
    np.maximum.at(best, field, overlap)
    chosen = sizes >= smallest
    chosen[0] = False
    return float(best[chosen].mean()), float(np.average(best[chosen], weights=sizes[chosen])), int(chosen.sum())


def run_timed(command: list[str]) -> tuple[float, float, float]:
    """Seconds, seconds of processor time and peak memory in MB of a command, as GNU time measures them."""
    timer = shutil.which("time")
    if timer is None:
        raise SystemExit("GNU time is needed to measure memory: install it (apt install time).")
    start = time.perf_counter()
    done = subprocess.run([timer, "-f", "PEAK %M %U %S", *command], capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - start
    if done.returncode:
        raise SystemExit(f"{command[0]} failed: {done.stdout[-2000:]}{done.stderr[-2000:]}")
    peak = next(line for line in reversed(done.stderr.splitlines()) if line.startswith("PEAK "))
    memory, user, system = peak.split()[1:]
    return seconds, float(user) + float(system), int(memory) / 1024


def objects_of(labels: Path) -> int:
    """The number of segments."""
    from osgeo import gdal

    dataset = gdal.Open(str(labels))
    seen = set()
    for row in range(0, dataset.RasterYSize, 512):
        rows = min(512, dataset.RasterYSize - row)
        seen |= set(np.unique(dataset.ReadAsArray(0, row, dataset.RasterXSize, rows)).tolist())
    return len(seen - {0})


def own(image: str, output: str, scale: float, min_size: float, memory: int, polygons: bool) -> None:
    """What is timed: from file to file, in a process of its own."""
    from landloom.model.base.progress import Progress
    from landloom.model.objects.polygons import write_object_polygons
    from landloom.model.objects.segmentation import SegmentSettings, open_image, read_labels, segment

    settings = SegmentSettings(scale=scale, min_size=min_size, memory_mb=memory)
    count = segment(open_image(image, None, [], [], memory), output, settings)
    if polygons:
        grid, read = read_labels(output)
        write_object_polygons(read, grid, count, Path(output).with_suffix(".gpkg"), memory, Progress())


def main() -> None:
    """Run what was asked for and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=4000)
    parser.add_argument("--scale", type=float, default=20.0)
    parser.add_argument("--min-pixels", type=int, default=20)
    parser.add_argument("--memory", type=int, default=1024)
    parser.add_argument("--peer", choices=["otb"])
    parser.add_argument("--range", type=float, default=300.0, help="ranger of LargeScaleMeanShift")
    parser.add_argument("--spatial", type=int, default=5, help="spatialr of LargeScaleMeanShift")
    parser.add_argument("--repeat", type=int, default=1, help="how often the image stands beside and below itself")
    parser.add_argument("--polygons", action="store_true", help="write polygons too")
    parser.add_argument("--work", type=Path, help="folder for the images; temporary by default")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--own", nargs=6, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.own:
        image, output, scale, min_size, memory, polygons = arguments.own
        own(image, output, float(scale), float(min_size), int(memory), polygons == "polygons")
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.work or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        image, truth = make_image(folder, arguments.size)
        min_size = arguments.min_pixels * CORNER[1] ** 2
        rows = []
        if arguments.repeat > 1:
            image = repeated(image, arguments.repeat)
        side = arguments.size * arguments.repeat
        labels = folder / f"segments_{side}.tif"
        command = [sys.executable, __file__, "--own", image, labels, arguments.scale, min_size, arguments.memory]
        command.append("polygons" if arguments.polygons else "labels")
        rows.append((f"`segment` (SCALE {arguments.scale:g})", labels, *run_timed([str(one) for one in command])))
        if arguments.peer:
            peer = folder / f"meanshift_{arguments.size}.tif"
            command = [
                "otbcli_LargeScaleMeanShift", "-in", image, "-spatialr", arguments.spatial, "-ranger", arguments.range,
                "-minsize", arguments.min_pixels, "-mode", "raster", "-mode.raster.out", peer, "uint32",
                "-ram", arguments.memory,
            ]  # fmt: skip
            name = f"`otbcli_LargeScaleMeanShift` (ranger {arguments.range:g})"
            rows.append((name, peer, *run_timed([str(one) for one in command])))
        results = []
        print(f"{side} x {side} pixels, 4 bands, {os.cpu_count()} cores, {arguments.memory} MB")
        columns = ("program", "seconds", "processor seconds", "peak memory, MB", "objects", "IoU, mean of fields")
        print(f"| {' | '.join((*columns, 'IoU, weighted by area'))} |")
        print("|---|---|---|---|---|---|---|")
        for name, path, seconds, processor, peak in rows:
            mean, weighted, fields = agreement(path, truth) if arguments.repeat == 1 else (np.nan, np.nan, 0)
            count = objects_of(path)
            print(
                f"| {name} | {seconds:.1f} | {processor:.1f} | {peak:,.0f} | {count:,} | {mean:.3f} | {weighted:.3f} |",
                flush=True,
            )
            results.append(
                {
                    "program": name,
                    "seconds": seconds,
                    "cpu_seconds": processor,
                    "peak_mb": peak,
                    "objects": count,
                    "iou": None if np.isnan(mean) else mean,
                    "iou_weighted": None if np.isnan(weighted) else weighted,
                    "fields": fields,
                }
            )
        if arguments.json:
            arguments.json.write_text(
                json.dumps({"size": side, "memory_mb": arguments.memory, "results": results}, indent=1)
            )


if __name__ == "__main__":
    main()
