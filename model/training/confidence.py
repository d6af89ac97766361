"""The parts of a training report on confidence, levels and confusions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..base.calibration import Calibration, RiskCurve
from ..base.charts import reliability
from ..base.html import Report
from ..base.language import tr
from ..base.metrics import Scores
from .calibrate import CHECKED, OUT_OF_FOLD, Calibrated

if TYPE_CHECKING:
    from .evaluate import Evaluation
    from .pool import SamplePool
    from .run import TrainingResult


def write_confusions(report: Report, found: Evaluation, pool: SamplePool) -> None:
    """The classes confused most often, with the polygons where that happens."""
    if not found.confusions:
        return
    names, several = pool.nomenclature.names, len(pool.stores) > 1
    report.heading(tr("Most confused classes"))
    report.paragraph(
        tr(
            "Judged pixels only. Polygons are numbered as in the field 'polygon' of the sample points (samples.gpkg "
            "in the sample folder, or POINTS), where they can be looked at in QGIS; in brackets the pixels confused "
            "and judged."
        )
    )
    rows = []
    for one in found.confusions:
        places = [
            (f"{pool.name(part)}: " if several else "") + f"{polygon} ({wrong}/{judged})"
            for part, polygon, wrong, judged in one.polygons
        ]
        if one.polygon_count > len(places):
            places.append(tr("and {count} more").format(count=one.polygon_count - len(places)))
        share = f"{100 * one.share:.1f} %"
        rows.append([names[one.reference], names[one.predicted], one.pixels, share, ", ".join(places)])
    header = [tr("reference"), tr("mapped as"), tr("pixels"), tr("of the reference"), tr("polygons")]
    report.table(header, rows, colors=[pool.nomenclature.colors[one.reference] for one in found.confusions])


def write_levels(report: Report, found: Evaluation, pool: SamplePool) -> None:
    """Scores of the coarser classes, where the nomenclature has any."""
    if not found.levels:
        return
    report.heading(tr("Scores at each level"))
    report.paragraph(
        tr(
            "All from this one model: the probabilities of the classes are summed up the tree of the nomenclature. A "
            "pixel gets the most probable class of the coarsest level first, then the most probable one inside it, so "
            "that maps made with LEVEL never contradict each other."
        )
    )
    rows = [
        _level_row(str(one.level), len(one.names), one.pixel, one.polygon, one.calibration_error)
        for one in found.levels
    ]
    rows.append(
        _level_row(
            tr("0 (the classes themselves)"),
            len(pool.nomenclature),
            found.pixel,
            found.polygon,
            found.calibration_error,
        )
    )
    header = [
        tr("LEVEL"),
        tr("classes"),
        tr("overall accuracy"),
        tr("kappa"),
        tr("macro F1"),
        tr("pixels"),
        tr("overall accuracy per polygon"),
        tr("polygons"),
        tr("calibration error"),
    ]
    report.table(header, rows)
    for one in found.levels:
        own = pool.nomenclature.at_level(one.level)[0]
        scores, title = one.pixel, tr("class at LEVEL {level}").format(level=one.level)
        rows = []
        for k, name in enumerate(one.names):
            values = (float(column[k]) for column in (scores.f1, scores.precision, scores.recall))
            rows.append([name, str(own.codes[k]), *values, int(scores.support[k])])
        report.table([title, tr("code"), "F1", tr("precision"), tr("recall"), tr("pixels")], rows, colors=own.colors)


def _level_row(name: str, classes: int, pixel: Scores, polygon: Scores, error: float) -> list[Any]:
    return [
        name,
        classes,
        pixel.overall_accuracy,
        pixel.kappa,
        pixel.macro_f1,
        int(pixel.support.sum()),
        polygon.overall_accuracy,
        int(polygon.support.sum()),
        error,
    ]


def write_confidence(report: Report, result: TrainingResult) -> None:
    """Reliability before and after temperature scaling, and what a chosen error would leave unsure."""
    found, calibrated = result.evaluation, result.calibrated
    report.heading(tr("How far confidence can be trusted"))
    report.paragraph(
        tr(
            "Confidence is the probability that the model gives to the class it maps. Of the pixels with a confidence "
            "of 80 % about 80 % should be right: that is the diagonal. Below it the model is surer than it should be."
        )
    )
    report.paragraph(_temperature_text(calibrated))
    series, rows = {}, []
    for name, one in ((tr("before scaling"), found.uncalibrated), (tr("after scaling"), found.calibration)):
        if one is not None:
            series[name] = (one.count, one.confidence, one.accuracy)
            rows.append(_calibration_row(name, one))
    report.table(
        [
            "",
            tr("expected calibration error (15 bins)"),
            tr("Brier score (0 to 2)"),
            tr("mean confidence"),
            tr("right"),
            tr("pixels"),
        ],
        rows,
    )
    report.picture(
        reliability(
            tr("Reliability ({n} pixels)").format(n=found.pixels),
            series,
            tr("confidence"),
            tr("share of pixels that is right"),
        )
    )
    if 0 in calibrated.curves:
        _write_unsure(report, calibrated, calibrated.curves[0])
    else:
        report.paragraph(
            tr("There are too few held-out samples to tell which confidence an error needs: UNSURE_ERROR is refused.")
        )


def _temperature_text(calibrated: Calibrated) -> str:
    value = f"{calibrated.temperature:.2f}"
    if not calibrated.source:
        return tr("There are no validation samples, so confidence is not calibrated (temperature 1).")
    if calibrated.source == OUT_OF_FOLD:
        return tr(
            "Temperature {value}, fitted on all predictions out of fold; here each fold is judged with the temperature "
            "that the other folds give."
        ).format(value=value)
    return tr("Temperature {value}, fitted on the validation part and judged on the test part.").format(value=value)


def _calibration_row(name: str, one: Calibration) -> list[Any]:
    total, known = one.count.sum(), one.count > 0
    confidence = float((one.count * one.confidence)[known].sum() / total)
    right = float((one.count * one.accuracy)[known].sum() / total)
    return [name, one.error, one.brier, confidence, right, int(total)]


def _write_unsure(report: Report, calibrated: Calibrated, curve: RiskCurve) -> None:
    report.heading(tr("What would be unsure"))
    is_fold, whole = calibrated.source == OUT_OF_FOLD, curve.whole
    source = tr("predictions out of fold") if is_fold else tr("validation samples")
    report.paragraph(
        tr(
            "With UNSURE_ERROR, 'Classify' leaves pixels unsure so that at most the chosen share of the others is "
            "wrong. The confidence that this needs is found on the {source} ({pixels} pixels in {groups} groups). It "
            "holds for the inside of reference polygons like these, not for borders and for land cover that no polygon "
            "shows. The bound counts groups, since the pixels of a field are right or wrong together."
        ).format(source=source, pixels=whole.pixels, groups=whole.groups)
    )
    rows: list[list[Any]] = []
    for error in CHECKED:
        kept, check = curve.threshold(error), calibrated.checks.get(error)
        if kept is None:
            lowest = _percent(curve.lowest_error().error)
            rows.append([_percent(error), tr("cannot be reached: {lowest} at best").format(lowest=lowest), *[None] * 5])
            continue
        judged = tr("out of reach without one of the folds") if is_fold else None
        if check is not None and check.kept:
            judged = tr("{wrong} of {kept} pixels").format(wrong=_percent(check.wrong / check.kept), kept=check.kept)
        rows.append(
            [
                _percent(error),
                _percent(kept.threshold) if kept.threshold else tr("any"),
                _percent(1 - kept.pixels / whole.pixels),
                _percent(kept.error),
                _percent(kept.upper_error),
                kept.groups,
                judged,
            ]
        )
    checked = tr("wrong in folds that did not choose") if is_fold else tr("wrong in the test part")
    report.table(
        [
            tr("UNSURE_ERROR"),
            tr("confidence needed"),
            tr("unsure"),
            tr("wrong of the rest"),
            tr("upper 95 % bound"),
            tr("groups"),
            checked,
        ],
        rows,
    )
    sound = [one for one in curve.points if one.pixels >= 0.02 * whole.pixels]
    share = [100 * one.pixels / whole.pixels for one in sound]
    report.lines(
        tr("Error among the pixels kept ({n} pixels)").format(n=whole.pixels),
        share,
        {
            tr("wrong"): np.array([100 * one.error for one in sound]),
            tr("upper 95 % bound"): np.array([100 * one.upper_error for one in sound]),
        },
        tr("pixels kept (%)"),
        tr("wrong (%)"),
    )


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
