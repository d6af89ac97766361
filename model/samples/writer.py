"""Writing a sample store: values go straight to disk, chip after chip, and are never held together in memory."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from ..base.errors import LandloomError
from ..base.language import tr
from ..base.nomenclature import Nomenclature
from ..stack.grid import Window
from ..stack.sensors import SensorSpec, Series
from .store import CHIP, FORMAT, MANIFEST, SAMPLE, VERSION


class Pixels(NamedTuple):
    """The series of some pixels, by sensor: values ``[N, T, C]`` as read and masks ``[N, T]``."""

    values: dict[str, np.ndarray]
    masks: dict[str, np.ndarray]


def cut(specs: Mapping[str, SensorSpec], series: Mapping[str, Series], window: Window, chip: np.ndarray) -> Pixels:
    """The pixels of a chip, row by row.

    Args:
        specs: the sensors.
        series: of a window that holds the chip.
        window: that window.
        chip: column, row, width and height on the grid.
    """
    column, row, width, height = (int(value) for value in chip)
    rows = slice(row - window.row, row - window.row + height)
    columns = slice(column - window.column, column - window.column + width)
    return pixels_of(specs, series, rows, columns)


def pixels_of(specs: Mapping[str, SensorSpec], series: Mapping[str, Series], rows: slice, columns: slice) -> Pixels:
    """The pixels in some rows and columns of a window (B = 1), in the types of the store."""
    values, masks = {}, {}
    for name, spec in specs.items():
        found = series[name].values[0][:, :, rows, columns].transpose(2, 3, 0, 1)
        values[name] = np.ascontiguousarray(found, np.dtype(spec.dtype)).reshape(-1, *found.shape[2:])
        mask = series[name].mask[0][:, rows, columns].transpose(1, 2, 0)
        masks[name] = np.ascontiguousarray(mask, bool).reshape(-1, mask.shape[2])
    return Pixels(values, masks)


class SampleWriter:
    """Writes the files of values of a store whose number of pixels is known from the start.

    Use it as a context manager inside ``whole_folder``, append every chip in the order of the table of chips, then
    call :meth:`finish`.

    Args:
        folder: an empty folder.
        specs: the sensors, by name.
        n_pixels: pixels of all chips.
    """

    def __init__(self, folder: Path, specs: dict[str, SensorSpec], n_pixels: int) -> None:
        self._folder, self._specs, self._expected = Path(folder), specs, n_pixels
        self._written = 0
        self._open = ExitStack()
        self._values: dict[str, BinaryIO] = {}
        self._masks: dict[str, BinaryIO] = {}

    def __enter__(self) -> SampleWriter:
        for name, spec in self._specs.items():
            shape = (self._expected, len(spec.days), len(spec.bands))
            self._values[name] = self._create(f"{name}.values.npy", np.dtype(spec.dtype), shape)
            self._masks[name] = self._create(f"{name}.mask.npy", np.dtype(bool), shape[:2])
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()

    def _create(self, name: str, dtype: np.dtype, shape: tuple[int, ...]) -> BinaryIO:
        file = self._open.enter_context((self._folder / name).open("wb"))
        np.lib.format.write_array_header_2_0(
            file, {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
        )
        return file

    def append(self, series: dict[str, Series], rows: slice, columns: slice) -> None:
        """Append a chip: the given rows and columns of a window that was read (B = 1).

        Args:
            series: for each sensor values ``[1, T, C, H, W]`` as read.
            rows: rows of the chip in the window.
            columns: its columns.
        """
        self.append_pixels(pixels_of(self._specs, series, rows, columns))

    def append_pixels(self, pixels: Pixels) -> None:
        """Append a chip whose pixels have been cut out already."""
        for name in self._specs:
            self._values[name].write(pixels.values[name].data)
            self._masks[name].write(pixels.masks[name].data)
            count = len(pixels.masks[name])
        self._written += count

    def finish(
        self,
        chips: np.ndarray,
        samples: np.ndarray,
        nomenclature: Nomenclature,
        season: tuple[str, int | None],
        halo: int,
        crs_wkt: str,
        description: dict[str, Any],
    ) -> None:
        """Write the tables and the description.

        Args:
            chips: table of chips, as :data:`~.store.CHIP`.
            samples: table of samples, as :data:`~.store.SAMPLE`.
            nomenclature: the classes that labels mean.
            season: start of the season and campaign year.
            halo: pixels of context of every sample.
            crs_wkt: CRS of x and y.
            description: further entries of ``samples.json``.

        Raises:
            LandloomError: if another number of pixels was appended than announced.
        """
        if self._written != self._expected:
            raise LandloomError(
                tr("{written} pixels were written to {folder}, expected {expected}.").format(
                    written=self._written, folder=self._folder, expected=self._expected
                )
            )
        self._open.close()
        write_tables(self._folder, chips, samples)
        content = {
            "format": FORMAT,
            "version": VERSION,
            "sensors": [spec.to_json() for spec in self._specs.values()],
            "season": {"start": season[0], "year": season[1]},
            "halo": halo,
            "crs": crs_wkt,
            "nomenclature": nomenclature.to_json(),
            **description,
        }
        text = json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False)
        (self._folder / MANIFEST).write_text(text + "\n", encoding="utf-8")


def write_tables(folder: Path, chips: np.ndarray, samples: np.ndarray) -> None:
    """Write ``chips.npy`` and ``samples.npy``."""
    np.save(folder / "chips.npy", np.ascontiguousarray(chips, CHIP))
    np.save(folder / "samples.npy", np.ascontiguousarray(samples, SAMPLE))


def chip_table(windows: Sequence[tuple[int, int, int, int]]) -> np.ndarray:
    """The table of chips for windows (column, row, width, height), halo included, in the order of writing."""
    chips = np.zeros(len(windows), CHIP)
    if len(windows):
        column, row, width, height = np.asarray(windows, np.int64).T
        chips["column"], chips["row"], chips["width"], chips["height"] = column, row, width, height
        sizes = width * height
        chips["offset"] = np.cumsum(sizes) - sizes
    return chips
