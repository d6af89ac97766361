"""Training of the network that reads the pixels of objects, judged out of fold in the folds of the forest."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..base.calibration import Calibration
from ..base.device import resolve_device
from ..base.errors import LandloomError
from ..base.language import tr
from ..base.metrics import confusion_matrix, scores
from ..base.nomenclature import Nomenclature
from ..base.progress import Progress
from ..networks.inputs import FOREST_INDICES
from ..networks.registry import PIXELSET
from ..stack.manifest import Stack
from ..training.calibrate import Held, calibrate_folds
from ..training.folds import cut_validation
from ..training.loop import fit, predict_members
from ..training.settings import TrainingSettings
from .features_segments import Segments
from .objectfolds import Divided
from .objectmatching import Matched
from .pixelsetmodel import SetModel
from .pixelsets import MOST, PixelSets, SetPool, SetSource, read_sets

if TYPE_CHECKING:
    from .objecttraining import ObjectResult, ObjectTraining


def network_settings(settings: ObjectTraining, memory_mb: int, device: str) -> TrainingSettings:
    """How the network is trained; INDICES left at the forest's default become the networks' own.

    Raises:
        LandloomError: naming a parameter out of range.
    """
    return TrainingSettings(
        network=PIXELSET,
        epochs=settings.epochs,
        batch_size=settings.batch_size,
        learning_rate=settings.learning_rate,
        class_weights=settings.class_weights,
        indices=None if settings.indices == FOREST_INDICES else settings.indices,
        device=device,
        seed=settings.seed,
        memory_mb=memory_mb,
    )


def train_sets(
    stack: Stack,
    segments: Segments,
    matched: Matched,
    nomenclature: Nomenclature,
    settings: ObjectTraining,
    memory_mb: int,
    device: str,
    progress: Progress,
) -> ObjectResult:
    """Read the sets of the matched objects, judge networks out of fold, and train the delivered one on all.

    Raises:
        LandloomError: if too little can be learnt from, or the stack cannot be read.
        Cancelled: if the user asked to stop.
    """
    training = network_settings(settings, memory_mb, device)
    resolve_device(device)
    geometry = settings.check().shape
    with_indices = training.indices or ()
    source = SetSource(stack, settings.sensors, with_indices, memory_mb / 4)
    progress.text(tr("Reading the pixels of {n_objects} objects").format(n_objects=len(matched.objects)))
    try:
        sets, pixels = read_sets(
            segments, source, matched.objects, matched.labels, matched.groups, nomenclature, geometry, MOST,
            settings.seed, memory_mb, progress.part(0, 15),
        )  # fmt: skip
    finally:
        source.close()
    _tell(sets, pixels, segments, progress)
    return judge_sets(sets, matched, nomenclature, settings, training, progress.part(15, 100))


def _tell(sets: PixelSets, pixels: np.ndarray, segments: Segments, progress: Progress) -> None:
    counts = sets.counts
    if not counts.any():
        raise LandloomError(
            tr("None of the objects of {source} lies on the images: check the CRS and the place of both.").format(
                source=segments.source
            )
        )
    outside = int((pixels == 0).sum())
    if outside:
        progress.warning(
            tr("{outside:,} objects lie outside the images: the network learns nothing from them.").format(
                outside=outside
            )
        )
    progress.info(
        tr(
            "{counts:,} pixels of {n_counts:,} objects are read, {median} of an object (median), {max} at "
            "most; {value:,} objects have fewer than 4."
        ).format(
            counts=int(counts.sum()),
            n_counts=len(counts),
            median=int(np.median(counts)),
            max=int(counts.max()),
            value=int((counts < 4).sum()),
        )
    )


def judge_sets(
    sets: PixelSets,
    matched: Matched,
    nomenclature: Nomenclature,
    settings: ObjectTraining,
    training: TrainingSettings,
    progress: Progress,
) -> ObjectResult:
    """Networks on the sets of the matched objects, out of fold, then one on all of them.

    The epoch of a fold's network is chosen by groups cut from those that train it; the groups that it judges choose
    nothing. The delivered network learns for the median of these epochs, and its temperature is fitted on what was said
    out of fold. The probabilities of a fold are tempered by what the others say.
    """
    from .objecttraining import ObjectResult

    divided = Divided.of(matched, nomenclature, settings.folds, settings.seed, progress)
    pool = SetPool([sets])
    labels, groups, classes = matched.labels, matched.groups, len(nomenclature)
    parts = list(divided.parts(labels, classes))
    held: list[Held] = []
    epochs: list[int] = []
    histories: list[dict[str, Any]] = []
    share = 100.0 / (len(parts) + 1)
    for place, (number, train, test) in enumerate(parts):
        progress.info(tr("Fold {place} of {n_parts}").format(place=place + 1, n_parts=len(parts)))
        learn, choose = cut_validation(labels, groups, np.flatnonzero(train), settings.seed + number)
        part = progress.part(place * share, (place + 1) * share)
        one = fit(pool, learn, choose, training, part, unit=f"fold {number + 1}")
        held.append(predict_members(one.model, pool, np.flatnonzero(test), training.device, progress))
        epochs += one.epochs
        histories += one.history
    together = Held(
        np.concatenate([one.indices for one in held]), np.concatenate([one.probabilities for one in held], axis=1)
    )
    fold = np.repeat(np.arange(len(held)), [len(one.indices) for one in held])
    calibrated = calibrate_folds(pool, together, fold)
    last = [int(np.median(epochs))]
    progress.info(
        tr("Training the delivered network on all {n_pool} objects, for {last} epochs as the folds chose.").format(
            n_pool=len(pool), last=last[0]
        )
    )
    every = np.arange(len(pool))
    fitted = fit(
        pool, every, every[:0], training, progress.part(100 - share, 100), unit="final", last=last,
        temperature=calibrated.temperature,
    )  # fmt: skip
    probabilities = np.full((len(pool), classes), np.nan, np.float32)
    probabilities[together.indices] = calibrated.after
    predicted = calibrated.after.argmax(axis=1)
    matrix = confusion_matrix(labels[together.indices], predicted, classes)
    found = scores(matrix)
    fold_scores = [
        scores(confusion_matrix(labels[together.indices[fold == k]], predicted[fold == k], classes))
        for k in range(len(held))
    ]
    evaluation = {
        "evaluation": "folds",
        "objects": len(together.indices),
        "epochs": epochs,
        "calibration_error": Calibration.of(calibrated.after, labels[together.indices]).error,
        **found.to_json(),
        "matrix": matrix.tolist(),
    }
    fitted.model.header = replace(fitted.model.header, scores=evaluation, calibration=calibrated.to_json())
    model = SetModel(fitted.model, MOST, settings.seed)
    progress.info(
        tr(
            "Out of fold, per object: overall accuracy {overall_accuracy:.3f}, kappa {kappa:.3f}, macro F1 "
            "{macro_f1:.3f} ({n_indices} objects)."
        ).format(
            overall_accuracy=found.overall_accuracy,
            kappa=found.kappa,
            macro_f1=found.macro_f1,
            n_indices=len(together.indices),
        )
    )
    nothing = np.zeros((len(pool), 0), np.float32)
    return ObjectResult(
        model, matched, nothing, probabilities, matrix, found, fold_scores, warnings=list(divided.warnings),
        histories=histories + fitted.history,
    )  # fmt: skip
