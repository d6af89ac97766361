"""The networks beside both forests on the sample scene: same samples, same split, held-out polygons, several seeds.

    python benchmarks/scene.py --climate tropical --seeds 0 1 2 --networks ltae,twinns --json scene.json

Every part is the product's own: the scene, the stack, the samples, training with EVALUATION=holdout. Scores are those
on the test polygons, wrong labels included. Simulated figures show that it runs, not how accurate it is on the ground.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent))
from common import load_package

load_package()

FORESTS = {"randomforest": "none", "randomforest-balanced": "balanced"}
SCORES = ("overall_accuracy", "kappa", "macro_f1")


def samples_of(folder: Path, climate: str, size: int, seed: int) -> Path:
    """A scene, its stack and its samples; returns the folder of samples."""
    from landloom.model.base.progress import Progress
    from landloom.model.samples.extraction import extract_samples
    from landloom.model.samples.settings import ExtractionSettings
    from landloom.model.scene.simulation import simulate
    from landloom.model.stack.prepare import PrepareSettings, prepare_stack

    scene = folder / "scene"
    simulate(scene, size, climate, seed, Progress())
    prepare_stack(scene, folder / "stack.json", PrepareSettings())
    settings = ExtractionSettings(class_field="class", nomenclature=str(scene / "nomenclature.txt"), halo=2, seed=seed)
    extract_samples(folder / "stack.json", scene / "reference.gpkg", settings, folder / "samples", Progress())
    return folder / "samples"


def judge(
    samples: Path, name: str, seed: int, folder: Path, sensors: tuple[str, ...], epochs: int = 0
) -> dict[str, Any]:
    """Scores per pixel and per polygon of one network on the test polygons, and the seconds of its training."""
    from landloom.model.samples.store import SampleStore
    from landloom.model.training.run import train
    from landloom.model.training.settings import TrainingSettings

    settings = TrainingSettings(
        network="randomforest" if name in FORESTS else name,
        class_weights=FORESTS.get(name, "auto"),
        evaluation="holdout",
        sensors=sensors,
        seed=seed,
        epochs=epochs,
    )
    start = time.monotonic()
    result = train([SampleStore.open(samples)], settings, folder / f"{name}.safetensors")
    scores = {
        unit: {score: float(getattr(getattr(result.evaluation, unit), score)) for score in SCORES}
        for unit in ("pixel", "polygon")
    }
    return {**scores, "seconds": time.monotonic() - start}


def summary(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Mean and standard deviation over the seeds."""
    result: dict[str, Any] = {"seconds": float(np.mean([run["seconds"] for run in runs]))}
    for unit in ("pixel", "polygon"):
        result[unit] = {}
        for score in SCORES:
            values = [run[unit][score] for run in runs]
            spread = float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
            result[unit][score] = {"mean": float(np.mean(values)), "std": spread, "runs": values}
    return result


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--climate", default="tropical", choices=("tropical", "temperate"))
    parser.add_argument("--size", type=int, default=360, help="side of the scene in pixels of 10 m")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--networks", default="ltae,twinns", help="the forests are always added")
    parser.add_argument("--sensors", default="S1+S2")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    names = [*FORESTS, *(name for name in arguments.networks.split(",") if name and name not in FORESTS)]
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
    for seed in arguments.seeds:
        with tempfile.TemporaryDirectory() as temporary:
            samples = samples_of(Path(temporary), arguments.climate, arguments.size, seed)
            for name in names:
                one = judge(samples, name, seed, Path(temporary), tuple(arguments.sensors.split("+")))
                runs[name].append(one)
                text = ", ".join(
                    f"{unit} {one[unit]['overall_accuracy']:.3f} / {one[unit]['macro_f1']:.3f}"
                    for unit in ("pixel", "polygon")
                )
                print(f"seed {seed} {name}: {text} (OA / macro F1), {one['seconds']:.0f} s", flush=True)
    table = {name: summary(of) for name, of in runs.items()}
    print("| network | OA per pixel | macro F1 per pixel | OA per polygon | macro F1 per polygon | seconds |")
    print("|---|---|---|---|---|---|")
    for name, one in table.items():
        cells = [
            f"{one[unit][score]['mean']:.3f} ± {one[unit][score]['std']:.3f}"
            for unit in ("pixel", "polygon")
            for score in ("overall_accuracy", "macro_f1")
        ]
        print(f"| {name} | {' | '.join(cells)} | {one['seconds']:.0f} |")
    if arguments.json:
        content = {"climate": arguments.climate, "size": arguments.size, "seeds": arguments.seeds, "networks": table}
        arguments.json.write_text(json.dumps(content, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
