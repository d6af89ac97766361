"""Memory that is used again: the system clears each new page, which takes a fifth of the time of reading."""

from __future__ import annotations

import math
import threading
import weakref

import numpy as np

from ..base.freedmemory import own_pages

MOST_WASTED, SMALL = 2, 2**20
"""An array is used again for one of at least half its size, or that is smaller by ``SMALL`` bytes at most."""


class SpareMemory:
    """Arrays given back, to be used again by any thread.

    Those in use and those kept take no more memory together than what was in use at once. They have pages of their own
    (:func:`own_pages`), so that what is dropped is the system's again at once.

    Args:
        exact: use an array again only for one of its very size: for many small ones whose sizes recur.
    """

    def __init__(self, exact: bool = False) -> None:
        self._exact = exact
        self._spare: dict[int, list[np.ndarray]] = {}
        self._out: dict[int, weakref.ref[np.ndarray]] = {}
        self._lock = threading.Lock()
        self._used = self._kept = self._most = 0

    @property
    def kept(self) -> int:
        """Bytes kept for later."""
        return self._kept

    def take(self, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        """An array whose values are anything, as of ``numpy.empty``."""
        size = math.prod(shape) * dtype.itemsize
        with self._lock:
            found = self._fitting(size)
            memory = self._pop(found) if found is not None else own_pages(size)
            self._out[id(memory)] = weakref.ref(memory)
            self._used += len(memory)
            self._most = max(self._most, self._used)
            while self._spare and self._used + self._kept > self._most:
                self._pop(max(self._spare))
        return memory[:size].view(dtype).reshape(shape)

    def give_back(self, array: np.ndarray) -> None:
        """Take back what :meth:`take` gave; whoever gave it looks at it no more."""
        memory = array
        while isinstance(memory.base, np.ndarray):
            memory = memory.base
        with self._lock:
            known = self._out.pop(id(memory), None)
            if known is None or known() is not memory:
                return
            self._spare.setdefault(len(memory), []).append(memory)
            self._kept += len(memory)
            self._used -= len(memory)

    def clear(self) -> None:
        """Let go what is kept."""
        with self._lock:
            self._spare.clear()
            self._kept = 0

    def _fitting(self, size: int) -> int | None:
        """The size of the smallest spare array that serves."""
        if self._exact:
            return size if size in self._spare else None
        most = max(MOST_WASTED * size, size + SMALL)
        return min((one for one in self._spare if size <= one <= most), default=None)

    def _pop(self, size: int) -> np.ndarray:
        """Take out a spare array of a size of which there is one."""
        same = self._spare[size]
        memory = same.pop()
        if not same:
            del self._spare[size]
        self._kept -= size
        return memory
