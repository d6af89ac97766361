"""The attention branch of ``ltae`` on many pixels, without gradients: date by date, some pixels at a time.

What :class:`.ltae.AttentionBranch` does for all dates goes on here while a date's values are in the second-level cache:
perceptron, keys, exponentials of the scores, and the sums by them. What need not be computed is in the weights:

- the first layer gives max(z, -b) instead of max(z + b, 0); what lacks, b, joins the bias of the second;
- the biases of the others are one more column of their matrices, for a channel of ones that nothing overwrites;
- the encoding e of the day, which is added after the last ReLU, is part of its bias: max(z, 0) + e = max(z + e, e);
- the bias of the keys is the same for all dates, so that the softmax does not change with it.

The exponentials need no largest score taken off them before: a float holds e^-69 as exactly as e^69. Where their sum is
not within :data:`SMALLEST` and :data:`LARGEST`, those pixels are done again with a running maximum (Milakov and
Gimelshein 2018, arXiv 1805.02867).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from .planar import PlanarLinear
from .preparing import Steps, prepare
from .scripting import Scripted, pixels_at_once, remembered

if TYPE_CHECKING:
    from .ltae import AttentionBranch, LightTemporalAttention

VALUES_ON_GPU = 2**19
"""Dates times pixels: 64 channels of them are 128 MB."""
PIXELS_AT_ONCE = 1024
"""On a CPU, of one date: 64 channels of them are 256 kB, and what is kept of all dates as much: second-level caches
hold both. With fewer pixels the steps become so short that starting them takes a good part of the time."""
SMALLEST, LARGEST = 1e-30, 1e30
"""Bounds of a sum of exponentials; products of them with values up to 1e8 are numbers too."""


class Dates(NamedTuple):
    """Pixels on all dates of the sensors of a branch.

    Attributes:
        sources: prepared, one ``[T, C, N]``, or unprepared those of each sensor; masked values may be anything finite,
            unprepared ones anything.
        steps: how each becomes prepared; none where it is.
        mask: ``[T, N]``.
        whole: whether everything is valid.
        days: ``[T]``.
        places: ``[T]`` the sensor of each date among those of the branch.
    """

    sources: list[Tensor]
    steps: list[Steps]
    mask: Tensor
    whole: bool
    days: Tensor
    places: list[int]


class Matrices(NamedTuple):
    """The weights of a branch for given dates, some of which (G) are computed at once.

    Attributes:
        layers: of the perceptron, for each layer and G dates ``[G, outputs, inputs]`` of the first layer, of the others
            ``[G, outputs, inputs + 1]``.
        floors: for each layer and G dates ``[G, outputs, 1]``, below which its output does not fall.
        bias: of an only layer, for G dates ``[G, outputs, 1]``; else empty.
        keys: for G dates ``[G, heads, D]``.
    """

    layers: list[list[Tensor]]
    floors: list[list[Tensor]]
    bias: list[Tensor]
    keys: list[Tensor]


def summarise(branch: AttentionBranch, dates: Dates) -> tuple[Tensor, Tensor]:
    """What the attention of a branch makes of pixels, and below it 1, ``[D + 1, N]`` float32, and presence ``[1, N]``.

    Args:
        branch: the weights.
        dates: of its sensors.
    """
    sources, steps, mask, whole, days, places = dates
    tile, group = pixels_at_once(mask, mask.shape[1], PIXELS_AT_ONCE), 1
    if mask.device.type != "cpu":
        group = max(1, VALUES_ON_GPU // tile)
    dtype = branch.precision
    key = (tuple(days.tolist()), tuple(places), dtype, group)
    own = remembered(branch, key, lambda: matrices(branch, days, places, dtype, group))
    return ATTENDED(sources, steps, mask, whole, *own, tile, (SMALLEST, LARGEST))


def join(
    network: LightTemporalAttention, summaries: list[Tensor], flags: list[Tensor], describe: bool
) -> tuple[Tensor, ...]:
    """Logits, and if wanted descriptors, one below the other, and what they are fused to, ``[..., N]`` each.

    Args:
        network: the weights.
        summaries: of each branch ``[D + 1, N]``, ``[D + 1, 0]`` of one without any date.
        flags: likewise the presence ``[1, N]``.
        describe: else the last two have no pixel.
    """
    precision = next(iter(network.attention_branches().values())).precision
    own = remembered(network, precision, lambda: _fusion(network, precision))
    return JOINED(summaries, flags, *own, pixels_at_once(flags[0], flags[0].shape[1], PIXELS_AT_ONCE), describe)


def _fusion(network: LightTemporalAttention, dtype: torch.dtype) -> tuple[list[Tensor], list[Tensor], Tensor, Tensor]:
    """The weights as :func:`joined` takes them."""
    branches = list(network.attention_branches().values())
    return (
        [_with_bias(branch.descriptor).to(dtype) for branch in branches],
        [branch.absent.detach().view(1, -1, 1) for branch in branches],
        _with_bias(network.fusion),
        _with_bias(network.head),
    )


def _with_bias(layer: PlanarLinear) -> Tensor:
    """The folded weight with the bias as last column, ``[1, outputs, inputs + 1]``."""
    weight, bias = layer.folded()
    return torch.cat([weight, bias.unsqueeze(1)], dim=1).unsqueeze(0)


def matrices(branch: AttentionBranch, days: Tensor, places: list[int], dtype: torch.dtype, group: int = 1) -> Matrices:
    """Fold normalisation, days and offsets into the weights; ``group`` dates are computed at once."""

    def shared_out(values: Tensor) -> list[Tensor]:
        return [one.to(dtype).contiguous() for one in values.split(group)]

    encoding = branch.encode(days)
    dates = len(encoding)
    layers, floors = [], []
    lacking: Tensor | None = None
    for number, (layer, timing) in enumerate(zip(branch.layers, branch.timing, strict=True)):
        shift = timing(encoding)
        if number == 0:
            shift = shift + branch.offsets[torch.tensor(places, device=days.device)]
        weight, bias = PlanarLinear.folded(layer, shift)  # type: ignore[arg-type]
        if lacking is not None:
            bias = bias + lacking @ weight.T
        lacking = None
        floor = torch.zeros_like(bias)
        if number == len(branch.layers) - 1:
            bias, floor = bias + encoding, encoding
        elif number == 0:
            lacking, floor = bias, -bias
        whole = weight.expand(dates, -1, -1)
        if number > 0:
            whole = torch.cat([whole, bias.unsqueeze(2)], dim=2)
        layers.append(shared_out(whole))
        floors.append(shared_out(floor.unsqueeze(2)))
    only = shared_out(bias.unsqueeze(2)) if len(layers) == 1 else []
    keys = shared_out(branch.key.weight.expand(dates, -1, -1))
    return Matrices(layers, floors, only, keys)


def attended(
    sources: list[Tensor],
    steps: list[Steps],
    mask: Tensor,
    whole: bool,
    layers: list[list[Tensor]],
    floors: list[list[Tensor]],
    bias: list[Tensor],
    keys: list[Tensor],
    tile: int,
    bounds: tuple[float, float],
) -> tuple[Tensor, Tensor]:
    """Perceptron and attention: ``[T, C, N]`` -> summary, below it 1, ``[D + 1, N]`` float32; presence ``[1, N]``.

    Args:
        sources: see :class:`Dates`, as the next three.
        steps: likewise.
        mask: likewise.
        whole: likewise.
        layers: see :class:`Matrices`, as the next three.
        floors: likewise.
        bias: likewise.
        keys: likewise.
        tile: pixels at once.
        bounds: of the sums of exponentials, beyond which a running maximum is needed.
    """
    pixels = mask.size(1)
    dtype = keys[0].dtype
    device = mask.device
    room_for_dates = torch.empty([0], device=device)
    if len(steps) > 0:
        room_for_dates = torch.empty([mask.size(0), layers[0][0].size(2), min(tile, pixels)], device=device)
    group = keys[0].size(0)
    heads = keys[0].size(1)
    width = keys[0].size(2)
    result = torch.ones([width + 1, pixels], device=device)
    flag = torch.ones([1, pixels], device=device)
    room = [torch.ones([group, one[0].size(1) + 1, min(tile, pixels)], dtype=dtype, device=device) for one in layers]
    scores = torch.empty([group, heads, min(tile, pixels)], dtype=dtype, device=device)
    shares = scores if dtype == torch.float32 else torch.empty_like(scores, dtype=torch.float32)
    for first in range(0, pixels, tile):
        last = min(first + tile, pixels)
        count = last - first
        if len(steps) == 0:
            x = sources[0][:, :, first:last]
        else:
            x = room_for_dates[:, :, :count]
            prepare_sensors(x, sources, steps, mask, whole, first)
        planes: list[Tensor] = list(x.to(dtype).split(group))
        shown = [torch.empty([0], device=device)]
        valid = [1.0] * len(planes)
        here = flag[:, first:last]
        if not whole:
            known = mask[:, first:last].to(torch.float32)
            here.copy_(known.amax([0], True))
            shown = list(known.unsqueeze(1).split(group))
            valid = [0.5] * len(planes)
            if group == 1:  # on a GPU, which would have to be waited for, no date is left out
                means: list[float] = known.mean([1]).tolist()
                valid = means
        inner = [one[:, :, :count] for one in room]
        own, ours = scores[:, :, :count], shares[:, :, :count]
        summary, total = summed(planes, shown, valid, layers, floors, bias, keys, inner, own, ours, False)
        low, high = torch.aminmax(total if whole else total + (1.0 - here))
        if not bool((low > bounds[0]).logical_and_(high < bounds[1])):
            summary, total = summed(planes, shown, valid, layers, floors, bias, keys, inner, own, ours, True)
        if not whole:
            total.add_(1.0 - here)  # of a pixel without a date, for which 0 / 1 is 0
        result[:width, first:last] = summary.div_(total[0].unsqueeze(1)).view(width, count)
    return result, flag


def prepare_sensors(
    planes: Tensor, sources: list[Tensor], steps: list[Steps], mask: Tensor, whole: bool, first: int
) -> None:
    """Prepare the pixels from ``first`` on of all sensors into ``planes`` ``[T, C, N]``; see :class:`Dates`."""
    date = 0
    for place in range(len(sources)):
        raw = sources[place][:, :, first : first + planes.size(2)]
        own = planes[date : date + raw.size(0)]
        prepare(own, raw, steps[place])
        if raw.is_floating_point() and not whole:  # what is masked may be no number
            own.masked_fill_(
                mask[date : date + raw.size(0), first : first + planes.size(2)].logical_not().unsqueeze(1), 0.0
            )
        date += raw.size(0)


def summed(
    planes: list[Tensor],
    shown: list[Tensor],
    valid: list[float],
    layers: list[list[Tensor]],
    floors: list[list[Tensor]],
    bias: list[Tensor],
    keys: list[Tensor],
    room: list[Tensor],
    scores: Tensor,
    shares: Tensor,
    careful: bool,
) -> tuple[Tensor, Tensor]:
    """Sums over the dates: of the values by the exponentials of their scores, and of these.

    Args:
        planes: of G dates ``[G, C, N]``.
        shown: likewise the mask ``[G, 1, N]`` as 0 and 1, where some of it is 0.
        valid: likewise the share of it that is 1.
        layers: see :class:`Matrices`, as the next three.
        floors: likewise.
        bias: likewise.
        keys: likewise.
        room: for the output of each layer, ``[G, outputs + 1, N]``, the last channel 1.
        scores: room for them ``[G, heads, N]``.
        shares: likewise for what becomes of them, float32; the same where they are that.
        careful: take a running maximum off the scores.

    Returns:
        ``[heads, D / heads, N]`` and ``[1, heads, N]``, float32; of a pixel without a valid date 0.
    """
    heads = scores.size(1)
    pixels = scores.size(2)
    width = keys[0].size(2)
    short = scores.dtype != torch.float32
    summary = torch.zeros([heads, width // heads, pixels], device=scores.device)
    total = torch.zeros([1, heads, pixels], device=scores.device)
    peak = torch.full([1, heads, pixels] if careful else [0], -1e30, device=scores.device)
    outputs = room
    targets = room
    values = scores
    weights = shares
    parts: list[Tensor] = []
    factors: list[Tensor] = []
    for step in range(len(planes)):
        if valid[step] == 0.0:
            continue
        dates = planes[step].size(0)
        if len(parts) != dates:  # the first time, and where fewer dates are left
            outputs = [one[:dates] for one in room]
            targets = [one[:, : one.size(1) - 1] for one in outputs]
            values, scores, weights = targets[-1], scores[:dates], shares[:dates]
            parts = list(values.unflatten(1, [heads, width // heads]).unbind(0))
            factors = list(weights.unsqueeze(2).unbind(0))
        y = planes[step]
        for number in range(len(layers)):
            if len(layers) == 1:
                torch.add(torch.bmm(layers[number][step], y), bias[step], out=targets[number])
            else:
                torch.bmm(layers[number][step], y, out=targets[number])
            torch.maximum(targets[number], floors[number][step], out=targets[number])
            y = outputs[number]
        torch.bmm(keys[step], values, out=scores)
        if short:
            weights.copy_(scores)
        if careful:
            if valid[step] < 1.0:
                weights.masked_fill_(shown[step] == 0.0, -float("inf"))
            highest = torch.maximum(peak, weights.amax([0], True))
            shrink = peak.sub_(highest).exp_()
            peak = highest
            weights.sub_(peak)
            summary.mul_(shrink[0].unsqueeze(1))
            total.mul_(shrink)
        weights.exp_()
        if valid[step] < 1.0 and not careful:
            weights.mul_(shown[step])
        for date in range(dates):
            summary.addcmul_(parts[date], factors[date])
        total.add_(weights if dates == 1 else weights.sum([0], True))
    return summary, total


def joined(
    summaries: list[Tensor],
    flags: list[Tensor],
    weights: list[Tensor],
    absent: list[Tensor],
    fusion: Tensor,
    head: Tensor,
    tile: int,
    describe: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """The descriptors of branches, ``absent`` where a pixel has no date, joined for the classifier.

    Args:
        summaries: see :func:`join`, as ``flags``.
        flags: likewise.
        weights: of each branch, the bias as last column, ``[1, outputs, D + 1]``.
        absent: likewise ``[1, outputs, 1]``.
        fusion: likewise ``[1, F, branches * (outputs + 1) + 1]``.
        head: likewise ``[1, K, F + 1]``.
        tile: pixels at once.
        describe: whether the last two are wanted.

    Returns:
        logits, descriptors, those of all branches one below the other, and fused descriptor, ``[..., N]`` float32.
    """
    size = weights[0].size(1)
    count = len(weights)
    width = head.size(2) - 1
    pixels = flags[0].size(1)
    device = flags[0].device
    logits = torch.empty([1, head.size(1), pixels], device=device)
    descriptors = torch.empty([count * size, pixels if describe else 0], device=device)
    fused = torch.empty([width, pixels if describe else 0], device=device)
    presence = torch.cat(flags)
    whole = bool(presence.all())
    room = torch.ones([1, fusion.size(2), min(tile, pixels)], device=device)
    wide = torch.ones([1, width + 1, min(tile, pixels)], device=device)
    for first in range(0, pixels, tile):
        last = min(first + tile, pixels)
        planes = room[:, :, : last - first]
        joint = wide[:, :, : last - first]
        planes[0, count * size : count * size + count].copy_(presence[:, first:last])
        for branch in range(count):
            own = planes[:, branch * size : (branch + 1) * size]
            if summaries[branch].size(1) == 0:
                own.copy_(absent[branch])
                continue
            summary = summaries[branch][:, first:last].unsqueeze(0)
            if weights[branch].dtype == torch.float32:
                torch.bmm(weights[branch], summary, out=own)
            else:
                own.copy_(torch.bmm(weights[branch], summary.to(weights[branch].dtype)))
            own.relu_()
            if not whole:
                own.copy_(torch.where(presence[branch, first:last] > 0, own, absent[branch]))
        values = joint[:, :width]
        torch.bmm(fusion, planes, out=values)
        values.relu_()
        torch.bmm(head, joint, out=logits[:, :, first:last])
        if describe:
            descriptors[:, first:last].copy_(planes[0, : count * size])
            fused[:, first:last].copy_(values[0])
    return logits[0], descriptors, fused


ATTENDED, JOINED = Scripted(attended), Scripted(joined)
