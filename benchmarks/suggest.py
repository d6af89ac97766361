"""Whether labelling suggested places helps: a forest is taught by suggested or by random places, round after round.

A simulated landscape of fields with seasons by class, some classes rare, some alike. Both ways begin with the same
``--start`` random places; in every round each adds ``--count`` places, labelled with the truth, and is judged on pixels
of the whole landscape. Simulated: it shows which way learns faster, not how accurate a map is.

    python benchmarks/suggest.py --seeds 0 1 2 3 4 --rounds 3 --json suggest.json
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from common import load_package

load_package()

from landloom.model.accuracy.suggest import SuggestionSettings, suggest  # noqa: E402
from landloom.model.base.metrics import confusion_matrix, scores  # noqa: E402
from landloom.model.base.nomenclature import LandCoverClass, Nomenclature  # noqa: E402
from landloom.model.base.raster import spatial_reference, write_raster  # noqa: E402
from landloom.model.networks.forest import fit_forest  # noqa: E402
from landloom.model.networks.inputs import FOREST_INDICES, InputRecipe  # noqa: E402
from landloom.model.networks.modelfile import Model, ModelHeader  # noqa: E402
from landloom.model.stack.addrasters import add_rasters  # noqa: E402
from landloom.model.stack.datedfiles import RasterSeries  # noqa: E402
from landloom.model.stack.grid import Window  # noqa: E402
from landloom.model.stack.reader import StackReader  # noqa: E402

SHARES = (0.40, 0.25, 0.15, 0.10, 0.06, 0.04)
DATES = 8
CORNER = (500000.0, 10.0, 0.0, 8000000.0, 0.0, -10.0)
SETTINGS = {"trees": 60, "depth": 20}


def make_landscape(folder: Path, size: int, seed: int) -> tuple[Path, np.ndarray]:
    """A stack of one sensor, and the class of each pixel: fields of 4 to 12 pixels; the two rarest are like others."""
    random = np.random.default_rng(seed)
    truth = np.zeros((size, size), np.int64)
    row = 0
    while row < size:
        height, column = int(random.integers(4, 13)), 0
        while column < size:
            width = int(random.integers(4, 13))
            truth[row : row + height, column : column + width] = random.choice(len(SHARES), p=SHARES)
            column += width
        row += height
    seasons = random.integers(600, 3500, (len(SHARES), DATES, 4)).astype(float)
    seasons[4] = seasons[0] + random.normal(0, 250, seasons[0].shape)
    seasons[5] = seasons[1] + random.normal(0, 250, seasons[1].shape)
    files = []
    for date in range(DATES):
        values = seasons[truth, date].transpose(2, 0, 1) + random.normal(0, 350, (4, size, size))
        path = folder / f"S2_2021{date + 1:02d}15.tif"
        wkt = spatial_reference("EPSG:32738").ExportToWkt()
        write_raster(path, values.clip(1, 10000).round().astype(np.int16), CORNER, wkt, -1, ["B3", "B4", "B8", "B11"])
        files.append(str(path))
    add_rasters(RasterSeries("S2", "optical", files, scale=1e-4), folder / "stack.json")
    return folder / "stack.json", truth


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--start", type=int, default=30)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--count", type=int, default=20)
    parser.add_argument("--json")
    chosen = parser.parse_args()
    table: dict[str, list[list[float]]] = {"suggested": [], "random": []}
    for seed in chosen.seeds:
        with tempfile.TemporaryDirectory(prefix="suggest") as name:
            stack, truth = make_landscape(Path(name), chosen.size, seed)
            for way, found in table.items():
                found.append(learn(stack, truth, way, chosen, seed, Path(name) / "model.safetensors"))
                print(seed, way, [round(score, 3) for score in found[-1]], flush=True)
    result: dict[str, Any] = {"labels": [chosen.start + k * chosen.count for k in range(chosen.rounds + 1)]}
    for way, found in table.items():
        result[way] = {
            "mean": np.mean(found, axis=0).round(3).tolist(),
            "std": np.std(found, axis=0, ddof=1).round(3).tolist(),
        }
    gains = np.array(table["suggested"])[:, -1] - np.array(table["random"])[:, -1]
    result["gain_of_macro_f1_at_the_end"] = gains.round(3).tolist()
    print(json.dumps(result, indent=1))
    if chosen.json:
        Path(chosen.json).write_text(json.dumps(result, indent=1), encoding="utf-8")


def learn(stack: Path, truth: np.ndarray, way: str, chosen: argparse.Namespace, seed: int, path: Path) -> list[float]:
    """Macro F1 after each round."""
    random = np.random.default_rng(seed)
    size = len(truth)
    with StackReader(stack) as reader:
        batch, specs = reader.read(Window(0, 0, size, size)), reader.specs
    recipe = InputRecipe.fit_batches(specs, [batch], step=30, index_names=FOREST_INDICES)
    features = recipe.features(batch)
    labels = truth.ravel()
    classes = Nomenclature(tuple(LandCoverClass(k + 1, f"class {k + 1}", "#888888") for k in range(len(SHARES))))
    known = random.choice(size * size, chosen.start, replace=False)
    judged = np.arange(size * size)[7::13]
    found = []
    for turn in range(chosen.rounds + 1):
        forest = fit_forest(features[known], labels[known], len(SHARES), SETTINGS, "balanced", seed)
        held = judged[~np.isin(judged, known)]
        guessed = forest.predict_proba(features[held]).argmax(axis=1)
        found.append(scores(confusion_matrix(labels[held], guessed, len(SHARES))).macro_f1)
        if turn == chosen.rounds:
            break
        if way == "random":
            new = random.choice(size * size, chosen.count, replace=False)
        else:
            Model(ModelHeader("randomforest", SETTINGS, recipe, classes), [forest]).save(path)
            places = suggest(stack, path, SuggestionSettings(chosen.count, seed=seed + turn, distance=30), threads=1)
            columns = ((places.x - CORNER[0]) / 10).astype(int)
            new = ((CORNER[3] - places.y) / 10).astype(int) * size + columns
        known = np.concatenate([known, new])
    return found


if __name__ == "__main__":
    main()
