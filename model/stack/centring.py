"""Levelling the relative orbits of a direction: each orbit's mean backscatter is brought to the mean of all.

Passes of neighbouring orbits see a place under other angles of incidence, which shifts backscatter by a dB or two for
days at a time. The shift of each orbit and band is measured once, in dB, and stored with every product; the reader adds
it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ..base.language import tr
from ..base.progress import Progress
from .grid import Window
from .manifest import Sensor, Stack
from .reader import StackReader

FLOOR_DB = -35.0
ENOUGH = 100
"""Means are taken where all orbits have a valid date, so that land cover is the same, if that many pixels do."""


def is_centred(sensor: Sensor) -> bool:
    """Whether some product of a sensor has a shift."""
    return any(part.shift_db for one in sensor.acquisitions for part in one.parts)


def centre_orbits(
    stack: Stack, names: Sequence[str], windows: Sequence[Window], progress: Progress
) -> tuple[Stack, list[str]]:
    """Measure and store the shifts of some radar sensors, which hold linear power.

    Args:
        stack: built, so that it can be read.
        names: of the sensors.
        windows: where means are taken.
        progress: checked for every date.

    Returns:
        the stack with ``shift_db`` in every product, and what was done, a line for each sensor.
    """
    lines = []
    with StackReader(stack, sensors=list(names), as_stored=True) as reader:
        for name in names:
            sensor, line = _centred(stack.sensors[name], reader, windows, progress)
            stack = stack.with_sensor(sensor)
            lines.append(line)
    return stack, lines


def _centred(sensor: Sensor, reader: StackReader, windows: Sequence[Window], progress: Progress) -> tuple[Sensor, str]:
    pixels = sum(window.width * window.height for window in windows)
    sums: dict[str, np.ndarray] = {}
    counts: dict[str, np.ndarray] = {}
    dates: dict[str, int] = {}
    for index in range(len(sensor.complete)):
        start = 0
        for window in windows:
            progress.check()
            stop = start + window.width * window.height
            for orbit, values, valid in reader.parts(sensor.name, index, window):
                total = sums.setdefault(orbit, np.zeros((len(sensor.bands), pixels), np.float32))
                count = counts.setdefault(orbit, np.zeros(pixels, np.int32))
                clear = valid.ravel()
                power = np.maximum(values.reshape(len(values), -1)[:, clear], 10 ** (FLOOR_DB / 10))
                total[:, start:stop][:, clear] += 10 * np.log10(power)
                count[start:stop] += clear
            start = stop
        for orbit in {part.orbit for part in sensor.complete[index].parts}:
            dates[orbit] = dates.get(orbit, 0) + 1
    seen = {orbit: count for orbit, count in counts.items() if count.any()}
    if len(seen) < 2:
        return sensor, tr("{sensor}: all products are of one orbit ({orbit}); nothing to centre.").format(
            sensor=sensor.name, orbit=sensor.orbit or "unknown"
        )
    common = np.logical_and.reduce([count > 0 for count in seen.values()])
    shared = int(common.sum()) >= min(ENOUGH, pixels // 20)
    means = {}
    for orbit, count in seen.items():
        place = common if shared else count > 0
        means[orbit] = (sums[orbit][:, place].astype(np.float64) / count[place]).mean(axis=1)
    weights = np.array([dates[orbit] for orbit in means], np.float64)
    overall = np.average(np.array(list(means.values())), axis=0, weights=weights)
    shifts = {
        orbit: dict(zip(sensor.bands, np.round(overall - mean, 4).tolist(), strict=True))
        for orbit, mean in means.items()
    }
    acquisitions = tuple(
        replace(one, parts=tuple(replace(part, shift_db=shifts.get(part.orbit)) for part in one.parts))
        for one in sensor.acquisitions
    )
    told = "; ".join(
        f"{orbit} {', '.join(f'{band} {value:+.2f} dB' for band, value in shift.items())}"
        for orbit, shift in shifts.items()
    )
    where = "" if shared else tr(", each over its own area, since they have too little in common")
    return replace(sensor, acquisitions=acquisitions), tr(
        "{sensor}: orbits are brought to one mean{where}: {told}."
    ).format(sensor=sensor.name, where=where, told=told)
