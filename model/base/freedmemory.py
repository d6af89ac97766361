"""Freed memory that the C library keeps for later: given back to the system between the steps of a long run.

Arrays of many sizes from several threads leave holes in what glibc holds; without this a run that needs the same for
each of its tiles would need more and more. Values never depend on it, and other C libraries do it by themselves.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import mmap
import sys
from collections.abc import Callable

import numpy as np

PAGES = 128 * 2**10
"""Bytes from which on :func:`own_pages` takes pages of their own; smaller pieces would waste much of them."""
HUGE = 4 * 2**20
"""Bytes from which on larger pages are asked for, as numpy does: there are fewer to be cleared."""


@functools.cache
def _trim() -> Callable[[int], int] | None:
    try:
        return ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError, TypeError):  # not glibc; on Windows there is no library without a name
        return None


def give_back_freed_memory() -> None:
    """Give the pages of freed memory back to the system, where the C library has a way."""
    trim = _trim()
    if trim is not None:
        trim(0)


def own_pages(size: int) -> np.ndarray:
    """Memory that lies between no other and is the system's again as soon as nobody refers to it.

    For arrays that live long among others that do not: in the heap of glibc, which soon takes them too (it moves its
    threshold to what was freed, 32 MB at most), each would keep the pages around it. The first use of a page costs
    time: to be used again rather than taken anew.

    Args:
        size: bytes.

    Returns:
        ``[size]`` uint8, whose values are anything.

    Raises:
        MemoryError: if there is none.
    """
    if size < PAGES or not sys.platform.startswith("linux"):
        return np.empty(size, np.uint8)
    try:
        pages = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    except OSError as error:
        raise MemoryError(f"no {size:,} bytes of memory") from error
    if size >= HUGE:
        with contextlib.suppress(AttributeError, OSError):  # a system without larger pages
            pages.madvise(mmap.MADV_HUGEPAGE)
    return np.frombuffer(pages, np.uint8)
