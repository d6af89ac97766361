"""Trusting what a catalogue says of its files, after a look at some of them.

A series has hundreds of remote files; opening each takes minutes. Files of one sensor, tile and asset are made alike,
so one of each is opened and compared with what its item says; where they agree, the others are believed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from ...base.errors import LandloomError
from ...base.language import tr
from ...base.progress import Progress
from ..build import RasterInfos
from ..products.base import Product
from ..rasterinfo import RasterInfo


def believe(products: Sequence[Product], infos: RasterInfos, progress: Progress) -> list[str]:
    """Enter into ``infos`` what items say of their files where that proves true.

    Returns:
        warnings.

    Raises:
        LandloomError: naming the first file that cannot be opened.
    """
    groups: dict[tuple[str, str, str, str], list[RasterInfo]] = {}
    for product in products:
        for path, info in product.infos.items():
            key = product.links.get(path, ("", path.rsplit("%2F", 1)[-1]))[1]
            groups.setdefault((product.sensor, product.tile, key, info.grid.crs_wkt), []).append(info)
    wrong = []
    for index, ((sensor, _, key, _), told) in enumerate(groups.items()):
        progress.check()
        progress.percent(100 * index / len(groups))
        try:
            truth = infos[told[0].path]
        except LandloomError:
            continue  # whoever opens the files of its product tells
        if not _agree(told[0], truth):
            wrong.append(f"{sensor} {key}")
            continue
        for info in told[1:]:
            infos.believe(replace(info, nodata=truth.nodata))
    if not wrong:
        return []
    return [
        tr("The items' proj: or raster: fields are wrong for {wrong}; every file is opened.").format(
            wrong=", ".join(sorted(set(wrong)))
        )
    ]


def _agree(told: RasterInfo, truth: RasterInfo) -> bool:
    same_values = told.dtypes == truth.dtypes[: len(told.dtypes)]
    return same_values and told.grid.same_as(truth.grid) and all(map(math.isfinite, told.grid.transform))
