"""Which class each feature of the reference data has, by the nomenclature table or by the field alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..base.errors import LandloomError
from ..base.language import tr
from ..base.nomenclature import Nomenclature
from ..base.progress import Progress
from ..base.words import counted
from ..stack.grid import Grid
from .reference import Feature, Reference, ReferenceLayer
from .settings import ExtractionSettings
from .table import table_of
from .tablefiles import read_table

MOST_CLASSES = 2000


@dataclass
class Classes:
    """Features in use and their classes.

    Attributes:
        features: on the grid and not left out.
        labels: ``[F]`` index in ``nomenclature``.
        nomenclature: the classes of the features, at the level asked for.
    """

    features: list[Feature]
    labels: np.ndarray
    nomenclature: Nomenclature


def classes_of(layer: ReferenceLayer, grid: Grid, settings: ExtractionSettings, progress: Progress) -> Classes:
    """Read the features on a grid and give each its class.

    Raises:
        LandloomError: if values are not listed in the nomenclature, or fewer than two classes are left.
    """
    reference = layer.read(grid, settings.class_field, progress, settings.group_field, settings.split_field)
    _tell(reference, layer, progress)
    if settings.nomenclature:
        table = read_table(settings.nomenclature)
        table.check_listed(reference.values, settings.class_field)
    else:
        table, renumbered = table_of({value: (0, None) for value in reference.values})
        if renumbered:
            progress.info(
                tr(
                    "{class_field} holds texts or numbers outside 1 to 65535: classes get the codes 1 to "
                    "{n_rows} in sorted order. Give a NOMENCLATURE to choose codes."
                ).format(class_field=settings.class_field, n_rows=len(table.rows))
            )
    features, codes = [], []
    for feature in reference.features:
        row = table.find(feature.value)
        if row is not None and row.use:
            features.append(feature)
            codes.append(row.code)
    left_out = len(reference.features) - len(features)
    if left_out:
        progress.info(
            tr("Left out, as the nomenclature says: {features}.").format(features=counted(left_out, "feature"))
        )
    if not features:
        raise LandloomError(
            tr("{source} leaves out every feature on the stack: set use to yes for some classes.").format(
                source=table.source
            )
        )
    nomenclature = table.nomenclature(feature.value for feature in features)
    merged, parents = nomenclature.at_level(settings.level)
    labels = parents[[nomenclature.index_of(code) for code in codes if code is not None]]
    if len(merged) < 2:
        raise LandloomError(
            tr("{class_field} holds one class on the stack, '{names}'; at least two are needed.").format(
                class_field=settings.class_field, names=merged.names[0]
            )
        )
    if len(merged) > MOST_CLASSES:
        raise LandloomError(
            tr(
                "{class_field} holds {n_merged} classes, more than {most_classes}: is it the field of the class?"
            ).format(class_field=settings.class_field, n_merged=len(merged), most_classes=MOST_CLASSES)
        )
    return Classes(features, np.asarray(labels), merged)


def _tell(reference: Reference, layer: ReferenceLayer, progress: Progress) -> None:
    what = "point" if reference.is_point else "polygon"
    progress.info(
        tr("On the stack, of {layer}: {counted}.").format(layer=layer.name, counted=counted(reference.features, what))
    )
    if reference.outside:
        progress.warning(
            tr("Outside the stack and left out: {counted}.").format(counted=counted(reference.outside, what))
        )
    if reference.empty:
        progress.warning(
            tr("Without class or geometry and left out: {features}.").format(
                features=counted(reference.empty, "feature")
            )
        )
    if reference.repaired:
        progress.warning(
            tr("With an invalid geometry, which was repaired: {polygons}.").format(
                polygons=counted(reference.repaired, "polygon")
            )
        )
