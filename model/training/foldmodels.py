"""Networks of the folds made comparable with the delivered one, so that their descriptors can stand in one table.

Each network finds a basis of its own: axis 3 of one has nothing to do with axis 3 of another. So the descriptors of a
fold's network are brought onto the main axes of the delivered one by linear regression (ridge; Hoerl & Kennard 1970),
fitted on pixels that both have learnt from: none of the groups that the fold leaves out takes part, so that the
descriptors of these groups stay out of fold. A rotation (orthogonal Procrustes) would not do: the networks weigh
what they know differently, and after rectifiers many of their dimensions are empty.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from ..base.language import tr
from ..base.progress import Progress
from ..networks.axes import Axes
from ..networks.modelfile import Model
from ..networks.predictor import FUSED
from .checkpoints import Checkpoints
from .folds import Parts, folds
from .loop import check_training_labels, describe_samples, drawn, fit
from .pool import SamplePool

if TYPE_CHECKING:
    from .settings import TrainingSettings

RIDGES = (1e-4, 1e-3, 1e-2, 1e-1)
KEY = "alignment"  # in the provenance of a fold's network: branch -> share of the variance explained


def networks_of_folds(
    delivered: Model,
    pool: SamplePool,
    parts: Parts,
    settings: TrainingSettings,
    progress: Progress,
    checkpoints: Checkpoints,
    start: Model | None,
) -> list[Model]:
    """Train a network for each fold of the groups that trained the delivered model, on the others of these groups.

    The test part takes no part. So objects that trained the delivered model can be described by a network that has not
    seen them, and objects of the test part by the delivered model.

    Raises:
        LandloomError: if the training groups lie in one fold, or a fold leaves one class.
        Cancelled: if the user stops it.
    """
    divided = [own for _number, own in folds(pool, settings.seed, np.concatenate([parts.training, parts.validation]))]
    models = []
    for place, own in enumerate(divided):
        check_training_labels(pool, own.training)
        progress.info(
            tr("Network {place} of {n_divided} for descriptors of training objects").format(
                place=place + 1, n_divided=len(divided)
            )
        )
        part = progress.part(100 * place / len(divided), 100 * (place + 1) / len(divided))
        unit = f"network {place + 1}"
        models.append(fit(pool, own.training, own.validation, settings, part, checkpoints, unit, start=start).model)
    align_all(models, delivered, pool, divided, settings.device, progress)
    return models


def align_all(
    models: Sequence[Model],
    delivered: Model,
    pool: SamplePool,
    divided: Sequence[Parts],
    device: str,
    progress: Progress,
) -> None:
    """:func:`align` of the network of each fold, on the samples that trained it; told in one line."""
    progress.text(tr("Bringing the descriptors of the folds onto the same axes"))
    shares = [
        align(model, delivered, pool, parts.training, device, progress)[FUSED]
        for model, parts in zip(models, divided, strict=True)
    ]
    if shares:
        progress.info(
            tr(
                "The networks of the folds are kept for descriptors of objects: of the variance of the "
                "delivered model's descriptors they explain {shares:.0%} to {shares2:.0%}."
            ).format(shares=min(shares), shares2=max(shares))
        )


def align(
    fold: Model, delivered: Model, pool: SamplePool, training: np.ndarray, device: str, progress: Progress
) -> dict[str, float]:
    """Give a fold's network axes that are those of the delivered model, as near as a linear map comes.

    Args:
        fold: gets ``axes``, and in its provenance how well they fit.
        delivered: has its main axes.
        pool: the samples.
        training: those that trained the fold's network; at most some thousands of them are looked at.
        device: where to compute.
        progress: asked for cancellation.

    Returns:
        share of the variance of the delivered model's axes that is explained, by branch; on groups that the fit did not
        see.
    """
    chosen = drawn(training)
    own = describe_samples(fold, pool, chosen, device, progress)
    theirs = describe_samples(delivered, pool, chosen, device, progress)
    shares = {}
    for branch, axes in delivered.axes.items():
        progress.check()
        targets = axes.project(theirs[branch].T, len(axes.vectors)).T
        vectors, mean, shares[branch] = linear_map(own[branch], targets, pool.groups[chosen])
        fold.axes[branch] = _like(axes, vectors, mean, own[branch])
    header = fold.header
    fold.header = replace(header, provenance={**header.provenance, KEY: shares})
    return shares


def linear_map(
    descriptors: np.ndarray, targets: np.ndarray, groups: np.ndarray
) -> tuple[np.ndarray, np.ndarray, float]:
    """The ridge regression of ``targets`` on ``descriptors``, its penalty chosen by groups left out.

    Args:
        descriptors: ``[n, D]``.
        targets: ``[n, m]``.
        groups: ``[n]``.

    Returns:
        ``vectors`` ``[m, D]`` and ``mean`` ``[D]`` with ``vectors @ (descriptor - mean)`` near the target, and the
        share of the targets' variance that is explained in groups that the fit did not see, 1 at best.
    """
    x, y = np.asarray(descriptors, np.float64), np.asarray(targets, np.float64)
    _, dense = np.unique(groups, return_inverse=True)
    half = dense.reshape(-1) % 2
    errors = np.zeros(len(RIDGES))
    for part in (0, 1):
        seen, unseen = half == part, half != part
        if seen.sum() < 2 or not unseen.any():
            continue
        for place, ridge in enumerate(RIDGES):
            vectors, middle, level = _ridge(x[seen], y[seen], ridge)
            errors[place] += np.square((x[unseen] - middle) @ vectors.T + level - y[unseen]).sum()
    best = int(errors.argmin())
    total = max(float(np.square(y - y.mean(axis=0)).sum()), 1e-30)
    vectors, middle, level = _ridge(x, y, RIDGES[best])
    # the level goes into the mean, by the shortest vector that does it
    mean = middle - np.linalg.lstsq(vectors, level, rcond=1e-4)[0]
    return vectors.astype(np.float32), mean.astype(np.float32), float(1 - errors[best] / total)


def _ridge(x: np.ndarray, y: np.ndarray, ridge: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Slopes ``[m, D]``, middle of ``x`` and level of ``y``; the penalty is relative to the mean variance of ``x``."""
    middle, level = x.mean(axis=0), y.mean(axis=0)
    centred = x - middle
    scatter = centred.T @ centred
    penalty = ridge * max(float(np.trace(scatter)) / len(scatter), 1e-12)
    slopes = np.linalg.solve(scatter + penalty * np.eye(len(scatter)), centred.T @ (y - level))
    return slopes.T, middle, level


def _like(axes: Axes, vectors: np.ndarray, mean: np.ndarray, own: np.ndarray) -> Axes:
    """The delivered model's axes, reached from another network's descriptors."""
    raw_low, raw_high = np.percentile(own, [2, 98], axis=0).astype(np.float32)
    return replace(axes, mean=mean, vectors=vectors, raw_low=raw_low, raw_high=raw_high)
