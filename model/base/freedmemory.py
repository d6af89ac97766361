"""Freed memory that the C library keeps for later: given back to the system between the steps of a long run.

Arrays of many sizes from several threads leave holes in what glibc holds; without this a run that needs the same for
each of its tiles would need more and more. Values never depend on it, and other C libraries do it by themselves.
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable


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
