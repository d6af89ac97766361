"""From images to disk: chips are read tile by tile, one tile ahead, and written as they come."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotYet
from pathlib import Path

import numpy as np

from ..base.errors import LandloomError
from ..base.freedmemory import give_back_freed_memory
from ..base.language import tr
from ..base.progress import Progress
from ..stack.reader import StackReader
from ..stack.sensors import STATIC, Series
from .chips import ChipPlan, bounding_window, reading_order
from .tilework import TilesElsewhere
from .writer import Pixels, SampleWriter, cut

TILE = 256
MOST_TILE_BYTES = 64 * 2**20
IN_FLIGHT = 2


def reading_plan(reader: StackReader, plan: ChipPlan, memory_mb: int) -> tuple[np.ndarray, list[np.ndarray]]:
    """Tiles to read: whole blocks of the sources where memory allows, as wide as the raster where it is striped."""
    width, height = reader.block_size()
    pixel = max(reader.bytes_per_pixel, 1)
    most = min(memory_mb * 2**20 // 4, MOST_TILE_BYTES) // pixel
    # Chips reach beyond the tile that their corner lies in, and one tile is written while others are read.
    beyond = plan.windows[:, 2:].max(axis=0, initial=0).tolist()
    wide = memory_mb * 2**20 * 0.6 / (IN_FLIGHT + 1) / pixel
    tile_width, tile_height = max(width, TILE), max(height, TILE)

    def fits() -> bool:
        grown = (tile_width + beyond[0]) * (tile_height + beyond[1])
        return tile_width * tile_height <= most and grown <= wide

    while not fits() and max(tile_width, tile_height) > 64:
        # Rows of a striped file are best read whole: make tiles flat before making them narrow.
        if (tile_height > 2 * height and tile_height > 32) or tile_width <= 64:
            tile_height = max(tile_height // 2, 1)
        else:
            tile_width = max(tile_width // 2, 64)
    return reading_order(plan.windows, tile_width, tile_height)


def check_space(folder: Path, size: int) -> None:
    """Check that so many bytes fit on the disk of a folder.

    Raises:
        LandloomError: if they do not.
    """
    free = shutil.disk_usage(folder).free
    if size > free:
        need, left = size / 2**20, free / 2**20
        raise LandloomError(
            tr(
                "The samples need {need:,.1f} MB, but {parent} has {left:,.1f} MB free: free space, lower "
                "MAX_PER_GROUP, MAX_PER_CLASS or HALO, or choose another output."
            ).format(need=need, parent=folder.parent, left=left)
        )


def write_series(
    reader: StackReader,
    writer: SampleWriter,
    windows: np.ndarray,
    tiles: list[np.ndarray],
    samples: np.ndarray,
    chips: np.ndarray,
    progress: Progress,
    elsewhere: TilesElsewhere | None = None,
) -> np.ndarray:
    """Append the chips, tile after tile; gives whether each sample is valid at any date.

    This process reads one tile ahead; ``elsewhere`` reads all of them in other processes before.
    """
    valid = np.zeros(len(samples), bool)
    bounds = np.searchsorted(samples["chip"], np.arange(len(chips) + 1))
    number = 0
    if elsewhere is not None:
        elsewhere.read(progress.part(0, 90))
        progress = progress.part(90, 100)
        found: Iterator[Iterable[Pixels]] = map(elsewhere.chips, range(len(tiles)))
    else:
        found = _read(reader, windows, tiles, progress)
    for tile in found:
        for pixels in tile:
            writer.append_pixels(pixels)
            own = slice(bounds[number], bounds[number + 1])
            valid[own] = _ever_valid(reader, pixels, samples[own], int(chips["width"][number]))
            number += 1
        give_back_freed_memory()
        progress.check()
        progress.percent(100 * number / len(chips))
    return valid


def _read(
    reader: StackReader, windows: np.ndarray, tiles: list[np.ndarray], progress: Progress
) -> Iterator[Iterable[Pixels]]:
    """The chips of tile after tile; the next is read meanwhile."""
    pool = ThreadPoolExecutor(IN_FLIGHT, "landloom-read")
    waiting: list[Future[dict[str, Series]]] = []
    try:
        for position, tile in enumerate(tiles):
            while len(waiting) < IN_FLIGHT and position + len(waiting) < len(tiles):
                window = bounding_window(windows[tiles[position + len(waiting)]])
                waiting.append(pool.submit(reader.read, window))
            series = _result(waiting.pop(0), progress)
            window = bounding_window(windows[tile])
            yield (cut(reader.specs, series, window, windows[chip]) for chip in tile)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _result(future: Future[dict[str, Series]], progress: Progress) -> dict[str, Series]:
    """Wait for a read, asking for cancellation meanwhile."""
    while True:
        try:
            return future.result(timeout=0.2)
        except NotYet:
            progress.check()


def _ever_valid(reader: StackReader, pixels: Pixels, samples: np.ndarray, width: int) -> np.ndarray:
    """Whether each sample of a chip of that width is valid at any date."""
    places = samples["row"].astype(np.int64) * width + samples["column"]
    valid = np.zeros(len(samples), bool)
    for name, spec in reader.specs.items():
        if spec.kind != STATIC:
            valid |= pixels.masks[name][places].any(axis=1)
    return valid
