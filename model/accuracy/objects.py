"""The map at the features of the reference data: their pixels, the class of each, and where classes are mixed up."""

from __future__ import annotations

import numpy as np
from osgeo import osr

from ..base.errors import LandloomError
from ..base.language import tr
from ..base.progress import Progress
from ..base.raster import spatial_reference
from ..samples.labelling import label_pixels
from ..samples.reference import Feature
from ..stack.grid import Grid, same_crs
from ..stack.rasterinfo import inspect
from .assessment import Confusion, Objects
from .mapreading import values_at

PIXEL_BYTES = 100  # for each pixel of the reference: 80 at most, in the bootstrap, and some room
_AT_ONCE = 100_000  # pixels whose coordinates are computed together


def reference_pixels(
    features: list[Feature], labels: np.ndarray, grid: Grid, is_point: bool, memory_mb: float, progress: Progress
) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
    """Rows, columns and feature of the pixels; and how many are in features of different classes.

    Raises:
        LandloomError: if there are more pixels than the memory has room for.
    """
    if not is_point:
        labelled = label_pixels(features, labels, grid, progress)
        needed = len(labelled.rows) * PIXEL_BYTES / 2**20
        if needed > memory_mb:
            raise LandloomError(
                tr(
                    "The reference polygons cover {pixels:,} pixels, which take about {needed:,.0f} MB: raise "
                    "MEMORY_MB to that or more, or give fewer polygons, or points."
                ).format(pixels=len(labelled.rows), needed=needed)
            )
        return labelled.rows, labelled.columns, labelled.owner.astype(np.int32), labelled.disputed
    places, owners = [], []
    for index, feature in enumerate(features):
        if index % 1000 == 0:
            progress.check()
        geometry = feature.geometry()
        count = geometry.GetGeometryCount()
        for part in [geometry.GetGeometryRef(i) for i in range(count)] if count else [geometry]:
            places.append((part.GetX(), part.GetY()))
            owners.append(index)
    x, y = np.array(places).T
    columns = np.floor((x - grid.transform[0]) / grid.transform[1]).astype(np.int64)
    rows = np.floor((y - grid.transform[3]) / grid.transform[5]).astype(np.int64)
    inside = (rows >= 0) & (rows < grid.height) & (columns >= 0) & (columns < grid.width)
    return rows[inside], columns[inside], np.array(owners)[inside], 0


def confidence_at(path: str, grid: Grid, rows: np.ndarray, columns: np.ndarray, progress: Progress) -> np.ndarray:
    """``[N]`` percent at pixels of the map, NaN where unknown; the raster may have another grid or CRS."""
    info = inspect(path)
    forward = None
    if not same_crs(grid.crs_wkt, info.grid.crs_wkt):
        forward = osr.CoordinateTransformation(spatial_reference(grid.crs_wkt), spatial_reference(info.grid.crs_wkt))
    own_rows, own_columns = np.empty((2, len(rows)), np.int32)
    for first in range(0, len(rows), _AT_ONCE):
        part = slice(first, first + _AT_ONCE)
        progress.check()
        own_rows[part], own_columns[part] = _cells(grid, rows[part], columns[part], forward, info.grid)
    inside = own_rows >= 0
    result = np.full(len(rows), np.nan, np.float32)
    if not inside.any():
        raise LandloomError(
            tr("CONFIDENCE {path} does not lie where the reference does: give that of the same map.").format(path=path)
        )
    values = values_at(path, own_rows[inside], own_columns[inside], progress).astype(np.float32)
    if info.nodata[0] is not None:
        values[values == info.nodata[0]] = np.nan
    known = values[np.isfinite(values)]
    if np.dtype(info.dtypes[0]).kind == "f" and known.size and known.max() <= 1:
        values = values * 100
    elif info.dtypes[0] == "uint8":
        values[values > 100] = np.nan
    known = values[np.isfinite(values)]
    if known.size and not 0 <= known.min() <= known.max() <= 100:
        raise LandloomError(
            tr("CONFIDENCE {path} holds {min:g} to {max:g}: percent (0 to 100) or shares (0 to 1) are needed.").format(
                path=path, min=known.min(), max=known.max()
            )
        )
    result[inside] = values
    return result


def _cells(
    grid: Grid, rows: np.ndarray, columns: np.ndarray, forward: osr.CoordinateTransformation | None, other: Grid
) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns of the pixels of another grid where those of a grid have their centres; -1 beside it."""
    x = grid.transform[0] + (columns + 0.5) * grid.transform[1]
    y = grid.transform[3] + (rows + 0.5) * grid.transform[5]
    if forward is not None:
        x, y = np.array(forward.TransformPoints(np.stack([x, y], axis=1).tolist()))[:, :2].T
    own = other.transform
    own_columns, own_rows = np.floor((x - own[0]) / own[1]), np.floor((y - own[3]) / own[5])
    inside = (own_rows >= 0) & (own_rows < other.height) & (own_columns >= 0) & (own_columns < other.width)
    return np.where(inside, own_rows, -1), np.where(inside, own_columns, -1)


def describe_objects(
    features: list[Feature],
    labels: np.ndarray,
    groups: np.ndarray,
    trained: np.ndarray,
    owner: np.ndarray,
    predicted: np.ndarray,
    confidence: np.ndarray | None,
    classes: int,
) -> Objects:
    """What the map shows at each feature, from the class and confidence of its pixels.

    Args:
        features: the reference.
        labels: ``[F]`` their classes.
        groups: ``[F]``.
        trained: ``[F]`` bool, whether a model has read them.
        owner: ``[N]`` feature of each pixel.
        predicted: ``[N]`` class in the map, -1 without data.
        confidence: ``[N]`` percent, NaN where unknown; None without.
        classes: number of classes.
    """
    n = len(features)
    known = predicted >= 0
    pixels = np.bincount(owner[known], minlength=n)
    right = np.bincount(owner[known], predicted[known] == labels[owner[known]], n)
    with np.errstate(invalid="ignore", divide="ignore"):
        agreement = np.where(pixels > 0, right / pixels, np.nan)
        mean = np.full(n, np.nan)
        if confidence is not None:
            sure = np.isfinite(confidence) & known
            mean = np.bincount(owner[sure], confidence[sure], n) / np.bincount(owner[sure], minlength=n)
    return Objects(
        features,
        labels,
        _majority(owner[known], predicted[known], n, classes),
        agreement,
        mean,
        pixels,
        np.bincount(owner[~known], minlength=n),
        groups,
        trained,
    )


def _majority(owner: np.ndarray, predicted: np.ndarray, n: int, classes: int) -> np.ndarray:
    """``[n]`` the class of most pixels of each feature, the lower code on a tie; -1 without pixels."""
    result = np.full(n, -1, np.int64)
    if len(owner):
        pairs, count = np.unique(owner.astype(np.int64) * classes + predicted, return_counts=True)
        feature, label = np.divmod(pairs, classes)
        order = np.lexsort((label, -count, feature))
        first = order[np.r_[True, np.diff(feature[order]) > 0]]
        result[feature[first]] = label[first]
    return result


def worst_confusions(
    matrix: np.ndarray, labels: np.ndarray, predicted: np.ndarray, owner: np.ndarray, most: int = 12, places: int = 8
) -> list[Confusion]:
    """The pairs of classes with most wrong pixels, and where they are."""
    wrong = matrix.copy()
    np.fill_diagonal(wrong, 0)
    found = []
    for cell in np.argsort(-wrong, axis=None, kind="stable")[:most]:
        row, column = divmod(int(cell), len(matrix))
        if not wrong[row, column]:
            break
        features, count = np.unique(owner[(labels == row) & (predicted == column)], return_counts=True)
        order = np.lexsort((features, -count))[:places]
        pairs = tuple((int(features[i]), int(count[i])) for i in order)
        found.append(Confusion(row, column, int(wrong[row, column]), pairs, len(features)))
    return found
