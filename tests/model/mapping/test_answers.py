"""What is asked of a scheduler that hangs can be given up and cancelled."""

from __future__ import annotations

import threading
import time

import pytest
from landloom.model.base.errors import Cancelled
from landloom.model.base.progress import Progress
from landloom.model.mapping.answers import in_time


class Cancelling(Progress):
    def is_cancelled(self):
        return True


def test_an_answer_comes_back():
    assert in_time(lambda: 7, 5) == 7


def test_what_fails_there_fails_here():
    with pytest.raises(ZeroDivisionError):
        in_time(lambda: 1 // 0, 5)


@pytest.mark.parametrize("patience, progress, kind", [(0.1, None, TimeoutError), (60, Cancelling(), Cancelled)])
def test_silence_ends_with_patience_or_the_user(patience, progress, kind):
    over = threading.Event()
    begin = time.monotonic()
    with pytest.raises(kind):
        in_time(lambda: over.wait(30), patience, progress)
    assert time.monotonic() - begin < 10
    over.set()
