"""What is segmented: a raster as it lies, or chosen sensors and dates of a stack without their clouds."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence

import numpy as np
from osgeo import gdal

from ..base.errors import LandloomError
from ..base.freedmemory import give_back_freed_memory
from ..base.language import tr
from ..base.raster import open_raster, read_array
from ..mapping.chunks import Area
from ..mapping.mask import AreaMask
from ..networks.channels import to_db
from ..stack.composite import percentile
from ..stack.gapfill import gapfill
from ..stack.grid import Grid, Window
from ..stack.manifest import Stack
from ..stack.periods import periods_of
from ..stack.reader import StackReader
from ..stack.sensors import RADAR, STATIC, SensorSpec
from ..stack.unchanged import Unchanged
from .segmentation_superpixels import STRETCH

_SAMPLES = 8  # windows along each axis from which the stretch is measured
_SAMPLE_PIXELS = 128
_STRIPS = 2  # of a stack in memory at once, however many threads ask
_ROWS_KEPT, _COLUMNS_KEPT = 608, 4096  # of a row of chunks with its margins, as wide as tiles usually are


class RasterImage:
    """All bands of a raster at its own resolution, in the values of the file.

    A pixel is valid where every band has data; an alpha band says so too and is no band of the image.

    Raises:
        LandloomError: if it cannot be opened, is rotated, or has no CRS.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.name = os.fspath(path)
        self._dataset = open_raster(path)
        self._lock = threading.Lock()
        self._files = Unchanged(self._dataset)
        transform = self._dataset.GetGeoTransform()
        if transform[2] or transform[4] or transform[5] >= 0:
            raise LandloomError(
                tr("The raster {name} is rotated or upside down; warp it north up first.").format(name=self.name)
            )
        if not self._dataset.GetProjection():
            raise LandloomError(tr("The raster {name} has no CRS; assign one to it.").format(name=self.name))
        width, height = self._dataset.RasterXSize, self._dataset.RasterYSize
        self.grid = Grid(self._dataset.GetProjection(), transform, width, height)
        every = [self._dataset.GetRasterBand(index + 1) for index in range(self._dataset.RasterCount)]
        alpha = [band.GetColorInterpretation() == gdal.GCI_AlphaBand for band in every]
        self._bands = [index + 1 for index, is_alpha in enumerate(alpha) if not is_alpha]
        self._alpha = [index + 1 for index, is_alpha in enumerate(alpha) if is_alpha]
        if not self._bands:
            raise LandloomError(
                tr("The raster {name} has an alpha band only; give one with values.").format(name=self.name)
            )
        self._nodata = [every[index - 1].GetNoDataValue() for index in self._bands]
        self.bands = len(self._bands)
        # GDAL keeps the blocks of a row of chunks: of files in rows, whole rows.
        across, down = every[0].GetBlockSize()
        pixels = (_ROWS_KEPT + down) * min(width, _COLUMNS_KEPT + across)
        kinds = sum(gdal.GetDataTypeSize(band.DataType) / 8 for band in every)
        self.reading_mb = pixels * kinds / 2**20

    def read(self, window: Window) -> tuple[np.ndarray, np.ndarray]:
        """Values ``[C, H, W]`` float32 and validity ``[H, W]``; several threads may ask at once."""
        with self._lock:
            raw = read_array(self._dataset, (*window,), self._bands)
            alphas = [read_array(self._dataset, (*window,), [alpha])[0] for alpha in self._alpha]
        valid = np.ones(raw.shape[1:], bool)
        for band, nodata in zip(raw, self._nodata, strict=True):
            if nodata is not None and not np.isnan(nodata):
                valid &= band != band.dtype.type(nodata)
            if band.dtype.kind == "f":
                valid &= np.isfinite(band)
        for alpha in alphas:
            valid &= alpha > 0
        return raw.astype(np.float32), valid

    def check_unchanged(self) -> None:
        """Look again at the files, after reading.

        Raises:
            ChangedError: naming a file that is gone or has changed.
        """
        self._files.check()

    def let_go(self) -> None:
        """Free the blocks that GDAL keeps; a virtual raster only lets go of those of its files when it is closed."""
        with self._lock:
            if self._dataset.GetDriver().ShortName == "VRT":
                self._dataset = open_raster(self.name)
            else:
                self._dataset.FlushCache()


class StackImage:
    """Bands of a stack's sensors: at chosen dates, or their medians of each quarter.

    At chosen dates, what clouds hide is interpolated in time between the valid dates of the pixel. Medians of a quarter
    without a valid date are those of the whole period. Radar is in dB.

    Args:
        stack: a stack or the path of its ``stack.json``.
        sensors: names or choices such as ``S1``.
        dates: ISO dates, each of one of the sensors; none for medians.
        memory_mb: what reading may take.

    Raises:
        LandloomError: if a sensor or a date is not in the stack.
    """

    def __init__(
        self, stack: Stack | str | os.PathLike[str], sensors: Sequence[str], dates: Sequence[str], memory_mb: float
    ) -> None:
        self.stack = stack if isinstance(stack, Stack) else Stack.read(stack)
        self.grid = self.stack.grid
        self.reading_mb = memory_mb
        self._reader = StackReader(self.stack, list(sensors) or None, memory_mb=memory_mb)
        self._reader.bound_cache(memory_mb / 3)
        self._lock, self._strips = threading.Lock(), threading.BoundedSemaphore(_STRIPS)
        self._specs = self._reader.specs
        self.name = str(self.stack.path)
        for date in dates:
            if not any(date in spec.dates for spec in self._specs.values()):
                known = ", ".join(sorted({one for spec in self._specs.values() for one in spec.dates if one}))
                raise LandloomError(
                    tr("DATES: no image of {specs} is of {date}; there are {known}.").format(
                        specs=", ".join(self._specs), date=date, known=known
                    )
                )
        self._targets = {
            name: [day for date, day in zip(spec.dates, spec.days, strict=True) if date in dates]
            for name, spec in self._specs.items()
        }
        self._with_dates = bool(dates)
        self.bands = sum(len(spec.bands) * self._layers(spec) for spec in self._specs.values())
        if not self.bands:
            raise LandloomError(
                tr("DATES leave no band of {specs}; name dates of these sensors.").format(specs=", ".join(self._specs))
            )

    def _layers(self, spec: SensorSpec) -> int:
        if spec.kind == STATIC:
            return len(spec.dates)
        if self._with_dates:
            return len(self._targets[spec.name])
        return len(periods_of(spec.dates, "quarter", self.stack.season_start))

    def read(self, window: Window) -> tuple[np.ndarray, np.ndarray]:
        """Values ``[C, H, W]`` float32 and validity ``[H, W]``: every sensor has a valid date.

        Several threads may ask at once: while one reads, another takes medians.
        """
        values = np.zeros((self.bands, window.height, window.width), np.float32)
        valid = np.ones((window.height, window.width), bool)
        # Beside what is read, its values at chosen dates are in memory as float32 with what fills gaps; medians go
        # band by band.
        share = _STRIPS * (4 if self._with_dates else 2)
        step = max(1, min(window.height, self._reader.rows_in_memory(window.width) // share))
        for row in range(0, window.height, step):
            here = slice(row, min(row + step, window.height))
            with self._strips:
                with self._lock:
                    strip = Window(window.column, window.row + row, window.width, here.stop - row)
                    found = self._reader.read(strip)
                    self._reader.let_go()
                first = 0
                for name, series in found.items():
                    spec, mask = self._specs[name], series.mask[0]
                    bands = self._bands_of(spec, series.values[0], mask)
                    values[first : first + len(bands), here] = bands
                    valid[here] &= mask.all(axis=0) if spec.kind == STATIC else mask.any(axis=0)
                    first += len(bands)
                del found, series
        values *= valid
        return values, valid

    def check_unchanged(self) -> None:
        """As :meth:`RasterImage.check_unchanged`."""
        self._reader.check_unchanged()

    def let_go(self) -> None:
        """Free the blocks that GDAL keeps."""
        with self._lock:
            self._reader.let_go()

    def _bands_of(self, spec: SensorSpec, raw: np.ndarray, mask: np.ndarray) -> np.ndarray:
        """Bands ``[C', H, W]`` of a sensor's values ``[T, C, H, W]`` as they lie in the files."""
        if spec.kind == STATIC:
            return _physical(spec, raw).reshape(-1, *raw.shape[2:])
        if self._with_dates:
            targets = self._targets[spec.name]
            filled = gapfill(_physical(spec, raw)[None], mask[None], spec.days, targets)[0][0] if targets else raw[:0]
            return filled.reshape(-1, *raw.shape[2:])
        medians = []
        for band in range(raw.shape[1]):
            series = _physical(spec, raw[:, band])
            for period in periods_of(spec.dates, "quarter", self.stack.season_start):
                own = list(period.dates)
                median = percentile(series[own], mask[own], 50.0)
                hidden = np.isnan(median)
                if hidden.any():
                    whole = percentile(series[:, hidden][:, None], mask[:, hidden][:, None], 50.0)
                    median[hidden] = whole[0]
                medians.append(median)
        return np.nan_to_num(np.stack(medians))


def _physical(spec: SensorSpec, raw: np.ndarray) -> np.ndarray:
    """Values as they lie in the files as float32, with scale and offset, those of radar in dB."""
    values = raw.astype(np.float32)
    values *= np.float32(spec.scale)
    values += np.float32(spec.offset)
    if spec.kind == RADAR:
        to_db(values, spec.unit)
    return values


class StretchedImage:
    """Part of an image, inside a mask, each band stretched so that its 2nd and 98th percentile are 0 and 255.

    So SCALE means the same for reflectance x 10000, 12-bit counts, dB and descriptors: that of an 8-bit picture.

    Args:
        image: a :class:`RasterImage` or :class:`StackImage`.
        window: the part of it.
        mask: where to segment.

    Raises:
        LandloomError: if no pixel is valid.
    """

    def __init__(self, image: RasterImage | StackImage, window: Window, mask: AreaMask | None = None) -> None:
        self._image, self._window, self._mask = image, window, mask
        self._lock = threading.Lock()
        self.grid = image.grid.crop(window)
        self.width, self.height, self.bands = window.width, window.height, image.bands
        self._low = np.zeros((self.bands, 1, 1), np.float32)
        self._factor = np.ones((self.bands, 1, 1), np.float32)
        self._measure()

    def read(self, window: Window) -> tuple[np.ndarray, np.ndarray]:
        """Stretched values ``[C, H, W]`` float32, 0 where not valid, and validity ``[H, W]``."""
        values, valid = self._raw(window)
        values -= self._low
        values *= self._factor
        np.nan_to_num(values, copy=False)
        values *= valid
        return values, valid

    def let_go(self) -> None:
        """Free the blocks that GDAL keeps."""
        self._image.let_go()

    def _raw(self, window: Window) -> tuple[np.ndarray, np.ndarray]:
        there = Window(window.column + self._window.column, window.row + self._window.row, window.width, window.height)
        values, valid = self._image.read(there)
        if self._mask is not None:
            with self._lock:
                valid &= self._mask.read(Area(*there))
        return values, valid

    def _measure(self) -> None:
        """Percentiles of pixels in windows spread over the image; the same whatever the tiles."""
        side_x, side_y = min(_SAMPLE_PIXELS, self.width), min(_SAMPLE_PIXELS, self.height)
        rows = np.unique(np.linspace(0, self.height - side_y, _SAMPLES).astype(int)).tolist()
        columns = np.unique(np.linspace(0, self.width - side_x, _SAMPLES).astype(int)).tolist()
        sample = np.empty((self.bands, len(rows) * len(columns) * side_x * side_y), np.float32)
        count = 0
        for row in rows:
            for column in columns:
                values, valid = self._raw(Window(column, row, side_x, side_y))
                found = values[:, valid]
                sample[:, count : count + found.shape[1]] = found
                count += found.shape[1]
            self.let_go()
        sample = sample[:, :count] if count else self._search()
        # Band by band: of many bands the samples are hundreds of megabytes, which need not be there twice.
        low, high = np.transpose([np.percentile(band, [2, 98]) for band in sample])
        for place in np.flatnonzero(high <= low):  # such as a band of few rare values
            low[place], high[place] = sample[place].min(), sample[place].max()
        spread = np.where(high > low, high - low, STRETCH)
        self._low[:, 0, 0] = low
        self._factor[:, 0, 0] = STRETCH / spread
        del sample
        give_back_freed_memory()

    def _search(self) -> np.ndarray:
        """Valid pixels wherever they are: the first strip that has some."""
        for row in range(0, self.height, 256):
            values, valid = self._raw(Window(0, row, self.width, min(256, self.height - row)))
            if valid.any():
                return values[:, valid]
        raise LandloomError(
            tr("{image} has no valid pixel to segment: check EXTENT, MASK, DATES and the no-data values.").format(
                image=self._image.name
            )
        )
