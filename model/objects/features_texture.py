"""Texture of objects: Haralick's measures of the grey levels of neighbouring pixels.

R. M. Haralick, K. Shanmugam, I. Dinstein, "Textural Features for Image Classification", IEEE Transactions on Systems,
Man and Cybernetics SMC-3 (6), 1973. Pairs are counted in the four directions at a distance of one pixel, both ways, and
only where both pixels lie in the same object; so an object has one matrix, whatever its shape.
"""

from __future__ import annotations

import numpy as np

from .features_coverage import Coverage

MEASURES = ("contrast", "dissimilarity", "homogeneity", "asm", "entropy", "correlation")
LEVELS = 16
DIRECTIONS = ((0, 1), (1, 0), (1, 1), (1, -1))
_CELLS_AT_ONCE = 8_000_000


def grey_levels(values: np.ndarray, low: float, high: float, levels: int = LEVELS) -> np.ndarray:
    """Levels 0 to ``levels`` - 1, equal steps from ``low`` to ``high``; what lies outside takes the nearest."""
    step = (high - low) / levels
    with np.errstate(invalid="ignore"):
        found = np.floor((values - low) / (step if step > 0 else 1.0))
    return np.clip(np.nan_to_num(found), 0, levels - 1).astype(np.int64)


def textures(
    levels_of: np.ndarray, valid: np.ndarray, width: int, coverage: Coverage, levels: int = LEVELS
) -> dict[str, np.ndarray]:
    """Haralick's measures of one band.

    A pixel counts where at least half of it lies in the object.

    Args:
        levels_of: ``[P]`` grey levels of a window's pixels.
        valid: ``[P]`` bool.
        width: of the window.
        coverage: pixels of the objects.
        levels: number of grey levels.

    Returns:
        name of :data:`MEASURES` -> ``[n]``; NaN for an object without two neighbouring valid pixels.
    """
    count = len(coverage.start) - 1
    owner = coverage.owner
    kept = valid[coverage.pixel] & (coverage.weight >= 0.5)
    owner, pixel = owner[kept], coverage.pixel[kept]
    span = len(levels_of) + 2 * width  # so that a neighbour beyond the window is no pixel of the next object
    place = np.sort(owner * span + pixel)
    owner, pixel = place // span, place % span
    pairs: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
    for down, right in DIRECTIONS:
        column = pixel % width + right
        there = (column >= 0) & (column < width)
        wanted = place[there] + down * width + right
        found = np.searchsorted(place, wanted)
        both = (found < len(place)) & (place[np.minimum(found, len(place) - 1)] == wanted) if len(place) else found > 0
        first = levels_of[pixel[there][both]]
        second = levels_of[pixel[found[both]]]
        pairs.append((owner[there][both], first, second))
    owners, first, second = (np.concatenate([one[k] for one in pairs]) for k in range(3))
    order = np.argsort(owners, kind="stable")
    owners, first, second = owners[order], first[order], second[order]
    result = {name: np.full(count, np.nan) for name in MEASURES}
    step = max(1, _CELLS_AT_ONCE // levels**2)
    for begin in range(0, count, step):
        end = min(count, begin + step)
        part = slice(*np.searchsorted(owners, [begin, end]))
        cell = ((owners[part] - begin) * levels + first[part]) * levels + second[part]
        matrix = np.bincount(cell, minlength=(end - begin) * levels**2).reshape(-1, levels, levels).astype(np.float64)
        matrix += matrix.transpose(0, 2, 1)
        total = matrix.sum(axis=(1, 2))
        seen = np.flatnonzero(total > 0)
        for name, values in _measures(matrix[seen] / total[seen, None, None]).items():
            result[name][begin + seen] = values
    return result


def _measures(shares: np.ndarray) -> dict[str, np.ndarray]:
    """The measures of symmetric matrices ``[n, L, L]`` that sum to 1."""
    levels = shares.shape[1]
    row, column = np.mgrid[:levels, :levels]
    gap = np.abs(row - column)
    mean = (shares * row).sum(axis=(1, 2))
    variance = (shares * row**2).sum(axis=(1, 2)) - mean**2
    product = (shares * row * column).sum(axis=(1, 2)) - mean**2
    logs = np.zeros_like(shares)
    np.log(shares, out=logs, where=shares > 0)
    return {
        "contrast": (shares * gap**2).sum(axis=(1, 2)),
        "dissimilarity": (shares * gap).sum(axis=(1, 2)),
        "homogeneity": (shares / (1 + gap**2)).sum(axis=(1, 2)),
        "asm": (shares**2).sum(axis=(1, 2)),
        "entropy": -(shares * logs).sum(axis=(1, 2)),
        "correlation": np.where(variance > 1e-12, product / np.maximum(variance, 1e-12), 1.0),
    }
