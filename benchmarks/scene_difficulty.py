"""How hard the simulated scene is for a random forest: the figures by which its constants were set, then frozen.

Uses scikit-learn and the scene's own files only, nothing of Landloom's training::

    python3 benchmarks/scene_difficulty.py --climates tropical temperate --seeds 0 1 2 --json scene_difficulty.json

Linear gap filling of the valid dates to every 10 days, bands + NDVI, NDWI, brightness, radar in decibels; balanced
forest of 100 trees; folds that never split a polygon; at most 30 pixels a polygon; scores pooled out of fold.
"""

from __future__ import annotations

import argparse
import datetime
import json
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from osgeo import gdal, ogr

sys.path.insert(0, str(Path(__file__).resolve().parent))
from common import load_package

BANDS = ("B2", "B3", "B4", "B5", "B6", "B7", "B8", "B8A", "B11", "B12")


def read(path: Path) -> np.ndarray:
    """One band of a raster."""
    return gdal.Open(str(path)).ReadAsArray()


def labelled_pixels(scene: Path, limit: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Rows, columns, codes and polygon ids of pixels with their centre in a polygon; at most ``limit`` a polygon."""
    truth = gdal.Open(str(scene / "truth" / "truth.tif"))
    source = ogr.Open(str(scene / "reference.gpkg"))
    layer = source.GetLayer(0)
    burnt = {}
    for field in ("id", "code"):
        raster = gdal.GetDriverByName("MEM").Create("", truth.RasterXSize, truth.RasterYSize, 1, gdal.GDT_Int32)
        raster.SetGeoTransform(truth.GetGeoTransform())
        raster.SetProjection(truth.GetProjection())
        gdal.RasterizeLayer(raster, [1], layer, options=[f"ATTRIBUTE={field}"])
        burnt[field] = raster.ReadAsArray()
    rng = np.random.default_rng(0)
    keep = []
    for one in np.unique(burnt["id"])[1:]:
        inside = np.flatnonzero(burnt["id"].ravel() == one)
        keep.append(rng.permutation(inside)[:limit])
    chosen = np.sort(np.concatenate(keep))
    rows, columns = np.divmod(chosen, truth.RasterXSize)
    return rows, columns, burnt["code"].ravel()[chosen], burnt["id"].ravel()[chosen]


def fill(values: np.ndarray, valid: np.ndarray, days: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Linear interpolation over the valid dates: ``[n, T, C]`` to ``[n, Tt, C]``; no valid date gives 0."""
    out = np.zeros((len(values), len(target), values.shape[2]), np.float32)
    for i in range(len(values)):
        good = valid[i]
        if good.any():
            for c in range(values.shape[2]):
                out[i, :, c] = np.interp(target, days[good], values[i, good, c])
    return out


def optical(scene: Path, rows: np.ndarray, columns: np.ndarray, step: int = 10) -> np.ndarray:
    """``[n, F]``: gap-filled reflectance and three indices."""
    days, values, valid = [], [], []
    for product in sorted((scene / "S2").glob("*/SENTINEL2*"), key=lambda p: p.name.split("_")[1]):
        date = datetime.datetime.strptime(product.name.split("_")[1][:8], "%Y%m%d")
        days.append(date.toordinal())
        bands = []
        for band in BANDS:
            image = read(next(product.glob(f"*_FRE_{band}.tif")))
            fine = band in ("B2", "B3", "B4", "B8")
            bands.append(image[rows, columns] if fine else image[rows // 2, columns // 2])
        values.append(np.stack(bands, 1))
        masks = [read(next(product.glob(f"MASKS/*_{m}_R1.tif")))[rows, columns] for m in ("CLM", "EDG", "SAT")]
        valid.append((masks[0] == 0) & (masks[1] == 0) & (masks[2] == 0))
    days = np.array(days)
    filled = fill(
        np.stack(values, 1).astype(np.float32), np.stack(valid, 1), days, np.arange(days.min(), days.max() + 1, step)
    )
    red, near, swir = filled[..., 2], filled[..., 6], filled[..., 8]
    ndvi = (near - red) / np.maximum(near + red, 1)
    ndwi = (swir - near) / np.maximum(swir + near, 1)
    brightness = np.sqrt((filled**2).sum(-1))
    stacked = np.concatenate([filled, ndvi[..., None] * 1e4, ndwi[..., None] * 1e4, brightness[..., None]], -1)
    return stacked.reshape(len(rows), -1)


def radar(scene: Path, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """``[n, F]``: decibels of every orbit and date."""
    parts = []
    for path in sorted((scene / "S1").glob("*/*.tif")):
        value = read(path)[rows, columns]
        parts.append(10 * np.log10(np.where(value > 0, value, np.nan)))
    table = np.stack(parts, 1)
    return np.where(np.isfinite(table), table, np.nanmean(table, 1, keepdims=True)).astype(np.float32)


def score(
    features: np.ndarray, labels: np.ndarray, groups: np.ndarray, folds: int, threads: int
) -> tuple[float, float, dict]:
    """Overall accuracy, macro F1 and F1 by class, pooled out of fold."""
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.metrics import accuracy_score, f1_score
    from sklearn.model_selection import StratifiedGroupKFold

    predicted = np.zeros_like(labels)
    for train, test in StratifiedGroupKFold(folds, shuffle=True, random_state=0).split(features, labels, groups):
        forest = RandomForestClassifier(
            100, max_depth=25, min_samples_split=5, class_weight="balanced", n_jobs=threads, random_state=0
        )
        predicted[test] = forest.fit(features[train], labels[train]).predict(features[test])
    classes = np.unique(labels)
    f1 = f1_score(labels, predicted, labels=classes, average=None).round(3)
    by_class = dict(zip(classes.tolist(), f1.tolist(), strict=True))
    return accuracy_score(labels, predicted), f1_score(labels, predicted, average="macro"), by_class


def main() -> None:
    """Simulate, extract, score, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--climates", nargs="+", default=["tropical", "temperate"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--size", type=int, default=360)
    parser.add_argument("--limit", type=int, default=30, help="pixels a polygon")
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--sensors", nargs="+", default=["S2", "S1", "S1+S2"])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    load_package()
    from landloom.model.scene import simulate

    results = []
    print("climate    seed  s     polygons pixels  " + "   ".join(arguments.sensors) + "  (OA / macro F1)", flush=True)
    for climate in arguments.climates:
        for seed in arguments.seeds:
            with tempfile.TemporaryDirectory() as folder:
                scene = Path(folder) / "scene"
                start = time.monotonic()
                simulate(scene, arguments.size, climate, seed)
                seconds = time.monotonic() - start
                rows, columns, labels, groups = labelled_pixels(scene, arguments.limit)
                sensors = {"S2": optical(scene, rows, columns), "S1": radar(scene, rows, columns)}
            sensors["S1+S2"] = np.concatenate(list(sensors.values()), 1)
            result = {"climate": climate, "seed": seed, "seconds": round(seconds, 1), "pixels": len(labels)}
            line = f"{climate:10s} {seed:4d}  {seconds:4.1f}  {len(np.unique(groups)):8d} {len(labels):6d}  "
            for name in arguments.sensors:
                features = sensors[name]
                accuracy, macro, by_class = score(features, labels, groups, arguments.folds, arguments.threads)
                result[name] = {"overall_accuracy": accuracy, "macro_f1": macro, "f1": by_class}
                line += f"{accuracy:.3f}/{macro:.3f} "
            results.append(result)
            print(line, flush=True)
            print(f"           F1 by class: {result[arguments.sensors[-1]]['f1']}", flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
