"""The user's own masks, matched by date."""

from __future__ import annotations

import re
from pathlib import Path

from ..base.errors import LandloomError
from ..base.language import tr
from ..base.progress import Progress
from ..base.words import counted
from .build import RasterInfos, source_of
from .calendar import find_date
from .datedfiles import RasterSeries
from .manifest import MaskRule
from .rasterinfo import absolute


def dated_masks(
    series: RasterSeries, dates: set[str], infos: RasterInfos, progress: Progress
) -> dict[str, list[MaskRule]]:
    """The masks of each date."""
    invalid, valid = (
        parse_numbers(series.invalid_values, "INVALID_VALUES"),
        parse_numbers(series.valid_values, "VALID_VALUES"),
    )
    if not series.masks:
        if invalid or valid:
            raise LandloomError(tr("INVALID_VALUES and VALID_VALUES speak of masks, but MASKS is empty; give MASKS."))
        return {}
    if invalid and valid:
        raise LandloomError(tr("Give either INVALID_VALUES or VALID_VALUES, not both."))
    if not invalid and not valid:
        valid = (0.0,)
        progress.info(
            tr("MASKS: 0 means valid, any other value invalid; give INVALID_VALUES or VALID_VALUES otherwise.")
        )
    by_date: dict[str, list[MaskRule]] = {}
    undated: list[MaskRule] = []
    for path in series.masks:
        progress.check()
        info = infos[absolute(path)]
        found = [find_date(text) for text in info.descriptions]
        several = len(found) > 1 and all(found)
        for number, one in enumerate(found if several else found[:1], start=1):
            rule = MaskRule(source_of(info), number, invalid or None, None, valid or None)
            at = one if several else find_date(Path(path).stem) or find_date(Path(path).absolute().parent.name) or one
            (by_date.setdefault(at[0], []) if at else undated).append(rule)
    if undated and (by_date or len(undated) > 1):
        raise LandloomError(
            tr("No date is found in the name of the mask {path}; rename it.").format(path=undated[0].source.path)
        )
    if undated:
        progress.info(tr("The mask {path} has no date: it holds for all dates.").format(path=undated[0].source.path))
        return {date: undated for date in dates}
    without = sorted(dates - set(by_date))
    if len(without) == len(dates):
        raise LandloomError(
            tr("No mask has a date of the rasters (masks: {by_date} ..., rasters: {dates} ...); check MASKS.").format(
                by_date=min(by_date), dates=min(dates) or "static"
            )
        )
    if without:
        progress.warning(
            tr("Without a mask and used whole: {dates} ({without}).").format(
                dates=counted(without, "date"), without=", ".join(without[:10])
            )
        )
    return by_date


def parse_numbers(text: str, parameter: str) -> tuple[float, ...]:
    """Numbers from text separated by commas or blanks.

    Raises:
        LandloomError: naming the parameter, if an entry is no number.
    """
    try:
        return tuple(float(entry) for entry in re.split(r"[,;\s]+", text.strip()) if entry)
    except ValueError as error:
        raise LandloomError(
            tr("{parameter} is '{text}'; give numbers separated by commas, such as 0,1,3.").format(
                parameter=parameter, text=text
            )
        ) from error
