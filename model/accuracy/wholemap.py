"""From a probability sample to the whole map: accuracy and area of its classes with their standard errors."""

from __future__ import annotations

import numpy as np

from ..base.errors import LandloomError
from ..base.language import tr
from ..base.progress import Progress
from ..samples.reference import ReferenceLayer
from .assessment import Assessment
from .design import read_design
from .estimators import estimate
from .mapreading import CategoricalMap


def estimate_whole_map(
    result: Assessment,
    kind: str,
    layer: ReferenceLayer,
    mapped: CategoricalMap,
    raw: np.ndarray,
    rows: np.ndarray,
    columns: np.ndarray,
    owner: np.ndarray,
    clusters: np.ndarray | None,
    progress: Progress,
) -> None:
    """Accuracy and area of the whole map from a probability sample.

    Units that lie in what trained the model stay in: chance drew them, and those places are a part of the map whose
    accuracy is estimated. Without them the estimates would hold for the rest of the map only. But where it was units of
    the sample itself that trained the model, it knows just these: they are left out, and the others stand for them.
    """
    settings, objects = result.settings, result.objects
    trained: set[int] = set()
    fids = [feature.fid for feature in objects.features]
    if objects.trained.any() and result.trained_by_sample:
        used = ~objects.trained[owner]
        raw, rows, columns, owner = raw[used], rows[used], columns[used], owner[used]
        trained = {fids[i] for i in np.flatnonzero(objects.trained)}
        result.warnings.append(
            tr("{n} units of the sample trained the model and are left out: the others stand for them.").format(
                n=len(trained)
            )
        )
    elif objects.trained.any():
        result.warnings.append(
            tr(
                "{n} units of the sample lie in what trained the model. They are left out of the scores of the judged "
                "pixels, but not of the estimates for the whole map, of which those places are a part."
            ).format(n=int(objects.trained.sum()))
        )
    of_unit = np.unique(owner)
    if result.is_point and len(of_unit) != len(owner):
        raise LandloomError(tr("The reference points are multipoints; a sample needs one point a feature: split them."))
    design = read_design(
        layer,
        kind,
        settings,
        result.matching.left_out,
        trained,
        [fids[i] for i in of_unit],
        result.is_point,
        raw if result.is_point else np.zeros(0, np.int64),
        result.counts,
        mapped.names,
        progress,
    )
    at = np.searchsorted(of_unit, owner)
    if not result.is_point:
        clusters = objects.group  # the pixels of a polygon were drawn as one
    result.design = design
    # Units drawn beside the map count as drawn, and for nothing else.
    beside = np.full(len(design.beside), -1)
    own = np.r_[at, np.arange(len(of_unit), len(of_unit) + len(beside))]
    strata = np.r_[design.strata, design.beside]
    try:
        result.estimates = estimate(
            np.r_[objects.label[owner], beside],
            np.r_[result.matching.of_map(raw), beside],
            len(result.matching),
            strata[own],
            design.sizes,
            None if design.probabilities is None else design.probabilities[own],
            np.r_[mapped.areas.of(rows, columns), np.ones(len(beside))],
            None if clusters is None else np.r_[clusters[owner], clusters.max() + 1 + np.arange(len(beside))],
            design.names,
        )
    except ValueError as error:
        raise LandloomError(
            tr("The sample cannot be used: {error}. Check DESIGN and its fields.").format(error=error)
        ) from error
    # The sample stands for the whole map, or for less of it where strata have no unit or it was drawn elsewhere.
    total, whole = result.estimates.total, result.counts.hectares
    result.hectares = whole if abs(total - whole) <= 0.01 * whole else total
    result.warnings += design.notes
    if design.unsampled:
        result.warnings.append(
            tr(
                "Strata without a labelled point hold {share:.1f} % of the pixels: the estimates hold for the rest of "
                "the map."
            ).format(share=100 * design.unsampled)
        )
    if design.unlabelled:
        result.warnings.append(
            tr(
                "{n} units that were drawn are not labelled: the others of their stratum stand for them, which is "
                "right where it was chance that left them out."
            ).format(n=design.unlabelled)
        )
    if result.estimates.alone:
        result.warnings.append(
            tr("One point alone lies in these strata, which tells nothing of the spread there: {names}.").format(
                names=", ".join(result.estimates.alone)
            )
        )
