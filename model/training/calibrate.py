"""Temperature and curves of confidence against error, from samples that the model had not learnt from.

With a holdout they come from the validation part, and the test part judges them. With folds they come from the
predictions out of fold; what is judged of a fold uses the temperature and the curve of the other folds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..base.calibration import RiskCurve, fit_temperature, tempered
from ..base.levels import Levels

if TYPE_CHECKING:
    from .pool import SamplePool

VALIDATION, OUT_OF_FOLD = "validation", "out of fold"
CHECKED = (0.2, 0.1, 0.05, 0.02)
"""The errors for which reports tell what would be unsure."""


class Held(NamedTuple):
    """Predictions of samples by a model that had not learnt from them.

    Attributes:
        indices: ``[n]`` of the samples.
        probabilities: ``[M, n, K]`` float32 of each member, at temperature 1.
    """

    indices: np.ndarray
    probabilities: np.ndarray


class Check(NamedTuple):
    """What a threshold, chosen on some samples, did on others.

    Attributes:
        pixels: samples judged.
        kept: of these, not unsure.
        wrong: of the kept.
    """

    pixels: int
    kept: int
    wrong: int


@dataclass
class Calibrated:
    """What confidence is worth.

    Attributes:
        temperature: of the delivered model.
        source: where temperature and curves come from, ``validation`` or ``out of fold``; empty where there was
            nothing to take them from.
        curves: level -> curve of confidence and error; empty where samples are too few.
        before: ``[n, K]`` of the judged samples at temperature 1.
        after: ``[n, K]`` at the temperature found without them.
        checks: chosen error -> what its threshold did on samples that had no part in choosing it.
    """

    temperature: float
    source: str
    curves: dict[int, RiskCurve]
    before: np.ndarray
    after: np.ndarray
    checks: dict[float, Check] = field(default_factory=dict)

    def checks_json(self) -> list[dict[str, float]]:
        """The checks, for the report's file."""
        return [{"error": error, **check._asdict()} for error, check in self.checks.items()]

    def to_json(self) -> dict[str, Any]:
        """What a model's header keeps."""
        if not self.curves:
            return {}
        return {
            "source": self.source,
            "levels": {str(level): curve.to_json() for level, curve in self.curves.items()},
        }


def temperature_of(pool: SamplePool, held: Held) -> float:
    """The temperature by which held-out predictions fit best."""
    with np.errstate(divide="ignore"):
        return fit_temperature(np.log(held.probabilities), pool.labels[held.indices])


def curves_of(pool: SamplePool, indices: np.ndarray, probabilities: np.ndarray) -> dict[int, RiskCurve]:
    """The curves of all levels, from ``[n, K]`` calibrated probabilities of held-out samples."""
    levels, curves = Levels(pool.nomenclature), {}
    for level in range(levels.count + 1):
        chosen, confidence = levels.choose(probabilities.T, level)
        right = chosen == levels.parents(level)[pool.labels[indices]]
        curve = RiskCurve.of(confidence, right, pool.groups[indices])
        if curve is not None:
            curves[level] = curve
    return curves


def calibrate_holdout(pool: SamplePool, held: Held | None, judged: Held) -> Calibrated:
    """Calibrate on the validation part (``held``, None where there is none) and apply it to the test part."""
    before = tempered(judged.probabilities, 1.0)
    if held is None:
        return Calibrated(1.0, "", {}, before, before)
    temperature = temperature_of(pool, held)
    curves = curves_of(pool, held.indices, tempered(held.probabilities, temperature))
    after = tempered(judged.probabilities, temperature)
    return Calibrated(temperature, VALIDATION, curves, before, after, _checks(pool, [(judged.indices, after, curves)]))


def calibrate_folds(pool: SamplePool, held: Held, fold: np.ndarray) -> Calibrated:
    """Calibrate on all predictions out of fold, and judge each fold by what the others say.

    Args:
        pool: the samples.
        held: predictions out of fold.
        fold: ``[n]`` the fold of each.
    """
    after, judged = np.empty(held.probabilities.shape[1:], np.float32), []
    for number in np.unique(fold):
        own = fold == number
        others = Held(held.indices[~own], held.probabilities[:, ~own])
        temperature = temperature_of(pool, others) if len(others.indices) else 1.0
        after[own] = tempered(held.probabilities[:, own], temperature)
        curves = curves_of(pool, others.indices, tempered(others.probabilities, temperature))
        judged.append((held.indices[own], after[own], curves))
    temperature = temperature_of(pool, held)
    curves = curves_of(pool, held.indices, tempered(held.probabilities, temperature))
    before = tempered(held.probabilities, 1.0)
    return Calibrated(temperature, OUT_OF_FOLD, curves, before, after, _checks(pool, judged))


def _checks(
    pool: SamplePool, judged: Sequence[tuple[np.ndarray, np.ndarray, dict[int, RiskCurve]]]
) -> dict[float, Check]:
    """Apply thresholds to samples (indices, probabilities) that the curves beside them do not know."""
    levels, checks = Levels(pool.nomenclature), {}
    for error in CHECKED:
        pixels = kept = wrong = 0
        for indices, probabilities, curves in judged:
            point = curves[0].threshold(error) if 0 in curves else None
            if point is None:
                break
            chosen, confidence = levels.choose(probabilities.T)
            own = confidence >= np.float32(point.threshold)
            pixels, kept = pixels + len(indices), kept + int(own.sum())
            wrong += int((chosen != pool.labels[indices])[own].sum())
        else:
            if pixels:
                checks[error] = Check(pixels, kept, wrong)
    return checks
