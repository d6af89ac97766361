"""What a reader must know of a sensor before the first window: which files, which bands of them, which masks."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..base.errors import ChangedError, GoneError, LandloomError
from ..base.language import tr
from ..base.raster import is_remote, open_raster
from .encoding import factors
from .grid import Grid, Window, place
from .manifest import MaskRule, Part, Sensor
from .maskrules import valid_values
from .rasterinfo import size_and_time
from .sensors import SensorSpec
from .shift import moved_window, shift_or_none
from .speckle import speckle_radius


@dataclass(frozen=True)
class ReadPlan:
    """Bands of one data set that go to channels of the output."""

    path: str
    bands: list[int]
    channels: list[int]
    corner: tuple[int, int]  # of the data set's first pixel on the grid
    ratio: int = 1  # pixels of the grid along the edge of one of its pixels
    like: str = ""  # a file whose blocks a virtual raster follows


@dataclass(frozen=True)
class MaskPlan:
    """A mask raster and the test of its values."""

    path: str
    band: int
    corner: tuple[int, int]
    ratio: int
    valid_of_byte: np.ndarray  # [256] bool, for Byte masks
    few_invalid: list[int]  # the invalid bytes where they are few
    rule: MaskRule
    radius: int  # pixels

    def valid(self, values: np.ndarray) -> np.ndarray:
        if values.dtype != np.uint8:
            return valid_values(self.rule, values)
        if self.valid_of_byte.sum() == 1:
            return values == self.valid_of_byte.argmax()
        if not self.few_invalid:
            return self.valid_of_byte[values]
        clear = values != self.few_invalid[0]  # comparisons of bytes are quicker than a table
        for value in self.few_invalid[1:]:
            clear &= values != value
        return clear


@dataclass(frozen=True)
class PartPlan:
    """One product of a date: the pixels it covers, its files and masks, its radar pass and what it is levelled by."""

    cover: Window
    reads: list[ReadPlan]
    masks: list[MaskPlan]
    orbit: str = ""
    factors: np.ndarray | None = None  # [C] on the values, where orbits were brought to one mean


@dataclass(frozen=True)
class SensorPlan:
    """A sensor's dates in reading order, each with its parts; ``radius`` above 0 filters speckle."""

    spec: SensorSpec
    dtype: np.dtype
    nodata: np.generic | None
    acquisitions: list[list[PartPlan]]
    radius: int = 0

    @property
    def passes(self) -> list[list[int]]:
        """The dates of each relative orbit, among which speckle is filtered; dates of two orbits are their own."""
        groups: dict[tuple[str, ...], list[int]] = {}
        for index, parts in enumerate(self.acquisitions):
            groups.setdefault(tuple(sorted({part.orbit for part in parts})), []).append(index)
        return list(groups.values())

    @property
    def bytes_per_pixel(self) -> int:
        """What reading takes for one pixel, mask included."""
        per_date = len(self.spec.bands) * self.dtype.itemsize + 1
        filtered = max(len(dates) for dates in self.passes) * (per_date + 4) if self.radius and self.acquisitions else 0
        return len(self.acquisitions) * per_date + filtered


def plan_sensor(sensor: Sensor, wanted: Sequence[str] | None, grid: Grid, as_stored: bool = False) -> SensorPlan:
    """Plan the complete dates of a sensor.

    Args:
        sensor: as in the stack.
        wanted: its bands and their order; None for all.
        grid: of the stack.
        as_stored: leave out what is done to values after reading: levelling of orbits and the speckle filter.

    Raises:
        LandloomError: if it has no such band.
    """
    bands = tuple(wanted) if wanted else sensor.bands
    missing = [band for band in bands if band not in sensor.bands]
    if missing:
        raise LandloomError(
            tr("The sensor {sensor} has no band {missing}; it has {bands}.").format(
                sensor=sensor.name, missing=", ".join(missing), bands=", ".join(sensor.bands)
            )
        )
    spec = replace(sensor.spec, bands=bands)
    dtype = np.dtype(sensor.dtype)
    acquisitions = []
    for acquisition in sensor.complete:
        parts = [part for part in acquisition.parts if all(band in part.bands for band in sensor.bands)]
        acquisitions.append([_plan_part(sensor, part, bands, grid, as_stored) for part in parts])
    radius = 0 if as_stored else speckle_radius(sensor.speckle)
    return SensorPlan(spec, dtype, _as_type(sensor.nodata, dtype), acquisitions, radius)


def _plan_part(sensor: Sensor, part: Part, bands: Sequence[str], grid: Grid, as_stored: bool) -> PartPlan:
    """Files that lie on the grid are read as they are, several bands at once; the rest goes through the VRT.

    Where only values are changed, not places, virtual rasters are read in the blocks of their files: one in the file's
    own resolution (``_native``, see :mod:`.build`), or the whole one where that is the grid's.
    """
    reads: dict[str, ReadPlan] = {}
    order = list(part.bands)
    for channel, band in enumerate(bands):
        index, number = part.bands[band]
        source = part.sources[index]
        if source.corner is not None:
            read = reads.setdefault(source.path, ReadPlan(source.path, [], [], source.corner, source.ratio))
            read.bands.append(number)
        elif (native := _native_of(sensor, part, index, grid)) is not None:
            read = reads.setdefault(native.path, native)
            own = [name for name in order if part.bands[name][0] == index]
            read.bands.append(own.index(band) + 1)
        else:
            like = "" if is_remote(source.path) or _beside(part, "warped", index) or part.convert else source.path
            read = reads.setdefault(f"{part.data} {like}", ReadPlan(part.data, [], [], (0, 0), like=like))
            read.bands.append(order.index(band) + 1)
        read.channels.append(channel)
    whole = grid.whole
    cover = whole if part.cover is None else part.cover.intersection(whole)
    factors = None
    if part.shift_db and not as_stored:
        factors = np.array([10 ** (part.shift_db.get(band, 0.0) / 10) for band in bands], np.float32)
    masks = [_plan_mask(rule, grid) for rule in part.masks]
    return PartPlan(cover, list(reads.values()), masks, part.orbit, factors)


def _native_of(sensor: Sensor, part: Part, index: int, grid: Grid) -> ReadPlan | None:
    """The virtual raster in the own resolution of a file whose pixels are larger than the grid's, if there is one.

    Not for files of another scale: their values would be rounded before they are resampled.
    """
    names = [name for name in part.bands if part.bands[name][0] == index]
    if any((factors(sensor, part, name) or (1.0, 0.0))[0] != 1.0 for name in names):
        return None
    if part.convert is not None or is_remote(part.sources[index].path) or _beside(part, "warped", index):
        return None
    path = _beside(part, "native", index)
    if not path:
        return None
    dataset = open_raster(path)
    own = Grid(dataset.GetProjection(), dataset.GetGeoTransform(), dataset.RasterXSize, dataset.RasterYSize)
    placed = place(own, grid)
    if placed is None or placed[1] < 2:
        return None
    corner = moved_window(placed[0], shift_or_none(part.shift))[:2]
    return ReadPlan(path, [], [], corner, round(placed[1]), part.sources[index].path)


def _beside(part: Part, kind: str, index: int) -> str:
    """The path of a virtual raster of one file that lies beside that of the part; empty where there is none."""
    path = f"{part.data.removesuffix('.vrt')}_{kind}{index + 1}.vrt"
    return path if os.path.exists(path) else ""


def _plan_mask(rule: MaskRule, grid: Grid) -> MaskPlan:
    table = valid_values(rule, np.arange(256, dtype=np.uint8))
    invalid = np.flatnonzero(~table).tolist()
    few = invalid if len(invalid) <= 12 else []
    size = grid.resolution[0] * grid.metres_per_unit if rule.buffer else 1.0
    radius = math.ceil(rule.buffer / size) if rule.buffer else 0
    if rule.source.corner is not None:
        return MaskPlan(rule.source.path, rule.band, rule.source.corner, rule.source.ratio, table, few, rule, radius)
    return MaskPlan(rule.raster, 1, (0, 0), 1, table, few, rule, radius)


def check_sources(sensors: Sequence[Sensor]) -> None:
    """Compare every local file with what the stack remembers of it; asking a server for hundreds would take minutes.

    Raises:
        ChangedError: naming the first file that is gone or has another size or time.
    """
    checked = set()
    for sensor in sensors:
        for source in sensor.sources():
            if source.path in checked or is_remote(source.path):
                continue
            checked.add(source.path)
            try:
                size, time = size_and_time(source.path)
            except LandloomError as error:
                raise GoneError(
                    tr("The file {path} of the stack is gone; put it back or make the stack again.").format(
                        path=source.path
                    ),
                    source.path,
                ) from error
            if size != source.size or abs(time - source.time) > 2:  # file systems keep times to 2 s at worst
                raise ChangedError(
                    tr("The file {path} has changed since the stack was made; make the stack again.").format(
                        path=source.path
                    )
                )


def _as_type(nodata: float | None, dtype: np.dtype) -> np.generic | None:
    """The no-data value in the type of the values, None where that type cannot hold it."""
    if nodata is None:
        return None
    if dtype.kind == "f":
        return dtype.type(nodata)
    limits = np.iinfo(dtype)
    return dtype.type(nodata) if float(nodata).is_integer() and limits.min <= nodata <= limits.max else None
