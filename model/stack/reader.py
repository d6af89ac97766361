"""Reading windows of a stack.

Threads: one :class:`StackReader` may be shared by any number of threads; each thread opens its own data sets (GDAL's
are not safe to share) and keeps a bounded number of them open. GDAL reads without Python's lock, so threads overlap.
"""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
from osgeo import gdal

from ..base.raster import is_remote
from .blockcache import BlockCache, Layer
from .grid import Window
from .lattice import VIRTUAL_TILE, Lattice, tile_size
from .manifest import Stack
from .maskrules import dilate
from .openfiles import OpenFiles, within
from .readingthreads import Around, ReadingThreads
from .readplan import MaskPlan, PartPlan, ReadPlan, SensorPlan, check_sources, plan_sensor
from .sensors import Series
from .sparememory import SpareMemory
from .speckle import quegan
from .upsample import bilinear, source_span


class StackReader:
    """Reads windows of a stack as :class:`Series`; a context manager.

    Args:
        stack: the stack, or the path of its ``stack.json``.
        sensors: names or choices such as ``S1``; None for all.
        bands: for some sensors, the bands wanted and their order; others give all.
        memory_mb: what one window may take, see :meth:`rows_in_memory`.
        as_stored: leave out what the stack asks to do to radar values: levelling of orbits and the speckle filter.

    Attributes:
        stack: the stack.
        specs: sensor name -> :class:`SensorSpec` of what :meth:`read` gives.

    Raises:
        LandloomError: if a sensor or band is not there, or if a file has changed since the stack was built.
    """

    def __init__(
        self,
        stack: Stack | str | os.PathLike[str],
        sensors: Sequence[str] | None = None,
        bands: Mapping[str, Sequence[str]] | None = None,
        memory_mb: float = 512,
        as_stored: bool = False,
    ) -> None:
        self.stack = stack if isinstance(stack, Stack) else Stack.read(stack)
        self.memory_mb = memory_mb
        names = self.stack.choose(sensors)
        check_sources([self.stack.sensors[name] for name in names])
        wanted = bands or {}
        self._sensors = {
            name: plan_sensor(self.stack.sensors[name], wanted.get(name), self.stack.grid, as_stored) for name in names
        }
        self.specs = {name: sensor.spec for name, sensor in self._sensors.items()}
        remote = any(is_remote(one.path) for name in names for one in self.stack.sensors[name].sources())
        self._files = OpenFiles(remote)
        self._memory = SpareMemory()
        self._cache: BlockCache | None = None
        self._known_layers: dict[Layer, tuple[Lattice, int]] = {}
        self._once: set[str] = set()  # files that are read once a window
        self._now = threading.local()
        self._threads = ReadingThreads()
        self._wanted: tuple[int, Around] | None = None  # how many threads are to read from the next window on

    def __enter__(self) -> StackReader:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.close()
        if kind is None:
            self.check_unchanged()

    def check_unchanged(self) -> None:
        """Look again at the files, after reading: what changed meanwhile would be a mixture.

        Raises:
            ChangedError: naming a file that is gone or has another size or time.
        """
        check_sources([self.stack.sensors[name] for name in self._sensors])

    def close(self) -> None:
        """Close every data set; no thread may be reading."""
        self._threads.use(1)
        self._files.close()

    def free(self) -> None:
        """Close every data set and let go the memory held for windows to come; no thread may be reading."""
        self.close()
        self._memory.clear()
        if self._cache is not None:
            self._cache.clear_spare()

    @property
    def bytes_per_pixel(self) -> int:
        """What :meth:`read` returns for one pixel, mask included."""
        return sum(sensor.bytes_per_pixel for sensor in self._sensors.values())

    def rows_in_memory(self, width: int) -> int:
        """How many rows of ``width`` pixels fit into ``memory_mb``; at least 1."""
        return max(1, int(self.memory_mb * 2**20 / max(1, self.bytes_per_pixel * width)))

    def block_size(self) -> tuple[int, int]:
        """Width and height of the blocks of the first file that is read as it lies, else 256 x 256."""
        for sensor in self._sensors.values():
            for parts in sensor.acquisitions:
                for read in parts[0].reads:
                    if not read.path.endswith(".vrt"):
                        width, height = self._files.get(read.path).GetRasterBand(1).GetBlockSize()
                        return width, height
        return 256, 256

    def read(self, window: Window, halo: int = 0) -> dict[str, Series]:
        """All sensors' series in a window grown by ``halo``.

        Args:
            window: pixels of the grid; what lies outside the grid is masked.
            halo: pixels of context on each side.

        Returns:
            sensor name -> Series with B = 1: values ``[1, T, C, H + 2 halo, W + 2 halo]`` in the sensor's own type.

        Raises:
            LandloomError: naming the file that cannot be read.
        """
        target = window.grown(halo) if halo else window
        if self._wanted is not None:
            (count, around), self._wanted = self._wanted, None
            self._threads.each(self._files.close_own)  # the files are shared out anew
            self._threads.use(count, around)
        place = self._now.place = None if self._cache is None else self._cache.place(target)
        try:
            series = {name: self._read_sensor(sensor, target) for name, sensor in self._sensors.items()}
        finally:
            self._now.place = None
        if self._cache is not None and place is not None:
            self._cache.finish(place)
        return series

    def lattices(self) -> dict[Lattice, int]:
        """How the files' blocks lie on the grid, and how many bytes a pixel of all files that lie so takes.

        Raises:
            LandloomError: naming a file that cannot be opened.
        """
        sizes: dict[Lattice, int] = {}
        for lattice, size in self._layers().values():
            sizes[lattice] = sizes.get(lattice, 0) + size
        return sizes

    def expect(self, windows: Sequence[Window], halo: int, reach: int, room: int, cached: int | None = None) -> None:
        """Foretell what will be read, so that of each block is kept what later windows need.

        Args:
            windows: in the order in which they will be read, nearly.
            halo: as for :meth:`read`.
            reach: windows between two needs of a pixel at most, if it is to be kept from one to the other.
            room: bytes to keep at most.
            cached: bytes by which GDAL's own cache may grow; None for as many as GDAL likes.
        """
        if cached is not None:
            self._files.bound(cached)
        layers = self._layers()
        self._once = {path for path, count in Counter(path for path, _ in layers).items() if count == 1}
        grown = [window.grown(halo) for window in windows]
        lattices = {layer: lattice for layer, (lattice, _) in layers.items()}
        self._cache = BlockCache(lattices, grown, reach, room, self._files.scratch)

    def bound_cache(self, megabytes: float) -> None:
        """GDAL's own cache may grow by so much from now on; beyond, its blocks of this stack's files are let go."""
        self._files.bound(int(megabytes * 2**20))

    def use_threads(self, count: int, around: Around) -> None:
        """From the next window on so many threads read each; only where one thread at a time calls :meth:`read`.

        Args:
            count: threads, the calling one among them; more than there are dates serve nothing.
            around: surrounds what a further thread does, to measure it.
        """
        self._wanted = count, around

    def _layers(self) -> dict[Layer, tuple[Lattice, int]]:
        """The lattice of each file and its bands, and the bytes of one of its pixels."""
        if self._known_layers:
            return self._known_layers
        layers = self._known_layers
        for sensor in self._sensors.values():
            for part in (part for parts in sensor.acquisitions for part in parts):
                for read in part.reads:
                    lattice = self._lattice(
                        read.path, read.corner, read.ratio, part.cover, sensor.radius, True, read.like
                    )
                    layers[read.path, tuple(read.bands)] = lattice, len(read.bands) * sensor.dtype.itemsize
                for mask in part.masks:
                    margin = sensor.radius + mask.radius
                    lattice = self._lattice(mask.path, mask.corner, mask.ratio, None, margin, False)
                    kind = self._files.get(mask.path).GetRasterBand(mask.band).DataType
                    layers[mask.path, (mask.band,)] = lattice, 1 if kind == gdal.GDT_Byte else 8
        self._files.close_own()  # the reading threads open their own, and all share how many may be open
        return layers

    def _lattice(
        self,
        path: str,
        corner: tuple[int, int],
        ratio: int,
        cover: Window | None,
        margin: int,
        smooth: bool,
        like: str = "",
    ) -> Lattice:
        dataset = self._files.get(path)
        size = dataset.RasterXSize, dataset.RasterYSize
        if path.endswith(".vrt") and not like:
            tile = VIRTUAL_TILE, VIRTUAL_TILE
        else:
            tile = tile_size(tuple(self._files.get(like or path).GetRasterBand(1).GetBlockSize()), ratio)
        whole = Window(*corner, size[0] * ratio, size[1] * ratio)
        return Lattice(corner, ratio, size, tile, whole if cover is None else cover, margin, smooth and ratio > 1)

    def give_back(self, series: Mapping[str, Series]) -> None:
        """Let later reads use the memory of series that nobody looks at any more: new memory costs time."""
        for one in series.values():
            self._memory.give_back(one.values)
            self._memory.give_back(one.mask)

    def let_go(self) -> None:
        """Free the blocks that GDAL has cached for this thread's data sets.

        GDAL's cache takes 5 % of the machine's memory by default and is shared with the program around: who reads a
        large stack block by block, and no block twice, calls this after each.
        """
        self._threads.each(self._files.let_go)

    def read_dates(self, name: str, window: Window, indices: Sequence[int]) -> Series:
        """As :meth:`read`, for one sensor and some of its dates (indices into its spec's dates)."""
        return self._read_sensor(self._sensors[name], window, indices)

    def validity(self, name: str, index: int, window: Window) -> tuple[np.ndarray, np.ndarray]:
        """Where a date holds data at all, and where it is valid: ``[H, W]`` each; valid is within data."""
        sensor = self._sensors[name]
        shape = (len(sensor.spec.bands), window.height, window.width)
        data = np.zeros(shape[1:], bool)
        valid = np.zeros(shape[1:], bool)
        for part in sensor.acquisitions[index]:
            values = np.zeros(shape, sensor.dtype)
            holds = self._covered(part, window)
            self._read_values(sensor, part, window, values, holds)
            data |= holds
            clear = self._covered(part, window)
            self._apply_masks(part, window, clear)
            valid |= clear & holds
        return data, valid

    def _read_sensor(self, sensor: SensorPlan, window: Window, indices: Sequence[int] | None = None) -> Series:
        chosen = range(len(sensor.acquisitions)) if indices is None else indices
        spec, height, width = sensor.spec, window.height, window.width
        values = self._memory.take((1, len(chosen), len(spec.bands), height, width), sensor.dtype)
        mask = self._memory.take((1, len(chosen), height, width), np.dtype(bool))
        if sensor.radius:
            self._read_filtered(sensor, chosen, window, values[0], mask[0])
        else:
            self._read_dates(sensor, chosen, window, values[0], mask[0])
        days = np.array([spec.days[index] for index in chosen], np.int32)
        return Series(values, mask, days)

    def _read_filtered(
        self, sensor: SensorPlan, chosen: Sequence[int], window: Window, values: np.ndarray, mask: np.ndarray
    ) -> None:
        """Fill ``values`` [T, C, H, W] and ``mask`` [T, H, W] with dates whose speckle is filtered, orbit by orbit."""
        radius = sensor.radius
        wide = window.grown(radius)
        inner = slice(radius, -radius)
        for dates in sensor.passes:
            wanted = [(place, dates.index(index)) for place, index in enumerate(chosen) if index in dates]
            if not wanted:
                continue
            raw = np.empty((len(dates), values.shape[1], wide.height, wide.width), values.dtype)
            valid = np.empty((len(dates), wide.height, wide.width), bool)
            self._read_dates(sensor, dates, wide, raw, valid)
            filtered = quegan(raw, valid, radius, [own for _, own in wanted])
            for result, (place, own) in zip(filtered, wanted, strict=True):
                values[place] = result
                mask[place] = valid[own, inner, inner]

    def parts(self, name: str, index: int, window: Window) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
        """The products of one date one by one: radar pass, values ``[C, H, W]`` and where they are valid ``[H, W]``."""
        sensor = self._sensors[name]
        for part in sensor.acquisitions[index]:
            values = np.zeros((len(sensor.spec.bands), window.height, window.width), sensor.dtype)
            valid = self._covered(part, window)
            self._apply_masks(part, window, valid)
            self._read_values(sensor, part, window, values, valid)
            yield part.orbit, values, valid

    def _read_dates(
        self, sensor: SensorPlan, dates: Sequence[int], window: Window, values: np.ndarray, valid: np.ndarray
    ) -> None:
        """Fill ``values`` [T, C, H, W] and ``valid`` [T, H, W], by all threads that are to read."""
        place: int | None = getattr(self._now, "place", None)

        def task(number: int, index: int) -> Callable[[], None]:
            def work() -> None:
                self._now.place = place
                self._read_date(sensor, sensor.acquisitions[index], window, values[number], valid[number])

            return work

        self._threads.run((index, task(number, index)) for number, index in enumerate(dates))

    def _read_date(
        self, sensor: SensorPlan, parts: list[PartPlan], window: Window, values: np.ndarray, valid: np.ndarray
    ) -> None:
        """Fill ``values`` [C, H, W] and ``valid`` [H, W] with the first valid part of each pixel."""
        filled = False
        for part in parts:
            clear = self._covered(part, window)
            if filled:
                clear &= ~valid
            if clear.any():
                self._apply_masks(part, window, clear)
            if not clear.any():
                continue
            if not filled:
                if window.intersection(part.cover) != window:
                    values.fill(0)
                self._read_values(sensor, part, window, values, clear)
                valid[...] = clear
                filled = True
                if valid.all():
                    return
                continue
            other = np.zeros_like(values)
            self._read_values(sensor, part, window, other, clear)
            np.copyto(values, other, where=clear)
            valid |= clear
        if not filled:
            values.fill(0)
            valid.fill(False)
        elif values.dtype.kind == "f":
            np.copyto(values, 0, where=~valid)  # a product would keep NaN
        elif not valid.all():
            values *= valid.astype(values.dtype)  # of one type: several times as fast

    def _covered(self, part: PartPlan, window: Window) -> np.ndarray:
        """True where the part's files have pixels, ``[H, W]``."""
        common = window.intersection(part.cover)
        if common == window:
            return np.ones((window.height, window.width), bool)
        covered = np.zeros((window.height, window.width), bool)
        covered[within(common, window)] = True
        return covered

    def _read_values(
        self, sensor: SensorPlan, part: PartPlan, window: Window, values: np.ndarray, valid: np.ndarray
    ) -> None:
        """Read the part's bands into ``values`` and take from ``valid`` what holds no data."""
        common = window.intersection(part.cover)
        if not common.width or not common.height:
            return
        rows, columns = within(common, window)
        for read in part.reads:
            first, last = read.channels[0], read.channels[-1]
            if read.ratio > 1:
                self._read_coarse(read, common, values[:, rows, columns], sensor.nodata)
            elif last - first + 1 == len(read.channels):
                self._read_into(read.path, read.bands, read.corner, common, values[first : last + 1, rows, columns])
            else:
                shape = (len(read.channels), common.height, common.width)
                buffer = np.empty(shape, values.dtype)
                self._read_into(read.path, read.bands, read.corner, common, buffer)
                values[read.channels, rows, columns] = buffer
        inside = valid[rows, columns]
        holds = np.empty(inside.shape, bool)
        for channel in values[:, rows, columns]:
            if sensor.nodata is not None:
                inside &= np.not_equal(channel, sensor.nodata, out=holds)
            if channel.dtype.kind == "f":
                inside &= np.isfinite(channel)
        if part.factors is not None:
            values[:, rows, columns] *= part.factors[:, None, None]

    def _apply_masks(self, part: PartPlan, window: Window, valid: np.ndarray) -> None:
        for mask in part.masks:
            wide = window.grown(mask.radius)
            clear = mask.valid(self._read_mask(mask, wide))
            if mask.radius:
                radius = mask.radius
                clear = ~dilate(~clear, radius)[radius:-radius, radius:-radius]
            valid &= clear

    def _read_coarse(self, read: ReadPlan, window: Window, values: np.ndarray, nodata: np.generic | None) -> None:
        """Read bands of larger pixels that lie on the grid and put their bilinear values into ``values`` [C, H, W]."""
        dataset = self._files.get(read.path)
        column, row = window.column - read.corner[0], window.row - read.corner[1]
        left, width = source_span(column, window.width, read.ratio, dataset.RasterXSize)
        top, height = source_span(row, window.height, read.ratio, dataset.RasterYSize)
        coarse = np.empty((len(read.bands), height, width), values.dtype)
        self._read_into(read.path, read.bands, (0, 0), Window(left, top, width, height), coarse)
        for band, channel in zip(coarse, read.channels, strict=True):
            bilinear(band, (top, left), (row, column), read.ratio, nodata, values[channel])

    def _read_mask(self, mask: MaskPlan, window: Window) -> np.ndarray:
        """Mask values ``[H, W]``, the nearest ones of larger pixels; 0 outside the file, as GDAL gives it."""
        dataset = self._files.get(mask.path)
        ratio = mask.ratio
        kind = np.uint8 if dataset.GetRasterBand(mask.band).DataType == gdal.GDT_Byte else np.float64
        values = np.zeros((window.height, window.width), kind)
        own = Window(*mask.corner, dataset.RasterXSize * ratio, dataset.RasterYSize * ratio)
        common = window.intersection(own)
        if not common.width or not common.height:
            return values
        rows, columns = within(common, window)
        if ratio == 1:
            self._read_into(mask.path, [mask.band], mask.corner, common, values[None, rows, columns])
            return values
        column, row = common.column - own.column, common.row - own.row
        left, top = column // ratio, row // ratio
        right, bottom = (column + common.width - 1) // ratio + 1, (row + common.height - 1) // ratio + 1
        coarse = np.empty((1, bottom - top, right - left), kind)
        self._read_into(mask.path, [mask.band], (0, 0), Window(left, top, right - left, bottom - top), coarse)
        fine = coarse[0].repeat(ratio, axis=0).repeat(ratio, axis=1)
        row, column = row - top * ratio, column - left * ratio
        values[rows, columns] = fine[row : row + common.height, column : column + common.width]
        return values

    def _read_into(
        self, path: str, bands: list[int], corner: tuple[int, int], window: Window, target: np.ndarray
    ) -> None:
        def decode(box: Window, values: np.ndarray) -> None:
            # What is needed again is kept in the own cache, but for files that are read several times a window.
            read = self._files.read_once if place is not None and path in self._once else self._files.read
            read(path, bands, box, values)

        place: int | None = getattr(self._now, "place", None)
        span = Window(window.column - corner[0], window.row - corner[1], window.width, window.height)
        layer = path, tuple(bands)
        if place is None or self._cache is None or not self._cache.read(layer, place, span, target, decode):
            decode(span, target)
