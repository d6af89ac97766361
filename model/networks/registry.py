"""The networks by name: what each needs, and how it is built. Imports no torch by itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from ..base.errors import LandloomError
from ..base.language import tr
from ..base.optional import need
from .base import SensorShape
from .inputs import FOREST_INDICES, NETWORK_INDICES

if TYPE_CHECKING:
    from torch import nn

NETWORKS = ("twinns", "ltae", "tempcnn", "randomforest")
PIXELSET = "pixelset"  # the network of objects: what it reads are sets of pixels
GEOMETRY = "geometry"  # among its sensors, features of the object itself; no sensor of a stack has lower-case letters


class NetworkInfo(NamedTuple):
    """What the rest of the engine must know of a network.

    Attributes:
        halo: pixels that it loses on every side of a window.
        needs_regular_dates: whether it reads gap-filled series.
        is_forest: whether it is a forest and not a torch module.
        needs_package: the Python package that training needs.
        needs_raw_dates: whether it reads the dates as they were acquired.
        mask_aware: whether it works without a sensor that it was trained with.
        indices: the indices that join the bands by default.
        reads_sets: whether a sample is a set of pixels, of which all together get one class.
        prepares: whether, where it makes maps on a processor, it prepares the dates itself.
    """

    halo: int
    needs_regular_dates: bool
    is_forest: bool
    needs_package: str
    needs_raw_dates: bool = True
    mask_aware: bool = False
    indices: tuple[str, ...] = NETWORK_INDICES
    reads_sets: bool = False
    prepares: bool = False


_INFO = {
    "twinns": NetworkInfo(2, True, False, "torch"),
    "ltae": NetworkInfo(0, False, False, "torch", mask_aware=True, prepares=True),
    "tempcnn": NetworkInfo(0, True, False, "torch", needs_raw_dates=False),
    "randomforest": NetworkInfo(0, True, True, "sklearn", needs_raw_dates=False, indices=FOREST_INDICES),
    PIXELSET: NetworkInfo(0, False, False, "torch", mask_aware=True, reads_sets=True),
}


def network_info(name: str) -> NetworkInfo:
    """What a network needs.

    Raises:
        LandloomError: if there is no such network.
    """
    if name not in _INFO:
        raise LandloomError(
            tr("There is no network {name!r}: choose one of {networks}.").format(
                name=name, networks=", ".join(NETWORKS)
            )
        )
    return _INFO[name]


def build(
    name: str, sensors: dict[str, SensorShape], classes: int, settings: dict[str, Any] | None = None
) -> nn.Module:
    """Build a network with random weights (seed torch before).

    Args:
        name: one of NETWORKS, but not the forest, or PIXELSET.
        sensors: name -> shape, in the order of the recipe.
        classes: number of classes.
        settings: widths and the like; what is left out takes the default, what is unknown is an error.

    Raises:
        LandloomError: if the network or a setting is unknown or out of range, or if torch is missing.
    """
    if network_info(name).is_forest:
        raise LandloomError(tr("The random forest is not a torch network: it is fitted by its own step."))
    need("torch", f"The network {name}")
    if not sensors or classes < 1:
        raise LandloomError(tr("The network {name} needs at least one sensor and one class.").format(name=name))
    return _builder(name)(sensors, classes, settings or {})


def _builder(name: str) -> Callable[[dict[str, SensorShape], int, dict[str, Any]], nn.Module]:
    if name == "ltae":
        from .ltae import LightTemporalAttention

        return LightTemporalAttention
    if name == "twinns":
        from .twinns import Twinns

        return Twinns
    if name == PIXELSET:
        from .pixelset import PixelSetAttention

        return PixelSetAttention
    from .tempcnn import TemporalConvolutions

    return TemporalConvolutions


def check_settings(network: str, defaults: dict[str, Any], settings: dict[str, Any]) -> dict[str, Any]:
    """Defaults overridden by settings of the same type.

    Whole numbers must lie in 1..4096 and shares in 0..0.95, so that a damaged model file cannot ask for all memory.

    Raises:
        LandloomError: if a setting is unknown or out of range.
    """
    merged = dict(defaults)
    for key, value in settings.items():
        default = defaults.get(key)
        if default is None:
            raise LandloomError(
                tr("The network {network} has no setting {key!r}: it has {defaults}.").format(
                    network=network, key=key, defaults=", ".join(defaults)
                )
            )
        values = value if isinstance(value, (list, tuple)) else [value]
        counts = isinstance(default, (int, tuple))
        whole = all(type(item) is int and 1 <= item <= 4096 for item in values)
        share = all(type(item) in {int, float} and 0 <= item <= 0.95 for item in values)
        listed = isinstance(value, (list, tuple)) == isinstance(default, tuple) and 1 <= len(values) <= 8
        if not listed or not (whole if counts else share):
            limits = "whole numbers in 1..4096" if counts else "a number in 0..0.95"
            raise LandloomError(
                tr("The setting {key} of the network {network} is {value!r}, but should be {limits}.").format(
                    key=key, network=network, value=value, limits=limits
                )
            )
        merged[key] = tuple(values) if isinstance(default, tuple) else value
    return merged
