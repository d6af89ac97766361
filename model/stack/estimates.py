"""What the next steps will take: minutes and disk, from one window read of this very stack and known speeds."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass

from ..base.language import tr
from ..base.progress import Progress
from ..base.raster import is_remote
from .grid import Window
from .manifest import Stack
from .reader import StackReader

_SAMPLE_DATES = 8
_PATIENCE = 2.0  # seconds for one sensor; JPEG 2000 shows how slow it is with fewer dates
_LARGEST = 512

# Pixels a second of `classify` for 300 values a pixel on two cores, by benchmarks/speed.py; the times grow with values.
SPEEDS = {"randomforest": 40_000, "ltae": 17_000, "tempcnn": 7_000, "twinns": 2_500}
_VALUES = 300
_MAP_BYTES = 0.5  # of map and confidence, compressed, a pixel
_COMPRESSED = 0.65  # of composites
SAMPLE_GROWTH = 2.5  # pixels stored for one sample, with a halo of 2 in patches of fields


@dataclass(frozen=True)
class Estimate:
    """What a step takes.

    Attributes:
        step: the algorithm and what for.
        minutes: on this machine.
        disk_mb: megabytes.
    """

    step: str
    minutes: float
    disk_mb: float

    def texts(self) -> tuple[str, str, str]:
        """Step, time and disk for people."""
        return self.step, duration_text(self.minutes), size_text(self.disk_mb)


def reading_speed(stack: Stack, progress: Progress | None = None) -> float:
    """Seconds to read a pixel of all dates and sensors, measured on one window in the middle of the grid.

    The window is a block of the files where that is at most 512 x 512, and some dates stand for all. NaN where files
    lie behind addresses: how fast a line is says little about the next hour.
    """
    progress = progress or Progress()
    if any(is_remote(source.path) for sensor in stack.sensors.values() for source in sensor.sources()):
        return float("nan")
    with StackReader(stack) as reader:
        width, height = (min(side, _LARGEST) for side in reader.block_size())
        dates = min(_SAMPLE_DATES, max(len(spec.dates) for spec in reader.specs.values()))
        grid = stack.grid
        column, row = grid.width // 2 // width * width, grid.height // 2 // height * height
        window = Window(column, row, width, height).intersection(grid.whole)
        seconds = 0.0
        for name, spec in reader.specs.items():
            count = len(spec.dates)
            chosen = sorted({count * number // dates for number in range(dates)})
            reader.read_dates(name, Window(column, row, 1, 1), chosen)  # opening the files is done once
            reader.let_go()
            begin, read = time.monotonic(), 0
            for index in chosen:
                progress.check()
                reader.read_dates(name, window, [index])
                read += 1
                if time.monotonic() - begin > _PATIENCE:
                    break
            seconds += (time.monotonic() - begin) * count / read
            reader.let_go()
    return seconds / (window.width * window.height)


def estimates(
    stack: Stack, seconds_per_pixel: float, samples: int = 10_000, networks: Sequence[str] = ("randomforest", "ltae")
) -> list[Estimate]:
    """The next steps: samples, composites, and the map by some networks.

    Args:
        stack: what is read.
        seconds_per_pixel: see :func:`reading_speed`.
        samples: how many are extracted.
        networks: keys of :data:`SPEEDS`.
    """
    grid = stack.grid
    pixels = grid.width * grid.height
    values = sum(len(sensor.complete) * len(sensor.bands) for sensor in stack.sensors.values())
    with StackReader(stack) as reader:
        bytes_per_pixel = reader.bytes_per_pixel
    reading = pixels * seconds_per_pixel / 60
    rows = [
        Estimate(
            tr("extractsamples, {count} samples with HALO 2").format(count=f"{samples:,}".replace(",", "\u202f")),
            reading * min(1.0, samples * SAMPLE_GROWTH * 16 / pixels),
            samples * SAMPLE_GROWTH * bytes_per_pixel / 2**20,
        )
    ]
    for name, sensor in stack.sensors.items():
        months = len({one.date[:7] for one in sensor.complete if one.date})
        if months:
            size = pixels * months * len(sensor.bands) * (4 if sensor.kind == "radar" else 2) * _COMPRESSED
            share = len(sensor.complete) * len(sensor.bands) / max(1, values)
            rows.append(
                Estimate(
                    tr("composite of {sensor}, monthly medians").format(sensor=name),
                    1.5 * share * reading,
                    size / 2**20,
                )
            )
    for network in networks:
        computing = pixels / SPEEDS[network] * values / _VALUES / 60
        # Reading overlaps computing; the slower one counts.
        minutes = reading if math.isnan(reading) else max(reading, computing)
        rows.append(
            Estimate(
                tr("classify the whole stack, {network}").format(network=network), minutes, pixels * _MAP_BYTES / 2**20
            )
        )
    return rows


def duration_text(minutes: float) -> str:
    """Minutes or hours, no more exact than an estimate is."""
    if math.isnan(minutes):
        return tr("unknown")
    if minutes < 1:
        return tr("under a minute")
    if minutes < 90:
        return f"{minutes:.0f} min"
    return f"{minutes / 60:.1f} h"


def size_text(megabytes: float) -> str:
    """Megabytes or gigabytes."""
    if megabytes < 1:
        return tr("under 1 MB")
    if megabytes < 1000:
        return tr("{size} MB").format(size=f"{megabytes:.0f}")
    return tr("{size} GB").format(size=f"{megabytes / 1024:.1f}")
