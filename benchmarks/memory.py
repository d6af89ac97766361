"""What `classify` and `descriptors` add to the memory that a process holds, beside MEMORY_MB.

    python benchmarks/memory.py --networks randomforest,ltae,tempcnn,twinns --memory-mb 256,512,1024 --json memory.json

The stack of ``size.py`` (34 Sentinel-2 dates x 10 bands and 24 Sentinel-1 dates x 2; 2,196 pixels a side, shown by
virtual rasters, whose sources GDAL caches) is mapped by a model of each network, in a process of its own for each row,
until so many blocks are done or so many seconds have passed. Held before: the resident size when the first block is
about to be read, so with the model and with what libraries have loaded until then. Added: the largest resident size of
the run less that. With ``--plain`` the images are read as they lie, 1,098 pixels a side.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))
import size
import speed_data
from common import peak_memory_mb
from landloom.model.base.errors import Cancelled
from landloom.model.base.progress import Progress

DESCRIPTORS = "descriptors"


def resident_mb() -> float:
    """Resident size of this process now."""
    status = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in status if line.startswith("VmRSS:")).split()[1]) / 1024


class Until(Progress):
    """Stops a run after some blocks or seconds."""

    def __init__(self, blocks: int, seconds: float) -> None:
        super().__init__()
        self.folder: Path | None = None
        self._blocks, self._seconds = blocks, seconds
        self._end = float("inf")
        self._looked = 0.0
        self.done = 0

    def begin(self) -> None:
        """From now on the seconds count."""
        self._end = time.monotonic() + self._seconds

    def is_cancelled(self) -> bool:
        now = time.monotonic()
        if self.folder is not None and now - self._looked > 0.5:
            self._looked = now
            self.done = max(self.done, len(list(self.folder.glob("block_*[0-9].npz"))))
        return self.done >= self._blocks or now > self._end


def measured(task: dict[str, Any]) -> dict[str, Any]:
    """Map until it is enough: what the process held before and at most."""
    from landloom.model.mapping.pipeline import Pipeline

    found: dict[str, Any] = {}
    progress = Until(task["blocks"], task["seconds"])
    run = Pipeline.run

    def noting(self: Pipeline, pending: Any, *rest: Any) -> None:
        job = self._job
        found.update(held_mb=resident_mb(), threads=job.threads, block=max(one.chunked.pixels for one in pending))
        progress.begin()
        run(self, pending, *rest)

    Pipeline.run = noting  # type: ignore[method-assign]
    progress.folder = Path(f"{task['output']}.parts")
    begin = time.process_time()
    with contextlib.suppress(Cancelled):
        (size.descriptors if task["do"] == DESCRIPTORS else size.classify)(task, progress)
    found |= {"peak_mb": peak_memory_mb(), "cpu_seconds": time.process_time() - begin, "done": progress.done}
    return {**found, "added_mb": found["peak_mb"] - found["held_mb"]}


def main() -> None:
    """Run what was asked for and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", default="randomforest,ltae,tempcnn,twinns,descriptors")
    parser.add_argument("--memory-mb", default="256,512,1024")
    parser.add_argument("--blocks", type=int, default=6, help="done, after which a run is stopped")
    parser.add_argument("--seconds", type=float, default=300.0, help="after which it is stopped in any case")
    parser.add_argument("--plain", action="store_true", help="the images as they are, not in virtual rasters")
    parser.add_argument("--work", type=Path, help="folder of the images (1 GB), kept; temporary by default")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--child", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.child:
        print(json.dumps(measured(json.loads(chosen.child))))
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = chosen.work or Path(temporary)
        stack = str(speed_data.make_data(folder, size.SIDE, 20_000, 1 if chosen.plain else size.SMALL))
        samples = folder / "samples"
        if not samples.exists():
            task = {"do": "sample", "stack": stack, "reference": str(folder / "reference.shp"), "memory_mb": 1024}
            size.result_of(size.start({**task, "output": str(samples), "seconds": 1e9}))
        print("| what | MEMORY_MB | threads | pixels of a block | held before, MB | added at most, MB | of MEMORY_MB |")
        print("|---|---|---|---|---|---|---|", flush=True)
        rows = []
        for name in chosen.networks.split(","):
            network = "ltae" if name == DESCRIPTORS else name
            model = folder / f"{network}.safetensors"
            if not model.exists():
                task = {"do": "train", "samples": str(samples), "network": network, "output": str(model)}
                size.result_of(size.start({**task, "seconds": 1e9}))
            for memory_mb in map(int, chosen.memory_mb.split(",")):
                task = {"do": name, "stack": stack, "model": str(model), "memory_mb": memory_mb}
                task |= {"blocks": chosen.blocks, "seconds": chosen.seconds}
                task["output"] = str(folder / f"{name}_{memory_mb}.tif")
                found = size.result_of(size.start(task, __file__))
                rows.append({"what": name, "memory_mb": memory_mb, **found})
                print(
                    f"| {name} | {memory_mb:,} | {found['threads']} | {found['block']:,} | {found['held_mb']:,.0f} | "
                    f"{found['added_mb']:,.0f} | {found['added_mb'] / memory_mb:.2f} |",
                    flush=True,
                )
        if chosen.json:
            chosen.json.write_text(json.dumps({"plain": chosen.plain, "rows": rows}, indent=1))


if __name__ == "__main__":
    main()
