"""What is measured in objects: the dates of a stack, and other rasters at their own resolution."""

from __future__ import annotations

import os
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..base.errors import LandloomError
from ..base.gdalcache import CacheRoom, without_blocks
from ..base.language import tr
from ..base.raster import open_raster, read_array
from ..stack.grid import Grid, Window
from ..stack.indices import available_indices, check_applicable, compute_index, index_bands, short_name
from ..stack.manifest import Stack
from ..stack.rasterinfo import inspect
from ..stack.reader import StackReader
from ..stack.sensors import RADAR, STATIC, SensorSpec
from ..stack.unchanged import Unchanged
from ..stack.units import decibels, physical, power

LARGEST_SAMPLE = 1024
"""The grey levels of a texture span the 2nd to 98th percentile of at most so many rows and columns of a raster."""


_CACHE_MB = 16
_STRIP = 4_000_000  # pixels read at a time where only some of them are kept


class Layers(NamedTuple):
    """Planes that share their valid pixels.

    Attributes:
        names: ``[L]``, the beginning of their columns' names.
        values: ``[L, P]`` float32 of a window's pixels.
        valid: ``[P]`` bool.
        linear: ``[R, P]`` power of the first R, which are decibels: their means are taken of power.
    """

    names: list[str]
    values: np.ndarray
    valid: np.ndarray
    linear: np.ndarray | None = None


class Measured(ABC):
    """Something with pixels."""

    grid: Grid
    texture = False
    limits: list[tuple[float, float]] = []

    @property
    @abstractmethod
    def names(self) -> list[str]:
        """Beginnings of the names of the columns, in the order in which :meth:`layers` gives them."""

    @property
    @abstractmethod
    def bytes_per_pixel(self) -> int:
        """Memory that one pixel of a window takes while it is measured."""

    @abstractmethod
    def layers(self, window: Window, step: int = 1) -> Iterator[Layers]:
        """The planes of a window within the grid, some at a time; of every ``step``-th row and column."""

    @abstractmethod
    def check_unchanged(self) -> None:
        """Look again at the files, after reading.

        Raises:
            ChangedError: naming a file that is gone or has changed.
        """

    @abstractmethod
    def close(self) -> None:
        """Close the files, which Windows does not remove while they are open."""


class StackSource(Measured):
    """The dates of a stack's sensors with indices: reflectance, and decibels of radar, whose means are of power.

    Args:
        stack: what there is.
        sensors: names or choices; empty = all.
        indices: names; a sensor without their bands goes without.
        memory_mb: for reading.
        bands: bands by sensor, in the order wanted; None = all.

    Raises:
        LandloomError: if a sensor or an index fits nothing.
    """

    def __init__(
        self,
        stack: Stack,
        sensors: Sequence[str],
        indices: Sequence[str],
        memory_mb: float,
        bands: dict[str, Sequence[str]] | None = None,
    ) -> None:
        self.grid = stack.grid
        self.season = (stack.season_start, stack.campaign_year)
        self.reader = StackReader(stack, stack.choose(list(sensors) or None), bands, memory_mb)
        self.reader.bound_cache(memory_mb / 2)
        self.specs: dict[str, SensorSpec] = self.reader.specs
        check_applicable(indices, self.specs)
        self.asked = tuple(indices)
        self.indices = {name: available_indices(spec.kind, spec.bands, indices) for name, spec in self.specs.items()}

    @property
    def names(self) -> list[str]:
        return [
            column for name, spec in self.specs.items() for date in spec.dates for column in self._names(name, date)
        ]

    @property
    def dates(self) -> list[str]:
        """Sensor and date of every acquisition, as in the names of the columns."""
        return [
            name if spec.kind == STATIC else f"{name}_{date.replace('-', '')}"
            for name, spec in self.specs.items()
            for date in spec.dates
        ]

    def _names(self, name: str, date: str) -> list[str]:
        words = [name, date.replace("-", "")] if self.specs[name].kind != STATIC else [name]
        return ["_".join([*words, channel]) for channel in self.channels(name)]

    def channels(self, name: str) -> list[str]:
        """Bands and indices of a sensor."""
        return [*self.specs[name].bands, *map(short_name, self.indices[name])]

    @property
    def bytes_per_pixel(self) -> int:
        widest = max(len(self.channels(name)) for name in self.specs)
        return widest * 4 * 4 + 48  # raw, physical, linear, picked pixels as float64; coverage

    def layers(self, window: Window, step: int = 1) -> Iterator[Layers]:
        for name, spec in self.specs.items():
            for place, date in enumerate(spec.dates):
                raw, valid = self.raw(name, place, window, step)
                yield self._layers(name, self._names(name, date), raw, valid)
        self.reader.let_go()

    def raw(self, name: str, place: int, window: Window, step: int = 1) -> tuple[np.ndarray, np.ndarray]:
        """Values as read ``[C, P]`` and validity ``[P]`` of a window's pixels, of every ``step``-th row and column."""
        pieces = []
        for strip in strips(window, step):
            series = self.reader.read_dates(name, strip, [place])
            pieces.append((series.values[0, 0, :, ::step, ::step], series.mask[0, 0, ::step, ::step]))
        raw = np.concatenate([values.reshape(len(values), -1) for values, _mask in pieces], axis=1)
        return raw, np.concatenate([mask.ravel() for _values, mask in pieces])

    def _layers(self, name: str, names: list[str], raw: np.ndarray, valid: np.ndarray) -> Layers:
        spec = self.specs[name]
        linear = power(raw, spec) if spec.kind == RADAR else None
        planes = physical(raw, spec) if linear is None else decibels(linear)
        found = [
            compute_index(index, [planes[place] for place in index_bands(index, spec.kind, spec.bands) or ()])
            for index in self.indices[name]
        ]
        if found:
            planes = np.concatenate([planes, np.stack(found)])
        return Layers(names, planes, valid, linear)

    def check_unchanged(self) -> None:
        self.reader.check_unchanged()

    def close(self) -> None:
        self.reader.close()


class RasterSource(Measured):
    """A raster at its own resolution.

    Args:
        path: the file.
        texture: whether Haralick's measures are wanted of its bands.
        limits: value of the lowest and of the highest grey level of each band; None = from the raster.

    Raises:
        LandloomError: if it cannot be read.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        texture: bool = False,
        limits: Sequence[tuple[float, float]] | None = None,
    ) -> None:
        info = inspect(path)
        self.path, self.grid, self.texture = info.path, info.grid, texture
        self._nodata = info.nodata
        self._dataset = open_raster(info.path)
        self._room = CacheRoom(_CACHE_MB)
        self._files = Unchanged(self._dataset)
        stem = _plain(Path(path).stem)
        plain = [_plain(text) or f"b{number}" for number, text in enumerate(info.descriptions, start=1)]
        unique = plain if len(set(plain)) == len(plain) else [f"b{number}" for number in range(1, len(plain) + 1)]
        self._names = [f"{stem}_{name}" for name in unique]
        bands = [self._dataset.GetRasterBand(number) for number in range(1, len(unique) + 1)]
        self._scale = np.array([band.GetScale() or 1.0 for band in bands], np.float32)
        self._offset = np.array([band.GetOffset() or 0.0 for band in bands], np.float32)
        self.limits = list(limits) if limits is not None else self._find_limits() if texture else []
        if texture and len(self.limits) != len(unique):
            raise LandloomError(
                tr(
                    "The raster {path} has {n_unique} bands, but the model knows {n_limits}: give the raster "
                    "that was used for training, or one like it."
                ).format(path=path, n_unique=len(unique), n_limits=len(self.limits))
            )

    @property
    def names(self) -> list[str]:
        return self._names

    @property
    def bytes_per_pixel(self) -> int:
        return len(self._names) * 4 * 4 + 48 + (96 if self.texture else 0)

    def layers(self, window: Window, step: int = 1) -> Iterator[Layers]:
        pieces = [
            read_array(self._dataset, (one.column, one.row, one.width, one.height))[:, ::step, ::step]
            for one in strips(window, step)
        ]
        self._room.check(self._let_go)
        values, valid = self._clean(np.concatenate([piece.reshape(len(piece), -1) for piece in pieces], axis=1))
        everywhere = valid.all(axis=0)
        if everywhere.all() or np.array_equal(everywhere, valid.any(axis=0)):  # no data in all bands at once, as usual
            yield Layers(self._names, values, everywhere)
            return
        for name, plane, clear in zip(self._names, values, valid, strict=True):
            yield Layers([name], plane[None], clear)

    def check_unchanged(self) -> None:
        self._files.check()

    def close(self) -> None:
        self._dataset = None

    def _let_go(self) -> None:
        self._dataset = without_blocks(self._dataset)

    def _clean(self, raw: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        flat = raw.reshape(len(raw), -1)
        valid = np.ones(flat.shape, bool)
        for band, (plane, nodata) in enumerate(zip(flat, self._nodata, strict=True)):
            if plane.dtype.kind == "f":
                valid[band] &= np.isfinite(plane)
            if nodata is not None and np.isfinite(nodata):
                valid[band] &= plane != np.asarray(nodata).astype(plane.dtype)
        values = flat.astype(np.float32)
        if (self._scale != 1).any() or (self._offset != 0).any():
            values = values * self._scale[:, None] + self._offset[:, None]
        if not valid.all():
            values[~valid] = 0
        return values, valid

    def _find_limits(self) -> list[tuple[float, float]]:
        """2nd and 98th percentile of pixels spread over the raster."""
        width = min(self._dataset.RasterXSize, LARGEST_SAMPLE)
        height = min(self._dataset.RasterYSize, LARGEST_SAMPLE)
        raw = self._dataset.ReadAsArray(buf_xsize=width, buf_ysize=height)
        if raw is None:
            raise LandloomError(
                tr("Cannot read the pixels of {path}: it seems damaged; get it again.").format(path=self.path)
            )
        values, valid = self._clean(raw if raw.ndim == 3 else raw[None])
        limits = []
        for plane, clear in zip(values, valid, strict=True):
            if not clear.any():
                raise LandloomError(
                    tr("The raster {path} has a band without data: give another.").format(path=self.path)
                )
            low, high = np.percentile(plane[clear], [2, 98])
            limits.append((float(low), float(high)))
        return limits


def strips(window: Window, step: int) -> Iterator[Window]:
    """The window, or with a step above 1 rows of it at a time, each beginning at a multiple of the step."""
    height = window.height if step == 1 else max(1, _STRIP // max(1, window.width * step)) * step
    for row in range(0, window.height, height):
        yield Window(window.column, window.row + row, window.width, min(height, window.height - row))


def _plain(text: str) -> str:
    """A name of letters, digits and underscores."""
    return re.sub(r"\W+", "_", text).strip("_")[:40]
