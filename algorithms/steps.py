"""What ``landcovermap`` remembers of its steps, so that one whose inputs have not changed is skipped."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from qgis.core import (
    QgsFeatureSource,
    QgsMapLayer,
    QgsProcessingFeatureSourceDefinition,
    QgsProcessingFeedback,
    QgsProcessingMultiStepFeedback,
)

from ..model.base.files import parse_json, write_json
from ..model.base.progress import Progress


class StepLog:
    """``steps.json`` of a work folder: name of a step -> fingerprint of its inputs and its results."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "steps.json"
        try:
            content = parse_json(self._path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            content = {}
        self._steps: dict[str, Any] = content if isinstance(content, dict) else {}

    def results(self, step: str, key: str, outputs: Iterable[Path]) -> dict[str, Any] | None:
        """The results of the last run, or None where the step must run.

        Its last run is then forgotten: should this one be killed when it has written its outputs, they would else be
        taken for those of the last one as soon as that one's parameters are given again.
        """
        entry = self._steps.get(step)
        if isinstance(entry, dict) and entry.get("key") == key and all(path.exists() for path in outputs):
            found = entry.get("results")
            if isinstance(found, dict):
                return found
        if self._steps.pop(step, None) is not None:
            write_json(self._path, self._steps)
        return None

    def warnings(self, step: str) -> list[str]:
        """What the last run of a step warned of."""
        entry = self._steps.get(step)
        found = entry.get("warnings", []) if isinstance(entry, dict) else []
        return [str(one) for one in found] if isinstance(found, list) else []

    def done(self, step: str, key: str, results: dict[str, Any], warnings: list[str]) -> None:
        """Remember a step that went through."""
        plain = {name: value for name, value in results.items() if isinstance(value, str | int | float)}
        self._steps[step] = {"key": key, "results": plain, "warnings": warnings}
        write_json(self._path, self._steps)


class StepFeedback(QgsProcessingMultiStepFeedback):
    """The feedback of the steps, which keeps the warnings of the one at work."""

    def __init__(self, count: int, parent: QgsProcessingFeedback) -> None:
        super().__init__(count, parent)
        self._parent = parent  # which QGIS does not keep alive
        self.kept: list[str] = []

    def pushWarning(self, warning: str) -> None:  # noqa: N802
        self.kept.append(warning)
        super().pushWarning(warning)


def fingerprint(algorithm: str, inputs: dict[str, Any], sources: Iterable[Any], progress: Progress) -> str:
    """A hash of the parameters and of name, size and time of every file among the sources."""
    digest = hashlib.sha256(algorithm.encode())
    for name in sorted(inputs):
        digest.update(f"{name}={_plain(inputs[name])}\n".encode())
    for source in sources:
        for path in _files(source):
            progress.check()
            try:
                state = path.stat()
            except FileNotFoundError:
                continue
            digest.update(f"{path} {state.st_size} {state.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def features_fingerprint(source: QgsFeatureSource, fields: Sequence[str], progress: Progress) -> str:
    """A hash of the geometries and some attributes of the features that are read, as they are now.

    Args:
        source: the layer, with its filter and selection.
        fields: the class field and others; one that does not exist is left for the step to refuse.
        progress: asked whether to stop.
    """
    digest = hashlib.sha256(source.sourceCrs().toWkt().encode())
    positions = [source.fields().lookupField(field) for field in fields]
    for feature in source.getFeatures():
        progress.check()
        digest.update(bytes(feature.geometry().asWkb().data()))
        for position in positions:
            digest.update(str(feature.attribute(position) if position >= 0 else None).encode() + b"\n")
    return digest.hexdigest()


def _plain(value: Any) -> str:
    if isinstance(value, QgsMapLayer):
        return value.source()
    if isinstance(value, QgsProcessingFeatureSourceDefinition):
        return f"{value.source.asExpression()} {value.selectedFeaturesOnly} {value.featureLimit}"
    return str(value)


def _files(source: Any) -> list[Path]:
    if not source:
        return []
    path = Path(source)
    if not path.is_dir():
        return [path]
    return sorted(Path(folder) / name for folder, _, names in os.walk(path) for name in names)
