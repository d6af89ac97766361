"""New links in a stack whose VRTs are written already."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from ...base.xmltext import escape
from ..manifest import Acquisition
from .hrefs import lasting
from .links import renewed

Links = Mapping[str, tuple[str, str]]
"""Remote file -> (address of its STAC item, key of its asset)."""


def with_new_links(acquisition: Acquisition, links: Links) -> Acquisition:
    """The date with new links in place of those that have expired, in its VRTs too; itself where none has.

    Raises:
        LandloomError: if an item gives no new link.
    """
    rules = [rule for part in acquisition.parts for rule in part.masks]
    paths = [one.path for part in acquisition.parts for one in part.sources] + [rule.source.path for rule in rules]
    origin = {lasting(path): link for path, link in links.items()}
    known = {path: origin[lasting(path)] for path in paths if lasting(path) in origin}
    new = renewed(list(dict.fromkeys(paths)), known)
    if not new:
        return acquisition
    for vrt in {part.data for part in acquisition.parts} | {rule.raster for rule in rules}:
        for path in Path(vrt).parent.glob(f"{Path(vrt).stem}*.vrt"):
            _replace_in(path, new)

    def now(path: str) -> str:
        return new.get(path, path)

    parts = tuple(
        replace(
            part,
            sources=tuple(replace(one, path=now(one.path)) for one in part.sources),
            masks=tuple(replace(rule, source=replace(rule.source, path=now(rule.source.path))) for rule in part.masks),
        )
        for part in acquisition.parts
    )
    return replace(acquisition, parts=parts)


def _replace_in(path: Path, new: Mapping[str, str]) -> None:
    before = path.read_text(encoding="utf-8")
    after = before
    for old, one in new.items():
        after = after.replace(escape(old), escape(one))
    if after != before:
        path.write_text(after, encoding="utf-8")
