"""Any rasters become a sensor: dates from names, band descriptions or a list, masks matched by date."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np

from ..base.errors import LandloomError
from ..base.language import tr
from ..base.progress import Progress
from ..base.values import check_choice
from ..base.words import counted
from .build import RasterInfos, meets, source_of, write_stack
from .calendar import DEFAULT_SEASON_START, check_season_start
from .choosegrid import choose_grid
from .datedfiles import DatedFile, RasterSeries, dated_files
from .datedmasks import dated_masks
from .deduce import deduce_radar_unit, deduce_scale
from .encoding import common_dtype
from .grid import Grid
from .join import incomplete_dates, join_parts, join_sensor, ordered_bands, overlap, redate
from .manifest import Acquisition, Part, Sensor, Stack
from .sensors import KINDS, OPTICAL, RADAR

UNITS = ("db", "power", "amplitude")


def add_rasters(
    series: RasterSeries, output: str | Path, stack_path: str | Path | None = None, progress: Progress | None = None
) -> Stack:
    """Make a stack of the rasters, or add them to a copy of one.

    Raises:
        LandloomError: if a raster cannot be used, a date is missing or given twice, or nothing can be written.
    """
    progress = progress or Progress()
    infos = RasterInfos()
    name = _check_name(series.sensor)
    check_choice("KIND", series.kind, KINDS)
    if series.radar_unit:
        check_choice("RADAR_UNIT", series.radar_unit, UNITS)
    if not series.rasters:
        raise LandloomError(tr("RASTERS is empty; give at least one raster."))
    stack = Stack.read(stack_path) if stack_path else None
    files = dated_files(series, infos, progress)
    existing = stack.sensors.get(name) if stack else None
    sensor = _sensor(name, series, files, infos, existing, progress)
    if stack is None:
        season = check_season_start(series.season_start or DEFAULT_SEASON_START)
        grid = _grid(series, files)
        stack = Stack(Path(output), grid, season, series.campaign_year or 2000, {name: sensor})
        stack = redate(stack, season, series.campaign_year)
        progress.info(
            tr(
                "Grid: {width} x {height} pixels of {resolution:g}; days count from {season_start} of {campaign_year}."
            ).format(
                width=grid.width,
                height=grid.height,
                resolution=grid.resolution[0],
                season_start=stack.season_start,
                campaign_year=stack.campaign_year,
            )
        )
    else:
        if series.crs or series.resolution:
            progress.warning(tr("CRS and RESOLUTION are ignored: the grid is that of STACK."))
        if existing is not None:
            sensor = join_sensor(existing, sensor, infos)
        season = check_season_start(series.season_start or stack.season_start)
        stack = replace(stack.with_sensor(sensor), path=Path(output))
        stack = redate(stack, season, series.campaign_year or stack.campaign_year)
    for line in incomplete_dates(stack.sensors[name]):
        progress.warning(line)
    written = write_stack(stack, progress, infos)
    final = written.sensors[name]
    if final.unit != sensor.unit:
        progress.info(
            tr("{name}: turned from {unit} into linear power, since files of another grid are resampled.").format(
                name=name, unit=sensor.unit
            )
        )
    progress.info(
        tr("{name}: {dates}, bands {bands}.").format(
            name=name, dates=counted(final.complete, "date"), bands=", ".join(final.bands)
        )
    )
    return written


def _grid(series: RasterSeries, files: list[DatedFile]) -> Grid:
    """The finest rasters of the first date, and of the other dates that meet it."""
    finest = min(file.info.grid.resolution[0] * file.info.grid.metres_per_unit for file in _one_per_grid(files))
    first = files[0].date
    chosen = [
        file.info.grid
        for file in _one_per_grid(files, first)
        if file.info.grid.resolution[0] * file.info.grid.metres_per_unit <= 1.01 * finest
    ]
    if not chosen:
        chosen = [min((file.info.grid for file in files), key=lambda grid: grid.resolution[0] * grid.metres_per_unit)]
    grid = choose_grid(chosen)
    meeting = [one.info.grid for one in _one_per_grid(files) if meets(one.info.grid, grid)]
    return choose_grid([*chosen, *meeting], series.crs, series.resolution)


def _one_per_grid(files: list[DatedFile], date: str | None = None) -> list[DatedFile]:
    return list({file.info.grid: file for file in files if date is None or file.date == date}.values())


def _sensor(
    name: str,
    series: RasterSeries,
    files: list[DatedFile],
    infos: RasterInfos,
    existing: Sensor | None,
    progress: Progress,
) -> Sensor:
    masks = dated_masks(series, {file.date for file in files}, infos, progress)
    declared = [
        value
        for file in files
        for value in (file.info.nodata[number - 1] for number in file.bands.values())
        if value is not None and not np.isnan(value)
    ]
    nodata = series.nodata if series.nodata is not None else (declared[0] if declared else None)
    scale, offset, unit = series.scale, series.offset or 0.0, ""
    examples = [(file.info.path, sorted(file.bands.values())) for file in files]
    if series.kind == RADAR:
        scale = 1.0 if scale is None else scale
        unit = series.radar_unit
        if not unit:
            unit, why = deduce_radar_unit(examples, scale, offset, nodata)
            progress.info(
                tr("{name}: taken as {unit} because {why}; give RADAR_UNIT if that is wrong.").format(
                    name=name, unit=unit, why=why
                )
            )
        if nodata is None and unit != "db":
            nodata = 0.0
    elif series.kind == OPTICAL:
        unit = "reflectance"
        if scale is None and existing is not None:
            scale, offset = existing.scale, existing.offset if series.offset is None else offset
        if scale is None:
            scale, why = deduce_scale(examples, nodata)
            progress.info(
                tr("{name}: SCALE taken as {scale:g} because {why}; give SCALE if that is wrong.").format(
                    name=name, scale=scale, why=why
                )
            )
    scale = 1.0 if scale is None else scale
    if scale == 0:
        raise LandloomError(tr("SCALE is 0; give the factor that turns raw values into reflectance, such as 0.0001."))
    by_date: dict[str, list[Part]] = {}
    for file in files:
        own = [file.info.nodata[number - 1] for number in file.bands.values()]
        value = series.nodata if series.nodata is not None else next((one for one in own if one is not None), nodata)
        part = Part(
            Path(file.info.path).stem,
            {band: (0, number) for band, number in file.bands.items()},
            (source_of(file.info, _in_float32(value)),),
            tuple(masks.get(file.date, ())),
        )
        _place_part(by_date.setdefault(file.date, []), part, name, file, infos)
    acquisitions = tuple(Acquisition(date, 0, tuple(parts)) for date, parts in sorted(by_date.items()))
    return Sensor(
        name,
        series.kind,
        ordered_bands([band for file in files for band in file.bands]),
        common_dtype([file.info.dtypes[number - 1] for file in files for number in file.bands.values()]),
        scale,
        offset,
        _in_float32(nodata),
        unit,
        (series.calibration or "unknown") if series.kind == RADAR else "",
        acquisitions=acquisitions,
    )


def _place_part(parts: list[Part], part: Part, name: str, file: DatedFile, infos: RasterInfos) -> None:
    """Join a file to the part of its date that lacks its bands, or begin another part (a tile of a mosaic)."""
    candidates = []
    for index, other in enumerate(parts):
        shared = sorted(set(other.bands) & set(part.bands))
        if not shared:
            share = overlap(other, part, infos)
            if share > 0:
                candidates.append((share, index))
            continue
        there = other.sources[other.bands[shared[0]][0]].path
        if infos[there].grid == file.info.grid:
            raise LandloomError(
                tr(
                    "The band {shared} of {name} comes twice on {date}: in {there} and in {path}; leave one "
                    "out, or give BANDS."
                ).format(
                    shared=", ".join(shared),
                    name=name,
                    date=file.date or tr("its static layer"),
                    there=there,
                    path=file.info.path,
                )
            )
    if candidates:
        index = max(candidates)[1]
        parts[index] = join_parts(parts[index], part)
    else:
        parts.append(part)


def _check_name(name: str) -> str:
    tidy = name.strip().upper()
    if not re.fullmatch(r"[A-Z0-9_]+", tidy):
        raise LandloomError(
            tr("SENSOR is '{name}'; use capitals, digits and underscores, such as S2 or S1_ASC.").format(name=name)
        )
    return tidy


def _in_float32(value: float | None) -> float | None:
    """Values below what float32 holds, as old GIS write for no data, become its lowest."""
    if value is None or np.isnan(value) or np.isinf(value):
        return None
    return float(np.clip(value, np.finfo(np.float32).min, np.finfo(np.float32).max))
