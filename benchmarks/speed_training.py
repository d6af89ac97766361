"""Speed of training: how much of an epoch is arithmetic, samples larger than memory, a step beside another version.

    python benchmarks/speed_training.py --folder data --against 573e044 --json training.json

``--folder`` is that of ``speed.py``, which leaves its samples there. Two epochs of each network on some of them: the
share of the second that is spent in steps (forward, backward, weights), the rest being batches and averaging; then once
more with so little memory that samples are read again in each epoch. ``--against`` takes the sources of a commit and
times steps of ``twinns`` on random batches of 128 in both versions, taking turns, in processes of their own; the least
of several counts.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent))
from common import ROOT, load_package

BATCH = 128
SMALL_MB = 16  # the least that MEMORY_MB may be
STEPS = 8


def epochs(folder: Path, network: str, samples: int, memory_mb: int) -> dict[str, float]:
    """Samples a second of the second epoch, and the share of its time in steps."""
    load_package()
    from landloom.model.base.progress import Progress
    from landloom.model.samples.store import SampleStore
    from landloom.model.training.loop import fit
    from landloom.model.training.member import MemberTraining
    from landloom.model.training.settings import TrainingSettings

    spent: list[float] = []
    plain = MemberTraining._step

    def timed(self: MemberTraining, *arguments: Any) -> float:
        begin = time.monotonic()
        try:
            return plain(self, *arguments)
        finally:
            spent.append(time.monotonic() - begin)

    store = SampleStore.open(folder / "samples")
    training = store.indices(0)
    some = np.sort(np.random.default_rng(0).permutation(training)[:samples])
    settings = TrainingSettings(network=network, epochs=2, evaluation="holdout", device="cpu", memory_mb=memory_mb)
    MemberTraining._step = timed  # type: ignore[method-assign]
    try:
        history = fit(store, some, some[:0], settings, Progress()).history
    finally:
        MemberTraining._step = plain  # type: ignore[method-assign]
    second = spent[len(spent) // 2 :]
    seconds = history[-1]["seconds"]
    return {"samples_per_second": len(some) / seconds, "arithmetic_share": sum(second) / seconds}


def step(root: Path, threads: int) -> dict[str, float]:
    """Samples a second, and a second of a core, of training steps of ``twinns`` as the sources in ``root`` have it."""
    places = [str(root)]
    spec = importlib.util.spec_from_file_location("landloom", root / "__init__.py", submodule_search_locations=places)
    if spec is None or spec.loader is None:
        raise RuntimeError(f"{root} holds no package")
    sys.modules["landloom"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules["landloom"])
    import torch
    from landloom.model.networks.base import SensorInput, SensorShape
    from landloom.model.networks.twinns import Twinns
    from torch.nn import functional

    torch.set_num_threads(threads)
    torch.manual_seed(0)
    shapes = {"S2": SensorShape("optical", 12, 35), "S1": SensorShape("radar", 3, 36)}
    network = Twinns(shapes, 10).train()
    try:
        from landloom.model.training.member import optimiser as make
    except ImportError:  # the first version had no training yet
        optimiser = torch.optim.AdamW(network.parameters(), 1e-3)
    else:
        optimiser = make(list(network.parameters()), 1e-3, 1e-2, torch.device("cpu"))
    inputs = {}
    for (name, shape), dates in zip(shapes.items(), (24, 30), strict=True):
        mask = torch.rand(BATCH, dates, 5, 5) > 0.1
        x = torch.rand(dates, shape.channels, BATCH, 5, 5).movedim(2, 0) * mask.unsqueeze(2)
        filled = torch.rand(shape.target_dates, shape.channels + 1, BATCH, 5, 5).movedim(2, 0)
        inputs[name] = SensorInput(x, mask, torch.arange(dates) * 12.0, filled)
    labels = torch.randint(0, 10, (BATCH,))
    wall, cores = [], []
    for _ in range(STEPS + 2):
        begin, cpu = time.monotonic(), time.process_time()
        optimiser.zero_grad(set_to_none=True)
        found = network(inputs)
        loss = functional.cross_entropy(found.logits[:, :, 0, 0], labels)
        for one in found.auxiliary.values():
            loss = loss + 0.3 * functional.cross_entropy(one[:, :, 0, 0], labels)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        wall.append(time.monotonic() - begin)
        cores.append(time.process_time() - cpu)
    return {"samples_per_second": BATCH / min(wall[2:]), "samples_per_cpu_second": BATCH / min(cores[2:])}


def beside(commit: str, threads: int, rounds: int) -> dict[str, Any]:
    """Steps of a commit's version and of this one, in turns; the best of each."""
    with tempfile.TemporaryDirectory() as folder:
        packed, other = Path(folder) / "sources.zip", Path(folder) / "sources"
        words = ["git", "-C", str(ROOT), "archive", "--format=zip", "-o", str(packed), commit]
        subprocess.run(words, check=True)
        with zipfile.ZipFile(packed) as file:
            file.extractall(other)
        found: dict[str, list[dict[str, float]]] = {"then": [], "now": []}
        for _ in range(rounds):
            for name, root in (("then", other), ("now", ROOT)):
                words = [sys.executable, "-W", "ignore", __file__, "--step", str(root), "--threads", str(threads)]
                done = subprocess.run(words, capture_output=True, text=True, check=True)
                found[name].append(json.loads(done.stdout.splitlines()[-1]))
    best = {name: {key: max(run[key] for run in runs) for key in runs[0]} for name, runs in found.items()}
    ratios = {key: best["now"][key] / best["then"][key] for key in best["now"]}
    return {"commit": commit, "threads": threads, **best, "ratio": ratios}


def main(words: list[str] | None = None) -> int:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", help="of speed.py, with its samples")
    parser.add_argument("--networks", default="ltae,tempcnn,twinns", help="names, separated by commas")
    parser.add_argument("--samples", type=int, default=16_000, help="of an epoch; an eighth of it for twinns")
    parser.add_argument("--against", help="a commit whose twinns is timed too")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", help="where the figures go")
    parser.add_argument("--step", help=argparse.SUPPRESS)
    arguments = parser.parse_args(words)
    if arguments.step:
        print(json.dumps(step(Path(arguments.step), arguments.threads)))
        return 0
    if not arguments.json or not (arguments.folder or arguments.against):
        parser.error("--json is needed, and --folder or --against")
    figures: dict[str, Any] = {}
    for network in arguments.networks.split(",") if arguments.folder else ():
        samples = arguments.samples // 8 if network == "twinns" else arguments.samples
        for name, memory in (("in_memory", 1024), ("read_again", SMALL_MB)):
            figures.setdefault(network, {})[name] = epochs(Path(arguments.folder), network, samples, memory)
    if arguments.against:
        figures["step_of_twinns"] = beside(arguments.against, arguments.threads, arguments.rounds)
    Path(arguments.json).write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
