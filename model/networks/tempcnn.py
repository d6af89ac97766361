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
from .scripting import Scripted, makes_maps, pixels_at_once, remembered

DEFAULTS: dict[str, Any] = {"filters": (32, 32, 32), "kernel": 5, "dense": 64, "descriptor": 128, "dropout": 0.3}

PIXELS_AT_ONCE = 256
"""In evaluation: 32 channels of 36 dates of them are 1 MB, which second-level caches hold."""


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

    precision = torch.float32
    """In which maps are computed."""

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
        if makes_maps(self):
            kind = self.precision
            own = remembered(self, kind, lambda: self._matrices(kind))
            tile = pixels_at_once(x, x.shape[2], PIXELS_AT_ONCE)
            return CONVOLVED(x.to(kind), *own, self.kernel, tile).float().unsqueeze(0)
        for layer in self.layers:
            x = self.dropout(torch.relu_(layer(self._unfold(x))))
        x = x.reshape(1, -1, x.shape[2])
        return self.dropout(torch.relu_(self.dense(x)))

    def _unfold(self, x: Tensor) -> Tensor:
        """The neighbouring dates of every date as channels: ``[T, C, N]`` -> ``[T, kernel * C, N]``."""
        dates, channels, pixels = x.shape
        edge = x.new_zeros(self.kernel // 2, channels, pixels)
        padded = torch.cat([edge, x, edge])
        return torch.cat([padded[offset : offset + dates] for offset in range(self.kernel)], dim=1)

    def _matrices(self, dtype: torch.dtype) -> tuple[list[Tensor], list[Tensor], Tensor, Tensor]:
        """Weights of the layers, their floors, weight and bias of the dense layer, as :func:`convolved` takes them.

        A layer gives max(z, -b) instead of max(z + b, 0): what lacks, b, joins the bias of the next layer.
        """
        weights, floors = [], []
        lacking: Tensor | None = None
        for layer in self.layers:
            weight, bias = PlanarLinear.folded(layer)  # type: ignore[arg-type]
            if lacking is not None:
                bias = bias + weight @ lacking.repeat(self.kernel)
            weights.append(weight.to(dtype))
            floors.append(-bias.unsqueeze(1).to(dtype))
            lacking = bias
        dense, bias = self.dense.folded()
        if lacking is not None:
            bias = bias + dense @ lacking.repeat(dense.shape[1] // len(lacking))
        return weights, floors, dense.to(dtype), bias.unsqueeze(1).to(dtype)


def convolved(
    x: Tensor, weights: list[Tensor], floors: list[Tensor], dense: Tensor, bias: Tensor, kernel: int, tile: int
) -> Tensor:
    """The branch without gradients, a few pixels at a time, so that all dates of a layer stay in the cache.

    A date's planes lie side by side in memory, so that the planes of ``kernel`` dates are one matrix already, and a
    layer is one batched product.

    Args:
        x: ``[T, C, N]``.
        weights: ``[outputs, kernel * inputs]`` of each layer.
        floors: ``[outputs, 1]``, below which a layer's output does not fall; also what lies before and after the dates.
        dense: ``[D, T * channels]``.
        bias: of the dense layer ``[D, 1]``.
        kernel: dates that a layer sees.
        tile: pixels at once.

    Returns:
        ``[D, N]``.
    """
    dates = x.size(0)
    edge = kernel // 2
    result = x.new_empty([dense.size(0), x.size(2)])
    for first in range(0, x.size(2), tile):
        last = min(first + tile, x.size(2))
        pixels = last - first
        padded = x.new_zeros([dates + 2 * edge, x.size(1), pixels])
        padded[edge : edge + dates].copy_(x[:, :, first:last])
        for number in range(len(weights)):
            weight = weights[number]
            planes = padded.as_strided([dates, weight.size(1), pixels], [padded.size(1) * pixels, pixels, 1])
            padded = x.new_empty([dates + 2 * edge, weight.size(0), pixels])
            inner = padded[edge : edge + dates]
            torch.bmm(weight.unsqueeze(0).expand(dates, weight.size(0), weight.size(1)), planes, out=inner)
            torch.maximum(inner, floors[number], out=inner)
            if edge > 0:
                padded[:edge] = floors[number]
                padded[edge + dates :] = floors[number]
        flat = padded[edge : edge + dates].view(-1, pixels)
        result[:, first:last] = torch.mm(dense, flat)
    return result.add_(bias).relu_()


CONVOLVED = Scripted(convolved)


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
