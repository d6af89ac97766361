"""The difference of two maps: what became of what, as a map of from-to classes, in hectares by class and zone.

Both maps err, and where one of them does they differ: hectares of differences are no estimate of the area that
changed (Olofsson et al. 2014, doi 10.1016/j.rse.2014.02.015); :func:`honest_sentence` says so.
"""

from __future__ import annotations

import contextlib
import os
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..base.errors import LandloomError
from ..base.files import PARTIAL, make_folder
from ..base.language import tr
from ..base.lock import Lock, lock_path, tidy
from ..base.nomenclature import Nomenclature
from ..base.progress import Progress
from ..mapping import outputs
from ..mapping.chunks import Area
from ..mapping.classify import map_layers
from ..mapping.mask import AreaMask
from ..mapping.tilewriter import write_tiles
from ..stack.grid import Window
from .areas import measure_areas
from .differenceclasses import Legend, MapClass, Matched, changes, match_classes
from .mappair import MapPair, same_file
from .mapreading import CategoricalMap, Count

Pair = tuple[int, int]


@dataclass(frozen=True)
class DifferenceSettings:
    """How maps are compared.

    Attributes:
        nomenclature: names, colours and coarser classes of both maps; None to take those of the maps.
        level: of the nomenclature's coarser classes; 0 for the classes themselves.
        zones: a layer of polygons, ``file|layername=name``; empty for the whole map alone.
        zone_field: names the zones.
        zones_crs: the CRS to believe in place of the layer's own.
        memory_mb: working memory.
    """

    nomenclature: Nomenclature | None = None
    level: int = 0
    zones: str = ""
    zone_field: str = ""
    zones_crs: str = ""
    memory_mb: int = 1024


@dataclass(frozen=True)
class ZoneChanges:
    """A zone's pixels and hectares by the pair of classes (before, after) that they have."""

    name: str
    counts: Mapping[Pair, Count]

    @property
    def pixels(self) -> int:
        """Pixels where both maps have a class."""
        return sum(one.pixels for one in self.counts.values())

    @property
    def hectares(self) -> float:
        """Hectares where both maps have a class."""
        return sum(one.hectares for one in self.counts.values())

    @property
    def changed(self) -> Count:
        """Pixels and hectares whose classes differ."""
        found = [one for pair, one in self.counts.items() if pair[0] != pair[1]]
        return Count(sum(one.pixels for one in found), sum(one.hectares for one in found))

    def matrix(self, size: int) -> np.ndarray:
        """``[K, K]`` hectares: rows the class before, columns the class after."""
        result = np.zeros((size, size))
        for (i, j), one in self.counts.items():
            result[i, j] = one.hectares
        return result


@dataclass(frozen=True)
class Difference:
    """What was found.

    Attributes:
        before: path of the first map.
        after: path of the second.
        classes: of both maps.
        codes: pair of classes -> its code in the map of differences; only pairs that occur.
        legend: of the map of differences.
        whole: of all that both maps cover.
        zones: in the order of their names, then what lies in none or in several.
        no_data: pixels and hectares without a class in one of the maps.
        warnings: sentences.
    """

    before: str
    after: str
    classes: tuple[MapClass, ...]
    codes: Mapping[Pair, int]
    legend: Nomenclature
    whole: ZoneChanges
    zones: tuple[ZoneChanges, ...]
    no_data: Count
    warnings: tuple[str, ...]


def honest_sentence() -> str:
    """What differences of maps are, and are not."""
    return tr(
        "Differences of two maps hold the errors of both: of two maps that are each right on 90 % of their pixels, up "
        "to 20 % may differ although nothing changed. These hectares are counts of pixels, no estimate of the area "
        "that changed. For that, draw a sample in the map of differences ('Sample design'), look at each place in "
        "both years, and estimate with 'Assess map' and 'Areas'."
    )


def difference(
    pair: MapPair,
    output: str | os.PathLike[str],
    settings: DifferenceSettings,
    mask: str | None = None,
    progress: Progress | None = None,
) -> Difference:
    """Compare two maps and write the map of differences: from-to classes, 0 = no data, with names, colours and style.

    Args:
        pair: both maps.
        output: the GeoTIFF.
        settings: how.
        mask: polygons or a raster; outside nothing is compared.
        progress: shown, and asked whether to stop.

    Raises:
        LandloomError: if maps, mask, zones, nomenclature or output do not do.
        Cancelled: if the user asked to stop; nothing is left then.
    """
    progress = progress or Progress()
    output = Path(output)
    outputs.check_outputs([output])
    if same_file(pair.before.path, pair.after.path):
        raise LandloomError(
            tr("BEFORE and AFTER are the same file {path}: give two maps.").format(path=pair.before.path)
        )
    for name, one in (("BEFORE", pair.before), ("AFTER", pair.after)):
        if same_file(one.path, os.fspath(output)):
            raise LandloomError(
                tr("OUTPUT {output} is {name}: give the output another name.").format(output=output, name=name)
            )
    make_folder(output.parent)
    with Lock(lock_path(output), output) as lock, contextlib.ExitStack() as stack:
        if not lock.again:
            tidy(output)
        if mask:
            pair.use_mask(stack.enter_context(_mask(mask, pair, output, progress.part(0, 5))))
        return _compare(pair, output, settings, progress.part(5, 100))


@contextlib.contextmanager
def _mask(source: str, pair: MapPair, output: Path, progress: Progress) -> Iterator[AreaMask]:
    path = output.with_name(f"{output.stem}.{uuid.uuid4().hex[:8]}{PARTIAL}{output.suffix}")
    try:
        mask = AreaMask(source, pair.grid, Area(*pair.grid.whole), path, progress)
        yield mask
        mask.close()
    finally:
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)


def _compare(pair: MapPair, output: Path, settings: DifferenceSettings, progress: Progress) -> Difference:
    progress.text(tr("Counting the pixels of both maps"))
    memory = settings.memory_mb
    areas = measure_areas(
        pair, settings.zones or None, settings.zone_field, settings.zones_crs, memory, progress.part(0, 60)
    )
    matched = match_classes(
        _legend(pair.before, {one[0] for one in pair.pairs.values()}),
        _legend(pair.after, {one[1] for one in pair.pairs.values()}),
        settings.nomenclature,
        settings.level,
    )
    whole = ZoneChanges(tr("(whole map)"), _by_class(areas.whole.values, pair, matched))
    legend, codes = changes(matched, {key: one.hectares for key, one in whole.counts.items()})
    table = np.zeros(max(pair.pairs) + 1, np.uint16)
    for number, (first, second) in pair.pairs.items():
        table[number] = codes[matched.before[first], matched.after[second]]
    progress.text(tr("Writing the map of differences"))
    pixels = max(outputs.TILE**2, memory * 2**20 // 400)
    write_tiles(
        map_layers(legend, output),
        pair.grid,
        lambda piece: {"map": table[pair.numbers(Window(*piece), known_only=True)]},
        pixels,
        progress.part(60, 100),
    )
    others = [one for one in (areas.outside, areas.again) if one is not None and one.values]
    zones = tuple(ZoneChanges(one.name, _by_class(one.values, pair, matched)) for one in [*areas.zones, *others])
    warnings = (*pair.warnings, *matched.warnings, *areas.warnings)
    return Difference(
        pair.before.path,
        pair.after.path,
        matched.classes,
        codes,
        legend,
        whole,
        zones,
        areas.whole.no_data,
        warnings,
    )


def _legend(source: CategoricalMap, values: set[int]) -> Legend:
    return Legend(source.names, source.colors, sorted(values))


def _by_class(counts: Mapping[int, Count], pair: MapPair, matched: Matched) -> dict[Pair, Count]:
    """Counts of pairs of values as counts of pairs of classes, ordered by class."""
    result: dict[Pair, Count] = {}
    for number, one in counts.items():
        if number not in pair.pairs:
            continue  # no data
        first, second = pair.pairs[number]
        key = matched.before[first], matched.after[second]
        before = result.get(key, Count(0, 0.0))
        result[key] = Count(before.pixels + one.pixels, before.hectares + one.hectares)
    return dict(sorted(result.items()))


HEADER = ("zone", "before", "after", "before_code", "after_code", "code", "pixels", "hectares", "percent")
CLASS_HEADER = (
    "zone",
    "class",
    "before_pixels",
    "after_pixels",
    "before_hectares",
    "after_hectares",
    "unchanged_hectares",
    "lost_hectares",
    "gained_hectares",
    "net_hectares",
    "net_percent",
)


def table_rows(found: Difference) -> Iterator[list[Any]]:
    """Rows as :data:`HEADER` names them, the largest changes first: the whole map, then each zone.

    Percent are of the zone's area where both maps have a class.
    """
    for zone in (found.whole, *found.zones):
        total = zone.hectares
        order = sorted(zone.counts.items(), key=lambda one: (one[0][0] == one[0][1], -one[1].hectares))
        for (i, j), count in order:
            first, second = found.classes[i], found.classes[j]
            share = 100 * count.hectares / total if total else None
            code = found.codes[i, j]
            row = [zone.name, first.name, second.name, first.before, second.after, code, count.pixels]
            yield [*row, round(count.hectares, 4), None if share is None else round(share, 4)]


def class_rows(found: Difference) -> Iterator[list[Any]]:
    """Rows as :data:`CLASS_HEADER` names them: what each class lost and gained, for the whole map, then each zone."""
    for zone in (found.whole, *found.zones):
        size = len(found.classes)
        hectares, pixels = zone.matrix(size), np.zeros((size, size), np.int64)
        for pair, one in zone.counts.items():
            pixels[pair] = one.pixels
        for index, one_class in enumerate(found.classes):
            before, after = float(hectares[index].sum()), float(hectares[:, index].sum())
            same = float(hectares[index, index])
            numbers = [before, after, same, before - same, after - same, after - before]
            percent = round(100 * (after - before) / before, 4) if before else None
            counts = [int(pixels[index].sum()), int(pixels[:, index].sum())]
            yield [zone.name, one_class.name, *counts, *(round(one, 4) for one in numbers), percent]
