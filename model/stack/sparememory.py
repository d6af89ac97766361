"""Memory that is used again: the system clears each new page, which takes a fifth of the time of reading."""

from __future__ import annotations

import math
import threading

import numpy as np

MOST_WASTED, SMALL = 2, 2**20
"""An array is used again for one of at least half its size, or that is smaller by ``SMALL`` bytes at most."""


class SpareMemory:
    """Arrays given back, to be used again by any thread.

    Those in use and those kept take no more memory together than what was in use at once.
    """

    def __init__(self) -> None:
        self._spare: list[np.ndarray] = []
        self._lock = threading.Lock()
        self._used = self._most = 0

    def take(self, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        """An array whose values are anything, as of ``numpy.empty``."""
        size = math.prod(shape) * dtype.itemsize
        with self._lock:
            self._spare.sort(key=len)
            most = max(MOST_WASTED * size, size + SMALL)
            fits = [index for index, one in enumerate(self._spare) if size <= len(one) <= most]
            memory = self._spare.pop(fits[0]) if fits else np.empty(size, np.uint8)
            self._used += len(memory)
            self._most = max(self._most, self._used)
            self._shrink()
        return memory[:size].view(dtype).reshape(shape)

    def give_back(self, array: np.ndarray) -> None:
        """Take back what :meth:`take` gave; whoever gave it looks at it no more."""
        memory = array
        while isinstance(memory.base, np.ndarray):
            memory = memory.base
        if memory.ndim == 1 and memory.dtype == np.uint8:
            with self._lock:
                if all(memory is not one for one in self._spare):
                    self._spare.append(memory)
                    self._used -= len(memory)

    def _shrink(self) -> None:
        """Drop the largest of what is kept, until it is no more than was in use at once."""
        kept = sum(map(len, self._spare))
        while self._spare and self._used + kept > self._most:
            kept -= len(self._spare.pop())
