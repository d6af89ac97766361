"""Lightweight temporal attention by sensor, fused late."""

from __future__ import annotations

import itertools
import math

import torch
from torch import Tensor, nn

from .attending import Dates, join, summarise
from .base import Prediction, SensorInput, SensorShape
from .channels import group_of
from .planar import PlanarLinear, mask_to_planes, to_planes, to_windows
from .registry import check_settings
from .scripting import makes_maps, wants_descriptors

DEFAULTS = {"widths": (32, 64), "heads": 16, "descriptor": 128, "dropout": 0.1}


class LightTemporalAttention(nn.Module):
    """A pixel network that reads the dates as they are: no gap filling, a cloud or a missing sensor is only a mask.

    By group of sensors (all ``S1_*`` are one) a per-date perceptron, temporal attention with one learnt query a head
    over channel groups (L-TAE), a descriptor; the descriptors are concatenated for the classifier, and each has an
    auxiliary one. As in the original the query is a parameter, so that ``q . (W h) = (W' q) . h`` needs one vector a
    head and not a matrix: the same function with half the arithmetic. The days enter as sinusoids of the true day:
    in keys and values, and, unlike there, also in the perceptron, where they cost nothing (a bias by date) and let
    a value mean one thing in May and another in August.

    Sources: V. Sainte Fare Garnot, L. Landrieu, "Lightweight Temporal Self-Attention for Classifying Satellite Images
    Time Series", 2020, arXiv 2007.00586; late fusion with auxiliary supervision: V. Sainte Fare Garnot, L. Landrieu,
    N. Chehata, 2022, doi 10.1016/j.isprsjprs.2022.03.012.

    Args:
        sensors: name -> shape.
        classes: number of classes.
        settings: ``widths`` of the perceptron, ``heads``, ``descriptor`` width, ``dropout`` before the classifier.
    """

    halo = 0
    needs_regular_dates = False
    name, defaults = "ltae", DEFAULTS

    def __init__(self, sensors: dict[str, SensorShape], classes: int, settings: dict | None = None) -> None:
        super().__init__()
        self.settings = check_settings(self.name, self.defaults, settings or {})
        self.groups = sensor_groups(sensors)
        width = self.settings["descriptor"]
        self.branches = nn.ModuleDict(
            {group: self.branch(sensors[members[0]], len(members)) for group, members in self.groups.items()}
        )
        self.auxiliary = nn.ModuleDict({group: PlanarLinear(width, classes) for group in self.groups})
        self.fusion = PlanarLinear(len(self.groups) * (width + 1), width, norm=True)
        self.dropout = nn.Dropout(self.settings["dropout"])
        self.head = PlanarLinear(width, classes)

    def attention_branches(self) -> dict[str, AttentionBranch]:
        """The branches by group."""
        return dict(self.branches.items())  # type: ignore[arg-type]

    def branch(self, shape: SensorShape, members: int) -> AttentionBranch:
        """The branch of a group of sensors."""
        chosen = self.settings
        return AttentionBranch(shape, members, chosen["widths"], chosen["heads"], chosen["descriptor"])

    def forward(self, inputs: dict[str, SensorInput]) -> Prediction:
        """Classify; a sensor may be absent from ``inputs``, and any date of any pixel may be masked.

        Raises:
            ValueError: if no sensor is there.
        """
        if not inputs:
            raise ValueError("no sensor is given")
        batch, _dates, _channels, height, width = next(iter(inputs.values())).x.shape
        return self.fuse(inputs, batch, height, width)

    def fuse(
        self, inputs: dict[str, SensorInput], batch: int, height: int, width: int, extra: Tensor | None = None
    ) -> Prediction:
        """The prediction for ``batch`` windows of ``height`` x ``width`` units; ``extra`` goes to every branch."""
        units = batch * height * width
        present = {
            group: [(place, inputs[name]) for place, name in enumerate(members) if name in inputs]
            for group, members in self.groups.items()
        }

        def windows(planes: Tensor) -> Tensor:
            return to_windows(planes.squeeze(0), batch, height, width)

        branches = self.attention_branches()
        if makes_maps(self) and all(branch.reads_pixels for branch in branches.values()):
            found = [branches[group].summarise(sensors, units) for group, sensors in present.items()]
            describe = wants_descriptors()
            logits, planes, fused = join(self, [one[0] for one in found], [one[1] for one in found], describe)
            if not describe:
                return Prediction(windows(logits), {}, {})
            own = dict(zip(present, planes.chunk(len(present)), strict=True)) | {"fused": fused}
            return Prediction(windows(logits), {}, {name: windows(x) for name, x in own.items()})
        descriptors, flags = {}, []
        for group, sensors in present.items():
            descriptors[group], flag = self.branches[group](sensors, units, extra)
            flags.append(flag)
        joined = torch.cat([*descriptors.values(), *flags]).unsqueeze(0)
        fused = torch.relu_(self.fusion(joined))
        logits = self.head(self.dropout(fused))
        auxiliary = {}
        if self.training:
            auxiliary = {name: windows(self.auxiliary[name](x.unsqueeze(0))) for name, x in descriptors.items()}
        descriptors["fused"] = fused
        return Prediction(windows(logits), auxiliary, {name: windows(x) for name, x in descriptors.items()})


class AttentionBranch(nn.Module):
    """Perceptron, attention and descriptor of one group of sensors.

    Args:
        shape: of each of its sensors.
        members: so many sensors share it.
        widths: of the perceptron.
        heads: of the attention.
        descriptor: length of the descriptor.
        attended: channels that the attention reads; None = those that the perceptron gives.
    """

    precision = torch.float32
    """In which maps are computed."""

    def __init__(
        self,
        shape: SensorShape,
        members: int,
        widths: tuple[int, ...],
        heads: int,
        descriptor: int,
        attended: int | None = None,
    ) -> None:
        super().__init__()
        attended = attended or widths[-1]
        self.heads = math.gcd(heads, attended)
        sizes = (shape.channels, *widths)
        self.layers = nn.ModuleList(PlanarLinear(first, last, norm=True) for first, last in itertools.pairwise(sizes))
        self.offsets = nn.Parameter(torch.zeros(members, widths[0]))  # one a sensor: an orbit sees another angle
        self.timing = nn.ModuleList(nn.Linear(attended, width, bias=False) for width in widths)
        self.key = PlanarLinear(attended, self.heads)
        self.descriptor = PlanarLinear(attended, descriptor, norm=True)
        self.absent = nn.Parameter(torch.zeros(descriptor))

    def forward(
        self, present: list[tuple[int, SensorInput]], units: int, extra: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Descriptor ``[D, units]`` and presence ``[1, units]`` (1 where a unit has any valid date).

        Args:
            present: the sensors that are there, each with its place in the group.
            units: what gets a descriptor each: pixels here, objects in a subclass.
            extra: ``[G, units]``, known of a unit besides its series; for :meth:`by_date`.
        """
        known = self.dates(present)
        if known is None:
            return self.absent[:, None].expand(-1, units), self.absent.new_zeros(1, units)
        x, mask, days, places = known
        encoding = self.encode(days)
        x, mask = self.by_date(x, mask, encoding, places, units, extra)
        summary = self._attend(x, mask, encoding)
        flag = mask.any(dim=0).to(x.dtype).unsqueeze(0)
        descriptor = torch.relu_(self.descriptor(summary.unsqueeze(0), flag.unsqueeze(0))).squeeze(0)
        if bool((flag == 1).all()):
            return descriptor, flag
        return torch.where(flag > 0, descriptor, self.absent[:, None]), flag

    @property
    def reads_pixels(self) -> bool:
        """Whether :meth:`by_date` is that of pixels; maps of them are made by :mod:`.attending`."""
        return type(self).by_date is AttentionBranch.by_date

    def summarise(self, present: list[tuple[int, SensorInput]], units: int) -> tuple[Tensor, Tensor]:
        """Without gradients: see :func:`.attending.summarise`; ``[C + 1, 0]`` without any date."""
        dates = self._unprepared(present)
        if dates is None and (known := self.dates(present)) is not None:
            x, mask, days, places = known
            dates = Dates([x], [], mask, bool(mask.all()), days, places.tolist())
        if dates is None:
            return self.absent.new_empty(self.key.weight.shape[1] + 1, 0), self.absent.new_zeros(1, units)
        return summarise(self, dates)

    @staticmethod
    def _unprepared(present: list[tuple[int, SensorInput]]) -> Dates | None:
        """The dates of sensors that were left to be prepared; None if there is none."""
        left = [(place, one.unprepared, one.days) for place, one in present if one.unprepared and len(one.days)]
        if not left:
            return None
        places = [place for place, _one, days in left for _day in days]
        sensors = [one for _place, one, _days in left]
        mask = torch.cat([one.mask for one in sensors])
        days = torch.cat([days for _place, _one, days in left])
        raws, steps = [one.raw for one in sensors], [one.steps for one in sensors]
        return Dates(raws, steps, mask, all(one.whole for one in sensors), days, places)

    def dates(self, present: list[tuple[int, SensorInput]]) -> tuple[Tensor, Tensor, Tensor, Tensor] | None:
        """Planes ``[T, C, N]``, masks ``[T, N]``, days and sensors ``[T]`` of all dates; None if there is none."""
        if not present or not sum(sensor.x.shape[1] for _place, sensor in present):
            return None
        planes = [to_planes(sensor.x) for _place, sensor in present]
        x = torch.cat(planes) if len(planes) > 1 else planes[0]
        mask = torch.cat([mask_to_planes(sensor.mask) for _place, sensor in present])
        days = torch.cat([sensor.days for _place, sensor in present])
        places = torch.cat([torch.full((s.x.shape[1],), place, device=x.device) for place, s in present])
        if not self.training:  # a date that no pixel has costs nothing
            kept = mask.any(dim=1)
            if not bool(kept.all()):
                x, mask, days, places = x[kept], mask[kept], days[kept], places[kept]
        return (x, mask, days, places) if len(days) else None

    def encode(self, days: Tensor) -> Tensor:
        """The encoding ``[T, C]`` of days."""
        return day_encoding(days, self.key.weight.shape[1])

    def by_date(
        self, x: Tensor, mask: Tensor, encoding: Tensor, places: Tensor, units: int, extra: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """What the attention reads of each date: ``[T, C, N]`` and its mask ``[T, N]``, here of each pixel."""
        return self.perceptron(x, mask, encoding, places), mask

    def perceptron(self, x: Tensor, mask: Tensor, encoding: Tensor, places: Tensor) -> Tensor:
        """The perceptron on planes ``[T, C, N]``; dates shift it by their day, sensors by their offset."""
        weight = mask.to(x.dtype).unsqueeze(1)
        for number, (layer, timing) in enumerate(zip(self.layers, self.timing, strict=True)):
            shift = timing(encoding)
            x = torch.relu_(layer(x, weight, shift + self.offsets[places] if number == 0 else shift))
        return x

    def _attend(self, x: Tensor, mask: Tensor, encoding: Tensor) -> Tensor:
        """Attention over the valid dates: ``[T, C, N]`` -> ``[C, N]``, 0 for a pixel without one.

        The encoding ``[T, C]`` is added to keys and values, as in the original, without a pass over ``x``: it is the
        same for all pixels, so its part of the scores is a bias, and its weighted sum a small product.
        """
        dates, channels, pixels = x.shape
        scores = self.key(x, shift=encoding @ self.key.weight.T).float()
        scores.masked_fill_(~mask.unsqueeze(1), -torch.inf)
        peak = scores.detach().amax(dim=0).clamp_min_(-1e30)
        weights = scores.sub_(peak).exp_()
        total = weights.sum(dim=0).clamp_min(1e-20)
        parts = x.view(dates, self.heads, channels // self.heads, pixels)
        summary = (weights.unsqueeze(2) * parts).sum(dim=0)
        codes = encoding.view(dates, self.heads, -1).permute(1, 2, 0)
        summary = torch.baddbmm(summary, codes, weights.transpose(0, 1)) / total.unsqueeze(1)
        return summary.reshape(channels, pixels)


def day_encoding(days: Tensor, channels: int, base: float = 1000.0) -> Tensor:
    """Sinusoids of the day, ``[T]`` -> ``[T, channels]``: even channels sine, odd ones cosine (Vaswani et al. 2017).

    ``base`` = 1000 as in L-TAE: the slowest wave turns once in about 17 years, the fastest in about six days.
    """
    steps = torch.arange(channels, device=days.device)
    rates = torch.pow(base, -2.0 * torch.div(steps, 2, rounding_mode="floor") / channels)
    angles = days[:, None].to(torch.float32) * rates
    return torch.where(steps % 2 == 0, torch.sin(angles), torch.cos(angles))


def sensor_groups(sensors: dict[str, SensorShape]) -> dict[str, list[str]]:
    """Branches and their sensors: ``S1_*`` with equal channels share one; every other sensor has its own."""
    groups: dict[str, list[str]] = {}
    for name, shape in sensors.items():
        group = group_of(name)
        first = groups.get(group)
        if first and (sensors[first[0]].channels != shape.channels or sensors[first[0]].kind != shape.kind):
            group = name
        groups.setdefault(group, []).append(name)
    return groups
