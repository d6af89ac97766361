"""Several maps of the same place become one, block by block."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..base.errors import LandloomError
from ..base.gdalcache import CacheRoom
from ..base.language import tr
from ..base.nomenclature import HIGHEST_CODE, LandCoverClass, Nomenclature
from ..base.progress import Progress
from ..base.values import check_choice
from ..stack.grid import Grid
from . import outputs
from .chunks import Area
from .classify import CONFIDENCE_NODATA, map_layers
from .fuseinputs import (
    BELIEFS,
    FuseInput,
    LabelMap,
    ProbabilityMap,
    check_not_output,
    common_classes,
    common_grid,
    masses_of,
)
from .fuserules import NO_DATA, UNDECIDED, Fused, dempster_shafer, majority, mean_probability
from .tilewriter import write_tiles

MAJORITY, MEAN, DEMPSTER_SHAFER = "majority", "mean", "dempstershafer"
METHODS = (MAJORITY, MEAN, DEMPSTER_SHAFER)
UNDECIDED_COLOR = "#7f7f7f"
Rule = Callable[[Area], Fused]


@dataclass(frozen=True)
class Fusion:
    """What was made.

    Attributes:
        nomenclature: classes of the map, the one of undecided pixels among them where it has a code.
        pixels: pixels with data in any map.
        undecided: those of them where classes tie.
    """

    nomenclature: Nomenclature
    pixels: int
    undecided: int


def fuse(
    maps: Sequence[str | os.PathLike[str]],
    method: str,
    output: str | os.PathLike[str],
    confidence: str | os.PathLike[str] | None = None,
    matrices: Sequence[str | os.PathLike[str]] = (),
    belief: str = "precision",
    undecided: int = 0,
    nomenclature: Nomenclature | None = None,
    memory_mb: int = 1024,
    progress: Progress | None = None,
) -> Fusion:
    """Fuse maps of classes (``majority``, ``dempstershafer``) or of probabilities (``mean``).

    The result covers all maps; where one has no data it has no say. Pixels where classes tie get ``undecided``.

    Args:
        maps: two or more, on one CRS and lattice of pixels; their extents may differ.
        method: one of ``METHODS``.
        output: the map, Byte or UInt16 by the largest code, 0 = no data, with names, colours and a style.
        confidence: Byte 0..100 %, 255 = no data: share of votes, mean probability or belief of the class.
        matrices: for ``dempstershafer``, the confusion matrix of each map, in the same order.
        belief: what of a matrix is the mass of belief: ``precision``, ``recall``, ``accuracy`` or ``kappa``.
        undecided: code of undecided pixels; 0 leaves them without data.
        nomenclature: names and colours to use; others come from the maps, the first one that has them.
        memory_mb: working memory.
        progress: shown, and asked whether to stop.

    Raises:
        LandloomError: if maps, matrices or outputs do not do.
        Cancelled: if the user asked to stop; nothing is left then.
    """
    progress = progress or Progress()
    _check_choices(maps, method, matrices, belief, undecided)
    paths = [Path(one) for one in (output, confidence) if one]
    outputs.check_outputs(paths)
    opened: list[FuseInput] = [(ProbabilityMap if method == MEAN else LabelMap)(path) for path in maps]
    check_not_output(opened, paths)
    grid = common_grid(opened)
    codes = _codes(opened, progress.part(0, 30))
    classes = common_classes(opened, codes, nomenclature, progress)
    if undecided in codes:
        name = classes[classes.index_of(undecided)].name
        raise LandloomError(
            tr("UNDECIDED is {undecided}, the code of '{name}': choose a free code, or 0.").format(
                undecided=undecided, name=name
            )
        )
    rule = _rule(opened, method, matrices, belief, classes, progress)
    if undecided:
        classes = Nomenclature((*classes, LandCoverClass(undecided, tr("undecided"), UNDECIDED_COLOR)))
    layers = map_layers(classes, output, confidence)
    room = CacheRoom(memory_mb / 8, *(one.let_go for one in opened))
    pixels = _pixels_at_once(opened, memory_mb)
    return _write(layers, grid, rule, classes, undecided, pixels, room, progress.part(30, 100))


def _check_choices(
    maps: Sequence[object], method: str, matrices: Sequence[object], belief: str, undecided: int
) -> None:
    check_choice("METHOD", method, METHODS)
    check_choice("BELIEF", belief, BELIEFS)
    if len(maps) < 2:
        raise LandloomError(tr("MAPS names {n_maps} raster: give two or more.").format(n_maps=len(maps)))
    if method == DEMPSTER_SHAFER and len(matrices) != len(maps):
        raise LandloomError(
            tr(
                "MATRICES names {n_matrices} confusion matrices for {n_maps} maps: give one for each, in the "
                "order of MAPS."
            ).format(n_matrices=len(matrices), n_maps=len(maps))
        )
    if method != DEMPSTER_SHAFER and matrices:
        raise LandloomError(
            tr("MATRICES is for METHOD=dempstershafer, but METHOD is {method}: leave one of them out.").format(
                method=method
            )
        )
    if not 0 <= undecided <= HIGHEST_CODE:
        raise LandloomError(
            tr("UNDECIDED is {undecided}: give a code from 1 to {highest_code}, or 0 for no data.").format(
                undecided=undecided, highest_code=HIGHEST_CODE
            )
        )


def _codes(opened: Sequence[FuseInput], progress: Progress) -> list[int]:
    """The codes that the maps give.

    Raises:
        LandloomError: if there are none.
    """
    codes: set[int] = set()
    for index, one in enumerate(opened):
        if isinstance(one, ProbabilityMap):
            codes.update(one.band_codes)
        elif isinstance(one, LabelMap):
            share = 100.0 / len(opened)
            codes.update(one.codes(progress.part(index * share, (index + 1) * share)))
    if not codes:
        raise LandloomError(tr("No map holds a class, all pixels are no data: check MAPS."))
    return sorted(int(code) for code in codes)


def _rule(
    opened: Sequence[FuseInput],
    method: str,
    matrices: Sequence[str | os.PathLike[str]],
    belief: str,
    classes: Nomenclature,
    progress: Progress,
) -> Rule:
    """The function that fuses an area."""
    if method == MEAN:
        sources = [one for one in opened if isinstance(one, ProbabilityMap)]
        places = [np.array([classes.index_of(code) for code in one.band_codes]) for one in sources]

        def mean_of(area: Area) -> Fused:
            read = [one.read(area) for one in sources]
            return mean_probability([one[0] for one in read], places, [one[1] for one in read], classes.codes)

        return mean_of
    maps = [one for one in opened if isinstance(one, LabelMap)]
    if method == MAJORITY:
        return lambda area: majority(np.stack([one.read(area) for one in maps]))
    masses = [masses_of(path, belief) for path in matrices]
    for one, path, mass in zip(maps, matrices, masses, strict=True):
        words = ", ".join(f"{classes[classes.index_of(c)].name} {mass.get(int(c), 0.0):.3f}" for c in classes.codes)
        progress.info(
            tr("Mass of belief ({belief}) of {path}, by {path2}: {words}.").format(
                belief=belief, path=one.path, path2=path, words=words
            )
        )
    return lambda area: dempster_shafer(np.stack([one.read(area) for one in maps]), masses)


def _pixels_at_once(opened: Sequence[FuseInput], memory_mb: int) -> int:
    """How many pixels fit: every rule holds at most about 40 bytes for each map and class, and the blocks of GDAL."""
    planes = sum(one.dataset.RasterCount for one in opened)
    return max(1, memory_mb * 2**20 // 2 // (40 * planes + 64))


def _write(
    layers: Sequence[outputs.Layer],
    grid: Grid,
    rule: Rule,
    classes: Nomenclature,
    undecided: int,
    pixels: int,
    room: CacheRoom,
    progress: Progress,
) -> Fusion:
    """Compute and write tile by tile; the files take their names when all is written."""
    count = ties = 0

    def values(piece: Area) -> dict[str, np.ndarray]:
        nonlocal count, ties
        made = {name: np.zeros((piece.height, piece.width), np.uint16) for name in ("map", "confidence")}
        rows = max(1, pixels // piece.width)  # of many maps or classes not even a tile fits
        for first in range(0, piece.height, rows):
            progress.check()
            height = min(rows, piece.height - first)
            fused = rule(Area(piece.column, piece.row + first, piece.width, height))
            tied = fused.codes == UNDECIDED
            count += int((fused.codes != NO_DATA).sum())
            ties += int(tied.sum())
            codes = np.where(tied, undecided, fused.codes)
            percent = np.rint(fused.confidence * 100).clip(0, 100)
            part = slice(first, first + height)
            made["map"][part] = codes
            made["confidence"][part] = np.where(codes == NO_DATA, CONFIDENCE_NODATA, percent)
        room.check()
        return made

    write_tiles(layers, grid, values, pixels, progress)
    return Fusion(classes, count, ties)
