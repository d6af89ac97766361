"""What concerns the channels of sensors: which sensors, which bands in which order, units, percentiles."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from ..base.errors import LandloomError
from ..base.language import tr
from ..stack.gapfill import target_days
from ..stack.indices import find_band
from ..stack.sensors import RADAR, STATIC, SensorSpec, matches

DB_FLOOR = -35.0  # below the noise floor of Sentinel-1 (about -22 dB NESZ) by a wide margin; keeps log10(0) out
PERCENTILES = (2.0, 98.0)


def choose_sensors(specs: dict[str, SensorSpec], choices: Sequence[str] | None) -> dict[str, SensorSpec]:
    """The sensors meant by choices such as ``S2`` or ``S1`` (every ``S1_*``); None or an empty list = all.

    Raises:
        LandloomError: if a choice fits no sensor.
    """
    if not choices:
        return dict(specs)
    for choice in choices:
        if not any(matches(name, choice) for name in specs):
            raise LandloomError(
                tr("There is no sensor {choice}: the data have {specs}. Choose among these.").format(
                    choice=choice, specs=listed(specs)
                )
            )
    return {name: spec for name, spec in specs.items() if any(matches(name, choice) for choice in choices)}


def group_of(name: str) -> str:
    """The branch of a sensor: ``S1`` for every ``S1_*``, else its own name."""
    return "S1" if name.startswith("S1_") else name


def same_band_order(specs: dict[str, SensorSpec]) -> dict[str, SensorSpec]:
    """Sensors of one group (orbits of S1) that have the same bands get them in the same order."""
    first: dict[str, tuple[str, ...]] = {}
    ordered = {}
    for name, spec in specs.items():
        bands = first.setdefault(group_of(name), spec.bands)
        same = len(bands) == len(spec.bands) and all(find_band(spec.bands, band) is not None for band in bands)
        ordered[name] = replace(spec, bands=bands) if same else spec
    return ordered


def target_days_of(specs: dict[str, SensorSpec], step: int) -> list[tuple[int, ...]]:
    """Target days of each sensor; sensors of one group (orbits of S1) share theirs."""
    joined: dict[str, list[int]] = {}
    for name, spec in specs.items():
        joined.setdefault(group_of(name), []).extend(spec.days)
    return [
        (spec.days[0] if spec.days else 0,) if spec.kind == STATIC else target_days(joined[group_of(name)], step)
        for name, spec in specs.items()
    ]


def percentiles(found: list[np.ndarray]) -> tuple[float, float]:
    """2nd and 98th percentile of the pieces of a channel; never equal, and 0 and 1 where there is no value."""
    values = np.concatenate(found) if found else np.zeros(0, dtype=np.float32)
    if not len(values):
        return 0.0, 1.0
    low, high = (float(value) for value in np.percentile(values, PERCENTILES))
    if high - low < 1e-6 * max(1.0, abs(low)):  # a constant channel becomes 0
        high = low + 1.0
    return low, high


def to_db(planes: np.ndarray, unit: str) -> None:
    """Turn radar backscatter into dB, in place; values of an unnamed unit are left alone."""
    if unit == "db":
        np.maximum(planes, np.float32(DB_FLOOR), out=planes)
    elif unit in {"power", "amplitude"}:
        decades = 10.0 if unit == "power" else 20.0
        np.maximum(planes, np.float32(10 ** (DB_FLOOR / decades)), out=planes)
        np.log10(planes, out=planes)
        planes *= np.float32(decades)


def source_bands(trained: SensorSpec, data: SensorSpec, warnings: list[str]) -> tuple[SensorSpec, tuple[int, ...]]:
    """How the data's bands map onto the trained ones."""
    if trained.kind != data.kind:
        raise LandloomError(
            tr("Sensor {trained} is {kind} in the data, but the model was trained on it as {kind2}.").format(
                trained=trained.name, kind=data.kind, kind2=trained.kind
            )
        )
    positions = [find_band(data.bands, band) for band in trained.bands]
    if any(position is None for position in positions):
        lacking = [band for band, position in zip(trained.bands, positions, strict=True) if position is None]
        raise LandloomError(
            tr(
                "Sensor {trained} lacks {lacking}: the model needs the bands {bands}, the data have {bands2}. "
                "Add the missing bands to the stack, or choose another model."
            ).format(
                trained=trained.name, lacking=listed(lacking), bands=listed(trained.bands), bands2=listed(data.bands)
            )
        )
    if trained.kind == RADAR and trained.calibration != data.calibration:
        if "unknown" in (trained.calibration or "unknown", data.calibration or "unknown"):
            warnings.append(
                tr(
                    "The calibration of {trained} is {calibration} in the data and {calibration2} in the "
                    "model: check that they agree."
                ).format(
                    trained=trained.name,
                    calibration=data.calibration or "unknown",
                    calibration2=trained.calibration or "unknown",
                )
            )
        else:
            raise LandloomError(
                tr(
                    "The radar calibration of {trained} is {calibration} in the data, but the model was "
                    "trained on {calibration2}. Use data of the same calibration, or train a model on these."
                ).format(trained=trained.name, calibration=data.calibration, calibration2=trained.calibration)
            )
    if trained.speckle != data.speckle:
        raise LandloomError(
            tr(
                "The speckle filter of {trained} is {speckle} in the data, but the model was trained with "
                "{speckle2}. Make the stack again with that SPECKLE, or train a model on these data."
            ).format(trained=trained.name, speckle=data.speckle or "none", speckle2=trained.speckle or "none")
        )
    return data, tuple(position for position in positions if position is not None)


def listed(names: Iterable[str]) -> str:
    """Names for a sentence."""
    return ", ".join(names) or "none"
