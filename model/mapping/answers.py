"""Asking what may never answer: a scheduler or a worker that hangs, a network that swallows, a queue that is busy."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

from ..base.progress import Progress

Answer = TypeVar("Answer")
LOOK = 0.05
"""Seconds between two looks at whether the user has cancelled."""


def in_time(ask: Callable[[], Answer], patience: float, progress: Progress | None = None) -> Answer:
    """The answer of a call that cannot be interrupted; it goes on in a thread that is forgotten if it takes too long.

    Args:
        ask: the call.
        patience: seconds to wait.
        progress: asked meanwhile whether to stop.

    Raises:
        TimeoutError: if there is no answer in that time.
        Cancelled: if the user asked to stop.
        Exception: whatever the call raises.
    """
    answers: list[Any] = []
    errors: list[BaseException] = []

    def work() -> None:
        try:
            answers.append(ask())
        except BaseException as error:  # is raised again, where it was asked
            errors.append(error)

    thread = threading.Thread(target=work, name="landloom asks", daemon=True)
    end = time.monotonic() + patience
    thread.start()
    thread.join(LOOK)  # returns at once where the answer comes at once, as it mostly does
    while thread.is_alive():
        if progress is not None:
            progress.check()
        if time.monotonic() > end:
            raise TimeoutError(f"no answer for {patience:.0f} s")
        thread.join(LOOK)
    if errors:
        raise errors[0]
    answer: Answer = answers[0]
    return answer
