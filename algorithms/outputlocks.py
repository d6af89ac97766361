"""Keeps two runs from writing one output, whatever the algorithm, and tidies up after one that was killed."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from qgis.core import QgsProcessing, QgsProcessingOutputLayerDefinition, QgsProcessingParameterDefinition

from ..model.base.lock import Lock, lock_path, tidy

_NO_FILE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:")  # memory:, ogr:..., postgres:...; C: is a drive


@contextlib.contextmanager
def locked_outputs(
    definitions: Iterable[QgsProcessingParameterDefinition], parameters: Mapping[str, Any]
) -> Iterator[None]:
    """Hold the locks of all files and folders that a run will write; temporary outputs are nobody else's.

    Raises:
        LandloomError: if another run writes one of them, or a folder cannot be written.
    """
    with contextlib.ExitStack() as locks:
        for path in output_paths(definitions, parameters):
            lock = locks.enter_context(Lock(lock_path(path), path, around=True))
            if not lock.again:  # a step of a run that writes the same
                tidy(path)
        yield


def output_paths(definitions: Iterable[QgsProcessingParameterDefinition], parameters: Mapping[str, Any]) -> list[Path]:
    """The files and folders among the outputs, in the order of their names so that all runs lock alike."""
    found = set()
    for definition in definitions:
        value = parameters.get(definition.name())
        if isinstance(value, QgsProcessingOutputLayerDefinition):
            value = value.sink.staticValue()
        if not definition.isDestination() or not isinstance(value, str):
            continue
        text = value.split("|")[0].strip()
        if text and text != QgsProcessing.TEMPORARY_OUTPUT and not _NO_FILE.match(text):
            found.add(Path(text).absolute())
    return sorted(found)
