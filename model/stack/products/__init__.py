"""Product forms, found by what lies inside a folder tree, nested or flat."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from ...base.errors import LandloomError
from ...base.language import tr
from ...base.progress import Progress
from . import (
    earthengine,
    ewoc,
    ewoc_s1,
    grd,
    hyp3,
    landsat_usgs,
    layers,
    opera,
    planetary_s1,
    s1tiling,
    sen2cor,
    sen2cor_files,
    snap,
    stac,
    terrascope,
    terrascope_s1,
    theia,
    theia_l3a,
    theia_landsat,
)
from .archives import is_archive, look_into, walk
from .base import Choice, Folder, Found, Product, ProductForm, ProductMask
from .unread import unread_images

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
    terrascope_s1.FORM,
    ewoc_s1.FORM,
    hyp3.FORM,
    opera.FORM,
    planetary_s1.FORM,
    snap.FORM,
    earthengine.FORM,
    grd.FORM,
    layers.FORM,
    stac.FORM,
)


def find_products(folder: str | os.PathLike[str], choice: Choice, progress: Progress) -> Found:
    """Search a folder tree or an archive for products of all forms; or read a STAC Item or ItemCollection.

    Raises:
        LandloomError: if the folder cannot be read or holds no product.
    """
    root = Path(os.path.abspath(folder))
    if root.is_file() and is_archive(root.name):
        inner, why = look_into(root)
        return _found(inner, [(root.name, reason) for reason in why], root, choice)
    if root.is_file():
        stac.check_file(root)
        return _some(stac.find([Folder(root.parent, (root.name,))], choice), root, (stac.FORM,))
    if not root.is_dir():
        raise LandloomError(
            tr("INPUT {root} is not a folder; give the folder of the products, or a STAC ItemCollection.").format(
                root=root
            )
        )
    return _found(*walk(root, progress), root, choice)


def _found(folders: Sequence[Folder], unread: Sequence[tuple[str, str]], root: Path, choice: Choice) -> Found:
    """The products of all forms in some folders."""
    found = [form.find(folders, choice) for form in FORMS]
    products = [product for one in found for product in one.products]
    described = {path for product in products if product.form == stac.FORM.name for path, _ in product.bands.values()}
    # files that an item beside them describes are its own, whatever their names
    products = [
        product
        for product in products
        if product.form == stac.FORM.name or not described.issuperset(path for path, _ in product.bands.values())
    ]
    left_out = (*unread, *(line for one in found for line in one.left_out))
    return _some(Found(tuple(products), left_out, unread_images(folders, root, products, left_out)), root, FORMS)


def _some(found: Found, root: Path, forms: tuple[ProductForm, ...]) -> Found:
    if not found.products:
        reasons = "".join(f" {name}: {why}." for name, why in found.left_out[:3])
        known = "; ".join(form.name for form in forms)
        raise LandloomError(
            tr("No product is found in {root}.{reasons} Known forms: {known}. For others use addrasters.").format(
                root=root, reasons=reasons, known=known
            )
        )
    return found


__all__ = ["FORMS", "Choice", "Folder", "Found", "Product", "ProductForm", "ProductMask", "find_products"]
