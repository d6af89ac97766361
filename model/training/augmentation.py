"""What is changed at random in the training inputs, so that a few fields teach more than themselves.

Hidden dates and sensors follow WorldCereal's training code, the moved season follows TimeMatch (Nyborg et al. 2022),
turned and mirrored patches are common practice. All random numbers come from numpy generators on the CPU, so that a
seed gives
the same inputs on every device.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from ..networks.base import SensorInput
from ..stack.sensors import OPTICAL, STATIC, Series

if TYPE_CHECKING:
    from .settings import TrainingSettings


def draw_kept(
    centres: dict[str, np.ndarray], kinds: dict[str, str], settings: TrainingSettings, rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """Choose the acquisitions that stay: dates are hidden at random, and sometimes one of several sensors wholly.

    Args:
        centres: sensor name -> ``[B, T]``, True where the centre pixel is valid.
        kinds: sensor name -> kind; static layers are never hidden.
        settings: the chances.
        rng: where numbers come from.

    Returns:
        sensor name -> ``[B, T]``, True = stays. A sample keeps at least one valid acquisition if it had one: else
        nothing of it is hidden.
    """
    names = [name for name in centres if kinds[name] != STATIC]
    if not names:
        return {}
    batch = len(centres[names[0]])
    chance = settings.sensor_dropout if len(names) > 1 else 0.0
    drawn = rng.random(batch)  # one number a sample, so that at most one sensor of it is hidden
    kept = {}
    left = np.zeros(batch, dtype=bool)
    for position, name in enumerate(names):
        share = settings.date_dropout_optical if kinds[name] == OPTICAL else settings.date_dropout_radar
        there = (drawn < position * chance) | (drawn >= (position + 1) * chance)
        kept[name] = (rng.random(centres[name].shape) >= share) & there[:, None]
        left |= (kept[name] & centres[name]).any(axis=1)
    return {name: stays | ~left[:, None] for name, stays in kept.items()}


def draw_pixels(inputs: dict[str, SensorInput], most: int, rng: np.random.Generator) -> dict[str, SensorInput]:
    """Draw pixels of each set without repeating one, those before all others that any sensor sees on some date.

    Args:
        inputs: ``x`` ``[B, T, C, 1, S]``; sensors whose S is 1 are left as they are.
        most: so many pixels of each, if there are as many.
        rng: where numbers come from.

    Returns:
        the same with S at most ``most``, the same pixels of every sensor.
    """
    sets = {name: one for name, one in inputs.items() if one.x.shape[4] > 1}
    if not sets or next(iter(sets.values())).x.shape[4] <= most:
        return inputs
    seen = torch.stack([one.mask.any(dim=1)[:, 0] for one in sets.values()]).any(dim=0).numpy()
    keys = rng.random(seen.shape) + ~seen
    chosen = torch.from_numpy(np.argpartition(keys, most, axis=1)[:, :most])
    rows = torch.arange(len(chosen))[:, None]
    drawn = {
        name: one._replace(
            x=one.x[rows, :, :, 0, chosen].permute(0, 2, 3, 1).unsqueeze(3).contiguous(),
            mask=one.mask[rows, :, 0, chosen].permute(0, 2, 1).unsqueeze(2).contiguous(),
        )
        for name, one in sets.items()
    }
    return {**inputs, **drawn}


def hide_in_series(batch: dict[str, Series], kept: dict[str, np.ndarray]) -> dict[str, Series]:
    """Mask what :func:`draw_kept` did not keep, before gaps are filled."""
    return {
        name: one._replace(mask=one.mask & kept[name][:, :, None, None]) if name in kept else one
        for name, one in batch.items()
    }


def hide_in_inputs(inputs: dict[str, SensorInput], kept: dict[str, np.ndarray]) -> dict[str, SensorInput]:
    """Mask what :func:`draw_kept` did not keep, in inputs without filled dates."""
    result = {}
    for name, one in inputs.items():
        result[name] = one
        if name in kept:
            mask = one.mask & torch.from_numpy(kept[name]).to(one.mask.device)[:, :, None, None]
            result[name] = one._replace(x=one.x * mask[:, :, None], mask=mask)
    return result


def move_season(
    inputs: dict[str, SensorInput], kinds: dict[str, str], settings: TrainingSettings, rng: np.random.Generator
) -> dict[str, SensorInput]:
    """Move all sensors of a batch by the same few days, as an early or late year does."""
    if settings.shift_days <= 0:
        return inputs
    shift = float(rng.uniform(-settings.shift_days, settings.shift_days))
    return {name: one if kinds[name] == STATIC else one._replace(days=one.days + shift) for name, one in inputs.items()}


def turn(inputs: dict[str, SensorInput], rng: np.random.Generator) -> dict[str, SensorInput]:
    """Turn and mirror square patches: one of the eight symmetries for a batch, the same for all sensors."""
    if not is_square(next(iter(inputs.values())).x.shape):
        return inputs
    symmetry = draw_symmetry(rng)

    def turned(values: torch.Tensor) -> torch.Tensor:
        values = torch.rot90(values, symmetry % 4, dims=(-2, -1))
        return values.flip(-1) if symmetry >= 4 else values

    return {
        name: SensorInput(turned(one.x), turned(one.mask), one.days, None if one.filled is None else turned(one.filled))
        for name, one in inputs.items()
    }


def is_square(shape: Sequence[int]) -> bool:
    """Whether inputs of a shape ``[..., H, W]`` are patches that can be turned."""
    return shape[-1] == shape[-2] and shape[-1] > 1


def draw_symmetry(rng: np.random.Generator) -> int:
    """One of the eight symmetries of a square: quarter turns, from 4 on mirrored after them."""
    return int(rng.integers(8))
