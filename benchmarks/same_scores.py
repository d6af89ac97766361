"""Whether ``twinns`` as it is now scores as that of another version, so that its speed was not paid for.

    python benchmarks/same_scores.py --against 573e044 --seeds 0 1 2 --json same_scores.json

The protocol of ``scene.py``: for each seed a scene of its own, and in both versions the same samples, split, recipe and
schedule; only the network is the commit's (``model/networks/twinns.py``), in a process of its own. Both forests beside.
Scores are those on the test polygons; differences have the interval of Student's paired t over the seeds, whose scenes
have nothing in common. What is in the JSON file already is not computed again.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
import tempfile
import time
import types
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent))
from common import ROOT
from scene import FORESTS, SCORES, judge, samples_of

NOW, THEN = "twinns", "twinns of the commit"
UNITS = ("pixel", "polygon")
NETWORK = "model/networks/twinns.py"


def with_source(source: str) -> None:
    """Let ``twinns`` be what a source text of this project's history says."""
    name = "landloom.model.networks.twinns"
    module = types.ModuleType(name)
    module.__package__ = name.rpartition(".")[0]
    sys.modules[name] = module
    exec(compile(source, name, "exec"), module.__dict__)


def source_of(commit: str) -> str:
    """The network of a commit."""
    words = ["git", "-C", str(ROOT), "show", f"{commit}:{NETWORK}"]
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout


def judged(samples: Path, name: str, seed: int, epochs: int) -> dict[str, Any]:
    """Scores of one classifier, and the seconds of the processor that its training and scoring took."""
    with tempfile.TemporaryDirectory() as folder:
        begin = time.process_time()
        one = judge(samples, name, seed, Path(folder), ("S1", "S2"), epochs)
        return {**one, "processor_seconds": time.process_time() - begin}


def elsewhere(samples: Path, seed: int, commit: str | None, epochs: int, threads: int) -> dict[str, Any]:
    """Train and judge in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        words = [sys.executable, "-W", "ignore", __file__, "--judge", str(samples), "--seeds", str(seed)]
        words += ["--epochs", str(epochs), "--threads", str(threads), "--json", str(Path(folder) / "one.json")]
        subprocess.run([*words, "--against", commit] if commit else words, check=True)
        found: dict[str, Any] = json.loads((Path(folder) / "one.json").read_text(encoding="utf-8"))
        return found


def differences(runs: list[dict[str, Any]], one: str, other: str) -> dict[str, dict[str, Any]]:
    """Mean difference of each score over the seeds, in percentage points, with the 95 % interval of paired values."""
    from landloom.model.base.intervals import student_quantile

    found: dict[str, dict[str, Any]] = {}
    for unit in UNITS:
        for score in SCORES:
            values = [100 * (run[one][unit][score] - run[other][unit][score]) for run in runs]
            count = len(values)
            half = math.inf
            if count > 1:
                half = student_quantile(0.975, count - 1) * float(np.std(values, ddof=1)) / math.sqrt(count)
            mean = float(np.mean(values))
            interval = [mean - half, mean + half] if count > 1 else None
            found.setdefault(unit, {})[score] = {"mean": mean, "interval": interval, "n": count}
    return found


def tell(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Print the table, and give the differences."""
    columns = [(unit, score) for unit in UNITS for score in ("overall_accuracy", "macro_f1")]
    print("| classifier | OA per pixel | macro F1 per pixel | OA per polygon | macro F1 per polygon | processor, s |")
    print("|---|---|---|---|---|---|")
    for name in (*FORESTS, THEN, NOW):
        cells = []
        for unit, score in columns:
            values = [run[name][unit][score] for run in runs]
            spread = float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
            cells.append(f"{np.mean(values):.3f} ± {spread:.3f}")
        seconds = np.mean([run[name]["processor_seconds"] for run in runs])
        print(f"| {name} | {' | '.join(cells)} | {seconds:.0f} |")
    found = differences(runs, NOW, THEN)
    for unit, score in columns:
        one = found[unit][score]
        interval = one["interval"]
        words = f"[{interval[0]:+.1f}, {interval[1]:+.1f}]" if interval else "one seed, no interval"
        print(f"now less then, {score} per {unit}: {one['mean']:+.1f} {words}")
    return found


def main(words: list[str] | None = None) -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--against", help="a commit that has the network")
    parser.add_argument("--climate", default="tropical", choices=("tropical", "temperate"))
    parser.add_argument("--size", type=int, default=240, help="side of the scene in pixels of 10 m")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--json", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=0, help="0: as many as by default")
    parser.add_argument("--threads", type=int, default=2, help="of a step")
    parser.add_argument("--judge", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args(words)
    if arguments.judge:
        from landloom.model.training import trainer

        if arguments.against:
            with_source(source_of(arguments.against))
        trainer.thread_count = lambda: arguments.threads
        one = judged(arguments.judge, NOW, arguments.seeds[0], arguments.epochs)
        arguments.json.write_text(json.dumps(one), encoding="utf-8")
        return 0
    if not arguments.against:
        parser.error("--against is needed")
    what = {key: getattr(arguments, key) for key in ("climate", "size", "epochs", "against")}
    runs: dict[str, dict[str, Any]] = {}
    if arguments.json.exists():
        before = json.loads(arguments.json.read_text(encoding="utf-8"))
        runs = before["runs"] if {key: before.get(key) for key in what} == what else {}
    for seed in arguments.seeds:
        own = runs.setdefault(str(seed), {})
        if set(own) >= {*FORESTS, NOW, THEN}:
            continue
        with tempfile.TemporaryDirectory() as folder:
            samples = samples_of(Path(folder), arguments.climate, arguments.size, seed)
            for name in (*FORESTS, THEN, NOW):
                if name in FORESTS:
                    own[name] = judged(samples, name, seed, arguments.epochs)
                else:
                    commit = arguments.against if name == THEN else None
                    own[name] = elsewhere(samples, seed, commit, arguments.epochs, arguments.threads)
                pixel = own[name]["pixel"]
                print(f"seed {seed} {name}: {pixel['overall_accuracy']:.3f} / {pixel['macro_f1']:.3f}", flush=True)
                arguments.json.write_text(json.dumps({**what, "runs": runs}, indent=1) + "\n", encoding="utf-8")
    found = tell([runs[str(seed)] for seed in arguments.seeds])
    content = {**what, "runs": runs, "now_less_then": found}
    arguments.json.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
