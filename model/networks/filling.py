"""Gap filling by torch of many pixels at once; the formulas are those of ``stack/gapfill.py``.

Planes are ``[T, C, N]``: dates, channels, pixels.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


def line_places(
    valid: Tensor, order: list[int], days: list[float], targets: list[float], upto: list[int], reach: float
) -> tuple[Tensor, Tensor]:
    """Where target days lie between the valid dates of each pixel.

    Args:
        valid: ``[T, N]``, dates in any order.
        order: places of the dates to be used, by day.
        days: of these.
        targets: days wanted.
        upto: for each target how many of the dates used are on or before it.
        reach: days at which the validity has fallen to 0.

    Returns:
        the weight of the value after each target, from 0 (that before it alone) to 1, and its validity, ``[Tt, N]``.
    """
    far = 1e30  # to a date that there is not: a distance divided by it is 0, and it divided by itself and one is 1
    dates = len(order)
    pixels = valid.size(1)
    before = torch.empty([dates + 1, pixels], device=valid.device)
    after = torch.empty([dates + 1, pixels], device=valid.device)
    before[0].fill_(-far)
    after[dates].fill_(far)
    seen, earlier, later = valid.unbind(0), before.unbind(0), after.unbind(0)  # quicker than one by one
    for date in range(dates):
        earlier[date + 1].copy_(earlier[date]).masked_fill_(seen[order[date]], days[date])
    for step in range(dates):
        date = dates - 1 - step
        later[date].copy_(later[date + 1]).masked_fill_(seen[order[date]], days[date])
    place = torch.tensor(upto, device=valid.device)
    wanted = torch.tensor(targets, device=valid.device).unsqueeze(1)
    behind = wanted - before.index_select(0, place)
    ahead = after.index_select(0, place).sub_(wanted)
    validity = torch.minimum(behind, ahead).div_(-reach).add_(1.0).clamp_(0.0, 1.0)
    return behind.div_(ahead.add_(behind)), validity


def carry(values: list[Tensor], shown: list[Tensor], finite: bool) -> None:
    """Put into what is masked the last valid value before it, or 0, in place.

    Args:
        values: ``[C, N]`` of each date, by day.
        shown: ``[N]`` of each date, where it is valid: numbers 1 and 0 if ``finite``, else True and False.
        finite: no value is infinite or not a number, masked or not: it is chosen by a product then, which is quicker.
    """
    for date in range(len(values)):
        if date == 0:
            if finite:
                values[0].mul_(shown[0])
            else:
                values[0].masked_fill_(shown[0].logical_not(), 0.0)
        elif finite:
            torch.lerp(values[date - 1], values[date], shown[date], out=values[date])
        else:
            torch.where(shown[date], values[date], values[date - 1], out=values[date])


def fill(
    lines: list[Tensor],
    values: list[Tensor],
    shown: list[Tensor],
    upto: list[int],
    weights: list[Tensor],
    finite: bool,
) -> None:
    """Series interpolated to target days; 0 where a pixel has no valid date.

    Args:
        lines: ``[C, N]`` of each target, by day: where they go.
        values: what :func:`carry` has made.
        shown: see there.
        upto: see :func:`line_places`.
        weights: ``[N]`` of each target, what that gives.
        finite: see :func:`carry`.
    """
    after = torch.zeros_like(values[0])  # the first valid values from a date on
    change = torch.empty_like(after)
    date = len(values)
    for step in range(len(upto)):
        target = len(upto) - 1 - step
        is_new = step == 0
        while date > upto[target]:
            date -= 1
            is_new = True
            if finite:
                after.lerp_(values[date], shown[date])
            else:
                torch.where(shown[date], values[date], after, out=after)
        if date == 0:
            torch.mul(after, weights[target], out=lines[target])
            continue
        if is_new:
            torch.sub(after, values[date - 1], out=change)
        # Rounded thrice, so that where in memory a pixel lies changes nothing.
        torch.mul(change, weights[target], out=lines[target])
        lines[target].add_(values[date - 1])


def interpolated_at_once(
    planes: Tensor, valid: Tensor, days: np.ndarray, targets: np.ndarray, upto: np.ndarray, reach: float
) -> tuple[Tensor, Tensor]:
    """:func:`line_places` and :func:`fill` for a GPU: a few steps for all targets instead of some for each.

    Args:
        planes: ``[T, C, N]``, dates in order; masked values may be anything.
        valid: ``[T, N]``.
        days: of the dates, float32.
        targets: days wanted, float32.
        upto: for each target the number of dates on or before it.
        reach: see :func:`line_places`.

    Returns:
        ``[Tt, C, N]``, 0 where a pixel has no valid date, and the validity ``[Tt, N]``.
    """
    dates, channels, _pixels = planes.shape
    numbers = torch.arange(dates, device=planes.device).unsqueeze(1)
    here, wanted = torch.from_numpy(days).to(planes.device), torch.from_numpy(targets).to(planes.device).unsqueeze(1)
    place = torch.from_numpy(upto).to(planes.device)
    # The latest valid date up to each, and the first from each on; -1 and the number of dates where there is none.
    latest = torch.where(valid, numbers, -1).cummax(dim=0).values[(place - 1).clamp_min(0)]
    latest = torch.where(place.unsqueeze(1) > 0, latest, -1)
    first = torch.where(valid, numbers, dates).flip(0).cummin(dim=0).values.flip(0)[place.clamp_max(dates - 1)]
    first = torch.where(place.unsqueeze(1) < dates, first, dates)
    missing, last = latest < 0, first >= dates
    latest, first = latest.clamp_min(0), first.clamp_max(dates - 1)
    behind = (wanted - here[latest]).masked_fill_(missing, torch.inf)
    ahead = (here[first] - wanted).masked_fill_(last, torch.inf)
    validity = (1.0 - torch.minimum(behind, ahead) / reach).clamp_(0.0, 1.0)
    weight = behind / (behind + ahead)
    weight.masked_fill_(missing, 1.0).masked_fill_(last, 0.0)

    def values(chosen: Tensor, none: Tensor) -> Tensor:
        found = planes.gather(0, chosen.unsqueeze(1).expand(-1, channels, -1))
        return found.masked_fill_(none.unsqueeze(1), 0.0)

    line, value = values(latest, missing), values(first, last)
    return line.add_((value - line).mul_(weight.unsqueeze(1))), validity
