"""Joining new images to a stack: new bands on equal dates, new dates, new sensors; one origin of days for all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ..base.errors import LandloomError
from ..base.language import tr
from ..base.words import counted as counted_text
from .build import RasterInfos
from .calendar import day_of, default_campaign_year
from .encoding import common_dtype
from .grid import Bounds, reproject_bounds
from .manifest import Acquisition, MaskRule, Part, RadarUnit, Sensor, Stack
from .sensors import RADAR

S2_BANDS = ("B1", "B2", "B3", "B4", "B5", "B6", "B7", "B8", "B8A", "B9", "B10", "B11", "B12")


def ordered_bands(bands: Sequence[str]) -> tuple[str, ...]:
    """Sentinel-2 bands by wavelength, others in the order in which they came."""
    if all(band in S2_BANDS for band in bands):
        return tuple(sorted(set(bands), key=S2_BANDS.index))
    return tuple(dict.fromkeys(bands))


def join_sensor(existing: Sensor, new: Sensor, infos: RasterInfos, mosaic: bool = False) -> Sensor:
    """One sensor of two: new bands on equal dates, and new dates.

    Args:
        existing: the sensor of the stack.
        new: what joins it.
        infos: what is known of the files.
        mosaic: whether bands that are there on a date already join as further parts (another tile), or are an error.

    Raises:
        LandloomError: if kind, unit, scale or calibration differ, or if a band is already there on a date.
    """
    if existing.kind != new.kind:
        raise LandloomError(
            tr("The sensor {existing} of the stack is {kind}, not {kind2}; change KIND.").format(
                existing=existing.name, kind=existing.kind, kind2=new.kind
            )
        )
    new = _same_unit(existing, new)
    by_date = {acquisition.date: acquisition for acquisition in existing.acquisitions}
    for acquisition in new.acquisitions:
        there = by_date.get(acquisition.date)
        by_date[acquisition.date] = (
            acquisition if there is None else _join_date(existing.name, there, acquisition, infos, mosaic)
        )
    return replace(
        existing,
        bands=ordered_bands([*existing.bands, *new.bands]),
        dtype=common_dtype([existing.dtype, new.dtype]),
        nodata=new.nodata if existing.nodata is None else existing.nodata,
        orbit=existing.orbit if existing.orbit == new.orbit else "",
        acquisitions=tuple(by_date[date] for date in sorted(by_date)),
    )


def join_parts(first: Part, second: Part) -> Part:
    """One part with the bands, files and masks of both.

    Raises:
        LandloomError: if they are moved differently at reading.
    """
    if first.shift != second.shift:
        raise LandloomError(
            tr(
                "{product} was moved by coregister and {product2} was not: join their bands first, then run coregister."
            ).format(product=first.product, product2=second.product)
        )
    shift = len(first.sources)
    bands = dict(first.bands)
    bands.update({name: (index + shift, number) for name, (index, number) in second.bands.items()})
    masks = list(first.masks)
    known = {_mask_key(mask) for mask in masks}
    masks += [mask for mask in second.masks if _mask_key(mask) not in known]
    return replace(
        first,
        bands=bands,
        sources=first.sources + second.sources,
        masks=tuple(masks),
        scales={**first.scales, **second.scales},
    )


def overlap(first: Part, second: Part, infos: RasterInfos) -> float:
    """Share of the smaller part's bounds that both cover."""
    a, crs = _bounds(first, infos)
    b, other = _bounds(second, infos)
    b = reproject_bounds(b, other, crs)
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    smaller = min((a[2] - a[0]) * (a[3] - a[1]), (b[2] - b[0]) * (b[3] - b[1]))
    return max(0.0, width) * max(0.0, height) / smaller


def redate(stack: Stack, season_start: str, campaign_year: int | None) -> Stack:
    """Count all days from one origin; without a year, that of the season in the middle of the period."""
    dates = [one.date for sensor in stack.sensors.values() for one in sensor.acquisitions if one.date]
    if campaign_year is None:
        campaign_year = default_campaign_year(dates, season_start) if dates else 2000
    year = campaign_year

    def counted(acquisition: Acquisition) -> Acquisition:
        return replace(acquisition, day=day_of(acquisition.date, season_start, year) if acquisition.date else 0)

    sensors = {
        name: replace(sensor, acquisitions=tuple(counted(one) for one in sensor.acquisitions))
        for name, sensor in stack.sensors.items()
    }
    return replace(stack, season_start=season_start, campaign_year=year, sensors=sensors)


def incomplete_dates(sensor: Sensor) -> list[str]:
    """One line for the dates that lack bands of their sensor and are therefore not read."""
    missing: dict[tuple[str, ...], list[str]] = {}
    for acquisition in sensor.acquisitions:
        if not acquisition.holds(sensor.bands):
            have = {band for part in acquisition.parts for band in part.bands}
            missing.setdefault(tuple(band for band in sensor.bands if band not in have), []).append(acquisition.date)
    return [
        tr("{sensor}: not used, since without {bands}: {counted_text}, {dates}{what}").format(
            sensor=sensor.name,
            bands=", ".join(bands) or tr("all bands in one part"),
            counted_text=counted_text(dates, "date"),
            dates=", ".join(dates[:10]),
            what=" ..." if len(dates) > 10 else "",
        )
        for bands, dates in missing.items()
    ]


def _same_unit(existing: Sensor, new: Sensor) -> Sensor:
    """Bring the new files' unit to the sensor's where a VRT can do it."""
    if existing.kind == RADAR and existing.unit == "power" and new.unit in ("db", "amplitude"):
        convert = RadarUnit(new.unit, new.scale, new.offset)
        acquisitions = tuple(
            replace(one, parts=tuple(replace(part, convert=convert) for part in one.parts)) for one in new.acquisitions
        )
        new = replace(new, unit="power", scale=1.0, offset=0.0, nodata=None, dtype="float32", acquisitions=acquisitions)
    for what in ("unit", "scale", "offset", "calibration"):
        ours, theirs = getattr(existing, what), getattr(new, what)
        if ours != theirs:
            raise LandloomError(
                tr(
                    "The {what} of sensor {existing} is {ours} in the stack but {theirs} in the new files; "
                    "give {what2} if it was deduced wrongly, or choose another SENSOR name."
                ).format(
                    what=what,
                    existing=existing.name,
                    ours=ours or "unknown",
                    theirs=theirs or "unknown",
                    what2=what.upper(),
                )
            )
    return new


def _join_date(name: str, there: Acquisition, new: Acquisition, infos: RasterInfos, mosaic: bool) -> Acquisition:
    parts = list(there.parts)
    for part in new.parts:
        shared = sorted({band for old in there.parts for band in old.bands} & set(part.bands))
        if shared:
            if not mosaic:
                raise LandloomError(
                    tr(
                        "The sensor {name} already has {shared} on {date}; leave {product} out, or choose "
                        "another SENSOR name."
                    ).format(
                        name=name,
                        shared=", ".join(shared),
                        date=new.date or tr("its static layer"),
                        product=part.product,
                    )
                )
            parts.append(part)
            continue
        shares = [overlap(old, part, infos) if not set(old.bands) & set(part.bands) else 0.0 for old in parts]
        best = int(np.argmax(shares))
        if shares[best] > 0:
            parts[best] = join_parts(parts[best], part)
        else:
            parts.append(part)
    return replace(there, parts=tuple(parts))


def _bounds(part: Part, infos: RasterInfos) -> tuple[Bounds, str]:
    grid = infos[part.sources[0].path].grid
    return grid.bounds, grid.crs_wkt


def _mask_key(mask: MaskRule) -> tuple[object, ...]:
    return mask.source.path, mask.band, mask.invalid_values, mask.invalid_bits, mask.valid_values, mask.buffer
