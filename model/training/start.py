"""Starting from the weights of a model that was trained before, on other places, years or classes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..base.errors import LandloomError
from ..base.language import tr

if TYPE_CHECKING:
    import torch

    from ..base.nomenclature import Nomenclature
    from ..networks.modelfile import Model
    from .pool import SamplePool
    from .settings import TrainingSettings


def check_start(start: Model, pool: SamplePool, settings: TrainingSettings) -> None:
    """Check that the model can be the start; what it does not fit is refused with both sides named.

    Raises:
        LandloomError: if it is another network, or its sensors or bands are not those of the samples.
    """
    if start.header.network != settings.network:
        raise LandloomError(
            tr(
                "START_FROM is a model of the network {network}, but NETWORK is {network2}: choose NETWORK "
                "{network}, or leave START_FROM empty."
            ).format(network=start.header.network, network2=settings.network)
        )
    needed, given = list(start.header.recipe.sensors), list(pool.specs)
    if set(needed) != set(given):
        raise LandloomError(
            tr(
                "START_FROM was trained on {needed}, but these samples are used with {given}: choose SENSORS "
                "to match, or leave START_FROM empty."
            ).format(needed=", ".join(needed), given=", ".join(given))
        )
    pool.bind(start.header.recipe)


def starting_weights(
    start: Model, run: int, network: torch.nn.Module, nomenclature: Nomenclature
) -> dict[str, np.ndarray]:
    """Weights for a new network: those of the model, with the classes it knows, by code, in their new places.

    Args:
        start: the model; member ``run`` of it is taken, or the last one.
        run: number of the member to train.
        network: a network with new weights, which classes that the model does not know keep.
        nomenclature: the classes to learn.

    Raises:
        LandloomError: if the tensors do not fit.
    """
    member = start.members[run % len(start.members)]
    given = {name: tensor.detach().cpu().numpy() for name, tensor in member.state_dict().items()}
    known = {int(code): place for place, code in enumerate(start.header.nomenclature.codes)}
    pairs = [(place, known[int(code)]) for place, code in enumerate(nomenclature.codes) if int(code) in known]
    mine, theirs = np.array([pair[0] for pair in pairs], int), np.array([pair[1] for pair in pairs], int)
    result = {}
    for name, value in network.state_dict().items():
        fresh = value.detach().cpu().numpy().copy()
        if name not in given:
            raise LandloomError(
                tr("START_FROM lacks the weights {name}: it was made by another version, train anew.").format(name=name)
            )
        old = given[name]
        if is_of_classes(name) and fresh.shape[1:] == old.shape[1:]:
            fresh[mine] = old[theirs]
        elif fresh.shape == old.shape:
            fresh = old.astype(fresh.dtype)
        else:
            raise LandloomError(
                tr(
                    "The weights {name} of START_FROM have the shape {shape}, the network needs {shape2}: "
                    "choose the same SENSORS, STEP and INDICES as then, or leave START_FROM empty."
                ).format(name=name, shape=old.shape, shape2=fresh.shape)
            )
        result[name] = fresh
    return result


def is_of_classes(name: str) -> bool:
    """Whether the first axis of a tensor counts classes: that of the classifier and of the auxiliary ones."""
    return name.startswith(("head.", "auxiliary."))
