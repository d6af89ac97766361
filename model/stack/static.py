"""Layers without a date: one acquisition, a band for each layer, tiles of a layer mosaicked."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from .build import RasterInfos
from .encoding import common_dtype
from .join import join_parts, ordered_bands, overlap
from .manifest import Acquisition, Part, Sensor
from .products import Product
from .sensors import STATIC


def static_sensor(
    name: str, products: Sequence[Product], part_of: Callable[[Product], Part], infos: RasterInfos
) -> Sensor:
    """One sensor of layers; where their types or values without data differ, all become float32 with NaN."""
    parts: list[Part] = []
    for product in products:
        part = part_of(product)
        shares = [0.0 if set(one.bands) & set(part.bands) else overlap(one, part, infos) for one in parts]
        best = max(range(len(parts)), key=shares.__getitem__, default=-1)
        if best >= 0 and shares[best] > 0:
            parts[best] = join_parts(parts[best], part)
        else:
            parts.append(part)
    types = {infos[path].dtypes[number - 1] for one in products for path, number in one.bands.values()}
    nodata = {product.nodata for product in products}
    alike = len(types) == len(nodata) == 1
    return Sensor(
        name,
        STATIC,
        ordered_bands([band for product in products for band in product.bands]),
        common_dtype(sorted(types)) if alike else "float32",
        nodata=next(iter(nodata)) if alike else None,
        acquisitions=(Acquisition("", 0, tuple(parts)),),
    )
