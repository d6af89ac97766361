"""Descriptors of objects by networks that have not seen the objects' labels.

A network knows the fields that it has learnt from: their descriptors tell their class better than those of any other
field do, and a classifier of objects that learns from them expects too much of all the others. So every object is
described by a network that has learnt from none of the fields of its group: one of those that the evaluation by folds
left beside the pixel model (their descriptors lie on the pixel model's axes, see ``model/training/foldmodels.py``), or
the pixel model itself where it has not seen the group, as is so for the test part of a holdout. Objects for which there
is no such network are left out.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from osgeo import ogr

from ..base.errors import LandloomError
from ..base.language import tr
from ..base.progress import Progress, Quiet
from ..base.vectorfile import write_table
from ..mapping.descriptors import map_descriptors
from ..networks.foldfile import load_folds
from ..networks.modelfile import Model, ModelHeader
from ..networks.predictor import FUSED
from ..samples.splits import stratified_group_folds
from ..samples.store import SampleStore
from ..stack.grid import Grid, same_crs
from ..stack.manifest import Stack
from .features import FeatureSettings, ObjectTable, column_names, measure_objects
from .features_segments import Segments, reprojected
from .features_sources import RasterSource
from .objectmatching import Matched, groups_within

NONE = -1


@dataclass
class Describers:
    """Which network describes which object.

    Attributes:
        models: files of networks; the first is the pixel model itself, the others those of its folds.
        of_object: ``[m]`` place among ``models`` of the network that describes each matched object.
        folds: ``[m]`` fold of each object for judging; negative for those that teach only; None = as usual.
        left_out: objects that every network has seen.
    """

    models: list[Path]
    of_object: np.ndarray
    folds: np.ndarray | None = None
    left_out: int = 0
    rasters: list[Path | None] = field(default_factory=list)

    @property
    def by_folds(self) -> int:
        """How many objects networks of folds describe."""
        return int((self.of_object > 0).sum())

    def compute(
        self,
        stack: str | os.PathLike[str],
        segments: Segments,
        objects: np.ndarray,
        dimensions: int,
        folder: Path,
        memory_mb: int,
        device: str,
        progress: Progress,
    ) -> Path:
        """Compute the descriptors around the objects, a raster a network; gives the first raster that has any.

        Args:
            stack: a ``stack.json``.
            segments: the objects.
            objects: ``[m]`` the matched ones.
            dimensions: main axes.
            folder: where the rasters go.
            memory_mb: working memory.
            device: where to compute.
            progress: shown, and asked whether to stop.
        """
        grid = Stack.read(stack).grid
        used = np.unique(self.of_object)
        self.rasters = [None] * len(self.models)
        for place, number in enumerate(used.tolist()):
            own = objects[self.of_object == number]
            target = folder / f"network{number}" / "descriptors.tif"  # one name, so that the columns have one
            target.parent.mkdir()
            boxes = boxes_in(segments, own, grid)
            mask = target.with_name("places.gpkg")
            write_boxes(mask, boxes, grid)
            part = progress.part(100 * place / len(used), 100 * (place + 1) / len(used))
            bounds = (*boxes[:, :2].min(axis=0).tolist(), *boxes[:, 2:].max(axis=0).tolist())
            map_descriptors(
                stack, self.models[number], target, FUSED, dimensions, bounds=bounds, mask=str(mask),
                memory_mb=memory_mb, device=device, progress=Quiet(part) if place else part,
            )  # fmt: skip
            self.rasters[number] = target
        return next(raster for raster in self.rasters if raster is not None)

    def measure(
        self, table: ObjectTable, objects: np.ndarray, settings: FeatureSettings, memory_mb: int, progress: Progress
    ) -> None:
        """Put the descriptors of each network into the rows of the objects that it describes.

        Args:
            table: measured with the first raster of :meth:`compute`, whose columns are replaced.
            objects: ``[m]`` the matched ones.
            settings: of the table.
            memory_mb: working memory.
            progress: shown, and asked whether to stop.
        """
        bare = replace(settings, shape=False)
        for number, raster in enumerate(self.rasters):
            if raster is None:
                continue
            source = RasterSource(raster)
            try:
                first = table.names.index(column_names(source, bare)[0])
                own = objects[self.of_object == number]
                found = measure_objects(table.segments, [source], bare, memory_mb, Quiet(progress), own)
                table.values[own, first : first + found.values.shape[1]] = found.values[own]
            finally:
                source.close()


def describers(
    matched: Matched,
    segments: Segments,
    descriptors: str,
    samples: str,
    folds: int,
    seed: int,
    folder: Path,
    progress: Progress,
) -> tuple[Matched, Describers]:
    """Choose for every object a network that has not seen its group, and who is judged.

    Of a pixel model with a test part, the objects of this part are judged, in ``folds`` folds, and the others teach:
    no network has seen what is judged, so that the score is what it seems. A pixel model that has learnt from all
    groups has no such part. Then all objects are judged, by the folds of its networks. The objects that teach are
    described by networks that have learnt from the judged ones, which may lift the score a little (see
    ``docs/objects.md``).

    Args:
        matched: the objects with a class.
        segments: their geometries.
        descriptors: the pixel model.
        samples: the folder of samples that trained it; empty = the folder that the model names.
        folds: so many for the test part.
        seed: deals its groups.
        folder: where the networks of its folds are written, each as a model of its own.
        progress: told how many objects are left out.

    Returns:
        the objects that remain, and who describes them.

    Raises:
        LandloomError: if the samples are not those of the model, or no object remains.
    """
    header = Model.load_header(descriptors)
    stores = _stores(header, descriptors, samples)
    networks = load_folds(descriptors, header)
    headers = [header, *(one.header for one in networks)]
    _warn_of_start(header, progress)
    seen = np.zeros((len(matched.objects), len(headers)), bool)
    known = False
    for place, store in stores:
        progress.check()
        trained = [_groups_of(one, place) for one in headers]
        known = known or bool(np.isin(store.groups, trained[0]).any())
        inside = groups_within(segments, matched.objects, store.x, store.y, store.groups, store.crs_wkt)
        for one, own in enumerate(inside):
            seen[one] |= [bool(np.isin(own, learnt).any()) for learnt in trained]
    if not known:
        raise LandloomError(
            tr("None of the samples in {samples} trained {descriptors}: give the folder that did.").format(
                samples=samples or tr("the folder that the model names"), descriptors=descriptors
            )
        )
    total = len(matched.objects)
    # First objects that every network has seen: with these gone, fields that only met there are no longer one group.
    kept = ~seen.all(axis=1)
    matched, seen = matched.only(kept), seen[kept]
    _, dense = np.unique(matched.groups, return_inverse=True)
    of_group = np.zeros((dense.max(initial=-1) + 1, len(headers)), bool)
    np.logical_or.at(of_group, dense.reshape(-1), seen)
    choice = np.where(of_group.all(axis=1), NONE, of_group.argmin(axis=1))  # the first that has not seen the group
    of_object = choice[dense.reshape(-1)]
    kept = of_object != NONE
    if not kept.any():
        raise LandloomError(
            tr(
                "Every object with a class trained the pixel model {descriptors}: nothing is left to learn "
                "from honestly. Train that model with EVALUATION folds, or with holdout and FOLD_NETWORKS: "
                "both keep networks beside it that have not seen some of the objects."
            ).format(descriptors=descriptors)
        )
    matched, of_object = matched.only(kept), of_object[kept]
    models = [Path(descriptors)]
    for number, network in enumerate(networks, start=1):
        models.append(folder / f"fold_{number}.safetensors")
        network.save(models[-1])
    found = Describers(models, of_object, None, total - len(of_object))
    own = of_object == 0
    if found.by_folds and header.scores.get("evaluation") == "holdout" and own.any():
        found.folds = np.full(len(of_object), NONE)
        count = min(folds, len(np.unique(matched.groups[own])))
        found.folds[own] = stratified_group_folds(matched.labels[own], matched.groups[own], count, seed)
    elif found.by_folds:
        found.folds = _folds(of_object, matched.groups, len(networks))
    _tell(found, progress)
    return matched, found


def _stores(header: ModelHeader, descriptors: str, samples: str) -> list[tuple[int, SampleStore]]:
    """The folders of samples that trained a model, with their places among its inputs."""
    inputs = header.provenance.get("inputs")
    named = [str(one.get("samples") or "") for one in inputs if isinstance(one, dict)] if inputs else []
    if len(named) < 2:
        named = [samples or "".join(named)]
    if named == [""]:
        raise LandloomError(
            tr(
                "SAMPLES is missing: give the folder of samples that trained the model of DESCRIPTORS, so that "
                "no object that trained it is learnt from or tested."
            )
        )
    gone = [folder or "memory" for folder in named if not Path(folder or "?").is_dir()]
    if gone and not samples:
        raise LandloomError(
            tr(
                "{descriptors} was trained with the samples in {gone}, which are not there, so that objects "
                "that trained it cannot be told from others: "
            ).format(descriptors=descriptors, gone=", ".join(gone))
            + (tr("give SAMPLES.") if len(named) == 1 else tr("put the folders back."))
        )
    return [(place, SampleStore.open(folder)) for place, folder in enumerate(named)]


def _groups_of(header: ModelHeader, place: int) -> np.ndarray:
    """The groups of one folder of samples that a network has learnt from."""
    inputs: Any = header.provenance.get("inputs")
    try:
        groups = inputs[place]["training_groups"] if len(inputs) > 1 else header.training_groups
    except (KeyError, IndexError, TypeError):
        groups = header.training_groups
    return np.asarray(list(groups), np.int64)


def _warn_of_start(header: ModelHeader, progress: Progress) -> None:
    training: Any = header.provenance.get("training")
    start = training.get("start_from") if isinstance(training, dict) else None
    if start:
        progress.warning(
            tr(
                "The pixel model began with the weights of {start}: if that had learnt from fields of this "
                "reference, its descriptors know their classes, and the scores are too good."
            ).format(start=start)
        )


def _folds(of_object: np.ndarray, groups: np.ndarray, count: int) -> np.ndarray:
    """The fold of each object: that of its network, and for groups that no network has seen, the emptiest one."""
    fold = of_object - 1
    sizes = np.bincount(fold[fold >= 0], minlength=count)
    for group in np.unique(groups[fold < 0]):
        own = groups == group
        emptiest = int(sizes.argmin())
        fold[own] = emptiest
        sizes[emptiest] += int(own.sum())
    return fold


def _tell(found: Describers, progress: Progress) -> None:
    by_folds = found.by_folds
    parts = []
    if by_folds:
        parts.append(
            tr("{by_folds:,} objects are described by networks of folds that have not seen their group").format(
                by_folds=by_folds
            )
        )
    if by_folds < len(found.of_object):
        parts.append(
            tr("{n_of_object:,} by the pixel model, which has not seen theirs").format(
                n_of_object=len(found.of_object) - by_folds
            )
        )
    if found.left_out:
        parts.append(
            tr("{left_out:,} objects of groups that every network has seen are left out").format(
                left_out=found.left_out
            )
        )
    progress.info("; ".join(parts) + ".")


def boxes_in(segments: Segments, objects: np.ndarray, grid: Grid) -> np.ndarray:
    """``[m, 4]`` bounds of objects in the CRS of a grid, a pixel wider on every side."""
    boxes = segments.bounds[objects]
    if not same_crs(segments.crs_wkt, grid.crs_wkt):
        boxes = reprojected(boxes, segments.crs_wkt, grid.crs_wkt)
    margin = np.array(grid.resolution)
    return np.concatenate([boxes[:, :2] - margin, boxes[:, 2:] + margin], axis=1)


def write_boxes(path: Path, boxes: np.ndarray, grid: Grid) -> None:
    """Rectangles as a layer of polygons: what is outside them need not be computed."""

    def polygon(box: Sequence[float]) -> bytes:
        west, south, east, north = box
        ring = ogr.Geometry(ogr.wkbLinearRing)
        for x, y in ((west, south), (west, north), (east, north), (east, south), (west, south)):
            ring.AddPoint_2D(x, y)
        shape = ogr.Geometry(ogr.wkbPolygon)
        shape.AddGeometry(ring)
        return bytes(shape.ExportToWkb())

    sound = boxes[np.isfinite(boxes).all(axis=1)]
    columns = {"box": np.arange(len(sound), dtype=np.int64)}
    write_table(
        path, "places", grid.crs_wkt, ogr.wkbPolygon, [polygon(one) for one in sound.tolist()], columns, Quiet()
    )
