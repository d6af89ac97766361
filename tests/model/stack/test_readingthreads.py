"""Threads that read together do each piece once, always in the same thread, and tell what went wrong."""

from __future__ import annotations

import contextlib
import threading
import time

import pytest
from landloom.model.stack.readingthreads import ReadingThreads


@pytest.fixture
def threads():
    found = ReadingThreads()
    yield found
    found.use(1)


@pytest.mark.parametrize("count", [1, 2, 5])
def test_each_piece_is_done_once_and_by_the_same_thread_each_time(threads, count):
    threads.use(count)
    assert threads.count == count
    who = {number: set() for number in range(7)}
    done = []

    def piece(number):
        return number, lambda: (done.append(number), who[number].add(threading.get_ident()))

    for _ in range(3):
        threads.run(map(piece, range(7)))
    assert sorted(done) == sorted(3 * list(range(7)))
    assert all(len(one) == 1 for one in who.values())
    assert len(set.union(*who.values())) == count
    assert who[0] == {threading.get_ident()}


def test_all_have_ended_when_an_error_is_raised(threads):
    """Pieces write into arrays that are used again."""
    threads.use(3)
    ended = []

    def slow():
        time.sleep(0.05)
        ended.append(1)

    def wrong():
        raise ValueError("this one")

    for places in ((0, 1), (1, 0), (2, 1)):
        failing, other = places
        ended.clear()
        with pytest.raises(ValueError, match="this one"):
            threads.run([(failing, wrong), (other, slow)])
        assert ended == [1]
    threads.run([(number, slow) for number in range(3)])  # and they go on
    assert len(ended) == 4


def test_helpers_are_measured_and_go_when_fewer_are_wanted(threads):
    around = []

    @contextlib.contextmanager
    def measured():
        around.append(threading.get_ident())
        yield

    threads.use(3, measured)
    seen = []
    threads.each(lambda: seen.append(threading.get_ident()))
    assert len(set(seen)) == 3 and threading.get_ident() in seen
    assert set(around) == set(seen) - {threading.get_ident()}
    helpers = [one for one in threading.enumerate() if one.ident in around]
    threads.use(1)
    for one in helpers:
        one.join(5)
        assert not one.is_alive()
    threads.run([(4, lambda: seen.append(0))])
    assert seen[-1] == 0
