"""Parts of the files' blocks that later windows need, kept so that each block is decoded once where memory allows."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from .grid import Window
from .lattice import Lattice, Uses
from .sparememory import SpareMemory

Layer = tuple[str, tuple[int, ...]]
"""A file and the bands that are read from it together."""
Decode = Callable[[Window, np.ndarray], None]
"""Reads a rectangle of the file's pixels into ``[bands, H, W]``."""
Scratch = Callable[[str, tuple[int, ...], np.dtype], np.ndarray]
_Cell = tuple[tuple[int, int], int, int]


class BlockCache:
    """Serves the windows of a run, in the order foretold or nearly so, from several threads.

    Args:
        layers: the lattice of each file and its bands.
        windows: all windows, with their context, in the order of reading.
        reach: windows between two needs of a pixel at most, if it is to be kept from one to the other.
        room: bytes to be kept at most; what does not fit is decoded again.
        scratch: gives memory that the calling thread may use until its next call.
    """

    def __init__(
        self, layers: Mapping[Layer, Lattice], windows: Sequence[Window], reach: int, room: int, scratch: Scratch
    ) -> None:
        self._places = {tuple(window): position for position, window in enumerate(windows)}
        table = np.array([tuple(window) for window in windows], np.int64).reshape(-1, 4)
        by_lattice = {lattice: Uses(lattice, table, reach) for lattice in set(layers.values())}
        self._uses = {layer: by_lattice[lattice] for layer, lattice in layers.items()}
        self._all = list(by_lattice.values())
        self._kept: dict[Layer, dict[_Cell, np.ndarray]] = {layer: {} for layer in layers}
        self._locks = {layer: threading.Lock() for layer in layers}
        self._room = room
        self._memory = SpareMemory(exact=True)
        self._scratch = scratch
        self._used = 0
        self._lock = threading.Lock()
        self._done = [False] * len(windows)
        self._first = 0  # all windows before it are done
        self._due: dict[int, list[tuple[Layer, _Cell]]] = {}

    @property
    def used(self) -> int:
        """Bytes kept now."""
        return self._used

    def clear_spare(self) -> None:
        """Let go the memory that is held for cells to come."""
        self._memory.clear()

    def place(self, window: Window) -> int | None:
        """A window's place in the order; None for one that was not foretold, or that was read before."""
        position = self._places.get(tuple(window))
        return None if position is None or self._done[position] else position

    def read(self, layer: Layer, position: int, span: Window, target: np.ndarray, decode: Decode) -> bool:
        """Fill ``target`` [bands, H, W] with a span of the file; False if that is not what was foretold."""
        uses = self._uses.get(layer)
        if uses is None or uses.span(position) != span:
            return False
        with self._locks[layer]:
            for tile in uses.lattice.tiles(span):
                self._read_tile(layer, uses, tile, position, span, target, decode)
        return True

    def _read_tile(
        self,
        layer: Layer,
        uses: Uses,
        tile: tuple[int, int],
        position: int,
        span: Window,
        target: np.ndarray,
        decode: Decode,
    ) -> None:
        kept = self._kept[layer]
        with self._lock:
            own = uses.of(tile)
            index = int(np.searchsorted(own.positions, position))
            until = own.until[index]
            behind = [k for k in range(index) if not self._done[own.positions[k]]]
        if behind:  # windows that other threads are reading still
            until = np.maximum(until, np.where(own.needed[behind].any(axis=0), position, -1))
        needed = np.argwhere(own.needed[index])
        if all((tile, row, column) in kept for row, column in needed.tolist()):
            for row, column in needed.tolist():
                top, left = own.rows[row] - span.row, own.columns[column] - span.column
                values = kept[tile, row, column]
                target[:, top : top + values.shape[1], left : left + values.shape[2]] = values
            return
        both = span.intersection(uses.lattice.area(tile))
        inside = target[
            :,
            both.row - span.row : both.row - span.row + both.height,
            both.column - span.column : both.column - span.column + both.width,
        ]
        wanted = [cell for cell in np.argwhere(until >= 0).tolist() if (tile, *cell) not in kept]
        if not wanted:
            decode(both, inside)
            return
        rows, columns = own.rows, own.columns
        top = min(both.row, *(rows[row] for row, _ in wanted))
        left = min(both.column, *(columns[column] for _, column in wanted))
        bottom = max(both.row + both.height, *(rows[row + 1] for row, _ in wanted))
        right = max(both.column + both.width, *(columns[column + 1] for _, column in wanted))
        box = Window(int(left), int(top), int(right - left), int(bottom - top))
        values = self._scratch("tile", (len(target), box.height, box.width), target.dtype)
        decode(box, values)
        inside[...] = values[
            :,
            both.row - box.row : both.row - box.row + both.height,
            both.column - box.column : both.column - box.column + both.width,
        ]
        for row, column in wanted:
            cell = values[
                :,
                rows[row] - box.row : rows[row + 1] - box.row,
                columns[column] - box.column : columns[column + 1] - box.column,
            ]
            with self._lock:
                if self._used + cell.nbytes > self._room:
                    continue
                self._used += cell.nbytes
                self._due.setdefault(int(until[row, column]), []).append((layer, (tile, row, column)))
            own_cell = self._memory.take(cell.shape, cell.dtype)
            own_cell[...] = cell
            kept[tile, row, column] = own_cell

    def finish(self, position: int) -> None:
        """A window is read: what no later one needs is let go."""
        gone: list[tuple[Layer, _Cell]] = []
        with self._lock:
            self._done[position] = True
            while self._first < len(self._done) and self._done[self._first]:
                for uses in self._all:
                    uses.forget(self._first)
                gone += self._due.pop(self._first, ())
                self._first += 1
        for layer, cell in gone:
            with self._locks[layer]:
                values = self._kept[layer].pop(cell, None)
            if values is not None:
                with self._lock:
                    self._used -= values.nbytes
                self._memory.give_back(values)
