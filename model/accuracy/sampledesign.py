"""Drawing a stratified random sample of a map's pixels, in two passes and bounded memory."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from osgeo import ogr

from ..base.errors import LandloomError
from ..base.language import tr
from ..base.progress import Progress
from ..base.values import check_choice
from ..base.vectorfile import write_table
from ..samples.tablefiles import read_table
from .allocation import ALLOCATIONS, MOST, allocate, expected_accuracies, expected_error, size_for
from .mapreading import CategoricalMap, MapCounts, counted
from .sampleform import form_qml

LAYER = "points"
_ORDER = 0xFFFFFFFF


@dataclass(frozen=True)
class SampleSettings:
    """What the user chose; see the parameters of ``sampledesign``."""

    target_error: float = 0.02
    size: int = 0
    expected_accuracy: str = "0.8"
    allocation: str = "rare"
    least: int = 50
    nomenclature: str = ""
    zero: bool = False
    seed: int = 0
    memory_mb: int = 1024

    def check(self) -> None:
        """Raise a :class:`LandloomError` that names the first wrong parameter."""
        check_choice("ALLOCATION", self.allocation, ALLOCATIONS)
        if not self.size and not 0 < self.target_error < 0.5:
            raise LandloomError(
                tr("TARGET_ERROR is {target_error:g}; give a share above 0 and below 0.5, as 0.02.").format(
                    target_error=self.target_error
                )
            )
        if not 0 <= self.size <= MOST:
            raise LandloomError(
                tr("SIZE is {size}; give 0 (by TARGET_ERROR) to {most:,} points.").format(size=self.size, most=MOST)
            )
        if not 0 <= self.least <= MOST:
            raise LandloomError(
                tr("MIN_PER_CLASS is {least}; give 0 to {most:,} points.").format(least=self.least, most=MOST)
            )


@dataclass(frozen=True)
class SamplePlan:
    """How many points lie in each stratum.

    Attributes:
        map_path: the map.
        values: ``[H]`` the map's values.
        names: of the classes.
        pixels: ``[H]``.
        accuracy: ``[H]`` expected user's accuracy.
        sizes: ``[H]`` points.
        error: expected standard error of overall accuracy.
        counts: of the map.
        settings: what the user chose.
        warnings: sentences.
    """

    map_path: str
    values: tuple[int, ...]
    names: tuple[str, ...]
    pixels: np.ndarray
    accuracy: np.ndarray
    sizes: np.ndarray
    error: float
    counts: MapCounts
    settings: SampleSettings
    warnings: tuple[str, ...] = ()

    @property
    def probabilities(self) -> np.ndarray:
        """``[H]`` inclusion probabilities."""
        return self.sizes / self.pixels


@dataclass(frozen=True)
class Points:
    """The pixels drawn, in the random order in which they are to be labelled; all ``[N]``."""

    rows: np.ndarray
    columns: np.ndarray
    stratum: np.ndarray


def plan_sample(source: CategoricalMap, settings: SampleSettings, progress: Progress) -> SamplePlan:
    """Count the map and decide how many points each class gets.

    Raises:
        LandloomError: if a setting does not do.
    """
    settings.check()
    if settings.zero:
        source.use_zero()
    counts = source.count(settings.memory_mb, progress)
    values = tuple(counts.values)
    pixels = np.array([one.pixels for one in counts.values.values()], np.int64)
    accuracy = expected_accuracies(settings.expected_accuracy, values, source.names)
    size = settings.size or size_for(settings.target_error, pixels, accuracy, settings.allocation, settings.least)
    sizes = allocate(size, pixels, accuracy, settings.allocation, settings.least)
    names = tuple(source.name_of(value) for value in values)
    warnings = []
    small = [names[h] for h in range(len(values)) if sizes[h] == pixels[h]]
    if small:
        warnings.append(tr("All pixels of these classes are drawn: {names}.").format(names=", ".join(small)))
    return SamplePlan(
        source.path,
        values,
        names,
        pixels,
        accuracy,
        sizes,
        expected_error(pixels, accuracy, sizes),
        counts,
        settings,
        tuple(warnings),
    )


def draw(source: CategoricalMap, plan: SamplePlan, progress: Progress) -> Points:
    """Draw the points: in each stratum every set of pixels of the right size is as likely as any other.

    The draw depends on the map's values, the plan and the seed alone, not on memory or blocks.

    Raises:
        LandloomError: if the map has changed since it was counted.
    """
    seed = plan.settings.seed
    ranks = []
    for value, pixels, size in zip(plan.values, plan.pixels, plan.sizes, strict=True):
        rng = np.random.default_rng([seed, value & 0xFFFFFFFF])
        # The ranks of the chosen among the stratum's pixels, counted from the map's upper left, row by row.
        ranks.append(np.sort(rng.choice(int(pixels), int(size), replace=False)))
    seen = dict.fromkeys(plan.values, 0)
    found: list[tuple[np.ndarray, int]] = []
    width = source.grid.width
    for row, values in source.strips(plan.settings.memory_mb, progress):
        flat = values.ravel()
        here = {value: count for value, count, _ in counted(values, 0.0)}
        for h, value in enumerate(plan.values):
            progress.check()
            count = here.get(value, 0)
            low, high = np.searchsorted(ranks[h], [seen[value], seen[value] + count])
            if high > low:
                places = np.flatnonzero(flat == value)[ranks[h][low:high] - seen[value]]
                found.append((places.astype(np.int64) + row * width, h))
            seen[value] += count
    if list(seen.values()) != plan.pixels.tolist():
        raise LandloomError(
            tr("MAP {map_path} has changed while it was read: run again when it is whole.").format(
                map_path=plan.map_path
            )
        )
    flat = np.concatenate([places for places, _ in found])
    stratum = np.concatenate([np.full(len(places), h) for places, h in found])
    order = np.argsort(flat, kind="stable")  # one order, whatever the strips
    order = order[np.random.default_rng([seed, _ORDER]).permutation(len(order))]
    rows, columns = np.divmod(flat[order], width)
    return Points(rows, columns, stratum[order])


def class_labels(plan: SamplePlan, nomenclature: str) -> list[tuple[str, str, int]]:
    """Value, label and code of each class that the form offers: those of the map, and of the nomenclature.

    Values are names where each class has its own, so that ``assess`` needs no table to know them; else codes.
    """
    if nomenclature:
        table = read_table(nomenclature)
        rows = {row.name: (row.value, row.code) for row in table.rows if row.use and row.code is not None}
        return [(value, f"{name} ({code})", code) for name, (value, code) in rows.items()]
    unique = len(set(plan.names)) == len(plan.names)
    return [
        (name if unique else str(value), f"{name} ({value})", int(value))
        for value, name in zip(plan.values, plan.names, strict=True)
    ]


def write_points(
    source: CategoricalMap, plan: SamplePlan, points: Points, path: str | os.PathLike[str], progress: Progress
) -> None:
    """Write the points with their form and style.

    Fields: ``point`` (1, 2, 3... in the order in which to label), ``class`` (empty), ``code`` (empty; QGIS fills it in
    as the class is chosen), ``note`` (empty), and, hidden in the form, ``stratum`` (the map's value), ``probability``
    (of inclusion) and ``pixels`` (of the stratum).
    """
    transform = source.grid.transform
    x = transform[0] + (points.columns + 0.5) * transform[1]
    y = transform[3] + (points.rows + 0.5) * transform[5]
    count = len(x)
    empty = np.full(count, None, object)
    columns = {
        "point": np.arange(1, count + 1, dtype=np.int32),
        "class": empty,
        "code": np.ma.masked_all(count, np.int32),
        "note": empty,
        "stratum": np.array(plan.values, np.int64)[points.stratum],
        "probability": plan.probabilities[points.stratum],
        "pixels": plan.pixels[points.stratum],
    }

    def geometries() -> Iterator[bytes]:
        for one in zip(x.tolist(), y.tolist(), strict=True):
            geometry = ogr.Geometry(ogr.wkbPoint)
            geometry.AddPoint_2D(*one)
            yield bytes(geometry.ExportToWkb())

    style = form_qml(class_labels(plan, plan.settings.nomenclature), max(source.grid.resolution))
    write_table(path, LAYER, source.grid.crs_wkt, ogr.wkbPoint, geometries(), columns, progress, style)
