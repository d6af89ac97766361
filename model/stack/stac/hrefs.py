"""From the address of an asset to a path that GDAL opens.

Only http, https, and files that exist are taken: an address in a catalogue never reaches GDAL as one of its virtual
paths. The options of GDAL's ``/vsicurl?`` stand in the path itself, so that the VRTs of a stack open in QGIS as well,
and the links of the Planetary Computer are signed by GDAL whenever they are read; no signed link is kept.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote, unquote, urljoin, urlsplit
from urllib.request import url2pathname

from ...base.errors import LandloomError
from ...base.language import tr
from ...base.raster import address_of

Signing = Callable[[str, str, tuple[str, ...]], dict[str, str]]
"""Options of ``/vsicurl?`` for an address, by its collection and the links of its item."""

RETRIES = {"max_retry": "4", "retry_delay": "1"}
"""What GDAL itself does when a server is busy (HTTP 429, 502, 503, 504)."""

_PLANETARY_COMPUTER = "planetarycomputer.microsoft.com"
_PLANETARY_COMPUTER_FILES = ".blob.core.windows.net"


def planetary_computer(href: str, collection: str, links: tuple[str, ...]) -> dict[str, str]:
    """Signing of files that the Planetary Computer keeps: GDAL asks its token service and renews the token in time."""
    if not (urlsplit(href).hostname or "").endswith(_PLANETARY_COMPUTER_FILES) or "sig=" in urlsplit(href).query:
        return {}
    if not any(urlsplit(link).hostname == _PLANETARY_COMPUTER for link in links):
        return {}
    return {"pc_url_signing": "yes", "pc_collection": collection} if collection else {"pc_url_signing": "yes"}


SIGNINGS: list[Signing] = [planetary_computer]
"""Asked in turn for every address; a service that signs its links otherwise gets one function here."""


def gdal_path(href: str, folder: Path, collection: str = "", links: tuple[str, ...] = ()) -> str:
    """The path of an asset for GDAL.

    Args:
        href: as the item gives it: http, https, file, absolute or relative.
        folder: where the item's own file lies.
        collection: the item's collection, for signing.
        links: addresses of the item's ``self``, ``root`` and ``collection`` links.

    Raises:
        LandloomError: if the address is of another kind, or the local file does not exist.
    """
    if not href or any(ord(character) < 32 for character in href):
        raise LandloomError(tr("the address of an asset is empty or holds control characters"))
    scheme = urlsplit(href).scheme.lower()
    if scheme in ("http", "https"):
        return _remote(href, collection, links)
    if scheme == "file":
        href, scheme = url2pathname(urlsplit(href).path), ""
    if scheme and not (len(scheme) == 1 and os.name == "nt"):
        raise LandloomError(
            tr("the address {href} is of the kind {scheme}, not http, https or a file").format(
                href=href[:80], scheme=scheme
            )
        )
    path = os.path.normpath(os.path.join(os.path.abspath(folder), href))
    if os.path.isfile(path):
        return path
    decoded = os.path.normpath(os.path.join(os.path.abspath(folder), unquote(href)))
    if os.path.isfile(decoded):
        return decoded
    itself = next((link for link in links[:1] if urlsplit(link).scheme in ("http", "https")), "")
    if itself and not href.startswith(("/", "\\")) and not os.path.isabs(href):
        return _remote(urljoin(itself, href), collection, links)
    raise LandloomError(tr("its file {path} does not exist").format(path=path))


def _remote(href: str, collection: str, links: tuple[str, ...]) -> str:
    if not urlsplit(href).hostname:
        raise LandloomError(tr("the address {href} names no server").format(href=href[:80]))
    options = {"empty_dir": "yes", **RETRIES}
    for signing in SIGNINGS:
        options.update(signing(href, collection, links))
    text = "&".join(f"{key}={quote(value, safe='')}" for key, value in options.items())
    return f"/vsicurl?{text}&url={quote(href, safe='')}"


def lasting(path: str) -> str:
    """What of a path stays when its link is signed anew: everything but the query of a remote address."""
    return re.sub(r"[?#].*", "", address_of(path)) or path
