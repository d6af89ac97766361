"""Jobs that end before their time: dask-jobqueue would wait for them for ever."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from landloom.model.base.errors import LandloomError
from landloom.model.mapping import sentjobs
from landloom.model.mapping.sentjobs import SentJobs
from mapping_fakes import Told


class Queue:
    """Three jobs of one worker, those with a number sent off; ``left`` are those that wait or run."""

    jobs = workers = 3
    path = "jobs.yaml"

    def __init__(self, left, *numbers):
        self.left, self.asked, self.refusals = left, [], []
        self.sent = {f"job-{number}": number for number in numbers if number}

    def in_queue(self, numbers):
        self.asked.append(sorted(numbers))
        return self.left if self.left is None else self.left & set(numbers)


class Cluster:
    """As dask-jobqueue's: sends off a job under a new name for each that is missing."""

    def __init__(self, queue):
        self.queue = queue
        self.workers = {name: SimpleNamespace(job_id=number) for name, number in queue.sent.items()}
        self.worker_spec = dict.fromkeys(self.workers)

    def sync(self, function):
        with pytest.raises(StopIteration):
            function().send(None)

    def scale(self, jobs):
        for number in range(20, 20 + jobs - len(self.worker_spec)):
            self.queue.sent[f"job-{number}"] = str(number)
            self.workers[f"job-{number}"] = SimpleNamespace(job_id=str(number))
            self.worker_spec[f"job-{number}"] = None


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    monkeypatch.setattr(sentjobs, "EVERY", 0.0)


def test_the_queue_is_not_asked_while_all_workers_are_there():
    queue = Queue(set(), "1", "2", "3")
    SentJobs(queue, Cluster(queue)).look_after(3, lambda: 0, Told())
    assert not queue.asked


@pytest.mark.parametrize("left", [{"1", "2", "3"}, {"2"}, None])
def test_jobs_that_wait_are_waited_for(left):
    """Also where the queue does not tell; a job that ended without any use is not replaced while others are there."""
    told, queue = Told(), Queue(left, "1", "2", "3")
    cluster = Cluster(queue)
    SentJobs(queue, cluster).look_after(0, lambda: 0, told)
    assert not told.warnings and len(cluster.workers) == 3


def test_all_jobs_ended_at_once():
    """As with a Python that is not there."""
    queue = Queue(set(), "2", "9", "11")
    with pytest.raises(LandloomError, match=r"All jobs of jobs.yaml have ended .* the last was 11"):
        SentJobs(queue, Cluster(queue)).look_after(0, lambda: 0, Told())


def test_a_job_is_looked_after_whose_worker_came_and_went_before_the_queue_was_asked():
    """dask-jobqueue has forgotten it by then: its own table is empty, and a run would wait for ever."""
    told, queue = Told(), Queue(set(), "1", "2", "3")
    cluster = Cluster(queue)
    jobs = SentJobs(queue, cluster)
    cluster.workers.clear()
    jobs.look_after(0, lambda: 2, told)
    assert told.warnings == ["3 of 3 jobs have ended: as many new ones are sent off."]
    assert sorted(cluster.workers) == sorted(queue.sent) == ["job-20", "job-21", "job-22"]


def test_jobs_whose_time_was_over_are_replaced_as_long_as_it_goes_on():
    told, queue = Told(), Queue({"2"}, "1", "2", "3")
    cluster = Cluster(queue)
    jobs = SentJobs(queue, cluster)
    jobs.look_after(1, lambda: 5, told)
    assert told.warnings == ["2 of 3 jobs have ended: as many new ones are sent off."]
    assert sorted(cluster.workers) == ["job-2", "job-20", "job-21"]
    queue.left = {"20"}
    jobs.look_after(1, lambda: 5, told)  # nothing was done since
    assert len(told.warnings) == 1
    queue.left = set()
    with pytest.raises(LandloomError, match="the last was 21"):
        jobs.look_after(0, lambda: 5, told)
    jobs.look_after(0, lambda: 6, told)
    assert len(told.warnings) == 2 and len(cluster.workers) == 3 and "job-2" not in cluster.workers


def test_a_queue_that_takes_some_or_none():
    told, queue = Told(), Queue({"1"}, "1")
    jobs = SentJobs(queue, Cluster(queue))
    queue.refusals += ["too many jobs", "too many jobs"]
    for _ in range(2):
        jobs.look_after(1, lambda: 1, told)
    assert told.warnings == ["The job queue has refused 2 of 3 jobs (too many jobs)."] and queue.asked == [["1"]] * 2
    queue = Queue(set())
    queue.refusals += ["no such partition"] * 3
    with pytest.raises(LandloomError, match=r"takes no job of jobs.yaml \(no such partition\)"):
        SentJobs(queue, Cluster(queue)).look_after(0, lambda: 0, told)
