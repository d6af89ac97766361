"""The report of the difference of two maps."""

from __future__ import annotations

import os
from pathlib import Path

from ..base.html import Report, number
from ..base.language import tr
from ..base.provenance import gather
from ..base.reportfiles import write_facts, write_rows
from .difference import CLASS_HEADER, HEADER, Difference, ZoneChanges, class_rows, honest_sentence, table_rows
from .differenceclasses import change_name

MOST_CLASSES = 40
"""More classes make a matrix that nobody reads; the table holds all."""
_MOST_CHANGES, _MOST_ZONES = 20, 200


def write_report(found: Difference, inputs: dict[str, str], path: str | os.PathLike[str]) -> None:
    """Write the page, and beside it its figures: ``_report.json``, ``_changes.csv`` and ``_classes.csv``.

    Args:
        found: the difference.
        inputs: parameter -> file.
        path: the page.
    """
    report = Report(tr("Difference of two maps"), f"{Path(found.before).name} -> {Path(found.after).name}")
    report.warnings([honest_sentence(), *found.warnings])
    report.paragraph(summary(found))
    _largest(report, found)
    _classes(report, found)
    _matrix(report, found)
    if found.zones:
        _zones(report, found)
    made = gather(inputs)
    report.provenance(made)
    report.write(path)
    changes, classes = list(table_rows(found)), list(class_rows(found))
    content = {
        "before": found.before,
        "after": found.after,
        "compared_pixels": found.whole.pixels,
        "compared_hectares": found.whole.hectares,
        "changed_pixels": found.whole.changed.pixels,
        "changed_hectares": found.whole.changed.hectares,
        "no_data_pixels": found.no_data.pixels,
        "changes": [dict(zip(HEADER, row, strict=True)) for row in changes],
        "classes": [dict(zip(CLASS_HEADER, row, strict=True)) for row in classes],
        "warnings": [honest_sentence(), *found.warnings],
    }
    write_facts(path, "difference", content, made)
    write_rows(path, "changes", HEADER, changes)
    write_rows(path, "classes", CLASS_HEADER, classes)


def summary(found: Difference) -> str:
    """How much of what differs."""
    changed, whole = found.whole.changed, found.whole
    return tr(
        "{changed} of {whole} ha differ ({percent:.1f} %, {n} of {all} pixels with a class in both maps)."
    ).format(
        changed=number(changed.hectares, 2),
        whole=number(whole.hectares, 2),
        percent=100 * changed.pixels / max(1, whole.pixels),
        n=number(changed.pixels),
        all=number(whole.pixels),
    )


def _largest(report: Report, found: Difference) -> None:
    rows: list[list[object]] = []
    colors: list[str] = []
    for pair, code in found.codes.items():
        if pair[0] == pair[1] or len(rows) == _MOST_CHANGES:
            continue
        count = found.whole.counts[pair]
        share = 100 * count.hectares / found.whole.hectares
        name = change_name(found.classes[pair[0]], found.classes[pair[1]])
        rows.append([name, str(code), count.pixels, number(count.hectares, 2), number(share, 2)])
        colors.append(found.legend[found.legend.index_of(code)].color)
    if not rows:
        report.paragraph(tr("The maps are equal wherever both have a class."))
        return
    report.heading(tr("Largest differences"))
    header = [tr("from -> to"), tr("code"), tr("pixels"), tr("hectares counted"), tr("percent of what is compared")]
    report.table(header, rows, colors=colors)


def _classes(report: Report, found: Difference) -> None:
    report.heading(tr("Losses and gains of each class (hectares counted)"))
    rows = [row for row in class_rows(found) if row[0] == found.whole.name]
    table = [
        [name, *(number(one, 2) for one in numbers), number(percent, 1)] for _, name, _, _, *numbers, percent in rows
    ]
    header = [
        tr("class"),
        tr("before"),
        tr("after"),
        tr("unchanged"),
        tr("lost"),
        tr("gained"),
        tr("net"),
        tr("net, % of before"),
    ]
    report.table(header, table, colors=[one.color for one in found.classes])
    if len(found.classes) <= MOST_CLASSES:
        report.bars(
            tr("Net difference of each class"),
            [one.name for one in found.classes],
            [row[9] for row in rows],
            tr("hectares counted"),
            [one.color for one in found.classes],
        )


def _matrix(report: Report, found: Difference) -> None:
    if len(found.classes) > MOST_CLASSES:
        report.paragraph(
            tr("The matrix of {n} classes is too wide for a page; the table holds it.").format(n=len(found.classes))
        )
        return
    report.heading(tr("From each class to each class (hectares counted)"))
    report.confusion(
        found.whole.matrix(len(found.classes)),
        [one.name for one in found.classes],
        totals=True,
        digits=2,
        corner=f"{tr('before')} \\ {tr('after')}",
    )
    report.paragraph(tr("Rows are the classes of BEFORE, columns those of AFTER; shades are shares of the row."))


def _zones(report: Report, found: Difference) -> None:
    report.heading(tr("Zones"))
    shown = found.zones[:_MOST_ZONES]
    table = [[zone.name, *_zone_cells(zone, found)] for zone in shown]
    header = [tr("zone"), tr("hectares compared"), tr("hectares that differ"), tr("percent"), tr("largest difference")]
    report.table(header, table)
    if len(shown) < len(found.zones):
        report.paragraph(
            tr("The first {shown} of {all} zones; the table holds all.").format(shown=len(shown), all=len(found.zones))
        )
    report.paragraph(tr("A pixel lies in a zone when its centre does; the table has the matrix of each zone."))


def _zone_cells(zone: ZoneChanges, found: Difference) -> list[str]:
    changed = {pair: one.hectares for pair, one in zone.counts.items() if pair[0] != pair[1]}
    largest = max(changed, key=lambda pair: changed[pair]) if changed else None
    name = "" if largest is None else change_name(found.classes[largest[0]], found.classes[largest[1]])
    if largest is not None:
        name = f"{name} ({number(changed[largest], 2)} ha)"
    share = 100 * zone.changed.hectares / zone.hectares if zone.hectares else None
    return [number(zone.hectares, 2), number(zone.changed.hectares, 2), number(share, 1), name]
