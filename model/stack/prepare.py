"""From a folder of products to a stack: what is found, used, skipped and why."""

from __future__ import annotations

import datetime
import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ..base.errors import LandloomError
from ..base.language import tr
from ..base.progress import Progress
from ..base.values import check_choice
from ..base.words import counted
from .build import RasterInfos, building, meets, source_of
from .calendar import DEFAULT_SEASON_START, check_season_start, parse_date
from .centring import centre_orbits, is_centred
from .choosegrid import choose_grid
from .cloudrules import CLOUD_RULES, STANDARD, with_cloud_rule
from .copying import TOGETHER, copying
from .encoding import Encoding, common_encoding, one_encoding
from .grid import Bounds, Grid
from .join import incomplete_dates, join_sensor, ordered_bands, redate
from .manifest import Acquisition, MaskRule, Part, Sensor, Stack
from .measure import check_offset, measure, sample_windows
from .oddities import empty_sensors, far_apart, long_pause, not_read
from .prepared import Line, Prepared, nothing_usable, reasons, taken
from .products import Choice, Product, find_products
from .products.base import SCL_INVALID
from .radar import one_calibration, radar_sensor, treated
from .sensors import OPTICAL, RADAR, STATIC, matches
from .skipdates import SKIPPED, is_skipped, unused_skips
from .stac.declared import believe
from .stac.links import with_good_links
from .stac.relink import Links
from .static import static_sensor
from .usermasks import add_user_masks
from .vetting import Skipped, chosen_bands, newest, one_processor, same_bands, whole_files


@dataclass(frozen=True)
class PrepareSettings:
    """The choices of ``preparestack``; None or empty means: find out.

    Attributes:
        sensors: names or choices such as ``S1`` to take; empty for all.
        crs: of a new stack.
        resolution: of a new stack, in units of its CRS.
        extent: bounds and their CRS.
        start: first date, ISO.
        end: last date, ISO.
        season_start: ``MM-DD``.
        campaign_year: year of the season's start.
        max_cloud: largest share of masked pixels among those with data, percent.
        mask_buffer: metres by which cloud masks grow.
        reflectance: ``FRE`` or ``SRE`` for Theia.
        orbits: ``direction`` or ``orbit``: one radar sensor a direction, or one a relative orbit; ``centred``: one a
            direction, with each orbit brought to the mean of all.
        scl_invalid: classes of Sen2Cor's scene classification that invalidate.
        speckle: name of the filter of radar series, see :mod:`.speckle`; empty for none.
        cloud_rule: how strictly the products' masks are used, see :mod:`.cloudrules`.
        user_masks: folder of the user's own masks by date, empty for none.
        user_mask_invalid: their values that invalidate, empty for all but 0.
        copy: folder that gets the pixels of the grid, empty to copy nothing.
        bands: of optical sensors that are taken, empty for all.
        skip_dates: pairs of a sensor (empty for every one) and an ISO date that are left out, see
            :func:`.skipdates.parse_skip_dates`.
    """

    sensors: Sequence[str] = ()
    crs: str | None = None
    resolution: float | None = None
    extent: tuple[Bounds, str] | None = None
    start: str = ""
    end: str = ""
    season_start: str = ""
    campaign_year: int | None = None
    max_cloud: float = 100.0
    mask_buffer: float = 0.0
    reflectance: str = "FRE"
    orbits: str = "direction"
    scl_invalid: tuple[int, ...] = SCL_INVALID
    speckle: str = ""
    cloud_rule: str = STANDARD
    user_masks: str = ""
    user_mask_invalid: str = ""
    copy: str = ""
    bands: Sequence[str] = ()
    skip_dates: Sequence[tuple[str, str]] = ()


def prepare_stack(
    folder: str | os.PathLike[str],
    output: str | os.PathLike[str],
    settings: PrepareSettings,
    stack_path: str | os.PathLike[str] | None = None,
    progress: Progress | None = None,
    before_commit: Callable[[Prepared], None] | None = None,
) -> Prepared:
    """Find the products of a folder and make a stack of them, or add them to a copy of one.

    ``before_commit`` gets the result while nothing is written yet but the VRTs in a temporary folder: reports and
    rasters made there fail before the stack does.

    Raises:
        LandloomError: if there is nothing to use, a product lacks a file, or nothing can be written.
    """
    progress = progress or Progress()
    settings = _checked(settings)
    infos = RasterInfos()
    progress.text(tr("Searching products"))
    sought = Choice(settings.reflectance, settings.orbits, settings.scl_invalid, tuple(settings.sensors))
    found = find_products(folder, sought, progress)
    result = Prepared(Stack(Path(output), Grid("", (0, 1, 0, 0, 0, -1), 1, 1), "01-01", 2000))
    result.lines += [Line("", "", name, False, why) for name, why in found.left_out]
    result.warnings += not_read(folder, found.unread, settings.user_masks)
    result.found = Counter((one.form, one.sensor) for one in found.products)
    products = _select(with_cloud_rule(found.products, settings.cloud_rule), settings, result)
    products = _kept(chosen_bands(products, settings.bands), result)
    products = with_good_links(products, progress)
    result.warnings += believe(products, infos, progress.part(0, 20))
    products = _kept(whole_files(products, infos, progress.part(20, 40)), result)
    products = _kept(one_processor(_kept(newest(products), result)), result)
    products, skipped, warnings = one_calibration(products)
    _kept((products, skipped), result)
    result.warnings += warnings
    existing = Stack.read(stack_path) if stack_path else None
    if existing is not None:
        products = _not_there_yet(products, existing, result)
    if not products:
        raise LandloomError(nothing_usable(folder, result))
    products, warnings = add_user_masks(products, settings.user_masks, settings.user_mask_invalid, infos, progress)
    result.warnings += warnings
    products, skipped, warnings = same_bands(products, bool(settings.bands))
    _kept((products, skipped), result)
    result.warnings += warnings
    if existing is None:
        grid = choose_grid(_reference_grids(products, infos), settings.crs, settings.resolution, settings.extent)
        stack = Stack(Path(output), grid, check_season_start(settings.season_start or DEFAULT_SEASON_START), 2000)
    else:
        if settings.crs or settings.resolution or settings.extent:
            result.warnings.append(tr("CRS, RESOLUTION and EXTENT are ignored: the grid is that of STACK."))
        stack = replace(existing, path=Path(output))
    products = _overlapping(products, stack.grid, infos, result)
    if not products:
        raise LandloomError(nothing_usable(folder, result))
    if existing is None and settings.extent is None:
        result.warnings += far_apart(stack.grid, products, infos)
    for sensor in make_sensors(products, infos, settings):
        there = stack.sensors.get(sensor.name)
        joined = sensor if there is None else join_sensor(*one_encoding(there, sensor), infos, mosaic=True)
        joined = treated(joined, settings.orbits == "centred", settings.speckle, result.warnings)
        result.warnings += incomplete_dates(joined)
        stack = stack.with_sensor(joined)
    season = check_season_start(settings.season_start or stack.season_start)
    year = settings.campaign_year or (existing.campaign_year if existing else None)
    stack = redate(stack, season, year)
    with building(stack, progress.part(40, 60), infos) as build:
        progress.text(tr("Measuring clouds"))
        new = {(product.sensor, product.date) for product in products}
        guarded = {(product.sensor, product.date) for product in products if product.guarded}
        links = {path: link for product in products for path, link in product.links.items()}
        kept = _measure(
            build.stack, new, guarded, links, settings, result, progress.part(60, 70 if settings.copy else 100)
        )
        if not any(sensor.complete for sensor in kept.sensors.values()):
            raise LandloomError(
                tr("No valid date is left in {folder}: {reasons}.").format(folder=folder, reasons=reasons(result))
            )
        radar = sorted({one.sensor for one in products if one.kind == RADAR} & set(kept.sensors))
        if settings.orbits != "centred":  # new dates of a sensor that is centred are centred too
            radar = [name for name in radar if is_centred(kept.sensors[name])]
        if radar:
            kept, told = centre_orbits(kept, radar, sample_windows(kept.grid), progress)
            result.notes += told
        kept = redate(kept, season, year)
        result.taken = taken(kept, products)
        result.warnings += [*long_pause(kept, settings.start, settings.end), *empty_sensors(kept, result.lines)]
        dropped = _dates_of(build.stack) - _dates_of(kept)
        build.forget(f"{name}_{date.replace('-', '')}" for name, date in dropped)
        with copying(build, kept, settings.copy, links, progress.part(70, 99)) as (final, chosen):
            result.stack = chosen
            if before_commit is not None:
                before_commit(result)
            result.stack = final.commit(chosen)
    for line in result.lines:
        if not line.used:
            progress.info(tr("Skipped {line}: {why}.").format(line=line.name, why=line.why))
    for message in result.warnings:
        progress.warning(message)
    for message in result.notes:
        progress.info(message)
    for name, sensor in result.stack.sensors.items():
        progress.info(
            tr("{name}: {dates}, bands {bands}.").format(
                name=name, dates=counted(sensor.complete, "date"), bands=", ".join(sensor.bands)
            )
        )
    grid = result.stack.grid
    progress.info(
        tr(
            "Grid: {width} x {height} pixels of {resolution:g}; days count from {season_start} of {campaign_year}."
        ).format(
            width=grid.width,
            height=grid.height,
            resolution=grid.resolution[0],
            season_start=result.stack.season_start,
            campaign_year=result.stack.campaign_year,
        )
    )
    return result


def make_sensors(products: Sequence[Product], infos: RasterInfos, settings: PrepareSettings) -> list[Sensor]:
    """Group products by sensor and date; several products of one date are several parts."""
    sensors = []
    for name in sorted({product.sensor for product in products}):
        own = [product for product in products if product.sensor == name]
        if own[0].kind != OPTICAL:
            make = radar_sensor if own[0].kind == RADAR else static_sensor
            sensors.append(make(name, own, lambda one: _part(one, infos, settings, None), infos))
            continue
        by_date: dict[str, list[Product]] = {}
        for product in own:
            by_date.setdefault(product.date, []).append(product)
        encodings = [
            Encoding(*product.values_of(band), product.nodata, infos[path].dtypes[number - 1])
            for product in own
            for band, (path, number) in product.bands.items()
        ]
        encoding = common_encoding(encodings)
        acquisitions = tuple(
            Acquisition(date, 0, tuple(_part(product, infos, settings, encoding) for product in by_date[date]))
            for date in sorted(by_date)
        )
        first = own[0]
        sensors.append(
            Sensor(
                name,
                first.kind,
                ordered_bands([band for product in own for band in product.bands]),
                encoding.dtype,
                encoding.scale,
                encoding.offset,
                encoding.nodata,
                first.unit,
                acquisitions=acquisitions,
            )
        )
    return sensors


def _part(product: Product, infos: RasterInfos, settings: PrepareSettings, encoding: Encoding | None) -> Part:
    paths = list(dict.fromkeys(path for path, _ in product.bands.values()))
    masks = tuple(
        MaskRule(
            source_of(infos[mask.path]),
            mask.band,
            mask.invalid_values,
            mask.invalid_bits,
            mask.valid_values,
            settings.mask_buffer if mask.buffered else 0.0,
        )
        for mask in product.masks
    )
    return Part(
        product.name,
        {band: (paths.index(path), number) for band, (path, number) in product.bands.items()},
        tuple(source_of(infos[path], product.nodata) for path in paths),
        masks,
        scales={}
        if encoding is None
        else {band: product.values_of(band) for band in product.bands if product.values_of(band) != encoding.values},
    )


def _checked(settings: PrepareSettings) -> PrepareSettings:
    """The settings with ISO dates."""
    start = parse_date(settings.start) if settings.start else ""
    end = parse_date(settings.end) if settings.end else ""
    settings = replace(settings, start=start, end=end)
    if settings.start and settings.end and settings.start > settings.end:
        raise LandloomError(
            tr("START {start} lies after END {end}; exchange them.").format(start=settings.start, end=settings.end)
        )
    if not 0 <= settings.max_cloud <= 100:
        raise LandloomError(
            tr("MAX_CLOUD is {max_cloud:g}; give a percentage from 0 to 100.").format(max_cloud=settings.max_cloud)
        )
    check_choice("CLOUD_RULE", settings.cloud_rule, CLOUD_RULES)
    if settings.mask_buffer < 0:
        raise LandloomError(
            tr("MASK_BUFFER is {mask_buffer:g}; give metres, 0 or more.").format(mask_buffer=settings.mask_buffer)
        )
    return settings


def _skip(result: Prepared, product: Product, why: str) -> None:
    result.lines.append(Line(product.sensor, product.date, product.name, False, why))


def _kept(vetted: tuple[list[Product], Skipped], result: Prepared) -> list[Product]:
    for product, why in vetted[1]:
        _skip(result, product, why)
    return vetted[0]


def _select(products: Sequence[Product], settings: PrepareSettings, result: Prepared) -> list[Product]:
    today = datetime.date.today().isoformat()
    kept = []
    for product in products:
        try:
            date = "static" if product.kind == STATIC else parse_date(product.date)
        except LandloomError:
            date = ""
        if settings.sensors and not any(matches(product.sensor, choice) for choice in settings.sensors):
            _skip(result, product, tr("{sensor} is not among SENSORS").format(sensor=product.sensor))
        elif date == "static":
            kept.append(product)
        elif not date or date > today:
            _skip(result, product, tr("{date} is no possible date").format(date=product.date))
        elif settings.start and date < settings.start:
            _skip(result, product, tr("before START {start}").format(start=settings.start))
        elif settings.end and date > settings.end:
            _skip(result, product, tr("after END {end}").format(end=settings.end))
        elif is_skipped(product.sensor, date, settings.skip_dates):
            _skip(result, product, tr(SKIPPED))
        else:
            kept.append(product)
    result.warnings += unused_skips(products, settings.skip_dates)
    return kept


def _not_there_yet(products: list[Product], stack: Stack, result: Prepared) -> list[Product]:
    parts = [part for sensor in stack.sensors.values() for one in sensor.acquisitions for part in one.parts]
    there = {name for part in parts for name in part.product.split(TOGETHER)}
    for product in products:
        if product.name in there:
            _skip(result, product, "already in STACK")
    return [product for product in products if product.name not in there]


def _reference_grids(products: list[Product], infos: RasterInfos) -> list[Grid]:
    """The rasters of the optical products, or of all where there is none."""
    optical = [product for product in products if product.kind == OPTICAL]
    optical = optical or [product for product in products if product.kind == RADAR] or products
    return list({infos[path].grid: None for product in optical for path, _ in product.bands.values()})


def _overlapping(products: list[Product], grid: Grid, infos: RasterInfos, result: Prepared) -> list[Product]:
    kept = []
    for product in products:
        if all(meets(infos[path].grid, grid) for path, _ in product.bands.values()):
            kept.append(product)
        else:
            _skip(result, product, tr("it does not overlap the grid"))
    return kept


def _measure(
    stack: Stack,
    new: set[tuple[str, str]],
    guarded: set[tuple[str, str]],
    links: Links,
    settings: PrepareSettings,
    result: Prepared,
    progress: Progress,
) -> Stack:
    """Shares of data and validity of each date; new dates without data or with too much cloud go."""
    windows = sample_windows(stack.grid)
    looked_at = stack.grid.width * stack.grid.height
    total = sum(len(sensor.complete) for sensor in stack.sensors.values()) or 1
    done = 0
    for name, sensor in stack.sensors.items():
        complete = sensor.complete
        kept = [acquisition for acquisition in sensor.acquisitions if acquisition not in complete]
        for found in complete:
            acquisition, shares, bad = measure(stack, sensor, found, windows, links, progress)
            result.lines += [Line(name, found.date, part.product, False, why) for part, why in bad]
            done += 1
            progress.percent(100 * done / total)
            if not acquisition.parts:
                continue
            looked_at = min(looked_at, shares.pixels)
            if (name, found.date) in guarded:
                check_offset(sensor, acquisition, shares)
            cloud = 1 - shares.valid / shares.data if shares.data else float("nan")
            names = ", ".join(part.product for part in acquisition.parts)
            why = ""
            if (name, found.date) in new:
                if shares.data == 0:
                    why = tr("wholly without data")
                elif 100 * cloud > settings.max_cloud:
                    why = tr("{cloud:.0f} % masked, above MAX_CLOUD {max_cloud:g} %").format(
                        cloud=100 * cloud, max_cloud=settings.max_cloud
                    )
            used = not why
            if used:
                kept.append(acquisition)
                why = "" if shares.valid else tr("no valid pixel")
            result.lines.append(Line(name, found.date, names, used, why, shares.valid / shares.pixels, cloud))
        stack = stack.with_sensor(replace(sensor, acquisitions=tuple(sorted(kept, key=lambda one: one.date))))
    if looked_at < stack.grid.width * stack.grid.height:
        result.notes.append(
            tr(
                "Shares of valid and masked pixels are estimated on at least {looked_at:,} pixels of each "
                "date, spread over the area, by the first band."
            ).format(looked_at=looked_at)
        )
    empty = [name for name, sensor in stack.sensors.items() if not sensor.acquisitions]
    for name in empty:
        result.warnings.append(tr("{name}: no date is left; the stack goes without it.").format(name=name))
    return replace(stack, sensors={name: one for name, one in stack.sensors.items() if name not in empty})


def _dates_of(stack: Stack) -> set[tuple[str, str]]:
    return {(name, one.date) for name, sensor in stack.sensors.items() for one in sensor.acquisitions}
