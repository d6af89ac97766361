"""The times of a run by stage, and when one more thread reads."""

from __future__ import annotations

import threading
import time

from landloom.model.mapping import stages as module
from landloom.model.mapping.stages import COMPUTING, READING, WRITING, Readers, Stages


def test_seconds_of_threads_add_up_and_computing_is_what_is_left():
    stages = Stages()

    def read():
        with stages.doing(READING):
            time.sleep(0.05)

    threads = [threading.Thread(target=read) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    end = time.process_time() + 0.05
    while time.process_time() < end:  # computing in a thread that nobody times, as torch's
        pass
    found = stages.summary()
    assert found[READING].seconds >= 0.1
    assert found[READING].cpu_seconds < 0.05
    assert found[COMPUTING].cpu_seconds >= 0.05
    assert found[WRITING] == (0.0, 0.0)


def test_one_more_thread_reads_while_computing_waits_and_no_more_than_there_may_be(monkeypatch):
    monkeypatch.setattr(module, "TRIAL", 0.05)
    stages = Stages()
    readers = Readers(stages, computers=1, most=2)
    assert not readers.too_slow()  # no time has passed
    with stages.idle():
        time.sleep(0.06)
        assert readers.too_slow()
    readers.take(2)
    with stages.idle():
        time.sleep(0.06)
        assert not readers.too_slow()  # two are the most


def test_no_more_threads_read_when_computing_is_busy(monkeypatch):
    monkeypatch.setattr(module, "TRIAL", 0.02)
    readers = Readers(Stages(), computers=2, most=4)
    time.sleep(0.03)
    assert not readers.too_slow()


def test_who_helps_adds_seconds_but_is_not_counted():
    stages = Stages()
    with stages.doing(READING), stages.doing(READING, counted=False):
        time.sleep(0.02)
    assert stages.count(READING) == 1
    assert stages.mean(READING).seconds >= 0.04
