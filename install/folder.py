"""The folder of packages that Landloom alone uses: in the user's profile, last on the path, removed as a whole."""

from __future__ import annotations

import importlib
import json
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

RECORD = "landloom-packages.json"


def packages_folder(profile: str | os.PathLike[str], version: tuple[int, int] | None = None) -> Path:
    """Where packages for a Python version go: ``<profile>/landloom/python3.11``.

    Compiled packages fit one minor version only, so that each has a folder and an update of QGIS finds its own empty.
    """
    major, minor = version or (sys.version_info.major, sys.version_info.minor)
    return Path(profile) / "landloom" / f"python{major}.{minor}"


def activate(profile: str | os.PathLike[str]) -> bool:
    """Put the folder last on the path, so that nothing in it ever hides a package of QGIS.

    Returns:
        whether there is such a folder.
    """
    folder = packages_folder(profile)
    finish_pending(folder)
    if not folder.is_dir():
        return False
    text = str(folder)
    if text not in sys.path:
        sys.path.append(text)
        importlib.invalidate_caches()
    return True


def deactivate(profile: str | os.PathLike[str]) -> None:
    """Take the folder off the path; packages already loaded stay loaded until QGIS ends."""
    text = str(packages_folder(profile))
    while text in sys.path:
        sys.path.remove(text)


def pending_folder(folder: Path) -> Path:
    """Where an installation is made before it takes the place of the last."""
    return folder.with_name(f"{folder.name}.new")


def removed_folder(folder: Path) -> Path:
    """Where a folder waits to be deleted: Windows cannot delete libraries that are loaded."""
    return folder.with_name(f"{folder.name}.removed")


def put_in_place(folder: Path) -> bool:
    """Let the finished installation take the place of the last.

    Returns:
        False when files of the last one are in use; then the exchange is made at the next start.
    """
    new = pending_folder(folder)
    try:
        if folder.exists():
            _discard(folder)
        new.rename(folder)
    except OSError:
        return False
    return True


def finish_pending(folder: Path) -> None:
    """At the start of QGIS: make an exchange that waited, and delete what was removed while in use."""
    new, old = pending_folder(folder), removed_folder(folder)
    if old.exists():
        shutil.rmtree(old, ignore_errors=True)
    if (new / RECORD).exists():  # written last: without it the installation was cut off
        put_in_place(folder)


def remove(profile: str | os.PathLike[str]) -> bool:
    """Remove all packages that were installed for Landloom.

    Returns:
        whether they are gone now; False when loaded libraries go at the next start of QGIS.
    """
    folder = packages_folder(profile)
    deactivate(profile)
    shutil.rmtree(pending_folder(folder), ignore_errors=True)
    if folder.exists():
        _discard(folder)
    return not removed_folder(folder).exists()


def write_record(folder: Path, packages: Sequence[str], build: str) -> None:
    """Note what an installation holds; the mark that it is whole."""
    content = {"packages": sorted(packages), "build": build, "python": list(sys.version_info[:3])}
    (folder / RECORD).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def read_record(folder: Path) -> dict[str, object]:
    """What an installation holds: ``packages``, ``build``, ``python``; empty where there is none."""
    try:
        content = json.loads((folder / RECORD).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def size_of(folder: Path) -> int:
    """Bytes of all files in a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _discard(folder: Path) -> None:
    """Move a folder aside, in one step, and delete what can be deleted of it."""
    old = removed_folder(folder)
    shutil.rmtree(old, ignore_errors=True)
    folder.rename(old)
    shutil.rmtree(old, ignore_errors=True)
