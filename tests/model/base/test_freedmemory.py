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
