"""Raw integers to network inputs on the device where the network is: physical values, gaps filled, indices, scaling.

The formulas are those of :mod:`.inputs`, ``stack/indices.py`` and ``stack/gapfill.py``, which serve the forest without
torch; tests hold that both give the same. Planes are ``[T, C, N]``: dates, channels, pixels.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ..base.device import to_device
from ..stack.gapfill import REACH, line_weights
from ..stack.indices import INDICES, brightness, compute_index, index_bands, normalised_difference
from ..stack.sensors import RADAR, SensorSpec, Series
from .base import SensorInput, Unprepared
from .channels import DB_FLOOR
from .filling import carry, fill, interpolated_at_once, line_places
from .inputs import CLIP, SensorRecipe, planes_of, scaling
from .scripting import Scripted, pixels_at_once

DIFFERENCE, NORMALISED, BRIGHTNESS = 0, 1, 2
"""Kinds of indices, as :func:`scaled` is told them."""
PIXELS_AT_ONCE = 1024
"""On a CPU: 12 channels of 24 dates of them are 1 MB, which second-level caches hold."""
_CHANNELS_AT_ONCE = 18
_MOST_LINES = 64
Steps = tuple[float, float, bool, float, float, list[list[int]], Tensor, Tensor, float, float]
"""What :func:`prepare` does: the last five arguments of :func:`physical`, the indices and the last four of
:func:`scaled`."""


class Preparer:
    """Makes the inputs of one sensor on one device; what does not change from block to block is made once.

    Args:
        part: how the sensor is prepared.
        spec: of the data.
        positions: of the model's bands among the data's; None = as they are.
        device: where the tensors go.
    """

    def __init__(
        self, part: SensorRecipe, spec: SensorSpec, positions: tuple[int, ...] | None, device: str | torch.device
    ) -> None:
        self._part, self._spec, self._positions, self._device = part, spec, positions, torch.device(device)
        self._units = spec.scale, spec.offset, *_radar(spec)
        self._indices, self._own = _indices(part)
        self._factor, self._shift = (torch.from_numpy(one).to(device) for one in scaling(part))
        self._steps: Steps = (*self._units, self._indices, self._factor, self._shift, *CLIP)
        self._lines: dict[bytes, tuple[Tensor, Tensor]] = {}

    @property
    def can_wait(self) -> bool:
        """Whether the steps are those of :func:`prepare`, on a processor."""
        return self._device.type == "cpu" and not self._own

    def prepare(self, series: Series, regular: bool, raw: bool, drop: bool, later: bool = False) -> SensorInput:
        """The input, see ``InputRecipe.network_inputs``; what goes to the device are raw values and masks.

        Args:
            series: raw.
            regular: whether to give the gap-filled series.
            raw: whether to give the raw dates.
            drop: leave out dates without a valid pixel.
            later: leave the raw dates as they are; only where :attr:`can_wait`, and not with ``regular``.
        """
        size, _dates, _bands, height, width = series.values.shape
        values, valid = planes_of(series, self._spec, self._positions)
        days = np.asarray(series.days, dtype=np.float32)
        counts = np.count_nonzero(valid, axis=1)
        if (drop or not raw) and not counts.all():
            seen = counts > 0
            values, valid, days, counts = values[seen], valid[seen], days[seen], counts[seen]
        whole = int(counts.sum()) == valid.size
        there = to_device(torch.from_numpy(valid), self._device)
        source = _on_device(values, self._device)

        def shaped(tensor: Tensor) -> Tensor:
            """[T, ..., N] -> [B, T, ..., H, W]."""
            return tensor.view(*tensor.shape[:-1], size, height, width).movedim(-3, 0)

        filled = None
        if regular:
            order = np.argsort(days, kind="stable")
            order = order[counts[order] > 0]  # dates without one valid pixel change nothing
            alike = int(counts[order].sum()) == len(order) * values.shape[2]
            if self._device.type == "cpu" and not self._own and not alike:
                planes, x = self._regular(source, there, days, order, raw)
                filled = shaped(planes)
            else:
                planes = PHYSICAL(source, *self._units)
                filled = shaped(self._filled(planes, there, days, order, alike))
                if raw:
                    x = self._scaled(planes, 0)
                    x = x if whole else HIDE(x, there)
                else:
                    x = planes.new_zeros(0, len(self._factor), planes.shape[2])
            if not raw:
                there, days = there[:0], days[:0]
        elif later:
            x = torch.empty(0, len(self._factor), source.shape[2])
            dates = Unprepared(source, there, whole, self._steps)
            return SensorInput(shaped(x), shaped(there), torch.from_numpy(days), None, dates)
        elif self._own:
            x = self._scaled(PHYSICAL(source, *self._units), 0)
            x = x if whole else HIDE(x, there)
        else:
            tile = pixels_at_once(source, source.shape[2], PIXELS_AT_ONCE)
            x = DATED(source, there, whole, self._steps, tile)
        return SensorInput(shaped(x), shaped(there), torch.from_numpy(days).to(self._device), filled)

    def _regular(
        self, source: Tensor, there: Tensor, days: np.ndarray, order: np.ndarray, raw: bool
    ) -> tuple[Tensor, Tensor]:
        """What :meth:`_filled` gives, and the scaled dates if ``raw``, on a processor."""
        used, wanted = days[order], np.asarray(self._part.target_days, dtype=np.float32)
        upto = np.searchsorted(used, wanted, side="right")
        dates = order.tolist(), used.tolist(), wanted.tolist(), upto.tolist(), REACH, raw
        scales = self._indices, self._factor, self._shift, *CLIP
        pixels = source.shape[2]
        few = max(1, PIXELS_AT_ONCE * _CHANNELS_AT_ONCE // len(self._factor))
        tile = -(-pixels // max(1, round(pixels / few)))  # all of nearly one size
        return REGULAR(source, there, *dates, *self._units, *scales, tile)

    def _filled(self, planes: Tensor, there: Tensor, days: np.ndarray, order: np.ndarray, alike: bool) -> Tensor:
        """The scaled gap-filled series with the validity as last channel; 0 for a pixel without any date."""
        targets = self._part.target_days
        pixels = planes.shape[2]
        if not len(order):
            return planes.new_zeros(len(targets), len(self._factor) + 1, pixels)
        used = days[order]
        if len(order) < len(days) or (order != np.arange(len(order))).any():
            chosen = torch.from_numpy(order).to(self._device)
            planes, there = planes[chosen], there[chosen]
        if alike:  # every pixel has the same dates: one product
            key = used.tobytes()
            if key not in self._lines:
                matrix, line = line_weights(used, np.array(targets, dtype=np.float32))
                if len(self._lines) > _MOST_LINES:
                    self._lines.clear()
                self._lines[key] = torch.from_numpy(matrix).to(self._device), torch.from_numpy(line).to(self._device)
            matrix_, line_ = self._lines[key]
            if not self._own:
                return REGULAR_WHOLE(planes, matrix_, line_, self._indices, self._factor, self._shift, *CLIP)
            full = self._scaled((matrix_ @ planes.flatten(1)).view(len(targets), -1, pixels), 1)
            full[:, -1] = line_.unsqueeze(1)
            return full
        wanted = np.asarray(targets, dtype=np.float32)
        upto = np.searchsorted(used, wanted, side="right")
        filled, validity = interpolated_at_once(planes, there, used, wanted, upto, REACH)
        full = self._scaled(filled, 1)
        full[:, -1] = validity
        return HIDE(full, there.any(dim=0, keepdim=True).expand(len(targets), -1))  # not the value that 0 scales to

    def _scaled(self, planes: Tensor, extra: int) -> Tensor:
        """Scaled channels ``[T, C + extra, N]`` of physical bands, which may be changed when ``extra`` is 0."""
        own = [
            torch.from_numpy(compute_index(name, [planes[:, band].cpu().numpy() for band in bands])).to(self._device)
            for name, bands in self._own
        ]
        return SCALED(planes, self._indices, extra, own, self._factor, self._shift, *CLIP)


def _indices(part: SensorRecipe) -> tuple[list[list[int]], list[tuple[str, tuple[int, ...]]]]:
    """The indices as :func:`scaled` takes them, and those that numpy computes (expressions) with their bands."""
    kinds, own = [], []
    for name in part.indices:
        bands = index_bands(name, part.spec.kind, part.spec.bands) or ()
        known = INDICES.get(name.upper())
        if known is None:
            own.append((name, bands))
            kinds.append([-1])
        elif known.formula is normalised_difference:
            kinds.append([NORMALISED, *bands])
        elif known.formula is brightness:
            kinds.append([BRIGHTNESS, *bands])
        else:
            kinds.append([DIFFERENCE, *bands])
    return kinds, own


def _radar(spec: SensorSpec) -> tuple[bool, float, float]:
    """The last arguments of :func:`physical` for a sensor; see ``channels.to_db``."""
    decades = {"power": 10.0, "amplitude": 20.0}.get(spec.unit, 0.0)
    if spec.kind != RADAR or (not decades and spec.unit != "db"):
        return False, 0.0, 0.0
    return True, 10 ** (DB_FLOOR / decades) if decades else DB_FLOOR, decades


def _on_device(values: np.ndarray, device: torch.device) -> Tensor:
    """The values as they are, on a processor without a copy, where torch has their type there; else as float32."""
    unsigned = values.dtype.kind == "u" and values.dtype.itemsize > 1
    if unsigned and values.dtype == np.uint16 and device.type != "cpu":  # half of float32 on its way, and as exact
        return to_device(_tensor(values.view(np.int16)), device).to(torch.int32).bitwise_and_(0xFFFF)
    wide = values.dtype.kind == "f" and values.dtype.itemsize > 4  # which mps lacks
    return to_device(_tensor(values.astype(np.float32) if unsigned or wide else values), device)


def _tensor(values: np.ndarray) -> Tensor:
    """Values without a copy, if they may be written to and have this machine's order of bytes."""
    values = values if values.dtype.isnative else values.astype(values.dtype.newbyteorder("="))
    return torch.from_numpy(values if values.flags.writeable else values.copy())


def physical(raw: Tensor, scale: float, offset: float, floored: bool, floor: float, decades: float) -> Tensor:
    """Reflectance or dB, float32.

    Args:
        raw: ``[T, C, N]`` of any type.
        scale: of the values.
        offset: added after scaling.
        floored: whether values below ``floor`` become it.
        floor: see there.
        decades: radar power (10) or amplitude (20) become dB; 0: values stay.
    """
    values = torch.empty(raw.size(), dtype=torch.float32, device=raw.device)
    measure(values, raw, scale, offset, floored, floor, decades)
    return values


def measure(
    values: Tensor, raw: Tensor, scale: float, offset: float, floored: bool, floor: float, decades: float
) -> None:
    """:func:`physical` into ``values``."""
    values.copy_(raw)
    if scale != 1.0:
        values.mul_(scale)
    if offset != 0.0:
        values.add_(offset)
    if floored:
        values.clamp_min_(floor)
    if decades != 0.0:
        values.log10_().mul_(decades)


def scaled(
    values: Tensor,
    indices: list[list[int]],
    extra: int,
    own: list[Tensor],
    factor: Tensor,
    shift: Tensor,
    low: float,
    high: float,
) -> Tensor:
    """Bands joined by indices and ``extra`` empty channels; bands and indices scaled to about 0..1 and clipped.

    Args:
        values: physical, ``[T, C, N]``; changed.
        indices: kind and band positions of each; kind -1: computed before, the next of ``own``.
        extra: channels left empty at the end.
        own: ``[T, N]`` each.
        factor: ``[C + indices, 1]``.
        shift: likewise.
        low: lowest scaled value.
        high: highest.
    """
    bands = values.size(1)
    count = bands + len(indices)
    full = values
    if len(indices) + extra > 0:
        full = torch.empty([values.size(0), count + extra, values.size(2)], dtype=values.dtype, device=values.device)
        full[:, :bands].copy_(values)
    finish(full[:, :count], indices, own, factor, shift, low, high)
    return full


def finish(
    planes: Tensor,
    indices: list[list[int]],
    own: list[Tensor],
    factor: Tensor,
    shift: Tensor,
    low: float,
    high: float,
) -> None:
    """Indices into the last channels of ``planes`` ``[T, C + indices, N]``, the others being physical; all scaled."""
    bands = planes.size(1) - len(indices)
    place = 0
    for number in range(len(indices)):
        index = indices[number]
        target = planes.select(1, bands + number)
        if index[0] < 0:
            target.copy_(own[place])
            place += 1
        elif index[0] == 2:
            total = planes.select(1, index[1]).square()
            for band in index[2:]:
                total.add_(planes.select(1, band).square())
            torch.sqrt(total, out=target)
        else:
            first = planes.select(1, index[1])
            second = planes.select(1, index[2])
            torch.sub(first, second, out=target)
            if index[0] == 1:
                total = first + second
                target.div_(total)
                # A GPU is not asked, since it would have to be waited for.
                if planes.device.type != "cpu" or total.numel() == 0 or not bool(total.amin() > 1e-6):
                    target.masked_fill_((total > 1e-6).logical_not_(), 0.0)
                target.clamp_(-1.0, 1.0)
    planes.mul_(factor).add_(shift).clamp_(low, high)


def dated(raw: Tensor, valid: Tensor, whole: bool, steps: Steps, tile: int) -> Tensor:
    """:func:`prepare` for all pixels, ``tile`` at a time, as the cache holds."""
    pixels = raw.size(2)
    full = torch.empty([raw.size(0), raw.size(1) + len(steps[5]), pixels], device=raw.device)
    for first in range(0, pixels, tile):
        last = min(first + tile, pixels)
        planes = full[:, :, first:last]
        prepare(planes, raw[:, :, first:last], steps)
        if not whole:
            shown = valid[:, first:last].unsqueeze(1)
            if raw.is_floating_point():
                planes.masked_fill_(shown.logical_not(), 0.0)
            else:  # no value is infinite or not a number: a product is much quicker
                planes.mul_(shown.to(torch.float32))
    return full


def prepare(planes: Tensor, raw: Tensor, steps: Steps) -> None:
    """:func:`physical` and :func:`scaled` in one, into ``planes`` ``[T, C + indices, N]``."""
    scale, offset, floored, floor, decades, indices, factor, shift, low, high = steps
    measure(planes[:, : raw.size(1)], raw, scale, offset, floored, floor, decades)
    finish(planes, indices, [], factor, shift, low, high)


def regular_whole(
    planes: Tensor,
    matrix: Tensor,
    validity: Tensor,
    indices: list[list[int]],
    factor: Tensor,
    shift: Tensor,
    low: float,
    high: float,
) -> Tensor:
    """The scaled series at target days ``[Tt, C + 1, N]`` of pixels that have the same dates: one product.

    Args:
        planes: physical, ``[T, C, N]``.
        matrix: ``[Tt, T]``.
        validity: ``[Tt]``.
        indices: see :func:`scaled`, as the rest.
        factor: likewise.
        shift: likewise.
        low: likewise.
        high: likewise.
    """
    filled = torch.mm(matrix, planes.flatten(1)).view(matrix.size(0), planes.size(1), planes.size(2))
    full = scaled(filled, indices, 1, [], factor, shift, low, high)
    full[:, full.size(1) - 1].copy_(validity.unsqueeze(1))
    return full


def hide(values: Tensor, valid: Tensor) -> Tensor:
    """Values ``[T, C, N]`` with 0 where the mask ``[T, N]`` is False, in place."""
    if bool(valid.all()):
        return values
    return values.masked_fill_(valid.logical_not().unsqueeze(1), 0.0)


def regular(
    raw: Tensor,
    valid: Tensor,
    order: list[int],
    days: list[float],
    targets: list[float],
    upto: list[int],
    reach: float,
    is_dated: bool,
    scale: float,
    offset: float,
    floored: bool,
    floor: float,
    decades: float,
    indices: list[list[int]],
    factor: Tensor,
    shift: Tensor,
    low: float,
    high: float,
    tile: int,
) -> tuple[Tensor, Tensor]:
    """The scaled gap-filled series and, if ``is_dated``, that of the dates, ``tile`` pixels at a time as :func:`dated`.

    Arguments are those of :func:`.filling.line_places`, :func:`physical` and :func:`scaled`.

    Returns:
        ``[Tt, C + indices + 1, N]``, the last channel being the validity, 0 for a pixel without any date; and ``[T, C +
        indices, N]``, or no date of it.
    """
    bands = raw.size(1)
    pixels = raw.size(2)
    count = bands + len(indices)
    whole = torch.empty([len(targets), count + 1, pixels], device=raw.device)
    x = torch.empty([raw.size(0) if is_dated else 0, count, pixels], device=raw.device)
    finite = not raw.is_floating_point()
    weight, validity = line_places(valid, order, days, targets, upto, reach)
    whole.select(1, count).copy_(validity)
    seen = valid.any(dim=0)
    for first in range(0, pixels, tile):
        last = min(first + tile, pixels)
        planes = torch.empty([raw.size(0), bands, last - first], device=raw.device)
        measure(planes, raw[:, :, first:last], scale, offset, floored, floor, decades)
        here = valid[:, first:last]
        if is_dated:
            part = x[:, :, first:last]
            part[:, :bands].copy_(planes)
            finish(part, indices, [], factor, shift, low, high)
            if finite:
                part.mul_(here.unsqueeze(1))
            else:
                part.masked_fill_(here.logical_not().unsqueeze(1), 0.0)
        every, masks = planes.unbind(0), (here.to(planes.dtype) if finite else here).unbind(0)
        values, shown = [every[place] for place in order], [masks[place] for place in order]
        carry(values, shown, finite)
        part = whole[:, :, first:last]
        lines, weights = list(part[:, :bands].unbind(0)), list(weight[:, first:last].unbind(0))
        fill(lines, values, shown, upto, weights, finite)
        finish(part[:, :count], indices, [], factor, shift, low, high)
        if not bool(seen[first:last].all()):
            part.mul_(seen[first:last])  # not the value that 0 scales to
    return whole, x


PHYSICAL, SCALED, HIDE, REGULAR, DATED, REGULAR_WHOLE = (
    Scripted(function) for function in (physical, scaled, hide, regular, dated, regular_whole)
)
