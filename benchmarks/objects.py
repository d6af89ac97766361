"""Do a network's descriptors help to classify objects? Forests on objects of the sample scene, at several seeds.

    python benchmarks/objects.py --size 240 --seeds 0 1 2 --json objects.json

Each seed: a scene, its stack, one segmentation, and samples of which about half of the groups train an ``ltae`` pixel
model. Objects of these groups are left out; the others are judged out of fold, by group, by a balanced forest of 100
trees on

- statistics: means and standard deviations of bands and indices by date, Moringa's way;
- statistics and descriptors: the same with means and standard deviations of the pixel model's main axes;
- descriptors alone;
- statistics, all labels: as the first, but the forest may also learn from the groups that trained the pixel model.

The first three have the same segments, objects, groups and folds; the last is judged on the same objects, in folds of
its own. Scores are those per object against reference polygons, of which 3 % are labelled wrong on purpose.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent))
from common import load_package

load_package()

if TYPE_CHECKING:
    from landloom.model.objects.objecttraining import ObjectResult

PLAIN, BOTH, ALONE = "statistics", "statistics and descriptors", "descriptors alone"
EVERY = "statistics, all labels"
SCORES = ("overall_accuracy", "macro_f1")
EXPECTED = 0.02  # what descriptors should add to macro F1
Run = dict[str, dict[str, float]]


def prepare(folder: Path, size: int, climate: str, seed: int, scale: float, epochs: int) -> None:
    """Make scene, stack, segments, samples and the pixel model of one seed."""
    from landloom.model.base.progress import Progress
    from landloom.model.objects.segmentation import SegmentSettings, open_image, segment
    from landloom.model.samples.extraction import extract_samples
    from landloom.model.samples.settings import ExtractionSettings
    from landloom.model.samples.store import SampleStore
    from landloom.model.scene.simulation import simulate
    from landloom.model.stack.prepare import PrepareSettings, prepare_stack
    from landloom.model.training.run import train
    from landloom.model.training.settings import TrainingSettings

    scene, stack, samples = folder / "scene", folder / "stack.json", folder / "samples"
    simulate(scene, size, climate, seed, Progress())
    prepare_stack(scene, stack, PrepareSettings())
    image = open_image(None, str(stack), ["S2"], [], 1024)
    segment(image, folder / "segments.tif", SegmentSettings(scale=scale))
    chosen = ExtractionSettings(
        class_field="class", nomenclature=str(scene / "nomenclature.txt"), validation=0.1, test=0.5, seed=seed
    )
    extract_samples(stack, scene / "reference.gpkg", chosen, samples, Progress())
    settings = TrainingSettings(network="ltae", evaluation="holdout", epochs=epochs, device="cpu", seed=seed)
    train([SampleStore.open(samples)], settings, folder / "pixels.safetensors")


def codes(result: ObjectResult) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Objects that were judged, the codes of their class, and those of the class predicted out of fold."""
    judged = np.isfinite(result.probabilities).all(axis=1)
    known = np.array([one.code for one in result.model.nomenclature.classes])
    predicted = known[result.probabilities[judged].argmax(axis=1)]
    return result.matched.objects[judged], known[result.matched.labels[judged]], predicted


def score(reference: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
    """Overall accuracy and macro F1 of class codes."""
    from landloom.model.base.metrics import confusion_matrix, scores

    found, places = np.unique(np.concatenate([reference, predicted]), return_inverse=True)
    places = places.reshape(-1)
    one = scores(confusion_matrix(places[: len(reference)], places[len(reference) :], len(found)))
    return {name: float(getattr(one, name)) for name in SCORES}


def judge(folder: Path, dimensions: int, seed: int) -> tuple[Run, int, int]:
    """Scores by kind of features, how many objects were judged, and how many trained the pixel model."""
    from landloom.model.base.progress import Progress
    from landloom.model.objects.features_segments import open_segments
    from landloom.model.objects.objecttraining import ObjectTraining, fit_and_judge, train_objects
    from landloom.model.samples.settings import ExtractionSettings

    scene, stack = folder / "scene", folder / "stack.json"
    reference, segments = str(scene / "reference.gpkg"), open_segments(folder / "segments.tif", Progress())
    extraction = ExtractionSettings(class_field="class", nomenclature=str(scene / "nomenclature.txt"))
    settings = ObjectTraining(features="mean,std", dimensions=dimensions, seed=seed)
    pixels, samples = str(folder / "pixels.safetensors"), str(folder / "samples")
    results = {
        BOTH: train_objects(
            stack, segments, reference, extraction, settings, (), pixels, samples, device="cpu", progress=Progress()
        )
    }
    both = results[BOTH]
    described = np.array(["fused_axis" in name for name in both.model.recipe.names])
    for name, columns in ((PLAIN, ~described), (ALONE, described)):
        if not columns.any():
            raise RuntimeError(f"no columns of features for '{name}'")
        chosen = np.ascontiguousarray(both.features[:, columns])
        nomenclature = both.model.nomenclature
        results[name] = fit_and_judge(both.model.recipe, chosen, both.matched, nomenclature, settings, Progress())
    found: Run = {name: score(*codes(one)[1:]) for name, one in results.items()}
    objects = codes(both)[0]
    own, labels, predicted = codes(train_objects(stack, segments, reference, extraction, settings, progress=Progress()))
    same = np.isin(own, objects)
    found[EVERY] = score(labels[same], predicted[same])
    return {name: found[name] for name in (PLAIN, BOTH, ALONE, EVERY)}, len(objects), both.left_out


def table(runs: list[Run]) -> list[str]:
    """The table of the documentation: mean and standard deviation over the seeds."""
    lines = ["| features | OA per object | macro F1 per object |", "|---|---|---|"]
    for name in runs[0]:
        cells = []
        for one in SCORES:
            values = [run[name][one] for run in runs]
            spread = f" ± {np.std(values, ddof=1):.3f}" if len(values) > 1 else ""
            cells.append(f"{np.mean(values):.3f}{spread}")
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return lines


def verdict(runs: list[Run]) -> str:
    """What descriptors add to macro F1 by seed, and whether that is what was expected."""
    gains = np.array([run[BOTH]["macro_f1"] - run[PLAIN]["macro_f1"] for run in runs])
    reached = "reach" if gains.mean() >= EXPECTED else "do NOT reach"
    each = ", ".join(f"{100 * gain:+.1f}" for gain in gains)
    return (
        f"Descriptors add {100 * gains.mean():+.1f} points of macro F1 on average ({each} by seed): they {reached} the "
        f"{100 * EXPECTED:.0f} points expected."
    )


def main(words: list[str] | None = None) -> int:
    """Run the benchmark."""
    from landloom.model.base.files import write_json

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=240, help="side of the scene in pixels of 10 m")
    parser.add_argument("--climate", default="tropical", choices=("tropical", "temperate"))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--scale", type=float, default=6.0, help="SCALE of the segmentation")
    parser.add_argument("--dimensions", type=int, default=16, help="main axes of the descriptors")
    parser.add_argument("--epochs", type=int, default=0, help="of the pixel model; 0 = the product's default")
    parser.add_argument("--json", help="where the figures go")
    arguments = parser.parse_args(words)
    runs, counts = [], []
    for seed in arguments.seeds:
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            prepare(folder, arguments.size, arguments.climate, seed, arguments.scale, arguments.epochs)
            run, judged, left_out = judge(folder, arguments.dimensions, seed)
        runs.append(run)
        counts.append({"seed": seed, "judged": judged, "trained_the_pixel_model": left_out})
        told = "; ".join(f"{name} {one['overall_accuracy']:.3f} / {one['macro_f1']:.3f}" for name, one in run.items())
        print(f"seed {seed}, {judged} objects, {left_out} left out: {told} (OA / macro F1)", flush=True)
        if arguments.json:
            content: dict[str, Any] = {**vars(arguments), "objects": counts, "runs": runs, "verdict": verdict(runs)}
            write_json(arguments.json, content)
    print("\n".join([*table(runs), "", verdict(runs)]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
