"""Strategies that spoil sound files, and the one way in which a spoilt one may be refused."""

from __future__ import annotations

import contextlib
import copy
import json

from hypothesis import strategies as st
from landloom.model.base.errors import LandloomError

HOSTILE = [
    None, True, False, -1, 0, 1, 2**31, 2**53, 2**64, -(2**70), 10**300, 1.5, -0.0, 1e308, float("inf"), float("nan"),
    "", " ", "x" * 5000, "é\u2028\u202e", "\x00", "\ud800", "2021-13-45", "0001-01-01", "NaN", "1e999", "-1",
    "../../../../etc/passwd", "/etc/passwd", "/dev/zero", "/vsicurl/http://127.0.0.1:9/x.tif", "/vsimem/x",
    "/vsistdin/", "/vsizip//vsicurl/http://127.0.0.1:9/x.zip", "<VRTDataset rasterXSize='1' rasterYSize='1'/>",
    "HDF5:x.h5://a", "WMS:http://127.0.0.1:9/", "<script>alert(1)</script>", "%s%n{0}{x}", "__class__", "C:\\x", "con",
    [], {}, [[]], [None], {"a": {}}, [1, 2, 3], [1e300] * 6, ["a"] * 50,
]  # fmt: skip
"""Values of all kinds, put where others belong."""


def places(document, where=()):
    """The path of every value in a document."""
    yield where
    items = (
        document.items() if isinstance(document, dict) else enumerate(document) if isinstance(document, list) else ()
    )
    for key, value in items:
        yield from places(value, (*where, key))


@st.composite
def spoilt(draw, document):
    """A document with some of its values replaced by hostile ones, left out, or doubled."""
    document = copy.deepcopy(document)
    for _ in range(draw(st.integers(1, 3))):
        chosen = draw(st.sampled_from(list(places(document))))
        if not chosen:
            return draw(st.sampled_from(HOSTILE))
        holder = document
        for key in chosen[:-1]:
            holder = holder[key]
        action = draw(st.sampled_from(["replace", "replace", "replace", "remove", "double"]))
        if action == "remove":
            del holder[chosen[-1]]
        elif action == "double" and isinstance(holder, list):
            holder.append(copy.deepcopy(holder[chosen[-1]]))
        else:
            holder[chosen[-1]] = copy.deepcopy(draw(st.sampled_from(HOSTILE)))
    return document


@st.composite
def spoilt_bytes(draw, content):
    """A file cut short, with bytes changed, or with something put into it."""
    content = bytearray(content)
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.integers(0, max(0, len(content) - 1)))
        action = draw(st.sampled_from(["change", "cut", "insert"]))
        if action == "cut":
            del content[place:]
        elif action == "change" and content:
            content[place] = draw(st.integers(0, 255))
        else:
            content[place:place] = draw(
                st.sampled_from(
                    [b"\0", b"\xff\xfe", b'"', b"'", b"<", b"&a;", b"[" * 50_000, b"{" * 200, b'{"a":' * 50_000, b"\r",
                     b"\n", b"9" * 6000, b"<a>" * 20_000, "é".encode("latin-1"), b"::", b",;\t", b"x" * 200_000]
                )
            )  # fmt: skip
    return bytes(content)


def as_json(document) -> bytes:
    return json.dumps(document).encode()


@contextlib.contextmanager
def read_or_refused():
    """Nothing but one line of an error that the user can act upon may come out."""
    try:
        yield
    except LandloomError as error:
        text = str(error)
        assert text and len(text) < 3000, text
        assert "\n" not in text and "\r" not in text, repr(text)
