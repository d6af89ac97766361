"""Any rasters become a sensor: dates from names, band descriptions or a list, masks matched by date."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from ..base.errors import LandloomError
from ..base.progress import Progress
from .bandnames import common_name_parts, tidy_band
from .build import RasterInfos, meets, source_of, write_stack
from .calendar import DEFAULT_SEASON_START, check_season_start, find_date, parse_dates
from .choosegrid import choose_grid
from .deduce import deduce_radar_unit, deduce_scale
from .grid import Grid
from .join import common_dtype, incomplete_dates, join_parts, join_sensor, ordered_bands, overlap, redate
from .manifest import Acquisition, MaskRule, Part, Sensor, Stack
from .rasterinfo import RasterInfo, absolute
from .sensors import KINDS, OPTICAL, RADAR, STATIC

UNITS = ("db", "power", "amplitude")


@dataclass(frozen=True)
class RasterSeries:
    """What the user says of the rasters; empty or None means: find out.

    Attributes:
        sensor: its name, of capitals, digits and underscores.
        kind: ``optical``, ``radar`` or ``static``.
        rasters: paths.
        dates: a list as text; one for each raster, or for each group of bands of a single raster.
        bands: names as text, in the order of the files' bands.
        scale: ``physical = raw * scale + offset``.
        offset: see ``scale``.
        nodata: replaces what the files declare.
        radar_unit: ``db``, ``power`` or ``amplitude``.
        masks: paths; one for each date, or one for all.
        invalid_values: numbers as text.
        valid_values: numbers as text.
        crs: of a new stack.
        resolution: of a new stack, in units of its CRS.
        season_start: ``MM-DD``.
        campaign_year: year of the season's start.
    """

    sensor: str
    kind: str
    rasters: Sequence[str]
    dates: str = ""
    bands: str = ""
    scale: float | None = None
    offset: float | None = None
    nodata: float | None = None
    radar_unit: str = ""
    masks: Sequence[str] = ()
    invalid_values: str = ""
    valid_values: str = ""
    crs: str | None = None
    resolution: float | None = None
    season_start: str = ""
    campaign_year: int | None = None
    calibration: str = ""


@dataclass
class _File:
    """One raster on one date: band name -> number."""

    info: RasterInfo
    date: str
    bands: dict[str, int] = field(default_factory=dict)


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
    if series.kind not in KINDS:
        raise LandloomError(f"KIND is '{series.kind}'; choose one of: {', '.join(KINDS)}.")
    if series.radar_unit and series.radar_unit not in UNITS:
        raise LandloomError(f"RADAR_UNIT is '{series.radar_unit}'; choose one of: {', '.join(UNITS)}.")
    if not series.rasters:
        raise LandloomError("RASTERS is empty; give at least one raster.")
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
            f"Grid: {grid.width} x {grid.height} pixels of {grid.resolution[0]:g}; days count from "
            f"{stack.season_start} of {stack.campaign_year}."
        )
    else:
        if series.crs or series.resolution:
            progress.warning("CRS and RESOLUTION are ignored: the grid is that of STACK.")
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
            f"{name}: turned from {sensor.unit} into linear power, since files of another grid are resampled."
        )
    progress.info(f"{name}: {len(final.complete)} dates, bands {', '.join(final.bands)}.")
    return written


def dated_files(series: RasterSeries, infos: RasterInfos, progress: Progress) -> list[_File]:
    """Every raster with its date and bands; a raster of several dates comes once for each.

    Raises:
        LandloomError: if a date is missing, or if DATES or BANDS do not fit.
    """
    paths = [absolute(path) for path in series.rasters]
    opened = []
    for index, path in enumerate(paths):
        progress.check()
        opened.append(infos[path])
        progress.percent(40 * (index + 1) / len(paths))
    names = [name.strip() for name in re.split(r"[,;]", series.bands) if name.strip()]
    if len(set(names)) < len(names):
        raise LandloomError(f"BANDS names a band twice: {', '.join(names)}.")
    if series.kind == STATIC:
        return _named([_File(info, "", _numbers(info)) for info in opened], names, series)
    if series.dates.strip():
        return _named(_given_dates(series.dates, opened), names, series)
    files: list[_File] = []
    described: list[_File] = []
    for info in opened:
        found = [find_date(text) for text in info.descriptions]
        if all(found) and len({one[0] for one in found if one}) >= 1 and len(found) > 1:
            by_date: dict[str, _File] = {}
            for number, one in enumerate(found, start=1):
                date, rest = one or ("", "")
                file = by_date.setdefault(date, _File(info, date))
                band = rest or f"band_{len(file.bands) + 1}"
                if band in file.bands:
                    raise LandloomError(f"{info.path} has the band {band} twice on {date}; name its bands apart.")
                file.bands[band] = number
            described.extend(by_date.values())
            continue
        path = Path(info.path)
        at = find_date(path.stem) or find_date(path.parent.name) or (found[0] if len(found) == 1 else None)
        if at is None:
            raise LandloomError(
                f"No date is found in the name of {info.path} nor in its band descriptions; "
                "rename it (as in S2_20210103.tif) or give DATES."
            )
        files.append(_File(info, at[0], _numbers(info)))
    return _named(files, names, series) + _renamed(described, names, series)


def _given_dates(text: str, infos: list[RasterInfo]) -> list[_File]:
    dates = parse_dates(text)
    if len(dates) == len(infos):
        return [_File(info, date, _numbers(info)) for info, date in zip(infos, dates, strict=True)]
    if len(infos) == 1 and len(infos[0].dtypes) % len(dates) == 0:
        info, per_date = infos[0], len(infos[0].dtypes) // len(dates)
        return [
            _File(info, date, {_description(info, k): k + 1 for k in range(place * per_date, (place + 1) * per_date)})
            for place, date in enumerate(dates)
        ]
    if len(infos) == 1:
        raise LandloomError(
            f"DATES lists {len(dates)} dates, but {infos[0].path} has {len(infos[0].dtypes)} bands, "
            "no multiple of that; give one date for each group of bands."
        )
    raise LandloomError(
        f"DATES lists {len(dates)} dates for {len(infos)} rasters; give one date for each raster, in their order."
    )


def _numbers(info: RasterInfo) -> dict[str, int]:
    return {_description(info, index): index + 1 for index in range(len(info.dtypes))}


def _description(info: RasterInfo, index: int) -> str:
    text = info.descriptions[index].strip()
    return text if text and info.descriptions.count(info.descriptions[index]) == 1 else f"#{index + 1}"


def _named(files: list[_File], names: list[str], series: RasterSeries) -> list[_File]:
    """Give bands their names: BANDS, else the descriptions, else what file names do not have in common."""
    if names:
        return _renamed(files, names, series)
    unnamed = [file for file in files if any(name.startswith("#") for name in file.bands)]
    rests = common_name_parts([file.info.path for file in unnamed])
    for file, rest in zip(unnamed, rests, strict=True):
        single = len(file.bands) == 1
        file.bands = {
            (rest if single and rest else f"band_{place}"): number
            for place, number in enumerate(file.bands.values(), start=1)
        }
    for file in files:
        if len(file.bands) == 1:  # a lone band may still carry the date: "20210103_B4"
            found = find_date(next(iter(file.bands)))
            if found and found[1]:
                file.bands = {found[1]: next(iter(file.bands.values()))}
        file.bands = _tidied(file.bands, series, file.info.path)
    return files


def _renamed(files: list[_File], names: list[str], series: RasterSeries) -> list[_File]:
    if not names:
        for file in files:
            file.bands = _tidied(file.bands, series, file.info.path)
        return files
    by_date: dict[str, list[_File]] = {}
    for file in files:
        by_date.setdefault(file.date, []).append(file)
    for date, group in by_date.items():
        if all(len(file.bands) == len(names) for file in group):
            for file in group:
                file.bands = dict(zip(names, file.bands.values(), strict=True))
            continue
        if sum(len(file.bands) for file in group) == len(names):
            rest = iter(names)
            for file in group:
                file.bands = {next(rest): number for number in file.bands.values()}
            continue
        raise LandloomError(
            f"BANDS lists {len(names)} names ({', '.join(names)}), but {group[0].info.path} has "
            f"{len(group[0].bands)} bands{f' on {date}' if date else ''}; give one name for each band."
        )
    return files


def _tidied(bands: dict[str, int], series: RasterSeries, path: str) -> dict[str, int]:
    tidy = {tidy_band(name, series.sensor, series.kind): number for name, number in bands.items()}
    if len(tidy) < len(bands):
        raise LandloomError(f"Bands of {path} have the same name ({', '.join(bands)}); give BANDS.")
    return tidy


def _grid(series: RasterSeries, files: list[_File]) -> Grid:
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


def _one_per_grid(files: list[_File], date: str | None = None) -> list[_File]:
    return list({file.info.grid: file for file in files if date is None or file.date == date}.values())


def _sensor(
    name: str, series: RasterSeries, files: list[_File], infos: RasterInfos, existing: Sensor | None, progress: Progress
) -> Sensor:
    masks = _masks(series, {file.date for file in files}, infos, progress)
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
            progress.info(f"{name}: taken as {unit} because {why}; give RADAR_UNIT if that is wrong.")
        if nodata is None and unit != "db":
            nodata = 0.0
    elif series.kind == OPTICAL:
        unit = "reflectance"
        if scale is None and existing is not None:
            scale, offset = existing.scale, existing.offset if series.offset is None else offset
        if scale is None:
            scale, why = deduce_scale(examples, nodata)
            progress.info(f"{name}: SCALE taken as {scale:g} because {why}; give SCALE if that is wrong.")
    scale = 1.0 if scale is None else scale
    if scale == 0:
        raise LandloomError("SCALE is 0; give the factor that turns raw values into reflectance, such as 0.0001.")
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


def _place_part(parts: list[Part], part: Part, name: str, file: _File, infos: RasterInfos) -> None:
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
                f"The band {', '.join(shared)} of {name} comes twice on {file.date or 'its static layer'}: in {there} "
                f"and in {file.info.path}; leave one out, or give BANDS."
            )
    if candidates:
        index = max(candidates)[1]
        parts[index] = join_parts(parts[index], part)
    else:
        parts.append(part)


def _masks(series: RasterSeries, dates: set[str], infos: RasterInfos, progress: Progress) -> dict[str, list[MaskRule]]:
    """The masks of each date."""
    invalid, valid = (
        parse_numbers(series.invalid_values, "INVALID_VALUES"),
        parse_numbers(series.valid_values, "VALID_VALUES"),
    )
    if not series.masks:
        if invalid or valid:
            raise LandloomError("INVALID_VALUES and VALID_VALUES speak of masks, but MASKS is empty; give MASKS.")
        return {}
    if invalid and valid:
        raise LandloomError("Give either INVALID_VALUES or VALID_VALUES, not both.")
    if not invalid and not valid:
        valid = (0.0,)
        progress.info("MASKS: 0 means valid, any other value invalid; give INVALID_VALUES or VALID_VALUES otherwise.")
    by_date: dict[str, list[MaskRule]] = {}
    undated: list[MaskRule] = []
    for path in series.masks:
        progress.check()
        info = infos[absolute(path)]
        found = [find_date(text) for text in info.descriptions]
        several = len(found) > 1 and all(found)
        for number, one in enumerate(found if several else found[:1], start=1):
            rule = MaskRule(source_of(info), number, invalid or None, None, valid or None)
            at = one if several else find_date(Path(path).stem) or find_date(Path(path).absolute().parent.name) or one
            (by_date.setdefault(at[0], []) if at else undated).append(rule)
    if undated and (by_date or len(undated) > 1):
        raise LandloomError(f"No date is found in the name of the mask {undated[0].source.path}; rename it.")
    if undated:
        progress.info(f"The mask {undated[0].source.path} has no date: it holds for all dates.")
        return {date: undated for date in dates}
    without = sorted(dates - set(by_date))
    if len(without) == len(dates):
        raise LandloomError(
            f"No mask has a date of the rasters (masks: {min(by_date)} ..., rasters: {min(dates) or 'static'} ...); "
            "check MASKS."
        )
    if without:
        progress.warning(f"{len(without)} dates have no mask and are used whole: {', '.join(without[:10])}")
    return by_date


def parse_numbers(text: str, parameter: str) -> tuple[float, ...]:
    """Numbers from text separated by commas or blanks.

    Raises:
        LandloomError: naming the parameter, if an entry is no number.
    """
    try:
        return tuple(float(entry) for entry in re.split(r"[,;\s]+", text.strip()) if entry)
    except ValueError as error:
        raise LandloomError(f"{parameter} is '{text}'; give numbers separated by commas, such as 0,1,3.") from error


def _check_name(name: str) -> str:
    tidy = name.strip().upper()
    if not re.fullmatch(r"[A-Z0-9_]+", tidy):
        raise LandloomError(f"SENSOR is '{name}'; use capitals, digits and underscores, such as S2 or S1_ASC.")
    return tidy


def _in_float32(value: float | None) -> float | None:
    """Values below what float32 holds, as old GIS write for no data, become its lowest."""
    if value is None or np.isnan(value) or np.isinf(value):
        return None
    return float(np.clip(value, np.finfo(np.float32).min, np.finfo(np.float32).max))
