"""Regularising a map: a majority vote in a radius, then a smallest area; never across no data, never for kept classes.

Pixels without data stay so and have no vote, and what lies beyond them has none either. Pixels of a kept class stay as
they are and have no vote, and no pixel becomes one of them; the vote passes them.
"""

from __future__ import annotations

import contextlib
import os
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from ..base.errors import LandloomError
from ..base.files import PARTIAL, check_writable, make_folder
from ..base.gdalcache import CacheRoom
from ..base.language import tr
from ..base.legend import legend_of, read_style
from ..base.nomenclature import HIGHEST_CODE, LandCoverClass, Nomenclature, default_color
from ..base.progress import Progress
from . import outputs
from .chunks import Area
from .classify import LEVEL_TAG, map_layers
from .components import STRIP, Components, components, strip_rows
from .fuseinputs import LabelMap
from .labelraster import label_raster
from .regularise_rules import majority, merge_small
from .unsure import UNSURE_TAG

LARGEST_RADIUS = 25
_COLUMNS = 2048  # that vote at once
REGION_BYTES, SMALL_BYTES = 60, 192  # at work for each region, and for each small one besides


@dataclass(frozen=True)
class RegulariseSettings:
    """The choices of ``regularise``: see its parameters.

    Attributes:
        radius: pixels, 0 for no vote.
        min_area: hectares, 0 for none.
        class_areas: hectares by class code, instead of ``min_area``.
        keep: codes of classes that stay as they are.
    """

    radius: int = 0
    min_area: float = 0.0
    class_areas: Mapping[int, float] = field(default_factory=dict)
    keep: Sequence[int] = ()
    memory_mb: float = 1024

    def check(self) -> None:
        """Refuse what is out of range, and nothing to do.

        Raises:
            LandloomError: naming the parameter.
        """
        if not 0 <= self.radius <= LARGEST_RADIUS:
            raise LandloomError(
                tr("RADIUS is {radius}; give 0 to {largest_radius} pixels.").format(
                    radius=self.radius, largest_radius=LARGEST_RADIUS
                )
            )
        if self.min_area < 0 or any(area < 0 for area in self.class_areas.values()):
            raise LandloomError(tr("MIN_AREA is negative; give hectares, 0 or more."))
        if not self.radius and not self.min_area and not any(self.class_areas.values()):
            raise LandloomError(tr("RADIUS and MIN_AREA are both 0: nothing to do; give one of them."))


@dataclass(frozen=True)
class Regularised:
    """What was done.

    Attributes:
        pixels: with data.
        changed: those that have another class now.
        regions: before and after merging small ones; 0 where none were merged.
    """

    pixels: int
    changed: int
    regions: tuple[int, int] = (0, 0)


def parse_areas(text: str) -> tuple[float, dict[int, float]]:
    """MIN_AREA: ``0.5`` for all classes, ``3=2`` for one, ``0.5;3=2;7=0`` for both.

    Raises:
        LandloomError: if it is not understood.
    """
    general, by_class = 0.0, {}
    for part in (one.strip() for one in text.replace(",", ";").split(";")):
        if not part:
            continue
        code, equals, area = part.rpartition("=")
        try:
            if equals:
                by_class[int(code)] = float(area)
            else:
                general = float(area)
        except ValueError:
            raise LandloomError(
                tr(
                    "MIN_AREA '{part}' is not understood: give hectares such as 0.5, or for a class its code "
                    "as in 3=2; separate several by semicolons."
                ).format(part=part)
            ) from None
    return general, by_class


def parse_codes(text: str, name: str = "KEEP") -> list[int]:
    """Class codes separated by commas or blanks.

    Raises:
        LandloomError: if one is no whole number.
    """
    parts = text.replace(",", " ").replace(";", " ").split()
    wrong = [one for one in parts if not one.isdigit()]
    if wrong:
        raise LandloomError(
            tr("{name} holds '{wrong}': give class codes such as 3,7.").format(name=name, wrong=wrong[0])
        )
    return [int(one) for one in parts]


def regularise(
    path: str | os.PathLike[str],
    output: str | os.PathLike[str],
    settings: RegulariseSettings,
    progress: Progress | None = None,
) -> Regularised:
    """Write a map with fewer small patches; names, colours and style are those of the map.

    Args:
        path: a map of class codes, 0 or its declared no data where there is none.
        output: the GeoTIFF to write.
        settings: the parameters.
        progress: told what is done; asked whether to stop.

    Raises:
        LandloomError: for wrong parameters, a raster that is no map, or a failed write.
    """
    progress = progress or Progress()
    settings.check()
    source, target = WholeMap(path), Path(output)
    outputs.check_outputs([target])
    if os.path.exists(target) and os.path.exists(source.path) and os.path.samefile(source.path, target):
        raise LandloomError(tr("OUTPUT {target} is the map itself: give another name.").format(target=target))
    check_writable(target)
    legend = legend_with(source, progress.part(0, 10))
    _check_codes(legend, settings)
    voted = _voted(source, settings)
    grid = source.grid
    areas = settings.min_area or any(settings.class_areas.values())
    memory = settings.memory_mb
    if not areas:
        return _write(target, source, legend, voted, memory, progress.part(10, 100))
    with label_raster(target, grid.width, grid.height, memory) as raster:
        regions = components(voted, grid.width, grid.height, raster, progress.part(10, 45), memory)
        codes, left = _without_small(regions, legend, settings, grid.pixel_area / 1e4, progress.part(45, 65))
        done = _write(
            target, source, legend, lambda row, rows: codes[regions.read(row, rows)], memory, progress.part(65, 100)
        )
    progress.info(tr("{n_regions:,} regions became {left:,}.").format(n_regions=len(regions), left=left))
    return Regularised(done.pixels, done.changed, (len(regions), left))


class WholeMap(LabelMap):
    """A map with all its classes: here 'unsure' is one like the others."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        super().__init__(path)
        nodata = self.dataset.GetRasterBand(1).GetNoDataValue()
        self._silent = [] if nodata is None else [float(nodata)]
        self.names, self.colors = legend_of(self.dataset)
        for code in (0, *(int(one) for one in self._silent if np.isfinite(one))):
            self.names.pop(code, None)

    def tags(self) -> dict[str, str]:
        """What the file says of its classes besides names: which is 'unsure', of what level they are."""
        found = {name: self.dataset.GetMetadataItem(name) for name in (UNSURE_TAG, LEVEL_TAG)}
        return {name: text for name, text in found.items() if text}

    def style(self) -> str:
        """The QGIS style of classes that lies beside the file; empty where there is none."""
        path = Path(self.path).with_suffix(".qml")
        try:
            return path.read_text(encoding="utf-8") if path.is_file() and read_style(path).palette else ""
        except (LandloomError, OSError, UnicodeDecodeError):
            return ""  # of something else, or damaged: a new one is written


def legend_with(source: LabelMap, progress: Progress) -> Nomenclature:
    """The classes of a map with their names and colours; codes without get their number and a colour."""
    codes = sorted(source.codes(progress) | {code for code in source.names if 0 < code <= HIGHEST_CODE})
    if not codes:
        raise LandloomError(tr("{path} holds no class: every pixel is 0 or no data.").format(path=source.path))
    classes = []
    for place, code in enumerate(codes):
        name = source.names.get(code) or str(code)
        classes.append(LandCoverClass(code, name, source.colors.get(code) or default_color(name, place)))
    return Nomenclature(tuple(classes))


def _check_codes(legend: Nomenclature, settings: RegulariseSettings) -> None:
    known = {int(code) for code in legend.codes}
    for name, codes in (("KEEP", settings.keep), ("MIN_AREA", settings.class_areas)):
        wrong = [code for code in codes if code not in known]
        if wrong:
            listed = ", ".join(f"{one.code} {one.name}" for one in legend)
            raise LandloomError(
                tr("{name} names class {wrong}, which the map does not have; it has {listed}.").format(
                    name=name, wrong=wrong[0], listed=listed
                )
            )


def _voted(source: WholeMap, settings: RegulariseSettings) -> Callable[[int, int], np.ndarray]:
    """Rows of the map after the vote, ``[rows, W]`` uint16."""
    radius, keep, grid = settings.radius, np.array(settings.keep, np.int32), source.grid
    room = CacheRoom(settings.memory_mb / 8, source.let_go)

    def rows_of(row: int, rows: int) -> np.ndarray:
        voted = np.empty((rows, grid.width), np.uint16)
        for column in range(0, grid.width, _COLUMNS):
            columns = min(_COLUMNS, grid.width - column)
            wide = Area(column - radius, row - radius, columns + 2 * radius, rows + 2 * radius)  # 0 outside the map
            voted[:, column : column + columns] = majority(source.read(wide), radius, keep)
            room.check()
        return voted

    return rows_of


def _without_small(
    regions: Components, legend: Nomenclature, settings: RegulariseSettings, hectares: float, progress: Progress
) -> tuple[np.ndarray, int]:
    """``[N + 1]`` the code of each region when small ones have joined a neighbour, and how many regions are left."""
    limit = np.full(int(legend.codes.max()) + 1, settings.min_area / hectares)
    for code, area in settings.class_areas.items():
        limit[code] = area / hectares
    limit[list(settings.keep)] = 0
    small = regions.pixels < limit[regions.value]
    small[0] = False
    needed = REGION_BYTES * len(small) + SMALL_BYTES * int(small.sum())
    if needed > settings.memory_mb * 2**20:
        raise LandloomError(
            tr(
                "The map has {n_regions:,} regions, which take about {needed:,.0f} MB: raise MEMORY_MB to "
                "that, or give a RADIUS, which removes most of them first."
            ).format(n_regions=len(regions), needed=needed / 2**20)
        )
    borders = regions.borders(small, progress)
    kept = np.isin(regions.value, list(settings.keep))
    return merge_small(regions.value, regions.pixels, borders, limit, kept, progress)


def _write(
    target: Path,
    source: WholeMap,
    legend: Nomenclature,
    rows_of: Callable[[int, int], np.ndarray],
    memory_mb: float,
    progress: Progress,
) -> Regularised:
    """Write rows of whole tiles, computed some at a time; the file takes its name when it is whole."""
    grid = source.grid
    step = strip_rows(grid.width, memory_mb)
    layer = replace(map_layers(legend, target)[0], tags=source.tags())
    style = source.style()
    if style:
        layer = replace(layer, qml=style)
    make_folder(target.parent)
    temporary = target.with_name(f"{target.stem}.{uuid.uuid4().hex[:8]}{PARTIAL}{target.suffix}")
    pixels = changed = 0
    checksums = []
    room = CacheRoom(memory_mb / 8, source.let_go)
    try:
        with outputs.collected_errors() as errors:
            try:
                dataset = outputs.create(layer, temporary, grid, Area(*grid.whole))
                for top in range(0, grid.height, STRIP):
                    if dataset is None or errors:
                        break
                    whole = Area(0, top, grid.width, min(STRIP, grid.height - top))
                    values = np.empty((whole.height, grid.width), layer.dtype)
                    for row in range(top, whole.bottom, step):
                        progress.check()
                        codes = rows_of(row, min(step, whole.bottom - row))
                        before = source.read(Area(0, row, grid.width, len(codes)))
                        pixels += int(np.count_nonzero(before))
                        changed += int(np.count_nonzero(codes != before))
                        values[row - top : row - top + len(codes)] = codes
                        room.check()
                        progress.percent(100 * (row + len(codes)) / grid.height)
                    checksums.append((whole, outputs.checksum(values[None])))
                    dataset.GetRasterBand(1).WriteArray(values, 0, top)
                    dataset.FlushCache()  # rows of whole tiles
                if dataset is not None:
                    dataset.FlushCache()
                dataset = None
            except RuntimeError as error:  # when someone switched GDAL's exceptions on
                errors.append(str(error))
        if errors or not outputs.reads_back(layer, temporary, Area(*grid.whole), checksums, progress):
            raise outputs.not_whole(target, errors)
        outputs.publish(layer, temporary)
    finally:
        for suffix in ("", *outputs.SIDECARS):
            with contextlib.suppress(OSError):
                Path(f"{temporary}{suffix}").unlink(missing_ok=True)
    return Regularised(pixels, changed)
