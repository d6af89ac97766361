"""What a run makes of a cluster that loses workers, answers or itself; the cluster is a stand-in, nothing starts."""

from __future__ import annotations

import itertools
import threading
import time

import pytest
from landloom.model.base.elsewhere import write_order
from landloom.model.base.errors import Cancelled, ChangedError, LandloomError
from landloom.model.base.progress import Progress
from landloom.model.mapping import daskcluster, dasktasks
from landloom.model.mapping.daskcluster import DaskCluster
from mapping_fakes import Told

pytest.importorskip("distributed")


class KilledWorker(Exception):
    """As Dask calls it."""


class Future:
    def __init__(self, status, answer=None):
        self.status, self.answer = status, answer

    def result(self, timeout):
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer

    def exception(self, timeout):
        return self.answer

    def release(self):
        pass


class Client:
    """Computes at once, as ``compute`` says; gives how many workers there are, one number a call."""

    status = "running"

    def __init__(self, compute, workers=(2,)):
        self.compute, self.workers = compute, list(workers)
        self.given, self.cancelled = [], 0

    def nthreads(self):
        found = self.workers.pop(0) if len(self.workers) > 1 else self.workers[0]
        if isinstance(found, BaseException):
            raise found
        return {f"tcp://{number}": 1 for number in range(found)}

    def submit(self, function, order, run, numbers, expected, **names):
        self.given.append(list(numbers))
        return self.compute(numbers)

    def cancel(self, futures, force):
        self.cancelled += 1

    def run(self, function, *arguments, **names):
        pass


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Computes 12 pieces with a client."""
    for name, value in (("POLL", 0.0), ("NO_WORKERS", 0.05), ("VISIBLE", 0.05)):
        monkeypatch.setattr(dasktasks, name, value)
    order = write_order(tmp_path, "run", "classify", {})

    def part(number):
        return tmp_path / f"block_{number}.npz"

    def compute(client, progress=None):
        cluster = DaskCluster("host:8786", "", Progress())
        cluster.client, cluster.expected = client, {"numpy": "1"}
        cluster.compute(order, dict.fromkeys(range(12), 10), part, progress or Told())
        return client

    compute.part = part
    return compute


def done(run, numbers):
    for number in numbers:
        run.part(number).touch()
    return Future("finished", {"machine": "node7"})


def test_pieces_are_given_out_several_at_first_and_one_at_last(run, monkeypatch):
    client = run(Client(lambda numbers: done(run, numbers), (1,)))
    assert sorted(itertools.chain.from_iterable(client.given)) == list(range(12))
    assert len(client.given[0]) == 3 and len(client.given[-1]) == 1


def test_an_answer_that_is_lost_is_made_good_from_the_folder(run):
    """A worker ends with its answer: pieces whose parts are there are done, others are given out again."""
    lost = []

    def compute(numbers):
        if not lost and 5 in numbers:
            lost.append(list(numbers))
            return Future("finished", TimeoutError())
        return done(run, numbers)

    client = run(Client(compute))
    assert lost and list(itertools.chain.from_iterable(client.given)).count(5) == 2


def test_an_answer_that_was_lost_before_it_was_asked_for(run):
    lost = []

    def compute(numbers):
        if not lost:
            lost.append(list(numbers))
            return Future("lost")
        return done(run, numbers)

    client = run(Client(compute))
    assert [number for number in lost[0] if sum(number in one for one in client.given) == 2] == lost[0]


def test_workers_that_come_back(run, monkeypatch):
    monkeypatch.setattr(dasktasks, "NO_WORKERS", 60.0)
    told = Told()
    run(Client(lambda numbers: done(run, numbers), (2, 0, 0, 2)), told)
    assert told.warnings == ["No worker is left: waiting for new ones."]


ENDS = [
    (Future("finished", {"machine": "node7", "error": "The file a.tif is gone."}), "On node7: The file a.tif is gone"),
    (Future("error", KilledWorker()), "most likely their memory ran out"),
    (Future("error", ModuleNotFoundError("No module named 'x'")), "A worker failed: No module named 'x'"),
    (Future("cancelled"), "was lost, or has cancelled the run"),
    (Future("finished", {"machine": "node7"}), "node7 has computed a part that does not come to be"),
    (Future("finished", {"machine": "node7", "stopped": True}), "node7 has computed a part"),
]


@pytest.mark.parametrize("future, sentence", ENDS)
def test_what_ends_a_run_is_a_sentence(future, sentence, run):
    client = Client(lambda numbers: Future(future.status, future.answer))
    with pytest.raises(LandloomError, match=sentence):
        run(client)
    assert client.cancelled == 1


def test_a_changed_source_is_told_as_such(run):
    """So that nothing that was made of it is kept."""
    answer = {"machine": "node7", "error": "The file a.tif has changed.", "changed": True}
    with pytest.raises(ChangedError, match=r"On node7: The file a.tif has changed"):
        run(Client(lambda numbers: Future("finished", answer)))


@pytest.mark.parametrize(
    "workers, sentence", [((2, 0), "has lost all its workers"), ((2, OSError("gone")), "was lost .gone")]
)
def test_a_cluster_that_is_gone(workers, sentence, run):
    with pytest.raises(LandloomError, match=sentence):
        run(Client(lambda numbers: Future("pending"), workers))


def test_a_client_that_has_closed_itself(run):
    client = Client(lambda numbers: Future("pending"), (2, AttributeError("'NoneType' object has no attribute 'x'")))
    client.status = "closed"
    with pytest.raises(LandloomError, match="The connection to SCHEDULER host:8786 was lost"):
        run(client)


def test_a_worker_that_is_lost_after_its_last_part_is_not_waited_for(run, monkeypatch):
    def compute(numbers):
        done(run, numbers)
        return Future("pending")

    monkeypatch.setattr(dasktasks, "TELL", 0.0)
    client = run(Client(compute, (8,)))
    assert client.cancelled == 1


class Cancelling(Told):
    def is_cancelled(self):
        return True


@pytest.mark.parametrize("progress, kind", [(Told(), LandloomError), (Cancelling(), Cancelled)])
def test_a_scheduler_that_is_silent(progress, kind, run, monkeypatch):
    """Its process hangs, or the network swallows: there is no error, and no answer either."""
    silent = threading.Event()
    monkeypatch.setattr(daskcluster, "ANSWER", 0.3 if kind is LandloomError else 60.0)
    monkeypatch.setattr(dasktasks, "LAST", 0.1)
    client = Client(lambda numbers: Future("pending"))
    client.nthreads = client.run = lambda *arguments, **names: silent.wait(30)
    begin = time.monotonic()
    with pytest.raises(kind, match="was lost .no answer for" if kind is LandloomError else None):
        run(client, progress)
    assert time.monotonic() - begin < 10
    silent.set()


def test_an_encrypted_scheduler_without_certificates():
    with (
        DaskCluster("tls://host:8786", "", Progress()) as cluster,
        pytest.raises(LandloomError, match="no certificates"),
    ):
        cluster.device("cpu", False)
