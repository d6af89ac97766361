"""Composites: one image without clouds for each month, quarter or season, from the valid dates of every pixel."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..base.errors import LandloomError
from ..base.files import whole_folder, write_json
from ..base.freedmemory import give_back_freed_memory
from ..base.language import tr
from ..base.progress import Progress
from ..base.values import check_choice
from ..base.words import counted
from .build import FILL
from .compositefiles import CompositeFiles, Layer, check_folder
from .grid import Bounds, Grid, Window
from .indices import check_indices, compute_index, index_bands, short_name
from .manifest import Stack
from .periods import PERIODS, Period, periods_of
from .reader import StackReader
from .sensors import RADAR, STATIC, SensorSpec
from .units import decibels, physical, power

MEDIAN, MAX_NDVI = "median", "max_ndvi"
STATISTICS = (MEDIAN, MAX_NDVI, "percentile_10", "percentile_25", "percentile_75", "percentile_90")

_LARGEST = 512  # pixels along the edge of what is read at once
_DATES_AT_ONCE = 4  # read between two questions whether to stop


@dataclass(frozen=True)
class CompositeSettings:
    """The choices of ``composite``: see its parameters."""

    sensor: str
    period: str = "month"
    statistic: str = MEDIAN
    indices: tuple[str, ...] = ()
    bounds: Bounds | None = None
    memory_mb: float = 1024


def composite(
    stack: Stack | str | os.PathLike[str],
    output: str | os.PathLike[str],
    settings: CompositeSettings,
    progress: Progress | None = None,
) -> list[Path]:
    """Write the composites of a sensor to a folder, whole or not at all.

    Medians and percentiles are those of the valid dates of each pixel and band, with linear interpolation; ``max_ndvi``
    takes all bands of the date with the highest NDVI. Radar is averaged as power and written in dB. Indices are
    computed at each date, then put through the same statistic. The masks are those that training sees.

    Returns:
        the rasters.

    Raises:
        LandloomError: if the sensor has no dates or bands for what is asked, or nothing can be written.
    """
    progress = progress or Progress()
    stack = stack if isinstance(stack, Stack) else Stack.read(stack)
    names = [name for name in stack.choose([settings.sensor])]
    if len(names) > 1:
        raise LandloomError(
            tr("SENSOR {sensor} means {names}; choose one of them.").format(
                sensor=settings.sensor, names=", ".join(names)
            )
        )
    spec = stack.spec(names[0])
    indices = _checked(spec, settings)
    window = _window(stack.grid, settings.bounds)
    periods = periods_of(spec.dates, settings.period, stack.season_start)
    layers = layers_of(spec, indices)
    output = Path(output)
    check_folder(output)
    progress.info(
        tr("{spec}: {dates} for {composites} of {rasters} each.").format(
            spec=spec.name,
            dates=counted(spec.dates, "date"),
            composites=counted(periods, "composite"),
            rasters=counted(layers, "raster"),
        )
    )
    with whole_folder(output) as folder, StackReader(stack, [spec.name], memory_mb=settings.memory_mb) as reader:
        reader.bound_cache(settings.memory_mb / 8)
        windows = _blocks(window, reader, spec, settings.memory_mb, bool(stack.sensor(spec.name).speckle))
        grid = stack.grid.crop(window)
        files = CompositeFiles(folder, grid, spec, layers, periods, settings.statistic, len(windows))
        for number, block in enumerate(windows):
            values, mask = _read(reader, spec, block, progress)
            for place, period in enumerate(periods):
                progress.check()
                dates = slice(period.dates[0], period.dates[-1] + 1)
                result = composite_of(values[dates], mask[dates], spec, layers, settings.statistic, progress)
                files.write(place, result, block.column - window.column, block.row - window.row)
            files.flush()
            reader.let_go()
            give_back_freed_memory()
            progress.percent(100 * (number + 1) / len(windows))
        empty = files.finish(progress)
        write_json(folder / "composite.json", _content(stack, spec, settings, periods, files))
    for period in empty:
        progress.warning(
            tr("No pixel is valid from {first} to {last}: that composite is empty.").format(
                first=period.first, last=period.last
            )
        )
    return [output / path.name for path in files.paths]


def composite_of(
    values: np.ndarray,
    mask: np.ndarray,
    spec: SensorSpec,
    layers: Sequence[Layer],
    statistic: str,
    progress: Progress | None = None,
) -> list[np.ndarray]:
    """The composite of some dates.

    Args:
        values: ``[T, C, H, W]`` raw values.
        mask: ``[T, H, W]``, True = valid.
        spec: the sensor.
        layers: what to compute, see :func:`layers_of`.
        statistic: one of :data:`STATISTICS`.
        progress: asked whether to stop.

    Returns:
        for each layer its bands ``[bands, H, W]`` in the layer's type, its no-data value where no date is valid.
    """
    progress = progress or Progress()
    best = None
    if statistic == MAX_NDVI:
        positions = index_bands("NDVI", spec.kind, spec.bands) or ()
        ndvi = compute_index("NDVI", [physical(values[:, position], spec) for position in positions])
        best = np.where(mask, ndvi, np.float32(-2)).argmax(axis=0)[None]
    some = mask.any(axis=0)
    results = []
    for layer in layers:
        result = np.empty((len(layer.bands), *some.shape), layer.dtype)
        for place in range(len(layer.bands)):
            progress.check()
            if layer.index:
                positions = index_bands(layer.index, spec.kind, spec.bands) or ()
                series = compute_index(layer.index, [_for_index(values[:, one], spec) for one in positions])
            elif spec.kind == RADAR:
                series = power(values[:, place], spec)
            else:
                series = values[:, place]
            if best is not None:
                chosen = np.take_along_axis(series, best, axis=0)[0].astype(np.float32)
            else:
                chosen = percentile(series, mask, 50.0 if statistic == MEDIAN else float(statistic.split("_")[1]))
            if spec.kind == RADAR and not layer.index:
                chosen = decibels(chosen)
            if layer.dtype != "float32":
                chosen = np.rint(chosen)
            result[place] = np.where(some, chosen, np.float32(layer.nodata))
        results.append(result)
    return results


def percentile(series: np.ndarray, mask: np.ndarray, percent: float) -> np.ndarray:
    """The percentile of the valid dates of each pixel, linear between them; NaN where none is valid.

    Args:
        series: ``[T, H, W]``.
        mask: ``[T, H, W]``, True = valid.
        percent: 0 to 100.

    Returns:
        ``[H, W]`` float32, as :func:`numpy.nanpercentile` gives it.
    """
    count = mask.sum(axis=0)
    ordered = np.where(mask, series, np.float32(np.inf)).astype(np.float32, copy=False)
    ordered.sort(axis=0)
    position = np.maximum(count - 1, 0) * (percent / 100.0)
    below = np.floor(position).astype(np.intp)
    above = np.minimum(below + 1, np.maximum(count - 1, 0))
    low = np.take_along_axis(ordered, below[None], axis=0)[0]
    high = np.take_along_axis(ordered, above[None], axis=0)[0]
    with np.errstate(invalid="ignore"):
        result = low + (high - low) * (position - below).astype(np.float32)
    return np.where(count > 0, result, np.float32(np.nan))


def layers_of(spec: SensorSpec, indices: Sequence[str]) -> list[Layer]:
    """What is written for each period: the bands, and a raster an index."""
    if spec.kind == RADAR:
        bands = Layer("", "", spec.bands, "float32", float("nan"))
    elif spec.dtype in ("float32", "float64"):
        bands = Layer("", "", spec.bands, "float32", float("nan"), spec.scale, spec.offset)
    else:
        dtype = "int16" if spec.dtype in ("uint8", "int8") else spec.dtype
        limits = np.iinfo(dtype)
        fits = spec.nodata is not None and float(spec.nodata).is_integer() and limits.min <= spec.nodata <= limits.max
        nodata = float(spec.nodata) if fits and spec.nodata is not None else float(FILL[dtype])
        bands = Layer("", "", spec.bands, dtype, nodata, spec.scale, spec.offset)
    layers = [bands]
    for index in indices:
        name = short_name(index)
        while any(one.name == name for one in layers):
            name += "_2"
        layers.append(Layer(name, index, (name,), "float32", float("nan")))
    return layers


def _checked(spec: SensorSpec, settings: CompositeSettings) -> tuple[str, ...]:
    check_choice("PERIOD", settings.period, PERIODS)
    check_choice("STATISTIC", settings.statistic, STATISTICS)
    if spec.kind == STATIC or not any(spec.dates):
        raise LandloomError(
            tr("The sensor {spec} has no dates; choose a SENSOR with a time series.").format(spec=spec.name)
        )
    check_indices(settings.indices)
    wanted = list(settings.indices) + (["NDVI"] if settings.statistic == MAX_NDVI else [])
    for name in wanted:
        if index_bands(name, spec.kind, spec.bands) is None:
            cause = (
                tr("STATISTIC max_ndvi needs red and near infrared")
                if name not in settings.indices
                else f"INDICES {name}"
            )
            raise LandloomError(
                tr("{cause}, but the sensor {spec} has only the bands {bands}; choose another.").format(
                    cause=cause, spec=spec.name, bands=", ".join(spec.bands)
                )
            )
    return settings.indices


def _window(grid: Grid, bounds: Bounds | None) -> Window:
    window = grid.whole if bounds is None else grid.window(bounds).intersection(grid.whole)
    if not window.width or not window.height:
        raise LandloomError(tr("EXTENT lies outside the stack; choose one that meets it."))
    return window


def _blocks(
    window: Window, reader: StackReader, spec: SensorSpec, memory_mb: float, whole_series: bool
) -> list[Window]:
    """Windows that fit in memory, along the blocks of the files where they can be."""
    pixel = reader.bytes_per_pixel + 24 * len(spec.dates) + 8 * len(spec.bands)
    most = max(64 * 64, int(memory_mb * 2**20 * 0.55 / pixel))
    width, height = (min(max(side, 64), _LARGEST) for side in reader.block_size())
    if whole_series:  # the speckle filter cannot be interrupted
        width, height = min(width, 128), min(height, 128)
    while width * height > most:
        width, height = (width // 2, height) if width >= height and width > 64 else (width, max(1, height // 2))
    while width * height * 4 <= most and width < _LARGEST and not whole_series:
        width, height = min(2 * width, _LARGEST), min(2 * height, _LARGEST)
    windows = []
    for row in range(window.row // height * height, window.row + window.height, height):
        for column in range(window.column // width * width, window.column + window.width, width):
            windows.append(Window(column, row, width, height).intersection(window))
    return windows


def _read(reader: StackReader, spec: SensorSpec, window: Window, progress: Progress) -> tuple[np.ndarray, np.ndarray]:
    """All dates of a window: values ``[T, C, H, W]`` and mask ``[T, H, W]``."""
    count = len(spec.dates)
    if reader.stack.sensor(spec.name).speckle:
        series = reader.read_dates(spec.name, window, range(count))
        return series.values[0], series.mask[0]
    values: np.ndarray | None = None
    mask = np.empty((count, window.height, window.width), bool)
    for first in range(0, count, _DATES_AT_ONCE):
        progress.check()
        dates = range(first, min(first + _DATES_AT_ONCE, count))
        series = reader.read_dates(spec.name, window, dates)
        if values is None:
            values = np.empty((count, *series.values.shape[2:]), series.values.dtype)
        values[dates.start : dates.stop] = series.values[0]
        mask[dates.start : dates.stop] = series.mask[0]
    if values is None:
        raise LandloomError(tr("Sensor {spec} has no dates to compose.").format(spec=spec.name))
    return values, mask


def _for_index(raw: np.ndarray, spec: SensorSpec) -> np.ndarray:
    """What indices are computed of: reflectance, or dB as in training."""
    return decibels(power(raw, spec)) if spec.kind == RADAR else physical(raw, spec)


def _content(
    stack: Stack, spec: SensorSpec, settings: CompositeSettings, periods: Sequence[Period], files: CompositeFiles
) -> dict[str, object]:
    return {
        "format": "landloom-composite",
        "stack": str(stack.path),
        "sensor": spec.name,
        "period": settings.period,
        "statistic": settings.statistic,
        "indices": list(settings.indices),
        "composites": [
            {"first": one.first, "last": one.last, "dates": [spec.dates[index] for index in one.dates], "files": names}
            for one, names in zip(periods, files.names, strict=True)
        ],
    }
