"""The report of ``preparestack``: what was found, used, skipped and why; dates by sensor; gaps; what comes next."""

from __future__ import annotations

import datetime
import itertools
import math
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from ..base.csvtext import csv_text
from ..base.files import write_text
from ..base.html import Report
from ..base.language import tr
from ..base.progress import Progress
from ..base.provenance import Provenance
from ..base.raster import spatial_reference
from ..base.reportfiles import write_facts
from .datesplot import dates_plot
from .estimates import estimates, reading_speed, size_text
from .grid import Grid
from .manifest import Sensor
from .prepared import Line, Prepared
from .sensors import OPTICAL

LONG_GAP = 40
"""Days between two usable dates above which a crop can be missed."""

USABLE = 0.2
"""A date counts as usable for gaps when this share of the pixels is valid."""


def dates_table_path(path: str | os.PathLike[str]) -> Path:
    """The CSV beside a report: ``stack.html`` has ``stack_dates.csv``."""
    return Path(path).with_name(f"{Path(path).stem}_dates.csv")


def write_report(
    prepared: Prepared,
    path: str | os.PathLike[str],
    progress: Progress | None = None,
    made: Provenance | None = None,
) -> None:
    """Write the page and, beside it, every date and product as CSV; ``made`` says how the stack came about."""
    stack = prepared.stack
    sensors = list(stack.sensors.values())
    used = sorted((line for line in prepared.lines if line.used), key=lambda line: (line.sensor, line.date))
    skipped = sorted((line for line in prepared.lines if not line.used), key=lambda line: (line.sensor, line.date))
    report = Report(tr("Stack of images"), str(stack.path))
    report.warnings(prepared.warnings)
    report.paragraph(
        tr("{found} products found, {used} dates used, {skipped} products skipped.").format(
            found=sum(prepared.found.values()), used=len(used), skipped=len(skipped)
        )
    )
    report.paragraph(_grid_text(stack.grid))
    report.paragraph(
        tr("Days count from {start} of {year}.").format(start=stack.season_start, year=stack.campaign_year)
    )
    for note in prepared.notes:
        report.paragraph(note)
    report.heading(tr("What was found"))
    report.table(
        [tr("Archive"), tr("Sensor"), tr("Products found"), tr("Products used")],
        [[*key, count, prepared.taken[key]] for key, count in sorted(prepared.found.items())],
    )
    report.heading(tr("Sensors"))
    report.table(
        [
            tr("Sensor"),
            tr("Bands"),
            tr("Dates"),
            tr("First"),
            tr("Last"),
            tr("Unit"),
            tr("Mean valid share"),
            tr("Longest gap (days)"),
        ],
        [_sensor_row(sensor, prepared.lines) for sensor in sensors],
    )
    report.heading(tr("Dates and their valid share"))
    report.paragraph(
        tr(
            "A bar is a date, its height the share of the area's pixels that are valid; a grey mark under the line is "
            "a date that was skipped. Red: more than {days} days between two dates with at least {share} % valid "
            "pixels."
        ).format(days=LONG_GAP, share=f"{100 * USABLE:.0f}")
    )
    spans = {sensor.name: [gap for gap in gaps(sensor, prepared.lines) if gap[2] > LONG_GAP] for sensor in sensors}
    report.picture(dates_plot(sensors, prepared.lines, spans))
    report.warnings(gap_lines(sensors, prepared.lines))
    report.heading(tr("What comes next"))
    report.table(
        [tr("Step"), tr("Time"), tr("Disk")],
        [one.texts() for one in estimates(stack, reading_speed(stack, progress))],
    )
    report.paragraph(
        tr(
            "Times from reading one window of this stack on this machine, and from known speeds on two cores; half or "
            "double is possible."
        )
        + _free(stack.path)
    )
    report.heading(tr("Used: {count} dates").format(count=len(used)))
    report.table(
        [tr("Sensor"), tr("Date"), tr("Products"), tr("Valid, of the area"), tr("Masked, of its data"), tr("Remark")],
        [[line.sensor, line.date, line.name, _percent(line.valid), _percent(line.cloud), line.why] for line in used],
    )
    report.heading(tr("Skipped: {count}").format(count=len(skipped)))
    if skipped:
        report.table(
            [tr("Sensor"), tr("Date"), tr("Name"), tr("Why")],
            [[line.sensor, line.date, line.name, line.why] for line in skipped],
        )
    else:
        report.paragraph(tr("Nothing was skipped."))
    report.paragraph(tr("The same as a table: {name}").format(name=dates_table_path(path).name))
    if made is not None:
        report.provenance(made)
    _write_table([*used, *skipped], dates_table_path(path))
    _write_facts(prepared, path, made)
    report.write(path)


def _write_facts(prepared: Prepared, path: str | os.PathLike[str], made: Provenance | None) -> None:
    """Grid, season, sensors and warnings for other programs."""
    stack = prepared.stack
    sensors = []
    for name, sensor in stack.sensors.items():
        valid = [one.valid for one in prepared.lines if one.used and one.sensor == name and not math.isnan(one.valid)]
        sensors.append(
            {
                "name": name,
                "kind": sensor.kind,
                "bands": list(sensor.bands),
                "unit": sensor.unit,
                "calibration": sensor.calibration,
                "dates": [one.date for one in sensor.complete],
                "mean_valid_share": sum(valid) / len(valid) if valid else None,
                "longest_gap_days": max((days for _, _, days in gaps(sensor, prepared.lines)), default=None),
            }
        )
    content = {
        "stack": str(stack.path),
        "grid": stack.grid.to_json(),
        "season": {"start": stack.season_start, "year": stack.campaign_year},
        "sensors": sensors,
        "found": [{"archive": a, "sensor": s, "products": n} for (a, s), n in sorted(prepared.found.items())],
        "used_dates": sum(line.used for line in prepared.lines),
        "skipped_products": sum(not line.used for line in prepared.lines),
        "warnings": prepared.warnings,
    }
    write_facts(path, "preparestack", content, made)


def _write_table(lines: Sequence[Line], path: Path) -> None:
    rows: list[list[str]] = [["sensor", "date", "product", "used", "valid_share", "masked_share", "why"]]
    for line in lines:
        shares = ["" if math.isnan(share) else f"{share:.4f}" for share in (line.valid, line.cloud)]
        rows.append([line.sensor, line.date, line.name, "yes" if line.used else "no", *shares, line.why])
    write_text(path, csv_text(rows))


def _grid_text(grid: Grid) -> str:
    """Pixels, their size and the CRS for people."""
    crs = spatial_reference(grid.crs_wkt)
    x, y = grid.resolution
    if crs.IsGeographic():
        size, extent = f"{x:.9g} x {y:.9g} °", f"{x * grid.width:.4g} x {y * grid.height:.4g} °"
    else:
        metres = crs.GetLinearUnits() / 1000
        unit = "m" if abs(metres - 0.001) < 1e-12 else crs.GetLinearUnitsName()
        size = f"{x:g} x {y:g} {unit}"
        extent = f"{x * grid.width * metres:.4g} x {y * grid.height * metres:.4g} km"
    return tr("Grid: {width} x {height} pixels of {size} ({extent}), {crs}.").format(
        width=grid.width, height=grid.height, size=size, extent=extent, crs=crs.GetName()
    )


def gap_lines(sensors: Sequence[Sensor], lines: Sequence[Line]) -> list[str]:
    """A sentence for each gap that is too long."""
    optical = tr(
        "{sensor}: {days} days without a usable date, from {first} to {last}. Add dates there, raise MAX_CLOUD or use "
        "a CLOUD_RULE that is less strict; a crop of that time can be missed."
    )
    radar = tr("{sensor}: {days} days without a usable date, from {first} to {last}. Add dates there.")
    return [
        (optical if sensor.kind == OPTICAL else radar).format(sensor=sensor.name, days=length, first=first, last=last)
        for sensor in sensors
        for first, last, length in gaps(sensor, lines)
        if length > LONG_GAP
    ]


def _free(path: Path) -> str:
    """How much room there is where the stack lies."""
    folder = next((one for one in path.parents if one.is_dir()), None)
    if folder is None:
        return ""
    free = size_text(shutil.disk_usage(folder).free / 2**20)
    return " " + tr("Free in {folder}: {size}.").format(folder=folder, size=free)


def gaps(sensor: Sensor, lines: Sequence[Line]) -> list[tuple[str, str, int]]:
    """Pairs of neighbouring usable dates and the days between them."""
    valid = {line.date: line.valid for line in lines if line.used and line.sensor == sensor.name}
    dates = [one.date for one in sensor.complete if one.date and valid.get(one.date, 1.0) >= USABLE]
    return [
        (first, last, (datetime.date.fromisoformat(last) - datetime.date.fromisoformat(first)).days)
        for first, last in itertools.pairwise(dates)
    ]


def _sensor_row(sensor: Sensor, lines: Sequence[Line]) -> list[str]:
    valid = [line.valid for line in lines if line.used and line.sensor == sensor.name and not math.isnan(line.valid)]
    longest = max((length for _, _, length in gaps(sensor, lines)), default=None)
    dates = [one.date for one in sensor.complete]
    orbit = tr("orbit {orbit}").format(orbit=sensor.orbit) if sensor.orbit else ""
    unit = ", ".join(text for text in (sensor.unit, sensor.calibration, orbit, sensor.speckle) if text)
    return [
        sensor.name,
        ", ".join(sensor.bands),
        str(len(dates)),
        dates[0] if dates else "",
        dates[-1] if dates else "",
        unit,
        _percent(sum(valid) / len(valid)) if valid else "",
        "" if longest is None else str(longest),
    ]


def _percent(share: float) -> str:
    return "" if math.isnan(share) else f"{100 * share:.1f} %"
