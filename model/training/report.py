"""The report of a training: how it was judged, scores per pixel and per polygon, learning curves."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..base.html import Report
from ..base.metrics import Scores
from ..base.provenance import gather
from .confidence import write_confidence, write_confusions, write_levels
from .folds import HOLDOUT, groups_by_class
from .pool import describe

if TYPE_CHECKING:
    from .pool import SamplePool
    from .run import TrainingResult
    from .settings import TrainingSettings

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
    report = Report("Training report", f"{Path(output).name}: {settings.network}, {describe(pool.specs)}")
    report.warnings(result.warnings)
    _accuracy(report, result, pool)
    _by_class(report, result, pool)
    report.heading("Confusion matrix per pixel")
    report.confusion(result.evaluation.pixel_matrix, pool.nomenclature.names)
    report.heading("Confusion matrix per polygon")
    report.confusion(result.evaluation.polygon_matrix, pool.nomenclature.names)
    write_confusions(report, result.evaluation, pool)
    write_levels(report, result.evaluation, pool)
    write_confidence(report, result)
    _curves(report, result)
    _samples(report, result, pool)
    _training(report, result, pool, settings)
    folders = [store.folder for store in pool.stores if store.folder is not None]
    report.provenance(gather({"SAMPLES": folders, "START_FROM": settings.start_from}, settings.seed))
    report.write(path)


def _accuracy(report: Report, result: TrainingResult, pool: SamplePool) -> None:
    found = result.evaluation
    report.heading("Accuracy")
    judged = f"{found.pixels} pixels in {found.polygons} polygons ({found.groups} groups)"
    if result.how == HOLDOUT:
        report.paragraph(
            f"Judged once, at the end, on {judged} of the test part, which no step of the training has read. The "
            "delivered model is the one judged."
        )
    else:
        count = len(result.fold_scores)
        report.paragraph(
            f"Judged in {count} folds: {judged}, each by a model that has learnt from other groups. The delivered "
            "model was then trained on all samples"
            + (f" for {result.fitted.epochs[0]} epochs, as the folds chose" if result.fitted.epochs else "")
            + "; it is not the one judged, but has learnt from more samples."
        )
    if found.absent:
        names = ", ".join(pool.nomenclature.names[k] for k in found.absent)
        report.paragraph(f"Without judged samples, so left out of the means: {names}.")
    rows = [
        _row("per pixel", found.pixel, found.pixels),
        _row("per polygon (mean probability of its pixels)", found.polygon, found.polygons),
    ]
    header = ["", "overall accuracy", "kappa", "macro F1", "weighted F1", "judged"]
    report.table(header, rows)
    if result.fold_scores:
        folds = [_row(f"fold {k + 1}", one, int(one.support.sum())) for k, one in enumerate(result.fold_scores)]
        report.table(header, folds)


def _row(name: str, one: Scores, count: int) -> list[Any]:
    return [name, one.overall_accuracy, one.kappa, one.macro_f1, one.weighted_f1, count]


def _by_class(report: Report, result: TrainingResult, pool: SamplePool) -> None:
    found = result.evaluation
    names, colors = pool.nomenclature.names, pool.nomenclature.colors
    report.heading("By class")
    report.table(
        ["class", "code", "F1 pixel", "precision", "recall", "pixels", "F1 polygon", "precision", "recall", "polygons"],
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
    report.bars("F1 per pixel", names, found.pixel.f1.tolist(), "F1", colors=colors)


def _curves(report: Report, result: TrainingResult) -> None:
    if not result.histories:
        return
    report.heading("Learning curves")
    units = list(dict.fromkeys(entry["unit"] for entry in result.histories))
    last = max(entry["epoch"] for entry in result.histories)
    epochs = list(range(1, last + 1))
    for title, key, label in (
        ("Training loss", "loss", "loss"),
        ("Validation loss", "validation_loss", "loss"),
        ("Validation macro F1", "validation_macro_f1", "macro F1"),
        ("Validation overall accuracy", "validation_overall_accuracy", "overall accuracy"),
    ):
        series = {}
        for unit in units:
            line = np.full(last, np.nan)
            for entry in result.histories:
                if entry["unit"] == unit and key in entry:
                    line[entry["epoch"] - 1] = entry[key]
            if np.isfinite(line).any():
                series[unit] = line
        if series:
            report.lines(title, epochs, series, "epoch", label)


def _samples(report: Report, result: TrainingResult, pool: SamplePool) -> None:
    report.heading("Samples")
    for part, _store in enumerate(pool.stores):
        own = pool.part == part
        count = len(np.unique(pool.groups[own]))
        report.paragraph(f"{pool.name(part)}: {int(own.sum())} pixels, {count} groups.")
    labels, groups = pool.labels, groups_by_class(pool)
    header = ["class", "groups", "pixels"]
    columns: list[np.ndarray] = [groups, np.bincount(labels, minlength=len(groups))]
    if result.how == HOLDOUT:
        for name, own in zip(("training", "validation", "test"), result.parts, strict=True):
            pairs = np.unique(np.stack([labels[own], pool.groups[own]], axis=1), axis=0)
            header += [f"{name} groups", f"{name} pixels"]
            columns += [
                np.bincount(pairs[:, 0], minlength=len(groups)),
                np.bincount(labels[own], minlength=len(groups)),
            ]
    rows = [[name, *(int(column[k]) for column in columns)] for k, name in enumerate(pool.nomenclature.names)]
    report.table(header, rows, colors=pool.nomenclature.colors)


def _training(report: Report, result: TrainingResult, pool: SamplePool, settings: TrainingSettings) -> None:
    report.heading("Training")
    facts = result.fitted.facts
    rows: list[list[Any]] = [["time", f"{result.seconds:.0f} s"]]
    rows += [[name.replace("_", " "), value] for name, value in facts.items() if value is not None]
    if result.fitted.epochs:
        rows.append(["epochs of the delivered weights", ", ".join(str(epoch) for epoch in result.fitted.epochs)])
    rows += [[name, text] for name, text in result.model.header.provenance.get("versions", {}).items()]
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
            "The weights are those of the latest epoch whose validation macro F1 is within one standard error of the "
            "best: with few validation groups the highest value is partly luck."
        )
