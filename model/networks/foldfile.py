"""The networks of an evaluation by folds, kept beside the delivered model: each has never seen the groups it judged.

``<model>_folds.safetensors`` holds them one after another, each as a model file does: arrays ``<fold>.<name>``, and the
JSON text of its only metadata key lists their headers, with the groups that trained each. So an object of a known group
can be described by a network that does not know its label. The delivered model's header keeps the file's hash.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..base.errors import LandloomError
from ..base.files import file_hash
from ..base.language import tr
from .modelfile import Model, ModelHeader
from .severalmodels import load_several, save_several

FORMAT, VERSION = "landloom-fold-models", 1
MOST_FOLDS = 1000
KEY = "fold_models"  # in the provenance of the delivered model


def folds_path(model: str | os.PathLike[str]) -> Path:
    """Where the networks of the folds of a model lie: ``ltae.safetensors`` has ``ltae_folds.safetensors``."""
    path = Path(model)
    return path.with_name(f"{path.stem}_folds{path.suffix}")


def save_folds(path: str | os.PathLike[str], models: Sequence[Model]) -> dict[str, Any]:
    """Write the file, whole or not at all.

    Returns:
        what the delivered model keeps under :data:`KEY` of its provenance.

    Raises:
        LandloomError: if it cannot be written.
    """
    save_several(path, models, "folds", {"format": FORMAT, "version": VERSION})
    return {"file": Path(path).name, "sha256": file_hash(path), "folds": len(models)}


def load_folds(model: str | os.PathLike[str], header: ModelHeader) -> list[Model]:
    """The networks of the folds of a delivered model; empty where it was trained without folds.

    Raises:
        LandloomError: if the file is gone, damaged, or of another training.
    """
    kept = header.provenance.get(KEY)
    if not isinstance(kept, dict):
        return []
    named = Path(model).with_name(Path(str(kept.get("file", ""))).name or "_")
    path = next((one for one in (folds_path(model), named) if one.is_file()), None)
    if path is None:
        raise LandloomError(
            tr(
                "The networks of the folds of {model} are missing: put {folds_path} beside it, which 'Train' "
                "wrote with it, or train the model again."
            ).format(model=model, folds_path=folds_path(model).name)
        )
    if file_hash(path) != kept.get("sha256"):
        raise LandloomError(
            tr("{path} is from another training than {model}: put the one beside it that belongs to it.").format(
                path=path, model=model
            )
        )
    return load_several(path, "folds", FORMAT, MOST_FOLDS, tr("networks of folds"))[0]
