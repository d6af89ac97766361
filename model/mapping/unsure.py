"""The class of pixels that are too unsure to reach a chosen error: its threshold, its code, and how many there are."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ..base.calibration import FEWEST_GROUPS, FEWEST_SAMPLES, Kept, RiskCurve, curves_from_json
from ..base.errors import LandloomError
from ..base.language import tr
from ..base.nomenclature import HIGHEST_CODE, LandCoverClass, Nomenclature
from ..base.progress import Progress
from ..base.raster import open_raster
from ..networks.modelfile import ModelHeader

UNSURE_TAG = "LANDLOOM_UNSURE"
"""Metadata item of a map that holds the code of its unsure class, which is no land cover."""
LEVEL_TAG = "LANDLOOM_LEVEL"
"""Metadata item of a map of coarser classes that holds their level."""
GREYS = ("#8c8c8c", "#bdbdbd", "#636363", "#d9d9d9")
LARGEST_ERROR = 0.5
_ROWS = 512


@dataclass(frozen=True)
class Unsure:
    """What is unsure in a map.

    Attributes:
        error: the share of wrong pixels asked for.
        kept: what the threshold keeps of the held-out samples.
        whole: all of these.
        source: where they come from: ``validation`` or ``out of fold``.
        land_cover: the class of unsure pixels.
    """

    error: float
    kept: Kept
    whole: Kept
    source: str
    land_cover: LandCoverClass

    @property
    def threshold(self) -> float:
        """Pixels of less confidence are unsure; 0 where none has to be."""
        return self.kept.threshold

    @property
    def decides(self) -> list[float]:
        """What decides which pixels are unsure."""
        return [self.threshold]

    def at(self, weights: Mapping[int, np.ndarray]) -> np.ndarray:
        """The threshold, float32; the same everywhere."""
        return np.asarray(self.threshold, np.float32)

    def sentences(self) -> list[str]:
        """What the threshold rests on, in words."""
        whole, kept = self.whole, self.kept
        samples = tr("the {pixels:,} {source} samples ({groups} groups)").format(
            pixels=whole.pixels, source=self.source, groups=whole.groups
        )
        if not self.threshold:
            return [
                tr(
                    "UNSURE_ERROR {percent}: of {samples} {percent2} are wrong (at most {percent3}, with "
                    "95 % confidence), so nothing has to be unsure."
                ).format(
                    percent=percent(self.error),
                    samples=samples,
                    percent2=percent(whole.error),
                    percent3=percent(whole.upper_error),
                ),
            ]
        return [
            tr(
                "UNSURE_ERROR {percent}: pixels of less than {percent2} confidence become '{land_cover}' (code {code})."
            ).format(
                percent=percent(self.error),
                percent2=percent(self.threshold),
                land_cover=self.land_cover.name,
                code=self.land_cover.code,
            ),
            tr(
                "Of {samples} this keeps {percent}, of which {percent2} are wrong (at most {percent3}, "
                "with 95 % confidence); without it {percent4} are. This holds for the inside of reference "
                "polygons like those that trained the model, not for borders and other land cover."
            ).format(
                samples=samples,
                percent=percent(kept.pixels / whole.pixels),
                percent2=percent(kept.error),
                percent3=percent(kept.upper_error),
                percent4=percent(whole.error),
            ),
        ]


def percent(share: float) -> str:
    """A share as a percentage with one digit."""
    return f"{100 * share:.1f} %"


def error_share(value: float) -> float:
    """The share that UNSURE_ERROR means: 0.05, or 5 for 5 %; the two ranges do not meet.

    Raises:
        LandloomError: if it is neither.
    """
    if 0 < value <= LARGEST_ERROR:
        return value
    if 1 <= value <= 100 * LARGEST_ERROR:
        return value / 100
    raise LandloomError(
        tr(
            "UNSURE_ERROR is {value:g}: give the share of wrong pixels that you accept, such as 0.05 (or 5, in "
            "percent), above 0 and at most {largest_error:g}."
        ).format(value=value, largest_error=LARGEST_ERROR)
    )


def unsure_of(header: ModelHeader, level: int, error: float, model: str | os.PathLike[str]) -> Unsure:
    """The threshold that a chosen error needs at a level.

    Args:
        header: of the model.
        level: of the classes to map, 0 for the model's own.
        error: share of wrong pixels among those that are kept.
        model: the file, for messages.

    Raises:
        LandloomError: if the model has no curve of the level, or no threshold reaches the error.
    """
    curve: RiskCurve | None = curves_from_json(header.calibration).get(level)
    if curve is None:
        raise LandloomError(
            tr(
                "{model} does not hold how its error falls with confidence, which UNSURE_ERROR needs: an "
                "earlier version made it, or it had fewer than {fewest_samples} samples in {fewest_groups} "
                "groups to learn that from. Train it again, with EVALUATION folds where there are few groups, "
                "or leave UNSURE_ERROR empty."
            ).format(model=model, fewest_samples=FEWEST_SAMPLES, fewest_groups=FEWEST_GROUPS)
        )
    kept = curve.threshold(error)
    source = str(header.calibration.get("source", ""))
    if kept is None:
        best = curve.lowest_error()
        least = math.ceil(best.error * 1000) / 1000
        raise LandloomError(
            tr(
                "UNSURE_ERROR {percent} cannot be reached: of the {pixels:,} {source} samples of the model, "
                "{percent2} of the {pixels2:,} most confident ones are wrong still. Choose {least:g} or more, "
                "or train with more reference polygons."
            ).format(
                percent=percent(error),
                pixels=curve.whole.pixels,
                source=source,
                percent2=percent(best.error),
                pixels2=best.pixels,
                least=least,
            )
        )
    return Unsure(error, kept, curve.whole, source, unsure_class(header.nomenclature))


def unsure_class(nomenclature: Nomenclature) -> LandCoverClass:
    """The class of unsure pixels: a code and a grey that no class has, the same for the maps of all levels.

    The code is the one after the highest, or, where that would need more bytes a pixel, the highest free one below.
    """
    used = {int(code) for code in nomenclature.codes}
    code = 0
    for limit in (255, HIGHEST_CODE):
        if max(used) <= limit and len(used) < limit:
            after = max(used) + 1
            code = after if after <= limit else max(set(range(1, limit + 1)) - used)
            break
    else:
        raise LandloomError(
            tr("All codes from 1 to {highest_code} are classes: none is left for unsure pixels.").format(
                highest_code=HIGHEST_CODE
            )
        )
    color = next((grey for grey in GREYS if grey not in nomenclature.colors), GREYS[0])
    return LandCoverClass(code, tr("unsure"), color)


def level_of(path: str | os.PathLike[str]) -> int:
    """The level of a map's classes: 0 where they are the model's own."""
    text = open_raster(path).GetMetadataItem(LEVEL_TAG) or "0"
    return int(text) if text.isdecimal() else 0


def count_unsure(path: str | os.PathLike[str], code: int, progress: Progress) -> tuple[int, int]:
    """Pixels of a map that are unsure, and pixels that are mapped at all."""
    dataset = open_raster(path)
    band, unsure, mapped = dataset.GetRasterBand(1), 0, 0
    for row in range(0, dataset.RasterYSize, _ROWS):
        progress.check()
        values = band.ReadAsArray(0, row, dataset.RasterXSize, min(_ROWS, dataset.RasterYSize - row))
        unsure += int(np.count_nonzero(values == code))
        mapped += int(np.count_nonzero(values))
    return unsure, mapped
