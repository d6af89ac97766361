"""How much each unit of land weighs in each pixel, through the sensor's point spread function."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..base.optional import need
from ..base.progress import Progress
from .constants import S2_PSF
from .landscape import Landscape
from .noise import stream
from .seasons import TREE_UNITS

REACH = 3  # fine pixels on each side of a pixel's centre
ROWS_AT_ONCE = 64


def mixing_matrix(land: Landscape, seed: int, progress: Progress) -> Any:
    """Sparse ``[N * N, U]`` matrix of float32 weights that sum to 1 in each row.

    The land is drawn at 5 m; each pixel of 10 m gathers the 6 x 6 fine pixels round its centre, weighed by a Gaussian.
    Borders between fields are thus mixed as a real sensor mixes them.
    """
    sparse = need("scipy.sparse", "The sample scene")
    parcels = len(land.cover)
    trees = stream(seed, "tree units").integers(0, TREE_UNITS, land.parcel.shape).astype(np.int32)
    unit = np.where(land.crown, parcels + trees, land.parcel)
    fine = unit.shape[0]
    size = fine // 2
    offsets = np.arange(-REACH + 1, REACH + 1)
    weight = np.exp(-0.5 * ((offsets - 0.5) / (2.0 * S2_PSF)) ** 2)
    weights = np.outer(weight, weight)
    weights = (weights / weights.sum()).astype(np.float32).ravel()
    parts = []
    for first in range(0, size, ROWS_AT_ONCE):
        progress.check()
        rows = np.arange(first, min(first + ROWS_AT_ONCE, size))
        fine_rows = np.clip(2 * rows[:, None] + offsets, 0, fine - 1)
        fine_columns = np.clip(2 * np.arange(size)[:, None] + offsets, 0, fine - 1)
        gathered = unit[fine_rows[:, None, :, None], fine_columns[None, :, None, :]].reshape(len(rows) * size, -1)
        pixel = np.repeat(np.arange(len(gathered)), gathered.shape[1])
        parts.append(
            sparse.csr_matrix(
                (np.tile(weights, len(gathered)), (pixel, gathered.ravel())),
                shape=(len(gathered), parcels + TREE_UNITS),
                dtype=np.float32,
            )
        )
    return sparse.vstack(parts, format="csr")


def majority_cover(land: Landscape, covers: int) -> np.ndarray:
    """``[N, N]`` int16, the cover with most of the four fine pixels of each pixel (the first of equals)."""
    fine = land.cover_map
    quarters = np.stack([fine[i::2, j::2] for i in (0, 1) for j in (0, 1)])
    votes = np.stack([(quarters == cover).sum(0) for cover in range(covers)])
    return votes.argmax(0).astype(np.int16)
