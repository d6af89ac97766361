"""Dated images from which no product comes: left unsaid, a whole sensor would be missing from the stack."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path, PurePath

from ..calendar import before_date
from .base import Folder, Product

_IMAGES = (".tif", ".tiff", ".jp2", ".img")
_OWN = "composite.json"  # of composites that were made here


def unread_images(
    folders: Sequence[Folder], root: Path, products: Sequence[Product], left_out: Sequence[tuple[str, str]]
) -> tuple[tuple[str, int], ...]:
    """Images whose names hold dates and that nothing is read from: of folders right under ``root``, and in it.

    Of a folder all are meant if no file of it is read: quality layers and previews lie in a folder with bands or masks
    that are read. Of those in ``root`` itself, among which products may lie, those that begin otherwise than any file
    that is read. What a product that is left out leaves bears its name.

    Args:
        folders: all that were searched; those inside archives do not count.
        root: the folder that the user gave.
        products: of all forms.
        left_out: names of products that are none, with the reason.

    Returns:
        names of folders, or beginnings of names with ``*``, and their numbers of such images.
    """
    read = [path for one in products for path, _ in one.bands.values()]
    read += [mask.path for one in products for mask in one.masks]
    known = {_top(path, root) for path in read} - {""}
    beginnings = {before_date(PurePath(path).stem) for path in read}
    named = tuple(name for name, _ in left_out)
    counts: dict[str, int] = {}
    for folder in folders:
        here = str(folder.path) == str(root)
        top = _top(folder.at("x"), root)
        if not (here or top) or top in known or _OWN in folder.files:
            continue
        for file in folder.files:
            beginning = before_date(PurePath(file).stem)
            if not file.lower().endswith(_IMAGES) or beginning is None:
                continue
            if any(name in folder.at(file) for name in named) or (here and beginning in beginnings):
                continue
            name = f"{beginning or file[:4]}*" if here else top  # the year
            counts[name] = counts.get(name, 0) + 1
    return tuple(sorted(counts.items()))


def _top(path: str, root: Path) -> str:
    """The folder right under ``root`` in which a file lies; empty for none, as for files in an archive."""
    base = os.path.join(root, "")
    if not path.startswith(base):
        return ""
    folder, separator, _ = path[len(base) :].replace("\\", "/").partition("/")
    return folder if separator else ""
