"""The report of an extraction: a page, and the same as JSON and CSV beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ..base.html import Report
from ..base.language import mark, tr
from ..base.provenance import Provenance
from ..base.reportfiles import write_facts, write_rows
from .extraction import Extraction
from .splits import PART_NAMES

MOST_SUSPECTS = 200
_PARTS = (mark("training"), mark("validation"), mark("test"))


def write_report(extraction: Extraction, path: str | Path, made: Provenance | None = None) -> None:
    """Write what was extracted as an HTML page with JSON and CSV beside it; ``made`` says how it came about."""
    _write_tables(extraction, path, made)
    sample_report(extraction, made).write(path)


def sample_report(extraction: Extraction, made: Provenance | None = None) -> Report:
    """The page: warnings, counts by class and part, curves, valid dates by month, suspect polygons."""
    report = Report(tr("Samples"), str(extraction.folder))
    provenance = extraction.description.get("provenance", {})
    settings = extraction.settings
    report.paragraph(
        tr(
            "{pixels} pixels of {features} features in {groups} groups, from {reference} (field {field}) on {stack}; "
            "{halo} pixels of context, seed {seed}."
        ).format(
            pixels=len(extraction),
            features=len(np.unique(extraction.polygons)),
            groups=len(np.unique(extraction.groups)),
            reference=provenance.get("reference"),
            field=settings.class_field,
            stack=provenance.get("stack"),
            halo=settings.halo,
            seed=settings.seed,
        )
    )
    report.paragraph(f"{_how_split(extraction)} {tr('Training never reads the test part.')}")
    report.warnings(extraction.warnings)
    _classes(report, extraction)
    _curves(report, extraction)
    _months(report, extraction)
    _suspects(report, extraction)
    if made is not None:
        report.provenance(made)
    return report


def _how_split(extraction: Extraction) -> str:
    settings = extraction.settings
    if settings.split_by == "field":
        return tr("The field {field} says what trains, validates and tests.").format(field=settings.split_field)
    dealt = (
        tr("Whole blocks of {size} m were dealt class by class:").format(size=f"{settings.block_size:g}")
        if settings.split_by == "block"
        else tr("Whole groups were dealt class by class:")
    )
    shares = tr(
        "{validation} % for validation, {test} % for the test. A class with one group is for training only, with two "
        "for training and test."
    ).format(validation=f"{100 * settings.validation:.0f}", test=f"{100 * settings.test:.0f}")
    return f"{dealt} {shares}"


def _class_facts(extraction: Extraction) -> list[dict[str, Any]]:
    """Counts and hectares of each class, in all and by part."""
    facts = []
    for index, one in enumerate(extraction.nomenclature):
        own = extraction.labels == index
        groups, split, hectares = extraction.groups[own], extraction.split[own], extraction.hectares[index]
        facts.append(
            {
                "code": one.code,
                "name": one.name,
                "features": len(np.unique(extraction.polygons[own])),
                "groups": len(np.unique(groups)),
                "pixels": int(own.sum()),
                "hectares": float(hectares.sum()),
                "parts": {
                    name: {
                        "groups": len(np.unique(groups[split == part])),
                        "pixels": int((split == part).sum()),
                        "hectares": float(hectares[part]),
                    }
                    for part, name in enumerate(PART_NAMES)
                },
            }
        )
    return facts


def _classes(report: Report, extraction: Extraction) -> None:
    report.heading(tr("Classes"))
    facts, colors = _class_facts(extraction), extraction.nomenclature.colors
    report.table(
        [tr("class"), tr("code"), tr("features"), tr("groups"), tr("pixels"), tr("ha")],
        [
            [one["name"], str(one["code"]), one["features"], one["groups"], one["pixels"], f"{one['hectares']:.2f}"]
            for one in facts
        ],
        colors=colors,
    )
    report.paragraph(
        tr("Pixels are those drawn (MAX_PER_GROUP, MAX_PER_CLASS); hectares are all labelled pixels of the features.")
    )
    report.heading(tr("Training, validation and test"))
    whats = (mark("{part}: groups"), mark("{part}: pixels"), mark("{part}: ha"))
    header = [tr("class"), *(tr(what).format(part=tr(part)) for part in _PARTS for what in whats)]
    rows = []
    for one in facts:
        cells = [one["name"]]
        for part in one["parts"].values():
            cells += [part["groups"], part["pixels"], f"{part['hectares']:.2f}"]
        rows.append(cells)
    report.table(header, rows, colors=colors)


def _curves(report: Report, extraction: Extraction) -> None:
    names, colors = extraction.nomenclature.names, extraction.nomenclature.colors
    for curve in extraction.curves.curves:
        report.heading(curve.title)
        label = tr("days since {date}").format(date=f"{extraction.season[1]}-{extraction.season[0]}")
        series = {name: curve.mean[i] for i, name in enumerate(names)}
        report.lines(tr("All classes: means"), curve.days.tolist(), series, label, curve.title, colors)
        report.paragraph(tr("By class: mean, and the band that holds 80 % of the pixels (10 to 90 %)."))
        pixels = np.bincount(extraction.labels, minlength=len(names))
        for i, name in enumerate(names):
            band = {name: (curve.mean[i], curve.low[i], curve.high[i])}
            title = tr("{name} (n = {count} pixels)").format(name=name, count=int(pixels[i]))
            report.lines(title, curve.days.tolist(), band, label, curve.title, [colors[i]])
    if not extraction.curves.curves:
        report.paragraph(tr("No sensor has red and near-infrared bands or a VH band: no curves are shown."))


def _months(report: Report, extraction: Extraction) -> None:
    if not extraction.curves.months:
        return
    report.heading(tr("Valid dates by month"))
    report.paragraph(tr("How many dates of a month are valid for a sample, on average."))
    for sensor, months in extraction.curves.months.items():
        report.bars(sensor, list(months), list(months.values()), tr("valid dates"))


def _suspect_rows(extraction: Extraction) -> list[list[Any]]:
    """Feature, class, class it looks like, distance of the suspect features, the worst first."""
    curves, names = extraction.curves, extraction.nomenclature.names
    found = np.flatnonzero(curves.suspect)
    return [
        [
            str(curves.polygons[i]),
            names[curves.labels[i]],
            names[curves.nearest[i]] if curves.nearest[i] >= 0 else None,
            float(curves.distance[i]),
        ]
        for i in found[np.argsort(-curves.distance[found])]
    ]


def _suspects(report: Report, extraction: Extraction) -> None:
    report.heading(tr("Polygons whose curve is unlike their class"))
    rows = _suspect_rows(extraction)
    if not rows:
        report.paragraph(tr("None stands out."))
        return
    report.paragraph(
        tr(
            "{count} of {all} features lie far from the usual curve of their class and nearer to another's. Nothing "
            "was left out because of it; look at them (red rim in the layer of points): the label may be wrong, or the "
            "class may need to be split."
        ).format(count=len(rows), all=len(extraction.curves.labels))
    )
    report.paragraph(
        tr("Distance: root mean square difference from the median curve of the class, in its standard deviations.")
    )
    header = [tr("feature"), tr("class"), tr("looks like"), tr("distance")]
    report.table(header, rows[:MOST_SUSPECTS])
    if len(rows) > MOST_SUSPECTS:
        report.paragraph(
            tr("The table shows the first {count}; the layer of points marks all of them.").format(count=MOST_SUSPECTS)
        )


def _write_tables(extraction: Extraction, path: str | Path, made: Provenance | None) -> None:
    facts = _class_facts(extraction)
    columns = ["code", "name", "features", "groups", "pixels", "hectares"]
    rows = [[one[key] for key in columns] for one in facts]
    for one, row in zip(facts, rows, strict=True):
        row += [value for part in one["parts"].values() for value in part.values()]
    columns += [f"{part}_{what}" for part in PART_NAMES for what in ("groups", "pixels", "hectares")]
    write_rows(path, "classes", columns, rows)
    suspects = _suspect_rows(extraction)
    write_rows(path, "suspects", ["feature", "class", "looks_like", "distance"], suspects)
    curves = [
        {
            "title": one.title,
            "days": one.days,
            "mean": one.mean,
            "low": one.low,
            "high": one.high,
        }
        for one in extraction.curves.curves
    ]
    content = {
        "samples": str(extraction.folder),
        "pixels": len(extraction),
        "classes": facts,
        "season": list(extraction.season),
        "curves": curves,
        "valid_dates_by_month": extraction.curves.months,
        "suspects": len(suspects),
        "warnings": extraction.warnings,
    }
    write_facts(path, "extractsamples", content, made)
