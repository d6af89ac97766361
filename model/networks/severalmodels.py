"""Several models in one file, one after another, each as a model file holds it.

Arrays are called ``<number>.<name>``; the JSON text of the file's only metadata key lists the headers under a key of
that kind of file (networks of folds, models of regions).
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..base.errors import LandloomError
from ..base.language import tr
from .modelfile import Model, naming
from .tensorfile import read_tensors, write_tensors


def save_several(
    path: str | os.PathLike[str], models: Sequence[Model], key: str, description: Mapping[str, Any]
) -> None:
    """Write the file, whole or not at all.

    Args:
        path: ``.safetensors``.
        models: in order.
        key: under which their headers stand.
        description: what else stands beside them: format and version.

    Raises:
        LandloomError: if it cannot be written.
    """
    tensors: dict[str, np.ndarray] = {}
    headers = []
    for number, model in enumerate(models):
        arrays, header = model.to_arrays()
        tensors |= {f"{number}.{name}": array for name, array in arrays.items()}
        headers.append(header)
    write_tensors(path, tensors, {**description, key: headers})


def load_several(
    path: str | os.PathLike[str], key: str, file_format: str, most: int, what: str
) -> tuple[list[Model], dict[str, Any]]:
    """Read the file: the models, and its description.

    Args:
        path: the file.
        key: under which the headers stand.
        file_format: what its ``format`` must be.
        most: more models are not believed.
        what: the models, for messages.

    Raises:
        LandloomError: if it is damaged or something else.
    """
    tensors, metadata = read_tensors(path)
    with naming(path):
        headers = metadata.get(key)
        if metadata.get("format") != file_format or not isinstance(headers, list) or not 1 <= len(headers) <= most:
            raise LandloomError(tr("The file holds no {what}: train the model again.").format(what=what))
        parts: list[dict[str, np.ndarray]] = [{} for _ in headers]
        for name, array in tensors.items():
            number, _, rest = name.partition(".")
            if not number.isdecimal() or int(number) >= len(parts):
                raise LandloomError(
                    tr("The file holds arrays of none of the {what}: train the model again.").format(what=what)
                )
            parts[int(number)][rest] = array
        return [Model.from_arrays(arrays, one) for arrays, one in zip(parts, headers, strict=True)], metadata
