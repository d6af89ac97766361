"""The report of areas by class and zone."""

from __future__ import annotations

import os
from pathlib import Path

from ..base.html import Report, number
from ..base.language import tr
from ..base.provenance import gather
from ..base.reportfiles import write_facts, write_rows
from .areas import HEADER, Areas, pixel_sentence, table_rows

MOST_ZONES = 200


def write_report(areas: Areas, inputs: dict[str, str], path: str | os.PathLike[str]) -> None:
    """Write the page, and beside it its figures for other programs: ``_report.json`` and ``_areas.csv``.

    Args:
        areas: what was counted.
        inputs: parameter -> file.
        path: the page.
    """
    report = Report(tr("Areas"), Path(areas.map_path).name)
    report.warnings(areas.warnings)
    rows = list(table_rows(areas))
    whole = [row for row in rows if row[0] == tr("(whole map)")]
    estimated = any(row[7] is not None for row in whole)
    report.heading(tr("Whole map"))
    header = [tr("class"), tr("code"), tr("pixels"), tr("hectares counted"), tr("percent")]
    if estimated:
        header += [tr("estimated hectares"), tr("standard error (ha)"), tr("95 % interval (ha)")]
    table = []
    for _, name, code, pixels, hectares, percent, _, value, error, low, high in whole:
        line = [name, "" if code is None else str(code), pixels, number(hectares, 2), number(percent, 2)]
        if estimated:
            span = "" if low is None else f"{number(low, 1)} – {number(high, 1)}"
            line += ["" if value is None else number(value, 1), "" if error is None else number(error, 1), span]
        table.append(line)
    report.table(header, table)
    if estimated:
        report.paragraph(
            tr(
                "Estimated hectares are those of the probability sample: corrected for the errors of the map, with "
                "their interval. They hold for the whole map."
            )
        )
    report.paragraph(pixel_sentence() if areas.zones else _counted_sentence())
    if areas.zones:
        _zones(report, areas, [row for row in rows if row[0] != tr("(whole map)")])
    made = gather(inputs)
    report.provenance(made)
    report.write(path)
    content = {
        "map": areas.map_path,
        "zones": len(areas.zones),
        "areas": [dict(zip(HEADER, row, strict=True)) for row in rows],
        "warnings": list(areas.warnings),
    }
    write_facts(path, "areas", content, made)
    write_rows(path, "areas", HEADER, rows)


def _counted_sentence() -> str:
    return tr("Hectares counted are those of the map's pixels: they carry the errors of the map.")


def _zones(report: Report, areas: Areas, rows: list[list]) -> None:
    report.heading(tr("Zones (hectares, counted pixels)"))
    classes = list(dict.fromkeys(row[1] for row in rows))
    by_zone: dict[str, dict[str, float]] = {}
    for row in rows:
        by_zone.setdefault(row[0], {})[row[1]] = row[4]
    shown = list(by_zone)[:MOST_ZONES]
    table = [
        [zone, *(number(by_zone[zone].get(name, 0.0), 2) for name in classes), number(sum(by_zone[zone].values()), 2)]
        for zone in shown
    ]
    report.table([tr("zone"), *classes, tr("total")], table)
    if len(by_zone) > len(shown):
        report.paragraph(
            tr("The first {shown} of {all} zones; the table holds all.").format(shown=len(shown), all=len(by_zone))
        )
    report.paragraph(
        tr(
            "A pixel lies in a zone when its centre does. Zones and what is in none, less what is counted again, add "
            "up to the whole map."
        )
    )
