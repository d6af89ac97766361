"""Install packages with pip into Landloom's own folder, without touching any package of QGIS.

First pip is asked, in a dry run that sees what QGIS holds and may change none of it, which packages are missing; then
exactly those go into a new folder, which takes the place of the last one when it is whole. Every package of QGIS is
pinned, not numpy alone: the folder is last on the path, so a newer copy of a package that QGIS holds would never be
read, and what needs it would fail. pip allows both steps on systems whose Python is managed by the distribution
(PEP 668), since nothing is installed into that Python.
"""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import subprocess  # nosec B404 # runs the interpreter of QGIS with a list of arguments and no shell
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distributions, version
from pathlib import Path
from urllib.parse import urlparse
from urllib.request import url2pathname

from .failures import explain
from .folder import pending_folder, put_in_place, size_of, write_record
from .interpreter import NO_WINDOW
from .language import tr

CPU_INDEX = "https://download.pytorch.org/whl/cpu"
CPU, CUDA = "cpu", "cuda"
CUDA_INDEX = "https://download.pytorch.org/whl/cu126"  # for Windows, where the usual index has the CPU build only
OLDEST_TORCH = "2.2"
UNPACKED = 4.0  # a wheel of PyTorch takes about this many times its size when unpacked (measured: 190 MB, 754 MB)

Log = Callable[[str], None]
Advance = Callable[[float], None]  # percent
Stopped = Callable[[], bool]


class InstallError(Exception):
    """The installation failed; the text is one sentence that says what to do."""


class InstallCancelled(Exception):
    """The user stopped the installation; nothing has changed."""


@dataclass(frozen=True)
class Request:
    """What to install.

    Attributes:
        python: the interpreter of QGIS.
        folder: where the packages go.
        packages: names as pip knows them.
        build: ``cpu`` or ``cuda``, for PyTorch.
        wheels: a folder of wheels to install from without network, or None.
        proxy: such as ``http://host:8080``, with a name and password before the host if need be; empty for none.
    """

    python: str
    folder: Path
    packages: tuple[str, ...]
    build: str = CPU
    wheels: Path | None = None
    proxy: str = ""


@dataclass(frozen=True)
class Item:
    """One package to fetch: name, version, where from, and its size in bytes (None where the server does not say)."""

    name: str
    version: str
    url: str
    size: int | None


def resolve(request: Request, held: Mapping[str, str], log: Log, stopped: Stopped) -> list[Item]:
    """Which packages are missing, with all they need, while those that QGIS holds stay as they are.

    Args:
        request: what to install.
        held: name -> version of the packages of QGIS, from :func:`held_versions`.
        log: told of each line of pip.
        stopped: whether the user wants to stop.

    Raises:
        InstallError: if pip finds no way; InstallCancelled.
    """
    with tempfile.TemporaryDirectory(prefix="landloom-") as name:
        temporary = Path(name)
        pins = [f"{package}=={version}" for package, version in held.items()]
        (temporary / "constraints.txt").write_text("\n".join(pins) + "\n", encoding="utf-8")
        report = temporary / "report.json"
        wanted = [f"torch>={OLDEST_TORCH}" if name == "torch" else name for name in request.packages]
        arguments = [
            "install",
            "--dry-run",
            "--report",
            str(report),
            "--constraint",
            str(temporary / "constraints.txt"),
        ]
        _pip(request, [*arguments, *_sources(request), *wanted], log, stopped)
        try:
            content = json.loads(report.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise InstallError(
                tr("pip is too old to tell what it would install: update QGIS, or pip to 22.2.")
            ) from error
    entries = content.get("install", [])
    if request.build == CPU and any(re.match("nvidia[-_.]", entry["metadata"]["name"]) for entry in entries):
        raise InstallError(
            tr(
                "The CPU build of PyTorch was not found at {address}, and the other build takes several gigabytes: try "
                "again later, install from a folder of wheels, or choose the CUDA build if you want it."
            ).format(address=CPU_INDEX)
        )
    with ThreadPoolExecutor(8) as pool:
        sizes = list(pool.map(_size, [entry["download_info"]["url"] for entry in entries]))
    return [
        Item(entry["metadata"]["name"], entry["metadata"]["version"], entry["download_info"]["url"], size)
        for entry, size in zip(entries, sizes, strict=True)
    ]


def space_needed(items: Sequence[Item]) -> int:
    """Bytes that the unpacked packages take, from above."""
    return int(sum((item.size or 50_000_000) * UNPACKED for item in items))


def install(request: Request, items: Sequence[Item], log: Log, advance: Advance, stopped: Stopped) -> bool:
    """Install into a new folder and let it take the place of the last one.

    Args:
        request: what to install.
        items: from :func:`resolve`.
        log: told of each line of pip.
        advance: told of the progress, 0 to 100.
        stopped: whether the user wants to stop.

    Returns:
        False when the old packages are in use, so that the new ones take their place at the next start of QGIS.

    Raises:
        InstallError: if it fails; the packages that were there stay. InstallCancelled.
    """
    new = pending_folder(request.folder)
    shutil.rmtree(new, ignore_errors=True)
    try:
        new.mkdir(parents=True)
        free = shutil.disk_usage(new).free
    except OSError as error:
        raise InstallError(f"{request.folder}: {explain(str(error))}") from error
    if free < space_needed(items):
        shutil.rmtree(new, ignore_errors=True)
        megabytes = space_needed(items) // 1_000_000
        raise InstallError(
            tr("{folder} has {free} MB free, but {needed} MB are needed: free some.").format(
                folder=request.folder, free=free // 1_000_000, needed=megabytes
            )
        )
    total = sum(item.size or 0 for item in items) or len(items)
    done = 0.0
    try:
        for item in items:
            weight = float(item.size or 0) if total > len(items) else 1.0
            log(f"{item.name} {item.version}" + (f" ({item.size / 1e6:.0f} MB)" if item.size else ""))
            start, share = 100 * done / total, 100 * weight / total

            def within(line: str, start: float = start, share: float = share) -> None:
                place = re.match(r"Progress (\d+) of (\d+)", line)
                if place and int(place[2]):
                    advance(start + share * int(place[1]) / int(place[2]))
                elif line.strip():
                    log(line)

            arguments = ["install", "--no-deps", "--upgrade", "--target", str(new), *_raw_progress(request)]
            source = _local(item.url) or f"{item.name}=={item.version}"
            _pip(request, [*arguments, *_sources(request), source], within, stopped)
            done += weight
            advance(100 * done / total)
        write_record(new, [f"{item.name}=={item.version}" for item in items], request.build)
    except BaseException:
        shutil.rmtree(new, ignore_errors=True)
        raise
    log(f"{size_of(new) / 1e6:.0f} MB in {request.folder}")
    return put_in_place(request.folder)


def held_versions(own: Path) -> dict[str, str]:
    """Versions of all packages that QGIS's Python finds outside Landloom's own folder; read from their metadata."""
    paths = [path for path in sys.path if Path(path) != own]
    found: dict[str, str] = {}
    for one in distributions(path=paths):
        name = one.metadata["Name"]
        if name and name not in found and re.fullmatch(r"[0-9][0-9A-Za-z.!+-]*", one.version or ""):
            found[name] = one.version.split("+")[0]  # the first on the path is the one that is imported
    return found


def gpu_driver() -> str:
    """Name of an NVIDIA GPU whose driver answers, or empty text; decides which build is proposed."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return ""
    try:
        done = subprocess.run(  # nosec B603 # a program on the path with constant arguments
            [program, "--query-gpu=name", "--format=csv,noheader"],
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
            creationflags=NO_WINDOW,
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.splitlines()[0].strip() if done.returncode == 0 and done.stdout.strip() else ""


def _sources(request: Request) -> list[str]:
    """Where pip looks for packages."""
    if request.wheels is not None:
        return ["--no-index", "--find-links", str(request.wheels)]
    if "torch" not in request.packages or platform.system() == "Darwin":
        return []
    if request.build == CPU:  # a tenth of the size of the other; all else comes from the usual index
        return ["--extra-index-url", CPU_INDEX]
    return ["--extra-index-url", CUDA_INDEX] if platform.system() == "Windows" else []


def _raw_progress(request: Request) -> list[str]:
    """Since 24.1 pip can print its progress by line."""
    try:
        numbers = [int(x) for x in re.findall(r"\d+", version("pip"))[:2]]
    except PackageNotFoundError:
        return []
    return ["--progress-bar", "raw"] if numbers >= [24, 1] else ["--progress-bar", "off"]


def _size(url: str) -> int | None:
    """Bytes of a wheel, asked of its server; None where it does not say."""
    path = _local(url)
    if path:
        try:
            return os.path.getsize(path)
        except OSError:
            return None
    if urlparse(url).scheme != "https":
        return None
    try:
        request = urllib.request.Request(url, method="HEAD")
        with urllib.request.urlopen(request, timeout=10) as answer:  # nosec B310 # https only, checked above
            return int(answer.headers.get("Content-Length", "")) or None
    except (OSError, ValueError):
        return None


def _local(url: str) -> str:
    """Path of a file: address, or empty text."""
    return url2pathname(urlparse(url).path) if urlparse(url).scheme == "file" else ""


def environment_for_pip(request: Request, environment: dict[str, str]) -> dict[str, str]:
    """The environment in which pip runs: as QGIS's, but blind to what was installed for Landloom before."""
    result = dict(environment)
    own = str(request.folder)
    paths = [one for one in result.get("PYTHONPATH", "").split(os.pathsep) if one and one != own]
    result["PYTHONPATH"] = os.pathsep.join(paths)
    if not paths:
        del result["PYTHONPATH"]
    result.update(PIP_DISABLE_PIP_VERSION_CHECK="1", PIP_NO_INPUT="1", PYTHONUTF8="1", PYTHONNOUSERSITE="1")
    if request.wheels is not None:
        for name in ("PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "PIP_INDEX_URL"):
            result.pop(name, None)
        result["PIP_CONFIG_FILE"] = os.devnull
    if request.proxy:
        result["PIP_PROXY"] = request.proxy
    return result


def _pip(request: Request, arguments: Sequence[str], log: Log, stopped: Stopped) -> None:
    """Run pip, hand on its lines, and stop it within a second when asked to.

    Raises:
        InstallError, InstallCancelled.
    """
    command = [request.python, "-m", "pip", *arguments]
    lines: list[str] = []
    try:
        process = subprocess.Popen(  # nosec B603 # the interpreter of QGIS, arguments as a list
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            errors="replace",
            env=environment_for_pip(request, dict(os.environ)),
            creationflags=NO_WINDOW,
        )
    except OSError as error:
        raise InstallError(
            tr("{python} does not run ({reason}): repair the QGIS installation.").format(
                python=request.python, reason=error.strerror
            )
        ) from error
    reader = threading.Thread(target=_hand_on, args=(process, lines, log), daemon=True)
    reader.start()
    try:
        while process.poll() is None:
            if stopped():
                raise InstallCancelled
            time.sleep(0.1)
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        reader.join(5)
    if process.returncode:
        raise InstallError(explain("\n".join(lines)))


def _hand_on(process: subprocess.Popen[str], lines: list[str], log: Log) -> None:
    for line in _lines(process):
        lines.append(line)
        log(line)


def _lines(process: subprocess.Popen[str]) -> Iterator[str]:
    if process.stdout is not None:
        for line in process.stdout:
            yield line.rstrip()
