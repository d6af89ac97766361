"""Sections of the comparison's report: cost, the curves, and how intervals were made."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..base.html import Report
from ..base.intervals import BOOTSTRAP, REPLICATES
from ..base.language import tr
from .compare import Comparison
from .comparecurves import Curve
from .comparesettings import BLOCK, FOLDS
from .comparetables import TILE, gains, hours_a_tile
from .comparewords import MAIN, classifier, score_name, season_sentence


def cost(report: Report, result: Comparison) -> None:
    """Time, size and arithmetic of each classifier."""
    report.heading(tr("Cost"))
    rows: list[list[Any]] = []
    for one in result.configurations:
        facts = result.facts[one.key]
        seconds = facts.get("seconds_per_pixel", float("nan"))
        flop = facts.get("mflop_per_pixel")
        rows.append(
            [
                classifier(one.name),
                one.sensor_text,
                f"{facts['seconds_training']:.1f}",
                facts.get("parameters"),
                facts.get("nodes"),
                None if flop is None else f"{flop:.2f}",
                f"{seconds * 1e6:.1f}",
                f"{hours_a_tile(seconds):.2f}",
            ]
        )
    device = next((facts.get("device") for key, facts in result.facts.items() if "forest" not in key), "cpu")
    report.table(
        [
            tr("classifier"),
            tr("sensors"),
            tr("seconds a training"),
            tr("parameters"),
            tr("nodes of the trees"),
            tr("MFLOP a pixel"),
            tr("µs a pixel, mapping"),
            tr("hours a Sentinel-2 tile"),
        ],
        rows,
    )
    report.paragraph(
        tr(
            "Networks on {device}, forests on the processor. Mapping is timed on a window of 64 x 64 pixels of these "
            "samples, computing only; hours for a tile of 10,980 x 10,980 pixels ({pixels} million) are extrapolated "
            "from it, and reading the images comes on top. A multiply-add is two FLOP; those of trees are not counted."
        ).format(device=device, pixels=f"{TILE / 1e6:.0f}")
    )


def learning(report: Report, result: Comparison) -> None:
    """Scores against the number of training groups."""
    if not result.learning:
        return
    report.heading(tr("Learning curve"))
    report.paragraph(
        tr(
            "Scores per pixel on the same test groups, by models that have learnt from 10, 25, 50 and 100 % of the "
            "training groups of each class ({how}). Bands are intervals of 95 % (bootstrap of groups). A curve that "
            "still rises at its end says that more reference polygons would help."
        ).format(how=_curve_runs(result))
    )
    share = [100 * position for position in result.learning[0].positions]
    for score in ("overall_accuracy", MAIN):
        report.lines(
            score_name(score), share, _series(result.learning, score), tr("% of the training groups"), score_name(score)
        )
    _curve_table(report, result.learning, [f"{own:g} %" for own in share])


def season(report: Report, result: Comparison) -> None:
    """Scores against the last date that was read."""
    if not result.season:
        return
    report.heading(tr("How early in the season"))
    report.paragraph(
        tr(
            "Scores per pixel by models that have seen the images up to a date only, in training and in the test "
            "({how}). Bands are intervals of 95 % (bootstrap of groups)."
        ).format(how=_curve_runs(result))
    )
    for curve in result.season:
        report.paragraph(season_sentence(curve, result))
    days = result.season[0].positions
    for score in ("overall_accuracy", MAIN):
        report.lines(
            score_name(score),
            days,
            _series(result.season, score),
            tr("last day of the season that was read"),
            score_name(score),
        )
    _curve_table(report, result.season, result.season_dates)


def _curve_runs(result: Comparison) -> str:
    if result.settings.evaluation == FOLDS:
        return tr("the folds of the first run, so that every group is judged once")
    return tr("mean of {runs} runs").format(runs=result.settings.runs)


def _series(curves: Sequence[Curve], score: str) -> dict[str, Any]:
    return {
        classifier(curve.configuration.name): tuple(
            [getattr(interval, name) for interval in curve.scores[score]] for name in ("estimate", "low", "high")
        )
        for curve in curves
    }


def _curve_table(report: Report, curves: Sequence[Curve], places: Sequence[str]) -> None:
    report.table(
        [
            tr("classifier"),
            "",
            tr("training groups"),
            *(f"{score_name(score)} [95 %]" for score in ("overall_accuracy", MAIN)),
        ],
        [
            [
                classifier(curve.configuration.name),
                text,
                round(curve.groups[place]),
                *(
                    f"{one.estimate:.3f} [{one.low:.3f}, {one.high:.3f}]"
                    for one in (curve.scores[score][place] for score in ("overall_accuracy", MAIN))
                ),
            ]
            for curve in curves
            for place, text in enumerate(places)
        ],
    )


def methods(report: Report, result: Comparison) -> None:
    """What stands behind intervals and tests."""
    report.heading(tr("How intervals and tests were made"))
    unit = tr("blocks") if result.settings.split_by == BLOCK else tr("groups")
    told = [one.told for one, _ in gains(result)]
    both = any(one.method != BOOTSTRAP for one in told)
    report.paragraph(
        tr(
            "Paired bootstrap: {groups} {unit} are drawn with replacement {draws} times; the out-of-fold predictions "
            "of both classifiers are scored on the same draw and the runs averaged. It knows the chance of the test "
            "{unit} but takes the trained models as they are."
        ).format(groups=result.counts["groups"], unit=unit, draws=REPLICATES)
    )
    if both:
        ratio = float(np.mean([split.ratio for split in result.splits]))
        report.paragraph(
            tr(
                "Corrected resampled t-test (Nadeau & Bengio 2003): over {splits} splits, whose variance is multiplied "
                "by 1/n + n_test/n_train = {factor}, since random splits share data. The interval told covers both, "
                "and p is the larger of both. With two equal classifiers that are trained anew on simulated data, "
                "fewer than 7 of 100 such tests find a difference at 5 %."
            ).format(splits=len(result.splits), factor=f"{1 / len(result.splits) + ratio:.3f}")
        )
    else:
        report.paragraph(
            tr(
                "All runs have one test, so that no test over splits is possible: the intervals hold for the models as "
                "trained, and may be too narrow for other training samples."
            )
        )
    report.paragraph(
        tr(
            "The scores hold for the inside of reference polygons like these; they are no estimate of a map's "
            "area-weighted accuracy."
        )
    )
