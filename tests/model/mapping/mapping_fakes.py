"""A reader and a computation for the block runner whose results can be worked out by hand."""

from __future__ import annotations

import contextlib
import threading
from pathlib import Path

import numpy as np
from landloom.model.base.progress import Progress
from landloom.model.mapping.job import Job
from landloom.model.mapping.outputs import Layer
from landloom.model.stack.grid import Grid
from landloom.model.stack.sensors import Series
from osgeo import osr

HALO = 2


def utm_grid(width: int, height: int) -> Grid:
    reference = osr.SpatialReference()
    reference.ImportFromEPSG(32738)
    return Grid(reference.ExportToWkt(), (500000.0, 10.0, 0.0, 8000000.0, 0.0, -10.0), width, height)


class Told(Progress):
    """Keeps what a run says."""

    def __init__(self):
        self.infos, self.warnings = [], []

    def info(self, message):
        self.infos.append(message)

    def warning(self, message):
        self.warnings.append(message)


class FakeReader:
    """Two dates of one band: row * 1000 + column, and noise; masked outside the grid and in ``holes``."""

    def __init__(self, grid: Grid, holes: np.ndarray | None = None) -> None:
        self.grid = grid
        self.holes = np.zeros((grid.height, grid.width), bool) if holes is None else holes
        self.reads = []
        self._lock = threading.Lock()

    def let_go(self):
        pass

    def read(self, window, halo=0):
        with self._lock:
            self.reads.append(tuple(window))
        column, row, width, height = window
        rows = np.arange(row - halo, row + height + halo)
        columns = np.arange(column - halo, column + width + halo)
        inside = ((rows >= 0) & (rows < self.grid.height))[:, None] & ((columns >= 0) & (columns < self.grid.width))
        valid = inside.copy()
        picked = np.ix_(rows.clip(0, self.grid.height - 1), columns.clip(0, self.grid.width - 1))
        valid &= ~self.holes[picked]
        plane = (rows[:, None] * 7 + columns[None, :] * 13) % 251
        values = np.stack([plane, plane * 2])[None, :, None].astype(np.int16)
        mask = np.broadcast_to(valid, (1, 2, *valid.shape)).copy()
        values[~np.broadcast_to(mask[:, :, None], values.shape)] = 0
        return {"S2": Series(values, mask, np.array([0, 10], np.int32))}


def window_mean(series, halo=HALO):
    """A 5x5 box sum of the first date, modulo 200, plus 1; 0 where nothing is valid."""
    one = series["S2"]
    plane = one.values[0, 0, 0].astype(np.int64)
    size = plane.shape[0] - 2 * halo
    total = sum(plane[r : r + size, c : c + size] for r in range(2 * halo + 1) for c in range(2 * halo + 1))
    return (total % 200 + 1).astype(np.uint8)


def compute(series, chunk):
    valid = series["S2"].mask[0].any(axis=0)[HALO:-HALO, HALO:-HALO]
    if not valid.any():
        return None
    return {
        "map": np.where(valid, window_mean(series), 0)[None].astype(np.uint8),
        "statistics": np.array([valid.sum()]),
    }


def expected_map(reader: FakeReader) -> np.ndarray:
    """The map computed over the whole grid at once."""
    from landloom.model.stack.grid import Window

    series = reader.read(Window(0, 0, reader.grid.width, reader.grid.height), HALO)
    valid = series["S2"].mask[0].any(axis=0)[HALO:-HALO, HALO:-HALO]
    plane = series["S2"].values[0, 0, 0].astype(np.int64)
    total = sum(
        plane[r : r + reader.grid.height, c : c + reader.grid.width]
        for r in range(2 * HALO + 1)
        for c in range(2 * HALO + 1)
    )
    return np.where(valid, total % 200 + 1, 0).astype(np.uint8)


def make_job(folder: Path, reader, area=None, compute=compute, **changes) -> Job:
    grid = reader.grid
    from landloom.model.mapping.chunks import Area

    @contextlib.contextmanager
    def open_reader():
        yield reader

    settings = {
        "grid": grid,
        "area": area or Area(0, 0, grid.width, grid.height),
        "layers": [Layer("map", folder / "map.tif", 1, "uint8", 0)],
        "open_reader": open_reader,
        "compute": compute,
        "halo": HALO,
        "bytes_per_pixel": 6,
        "identity": {"stack": "a", "model": "b"},
        "memory_mb": 512,
        "threads": 2,
        "statistics": 1,
    }
    return Job(**{**settings, **changes})
