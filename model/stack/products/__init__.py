"""Product forms, found by what lies inside a folder tree, nested or flat."""

from __future__ import annotations

import os
from pathlib import Path

from ...base.errors import LandloomError
from ...base.progress import Progress
from . import (
    ewoc,
    landsat_usgs,
    s1tiling,
    sen2cor,
    sen2cor_files,
    terrascope,
    theia,
    theia_l3a,
    theia_landsat,
)
from .base import Choice, Folder, Found, Product, ProductForm, ProductMask

FORMS: tuple[ProductForm, ...] = (
    theia.FORM,
    theia_l3a.FORM,
    sen2cor.FORM,
    sen2cor_files.FORM,
    terrascope.FORM,
    ewoc.FORM,
    theia_landsat.FORM,
    landsat_usgs.FORM,
    s1tiling.FORM,
)


def find_products(folder: str | os.PathLike[str], choice: Choice, progress: Progress) -> Found:
    """Search a folder tree for products of all forms.

    Raises:
        LandloomError: if the folder cannot be read or holds no product.
    """
    root = Path(os.path.abspath(folder))
    if not root.is_dir():
        raise LandloomError(f"INPUT {root} is not a folder; give the folder that holds the products.")
    folders = []
    for path, names, files in os.walk(root, followlinks=True):
        progress.check()
        names.sort()
        folders.append(Folder(Path(path), tuple(sorted(files))))
    found = [form.find(folders, choice) for form in FORMS]
    products = tuple(product for one in found for product in one.products)
    left_out = tuple(line for one in found for line in one.left_out)
    if not products:
        reasons = "".join(f" {name}: {why}." for name, why in left_out[:3])
        known = "; ".join(form.name for form in FORMS)
        raise LandloomError(f"No product is found in {root}.{reasons} Known forms: {known}. For others use addrasters.")
    return Found(products, left_out)


__all__ = ["FORMS", "Choice", "Folder", "Found", "Product", "ProductForm", "ProductMask", "find_products"]
