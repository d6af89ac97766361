"""Assessment of a map against reference polygons or points."""

from __future__ import annotations

import os

import numpy as np

from ..base.errors import LandloomError
from ..base.freedmemory import give_back_freed_memory
from ..base.intervals import bootstrap_groups
from ..base.language import tr
from ..base.metrics import confusion_matrix, scores
from ..base.progress import Progress
from ..samples.extraction import metric_scale
from ..samples.groups import group_features
from ..samples.reference import Feature, Reference, ReferenceLayer
from ..samples.table import NomenclatureTable
from ..samples.tablefiles import read_table
from .assessment import Assessment, AssessmentSettings
from .design import PURPOSIVE, chosen_kind
from .independence import TrainingPlaces, training_places
from .mapreading import CategoricalMap
from .matching import Matching, match_classes
from .objects import confidence_at, describe_objects, reference_pixels, worst_confusions
from .wholemap import estimate_whole_map

REPLICATES = 1000
FEW = 5


def assess(
    map_path: str | os.PathLike[str],
    reference_path: str | os.PathLike[str],
    settings: AssessmentSettings,
    progress: Progress,
) -> Assessment:
    """Compare a map with reference data.

    Raises:
        LandloomError: for anything the user can put right, see the tests named ``test_refuses``.
    """
    warnings: list[str] = []
    kind = chosen_kind(settings.design, settings.stratum_field, settings.probability_field)
    if not settings.class_field:
        raise LandloomError(tr("CLASS_FIELD is empty: name the field of the reference data that holds the class."))
    table = read_table(settings.nomenclature) if settings.nomenclature else None
    mapped = CategoricalMap(map_path)
    grid = mapped.grid
    places = training_places(settings.samples, settings.model, grid)
    layer = ReferenceLayer(reference_path, settings.reference_crs)
    group_field, distance = settings.group_field, 0.0
    if places is not None and not group_field:
        distance = places.group_distance
        group_field = places.group_field if places.group_field in layer.fields else ""
    progress.text(tr("Reading the reference data"))
    reference = layer.read(grid, settings.class_field, progress, group_field, what="map")
    _tell(reference, kind == PURPOSIVE, warnings)
    if _zero_is_a_class(mapped, reference, table):
        mapped.use_zero()
    # No class of the reference: left out of the scores. In a probability sample it is a stratum like the others.
    unsure = mapped.leave_out_unsure() if kind == PURPOSIVE else 0
    progress.text(tr("Counting the map"))
    counts = mapped.count(settings.memory_mb, progress.part(0, 50))
    mapped.let_go()
    give_back_freed_memory()  # the pixels of the reference take as much again
    matching = match_classes(
        counts.values, mapped.names, mapped.colors, reference.values, settings.class_field, table, settings.level
    )
    warnings += matching.sentences()

    progress.text(tr("Reading the map where the reference lies"))
    features, labels = _kept(reference, matching)
    groups = group_features(features, distance, progress, metric_scale(grid), bool(group_field)).astype(np.int32)
    rows, columns, owner, disputed = reference_pixels(
        features, labels, grid, reference.is_point, settings.memory_mb, progress.part(50, 70)
    )
    if disputed:
        warnings.append(
            tr("Features of different classes overlap: the {n} pixels that they share are left out.").format(n=disputed)
        )
    trained = np.zeros(len(features), bool)
    if places is not None:
        read = np.unique(owner[places.reach(rows, columns, grid)])
        trained = np.isin(groups, groups[read])
        if trained.all():
            raise LandloomError(
                tr(
                    "Every feature of the reference data has trained the model, or is of a group that did: "
                    "nothing is left to judge it by. Give other REFERENCE data, or leave SAMPLES and MODEL out "
                    "to see how well the model fits what it has learnt."
                )
            )
    raw = mapped.values_at(rows, columns, progress)
    predicted = matching.of_map(raw)
    confidence = confidence_at(settings.confidence, grid, rows, columns, progress) if settings.confidence else None
    objects = describe_objects(features, labels, groups, trained, owner, predicted, confidence, len(matching))

    scored = (~trained[owner]) & (predicted >= 0)
    if unsure:
        warnings.append(
            tr("{n} of {m} pixels of the reference are unsure in the map: the scores are of the others alone.").format(
                n=int(((raw == unsure) & ~trained[owner]).sum()), m=int((~trained[owner]).sum())
            )
        )
    if not scored.any():
        raise LandloomError(
            tr(
                "The map has no data at any of the {n_features} features of the reference: check that both are "
                "of one place, and which value of the map is no data."
            ).format(n_features=len(features))
        )
    k = len(matching)
    label_of_pixel = labels[owner]
    matrix = confusion_matrix(label_of_pixel[scored], predicted[scored], k)
    result = Assessment(
        mapped.path,
        os.fspath(reference_path),
        settings,
        matching,
        counts,
        reference.is_point,
        matrix,
        scores(matrix),
        objects,
        grid.crs_wkt,
        independence=_independence(places, trained),
        no_data=int(((predicted < 0) & ~trained[owner]).sum()),
        groups=len(np.unique(groups[owner[scored]])),
        trained_by_sample=places is not None and places.are_the_reference(rows, columns, grid.width),
        warnings=warnings,
    )
    progress.percent(75)
    _by_polygon(result, settings.seed, progress)
    if result.groups > 1:
        result.bootstrap = bootstrap_groups(
            label_of_pixel[scored],
            predicted[None, scored],
            groups[owner[scored]],
            k,
            REPLICATES,
            settings.seed,
            progress,
        )
    result.confusions = worst_confusions(matrix, label_of_pixel[scored], predicted[scored], owner[scored])
    if kind != PURPOSIVE:
        clusters = groups if group_field else None
        estimate_whole_map(result, kind, layer, mapped, raw, rows, columns, owner, clusters, progress)
    elif not reference.is_point:
        _tell_few(result)
    for sentence in warnings:
        progress.warning(sentence)
    progress.percent(95)
    return result


def _tell(reference: Reference, purposive: bool, warnings: list[str]) -> None:
    if reference.outside:
        warnings.append(tr("{n} features of the reference lie outside the map.").format(n=reference.outside))
    if reference.empty and purposive:  # of a sample it is told later what their lack means
        warnings.append(
            tr("{n} features of the reference have no class or no geometry and are left out.").format(n=reference.empty)
        )
    if reference.repaired:
        warnings.append(tr("{n} polygons have an invalid geometry, which was repaired.").format(n=reference.repaired))


def _zero_is_a_class(mapped: CategoricalMap, reference: Reference, table: NomenclatureTable | None) -> bool:
    """Whether the reference has a class 0 that the map may show as 0 (in a map of 0 and 1, say)."""
    if table is not None:
        return False  # codes begin with 1
    return "0" in reference.values and not any(name == "0" for name in mapped.names.values())


def _kept(reference: Reference, matching: Matching) -> tuple[list[Feature], np.ndarray]:
    labels = matching.of_reference([one.value for one in reference.features])
    kept = np.flatnonzero(labels >= 0)
    if not len(kept):
        raise LandloomError(
            tr("The nomenclature leaves out every feature on the map: set use to yes for some classes.")
        )
    return [reference.features[i] for i in kept], labels[kept]


def _by_polygon(result: Assessment, seed: int, progress: Progress) -> None:
    if result.is_point:
        return
    objects, k = result.objects, len(result.matching)
    own = objects.scored
    result.polygon_matrix = confusion_matrix(objects.label[own], objects.predicted[own], k)
    result.polygon = scores(result.polygon_matrix)
    if result.groups > 1:
        result.polygon_bootstrap = bootstrap_groups(
            objects.label[own], objects.predicted[None, own], objects.group[own], k, REPLICATES, seed, progress
        )


def _tell_few(result: Assessment) -> None:
    """Name the classes whose scores rest on very few features."""
    objects = result.objects
    count = np.bincount(objects.label[objects.scored], minlength=len(result.matching))
    few = [f"{name} ({n})" for name, n in zip(result.matching.names, count, strict=True) if 0 < n < FEW]
    if few:
        result.warnings.append(
            tr("Judged on fewer than {few} polygons, so that their figures may be far from the truth: {names}.").format(
                few=FEW, names=", ".join(few)
            )
        )


def _independence(places: TrainingPlaces | None, trained: np.ndarray) -> str:
    if places is None:
        return tr(
            "Whether these reference data trained the map is not known, since neither SAMPLES nor MODEL was given. If "
            "they did, the figures are too good."
        )
    return f"{places.note} " + tr("{n} of {all} features are left out for this reason.").format(
        n=int(trained.sum()), all=len(trained)
    )
