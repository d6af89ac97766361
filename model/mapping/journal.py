"""The folder of parts: what a run has done so far, so that the same run can go on after a crash.

``<OUTPUT>.parts/`` holds ``lock`` (who is at work), ``journal.json`` (the hash of stack, model and parameters, and the
blocks) and one file a finished block. A part is written under another name, synchronised and renamed: what has its
final name is whole.
"""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import json
import os
import shutil
import socket
import threading
import time
import uuid
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..base.errors import LandloomError
from ..base.files import PARTIAL, make_folder, write_json, writing_failed
from .chunks import Block

FORMAT = "landloom-parts"
VERSION = 2
HEARTBEAT = 5.0
STALE = 60.0
"""Seconds without a heartbeat after which a lock no longer counts."""


def parts_folder(output: str | os.PathLike[str]) -> Path:
    """Where the parts of an output go."""
    return Path(f"{os.fspath(output)}.parts")


def fingerprint(content: Any) -> str:
    """A hash of anything JSON can hold."""
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()


def file_hash(path: str | os.PathLike[str]) -> str:
    """The SHA-256 of a file's bytes."""
    digest = hashlib.sha256()
    with open(path, "rb") as stream:
        while piece := stream.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


class Lock:
    """Keeps two runs from writing one output; the lock of a run that died does not count.

    Raises:
        LandloomError: on entering, if another run is at work on the output.
    """

    def __init__(self, folder: Path, output: str) -> None:
        self._path = folder / "lock"
        self._output = output
        self._token = uuid.uuid4().hex
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Lock:
        make_folder(self._path.parent)
        for _attempt in range(3):
            if self._create():
                self._thread = threading.Thread(target=self._beat, name="landloom lock", daemon=True)
                self._thread.start()
                return self
            holder = self._holder()
            if holder is not None and is_at_work(holder, self._age()):
                raise LandloomError(
                    f"Another run (process {holder.get('pid')} on {holder.get('host')}, since {holder.get('time')}) is "
                    f"writing {self._output}: wait for it, stop it, or choose another output."
                )
            with contextlib.suppress(FileNotFoundError):
                # The stale file is renamed first: of two runs that both found it stale only one can do that.
                gone = self._path.with_name(f"lock.{self._token}")
                os.replace(self._path, gone)
                gone.unlink()
        raise LandloomError(f"Another run has just started to write {self._output}: wait for it.")

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
        with contextlib.suppress(OSError):
            if (self._holder() or {}).get("token") == self._token:
                self._path.unlink()

    def _create(self) -> bool:
        content = {
            "pid": os.getpid(),
            "host": socket.gethostname(),
            "time": time.strftime("%Y-%m-%d %H:%M:%S"),
            "token": self._token,
        }
        try:
            with open(self._path, "x", encoding="utf-8") as stream:
                json.dump(content, stream)
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
        except (OSError, ValueError):  # being written this moment, or cut off by a crash: its age decides
            return {}
        return content if isinstance(content, dict) else {}

    def _age(self) -> float:
        try:
            return time.time() - self._path.stat().st_mtime
        except OSError:
            return float("inf")

    def _beat(self) -> None:
        while not self._stop.wait(HEARTBEAT):
            with contextlib.suppress(OSError):
                os.utime(self._path)


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


class Journal:
    """The finished blocks of one run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._file = folder / "journal.json"

    def read(self) -> dict[str, Any] | None:
        """What an earlier run left; None if there is none, or none that can be used."""
        try:
            content = json.loads(self._file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        if not isinstance(content, dict) or content.get("format") != FORMAT or content.get("version") != VERSION:
            return None
        return content

    def start(self, run_hash: str, blocks: Sequence[Block]) -> None:
        """Forget what is there and begin the journal of a new run, with its blocks in the order of reading."""
        self.clear()
        areas = [list(block.chunked) for block in blocks]
        write_json(self._file, {"format": FORMAT, "version": VERSION, "hash": run_hash, "blocks": areas})

    def clear(self) -> None:
        """Remove everything but the lock."""
        for path in self.folder.iterdir():
            if path.name == "lock":
                continue
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)

    def part(self, block: Block) -> Path:
        """The file of a block."""
        return self.folder / f"{block.name}.npz"

    def has(self, block: Block) -> bool:
        """Whether a block is done and its part undamaged (checksums are verified)."""
        path = self.part(block)
        try:
            with zipfile.ZipFile(path) as archive:
                return archive.testzip() is None
        except FileNotFoundError:
            return False
        except (OSError, zipfile.BadZipFile, EOFError):
            return False

    def write(self, block: Block, arrays: dict[str, np.ndarray]) -> None:
        """Write a block's arrays, whole or not at all.

        Raises:
            OSError: if the disk is full or cannot be written.
        """
        final = self.part(block)
        temporary = final.with_suffix(f"{PARTIAL}.npz")
        try:
            with open(temporary, "wb") as stream:
                # Level 1: parts live for hours at most; the final file is compressed better.
                with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
                    for name, array in arrays.items():
                        with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                            np.lib.format.write_array(member, np.ascontiguousarray(array), allow_pickle=False)
                stream.flush()
                os.fsync(stream.fileno())
            os.replace(temporary, final)
        finally:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)

    def load(self, block: Block, name: str) -> np.ndarray:
        """One array of a finished block.

        Raises:
            LandloomError: if the part is gone or damaged.
        """
        path = self.part(block)
        try:
            with np.load(path, allow_pickle=False) as arrays:
                return arrays[name]
        except (OSError, KeyError, ValueError, zipfile.BadZipFile, EOFError) as error:
            raise LandloomError(f"The part {path} is damaged or gone: run again, it is made anew.") from error
