"""The report of a training on objects: how objects got their classes, scores out of fold, what was measured."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np

from ..base.html import Report
from ..base.language import tr
from ..base.matrixfile import write_matrix
from ..base.provenance import Provenance
from ..base.reportfiles import beside, write_facts, write_rows
from ..networks.modelfile import SET_PIXELS
from ..training.report import write_curves
from .objectmodel import ObjectModel
from .objecttraining import ObjectResult, ObjectTraining

if TYPE_CHECKING:
    from .pixelsetmodel import SetModel

FEW_GROUPS = 5


def write_object_report(
    path: str | os.PathLike[str], result: ObjectResult, settings: ObjectTraining, made: Provenance
) -> None:
    """Write the HTML page, and beside it ``_report.json``, ``_classes.csv`` and ``_matrix.csv``.

    Raises:
        LandloomError: if it cannot be written.
    """
    model, matched, found = result.model, result.matched, result.scores
    names, codes = model.nomenclature.names, model.nomenclature.codes.tolist()
    judged = np.flatnonzero(np.isfinite(result.probabilities).all(axis=1))
    report = Report(tr("Training on objects"), tr("{n} objects with a class").format(n=len(matched.objects)))
    report.warnings(result.warnings)
    report.heading(tr("Accuracy"))
    forest = model if isinstance(model, ObjectModel) else None
    network = None if isinstance(model, ObjectModel) else model
    sentence = (
        tr(
            "Judged out of fold: {objects} objects of {groups} groups, each by a forest that has learnt from other "
            "groups. The delivered forest has then learnt from all of them; it is not the one judged."
        )
        if network is None
        else tr(
            "Judged out of fold: {objects} objects of {groups} groups, each by a network that has learnt from other "
            "groups, for as many epochs as groups among these chose. The delivered network has then learnt from all of "
            "them; it is not the one judged."
        )
    )
    report.paragraph(sentence.format(objects=len(judged), groups=len(np.unique(matched.groups[judged]))))
    if result.left_out:
        report.paragraph(
            tr(
                "{n} objects are left out: they or their group trained every network that could describe them, so that "
                "their descriptors tell too much."
            ).format(n=result.left_out)
        )
    teach_only = 0 if result.folds is None else int(np.sum(result.folds < 0))
    if teach_only:
        report.paragraph(
            tr(
                "{n} objects trained the pixel model and only teach here. Each is described by the network of a fold "
                "that has not seen its group; no network has seen the objects that are judged."
            ).format(n=teach_only)
        )
    elif result.by_folds:
        report.paragraph(
            tr(
                "The pixel model has learnt from all groups, so each object is described by the network of a fold that "
                "has not seen its group. Networks that describe the teaching objects have learnt from the judged ones, "
                "so that the scores may be a little too good. A pixel model with EVALUATION holdout and FOLD_NETWORKS "
                "gives scores without that."
            )
        )
    report.table(
        [tr("objects"), tr("overall accuracy"), tr("kappa"), tr("macro F1"), tr("weighted F1")],
        [[len(judged), found.overall_accuracy, found.kappa, found.macro_f1, found.weighted_f1]],
    )
    if len(result.fold_scores) > 1:
        values = [[one.overall_accuracy, one.macro_f1] for one in result.fold_scores]
        spread = np.nanstd(values, axis=0, ddof=1)
        report.paragraph(
            tr(
                "Spread over the {n} folds (standard deviation): overall accuracy {oa}, macro F1 {f1}. The folds share "
                "training data, so this is no confidence interval."
            ).format(n=len(result.fold_scores), oa=f"{spread[0]:.3f}", f1=f"{spread[1]:.3f}")
        )
    report.heading(tr("By class"))
    pairs = np.unique(np.stack([matched.labels, matched.groups], axis=1), axis=0)
    groups = np.bincount(pairs[:, 0], minlength=len(names))
    rows = [
        [name, found.f1[k], found.precision[k], found.recall[k], int(found.support[k]), int(groups[k])]
        for k, name in enumerate(names)
    ]
    columns = [tr("class"), "F1", tr("precision"), tr("recall"), tr("objects"), tr("groups")]
    report.table(columns, rows)
    thin = [name for k, name in enumerate(names) if found.support[k] > 0 and groups[k] < FEW_GROUPS]
    if thin:
        report.paragraph(
            tr("Judged on fewer than {n} groups, so that their scores may be far from the truth: {names}.").format(
                n=FEW_GROUPS, names=", ".join(thin)
            )
        )
    report.heading(tr("Confusion matrix per object"))
    report.confusion(result.matrix, names)
    write_curves(report, result.histories)
    report.heading(tr("Objects and features"))
    report.table(
        [tr("what"), tr("value")],
        [
            [tr("objects with a class"), len(matched.objects)],
            [tr("smallest share of an object that reference data must cover"), settings.min_share],
            [tr("median share covered"), float(np.median(matched.shares))],
            [tr("objects touched, but covered by less"), matched.thin],
            [tr("objects of two classes alike, left out"), matched.disputed],
            [tr("reference features without an object"), matched.lost],
            *([] if forest is None else [[tr("features of each object"), len(forest.recipe.names)]]),
            *([] if network is None else _network_rows(network)),
            [tr("seconds"), round(result.seconds)],
        ],
    )
    report.provenance(made)
    write_rows(
        path,
        "classes",
        ["code", "name", "f1", "precision", "recall", "objects", "groups"],
        [[code, *row] for code, row in zip(codes, rows, strict=True)],
    )
    write_matrix(beside(path, "matrix.csv"), codes, result.matrix)
    content = {
        "classes": model.nomenclature.to_json(),
        "scores": model.scores,
        "folds": [one.to_json() for one in result.fold_scores],
        "objects": len(matched.objects),
        "left_out": result.left_out,
        "teach_only": teach_only,
        "described_by_folds": result.by_folds,
        "features": [] if forest is None else list(forest.recipe.names),
        "network": {} if network is None else network.facts(),
        "warnings": result.warnings,
        "seconds": result.seconds,
    }
    write_facts(path, "trainobjects", content, made)
    report.write(path)


def _network_rows(model: SetModel) -> list[list[Any]]:
    """What the report tells of a network."""
    facts = model.facts()
    cost = facts["mflop_per_object"]
    return [
        [tr("network"), facts["network"]],
        [tr("parameters"), facts["parameters"]],
        [tr("MFLOP for an object of {n} pixels").format(n=SET_PIXELS), None if cost is None else round(cost, 2)],
        [tr("pixels read of an object, at most"), facts["pixels"]],
        [tr("epochs that the folds chose"), ", ".join(str(one) for one in facts["epochs"])],
        [tr("temperature of the confidence"), round(facts["temperature"], 3)],
        [tr("expected calibration error, out of fold"), round(facts["calibration_error"], 3)],
    ]
