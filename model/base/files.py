"""Writing files whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .errors import LandloomError
from .language import tr

PARTIAL = ".partial"
_NOT_ALLOWED = (errno.EACCES, errno.EPERM, errno.EROFS)
SHAPEFILE = (".dbf", ".shx", ".prj", ".cpg", ".qix", ".sbn", ".sbx", ".idm", ".ind")
SQLITE = ("-journal", "-wal", "-shm")
"""What belongs to a shapefile, and to a GeoPackage that is being changed."""


@contextlib.contextmanager
def whole_file(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a temporary name beside ``path``; on success it takes the final name, otherwise it is removed.

    The suffix of ``path`` is kept, since some writers choose their format by it; the files of a shapefile go together.

    Raises:
        LandloomError: if the folder cannot be written or the file is open elsewhere.
    """
    final = Path(path)
    make_folder(final.parent)
    temporary = final.with_name(f"{final.stem}.{uuid.uuid4().hex[:8]}{PARTIAL}{final.suffix}")
    try:
        yield temporary
        _replace_beside(temporary, final)
        os.replace(temporary, final)
    except OSError as error:
        raise LandloomError(writing_failed(final, error)) from error
    finally:
        for left in (temporary, *_beside(temporary)):
            left.unlink(missing_ok=True)


def _beside(path: Path) -> list[Path]:
    """The files that belong to a shapefile or a GeoPackage and are there; none of another format."""
    kind = path.suffix.lower()
    if kind == ".gpkg":
        named = [path.with_name(f"{path.name}{suffix}") for suffix in SQLITE]
    else:
        named = [path.with_suffix(suffix) for suffix in SHAPEFILE] if kind == ".shp" else []
    return [one for one in named if one.exists()]


def _replace_beside(temporary: Path, final: Path) -> None:
    """Let the tables of a shapefile take the places of older ones; meanwhile there is no layer of that name.

    SQLite would write what stands in the journal of an older GeoPackage into the new one: both go.
    """
    older, parts = _beside(final), _beside(temporary)
    for one in (final, *older) if older or parts else ():
        one.unlink(missing_ok=True)
    for part in parts:
        os.replace(part, final.with_name(part.name.replace(temporary.stem, final.stem, 1)))


@contextlib.contextmanager
def whole_folder(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a temporary folder beside ``path``; on success it takes the final name in place of an older one.

    Raises:
        LandloomError: if it cannot be written, or another run is writing it.
    """
    from .lock import Lock, lock_path, tidy  # which builds on this module

    final = Path(os.path.abspath(path))
    temporary = final.with_name(f"{final.name}.{uuid.uuid4().hex[:8]}{PARTIAL}")
    with Lock(lock_path(final), final) as lock:
        if not lock.again:
            tidy(final)
        try:
            temporary.mkdir()
            yield temporary
            replace_folder(temporary, final)
        except OSError as error:
            raise LandloomError(writing_failed(final, error)) from error
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def replace_folder(temporary: Path, final: Path) -> None:
    """Let a folder take the place of an older one, which comes back where that fails.

    Raises:
        OSError: if it cannot.
    """
    older = final.with_name(f"{temporary.name}.old")
    if final.exists():
        os.replace(final, older)
    try:
        os.replace(temporary, final)
    except OSError:
        if older.exists():
            os.replace(older, final)
        raise
    shutil.rmtree(older, ignore_errors=True)


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write a UTF-8 text file, whole or not at all."""
    with whole_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: str | os.PathLike[str], content: Any) -> None:
    """Write a JSON file, whole or not at all; NaN is refused since JSON has none."""
    write_text(path, json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def parse_json(text: str | bytes) -> Any:
    """What a JSON text holds.

    Raises:
        ValueError: if it is none, or nested so deeply that Python would give up.
    """
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError(tr("it is nested too deeply")) from error


def file_hash(path: str | os.PathLike[str]) -> str:
    """The SHA-256 of a file's bytes."""
    digest = hashlib.sha256()
    with open(path, "rb") as stream:
        while piece := stream.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


def make_folder(folder: str | os.PathLike[str]) -> Path:
    """Create a folder and its parents.

    Raises:
        LandloomError: if it cannot be made.
    """
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise LandloomError(writing_failed(folder, error)) from error
    return folder


def check_writable(path: str | os.PathLike[str]) -> None:
    """Check, before hours of work, that the output can be written.

    Raises:
        LandloomError: if its folder is read-only, or if the file is open elsewhere (on Windows).
    """
    final = Path(path)
    folder = make_folder(final.parent)
    probe = folder / f"{final.name}.{uuid.uuid4().hex[:8]}{PARTIAL}"  # which tidy() knows
    try:
        probe.touch()
        probe.unlink()
        if final.is_file():
            with final.open("ab"):
                pass
    except OSError as error:
        raise LandloomError(writing_failed(final, error)) from error


def writing_failed(path: str | os.PathLike[str], error: OSError) -> str:
    """The sentence for a failed write: disk full, no permission, open elsewhere."""
    return cannot_write(path, error.strerror or str(error), error.errno in _NOT_ALLOWED)


def cannot_write(path: str | os.PathLike[str], reason: str, not_allowed: bool | None = None) -> str:
    """The sentence for a failed write, with what to do.

    Args:
        path: what was to be written.
        reason: in the words of the system or of a library.
        not_allowed: whether it is a matter of rights; None: as the reason says.
    """
    if not_allowed is None:
        not_allowed = any(word in reason.lower() for word in ("permission denied", "read-only"))
    if not_allowed:
        # Windows says so, too, of a file that is open elsewhere.
        advice = tr("Close the programs that use it, get the right to write there, or choose another output.")
    else:
        advice = tr("Free space there, close the programs that use it, or choose another output.")
    return f"{tr('Cannot write {path}: {reason}.').format(path=path, reason=reason.strip().rstrip('.'))} {advice}"
