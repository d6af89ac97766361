"""Small questions to servers: whether a link is still good, and which one its item gives now."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ...base.errors import LandloomError
from ...base.language import tr
from ...base.progress import Progress
from ...base.raster import address_of
from ..products.base import Product
from .hrefs import gdal_path
from .http import fetch, is_refused
from .items import parse_item


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
        if path not in links or not is_refused(path):
            continue
        address, key = links[path]
        try:
            if address not in items:
                items[address] = parse_item(json.loads(fetch(address)), Path())
            item = items[address]
            new[path] = gdal_path(item.assets[key].href, Path(), item.collection, (address, *item.addresses[1:]))
        except (OSError, ValueError, KeyError, RecursionError, LandloomError) as error:
            raise LandloomError(
                tr(
                    "The link {address_of} has expired and its item {address} gives no new one ({error}); "
                    "search again with searchproducts, then run the same again: what was copied is kept."
                ).format(address_of=address_of(path)[:100], address=address[:100], error=error)
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
        if not signed or not is_refused(signed[0]):
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
