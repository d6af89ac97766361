"""The recurrent unit of ``twinns`` and the attention over its states, with gradients: what training needs.

Forward and backward are written out, date by date in place and as two calls, since automatic differentiation would
keep and add some thirty small tensors a date. Pixels are innermost, so that each gate is one piece of memory. Of a date
``[4 hidden, N]`` are kept: what the candidate takes from the state (before the reset), reset, update, candidate.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from .scripting import Scripted


def forward(
    planes: Tensor,
    valid: Tensor,
    fresh: Tensor,
    bias: Tensor,
    memory: Tensor,
    own: Tensor,
    inner: Tensor,
    shift: Tensor,
    outer: Tensor,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """The states of all dates and their sum by attention.

    Args:
        planes: ``[T, N, C]``.
        valid: ``[T, N]``.
        fresh: of the three gates (reset, update, candidate) ``[3 hidden, C]``.
        bias: of these, by date ``[T, 3 hidden]``.
        memory: of the state ``[3 hidden, hidden]``, the candidate's first.
        own: what the candidate takes from a state of 0 ``[hidden]``.
        inner: of the scores ``[hidden, hidden]``.
        shift: likewise ``[hidden]``.
        outer: likewise ``[1, hidden]``.

    Returns:
        summary ``[hidden, N]``, 0 where no date is valid; kept gates ``[T, 4 hidden, N]``, states ``[T + 1, hidden,
        N]``, hyperbolic tangents of the scores ``[T, hidden, N]`` and weights of the dates ``[T, N]``.
    """
    dates, pixels = planes.size(0), planes.size(1)
    hidden = inner.size(0)
    gates = torch.empty([dates, 4 * hidden, pixels], dtype=planes.dtype)
    states = torch.empty([dates + 1, hidden, pixels], dtype=planes.dtype)
    states[0].zero_()
    seen = torch.empty([dates, hidden, pixels], dtype=planes.dtype)
    scores = torch.empty([dates, 1, pixels], dtype=planes.dtype)
    hidden_dates = valid.logical_not()
    column, shifts = own.unsqueeze(1), shift.unsqueeze(1)
    for date in range(dates):
        gate, state = gates[date], states[date]
        gate[:hidden] = column
        torch.addmm(bias[date].unsqueeze(1), fresh, planes[date].t(), out=gate[hidden:])
        candidate, update = gate[3 * hidden :], gate[2 * hidden : 3 * hidden]
        gate[: 3 * hidden].addmm_(memory, state)
        update.masked_fill_(hidden_dates[date], -float("inf"))  # masked: the state is kept
        gate[hidden : 3 * hidden].sigmoid_()
        candidate.addcmul_(gate[hidden : 2 * hidden], gate[:hidden]).tanh_()
        torch.lerp(state, candidate, update, out=states[date + 1])
        torch.addmm(shifts, inner, states[date + 1], out=seen[date])
        seen[date].tanh_()
        torch.mm(outer, seen[date], out=scores[date])
    weights = scores.squeeze(1).masked_fill_(hidden_dates, -float("inf"))
    weights = weights.sub_(weights.amax(dim=0).clamp_min(-1e30)).exp_()
    weights = weights.div_(weights.sum(dim=0).clamp_min(1e-20))
    summary = torch.zeros([hidden, pixels], dtype=planes.dtype)
    for date in range(dates):
        summary.addcmul_(weights[date], states[date + 1])
    return summary, gates, states, seen, weights


def backward(
    gradient: Tensor,
    planes: Tensor,
    fresh: Tensor,
    memory: Tensor,
    inner: Tensor,
    outer: Tensor,
    gates: Tensor,
    states: Tensor,
    seen: Tensor,
    weights: Tensor,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Gradients of what :func:`forward` takes, but the mask, from that ``[hidden, N]`` of its summary."""
    dates = planes.size(0)
    hidden = inner.size(0)
    gradient = gradient.contiguous()
    d_planes = torch.empty_like(planes)
    d_fresh, d_memory, d_inner, d_outer = (
        torch.zeros_like(fresh),
        torch.zeros_like(memory),
        torch.zeros_like(inner),
        torch.zeros_like(outer),
    )
    d_bias = torch.empty([dates, 3 * hidden], dtype=planes.dtype)
    d_own, d_shift = torch.zeros_like(gates[0, :hidden, 0]), torch.zeros_like(gates[0, :hidden, 0])
    d_scores = torch.empty_like(weights)
    for date in range(dates):
        torch.sum(states[date + 1] * gradient, dim=[0], out=d_scores[date])
    d_scores.sub_((d_scores * weights).sum(dim=0)).mul_(weights)
    d_gate = torch.empty_like(gates[0])
    d_state = torch.zeros_like(gradient)
    d_seen, taken = torch.empty_like(gradient), torch.empty_like(gradient)
    back, inner_back, outer_back = memory.t(), inner.t(), outer.t()
    for step in range(dates):
        date = dates - 1 - step
        gate, state = gates[date], states[date]
        held, reset, update, candidate = (
            gate[:hidden],
            gate[hidden : 2 * hidden],
            gate[2 * hidden : 3 * hidden],
            gate[3 * hidden :],
        )
        # attention
        d_score = d_scores[date].unsqueeze(0)
        d_outer.addmm_(d_score, seen[date].t())
        torch.ops.aten.tanh_backward(torch.mm(outer_back, d_score), seen[date], grad_input=d_seen)
        d_inner.addmm_(d_seen, states[date + 1].t())
        d_shift.add_(d_seen.sum(dim=1))
        d_state.addcmul_(weights[date], gradient).addmm_(inner_back, d_seen)
        # the unit
        d_candidate, d_held = d_gate[3 * hidden :], d_gate[:hidden]
        torch.mul(d_state, update, out=taken)
        torch.ops.aten.tanh_backward(taken, candidate, grad_input=d_candidate)
        torch.mul(d_candidate, reset, out=d_held)
        torch.mul(d_candidate, held, out=d_gate[hidden : 2 * hidden])
        torch.sub(candidate, state, out=d_gate[2 * hidden : 3 * hidden]).mul_(d_state)
        both = d_gate[hidden : 3 * hidden]
        torch.ops.aten.sigmoid_backward(both, gate[hidden : 3 * hidden], grad_input=both)
        d_memory.addmm_(d_gate[: 3 * hidden], state.t())
        d_own.add_(d_held.sum(dim=1))
        d_fresh.addmm_(d_gate[hidden:], planes[date])
        torch.sum(d_gate[hidden:], dim=[1], out=d_bias[date])
        torch.mm(d_gate[hidden:].t(), fresh, out=d_planes[date])
        d_state.sub_(taken).addmm_(back, d_gate[: 3 * hidden])
    return d_planes, d_fresh, d_bias, d_memory, d_own, d_inner, d_shift, d_outer


FORWARD, BACKWARD = Scripted(forward), Scripted(backward)


class Unrolled(torch.autograd.Function):
    """:func:`forward` with the gradients of :func:`backward`; gives the summary ``[hidden, N]``."""

    @staticmethod
    def forward(ctx: Any, *arguments: Tensor) -> Tensor:
        plain = [one.detach() for one in arguments]
        planes, _valid, fresh, _bias, memory, _own, inner, _shift, outer = plain
        summary, *kept = FORWARD(*plain)
        ctx.save_for_backward(planes, fresh, memory, inner, outer, *kept)
        return summary

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        d_planes, *others = BACKWARD(gradient, *ctx.saved_tensors)
        return d_planes, None, *others
