"""CLOUD_RULE: how strictly the masks that come with products are used.

=========== ============================== ================= =========================== ====================
mask        ``standard``                   ``cloud``         ``strict``                  ``none``
=========== ============================== ================= =========================== ====================
Theia CLM   any bit                        clouds (bit 1)    any bit                     not used
Theia MG2   clouds, shadows, hidden, sun   clouds, hidden,   also snow, relief's shadow  hidden, sun
                                           sun
Theia FLG   no data, cloud                 as standard       also snow                   no data
SCL         SCL_INVALID (0 1 3 8 9 10)     0 1 8 9           0 1 2 3 7 8 9 10 11         0 1
QA_PIXEL    fill, (dilated) cloud, cirrus, fill, cloud       also snow                   fill
            shadow
0 or 1      0                              as standard       as standard                 not used
=========== ============================== ================= =========================== ====================

``cloud`` keeps shadows and thin cirrus, ``none`` is for those who bring masks of their own. Edges, saturation and no
data always invalidate.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from .products import Product, ProductMask
from .products.base import SCL_INVALID
from .products.landsat_usgs import QA_PIXEL_INVALID
from .products.theia import ANY_BIT, MG2_INVALID

STANDARD = "standard"
CLOUD_RULES = (STANDARD, "cloud", "strict", "none")

# The rule that a product's form gives -> what it becomes by CLOUD_RULE; None: the mask is not used.
_BITS: dict[int, dict[str, int | None]] = {
    ANY_BIT: {"cloud": 2, "strict": ANY_BIT, "none": None},
    MG2_INVALID: {"cloud": 2 | 32 | 64 | 128, "strict": 254, "none": 32 | 64 | 128},
    QA_PIXEL_INVALID: {"cloud": 1 | 8, "strict": QA_PIXEL_INVALID | 32, "none": 1},
}
_VALUES: dict[tuple[float, ...], dict[str, tuple[float, ...]]] = {
    SCL_INVALID: {"cloud": (0, 1, 8, 9), "strict": (0, 1, 2, 3, 7, 8, 9, 10, 11), "none": (0, 1)},
    (0.0, 1.0): {"cloud": (0.0, 1.0), "strict": (0.0, 1.0, 2.0), "none": (0.0,)},
}


def with_cloud_rule(products: Iterable[Product], rule: str) -> list[Product]:
    """The products with the rules of their cloud masks by the user's choice."""
    if rule == STANDARD:
        return list(products)
    return [replace(product, masks=_masks(product.masks, rule)) for product in products]


def _masks(masks: Iterable[ProductMask], rule: str) -> tuple[ProductMask, ...]:
    changed = (_mask(mask, rule) for mask in masks)
    return tuple(mask for mask in changed if mask is not None)


def _mask(mask: ProductMask, rule: str) -> ProductMask | None:
    # Saturation and edges have all bits as clouds have, but no buffer; MG2 has no buffer and bits of its own.
    if mask.invalid_bits in _BITS and (mask.buffered or mask.invalid_bits == MG2_INVALID):
        bits = _BITS[mask.invalid_bits][rule]
        return None if bits is None else replace(mask, invalid_bits=bits)
    if not mask.buffered:
        return mask
    if mask.invalid_values is not None and tuple(mask.invalid_values) in _VALUES:
        return replace(mask, invalid_values=_VALUES[tuple(mask.invalid_values)][rule])
    return None if rule == "none" and mask.valid_values is not None else mask
