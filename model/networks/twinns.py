"""A recurrent and a convolutional branch by sensor, in the line of TWINNS."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..stack.sensors import STATIC
from .base import Prediction, SensorInput, SensorShape
from .ltae import sensor_groups
from .patches import convolve_dates, convolve_planes, takes
from .planar import PlanarLinear, mask_to_planes, to_windows
from .recurring import PIXELS_AT_ONCE, RECURRED, gates
from .registry import check_settings
from .scripting import makes_maps, mixes_precision, pixels_at_once, remembered
from .tempcnn import filled_groups, filled_of
from .unrolled import Unrolled

DEFAULTS: dict[str, Any] = {
    "stem": (16, 32),
    "recurrent": 64,
    "convolutions": (128, 128),
    "descriptor": 256,
    "dropout": 0.3,
}


class Twinns(nn.Module):
    """TWINNS-style: for every group of sensors an attentive recurrent branch and a convolutional one, on 5x5 pixels.

    The recurrent branch reads the dates as acquired: two 3x3 convolutions shared by the dates, a gated recurrent unit
    that keeps its state where a date is masked, attention over its states. The convolutional branch reads the
    gap-filled dates stacked as channels. Each has an auxiliary classifier; their descriptors are concatenated.

    After D. Ienco, R. Interdonato, R. Gaetano, D. Ho Tong Minh, "Combining Sentinel-1 and Sentinel-2 Satellite Image
    Time Series for land cover mapping via a multi-source deep learning architecture", ISPRS J. 158, 2019,
    doi 10.1016/j.isprsjprs.2019.09.016. The published layer widths could not be checked, and the recurrence is 1x1
    instead of 3x3: with valid convolutions before it the field stays 5x5, so that whole tiles give the very numbers
    of single patches, at a hundredth of the arithmetic.

    Args:
        sensors: name -> shape.
        classes: number of classes.
        settings: widths of the ``stem`` (two convolutions), of the ``recurrent`` unit, of the ``convolutions`` (two
            3x3; the last also 1x1), of the ``descriptor``, and the ``dropout`` before the classifiers.
    """

    halo = 2
    needs_regular_dates = True

    def __init__(self, sensors: dict[str, SensorShape], classes: int, settings: dict[str, Any] | None = None) -> None:
        super().__init__()
        self.settings = check_settings("twinns", DEFAULTS, settings or {})
        hidden, widths = self.settings["recurrent"], self.settings["convolutions"]
        dated = {name: shape for name, shape in sensors.items() if shape.kind != STATIC}
        self.recurrent_groups, self.filled_groups = sensor_groups(dated), filled_groups(sensors)
        self.recurrent = nn.ModuleDict()
        for group, members in self.recurrent_groups.items():
            channels = sensors[members[0]].channels
            self.recurrent[group] = RecurrentBranch(channels, len(members), self.settings["stem"], hidden)
        self.convolutional, self.pointwise = nn.ModuleDict(), nn.ModuleDict()
        for group, members in self.filled_groups.items():
            channels = sum((sensors[name].channels + 1) * sensors[name].target_dates for name in members)
            self.convolutional[group] = nn.Sequential(
                Convolution(channels, widths[0], 3), Convolution(widths[0], widths[-1], 3)
            )
            self.pointwise[group] = PlanarLinear(widths[-1], widths[-1], norm=True)
        sizes = {f"{group}_recurrent": hidden for group in self.recurrent}
        sizes |= {f"{group}_convolutional": widths[-1] for group in self.convolutional}
        self.auxiliary = nn.ModuleDict({name: PlanarLinear(size, classes) for name, size in sizes.items()})
        self.fusion = PlanarLinear(sum(sizes.values()), self.settings["descriptor"], norm=True)
        self.dropout = nn.Dropout(self.settings["dropout"])
        self.head = PlanarLinear(self.settings["descriptor"], classes)

    def forward(self, inputs: dict[str, SensorInput]) -> Prediction:
        """Classify windows of at least 5x5 pixels; every sensor must be there, any date may be masked."""
        batch, _dates, _channels, height, width = filled_of(next(iter(inputs.values()))).shape
        height, width = height - 2 * self.halo, width - 2 * self.halo
        descriptors = {}
        for group, members in self.recurrent_groups.items():
            descriptors[f"{group}_recurrent"] = self.recurrent[group]([inputs[name] for name in members])
        for group, members in self.filled_groups.items():
            found = self._convolved(group, [filled_of(inputs[name]) for name in members])
            descriptors[f"{group}_convolutional"] = torch.relu_(self.pointwise[group](found))
        fused = torch.relu_(self.fusion(self.dropout(torch.cat(list(descriptors.values()), dim=1))))
        logits = self.head(self.dropout(fused))

        def windows(planes: Tensor) -> Tensor:
            return to_windows(planes.squeeze(0), batch, height, width)

        auxiliary = {}
        if self.training:
            auxiliary = {name: windows(self.auxiliary[name](self.dropout(x))) for name, x in descriptors.items()}
        descriptors["fused"] = fused
        return Prediction(windows(logits), auxiliary, {name: windows(x) for name, x in descriptors.items()})

    def _convolved(self, group: str, filled: list[Tensor]) -> Tensor:
        """The convolutions of a group on its filled dates ``[B, T, C, H, W]``: ``[1, K, N]``."""
        layers = self.convolutional[group]
        if takes(self, filled[0]):
            return convolve_planes([one.permute(1, 2, 0, 3, 4).flatten(3).flatten(0, 1) for one in filled], layers)
        stacked = torch.cat([one.flatten(1, 2) for one in filled], dim=1)
        found = layers(stacked.contiguous(memory_format=torch.channels_last)).to(stacked.dtype)
        return found.permute(0, 2, 3, 1).reshape(-1, found.shape[1]).T.unsqueeze(0)  # channels are last in memory


class Convolution(nn.Module):
    """Valid convolution, normalisation, ReLU; in evaluation the normalisation is folded into the weights."""

    precision = torch.float32
    """In which maps are computed."""

    def __init__(self, inputs: int, outputs: int, kernel: int) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(inputs, outputs, kernel)
        nn.init.kaiming_normal_(self.convolution.weight, nonlinearity="relu")
        nn.init.zeros_(self.convolution.bias)  # type: ignore[arg-type]
        self.norm = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        layer, norm = self.convolution, self.norm
        border = layer.kernel_size[0] - 1
        if self.training and x.shape[0] * (x.shape[2] - border) * (x.shape[3] - border) > 1:
            return torch.relu_(norm(layer(x)))
        if not makes_maps(self):
            weight, bias = self.folded()
        else:
            x = x.to(self.precision)
            weight, bias = remembered(self, x.dtype, lambda: self.folded(x.dtype))
            if x.device.type == "cuda":
                return torch.relu_(convolve_exactly(x, weight, bias))
        return torch.relu_(functional.conv2d(x, weight, bias))

    def folded(self, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
        """Weight and bias that hold the normalisation too; in the weight channels are last in memory."""
        layer, norm = self.convolution, self.norm
        mean, variance, bias = norm.running_mean, norm.running_var, layer.bias
        if mean is None or variance is None or bias is None:  # as constructed, none is
            raise RuntimeError("a convolution has no bias, or its normalisation no statistics")
        factor = norm.weight * torch.rsqrt(variance + norm.eps)
        weight = layer.weight * factor[:, None, None, None]
        bias = (bias - mean) * factor + norm.bias
        return weight.to(dtype, memory_format=torch.channels_last), bias.to(dtype)


def convolve_exactly(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """A valid convolution in the digits of its values on an NVIDIA GPU, and the same each time.

    By default PyTorch rounds float32 to the ten bits of TF32 in convolutions there; what is asked for by PRECISION is
    float32. The setting is one of the process, which is QGIS's; this is the call that takes it as an argument.
    """
    benchmark, deterministic, cudnn, tf32 = False, True, True, False
    return torch._convolution(
        x, weight, bias, [1, 1], [0, 0], [1, 1], False, [0, 0], 1, benchmark, deterministic, cudnn, tf32
    )


class RecurrentBranch(nn.Module):
    """Convolutions by date, a gated recurrent unit over the dates of a group, attention over its states."""

    def __init__(self, channels: int, members: int, stem: tuple[int, ...], hidden: int) -> None:
        super().__init__()
        self.hidden = hidden
        self.stem = nn.Sequential(Convolution(channels + 1, stem[0], 3), Convolution(stem[0], stem[-1], 3))
        self.offsets = nn.Parameter(torch.zeros(members, stem[-1]))  # one a sensor: an orbit sees another angle
        self.gates = nn.Linear(stem[-1], 3 * hidden)  # reset, update, candidate
        self.recurrence = nn.Linear(hidden, 3 * hidden)
        for gate in self.recurrence.weight.data.split(hidden):
            if not gate.is_meta:
                nn.init.orthogonal_(gate)
        self.score_inner = nn.Linear(hidden, hidden)
        self.score_outer = nn.Linear(hidden, 1)

    def forward(self, members: list[SensorInput]) -> Tensor:
        """Descriptor ``[1, hidden, N]``, N = pixels without the halo; 0 where no date is valid."""
        if makes_maps(self):
            return self._quickly(members).unsqueeze(0)
        planes, masks, biases, order = [], [], [], []
        for place, sensor in enumerate(members):
            if sensor.x.shape[1]:
                planes.append(self._stem(sensor.x, sensor.mask))
                masks.append(mask_to_planes(sensor.mask[:, :, 2:-2, 2:-2]))
                bias = self.gates.bias + self.gates.weight @ self.offsets[place]
                biases.append(bias.expand(len(sensor.days), -1))
                order.append(sensor.days)
        if not order:
            pixels = mask_to_planes(members[0].mask[:, :, 2:-2, 2:-2]).shape[1]
            return self.gates.weight.new_zeros(1, self.hidden, pixels)
        by_day = torch.argsort(torch.cat(order), stable=True)
        return self._recur(torch.cat(planes)[by_day], torch.cat(masks)[by_day], torch.cat(biases)[by_day]).unsqueeze(0)

    def _stem(self, x: Tensor, mask: Tensor) -> Tensor:
        """The convolutions of each date, ``[T, N, C]``; no copy of them for one window."""
        if takes(self, x):
            return convolve_dates(x, mask, self.stem)
        values, valid = x.permute(1, 0, 3, 4, 2), mask.permute(1, 0, 2, 3).unsqueeze(4)
        joined = torch.cat([values, valid.to(x.dtype)], dim=4)  # channels last in memory, as convolutions like it
        found = self.stem(joined.flatten(0, 1).permute(0, 3, 1, 2)).to(x.dtype)
        return found.permute(0, 2, 3, 1).reshape(len(joined), -1, found.shape[1])

    def _quickly(self, members: list[SensorInput]) -> Tensor:
        """Without gradients: ``[hidden, N]``, by :mod:`.recurring`."""
        planes: list[Tensor] = []
        valid: list[Tensor] = []
        places: list[int] = []
        steps: list[tuple[float, int, int]] = []
        for place, sensor in enumerate(members):
            centre = mask_to_planes(sensor.mask[:, :, 2:-2, 2:-2])
            x, mask, days = sensor.x, sensor.mask, sensor.days
            kept = centre.any(dim=1)
            if not bool(kept.all()):  # a date that no pixel has changes no state
                x, mask, days, centre = x[:, kept], mask[:, kept], days[kept], centre[kept]
            if len(days):
                steps += [(day, len(planes), date) for date, day in enumerate(days.tolist())]
                planes.append(self._stem(x, mask))
                valid.append(centre)
                places.append(place)
        if not steps:
            return self.gates.weight.new_zeros(self.hidden, mask_to_planes(members[0].mask[:, :, 2:-2, 2:-2]).shape[1])
        steps.sort(key=lambda step: step[0])
        kind = planes[0].dtype
        own = remembered(self, kind, lambda: gates(self, kind))
        looks = planes[0].device.type == "cpu"
        tile = pixels_at_once(planes[0], planes[0].shape[1], PIXELS_AT_ONCE)
        members_, dates = [step[1] for step in steps], [step[2] for step in steps]
        return RECURRED(planes, valid, members_, dates, places, *own, tile, looks)

    def _recur(self, planes: Tensor, masks: Tensor, biases: Tensor) -> Tensor:
        """The unit over dates in order, and attention over its states.

        What does not depend on the state is done for all dates at once.

        Args:
            planes: ``[T, N, C]``.
            masks: ``[T, N]``.
            biases: of the gates ``[T, 3 hidden]``.

        Returns:
            ``[hidden, N]``; 0 where no date is valid.
        """
        hidden = self.hidden
        if self.training and planes.device.type == "cpu" and not mixes_precision():
            unit, inner = self.recurrence, self.score_inner
            bias = biases + functional.pad(unit.bias[: 2 * hidden], (0, hidden))
            memory, own = unit.weight.roll(hidden, 0), unit.bias[2 * hidden :]
            scores = inner.weight, inner.bias, self.score_outer.weight
            return Unrolled.apply(planes, masks, self.gates.weight, bias, memory, own, *scores)
        own_gates = self.gates.weight.split((2 * hidden, hidden)), biases.split((2 * hidden, hidden), dim=1)
        first, candidates = (
            torch.baddbmm(bias.unsqueeze(1), planes, weight.T.expand(len(planes), -1, -1)).unbind(0)
            for weight, bias in zip(*own_gates, strict=True)
        )
        valid = masks.unsqueeze(2)
        state = planes.new_zeros(planes.shape[1], hidden)
        states = []
        for date, kept in enumerate(valid.unbind(0)):
            memory, own = self.recurrence(state).split((2 * hidden, hidden), dim=1)
            reset, update = torch.sigmoid(first[date] + memory).chunk(2, dim=1)
            candidate = torch.tanh(torch.addcmul(candidates[date], reset, own))
            state = torch.addcmul(state, update * kept, candidate - state)  # masked: the state is kept
            states.append(state)
        known = torch.stack(states)
        scores = self.score_outer(torch.tanh(self.score_inner(known))).float().masked_fill(~valid, -torch.inf)
        peak = scores.detach().amax(dim=0).clamp_min(-1e30)
        weights = torch.exp(scores - peak)
        summary = (weights * known).sum(dim=0) / weights.sum(dim=0).clamp_min(1e-20)
        return summary.T
