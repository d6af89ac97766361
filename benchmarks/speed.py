"""Speed and peak memory of classify and of training, beside Orfeo Toolbox's random forest.

    python benchmarks/speed.py --size 1000 --networks ltae,tempcnn,randomforest,twinns --peer otb --json speed.json

One tiled int16 stack (24 S2 dates x 10 bands, 30 S1 dates x 2; see ``speed_data.py`` for how it is simulated) is
classified from files to files: map and confidence. The peer, ``otbcli_ImageClassifier``, gets the same pixels as one
tiled image of 300 bands and writes the same two files; its forest has 100 trees, depth 25, at least 5 samples a node,
and is trained by ``otbcli_TrainImagesClassifier`` on 20,000 reference pixels, as Landloom's is through its own
extraction and training. The networks have their default width and are trained for one epoch on 4,096 of the samples,
since their speed does not depend on what they have learnt. All runs use the same two cores and take turns (peer, first
network, second, ..., peer, ...), each in a process of its own; the median counts. Seconds are those of the function
``classify``, libraries loaded on the way included, and those of the peer's whole process. Peak memory is the process's
largest resident size. CPU seconds (of the whole process, interpreter included) tell how far a busy machine has spoilt
the others. The shares of reading, computing and writing are of the seconds on the cores; the ceiling is what the
network's own matrix products and convolutions take alone, with one copy of the raw values, beside one chunk computed in
turns with them (``speed_ceiling.py``). With
--repeat N the stack shows every image N x N times (VRTs) in a further run of each network: memory must not grow.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent))
from common import load_package, peak_memory_mb
from speed_ceiling import ceiling
from speed_data import make_data, write_one_image

load_package()

FOREST = "randomforest"
OTB_TRAIN, OTB_CLASSIFY = "otbcli_TrainImagesClassifier", "otbcli_ImageClassifier"


# ---------------------------------------------------------------------- what a child process does


def child(task: dict[str, Any]) -> dict[str, Any]:
    """Do one task and say how long it took and how much memory this process held at most."""
    import resource

    result = {"classify": child_classify, "train": child_train}[task["do"]](task)
    result.setdefault("peak_memory_mb", peak_memory_mb())
    if "cpu_seconds" not in result:
        used = resource.getrusage(resource.RUSAGE_SELF)
        result["cpu_seconds"] = used.ru_utime + used.ru_stime
    return result


def child_classify(task: dict[str, Any]) -> dict[str, Any]:
    """Map a stack, from file to file."""
    import resource

    from landloom.model.mapping.classify import classify

    begin = time.monotonic()
    done = classify(
        task["stack"],
        task["model"],
        task["output"],
        task["confidence"],
        memory_mb=task["memory_mb"],
        device=task["device"],
        threads=task["threads"],
        precision=task["precision"],
    )
    result = {"seconds": time.monotonic() - begin, "pixels": done.summary.pixels, "peak_memory_mb": peak_memory_mb()}
    used = resource.getrusage(resource.RUSAGE_SELF)
    result["cpu_seconds"] = used.ru_utime + used.ru_stime
    for name, stage in done.summary.stages.items():
        result |= {f"{name}_seconds": stage.seconds, f"{name}_cpu_seconds": stage.cpu_seconds}
    if task["ceiling"]:
        result["ceiling"] = ceiling(task["stack"], task["model"], task["precision"])
    return result


def child_train(task: dict[str, Any]) -> dict[str, Any]:
    """Extract samples and train: through the product's own steps for the forest, one epoch for a network."""
    from landloom.model.base.progress import Progress
    from landloom.model.samples.extraction import extract_samples
    from landloom.model.samples.settings import ExtractionSettings
    from landloom.model.samples.store import SampleStore
    from landloom.model.training.loop import fit
    from landloom.model.training.run import train
    from landloom.model.training.settings import TrainingSettings

    folder = Path(task["samples"])
    begin = time.monotonic()
    if not folder.exists():
        settings = ExtractionSettings(class_field="code", validation=0.0, test=0.2, memory_mb=task["memory_mb"])
        extract_samples(task["stack"], task["reference"], settings, folder, Progress())
    result: dict[str, Any] = {"sampling_seconds": time.monotonic() - begin}
    store = SampleStore.open(folder)
    training = store.indices(0)
    settings = TrainingSettings(network=task["network"], epochs=1, evaluation="holdout", device=task["device"])
    begin = time.monotonic()
    if settings.is_forest:
        train([store], settings, task["model"], None, Progress())
        result["samples_per_second"] = len(training) / (time.monotonic() - begin)
    else:
        some = np.sort(np.random.default_rng(0).permutation(training)[: task["network_samples"]])
        fitted = fit(store, some, some[:0], settings, Progress())
        fitted.model.save(task["model"])
        result["samples_per_second"] = fitted.history[-1]["samples_per_second"]
    result["training_seconds"] = time.monotonic() - begin
    result["training_samples"] = len(training)
    return result


def run_child(task: dict[str, Any]) -> dict[str, Any]:
    """Run a task in a process of its own.

    Raises:
        RuntimeError: with the end of what it said, if it failed.
    """
    command = [sys.executable, str(Path(__file__).resolve()), "--child", json.dumps(task)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{task['do']} failed: {done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


# ---------------------------------------------------------------------- the peer


def run_peer(*words: str) -> tuple[float, float]:
    """Seconds and CPU seconds of an Orfeo Toolbox application.

    Raises:
        RuntimeError: with the end of what it said, if it failed.
    """
    environment = {**os.environ, "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS": str(len(os.sched_getaffinity(0)))}
    before, begin = cpu_of_children(), time.monotonic()
    done = subprocess.run(words, capture_output=True, text=True, check=False, env=environment)
    seconds = time.monotonic() - begin, cpu_of_children() - before
    if done.returncode:
        raise RuntimeError(f"{words[0]} failed: {(done.stdout + done.stderr)[-2000:]}")
    return seconds


def cpu_of_children() -> float:
    """CPU seconds of all processes that this one has started and that have ended."""
    import resource

    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def train_peer(image: Path, reference: Path, model: Path, memory_mb: int) -> tuple[float, float]:
    """Sampling and training in one application; a fifth of the pixels is left for its own scores.

    ``acc`` 0: all 100 trees are grown; by default it stops when the out-of-bag error falls below 1 %.
    """
    words = f"-sample.vfn code -sample.mt -1 -sample.mv -1 -sample.bm 0 -sample.vtr 0.2 -rand 0 -ram {memory_mb}"
    forest = "-classifier rf -classifier.rf.nbtrees 100 -classifier.rf.max 25 -classifier.rf.min 5 -classifier.rf.acc 0"
    files = ["-io.il", str(image), "-io.vd", str(reference), "-io.out", str(model)]
    return run_peer(OTB_TRAIN, *files, *words.split(), *forest.split())


def classify_peer(image: Path, model: Path, folder: Path, memory_mb: int) -> tuple[float, float]:
    """Map and confidence, tiled and compressed as Landloom's."""
    options = "?&gdal:co:COMPRESS=DEFLATE&gdal:co:TILED=YES"
    files = ["-in", str(image), "-model", str(model), "-out", f"{folder / 'otb.tif'}{options}", "uint8"]
    files += ["-confmap", f"{folder / 'otb_confidence.tif'}{options}", "float"]
    return run_peer(OTB_CLASSIFY, *files, "-ram", str(memory_mb))


# ---------------------------------------------------------------------- the measurement


def measure(arguments: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """The content of the JSON file."""
    names = [name for name in arguments.networks.split(",") if name]
    stack = make_data(folder, arguments.size, arguments.samples, clouds=arguments.clouds)
    peer = arguments.peer == "otb"
    common = {"memory_mb": arguments.memory_mb, "device": arguments.device, "threads": arguments.cores}
    common["precision"] = arguments.precision
    figures: dict[str, Any] = {
        "size": arguments.size,
        "runs": arguments.runs,
        "cores": arguments.cores,
        "memory_mb": arguments.memory_mb,
        "clouds": arguments.clouds,
        "precision": arguments.precision,
        "machine": f"{platform.machine()}, {platform.system()}, Python {platform.python_version()}",
        "networks": {},
    }
    models: dict[str, Path] = {}
    sampling_cpu = 0.0
    # The forest first: sampling is timed with it.
    for name in sorted(names, key=lambda name: name != FOREST):
        models[name] = folder / f"{name}.safetensors"
        task = {"do": "train", "network": name, "stack": str(stack), "reference": str(folder / "reference.shp")}
        task |= {"samples": str(folder / "samples"), "model": str(models[name]), **common}
        task["network_samples"] = arguments.network_samples
        trained = run_child(task)
        figures["networks"][name] = {"training_samples_per_second": trained["samples_per_second"]}
        tell(f"{name}: {trained['samples_per_second']:,.0f} training samples a second")
        if name == FOREST:
            sampling_cpu = trained["cpu_seconds"]
            figures["sampling_and_training"] = {
                key: trained[key] for key in ("training_samples", "sampling_seconds", "training_seconds")
            }
    image = peer_model = None
    if peer:
        image, peer_model = write_one_image(folder, arguments.size), folder / "otb.rf"
        seconds, cpu = train_peer(image, folder / "reference.shp", peer_model, arguments.memory_mb)
        tell(f"{OTB_TRAIN}: {seconds:.1f} s")
        if own := figures.get("sampling_and_training"):
            own |= {"peer_seconds": seconds, "peer_cpu_seconds": cpu, "cpu_seconds": sampling_cpu}
            own["ratio_to_peer"] = seconds / (own["sampling_seconds"] + own["training_seconds"])
    speeds: dict[str, list[float]] = {name: [] for name in names}
    cpu_speeds: dict[str, list[float]] = {name: [] for name in names}
    memory: dict[str, float] = dict.fromkeys(names, 0.0)
    peer_speeds: list[float] = []
    peer_cpu_speeds: list[float] = []
    pixels = arguments.size**2
    stages: dict[str, list[dict[str, float]]] = {name: [] for name in names}
    for run in range(arguments.runs):
        if image is not None and peer_model is not None:
            seconds, cpu = classify_peer(image, peer_model, folder, arguments.memory_mb)
            peer_speeds.append(pixels / seconds)
            peer_cpu_speeds.append(pixels / cpu)
            tell(f"run {run + 1}: {OTB_CLASSIFY} {peer_speeds[-1]:,.0f} pixels a second")
        for name in names:
            task = classify_task(stack, models[name], folder, name, common)
            task["ceiling"] = run == 0 and name != FOREST and arguments.device == "cpu"
            done = run_child(task)
            stages[name].append(done)
            speeds[name].append(pixels / done["seconds"])
            cpu_speeds[name].append(pixels / done["cpu_seconds"])
            memory[name] = max(memory[name], done["peak_memory_mb"])
            tell(f"run {run + 1}: {name} {speeds[name][-1]:,.0f} pixels a second, {done['peak_memory_mb']:,.0f} MB")
    reference = statistics.median(peer_speeds) if peer_speeds else None
    figures["peer_pixels_per_second"] = reference
    figures["peer_pixels_per_cpu_second"] = statistics.median(peer_cpu_speeds) if peer_cpu_speeds else None
    for name in names:
        speed = statistics.median(speeds[name])
        figures["networks"][name] |= {
            "pixels_per_second": speed,
            "ratio_to_peer": speed / reference if reference else None,
            "pixels_per_cpu_second": statistics.median(cpu_speeds[name]),
            "peak_memory_mb": memory[name],
            **shares(stages[name], pixels),
        }
    if arguments.repeat > 1:
        large = make_data(folder, arguments.size, arguments.samples, arguments.repeat, arguments.clouds)
        for name in names:
            done = run_child(classify_task(large, models[name], folder, f"{name}_large", common))
            figures["networks"][name] |= {
                "large_pixels": done["pixels"],
                "large_peak_memory_mb": done["peak_memory_mb"],
                "large_pixels_per_second": done["pixels"] / done["seconds"],
            }
            tell(f"{name}, {done['pixels']:,} pixels: {done['peak_memory_mb']:,.0f} MB")
    return figures


def classify_task(stack: Path, model: Path, folder: Path, name: str, common: dict[str, Any]) -> dict[str, Any]:
    """What a child needs to map."""
    outputs = {"output": str(folder / f"{name}.tif"), "confidence": str(folder / f"{name}_confidence.tif")}
    return {"do": "classify", "stack": str(stack), "model": str(model), "ceiling": False, **outputs, **common}


def shares(runs: list[dict[str, Any]], pixels: int) -> dict[str, float]:
    """Where the time on the cores goes (medians), and what of the computing is the network's products and one copy."""
    found = {
        name: statistics.median(run[f"{name}_cpu_seconds"] for run in runs)
        for name in ("reading", "computing", "writing")
    }
    result = {f"{name}_share": seconds / sum(found.values()) for name, seconds in found.items()}
    limit = next((run["ceiling"] for run in runs if run.get("ceiling")), None)
    if limit is not None:
        result |= {
            "computing_us": found["computing"] / pixels * 1e6,
            "chunk_us": limit["chunk_us"],
            "products_us": limit["products_us"],
            "copy_us": limit["copy_us"],
            "mflop_traced": limit["mflop"],
            "ceiling_share": limit["share"],
        }
    return result


@contextlib.contextmanager
def few_cores(count: int) -> Iterator[None]:
    """Keep this process and its children, the peer's too, to some cores (on Linux)."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(before)[:count])
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def tell(message: str) -> None:
    """A line for who waits."""
    print(message, file=sys.stderr, flush=True)


def parse(words: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=1000, help="rows and columns")
    parser.add_argument("--networks", default="ltae,tempcnn,randomforest,twinns", help="names, separated by commas")
    parser.add_argument("--peer", choices=["otb"], help="also measure Orfeo Toolbox")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--samples", type=int, default=20_000, help="reference pixels that train")
    parser.add_argument("--network-samples", type=int, default=4096, help="samples of a network's one epoch")
    parser.add_argument("--clouds", type=float, default=0.0, help="share of optical pixels without data, 0 to 0.9")
    parser.add_argument(
        "--repeat", type=int, default=1, help="map also a stack of N x N times the size, for its memory"
    )
    parser.add_argument("--memory-mb", type=int, default=1024)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", default="float32", choices=["float32", "bfloat16"])
    parser.add_argument("--folder", help="where the data stay, to be used again; by default they are removed")
    parser.add_argument("--json", help="where the figures go")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    arguments = parser.parse_args(words)
    if not arguments.child and not arguments.json:
        parser.error("--json is needed")
    if arguments.peer and not shutil.which(OTB_CLASSIFY):
        parser.error("--peer otb needs Orfeo Toolbox (otbcli_ImageClassifier) on the PATH")
    return arguments


def main(words: list[str] | None = None) -> int:
    """Measure and write."""
    arguments = parse(words)
    if arguments.child:
        print(json.dumps(child(json.loads(arguments.child))))
        return 0
    with tempfile.TemporaryDirectory() as temporary, few_cores(arguments.cores):
        figures = measure(arguments, Path(arguments.folder or temporary))
    Path(arguments.json).write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
