"""``landloom worker``: Dask workers of this machine, one for each GPU, or one that uses all its cores."""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess  # nosec B404 # lists GPUs and starts workers of this Python, with lists of arguments and no shell
import sys
import time
from collections.abc import Mapping, Sequence

from ..base.device import thread_count
from ..base.errors import LandloomError
from ..base.language import tr
from ..base.optional import need
from .blockwork import THREADS

VISIBLE = "CUDA_VISIBLE_DEVICES"


def assignments(processes: int, gpus: Sequence[str], cores: int) -> list[dict[str, str]]:
    """The environment of each worker: one GPU each, where there are any, and its share of the cores.

    Args:
        processes: how many; 0 for one a GPU, or one without GPUs.
        gpus: numbers or UUIDs, as ``CUDA_VISIBLE_DEVICES`` takes them; workers take turns on them.
        cores: of the machine.
    """
    count = processes or max(1, len(gpus))
    found = []
    for number in range(count):
        share = cores // count + (number < cores % count)
        one = {THREADS: str(max(1, share))}
        if gpus:
            one[VISIBLE] = gpus[number % len(gpus)]
        found.append(one)
    return found


def gpus_here(environment: Mapping[str, str]) -> list[str]:
    """The GPUs that this process may use: those of ``CUDA_VISIBLE_DEVICES``, else all that ``nvidia-smi`` lists."""
    if VISIBLE in environment:  # set by Slurm and PBS for a job; empty or -1 hides all
        listed = [one.strip() for one in environment[VISIBLE].split(",") if one.strip()]
        return [] if "-1" in listed else listed
    program = shutil.which("nvidia-smi")
    if program is None:
        return []
    listing = [program, "--list-gpus"]
    done = subprocess.run(listing, capture_output=True, text=True, timeout=60, check=False)  # nosec B603 # constant
    return [str(number) for number, _ in enumerate(one for one in done.stdout.splitlines() if one.startswith("GPU "))]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the command."""
    parser.add_argument("scheduler", help="address of the scheduler, such as tcp://host:8786")
    parser.add_argument(
        "--processes", type=int, default=0, help="workers on this machine; default: one a GPU, else one with all cores"
    )
    parser.add_argument("--gpus", help="GPUs to use, such as 0,1; 'none' for none; default: all that are visible")
    parser.add_argument("--memory-limit", default="0", help="of each worker, as 'dask worker' takes it; default: none")
    parser.add_argument("--name", default="", help="of the workers, in messages of the scheduler")


def run(arguments: argparse.Namespace) -> int:
    """Start the workers and wait for them; all end together.

    Raises:
        LandloomError: if Dask is missing or a number makes no sense.
    """
    need("distributed.cli.dask_worker", "A worker")
    if arguments.processes < 0:
        raise LandloomError(tr("--processes is {processes}: give 1 or more.").format(processes=arguments.processes))
    if arguments.gpus is None:
        gpus = gpus_here(os.environ)
    else:
        gpus = [one.strip() for one in arguments.gpus.split(",") if one.strip() and one.strip() != "none"]
    workers = assignments(arguments.processes, gpus, thread_count())
    children: list[subprocess.Popen[bytes]] = []
    try:
        for number, environment in enumerate(workers):
            print(f"Worker {number + 1} of {len(workers)}: {environment}", file=sys.stderr, flush=True)
            line, own = command(arguments, number), {**os.environ, **environment}
            children.append(subprocess.Popen(line, env=own))  # nosec B603 # this Python, arguments as a list
        while all(child.poll() is None for child in children):
            time.sleep(0.2)
        return max(abs(child.poll() or 0) for child in children)
    except KeyboardInterrupt:
        return 0
    finally:
        for child in children:
            child.terminate()
        for child in children:
            try:
                child.wait(20)
            except subprocess.TimeoutExpired:
                child.kill()


def command(arguments: argparse.Namespace, number: int) -> list[str]:
    """The command of one worker: a task computes with threads of its own, so Dask's worker has one."""
    line = [sys.executable, "-m", "distributed.cli.dask_worker", arguments.scheduler, "--nthreads", "1"]
    line += ["--memory-limit", arguments.memory_limit, "--no-dashboard"]
    if arguments.name:
        line += ["--name", f"{arguments.name}-{number}"]
    return line
