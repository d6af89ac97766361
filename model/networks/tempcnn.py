"""Temporal convolutions on gap-filled series."""

from __future__ import annotations

import itertools
from typing import Any

import torch
from torch import Tensor, nn

from .base import Prediction, SensorInput, SensorShape
from .ltae import sensor_groups
from .planar import PlanarLinear, to_planes, to_windows
from .registry import check_settings

DEFAULTS: dict[str, Any] = {"filters": (32, 32, 32), "kernel": 5, "dense": 64, "descriptor": 128, "dropout": 0.3}


class TemporalConvolutions(nn.Module):
    """Three convolutions over time and a dense layer by group of sensors (all ``S1_*`` are one), joined late.

    Each convolution is followed by normalisation, ReLU and dropout, as in the paper; time is padded with zeros and
    never pooled (pooling cost accuracy there). The validity of the gap-filled values is one more channel.

    Source: C. Pelletier, G. I. Webb, F. Petitjean, "Temporal Convolutional Neural Network for the Classification of
    Satellite Image Time Series", Remote Sensing 11(5) 523, 2019, doi 10.3390/rs11050523, for one sensor.

    Args:
        sensors: name -> shape.
        classes: number of classes.
        settings: ``filters`` by layer, ``kernel`` (odd, in target dates), ``dense`` width by branch, ``descriptor``
            width, ``dropout``.
    """

    halo = 0
    needs_regular_dates = True

    def __init__(self, sensors: dict[str, SensorShape], classes: int, settings: dict[str, Any] | None = None) -> None:
        super().__init__()
        self.settings = check_settings("tempcnn", DEFAULTS, settings or {})
        dense, width, dropout = (self.settings[key] for key in ("dense", "descriptor", "dropout"))
        self.groups = filled_groups(sensors)
        self.branches = nn.ModuleDict()
        for group, members in self.groups.items():
            channels = sum(sensors[name].channels + 1 for name in members)
            dates = sensors[members[0]].target_dates
            kernel = min(self.settings["kernel"] | 1, 2 * dates - 1)
            self.branches[group] = ConvolutionBranch(channels, dates, self.settings["filters"], kernel, dense, dropout)
        self.auxiliary = nn.ModuleDict({group: PlanarLinear(dense, classes) for group in self.groups})
        self.fusion = PlanarLinear(len(self.groups) * dense, width, norm=True)
        self.dropout = nn.Dropout(dropout)
        self.head = PlanarLinear(width, classes)

    def forward(self, inputs: dict[str, SensorInput]) -> Prediction:
        """Classify from ``filled``; every sensor must be there."""
        batch, _dates, _channels, height, width = filled_of(next(iter(inputs.values()))).shape
        descriptors = {}
        for group, members in self.groups.items():
            planes = [to_planes(filled_of(inputs[name])) for name in members]
            descriptors[group] = self.branches[group](torch.cat(planes, dim=1) if len(planes) > 1 else planes[0])
        fused = torch.relu_(self.fusion(torch.cat(list(descriptors.values()), dim=1)))
        logits = self.head(self.dropout(fused))

        def windows(planes: Tensor) -> Tensor:
            return to_windows(planes.squeeze(0), batch, height, width)

        auxiliary = {}
        if self.training:
            auxiliary = {name: windows(self.auxiliary[name](x)) for name, x in descriptors.items()}
        descriptors["fused"] = fused
        return Prediction(windows(logits), auxiliary, {name: windows(x) for name, x in descriptors.items()})


class ConvolutionBranch(nn.Module):
    """Convolutions over the dates of one group, flattened into a dense layer: ``[T, C, N]`` -> ``[1, D, N]``."""

    def __init__(
        self, channels: int, dates: int, filters: tuple[int, ...], kernel: int, dense: int, dropout: float
    ) -> None:
        super().__init__()
        self.kernel = kernel
        sizes = (channels, *filters)
        self.layers = nn.ModuleList(
            PlanarLinear(kernel * first, last, norm=True) for first, last in itertools.pairwise(sizes)
        )
        self.dense = PlanarLinear(dates * filters[-1], dense, norm=True)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = self.dropout(torch.relu_(layer(self._unfold(x))))
        x = x.reshape(1, -1, x.shape[2])
        return self.dropout(torch.relu_(self.dense(x)))

    def _unfold(self, x: Tensor) -> Tensor:
        """The neighbouring dates of every date as channels: ``[T, C, N]`` -> ``[T, kernel * C, N]``.

        A date's planes lie side by side in memory, so that the planes of ``kernel`` dates are one matrix already:
        without gradients nothing is copied.
        """
        dates, channels, pixels = x.shape
        edge = x.new_zeros(self.kernel // 2, channels, pixels)
        padded = torch.cat([edge, x, edge])
        if torch.is_grad_enabled():
            return torch.cat([padded[offset : offset + dates] for offset in range(self.kernel)], dim=1)
        return padded.as_strided((dates, self.kernel * channels, pixels), (channels * pixels, pixels, 1))


def filled_of(sensor: SensorInput) -> Tensor:
    """The gap-filled series of an input.

    Raises:
        ValueError: if it was prepared without.
    """
    if sensor.filled is None:
        raise ValueError("this network needs gap-filled series: prepare the inputs with regular=True")
    return sensor.filled


def filled_groups(sensors: dict[str, SensorShape]) -> dict[str, list[str]]:
    """Branches whose sensors can be stacked: those of :func:`sensor_groups` with equal target dates."""
    groups: dict[str, list[str]] = {}
    for group, members in sensor_groups(sensors).items():
        for name in members:
            same = sensors[name].target_dates == sensors[members[0]].target_dates
            groups.setdefault(group if same else name, []).append(name)
    return groups
