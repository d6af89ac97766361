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
    assert spare.kept == memory_of(first) and len(spare._spare) == 1


def test_foreign_arrays_are_left_alone():
    spare = SpareMemory()
    spare.give_back(np.zeros((3, 4), np.float32))
    assert spare.kept == 0 and not spare._spare


@given(st.lists(st.tuples(st.integers(1, 40), st.integers(1, 40), KINDS, st.booleans()), max_size=30), st.booleans())
def test_arrays_in_use_never_share_memory(steps, exact):
    spare, used, held, most = SpareMemory(exact), [], [], 0
    for height, width, dtype, back in steps:
        array = spare.take((height, width), dtype)
        assert not any(np.shares_memory(array, other) for other in used)
        used.append(array)
        held.append(memory_of(array))
        most = max(most, sum(held))
        if back:
            spare.give_back(used.pop(0))
            held.pop(0)
        assert spare.kept + sum(held) <= most


def memory_of(array):
    """Bytes of the array that ``take`` cut one from."""
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array.nbytes


def test_a_small_array_does_not_hold_a_large_ones_memory():
    """A mask in the memory of the values: the values that come next would need as much again."""
    spare = SpareMemory()
    values = spare.take((8 * 2**20,), np.dtype(np.uint8))
    spare.give_back(values)
    mask = spare.take((2**20,), np.dtype(bool))
    assert not np.shares_memory(mask, values)
    again = spare.take((8 * 2**20,), np.dtype(np.uint8))
    assert memory_of(mask) + memory_of(again) + spare.kept <= 9 * 2**20


def test_of_many_sizes_each_serves_its_own_only():
    spare = SpareMemory(exact=True)
    larger, smaller = (spare.take((size,), np.dtype(np.uint8)) for size in (100, 50))
    spare.give_back(larger)
    spare.give_back(smaller)
    other = spare.take((99,), np.dtype(np.uint8))
    assert not np.shares_memory(other, larger) and not np.shares_memory(other, smaller)
    assert np.shares_memory(spare.take((25,), np.dtype(np.int16)), smaller)


def test_what_is_kept_can_be_let_go():
    spare = SpareMemory()
    spare.give_back(spare.take((5, 4), np.dtype(np.float32)))
    assert spare.kept == 80
    spare.clear()
    assert spare.kept == 0 and not spare._spare
