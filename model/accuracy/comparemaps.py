"""Maps made elsewhere, read where the samples lie, to be judged on the same groups as what is trained here."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from osgeo import osr

from ..base.errors import LandloomError
from ..base.language import tr
from ..base.nomenclature import Nomenclature, listed
from ..base.progress import Progress
from ..base.raster import spatial_reference
from ..stack.grid import same_crs
from .mapreading import CategoricalMap

if TYPE_CHECKING:
    from ..training.pool import SamplePool

MATCHED_BY_NAME, MATCHED_BY_CODE = "name", "code"


@dataclass(frozen=True)
class MapAtSamples:
    """A map where the samples lie.

    Attributes:
        key: its name in tables, unique.
        path: the raster.
        predicted: ``[N]`` class indices; the number of classes for a value that is no class of the samples (always
            wrong), -1 without data there.
        matched: value of the map -> (class index, ``name`` or ``code``).
        unknown: value that is no class of the samples -> samples with it.
        missing: samples without data.
    """

    key: str
    path: str
    predicted: np.ndarray
    matched: dict[int, tuple[int, str]]
    unknown: dict[int, int]
    missing: int


def read_maps(paths: Sequence[str | os.PathLike[str]], pool: SamplePool, progress: Progress) -> list[MapAtSamples]:
    """Read maps at the samples.

    Raises:
        LandloomError: if one is no map of classes, lies elsewhere, or shares no class with the samples.
    """
    names = [Path(path).name for path in paths]
    keys = [name if names.count(name) == 1 else f"{name} ({place + 1})" for place, name in enumerate(names)]
    return [_read(key, path, pool, progress) for key, path in zip(keys, paths, strict=True)]


def _read(key: str, path: str | os.PathLike[str], pool: SamplePool, progress: Progress) -> MapAtSamples:
    source = CategoricalMap(path, "MAPS")
    values = np.zeros(len(pool), np.int64)
    known = np.zeros(len(pool), bool)
    for part, store in enumerate(pool.stores):
        if not store.crs_wkt:
            raise LandloomError(
                tr("{name} has no coordinates, so that MAPS cannot be read at its samples.").format(
                    name=pool.name(part)
                )
            )
        own = np.flatnonzero(pool.part == part)
        rows, columns = _pixels(store.x, store.y, store.crs_wkt, source)
        inside = (rows >= 0) & (rows < source.grid.height) & (columns >= 0) & (columns < source.grid.width)
        values[own[inside]] = source.values_at(rows[inside], columns[inside], progress)
        known[own[inside]] = True
    if not known.any():
        raise LandloomError(
            tr("MAPS {path} does not lie where the samples do: give a map of their place.").format(path=path)
        )
    known &= ~source.is_no_data(values)
    if not known.any():
        raise LandloomError(tr("MAPS {path} has no data at any sample: give a map that covers them.").format(path=path))
    found, counts = np.unique(values[known], return_counts=True)
    matched = match_classes(found.tolist(), source.names, pool.nomenclature)
    if not matched:
        raise LandloomError(
            tr(
                "MAPS {path} shares no class with the samples: it holds {found} there, the samples have "
                "{classes}. Give the map the codes or names of the samples' nomenclature."
            ).format(
                path=path, found=listed([source.name_of(v) for v in found]), classes=listed(_classes(pool.nomenclature))
            )
        )
    predicted = np.full(len(pool), -1, np.int64)
    predicted[known] = [matched.get(int(v), (len(pool.nomenclature), ""))[0] for v in values[known]]
    unknown = {int(v): int(n) for v, n in zip(found, counts, strict=True) if int(v) not in matched}
    missing = int((~known).sum())
    if unknown:
        progress.warning(
            tr("{key}: {sum} samples have a value that is no class of the samples and count as wrong: {items}.").format(
                key=key,
                sum=sum(unknown.values()),
                items=listed([f"{source.name_of(v)} ({n})" for v, n in unknown.items()]),
            )
        )
    if missing:
        progress.warning(
            tr("{key} has no data at {missing} of {n_pool} samples, which are left out of its scores.").format(
                key=key, missing=missing, n_pool=len(pool)
            )
        )
    return MapAtSamples(key, source.path, predicted, matched, unknown, missing)


def match_classes(
    values: Sequence[int], names: dict[int, str], nomenclature: Nomenclature
) -> dict[int, tuple[int, str]]:
    """Values of a map that are classes: by name where the map names them, otherwise by code."""
    by_name = {name.casefold(): index for index, name in enumerate(nomenclature.names)}
    by_code = {int(code): index for index, code in enumerate(nomenclature.codes)}
    matched = {}
    for value in values:
        index = by_name.get(names.get(value, "").strip().casefold())
        if index is not None:
            matched[value] = (index, MATCHED_BY_NAME)
        elif value in by_code:
            matched[value] = (by_code[value], MATCHED_BY_CODE)
    return matched


def _classes(nomenclature: Nomenclature) -> list[str]:
    return [f"{one.code} {one.name}" for one in nomenclature]


def _pixels(x: np.ndarray, y: np.ndarray, crs_wkt: str, source: CategoricalMap) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns of the map's pixels in which places lie; may be outside."""
    if not same_crs(crs_wkt, source.grid.crs_wkt) and len(x):
        change = osr.CoordinateTransformation(spatial_reference(crs_wkt), spatial_reference(source.grid.crs_wkt))
        x, y = np.array(change.TransformPoints(np.stack([x, y], axis=1).tolist()))[:, :2].T
    transform = source.grid.transform
    rows, columns = np.floor((y - transform[3]) / transform[5]), np.floor((x - transform[0]) / transform[1])
    beside = ~np.isfinite(rows) | ~np.isfinite(columns)
    rows[beside] = columns[beside] = -1
    return rows.astype(np.int64), columns.astype(np.int64)
