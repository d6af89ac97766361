"""Training on objects: reference polygons matched to segments, their features, a random forest, scores by group."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..base.device import thread_count
from ..base.errors import LandloomError
from ..base.files import file_hash
from ..base.metrics import Scores, confusion_matrix, scores
from ..base.nomenclature import Nomenclature
from ..base.progress import Progress
from ..base.provenance import gather
from ..networks.forest import CLASS_WEIGHTS, fit_forest
from ..networks.predictor import FUSED
from ..samples.classes import classes_of
from ..samples.extraction import metric_scale
from ..samples.groups import group_features
from ..samples.reference import ReferenceLayer
from ..samples.settings import ExtractionSettings
from ..samples.splits import stratified_group_folds
from ..stack.grid import reproject_bounds
from ..stack.manifest import Stack
from .features import FeatureSettings, measure_objects
from .features_segments import Segments
from .features_sources import Measured, RasterSource, StackSource
from .objectmatching import Matched, match
from .objectmodel import FeatureRecipe, ObjectModel
from .outoffold import Describers, describers

STEP = 10  # days between the target days of the series of objects


@dataclass(frozen=True)
class ObjectTraining:
    """All that decides a training besides segments, stack and reference data.

    Attributes:
        features: list of features, see :meth:`FeatureSettings.parse`.
        partial: weigh pixels by their share in the object.
        indices: of the stack's sensors.
        sensors: to use; empty = all.
        min_share: smallest share of an object that reference polygons of a class must cover.
        class_weights: ``balanced`` or ``none``.
        folds: groups are dealt to so many folds for the scores.
        dimensions: main axes of descriptors.
        seed: start of the random numbers.
    """

    features: str = "mean,std,shape"
    partial: bool = True
    indices: tuple[str, ...] = ("NDVI", "NDWI", "BRIGHTNESS")
    sensors: tuple[str, ...] = ()
    min_share: float = 0.5
    class_weights: str = "balanced"
    folds: int = 5
    dimensions: int = 16
    seed: int = 0

    def check(self) -> FeatureSettings:
        """Check every value.

        Raises:
            LandloomError: naming the parameter and what it may be.
        """
        if self.class_weights not in CLASS_WEIGHTS:
            raise LandloomError(f"CLASS_WEIGHTS is '{self.class_weights}': choose one of {', '.join(CLASS_WEIGHTS)}.")
        for name, value, low, high in (
            ("MIN_SHARE", self.min_share, 0.01, 1),
            ("FOLDS", self.folds, 2, 100),
            ("DIMENSIONS", self.dimensions, 1, 64),
            ("SEED", self.seed, 0, 2**31 - 1),
        ):
            if not low <= value <= high:
                raise LandloomError(f"{name} is {value:g}; choose a value from {low:g} to {high:g}.")
        return FeatureSettings.parse(self.features, self.partial)[0]


@dataclass
class ObjectResult:
    """What a training gave.

    Attributes:
        model: as saved.
        matched: the objects it knows.
        features: ``[m, F]`` of these; the columns are named by ``model.recipe.names``.
        probabilities: ``[m, K]`` out of fold; NaN for objects that were never judged.
        matrix: ``[K, K]`` of the judged objects, rows the reference.
        scores: of it.
        fold_scores: of each fold.
        left_out: objects without a network that has not seen their group.
        by_folds: objects whose descriptors are those of a fold's network.
        warnings: what the reader should know.
        seconds: time it took.
    """

    model: ObjectModel
    matched: Matched
    features: np.ndarray
    probabilities: np.ndarray
    matrix: np.ndarray
    scores: Scores
    fold_scores: list[Scores] = field(default_factory=list)
    left_out: int = 0
    by_folds: int = 0
    warnings: list[str] = field(default_factory=list)
    seconds: float = 0.0


def train_objects(
    stack: str | os.PathLike[str],
    segments: Segments,
    reference: str,
    extraction: ExtractionSettings,
    settings: ObjectTraining,
    rasters: Sequence[str] = (),
    descriptors: str = "",
    samples: str = "",
    memory_mb: int = 1024,
    device: str = "auto",
    progress: Progress | None = None,
) -> ObjectResult:
    """Train a forest on objects and judge it out of fold.

    With descriptors, every object is described by a network that has not seen its group, see ``outoffold.py``.

    Args:
        stack: a ``stack.json``.
        segments: the objects.
        reference: file of reference polygons or points.
        extraction: class field, nomenclature, level and groups of these.
        settings: the rest.
        rasters: other rasters to measure.
        descriptors: a pixel model whose descriptors are features too; empty = none.
        samples: the folder of samples that trained it; empty = where the model says that they are.
        memory_mb: working memory.
        device: for the descriptors.
        progress: shown, and asked whether to stop.

    Raises:
        LandloomError: if an input does not do, or too little can be learnt from.
        Cancelled: if the user asked to stop.
    """
    begin = time.monotonic()
    progress = progress or Progress()
    chosen = settings.check()
    texture = FeatureSettings.parse(settings.features)[1]
    opened = Stack.read(stack)
    progress.text("Reading the reference data")
    classes = classes_of(ReferenceLayer(reference, extraction.reference_crs), opened.grid, extraction, progress)
    groups = group_features(
        classes.features,
        extraction.group_distance,
        progress,
        metric_scale(opened.grid),
        bool(extraction.group_field),
    )
    progress.text("Matching reference data and segments")
    crs_wkt, part = opened.grid.crs_wkt, progress.part(0, 20)
    matched = match(segments, classes.features, classes.labels, groups, crs_wkt, settings.min_share, part)
    warnings = _tell(matched, classes.nomenclature, settings.min_share, progress)
    with tempfile.TemporaryDirectory(prefix="landloom", ignore_cleanup_errors=True) as folder:
        networks: Describers | None = None
        if descriptors:
            matched, networks = describers(matched, segments, descriptors, samples, Path(folder), progress)
        matched, nomenclature = _present(matched, classes.nomenclature)
        source = StackSource(opened, settings.sensors, settings.indices, memory_mb / 4)
        sources: list[Measured] = [source]
        try:
            others = [RasterSource(path, texture) for path in rasters]
            sources += others
            recipe = FeatureRecipe.of(source, others, chosen, texture, STEP)
            described: dict[str, Any] = {}
            if networks is not None:
                described = {
                    "model": os.fspath(descriptors),
                    "hash": file_hash(descriptors),
                    "branch": FUSED,
                    "dimensions": settings.dimensions,
                }
                progress.text("Computing descriptors")
                part = progress.part(20, 50)
                objects, dimensions = matched.objects, settings.dimensions
                first = networks.compute(stack, segments, objects, dimensions, Path(folder), memory_mb, device, part)
                sources.append(RasterSource(first))
            progress.text(f"Measuring {len(matched.objects)} objects")
            table = measure_objects(segments, sources, chosen, memory_mb, progress.part(50, 80), matched.objects)
            if networks is not None:
                networks.measure(table, matched.objects, chosen, memory_mb, progress.part(80, 85))
            matrix, names = recipe.matrix(table, sources, matched.objects)
        finally:
            for one in sources:
                one.close()
    recipe = recipe.fitted(matrix, names)
    progress.text("Growing forests")
    folds = None if networks is None else networks.folds
    result = fit_and_judge(recipe, recipe.filled(matrix), matched, nomenclature, settings, progress.part(85, 98), folds)
    result.model.descriptors = described
    result.warnings = warnings + result.warnings
    if networks is not None:
        result.left_out, result.by_folds = networks.left_out, networks.by_folds
    inputs = {"STACK": stack, "SEGMENTS": segments.source, "REFERENCE": reference, "RASTERS": list(rasters)}
    made = gather({**inputs, "DESCRIPTORS": descriptors, "SAMPLES": samples}, settings.seed)
    result.model.provenance = made.to_json()
    result.seconds = time.monotonic() - begin
    return result


def segment_bounds(segments: Segments, objects: np.ndarray, crs_wkt: str) -> tuple[float, float, float, float]:
    """The bounds of some objects in another CRS."""
    box = segments.bounds[objects]
    west, south = (float(value) for value in box[:, :2].min(axis=0))
    east, north = (float(value) for value in box[:, 2:].max(axis=0))
    return reproject_bounds((west, south, east, north), segments.crs_wkt, crs_wkt)


def _tell(matched: Matched, nomenclature: Nomenclature, min_share: float, progress: Progress) -> list[str]:
    warnings: list[str] = []
    if not len(matched.objects):
        raise LandloomError(
            f"No segment is covered by reference data to {min_share:.0%}: check the CRS and place of SEGMENTS and "
            "REFERENCE, or lower MIN_SHARE."
        )
    if matched.lost:
        warnings.append(
            f"{matched.lost:,} reference features gave no object a class: no segment is covered by them to MIN_SHARE."
        )
    if matched.disputed:
        warnings.append(f"{matched.disputed:,} objects belong as much to two classes and are left out.")
    if matched.thin:
        progress.info(f"{matched.thin:,} objects are touched by reference data, but covered to less than MIN_SHARE.")
    progress.info(f"{len(matched.objects):,} objects of {len(np.unique(matched.labels))} classes are known.")
    for warning in warnings:
        progress.warning(warning)
    return warnings


def _present(matched: Matched, nomenclature: Nomenclature) -> tuple[Matched, Nomenclature]:
    """Only classes that have objects, and the labels in the new order."""
    present, labels = np.unique(matched.labels, return_inverse=True)
    if len(present) < 2:
        raise LandloomError(
            f"Only the class '{nomenclature.names[int(present[0])]}' has objects; at least two classes are needed."
        )
    renumbered = Matched(
        matched.objects, labels.reshape(-1), matched.groups, matched.shares,
        matched.thin, matched.disputed, matched.lost,
    )  # fmt: skip
    return renumbered, nomenclature.subset(present)


def fit_and_judge(
    recipe: FeatureRecipe,
    features: np.ndarray,
    matched: Matched,
    nomenclature: Nomenclature,
    settings: ObjectTraining,
    progress: Progress,
    folds: np.ndarray | None = None,
) -> ObjectResult:
    """A forest on ``features`` ``[m, F]`` (finite) of the matched objects.

    They are judged by ``folds`` ``[m]``; without these, by folds that depend on the objects and the seed alone.
    """
    labels, groups, classes = matched.labels, matched.groups, len(nomenclature)
    pairs = np.unique(np.stack([labels, groups], axis=1), axis=0)
    per_class = np.bincount(pairs[:, 0], minlength=classes)
    lonely = per_class[labels] < 2  # no other group could teach their class
    count = min(settings.folds, len(np.unique(groups)))
    warnings: list[str] = []
    if (per_class < 2).any():
        names = ", ".join(nomenclature.names[k] for k in np.flatnonzero(per_class < 2))
        warnings.append(f"With objects of one group only, so that they train and are left out of the scores: {names}.")
        progress.warning(warnings[-1])
    if count < 2 or lonely.all():
        raise LandloomError("No class has objects of two groups, so nothing can be judged: add reference polygons.")
    fold = stratified_group_folds(labels, groups, count, settings.seed) if folds is None else folds
    numbers = np.unique(fold).tolist()
    probabilities = np.full((len(labels), classes), np.nan, np.float32)
    fold_scores = []

    def grow(rows: np.ndarray) -> Any:
        weights, threads = settings.class_weights, thread_count()
        return fit_forest(features[rows], labels[rows], classes, {}, weights, settings.seed, threads, progress.check)

    for place, number in enumerate(numbers):
        progress.check()
        test = (fold == number) & ~lonely
        train = (fold != number) | lonely
        if not test.any() or len(np.unique(labels[train])) < 2:
            continue
        probabilities[test] = grow(train).predict_proba(np.asfortranarray(features[test]))
        fold_scores.append(scores(confusion_matrix(labels[test], probabilities[test].argmax(axis=1), classes)))
        progress.percent(80.0 * (place + 1) / len(numbers))
    judged = np.isfinite(probabilities).all(axis=1)
    matrix = confusion_matrix(labels[judged], probabilities[judged].argmax(axis=1), classes)
    found = scores(matrix)
    evaluation = {"evaluation": "folds", "objects": int(judged.sum()), **found.to_json(), "matrix": matrix.tolist()}
    model = ObjectModel(recipe, grow(np.ones(len(labels), bool)), nomenclature, evaluation)
    progress.info(
        f"Out of fold, per object: overall accuracy {found.overall_accuracy:.3f}, kappa {found.kappa:.3f}, macro F1 "
        f"{found.macro_f1:.3f} ({int(judged.sum())} objects)."
    )
    return ObjectResult(model, matched, features, probabilities, matrix, found, fold_scores, warnings=warnings)
