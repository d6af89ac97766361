"""Parameters of single steps that ``landcovermap`` offers too and passes on: each is declared by its step alone."""

from __future__ import annotations

from typing import Any

from ..model.base.errors import LandloomError
from ..model.base.language import tr
from .base import LandloomAlgorithm, is_given
from .classify import Classify
from .extractsamples import ExtractSamples
from .preparestack import PrepareStack
from .train import Train

STEPS: dict[type[LandloomAlgorithm], tuple[str, ...]] = {
    PrepareStack: (
        "SENSORS",
        "START",
        "END",
        "SKIP_DATES",
        "MAX_CLOUD",
        "CLOUD_RULE",
        "MASK_BUFFER",
        "ORBITS",
        "SPECKLE",
        "CRS",
        "RESOLUTION",
        "SEASON_START",
        "CAMPAIGN_YEAR",
    ),
    ExtractSamples: ("GROUP_FIELD", "GROUP_DISTANCE", "INNER_BUFFER", "MAX_PER_CLASS", "MAX_PER_GROUP", "TEST"),
    Train: ("EPOCHS", "STEP", "INDICES", "CLASS_WEIGHTS", "RUNS"),
    Classify: ("MASK", "BLEND"),
}


def add_passed_on(algorithm: LandloomAlgorithm) -> None:
    """Declare the parameters of the steps as they declare them, as advanced ones."""
    for step, names in STEPS.items():
        child = step()
        child.initAlgorithm()
        for name in names:
            definition = child.parameterDefinition(name)
            # The help is in the user's language already.
            algorithm.add(definition.clone(), definition.help(), advanced=True)


def passed_on(algorithm: LandloomAlgorithm, step: str, parameters: dict[str, Any]) -> dict[str, Any]:
    """The values given for a step, without those that are its defaults.

    Args:
        algorithm: the one that was given them.
        step: id of the step.
        parameters: all parameters given.
    """
    names = next(names for one, names in STEPS.items() if step == one.ID)
    return {
        name: parameters[name]
        for name in names
        if is_given(parameters.get(name))
        and parameters[name] != ""
        and parameters[name] != algorithm.parameterDefinition(name).defaultValue()
    }


def refuse_image_settings(algorithm: LandloomAlgorithm, parameters: dict[str, Any]) -> None:
    """Settings of the images mean nothing where a stack is given.

    Raises:
        LandloomError: if there is one.
    """
    given = passed_on(algorithm, PrepareStack.ID, parameters)
    if given:
        raise LandloomError(
            tr(
                "{given} cannot be used with STACK, whose images are chosen already: leave it out, or give the "
                "folder of products as INPUT."
            ).format(given=", ".join(given))
        )
