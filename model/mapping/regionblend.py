"""Mapping by regions: each pixel by the model of its region, with probabilities blended along the borders.

The weight of a region rises from 0 to 1 along BLEND metres across its border, half of them on each side; weights of all
regions of a pixel are brought to a sum of 1, so that where three meet no line is seen either. What lies outside all
regions, and regions without a model of their own, are mapped by the model of all samples, which counts as a region of
its own. Weights depend on the polygons alone: not on blocks, threads or EXTENT.
"""

from __future__ import annotations

import math
import os
import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..base.errors import ChangedError, LandloomError
from ..base.language import tr
from ..base.optional import need
from ..base.progress import Progress
from ..networks.modelfile import Model
from ..networks.predictor import Predictor
from ..networks.regionfile import load_regions
from ..samples.regions import OUTSIDE, Regions
from ..stack.grid import Grid, Window
from ..stack.sensors import SensorSpec, Series
from .chunks import Area

TILE = 1024
KEPT = 12
MOST_BLEND = 50_000.0


@dataclass(frozen=True)
class RegionChoice:
    """REGIONS, REGION_FIELD and BLEND.

    Attributes:
        source: the layer, as GDAL names it.
        field: with the name of the region.
        blend: metres over which models are blended at borders; 0 = none.
        content: hash of the polygons that the layer must have, where a run has begun on another machine.
    """

    source: str
    field: str
    blend: float = 500.0
    content: str = ""


class RegionWeights:
    """How much each model counts for each pixel. For any thread.

    Args:
        regions: the polygons.
        grid: the stack's.
        models: names of the regions that have a model of their own.
        blend: metres.
    """

    def __init__(self, regions: Regions, grid: Grid, models: list[str], blend: float) -> None:
        if not 0 <= blend <= MOST_BLEND:
            raise LandloomError(
                tr("BLEND is {blend:g}; give metres from 0 to {most_blend:,.0f}.").format(
                    blend=blend, most_blend=MOST_BLEND
                )
            )
        self._painter = regions.painter(grid)
        width, height = grid.resolution
        self._sizes = (height * grid.metres_per_unit, width * grid.metres_per_unit)
        self._blend = blend
        self._reach = math.ceil(blend / 2 / min(self._sizes)) + 1 if blend else 0
        self._number = np.full(len(regions.names) + 1, OUTSIDE)  # a region without a model is outside
        for name in models:
            if name in regions.names:
                self._number[regions.names.index(name) + 1] = models.index(name)
        self._tiles: OrderedDict[tuple[int, int], np.ndarray] = OrderedDict()
        self._lock = threading.Lock()

    def models(self, area: Area) -> np.ndarray:
        """``[H, W]`` the index of the model of each pixel, without blending; -1 = that of all samples."""
        result = np.empty((area.height, area.width), np.int32)
        for row in range(area.row // TILE * TILE, area.bottom, TILE):
            for column in range(area.column // TILE * TILE, area.right, TILE):
                common = area.intersection(Area(column, row, TILE, TILE))
                tile = self._tile(column, row)
                top, left = common.row - row, common.column - column
                part = tile[top : top + common.height, left : left + common.width]
                y, x = common.row - area.row, common.column - area.column
                result[y : y + common.height, x : x + common.width] = part
        return result

    def weights(self, chunk: Area) -> dict[int, np.ndarray]:
        """Model -> its weight ``[H, W]`` float32 of each pixel of a chunk; only models that count somewhere in it."""
        reach = self._reach
        wide = Area(chunk.column - reach, chunk.row - reach, chunk.width + 2 * reach, chunk.height + 2 * reach)
        models = self.models(wide)
        inner = np.s_[reach : reach + chunk.height, reach : reach + chunk.width]
        present = np.unique(models)
        if len(present) == 1:
            return {int(present[0]): np.ones((chunk.height, chunk.width), np.float32)}
        found = {}
        for model in present:
            own = models == model
            weight = self._ramp(own)[inner] if self._blend else own[inner].astype(np.float64)
            if weight.any():
                found[int(model)] = weight
        total = np.sum(list(found.values()), axis=0)
        return {model: (weight / total).astype(np.float32) for model, weight in found.items()}

    def _ramp(self, own: np.ndarray) -> np.ndarray:
        """0 to 1 by the distance to the border, which runs half-way between the centres of two pixels."""
        distance = need("scipy.ndimage", "Blending at borders of regions").distance_transform_edt
        half = min(self._sizes) / 2
        inside, outside = (distance(one, sampling=self._sizes) - half for one in (own, ~own))
        return np.clip(0.5 + np.where(own, inside, -outside) / self._blend, 0.0, 1.0)

    def _tile(self, column: int, row: int) -> np.ndarray:
        with self._lock:
            tile = self._tiles.pop((column, row), None)
            if tile is None:
                places = self._painter.read(Window(column, row, TILE, TILE))
                tile = self._number[places + 1].astype(np.int16)
            self._tiles[column, row] = tile
            if len(self._tiles) > KEPT:
                self._tiles.popitem(last=False)
            return tile


class RegionPredictor:
    """Class probabilities of chunks by the models of their regions.

    Args:
        general: the predictor of the model of all samples.
        model_path: its file, beside which lie the models of regions.
        choice: the polygons.
        grid: the stack's.
        device: as for :class:`Predictor`.
        threads: as for :class:`Predictor`.

    Attributes:
        halo: pixels of context, the same for all models.
        content: hash of the polygons.
        identity: what changes when the regions do: for the hash of a run.
        names: of the regions that have a model.
        headers: of these models.

    Raises:
        LandloomError: if there are no models of regions, none of them is among the polygons, or they differ in their
            classes, sensors or bands.
        ChangedError: if the polygons are not those of the run.
    """

    def __init__(
        self,
        general: Predictor,
        model_path: str | os.PathLike[str],
        choice: RegionChoice,
        grid: Grid,
        device: str,
        threads: int,
    ) -> None:
        regions = Regions(choice.source, choice.field)
        if choice.content not in ("", regions.content):
            raise ChangedError(
                tr(
                    "REGIONS {source} is not what it was when the run began: start the run again, or put the layer "
                    "back as it was."
                ).format(source=choice.source)
            )
        models = load_regions(model_path, general.model.header)
        self.names = list(models)
        if not set(self.names) & set(regions.names):
            raise LandloomError(
                tr(
                    "{model_path} has models of the regions {some}, but {field} of REGIONS holds {some2}: give "
                    "the layer and field that it was trained with."
                ).format(
                    model_path=model_path, some=listed(self.names), field=choice.field, some2=listed(regions.names)
                )
            )
        for name, model in models.items():
            _check_alike(name, general.model, model)
        self.without = [name for name in regions.names if name not in models]
        self.headers = {name: model.header for name, model in models.items()}
        self._general = general
        self._predictors = [Predictor(model, device=device, threads=threads) for model in models.values()]
        self._weights = RegionWeights(regions, grid, self.names, choice.blend)
        self.halo = general.halo
        self.content = regions.content
        self.identity = [regions.identity, choice.blend]

    def check_fits(self, specs: Mapping[str, SensorSpec]) -> None:
        """Let all predictors know the order of bands and dates that are read."""
        for predictor in self._predictors:
            predictor.check_fits(dict(specs))

    def use_threads(self, threads: int) -> None:
        """As many as the predictor of all samples takes."""
        for predictor in self._predictors:
            predictor.threads = threads

    def tell(self, progress: Progress) -> None:
        """Which regions have no model."""
        if self.without:
            progress.info(
                tr("Mapped by the model of all samples: {some}, and what is outside all regions.").format(
                    some=listed(self.without)
                )
            )

    def weights(self, chunk: Area) -> dict[int, np.ndarray]:
        """How much each model counts for each pixel of a chunk; see :meth:`RegionWeights.weights`."""
        return self._weights.weights(chunk)

    def predict(self, series: dict[str, Series], weights: Mapping[int, np.ndarray]) -> np.ndarray:
        """``[K, H, W]`` float32 probabilities of a chunk, by the models that count there."""
        total: Any = None
        for model, weight in weights.items():
            predictor = self._general if model == OUTSIDE else self._predictors[model]
            probabilities = np.asarray(predictor.predict(series))[0]
            part = probabilities if len(weights) == 1 else probabilities * weight
            total = part if total is None else total + part
        return np.asarray(total)

    def close(self) -> None:
        """End the threads of all predictors."""
        for predictor in self._predictors:
            predictor.close()


def _check_alike(name: str, general: Model, own: Model) -> None:
    """Models of one training have the same classes, sensors and bands."""
    ours, theirs = general.header, own.header
    if list(ours.nomenclature.codes) != list(theirs.nomenclature.codes) or ours.network != theirs.network:
        raise LandloomError(
            tr("The model of region {name} has other classes than that of all samples: train them again.").format(
                name=name
            )
        )
    bands = [{key: one.spec.bands for key, one in header.recipe.sensors.items()} for header in (ours, theirs)]
    if bands[0] != bands[1]:
        raise LandloomError(
            tr(
                "The model of region {name} reads {bands}, that of all samples {bands2}, or other bands: train "
                "them again."
            ).format(name=name, bands=", ".join(bands[1]), bands2=", ".join(bands[0]))
        )


def listed(names: list[str]) -> str:
    """The first eight names, and how many more there are."""
    return ", ".join(names[:8]) + (tr(" and {n_names} more").format(n_names=len(names) - 8) if len(names) > 8 else "")
