"""The convolutions of ``twinns`` on single patches of 5x5 pixels, as matrix products: what training needs.

A patch of 5x5 pixels has nine valid 3x3 windows, and these one. So few are little work for a convolution in the usual
order, and a product of matrices does the same, or less, faster:

- with many channels in, by the algorithm of Winograd: of the 81 products of a patch and a kernel 25 remain;
- with few, the nine kernels of a patch as one matrix over its 25 pixels;
- from 3x3 to one pixel, the kernel is a matrix already.

In float32 all give what the convolution gives but for rounding (about 1e-5 of a standard deviation with the first).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, cast

import numpy as np
import torch
from torch import Tensor, nn

from .scripting import mixes_precision

if TYPE_CHECKING:
    from .twinns import Convolution

SIDE = 5
_POINTS = (0.0, 0.75, -0.75, 1.5)
"""And infinity: those of a few tried with which rounding changed least."""


def takes(module: nn.Module, x: Tensor) -> bool:
    """Whether a module learns from single patches in float32 on the CPU: what these functions are for."""
    single = x.shape[-2:] == (SIDE, SIDE) and x.shape[0] > 1
    return module.training and single and x.device.type == "cpu" and not mixes_precision()


def convolve_planes(planes: Sequence[Tensor], layers: nn.Module) -> Tensor:
    """Two 3x3 convolutions of patches, each with its normalisation and ReLU.

    Args:
        planes: each ``[C_i, B, 25]``: channels of patches, joined here.
        layers: a sequence of the two.

    Returns:
        ``[1, K, B]``.
    """
    first, second = _both(layers)
    weight, outputs = first.convolution.weight, first.convolution.out_channels
    patches = planes[0].shape[1]
    windows, kernels, back = _winograd(weight.dtype)
    turned = torch.cat([torch.mm(windows, one.reshape(-1, SIDE * SIDE).T) for one in planes], dim=1)
    turned = turned.view(SIDE * SIDE, -1, patches)
    kernel = torch.mm(kernels, weight.reshape(-1, 9).T).view(SIDE * SIDE, outputs, -1)
    product = torch.bmm(kernel, turned).flatten(1)
    bias = _bias(first)[:, None].expand(-1, patches).reshape(-1)
    found = torch.addmm(bias, back, product).view(9, outputs, patches, 1)
    found = torch.relu_(first.norm(found)).view(9 * outputs, patches)
    found = torch.addmm(_bias(second)[:, None], _as_matrix(second), found)
    return torch.relu_(second.norm(found[None, :, :, None])).squeeze(3)


def convolve_dates(x: Tensor, mask: Tensor, layers: nn.Module) -> Tensor:
    """Two 3x3 convolutions of each date of patches, whose mask is one more channel.

    Args:
        x: ``[B, T, C, 5, 5]``.
        mask: ``[B, T, 5, 5]``.
        layers: a sequence of the two.

    Returns:
        ``[T, B, K]``.
    """
    first, second = _both(layers)
    values, valid = x.permute(1, 0, 2, 3, 4), mask.permute(1, 0, 2, 3).unsqueeze(2)
    joined = torch.cat([values, valid.to(x.dtype)], dim=2)
    dates, patches, channels = joined.shape[:3]
    weight, outputs = first.convolution.weight, first.convolution.out_channels
    matrix = torch.mm(weight.reshape(-1, 9), _places(weight.dtype)).view(outputs, channels, 9, SIDE * SIDE)
    matrix = matrix.permute(2, 0, 1, 3).reshape(9 * outputs, -1)
    found = torch.addmm(_bias(first).repeat(9), joined.view(dates * patches, -1), matrix.T)
    found = torch.relu_(first.norm(found.view(-1, outputs, 1, 1))).view(dates * patches, -1)
    found = torch.addmm(_bias(second), found, _as_matrix(second).T)
    return torch.relu_(second.norm(found[:, :, None, None])).view(dates, patches, -1)


def _both(layers: nn.Module) -> tuple[Convolution, Convolution]:
    first, second = layers.children()
    return cast("Convolution", first), cast("Convolution", second)


def _bias(layer: Convolution) -> Tensor:
    if layer.convolution.bias is None:
        raise RuntimeError("a convolution has no bias")
    return layer.convolution.bias


def _as_matrix(layer: Convolution) -> Tensor:
    """``[K, 9 C]``: places, then channels."""
    return layer.convolution.weight.permute(0, 2, 3, 1).flatten(1)


@cache
def _places(dtype: torch.dtype) -> Tensor:
    """``[9, 9 * 25]``: 1 where a weight of the kernel meets a pixel of the patch, for each of the nine windows."""
    found = np.zeros((3, 3, 3, 3, SIDE, SIDE))
    for row, column, y, x in np.ndindex(3, 3, 3, 3):  # of the kernel and of the window
        found[row, column, y, x, y + row, x + column] = 1
    return torch.from_numpy(found.reshape(9, -1)).to(dtype)


@cache
def _winograd(dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
    """What turns a patch ``[25, 25]`` and a kernel ``[25, 9]``, and turns their product back ``[9, 25]``.

    A. Lavin, S. Gray, "Fast Algorithms for Convolutional Neural Networks", CVPR 2016; the matrices as of Toom and Cook:
    polynomials are multiplied by their values at points, and correlation is the transpose of that.
    """
    size = len(_POINTS) + 1
    windows, kernels, back = np.zeros((size, size)), np.zeros((size, 3)), np.zeros((3, size))
    for place, point in enumerate(_POINTS):
        others = [other for other in _POINTS if other != point]
        windows[place, : size - 1] = np.poly(others)[::-1]
        kernels[place] = point ** np.arange(3) / np.prod([point - other for other in others])
        back[:, place] = point ** np.arange(3)
    windows[-1] = np.poly(_POINTS)[::-1]
    kernels[-1, -1] = back[-1, -1] = 1
    turned, kernel, output = (torch.from_numpy(np.kron(one, one)).to(dtype) for one in (windows, kernels, back))
    return turned, kernel, output
