"""UNSURE_ERROR by region: the confidence that the model of each region needs, found on its own held-out samples."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ..base.calibration import FEW_GROUPS, FEWEST_GROUPS, FEWEST_SAMPLES, Kept, RiskCurve, curves_from_json
from ..base.language import tr
from ..base.nomenclature import LandCoverClass
from ..base.progress import Progress
from ..networks.modelfile import ModelHeader
from ..samples.regions import OUTSIDE
from .regionblend import listed
from .unsure import percent, unsure_class, unsure_of

NOTHING = 1.01
"""The threshold of a model whose most confident samples are wrong too often still: no confidence reaches it."""


@dataclass(frozen=True)
class RegionLimits:
    """Below which confidence pixels are unsure, by the model that maps them.

    Attributes:
        land_cover: the class of unsure pixels.
        thresholds: of each model of a region by its index, and of the model of all samples by ``OUTSIDE``.
    """

    land_cover: LandCoverClass
    thresholds: Mapping[int, float]

    @property
    def decides(self) -> list[float]:
        """What decides which pixels are unsure."""
        return list(self.thresholds.values())

    def at(self, weights: Mapping[int, np.ndarray]) -> np.ndarray:
        """``[H, W]`` float32 thresholds of the pixels of a chunk; blended along borders as the probabilities are.

        Args:
            weights: model -> its weight of each pixel, ``[H, W]``.
        """
        parts = [weight * np.float32(self.thresholds[model]) for model, weight in weights.items()]
        return np.sum(parts, axis=0, dtype=np.float32)


def region_limits(
    general: ModelHeader,
    regions: Mapping[str, ModelHeader],
    level: int,
    error: float,
    model: str | os.PathLike[str],
    progress: Progress,
) -> RegionLimits | None:
    """The thresholds that a chosen error needs at a level, each model by its own calibration; says what they rest on.

    A model of a region that has too few held-out samples takes the threshold of the model of all samples. Where no
    threshold reaches the error, all pixels are unsure.

    Args:
        general: header of the model of all samples.
        regions: name of a region -> header of its model, in the order of their indices.
        level: of the classes to map.
        error: share of wrong pixels among those that are kept, 0..1.
        model: the file, for messages.
        progress: told of every region.

    Returns:
        None where nothing has to be unsure.

    Raises:
        LandloomError: if the model of all samples has no curve of the level, or no model at all reaches the error.
    """
    headers = {OUTSIDE: general, **dict(enumerate(regions.values()))}
    names = {OUTSIDE: tr("the model of all samples"), **dict(enumerate(regions))}
    curves = {number: curves_from_json(header.calibration).get(level) for number, header in headers.items()}
    found = {number: curve.threshold(error) for number, curve in curves.items() if curve is not None}
    if curves[OUTSIDE] is None or not any(found.values()):
        unsure_of(general, level, error, model)  # says why
    land_cover = unsure_class(general.nomenclature)
    progress.info(
        tr(
            "UNSURE_ERROR {percent} by the samples of each region; unsure pixels become '{land_cover}' (code {code}). "
            "This holds for the inside of reference polygons like those that trained the models, not for borders and "
            "other land cover."
        ).format(percent=percent(error), land_cover=land_cover.name, code=land_cover.code)
    )
    thresholds: dict[int, float] = {}
    for number, curve in curves.items():
        kept = found.get(number)
        if curve is None:
            thresholds[number] = thresholds[OUTSIDE]
        elif kept is None:
            thresholds[number] = NOTHING
            progress.warning(_unreached(names[number], curve, error))
        else:
            thresholds[number] = kept.threshold
            progress.info(_rests_on(names[number], curve.whole, kept, headers[number]))
    lacking = [names[number] for number, curve in curves.items() if curve is None]
    if lacking:
        progress.warning(
            tr(
                "UNSURE_ERROR: these regions have fewer than {fewest_samples} held-out samples in {fewest_groups} "
                "groups and take the threshold of the model of all samples, with an error that is not known: {some}."
            ).format(fewest_samples=FEWEST_SAMPLES, fewest_groups=FEWEST_GROUPS, some=listed(lacking))
        )
    few = {number: kept for number, kept in found.items() if kept is not None and kept.groups < FEW_GROUPS}
    if few:
        progress.warning(
            tr(
                "The error among the pixels kept rests on fewer than {few} groups of samples here, and may be as high "
                "as {percent}: {some}. More reference polygons make it surer."
            ).format(
                few=FEW_GROUPS,
                percent=percent(max(kept.upper_error for kept in few.values())),
                some=listed([names[number] for number in few]),
            )
        )
    return RegionLimits(land_cover, thresholds) if any(thresholds.values()) else None


def _rests_on(name: str, whole: Kept, kept: Kept, header: ModelHeader) -> str:
    """What a threshold keeps of the samples that it was found on, in words."""
    samples = tr("the {pixels:,} {source} samples ({groups} groups)").format(
        pixels=whole.pixels, source=header.calibration.get("source", ""), groups=whole.groups
    )
    if not kept.threshold:
        return tr("{name}: of {samples} {error} are wrong (at most {most}), so nothing has to be unsure.").format(
            name=name, samples=samples, error=percent(whole.error), most=percent(whole.upper_error)
        )
    return tr(
        "{name}: pixels of less than {threshold} confidence are unsure; of {samples} this keeps {share}, of which "
        "{error} are wrong (at most {most}, with 95 % confidence); without it {all} are."
    ).format(
        name=name,
        threshold=percent(kept.threshold),
        samples=samples,
        share=percent(kept.pixels / whole.pixels),
        error=percent(kept.error),
        most=percent(kept.upper_error),
        all=percent(whole.error),
    )


def _unreached(name: str, curve: RiskCurve, error: float) -> str:
    best = curve.lowest_error()
    return tr(
        "UNSURE_ERROR {percent} cannot be reached by {name}: {wrong} of its {pixels:,} most confident samples are "
        "wrong still, so that all pixels that it maps are unsure. Choose {least:g} or more, or train with more "
        "reference polygons there."
    ).format(
        percent=percent(error),
        name=name,
        wrong=percent(best.error),
        pixels=best.pixels,
        least=math.ceil(best.error * 1000) / 1000,
    )
