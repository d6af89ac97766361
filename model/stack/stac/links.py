"""Small questions to servers: whether a link is still good, and which one its item gives now."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ...base.errors import LandloomError
from ...base.progress import Progress
from ..products.base import Product
from .hrefs import address_of, gdal_path
from .items import parse_item

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
        raise LandloomError(f"The address {address[:80]} is not http or https.")
    request = urllib.request.Request(address, headers={"User-Agent": "Landloom", **(headers or {})})
    with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:
        body = answer.read(largest + 1)
    if len(body) > largest:
        raise LandloomError(f"The answer of {address[:80]} is larger than {largest >> 20} MB.")
    return body


def has_expired(path: str) -> bool:
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


def renewed(paths: list[str], links: Mapping[str, tuple[str, str]]) -> dict[str, str]:
    """New paths for those whose links have expired, read anew from their items.

    Args:
        paths: as GDAL has them.
        links: path -> (address of its item, key of its asset).

    Raises:
        LandloomError: if an item gives no new link.
    """
    items: dict[str, Any] = {}
    new = {}
    for path in paths:
        if path not in links or not has_expired(path):
            continue
        address, key = links[path]
        try:
            if address not in items:
                items[address] = parse_item(json.loads(fetch(address)), Path())
            item = items[address]
            new[path] = gdal_path(item.assets[key].href, Path(), item.collection, (address, *item.addresses[1:]))
        except (OSError, ValueError, KeyError, LandloomError) as error:
            raise LandloomError(
                f"The link {address_of(path)[:100]} has expired and its item {address[:100]} gives no new one "
                f"({error}); search again with searchproducts, then run the same again: what was copied is kept."
            ) from error
    return new


def with_good_links(products: Sequence[Product], progress: Progress) -> list[Product]:
    """The products with new links in place of signed ones that have expired.

    Raises:
        LandloomError: if an item gives no new link.
    """
    good = []
    for product in products:
        progress.check()
        signed = [path for path in product.links if urlsplit(address_of(path)).query]
        if not signed or not has_expired(signed[0]):
            good.append(product)
            continue
        new = renewed(signed, product.links)

        def now(path: str, new: dict[str, str] = new) -> str:
            return new.get(path, path)

        good.append(
            replace(
                product,
                bands={band: (now(path), number) for band, (path, number) in product.bands.items()},
                masks=tuple(replace(mask, path=now(mask.path)) for mask in product.masks),
                infos={now(path): replace(info, path=now(path)) for path, info in product.infos.items()},
                links={now(path): link for path, link in product.links.items()},
            )
        )
    return good
