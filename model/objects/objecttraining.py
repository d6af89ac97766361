"""Training on objects: reference polygons matched to segments, a forest on their features, scores by group.

The other classifier, a network that reads the pixels of objects, is trained in ``pixelsettraining.py``.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..base.device import thread_count
from ..base.errors import LandloomError
from ..base.files import file_hash
from ..base.language import tr
from ..base.metrics import Scores, confusion_matrix, scores
from ..base.nomenclature import Nomenclature
from ..base.progress import Progress
from ..base.provenance import gather
from ..base.values import check_choice, check_range
from ..networks.forest import CLASS_WEIGHTS, fit_forest
from ..networks.predictor import FUSED
from ..networks.registry import PIXELSET
from ..samples.classes import classes_of
from ..samples.extraction import metric_scale
from ..samples.groups import group_features
from ..samples.reference import ReferenceLayer
from ..samples.settings import ExtractionSettings
from ..stack.grid import reproject_bounds
from ..stack.manifest import Stack
from .features import FeatureSettings, column_names, measure_objects
from .features_segments import Segments
from .features_sources import Measured, RasterSource, StackSource
from .objectfolds import Divided
from .objectmatching import Matched, match
from .objectmodel import FeatureRecipe, ObjectModel
from .outoffold import Describers, describers

if TYPE_CHECKING:
    from .pixelsetmodel import SetModel

FOREST = "randomforest"
NETWORKS = (FOREST, PIXELSET)
NETWORK_WEIGHTS = ("balanced", "none", "log")
_COPIES, _NODES = 5, 50  # of the table at work, and of the trees' nodes for each object
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
        network: ``randomforest`` on features, or ``pixelset``, which reads the pixels themselves.
        class_weights: ``balanced`` or ``none``, of the network also ``log``; ``auto`` is ``balanced`` for the forest,
            ``log`` for the network.
        folds: groups are dealt to so many folds for the scores.
        dimensions: main axes of descriptors.
        seed: start of the random numbers.
        epochs, batch_size, learning_rate: of the network, as in ``train``.
    """

    features: str = "mean,std,shape"
    partial: bool = True
    indices: tuple[str, ...] = ("NDVI", "NDWI", "BRIGHTNESS")
    sensors: tuple[str, ...] = ()
    min_share: float = 0.5
    network: str = FOREST
    class_weights: str = "auto"
    folds: int = 5
    dimensions: int = 16
    seed: int = 0
    epochs: int = 0
    batch_size: int = 128
    learning_rate: float = 0.0

    def check(self) -> FeatureSettings:
        """Check every value.

        Raises:
            LandloomError: naming the parameter and what it may be.
        """
        weights = ("auto", *(CLASS_WEIGHTS if self.network == FOREST else NETWORK_WEIGHTS))
        check_choice("NETWORK", self.network, NETWORKS)
        check_choice("CLASS_WEIGHTS", self.class_weights, weights)
        check_range("MIN_SHARE", self.min_share, 0.01, 1)
        check_range("FOLDS", self.folds, 2, 100)
        check_range("DIMENSIONS", self.dimensions, 1, 64)
        check_range("SEED", self.seed, 0, 2**31 - 1)
        check_range("EPOCHS", self.epochs, 0, 100_000)
        check_range("BATCH_SIZE", self.batch_size, 2, 1_000_000)
        check_range("LEARNING_RATE", self.learning_rate, 0, 1)
        return FeatureSettings.parse(self.features, self.partial)[0]

    @property
    def weighting(self) -> str:
        """The class weights of the forest that ``auto`` stands for."""
        return "balanced" if self.class_weights == "auto" else self.class_weights


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
        folds: ``[m]`` by which objects with descriptors were judged, negative for those that only teach; else None.
        warnings: what the reader should know.
        seconds: time it took.
        histories: the epoch log of networks, folds first.
    """

    model: ObjectModel | SetModel
    matched: Matched
    features: np.ndarray
    probabilities: np.ndarray
    matrix: np.ndarray
    scores: Scores
    fold_scores: list[Scores] = field(default_factory=list)
    left_out: int = 0
    by_folds: int = 0
    folds: np.ndarray | None = None
    warnings: list[str] = field(default_factory=list)
    seconds: float = 0.0
    histories: list[dict[str, Any]] = field(default_factory=list)


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
    """Train a forest or a network on objects and judge it out of fold.

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
        device: for the descriptors, and for the network.
        progress: shown, and asked whether to stop.

    Raises:
        LandloomError: if an input does not do, or too little can be learnt from.
        Cancelled: if the user asked to stop.
    """
    begin = time.monotonic()
    progress = progress or Progress()
    chosen = settings.check()
    texture = FeatureSettings.parse(settings.features)[1]
    check_inputs(settings, rasters, descriptors)
    opened = Stack.read(stack)
    progress.text(tr("Reading the reference data"))
    classes = classes_of(ReferenceLayer(reference, extraction.reference_crs), opened.grid, extraction, progress)
    groups = group_features(
        classes.features,
        extraction.group_distance,
        progress,
        metric_scale(opened.grid),
        bool(extraction.group_field),
    )
    progress.text(tr("Matching reference data and segments"))
    crs_wkt, part = opened.grid.crs_wkt, progress.part(0, 20)
    matched = match(segments, classes.features, classes.labels, groups, crs_wkt, settings.min_share, part)
    warnings = _tell(matched, classes.nomenclature, settings.min_share, progress)
    inputs: dict[str, Any] = {"STACK": stack, "SEGMENTS": segments.source, "REFERENCE": reference}
    inputs |= {"RASTERS": list(rasters), "DESCRIPTORS": descriptors, "SAMPLES": samples}
    if settings.network == PIXELSET:
        from .pixelsettraining import train_sets  # needs torch

        known, own_classes = _present(matched, classes.nomenclature)
        part = progress.part(20, 98)
        result = train_sets(opened, segments, known, own_classes, settings, memory_mb, device, part)
        return _finished(result, warnings, inputs, settings.seed, begin)
    with tempfile.TemporaryDirectory(prefix="landloom", ignore_cleanup_errors=True) as folder:
        networks: Describers | None = None
        if descriptors:
            matched, networks = describers(
                matched, segments, descriptors, samples, settings.folds, settings.seed, Path(folder), progress
            )
        matched, nomenclature = _present(matched, classes.nomenclature)
        source = StackSource(opened, settings.sensors, settings.indices, memory_mb / 4)
        sources: list[Measured] = [source]
        try:
            others = [RasterSource(path, texture) for path in rasters]
            sources += others
            recipe = FeatureRecipe.of(source, others, chosen, texture, STEP)
            width = sum(len(column_names(one, chosen)) for one in sources) + (settings.dimensions if descriptors else 0)
            check_memory(len(matched.objects), width, len(nomenclature), memory_mb)
            described: dict[str, Any] = {}
            if networks is not None:
                described = {
                    "model": os.fspath(descriptors),
                    "hash": file_hash(descriptors),
                    "branch": FUSED,
                    "dimensions": settings.dimensions,
                }
                progress.text(tr("Computing descriptors"))
                part = progress.part(20, 50)
                objects, dimensions = matched.objects, settings.dimensions
                first = networks.compute(stack, segments, objects, dimensions, Path(folder), memory_mb, device, part)
                sources.append(RasterSource(first))
            progress.text(tr("Measuring {n_objects} objects").format(n_objects=len(matched.objects)))
            table = measure_objects(segments, sources, chosen, memory_mb, progress.part(50, 80), matched.objects)
            if networks is not None:
                networks.measure(table, matched.objects, chosen, memory_mb, progress.part(80, 85))
            matrix, names = recipe.matrix(table, sources, matched.objects)
        finally:
            for one in sources:
                one.close()
    recipe = recipe.fitted(matrix, names)
    features = recipe.filled(matrix)
    del matrix, table
    progress.text(tr("Growing forests"))
    folds = None if networks is None else networks.folds
    result = fit_and_judge(recipe, features, matched, nomenclature, settings, progress.part(85, 98), folds)
    if isinstance(result.model, ObjectModel):
        result.model.descriptors = described
    if networks is not None:
        result.left_out, result.by_folds, result.folds = networks.left_out, networks.by_folds, networks.folds
    return _finished(result, warnings, inputs, settings.seed, begin)


def _finished(
    result: ObjectResult, warnings: list[str], inputs: dict[str, Any], seed: int, begin: float
) -> ObjectResult:
    result.warnings = warnings + result.warnings
    result.model.provenance = gather(inputs, seed).to_json()
    result.seconds = time.monotonic() - begin
    return result


def check_inputs(settings: ObjectTraining, rasters: Sequence[str], descriptors: str) -> None:
    """Refuse what the network of pixels does not read.

    Raises:
        LandloomError: naming the parameter.
    """
    if settings.network != PIXELSET:
        return
    texture = FeatureSettings.parse(settings.features)[1]
    for name, used in (("RASTERS", rasters), ("DESCRIPTORS", descriptors), ("FEATURES texture", texture)):
        if used:
            raise LandloomError(
                tr(
                    "{name} cannot be used with NETWORK pixelset, which reads the dates of the stack: leave it "
                    "out, or choose randomforest."
                ).format(name=name)
            )


def check_memory(objects: int, features: int, classes: int, memory_mb: float) -> None:
    """Refuse a table that is too large: scikit-learn grows a forest on the whole of it, in memory.

    Raises:
        LandloomError: naming what would do.
    """
    needed = objects * (_COPIES * 4 * features + _NODES * (64 + 8 * classes)) / 2**20
    if needed > memory_mb:
        raise LandloomError(
            tr(
                "{objects:,} objects with {features:,} features take about {needed:,.0f} MB to learn from: raise "
                "MEMORY_MB to that or more, ask for fewer FEATURES, INDICES or SENSORS, or give fewer reference data."
            ).format(objects=objects, features=features, needed=needed)
        )


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
            tr(
                "No segment is covered by reference data to {min_share:.0%}: check the CRS and place of "
                "SEGMENTS and REFERENCE, or lower MIN_SHARE."
            ).format(min_share=min_share)
        )
    if matched.lost:
        warnings.append(
            tr(
                "{lost:,} reference features gave no object a class: no segment is covered by them to MIN_SHARE."
            ).format(lost=matched.lost)
        )
    if matched.disputed:
        warnings.append(
            tr("{disputed:,} objects belong as much to two classes and are left out.").format(disputed=matched.disputed)
        )
    if matched.thin:
        progress.info(
            tr("{thin:,} objects are touched by reference data, but covered to less than MIN_SHARE.").format(
                thin=matched.thin
            )
        )
    progress.info(
        tr("{n_objects:,} objects of {n_unique} classes are known.").format(
            n_objects=len(matched.objects), n_unique=len(np.unique(matched.labels))
        )
    )
    for warning in warnings:
        progress.warning(warning)
    return warnings


def _present(matched: Matched, nomenclature: Nomenclature) -> tuple[Matched, Nomenclature]:
    """Only classes that have objects, and the labels in the new order."""
    present, labels = np.unique(matched.labels, return_inverse=True)
    if len(present) < 2:
        raise LandloomError(
            tr("Only the class '{names}' has objects; at least two classes are needed.").format(
                names=nomenclature.names[int(present[0])]
            )
        )
    return replace(matched, labels=labels.reshape(-1)), nomenclature.subset(present)


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
    labels, classes = matched.labels, len(nomenclature)
    divided = Divided.of(matched, nomenclature, settings.folds, settings.seed, progress, folds)
    parts = list(divided.parts(labels, classes))
    probabilities = np.full((len(labels), classes), np.nan, np.float32)
    fold_scores = []

    def grow(rows: np.ndarray) -> Any:
        weights, threads = settings.weighting, thread_count()
        return fit_forest(features[rows], labels[rows], classes, {}, weights, settings.seed, threads, progress.check)

    for place, (_number, train, test) in enumerate(parts):
        progress.check()
        probabilities[test] = grow(train).predict_proba(np.asfortranarray(features[test]))
        fold_scores.append(scores(confusion_matrix(labels[test], probabilities[test].argmax(axis=1), classes)))
        progress.percent(80.0 * (place + 1) / len(parts))
    judged = np.isfinite(probabilities).all(axis=1)
    matrix = confusion_matrix(labels[judged], probabilities[judged].argmax(axis=1), classes)
    found = scores(matrix)
    evaluation = {"evaluation": "folds", "objects": int(judged.sum()), **found.to_json(), "matrix": matrix.tolist()}
    model = ObjectModel(recipe, grow(np.ones(len(labels), bool)), nomenclature, evaluation)
    progress.info(
        tr(
            "Out of fold, per object: overall accuracy {overall_accuracy:.3f}, kappa {kappa:.3f}, macro F1 "
            "{macro_f1:.3f} ({judged} objects)."
        ).format(
            overall_accuracy=found.overall_accuracy,
            kappa=found.kappa,
            macro_f1=found.macro_f1,
            judged=int(judged.sum()),
        )
    )
    warnings = list(divided.warnings)
    return ObjectResult(model, matched, features, probabilities, matrix, found, fold_scores, warnings=warnings)
