"""Dated images in folders from which no product comes: left unsaid, a whole sensor would be missing from the stack."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path, PurePath

from ..calendar import find_date
from .base import Folder, Product

_IMAGES = (".tif", ".tiff", ".jp2", ".img")
_OWN = "composite.json"  # of composites that were made here


def unread_folders(
    folders: Sequence[Folder], root: Path, products: Sequence[Product], left_out: Sequence[tuple[str, str]]
) -> tuple[tuple[str, int], ...]:
    """Folders right under ``root`` from which nothing is read although names of images in them hold dates.

    Quality layers and previews lie in a folder with bands or masks that are read, and what a product that is left out
    leaves bears its name.

    Args:
        folders: all that were searched; those inside archives do not count.
        root: the folder that the user gave.
        products: of all forms.
        left_out: names of products that are none, with the reason.

    Returns:
        names of folders and their numbers of such images.
    """
    known = {_top(path, root) for one in products for path, _ in one.bands.values()}
    known |= {_top(mask.path, root) for one in products for mask in one.masks}
    named = tuple(name for name, _ in left_out)
    counts: dict[str, int] = {}
    for folder in folders:
        top = _top(folder.at("x"), root)
        if not top or top in known or _OWN in folder.files:
            continue
        for file in folder.files:
            if not file.lower().endswith(_IMAGES) or find_date(PurePath(file).stem) is None:
                continue
            if not any(name in folder.at(file) for name in named):
                counts[top] = counts.get(top, 0) + 1
    return tuple(sorted(counts.items()))


def _top(path: str, root: Path) -> str:
    """The folder right under ``root`` in which a file lies; empty for none, as for files in an archive."""
    base = os.path.join(root, "")
    if not path.startswith(base):
        return ""
    folder, separator, _ = path[len(base) :].replace("\\", "/").partition("/")
    return folder if separator else ""
