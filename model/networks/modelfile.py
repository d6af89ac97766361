"""A trained model as one file: header and arrays, never code."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..base.errors import LandloomError
from ..base.language import tr
from ..base.nomenclature import Nomenclature
from ..base.optional import need
from .axes import PREFIX, Axes, axes_from, axes_tensors
from .forest import Forest
from .inputs import InputRecipe
from .registry import build, network_info
from .tensorfile import read_metadata, read_tensors, write_tensors

if TYPE_CHECKING:
    import torch
    from torch import nn

    from .base import SensorInput

FORMAT = "landloom-model"
VERSION = 1
MOST_MEMBERS = 100
SET_PIXELS = 64  # of the object for which the cost of a network that reads sets is told


@dataclass(frozen=True)
class ModelHeader:
    """What is known of a model besides its weights.

    Attributes:
        network: name in the registry.
        settings: of the network (widths and the like).
        recipe: how its inputs are prepared.
        nomenclature: its classes in index order.
        season: start ``MM-DD`` and campaign year of the training data.
        temperature: logits are divided by it (temperature scaling, Guo et al. 2017).
        scores: accuracy figures of the evaluation, JSON-serialisable.
        training_groups: groups that trained it, to be left out of an assessment.
        provenance: inputs, seed, versions, JSON-serialisable.
        calibration: where the temperature comes from and, by level, the curve of confidence and error that
            UNSURE_ERROR needs (``RiskCurve`` of ``base/calibration.py``); empty in models that have none.
    """

    network: str
    settings: dict[str, Any]
    recipe: InputRecipe
    nomenclature: Nomenclature
    season: tuple[str, int] = ("01-01", 0)
    temperature: float = 1.0
    scores: dict[str, Any] = field(default_factory=dict)
    training_groups: Sequence[int] = ()
    provenance: dict[str, Any] = field(default_factory=dict)
    calibration: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """A dictionary that JSON can hold."""
        return {
            "format": FORMAT,
            "version": VERSION,
            "network": self.network,
            "settings": {
                key: list(value) if isinstance(value, tuple) else value for key, value in self.settings.items()
            },
            "recipe": self.recipe.to_json(),
            "nomenclature": self.nomenclature.to_json(),
            "season": {"start": self.season[0], "year": int(self.season[1])},
            "temperature": float(self.temperature),
            "scores": self.scores,
            "training_groups": [int(group) for group in self.training_groups],
            "provenance": self.provenance,
            "calibration": self.calibration,
        }

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> ModelHeader:
        """The inverse of :meth:`to_json`.

        Raises:
            LandloomError: if something is missing, of a wrong type, or from a later version.
        """
        if not isinstance(content, dict) or content.get("format") != FORMAT:  # a file of several may list anything
            raise LandloomError(tr("The file is not a Landloom model: its format is not named landloom-model."))
        version = content.get("version")
        if not isinstance(version, int) or version > VERSION:
            raise LandloomError(
                tr("The model has version {version!r}, this Landloom knows {version2}: update Landloom.").format(
                    version=version, version2=VERSION
                )
            )
        try:
            header = cls(
                str(content["network"]),
                {key: tuple(v) if isinstance(v, list) else v for key, v in dict(content["settings"]).items()},
                InputRecipe.from_json(content["recipe"]),
                Nomenclature.from_json(content["nomenclature"]),
                (str(content["season"]["start"]), int(content["season"]["year"])),
                float(content["temperature"]),
                dict(content["scores"]),
                tuple(int(group) for group in content["training_groups"]),
                dict(content["provenance"]),
                dict(content.get("calibration") or {}),  # models made before had none
            )
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise LandloomError(
                tr("The header of the model is damaged ({error!r}). Train the model again.").format(error=error)
            ) from error
        if not np.isfinite(header.temperature) or header.temperature <= 0:
            raise LandloomError(
                tr("The header of the model is damaged: its temperature is not positive. Train it again.")
            )
        network_info(header.network)
        return header


@dataclass
class Model:
    """A trained model: header and members (torch modules, or forests); an ensemble has several.

    ``axes`` are the main axes of its descriptors by branch; empty for forests and for models that no training made.
    """

    header: ModelHeader
    members: list[Any]
    axes: dict[str, Axes] = field(default_factory=dict)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write one ``.safetensors`` file, whole or not at all.

        Raises:
            LandloomError: if it cannot be written.
        """
        write_tensors(path, *self.to_arrays())

    def to_arrays(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """What the file holds: arrays by name, and the description that JSON can hold."""
        tensors = axes_tensors(self.axes)
        for number, member in enumerate(self.members):
            for name, array in _member_arrays(member).items():
                tensors[f"{number}.{name}"] = array
        # All settings, also those left at their defaults: a later version may have other defaults.
        settings = {**getattr(self.members[0], "settings", {}), **self.header.settings}
        header = replace(self.header, settings=settings)
        return tensors, {**header.to_json(), "members": len(self.members)}

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Model:
        """Read a model; no code in the file is run, and nothing is believed before it is checked.

        Raises:
            LandloomError: if the file is missing, damaged or made by something else, or if torch is missing.
        """
        tensors, metadata = read_tensors(path)
        with naming(path):
            return cls.from_arrays(tensors, metadata)

    @classmethod
    def from_arrays(cls, tensors: dict[str, np.ndarray], metadata: dict[str, Any]) -> Model:
        """The inverse of :meth:`to_arrays`.

        Raises:
            LandloomError: if they do not fit together, or if torch is missing.
        """
        header = ModelHeader.from_json(metadata)
        count = metadata.get("members")
        if type(count) is not int or not 1 <= count <= MOST_MEMBERS:
            raise LandloomError(tr("The header of the model is damaged: the number of its members is wrong."))
        members: list[dict[str, np.ndarray]] = [{} for _ in range(count)]
        axes = axes_from({name: array for name, array in tensors.items() if name.startswith(f"{PREFIX}.")})
        for name, tensor in tensors.items():
            if name.startswith(f"{PREFIX}."):
                continue
            number, _, rest = name.partition(".")
            if not number.isdecimal() or int(number) >= count:
                raise LandloomError(tr("The model holds arrays of no member: train the model again."))
            members[int(number)][rest] = tensor
        make = _forest if network_info(header.network).is_forest else _module
        return cls(header, [make(header, arrays) for arrays in members], axes)

    @staticmethod
    def load_header(path: str | os.PathLike[str]) -> ModelHeader:
        """Read the header alone: quick, and needs no torch; errors as in :meth:`load`."""
        return ModelHeader.from_json(read_metadata(path))


@contextlib.contextmanager
def naming(path: str | os.PathLike[str]) -> Iterator[None]:
    """Put the file's name before an error that lacks it."""
    try:
        yield
    except LandloomError as error:
        if str(path) in str(error) or type(error) is not LandloomError:
            raise
        raise LandloomError(f"{path}: {error}") from error


def _member_arrays(member: Any) -> dict[str, np.ndarray]:
    if isinstance(member, Forest):
        return member.to_tensors()
    return {name: tensor.detach().cpu().numpy() for name, tensor in member.state_dict().items()}


def _forest(header: ModelHeader, arrays: dict[str, np.ndarray]) -> Forest:
    forest = Forest.from_tensors(arrays)
    features, classes = len(header.recipe.feature_names()), len(header.nomenclature)
    if forest.features != features or forest.classes != classes:
        raise LandloomError(
            tr(
                "The forest has {features} features and {classes} classes, but its header describes "
                "{features2} and {classes2}: the file is damaged, train the model again."
            ).format(features=forest.features, classes=forest.classes, features2=features, classes2=classes)
        )
    return forest


def _module(header: ModelHeader, arrays: dict[str, np.ndarray]) -> nn.Module:
    torch = need("torch", f"The network {header.network}")
    with torch.device("meta"):  # no memory yet: what the header claims is compared with what the file has
        module = build(header.network, header.recipe.shapes(), len(header.nomenclature), header.settings)
    expected = module.state_dict()
    wrong = [
        name
        for name in {*expected, *arrays}
        if name not in expected
        or name not in arrays
        or tuple(expected[name].shape) != arrays[name].shape
        or str(expected[name].dtype).removeprefix("torch.") != arrays[name].dtype.name
    ]
    if wrong:
        raise LandloomError(
            tr(
                "The weights do not fit the network {network} of the header ({n_wrong} arrays, such as "
                "{wrong}): the file is damaged, train the model again."
            ).format(network=header.network, n_wrong=len(wrong), wrong=sorted(wrong)[0][:80])
        )
    if not all(np.all(np.isfinite(array)) for array in arrays.values()):
        raise LandloomError(tr("The weights hold values that are not numbers: train the model again."))
    module.load_state_dict({name: torch.from_numpy(array) for name, array in arrays.items()}, assign=True)
    return module.eval()


def describe(model: Model) -> dict[str, Any]:
    """Size and cost of a model.

    Returns:
        ``parameters`` (or ``nodes`` of a forest) of all members, ``mflop_per_pixel`` (None where it cannot be
        counted; of a network that reads sets that for an object of 64 pixels), and ``text``, a sentence for the log.
        One multiply-add is two FLOP.
    """
    network = model.header.network
    if network_info(network).is_forest:
        nodes = sum(len(member.left) for member in model.members)
        trees = sum(member.trees for member in model.members)
        return {
            "nodes": nodes,
            "mflop_per_pixel": None,
            "text": tr("{network}: {trees} trees, {nodes:,} nodes").format(network=network, trees=trees, nodes=nodes),
        }
    parameters = sum(weights.numel() for member in model.members for weights in member.parameters())
    side = round(SET_PIXELS**0.5) if network_info(network).reads_sets else 32
    counts = [flop_per_pixel(member, model.header.recipe, side) for member in model.members]
    cost = None if None in counts else sum(count for count in counts if count is not None) / 1e6
    unit = "MFLOP per pixel"
    if network_info(network).reads_sets:
        unit = tr("MFLOP per object of {set_pixels} pixels").format(set_pixels=SET_PIXELS)
        cost = None if cost is None else cost * SET_PIXELS
    text = tr("{network}: {parameters:,} parameters").format(network=network, parameters=parameters) + (
        f", {cost:.2f} {unit}" if cost is not None else ""
    )
    return {"parameters": parameters, "mflop_per_pixel": cost, "text": text}


def flop_per_pixel(module: nn.Module, recipe: InputRecipe, side: int = 32) -> float | None:
    """FLOP of the products and convolutions for one pixel of a window of ``side`` pixels, every training date there."""
    import torch

    try:
        from torch.utils.flop_counter import FlopCounterMode
    except ImportError:
        return None
    device = next(module.parameters()).device
    inputs = blank_inputs(recipe, side + 2 * int(getattr(module, "halo", 0)), device)
    counter, training = FlopCounterMode(display=False), module.training
    module.eval()
    try:
        with torch.no_grad(), counter:
            module(inputs)
    finally:
        module.train(training)
    return counter.get_total_flops() / side**2


def blank_inputs(recipe: InputRecipe, size: int, device: torch.device | str = "cpu") -> dict[str, SensorInput]:
    """Inputs of zeros for one window of ``size`` pixels, every training date there: to count and to measure."""
    import torch

    from .base import SensorInput

    inputs = {}
    for name, shape in recipe.shapes().items():
        days = recipe.sensors[name].spec.days or (0,)
        inputs[name] = SensorInput(
            torch.zeros(1, len(days), shape.channels, size, size, device=device),
            torch.ones(1, len(days), size, size, dtype=torch.bool, device=device),
            torch.tensor(days, dtype=torch.float32, device=device),
            torch.zeros(1, shape.target_dates, shape.channels + 1, size, size, device=device),
        )
    return inputs
