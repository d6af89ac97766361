"""What a run and the processes that compute for it agree on: names of the shared folders, and versions."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import os
import platform
import socket
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path, PurePath, PureWindowsPath

import numpy as np

from ..base.errors import LandloomError
from ..base.language import tr

ROOT = Path(__file__).resolve().parents[1]


class PathMap:
    """Names of shared folders here and on the other machines.

    Args:
        text: ``from=to;from=to``: a folder of this machine and its name there; empty where names are the same.

    Raises:
        LandloomError: if it is not of that form.
    """

    def __init__(self, text: str = "") -> None:
        self._pairs: list[tuple[str, str]] = []
        for one in filter(None, (piece.strip() for piece in text.split(";"))):
            here, equals, there = (piece.strip() for piece in one.partition("="))
            if not (equals and here and there):
                raise LandloomError(
                    tr(
                        "PATH_MAP holds '{one}': write from=to;from=to, a folder here and its name on the workers."
                    ).format(one=one)
                )
            self._pairs.append((here.rstrip("/\\") or "/", there.rstrip("/\\") or "/"))
        self._pairs.sort(key=lambda pair: len(pair[0]), reverse=True)

    def __call__(self, path: str) -> str:
        """The path as the other machines see it."""
        for here, there in self._pairs:
            windows = "\\" in here or here[1:2] == ":"
            kind: type[PurePath] = PureWindowsPath if windows else type(PurePath())
            own, base = kind(path), kind(here)
            if own == base or base in own.parents:
                rest = own.relative_to(base).as_posix()
                if "\\" in there or there[1:2] == ":":
                    rest = rest.replace("/", "\\")
                    return f"{there}\\{rest}"
                return there if rest == "." else f"{there.rstrip('/')}/{rest}"
        return path


@cache
def code_hash() -> str:
    """A hash of the engine's source, which tells two states of one version apart."""
    digest = hashlib.sha256()
    for path in sorted(ROOT.rglob("*.py")):
        digest.update(path.relative_to(ROOT).as_posix().encode())
        digest.update(path.read_bytes().replace(b"\r\n", b"\n"))
    return digest.hexdigest()[:12]


def versions() -> dict[str, str]:
    """What must be the same wherever pieces of one run are computed: program -> version; torch only where it is."""
    found = {
        "Python": f"{sys.version_info.major}.{sys.version_info.minor}",
        "numpy": np.__version__,
        "Landloom's code": code_hash(),
    }
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        found["torch"] = importlib.metadata.version("torch").split("+")[0]
    return found


def difference(theirs: Mapping[str, str], ours: Mapping[str, str], network: bool, who: str) -> str:
    """One sentence about the first version that differs; empty where all agree.

    Args:
        theirs: of the process that computes.
        ours: of the run.
        network: whether torch counts.
        who: the process, for the sentence.
    """
    for name, wanted in ours.items():
        if name == "torch" and not network:
            continue
        found = theirs.get(name, "")
        if found == wanted:
            continue
        if name == "Landloom's code":
            return tr(
                "{who} has another state of Landloom ({found}) than this machine ({wanted}): install "
                "the same version there, with pip install of the plugin's folder."
            ).format(who=who, found=found or "unknown", wanted=wanted)
        has = f"{name} {found}" if found else f"no {name}"
        how = tr("use the same Python there") if name == "Python" else f"run there: pip install {name}=={wanted}"
        return tr("{who} has {has}, but this machine has {name} {wanted}, and pixels could differ: {how}.").format(
            who=who, has=has, name=name, wanted=wanted, how=how
        )
    return ""


def this_machine() -> str:
    """Its name, and the process, for messages."""
    return f"{socket.gethostname() or platform.node()} (process {os.getpid()})"
