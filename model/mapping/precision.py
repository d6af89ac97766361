"""Computing a map with fewer digits: only where a network is faster with it, and only if the classes stay."""

from __future__ import annotations

import numpy as np

from ..base.errors import LandloomError
from ..base.language import tr
from ..base.progress import Progress
from ..base.values import check_choice
from ..networks.predictor import FLOAT32, PRECISIONS, Predictor, why_not
from ..stack.grid import Window
from ..stack.reader import StackReader
from .chunks import CHUNK, Area
from .opening import Inputs, dated_sensors, observed

AGREEMENT = 0.995
"""Share of pixels that must get the same class as in float32."""
CHUNKS = 4
_PLACES = (0.5, 0.2, 0.8)
_LEAST_VALID = 0.25


def check_precision(precision: str, regions: bool, elsewhere: bool) -> None:
    """Refuse what PRECISION cannot be.

    Raises:
        LandloomError: saying what to choose.
    """
    check_choice("PRECISION", precision, PRECISIONS)
    if precision != FLOAT32 and (regions or elsewhere):
        other = "REGIONS" if regions else "SCHEDULER"
        raise LandloomError(
            tr("PRECISION {precision} cannot be used with {other}: leave {other} empty, or choose float32.").format(
                precision=precision, other=other
            )
        )


def use_precision(inputs: Inputs, reader: StackReader, precision: str, progress: Progress) -> None:
    """Let the predictor of ``inputs`` compute with fewer digits if both ways agree on some chunks of the stack.

    The chunks lie at fixed places, so that the same run decides the same. Where the network is no faster, or less than
    :data:`AGREEMENT` of the pixels agree, float32 stays and a sentence says why.

    Args:
        inputs: what there is; its predictor is exchanged.
        reader: of the stack.
        precision: one of PRECISIONS.
        progress: told of it, and asked whether to stop.
    """
    if precision == FLOAT32:
        return
    reason = why_not(inputs.model.header.network, inputs.kind, precision)
    if reason:
        progress.info(
            tr("PRECISION {precision}: {reason}, so float32 is used.").format(precision=precision, reason=reason)
        )
        return
    plain = inputs.predictor
    other = Predictor(inputs.model, plain.device, plain.threads, precision)
    other.check_fits(reader.specs)
    equal, count, chunks = _agreement(plain, other, reader, inputs.area, progress)
    if not count:
        progress.warning(
            tr("PRECISION {precision} could not be tried, for want of valid pixels: float32 is used.").format(
                precision=precision
            )
        )
    elif equal < AGREEMENT * count:
        progress.warning(
            tr(
                "PRECISION {precision} gives another class to {share:.2f} % of {count:,} pixels tried (allowed: "
                "{allowed:.1f} %): float32 is used."
            ).format(precision=precision, share=100 * (1 - equal / count), count=count, allowed=100 * (1 - AGREEMENT))
        )
    else:
        progress.info(
            tr(
                "PRECISION {precision}: {share:.2f} % of {count:,} pixels in {chunks} places have the same class as in "
                "float32."
            ).format(precision=precision, share=100 * equal / count, count=count, chunks=chunks)
        )
        inputs.predictor, inputs.precision = other, precision
        plain.close()
        return
    other.close()


def _agreement(
    plain: Predictor, other: Predictor, reader: StackReader, area: Area, progress: Progress
) -> tuple[int, int, int]:
    """Pixels that get the same class, pixels tried, and chunks that they lie in."""
    equal = count = chunks = 0
    seen = set()
    for down in _PLACES:
        for across in _PLACES:
            column = (area.column + int(across * (area.width - 1))) // CHUNK * CHUNK
            row = (area.row + int(down * (area.height - 1))) // CHUNK * CHUNK
            if (column, row) in seen or chunks == CHUNKS:
                continue
            seen.add((column, row))
            progress.check()
            series = reader.read(Window(column, row, CHUNK, CHUNK), halo=plain.halo)
            reader.let_go()
            valid = observed(series, dated_sensors(reader.specs), plain.halo)
            if valid.mean() < _LEAST_VALID and len(seen) < len(_PLACES) ** 2:
                continue
            first, second = (np.argmax(one.predict(series)[0], axis=0)[valid] for one in (plain, other))
            equal, count, chunks = equal + int((first == second).sum()), count + int(valid.sum()), chunks + 1
    return equal, count, chunks
