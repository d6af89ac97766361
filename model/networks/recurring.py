"""The recurrent branch of ``twinns`` on many pixels, without gradients: some pixels at a time, as the cache holds.

The same unit and attention as :class:`.twinns.RecurrentBranch`. The state carries a channel of ones, whose weights are
biases, and what can be is done in place.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from .scripting import Scripted

if TYPE_CHECKING:
    from .twinns import RecurrentBranch

PIXELS_AT_ONCE = 1024
LARGEST_SCORE = 30.0
"""Scores within this bound need no running maximum: their exponentials and the sums of these are numbers."""


class Gates(NamedTuple):
    """The weights of the unit, its three gates one below the other: reset, update, candidate.

    Attributes:
        fresh: of the date ``[3 hidden, C]``.
        bias: of the candidate ``[members, hidden, 1]``.
        memory: of the state, ``[members, 3 hidden, hidden + 1]``, with the biases of the other two.
        inner: of the score ``[hidden, hidden + 1]``.
        outer: likewise ``[1, hidden]``; without its bias, with which a softmax does not change.
        bounded: whether no score can be larger than :data:`LARGEST_SCORE`.
    """

    fresh: Tensor
    bias: Tensor
    memory: Tensor
    inner: Tensor
    outer: Tensor
    bounded: bool


def gates(branch: RecurrentBranch, dtype: torch.dtype) -> Gates:
    """The weights of a branch."""
    hidden = branch.hidden
    bias = branch.gates.bias + branch.offsets @ branch.gates.weight.T  # [members, 3 hidden]
    own = branch.recurrence.bias.expand_as(bias).clone()
    own[:, : 2 * hidden] += bias[:, : 2 * hidden]
    memory = torch.cat([branch.recurrence.weight.expand(len(bias), -1, -1), own.unsqueeze(2)], dim=2)
    inner = torch.cat([branch.score_inner.weight, branch.score_inner.bias.unsqueeze(1)], dim=1)
    outer = branch.score_outer.weight
    return Gates(
        branch.gates.weight.to(dtype).contiguous(),
        bias[:, 2 * hidden :].unsqueeze(2).to(dtype).contiguous(),
        memory.to(dtype).contiguous(),
        inner.to(dtype),
        outer.to(dtype),
        bool(outer.abs().sum() <= LARGEST_SCORE),  # what it weighs are hyperbolic tangents
    )


def recurred(
    planes: list[Tensor],
    valid: list[Tensor],
    member: list[int],
    date: list[int],
    places: list[int],
    fresh: Tensor,
    bias: Tensor,
    memory: Tensor,
    inner: Tensor,
    outer: Tensor,
    bounded: bool,
    tile: int,
    looks: bool,
) -> Tensor:
    """Run the unit over the dates and sum its states by attention.

    Args:
        planes: of each sensor ``[T, N, C]``.
        valid: likewise ``[T, N]``.
        member: for each step, in order, the sensor among ``planes``.
        date: likewise the date.
        places: of each sensor its place in the weights.
        fresh: see :class:`Gates`.
        bias: likewise.
        memory: likewise.
        inner: likewise.
        outer: likewise.
        bounded: likewise.
        tile: pixels at once.
        looks: whether to find out on which dates all pixels are valid, which saves a little, but lets a GPU wait.

    Returns:
        ``[hidden, N]`` float32; 0 where no date is valid.
    """
    hidden = memory.size(2) - 1
    count = planes[0].size(1)
    kind = fresh.dtype
    result = torch.empty([hidden, count], device=fresh.device)
    for first in range(0, count, tile):
        last = min(first + tile, count)
        pixels = last - first
        known = torch.zeros([hidden + 1, pixels], dtype=kind, device=fresh.device)
        known[hidden].fill_(1.0)
        state = known[:hidden]
        summary = torch.zeros([hidden, pixels], device=fresh.device)
        total = torch.zeros([1, pixels], device=fresh.device)
        peak = torch.full([1, pixels], -1e30, device=fresh.device)
        for step in range(len(date)):
            own = member[step]
            place = places[own]
            plane = planes[own][date[step], first:last].t()
            here = valid[own][date[step], first:last].unsqueeze(0)
            both = torch.mm(fresh[: 2 * hidden], plane)
            both.addmm_(memory[place, : 2 * hidden], known).sigmoid_()
            candidate = torch.addmm(bias[place], fresh[2 * hidden :], plane)
            kept = torch.mm(memory[place, 2 * hidden :], known)
            candidate.addcmul_(both[:hidden], kept).tanh_().sub_(state)
            update = both[hidden:]
            whole = looks and bool(here.all())
            if not whole:
                update.mul_(here)
            state.addcmul_(update, candidate)  # masked: the state is kept
            score = torch.mm(outer, torch.mm(inner, known).tanh_()).to(torch.float32)
            if not whole:
                score.masked_fill_(here.logical_not(), -float("inf"))
            if not bounded:
                highest = torch.maximum(peak, score)
                shrink = peak.sub_(highest).exp_()
                peak = highest
                score.sub_(peak)
                summary.mul_(shrink)
                total.mul_(shrink)
            share = score.exp_()
            summary.addcmul_(share, state)
            total.add_(share)
        result[:, first:last] = summary.div_(total.clamp_min_(1e-20))
    return result


RECURRED = Scripted(recurred)
