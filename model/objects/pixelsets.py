"""The sets of pixels of objects: drawn from each, read date by date, kept in the form that training and mapping read.

A pixel belongs to an object where its centre lies in it; an object that holds no centre has the pixels that it touches.
Of a large object a bounded number is drawn. Which ones follows from the seed, the object and the place of the pixel
alone, so that neither memory nor the other objects decide. Objects are taken tile by tile, as for their features.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..base.nomenclature import Nomenclature
from ..base.progress import Progress
from ..networks.registry import GEOMETRY
from ..samples.store import SampleStore
from ..stack.grid import Grid, Window
from ..stack.sensors import STATIC, SensorSpec, Series
from ..training.pool import SamplePool
from .features import SHAPES, halves, joined_window, shape_measures, thinned, tiles
from .features_coverage import Coverage, entries
from .features_segments import Segments
from .features_sources import StackSource
from .features_statistics import sums

MOST = 64
"""Pixels of a set, at most: so many show the spread of a field, and more only cost time (Garnot et al. 2020 use 64)."""

GEOMETRY_SPEC = SensorSpec(GEOMETRY, STATIC, SHAPES, ("",), (0,), dtype="float32")


class SetSource(StackSource):
    """A stack of whose pixels whole series are kept; the indices are checked only: they are computed later."""

    @property
    def series_bytes(self) -> int:
        """Memory of one pixel on all dates of all sensors, masks included."""
        return self.reader.bytes_per_pixel

    @property
    def bytes_per_pixel(self) -> int:
        widest = max(len(spec.bands) for spec in self.specs.values())
        return widest * 8 + 48  # one date of the window, twice; coverage. Of the other dates only the sets are kept


class Picked(NamedTuple):
    """Sets of pixels of some objects.

    Attributes:
        objects: ``[n]`` places among the segments.
        start: ``[n + 1]`` where the pixels of each begin.
        values: sensor -> ``[p, T, C]`` as read; 0 where masked.
        masks: sensor -> ``[p, T]`` bool.
        pixels: ``[n]`` size of each object in pixels, by their shares.
        geometry: ``[n, 4]`` measures of shape.
    """

    objects: np.ndarray
    start: np.ndarray
    values: dict[str, np.ndarray]
    masks: dict[str, np.ndarray]
    pixels: np.ndarray
    geometry: np.ndarray


def picked_tiles(
    segments: Segments,
    source: SetSource,
    objects: np.ndarray,
    most: int = MOST,
    seed: int = 0,
    memory_mb: float = 1024,
    progress: Progress | None = None,
) -> Iterator[Picked]:
    """Draw and read the pixels of objects, some objects near each other at a time.

    Args:
        segments: the objects.
        source: what is read.
        objects: those wanted.
        most: pixels of each, at most.
        seed: of the draw.
        memory_mb: working memory.
        progress: shown, and asked whether to stop.

    Raises:
        LandloomError: if the stack cannot be read.
        Cancelled: if the user asked to stop.
    """
    progress = progress or Progress()
    room = memory_mb * 2**20 / 3
    done = 0
    for tile in tiles(segments, [source], room, objects):
        waiting = [tile]
        while waiting:
            own = waiting.pop()
            progress.check()
            window, step, coverage, pixels = _covered(segments, source, own, room)
            chosen = draw(coverage, window, step, segments.ids[own], most, seed)
            if len(own) > 1 and len(chosen.pixel) * source.series_bytes > room:
                waiting += halves(segments, own)
                continue
            values, masks = _read(source, window, step, chosen.pixel, progress)
            yield Picked(own, chosen.start, values, masks, pixels, shape_measures(segments, own))
            done += len(own)
            progress.percent(100.0 * done / max(1, len(objects)))
    source.check_unchanged()
    segments.check_unchanged()


def _covered(
    segments: Segments, source: SetSource, own: np.ndarray, room: float
) -> tuple[Window | None, int, Coverage, np.ndarray]:
    """Window of objects, step of its lattice (1 but for one large object), pixels whose centre is inside, and sizes."""
    grid: Grid = source.grid
    window = joined_window(segments.windows(grid, own))
    if window is None:
        nothing = np.zeros(0, np.int64)
        return None, 1, entries(nothing, nothing, np.zeros(0), len(own)), np.zeros(len(own))
    size = float(window.width) * window.height * source.bytes_per_pixel
    if size > room:
        step = math.ceil(math.sqrt(size / room))
        lattice_grid, lattice = thinned(grid, window, step)
        coverage = segments.coverage(lattice_grid, lattice, own, False)
        return window, step, coverage, sums(coverage.weight, coverage.start) * step**2
    shares = segments.coverage(grid, window, own, True)
    coverage = segments.coverage(grid, window, own, False)
    empty = np.diff(coverage.start) == 0
    if empty.any():  # labels finer than pixels: what they touch
        touched = empty[shares.owner]
        coverage = entries(
            np.concatenate([coverage.owner, shares.owner[touched]]),
            np.concatenate([coverage.pixel, shares.pixel[touched]]),
            np.concatenate([coverage.weight, shares.weight[touched]]),
            len(own),
        )
    return window, 1, coverage, sums(shares.weight, shares.start)


def draw(coverage: Coverage, window: Window | None, step: int, ids: np.ndarray, most: int, seed: int) -> Coverage:
    """Of each object at most ``most`` entries, those with the lowest hash of seed, object and place on the grid.

    Args:
        coverage: pixels of a window of the grid, or of its lattice of every ``step``-th row and column.
        window: on the grid.
        step: of the lattice.
        ids: ``[n]`` names of the objects.
        most: entries that stay.
        seed: another one draws others.
    """
    if window is None or not len(coverage.pixel):
        return coverage
    width = -(-window.width // step)
    row = window.row + coverage.pixel // width * step
    column = window.column + coverage.pixel % width * step
    owner = coverage.owner
    # numpy's unsigned arithmetic wraps, which is what a hash wants
    keys = _mixed(_mixed(_mixed(np.full(len(owner), seed), ids[owner]), row), column)
    order = np.lexsort((keys, owner))
    rank = np.arange(len(order)) - np.repeat(coverage.start[:-1], np.diff(coverage.start))
    kept = order[rank < most]
    return entries(owner[kept], coverage.pixel[kept], coverage.weight[kept], len(ids))


def _mixed(state: np.ndarray, value: np.ndarray) -> np.ndarray:
    """One round of splitmix64 (Steele et al. 2014) over a state and a value."""
    z = (
        state.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        + value.astype(np.uint64)
        + np.uint64(0x9E3779B97F4A7C15)
    )
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def _read(
    source: SetSource, window: Window | None, step: int, pixel: np.ndarray, progress: Progress
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """The series of pixels of a window, date by date."""
    values, masks = {}, {}
    for name, spec in source.specs.items():
        shape = (len(pixel), len(spec.dates))
        masks[name] = np.zeros(shape, bool)
        values[name] = np.zeros((*shape, len(spec.bands)), spec.dtype)
        if window is None or not len(pixel):
            continue
        for place in range(len(spec.dates)):
            progress.check()
            raw, valid = source.raw(name, place, window, step)
            if not place:
                values[name] = np.zeros((*shape, len(spec.bands)), raw.dtype)
            masks[name][:, place] = valid[pixel]
            values[name][:, place] = np.where(valid[pixel], raw[:, pixel], 0).T
    source.reader.let_go()
    return values, masks


@dataclass
class PixelSets(SampleStore):
    """Objects as samples: a batch holds the pixels of each in one row, as many as the largest has, the rest masked.

    The sensor ``geometry`` holds the measures of shape, with one value an object and no date.

    Attributes:
        files: keeps the temporary folder of the values.
    """

    files: Any = field(default=None, repr=False)
    _first: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64), repr=False)
    _count: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64), repr=False)
    _geometry: np.ndarray = field(default_factory=lambda: np.zeros((0, len(SHAPES)), np.float32), repr=False)

    @classmethod
    def of(
        cls,
        picked: Picked,
        specs: dict[str, SensorSpec],
        geometry: bool,
        nomenclature: Nomenclature,
        labels: np.ndarray,
        groups: np.ndarray,
        season: tuple[str, int | None],
        files: Any = None,
    ) -> PixelSets:
        """Sets with their class indices and groups, in the order of ``picked.objects``, all in one part and fold."""
        count = len(picked.objects)
        known = {**specs, GEOMETRY: GEOMETRY_SPEC} if geometry else dict(specs)
        blank = np.zeros(count)
        return cls(
            known, nomenclature, season, 0, np.asarray(labels, np.int64), np.asarray(groups, np.int64),
            picked.objects, blank.astype(np.uint8), blank.astype(np.int16), blank.astype(bool), blank, blank,
            _values=picked.values, _masks=picked.masks, files=files,
            _first=picked.start[:-1], _count=np.diff(picked.start), _geometry=geometry_features(picked.geometry),
        )  # fmt: skip

    @property
    def counts(self) -> np.ndarray:
        """``[N]`` pixels of each set."""
        return self._count

    @property
    def side(self) -> int:
        """Pixels of the largest set, at least 1."""
        return int(self._count.max(initial=1))

    def batch(
        self, indices: Sequence[int] | np.ndarray, halo: int = 0, sensors: Sequence[str] | None = None
    ) -> dict[str, Series]:
        """Series ``[B, T, C, 1, side]`` of some objects; the sensor ``geometry`` has one pixel."""
        if halo:
            raise ValueError("sets of pixels have no context")
        chosen = np.asarray(indices, np.int64).reshape(-1)
        place = np.arange(self.side)
        inside = place < self._count[chosen, None]
        rows = np.where(inside, self._first[chosen, None] + place, 0)
        result = {}
        for name in self.sensor_names(sensors):
            spec = self.specs[name]
            days = np.array(spec.days, np.int32)
            if name == GEOMETRY:
                values = self._geometry[chosen][:, None, :, None, None]
                result[name] = Series(values, np.ones((len(chosen), 1, 1, 1), bool), days)
                continue
            shape = (len(chosen), len(place), len(days))
            if len(self._values[name]):
                valid = self._masks[name][rows] & inside[:, :, None]
                found = self._values[name][rows] * valid[..., None]
            else:
                valid = np.zeros(shape, bool)
                found = np.zeros((*shape, len(spec.bands)), self._values[name].dtype)
            result[name] = Series(
                found.transpose(0, 2, 3, 1)[:, :, :, None], valid.transpose(0, 2, 1)[:, :, None], days
            )
        return result


class SetPool(SamplePool):
    """Objects for training; batches that are only read are smaller, by the pixels of their sets."""

    of_sets = True

    def batches(self, indices: np.ndarray, size: int, random: np.random.Generator | None = None) -> list[np.ndarray]:
        """As of any pool; without ``random``, ``size`` counts pixels."""
        if random is None:
            side = max(store.side for store in self.stores if isinstance(store, PixelSets))
            size = max(1, size // side)
        return super().batches(indices, size, random)


def geometry_features(measures: np.ndarray) -> np.ndarray:
    """Measures of shape as a network reads them: logarithms of what spans orders of magnitude."""
    area, perimeter, compactness, elongation = np.nan_to_num(np.asarray(measures, np.float64).T)
    logged = [np.log10(np.maximum(one, 1e-6)) for one in (area, perimeter, elongation)]
    return np.stack([logged[0], logged[1], compactness, logged[2]], axis=1).astype(np.float32)


def read_sets(
    segments: Segments,
    source: SetSource,
    objects: np.ndarray,
    labels: np.ndarray,
    groups: np.ndarray,
    nomenclature: Nomenclature,
    geometry: bool,
    most: int,
    seed: int,
    memory_mb: float,
    progress: Progress,
) -> tuple[PixelSets, np.ndarray]:
    """The sets of training objects, in a temporary file, and the size of each in pixels.

    Args:
        segments: the objects.
        source: what is read.
        objects: ``[m]`` those of a known class, ascending.
        labels: ``[m]`` class indices.
        groups: ``[m]``.
        nomenclature: the classes.
        geometry: whether the shape of objects is a sensor too.
        most: pixels of each, at most.
        seed: of the draw.
        memory_mb: working memory.
        progress: shown, and asked whether to stop.
    """
    folder = tempfile.TemporaryDirectory(prefix="landloom", ignore_cleanup_errors=True)
    order: list[np.ndarray] = []
    counts: list[np.ndarray] = []
    sizes: list[np.ndarray] = []
    shapes: list[np.ndarray] = []
    kinds: dict[str, np.dtype] = {}
    for picked in picked_tiles(segments, source, objects, most, seed, memory_mb, progress):
        order.append(picked.objects)
        counts.append(np.diff(picked.start))
        sizes.append(picked.pixels)
        shapes.append(picked.geometry)
        for name in source.specs:
            kinds[name] = picked.values[name].dtype
            for suffix, array in (("values", picked.values[name]), ("mask", picked.masks[name])):
                with (Path(folder.name) / f"{name}.{suffix}").open("ab") as file:
                    file.write(np.ascontiguousarray(array).tobytes())
    ordered = np.argsort(np.concatenate(order))  # tiles give them in another order
    start = np.r_[0, np.cumsum(np.concatenate(counts))]
    values, masks = {}, {}
    for name, spec in source.specs.items():
        shape = (int(start[-1]), len(spec.dates))
        values[name] = _mapped(Path(folder.name) / f"{name}.values", kinds[name], (*shape, len(spec.bands)))
        masks[name] = _mapped(Path(folder.name) / f"{name}.mask", np.dtype(bool), shape)
    every = Picked(objects, start, values, masks, np.concatenate(sizes)[ordered], np.concatenate(shapes)[ordered])
    store = PixelSets.of(every, source.specs, geometry, nomenclature, labels, groups, source.season, folder)
    store._first, store._count = store._first[ordered], store._count[ordered]
    return store, every.pixels


def _mapped(path: Path, kind: np.dtype, shape: tuple[int, ...]) -> np.ndarray:
    if not math.prod(shape):
        return np.zeros(shape, kind)
    return np.memmap(path, kind, "r", shape=shape)
