"""What a product is, whatever archive it comes from.

A new form is one file beside this one, with a :class:`ProductForm`, and one line in the table of ``__init__.py``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import PurePath

from ..rasterinfo import RasterInfo

SCL_INVALID = (0, 1, 3, 8, 9, 10)
"""Classes of Sen2Cor's scene classification that invalidate, as in iota2: no data, defective, shadow, clouds."""


@dataclass(frozen=True)
class Folder:
    """One folder of the tree that is searched, or of an archive in it: its path and the names of its files."""

    path: PurePath
    files: tuple[str, ...]

    def at(self, name: str) -> str:
        """The path of one of its files, as GDAL opens it."""
        return str(self.path / name)


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
        infos: what a catalogue says of its remote files, so that not every one must be opened.
        links: remote file -> (address of its STAC item, key of its asset), where a new link can be had.
        processor: who made the values, the form's name by default; a date of a sensor is taken from one processor.
        offsets: the offset of bands that have another one than ``offset``.
        guarded: whether more than 5 % negative clear values show that ``offset`` was taken off already.
        filtered: whether speckle was filtered before, for radar.
        remark: what the user must know of it, as a clause; gathered to one warning for all products alike.
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
    infos: dict[str, RasterInfo] = field(default_factory=dict)
    links: dict[str, tuple[str, str]] = field(default_factory=dict)
    processor: str = ""
    offsets: dict[str, float] = field(default_factory=dict)
    guarded: bool = False
    filtered: bool = False
    remark: str = ""

    def values_of(self, band: str) -> tuple[float, float]:
        """Scale and offset of a band."""
        return self.scale, self.offsets.get(band, self.offset)


@dataclass(frozen=True)
class Choice:
    """What the user chose that readers of forms need.

    Attributes:
        reflectance: ``FRE`` or ``SRE`` for Theia.
        orbits: ``direction``, ``orbit`` or ``centred``: one radar sensor a direction, or one a relative orbit.
        scl_invalid: classes of the scene classification that invalidate.
        sensors: names that SENSORS lists, none for all; maps of angles are taken where it lists ``STATIC``.
    """

    reflectance: str = "FRE"
    orbits: str = "direction"
    scl_invalid: tuple[int, ...] = SCL_INVALID
    sensors: tuple[str, ...] = ()


@dataclass(frozen=True)
class Found:
    """Products, and files that were recognised but are no dates: (name, why they are left out).

    Of a whole search also the folders, and beginnings of names, of dated images that are not read: (name, number).
    """

    products: tuple[Product, ...] = ()
    left_out: tuple[tuple[str, str], ...] = ()
    unread: tuple[tuple[str, int], ...] = ()


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


@dataclass
class Gathered:
    """The files of one product.

    Attributes:
        folder: where they lie; of files in a folder ``MASKS`` the one above.
        match: of one of its names.
        files: layer in capitals -> path.
    """

    folder: PurePath
    match: re.Match[str]
    files: dict[str, str] = field(default_factory=dict)

    @property
    def date(self) -> str:
        """The group ``date`` (eight digits) as ISO."""
        digits = self.match["date"]
        return f"{digits[:4]}-{digits[4:6]}-{digits[6:8]}"


def gather(folders: Sequence[Folder], pattern: re.Pattern[str], inner: Sequence[str] = ("MASKS",)) -> list[Gathered]:
    """Files whose names match, by folder and by the pattern's group ``product``; the group ``layer`` tells them apart.

    Args:
        folders: what is searched.
        pattern: of whole names.
        inner: folders that belong to the one above.
    """
    found: dict[tuple[str, str], Gathered] = {}
    for folder in folders:
        base = folder.path.parent if folder.path.name.upper() in inner else folder.path
        for name in folder.files:
            match = pattern.fullmatch(name)
            if match:
                one = found.setdefault((str(base), match["product"].upper()), Gathered(base, match))
                one.files[match["layer"].upper()] = folder.at(name)
    return [found[key] for key in sorted(found)]


def named_bands(files: dict[str, str], layers: dict[str, str]) -> dict[str, tuple[str, int]]:
    """Bands of single-band files: band name -> (file, 1), for those of ``layers`` (band -> layer) that are there."""
    return {band: (files[layer], 1) for band, layer in layers.items() if layer in files}
