"""A model that classifies objects: which features it reads, how they are prepared, a random forest, and its classes.

One ``.safetensors`` file as for pixel models, never code: the forest's arrays, and a JSON text as its only metadata.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ..base.errors import LandloomError
from ..base.language import tr
from ..base.nomenclature import Nomenclature
from ..networks.channels import source_bands, target_days_of
from ..networks.forest import Forest
from ..networks.tensorfile import read_metadata, read_tensors, write_tensors
from ..stack.gapfill import fill_planes
from ..stack.indices import find_band
from ..stack.manifest import Stack
from ..stack.sensors import SensorSpec
from .features import FeatureSettings, ObjectTable, column_names, release_pages
from .features_sources import Measured, RasterSource, StackSource

FORMAT, VERSION = "landloom-object-model", 1
_BLOCK = 2_000_000  # values at a time, of which six copies are at work


@dataclass(frozen=True)
class SensorFeatures:
    """How the series of a sensor become features.

    Attributes:
        spec: the sensor as trained, with the dates of training.
        target_days: days to which the series of each object are interpolated.
    """

    spec: SensorSpec
    target_days: tuple[int, ...]


@dataclass(frozen=True)
class FeatureRecipe:
    """What is measured of objects, and how it becomes the columns that the forest reads.

    Series of each statistic and channel are interpolated in time to the target days, so that a stack of another year,
    or with other clouds, gives the same columns; what an object lacks wholly takes the median of the training objects.

    Attributes:
        settings: which statistics.
        texture: whether rasters have texture.
        indices: of the stack's sensors.
        sensors: name -> how its series are prepared.
        rasters: of each raster the number of its bands, and the limits of its grey levels (empty without texture).
        names: ``[F]`` names of the columns, as in training.
        medians: ``[F]`` of the training objects.
    """

    settings: FeatureSettings
    texture: bool
    indices: tuple[str, ...]
    sensors: dict[str, SensorFeatures]
    rasters: tuple[tuple[int, tuple[tuple[float, float], ...]], ...]
    names: tuple[str, ...] = ()
    medians: tuple[float, ...] = ()

    @classmethod
    def of(
        cls,
        stack: StackSource | None,
        rasters: Sequence[RasterSource],
        settings: FeatureSettings,
        texture: bool,
        step: int,
    ) -> FeatureRecipe:
        """The recipe of sources at hand, not fitted yet."""
        sensors = {}
        if stack is not None:
            for (name, spec), days in zip(stack.specs.items(), target_days_of(stack.specs, step), strict=True):
                sensors[name] = SensorFeatures(spec, days)
        limits = tuple((len(one.names), tuple(one.limits)) for one in rasters)
        indices = () if stack is None else tuple(stack.asked)
        return cls(settings, texture, indices, sensors, limits)

    # ------------------------------------------------------------------ sources

    def sources(
        self, stack: str | os.PathLike[str] | None, rasters: Sequence[str], memory_mb: float
    ) -> tuple[list[Measured], list[str]]:
        """The sources for other data, and warnings.

        Raises:
            LandloomError: if a sensor, band or raster is missing or of another kind, with what is needed.
        """
        warnings: list[str] = []
        found: list[Measured] = []
        if self.sensors:
            if not stack:
                raise LandloomError(
                    tr("STACK is missing: the model reads {sensors} of one.").format(sensors=", ".join(self.sensors))
                )
            opened = Stack.read(stack)
            bands: dict[str, Sequence[str]] = {}
            for name, one in self.sensors.items():
                if name not in opened.sensors:
                    raise LandloomError(
                        tr(
                            "The stack lacks the sensor {name}: the model reads {sensors}, the stack has "
                            "{sensors2}. Add it to the stack, or choose another model."
                        ).format(name=name, sensors=", ".join(self.sensors), sensors2=", ".join(opened.sensors))
                    )
                spec = opened.spec(name)
                source_bands(one.spec, spec, warnings)
                places = [find_band(spec.bands, band) for band in one.spec.bands]
                bands[name] = tuple(spec.bands[place] for place in places if place is not None)
            found.append(StackSource(opened, list(self.sensors), self.indices, memory_mb, bands))
        if len(rasters) != len(self.rasters):
            raise LandloomError(
                tr(
                    "The model reads {n_rasters} rasters, but RASTERS has {n_rasters2}: give those of the "
                    "training, or ones like them, in the same order."
                ).format(n_rasters=len(self.rasters), n_rasters2=len(rasters))
            )
        for path, (bands_of, limits) in zip(rasters, self.rasters, strict=True):
            raster = RasterSource(path, self.texture, limits if self.texture else None)
            if len(raster.names) != bands_of:
                raise LandloomError(
                    tr(
                        "The raster {path} has {n_names} bands, the model was trained with {bands_of}: give "
                        "the rasters of the training, or ones like them, in the same order."
                    ).format(path=path, n_names=len(raster.names), bands_of=bands_of)
                )
            found.append(raster)
        return found, warnings

    # ------------------------------------------------------------------ columns

    def matrix(
        self, table: ObjectTable, sources: Sequence[Measured], objects: np.ndarray
    ) -> tuple[np.ndarray, list[str]]:
        """Columns of some objects ``[n, F]`` float32, NaN where they have nothing, and their names."""
        values = np.asarray(table.values[objects], np.float32)
        parts: list[np.ndarray] = []
        names: list[str] = []
        at = 0
        kinds = [*self.settings.statistics, *(f"p{one:g}" for one in self.settings.percentiles)]
        for source in sources:
            width = len(column_names(source, self.settings))
            own = values[:, at : at + width]
            at += width
            if not isinstance(source, StackSource):
                parts.append(own)
                names += column_names(source, self.settings)
                continue
            place = 0
            for name, spec in source.specs.items():
                channels = source.channels(name)
                shape = (len(objects), len(spec.dates), len(channels) * len(kinds))
                block = own[:, place : place + shape[1] * shape[2]].reshape(shape)
                place += shape[1] * shape[2]
                days = self.sensors[name].target_days
                parts.append(_at_days(block, spec.days, days))
                names += [f"{name}_{day}_{channel}_{kind}" for day in days for channel in channels for kind in kinds]
        parts.append(values[:, at:])
        names += table.names[at:]
        return np.concatenate(parts, axis=1), names

    def fitted(self, matrix: np.ndarray, names: Sequence[str]) -> FeatureRecipe:
        """The same with the medians of training objects."""
        known = np.isfinite(matrix)
        medians = [
            float(np.median(column[here])) if here.any() else 0.0
            for column, here in zip(matrix.T, known.T, strict=True)
        ]
        return replace(self, names=tuple(names), medians=tuple(medians))

    def filled(self, matrix: np.ndarray) -> np.ndarray:
        """Without NaN."""
        filled = np.where(np.isfinite(matrix), matrix, np.asarray(self.medians, np.float32))
        return filled.astype(np.float32, copy=False)

    def to_json(self) -> dict[str, Any]:
        """A dictionary that JSON can hold."""
        return {
            "settings": {
                "statistics": list(self.settings.statistics),
                "percentiles": list(self.settings.percentiles),
                "partial": self.settings.partial,
                "shape": self.settings.shape,
            },
            "texture": self.texture,
            "indices": list(self.indices),
            "sensors": {
                name: {"spec": one.spec.to_json(), "target_days": list(one.target_days)}
                for name, one in self.sensors.items()
            },
            "rasters": [{"bands": bands, "limits": [list(pair) for pair in limits]} for bands, limits in self.rasters],
            "names": list(self.names),
            "medians": list(self.medians),
        }

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> FeatureRecipe:
        """The inverse of :meth:`to_json`."""
        chosen = content["settings"]
        settings = FeatureSettings(
            tuple(str(one) for one in chosen["statistics"]),
            tuple(float(one) for one in chosen["percentiles"]),
            bool(chosen["partial"]),
            bool(chosen["shape"]),
        )
        settings.check()
        sensors = {
            str(name): SensorFeatures(SensorSpec.from_json(one["spec"]), tuple(int(day) for day in one["target_days"]))
            for name, one in content["sensors"].items()
        }
        rasters = tuple(
            (int(one["bands"]), tuple((float(low), float(high)) for low, high in one["limits"]))
            for one in content["rasters"]
        )
        names = tuple(str(name) for name in content["names"])
        medians = tuple(float(value) for value in content["medians"])
        if len(names) != len(medians) or not np.isfinite(medians).all():
            raise ValueError("names and medians do not fit")
        indices = tuple(str(name) for name in content["indices"])
        return cls(settings, bool(content["texture"]), indices, sensors, rasters, names, medians)


def _at_days(block: np.ndarray, days: Sequence[int], targets: Sequence[int]) -> np.ndarray:
    """Series ``[n, T, C]``, NaN = missing, interpolated to target days: ``[n, targets * C]``."""
    count, _dates, channels = block.shape
    valid = np.isfinite(block).all(axis=2).T
    planes = np.where(valid.T[:, :, None], block, 0).transpose(1, 2, 0).astype(np.float32)
    filled, _validity = fill_planes(np.ascontiguousarray(planes), valid, np.asarray(days), targets)
    filled = np.asarray(filled, np.float32)
    filled[:, :, ~valid.any(axis=0)] = np.nan
    return filled.transpose(2, 0, 1).reshape(count, len(targets) * channels)


@dataclass
class ObjectModel:
    """A classifier of objects.

    Attributes:
        recipe: what it reads.
        forest: the classifier.
        nomenclature: classes in index order.
        scores: of the evaluation, JSON-serialisable.
        provenance: inputs, seed, versions.
        descriptors: how the raster of descriptors is made that comes after RASTERS: hash and path of the pixel model,
            branch and dimensions; empty without.
    """

    recipe: FeatureRecipe
    forest: Forest
    nomenclature: Nomenclature
    scores: dict[str, Any] = field(default_factory=dict)
    provenance: dict[str, Any] = field(default_factory=dict)
    descriptors: dict[str, Any] = field(default_factory=dict)

    def predict(self, table: ObjectTable, sources: Sequence[Measured], objects: np.ndarray) -> np.ndarray:
        """Class probabilities ``[n, K]`` of objects."""
        result = np.empty((len(objects), len(self.nomenclature)), np.float32)
        step = max(64, _BLOCK // max(1, len(self.recipe.names), len(table.names)))
        for start in range(0, len(objects), step):
            part = slice(start, start + step)
            matrix, _names = self.recipe.matrix(table, sources, objects[part])
            result[part] = self.forest.predict_proba(np.asfortranarray(self.recipe.filled(matrix)))
            release_pages(table.values)
        return result

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the file, whole or not at all.

        Raises:
            LandloomError: if it cannot be written.
        """
        header = {
            "format": FORMAT,
            "version": VERSION,
            "recipe": self.recipe.to_json(),
            "nomenclature": self.nomenclature.to_json(),
            "scores": self.scores,
            "provenance": self.provenance,
            "descriptors": self.descriptors,
        }
        write_tensors(path, self.forest.to_tensors(), header)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> ObjectModel:
        """Read a model; no code in the file is run.

        Raises:
            LandloomError: if it is missing, damaged, or no model of objects.
        """
        if read_metadata(path).get("format") != FORMAT:
            raise LandloomError(
                tr(
                    "{path} is no model of objects: make one with 'Train on objects'. Models of 'Train' "
                    "classify pixels."
                ).format(path=path)
            )
        tensors, content = read_tensors(path)
        if not isinstance(content.get("version"), int) or content["version"] > VERSION:
            raise LandloomError(
                tr("{path} has version {get!r}: update Landloom to read it.").format(
                    path=path, get=content.get("version")
                )
            )
        try:
            model = cls(
                FeatureRecipe.from_json(content["recipe"]),
                Forest.from_tensors(tensors),
                Nomenclature.from_json(content["nomenclature"]),
                dict(content["scores"]),
                dict(content["provenance"]),
                dict(content["descriptors"]),
            )
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise LandloomError(
                tr("{path} is damaged ({error!r}): train the model again.").format(path=path, error=error)
            ) from error
        if model.forest.features != len(model.recipe.names) or model.forest.classes != len(model.nomenclature):
            raise LandloomError(
                tr("{path} is damaged: its forest does not fit its features. Train the model again.").format(path=path)
            )
        return model
