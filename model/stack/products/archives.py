"""The folder tree that is searched, and what lies in archives in it: GDAL reads zip and tar files as they are."""

from __future__ import annotations

import os
import tarfile
from collections.abc import Iterator
from pathlib import Path, PurePath, PurePosixPath

from osgeo import gdal

from ...base.language import tr
from ...base.progress import Progress
from ...base.raster import quiet_gdal
from .base import Folder

_HANDLERS = {".zip": "/vsizip/", ".tar": "/vsitar/"}
_PACKED = (".tar.gz", ".tgz", ".tar.bz2", ".7z", ".rar")  # no way to read a window of these
MAX_ENTRIES = 200_000


def walk(root: Path, progress: Progress) -> tuple[list[Folder], list[tuple[str, str]]]:
    """All folders under ``root``, in archives too, and the archives that cannot be read, with the reason."""
    folders: list[Folder] = []
    left_out: list[tuple[str, str]] = []
    seen: set[tuple[int, int]] = set()
    for path, names, files in os.walk(root, followlinks=True):
        progress.check()
        status = os.stat(path)
        if (status.st_dev, status.st_ino) in seen and status.st_ino:
            names.clear()  # a link back to a folder above
            continue
        seen.add((status.st_dev, status.st_ino))
        names.sort()
        folders.append(Folder(Path(path), tuple(sorted(files))))
        for file in sorted(files):
            if is_archive(file):
                inner, why = look_into(Path(path) / file)
                folders += inner
                left_out += [(file, reason) for reason in why]
            elif file.lower().endswith(_PACKED):
                left_out.append((file, tr("GDAL cannot read parts of such an archive; unpack it")))
    return folders, left_out


def is_archive(name: str) -> bool:
    """Whether GDAL reads such an archive in place."""
    return PurePath(name).suffix.lower() in _HANDLERS


def look_into(path: Path) -> tuple[list[Folder], list[str]]:
    """The folders of an archive; and why there are none, if it cannot be used."""
    suffix = path.suffix.lower()
    inner = list(_archive(path, _HANDLERS[suffix]))
    if not inner:
        return [], [tr("the archive cannot be read, or is empty; get it again")]
    if suffix == ".tar" and _lacks_names(path, inner):
        return [], [tr("GDAL does not see all of its files, whose names are too long; unpack it")]
    return inner, []


def _lacks_names(path: Path, folders: list[Folder]) -> bool:
    """Whether files of a tar archive are missing from what GDAL lists: it cuts names above 100 characters."""
    seen = {name for folder in folders for name in folder.files}
    try:
        with tarfile.open(path) as archive:
            return any(member.isfile() and PurePosixPath(member.name).name not in seen for member in archive)
    except (OSError, tarfile.TarError):
        return False  # then GDAL's list is all there is


def _archive(path: Path, handler: str) -> Iterator[Folder]:
    """The folders of an archive as GDAL names them; entries that would leave it are no entries."""
    base = PurePosixPath(f"{handler}{{{path.as_posix()}}}")
    with quiet_gdal():
        try:
            entries = gdal.ReadDirRecursive(str(base)) or []
        except RuntimeError:  # when someone switched GDAL's exceptions on
            entries = []
    by_folder: dict[PurePosixPath, list[str]] = {}
    for entry in entries[:MAX_ENTRIES]:
        inner = PurePosixPath(entry)
        if entry.endswith("/") or inner.is_absolute() or ".." in inner.parts or "\\" in entry:
            continue
        by_folder.setdefault(base / inner.parent, []).append(inner.name)
    for folder, names in sorted(by_folder.items()):
        yield Folder(folder, tuple(sorted(names)))
