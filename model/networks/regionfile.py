"""The models of eco-climatic regions, kept beside the model of all samples.

``<model>_regions.safetensors`` holds them one after another, with the names of their regions. The model of all samples
is a model like any other: it maps what has no model of its own, and its header keeps the file's hash.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..base.errors import LandloomError
from ..base.files import file_hash
from ..base.language import tr
from .modelfile import Model, ModelHeader, naming
from .severalmodels import load_several, save_several

FORMAT, VERSION = "landloom-region-models", 1
MOST_REGIONS = 1000
KEY = "region_models"  # in the provenance of the model of all samples


def regions_path(model: str | os.PathLike[str]) -> Path:
    """Where the models of regions lie: ``ltae.safetensors`` has ``ltae_regions.safetensors``."""
    path = Path(model)
    return path.with_name(f"{path.stem}_regions{path.suffix}")


def save_regions(path: str | os.PathLike[str], models: Mapping[str, Model]) -> dict[str, Any]:
    """Write the file, whole or not at all.

    Args:
        path: the file.
        models: region -> its model.

    Returns:
        what the model of all samples keeps under :data:`KEY` of its provenance.

    Raises:
        LandloomError: if it cannot be written.
    """
    names = list(models)
    save_several(path, list(models.values()), "models", {"format": FORMAT, "version": VERSION, "regions": names})
    return {"file": Path(path).name, "sha256": file_hash(path), "regions": names}


def load_regions(model: str | os.PathLike[str], header: ModelHeader) -> dict[str, Model]:
    """The models of the regions of a model.

    Raises:
        LandloomError: if it was trained without regions, or if the file is gone, damaged, or of another training.
    """
    kept = header.provenance.get(KEY)
    if not isinstance(kept, dict):
        raise LandloomError(
            tr("The model {model} has no models of regions: train it with REGIONS, or leave REGIONS empty.").format(
                model=model
            )
        )
    named = Path(model).with_name(Path(str(kept.get("file", ""))).name or "_")
    path = next((one for one in (regions_path(model), named) if one.is_file()), None)
    if path is None:
        raise LandloomError(
            tr(
                "The models of the regions of {model} are missing: put {regions_path} beside it, which 'Train' "
                "wrote with it, or train the model again."
            ).format(model=model, regions_path=regions_path(model).name)
        )
    if file_hash(path) != kept.get("sha256"):
        raise LandloomError(
            tr("{path} is from another training than {model}: put the one beside it that belongs to it.").format(
                path=path, model=model
            )
        )
    models, metadata = load_several(path, "models", FORMAT, MOST_REGIONS, tr("models of regions"))
    names = metadata.get("regions")
    with naming(path):
        if not isinstance(names, list) or [str(name) for name in names] != names or len(set(names)) != len(models):
            raise LandloomError(tr("The names of its regions are damaged: train the model again."))
    return dict(zip(names, models, strict=True))
