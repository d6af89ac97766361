"""The report of an assessment."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from ..base.html import Report, number
from ..base.intervals import GroupBootstrap
from ..base.language import tr
from ..base.metrics import Scores
from ..base.provenance import Provenance, gather
from .assessment import Assessment
from .design import RANDOM
from .estimators import Estimate, Estimates

_SCORES = ("overall_accuracy", "kappa", "macro_f1", "weighted_f1")


def write_report(result: Assessment, path: str | os.PathLike[str]) -> None:
    """Write the page, whole or not at all."""
    assessment_report(result).write(path)


def assessment_report(result: Assessment) -> Report:
    """The page: what was judged by what, accuracy, areas, matrices, the places of confusion."""
    report = Report(tr("Accuracy of the map"), Path(result.map_path).name)
    _about(report, result)
    report.warnings(result.warnings)
    if result.estimates is not None:
        _whole_map(report, result, result.estimates)
        _areas(report, result, result.estimates)
    _scores(report, result)
    _by_class(report, result)
    _matrices(report, result)
    _confusions(report, result)
    _map_classes(report, result)
    report.provenance(made_from(result))
    return report


def made_from(result: Assessment) -> Provenance:
    """The provenance of an assessment, with everything that it has read."""
    settings = result.settings
    return gather(
        {
            "MAP": result.map_path,
            "REFERENCE": result.reference_path,
            "NOMENCLATURE": settings.nomenclature,
            "SAMPLES": settings.samples,
            "MODEL": settings.model,
            "CONFIDENCE": settings.confidence,
        },
        settings.seed,
    )


def design_sentence(result: Assessment) -> str:
    """What the figures hold for, by how the reference was chosen."""
    if result.estimates is None or result.design is None:
        what = tr("points") if result.is_point else tr("polygons")
        return tr(
            "These reference {what} are not a probability sample: they were chosen by purpose, not drawn by chance. "
            "The figures hold for the inside of these {what} only. They do not estimate the accuracy of the whole map, "
            "and no area of a class can be drawn from them; for that, draw points with 'Sample design' and label them."
        ).format(what=what)
    if result.design.kind == RANDOM:
        return tr(
            "The reference is a simple random or systematic sample. Accuracy and areas are estimated for the whole "
            "map, stratified afterwards by the map's classes (Olofsson et al. 2014)."
        )
    return tr(
        "The reference is a stratified probability sample. Accuracy and areas are estimated for the whole map "
        "(Olofsson et al. 2014; Stehman 2014, where strata are not the map's classes)."
    )


def _about(report: Report, result: Assessment) -> None:
    objects = result.objects
    what = tr("points") if result.is_point else tr("polygons")
    report.paragraph(
        tr(
            "Judged by {pixels} pixels of {objects} {what} in {groups} groups, from {reference} (field {field}). "
            "Classes were matched by {by}."
        ).format(
            pixels=number(int(result.matrix.sum())),
            objects=number(int(objects.scored.sum())),
            what=what,
            groups=number(result.groups),
            reference=Path(result.reference_path.split("|")[0]).name,
            field=result.settings.class_field,
            by=tr(result.matching.by),
        )
    )
    report.warnings([design_sentence(result)] if result.estimates is None else [])
    if result.estimates is not None:
        report.paragraph(design_sentence(result))
    if objects.trained.any():
        report.paragraph(result.independence)
    else:
        report.warnings([result.independence])
    if result.no_data:
        report.paragraph(
            tr("Without data in the map, so not judged: {pixels} pixels, and {objects} {what} as a whole.").format(
                pixels=number(result.no_data),
                objects=number(int(((objects.pixels == 0) & ~objects.trained).sum())),
                what=what,
            )
        )


def _interval(one: Estimate, factor: float = 1.0, digits: int = 3) -> list[str]:
    """Value, standard error and 95 % interval as texts."""
    scaled = one.scaled(factor)
    low, high = scaled.interval
    span = "–" if not np.isfinite(scaled.error) else f"{number(low, digits)} – {number(high, digits)}"
    return [number(scaled.value, digits), number(scaled.error, digits), span]


def _short(one: Estimate) -> list[str]:
    """Value ± standard error, and 95 % interval that stay in one line, for tables with many columns."""
    value, error, span = _interval(one)
    nowrap = "\u00a0"
    return [f"{value}{nowrap}±{nowrap}{error}" if np.isfinite(one.value) else "–", span.replace(" – ", "\u2060–\u2060")]


def _whole_map(report: Report, result: Assessment, found: Estimates) -> None:
    report.heading(tr("Accuracy of the whole map, by area"))
    value, error, span = _interval(found.overall)
    report.paragraph(
        tr("Overall accuracy {value} (standard error {error}, 95 % interval {span}), from {n} units.").format(
            value=value, error=error, span=span, n=number(int(found.counts.sum()))
        )
    )
    header = [tr("class")]
    for name in (tr("user's accuracy (precision)"), tr("producer's accuracy (recall)"), "F1"):
        header += [f"{name} ± {tr('standard error')}", tr("95 % interval")]
    header += [tr("n mapped"), tr("n reference")]
    rows = []
    for k, one in enumerate(result.matching.classes):
        cells: list[Any] = [one.name]
        for estimates in (found.users, found.producers, found.f1):
            cells += _short(estimates[k])
        rows.append([*cells, int(found.counts[:, k].sum()), int(found.counts[k].sum())])
    report.table(header, rows, colors=result.matching.colors)
    report.paragraph(
        tr(
            "Standard errors are those of the sampling design: they tell how far a figure would change with another "
            "sample of this kind. A class of which the sample has nothing has no figure."
        )
    )
    figures = [found.overall, *found.users, *found.producers, *found.f1, *found.shares]
    if any(one.unseen for one in figures):
        report.paragraph(
            tr(
                "Where all units are right, or none is of a class, the standard error is 0, but nothing is certain: "
                "the interval then says how much may have been missed by chance (binomial distribution, Clopper and "
                "Pearson 1934)."
            )
        )


def _areas(report: Report, result: Assessment, found: Estimates) -> None:
    report.heading(tr("Area of the classes"))
    mapped = [sum(result.counts.values[v].hectares for v in one.map_values) for one in result.matching.classes]
    rows = []
    for k, one in enumerate(result.matching.classes):
        rows.append([one.name, *_interval(found.shares[k], result.hectares, 1), *_interval(found.shares[k], 100, 2)])
        rows[-1].append(number(float(mapped[k]), 1))
    report.table(
        [
            tr("class"),
            tr("estimated area (ha)"),
            tr("standard error (ha)"),
            tr("95 % interval (ha)"),
            tr("share (%)"),
            tr("standard error (%)"),
            tr("95 % interval (%)"),
            tr("pixels counted (ha)"),
        ],
        rows,
        colors=result.matching.colors,
    )
    report.paragraph(
        tr(
            "Counted pixels carry the errors of the map; the estimate corrects for them and says how sure it is. It "
            "holds for all {hectares} ha together, not for parts of them."
        ).format(hectares=number(result.hectares, 1))
    )
    report.heading(tr("Confusion matrix in shares of the area (%)"))
    report.confusion(100 * found.matrix, result.matching.names, totals=True, digits=2)
    report.table(
        [tr("stratum"), tr("pixels"), tr("units judged")],
        [[_stratum(one.name, result), round(one.size), one.drawn] for one in found.strata],
    )


def _stratum(name: str, result: Assessment) -> str:
    """A stratum as people read it: a code of the map with the name of its class."""
    named = {str(value): one.name for one in result.matching.classes for value in one.map_values}
    text = named.get(name, name)
    return (f"{name} {text}" if text != name else name) or "–"


def _spans(bootstrap: GroupBootstrap | None) -> list[str]:
    if bootstrap is None:
        return ["–"] * len(_SCORES)
    found = []
    for score in _SCORES:
        one = bootstrap.interval([0], score)
        draws = bootstrap.draws[score][0]
        draws = draws[np.isfinite(draws)]
        if len(draws) < 2 or not np.isfinite(one.low):
            found.append("–")
            continue
        found.append(f"± {number(float(draws.std(ddof=1)))} ({number(one.low)} – {number(one.high)})")
    return found


def _scores(report: Report, result: Assessment) -> None:
    report.heading(tr("Scores of the judged pixels"))
    if result.estimates is not None:
        report.paragraph(tr("As they were sampled, not weighted by area: of use to compare with other reports only."))
    rows = [_row(tr("per pixel"), result.pixel, int(result.matrix.sum()))]
    rows.append([tr("± standard error (95 % interval)"), *_spans(result.bootstrap), ""])
    if result.polygon is not None and result.polygon_matrix is not None:
        rows.append(_row(tr("per polygon"), result.polygon, int(result.polygon_matrix.sum())))
        rows.append([tr("± standard error (95 % interval)"), *_spans(result.polygon_bootstrap), ""])
    header = ["", tr("overall accuracy"), tr("kappa"), tr("macro F1"), tr("weighted F1"), "n"]
    report.table(header, rows)
    if result.bootstrap is not None:
        if not (result.matrix.sum() - np.trace(result.matrix)):
            report.paragraph(tr("No judged pixel is wrong, so that no interval can be told by drawing groups again."))
        report.paragraph(
            tr(
                "Standard errors and intervals come from drawing the {groups} groups again, whole, {draws} times. They "
                "tell how far the figures would change with other reference data chosen in the same way."
            ).format(groups=number(result.groups), draws=number(result.bootstrap.draws["kappa"].shape[1]))
        )
    else:
        report.paragraph(tr("There is one group only: no standard error can be told."))
    if not result.is_point:
        report.paragraph(tr("A polygon's class is that of most of its pixels."))
    absent = [name for k, name in enumerate(result.matching.names) if not result.matrix[k].sum()]
    if absent:
        report.paragraph(
            tr("Without judged pixels, so left out of the means: {names}.").format(names=", ".join(absent))
        )


def _row(name: str, one: Scores, n: int) -> list[Any]:
    return [name, one.overall_accuracy, one.kappa, one.macro_f1, one.weighted_f1, n]


def _by_class(report: Report, result: Assessment) -> None:
    report.heading(tr("By class"))
    header = [tr("class"), tr("code"), tr("F1 pixel"), tr("precision"), tr("recall"), tr("n reference"), tr("n mapped")]
    if result.polygon is not None:
        header += [tr("F1 polygon"), tr("precision"), tr("recall"), tr("n polygons")]
    rows = []
    for k, one in enumerate(result.matching.classes):
        cells: list[Any] = [one.name, str(one.code), *_of_class(result.pixel, k)]
        cells += [int(result.matrix[k].sum()), int(result.matrix[:, k].sum())]
        if result.polygon is not None and result.polygon_matrix is not None:
            cells += [*_of_class(result.polygon, k), int(result.polygon_matrix[k].sum())]
        rows.append(cells)
    report.table(header, rows, colors=result.matching.colors)
    report.bars(tr("F1 per pixel"), result.matching.names, result.pixel.f1.tolist(), "F1", result.matching.colors)


def _of_class(one: Scores, k: int) -> list[float]:
    return [float(one.f1[k]), float(one.precision[k]), float(one.recall[k])]


def _matrices(report: Report, result: Assessment) -> None:
    matrix, names = result.matrix.astype(float), result.matching.names
    with np.errstate(invalid="ignore", divide="ignore"):
        by_row = matrix / matrix.sum(axis=1, keepdims=True)
        by_column = matrix / matrix.sum(axis=0, keepdims=True)
    report.heading(tr("Confusion matrix (pixels)"))
    report.confusion(matrix, names, totals=True)
    report.heading(tr("In percent of the row: where the pixels of a reference class went"))
    report.confusion(100 * by_row, names, shares=by_row, digits=1)
    report.heading(tr("In percent of the column: what a mapped class is made of"))
    report.confusion(100 * by_column, names, shares=by_column, digits=1)
    if result.polygon_matrix is not None:
        report.heading(tr("Confusion matrix (polygons)"))
        report.confusion(result.polygon_matrix, names, totals=True)


def _confusions(report: Report, result: Assessment) -> None:
    report.heading(tr("Worst confusions, and where"))
    if not result.confusions:
        report.paragraph(tr("No judged pixel is wrong."))
        return
    names, support = result.matching.names, result.matrix.sum(axis=1)
    features = result.objects.features
    rows = []
    for one in result.confusions:
        places = ", ".join(f"{features[i].fid} ({n} px)" for i, n in one.places)
        rest = one.features - len(one.places)
        rows.append(
            [
                names[one.reference],
                names[one.mapped],
                one.pixels,
                f"{100 * one.pixels / support[one.reference]:.1f} %",
                one.features,
                places + (tr(" and {n} more").format(n=rest) if rest > 0 else ""),
            ]
        )
    report.table(
        [
            tr("reference"),
            tr("mapped as"),
            tr("pixels"),
            tr("of the class"),
            tr("features"),
            tr("feature numbers (pixels), the worst first"),
        ],
        rows,
        colors=[result.matching.colors[one.reference] for one in result.confusions],
    )
    report.paragraph(tr("The layer OBJECTS shows them: filter it by the field feature."))


def _map_classes(report: Report, result: Assessment) -> None:
    report.heading(tr("The map"))
    rows = []
    for one in result.matching.classes:
        counts = [result.counts.values[value] for value in one.map_values]
        hectares = float(sum(count.hectares for count in counts))
        share = 100 * hectares / result.counts.hectares
        rows.append([one.name, sum(count.pixels for count in counts), number(hectares, 1), number(share, 2)])
    header = [tr("class"), tr("pixels"), tr("hectares"), tr("share (%)")]
    report.table(header, rows, colors=result.matching.colors)
    empty = result.counts.no_data
    report.paragraph(
        tr("Counted pixels, with the errors of the map. Without data: {pixels} pixels, {hectares} ha.").format(
            pixels=number(empty.pixels), hectares=number(empty.hectares, 1)
        )
    )
