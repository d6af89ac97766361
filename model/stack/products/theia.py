"""Theia (MUSCATE) Sentinel-2 L2A: a folder a product, a file a band, masks by bits in ``MASKS``.

``SENTINEL2A_20180511-105804-037_L2A_T31TCJ_D_V1-7/..._FRE_B2.tif`` and ``.../MASKS/..._CLM_R1.tif``. Any bit of the
cloud (CLM), saturation (SAT) or edge (EDG) mask invalidates, as in iota2; R1 is 10 m, R2 20 m. -10000 is no data,
declared or not.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from .base import Choice, Folder, Found, Product, ProductForm, ProductMask

BANDS = ("B2", "B3", "B4", "B5", "B6", "B7", "B8", "B8A", "B11", "B12")
MASKS = ("CLM", "SAT", "EDG")

_FILE = re.compile(
    r"(?P<product>SENTINEL2[A-Z]_(?P<date>\d{8})-(?P<time>\d{6})-\d{3}_L2A_(?P<tile>T\d{2}[A-Z]{3})_[A-Z]"
    r"_V(?P<major>\d+)-(?P<minor>\d+))_(?P<layer>FRE|SRE|CLM|SAT|EDG)_(?P<part>B\d{1,2}A?|R[12])\.tif",
    re.IGNORECASE,
)


def find(folders: Sequence[Folder], choice: Choice) -> Found:
    """Products by the names of their files, whatever their folders are called."""
    files: dict[tuple[Path, str], dict[tuple[str, str], str]] = {}
    matches: dict[tuple[Path, str], re.Match[str]] = {}
    for folder in folders:
        base = folder.path.parent if folder.path.name.upper() == "MASKS" else folder.path
        for name in folder.files:
            match = _FILE.fullmatch(name)
            if match:
                key = (base, match["product"].upper())
                matches[key] = match
                files.setdefault(key, {})[match["layer"].upper(), match["part"].upper()] = str(folder.path / name)
    products, left_out = [], []
    for (base, name), layers in sorted(files.items()):
        match = matches[base, name]
        bands = {band: (layers[choice.reflectance, band], 1) for band in BANDS if (choice.reflectance, band) in layers}
        if not bands:
            other = "SRE" if choice.reflectance == "FRE" else "FRE"
            hint = f" (it has {other}: choose it by REFLECTANCE)" if any(key[0] == other for key in layers) else ""
            left_out.append((name, f"it has no {choice.reflectance} band{hint}"))
            continue
        masks = []
        for layer in MASKS:
            path = layers.get((layer, "R1")) or layers.get((layer, "R2"))
            if path:
                masks.append(ProductMask(path, invalid_bits=255, buffered=layer == "CLM"))
        date = match["date"]
        products.append(
            Product(
                name,
                FORM.name,
                "S2",
                "optical",
                f"{date[:4]}-{date[4:6]}-{date[6:]}",
                bands,
                tuple(masks),
                nodata=-10000.0,
                scale=1e-4,
                tile=match["tile"].upper(),
                rank=(len(bands), int(match["major"]), int(match["minor"])),
                same=name.rsplit("_", 2)[0],
            )
        )
    return Found(tuple(products), tuple(left_out))


FORM = ProductForm("Theia S2 L2A", "SENTINEL2A_20180511-105804-037_L2A_T31TCJ_D_V1-7_FRE_B2.tif", find, BANDS)
