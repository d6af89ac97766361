"""Extraction of samples: from a stack and reference data to a sample store, a layer of points and a report."""

from __future__ import annotations

import contextlib
import gc
import math
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..base.elsewhere import Elsewhere
from ..base.errors import LandloomError
from ..base.files import whole_folder
from ..base.language import tr
from ..base.nomenclature import Nomenclature
from ..base.progress import Progress
from ..base.raster import spatial_reference
from ..base.words import counted
from ..stack.grid import Grid
from ..stack.manifest import Stack
from ..stack.reader import StackReader
from .chips import ChipPlan, plan_chips
from .classes import Classes, classes_of
from .curves import Curves, measure_curves
from .groups import group_features
from .labelling import Labelled, label_pixels, limit, pixel_keys
from .points import write_points
from .reference import Feature, ReferenceLayer
from .settings import ExtractionSettings, check_output
from .splits import (
    PART_NAMES,
    block_units,
    part_of,
    split_groups,
    stratified_group_folds,
)
from .store import SAMPLE, SampleStore
from .streaming import check_space, reading_plan, write_series
from .telling import tell_classes, tell_labelling
from .tilework import TilesElsewhere
from .writer import SampleWriter, chip_table, write_tables


@dataclass
class Extraction:
    """What was made, for the report.

    Attributes:
        folder: the store.
        nomenclature: its classes.
        labels: ``[N]``, as are ``polygons``, ``groups``, ``split``.
        hectares: ``[K, 3]`` labelled area of each class in each part, before pixels were drawn.
        curves: by class and polygon.
        settings: what the user chose.
        season: its start (``"10-01"``) and campaign year, from which days count.
        description: what ``samples.json`` says besides.
        warnings: sentences.
    """

    folder: Path
    nomenclature: Nomenclature
    labels: np.ndarray
    polygons: np.ndarray
    groups: np.ndarray
    split: np.ndarray
    hectares: np.ndarray
    curves: Curves
    settings: ExtractionSettings
    season: tuple[str, int]
    description: dict[str, Any] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.labels)


class _Noted(Progress):
    """Passes everything on and remembers the warnings."""

    def __init__(self, inner: Progress, warnings: list[str]) -> None:
        self._inner, self._warnings = inner, warnings

    def percent(self, value: float) -> None:
        self._inner.percent(value)

    def info(self, message: str) -> None:
        self._inner.info(message)

    def text(self, message: str) -> None:
        self._inner.text(message)

    def warning(self, message: str) -> None:
        self._warnings.append(message)
        self._inner.warning(message)

    def is_cancelled(self) -> bool:
        return self._inner.is_cancelled()


def extract_samples(
    stack_path: str | os.PathLike[str],
    reference_path: str | os.PathLike[str],
    settings: ExtractionSettings,
    output: str | os.PathLike[str],
    progress: Progress,
    elsewhere: Elsewhere | None = None,
) -> Extraction:
    """Extract samples into a new folder, which is written whole or not at all.

    Memory stays under ``settings.memory_mb`` besides some 100 bytes a sample: values go from the images straight to
    disk. With ``elsewhere`` other processes read the images.

    Raises:
        LandloomError: for anything the user can put right, see the tests named ``test_refuses``.
    """
    warnings: list[str] = []
    progress = _Noted(progress, warnings)
    settings.check()
    output = Path(output)
    check_output(output)
    stack = Stack.read(stack_path)
    grid = stack.grid
    scale = metric_scale(grid)

    progress.text(tr("Reading the reference data"))
    layer = ReferenceLayer(reference_path, settings.reference_crs)
    classes = classes_of(layer, grid, settings, progress)
    features = classes.features
    progress.percent(5)

    parts = _parts_of_features(features, settings)
    groups = _group(features, settings, progress, scale, parts)
    progress.text(tr("Finding the pixels of each polygon"))
    labelled = label_pixels(
        features,
        classes.labels,
        grid,
        progress.part(5, 25),
        settings.min_share,
        settings.inner_buffer / scale[1],
        settings.max_per_group,
        settings.seed,
    )
    tell_labelling(labelled, features, progress)
    if not len(labelled.rows):
        raise LandloomError(
            tr("No pixel is left of the reference data: lower MIN_SHARE or INNER_BUFFER, or mend overlaps.")
        )
    keys = pixel_keys(labelled.rows * grid.width + labelled.columns, settings.seed)
    labelled.keep(
        limit(
            classes.labels[labelled.owner], groups[labelled.owner], keys, settings.max_per_group, settings.max_per_class
        )
    )

    plan = plan_chips(labelled.rows, labelled.columns, groups[labelled.owner], settings.halo)
    progress.text(tr("Reading the series of {n_rows} pixels").format(n_rows=len(labelled.rows)))
    with (
        whole_folder(output) as folder,
        StackReader(stack, memory_mb=settings.memory_mb / 4) as reader,
        contextlib.ExitStack() as parts_elsewhere,
    ):
        reader.bound_cache(settings.memory_mb / 8)
        order, tiles = reading_plan(reader, plan, settings.memory_mb)
        chips = chip_table([tuple(window) for window in plan.windows[order].tolist()])
        samples = _sample_table(labelled, plan, order, chips, features, classes, groups, grid)
        n_pixels = int((chips["width"].astype(np.int64) * chips["height"]).sum())
        check_space(folder, n_pixels * reader.bytes_per_pixel)
        with SampleWriter(folder, reader.specs, n_pixels) as writer:
            reading = progress.part(25, 85)
            others = None
            if elsewhere is not None:
                others = TilesElsewhere(elsewhere, output, reader, plan.windows, tiles, settings.memory_mb)
                parts_elsewhere.enter_context(others)
            valid = write_series(reader, writer, plan.windows, tiles, samples, chips, reading, others)
            samples = _drop_never_valid(samples, valid, progress)
            if parts is not None:
                by_fid = dict(zip((one.fid for one in features), parts, strict=True))
                samples["split"] = [by_fid[fid] for fid in samples["polygon"]]
            _split(samples, settings, scale, progress)
            nomenclature, samples["label"] = _present(classes.nomenclature, samples["label"])
            tell_classes(samples, nomenclature, settings.class_field, progress)
            hectares = _hectares(labelled, features, samples, len(nomenclature), grid, scale)
            description = _describe(stack, layer, settings, samples, nomenclature, hectares, warnings)
            writer.finish(
                chips,
                samples,
                nomenclature,
                (stack.season_start, stack.campaign_year),
                settings.halo,
                grid.crs_wkt,
                description,
            )
        progress.text(tr("Curves of the classes"))
        curves = _measure(folder, progress.part(85, 93))
        _mark_suspects(samples, curves)
        write_tables(folder, chips, samples)
        progress.text(tr("Writing the points"))
        write_points(folder / "samples.gpkg", samples, nomenclature, grid.crs_wkt, progress.part(93, 100))
        progress.check()
    progress.percent(100)
    return Extraction(
        output,
        nomenclature,
        samples["label"],
        samples["polygon"],
        samples["group"],
        samples["split"],
        hectares,
        curves,
        settings,
        (stack.season_start, stack.campaign_year),
        description,
        warnings,
    )


def metric_scale(grid: Grid) -> tuple[float, float]:
    """Metres per unit of x and of y; for degrees, at the middle of the grid."""
    if not spatial_reference(grid.crs_wkt).IsGeographic():
        return grid.metres_per_unit, grid.metres_per_unit
    _, south, _, north = grid.bounds
    return 111_320.0 * max(math.cos(math.radians((south + north) / 2)), 0.01), 110_574.0


def _parts_of_features(features: list[Feature], settings: ExtractionSettings) -> np.ndarray | None:
    if settings.split_by != "field":
        return None
    return np.array([part_of(feature.part) for feature in features])


def _group(
    features: list[Feature],
    settings: ExtractionSettings,
    progress: Progress,
    scale: tuple[float, float],
    parts: np.ndarray | None,
) -> np.ndarray:
    """The group of each feature; with SPLIT_BY=field groups must keep to one part."""
    groups = group_features(features, settings.group_distance, progress, scale, bool(settings.group_field))
    if parts is None:
        return groups
    mixed = [int(group) for group in np.unique(groups) if len(np.unique(parts[groups == group])) > 1]
    if not mixed:
        return groups
    if settings.group_field:
        named = ", ".join(sorted({str(features[int(np.argmax(groups == group))].group) for group in mixed})[:10])
        raise LandloomError(
            tr(
                "SPLIT_FIELD puts features of one group into different parts: {named}. Give each value of "
                "{group_field} one part."
            ).format(named=named, group_field=settings.group_field)
        )
    progress.warning(
        tr(
            "{n_mixed} groups of features nearer to each other than GROUP_DISTANCE lie in different parts of "
            "SPLIT_FIELD: the field decides, and the scores of the test may be too good."
        ).format(n_mixed=len(mixed))
    )
    _, groups = np.unique(np.stack([groups, parts], 1), axis=0, return_inverse=True)
    return groups.reshape(-1).astype(np.int64)


def _sample_table(
    labelled: Labelled,
    plan: ChipPlan,
    order: np.ndarray,
    chips: np.ndarray,
    features: list[Feature],
    classes: Classes,
    groups: np.ndarray,
    grid: Grid,
) -> np.ndarray:
    """The table of samples in the order in which they lie on disk; split, fold and suspect still empty."""
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    chip = place[plan.chip]
    sequence = np.lexsort((labelled.columns, labelled.rows, chip))
    samples = np.zeros(len(sequence), SAMPLE)
    rows, columns, owner = (a[sequence] for a in (labelled.rows, labelled.columns, labelled.owner))
    samples["chip"] = chip[sequence]
    samples["row"] = rows - chips["row"][samples["chip"]]
    samples["column"] = columns - chips["column"][samples["chip"]]
    samples["label"], samples["group"] = classes.labels[owner], groups[owner]
    samples["polygon"] = np.array([one.fid for one in features], np.int64)[owner]
    samples["x"] = grid.transform[0] + (columns + 0.5) * grid.transform[1]
    samples["y"] = grid.transform[3] + (rows + 0.5) * grid.transform[5]
    return samples


def _drop_never_valid(samples: np.ndarray, valid: np.ndarray, progress: Progress) -> np.ndarray:
    dropped = int((~valid).sum())
    if dropped == len(samples):
        raise LandloomError(
            tr(
                "No sample has a valid date: all images are masked or without data where the reference lies. "
                "Check the stack's masks, no-data value and dates."
            )
        )
    if dropped:
        progress.warning(
            tr("Left out, since no date of theirs is valid: {samples}.").format(samples=counted(dropped, "sample"))
        )
    return samples[valid]


def _split(samples: np.ndarray, settings: ExtractionSettings, scale: tuple[float, float], progress: Progress) -> None:
    """Fill split and fold; with SPLIT_BY=block a block becomes the group."""
    labels = samples["label"]
    if settings.split_by == "block":
        samples["group"] = block_units(samples["x"], samples["y"], samples["group"], settings.block_size, scale)
        progress.info(
            tr("{n_unique} blocks of {block_size:g} m hold samples.").format(
                n_unique=len(np.unique(samples["group"])), block_size=settings.block_size
            )
        )
    if settings.split_by != "field":
        samples["split"] = split_groups(labels, samples["group"], settings.validation, settings.test, settings.seed)
    n_groups = len(np.unique(samples["group"]))
    folds = min(max(settings.folds, 1), n_groups)
    if folds < settings.folds:
        progress.warning(
            tr("Only {groups}: {folds} instead of {folds2}.").format(
                groups=counted(n_groups, "group"), folds=counted(folds, "fold"), folds2=settings.folds
            )
        )
    samples["fold"] = stratified_group_folds(labels, samples["group"], folds, settings.seed)


def _present(nomenclature: Nomenclature, labels: np.ndarray) -> tuple[Nomenclature, np.ndarray]:
    """Only classes that have samples, and the labels in the new order of indices."""
    present, renumbered = np.unique(labels, return_inverse=True)
    if len(present) < 2:
        raise LandloomError(
            tr("Only the class '{names}' has samples; at least two classes are needed.").format(
                names=nomenclature.names[int(present[0])]
            )
        )
    return nomenclature.subset(present), renumbered.reshape(-1).astype(labels.dtype)


def _hectares(
    labelled: Labelled,
    features: list[Feature],
    samples: np.ndarray,
    n_classes: int,
    grid: Grid,
    scale: tuple[float, float],
) -> np.ndarray:
    """``[K, 3]`` labelled area of the features that have samples, by class and part."""
    width, height = grid.resolution
    pixel = width * scale[0] * height * scale[1] / 10_000
    pixels = {one.fid: int(count) for one, count in zip(features, labelled.pixels, strict=True)}
    _, first = np.unique(samples["polygon"], return_index=True)
    result = np.zeros((n_classes, len(PART_NAMES)))
    for one in samples[first]:
        result[one["label"], one["split"]] += pixels[int(one["polygon"])] * pixel
    return result


def _describe(
    stack: Stack,
    layer: ReferenceLayer,
    settings: ExtractionSettings,
    samples: np.ndarray,
    nomenclature: Nomenclature,
    hectares: np.ndarray,
    warnings: list[str],
) -> dict[str, Any]:
    counts = [
        {
            "code": one.code,
            "polygons": len(np.unique(own["polygon"])),
            "groups": len(np.unique(own["group"])),
            **{name: int((own["split"] == part).sum()) for part, name in enumerate(PART_NAMES)},
            "hectares": round(float(hectares[index].sum()), 4),
        }
        for index, one in enumerate(nomenclature)
        for own in [samples[samples["label"] == index]]
    ]
    chosen = asdict(settings)
    return {
        "seed": settings.seed,
        "split": {key: chosen[key] for key in ("split_by", "validation", "test", "folds", "block_size", "split_field")},
        "counts": counts,
        "settings": chosen,
        "warnings": list(warnings),
        "provenance": {"stack": str(stack.path), "reference": str(layer.name)},
    }


def _measure(folder: Path, progress: Progress) -> Curves:
    """Measure and let go of the mapped files: Windows does not rename a folder while they are open."""
    store = SampleStore.open(folder)
    try:
        return measure_curves(store, progress)
    finally:
        del store
        gc.collect()


def _mark_suspects(samples: np.ndarray, curves: Curves) -> None:
    marked = {(int(p), int(c)) for p, c, s in zip(curves.polygons, curves.labels, curves.suspect, strict=True) if s}
    pairs = zip(samples["polygon"].tolist(), samples["label"].tolist(), strict=True)
    samples["suspect"] = [pair in marked for pair in pairs]
