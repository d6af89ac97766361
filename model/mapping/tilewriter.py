"""Writing rasters that are computed tile by tile: whole files or none, read again before they take their names."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..base.files import PARTIAL, make_folder
from ..base.progress import Progress
from ..stack.grid import Grid
from . import outputs
from .chunks import Area

Values = Callable[[Area], dict[str, np.ndarray]]


def write_tiles(layers: Sequence[outputs.Layer], grid: Grid, values: Values, pixels: int, progress: Progress) -> None:
    """Compute and write row by row of tiles; the files take their names when all is written, the first last.

    Args:
        layers: rasters of one band.
        grid: that of the files.
        values: gives ``[H, W]`` of each layer, by its name, for a piece of the grid.
        pixels: how many may be computed at once; at least a tile is.
        progress: shown, and asked whether to stop.

    Raises:
        LandloomError: if a file cannot be written; none is left then.
        Cancelled: if the user asked to stop; likewise.
    """
    temporary: dict[str, Path] = {}
    try:
        for layer in layers:
            make_folder(layer.path.parent)
            name = f"{layer.path.stem}.{uuid.uuid4().hex[:8]}{PARTIAL}{layer.path.suffix}"
            temporary[layer.name] = layer.path.with_name(name)
        _fill(layers, temporary, grid, values, pixels, progress.part(0, 80))
        for number, layer in enumerate(layers):
            step = 20 / len(layers)
            part = progress.part(80 + number * step, 80 + (number + 1) * step)
            outputs.finish(layer, temporary[layer.name], Area(*grid.whole), part)
        for layer in reversed(layers):
            outputs.publish(layer, temporary[layer.name])
    finally:
        for path in temporary.values():
            for suffix in ("", *outputs.SIDECARS):
                with contextlib.suppress(OSError):
                    Path(f"{path}{suffix}").unlink(missing_ok=True)


def _fill(
    layers: Sequence[outputs.Layer],
    temporary: dict[str, Path],
    grid: Grid,
    values: Values,
    pixels: int,
    progress: Progress,
) -> None:
    area = Area(*grid.whole)
    width = max(1, pixels // outputs.TILE**2) * outputs.TILE
    checksums: dict[str, list[tuple[Area, int]]] = {layer.name: [] for layer in layers}
    with outputs.collected_errors() as errors:
        datasets: dict[str, Any] = {}
        try:
            for layer in layers:
                datasets[layer.name] = outputs.create(layer, temporary[layer.name], grid, area)
            for row in range(0, grid.height, outputs.TILE):
                progress.percent(100.0 * row / grid.height)
                for column in range(0, grid.width, width):
                    progress.check()
                    size = min(width, grid.width - column), min(outputs.TILE, grid.height - row)
                    piece = Area(column, row, *size)
                    made = values(piece)
                    for layer in layers:
                        if errors or datasets[layer.name] is None:
                            break
                        pixels_of = made[layer.name].astype(layer.dtype)
                        checksums[layer.name].append((piece, outputs.checksum(pixels_of[None])))
                        band = datasets[layer.name].GetRasterBand(1)
                        band.WriteArray(pixels_of, column, row)
                        datasets[layer.name].FlushCache()  # whole tiles, so that none is compressed twice
                        band = None
            for dataset in datasets.values():
                if dataset is not None:
                    dataset.FlushCache()
            dataset = None
        except RuntimeError as error:  # when someone switched GDAL's exceptions on
            errors.append(str(error))
        finally:
            datasets.clear()
    for layer in layers:
        whole = not errors and outputs.reads_back(layer, temporary[layer.name], area, checksums[layer.name], progress)
        if not whole:
            raise outputs.not_whole(layer.path, errors)
