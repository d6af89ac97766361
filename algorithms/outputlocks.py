"""Keeps two runs from writing one output, and a run from writing over what it reads; tidies up after killed runs."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from qgis.core import (
    QgsMapLayer,
    QgsProcessing,
    QgsProcessingContext,
    QgsProcessingFeatureSourceDefinition,
    QgsProcessingOutputLayerDefinition,
    QgsProcessingParameterDefinition,
    QgsProcessingUtils,
)

from ..model.base.errors import LandloomError
from ..model.base.language import tr
from ..model.base.lock import Lock, lock_path, tidy
from .declare import entries_of

_NO_FILE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:")  # memory:, ogr:..., postgres:...; C: is a drive

LONGEST_NAME = 210
"""Bytes of the name of an output: file systems take 255, and what is written beside it has up to 45 more."""
_RENEWED = ("STACK", "TABLE", "START_FROM")  # inputs of which a run may write a newer version in their place


def refuse_inputs(
    definitions: Iterable[QgsProcessingParameterDefinition],
    parameters: Mapping[str, Any],
    context: QgsProcessingContext,
) -> None:
    """Keep a run from replacing a file that it reads.

    Raises:
        LandloomError: if an output is the file of an input.
    """
    definitions = list(definitions)
    outputs = {path: one.name() for one in definitions for path in map(_real, output_paths([one], parameters))}
    for definition in definitions:
        name = definition.name()
        if not outputs or definition.isDestination() or name in _RENEWED:
            continue
        for one in entries_of(parameters.get(name)):
            path = _input_path(one, context)
            if path and _real(path) in outputs:
                raise LandloomError(
                    tr("{output} {path} is also an input ({name}), which would be lost: give another name.").format(
                        output=outputs[_real(path)], path=path, name=name
                    )
                )


def _input_path(value: Any, context: QgsProcessingContext) -> str:
    """The file of a layer or path that was given; empty where there is none."""
    if isinstance(value, QgsProcessingFeatureSourceDefinition):
        value = value.source.staticValue()
    if isinstance(value, str) and value and not os.path.exists(value.split("|")[0]):
        value = QgsProcessingUtils.mapLayerFromString(value, context, False)
    if isinstance(value, QgsMapLayer):
        value = value.source()
    path = value.split("|")[0] if isinstance(value, str) else ""
    return path if os.path.isfile(path) else ""


def _real(path: str | os.PathLike[str]) -> str:
    return os.path.normcase(os.path.realpath(path))


@contextlib.contextmanager
def locked_outputs(
    definitions: Iterable[QgsProcessingParameterDefinition], parameters: Mapping[str, Any]
) -> Iterator[None]:
    """Hold the locks of all files and folders that a run will write; temporary outputs are nobody else's.

    Raises:
        LandloomError: if another run writes one of them, a folder cannot be written or a name is too long, which would
            else be noticed when all is computed.
    """
    with contextlib.ExitStack() as locks:
        for path in output_paths(definitions, parameters):
            if (size := len(os.fsencode(path.name))) > LONGEST_NAME:
                raise LandloomError(
                    tr("The name of the output {path} is too long, {size} bytes: give one of at most {most}.").format(
                        path=path, size=size, most=LONGEST_NAME
                    )
                )
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
