"""Memory given back is used again, by one array at a time, and no more is held than was in use."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from landloom.model.stack.sparememory import SpareMemory

KINDS = st.sampled_from([np.dtype(bool), np.dtype(np.int16), np.dtype(np.float32)])


def test_memory_is_used_again_for_what_fits():
    spare = SpareMemory()
    first = spare.take((4, 5, 6), np.dtype(np.float32))
    address = first.ctypes.data
    spare.give_back(first)
    again = spare.take((3, 7), np.dtype(np.int16))
    assert again.ctypes.data == address and again.shape == (3, 7) and again.dtype == np.int16
    other = spare.take((3, 7), np.dtype(np.int16))  # the first is in use
    assert other.ctypes.data != address
    spare.give_back(again)
    spare.give_back(again[1:])  # the same memory: counted once
    assert len(spare._spare) == 1


def test_foreign_arrays_are_left_alone():
    spare = SpareMemory()
    spare.give_back(np.zeros((3, 4), np.float32))
    assert spare._spare == []


@given(st.lists(st.tuples(st.integers(1, 40), st.integers(1, 40), KINDS, st.booleans()), max_size=30))
def test_arrays_in_use_never_share_memory(steps):
    spare, used, most = SpareMemory(), [], 0
    for height, width, dtype, back in steps:
        array = spare.take((height, width), dtype)
        assert not any(np.shares_memory(array, other) for other in used)
        used.append(array)
        most = max(most, len(used))
        if back:
            spare.give_back(used.pop(0))
        assert len(spare._spare) + len(used) <= most
