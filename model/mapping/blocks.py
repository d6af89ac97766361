"""``landloom blocks``: a map in array jobs of Slurm or PBS, without Dask.

``plan`` lays out the blocks of a map and writes the scripts, ``run`` computes a range of them into their parts,
``assemble`` makes the map of these. Each is a program of its own; what they share is the folder of parts.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shlex
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from ..base.elsewhere import ORDER, Planned, read_order
from ..base.errors import Cancelled, LandloomError
from ..base.files import whole_file, write_json
from ..base.language import tr
from ..base.progress import PrintedProgress, Progress
from .blockwork import THREADS, StillWanted, open_session, own_threads
from .classify import classify
from .cluster import difference, this_machine, versions
from .descriptors import map_descriptors
from .journal import Journal, parts_folder
from .regionblend import RegionChoice

QUEUES = ("slurm", "pbs")
ALGORITHMS: dict[str, Callable[..., Any]] = {"classify": classify, "descriptors": map_descriptors}
SELDOM = 30.0
"""Seconds between two lines of a job's log about how far it is."""
OVERHEAD_MB = 2048
"""What a process takes beside MEMORY_MB, PyTorch included; for the memory asked of the queue."""


class _Later:
    """Stands for the jobs: writes down what they must agree on, and computes nothing."""

    def __init__(self) -> None:
        self._network = True

    def device(self, asked: str, network: bool) -> str:
        self._network = network
        return asked if network else "cpu"

    def path(self, path: str) -> str:
        return path

    def compute(self, order: Path, pieces: Mapping[int, int], part: Callable[[int], Path], progress: Progress) -> None:
        ours = {name: version for name, version in versions().items() if self._network or name != "torch"}
        write_json(order, {**read_order(order), "versions": ours})
        raise Planned(pieces)


class _Printed(StillWanted):
    """Progress of a job: lines on standard error; it stops when the order is gone."""

    def __init__(self, order: str, run: str) -> None:
        super().__init__(order, run)
        self._printed = PrintedProgress()
        self._told = 0.0

    def info(self, message: str) -> None:
        self._printed.info(message)

    def warning(self, message: str) -> None:
        self._printed.warning(message)

    def text(self, message: str) -> None:
        if time.monotonic() - self._told > SELDOM:
            self._told = time.monotonic()
            self._printed.info(message)


def plan(algorithm: str, arguments: Mapping[str, Any], mask: str | None = None, threads: int | None = None) -> Path:
    """Lay out the blocks of a map; parts that are there already stay.

    Args:
        algorithm: ``classify`` or ``descriptors``.
        arguments: of that function; all paths absolute.
        mask: as for that function.
        threads: of a job, by which the size of blocks is measured.

    Returns:
        the folder of parts.

    Raises:
        LandloomError: as the function; if nothing is left to compute, the map has been made.
    """
    with contextlib.suppress(Planned):
        ALGORITHMS[algorithm](**arguments, mask=mask, threads=threads, progress=PrintedProgress(), elsewhere=_Later())
        raise LandloomError(
            tr("Every block was there already: {arguments} has been assembled.").format(arguments=arguments["output"])
        )
    return parts_folder(arguments["output"])


def count(folder: Path) -> int:
    """How many blocks a plan has.

    Raises:
        LandloomError: if there is none.
    """
    content = Journal(folder).read()
    if content is None:
        raise LandloomError(tr("{folder} holds no plan: make one with 'landloom blocks plan'.").format(folder=folder))
    return len(content["blocks"])


def compute(folder: Path, first: int, last: int, threads: int | None = None) -> None:
    """Compute the blocks ``first`` to ``last``, both included; those that have a part are skipped.

    Raises:
        LandloomError: if there is no such block, versions differ from those of the plan, or a file cannot be read.
    """
    path = folder / ORDER
    order = read_order(path)
    total = count(folder)
    if not 0 <= first <= last < total:
        raise LandloomError(
            tr("--from {first} --to {last} is no range of the {total} blocks 0 to {total2}.").format(
                first=first, last=last, total=total, total2=total - 1
            )
        )
    ours = order.get("versions", {})
    apart = difference(versions(), ours, True, this_machine())
    if apart:
        raise LandloomError(apart.replace("this machine", "the one that planned the run"))
    progress = _Printed(str(path), order["run"])
    with contextlib.ExitStack() as stack:
        try:
            session = open_session(order, folder, threads or own_threads(), stack)
            session.compute(range(first, last + 1), progress)
        except Cancelled as error:
            raise LandloomError(
                tr("The run of {folder} has ended, or another one has begun: nothing is needed.").format(folder=folder)
            ) from error
    progress.info(tr("Blocks {first} to {last} of {total} are there.").format(first=first, last=last, total=total))


def assemble(folder: Path) -> None:
    """Make the files of the parts, and remove these.

    Raises:
        LandloomError: naming the blocks that have no part yet.
    """
    order = read_order(folder / ORDER)
    arguments = dict(order["arguments"])
    try:
        if arguments.get("regions"):
            arguments["regions"] = RegionChoice(**arguments["regions"])
        ALGORITHMS[order["algorithm"]](**arguments, mask=order["mask"], progress=PrintedProgress(), elsewhere=_Later())
    except Planned as planned:
        raise LandloomError(
            tr(
                "These blocks are not there yet: {ranges}. Compute them with 'landloom blocks run {quote} "
                "--from N --to N', then assemble again."
            ).format(ranges=ranges(planned.pieces), quote=shlex.quote(str(folder)))
        ) from planned


def ranges(numbers: Iterable[int]) -> str:
    """Numbers in words: ``0-3, 7``."""
    found: list[list[int]] = []
    for number in sorted(numbers):
        if found and number == found[-1][1] + 1:
            found[-1][1] = number
        else:
            found.append([number, number])
    return ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in found)


def span(index: int, jobs: int, total: int) -> tuple[int, int]:
    """First and last block of an array job; the scripts reckon the same."""
    return index * total // jobs, (index + 1) * total // jobs - 1


def scripts(
    folder: Path,
    queue: str,
    jobs: int,
    cpus: int,
    memory_mb: int,
    longest: str,
    gpu: bool,
    options: Iterable[str],
    command: str,
) -> dict[str, str]:
    """The shell scripts: of the array, of the job that assembles, and the one that sends both off, by name.

    Args:
        folder: of parts.
        queue: ``slurm`` or ``pbs``.
        jobs: of the array, at most one a block.
        cpus: of a job.
        memory_mb: of a job.
        longest: time of a job, ``HH:MM:SS``.
        gpu: whether a job gets a GPU.
        options: further lines for the queue, without ``#SBATCH`` or ``#PBS``.
        command: how a job calls ``landloom``.
    """
    total = count(folder)
    jobs = max(1, min(jobs, total))
    name = folder.name.removesuffix(".parts")
    place = shlex.quote(str(folder))
    if queue == "slurm":
        asked = [
            f"--cpus-per-task={cpus}",
            f"--mem={memory_mb}M",
            f"--time={longest}",
            *(["--gres=gpu:1"] if gpu else []),
        ]
        # A job whose node failed, or that made room for others, goes on in the same log.
        header = [f"#SBATCH {one}" for one in ("--ntasks=1", "--requeue", "--open-mode=append", *asked, *options)]
        array, index = f"#SBATCH --array=0-{jobs - 1}", "$SLURM_ARRAY_TASK_ID"
        send = (
            # Without the last option the second job would wait for ever after a failure of the first.
            'job=$(sbatch --parsable "$here/{array}")\n'
            'sbatch --dependency="afterok:${{job%%;*}}" --kill-on-invalid-dep=yes "$here/{assemble}"\n'
        )
    else:
        asked = [f"-l select=1:ncpus={cpus}:mem={memory_mb}mb{':ngpus=1' if gpu else ''}", f"-l walltime={longest}"]
        header = [f"#PBS {one}" for one in (*asked, *options)]
        array, index = f"#PBS -J 0-{jobs - 1}", "$PBS_ARRAY_INDEX"
        if jobs == 1:  # PBS refuses an array of one
            array, index = "#", "0"
        send = 'job=$(qsub "$here/{array}")\nqsub -W depend="afterok:$job" "$here/{assemble}"\n'
    names = {kind: f"{name}.{kind}.sh" for kind in ("array", "assemble", "submit")}
    threads = f"export {THREADS}={cpus}"
    return {
        names["array"]: "\n".join(
            [
                "#!/bin/sh",
                *header,
                array,
                f"# Computes blocks of {name}: {jobs} jobs over {total} blocks. A job that is sent off again goes on.",
                "set -eu",
                threads,
                f"index={index}",
                f"first=$((index * {total} / {jobs}))",
                f"last=$(((index + 1) * {total} / {jobs} - 1))",
                f'exec {command} blocks run {place} --from "$first" --to "$last"',
                "",
            ]
        ),
        names["assemble"]: "\n".join(
            ["#!/bin/sh", *header, "set -eu", threads, f"exec {command} blocks assemble {place}", ""]
        ),
        names["submit"]: "#!/bin/sh\n# Sends off the array, and the job that assembles when all of it has succeeded.\n"
        'set -eu\nhere=$(cd "$(dirname "$0")" && pwd)\n' + send.format(**{k: _plain(v) for k, v in names.items()}),
    }


def _plain(name: str) -> str:
    """A file name between double quotes of a shell."""
    return "".join(f"\\{one}" if one in '"$`\\' else one for one in name)


# ---------------------------------------------------------------------- the command


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the command."""
    actions = parser.add_subparsers(dest="action", required=True)
    one = actions.add_parser("plan", help="lay out the blocks and write the scripts of the jobs")
    one.add_argument("algorithm", choices=sorted(ALGORITHMS))
    for name, needed, text in (
        ("stack", True, "a stack.json"),
        ("model", True, "a model"),
        ("output", True, "the raster to make, in a folder that all machines share"),
        ("mask", False, "polygons or a raster; file.gpkg|layername=name names a layer"),
    ):
        one.add_argument(f"--{name}", required=needed, help=text)
    one.add_argument(
        "--extent", nargs=4, type=float, metavar=("XMIN", "YMIN", "XMAX", "YMAX"), help="in the stack's CRS"
    )
    one.add_argument("--memory-mb", type=int, default=4096, help="working memory of a job (default 4096)")
    one.add_argument("--device", choices=("cpu", "cuda", "mps"), default="cpu", help="of the jobs (default cpu)")
    one.add_argument("--confidence", help="classify: raster of confidence")
    one.add_argument("--probabilities", help="classify: raster of probabilities")
    one.add_argument("--level", type=int, default=0, help="classify: level of the classes")
    one.add_argument("--unsure-error", type=float, help="classify: share of errors accepted, 0 to 0.5")
    one.add_argument("--regions", help="classify: polygons of regions that the model was trained with")
    one.add_argument("--region-field", help="classify: field of the regions' names")
    one.add_argument("--blend", type=float, default=500.0, help="classify: metres of blending at borders (default 500)")
    one.add_argument("--branch", default="fused", help="descriptors: branch")
    one.add_argument("--dimensions", type=int, default=16, help="descriptors: number of bands, 0 for all")
    one.add_argument("--dtype", choices=("float32", "int16"), default="float32", help="descriptors: type of values")
    one.add_argument("--queue", choices=QUEUES, default="slurm")
    one.add_argument("--jobs", type=int, default=10, help="jobs of the array (default 10)")
    one.add_argument("--cpus", type=int, default=8, help="processors of a job (default 8)")
    one.add_argument("--time", default="12:00:00", help="longest time of a job (default 12:00:00)")
    one.add_argument(
        "--option", action="append", default=[], help="a further line for the queue, such as --option=--partition=short"
    )
    one.add_argument("--scripts", help="folder of the scripts; default: that of the output")
    one.add_argument("--command", default="", help="how a job calls landloom; default: this Python")
    one.set_defaults(run=_plan)
    for name, text, work in (
        ("run", "compute a range of blocks", _run),
        ("assemble", "make the raster of the blocks", _assemble),
        ("status", "tell how many blocks are there", _status),
    ):
        one = actions.add_parser(name, help=text)
        one.add_argument("parts", help="the folder OUTPUT.parts")
        if name == "run":
            one.add_argument("--from", dest="first", type=int, required=True, help="first block, from 0")
            one.add_argument("--to", dest="last", type=int, required=True, help="last block, included")
            one.add_argument("--threads", type=int, help=f"computing threads; default: {THREADS}, or all processors")
        one.set_defaults(run=work)


def _plan(given: argparse.Namespace) -> int:
    for name, least in (("jobs", 1), ("cpus", 1), ("memory_mb", 64)):
        if getattr(given, name) < least:
            raise LandloomError(
                tr("--{name} is {getattr}: give {least} or more.").format(
                    name=name.replace("_", "-"), getattr=getattr(given, name), least=least
                )
            )
    shared: dict[str, Any] = {
        "stack": os.path.abspath(given.stack),
        "model": os.path.abspath(given.model),
        "output": os.path.abspath(given.output),
        "bounds": tuple(given.extent) if given.extent else None,
        "memory_mb": given.memory_mb,
        "device": given.device,
    }
    if given.algorithm == "classify":
        more = {name: getattr(given, name) for name in ("confidence", "probabilities")}
        own = {name: os.path.abspath(path) if path else None for name, path in more.items()}
        shared |= {**own, "level": given.level, "unsure_error": given.unsure_error, "regions": _regions(given)}
    else:
        shared |= {"branch": given.branch, "dimensions": given.dimensions, "dtype": given.dtype}
    folder = plan(given.algorithm, shared, _layer(given.mask) if given.mask else None, given.cpus)
    command = given.command or f"{shlex.quote(sys.executable)} -m landloom.model.mapping.console"
    made = scripts(
        folder,
        given.queue,
        given.jobs,
        given.cpus,
        given.memory_mb + OVERHEAD_MB,
        given.time,
        given.device == "cuda",
        given.option,
        command,
    )
    place = Path(given.scripts) if given.scripts else folder.parent
    for name, text in made.items():
        with whole_file(place / name) as temporary:
            temporary.write_text(text, encoding="utf-8")
            temporary.chmod(0o755)
    print(f"{count(folder)} blocks. Send the jobs off with: sh {shlex.quote(str(place / list(made)[-1]))}")
    return 0


def _layer(text: str) -> str:
    """A layer by its absolute path; ``file.gpkg|layername=name`` names one of several."""
    path, *layer = text.split("|")
    return "|".join([os.path.abspath(path), *layer])


def _regions(given: argparse.Namespace) -> RegionChoice | None:
    if bool(given.regions) != bool(given.region_field):
        raise LandloomError(tr("Give both --regions and --region-field, the layer and its field, or none of them."))
    return RegionChoice(_layer(given.regions), given.region_field, given.blend) if given.regions else None


def _run(given: argparse.Namespace) -> int:
    compute(Path(os.path.abspath(given.parts)), given.first, given.last, given.threads)
    return 0


def _assemble(given: argparse.Namespace) -> int:
    assemble(Path(os.path.abspath(given.parts)))
    return 0


def _status(given: argparse.Namespace) -> int:
    folder = Path(os.path.abspath(given.parts))
    output = folder.with_suffix("")
    if not folder.exists() and output.exists():
        print(f"{output} is there: nothing is left to be done.")
        return 0
    total, done = count(folder), len(list(folder.glob("block_*[0-9].npz")))
    print(f"{done} of {total} blocks are there. (Blocks without anything to map never are.)")
    return 0
