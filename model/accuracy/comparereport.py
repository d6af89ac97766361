"""The report of a comparison: what a mapper wants to know first, then the figures behind it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..base.charts import PALETTE
from ..base.files import check_writable
from ..base.html import Report
from ..base.intervals import SCORES
from ..base.language import tr
from ..base.progress import Progress
from ..base.provenance import Provenance, gather
from ..base.rangecharts import Range, ranges
from .compare import PARTS, Comparison, compare
from .comparecost import cost, learning, methods, season
from .comparescores import LEVELS, PIXEL, Gain, Judgement
from .comparesettings import BLOCK, FOLDS, HOLDOUT, CompareSettings
from .comparetables import gains, map_gains, networks, sensor_gains, tables_beside, write_tables
from .comparewords import (
    MAIN,
    bounds,
    chance,
    classifier,
    f1_text,
    label,
    level_name,
    of,
    points,
    score_name,
    summary,
    told_levels,
)

if TYPE_CHECKING:
    from ..samples.store import SampleStore


def compare_and_write(
    stores: Sequence[SampleStore],
    settings: CompareSettings,
    table: str | os.PathLike[str] | None = None,
    report: str | os.PathLike[str] | None = None,
    maps: Sequence[str | os.PathLike[str]] = (),
    progress: Progress | None = None,
) -> Comparison:
    """Compare, and write the figures (JSON, CSV files beside it) and the report.

    Args:
        stores: one or more sample stores.
        settings: how.
        table: the JSON file, or None.
        report: an HTML page, or None.
        maps: rasters made elsewhere.
        progress: told of each training.

    Raises:
        LandloomError: if samples, settings, maps or outputs do not do.
        ValueError: if neither table nor report is asked for.
        Cancelled: if the user stops it; nothing is left then.
    """
    main = table or report
    if not main:
        raise ValueError("neither table nor report is asked for")
    tables = [table, *tables_beside(table)] if table else []
    for path in (*tables, *([report] if report else [])):
        check_writable(path)
    parts = f"{os.fspath(main)}{PARTS}"
    result = compare(stores, settings, parts, maps, progress)
    folders = [str(store.folder) for store in stores if store.folder is not None]
    made = gather({"SAMPLES": folders, "MAPS": [str(path) for path in maps]}, settings.seed)
    if table:
        write_tables(result, table, made.to_json())
    if report:
        write_report(report, result, table, made)
    shutil.rmtree(parts, ignore_errors=True)
    for sentence in summary(result):
        (progress or Progress()).info(sentence)
    return result


def write_report(
    path: str | os.PathLike[str],
    result: Comparison,
    table: str | os.PathLike[str] | None = None,
    made: Provenance | None = None,
) -> None:
    """Write the HTML page, whole or not at all.

    Raises:
        LandloomError: if it cannot be written.
    """
    report = Report(tr("Comparison of classifiers"), result.sensors)
    report.heading(tr("In short"))
    for sentence in summary(result):
        report.paragraph(sentence)
    report.warnings(result.warnings)
    _how(report, result)
    _gains(report, result)
    _scores(report, result)
    _sensors(report, result)
    _maps(report, result)
    _classes(report, result)
    cost(report, result)
    learning(report, result)
    season(report, result)
    methods(report, result)
    if table:
        names = ", ".join(one.name for one in (Path(table), *tables_beside(table)))
        report.heading(tr("Files"))
        report.paragraph(tr("The figures of this page, and those by class and run: {names}.").format(names=names))
    if made is not None:
        report.provenance(made)
    report.write(path)


def _how(report: Report, result: Comparison) -> None:
    settings, counts = result.settings, result.counts
    report.heading(tr("How it was judged"))
    kept = (
        tr("blocks of {size} m").format(size=f"{settings.block_size:g}")
        if settings.split_by == BLOCK
        else tr("whole groups of polygons")
    )
    trainings = len(result.splits) // settings.runs
    if settings.evaluation == FOLDS:
        how = tr(
            "{runs} runs; in each, {kept} are dealt anew to {folds} folds, and every fold is judged by models that "
            "have learnt from the others."
        )
    elif settings.evaluation == HOLDOUT:
        how = tr(
            "{runs} runs; in each, {share} % of the {kept} are drawn anew for the test and judged by models that have "
            "learnt from the others."
        )
    else:
        how = tr("{runs} runs on the parts dealt when the samples were extracted; runs differ by training alone.")
    report.paragraph(
        how.format(runs=settings.runs, kept=kept, folds=trainings, share=f"{100 * settings.test:g}")
        + " "
        + tr(
            "All classifiers have the same splits. The epoch of a network is chosen by groups cut from its training "
            "groups, and nothing is chosen by the test: it only reports. Judged: {pixels} pixels in {polygons} "
            "polygons and {groups} {unit}."
        ).format(
            pixels=counts["pixels"],
            polygons=counts["polygons"],
            groups=counts["groups"],
            unit=tr("blocks") if settings.split_by == BLOCK else tr("groups"),
        )
    )
    if len(told_levels(result)) == 1:
        report.paragraph(tr("Each polygon is one pixel, so that scores per polygon are those per pixel."))


def _gains(report: Report, result: Comparison) -> None:
    found = _told(gains(result), result)
    if not found:
        return
    report.heading(tr("Gain over the better forest"))
    report.paragraph(
        tr(
            "Points of 100, against the better of the two forests with the same sensors, chosen for each score. The "
            "interval holds the true gain in 95 of 100 such comparisons; p is the chance of a gain as large if there "
            "were none, and p (Holm) is corrected for the {tests} networks and sets of sensors in a score's column."
        ).format(tests=len(networks(result)))
    )
    shown = [one for one, _ in found if one.score == MAIN and one.level == PIXEL]
    report.picture(_gain_chart(tr("Gain in macro F1 per pixel"), shown, result))
    _gain_table(report, found, result)


def _told(found: Sequence[tuple[Gain, float]], result: Comparison) -> list[tuple[Gain, float]]:
    """At the levels worth telling, the score of the summary first."""
    own = [pair for pair in found if pair[0].level in told_levels(result)]
    return sorted(own, key=lambda pair: (LEVELS.index(pair[0].level), pair[0].score != MAIN))


def _gain_chart(title: str, found: Sequence[Gain], result: Comparison) -> str:
    names = list(dict.fromkeys(one.name for one in result.configurations))
    rows = []
    for one in found:
        known = [own for own in result.configurations if own.key == one.of]
        place = names.index(known[0].name) if known else len(names)
        told = one.told
        rows.append(
            Range(
                label(one.of, result),
                100 * told.estimate,
                100 * told.low,
                100 * told.high,
                color=PALETTE[place % len(PALETTE)],
            )
        )
    return ranges(title, rows, tr("points (interval of 95 %)"), zero=True)


def _gain_table(report: Report, found: Sequence[tuple[Gain, float]], result: Comparison) -> None:
    report.table(
        [tr("of"), tr("over"), tr("level"), tr("score"), tr("gain"), tr("95 % interval"), "p", tr("p (Holm)")],
        [
            [
                label(one.of, result),
                label(one.over, result),
                level_name(one.level),
                score_name(one.score),
                points(one.told.estimate),
                bounds(one.told),
                chance(one.told.p),
                chance(p),
            ]
            for one, p in found
        ],
    )


def _scores(report: Report, result: Comparison) -> None:
    for level in told_levels(result):
        judged = result.levels[level]
        report.heading(tr("Scores {level}").format(level=level_name(level)))
        n = result.counts["pixels" if level == PIXEL else "polygons"]
        report.paragraph(
            tr(
                "Mean of {runs} runs; in brackets the lowest and the highest run, which is a spread and no interval. "
                "n = {n}."
            ).format(runs=result.settings.runs, n=n)
        )
        report.table(
            [tr("classifier"), tr("sensors"), *(score_name(score) for score in SCORES)],
            [
                [classifier(one.name), one.sensor_text, *(_with_spread(judged, one.key, score) for score in SCORES)]
                for one in result.configurations
            ],
        )
        report.picture(
            _score_chart(
                tr("Macro F1 {level}: mean, runs (strokes) and interval").format(level=level_name(level)),
                judged,
                result,
            )
        )


def _with_spread(judged: Judgement, key: str, score: str) -> str:
    values = judged.scores[key][score]
    known = values[np.isfinite(values)]
    if not len(known):
        return "–"
    text = f"{known.mean():.3f}"
    return text if len(known) == 1 else f"{text} ({known.min():.3f}–{known.max():.3f})"


def _score_chart(title: str, judged: Judgement, result: Comparison) -> str:
    names = list(dict.fromkeys(one.name for one in result.configurations))
    rows = []
    for one in result.configurations:
        interval = judged.interval(one.key, MAIN)
        color = PALETTE[names.index(one.name) % len(PALETTE)]
        runs = judged.scores[one.key][MAIN].tolist()
        rows.append(Range(label(one.key, result), interval.estimate, interval.low, interval.high, runs, color))
    return ranges(title, rows, score_name(MAIN))


def _sensors(report: Report, result: Comparison) -> None:
    found = _told(sensor_gains(result), result)
    if not found:
        return
    report.heading(tr("All sensors against fewer"))
    shown = [(one, p) for one, p in found if one.level == PIXEL]
    report.picture(
        ranges(
            tr("Gain of {sensors} in macro F1 per pixel").format(sensors="+".join(result.together)),
            [
                Range(
                    tr("{classifier} · over {sensors}").format(
                        classifier=classifier(of(one.of, result).name), sensors=of(one.over, result).sensor_text
                    ),
                    100 * one.told.estimate,
                    100 * one.told.low,
                    100 * one.told.high,
                )
                for one, _ in shown
                if one.score == MAIN
            ],
            tr("points (interval of 95 %)"),
            zero=True,
        )
    )
    _gain_table(report, [(one, p) for one, p in shown if one.score in (MAIN, "overall_accuracy")], result)


def _maps(report: Report, result: Comparison) -> None:
    if not result.map_levels:
        return
    report.heading(tr("Maps made elsewhere"))
    report.paragraph(
        tr(
            "Each map was read where the samples lie and scored on the groups that every run tests; classes are "
            "matched by name, else by code. Whether a map has learnt from these groups is unknown here: if it has, its "
            "scores are too high. To be fair to all, make the map from the training part of samples.gpkg alone and "
            "choose EVALUATION split."
        )
    )
    rows = []
    for source in result.maps:
        for level, judged in result.map_levels.get(source.key, {}).items():
            scores = [judged.mean(source.key, score) for score in SCORES]
            n = int((judged.runs[source.key] >= 0).any(axis=0).sum())
            rows.append([source.key, level_name(level), *scores, n])
    report.table([tr("map"), tr("level"), *(score_name(score) for score in SCORES), "n"], rows)
    found = _told(map_gains(result), result)
    report.picture(
        ranges(
            tr("Difference in macro F1 per pixel"),
            [
                Range(
                    f"{label(one.of, result)} – {label(one.over, result)}",
                    100 * one.told.estimate,
                    100 * one.told.low,
                    100 * one.told.high,
                )
                for one, _ in found
                if one.level == PIXEL and one.score == MAIN
            ],
            tr("points (interval of 95 %)"),
            zero=True,
        )
    )
    _gain_table(report, [pair for pair in found if pair[0].score in (MAIN, "overall_accuracy")], result)


def _classes(report: Report, result: Comparison) -> None:
    wide = [one for one in result.configurations if one.sensors == result.together]
    names, colors, codes = result.nomenclature.names, result.nomenclature.colors, result.nomenclature.codes
    for level in told_levels(result):
        judged = result.levels[level]
        report.heading(tr("Classes {level}, {sensors}").format(level=level_name(level), sensors=wide[0].sensor_text))
        intervals = {one.key: judged.by_class(one.key) for one in wide}
        found = [judged.scores[one.key] for one in wide]
        counts = [round(float(found[0]["support"][:, k].mean())) for k in range(len(names))]
        report.table(
            [tr("class"), tr("code"), "n", *(f"{classifier(one.name)}: F1" for one in wide)],
            [
                [name, str(codes[k]), counts[k], *(f1_text(intervals[one.key][k]) for one in wide)]
                for k, name in enumerate(names)
            ],
            colors=colors,
        )
        header = [tr("class")]
        for one in wide:
            header += [f"{classifier(one.name)}: {tr('precision')}", tr("recall")]
        rows: list[list[Any]] = [
            [name, *(_mean(own[score][:, k]) for own in found for score in ("precision", "recall"))]
            for k, name in enumerate(names)
        ]
        report.table(header, rows, colors=colors)
    report.paragraph(tr("F1 with its interval of 95 %; – where it is undefined, which enters no mean."))
    judged = result.levels[PIXEL]
    chosen = [judged.better([one.key for one in wide if one.is_forest], MAIN)]
    chosen += [one.key for one in wide if not one.is_forest]
    for key in chosen:
        report.heading(tr("Confusion matrix per pixel: {name}").format(name=label(key, result)))
        report.paragraph(tr("Pixels, mean of {runs} runs.").format(runs=result.settings.runs))
        report.confusion(np.round(judged.matrix(key)[: len(names), : len(names)], 1), names)


def _mean(values: np.ndarray) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else float("nan")
