"""Names of shared folders on other machines, and which versions must agree."""

from __future__ import annotations

import pytest
from landloom.model.base.elsewhere import read_order, write_order
from landloom.model.base.errors import LandloomError, MissingPackageError
from landloom.model.base.progress import Progress
from landloom.model.mapping import blockwork, cluster
from landloom.model.mapping.cluster import PathMap, difference


@pytest.mark.parametrize(
    "text, path, expected",
    [
        ("", "/data/a.tif", "/data/a.tif"),
        ("/data=/mnt/x", "/data/é b/a.tif", "/mnt/x/é b/a.tif"),
        ("/data/=/mnt/x/", "/data", "/mnt/x"),
        ("/data=/mnt/x", "/database/a.tif", "/database/a.tif"),
        ("/data=/x;/data/deep=/y", "/data/deep/a", "/y/a"),
        (r"Z:\data=/mnt/x", r"Z:\data\scene\a.tif", "/mnt/x/scene/a.tif"),
        (r"z:/Data=/mnt/x", r"Z:\data\a.tif", "/mnt/x/a.tif"),
        (r"\\server\share=/mnt/x", r"\\server\share\a\b.tif", "/mnt/x/a/b.tif"),
        (r"/mnt/x=Z:\data", "/mnt/x/a/b.tif", r"Z:\data\a\b.tif"),
        ("/=/host", "/data/a", "/host/data/a"),
        (" /a = /b ; ; /c=/d ", "/c/e", "/d/e"),
    ],
)
def test_a_path_has_the_name_that_it_has_there(text, path, expected):
    assert PathMap(text)(path) == expected


@pytest.mark.parametrize("text", ["/data", "=/x", "/x=", "/a=/b;c"])
def test_a_map_that_is_none_is_refused(text):
    with pytest.raises(LandloomError, match="PATH_MAP holds"):
        PathMap(text)


def test_versions_that_differ_are_one_sentence():
    ours = {"Python": "3.11", "numpy": "1.24.2", "Landloom's code": "abc", "torch": "2.13.0"}
    assert difference(ours, ours, True, "W") == ""
    assert difference({**ours, "extra": "1"}, ours, True, "W") == ""
    without = {name: version for name, version in ours.items() if name != "torch"}
    assert difference(without, ours, False, "W") == ""
    assert difference(without, ours, True, "W").startswith("W has no torch, but this machine has torch 2.13.0")
    assert "has another state of Landloom (abd)" in difference({**ours, "Landloom's code": "abd"}, ours, True, "W")
    assert "use the same Python" in difference({**ours, "Python": "3.12"}, ours, True, "W")


def test_line_ends_do_not_make_another_state(tmp_path, monkeypatch):
    found = []
    for name, text in (("a", b"x = 1\ny = 2\n"), ("b", b"x = 1\r\ny = 2\r\n"), ("c", b"x = 1\ny = 3\n")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "m.py").write_bytes(text)
        monkeypatch.setattr(cluster, "ROOT", tmp_path / name)
        cluster.code_hash.cache_clear()
        found.append(cluster.code_hash())
    cluster.code_hash.cache_clear()
    assert found[0] == found[1] != found[2]


def test_an_order_that_is_gone_or_of_another_run_stops_the_work(tmp_path):
    order = write_order(tmp_path, "run 1", "classify", {"stack": "/a"}, layout=[0, 0])
    assert read_order(order)["layout"] == [0, 0]
    assert blockwork.StillWanted(str(order), "run 1").wanted()
    assert not blockwork.StillWanted(str(order), "run 2").wanted()
    answer = blockwork.compute(str(order), "run 2", [0])
    assert answer["stopped"] and "error" not in answer
    order.unlink()
    answer = blockwork.compute(str(order), "run 1", [0])
    assert "does not see the folder" in answer["error"] and answer["machine"]


def test_whatever_fails_on_a_worker_is_a_sentence(tmp_path, monkeypatch, capsys):
    order = str(write_order(tmp_path, "run", "something new", {}))
    assert "cannot compute 'something new'" in blockwork.compute(order, "run", [0])["error"]
    differ = blockwork.compute(order, "run", [0], {"numpy": "0.1"})
    assert "this machine has numpy 0.1" in differ["error"]
    for error, words in ((MemoryError(), "lower MEMORY_MB"), (ZeroDivisionError("x"), "ZeroDivisionError('x')")):

        def failing(*_arguments, error=error):
            raise error

        monkeypatch.setattr(blockwork, "open_session", failing)
        assert words in blockwork.compute(order, "run", [0])["error"]
    assert "Traceback" in capsys.readouterr().err  # in the worker's log


def test_dask_is_asked_for_only_here(monkeypatch):
    """A sentence names what is missing."""
    import sys

    from landloom.model.mapping.daskcluster import DaskCluster

    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(MissingPackageError, match="SCHEDULER needs the Python package distributed"):
        DaskCluster("tcp://host:8786", "", Progress())


def test_threads_of_a_worker(monkeypatch):
    monkeypatch.setenv(blockwork.THREADS, "3")
    assert blockwork.own_threads() == 3
    monkeypatch.setenv(blockwork.THREADS, "")
    monkeypatch.setattr(blockwork, "thread_count", lambda: 5)
    assert blockwork.own_threads() == 5
