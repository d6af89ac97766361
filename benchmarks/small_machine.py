"""The whole chain with the forest on a machine of 4 GB and 2 cores: whether it goes through, and what each step takes.

    python benchmarks/small_machine.py --size 1000 --json small.json

The sample scene (simulated, tropical: a season of Sentinel-2 with masks, and of Sentinel-1) is made at that size, and
every step runs in a ``qgis_process`` of its own with MEMORY_MB=512, on two cores, in a control group whose memory is
limited to 4 GB without swap: the kernel kills what needs more. The limit counts files that lie in the system's cache
too, which gives them back under need. Peak memory is the largest resident size of the process. Where control groups may
not be made (they need an administrator), nothing is limited, and it is said. Seconds of a busy machine are too long;
those of the processor, all threads together, are not.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
V1, V2 = Path("/sys/fs/cgroup/memory"), Path("/sys/fs/cgroup")


class Limit:
    """A control group with so much memory, of version 1 or 2.

    Args:
        megabytes: the limit.
    """

    def __init__(self, megabytes: int) -> None:
        self.new = (V2 / "cgroup.controllers").exists()
        self.folder = (V2 if self.new else V1) / f"landloom-{os.getpid()}"
        self.folder.mkdir()
        size = str(megabytes * 2**20)
        if self.new:
            (self.folder / "memory.max").write_text(size)
            swap = self.folder / "memory.swap.max"
        else:
            (self.folder / "memory.limit_in_bytes").write_text(size)
            swap = self.folder / "memory.memsw.limit_in_bytes"
        if swap.exists():
            swap.write_text("0" if self.new else size)

    def enter(self) -> None:
        """Put the calling process in."""
        (self.folder / "cgroup.procs").write_text(str(os.getpid()))

    def killed(self) -> int:
        """How many processes the kernel has killed for want of memory."""
        events = self.folder / ("memory.events" if self.new else "memory.oom_control")
        found = dict(line.split() for line in events.read_text().splitlines())
        return int(found.get("oom_kill", 0))

    def remove(self) -> None:
        """Give it back."""
        with contextlib.suppress(OSError):
            self.folder.rmdir()


def steps(work: Path, size: int, memory_mb: int) -> Iterator[tuple[str, dict[str, object]]]:
    """Algorithms with their parameters, in order."""

    def at(name: str) -> str:
        return str(work / name)

    memory = {"MEMORY_MB": memory_mb}
    reference = {"REFERENCE": at("scene/reference.gpkg"), "CLASS_FIELD": "class"}
    stack = {"STACK": at("stack.json"), **memory}
    objects = {**stack, "SEGMENTS": at("segments.tif")}
    yield "samplescene", {"SIZE": size, "OUTPUT": at("scene")}
    yield "preparestack", {"INPUT": at("scene"), "OUTPUT": at("stack.json"), "REPORT": at("stack.html")}
    yield "nomenclature", {**reference, "OUTPUT": at("classes.csv")}
    yield "check", {"STACK": at("stack.json"), **reference, "REPORT": at("check.html")}
    yield "composite", {**stack, "SENSOR": "S2", "OUTPUT": at("composites")}
    yield "extractsamples", {**stack, **reference, "OUTPUT": at("samples"), "REPORT": at("samples.html")}
    train = {"SAMPLES": [at("samples")], "NETWORK": "randomforest", "DEVICE": "cpu", **memory}
    yield "train", {**train, "OUTPUT": at("model.safetensors"), "REPORT": at("training.html")}
    classify = {**stack, "MODEL": at("model.safetensors"), "DEVICE": "cpu"}
    yield "classify", {**classify, "OUTPUT": at("map.tif"), "CONFIDENCE": at("confidence.tif")}
    yield "assess", {"MAP": at("map.tif"), **reference, "SAMPLES": at("samples"), **memory, "REPORT": at("assess.html")}
    yield "regularise", {"MAP": at("map.tif"), "MIN_AREA": 0.1, **memory, "OUTPUT": at("regular.tif")}
    yield "vectorise", {"MAP": at("regular.tif"), **memory, "OUTPUT": at("map.gpkg")}
    yield "areas", {"MAP": at("regular.tif"), **memory, "OUTPUT": at("areas.csv")}
    yield "segment", {**stack, "SENSOR": "S2", "SCALE": 6, "OUTPUT": at("segments.tif")}
    yield "trainobjects", {**objects, **reference, "OUTPUT": at("objects.safetensors")}
    yield "classifyobjects", {**objects, "MODEL": at("objects.safetensors"), "OUTPUT": at("objects.gpkg")}
    yield "layout", {"MAP": at("regular.tif"), "OUTPUT": at("page.pdf"), "PACKAGE": at("share.zip")}


def run(algorithm: str, inputs: dict[str, object], limit: Limit | None, cores: int) -> dict[str, object]:
    """One step in a process of its own: seconds, seconds of the processor, peak memory.

    Raises:
        SystemExit: if it fails.
    """

    def enter() -> None:
        if limit is not None:
            limit.enter()
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cores])

    start = time.monotonic()
    with tempfile.TemporaryFile("w+") as given, tempfile.TemporaryFile("w+") as log:
        json.dump({"inputs": inputs}, given)
        given.seek(0)
        child = subprocess.Popen(
            [str(ROOT / "scripts" / "qgis_process"), "--json", "run", f"landloom:{algorithm}", "-"],
            stdin=given,
            stdout=log,
            stderr=subprocess.STDOUT,
            preexec_fn=enter,  # noqa: PLW1509 - this program has one thread
        )
        _pid, status, used = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode:
            log.seek(0)
            print(log.read()[-4000:])
            killed = limit.killed() if limit else 0
            sys.exit(f"{algorithm} failed with {child.returncode}; killed for want of memory: {killed}")
    return {
        "algorithm": algorithm,
        "seconds": time.monotonic() - start,
        "cpu_seconds": used.ru_utime + used.ru_stime,
        "peak_memory_mb": used.ru_maxrss / 1024,
    }


def main() -> None:
    """Run all steps and print a table for docs/benchmarks.md."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=1000, help="rows and columns of the scene")
    parser.add_argument("--memory-mb", type=int, default=512, help="MEMORY_MB of every step")
    parser.add_argument("--limit-mb", type=int, default=4096, help="memory of the machine")
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--folder", type=Path, help="where to work; a temporary folder by default")
    parser.add_argument("--only", default="", help="steps to run, separated by commas, upon what --folder holds")
    parser.add_argument("--json", type=Path, help="also write the figures there")
    arguments = parser.parse_args()
    limit = None
    try:
        limit = Limit(arguments.limit_mb)
    except OSError as error:
        print(f"No control group ({error}): nothing is limited, memory is measured only.")
    rows = []
    with contextlib.ExitStack() as stack:
        if limit is not None:
            stack.callback(limit.remove)
        work = arguments.folder or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        work.mkdir(parents=True, exist_ok=True)
        for algorithm, inputs in steps(work, arguments.size, arguments.memory_mb):
            if arguments.only and algorithm not in arguments.only.split(","):
                continue
            rows.append(run(algorithm, inputs, limit, arguments.cores))
            print(
                "| `{algorithm}` | {seconds:.1f} | {cpu_seconds:.1f} | {peak_memory_mb:,.0f} |".format(**rows[-1]),
                flush=True,
            )
        killed = limit.killed() if limit else None
    result = {
        "size": arguments.size,
        "memory_mb": arguments.memory_mb,
        "limit_mb": arguments.limit_mb if limit else None,
        "killed": killed,
        "cores": arguments.cores,
        "python": platform.python_version(),
        "steps": rows,
    }
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(f"all steps: {sum(row['seconds'] for row in rows):.0f} s; killed for want of memory: {result['killed']}")


if __name__ == "__main__":
    main()
