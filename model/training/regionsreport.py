"""The page of a training by regions: each region's own model beside the model of all samples."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from ..base.charts import PALETTE
from ..base.html import Report, number
from ..base.language import tr
from ..base.provenance import Provenance
from ..base.reportfiles import write_facts, write_rows
from .regions import RegionsTrained, report_of, to_json

COLUMNS = (
    "region",
    "samples",
    "groups",
    "classes",
    "own_model",
    "judged_pixels",
    "overall_accuracy",
    "macro_f1",
    "general_judged_pixels",
    "general_overall_accuracy",
    "general_macro_f1",
    "why",
)


def write_report(
    trained: RegionsTrained,
    path: str | os.PathLike[str],
    output: str | os.PathLike[str],
    made: Provenance | None = None,
) -> None:
    """Write the page, ``_report.json`` and ``_regions.csv``; the pages of the single trainings lie beside it."""
    path = Path(path)
    report = Report(tr("Training by regions"), str(output))
    report.warnings(
        tr("{region} has no model of its own; that of all samples maps it. {why}").format(region=row.name, why=row.why)
        for row in trained.regions
        if row.name and row.own is None
    )
    report.paragraph(
        tr(
            "Each region is mapped by its own model, what lies outside all regions by the model of all samples. Mapped "
            "so, the judged pixels have an overall accuracy of {own} and a macro F1 of {own_f1}; the model of all "
            "samples alone reaches {all} and {all_f1}."
        ).format(
            own=number(trained.combined.overall_accuracy),
            own_f1=number(trained.combined.macro_f1),
            all=number(trained.general.overall_accuracy),
            all_f1=number(trained.general.macro_f1),
        )
    )
    report.paragraph(
        tr(
            "Scores are of pixels that the judged model has not seen ({how}). Where a region's own model is not better "
            "than that of all samples, the region is too small or too like its neighbours to be one: join it to them."
        ).format(how=trained.evaluation)
    )
    labels = [row.name or tr("outside all regions") for row in trained.regions]
    report.bars(
        tr("Macro F1 of each region: own model, and (grey) model of all samples"),
        [name for label in labels for name in (label, "")],
        [_score(model, "macro_f1") for row in trained.regions for model in (row.own, row.general)],
        tr("macro F1"),
        [color for _ in labels for color in (PALETTE[0], "#9aa39d")],
    )
    report.table(
        [
            tr("Region"),
            tr("Samples"),
            tr("Groups"),
            tr("Classes"),
            tr("n judged"),
            tr("Own: overall accuracy"),
            tr("Own: macro F1"),
            tr("All: overall accuracy"),
            tr("All: macro F1"),
        ],
        [
            [
                label,
                row.samples,
                row.groups,
                row.classes,
                (row.own or row.general or {}).get("pixels"),
                *(number(_score(row.own, name)) for name in ("overall_accuracy", "macro_f1")),
                *(number(_score(row.general, name)) for name in ("overall_accuracy", "macro_f1")),
            ]
            for label, row in zip(labels, trained.regions, strict=True)
        ],
    )
    report.link(tr("The model of all samples"), report_of(path, "").name)
    for row in trained.regions:
        if row.own is not None:
            report.link(tr("The model of {region}").format(region=row.name), report_of(path, row.name).name)
    if made is not None:
        report.provenance(made)
    report.write(path)
    write_rows(path, "regions", COLUMNS, [_cells(row) for row in trained.regions])
    write_facts(path, "trainregions", to_json(trained), made)


def _score(content: dict[str, Any] | None, name: str) -> float:
    value = None if content is None else content.get("pixel", {}).get(name)
    return float("nan") if value is None else float(value)


def _cells(row: Any) -> list[Any]:
    return [
        row.name,
        row.samples,
        row.groups,
        row.classes,
        row.own is not None,
        (row.own or {}).get("pixels"),
        _score(row.own, "overall_accuracy"),
        _score(row.own, "macro_f1"),
        (row.general or {}).get("pixels"),
        _score(row.general, "overall_accuracy"),
        _score(row.general, "macro_f1"),
        row.why,
    ]
