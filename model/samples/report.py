"""The report of an extraction."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..base.html import Report
from ..base.provenance import Provenance
from .extraction import Extraction
from .splits import PART_NAMES

MOST_SUSPECTS = 200


def write_report(extraction: Extraction, path: str | Path, made: Provenance | None = None) -> None:
    """Write what was extracted as an HTML page, whole or not at all; ``made`` says how it came about."""
    sample_report(extraction, made).write(path)


def sample_report(extraction: Extraction, made: Provenance | None = None) -> Report:
    """The page: warnings, counts by class and part, curves, valid dates by month, suspect polygons."""
    report = Report("Samples", str(extraction.folder))
    provenance = extraction.description.get("provenance", {})
    settings = extraction.settings
    report.paragraph(
        f"{len(extraction)} pixels of {len(np.unique(extraction.polygons))} features in "
        f"{len(np.unique(extraction.groups))} groups, from {provenance.get('reference')} (field "
        f"{settings.class_field}) on {provenance.get('stack')}; {settings.halo} pixels of context, seed "
        f"{settings.seed}."
    )
    report.paragraph(_how_split(extraction))
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
        how = f"The field {settings.split_field} says what trains, validates and tests"
    else:
        what = f"blocks of {settings.block_size:g} m" if settings.split_by == "block" else "groups"
        how = (
            f"Whole {what} were dealt class by class: {100 * settings.validation:.0f} % for validation, "
            f"{100 * settings.test:.0f} % for the test. A class with one group is for training only, with two for "
            "training and test"
        )
    return f"{how}. Training never reads the test part."


def _classes(report: Report, extraction: Extraction) -> None:
    report.heading("Classes")
    parts = range(len(PART_NAMES))
    rows, by_part = [], []
    for index, one in enumerate(extraction.nomenclature):
        own = extraction.labels == index
        groups, split = extraction.groups[own], extraction.split[own]
        hectares = extraction.hectares[index]
        rows.append(
            [
                one.name,
                str(one.code),
                len(np.unique(extraction.polygons[own])),
                len(np.unique(groups)),
                int(own.sum()),
                f"{hectares.sum():.2f}",
            ]
        )
        cells = ((len(np.unique(groups[split == part])), int((split == part).sum()), hectares[part]) for part in parts)
        by_part.append([one.name, *(cell for n, pixels, area in cells for cell in (n, pixels, f"{area:.2f}"))])
    colors = extraction.nomenclature.colors
    report.table(["class", "code", "features", "groups", "pixels", "ha"], rows, colors=colors)
    report.paragraph(
        "Pixels are those drawn (MAX_PER_GROUP, MAX_PER_CLASS); hectares are all labelled pixels of the features."
    )
    report.heading("Training, validation and test")
    header = ["class", *(f"{name} {what}" for name in PART_NAMES for what in ("groups", "pixels", "ha"))]
    report.table(header, by_part, colors=colors)


def _curves(report: Report, extraction: Extraction) -> None:
    names, colors = extraction.nomenclature.names, extraction.nomenclature.colors
    for curve in extraction.curves.curves:
        report.heading(curve.title)
        label = f"days since {extraction.season[1]}-{extraction.season[0]}"
        series = {name: curve.mean[i] for i, name in enumerate(names)}
        report.lines("All classes: means", curve.days.tolist(), series, label, curve.title, colors)
        report.paragraph("By class: mean, and the band that holds 80 % of the pixels (10 to 90 %).")
        for i, name in enumerate(names):
            band = {name: (curve.mean[i], curve.low[i], curve.high[i])}
            report.lines(name, curve.days.tolist(), band, label, curve.title, [colors[i]])
    if not extraction.curves.curves:
        report.paragraph("No sensor has red and near-infrared bands or a VH band: no curves are shown.")


def _months(report: Report, extraction: Extraction) -> None:
    if not extraction.curves.months:
        return
    report.heading("Valid dates by month")
    report.paragraph("How many dates of a month are valid for a sample, on average.")
    for sensor, months in extraction.curves.months.items():
        report.bars(sensor, list(months), list(months.values()), "valid dates")


def _suspects(report: Report, extraction: Extraction) -> None:
    curves = extraction.curves
    found = np.flatnonzero(curves.suspect)
    report.heading("Polygons whose curve is unlike their class")
    if not len(found):
        report.paragraph("None stands out.")
        return
    found = found[np.argsort(-curves.distance[found])]
    report.paragraph(
        f"{len(found)} of {len(curves.labels)} features lie far from the usual curve of their class and nearer to "
        "another's. Nothing was left out because of it; look at them (red rim in the layer of points): the label may "
        "be wrong, or the class may need to be split."
    )
    names = extraction.nomenclature.names
    rows = [
        [
            str(curves.polygons[i]),
            names[curves.labels[i]],
            names[curves.nearest[i]] if curves.nearest[i] >= 0 else "–",
            float(curves.distance[i]),
        ]
        for i in found[:MOST_SUSPECTS]
    ]
    report.table(["feature", "class", "looks like", "distance"], rows)
    if len(found) > MOST_SUSPECTS:
        report.paragraph(f"The table shows the first {MOST_SUSPECTS}; the layer of points marks all of them.")
