"""The attention branch of ``ltae`` on many pixels, without gradients: a few dates at a time, as the cache holds.

What :class:`.ltae.AttentionBranch` does date by date goes on while its values are at hand: perceptron, keys, and the
softmax with a running maximum (Milakov and Gimelshein 2018, arXiv 1805.02867). Biases are one more column of the
matrices and one more channel of ones; the encoding of the day, which is added to the last perceptron's output after its
ReLU, is part of that layer's bias: max(z, 0) + e = max(z + e, e).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from .planar import PlanarLinear
from .scripting import Scripted, remembered

if TYPE_CHECKING:
    from .ltae import AttentionBranch

VALUES_AT_ONCE, VALUES_ON_GPU = 4096, 2**19
"""Dates times pixels: 64 channels of them are 1 MB, as second-level caches hold; on a GPU 128 MB."""


class Matrices(NamedTuple):
    """The weights of a branch for given dates.

    Attributes:
        layers: of the perceptron, ``[T, outputs + 1, inputs + 1]`` each.
        floor: ``[T, D + 1, 1]``, the encodings of the dates, below which the perceptron's output does not fall.
        key: ``[T, heads, D + 1]``.
        weight: of the descriptor.
        bias: of the descriptor ``[outputs, 1]``.
    """

    layers: list[Tensor]
    floor: Tensor
    key: Tensor
    weight: Tensor
    bias: Tensor


def describe(
    branch: AttentionBranch, x: Tensor, mask: Tensor, days: Tensor, places: list[int]
) -> tuple[Tensor, Tensor]:
    """Descriptor ``[D, N]`` and presence ``[1, N]`` of pixels.

    Args:
        branch: the weights.
        x: ``[T, C, N]``; masked values may be anything finite.
        mask: ``[T, N]``.
        days: ``[T]``.
        places: ``[T]`` the sensor of each date among those of the branch.
    """
    key = (tuple(days.tolist()), tuple(places), x.dtype)
    own = remembered(branch, key, lambda: matrices(branch, days, places, x.dtype))
    most = VALUES_AT_ONCE if x.device.type == "cpu" else VALUES_ON_GPU
    group = max(1, most // x.shape[2])
    summary, flag = ATTENDED(x, mask, own.layers, own.floor, own.key, branch.heads, group)
    return DESCRIBED(summary, flag, own.weight, own.bias, branch.absent.unsqueeze(1))


def matrices(branch: AttentionBranch, days: Tensor, places: list[int], dtype: torch.dtype) -> Matrices:
    """Fold normalisation, days and offsets into the weights."""
    encoding = branch.encode(days)
    dates = encoding.shape[0]
    layers = []
    for number, (layer, timing) in enumerate(zip(branch.layers, branch.timing, strict=True)):
        shift = timing(encoding)
        if number == 0:
            shift = shift + branch.offsets[torch.tensor(places, device=days.device)]
        weight, bias = PlanarLinear.folded(layer, shift)  # type: ignore[arg-type]
        if number == len(branch.layers) - 1:
            bias = bias + encoding
        whole = weight.new_zeros(dates, weight.shape[0] + 1, weight.shape[1] + 1)
        whole[:, :-1, :-1], whole[:, :-1, -1], whole[:, -1, -1] = weight, bias, 1.0
        layers.append(whole.to(dtype))
    floor = torch.cat([encoding, encoding.new_ones(dates, 1)], dim=1).unsqueeze(2).to(dtype)
    key = torch.cat([branch.key.weight, branch.key.bias.unsqueeze(1)], dim=1).expand(dates, -1, -1).to(dtype)
    weight, bias = branch.descriptor.folded()
    return Matrices(layers, floor, key.contiguous(), weight.to(dtype), bias.unsqueeze(1).to(dtype))


def attended(
    x: Tensor, mask: Tensor, layers: list[Tensor], floor: Tensor, key: Tensor, heads: int, group: int
) -> tuple[Tensor, Tensor]:
    """Perceptron and attention: ``[T, C, N]`` -> summary ``[D, N]`` float32, and presence ``[1, N]``.

    Args:
        x: planes.
        mask: ``[T, N]``.
        layers: see :class:`Matrices`.
        floor: likewise.
        key: likewise.
        heads: of the attention.
        group: dates at once.
    """
    dates = x.size(0)
    pixels = x.size(2)
    width = floor.size(1) - 1
    part = width // heads
    whole = bool(mask.all())
    hidden = mask.logical_not().unsqueeze(1)
    ones = x.new_ones([min(group, dates), 1, pixels])
    peak = torch.full([heads, pixels], -1e30, device=x.device)
    total = torch.zeros([heads, pixels], device=x.device)
    summary = torch.zeros([heads, part, pixels], device=x.device)
    for first in range(0, dates, group):
        last = min(first + group, dates)
        y = torch.cat([x[first:last], ones[: last - first]], 1)
        for number in range(len(layers)):
            y = torch.bmm(layers[number][first:last], y)
            if number < len(layers) - 1:
                y.relu_()
        torch.maximum(y, floor[first:last], out=y)
        scores = torch.bmm(key[first:last], y).to(torch.float32)
        if not whole:
            scores.masked_fill_(hidden[first:last], -float("inf"))
        if first == 0:
            peak = scores.amax([0]).clamp_min_(-1e30)
            weights = scores.sub_(peak).exp_()
            total = weights.sum([0])
        else:
            highest = torch.maximum(peak, scores.amax([0]))
            shrink = peak.sub_(highest).exp_()
            peak = highest
            weights = scores.sub_(peak).exp_()
            total.mul_(shrink).add_(weights.sum([0]))
            summary.mul_(shrink.unsqueeze(1))
        values = y[:, :width].view(last - first, heads, part, pixels)
        for date in range(last - first):
            summary.addcmul_(values[date], weights[date].unsqueeze(1))
    summary.div_(total.clamp_min_(1e-20).unsqueeze(1))
    return summary.view(width, pixels), mask.any(0).to(torch.float32).unsqueeze(0)


def described(summary: Tensor, flag: Tensor, weight: Tensor, bias: Tensor, absent: Tensor) -> tuple[Tensor, Tensor]:
    """The descriptor of a branch; ``absent`` where a pixel has no date."""
    descriptor = torch.addmm(bias, weight, summary.to(weight.dtype)).relu_()
    if not bool(flag.all()):
        descriptor = torch.where(flag > 0, descriptor, absent.to(weight.dtype))
    return descriptor.to(torch.float32), flag


ATTENDED, DESCRIBED = Scripted(attended), Scripted(described)
