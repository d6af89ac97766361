"""The folder of parts: what a run has done so far, so that the same run can go on after a crash.

``<OUTPUT>.parts/`` holds ``lock`` (who is at work), ``journal.json`` (the hash of stack, model and parameters, and the
blocks) and one file a finished block. A part is written under another name, synchronised and renamed: what has its
final name is whole.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import uuid
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..base.errors import LandloomError
from ..base.files import PARTIAL, parse_json, write_json
from ..base.language import tr
from .chunks import Block

FORMAT = "landloom-parts"
VERSION = 2


def parts_folder(output: str | os.PathLike[str]) -> Path:
    """Where the parts of an output go."""
    return Path(f"{os.fspath(output)}.parts")


def fingerprint(content: Any) -> str:
    """A hash of anything JSON can hold."""
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()


class Journal:
    """The finished blocks of one run."""

    def __init__(self, folder: Path, check: Callable[[], None] | None = None) -> None:
        """Parts take their names only if ``check``, called before, does not raise."""
        self.folder = folder
        self._check = check
        self._file = folder / "journal.json"

    def read(self) -> dict[str, Any] | None:
        """What an earlier run left; None if there is none, or none that can be used."""
        try:
            content = parse_json(self._file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        if not isinstance(content, dict) or content.get("format") != FORMAT or content.get("version") != VERSION:
            return None
        return content if content.get("checksum") == fingerprint(content.get("blocks")) else None

    def start(self, run_hash: str, blocks: Sequence[Block]) -> None:
        """Forget what is there and begin the journal of a new run, with its blocks in the order of reading."""
        self.clear()
        areas = [list(block.chunked) for block in blocks]
        content = {"format": FORMAT, "version": VERSION, "hash": run_hash, "blocks": areas}
        write_json(self._file, {**content, "checksum": fingerprint(areas)})  # of other blocks parts would not fit

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
        except Exception:  # zipfile and zlib have errors of their own for a damaged file, which is made anew
            return False

    def write(self, block: Block, arrays: dict[str, np.ndarray]) -> None:
        """Write a block's arrays, whole or not at all.

        Raises:
            OSError: if the disk is full or cannot be written.
        """
        final = self.part(block)
        temporary = final.with_suffix(f".{uuid.uuid4().hex[:8]}{PARTIAL}.npz")  # two processes may make one part
        try:
            with open(temporary, "wb") as stream:
                # Level 1: parts live for hours at most; the final file is compressed better.
                with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
                    for name, array in arrays.items():
                        with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                            np.lib.format.write_array(member, np.ascontiguousarray(array), allow_pickle=False)
                stream.flush()
                os.fsync(stream.fileno())
            if self._check is not None:
                self._check()
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
        except Exception as error:  # as above, and numpy's
            raise LandloomError(
                tr("The part {path} is damaged or gone: run again, it is made anew.").format(path=path)
            ) from error
