"""Memory from a small image to a whole Sentinel-2 tile, which should stay the same, and hours that a tile takes.

    python benchmarks/size.py --networks randomforest,ltae,tempcnn,twinns --minutes 10 --json size.json

A stack of 34 Sentinel-2 dates x 10 bands and 24 Sentinel-1 dates x 2 (``speed_data.py``; 1,098 pixels a side) is shown
by virtual rasters 2 x 2 times (2,196 pixels) and 10 x 10 times (10,980 pixels). Both are sampled whole; a model of each
network is trained on the samples of the small one (networks for one epoch on 2,048 of them: their speed and memory do
not depend on what they have learnt) and both are classified with it, map and confidence, for ``--minutes`` each or to
the end. What was not reached is extrapolated from the share done. Each run is a process of its own with the same
MEMORY_MB; peak memory is its largest resident size. ``--parts`` chooses among ``sample``, ``classify``, ``descriptors``
(of the first network that has some) and ``segment`` (Sentinel-2, medians of quarters).
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))
import speed_data
from common import load_package, peak_memory_mb

load_package()

from landloom.model.base.errors import Cancelled  # noqa: E402
from landloom.model.base.progress import Progress  # noqa: E402

SIDE, SMALL, LARGE = 1098, 2, 10
FOREST = "randomforest"
PARTS = ("sample", "classify", "descriptors", "segment")
speed_data.OPTICAL_DATES, speed_data.RADAR_DATES = 34, 24


class Limited(Progress):
    """Stops a run after some seconds and remembers how far it came."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.reached = 0.0
        self._end = time.monotonic() + seconds

    def percent(self, value: float) -> None:
        self.reached = max(self.reached, value)

    def is_cancelled(self) -> bool:
        return time.monotonic() > self._end


def child(task: dict[str, Any]) -> dict[str, Any]:
    """Do one task: how long it took, how far it came (percent) and the memory it held at most."""
    progress = Limited(task["seconds"])
    begin, used = time.monotonic(), time.process_time()
    try:
        {"sample": sample, "train": train, "classify": classify, "descriptors": descriptors, "segment": segment}[
            task["do"]
        ](task, progress)
        progress.reached = 100.0
    except Cancelled:
        for thread in threading.enumerate():  # left in a chunk; the process may not end in one
            if thread.name.startswith("landloom "):  # not those of a pool, "landloom_0", which wait for work for ever
                thread.join()
    return {
        "seconds": time.monotonic() - begin,
        "cpu_seconds": time.process_time() - used,
        "percent": progress.reached,
        "peak_memory_mb": peak_memory_mb(),
    }


def sample(task: dict[str, Any], progress: Progress) -> None:
    """Extract all reference pixels."""
    from landloom.model.samples.extraction import extract_samples
    from landloom.model.samples.settings import ExtractionSettings

    settings = ExtractionSettings(class_field="code", validation=0.0, test=0.2, memory_mb=task["memory_mb"])
    extract_samples(task["stack"], task["reference"], settings, Path(task["output"]), progress)


def train(task: dict[str, Any], progress: Progress) -> None:
    """A model of a network."""
    from landloom.model.samples.store import SampleStore
    from landloom.model.training import run
    from landloom.model.training.settings import TrainingSettings

    settings = TrainingSettings(network=task["network"], epochs=1, evaluation="holdout", device="cpu")
    run.train([SampleStore.open(Path(task["samples"]))], settings, task["output"], None, progress)


def classify(task: dict[str, Any], progress: Progress) -> None:
    """Map and confidence."""
    from landloom.model.mapping import classify as module

    confidence = f"{task['output'][:-4]}_confidence.tif"
    module.classify(
        task["stack"], task["model"], task["output"], confidence, memory_mb=task["memory_mb"], progress=progress
    )


def descriptors(task: dict[str, Any], progress: Progress) -> None:
    """All descriptors, float32."""
    from landloom.model.mapping.descriptors import map_descriptors

    map_descriptors(task["stack"], task["model"], task["output"], memory_mb=task["memory_mb"], progress=progress)


def segment(task: dict[str, Any], progress: Progress) -> None:
    """Objects of the medians of Sentinel-2's quarters."""
    from landloom.model.objects import segmentation

    image = segmentation.open_image(None, task["stack"], ["S2"], [], task["memory_mb"])
    segmentation.segment(image, task["output"], segmentation.SegmentSettings(memory_mb=task["memory_mb"]), progress)


def start(task: dict[str, Any], script: str = __file__) -> subprocess.Popen[str]:
    """Begin a task of a script in a process of its own."""
    command = [sys.executable, str(Path(script).resolve()), "--child", json.dumps(task)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def result_of(process: subprocess.Popen[str]) -> dict[str, Any]:
    """Wait for a task.

    Raises:
        RuntimeError: with the end of what it said, if it failed.
    """
    out, error = process.communicate()
    if process.returncode:
        raise RuntimeError(error[-2000:])
    return json.loads(out.splitlines()[-1])


def main() -> None:
    """Run what was asked for and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", default="randomforest,ltae,tempcnn,twinns")
    parser.add_argument("--parts", default="sample,classify", help=f"of {','.join(PARTS)}")
    parser.add_argument("--minutes", type=float, default=10.0, help="for each run, which is then stopped")
    parser.add_argument("--memory-mb", type=int, default=1024)
    parser.add_argument("--samples", type=int, default=20_000)
    parser.add_argument("--together", action="store_true", help="run small and large at once: memory is the question")
    parser.add_argument("--work", type=Path, help="folder of the images (1 GB), kept; temporary by default")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--child", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.child:
        print(json.dumps(child(json.loads(chosen.child))))
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = chosen.work or Path(temporary)
        stacks = {
            SIDE * times: str(speed_data.make_data(folder, SIDE, chosen.samples, times)) for times in (SMALL, LARGE)
        }
        rows = []
        print("| what | pixels a side | percent done | seconds | processor seconds | whole, hours | peak memory, MB |")
        print("|---|---|---|---|---|---|---|", flush=True)
        common = {"seconds": 60 * chosen.minutes, "memory_mb": chosen.memory_mb}
        common |= {"reference": str(folder / "reference.shp"), "samples": str(folder / f"samples_{SIDE * SMALL}")}

        def measured(do: str, suffix: str, **more: Any) -> None:
            tasks = {
                side: {**common, **more, "do": do, "stack": stack, "output": str(folder / f"{suffix}_{side}{ENDS[do]}")}
                for side, stack in stacks.items()
            }
            running = {side: start(task) for side, task in tasks.items()} if chosen.together else {}
            for side, task in tasks.items():
                done = result_of(running[side] if running else start(task))
                whole = done["seconds"] / max(done["percent"], 1e-9) * 100 / 3600
                rows.append({"what": suffix, "side": side, "whole_hours": whole, **done})
                print(
                    f"| {suffix} | {side:,} | {done['percent']:.1f} | {done['seconds']:.0f} | "
                    f"{done['cpu_seconds']:.0f} | {whole:.2f} | {done['peak_memory_mb']:,.0f} |",
                    flush=True,
                )

        parts = chosen.parts.split(",")
        wrong = set(parts) - set(PARTS)
        if wrong:
            raise SystemExit(f"--parts: no {', '.join(sorted(wrong))}; there are {', '.join(PARTS)}.")
        if "sample" in parts:
            measured("sample", "samples")
        networks = chosen.networks.split(",")
        models = {network: str(folder / f"{network}.safetensors") for network in networks}
        if "classify" in parts or "descriptors" in parts:
            for network, model in models.items():
                if not Path(model).exists():
                    task = {**common, "seconds": 1e9, "do": "train", "network": network, "output": model}
                    result_of(start(task))
        if "classify" in parts:
            for network, model in models.items():
                measured("classify", network, model=model)
        described = [network for network in networks if network != FOREST]
        if "descriptors" in parts and described:
            measured("descriptors", f"descriptors_{described[0]}", model=models[described[0]])
        if "segment" in parts:
            measured("segment", "segment")
        if chosen.json:
            about = {"memory_mb": chosen.memory_mb, "minutes": chosen.minutes, "cores": os.cpu_count(), "rows": rows}
            chosen.json.write_text(json.dumps(about, indent=1))


ENDS = {"sample": "", "classify": ".tif", "descriptors": ".tif", "segment": ".tif"}

if __name__ == "__main__":
    main()
