"""Layers on planes ``[T, C, N]``: dates, channels, pixels, with the pixels innermost.

A pixel network sees thousands of pixels and few channels. With pixels innermost a layer is one batched product of a
small matrix with wide planes, sums over dates or channels run along contiguous memory, and the reader's windows need
no transposing.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from .scripting import remembered


class PlanarLinear(nn.Module):
    """A linear layer over the channels of planes ``[T, C, N]``, with an optional normalisation of its output.

    Without one it has a bias. In evaluation the normalisation is folded into the weights.
    """

    def __init__(self, inputs: int, outputs: int, norm: bool = False) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(outputs, inputs))
        nn.init.normal_(self.weight, std=math.sqrt(2.0 / inputs) if norm else math.sqrt(1.0 / inputs))
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.norm = MaskedNorm(outputs) if norm else None

    def forward(self, x: Tensor, mask: Tensor | None = None, shift: Tensor | None = None) -> Tensor:
        """Apply it.

        Args:
            x: ``[T, C, N]``.
            mask: ``[T, 1, N]`` float, 1 = valid: what the normalisation learns from; None = everything.
            shift: ``[T, outputs]`` added before the normalisation.
        """
        if self.training:
            weight: Tensor = self.weight
            bias: Tensor = self.bias if shift is None else self.bias + shift
        elif torch.is_grad_enabled() or shift is not None:
            weight, bias = self.folded(shift)
        else:
            weight, bias = remembered(self, x.dtype, lambda: tuple(one.to(x.dtype) for one in self.folded()))
        z = torch.baddbmm(bias.expand(x.shape[0], -1).unsqueeze(-1), weight.expand(x.shape[0], -1, -1), x)
        return z if self.norm is None or not self.training else self.norm(z, mask)

    def folded(self, shift: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Weight ``[outputs, inputs]`` and bias (``[T, outputs]`` with a shift) that hold the normalisation too."""
        bias = self.bias if shift is None else self.bias + shift
        if self.norm is None:
            return self.weight, bias
        factor, offset = self.norm.factor_and_offset()
        return self.weight * factor[:, None], bias * factor + offset


class MaskedNorm(nn.Module):
    """Batch normalisation over dates and pixels that leaves out what is masked (Ioffe and Szegedy 2015)."""

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, channels: int, momentum: float = 0.1, epsilon: float = 1e-5) -> None:
        super().__init__()
        self.momentum, self.epsilon = momentum, epsilon
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))

    def factor_and_offset(self) -> tuple[Tensor, Tensor]:
        """The layer in evaluation: ``z * factor + offset`` by channel."""
        factor = self.weight * torch.rsqrt(self.running_var + self.epsilon)
        return factor, self.bias - self.running_mean * factor

    def forward(self, z: Tensor, mask: Tensor | None = None) -> Tensor:
        """Normalise ``[T, C, N]`` by the statistics of what the mask ``[T, 1, N]`` calls valid."""
        z = z.float()  # under mixed precision: sums over many pixels
        if self.training:
            count = mask.sum() if mask is not None else torch.tensor(float(z.shape[0] * z.shape[2]), device=z.device)
            total = count.clamp_min(1.0)
            mean = (z if mask is None else z * mask).sum(dim=(0, 2)) / total
            centred = z - mean[:, None]
            square = centred.square() if mask is None else centred.square() * mask
            variance = square.sum(dim=(0, 2)) / total
            if count > 1:  # one value has no variance: such a batch neither learns nor normalises by itself
                with torch.no_grad():
                    self.running_mean.lerp_(mean, self.momentum)
                    self.running_var.lerp_(variance * total / (total - 1), self.momentum)
                return centred * (self.weight * torch.rsqrt(variance + self.epsilon))[:, None] + self.bias[:, None]
        factor, offset = self.factor_and_offset()
        return z * factor[:, None] + offset[:, None]


def to_planes(x: Tensor) -> Tensor:
    """``[B, T, C, H, W]`` -> ``[T, C, N]`` with N = B * H * W; no copy for one window."""
    size, dates, channels, height, width = x.shape
    return x.permute(1, 2, 0, 3, 4).reshape(dates, channels, size * height * width)


def mask_to_planes(mask: Tensor) -> Tensor:
    """``[B, T, H, W]`` -> ``[T, N]``."""
    size, dates, height, width = mask.shape
    return mask.permute(1, 0, 2, 3).reshape(dates, size * height * width)


def to_windows(plane: Tensor, batch: int, height: int, width: int) -> Tensor:
    """``[C, N]`` -> ``[B, C, H, W]``, a view."""
    return plane.reshape(-1, batch, height, width).permute(1, 0, 2, 3)
