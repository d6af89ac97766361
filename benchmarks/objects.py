"""What classifies objects best? Forests and a network of pixel sets on objects of the sample scene, at several seeds.

    python benchmarks/objects.py --size 240 --seeds 0 1 2 --json objects.json
    python benchmarks/objects.py --size 240 --seeds 0 1 2 --what sets --json sets.json

Each seed: a scene, its stack, one segmentation. With ``--what sets`` all objects are judged out of fold, by group, in
the same folds, by

- a balanced forest of 100 trees on means and standard deviations of bands and indices by date, Moringa's way;
- the same without class weights;
- the network ``pixelset``, which reads the pixels of each object.

With ``--what descriptors``, samples of which about half of the groups train an ``ltae`` pixel model, and the networks
of its folds. Objects of the other groups are judged out of fold, by group, by a balanced forest that learns from these
objects alone, on

- statistics: means and standard deviations of bands and indices by date, Moringa's way;
- statistics and descriptors: the same with means and standard deviations of the pixel model's main axes;
- descriptors alone;

or that learns from the groups of the pixel model too, whose objects are described by networks that have not seen them:

- statistics, all labels;
- statistics and descriptors, all labels;
- descriptors alone, all labels.

All six judge the same objects in the same folds. Scores are those per object against reference polygons, of which 3 %
are labelled wrong on purpose.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent))
from common import load_package

load_package()

if TYPE_CHECKING:
    from landloom.model.objects.objecttraining import ObjectResult

PLAIN, BOTH, ALONE = "statistics", "statistics and descriptors", "descriptors alone"
EVERY, EVERY_BOTH = "statistics, all labels", "statistics and descriptors, all labels"
EVERY_ALONE = "descriptors alone, all labels"
BALANCED, PLAIN_WEIGHTS, SETS = "forest on statistics, balanced", "forest on statistics, no weights", "pixel sets"
DESCRIPTORS, OF_SETS = "descriptors", "sets"
SCORES = ("overall_accuracy", "macro_f1")
EXPECTED = 0.02  # what descriptors should add to macro F1
Run = dict[str, dict[str, float]]


def prepare(folder: Path, size: int, climate: str, seed: int, scale: float) -> None:
    """Make scene, stack and segments of one seed."""
    from landloom.model.base.progress import Progress
    from landloom.model.objects.segmentation import SegmentSettings, open_image, segment
    from landloom.model.scene.simulation import simulate
    from landloom.model.stack.prepare import PrepareSettings, prepare_stack

    scene, stack = folder / "scene", folder / "stack.json"
    simulate(scene, size, climate, seed, Progress())
    prepare_stack(scene, stack, PrepareSettings())
    image = open_image(None, str(stack), ["S2"], [], 1024)
    segment(image, folder / "segments.tif", SegmentSettings(scale=scale))


def train_pixels(folder: Path, seed: int, epochs: int) -> None:
    """Samples, and the pixel model that half of their groups train."""
    from landloom.model.base.progress import Progress
    from landloom.model.samples.extraction import extract_samples
    from landloom.model.samples.settings import ExtractionSettings
    from landloom.model.samples.store import SampleStore
    from landloom.model.training.run import train
    from landloom.model.training.settings import TrainingSettings

    scene, stack, samples = folder / "scene", folder / "stack.json", folder / "samples"
    chosen = ExtractionSettings(
        class_field="class", nomenclature=str(scene / "nomenclature.txt"), validation=0.1, test=0.5, seed=seed
    )
    extract_samples(stack, scene / "reference.gpkg", chosen, samples, Progress())
    settings = TrainingSettings(
        network="ltae", evaluation="holdout", epochs=epochs, fold_networks=True, device="cpu", seed=seed
    )
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
    """Scores by kind of features, how many objects were judged, and how many only taught."""
    from landloom.model.base.progress import Progress
    from landloom.model.objects.features_segments import open_segments
    from landloom.model.objects.objecttraining import ObjectTraining, fit_and_judge, train_objects
    from landloom.model.samples.settings import ExtractionSettings

    scene, stack = folder / "scene", folder / "stack.json"
    reference, segments = str(scene / "reference.gpkg"), open_segments(folder / "segments.tif", Progress())
    extraction = ExtractionSettings(class_field="class", nomenclature=str(scene / "nomenclature.txt"))
    settings = ObjectTraining(features="mean,std", dimensions=dimensions, seed=seed)
    pixels, samples = str(folder / "pixels.safetensors"), str(folder / "samples")
    every = train_objects(
        stack, segments, reference, extraction, settings, (), pixels, samples, device="cpu", progress=Progress()
    )
    if every.folds is None:
        raise RuntimeError("the pixel model has no networks of folds")
    tested = every.folds >= 0
    described = np.array(["fused_axis" in name for name in every.model.recipe.names])
    nomenclature, recipe = every.model.nomenclature, every.model.recipe
    results = {}
    for name, objects, columns in (
        (PLAIN, tested, ~described),
        (BOTH, tested, np.ones(len(described), bool)),
        (ALONE, tested, described),
        (EVERY, np.ones(len(tested), bool), ~described),
        (EVERY_ALONE, np.ones(len(tested), bool), described),
    ):
        if not columns.any():
            raise RuntimeError(f"no columns of features for '{name}'")
        chosen = np.ascontiguousarray(every.features[objects][:, columns])
        matched, folds = every.matched.only(objects), every.folds[objects]
        results[name] = fit_and_judge(recipe, chosen, matched, nomenclature, settings, Progress(), folds)
    results[EVERY_BOTH] = every
    found: Run = {}
    places = codes(results[PLAIN])[0]
    for name, one in results.items():  # a class with one group among few objects may have more among all
        own, labels, predicted = codes(one)
        same = np.isin(own, places)
        found[name] = score(labels[same], predicted[same])
    return found, len(places), int((~tested).sum())


def judge_sets(folder: Path, seed: int) -> tuple[Run, int]:
    """Scores of the forests and of the network of pixel sets on all objects, and how many were judged."""
    from landloom.model.base.progress import Progress
    from landloom.model.objects.features_segments import open_segments
    from landloom.model.objects.objecttraining import ObjectTraining, train_objects
    from landloom.model.samples.settings import ExtractionSettings

    scene, stack = folder / "scene", folder / "stack.json"
    reference, segments = str(scene / "reference.gpkg"), open_segments(folder / "segments.tif", Progress())
    extraction = ExtractionSettings(class_field="class", nomenclature=str(scene / "nomenclature.txt"))
    found: Run = {}
    judged: list[np.ndarray] = []
    for name, network, weights in (
        (BALANCED, "randomforest", "balanced"),
        (PLAIN_WEIGHTS, "randomforest", "none"),
        (SETS, "pixelset", "auto"),
    ):
        settings = ObjectTraining(features="mean,std", network=network, class_weights=weights, seed=seed)
        begin = time.monotonic()
        one = train_objects(stack, segments, reference, extraction, settings, device="cpu", progress=Progress())
        objects, labels, predicted = codes(one)
        judged.append(objects)
        found[name] = {**score(labels, predicted), "seconds": time.monotonic() - begin}
    if any(not np.array_equal(one, judged[0]) for one in judged):
        raise RuntimeError("the classifiers were judged on different objects")
    return found, len(judged[0])


def verdict_of_sets(runs: list[Run]) -> str:
    """What the network adds to the better of the forests, for each score."""
    sentences = []
    for name in SCORES:
        gains = np.array([run[SETS][name] - max(run[BALANCED][name], run[PLAIN_WEIGHTS][name]) for run in runs])
        each = ", ".join(f"{100 * gain:+.1f}" for gain in gains)
        sentences.append(f"{name}: {100 * gains.mean():+.1f} points ({each} by seed)")
    return "Pixel sets against the better forest of each seed: " + "; ".join(sentences) + "."


def table(runs: list[Run]) -> list[str]:
    """The table of the documentation: mean and standard deviation over the seeds."""
    lines = ["| classifier | OA per object | macro F1 per object |", "|---|---|---|"]
    for name in runs[0]:
        cells = []
        for one in SCORES:
            values = [run[name][one] for run in runs]
            spread = f" ± {np.std(values, ddof=1):.3f}" if len(values) > 1 else ""
            cells.append(f"{np.mean(values):.3f}{spread}")
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return lines


def verdict(runs: list[Run]) -> str:
    """What descriptors add to macro F1 by seed, and whether that is what was expected; of few labels and of all."""
    sentences = []
    for words, with_them, without in (("", BOTH, PLAIN), ("With all labels: ", EVERY_BOTH, EVERY)):
        if with_them not in runs[0]:
            continue
        gains = np.array([run[with_them]["macro_f1"] - run[without]["macro_f1"] for run in runs])
        reached = "reach" if gains.mean() >= EXPECTED else "do NOT reach"
        each = ", ".join(f"{100 * gain:+.1f}" for gain in gains)
        sentences.append(
            f"{words}Descriptors add {100 * gains.mean():+.1f} points of macro F1 on average ({each} by seed): they "
            f"{reached} the {100 * EXPECTED:.0f} points expected."
        )
    return " ".join(sentences)


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
    parser.add_argument(
        "--what", nargs="+", default=[DESCRIPTORS, OF_SETS], choices=(DESCRIPTORS, OF_SETS), help="what is compared"
    )
    parser.add_argument("--json", help="where the figures go")
    arguments = parser.parse_args(words)
    runs: dict[str, list[Run]] = {what: [] for what in arguments.what}
    verdicts = {DESCRIPTORS: verdict, OF_SETS: verdict_of_sets}
    counts = []
    for seed in arguments.seeds:
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            prepare(folder, arguments.size, arguments.climate, seed, arguments.scale)
            for what in arguments.what:
                left_out = 0
                if what == DESCRIPTORS:
                    train_pixels(folder, seed, arguments.epochs)
                    run, judged, left_out = judge(folder, arguments.dimensions, seed)
                else:
                    run, judged = judge_sets(folder, seed)
                runs[what].append(run)
                counts.append({"what": what, "seed": seed, "judged": judged, "trained_the_pixel_model": left_out})
                told = "; ".join(
                    f"{name} {one['overall_accuracy']:.3f} / {one['macro_f1']:.3f}" for name, one in run.items()
                )
                print(
                    f"{what}, seed {seed}, {judged} objects, {left_out} only teach: {told} (OA / macro F1)", flush=True
                )
                if arguments.json:
                    said = {name: verdicts[name](own) for name, own in runs.items() if own}
                    content: dict[str, Any] = {**vars(arguments), "objects": counts, "runs": runs, "verdict": said}
                    write_json(arguments.json, content)
    for what, own in runs.items():
        print("\n".join(["", *table(own), "", verdicts[what](own)]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
