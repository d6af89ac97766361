"""What a killed training leaves behind, so that the same training goes on from there.

The folder ``<OUTPUT>.checkpoint`` holds ``checkpoint.json`` with a hash of settings and samples, the log so far, and
for each member of the ensemble its state. States are read with ``weights_only``: no code runs on loading.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..base.errors import LandloomError
from ..base.files import make_folder, parse_json, whole_file, write_json, writing_failed
from ..base.language import tr
from ..base.progress import Progress

if TYPE_CHECKING:
    from ..samples.store import SampleStore
    from .settings import TrainingSettings

VERSION = 1

#: Settings that do not change the result, so that one may go on with others.
_FREE = ("memory_mb",)


def training_hash(stores: list[SampleStore], settings: TrainingSettings) -> str:
    """A hash of all that decides the result: settings, labels, groups, splits, sensors and the size of the values."""
    content = {key: value for key, value in settings.to_json().items() if key not in _FREE}
    digest = hashlib.sha256(json.dumps([VERSION, content], sort_keys=True).encode())
    if settings.start_from:
        digest.update(Path(settings.start_from).read_bytes())
    for store in stores:
        for array in (store.labels, store.groups, store.split, store.fold):
            digest.update(array.tobytes())
        specs = {name: spec.to_json() for name, spec in store.specs.items()}
        digest.update(json.dumps([specs, store.nomenclature.to_json()], sort_keys=True).encode())
        if store.folder is not None:
            for file in sorted(Path(store.folder).glob("*.npy")):
                status = file.stat()
                digest.update(f"{file.name} {status.st_size} {status.st_mtime_ns}".encode())
    return digest.hexdigest()


class Checkpoints:
    """States of a training, saved under names; a folder of None keeps nothing.

    Args:
        folder: where; made when the first state is saved.
        key: the hash of :func:`training_hash`; states of another are removed, and it is said.
        progress: told whether the training goes on or starts again.
    """

    def __init__(self, folder: str | os.PathLike[str] | None, key: str = "", progress: Progress | None = None) -> None:
        self.folder = None if folder is None else Path(folder)
        self._key = key
        self.goes_on = False
        progress = progress or Progress()
        if self.folder is None or not self.folder.exists():
            return
        if self._saved_key(self.folder) == key:
            self.goes_on = True
            progress.info(tr("Going on from the interrupted training in {folder}.").format(folder=self.folder))
        else:
            progress.warning(
                tr(
                    "{folder} is from another training (other settings or samples): it is removed and the "
                    "training starts again."
                ).format(folder=self.folder)
            )
            self.clear()

    @staticmethod
    def _saved_key(folder: Path) -> str:
        try:
            return str(parse_json((folder / "checkpoint.json").read_text(encoding="utf-8"))["key"])
        except (OSError, ValueError, KeyError, TypeError):
            return ""

    def _prepare(self, folder: Path) -> Path:
        if not folder.exists():
            make_folder(folder)
            write_json(folder / "checkpoint.json", {"format": "landloom-checkpoint", "key": self._key})
        return folder

    def save(self, name: str, state: dict[str, Any]) -> None:
        """Save a state of tensors, numbers, texts, lists and dictionaries, whole or not at all."""
        if self.folder is None:
            return
        import torch

        content = io.BytesIO()  # torch's own writer answers a full disk with a riddle instead of an OSError
        torch.save(state, content)
        with whole_file(self._prepare(self.folder) / f"{name}.pt") as temporary:
            temporary.write_bytes(content.getbuffer())

    def load(self, name: str) -> dict[str, Any] | None:
        """The state of that name, or None where there is none, or a damaged one."""
        if self.folder is None or not (self.folder / f"{name}.pt").exists():
            return None
        import torch

        try:
            return torch.load(self.folder / f"{name}.pt", map_location="cpu", weights_only=True)
        except Exception:  # a damaged state only costs the time to make it again
            return None

    def log(self, entry: dict[str, Any]) -> None:
        """Append a line to the epoch log."""
        if self.folder is None:
            return
        try:
            with (self._prepare(self.folder) / "training.jsonl").open("a", encoding="utf-8") as file:
                file.write(json.dumps(entry) + "\n")
        except OSError as error:
            raise LandloomError(writing_failed(self.folder, error)) from error

    def log_lines(self) -> list[str]:
        """The lines of the epoch log; when a training went on, the last line of an epoch stands."""
        path = None if self.folder is None else self.folder / "training.jsonl"
        if path is None or not path.exists():
            return []
        newest: dict[tuple[str, str], str] = {}
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                entry = parse_json(line)
            except ValueError:  # cut by the kill
                continue
            if isinstance(entry, dict):
                newest[str(entry.get("unit")), str(entry.get("epoch"))] = line
        return list(newest.values())

    def clear(self) -> None:
        """Remove everything."""
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)
        self.goes_on = False
