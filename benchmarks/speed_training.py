"""Speed of training: where the time goes, samples that do not fit into memory, a step beside another version.

    python benchmarks/speed_training.py --folder data --against 573e044 --json training.json

``--folder`` is that of ``speed.py``, which leaves its samples there. Two epochs of each network on some of them; of the
second, samples a second of the clock and of the processor, and the share of the processor's seconds in steps (forward,
backward, weights), in inputs (units, indices, scaling, gaps) and in the rest (reading, shuffling, averaging). Then with
so little memory that samples are read again in each epoch, and last from the disk: before each epoch the system is told
to forget the files, and what it reads anew is counted. ``--threads 1`` keeps the shares apart best.

``--against`` takes the sources of a commit and times steps of ``twinns`` on random batches of 128 in both versions,
taking turns, in processes of their own; the least of several counts.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import json
import mmap
import os
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent))
from common import ROOT, load_package

if TYPE_CHECKING:
    from landloom.model.samples.store import SampleStore

BATCH = 128
SMALL_MB = 16  # the least that MEMORY_MB may be
STEPS = 8


def epochs(folder: Path, network: str, samples: int, memory_mb: int, threads: int, cold: bool) -> dict[str, float]:
    """What the second of two epochs took; ``cold``: from the disk."""
    load_package()
    from landloom.model.base.progress import Progress
    from landloom.model.samples.store import SampleStore
    from landloom.model.training import trainer
    from landloom.model.training.loop import fit
    from landloom.model.training.member import MemberTraining
    from landloom.model.training.settings import TrainingSettings
    from landloom.model.training.source import InputSource

    store = SampleStore.open(folder / "samples")
    some = np.sort(np.random.default_rng(0).permutation(store.indices(0))[:samples])
    settings = TrainingSettings(network=network, epochs=2, evaluation="holdout", device="cpu", memory_mb=memory_mb)
    spent: dict[str, float] = {}
    plain = MemberTraining._epoch

    def epoch(self: MemberTraining, number: int) -> float:
        if cold:
            forget(store, folder / "samples")
        spent.clear()
        wall, cores, own, read = time.monotonic(), time.process_time(), time.thread_time(), bytes_read()
        try:
            return plain(self, number)
        finally:
            spent["seconds"], spent["processor"] = time.monotonic() - wall, time.process_time() - cores
            spent["thread"], spent["read"] = time.thread_time() - own, bytes_read() - read

    with contextlib.ExitStack() as stack:
        stack.callback(setattr, MemberTraining, "_epoch", plain)
        stack.callback(setattr, trainer, "thread_count", trainer.thread_count)
        MemberTraining._epoch = epoch  # type: ignore[method-assign]
        trainer.thread_count = lambda: threads
        for owner, method in ((MemberTraining, "_step"), (InputSource, "_inputs"), (InputSource, "_read_batches")):
            stack.enter_context(watched(owner, method, spent))
        fit(store, some, some[:0], settings, Progress())
    inputs, prepared = spent.get("_inputs", 0.0), spent.get("_read_batches", 0.0)
    rest = prepared - inputs + spent["thread"] - spent["_step"]
    return {
        "samples_per_second": len(some) / spent["seconds"],
        "samples_per_processor_second": len(some) / spent["processor"],
        "share_of_steps": 1 - (inputs + rest) / spent["processor"],
        "share_of_inputs": inputs / spent["processor"],
        "share_of_the_rest": rest / spent["processor"],
        "mb_from_disk": spent["read"] / 2**20,
    }


@contextlib.contextmanager
def watched(owner: type, method: str, spent: dict[str, float]) -> Iterator[None]:
    """Add up the processor's seconds that a method takes in the thread that calls it."""
    plain = getattr(owner, method)

    def timed(*arguments: Any) -> Any:
        begin = time.thread_time()
        try:
            return plain(*arguments)
        finally:
            spent[method] = spent.get(method, 0.0) + time.thread_time() - begin

    setattr(owner, method, timed)
    try:
        yield
    finally:
        setattr(owner, method, plain)


def forget(store: SampleStore, folder: Path) -> None:
    """Have the system let go of what it holds of a store's files (Linux)."""
    for array in (*store._values.values(), *store._masks.values()):
        held: Any = array
        while held is not None and not isinstance(held, mmap.mmap):
            held = getattr(held, "base", None)
        if held is not None:
            held.madvise(mmap.MADV_DONTNEED)
    for path in folder.glob("*.npy"):
        with path.open("rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def bytes_read() -> int:
    """What this process has read from disks so far; 0 where the system does not tell."""
    path = Path("/proc/self/io")
    lines = path.read_text(encoding="ascii").splitlines() if path.exists() else []
    return next((int(line.split()[1]) for line in lines if line.startswith("read_bytes")), 0)


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
        for name, memory in (("in_memory", 1024), ("read_again", SMALL_MB), ("from_disk", SMALL_MB)):
            cold = name == "from_disk"
            one = epochs(Path(arguments.folder), network, samples, memory, arguments.threads, cold)
            figures.setdefault(network, {})[name] = one
    if arguments.against:
        figures["step_of_twinns"] = beside(arguments.against, arguments.threads, arguments.rounds)
    Path(arguments.json).write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
