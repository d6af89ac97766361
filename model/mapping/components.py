"""Regions of a map: pixels of one value connected by their sides, found strip by strip in rasters of any size."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from ..base.errors import LandloomError
from ..base.freedmemory import give_back_freed_memory
from ..base.language import tr
from ..base.optional import need
from ..base.progress import Progress
from ..stack.grid import Window
from .labelraster import LabelRaster

ReadRows = Callable[[int, int], np.ndarray]
"""First row and number of rows -> ``[rows, W]`` values, 0 = no data."""

STRIP = 256
_BYTES = 96  # at work for each pixel of a strip
_STRIPS = 8  # after which freed memory is given back
_REGION_BYTES = 120  # at work for each region while they are joined from strip to strip


def strip_rows(width: int, memory_mb: float) -> int:
    """Rows of a strip as wide as the map that a third of the memory has room for, ``STRIP`` at most.

    Of a power of 2, so that few strips reach over two rows of a file's blocks.
    """
    most = memory_mb * 2**20 / 3 / (_BYTES * width)
    return int(max(1, min(STRIP, 2 ** math.floor(math.log2(max(1.0, most))))))


def check_regions(count: int, size: float, memory_mb: float) -> None:
    """Refuse a map whose regions take too much memory.

    Args:
        count: of the regions.
        size: bytes that each takes.
        memory_mb: what may be taken.

    Raises:
        LandloomError: naming what would do.
    """
    if count * size > memory_mb * 2**20:
        raise LandloomError(
            tr(
                "The map has {count:,} regions or more, which take about {needed:,.0f} MB: raise MEMORY_MB to that or "
                "more, or remove most of them first with a RADIUS of 'Regularise'."
            ).format(count=count, needed=count * size / 2**20)
        )


@dataclass
class Components:
    """The regions, numbered 1..N in the order of their first pixels; number 0 is no data.

    Attributes:
        value: ``[N + 1]`` int64.
        pixels: ``[N + 1]`` int64.
        last_row: ``[N + 1]`` int64.
        rows: of the strips in which they are read.
    """

    value: np.ndarray
    pixels: np.ndarray
    last_row: np.ndarray
    width: int
    height: int
    _raster: LabelRaster
    _lookup: np.ndarray
    rows: int = STRIP

    def __len__(self) -> int:
        return len(self.value) - 1

    def read(self, row: int, rows: int) -> np.ndarray:
        """Numbers ``[rows, W]``."""
        return self._lookup[self._raster.read(Window(0, row, self.width, rows))]

    def strips(self, progress: Progress) -> Iterator[tuple[int, np.ndarray]]:
        """First row and numbers of each strip."""
        rows = self.rows
        for row in range(0, self.height, rows):
            progress.check()
            if row // rows % _STRIPS == 0:
                give_back_freed_memory()
            yield row, self.read(row, min(rows, self.height - row))
            progress.percent(100 * min(1.0, (row + rows) / self.height))

    def borders(self, chosen: np.ndarray, progress: Progress) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The common borders of regions, where one of the two at least is chosen.

        Args:
            chosen: ``[N + 1]`` bool.
            progress: asked whether to stop.

        Returns:
            lower number, higher number and pixel sides of each pair, int32.
        """
        found: list[tuple[np.ndarray, ...]] = []
        above: np.ndarray | None = None
        count = len(self.value)
        for _, strip in self.strips(progress):
            numbers = strip if above is None else np.concatenate([above[None], strip])
            pairs = []
            beside = numbers[1:] if above is not None else numbers  # the row above has been looked at
            for one, other in ((beside[:, :-1], beside[:, 1:]), (numbers[:-1], numbers[1:])):
                here = (one != other) & (one > 0) & (other > 0)
                a, b = one[here], other[here]
                wanted = chosen[a] | chosen[b]
                pairs.append((a[wanted], b[wanted]))
            a, b = (np.concatenate(ends) for ends in zip(*pairs, strict=True))
            found.append(_small(*unique_edges(a, b, np.ones(len(a)), count)))
            above = strip[-1]
        a, b, length = (np.concatenate(parts) for parts in zip(*found, strict=True))
        return _small(*unique_edges(a, b, length, count))


def components(
    read: ReadRows,
    width: int,
    height: int,
    raster: LabelRaster,
    progress: Progress | None = None,
    memory_mb: float = 1024,
) -> Components:
    """Find the regions of a map.

    Args:
        read: gives the values.
        width: columns.
        height: rows.
        raster: keeps the numbers; it must outlive the result.
        progress: asked whether to stop.
        memory_mb: what may be taken.

    Raises:
        LandloomError: if there are more regions than that has room for.
    """
    progress = progress or Progress()
    step = strip_rows(width, memory_mb)
    label = need("skimage.measure", "Finding the regions of a map").label
    values: list[np.ndarray] = [np.zeros(1, np.int64)]
    pixels: list[np.ndarray] = [np.zeros(1, np.int64)]
    last: list[np.ndarray] = [np.zeros(1, np.int64)]
    links: list[np.ndarray] = []
    total = 1
    above, above_numbers = np.zeros(width, np.int64), np.zeros(width, np.int64)
    for row in range(0, height, step):
        progress.check()
        if row // step % _STRIPS == 0:
            give_back_freed_memory()
        rows = min(step, height - row)
        strip = read(row, rows).astype(np.int64)
        found = label(strip, connectivity=1, background=0)
        count = int(found.max())
        check_regions(total + count, _REGION_BYTES, memory_mb)
        numbers = found.astype(np.uint32)
        numbers[numbers > 0] += np.uint32(total - 1)
        raster.write(numbers, 0, row)
        flat = found.ravel()
        value = np.zeros(count + 1, np.int64)
        value[flat] = strip.ravel()
        values.append(value[1:])
        pixels.append(np.bincount(flat, minlength=count + 1)[1:])
        lowest = np.zeros(count + 1, np.int64)
        for index in range(rows):
            lowest[found[index]] = row + index  # the last one written stays
        last.append(lowest[1:])
        goes_on = (above == strip[0]) & (above > 0)
        links.append(np.unique(np.stack([above_numbers[goes_on], numbers[0][goes_on]]), axis=1))
        above, above_numbers = strip[-1].copy(), numbers[-1].astype(np.int64)
        total += count
        progress.percent(100 * (row + rows) / height)
    raster.flush()
    first, second = np.concatenate(links, axis=1)
    group = groups(first, second, total)
    # Provisional numbers rise with the first pixel, so the lowest of a group tells its place.
    leader = np.full(int(group.max()) + 1, total, np.int64)
    np.minimum.at(leader, group, np.arange(total))
    place = np.empty(len(leader), np.int64)
    place[np.argsort(leader, kind="stable")] = np.arange(len(leader))
    lookup = place[group]
    size = len(leader)
    value = np.zeros(size, np.int64)
    value[lookup] = np.concatenate(values)
    last_row = np.zeros(size, np.int64)
    np.maximum.at(last_row, lookup, np.concatenate(last))
    count_of = np.bincount(lookup, np.concatenate(pixels), size).astype(np.int64)
    return Components(value, count_of, last_row, width, height, raster, lookup.astype(np.int32), step)


def _small(a: np.ndarray, b: np.ndarray, length: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return a.astype(np.int32), b.astype(np.int32), length.astype(np.int32)


def unique_edges(
    left: np.ndarray, right: np.ndarray, length: np.ndarray, count: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Each pair once, its smaller region first, with the sum of its lengths."""
    if not len(left):
        return left, right, length
    key = np.minimum(left, right).astype(np.int64) * count + np.maximum(left, right)
    order = np.argsort(key, kind="stable")
    key = key[order]
    first = np.flatnonzero(np.concatenate([[True], key[1:] != key[:-1]]))
    return key[first] // count, key[first] % count, np.add.reduceat(length[order], first)


def groups(first: np.ndarray, second: np.ndarray, count: int) -> np.ndarray:
    """``[count]`` the number of the connected group each element is in."""
    if not len(first):
        return np.arange(count)
    sparse = need("scipy.sparse", "Regions of a map")
    graph = sparse.coo_matrix((np.ones(len(first), bool), (first, second)), shape=(count, count))
    components = need("scipy.sparse.csgraph", "Regions of a map").connected_components
    numbers: np.ndarray = components(graph, directed=False)[1]
    return numbers
