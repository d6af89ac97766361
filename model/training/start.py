"""Starting from the weights of a model that was trained before, on other places, years or classes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..base.errors import LandloomError

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
            f"START_FROM is a model of the network {start.header.network}, but NETWORK is {settings.network}: choose "
            f"NETWORK {start.header.network}, or leave START_FROM empty."
        )
    needed, given = list(start.header.recipe.sensors), list(pool.specs)
    if set(needed) != set(given):
        raise LandloomError(
            f"START_FROM was trained on {', '.join(needed)}, but these samples are used with {', '.join(given)}: "
            "choose SENSORS to match, or leave START_FROM empty."
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
            raise LandloomError(f"START_FROM lacks the weights {name}: it was made by another version, train anew.")
        old = given[name]
        if is_of_classes(name) and fresh.shape[1:] == old.shape[1:]:
            fresh[mine] = old[theirs]
        elif fresh.shape == old.shape:
            fresh = old.astype(fresh.dtype)
        else:
            raise LandloomError(
                f"The weights {name} of START_FROM have the shape {old.shape}, the network needs {fresh.shape}: "
                f"choose the "
                "same SENSORS, STEP and INDICES as then, or leave START_FROM empty."
            )
        result[name] = fresh
    return result


def is_of_classes(name: str) -> bool:
    """Whether the first axis of a tensor counts classes: that of the classifier and of the auxiliary ones."""
    return name.startswith(("head.", "auxiliary."))
