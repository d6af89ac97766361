"""How many points a map needs to be judged by, and how many in each class.

The size is the smallest for which the standard error of overall accuracy is expected to be no more than asked:
V(O) = sum W^2 U (1 - U) / n_h * (1 - n_h / N_h), with W the share of a class, U its expected accuracy (user's), N_h its
pixels. For Neyman allocation this is Cochran (1977), equation 5.25, n = (sum W S)^2 / V with S = sqrt(U (1 - U)), which
Olofsson et al. (2014) use as their equation 13.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import numpy as np

from ..base.errors import LandloomError
from ..base.language import tr
from ..base.nomenclature import as_code, listed
from .matching import folded

PROPORTIONAL, NEYMAN, EQUAL, RARE = "proportional", "neyman", "equal", "rare"
ALLOCATIONS = (RARE, PROPORTIONAL, NEYMAN, EQUAL)
FEWEST = 2
"""Units of a stratum without which its variance cannot be told."""
MOST = 200_000


def expected_error(pixels: np.ndarray, accuracy: np.ndarray, sizes: np.ndarray) -> float:
    """Standard error of overall accuracy that is to be expected.

    Args:
        pixels: ``[H]`` of each stratum.
        accuracy: ``[H]`` expected user's accuracy, 0..1.
        sizes: ``[H]`` points in each.

    Returns:
        infinity where a stratum that may hold errors has no point.
    """
    pixels, accuracy, sizes = (np.asarray(one, np.float64) for one in (pixels, accuracy, sizes))
    share, spread = pixels / pixels.sum(), accuracy * (1 - accuracy)
    if ((sizes == 0) & (spread > 0)).any():
        return float("inf")
    drawn = np.maximum(sizes, 1)
    return float(np.sqrt((share**2 * spread / drawn * np.clip(1 - sizes / pixels, 0, 1)).sum()))


def cochran_size(pixels: np.ndarray, accuracy: np.ndarray, target: float) -> float:
    """Points for a standard error with Neyman allocation (Cochran 1977, equation 5.25), not rounded."""
    pixels, accuracy = np.asarray(pixels, np.float64), np.asarray(accuracy, np.float64)
    share, spread = pixels / pixels.sum(), np.sqrt(accuracy * (1 - accuracy))
    return float((share @ spread) ** 2 / (target**2 + (share @ spread**2) / pixels.sum()))


def allocate(size: int, pixels: np.ndarray, accuracy: np.ndarray, how: str, least: int = FEWEST) -> np.ndarray:
    """``[H]`` points in each stratum; no more than it has pixels, and at least two where it has them.

    Args:
        size: points in all; less only where the map has fewer pixels.
        pixels: ``[H]``.
        accuracy: ``[H]`` expected user's accuracy, for Neyman.
        how: ``proportional`` to area; ``neyman``: to area times the spread of right and wrong; ``equal``; ``rare``:
            proportional, with at least ``least`` in every stratum.
        least: for ``rare``.

    Raises:
        LandloomError: if ``size`` is too small for this.
    """
    pixels = np.asarray(pixels, np.int64)
    floor = np.minimum(max(least, FEWEST) if how == RARE else FEWEST, pixels)
    size = int(min(size, pixels.sum()))
    if size < floor.sum():
        raise LandloomError(
            tr(
                "SIZE {size} is too small: {n_pixels} classes with at least {max} points each need {floor}. "
                "Give more, or a lower MIN_PER_CLASS."
            ).format(size=size, n_pixels=len(pixels), max=int(floor.max()), floor=int(floor.sum()))
        )
    if how == EQUAL:
        weight = np.ones(len(pixels))
    elif how == NEYMAN:
        weight = pixels * np.sqrt(accuracy * (1 - np.asarray(accuracy)))
        weight = weight if weight.sum() else pixels.astype(np.float64)
    else:
        weight = pixels.astype(np.float64)
    # Strata whose share is below their floor or above their pixels get that; the others divide the rest.
    result = np.zeros(len(pixels))
    free = np.ones(len(pixels), bool)
    while free.any():
        rest = size - result[~free].sum()
        total = weight[free].sum()
        share = rest * weight / total if total else np.full(len(pixels), rest / free.sum())
        low, high = free & (share < floor), free & (share > pixels)
        if low.any():
            result[low], free = floor[low], free & ~low
        elif high.any():
            result[high], free = pixels[high], free & ~high
        else:
            result[free] = share[free]
            break
    return _rounded(result, size, floor, pixels)


def _rounded(values: np.ndarray, size: int, floor: np.ndarray, most: np.ndarray) -> np.ndarray:
    """Whole numbers with the right sum: the largest remainders are rounded up."""
    result = np.clip(np.floor(values + 1e-9).astype(np.int64), floor, most)
    order = np.lexsort((np.arange(len(values)), -(values - result)))
    while result.sum() < size:
        room = [h for h in order if result[h] < most[h]]
        for h in room[: size - int(result.sum())]:
            result[h] += 1
    while result.sum() > size:
        room = [h for h in order[::-1] if result[h] > floor[h]]
        for h in room[: int(result.sum()) - size]:
            result[h] -= 1
    return result


def size_for(target: float, pixels: np.ndarray, accuracy: np.ndarray, how: str, least: int = FEWEST) -> int:
    """The smallest number of points with which the expected standard error is no more than ``target``.

    Raises:
        LandloomError: if it would be more than ``MOST``.
    """
    pixels = np.asarray(pixels, np.int64)
    floor = int(np.minimum(max(least, FEWEST) if how == RARE else FEWEST, pixels).sum())

    def enough(size: int) -> bool:
        return expected_error(pixels, accuracy, allocate(size, pixels, accuracy, how, least)) <= target

    low, high = floor, int(min(MOST, pixels.sum()))
    if high < low or not enough(high):
        raise LandloomError(
            tr(
                "A standard error of {target:g} needs more than {most:,} points: give a larger TARGET_ERROR, or SIZE."
            ).format(target=target, most=MOST)
        )
    while low < high:
        middle = (low + high) // 2
        if enough(middle):
            high = middle
        else:
            low = middle + 1
    return low


def expected_accuracies(text: str, values: Sequence[int], names: Mapping[int, str]) -> np.ndarray:
    """``[H]`` expected accuracy of each class from a text such as ``0.8`` or ``0.8; maize=0.6; 12=0.9``.

    Raises:
        LandloomError: if it is not such a text.
    """
    result = np.full(len(values), 0.8)
    by_name = {folded(names.get(value) or str(value)): h for h, value in enumerate(values)}
    by_value = {value: h for h, value in enumerate(values)}
    for part in (one.strip() for one in text.split(";")):
        if not part:
            continue
        key, equals, number = part.rpartition("=")
        match = re.fullmatch(r"[01](?:[.,]\d+)?|[.,]\d+", number.strip())
        accuracy = float(match.group().replace(",", ".")) if match else -1.0
        if not 0 <= accuracy <= 1:
            raise LandloomError(
                tr(
                    "EXPECTED_ACCURACY '{part}' is not understood: give a share from 0 to 1, and for classes "
                    "name=share or code=share, separated by semicolons, such as 0.8; maize=0.6."
                ).format(part=part)
            )
        if not equals:
            result[:] = accuracy
            continue
        code = as_code(key.strip())
        place = by_name.get(folded(key), by_value.get(code) if code is not None else None)
        if place is None:
            shown = [f"{value} ({names[value]})" if names.get(value) else str(value) for value in values]
            raise LandloomError(
                tr("EXPECTED_ACCURACY names '{key}', which is no class of the map; it has {shown}.").format(
                    key=key.strip(), shown=listed(shown)
                )
            )
        result[place] = accuracy
    return result
