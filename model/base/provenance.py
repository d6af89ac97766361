"""Where a result comes from: inputs, versions, seed, date and the command that makes it again.

Processing knows the command; the engine, which does not know Processing, asks for it here: an algorithm does its work
inside :func:`running`, and whoever writes a report calls :func:`gather`.
"""

from __future__ import annotations

import contextlib
import contextvars
import importlib.metadata
import os
import platform
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from osgeo import gdal

PathLike = str | os.PathLike[str]

#: Packages whose version counts where they were loaded.
_PACKAGES = ("torch", "sklearn", "scipy", "skimage", "pandas", "geopandas", "safetensors")
_MOST_FILES = 20_000  # of a folder whose size is summed up


@dataclass(frozen=True)
class Command:
    """How an algorithm was called.

    Attributes:
        algorithm: id, such as ``landloom:train``.
        line: what a shell runs to do it again.
        parameters: the same as ``qgis_process run <algorithm> -`` reads it from standard input.
        versions: of programs that only the caller knows, such as QGIS.
    """

    algorithm: str
    line: str
    parameters: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Source:
    """An input.

    Attributes:
        role: the parameter or what it is, such as ``STACK``.
        path: file or folder.
        size: bytes, of a folder those of its files; None where it is unknown.
        time: when it was changed last, UTC; of a folder, its newest file; empty where it is unknown.
    """

    role: str
    path: str
    size: int | None = None
    time: str = ""


@dataclass(frozen=True)
class Provenance:
    """What is needed to make a result again.

    Attributes:
        made: when, UTC.
        sources: the inputs.
        versions: program or package -> version.
        seed: start of the random numbers, None where there are none.
        command: None where it was not called through Processing.
    """

    made: str
    sources: tuple[Source, ...]
    versions: dict[str, str]
    seed: int | None = None
    command: Command | None = None

    def to_json(self) -> dict[str, Any]:
        """As JSON: ``made``, ``seed``, ``inputs``, ``versions``, ``algorithm``, ``command``, ``parameters``."""
        command = self.command
        return {
            "made": self.made,
            "seed": self.seed,
            "inputs": [
                {"role": one.role, "path": one.path, "bytes": one.size, "changed": one.time or None}
                for one in self.sources
            ],
            "versions": self.versions,
            "algorithm": command.algorithm if command else None,
            "command": command.line if command else None,
            "parameters": command.parameters if command else None,
        }


_NOW: contextvars.ContextVar[Callable[[], Command] | None] = contextvars.ContextVar("landloom_command", default=None)


@contextlib.contextmanager
def running(command: Callable[[], Command]) -> Iterator[None]:
    """What is made inside comes from this command; an algorithm inside another one has its own.

    Args:
        command: called when somebody asks, since Processing may have to open layers for it.
    """
    token = _NOW.set(command)
    try:
        yield
    finally:
        _NOW.reset(token)


def gather(inputs: Mapping[str, PathLike | Iterable[PathLike] | None], seed: int | None = None) -> Provenance:
    """The provenance of a result that is being made, to be called in the algorithm's own thread.

    Args:
        inputs: role (the parameter's name) -> a path, several, or None or "" where it was not given. GDAL's
            ``file|layername=...`` and addresses do too.
        seed: start of the random numbers.
    """
    ask = _NOW.get()
    command = ask() if ask else None
    sources = []
    for role, value in inputs.items():
        one = [value] if isinstance(value, str | os.PathLike) else value or []
        sources += [_source(role, path) for path in one if str(path)]
    return Provenance(
        utc(time.time()), tuple(sources), versions() | (command.versions if command else {}), seed, command
    )


def versions() -> dict[str, str]:
    """Versions of Landloom, Python, GDAL, numpy and of those packages that are loaded."""
    found = {
        "Landloom": landloom_version(),
        "Python": platform.python_version(),
        "GDAL": gdal.VersionInfo("RELEASE_NAME"),
        "numpy": np.__version__,
    }
    for package in _PACKAGES:
        if package in sys.modules:
            found[package] = str(getattr(sys.modules[package], "__version__", "?"))
    return found


def landloom_version() -> str:
    """The version in metadata.txt, or of the installed package where the engine was installed alone."""
    file = Path(__file__).parents[2] / "metadata.txt"
    if file.exists():
        lines = file.read_text(encoding="utf-8").splitlines()
        return next((line.split("=", 1)[1].strip() for line in lines if line.startswith("version=")), "?")
    try:
        return importlib.metadata.version("landloom")
    except importlib.metadata.PackageNotFoundError:
        return "?"


def utc(seconds: float) -> str:
    """A time as ``2026-11-22 14:50:03 UTC``."""
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(seconds))


def _source(role: str, path: PathLike) -> Source:
    text = str(path)
    if "://" in text or text.startswith("/vsi"):
        return Source(role, text.split("?", 1)[0])  # what follows may be a signature
    file = Path(text.split("|", 1)[0])
    if file.is_dir():
        return _folder(role, file)
    try:
        state = file.stat()
    except OSError:
        return Source(role, text)
    return Source(role, str(file), state.st_size, utc(state.st_mtime))


def _folder(role: str, folder: Path) -> Source:
    size, newest, count = 0, 0.0, 0
    for parent, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                state = os.stat(os.path.join(parent, name))
                size, newest = size + state.st_size, max(newest, state.st_mtime)
            count += 1
            if count > _MOST_FILES:
                return Source(role, str(folder))
    return Source(role, str(folder), size, utc(newest) if newest else "")
