"""Leaving out what trained the model: reference features whose pixels, or whose group, a training has read."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from osgeo import osr

from ..base.errors import LandloomError
from ..base.language import tr
from ..base.optional import need
from ..base.raster import spatial_reference
from ..networks.modelfile import ModelHeader
from ..networks.tensorfile import read_metadata
from ..samples.extraction import metric_scale
from ..samples.store import TEST, VALIDATION, SampleStore
from ..stack.grid import Grid, same_crs


@dataclass(frozen=True)
class TrainingPlaces:
    """Where the samples lie that trained a model.

    Attributes:
        pixels: sorted positions (row * width + column) on the map's grid.
        outside: samples beside the map.
        settings: GROUP_FIELD and GROUP_DISTANCE with which the samples were grouped.
        note: a sentence for the report on what is known.
    """

    pixels: np.ndarray
    outside: int
    group_field: str
    group_distance: float
    note: str

    def contains(self, rows: np.ndarray, columns: np.ndarray, width: int) -> np.ndarray:
        """``[N]`` bool: whether a training sample lies in a pixel."""
        flat = np.asarray(rows, np.int64) * width + columns
        return np.isin(flat, self.pixels)

    def reach(self, rows: np.ndarray, columns: np.ndarray, grid: Grid) -> np.ndarray:
        """``[N]`` bool: whether a training sample lies in a pixel, or nearer than the distance that makes one group.

        Other reference data than those that trained hold none of their pixels, but may lie beside them.
        """
        found = self.contains(rows, columns, grid.width)
        if self.group_distance <= 0 or self.group_field or not len(self.pixels) or found.all():
            return found
        scale = metric_scale(grid)
        step = np.array([grid.transform[5] * scale[1], grid.transform[1] * scale[0]])  # metres a row and a column
        tree = need("scipy.spatial", "Leaving out what lies near training samples").cKDTree(
            np.stack(np.divmod(self.pixels, grid.width), axis=1) * step
        )
        places = np.stack([rows[~found], columns[~found]], axis=1) * step
        gap, _ = tree.query(places, distance_upper_bound=self.group_distance)
        found[~found] = np.isfinite(gap)
        return found

    def are_the_reference(self, rows: np.ndarray, columns: np.ndarray, width: int) -> bool:
        """Whether most of the training samples are pixels of the reference: then it is the reference that trained."""
        flat = np.asarray(rows, np.int64) * width + columns
        return bool(len(self.pixels) and np.isin(self.pixels, flat).mean() > 0.5)


def training_places(folders: Sequence[str | os.PathLike[str]], model: str, grid: Grid) -> TrainingPlaces | None:
    """The training samples of a model on a map's grid.

    Without the model the parts for training and validation are taken, since a model trained on a holdout has read
    these. The model says exactly which groups it has read: with EVALUATION folds these are all.

    Args:
        folders: of samples; may be empty where the model's file says which.
        model: the model's file, or empty.
        grid: of the map.

    Returns:
        None where nothing is known.

    Raises:
        LandloomError: if a folder or the model cannot be read.
    """
    known = _groups_of(model) if model else {}
    if not folders and model:
        folders = [folder for folder in known if Path(folder).is_dir()]
        if not folders:
            raise LandloomError(
                tr("The samples that trained {model} are not where they were ({known}): give SAMPLES.").format(
                    model=model, known=", ".join(known) or "not named"
                )
            )
    if not folders:
        return None
    flat, outside, settings = [], 0, {}
    for folder in folders:
        store = SampleStore.open(folder)
        read = _read_by(store, Path(folder), known, len(folders))
        rows, columns, beside = _pixels(store.x[read], store.y[read], store.crs_wkt, grid)
        flat.append(rows * grid.width + columns)
        outside += beside
        settings = store.description.get("settings", {})
    if model:
        note = tr("Reference features whose group trained the model, as its file says, are left out.")
    else:
        note = tr(
            "Reference features whose group is in the training or validation part of SAMPLES are left out. If the "
            "model was trained with EVALUATION folds, it has read the test part too: give MODEL, whose file says so."
        )
    return TrainingPlaces(
        np.unique(np.concatenate(flat)),
        outside,
        str(settings.get("group_field") or ""),
        float(settings.get("group_distance") or 0.0),
        note,
    )


def _groups_of(model: str) -> dict[str, list[int]]:
    """Sample folder -> groups that trained a model."""
    header = ModelHeader.from_json(read_metadata(model))
    return {
        str(one.get("samples")): [int(group) for group in one.get("training_groups", [])]
        for one in header.provenance.get("inputs", [])
    }


def _read_by(store: SampleStore, folder: Path, known: dict[str, list[int]], folders: int) -> np.ndarray:
    """``[N]`` bool: samples that a training has read, to learn from them or to choose when to stop."""
    if not known:
        return store.split != TEST
    own = [groups for name, groups in known.items() if Path(name).resolve() == folder.resolve()]
    if not own and len(known) == 1 and folders == 1:
        own = list(known.values())  # the folder was moved
    if not own:
        raise LandloomError(
            tr("The model was trained on {known}, not on {folder}: give its own SAMPLES.").format(
                known=", ".join(known), folder=folder
            )
        )
    return np.isin(store.groups, own[0]) | (store.split == VALIDATION)


def _pixels(x: np.ndarray, y: np.ndarray, crs_wkt: str, grid: Grid) -> tuple[np.ndarray, np.ndarray, int]:
    """Rows and columns of places on a grid, and how many lie beside it."""
    if not same_crs(crs_wkt, grid.crs_wkt) and len(x):
        transformation = osr.CoordinateTransformation(spatial_reference(crs_wkt), spatial_reference(grid.crs_wkt))
        x, y = np.array(transformation.TransformPoints(np.stack([x, y], axis=1).tolist()))[:, :2].T
    columns = np.floor((x - grid.transform[0]) / grid.transform[1])
    rows = np.floor((y - grid.transform[3]) / grid.transform[5])
    inside = (rows >= 0) & (rows < grid.height) & (columns >= 0) & (columns < grid.width)
    return rows[inside].astype(np.int64), columns[inside].astype(np.int64), int((~inside).sum())
