"""The report of a sampling design: what is needed to repeat it and to tell of it."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from ..base.html import Report, number
from ..base.language import tr
from ..base.provenance import Provenance, gather
from ..base.reportfiles import write_facts, write_rows
from .allocation import RARE
from .sampledesign import SamplePlan


def write_report(plan: SamplePlan, points: str | os.PathLike[str], path: str | os.PathLike[str]) -> None:
    """Write the page, and beside it the figures for other programs: ``_report.json`` and ``_strata.csv``."""
    sample_report(plan, points).write(path)
    settings, rows = plan.settings, _strata(plan)
    content = {
        "map": plan.map_path,
        "points": str(points),
        "size": int(plan.sizes.sum()),
        "allocation": settings.allocation,
        "target_error": None if settings.size else settings.target_error,
        "expected_error": plan.error,
        "strata": [dict(zip(_COLUMNS, row, strict=True)) for row in rows],
        "warnings": list(plan.warnings),
    }
    write_facts(path, "sampledesign", content, _made(plan))
    write_rows(path, "strata", _COLUMNS, rows)


_COLUMNS = (
    "code",
    "name",
    "pixels",
    "share",
    "expected_accuracy",
    "points",
    "inclusion_probability",
    "expected_standard_error",
)


def _strata(plan: SamplePlan) -> list[tuple[int, str, int, float, float, int, float, float]]:
    """A row for each stratum, as :data:`_COLUMNS` says; the error is that of its user's accuracy."""
    share = plan.pixels / plan.pixels.sum()
    with np.errstate(divide="ignore", invalid="ignore"):
        users = np.sqrt(plan.accuracy * (1 - plan.accuracy) / plan.sizes * (1 - plan.sizes / plan.pixels))
    return [
        (
            int(plan.values[h]),
            plan.names[h],
            int(plan.pixels[h]),
            float(share[h]),
            float(plan.accuracy[h]),
            int(plan.sizes[h]),
            float(plan.probabilities[h]),
            float(users[h]),
        )
        for h in range(len(plan.values))
    ]


def _made(plan: SamplePlan) -> Provenance:
    return gather({"MAP": plan.map_path, "NOMENCLATURE": plan.settings.nomenclature}, plan.settings.seed)


def sample_report(plan: SamplePlan, points: str | os.PathLike[str]) -> Report:
    """The page: size, allocation, and how to go on."""
    settings, size = plan.settings, int(plan.sizes.sum())
    report = Report(tr("Sample design"), Path(plan.map_path).name)
    report.paragraph(
        tr(
            "A stratified random sample of {size} pixels without replacement from the {pixels} pixels with data; the "
            "strata are the classes of the map. If the classes are as accurate as expected, the standard error of "
            "overall accuracy will be {error}."
        ).format(size=number(size), pixels=number(int(plan.pixels.sum())), error=number(plan.error, 4))
    )
    if settings.size:
        how = tr("The size was given.")
    else:
        how = tr(
            "The size is the smallest with which that error is expected to be no more than {target} (Cochran 1977; "
            "Olofsson et al. 2014)."
        ).format(target=number(settings.target_error, 4))
    if not settings.size and settings.allocation == RARE and (plan.sizes <= settings.least).all():
        how = tr("It is the least that MIN_PER_CLASS asks for; the target error {target} would need fewer.").format(
            target=number(settings.target_error, 4)
        )
    report.paragraph(f"{how} " + tr("Allocation: {how}.").format(how=_allocation(plan)))
    report.warnings(plan.warnings)
    report.heading(tr("Strata"))
    report.table(
        [
            tr("class"),
            tr("value"),
            tr("pixels"),
            tr("share (%)"),
            tr("expected accuracy"),
            tr("points"),
            tr("inclusion probability"),
            tr("expected standard error of user's accuracy"),
        ],
        [
            [name, str(code), pixels, f"{100 * share:.2f}", accuracy, points_in, f"{probability:.6f}", error]
            for code, name, pixels, share, accuracy, points_in, probability, error in _strata(plan)
        ],
    )
    report.heading(tr("How to go on"))
    for text in (
        tr(
            "Open the points in QGIS over images that are better than those of the map, without the map itself. Sort "
            "the table by point and choose a class for each in the form; the square shows the pixel to be labelled."
        ),
        tr(
            "The points are in random order: if you must stop early, label them in this order, and those labelled are "
            "still a sample. Leave the class empty where you cannot tell, and do not delete points."
        ),
        tr(
            "Then run 'Assess map' with this layer, CLASS_FIELD class, STRATUM_FIELD stratum and PROBABILITY_FIELD "
            "probability. It may judge other maps of the same place too."
        ),
    ):
        report.paragraph(text)
    report.provenance(_made(plan))
    return report


def _allocation(plan: SamplePlan) -> str:
    settings = plan.settings
    return {
        "rare": tr("proportional to area, with at least {least} points in each class").format(least=settings.least),
        "proportional": tr("proportional to area"),
        "neyman": tr("Neyman (to area times the spread of right and wrong)"),
        "equal": tr("the same number in each class"),
    }[settings.allocation]
