"""Statistics of many objects: seconds beside the Orfeo ToolBox's ZonalStatistics and QGIS's own algorithm.

Makes a raster of random bands and irregular objects of about ``--pixels`` pixels, measures mean and standard deviation
of every object and band with each program. QGIS measures one band at a time: it is timed on ``--bands-of-qgis`` bands,
and its time for all is that times their number (it starts anew for every band). The Orfeo ToolBox writes numbers alone
(XML) in one run and polygons with them (GeoPackage, its fastest vector output) in another; each is stopped after
``--limit`` seconds, and its time is then given as longer than that. Seconds are those of the processor, of all threads,
which other programs on the machine change little; those of the clock stand beside.

    python benchmarks/objectstatistics.py --objects 100000 --bands 300 --json statistics.json
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from common import load_package

load_package()

from landloom.model.base.progress import PrintedProgress, Progress  # noqa: E402
from landloom.model.base.raster import DTYPES, spatial_reference, write_raster  # noqa: E402
from landloom.model.objects.features import FeatureSettings, measure_objects  # noqa: E402
from landloom.model.objects.features_segments import open_segments  # noqa: E402
from landloom.model.objects.features_sources import RasterSource  # noqa: E402
from osgeo import gdal  # noqa: E402

CORNER = (500000.0, 10.0, 0.0, 8000000.0, 0.0, -10.0)


def make_labels(objects: int, pixels: int) -> np.ndarray:
    """Pixels by the nearest of shifted lattice points: irregular fields of about ``pixels`` pixels."""
    random = np.random.default_rng(0)
    count = int(np.ceil(np.sqrt(objects)))
    step = np.sqrt(pixels)
    side = int(np.ceil(count * step))
    seeds = (np.indices((count, count)) + 0.5 + random.uniform(-0.4, 0.4, (2, count, count))) * step
    labels = np.zeros((side, side), np.int32)
    columns = np.arange(side) + 0.5
    for row in range(side):
        cell_row, cell = int((row + 0.5) // step), (columns // step).astype(int)
        nearest = np.full(side, np.inf)
        for down in (-1, 0, 1):
            for right in (-1, 0, 1):
                r, c = np.clip(cell_row + down, 0, count - 1), np.clip(cell + right, 0, count - 1)
                gap = (seeds[0][r, c] - row - 0.5) ** 2 + (seeds[1][r, c] - columns) ** 2
                better = gap < nearest
                nearest[better] = gap[better]
                labels[row, better] = (r * count + c + 1)[better]
    return labels


def make_bands(path: Path, labels: np.ndarray, bands: int) -> None:
    """UInt16 bands with a level by object and noise, in tiles."""
    random = np.random.default_rng(1)
    height, width = labels.shape
    options = ["TILED=YES", "BLOCKXSIZE=256", "BLOCKYSIZE=256", "INTERLEAVE=BAND", "BIGTIFF=YES"]
    dataset = gdal.GetDriverByName("GTiff").Create(str(path), width, height, bands, DTYPES["uint16"], options)
    dataset.SetGeoTransform(CORNER)
    dataset.SetProjection(spatial_reference("EPSG:32738").ExportToWkt())
    noise = random.integers(0, 200, labels.shape, dtype=np.uint16)
    for band in range(bands):
        level = random.integers(500, 4000, labels.max() + 1, dtype=np.uint16)
        dataset.GetRasterBand(band + 1).WriteArray(level[labels] + np.roll(noise, band * 7, axis=1))
    dataset.FlushCache()


def ours(image: Path, segments: Path, output: Path, memory_mb: int) -> dict[str, Any]:
    """Seconds of reading the segments, measuring, and writing the table; the means of the first band."""
    clock, begin = time.monotonic(), time.process_time()
    opened = open_segments(segments, Progress())
    read = time.process_time()
    settings = FeatureSettings(statistics=("mean", "std"), shape=False, partial=False)
    table = measure_objects(opened, [RasterSource(image)], settings, memory_mb, PrintedProgress())
    measured = time.process_time()
    table.write(output, Progress())
    end = time.process_time()
    order = np.argsort(opened.ids)
    return {
        "seconds": end - begin,
        "clock": time.monotonic() - clock,
        "reading_segments": read - begin,
        "measuring": measured - read,
        "writing": end - measured,
        "means": np.asarray(table.values[:, 0])[order],
        "ids": opened.ids[order],
    }


def otb(image: Path, segments: Path, output: Path, limit: float) -> dict[str, Any]:
    """Seconds of otbcli_ZonalStatistics, its own start included; the suffix of ``output`` says its form."""
    zone = (
        ["-inzone", "vector", "-inzone.vector.in", str(segments)]
        if segments.suffix == ".gpkg"
        else ["-inzone", "labelimage", "-inzone.labelimage.in", str(segments), "-inzone.labelimage.nodata", "0"]
    )
    form = "xml" if output.suffix == ".xml" else "vector"
    # started by itself, since otbcli is a shell script whose child would outlive a time limit
    command = [
        *("otbApplicationLauncherCommandLine", "ZonalStatistics", "/usr/lib/x86_64-linux-gnu/otb/applications"),
        *("-in", str(image), *zone, "-out", form, f"-out.{form}.filename", str(output)),
    ]
    clock, begin = time.monotonic(), children_seconds()

    def stop_after() -> None:
        resource.setrlimit(resource.RLIMIT_CPU, (int(limit), int(limit) + 5))

    done = subprocess.run(
        command, capture_output=True, text=True, check=False, preexec_fn=stop_after, env={**os.environ, "LC_ALL": "C"}
    )
    if done.returncode == -signal.SIGXCPU:
        return {"seconds_more_than": limit, "clock": time.monotonic() - clock}
    if done.returncode:
        raise SystemExit(f"ZonalStatistics failed: {done.stdout[-500:]} {done.stderr[-500:]}")
    return {"seconds": children_seconds() - begin, "clock": time.monotonic() - clock}


def children_seconds() -> float:
    """Processor seconds of all programs that were started from here and have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def qgis(image: Path, segments: Path, folder: Path, bands: int) -> float:
    """Seconds a band of native:zonalstatisticsfb (mean and standard deviation), in a process of its own."""
    code = f"""
import os, sys, time
os.environ["QT_QPA_PLATFORM"] = "offscreen"
sys.path.insert(0, "/usr/share/qgis/python/plugins")
from qgis.core import QgsApplication
app = QgsApplication([], False); app.initQgis()
import processing
from qgis.analysis import QgsNativeAlgorithms
QgsApplication.processingRegistry().addProvider(QgsNativeAlgorithms())
begin = time.process_time()
for band in range(1, {bands} + 1):
    processing.run("native:zonalstatisticsfb", dict(INPUT={str(segments)!r}, INPUT_RASTER={str(image)!r},
        RASTER_BAND=band, COLUMN_PREFIX="_", STATISTICS=[2, 4], OUTPUT={str(folder)!r} + f"/q{{band}}.gpkg"))
print("SECONDS", (time.process_time() - begin) / {bands}); sys.stdout.flush(); os._exit(0)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    found = [line.split()[1] for line in done.stdout.splitlines() if line.startswith("SECONDS")]
    if not found:
        raise SystemExit(f"QGIS failed: {done.stderr[-800:]}")
    return float(found[0])


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--objects", type=int, default=100_000)
    parser.add_argument("--bands", type=int, default=300)
    parser.add_argument("--pixels", type=int, default=36)
    parser.add_argument("--bands-of-qgis", type=int, default=2)
    parser.add_argument("--memory-mb", type=int, default=1024)
    parser.add_argument("--others", choices=("yes", "no"), default="yes")
    parser.add_argument("--limit", type=float, default=600.0, help="seconds that the Orfeo ToolBox gets")
    parser.add_argument("--json")
    chosen = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="objectstatistics"))
    try:
        labels = make_labels(chosen.objects, chosen.pixels)
        wkt = spatial_reference("EPSG:32738").ExportToWkt()
        raster = write_raster(folder / "labels.tif", labels, CORNER, wkt, 0)
        image = folder / "image.tif"
        make_bands(image, labels, chosen.bands)
        results: dict[str, Any] = {
            "objects": len(np.unique(labels)),
            "bands": chosen.bands,
            "pixels": [labels.shape[1], labels.shape[0]],
        }
        by_labels = ours(image, raster, folder / "ours.gpkg", chosen.memory_mb)
        opened = open_segments(folder / "ours.gpkg", Progress())
        from landloom.model.base.vectorfile import write_table
        from landloom.model.objects.features import multipolygons

        polygons = folder / "polygons.gpkg"
        write_table(polygons, "fields", wkt, 6, multipolygons(opened), {"id": opened.ids}, Progress())
        by_polygons = ours(image, polygons, folder / "ours_polygons.gpkg", chosen.memory_mb)
        # the same pixels: the order of the polygons is that of the labels
        difference = np.nanmax(np.abs(by_labels["means"] - by_polygons["means"]))
        for name, one in (("landloom, labels", by_labels), ("landloom, polygons", by_polygons)):
            results[name] = {key: round(value, 2) for key, value in one.items() if isinstance(value, float)}
        results["largest difference of means, labels against polygons"] = float(difference)
        print(json.dumps(results, indent=1), flush=True)
        if chosen.others == "yes" and shutil.which("otbApplicationLauncherCommandLine"):
            for zones in (raster, polygons):
                for form in ("xml", "gpkg"):  # statistics alone, and polygons with them, as the others write
                    output = folder / f"otb_{zones.stem}.{form}"
                    results[f"otb, {zones.stem}, {form}"] = otb(image, zones, output, chosen.limit)
                    output.unlink(missing_ok=True)
                    print(json.dumps(results, indent=1), flush=True)
        if chosen.others == "yes":
            per_band = qgis(image, polygons, folder, chosen.bands_of_qgis)
            results["qgis, polygons"] = {"seconds_a_band": per_band, "seconds": per_band * chosen.bands}
        print(json.dumps(results, indent=1))
        if chosen.json:
            Path(chosen.json).write_text(json.dumps(results, indent=1), encoding="utf-8")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
