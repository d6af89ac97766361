"""What a mask's values mean, and growing what it masks."""

from __future__ import annotations

import math
import re

import numpy as np

from ..base.errors import LandloomError
from ..base.language import tr
from .manifest import MaskRule


def scene_classes(text: str) -> tuple[int, ...]:
    """Classes of Sen2Cor's scene classification from a list such as ``0,1,3``; ``none`` for none of them.

    Raises:
        LandloomError: naming an entry that is no class.
    """
    if text.strip().lower() == "none":
        return ()
    classes = []
    for entry in re.split(r"[,;\s]+", text.strip(" ,;")):
        if not re.fullmatch(r"\d|1[01]", entry):
            raise LandloomError(
                tr("SCL_INVALID has '{entry}'; list classes from 0 to 11, as 0,1,3,8,9,10, or none.").format(
                    entry=entry
                )
            )
        classes.append(int(entry))
    return tuple(sorted(set(classes)))


def valid_values(rule: MaskRule, values: np.ndarray) -> np.ndarray:
    """Where the values of a mask mean valid, by its one rule."""
    if rule.invalid_bits is not None:
        whole = values if values.dtype.kind in "iu" else np.nan_to_num(values, nan=rule.invalid_bits).astype(np.int64)
        return (whole & np.array(rule.invalid_bits & _bits_of(whole.dtype), whole.dtype)) == 0
    if rule.valid_values is not None:
        return np.isin(values, np.array(rule.valid_values))
    return ~np.isin(values, np.array(rule.invalid_values or ()))


def dilate(mask: np.ndarray, radius: int) -> np.ndarray:
    """Grow True by a disc of ``radius`` pixels, ``[H, W]``."""
    height, width = mask.shape
    grown = mask.copy()
    if not mask.any():
        return grown
    sums = np.zeros((height, width + 1), np.int32)
    np.cumsum(mask, axis=1, out=sums[:, 1:])
    columns = np.arange(width)
    for step in range(-radius, radius + 1):
        half = math.isqrt(radius * radius - step * step)
        left, right = np.maximum(columns - half, 0), np.minimum(columns + half + 1, width)
        source = slice(max(0, -step), min(height, height - step))
        target = slice(max(0, step), min(height, height + step))
        grown[target] |= (sums[source][:, right] - sums[source][:, left]) > 0
    return grown


def _bits_of(dtype: np.dtype) -> int:
    return int(np.iinfo(dtype).max)
