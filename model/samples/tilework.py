"""Reading the tiles of samples in other processes: the plan they share, and the part that each tile becomes."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import shutil
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from ..base.elsewhere import Elsewhere, Planned, read_order, write_order
from ..base.errors import Cancelled, ChangedError, LandloomError
from ..base.files import PARTIAL, file_hash, whole_file, writing_failed
from ..base.language import tr
from ..base.progress import Progress
from ..stack.reader import StackReader
from .chips import bounding_window
from .writer import Pixels, cut

PLAN = "plan.npz"
FORMAT = 1
"""Raised when the same plan would give other values, so that parts of an older version are not used."""


class TilesElsewhere:
    """The tiles of one extraction, read by other processes.

    Args:
        elsewhere: these processes.
        output: the folder of samples; parts lie in ``<output>.parts``.
        reader: of the stack.
        windows: ``[M, 4]`` of the chips.
        tiles: the chips of each tile.
        memory_mb: for a reading process.

    A context manager, which removes the parts at the end unless the same run may go on from them.
    """

    def __init__(
        self,
        elsewhere: Elsewhere,
        output: Path,
        reader: StackReader,
        windows: np.ndarray,
        tiles: Sequence[np.ndarray],
        memory_mb: int,
    ) -> None:
        self._elsewhere, self._tiles, self._windows = elsewhere, tiles, windows
        self._stack, self._memory = Path(reader.stack.path), memory_mb
        self.folder = Path(f"{os.path.abspath(output)}.parts")

    def __enter__(self) -> TilesElsewhere:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Remove the parts, unless the same run may go on from them."""
        wanted = kind is not None and not issubclass(kind, (Cancelled, ChangedError))
        if not wanted or not (kind is Planned or any(self.folder.glob("tile_*[0-9].npz"))):
            shutil.rmtree(self.folder, ignore_errors=True)

    def read(self, progress: Progress) -> None:
        """Have every tile read into its part; parts of the same extraction that are there stay.

        Raises:
            LandloomError: as :meth:`Elsewhere.compute`; finished parts stay, and the same run goes on from there.
        """
        self._elsewhere.device("cpu", network=False)
        run = self._hash()
        self._begin(run, progress)
        arguments = {"stack": self._elsewhere.path(str(self._stack)), "memory_mb": self._memory}
        order = write_order(self.folder, run, "extractsamples", arguments)
        pieces = {
            number: int((self._windows[tile, 2] * self._windows[tile, 3]).sum())
            for number, tile in enumerate(self._tiles)
            if not whole_part(part_of(self.folder, number))
        }
        if len(pieces) < len(self._tiles):
            progress.info(
                tr("Going on from {n_tiles} of {n_tiles2} tiles read before.").format(
                    n_tiles=len(self._tiles) - len(pieces), n_tiles2=len(self._tiles)
                )
            )
        if pieces:
            self._elsewhere.compute(order, pieces, lambda number: part_of(self.folder, number), progress)

    def chips(self, number: int) -> list[Pixels]:
        """The chips of a tile, from its part.

        Raises:
            LandloomError: if the part is damaged or gone.
        """
        path = part_of(self.folder, number)
        try:
            with np.load(path, allow_pickle=False) as arrays:
                names = sorted({name.rsplit(".", 1)[0] for name in arrays.files})
                values = {name: arrays[f"{name}.values"] for name in names}
                masks = {name: arrays[f"{name}.mask"] for name in names}
        except Exception as error:  # zipfile, zlib and numpy have errors of their own for a damaged file
            raise LandloomError(
                tr("The part {path} is damaged or gone: run again, it is made anew.").format(path=path)
            ) from error
        found, first = [], 0
        for chip in self._tiles[number]:
            size = int(self._windows[chip, 2] * self._windows[chip, 3])
            part = slice(first, first + size)
            found.append(Pixels({n: v[part] for n, v in values.items()}, {n: m[part] for n, m in masks.items()}))
            first += size
        return found

    def _hash(self) -> str:
        digest = hashlib.sha256(f"{FORMAT} {file_hash(self._stack)} {self._memory}".encode())
        digest.update(np.ascontiguousarray(self._windows, np.int64).tobytes())
        for tile in self._tiles:
            digest.update(np.ascontiguousarray(tile, np.int64).tobytes() + b";")
        return digest.hexdigest()

    def _begin(self, run: str, progress: Progress) -> None:
        """Make the folder of parts, or go on with that of the same extraction."""
        earlier = ""
        with contextlib.suppress(LandloomError):
            earlier = read_order(self.folder / "order.json")["run"]
        if earlier == run and (self.folder / PLAN).exists():
            return
        if earlier:
            progress.info(
                tr("An earlier run had another stack, reference or parameters: starting again without its parts.")
            )
        shutil.rmtree(self.folder, ignore_errors=True)
        try:
            self.folder.mkdir(parents=True)
        except OSError as error:
            raise LandloomError(writing_failed(self.folder, error)) from error
        lengths = np.array([len(tile) for tile in self._tiles], np.int64)
        with whole_file(self.folder / PLAN) as path:
            np.savez(path, windows=self._windows, chips=np.concatenate(self._tiles), lengths=lengths)


def part_of(folder: Path, number: int) -> Path:
    """The file of a tile."""
    return folder / f"tile_{number:06d}.npz"


def whole_part(path: Path) -> bool:
    """Whether a part is there and undamaged."""
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.testzip() is None
    except Exception:  # zipfile and zlib have errors of their own for a damaged file, which is made anew
        return False


class Tiles:
    """The side of the workers: reads tiles of an order into their parts.

    Args:
        order: its content.
        folder: of the parts.
        reader: of the order's stack.
    """

    def __init__(self, order: Mapping[str, Any], folder: Path, reader: StackReader) -> None:
        self._folder, self._reader = folder, reader
        try:
            with np.load(folder / PLAN, allow_pickle=False) as plan:
                self._windows = plan["windows"]
                self._tiles = np.split(plan["chips"], np.cumsum(plan["lengths"])[:-1])
        except Exception as error:  # as above
            raise LandloomError(
                tr("{folder} is damaged or gone: start the run again.").format(folder=folder / PLAN)
            ) from error

    def compute(self, numbers: Sequence[int], progress: Progress) -> None:
        """Make the parts of these tiles; those that are there and whole stay."""
        for number in numbers:
            progress.check()
            path = part_of(self._folder, number)
            if whole_part(path):
                continue
            tile = self._tiles[number]
            window = bounding_window(self._windows[tile])
            series = self._reader.read(window)
            chips = [cut(self._reader.specs, series, window, self._windows[chip]) for chip in tile]
            self._reader.check_unchanged()
            ensure = getattr(progress, "ensure", None)
            self._write(path, chips, ensure or progress.check)

    def _write(self, path: Path, chips: Sequence[Pixels], check: Any) -> None:
        arrays = {}
        for name in self._reader.specs:
            arrays[f"{name}.values"] = np.concatenate([chip.values[name] for chip in chips])
            arrays[f"{name}.mask"] = np.concatenate([chip.masks[name] for chip in chips])
        content = io.BytesIO()
        np.savez(content, **arrays)
        temporary = path.with_name(f"{path.stem}.{os.getpid()}{PARTIAL}.npz")
        try:
            with open(temporary, "wb") as stream:
                stream.write(content.getbuffer())
                stream.flush()
                os.fsync(stream.fileno())
            check()
            os.replace(temporary, path)
        except OSError as error:
            raise LandloomError(writing_failed(path, error)) from error
        finally:
            temporary.unlink(missing_ok=True)
