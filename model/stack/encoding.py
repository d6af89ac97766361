"""One scale and offset for all products of a sensor, whatever each of them has.

Raw values stay as they lie where they already have the sensor's; others are changed by the VRT, which tests for no data
first: ``raw of the sensor = (physical - offset) / scale``. The sensor takes the lowest offset of its products, so that
no value below it is lost in whole numbers without a sign, and the finest scale.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from .manifest import Part, Sensor

_TYPES = ("uint8", "int8", "uint16", "int16", "uint32", "int32", "float32")


def common_dtype(names: Sequence[str]) -> str:
    """The smallest type that holds all; float64 becomes float32, enough for any measurement."""
    name = np.result_type(*names).name
    return name if name in _TYPES else "float32"


@dataclass(frozen=True)
class Encoding:
    """What raw values mean: ``physical = raw * scale + offset``, and how they are kept."""

    scale: float
    offset: float
    nodata: float | None
    dtype: str

    @property
    def values(self) -> tuple[float, float]:
        """Scale and offset."""
        return self.scale, self.offset


def common_encoding(encodings: Sequence[Encoding]) -> Encoding:
    """The encoding of a sensor whose files have these.

    Of several values without data the lowest is taken: 0 of unsigned files may be a value of signed ones.
    """
    scale, offset = min(one.scale for one in encodings), min(one.offset for one in encodings)
    alike = [one for one in encodings if one.values == (scale, offset)]
    if not alike:  # the finest scale from one product, the lowest offset from another
        return Encoding(scale, offset, 0.0, "uint16")
    dtype = common_dtype([one.dtype for one in alike])
    known = [one.nodata for one in alike if one.nodata is not None and not math.isnan(one.nodata)]
    if len(known) < len(alike) and dtype.startswith("float"):
        return Encoding(scale, offset, alike[0].nodata, dtype)
    return Encoding(scale, offset, min(known, default=None), dtype)


def one_encoding(first: Sensor, second: Sensor) -> tuple[Sensor, Sensor]:
    """Two optical sensors of one name that are to be joined, brought to one encoding; others as they are."""
    if (first.kind, first.unit) != (second.kind, second.unit) or first.unit != "reflectance":
        return first, second
    if (first.scale, first.offset) == (second.scale, second.offset):
        return first, second
    target = common_encoding([Encoding(one.scale, one.offset, one.nodata, one.dtype) for one in (first, second)])
    return _encoded(first, target), _encoded(second, target)


def factors(sensor: Sensor, part: Part, band: str) -> tuple[float, float] | None:
    """Ratio and offset from the raw values of a part's band to the sensor's; None where they are the same."""
    if band not in part.scales:
        return None
    scale, offset = part.scales[band]
    # decimal fractions such as 0.1 / 0.0001 are not exact: whole offsets must stay whole
    return round(scale / sensor.scale, 12), round((offset - sensor.offset) / sensor.scale, 9)


def _encoded(sensor: Sensor, target: Encoding) -> Sensor:
    """The sensor with another encoding; its parts keep in mind what their files hold."""
    own = (sensor.scale, sensor.offset)

    def marked(part: Part) -> Part:
        scales = {band: part.scales.get(band, own) for band in part.bands}
        return replace(part, scales={band: values for band, values in scales.items() if values != target.values})

    acquisitions = tuple(replace(one, parts=tuple(marked(part) for part in one.parts)) for one in sensor.acquisitions)
    return replace(
        sensor,
        scale=target.scale,
        offset=target.offset,
        nodata=target.nodata,
        dtype=target.dtype,
        acquisitions=acquisitions,
    )
