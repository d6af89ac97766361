"""What the extraction of samples tells of pixels, features and classes that look odd."""

from __future__ import annotations

import numpy as np

from ..base.language import tr
from ..base.nomenclature import Nomenclature, listed
from ..base.progress import Progress
from ..base.words import counted
from .labelling import Labelled
from .reference import Feature
from .splits import absent_classes

TINY_CLASS = 30
"""Pixels; of classes with fewer the scores say little."""


def tell_labelling(labelled: Labelled, features: list[Feature], progress: Progress) -> None:
    """Warn of pixels and features that are left out or kept in part."""
    if labelled.disputed:
        progress.warning(
            tr("{overlapping} features of different classes overlap; left out, since shared: {pixels}.").format(
                overlapping=labelled.overlapping, pixels=counted(labelled.disputed, "pixel")
            )
        )
    if labelled.shrunk:
        progress.warning(
            tr("INNER_BUFFER makes {polygons} vanish: each keeps the pixel it covers most.").format(
                polygons=counted(labelled.shrunk, "polygon")
            )
        )
    if labelled.thin:
        progress.warning(
            tr("{count} polygons cover no pixel by MIN_SHARE: each keeps the one pixel it covers most.").format(
                count=labelled.thin
            )
        )
    if labelled.lost:
        fids = ", ".join(str(features[i].fid) for i in labelled.lost[:10])
        more = "..." if len(labelled.lost) > 10 else ""
        progress.warning(
            tr("Without a pixel, as theirs belong to others or are disputed: {features} ({fids}{more}).").format(
                features=counted(labelled.lost, "feature"), fids=fids, more=more
            )
        )


def tell_classes(samples: np.ndarray, nomenclature: Nomenclature, class_field: str, progress: Progress) -> None:
    """Warn of classes that are small or cannot be in all parts."""
    if len(np.unique(samples["polygon"])) == len(nomenclature) > 2:
        progress.warning(
            tr("Every class has one feature only ({count} classes): is {field} the field of the class?").format(
                count=len(nomenclature), field=class_field
            )
        )
    few: list[str] = []
    tiny: list[str] = []
    for index, name in enumerate(nomenclature.names):
        own = samples[samples["label"] == index]
        groups = len(np.unique(own["group"]))
        if groups < 3:
            few.append(f"{name} ({groups})")
        if len(own) < TINY_CLASS:
            tiny.append(f"{name} ({len(own)})")
    if few:
        sentence = tr("Classes with fewer than three groups cannot be in all three parts: {names}.")
        progress.warning(sentence.format(names=listed(few)))
    if tiny:
        progress.warning(tr("Classes with fewer than {n} pixels: {names}.").format(n=TINY_CLASS, names=listed(tiny)))
    for sentence in absent_classes(samples["label"], samples["split"], nomenclature.names):
        progress.warning(sentence)
