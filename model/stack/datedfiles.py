"""The rasters that a user gives: which date and which bands each of them holds."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..base.errors import LandloomError
from ..base.language import tr
from ..base.progress import Progress
from .bandnames import common_name_parts, tidy_band
from .build import RasterInfos
from .calendar import find_date, parse_dates
from .rasterinfo import RasterInfo, absolute
from .sensors import STATIC

SUFFIXES = (".tif", ".tiff", ".jp2", ".vrt", ".img", ".png")
"""Of rasters in folders that a user gives."""


@dataclass(frozen=True)
class RasterSeries:
    """What the user says of the rasters; empty or None means: find out.

    Attributes:
        sensor: its name, of capitals, digits and underscores.
        kind: ``optical``, ``radar`` or ``static``.
        rasters: paths.
        dates: a list as text, or the path of a text file with it; one for each raster, or for each group of bands of a
            single raster.
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
class DatedFile:
    """One raster on one date: band name -> number."""

    info: RasterInfo
    date: str
    bands: dict[str, int] = field(default_factory=dict)


def rasters_in(folder: str, parameter: str) -> list[str]:
    """The rasters of a folder, by name, without those of folders in it.

    Raises:
        LandloomError: if there is none, or the folder cannot be read.
    """
    try:
        names = sorted(name for name in os.listdir(folder) if name.lower().endswith(SUFFIXES))
    except OSError as error:
        raise LandloomError(tr("{path} cannot be read: {error}.").format(path=folder, error=error.strerror)) from error
    if not names:
        raise LandloomError(
            tr("{parameter} names the folder {folder}, which holds no raster (such as .tif or .jp2) itself.").format(
                parameter=parameter, folder=folder
            )
        )
    return [os.path.join(folder, name) for name in names]


def dated_files(series: RasterSeries, infos: RasterInfos, progress: Progress) -> list[DatedFile]:
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
        raise LandloomError(tr("BANDS names a band twice: {names}.").format(names=", ".join(names)))
    if series.kind == STATIC:
        return _named([DatedFile(info, "", _numbers(info)) for info in opened], names, series)
    if series.dates.strip():
        return _named(_given_dates(series.dates, opened), names, series)
    files: list[DatedFile] = []
    described: list[DatedFile] = []
    for info in opened:
        found = [find_date(text) for text in info.descriptions]
        if all(found) and len({one[0] for one in found if one}) >= 1 and len(found) > 1:
            by_date: dict[str, DatedFile] = {}
            for number, one in enumerate(found, start=1):
                date, rest = one or ("", "")
                file = by_date.setdefault(date, DatedFile(info, date))
                band = rest or f"band_{len(file.bands) + 1}"
                if band in file.bands:
                    raise LandloomError(
                        tr("{path} has the band {band} twice on {date}; name its bands apart.").format(
                            path=info.path, band=band, date=date
                        )
                    )
                file.bands[band] = number
            described.extend(by_date.values())
            continue
        file_path = Path(info.path)
        at = find_date(file_path.stem) or find_date(file_path.parent.name) or (found[0] if len(found) == 1 else None)
        if at is None:
            raise LandloomError(
                tr(
                    "No date is found in the name of {path} nor in its band descriptions; rename it (as in "
                    "S2_20210103.tif) or give DATES."
                ).format(path=info.path)
            )
        files.append(DatedFile(info, at[0], _numbers(info)))
    return _named(files, names, series) + _renamed(described, names, series)


def _given_dates(text: str, infos: list[RasterInfo]) -> list[DatedFile]:
    dates = parse_dates(_text_of(text))
    if len(dates) == len(infos):
        return [DatedFile(info, date, _numbers(info)) for info, date in zip(infos, dates, strict=True)]
    if len(infos) == 1 and len(infos[0].dtypes) % len(dates) == 0:
        info, per_date = infos[0], len(infos[0].dtypes) // len(dates)
        return [
            DatedFile(
                info, date, {_description(info, k): k + 1 for k in range(place * per_date, (place + 1) * per_date)}
            )
            for place, date in enumerate(dates)
        ]
    if len(infos) == 1:
        raise LandloomError(
            tr(
                "DATES lists {n_dates} dates, but {path} has {n_dtypes} bands, no multiple of that; give one "
                "date for each group of bands."
            ).format(n_dates=len(dates), path=infos[0].path, n_dtypes=len(infos[0].dtypes))
        )
    raise LandloomError(
        tr("DATES lists {n_dates} dates for {n_infos} rasters; give one date for each raster, in their order.").format(
            n_dates=len(dates), n_infos=len(infos)
        )
    )


def _text_of(text: str) -> str:
    """The text itself, or what a text file of that name holds."""
    path = Path(text.strip())
    try:
        return path.read_text(encoding="utf-8") if path.suffix.lower() in (".txt", ".csv") else text
    except (OSError, UnicodeDecodeError) as error:
        raise LandloomError(
            tr("Cannot read the list of DATES {path}: {error}; give dates or a text file.").format(
                path=path, error=error
            )
        ) from error


def _numbers(info: RasterInfo) -> dict[str, int]:
    return {_description(info, index): index + 1 for index in range(len(info.dtypes))}


def _description(info: RasterInfo, index: int) -> str:
    text = info.descriptions[index].strip()
    return text if text and info.descriptions.count(info.descriptions[index]) == 1 else f"#{index + 1}"


def _named(files: list[DatedFile], names: list[str], series: RasterSeries) -> list[DatedFile]:
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


def _renamed(files: list[DatedFile], names: list[str], series: RasterSeries) -> list[DatedFile]:
    if not names:
        for file in files:
            file.bands = _tidied(file.bands, series, file.info.path)
        return files
    by_date: dict[str, list[DatedFile]] = {}
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
            tr(
                "BANDS lists {n_names} names ({names}), but {path} has {n_bands} bands{what}; give one name "
                "for each band."
            ).format(
                n_names=len(names),
                names=", ".join(names),
                path=group[0].info.path,
                n_bands=len(group[0].bands),
                what=f" on {date}" if date else "",
            )
        )
    return files


def _tidied(bands: dict[str, int], series: RasterSeries, path: str) -> dict[str, int]:
    tidy = {tidy_band(name, series.sensor, series.kind): number for name, number in bands.items()}
    if len(tidy) < len(bands):
        raise LandloomError(
            tr("Bands of {path} have the same name ({bands}); give BANDS.").format(path=path, bands=", ".join(bands))
        )
    return tidy
