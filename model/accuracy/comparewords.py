"""The words of a comparison: what classifiers, scores and gains are called, and the sentences read first."""

from __future__ import annotations

import numpy as np

from ..base.intervals import Interval
from ..base.language import tr
from .compare import Comparison
from .comparecurves import Curve
from .comparescores import LEVELS, PIXEL
from .comparesettings import BALANCED, PLAIN, Configuration
from .comparetables import map_gains, networks, sensor_gains

MAIN = "macro_f1"  # the score of the summary: every class counts the same, the rare crops too


def label(key: str, result: Comparison) -> str:
    """A configuration in words: ``forest, balanced · S1+S2``; a map by its file."""
    for one in result.configurations:
        if one.key == key:
            return f"{classifier(one.name)} · {one.sensor_text}"
    return key


def classifier(name: str) -> str:
    """A classifier in words."""
    return {PLAIN: tr("forest, iota2's settings"), BALANCED: tr("forest, balanced classes")}.get(name, name)


def score_name(score: str) -> str:
    """A score in words."""
    return {
        "overall_accuracy": tr("overall accuracy"),
        "kappa": tr("kappa"),
        "macro_f1": tr("macro F1"),
        "weighted_f1": tr("weighted F1"),
    }[score]


def level_name(level: str) -> str:
    """A level in words."""
    return tr("per pixel") if level == PIXEL else tr("per polygon")


def told_levels(result: Comparison) -> tuple[str, ...]:
    """The levels worth telling: not polygons where each is one pixel, as points of reference data are."""
    return LEVELS if result.counts["polygons"] < result.counts["pixels"] else (PIXEL,)


def points(value: float, sign: bool = True) -> str:
    """A share of 1 as points of 100."""
    return "–" if not np.isfinite(value) else f"{100 * value:+.1f}" if sign else f"{100 * value:.1f}"


def chance(p: float) -> str:
    """A p value: ``0.012``, ``< 0.001``; not wrapped."""
    return "–" if not np.isfinite(p) else "<\u00a00.001" if p < 0.001 else f"{p:.3f}"


def bounds(interval: Interval) -> str:
    """The ends of an interval of a gain, points of 100."""
    return f"[{points(interval.low)},\u00a0{points(interval.high)}]"


def p_text(p: float) -> str:
    """``p = 0.012`` or ``p < 0.001``."""
    return f"p\u00a0{chance(p)}" if p < 0.001 else f"p\u00a0=\u00a0{chance(p)}"


def _verdict(interval: Interval) -> str:
    if not np.isfinite(interval.p):
        return tr("No interval can be told.")
    if interval.significant:
        return tr("This is more than chance.") if interval.estimate > 0 else tr("This loss is more than chance.")
    return tr("This cannot be told from chance with these samples.")


def summary(result: Comparison) -> list[str]:
    """The sentences a mapper reads first: each network with all sensors, all sensors against fewer, each map."""
    sentences = []
    pixel = result.levels[PIXEL]
    for one in networks(result):
        if one.sensors != result.together:
            continue
        gain = result.gain(one, PIXEL, MAIN)
        also = result.gain(one, PIXEL, "overall_accuracy")
        text = (
            tr(
                "{network} with {sensors} gains {gain} points of macro F1 {bounds} over the better forest ({forest}): "
                "{value} instead of {other}, {p}. {verdict} Overall accuracy: {also} points {also_bounds}."
            )
            if gain.told.estimate >= 0
            else tr(
                "{network} with {sensors} loses against the better forest ({forest}): {gain} points of macro F1 "
                "{bounds}, {value} instead of {other}, {p}. {verdict} Overall accuracy: {also} points {also_bounds}."
            )
        )
        sentences.append(
            text.format(
                network=one.name,
                sensors=one.sensor_text,
                gain=points(gain.told.estimate),
                bounds=bounds(gain.told),
                forest=label(gain.over, result).split(" · ")[0],
                value=points(pixel.mean(one.key, MAIN), sign=False),
                other=points(pixel.mean(gain.over, MAIN), sign=False),
                p=p_text(gain.told.p),
                verdict=_verdict(gain.told),
                also=points(also.told.estimate),
                also_bounds=bounds(also.told),
            )
        )
    for gain, _ in sensor_gains(result):
        if gain.level == PIXEL and gain.score == MAIN and not of(gain.of, result).is_forest:
            sentences.append(
                tr(
                    "{network}: {more} against {fewer} alone: {gain} points of macro F1 {bounds}, {p}. {verdict}"
                ).format(
                    network=of(gain.of, result).name,
                    more=of(gain.of, result).sensor_text,
                    fewer=of(gain.over, result).sensor_text,
                    gain=points(gain.told.estimate),
                    bounds=bounds(gain.told),
                    p=p_text(gain.told.p),
                    verdict=_verdict(gain.told),
                )
            )
    for gain, _ in map_gains(result):
        if gain.level == PIXEL and gain.score == MAIN:
            sentences.append(
                tr(
                    "{of} against {over}: {gain} points of macro F1 {bounds}, {p}, if the map has not learnt from "
                    "these groups."
                ).format(
                    of=label(gain.of, result),
                    over=label(gain.over, result),
                    gain=points(gain.told.estimate),
                    bounds=bounds(gain.told),
                    p=p_text(gain.told.p),
                )
            )
    for curve in result.season:
        if not curve.configuration.is_forest:
            sentences.append(season_sentence(curve, result))
    if not sentences:
        best = result.better_forest(result.together, PIXEL, MAIN)
        sentences.append(
            tr("The better forest ({forest}) has {value} points of macro F1; no network or map was compared.").format(
                forest=label(best, result), value=points(pixel.mean(best, MAIN), sign=False)
            )
        )
    return sentences


def of(key: str, result: Comparison) -> Configuration:
    """The configuration of a key."""
    return next(one for one in result.configurations if one.key == key)


def season_sentence(curve: Curve, result: Comparison) -> str:
    """How early in the season a classifier is nearly as good as with all images."""
    name = label(curve.configuration.key, result)
    parts = []
    for score in (MAIN, "overall_accuracy"):
        place = curve.near_full(score)
        date = result.season_dates[-1 if place is None else place]
        if place is None:
            text = tr("{score} comes within 2 points of the full season only with the last images ({date})")
        else:
            text = tr("{score} is within 2 points of the full season from {date} on")
        parts.append(text.format(score=score_name(score), date=date))
    return f"{name}: {'; '.join(parts)}."


def f1_text(interval: Interval) -> str:
    """An F1 with its interval."""
    if not np.isfinite(interval.estimate):
        return "–"
    return f"{interval.estimate:.2f}\u00a0[{interval.low:.2f},\u00a0{interval.high:.2f}]"
