"""Named arrays in one file, in the safetensors format, with numpy only.

The format (https://github.com/huggingface/safetensors, "Format"): 8 bytes, the length N of the header as a little
endian integer; N bytes of JSON, name -> {dtype, shape, data_offsets}, and ``__metadata__``, text by text; then the
data. Nothing in it can run code, and everything it claims is checked against the size of the file before any memory
is taken.
"""

from __future__ import annotations

import json
import math
import os
import struct
from pathlib import Path
from typing import Any

import numpy as np

from ..base.errors import LandloomError
from ..base.files import whole_file
from ..base.language import tr

METADATA_KEY = "landloom"
MAXIMUM_HEADER = 48 * 1024 * 1024  # the metadata, in which every quote and accent may be escaped, and the tensors' list
MAXIMUM_METADATA = 16 * 1024 * 1024
MAXIMUM_TENSORS = 100_000
DTYPES: dict[str, np.dtype[Any]] = {
    "F64": np.dtype("<f8"),
    "F32": np.dtype("<f4"),
    "F16": np.dtype("<f2"),
    "I64": np.dtype("<i8"),
    "I32": np.dtype("<i4"),
    "I16": np.dtype("<i2"),
    "I8": np.dtype("i1"),
    "U8": np.dtype("u1"),
    "BOOL": np.dtype("?"),
}
_NAMES = {dtype: name for name, dtype in DTYPES.items()}


def write_tensors(path: str | os.PathLike[str], tensors: dict[str, np.ndarray], metadata: dict[str, Any]) -> None:
    """Write arrays and a JSON-serialisable metadata dictionary, whole or not at all.

    Raises:
        LandloomError: if the metadata takes more than 16 MB as JSON, or the file cannot be written.
    """
    text = json.dumps(metadata, ensure_ascii=False, allow_nan=False)
    if len(text.encode()) > MAXIMUM_METADATA:
        raise LandloomError(
            tr("Cannot write {path}: its description takes more than 16 MB. Use fewer training groups.").format(
                path=path
            )
        )
    header: dict[str, Any] = {"__metadata__": {METADATA_KEY: text}}
    arrays, offset = [], 0
    # Largest items first, as the reference writer does, keeps every array aligned to its item size.
    for name, tensor in sorted(tensors.items(), key=lambda item: (-item[1].dtype.itemsize, item[0])):
        array = np.asarray(tensor, order="C")
        little = array.dtype.newbyteorder("<") if array.dtype.itemsize > 1 else array.dtype
        array = array.astype(little, copy=False)
        end = offset + array.nbytes
        header[name] = {"dtype": _NAMES[array.dtype], "shape": list(array.shape), "data_offsets": [offset, end]}
        arrays.append(array)
        offset = end
    encoded = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    encoded += b" " * (-len(encoded) % 8)
    with whole_file(path) as temporary, temporary.open("wb") as stream:
        stream.write(struct.pack("<Q", len(encoded)))
        stream.write(encoded)
        for array in arrays:
            stream.write(array.tobytes())


def read_tensors(path: str | os.PathLike[str]) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Read arrays and metadata.

    Raises:
        LandloomError: if the file is missing, damaged, or was not written by Landloom.
    """
    path = Path(path)
    try:
        with path.open("rb") as stream:
            size = os.fstat(stream.fileno()).st_size
            entries, metadata, start = _read_header(path, stream, size)
            tensors = {}
            for name, (dtype, shape, first, last) in entries.items():
                stream.seek(start + first)
                data = stream.read(last - first)
                if len(data) != last - first:
                    raise _damaged(path, tr("it ends too early"))
                tensors[name] = np.frombuffer(bytearray(data), dtype=dtype).reshape(shape)
            return tensors, metadata
    except OSError as error:
        reason = error.strerror or str(error)
        raise LandloomError(
            tr("Cannot read the model {path}: {reason}. Choose a model that Landloom wrote.").format(
                path=path, reason=reason
            )
        ) from error


def read_metadata(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read the metadata alone, which is quick for any size of file; errors as in :func:`read_tensors`."""
    path = Path(path)
    try:
        with path.open("rb") as stream:
            return _read_header(path, stream, os.fstat(stream.fileno()).st_size)[1]
    except OSError as error:
        reason = error.strerror or str(error)
        raise LandloomError(
            tr("Cannot read the model {path}: {reason}. Choose a model that Landloom wrote.").format(
                path=path, reason=reason
            )
        ) from error


_Entry = tuple[np.dtype, tuple[int, ...], int, int]


def _read_header(path: Path, stream: Any, size: int) -> tuple[dict[str, _Entry], dict[str, Any], int]:
    if size < 8:
        raise _damaged(path, tr("it is too short"))
    (length,) = struct.unpack("<Q", stream.read(8))
    if length > MAXIMUM_HEADER or length + 8 > size:
        raise _damaged(path, tr("its header claims more bytes than the file has or may have"))
    encoded = stream.read(length)
    if not encoded.startswith(b"{"):
        raise _damaged(path, tr("it is not a safetensors file"))
    header = _parse(path, encoded)
    extra = header.pop("__metadata__", None)
    if not isinstance(extra, dict) or not isinstance(extra.get(METADATA_KEY), str):
        raise LandloomError(
            tr("{path} was not written by Landloom: it lacks the description of the model. Choose another.").format(
                path=path
            )
        )
    text = extra[METADATA_KEY]
    if len(text.encode(errors="replace")) > MAXIMUM_METADATA:
        raise _damaged(path, tr("its description is larger than 16 MB"))
    metadata = _parse(path, text)
    if len(header) > MAXIMUM_TENSORS:
        raise _damaged(path, tr("it lists too many arrays"))
    entries = {name: _entry(path, name, content, size - 8 - length) for name, content in header.items()}
    end = 0
    for _dtype, _shape, first, last in sorted(entries.values(), key=lambda entry: entry[2:]):
        if first != end:  # overlaps would let a small file take much memory
            raise _damaged(path, tr("its arrays overlap or leave gaps"))
        end = last
    if end != size - 8 - length:
        raise _damaged(path, tr("its arrays do not fill the file"))
    return entries, metadata, 8 + length


def _entry(path: Path, name: str, content: Any, available: int) -> _Entry:
    if not isinstance(content, dict):
        raise _damaged(path, tr("the entry of array {name!r} is not an object").format(name=name[:80]))
    dtype = DTYPES.get(str(content.get("dtype")))
    shape, offsets = _counts(content.get("shape")), _counts(content.get("data_offsets"))
    if dtype is None or shape is None or offsets is None or len(offsets) != 2 or len(shape) > 8:
        raise _damaged(path, tr("array {name!r} has a wrong type, shape or place").format(name=name[:80]))
    first, last = offsets
    if not first <= last <= available or last - first != math.prod(shape) * dtype.itemsize:
        raise _damaged(
            path, tr("the place of array {name!r} does not fit its shape or the file").format(name=name[:80])
        )
    return dtype, shape, first, last


def _counts(value: Any) -> tuple[int, ...] | None:
    sound = isinstance(value, list) and all(type(item) is int and 0 <= item < 2**48 for item in value)
    return tuple(value) if sound else None


def _parse(path: Path, text: str | bytes) -> dict[str, Any]:
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _damaged(path, tr("its header is not JSON")) from error
    if not isinstance(content, dict):
        raise _damaged(path, tr("its header is not a JSON object"))
    return content


def _damaged(path: Path, reason: str) -> LandloomError:
    return LandloomError(
        tr("The model file {path} is damaged: {reason}. Copy it again, or train the model again.").format(
            path=path, reason=reason
        )
    )
