"""Memory that was freed goes back to the system, and where the C library has no way nothing happens."""

from __future__ import annotations

import ctypes
import sys
from pathlib import Path

import numpy as np
import pytest


def resident_mb():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 2**20


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="resident memory is read from /proc")
def test_holes_between_arrays_are_given_back():
    """Small arrays freed but for every tenth: the heap keeps the holes, which are most of it."""
    from landloom.model.base.freedmemory import _trim, give_back_freed_memory

    if _trim() is None:
        pytest.skip("the C library is not glibc")
    arrays = [np.ones(4000) for _ in range(3000)]  # 92 MB in pieces that no mapping of their own holds
    full = resident_mb()
    kept = arrays[::10]
    del arrays
    give_back_freed_memory()
    assert resident_mb() < full - 60
    assert all((one == 1).all() for one in kept)


@pytest.mark.parametrize("error", [AttributeError, OSError, TypeError])
def test_other_libraries_are_left_alone(monkeypatch, error):
    from landloom.model.base import freedmemory

    def refuse(_name):
        raise error

    monkeypatch.setattr(ctypes, "CDLL", refuse)
    freedmemory._trim.cache_clear()
    try:
        freedmemory.give_back_freed_memory()
    finally:
        freedmemory._trim.cache_clear()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="resident memory is read from /proc")
def test_memory_of_own_pages_goes_back_at_once():
    """Among arrays that stay, and although the C library has seen larger ones freed: then it keeps such pieces."""
    from landloom.model.base.freedmemory import PAGES, own_pages

    held = [np.ones(2**21) for _ in range(3)]  # 16 MB each
    del held[:]
    arrays, between = [], []
    begin = resident_mb()
    for _ in range(64):
        arrays.append(own_pages(2**20))
        arrays[-1][...] = 1
        between.append(np.ones(20_000))
    assert resident_mb() > begin + 60
    del arrays[:]
    assert resident_mb() < begin + 20
    assert all((one == 1).all() for one in between)
    for size in (0, 1, PAGES - 1, PAGES, 5 * 2**20 + 3):
        own = own_pages(size)
        own[...] = 7
        assert own.dtype == np.uint8 and own.shape == (size,) and (own == 7).all()
