"""The protocol of TWINNS's group on a site of your own: networks and both forests on the same splits.

    benchmarks/site.py --stack stack.json --reference reference.gpkg --class-field class --output site.json

30 % of the reference polygons of each class train, 70 % test, dealt anew 10 times; scores are per pixel, mean and
standard deviation over the 10 (--train-share, --runs). Whole polygons lie on one side, and so do those nearer to one
another than --group-distance; the protocol knows no distance (0). Both forests always take part: iota2's settings, and
the same with balanced classes. Unlike in the group's scripts the networks stop by polygons cut from the 30 %, not by
the training loss, and no setting is chosen on the test. What is finished is kept in <output>.parts: the same command
goes on from there.

Writes the JSON, and a page of Markdown beside it. TWINNS: Ienco, Interdonato, Gaetano, Ho Tong Minh, ISPRS J. 158,
2019; the split is that of the group's public scripts for the same site, since the paper's own is not published as code.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent))
from common import load_package

load_package()

if TYPE_CHECKING:
    from landloom.model.accuracy.compare import Comparison
    from landloom.model.samples.store import SampleStore

SCORES = {
    "overall_accuracy": "overall accuracy",
    "kappa": "kappa",
    "weighted_f1": "weighted F1",
    "macro_f1": "macro F1",
}
PIXEL = "pixel"


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """Extract samples once, then train and judge; the content of the JSON file."""
    from landloom.model.accuracy.compare import compare
    from landloom.model.accuracy.comparesettings import HOLDOUT, CompareSettings, read_sensor_sets
    from landloom.model.base.progress import PrintedProgress
    from landloom.model.base.provenance import gather
    from landloom.model.samples.extraction import extract_samples
    from landloom.model.samples.settings import ExtractionSettings
    from landloom.model.samples.store import SampleStore, is_sample_folder

    progress = PrintedProgress()
    parts = Path(f"{arguments.output}.parts")
    samples = parts / "samples"
    if not is_sample_folder(samples):
        chosen = ExtractionSettings(
            arguments.class_field,
            nomenclature=arguments.nomenclature,
            group_field=arguments.group_field,
            group_distance=arguments.group_distance,
            max_per_group=0,
            seed=arguments.seed,
            memory_mb=arguments.memory_mb,
        )
        extract_samples(arguments.stack, arguments.reference, chosen, samples, progress)
    store = SampleStore.open(samples)
    settings = CompareSettings(
        networks=tuple(name for name in arguments.networks.split(",") if name),
        sensor_sets=read_sensor_sets(arguments.sensor_sets) or (tuple(store.specs),),
        runs=arguments.runs,
        evaluation=HOLDOUT,
        test=1 - arguments.train_share,
        epochs=arguments.epochs,
        device=arguments.device,
        seed=arguments.seed,
        memory_mb=arguments.memory_mb,
    )
    result = compare([store], settings, parts / "trainings", (), progress)
    content = content_of(result, store, arguments)
    content["provenance"] = gather(
        {"STACK": arguments.stack, "REFERENCE": arguments.reference}, arguments.seed
    ).to_json()
    return content


def content_of(result: Comparison, store: SampleStore, arguments: argparse.Namespace) -> dict[str, Any]:
    """The figures of a comparison."""
    judged = result.levels[PIXEL]
    learn, test = (
        [len(np.unique(store.groups[own])) for own in parts]
        for parts in ([split.learn for split in result.splits], [split.parts.test for split in result.splits])
    )
    classifiers: dict[str, Any] = {}
    for one in result.configurations:
        scores = judged.scores[one.key]
        found: dict[str, Any] = {score: spread(scores[score]) for score in SCORES}
        found["per_class_f1"] = {
            name: spread(scores["f1"][:, place]) for place, name in enumerate(result.nomenclature.names)
        }
        found["sensors"] = list(one.sensors)
        if not one.is_forest:
            found["gain_over_better_forest"] = {score: result.gain(one, PIXEL, score).to_json() for score in SCORES}
        classifiers[one.key] = found
    return {
        "format": "landloom-site",
        "protocol": {
            "train_share": arguments.train_share,
            "runs": arguments.runs,
            "group_distance": arguments.group_distance,
            "seed": arguments.seed,
        },
        "sensors": result.sensors,
        "judged": result.counts,
        "samples_trained_by_run": [len(split.learn) for split in result.splits],
        "samples_tested_by_run": [len(split.parts.test) for split in result.splits],
        "groups_trained_by_run": learn,
        "groups_tested_by_run": test,
        "classifiers": classifiers,
        "warnings": result.warnings,
        "seconds": result.seconds,
    }


def spread(values: np.ndarray) -> dict[str, float | None]:
    """Mean and standard deviation over the runs; None where they are undefined."""
    known = np.asarray(values, float)[np.isfinite(values)]
    return {
        "mean": float(known.mean()) if len(known) else None,
        "std": float(known.std(ddof=1)) if len(known) > 1 else None,
    }


def markdown(content: dict[str, Any]) -> str:
    """The figures as a page."""
    protocol, judged = content["protocol"], content["judged"]
    share = round(100 * protocol["train_share"])
    lines = [
        "# Networks and forests on a site, by the protocol of TWINNS's group",
        "",
        f"{share} % of the polygons of each class train, {100 - share} % test, {protocol['runs']} times; per pixel, "
        f"mean ± standard deviation over the runs. Judged in any run: {judged['pixels']:,} pixels of "
        f"{judged['groups']:,} groups of polygons. {content['sensors']}.",
        "",
        "| classifier | " + " | ".join(SCORES.values()) + " |",
        "|---" * (len(SCORES) + 1) + "|",
    ]
    for key, found in content["classifiers"].items():
        lines.append(f"| {key} | " + " | ".join(_shown(found[score]) for score in SCORES) + " |")
    gains = {
        key: found["gain_over_better_forest"]
        for key, found in content["classifiers"].items()
        if "gain_over_better_forest" in found
    }
    if gains:
        lines += ["", "Gain over the better of the two forests for each score, with its interval of 95 %:", ""]
        lines += ["| network | " + " | ".join(SCORES.values()) + " |", "|---" * (len(SCORES) + 1) + "|"]
        for key, gain in gains.items():
            lines.append(f"| {key} | " + " | ".join(_gain(gain[score]) for score in SCORES) + " |")
    classes = list(next(iter(content["classifiers"].values()))["per_class_f1"])
    keys = list(content["classifiers"])
    lines += ["", "F1 of each class:", "", "| class | " + " | ".join(keys) + " |", "|---" * (len(keys) + 1) + "|"]
    for name in classes:
        cells = [_shown(content["classifiers"][key]["per_class_f1"][name]) for key in keys]
        lines.append(f"| {name.replace('|', '/')} | " + " | ".join(cells) + " |")
    lines += ["", *[f"- {one}" for one in content["warnings"]]]
    return "\n".join(lines).rstrip() + "\n"


def _shown(value: dict[str, float | None]) -> str:
    if value["mean"] is None:
        return "–"
    return f"{value['mean']:.3f}" + ("" if value["std"] is None else f" ± {value['std']:.3f}")


def _gain(gain: dict[str, Any]) -> str:
    if gain["estimate"] is None:
        return "–"
    if gain["low"] is None or gain["high"] is None:
        return f"{gain['estimate']:+.3f}"
    return f"{gain['estimate']:+.3f} ({gain['low']:+.3f} to {gain['high']:+.3f})"


def parse(words: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stack", required=True, help="stack.json of the site")
    parser.add_argument("--reference", required=True, help="polygons with a class")
    parser.add_argument("--class-field", required=True)
    parser.add_argument("--nomenclature", default="", help="table of classes, as for extractsamples")
    parser.add_argument("--group-field", default="", help="field of what must not be split; by default the polygon")
    parser.add_argument("--group-distance", type=float, default=0.0, help="metres; nearer polygons stay together")
    parser.add_argument("--networks", default="twinns,ltae", help="names, separated by commas")
    parser.add_argument("--sensor-sets", default="", help="such as 'S1;S2;S1+S2'; by default all sensors together")
    parser.add_argument("--train-share", type=float, default=0.3)
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--epochs", type=int, default=0, help="0 = the product's default")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--memory-mb", type=int, default=1024)
    parser.add_argument("--output", required=True, help="JSON file; the page has the same name and ends in .md")
    return parser.parse_args(words)


def main(words: list[str] | None = None) -> int:
    """Measure and write; 1 with a sentence when something is wrong."""
    from landloom.model.base.errors import LandloomError
    from landloom.model.base.files import check_writable, make_folder, write_json, write_text
    from landloom.model.base.reportfiles import plain

    arguments = parse(words)
    output = Path(arguments.output)
    try:
        if not 0 < arguments.train_share < 1:
            raise LandloomError(f"--train-share is {arguments.train_share:g}; give a share above 0 and below 1.")
        check_writable(output)
        make_folder(f"{output}.parts")
        content = plain(measure(arguments))
        write_text(output.with_suffix(".md"), markdown(content))
        write_json(output, content)
    except LandloomError as error:
        print(error, file=sys.stderr)
        return 1
    shutil.rmtree(f"{output}.parts", ignore_errors=True)
    print(markdown(content))
    return 0


if __name__ == "__main__":
    sys.exit(main())
