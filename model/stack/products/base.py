"""What a product is, whatever archive it comes from.

A new form is one file beside this one, with a :class:`ProductForm`, and one line in the table of ``__init__.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Folder:
    """One folder of the tree that is searched: its path and the names of its files."""

    path: Path
    files: tuple[str, ...]


@dataclass(frozen=True)
class ProductMask:
    """A mask of a product; exactly one of the three rules is given, see :class:`..manifest.MaskRule`."""

    path: str
    invalid_bits: int | None = None
    invalid_values: tuple[float, ...] | None = None
    valid_values: tuple[float, ...] | None = None
    buffered: bool = False  # whether MASK_BUFFER grows it: clouds, not the edge of the swath
    band: int = 1


@dataclass(frozen=True)
class Product:
    """One product of one date.

    Attributes:
        name: as users know it.
        form: name of the form it was recognised as.
        sensor: the sensor that it belongs to.
        kind: ``optical`` or ``radar``.
        date: ISO.
        bands: band name -> (file, band of the file).
        masks: files that say where it is invalid.
        nodata: value without data, declared or not.
        scale: ``physical = raw * scale + offset``.
        offset: see ``scale``.
        unit: ``reflectance``, ``power``, ``db`` or ``amplitude``.
        tile: its tile, empty if it has none.
        direction: ``ASC`` or ``DES`` for radar.
        orbit: relative orbit for radar, three digits.
        rank: of two products of one sensor, tile and date with other processing, the higher one is used.
        same: products with the same text here are copies or other versions of one another.
    """

    name: str
    form: str
    sensor: str
    kind: str
    date: str
    bands: dict[str, tuple[str, int]]
    masks: tuple[ProductMask, ...] = ()
    nodata: float | None = None
    scale: float = 1.0
    offset: float = 0.0
    unit: str = "reflectance"
    tile: str = ""
    direction: str = ""
    orbit: str = ""
    calibration: str = ""
    rank: tuple[float, ...] = ()
    same: str = ""


@dataclass(frozen=True)
class Choice:
    """What the user chose that readers of forms need.

    Attributes:
        reflectance: ``FRE`` or ``SRE`` for Theia.
        orbits: ``direction`` or ``orbit``: one radar sensor a direction, or one a relative orbit.
    """

    reflectance: str = "FRE"
    orbits: str = "direction"


@dataclass(frozen=True)
class Found:
    """Products, and files that were recognised but are no dates: (name, why they are left out)."""

    products: tuple[Product, ...] = ()
    left_out: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class ProductForm:
    """How one archive writes its products.

    Attributes:
        name: as users know it.
        looks_like: a file name of it, for the message when nothing is found.
        find: recognises products by the names of their files.
        bands: the bands that a whole product has.
    """

    name: str
    looks_like: str
    find: Callable[[Sequence[Folder], Choice], Found]
    bands: tuple[str, ...] = field(default=())
