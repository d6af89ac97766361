from __future__ import annotations

import json
import struct
import tracemalloc

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from landloom.model.base.errors import LandloomError
from landloom.model.networks.tensorfile import DTYPES, read_metadata, read_tensors, write_tensors


def tensors():
    random = np.random.default_rng(0)
    found = {name: (random.random((3, 4)) * 100).astype(dtype) for name, dtype in DTYPES.items()}
    return {**found, "empty": np.zeros((0, 3), np.float32), "scalar": np.array(3.5, np.float32)}


def write_raw(path, header, data=b"", length=None):
    encoded = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(encoded) if length is None else length) + encoded + data)
    return path


def entry(**changes):
    described = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8], **changes}
    return {"__metadata__": {"landloom": "{}"}, "a": described}


def test_arrays_and_metadata_come_back(tmp_path):
    path = tmp_path / "modèle à tester.safetensors"
    metadata = {"text": "été \" ' \\ \u2028", "number": 1.5, "list": [1, None]}
    write_tensors(path, tensors(), metadata)
    found, described = read_tensors(path)
    assert described == metadata == read_metadata(path)
    for name, array in tensors().items():
        assert found[name].dtype == array.dtype
        assert np.array_equal(found[name], array)
        assert found[name].shape == array.shape


def test_strided_and_big_endian_arrays_are_written_as_little_endian_rows(tmp_path):
    source = {"turned": np.arange(6.0).reshape(2, 3).T, "big": np.arange(3, dtype=">i4")}
    write_tensors(tmp_path / "a.safetensors", source, {})
    found, _ = read_tensors(tmp_path / "a.safetensors")
    assert all(np.array_equal(found[name], source[name]) for name in source)


def test_same_content_same_bytes(tmp_path):
    write_tensors(tmp_path / "a", tensors(), {"a": 1})
    write_tensors(tmp_path / "b", dict(reversed(tensors().items())), {"a": 1})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_the_reference_library_reads_and_writes_the_same(tmp_path):
    library = pytest.importorskip("safetensors.numpy")
    write_tensors(tmp_path / "ours", tensors(), {"a": 1})
    found = library.load_file(tmp_path / "ours")
    assert all(np.array_equal(found[name], array) for name, array in tensors().items())
    library.save_file(tensors(), tmp_path / "theirs", {"landloom": '{"a": 1}'})
    found, metadata = read_tensors(tmp_path / "theirs")
    assert metadata == {"a": 1}
    assert all(np.array_equal(found[name], array) for name, array in tensors().items())


@pytest.mark.parametrize(
    "header",
    [
        b"",
        b"[]",
        b"{",
        b"\xff\xfe{}",
        b"[" * 100_000,
        b'{"a":' * 100_000,
        {},
        {"__metadata__": {"other": "x"}},
        {"__metadata__": {"landloom": 3}},
        {"__metadata__": {"landloom": "["}},
        {"__metadata__": {"landloom": "[]"}},
        {"__metadata__": {"landloom": "{}"}, "a": 3},
        entry(dtype="F8"),
        entry(dtype=["F32"]),
        entry(shape=[3]),
        entry(shape=[-2]),
        entry(shape=[2.0]),
        entry(shape=[True, 2]),
        entry(shape=None),
        entry(shape=[1] * 40 + [2]),
        entry(shape=[2**40, 2**40]),
        entry(data_offsets=[0, 2**40]),
        entry(data_offsets=[8, 0]),
        entry(data_offsets=[0]),
        entry(data_offsets=[-8, 0]),
        entry(shape=[1], data_offsets=[0, 4]),  # does not fill the file
        {**entry(), "b": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}},  # overlap
    ],
)
def test_damaged_and_hostile_headers_are_refused(tmp_path, header):
    path = write_raw(tmp_path / "bad.safetensors", header, b"\0" * 8)
    for read in (read_tensors, read_metadata):
        with pytest.raises(LandloomError, match=r"bad\.safetensors"):
            read(path)


def test_a_lying_length_takes_no_memory(tmp_path):
    good = entry()
    for length in (2**63, 2**40, 2**31, 10**6):
        path = write_raw(tmp_path / "lie.safetensors", good, b"\0" * 8, length)
        tracemalloc.start()
        with pytest.raises(LandloomError, match="claims more bytes"):
            read_tensors(path)
        assert tracemalloc.get_traced_memory()[1] < 2**20
        tracemalloc.stop()


def test_truncated_at_any_place_is_refused(tmp_path):
    write_tensors(tmp_path / "whole", {"a": np.arange(5.0)}, {"a": 1})
    whole = (tmp_path / "whole").read_bytes()
    for size in range(0, len(whole), 7):
        (tmp_path / "cut").write_bytes(whole[:size])
        with pytest.raises(LandloomError, match="cut"):
            read_tensors(tmp_path / "cut")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_no_change_of_bytes_does_anything_but_a_clear_error(tmp_path, data):
    path = tmp_path / "changed"
    write_tensors(path, {"a": np.arange(4, dtype=np.int32)}, {"a": "text"})
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    try:
        found, _metadata = read_tensors(path)
    except LandloomError:
        return
    assert sum(array.nbytes for array in found.values()) <= 16


def test_missing_file_folder_and_large_metadata(tmp_path):
    with pytest.raises(LandloomError, match=r"nothing\.safetensors"):
        read_tensors(tmp_path / "nothing.safetensors")
    with pytest.raises(LandloomError, match="Cannot read"):
        read_metadata(tmp_path)
    with pytest.raises(LandloomError, match="16 MB"):
        write_tensors(tmp_path / "big", {}, {"text": "x" * 17_000_000})
    assert not list(tmp_path.iterdir())
