"""The report of a training: how it was judged, scores per pixel and per polygon, learning curves."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..base.html import Report
from ..base.language import mark, tr
from ..base.matrixfile import write_matrix
from ..base.metrics import Scores
from ..base.provenance import Provenance, gather
from ..base.reportfiles import beside, write_facts, write_rows
from .confidence import write_confidence, write_confusions, write_levels
from .folds import HOLDOUT, groups_by_class
from .pool import describe

if TYPE_CHECKING:
    from .pool import SamplePool
    from .run import TrainingResult
    from .settings import TrainingSettings

_MATRICES = ("matrix_pixel.csv", "matrix_polygon.csv")
_OF_THE_FOREST = ("network", "class_weights", "sensors", "step", "indices", "evaluation", "runs", "seed", "memory_mb")


def write_report(
    path: str | os.PathLike[str],
    result: TrainingResult,
    pool: SamplePool,
    settings: TrainingSettings,
    output: str | os.PathLike[str],
) -> None:
    """Write the HTML page, whole or not at all.

    Raises:
        LandloomError: if it cannot be written.
    """
    report = Report(tr("Training report"), f"{Path(output).name}: {settings.network}, {describe(pool.specs)}")
    report.warnings(result.warnings)
    _accuracy(report, result, pool)
    _by_class(report, result, pool)
    report.heading(tr("Confusion matrix per pixel"))
    report.confusion(result.evaluation.pixel_matrix, pool.nomenclature.names)
    report.heading(tr("Confusion matrix per polygon"))
    report.confusion(result.evaluation.polygon_matrix, pool.nomenclature.names)
    write_confusions(report, result.evaluation, pool)
    write_levels(report, result.evaluation, pool)
    write_confidence(report, result)
    write_curves(report, result.histories)
    _samples(report, result, pool)
    _training(report, result, pool, settings)
    folders = [store.folder for store in pool.stores if store.folder is not None]
    made = gather({"SAMPLES": folders, "START_FROM": settings.start_from}, settings.seed)
    report.provenance(made)
    _write_tables(path, result, pool, settings, made)
    report.write(path)


def report_files(path: str | os.PathLike[str]) -> list[Path]:
    """The page and what is written beside it."""
    return [Path(path), *(beside(path, name) for name in ("report.json", "classes.csv", *_MATRICES))]


def _write_tables(
    path: str | os.PathLike[str],
    result: TrainingResult,
    pool: SamplePool,
    settings: TrainingSettings,
    made: Provenance,
) -> None:
    """Scores, classes and matrices for other programs, beside the page."""
    found, classes = result.evaluation, pool.nomenclature
    columns = [f"{name}_{unit}" for unit in ("pixel", "polygon") for name in ("f1", "precision", "recall", "n")]
    rows = [
        [
            classes.codes[k],
            name,
            *(
                float(x[k])
                for one in (found.pixel, found.polygon)
                for x in (one.f1, one.precision, one.recall, one.support)
            ),
        ]
        for k, name in enumerate(classes.names)
    ]
    write_rows(path, "classes", ["code", "name", *columns], rows)
    for name, matrix in zip(_MATRICES, (found.pixel_matrix, found.polygon_matrix), strict=True):
        write_matrix(beside(path, name), classes.codes.tolist(), matrix)
    content = {
        "network": settings.network,
        "evaluation": result.how,
        "classes": classes.to_json(),
        "scores": found.to_json(),
        "temperature": result.calibrated.temperature,
        "calibration": {**result.calibrated.to_json(), "checks": result.calibrated.checks_json()},
        "folds": [one.to_json() for one in result.fold_scores],
        "settings": settings.to_json(),
        "epochs": result.fitted.epochs,
        "seconds": result.seconds,
        "warnings": result.warnings,
    }
    write_facts(path, "train", content, made)


def _accuracy(report: Report, result: TrainingResult, pool: SamplePool) -> None:
    found = result.evaluation
    report.heading(tr("Accuracy"))
    judged = tr("{pixels} pixels in {polygons} polygons ({groups} groups)").format(
        pixels=found.pixels, polygons=found.polygons, groups=found.groups
    )
    if result.how == HOLDOUT:
        report.paragraph(
            tr(
                "Judged once, at the end, on {judged} of the test part, which no step of the training has read. The "
                "delivered model is the one judged."
            ).format(judged=judged)
        )
    else:
        report.paragraph(
            tr("Judged in {count} folds: {judged}, each by a model that has learnt from other groups.").format(
                count=len(result.fold_scores), judged=judged
            )
        )
        then = (
            tr("The delivered model was then trained on all samples for {epochs} epochs, as the folds chose;").format(
                epochs=result.fitted.epochs[0]
            )
            if result.fitted.epochs
            else tr("The delivered model was then trained on all samples;")
        )
        report.paragraph(f"{then} {tr('it is not the one judged, but has learnt from more samples.')}")
    if found.absent:
        names = ", ".join(pool.nomenclature.names[k] for k in found.absent)
        report.paragraph(tr("Without judged samples, so left out of the means: {names}.").format(names=names))
    rows = [
        _row(tr("per pixel"), found.pixel, found.pixels),
        _row(tr("per polygon (mean probability of its pixels)"), found.polygon, found.polygons),
    ]
    header = ["", tr("overall accuracy"), tr("kappa"), tr("macro F1"), tr("weighted F1"), tr("judged (n)")]
    report.table(header, rows)
    if result.fold_scores:
        folds = [
            _row(tr("fold {number}").format(number=k + 1), one, int(one.support.sum()))
            for k, one in enumerate(result.fold_scores)
        ]
        report.table(header, folds)
    report.paragraph(tr("All scores are shares from 0 to 1; kappa may be negative, which is worse than by chance."))


def _row(name: str, one: Scores, count: int) -> list[Any]:
    return [name, one.overall_accuracy, one.kappa, one.macro_f1, one.weighted_f1, count]


def _by_class(report: Report, result: TrainingResult, pool: SamplePool) -> None:
    found = result.evaluation
    names, colors = pool.nomenclature.names, pool.nomenclature.colors
    report.heading(tr("By class"))
    report.table(
        [
            tr("class"),
            tr("code"),
            tr("F1 per pixel"),
            tr("precision"),
            tr("recall"),
            tr("pixels"),
            tr("F1 per polygon"),
            tr("precision"),
            tr("recall"),
            tr("polygons"),
        ],
        [
            [
                name,
                str(pool.nomenclature.codes[k]),
                *(float(x[k]) for x in (found.pixel.f1, found.pixel.precision, found.pixel.recall)),
                int(found.pixel.support[k]),
                *(float(x[k]) for x in (found.polygon.f1, found.polygon.precision, found.polygon.recall)),
                int(found.polygon.support[k]),
            ]
            for k, name in enumerate(names)
        ],
        colors=colors,
    )
    report.bars(tr("F1 per pixel"), names, found.pixel.f1.tolist(), "F1", colors=colors)


def write_curves(report: Report, histories: Sequence[dict[str, Any]]) -> None:
    """Draw the epoch logs of networks, a line each; nothing without any."""
    if not histories:
        return
    report.heading(tr("Learning curves"))
    units = list(dict.fromkeys(entry["unit"] for entry in histories))
    last = max(entry["epoch"] for entry in histories)
    epochs = list(range(1, last + 1))
    for title, key, label in (
        (mark("Training loss"), "loss", mark("loss")),
        (mark("Validation loss"), "validation_loss", mark("loss")),
        (mark("Validation macro F1"), "validation_macro_f1", mark("macro F1")),
        (mark("Validation overall accuracy"), "validation_overall_accuracy", mark("overall accuracy")),
    ):
        series = {}
        for unit in units:
            line = np.full(last, np.nan)
            for entry in histories:
                if entry["unit"] == unit and key in entry:
                    line[entry["epoch"] - 1] = entry[key]
            if np.isfinite(line).any():
                series[unit] = line
        if series:
            report.lines(tr(title), epochs, series, tr("epoch"), tr(label))


def _samples(report: Report, result: TrainingResult, pool: SamplePool) -> None:
    report.heading(tr("Samples"))
    for part, _store in enumerate(pool.stores):
        own = pool.part == part
        count = len(np.unique(pool.groups[own]))
        report.paragraph(
            tr("{name}: {pixels} pixels, {groups} groups.").format(
                name=pool.name(part), pixels=int(own.sum()), groups=count
            )
        )
    labels, groups = pool.labels, groups_by_class(pool)
    header = [tr("class"), tr("groups"), tr("pixels")]
    columns: list[np.ndarray] = [groups, np.bincount(labels, minlength=len(groups))]
    if result.how == HOLDOUT:
        parts = (mark("training"), mark("validation"), mark("test"))
        for name, own in zip(parts, result.parts, strict=True):
            pairs = np.unique(np.stack([labels[own], pool.groups[own]], axis=1), axis=0)
            header += [tr(what).format(part=tr(name)) for what in (mark("{part}: groups"), mark("{part}: pixels"))]
            columns += [
                np.bincount(pairs[:, 0], minlength=len(groups)),
                np.bincount(labels[own], minlength=len(groups)),
            ]
    rows = [[name, *(int(column[k]) for column in columns)] for k, name in enumerate(pool.nomenclature.names)]
    report.table(header, rows, colors=pool.nomenclature.colors)


def _training(report: Report, result: TrainingResult, pool: SamplePool, settings: TrainingSettings) -> None:
    report.heading(tr("Training"))
    facts = result.fitted.facts
    rows: list[list[Any]] = [[tr("time"), f"{result.seconds:.0f} s"]]
    rows += [[name.replace("_", " "), value] for name, value in facts.items() if value is not None]
    if result.fitted.epochs:
        rows.append([tr("epochs of the delivered weights"), ", ".join(str(epoch) for epoch in result.fitted.epochs)])
    used = {**settings.to_json(), "learning_rate": settings.rate, "class_weights": settings.weighting}
    used["epochs"] = settings.epochs_for(len(result.parts.training))
    used["batch_size"] = settings.batch_for(len(result.parts.training))
    names = _OF_THE_FOREST if settings.is_forest else tuple(used)
    for name in names:
        value = ", ".join(used[name]) if isinstance(used[name], list) else used[name]
        if value not in ("", None) and name not in facts:
            rows.append([name.replace("_", " "), str(value)])
    report.table(["", ""], rows)
    if result.how == HOLDOUT and result.fitted.epochs:
        report.paragraph(
            tr(
                "The weights are those of the latest epoch whose validation macro F1 is within one standard error of "
                "the best: with few validation groups the highest value is partly luck."
            )
        )
