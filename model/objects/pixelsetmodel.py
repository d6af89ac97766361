"""A network that reads the pixels of objects, as a file and applied to segments."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..base.device import resolve_device, thread_count
from ..base.errors import LandloomError
from ..base.language import tr
from ..base.nomenclature import Nomenclature
from ..base.progress import Progress
from ..networks.modelfile import Model, describe
from ..networks.predictor import Predictor
from ..networks.registry import GEOMETRY, PIXELSET, network_info
from ..networks.tensorfile import read_tensors, write_tensors
from ..stack.indices import find_band
from ..stack.manifest import Stack
from .features_segments import Segments
from .objectmodel import FORMAT
from .pixelsets import MOST, PixelSets, SetPool, SetSource, picked_tiles

VERSION = 2
"""Of the file: readers of version 1 know forests only, and say that Landloom must be updated."""
_PREDICTED_PIXELS = 16_384


@dataclass
class SetModel:
    """A classifier of objects that reads their pixels.

    Attributes:
        model: the network with its header.
        most: pixels of an object, at most.
        seed: by which they are drawn.
    """

    model: Model
    most: int = MOST
    seed: int = 0

    @property
    def nomenclature(self) -> Nomenclature:
        """Classes in index order."""
        return self.model.header.nomenclature

    @property
    def scores(self) -> dict[str, Any]:
        """Of the evaluation, JSON-serialisable."""
        return self.model.header.scores

    @property
    def provenance(self) -> dict[str, Any]:
        """Inputs, seed, versions."""
        return self.model.header.provenance

    @provenance.setter
    def provenance(self, made: dict[str, Any]) -> None:
        self.model.header = replace(self.model.header, provenance={**self.model.header.provenance, **made})

    @property
    def sensors(self) -> list[str]:
        """The sensors of a stack that it reads."""
        return [name for name in self.model.header.recipe.sensors if name != GEOMETRY]

    @property
    def reads_geometry(self) -> bool:
        """Whether it reads measures of shape."""
        return GEOMETRY in self.model.header.recipe.sensors

    def facts(self) -> dict[str, Any]:
        """What a report tells of it, JSON-serialisable."""
        size, header = describe(self.model), self.model.header
        return {
            "network": header.network,
            "parameters": size["parameters"],
            "mflop_per_object": size["mflop_per_pixel"],
            "pixels": self.most,
            "epochs": list(header.scores.get("epochs", [])),
            "temperature": header.temperature,
            "calibration_error": header.scores.get("calibration_error", float("nan")),
        }

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the file, whole or not at all.

        Raises:
            LandloomError: if it cannot be written.
        """
        tensors, content = self.model.to_arrays()
        header = {
            "format": FORMAT,
            "version": VERSION,
            "network": self.model.header.network,
            "pixels": self.most,
            "seed": self.seed,
            "model": content,
        }
        write_tensors(path, tensors, header)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> SetModel:
        """Read a model; no code in the file is run.

        Raises:
            LandloomError: if it is missing, damaged, or no network of objects, or if torch is missing.
        """
        tensors, content = read_tensors(path)
        version, most, seed = content.get("version"), content.get("pixels"), content.get("seed")
        if not isinstance(version, int) or version > VERSION:
            raise LandloomError(
                tr("{path} has version {version!r}: update Landloom to read it.").format(path=path, version=version)
            )
        is_one = content.get("format") == FORMAT and content.get("network") == PIXELSET
        if not is_one or type(most) is not int or not 1 <= most <= 65536 or type(seed) is not int:
            raise LandloomError(
                tr("{path} is damaged: its description is no network of objects. Train it again.").format(path=path)
            )
        inner = content.get("model")
        if not isinstance(inner, dict):
            raise LandloomError(
                tr("{path} is damaged: it lacks the description of the network. Train it again.").format(path=path)
            )
        try:
            model = Model.from_arrays(tensors, inner)
        except LandloomError as error:
            if type(error) is not LandloomError:
                raise
            raise LandloomError(f"{path}: {error}") from error
        if not network_info(model.header.network).reads_sets or set(model.header.recipe.sensors) == {GEOMETRY}:
            raise LandloomError(
                tr("{path} is damaged: its network reads no sets of pixels. Train it again.").format(path=path)
            )
        return cls(model, most, seed)

    def source(
        self, stack: str | os.PathLike[str] | None, rasters: Sequence[str], memory_mb: float
    ) -> tuple[SetSource, list[str]]:
        """What of a stack it reads, and warnings, such as of sensors that the stack lacks.

        Raises:
            LandloomError: if the stack has none of its sensors, lacks a band, or if rasters are given.
        """
        if not stack:
            raise LandloomError(
                tr("STACK is missing: the model reads {sensors} of one.").format(sensors=", ".join(self.sensors))
            )
        if rasters:
            raise LandloomError(
                tr(
                    "The model reads the stack only, but RASTERS has {n_rasters}: leave it empty, or train a "
                    "random forest with them."
                ).format(n_rasters=len(rasters))
            )
        opened, recipe = Stack.read(stack), self.model.header.recipe
        known = {name: opened.spec(name) for name in self.sensors if name in opened.sensors}
        if not known:
            raise LandloomError(
                tr(
                    "The stack has none of the model's sensors: it reads {sensors}, the stack has {sensors2}. "
                    "Add them to the stack, or choose another model."
                ).format(sensors=", ".join(self.sensors), sensors2=", ".join(opened.sensors))
            )
        _bound, warnings, missing = recipe.bind(known)
        lacking = [name for name in missing if name != GEOMETRY]
        if lacking:
            warnings.append(
                tr(
                    "The stack lacks the sensor {names}, which trained the model: objects will be told less well."
                ).format(names=", ".join(lacking))
            )
        bands: dict[str, Sequence[str]] = {}
        for name, spec in known.items():
            places = [find_band(spec.bands, band) for band in recipe.sensors[name].spec.bands]
            bands[name] = tuple(spec.bands[place] for place in places if place is not None)
        return SetSource(opened, list(known), (), memory_mb, bands), warnings

    def predict(
        self, segments: Segments, source: SetSource, memory_mb: float, device: str, progress: Progress
    ) -> tuple[np.ndarray, np.ndarray]:
        """Class probabilities ``[n, K]`` of all segments, and their sizes in pixels ``[n]`` by shares.

        Raises:
            LandloomError: if the stack cannot be read.
            Cancelled: if the user asked to stop.
        """
        probabilities = np.zeros((len(segments), len(self.nomenclature)), np.float32)
        pixels = np.zeros(len(segments))
        with Predictor(self.model, resolve_device(device), thread_count()) as predictor:
            checked = False
            every = np.arange(len(segments))
            for picked in picked_tiles(segments, source, every, self.most, self.seed, memory_mb / 2, progress):
                blank = np.zeros(len(picked.objects), np.int64)
                store = PixelSets.of(
                    picked, source.specs, self.reads_geometry, self.nomenclature, blank, blank, source.season
                )
                if not checked:
                    predictor.check_fits(store.specs)
                    checked = True
                for few in SetPool([store]).batches(np.arange(len(store)), _PREDICTED_PIXELS):
                    progress.check()
                    probabilities[picked.objects[few]] = predictor.predict(store.batch(few))[:, :, 0, 0]
                pixels[picked.objects] = picked.pixels
        return probabilities, pixels
