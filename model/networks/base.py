"""What every network takes and gives.

The engine reads raw series; :mod:`.inputs` turns them into :class:`SensorInput`; a network turns these into a
:class:`Prediction`. This module imports torch only for typing: subclasses live in files that import it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from torch import Tensor

    from .preparing import Steps


class SensorShape(NamedTuple):
    """What a network must know of a sensor before it sees a value.

    Attributes:
        kind: ``optical``, ``radar`` or ``static``.
        channels: bands and indices.
        target_dates: length of the gap-filled series.
    """

    kind: str
    channels: int
    target_dates: int


class Unprepared(NamedTuple):
    """Dates that the network prepares itself, as many pixels at a time as it computes; see :mod:`.preparing`.

    Attributes:
        raw: ``[T, C, N]`` of any type, C counts bands.
        mask: ``[T, N]``.
        whole: whether everything is valid.
        steps: how they become ``x``, see ``preparing.Steps``.
    """

    raw: Tensor
    mask: Tensor
    whole: bool
    steps: Steps


class SensorInput(NamedTuple):
    """One sensor as a network sees it.

    Attributes:
        x: ``[B, T, C, H, W]`` float32, scaled to about 0..1; 0 where masked. C counts bands and indices.
        mask: ``[B, T, H, W]`` bool, True = valid.
        days: ``[T]`` float32, days since the season's start.
            Networks that read only the filled series are given ``x`` with T = 0.
        filled: ``[B, Tt, C + 1, H, W]``, the series interpolated to the model's target days with, as last channel,
            the validity (1 on a valid date, 0 from 30 days away); None where the network does not need regular dates.
        unprepared: then ``x`` has T = 0, too.
    """

    x: Tensor
    mask: Tensor
    days: Tensor
    filled: Tensor | None = None
    unprepared: Unprepared | None = None


class Prediction(NamedTuple):
    """What a network gives: valid convolutions shrink H and W by twice the network's ``halo``.

    Attributes:
        logits: ``[B, K, H', W']``.
        auxiliary: name of a branch -> logits ``[B, K, H', W']`` of its auxiliary head (used in training only).
        descriptors: name of a branch -> feature vectors ``[B, D, H', W']``; ``fused`` is always there; empty
            where :func:`.scripting.classes_only` says that nobody reads them.
    """

    logits: Tensor
    auxiliary: dict[str, Tensor]
    descriptors: dict[str, Tensor]
