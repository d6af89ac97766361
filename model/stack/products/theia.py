"""Theia (MUSCATE) Sentinel-2 L2A: a folder a product, a file a band, masks by bits in ``MASKS``.

``SENTINEL2A_20180511-105804-037_L2A_T31TCJ_D_V1-7/..._FRE_B2.tif`` and ``.../MASKS/..._CLM_R1.tif``. Any bit of the
cloud (CLM), saturation (SAT) or edge (EDG) mask invalidates, as in iota2; R1 is 10 m, R2 20 m. Of the geophysical mask
(MG2) only some bits do: water, snow and topographic shadow stay valid. -10000 is no data, declared or not.

:func:`muscate` makes the readers of the other products of that archive too.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ...base.language import tr
from .base import Choice, Folder, Found, Product, ProductForm, ProductMask, gather, named_bands

BANDS = ("B2", "B3", "B4", "B5", "B6", "B7", "B8", "B8A", "B11", "B12")
ANY_BIT = 255
MG2_INVALID = 2 | 8 | 32 | 64 | 128
"""Bits of MG2 that invalidate: clouds, their shadows, hidden by relief, sun too low, sun along the slope.

https://www.cesbio.cnrs.fr/maja/2024/04/16/majamask-a-new-standalone-raster-mask-tool/ lists the bits.
"""


@dataclass(frozen=True)
class MuscateMask:
    """A mask of the archive: its files from fine to coarse (the first that is there counts) and its rule."""

    layers: tuple[str, ...]
    invalid_bits: int | None = None
    invalid_values: tuple[float, ...] | None = None
    buffered: bool = False


MASKS = (
    MuscateMask(("CLM_R1", "CLM_R2"), ANY_BIT, buffered=True),
    MuscateMask(("SAT_R1", "SAT_R2"), ANY_BIT),
    MuscateMask(("EDG_R1", "EDG_R2"), ANY_BIT),
    MuscateMask(("MG2_R1", "MG2_R2"), MG2_INVALID),
)

_FILE = re.compile(
    r"(?P<product>SENTINEL2[A-Z]_(?P<date>\d{8})-\d{6}-\d{3}_L2A_(?P<tile>T\d{2}[A-Z]{3})_[A-Z]"
    r"_V(?P<major>\d+)-(?P<minor>\d+))_(?P<layer>(?:FRE|SRE)_B\d{1,2}A?|(?:CLM|SAT|EDG|MG2)_R[12])\.tiff?",
    re.IGNORECASE,
)


def muscate(
    name: str,
    sensor: str,
    pattern: re.Pattern[str],
    bands: Sequence[str],
    masks: Sequence[MuscateMask],
    reflectance: str = "",
) -> Callable[[Sequence[Folder], Choice], Found]:
    """A function that finds products of the archive.

    Args:
        name: of the form.
        sensor: that they belong to.
        pattern: of file names, with the groups ``product``, ``date``, ``tile``, ``major``, ``minor`` and ``layer``.
        bands: the bands to take.
        masks: the masks to take, each optional.
        reflectance: what stands before the band in ``layer``; empty: the user's choice of FRE or SRE.
    """

    def find(folders: Sequence[Folder], choice: Choice) -> Found:
        products, left_out = [], []
        for one in gather(folders, pattern):
            match, files = one.match, one.files
            product, values = match["product"].upper(), reflectance or choice.reflectance
            found = named_bands(files, {band: f"{values}_{band}" for band in bands})
            if not found:
                other = "SRE" if values == "FRE" else "FRE"
                hint = (
                    tr(" (it has {other}: choose it by REFLECTANCE)").format(other=other)
                    if any(f.startswith(other) for f in files)
                    else ""
                )
                left_out.append((product, tr("it has no {values} band{hint}").format(values=values, hint=hint)))
                continue
            rules = []
            for mask in masks:
                layer = next((layer for layer in mask.layers if layer in files), None)
                if layer:
                    rules.append(ProductMask(files[layer], mask.invalid_bits, mask.invalid_values, None, mask.buffered))
            products.append(
                Product(
                    product,
                    name,
                    sensor,
                    "optical",
                    one.date,
                    found,
                    tuple(rules),
                    nodata=-10000.0,
                    scale=1e-4,
                    tile=match["tile"].upper(),
                    rank=(len(found), int(match["major"]), int(match["minor"])),
                    same=product.rsplit("_", 2)[0],
                )
            )
        return Found(tuple(products), tuple(left_out))

    return find


FORM = ProductForm(
    "Theia S2 L2A",
    "SENTINEL2A_20180511-105804-037_L2A_T31TCJ_D_V1-7_FRE_B2.tif",
    muscate("Theia S2 L2A", "S2", _FILE, BANDS, MASKS),
    BANDS,
)
