"""The user's own cloud masks of products, matched by the dates in their names: s2cloudless, OmniCloudMask, others."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ..base.errors import LandloomError
from ..base.language import tr
from ..base.progress import Progress
from ..base.words import counted
from .build import RasterInfos
from .calendar import find_date
from .datedfiles import SUFFIXES
from .grid import reproject_bounds
from .products import Product, ProductMask
from .sensors import OPTICAL

_TILE = re.compile(r"(?<![0-9A-Z])T?(\d{2}[C-X][A-Z]{2})(?![A-Z0-9])", re.IGNORECASE)
_MOST_VALUES = 100_000


def add_user_masks(
    products: Sequence[Product], folder: str, invalid: str, infos: RasterInfos, progress: Progress
) -> tuple[list[Product], list[str]]:
    """Give optical products the masks of their date, and of their tile where the mask's name has one.

    Args:
        products: of all sensors.
        folder: searched through for rasters; in it a date is found in the file's name, else in its folder's.
        invalid: values that invalidate, see :func:`parse_values`; empty: all but 0.
        infos: of rasters.
        progress: asked whether to stop.

    Returns:
        the products, and warnings.

    Raises:
        LandloomError: if the folder or the values cannot be used, or no mask fits a product.
    """
    values = parse_values(invalid, "USER_MASK_INVALID")
    if not folder:
        if values:
            raise LandloomError(tr("USER_MASK_INVALID speaks of masks, but USER_MASKS is empty; give their folder."))
        return list(products), []
    masks, undated = _find(Path(folder), progress)
    warnings = []
    if undated:
        warnings.append(
            tr("USER_MASKS: {rasters} without a date in the name: {undated}.").format(
                rasters=counted(undated, "raster"), undated=", ".join(undated[:5])
            )
        )
    result, without, used = [], [], set()
    for product in products:
        progress.check()
        if product.kind != OPTICAL:
            result.append(product)
            continue
        own = [path for path, tile in masks.get(product.date, ()) if _fits(tile, product.tile)]
        own = [path for path in own if _overlap(path, product, infos)]
        used.update(own)
        rules = tuple(
            ProductMask(path, invalid_values=values or None, valid_values=None if values else (0.0,), buffered=True)
            for path in own
        )
        result.append(replace(product, masks=(*product.masks, *rules)))
        if not own:
            without.append(product.date)
    count = sum(len(one) for one in masks.values())
    if not used:
        raise LandloomError(
            tr(
                "None of the {count} dated rasters of USER_MASKS {folder} has the date, tile and place of a "
                "product; check the dates in their names."
            ).format(count=count, folder=folder)
        )
    if without:
        dates = ", ".join(sorted(set(without))[:10])
        warnings.append(
            tr("USER_MASKS: {products} without a mask of yours: {dates}.").format(
                products=counted(without, "product"), dates=dates
            )
        )
    if len(used) < count:
        warnings.append(
            tr("USER_MASKS: of {rasters} {count} cannot be used, as no product fits.").format(
                rasters=counted(count, "raster"), count=count - len(used)
            )
        )
    return result, warnings


def parse_values(text: str, parameter: str) -> tuple[float, ...]:
    """Values and ranges of whole numbers: ``1,2,3`` or ``40-100``.

    Raises:
        LandloomError: naming the parameter.
    """
    values: list[float] = []
    for entry in re.split(r"[,;\s]+", text.strip()):
        if not entry:
            continue
        span = re.fullmatch(r"(\d+)-(\d+)", entry)
        try:
            if span:
                low, high = int(span[1]), int(span[2])
                if not low <= high < low + _MOST_VALUES:
                    raise ValueError(entry)
                values.extend(float(value) for value in range(low, high + 1))
            else:
                values.append(float(entry))
        except ValueError as error:
            raise LandloomError(
                tr(
                    "{parameter} is '{text}'; give values or ranges separated by commas, such as 1,2,3 or 40-100."
                ).format(parameter=parameter, text=text)
            ) from error
    return tuple(dict.fromkeys(values))


def _find(folder: Path, progress: Progress) -> tuple[dict[str, list[tuple[str, str]]], list[str]]:
    """Masks by date, each with the tile in its name; and rasters without a date."""
    if not folder.is_dir():
        raise LandloomError(
            tr("USER_MASKS {folder} is not a folder; give the folder of your masks.").format(folder=folder)
        )
    by_date: dict[str, list[tuple[str, str]]] = {}
    undated: list[str] = []
    for path, folders, files in os.walk(folder, followlinks=True):
        progress.check()
        folders.sort()
        for name in sorted(files):
            if not name.lower().endswith(SUFFIXES):
                continue
            date = find_date(Path(name).stem) or find_date(Path(path).name)
            if date is None:
                undated.append(name)
                continue
            tile = _TILE.search(re.sub(r"[_.\-]", " ", name))
            entry = (os.path.abspath(os.path.join(path, name)), tile[1].upper() if tile else "")
            by_date.setdefault(date[0], []).append(entry)
    if not by_date:
        raise LandloomError(
            tr("USER_MASKS {folder} holds no raster with a date in its name, such as mask_20210105.tif.").format(
                folder=folder
            )
        )
    return by_date, undated


def _fits(tile: str, of_product: str) -> bool:
    return not tile or not of_product or tile == of_product.upper().removeprefix("T")


def _overlap(path: str, product: Product, infos: RasterInfos) -> bool:
    """Whether a mask lies on the product; an unreadable mask is an error that names it."""
    first = next(iter(product.bands.values()))[0]
    mask, grid = infos[path].grid, infos[first].grid
    a, b = reproject_bounds(mask.bounds, mask.crs_wkt, grid.crs_wkt), grid.bounds
    return a[0] < b[2] and a[2] > b[0] and a[1] < b[3] and a[3] > b[1]
