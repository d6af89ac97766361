"""Small questions to servers, without GDAL."""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Mapping
from urllib.parse import urlsplit

from ...base.errors import LandloomError
from ...base.language import tr
from ...base.raster import address_of, is_remote

TIMEOUT = 30
"""Seconds."""

EXPIRED = (401, 403, 404, 409, 410)
"""HTTP answers of a link that is no longer good."""

_LARGEST_ITEM = 16 * 2**20


def fetch(address: str, headers: Mapping[str, str] | None = None, largest: int = _LARGEST_ITEM) -> bytes:
    """The body of an http(s) address.

    Raises:
        urllib.error.HTTPError: if the server refuses.
        OSError: if it cannot be reached.
        LandloomError: if the address is of another kind or the answer too large.
    """
    if urlsplit(address).scheme not in ("http", "https"):
        raise LandloomError(tr("The address {address} is not http or https.").format(address=address[:80]))
    request = urllib.request.Request(address, headers={"User-Agent": "Landloom", **(headers or {})})
    with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:  # nosec B310 # http and https only: checked above
        body = answer.read(largest + 1)
    if len(body) > largest:
        raise LandloomError(
            tr("The answer of {address} is larger than {largest} MB.").format(
                address=address[:80], largest=largest >> 20
            )
        )
    return body


def is_refused(path: str) -> bool:
    """Whether the server refuses the address of a path (not: whether it is slow or away)."""
    address = address_of(path)
    if not address or "pc_url_signing=yes" in path:
        return False
    try:
        fetch(address, {"Range": "bytes=0-0"}, largest=2**20)
    except urllib.error.HTTPError as error:
        return error.code in EXPIRED
    except (OSError, LandloomError):
        return False
    return False


def is_there(path: str) -> bool:
    """Whether the server gives the address of a path now."""
    try:
        return bool(fetch(address_of(path), {"Range": "bytes=0-0"}, largest=2**20))
    except (OSError, LandloomError):
        return False


def is_silent(path: str) -> bool:
    """Whether a path is an address whose server neither gives nor refuses it now."""
    return is_remote(path) and not is_there(path) and not is_refused(path)
