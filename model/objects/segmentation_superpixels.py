"""Superpixels on one lattice over the whole image, and the graph of their neighbours.

SLIC (Achanta et al. 2012, as scikit-image has it) starts from a seed in every cell of a lattice and moves each only as
far as its iterations go. So the image is cut into chunks at fixed places, each computed with a margin wider than that
reach: a pixel gets the same superpixel whatever window is asked for. Parts of a superpixel that do not touch become
regions of their own, which :func:`landloom.model.objects.merging.absorb` joins to a neighbour when they are tiny.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple, Protocol

import numpy as np

from ..base.freedmemory import give_back_freed_memory
from ..base.optional import need
from ..base.progress import Progress
from ..mapping.components import groups, unique_edges
from ..stack.grid import Window
from .merging import BOTTOM, COUNT, LEFT, PERIMETER, RIGHT, ROWS, TOP, Regions, absorb

CHUNK_PIXELS, MANY_BANDS_PIXELS = 512, 256
MANY_BANDS = 16
"""Images of more bands are cut into smaller chunks, which follow from the image alone: objects depend on no memory."""
ITERATIONS = 5
MARGIN_CELLS = 12  # a seed and its pixels move at most two cells an iteration
STRETCH = 255.0
_LOWEST, _HIGHEST = -255.0, 510.0  # stretched values beyond are cut: an outlier must not rule the distances
_CODE_BITS = 34  # of the lattice; the number of an earlier tile's region is above them
COMPACTNESS = 10.0
"""Difference of colour, in stretched values, that counts as much as a step of one cell."""


def chunk_pixels(bands: int) -> int:
    """Pixels along a chunk of an image."""
    return CHUNK_PIXELS if bands <= MANY_BANDS else MANY_BANDS_PIXELS


def chunk_mb(bands: int, side: int) -> float:
    """Megabytes of a chunk while it is cut into superpixels: four copies of its pixels in float32, measured."""
    return 16.0 * bands * (chunk_pixels(bands) + 2 * MARGIN_CELLS * side) ** 2 / 2**20


class Image(Protocol):
    """What is segmented: pixels on a grid, stretched so that most values lie in 0..255."""

    width: int
    height: int
    bands: int

    def read(self, window: Window) -> tuple[np.ndarray, np.ndarray]:
        """Values ``[C, H, W]`` float32 and where they are valid ``[H, W]``, of a window inside the image.

        Several threads ask at once.
        """

    def let_go(self) -> None:
        """Free what was kept for another read of the same place."""


class _Chunk(NamedTuple):
    window: Window  # what it fills of the window asked for
    labels: np.ndarray  # [H, W] int32, 1..n, 0 = no data
    codes: np.ndarray  # [H, W] int64, equal for equal superpixels across chunks
    shape: np.ndarray
    sums: np.ndarray
    squares: np.ndarray
    edges: tuple[np.ndarray, np.ndarray, np.ndarray]


class Superpixels:
    """The superpixels of an image.

    Args:
        image: what is segmented.
        side: of a lattice cell, pixels.
        threads: chunks computed side by side; the default is the number of processors, 4 at most.
    """

    def __init__(self, image: Image, side: int, threads: int | None = None) -> None:
        self._image = image
        self.side = side
        self.fragment = max(2, side * side // 4)  # pixels below which a part of a superpixel joins a neighbour
        self._size = max(1, chunk_pixels(image.bands) // side) * side
        self._margin = MARGIN_CELLS * side
        self._across = -(-image.width // self._size) * (self._size // side)  # cells of the lattice
        self._threads = threads or min(4, os.cpu_count() or 1)
        self._lock = threading.Lock()
        self._row = -1
        self._slic = need("skimage.segmentation", "The segmentation").slic
        self._label = need("skimage.measure", "The segmentation").label

    def graph(
        self, window: Window, fixed: Callable[[Window], np.ndarray] | None = None, progress: Progress | None = None
    ) -> tuple[np.ndarray, Regions]:
        """Labels ``[H, W]`` int32 of a window, 1..n with 0 = no data, and the regions: label k is region k - 1.

        Args:
            window: inside the image.
            fixed: gives the numbers ``[H, W]`` under which pixels were written by an earlier tile, 0 = none.
            progress: asked whether to stop.
        """
        progress = progress or Progress()
        labels = np.zeros((window.height, window.width), np.int32)
        borders: dict[tuple[int, int], tuple[np.ndarray, ...]] = {}
        parts: list[_Chunk] = []
        total = 0
        windows = self._chunks(window)
        with ThreadPoolExecutor(self._threads) as pool:
            waiting = [pool.submit(self._chunk, one, fixed) for one in windows[: 2 * self._threads]]
            rest = iter(windows[2 * self._threads :])
            try:
                for number in range(len(windows)):
                    chunk = waiting[0].result()
                    waiting.pop(0)
                    following = next(rest, None)
                    if following is not None:
                        waiting.append(pool.submit(self._chunk, following, fixed))
                    progress.check()
                    total = self._place(labels, window, chunk, total, borders)
                    parts.append(chunk._replace(labels=np.empty(0), codes=np.empty(0)))
                    progress.percent(100 * (number + 1) / len(windows))
            finally:
                for one in waiting:
                    one.cancel()
        return self._join(labels, window, parts, total, borders)

    def _chunks(self, window: Window) -> list[Window]:
        size = self._size
        return [
            Window(column, row, size, size).intersection(window)
            for row in range(window.row // size * size, window.row + window.height, size)
            for column in range(window.column // size * size, window.column + window.width, size)
        ]

    def _chunk(self, part: Window, fixed: Callable[[Window], np.ndarray] | None) -> _Chunk:
        size, margin, side = self._size, self._margin, self.side
        row, column = part.row // size * size, part.column // size * size
        wide = Window(column - margin, row - margin, size + 2 * margin, size + 2 * margin)
        inner = wide.intersection(Window(0, 0, self._image.width, self._image.height))
        with self._lock:
            if row != self._row:  # chunks come row by row, and those of a row share their margins' blocks
                self._image.let_go()
                self._row = row
            written = fixed(part) if fixed is not None else None
        values, valid = self._image.read(inner)
        lattice = self._lattice(values, inner, wide)
        here = (slice(part.row - wide.row, None), slice(part.column - wide.column, None))
        lattice = lattice[here][: part.height, : part.width]
        # Seeds are numbered in the chunk; the lattice's own number is the same for all chunks.
        cells = (size + 2 * margin) // side
        cell_row = lattice // cells + (row - margin) // side + MARGIN_CELLS
        cell_column = lattice % cells + (column - margin) // side + MARGIN_CELLS
        codes = cell_row.astype(np.int64) * (self._across + 2 * MARGIN_CELLS) + cell_column + 1
        there = (slice(part.row - inner.row, None), slice(part.column - inner.column, None))
        valid = valid[there][: part.height, : part.width]
        values = values[(slice(None), *there)][:, : part.height, : part.width]
        if written is not None:
            codes = written.astype(np.int64) << _CODE_BITS | codes
        codes[~valid] = 0
        labels = self._label(codes, connectivity=1, background=0)
        return self._without_fragments(_measure(part, labels.astype(np.int32), codes, values))

    def _without_fragments(self, chunk: _Chunk) -> _Chunk:
        """Join tiny parts of superpixels to a neighbour already here, where they do not reach the chunk's border."""
        part, shape = chunk.window, chunk.shape
        inner = (shape[TOP] > part.row) & (shape[BOTTOM] < part.row + part.height - 1)
        inner &= (shape[LEFT] > part.column) & (shape[RIGHT] < part.column + part.width - 1)
        regions, into = absorb(Regions(shape, chunk.sums, chunk.squares, *chunk.edges), self.fragment, seen=inner)
        table = np.concatenate([[0], into + 1]).astype(np.int32)
        edges = (regions.left, regions.right, regions.length.astype(np.float32))
        return _Chunk(part, table[chunk.labels], chunk.codes, regions.shape, regions.sums, regions.squares, edges)

    def _lattice(self, values: np.ndarray, inner: Window, wide: Window) -> np.ndarray:
        """``[H, W]`` of the wide window: the number of the seed that each pixel belongs to."""
        top, left = inner.row - wide.row, inner.column - wide.column
        below, beside = wide.height - inner.height - top, wide.width - inner.width - left
        stretched = np.pad(values, ((0, 0), (top, below), (left, beside)), mode="edge")
        np.clip(stretched, _LOWEST, _HIGHEST, out=stretched)
        stretched -= _LOWEST
        stretched /= _HIGHEST - _LOWEST
        image = np.ascontiguousarray(stretched.transpose(1, 2, 0))
        # scikit-image scales an image by its own lowest and highest value; two pixels in the margin fix them for all.
        image[0, 0], image[-1, -1] = 0.0, 1.0
        compactness = COMPACTNESS / (_HIGHEST - _LOWEST) * np.sqrt(image.shape[2])
        labels: np.ndarray = self._slic(
            image,
            n_segments=(wide.height // self.side) * (wide.width // self.side),
            compactness=float(compactness),
            max_num_iter=ITERATIONS,
            convert2lab=False,
            enforce_connectivity=False,
            start_label=0,
            channel_axis=2,
        )
        return labels

    def _place(
        self, labels: np.ndarray, window: Window, chunk: _Chunk, total: int, borders: dict[tuple[int, int], tuple]
    ) -> int:
        part = chunk.window
        top, left = part.row - window.row, part.column - window.column
        numbered = np.where(chunk.labels > 0, chunk.labels + np.int32(total), np.int32(0))
        labels[top : top + part.height, left : left + part.width] = numbered
        key = (part.row // self._size, part.column // self._size)
        borders[key] = tuple(
            np.stack([numbered[side].astype(np.int64), chunk.codes[side]]).copy()
            for side in ((0,), (-1,), (slice(None), 0), (slice(None), -1))
        )
        return total + chunk.shape.shape[1]

    def _join(
        self, labels: np.ndarray, window: Window, parts: list[_Chunk], total: int, borders: dict[tuple[int, int], tuple]
    ) -> tuple[np.ndarray, Regions]:
        """Make one graph of the chunks' graphs: superpixels go on across the borders of chunks."""
        seams = []
        for (row, column), (_, bottom, _, right) in borders.items():
            if (row + 1, column) in borders:
                seams.append(np.concatenate([bottom, borders[row + 1, column][0]]))
            if (row, column + 1) in borders:
                seams.append(np.concatenate([right, borders[row, column + 1][2]]))
        # The sides of the window are outer borders of the regions there.
        rims = [labels[0], labels[-1], labels[:, 0], labels[:, -1]]
        perimeter = np.bincount(np.concatenate(rims), minlength=total + 1)[1:].astype(np.float64)
        seam = np.concatenate(seams, axis=1) if seams else np.zeros((4, 0), np.int64)
        first, first_code, second, second_code = seam
        same = (first_code == second_code) & (first > 0)
        group = groups(first[same] - 1, second[same] - 1, total)
        count = int(group.max()) + 1 if total else 0
        apart = ~same & (first != second)
        for ends in (first[apart], second[apart]):
            perimeter += np.bincount(ends, minlength=total + 1)[1:]
        # Row by row: the measures of a large window are hundreds of megabytes, which need not be there twice.
        joined = np.empty((ROWS, count))
        order = np.argsort(group, kind="stable")
        starts = np.searchsorted(group[order], np.arange(count))
        for row in range(ROWS if count else 0):
            values = np.concatenate([part.shape[row] for part in parts])
            if row in (COUNT, PERIMETER):
                values += perimeter if row == PERIMETER else 0
                joined[row] = np.bincount(group, values, count)
            else:
                extreme = np.minimum if row in (TOP, LEFT) else np.maximum
                joined[row] = extreme.reduceat(values[order], starts)
        del order, starts, perimeter
        sums, squares = np.empty((2, self._image.bands, count))
        for band in range(self._image.bands):
            sums[band] = np.bincount(group, np.concatenate([part.sums[band] for part in parts]), count)
            squares[band] = np.bincount(group, np.concatenate([part.squares[band] for part in parts]), count)
        offsets = np.cumsum([0, *(part.shape.shape[1] for part in parts)])
        edges = [part.edges for part in parts]
        parts.clear()
        give_back_freed_memory()
        neighbours = apart & (first > 0) & (second > 0)
        group = group.astype(np.int32)
        left = [group[one[0] + offset] for one, offset in zip(edges, offsets, strict=False)]
        right = [group[one[1] + offset] for one, offset in zip(edges, offsets, strict=False)]
        length = [one[2] for one in edges]
        edges.clear()
        a = np.concatenate([*left, group[first[neighbours] - 1]])
        b = np.concatenate([*right, group[second[neighbours] - 1]])
        lengths = np.concatenate([*length, np.ones(int(neighbours.sum()), np.float32)])
        left.clear()
        right.clear()
        length.clear()
        a, b, lengths = unique_edges(a, b, lengths, count)
        a, b = a.astype(np.int32), b.astype(np.int32)
        lookup = np.concatenate([[0], group + 1]).astype(np.int32)
        for start in range(0, len(labels), 256):
            labels[start : start + 256] = lookup[labels[start : start + 256]]
        regions = Regions(joined, sums, squares, a, b, lengths.astype(np.float64))
        return labels, regions


def _measure(part: Window, labels: np.ndarray, codes: np.ndarray, values: np.ndarray) -> _Chunk:
    """What the graph needs of a chunk: its regions' sizes, sums and places, and the borders between them."""
    count = int(labels.max())
    flat = labels.ravel()
    shape = np.zeros((ROWS, count))
    shape[0] = np.bincount(flat, minlength=count + 1)[1:]
    rows = np.empty(count + 1)
    columns = np.empty(count + 1)
    for target, numbers, lines, first in (
        (2, rows, labels, True), (3, rows, labels, False), (4, columns, labels.T, True), (5, columns, labels.T, False),
    ):  # fmt: skip
        origin = part.row if target < 4 else part.column
        for index in range(len(lines) - 1, -1, -1) if first else range(len(lines)):
            numbers[lines[index]] = index + origin  # the last one written stays
        shape[target] = numbers[1:]
    fixed = np.zeros(count + 1)
    fixed[flat] = codes.ravel() >> _CODE_BITS
    shape[6] = fixed[1:]
    sums = np.empty((len(values), count))
    squares = np.empty((len(values), count))
    for band, value in enumerate(values):
        wide = value.ravel().astype(np.float64)
        sums[band] = np.bincount(flat, wide, count + 1)[1:]
        wide *= wide
        squares[band] = np.bincount(flat, wide, count + 1)[1:]
    ends = []
    for one, other in ((labels[:, :-1], labels[:, 1:]), (labels[:-1], labels[1:])):
        differs = one != other
        ends.append(np.stack([one[differs], other[differs]]))
    pairs = np.concatenate(ends, axis=1)
    for side in pairs:
        shape[1] += np.bincount(side, minlength=count + 1)[1:]
    pairs = pairs[:, (pairs > 0).all(axis=0)].astype(np.int64) - 1
    left, right, length = unique_edges(pairs[0], pairs[1], np.ones(pairs.shape[1]), max(1, count))
    edges = (left.astype(np.int32), right.astype(np.int32), length)
    return _Chunk(part, labels, codes, shape, sums, squares, edges)
