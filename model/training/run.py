"""A whole training: samples in; model, report and log out."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..base.device import resolve_device
from ..base.errors import LandloomError, TooFewSamplesError
from ..base.files import check_writable, whole_file
from ..base.language import mark, tr
from ..base.lock import Lock, lock_path, tidy
from ..base.metrics import Scores
from ..base.nomenclature import listed
from ..base.optional import need
from ..base.progress import Progress, Remembering
from ..networks.foldfile import KEY, folds_path, save_folds
from ..networks.modelfile import Model
from ..networks.registry import network_info
from .calibrate import Calibrated, Held, calibrate_folds, calibrate_holdout, temperature_of
from .checkpoints import Checkpoints, training_hash
from .evaluate import Evaluation, evaluate
from .foldmodels import align_all, networks_of_folds
from .folds import FOLDS, HOLDOUT, Parts, choose_evaluation, folds, groups_by_class, holdout
from .loop import Fitted, check_training_labels, describe_axes, fit, predict_members
from .pool import SamplePool, describe
from .report import report_files, write_report
from .settings import TrainingSettings

if TYPE_CHECKING:
    from ..samples.store import SampleStore

CHECKPOINT, LOG = ".checkpoint", ".training.jsonl"
WORSE = 0.02  # of calibration error, above which temperature scaling is doubted
FEW_GROUPS = 5  # below, the scores of a class are doubted


@dataclass
class TrainingResult:
    """What a training gave.

    Attributes:
        model: as saved.
        evaluation: scores on test samples (``holdout``) or out of fold (``folds``).
        how: ``holdout`` or ``folds``.
        parts: the samples of the holdout; in ``folds``, those of the delivered model (no test).
        fitted: the delivered model's training.
        calibrated: temperature, and curves of confidence and error.
        fold_scores: scores of each fold.
        judged: the samples that were judged, in the order of ``calibrated.after``.
        fold_models: the networks of the folds, saved beside the model; empty for the forest and in ``holdout``.
        histories: the epoch log, folds included.
        warnings: what the reader should know.
        seconds: time it took.
    """

    model: Model
    evaluation: Evaluation
    how: str
    parts: Parts
    fitted: Fitted
    calibrated: Calibrated
    fold_scores: list[Scores] = field(default_factory=list)
    fold_models: list[Model] = field(default_factory=list)
    judged: np.ndarray | None = None
    histories: list[dict[str, Any]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    seconds: float = 0.0


def train(
    stores: Sequence[SampleStore],
    settings: TrainingSettings,
    output: str | os.PathLike[str],
    report: str | os.PathLike[str] | None = None,
    progress: Progress | None = None,
) -> TrainingResult:
    """Train, judge and save a model.

    A training that was killed leaves ``<output>.checkpoint``; the same call goes on from there. When it is cancelled or
    fails with an error of the user's, nothing is left.

    Args:
        stores: one or more sample stores.
        settings: how.
        output: the model file, ``.safetensors``; the epoch log is written beside it.
        report: an HTML page, or None.
        progress: told of each epoch.

    Raises:
        LandloomError: if samples, settings or outputs do not do.
        Cancelled: if the user stops it.
    """
    output = Path(output)
    with Lock(lock_path(output), output) as lock:
        if not lock.again:
            for path in _outputs(output, report):
                tidy(path)
        return _locked(stores, settings, output, report, Remembering(progress or Progress()))


def _outputs(output: Path, report: str | os.PathLike[str] | None) -> list[Path]:
    """Every file that a training may write."""
    files = [output, folds_path(output), Path(f"{output}{LOG}")]
    return files + (report_files(report) if report is not None else [])


def _locked(
    stores: Sequence[SampleStore],
    settings: TrainingSettings,
    output: Path,
    report: str | os.PathLike[str] | None,
    progress: Remembering,
) -> TrainingResult:
    """:func:`train`, while no other run writes the output."""
    begin = time.monotonic()
    if network_info(settings.network).is_forest:
        need("sklearn.ensemble", "The random forest")
    else:
        resolve_device(settings.device)
    for path in (output, report):
        if path is not None:
            check_writable(path)
    pool = SamplePool(stores, settings.sensors, progress)
    halo = network_info(settings.network).halo
    if halo > pool.halo:
        raise LandloomError(
            tr(
                "{network} needs {halo} pixels of context, but the samples hold {halo2}: extract them again "
                "with HALO {halo}, or choose ltae."
            ).format(network=settings.network, halo=halo, halo2=pool.halo)
        )
    start = Model.load(settings.start_from) if settings.start_from else None
    checkpoints = Checkpoints(f"{output}{CHECKPOINT}", training_hash(list(stores), settings), progress)
    try:
        result = _train(pool, settings, progress, checkpoints, start)
        result.warnings = progress.warnings
        result.seconds = time.monotonic() - begin
        _save(result, pool, settings, output, report, checkpoints)
    except (LandloomError, OSError):
        checkpoints.clear()
        raise
    checkpoints.clear()
    pixel = result.evaluation.pixel
    progress.info(
        tr(
            "Overall accuracy {overall_accuracy:.3f}, kappa {kappa:.3f}, macro F1 {macro_f1:.3f} per pixel; "
            "{overall_accuracy2:.3f}, {kappa2:.3f}, {macro_f12:.3f} per polygon."
        ).format(
            overall_accuracy=pixel.overall_accuracy,
            kappa=pixel.kappa,
            macro_f1=pixel.macro_f1,
            overall_accuracy2=result.evaluation.polygon.overall_accuracy,
            kappa2=result.evaluation.polygon.kappa,
            macro_f12=result.evaluation.polygon.macro_f1,
        )
    )
    return result


def _train(
    pool: SamplePool,
    settings: TrainingSettings,
    progress: Progress,
    checkpoints: Checkpoints,
    start: Model | None,
) -> TrainingResult:
    how = choose_evaluation(pool, settings.evaluation)
    counts = groups_by_class(pool)
    progress.info(
        tr("{n_pool} samples of {value} classes in {n_unique} groups; {describe}.").format(
            n_pool=len(pool),
            value=int((counts > 0).sum()),
            n_unique=len(np.unique(pool.groups)),
            describe=describe(pool.specs),
        )
    )
    if settings.evaluation == "auto":
        middle = int(np.median(counts[counts > 0]))
        progress.info(
            tr("EVALUATION is {how}: the classes have {middle} groups each (median).").format(how=how, middle=middle)
        )
    if how == HOLDOUT:
        parts = holdout(pool)
        check_training_labels(pool, parts.training)
        _name_absent(pool, parts, progress)
        part = progress.part(0, 20) if settings.fold_networks else progress
        fitted, held = _fit_holdout(pool, parts, settings, part, checkpoints, start)
        describe_axes(fitted.model, pool, parts.training, settings.device, progress)
        models = []
        if settings.fold_networks:
            models = networks_of_folds(fitted.model, pool, parts, settings, progress.part(20, 97), checkpoints, start)
        progress.text(tr("Judging on the test samples"))
        judged = predict_members(fitted.model, pool, parts.test, settings.device, progress)
        calibrated = calibrate_holdout(pool, held, judged)
        evaluation = evaluate(pool, parts.test, calibrated.after, calibrated.before)
        _name_thin(pool, parts.test, progress)
        history = fitted.history
        result = TrainingResult(fitted.model, evaluation, how, parts, fitted, calibrated, fold_models=models)
        result.judged, result.histories = parts.test, history
    else:
        result = _train_folds(pool, settings, progress, checkpoints, start)
    _doubt_calibration(result, progress)
    _doubt_scores(result.evaluation.pixel, pool, progress)
    scores = {"evaluation": how, **result.evaluation.to_json()}
    result.model.header = replace(result.model.header, scores=scores, calibration=result.calibrated.to_json())
    return result


def _fit_holdout(
    pool: SamplePool,
    parts: Parts,
    settings: TrainingSettings,
    progress: Progress,
    checkpoints: Checkpoints,
    start: Model | None,
) -> tuple[Fitted, Held | None]:
    """The delivered model, and what is said of the validation samples by a model that has not learnt from them."""
    if not settings.is_forest or not len(parts.validation):
        part = progress.part(0, 97)
        fitted = fit(pool, parts.training, parts.validation, settings, part, checkpoints, start=start)
        return fitted, fitted.held
    # The delivered forest learns from the validation samples too: a trial without them says how sure it may be.
    progress.info(tr("Growing a trial forest without the validation samples, to calibrate confidence on them."))
    trial = fit(pool, parts.training, parts.validation[:0], settings, progress.part(0, 45))
    held = predict_members(trial.model, pool, parts.validation, settings.device, progress)
    temperature = temperature_of(pool, held)
    part = progress.part(45, 97)
    return fit(pool, parts.training, parts.validation, settings, part, temperature=temperature), held


def _train_folds(
    pool: SamplePool,
    settings: TrainingSettings,
    progress: Progress,
    checkpoints: Checkpoints,
    start: Model | None,
) -> TrainingResult:
    divided = list(folds(pool, settings.seed))
    counts = groups_by_class(pool)
    lonely = [pool.nomenclature.names[k] for k in np.flatnonzero(counts == 1)]
    if lonely:
        progress.warning(
            tr("With one group only, so that they train in every fold and are left out of the scores: {names}.").format(
                names=listed(lonely)
            )
        )
    if not divided:
        raise TooFewSamplesError(
            tr(
                "No class has two groups, so nothing can be judged: add reference polygons, and see whether "
                "CLASS_FIELD of 'Extract samples' was the field of the class."
            )
        )
    for number, parts in divided:
        check_training_labels(pool, parts.training)
        progress.check()
        _name_absent(pool, parts, progress, f"fold {number + 1}")
    held: list[Held] = []
    histories: list[dict[str, Any]] = []
    epochs: list[int] = []
    models: list[Model] = []
    share = 100.0 / (len(divided) + 1)
    for place, (number, parts) in enumerate(divided):
        name = f"fold {number + 1}"
        progress.info(tr("Fold {place} of {n_divided}").format(place=place + 1, n_divided=len(divided)))
        part = progress.part(place * share, (place + 1) * share)
        one = fit(pool, parts.training, parts.validation, settings, part, checkpoints, name, start=start)
        held.append(predict_members(one.model, pool, parts.test, settings.device, progress))
        histories += one.history
        epochs += one.epochs
        models.append(one.model)
    fold = np.repeat(np.arange(len(held)), [len(one.indices) for one in held])
    judged = Held(
        np.concatenate([one.indices for one in held]), np.concatenate([one.probabilities for one in held], axis=1)
    )
    calibrated = calibrate_folds(pool, judged, fold)
    every = np.arange(len(pool))
    last = [int(np.median(epochs))] if epochs else None
    text = tr(", each member for {last} epochs as the folds chose").format(last=last[0]) if last else ""
    progress.info(tr("Training the delivered model on all {n_pool} samples{text}.").format(n_pool=len(pool), text=text))
    fitted = fit(
        pool,
        every,
        every[:0],
        settings,
        progress.part(100 - share, 98),
        checkpoints,
        "final",
        last=last,
        temperature=calibrated.temperature,
        start=start,
    )
    describe_axes(fitted.model, pool, every, settings.device, progress)
    if settings.is_forest:
        models = []
    else:
        align_all(models, fitted.model, pool, [parts for _number, parts in divided], settings.device, progress)
    evaluation = evaluate(pool, judged.indices, calibrated.after, calibrated.before)
    _name_thin(pool, judged.indices, progress)
    parts = Parts(every, every[:0], every[:0])
    by_fold = [
        evaluate(pool, judged.indices[own], calibrated.after[own]).pixel
        for own in (fold == place for place in range(len(held)))
    ]
    every_history = histories + fitted.history
    result = TrainingResult(fitted.model, evaluation, FOLDS, parts, fitted, calibrated, by_fold, models)
    result.judged, result.histories = judged.indices, every_history
    return result


def _doubt_calibration(result: TrainingResult, progress: Progress) -> None:
    """Warn where samples that the temperature was not fitted on would be better off without it."""
    before, after = result.evaluation.uncalibrated, result.evaluation.calibration
    if before is None or after.error <= before.error + WORSE:
        return
    advice = (
        tr("EVALUATION folds calibrates on all of them")
        if result.how == HOLDOUT
        else tr("more reference polygons help")
    )
    progress.warning(
        tr(
            "Confidence is less well calibrated after temperature scaling (expected calibration error {after}) than "
            "before ({before}), since the groups that it was fitted on are not like those that judge it: {advice}."
        ).format(after=f"{after.error:.3f}", before=f"{before.error:.3f}", advice=advice)
    )


def _doubt_scores(scores: Scores, pool: SamplePool, progress: Progress) -> None:
    """Warn of scores that can tell nothing of the classes, or tell that nothing was learnt."""
    judged = np.flatnonzero(scores.support > 0)
    if len(judged) == 1:
        progress.warning(
            tr(
                "Only {name} is judged, so the scores do not tell how well the classes are told apart: add reference "
                "polygons of the others."
            ).format(name=pool.nomenclature.names[judged[0]])
        )
    elif scores.kappa <= 0:
        progress.warning(
            tr(
                "The scores are no better than guessing (kappa {kappa:.3f}): the groups are too few, or the labels do "
                "not fit the images; check CLASS_FIELD, and the place and the year of the reference data."
            ).format(kappa=scores.kappa)
        )


def _name_absent(pool: SamplePool, parts: Parts, progress: Progress, where: str = "") -> None:
    """Warn of classes without samples in a part."""
    present = set(pool.labels.tolist())
    suffix = f" ({where})" if where else ""
    for own, name, sentence in (
        (
            parts.training,
            "training",
            mark("Classes without training samples, so the model cannot learn them: {names}."),
        ),
        (
            parts.validation,
            "validation",
            mark("Classes without validation samples, so they do not take part in choosing the epoch: {names}."),
        ),
        (parts.test, "test", mark("Classes without test samples, so they are left out of the scores: {names}.")),
    ):
        absent = sorted(present - set(pool.labels[own].tolist()))
        if len(own) and absent and (not where or name == "training"):
            names = listed([pool.nomenclature.names[k] for k in absent])
            progress.warning(tr(sentence).format(names=names) + suffix)
    if not len(parts.validation):
        progress.warning(tr("There are no validation samples: training does not stop early.") + suffix)


def _name_thin(pool: SamplePool, test: np.ndarray, progress: Progress) -> None:
    """Warn of classes whose scores rest on so few groups that one more could turn them round."""
    pairs = np.unique(np.stack([pool.labels[test], pool.groups[test]], axis=1), axis=0)
    counts = np.bincount(pairs[:, 0], minlength=len(pool.nomenclature))
    thin = [f"{pool.nomenclature.names[k]} ({counts[k]})" for k in np.flatnonzero((counts > 0) & (counts < FEW_GROUPS))]
    if thin:
        progress.warning(
            tr("Judged on fewer than {n} groups, so that their scores may be far from the truth: {names}.").format(
                n=FEW_GROUPS, names=listed(thin)
            )
        )


def _save(
    result: TrainingResult,
    pool: SamplePool,
    settings: TrainingSettings,
    output: Path,
    report: str | os.PathLike[str] | None,
    checkpoints: Checkpoints,
) -> None:
    """Write model, report and log; of what a failure leaves half done, that which is new is removed."""
    written: list[Path] = []
    beside = folds_path(output)
    older = {path for path in _outputs(output, report) if path.exists()}
    try:
        if report is not None:
            written += report_files(report)
            write_report(report, result, pool, settings, output)
        if not settings.is_forest:
            log = Path(f"{output}{LOG}")
            written.append(log)
            lines = checkpoints.log_lines()
            with whole_file(log) as temporary:
                temporary.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        if result.fold_models:
            written.append(beside)
            kept = save_folds(beside, result.fold_models)
            header = result.model.header
            result.model.header = replace(header, provenance={**header.provenance, KEY: kept})
        written.append(output)
        result.model.save(output)
        if not result.fold_models:
            beside.unlink(missing_ok=True)  # of an older model, which is gone
    except BaseException:
        for path in set(written) - older:
            with contextlib.suppress(OSError):
                path.unlink()
        raise
