"""Keeping two runs from writing one output, and tidying up after one that was killed."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import re
import shutil
import socket
import threading
import time
import uuid
from pathlib import Path
from typing import Any, ClassVar

from .errors import LandloomError
from .files import PARTIAL, SHAPEFILE, make_folder, writing_failed
from .language import tr

HEARTBEAT = 5.0
STALE = 60.0
"""Seconds without a heartbeat after which a lock no longer counts."""


def lock_path(output: str | os.PathLike[str]) -> Path:
    """Where the lock of an output lies, if it has no folder of parts."""
    return Path(f"{os.fspath(output)}.lock")


class Lock:
    """Keeps two runs from writing one output; the lock of a run that died does not count.

    A thread that holds a lock may enter it again, as steps do that write the output of the whole run.

    Args:
        path: the file of the lock.
        output: what is being written, for the error.
        around: whether it is held around a step that takes the lock itself, and tidies up then.

    Attributes:
        again: whether the thread held the lock before, other than around.

    Raises:
        LandloomError: on entering, if another run is at work on the output.
    """

    _held: ClassVar[dict[tuple[str, int], Lock]] = {}

    def __init__(self, path: str | os.PathLike[str], output: str | os.PathLike[str], around: bool = False) -> None:
        self._path = Path(os.path.abspath(path))
        self._output = os.fspath(output)
        self._key = str(self._path), 0
        self.again = False
        self._around, self._free, self._holding = around, around, self
        self._token = uuid.uuid4().hex
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Lock:
        self._key = str(self._path), threading.get_ident()
        self._holding = self._held.get(self._key, self)
        if self._holding is not self:
            self.again = not self._holding._free
            self._holding._free = self._holding._free and self._around
            return self
        make_folder(self._path.parent)
        for _attempt in range(3):
            if self._create():
                thread = threading.Thread(target=self._beat, name="landloom lock", daemon=True)
                try:
                    start(thread)
                except MemoryError:
                    self._path.unlink()
                    raise
                self._held[self._key] = self
                self._thread = thread
                return self
            holder = self._holder()
            if holder is not None and is_at_work(holder, self._age()):
                raise LandloomError(self._refusal(holder))
            with contextlib.suppress(FileNotFoundError):
                # The stale file is renamed first: of two runs that both found it stale only one can do that.
                gone = self._path.with_name(f"{self._path.name}.{self._token}")
                os.replace(self._path, gone)
                gone.unlink()
        raise LandloomError(
            tr("Another run has just started to write {output}: wait for it.").format(output=self._output)
        )

    def __exit__(self, *_: object) -> None:
        if self._holding is not self:
            self._holding._free = not self.again
            return
        self._held.pop(self._key, None)
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
        with contextlib.suppress(OSError):
            if (self._holder() or {}).get("token") == self._token:
                self._path.unlink()

    def _create(self) -> bool:
        """Make the lock, unless there is one; it appears with its content, wherever this run is stopped or killed."""
        content = {
            "pid": os.getpid(),
            "host": socket.gethostname(),
            "time": time.strftime("%Y-%m-%d %H:%M:%S"),
            "token": self._token,
        }
        temporary = self._path.with_suffix(f".{self._token[:8]}{PARTIAL}")  # which tidy() knows
        try:
            _write_new(temporary, content)
            try:
                os.link(temporary, self._path)
            except (FileExistsError, FileNotFoundError):  # not found: who holds the lock has just tidied up
                return False
            except OSError:  # FAT and some network folders have no links
                _write_new(self._path, content)
            finally:
                temporary.unlink(missing_ok=True)
        except FileExistsError:
            return False
        except OSError as error:
            raise LandloomError(writing_failed(self._path.parent, error)) from error
        return True

    def _holder(self) -> dict[str, Any] | None:
        try:
            content = json.loads(self._path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, RecursionError):  # being written, or cut off by a crash: its age decides
            return {}
        return content if isinstance(content, dict) else {}

    def _refusal(self, holder: dict[str, Any]) -> str:
        if not holder:
            return tr(
                "Another run is writing {output}, or was cut off less than {seconds} s ago: wait for it, stop it, or "
                "choose another output."
            ).format(output=self._output, seconds=f"{STALE:.0f}")
        return tr(
            "Another run (process {get} on {get2}, since {get3}) is writing {output}: wait for it, stop it, or choose "
            "another output."
        ).format(get=holder.get("pid"), get2=holder.get("host"), get3=holder.get("time"), output=self._output)

    def _age(self) -> float:
        try:
            return time.time() - self._path.stat().st_mtime
        except OSError:
            return float("inf")

    def _beat(self) -> None:
        while not self._stop.wait(HEARTBEAT):
            with contextlib.suppress(OSError):
                os.utime(self._path)


def _write_new(path: Path, content: dict[str, Any]) -> None:
    stream = open(path, "x", encoding="utf-8")  # noqa: SIM115  (closed below, before it is removed)
    try:
        with stream:
            json.dump(content, stream)
    except OSError:  # a full disk
        path.unlink()
        raise


def is_at_work(holder: dict[str, Any], age: float) -> bool:
    """Whether the run that wrote a lock lives: its heartbeat is fresh and, on this machine, its process exists."""
    if age > STALE:
        return False
    if holder.get("host") != socket.gethostname() or not isinstance(holder.get("pid"), int):
        return True
    return process_exists(holder["pid"])


def process_exists(pid: int) -> bool:
    """Whether a process of this machine exists."""
    if os.name == "nt":  # there, os.kill(pid, 0) would end it
        kernel = ctypes.windll.kernel32  # type: ignore[attr-defined]
        handle = kernel.OpenProcess(0x1000, False, pid)  # PROCESS_QUERY_LIMITED_INFORMATION
        if not handle:
            return False
        code = ctypes.c_ulong()
        kernel.GetExitCodeProcess(handle, ctypes.byref(code))
        kernel.CloseHandle(handle)
        return code.value == 259  # STILL_ACTIVE
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def start(thread: threading.Thread) -> None:
    """Start a thread.

    Raises:
        MemoryError: if there is no memory for it, which Python calls a RuntimeError.
    """
    try:
        thread.start()
    except RuntimeError as error:
        raise MemoryError(str(error)) from error


def tidy(output: str | os.PathLike[str]) -> None:
    """Remove what a killed run left half done beside an output; to be called by who holds its lock.

    That is the output itself, a style of its name, and the tables of a report, unless these are another run's, which
    has a lock then. An older output that was just being replaced comes back.
    """
    final = Path(output)
    unique = r"\.[0-9a-f]{8}" + re.escape(PARTIAL)
    stem, suffix = re.escape(final.stem), re.escape(final.suffix)
    whole = re.compile(rf"{re.escape(final.name)}{unique}(\.old|\.tif(\.aux\.xml)?)?")
    others = "|".join(map(re.escape, SHAPEFILE)) if final.suffix.lower() == ".shp" else r"\.qml"
    suffixed = re.compile(rf"{stem}{unique}({suffix}(\.aux\.xml|\.ovr|\.msk|-journal|-wal|-shm)?|\.qml|{others})")
    tables = re.compile(rf"({stem}_\w+){unique}(\.json|\.csv)") if final.suffix in (".html", ".json") else None
    try:
        names = sorted(os.listdir(final.parent), reverse=True)
    except OSError:
        return
    for name in names:
        table = tables.fullmatch(name) if tables else None
        if table and f"{table[1]}{table[2]}.lock" in names:
            continue
        if not whole.fullmatch(name) and not suffixed.fullmatch(name) and not table:
            continue
        left = final.with_name(name)
        with contextlib.suppress(OSError):
            if name.endswith(".old") and not final.exists():
                os.replace(left, final)
            elif left.is_dir() and not left.is_symlink():
                shutil.rmtree(left, ignore_errors=True)
            else:
                left.unlink()
