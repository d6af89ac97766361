"""The rasters of ``composite`` and their styles, dated so that QGIS's temporal controller steps through them."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from osgeo import gdal

from ..base.errors import LandloomError
from ..base.files import check_writable, parse_json
from ..base.language import tr
from ..base.progress import Progress
from ..base.qml import gray, multiband, pseudocolor
from ..base.raster import DTYPES, gdal_cannot_write, gdal_options, quiet_gdal
from .grid import Grid
from .indices import find_role, index_label
from .periods import Period
from .sensors import RADAR, SensorSpec

# No threads of GDAL's: it waits for ever for one that could not be started for want of memory, and gains 5 % here.
_CREATION = ("TILED=YES", "COMPRESS=DEFLATE", "PREDICTOR=2", "BIGTIFF=IF_SAFER")
_SAMPLED = 200_000  # values of a band that all blocks and periods together give to the stretch
_RAMP = ("#8c510a", "#d8b365", "#f6e8c3", "#c7eae5", "#5ab4ac", "#01665e")


@dataclass(frozen=True)
class Layer:
    """One raster of each period.

    Attributes:
        name: in the file's name; empty for the bands.
        index: the index that it holds; empty for the bands.
        bands: names of its bands.
        dtype: of its values.
        nodata: where no date is valid.
        scale: ``physical = raw * scale + offset``; kept in the file.
        offset: see ``scale``.
    """

    name: str
    index: str
    bands: tuple[str, ...]
    dtype: str
    nodata: float
    scale: float = 1.0
    offset: float = 0.0


def check_folder(folder: Path) -> None:
    """Refuse to replace a folder that holds something else than composites.

    Raises:
        LandloomError: naming it.
    """
    if folder.is_file():
        raise LandloomError(
            tr("OUTPUT {folder} is a file; give the name of a folder for the composites.").format(folder=folder)
        )
    if folder.is_dir() and any(folder.iterdir()):
        try:
            own = parse_json((folder / "composite.json").read_text("utf-8")).get("format") == "landloom-composite"
        except (OSError, ValueError, AttributeError):
            own = False
        if not own:
            raise LandloomError(
                tr(
                    "OUTPUT {folder} holds something else than composites and is not replaced: choose a new folder."
                ).format(folder=folder)
            )
    check_writable(folder)


class CompositeFiles:
    """Opens a raster for each period and layer, takes blocks, and writes the styles at the end."""

    def __init__(
        self,
        folder: Path,
        grid: Grid,
        spec: SensorSpec,
        layers: Sequence[Layer],
        periods: Sequence[Period],
        statistic: str,
        blocks: int,
    ) -> None:
        self._folder, self._spec, self._layers, self._periods = folder, spec, layers, periods
        self.names = [
            [
                "_".join(part for part in (spec.name, layer.name, statistic, period.first, period.last) if part)
                + ".tif"
                for layer in layers
            ]
            for period in periods
        ]
        self.paths = [folder / name for names in self.names for name in names]
        self._samples: list[list[list[np.ndarray]]] = [[[] for _ in layer.bands] for layer in layers]
        self._share = max(8, _SAMPLED // max(1, blocks * len(periods)))
        self._any = [False] * len(periods)
        self._open: list[list[gdal.Dataset]] = [
            [
                self._create(folder / name, grid, layer, period, statistic)
                for name, layer in zip(names, layers, strict=True)
            ]
            for names, period in zip(self.names, periods, strict=True)
        ]

    def _create(self, path: Path, grid: Grid, layer: Layer, period: Period, statistic: str) -> gdal.Dataset:
        creation = [one for one in _CREATION if layer.dtype != "float32" or not one.startswith("PREDICTOR")]
        with gdal_options(GDAL_PAM_ENABLED="NO"), quiet_gdal() as messages:
            try:
                dataset = gdal.GetDriverByName("GTiff").Create(
                    str(path), grid.width, grid.height, len(layer.bands), DTYPES[layer.dtype], options=creation
                )
            except RuntimeError as error:
                messages.append(str(error))
                dataset = None
        if dataset is None:
            raise gdal_cannot_write(path, messages)
        dataset.SetGeoTransform(list(grid.transform))
        dataset.SetProjection(grid.crs_wkt)
        dates = " ".join(self._spec.dates[index] for index in period.dates)
        dataset.SetMetadata(
            {"DATE_START": period.first, "DATE_END": period.last, "STATISTIC": statistic, "DATES": dates}
        )
        for number, name in enumerate(layer.bands, start=1):
            band = dataset.GetRasterBand(number)
            band.SetNoDataValue(layer.nodata)
            band.SetDescription(index_label(layer.index) if layer.index else name)
            if (layer.scale, layer.offset) != (1.0, 0.0):
                band.SetScale(layer.scale)
                band.SetOffset(layer.offset)
            if self._spec.kind == RADAR and not layer.index:
                band.SetUnitType("dB")
        return dataset

    def write(self, place: int, results: Sequence[np.ndarray], column: int, row: int) -> None:
        """A block of every layer of a period."""
        with quiet_gdal() as messages:
            for number, (layer, values) in enumerate(zip(self._layers, results, strict=True)):
                try:
                    failed = self._open[place][number].WriteArray(values, column, row) != 0
                except RuntimeError as error:
                    messages.append(str(error))
                    failed = True
                if failed:
                    raise gdal_cannot_write(self._folder / self.names[place][number], messages)
                for band, plane in enumerate(values):
                    valid = plane[np.isfinite(plane) if np.isnan(layer.nodata) else plane != layer.nodata]
                    if len(valid):
                        self._any[place] = True
                        step = max(1, len(valid) // self._share)
                        self._samples[number][band].append(valid[::step].astype(np.float32))

    def flush(self) -> None:
        """Bring to disk what is written, so that it takes no memory."""
        with quiet_gdal() as messages:
            for row in self._open:
                for dataset in row:
                    dataset.FlushCache()
        self._check(messages)

    def finish(self, progress: Progress) -> list[Period]:
        """Close the rasters and write the styles; gives the periods without a valid pixel."""
        with quiet_gdal() as messages:
            self._open.clear()
        self._check(messages)
        for names, period in zip(self.names, self._periods, strict=True):
            progress.check()
            for number, (name, layer) in enumerate(zip(names, self._layers, strict=True)):
                ranges = [_range(samples, layer) for samples in self._samples[number]]
                text = _style(self._spec, layer, ranges, period)
                (self._folder / name).with_suffix(".qml").write_text(text, encoding="utf-8")
        return [period for period, some in zip(self._periods, self._any, strict=True) if not some]

    def _check(self, messages: list[str]) -> None:
        if any("rite" in message or "space" in message for message in messages):
            raise gdal_cannot_write(self._folder, messages)


def _range(samples: list[np.ndarray], layer: Layer) -> tuple[float, float]:
    """2nd and 98th percentile over all periods, in physical units, so that one stretch serves the whole series."""
    if not samples:
        return 0.0, 1.0
    low, high = np.percentile(np.concatenate(samples), (2, 98)) * layer.scale + layer.offset
    return float(low), float(high) if high > low else float(low) + 1.0


def _style(spec: SensorSpec, layer: Layer, ranges: Sequence[tuple[float, float]], period: Period) -> str:
    colors = [find_role(layer.bands, role) for role in ("RED", "GREEN", "BLUE")]
    if spec.kind == RADAR or any(one is None for one in colors):
        colors = [find_role(layer.bands, role) for role in ("NIR", "RED", "GREEN")]
    if layer.index:
        renderer = _pseudocolor(ranges[0])
    elif all(one is not None for one in colors):
        renderer = multiband([one for one in colors if one is not None], ranges)
    else:
        renderer = gray(ranges[0])
    # A day ends where the next one begins; QGIS takes both ends in.
    last = datetime.date.fromisoformat(period.last)
    return f"""<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>
<qgis version="3.34.0" styleCategories="Symbology|Temporal" hasScaleBasedVisibilityFlag="0">
  <temporal enabled="1" mode="0" fetchMode="0">
    <fixedRange>
      <start>{period.first}T00:00:00Z</start>
      <end>{last.isoformat()}T23:59:59Z</end>
    </fixedRange>
  </temporal>
  <pipe>
{renderer}
    <brightnesscontrast brightness="0" contrast="0" gamma="1"/>
    <huesaturation saturation="0" grayscaleMode="0" colorizeOn="0"/>
    <rasterresampler maxOversampling="2"/>
  </pipe>
  <blendMode>0</blendMode>
</qgis>
"""


def _pseudocolor(limits: tuple[float, float]) -> str:
    low, high = limits
    values = [low + (high - low) * place / (len(_RAMP) - 1) for place in range(len(_RAMP))]
    return pseudocolor(low, high, [(v, f"{v:.2f}", color) for v, color in zip(values, _RAMP, strict=True)])
