"""What should make a user look twice at a stack that can be made: places, years and clouds that cannot be meant."""

from __future__ import annotations

import datetime
import itertools
import math
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..base.errors import LandloomError
from ..base.language import tr
from ..base.words import counted
from .build import RasterInfos
from .grid import Grid, reproject_bounds
from .manifest import Stack
from .products import Product

if TYPE_CHECKING:
    from .prepared import Line

COVERED = 0.1
"""Images that cover less of their common grid lie far apart."""
_LARGE = 100_000_000  # pixels
_NAMED = 5  # folders

PAUSE = 400
"""Days between two dates of a series after which the one before is likely to be there by mistake."""


def not_read(folder: str | os.PathLike[str], unread: Sequence[tuple[str, int]], user_masks: str) -> list[str]:
    """A warning that names folders and images of no known archive, but those of the user's masks.

    Args:
        folder: that was searched.
        unread: folders in it, or beginnings of names with ``*``, and their numbers of dated images.
        user_masks: a folder of masks, or empty.
    """
    root, masks = os.path.abspath(folder), os.path.abspath(user_masks) if user_masks else ""
    left = [
        (name, number)
        for name, number in unread
        if not (masks == root if name.endswith("*") else masks.startswith(os.path.join(root, name)))
    ]
    if not left:
        return []
    names = ", ".join(f"{name} ({counted(number, 'image')})" for name, number in left[:_NAMED])
    return [
        tr(
            "Nothing is read from {names}, since these images are of no known archive: if they are meant, add them "
            "with addrasters."
        ).format(names=names + (" ..." if len(left) > _NAMED else ""))
    ]


def far_apart(grid: Grid, products: Sequence[Product], infos: RasterInfos) -> list[str]:
    """A warning where a large grid is nearly empty, since the products lie in several places."""
    if grid.width * grid.height < _LARGE:
        return []
    boxes = set()
    for product in products:
        path = next(iter(product.bands.values()))[0]
        try:
            bounds = reproject_bounds(infos[path].grid.bounds, infos[path].grid.crs_wkt, grid.crs_wkt)
        except LandloomError:
            continue  # the warp names what it cannot do
        boxes.add(tuple(round(value, 3) for value in bounds))
    pixel = math.prod(grid.resolution)
    share = sum((box[2] - box[0]) * (box[3] - box[1]) for box in boxes) / (pixel * grid.width * grid.height)
    if share >= COVERED:
        return []
    return [
        tr(
            "The images cover {share:.2g} % of the grid of {width} x {height} pixels, so they lie far "
            "apart: give EXTENT, or take the products of one place only."
        ).format(share=100 * share, width=grid.width, height=grid.height)
    ]


def long_pause(stack: Stack, start: str, end: str) -> list[str]:
    """A warning where a year and more lies between two dates of a series and neither START nor END was given."""
    if start or end:
        return []
    warnings = []
    for name, sensor in stack.sensors.items():
        dates = sorted({one.date for one in sensor.acquisitions if one.date})
        for first, second in itertools.pairwise(dates):
            days = (datetime.date.fromisoformat(second) - datetime.date.fromisoformat(first)).days
            if days > PAUSE:
                warnings.append(
                    tr(
                        "{name}: {days} days lie between {first} and {second}; if products of another year "
                        "were not meant, leave them out by START and END."
                    ).format(name=name, days=days, first=first, second=second)
                )
    return warnings


def empty_sensors(stack: Stack, lines: Sequence[Line]) -> list[str]:
    """A warning for each sensor without a valid pixel on any date."""
    warnings = []
    for name, sensor in stack.sensors.items():
        own = [line.valid for line in lines if line.used and line.sensor == name]
        if sensor.acquisitions and own and not any(own):
            warnings.append(
                tr("{name}: no pixel is valid on any date; look at CLOUD_RULE, the masks and EXTENT.").format(name=name)
            )
    return warnings
