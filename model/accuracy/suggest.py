"""Places whose labelling would help a model most, found in a stack."""

from __future__ import annotations

import math
import os
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotYet
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from osgeo import ogr

from ..base.errors import LandloomError
from ..base.gdalcache import CacheRoom
from ..base.language import tr
from ..base.nomenclature import Nomenclature
from ..base.progress import Progress
from ..base.values import check_choice, check_range
from ..mapping.chunks import CHUNK, Area
from ..mapping.mask import AreaMask
from ..mapping.opening import Inputs, dated_sensors, observed, open_inputs
from ..networks.predictor import FUSED
from ..samples.extraction import metric_scale
from ..samples.labelling import pixel_keys
from ..samples.reference import ReferenceLayer
from ..samples.store import SampleStore
from ..stack.grid import Bounds, Grid, Window, same_crs
from ..stack.reader import StackReader
from ..stack.sensors import Series
from .suggestchoice import METHODS, choose, near, random_keys, uncertainty, unlikeness, weight

AXES = 16  # of descriptors, by which places are told apart
EDGE = 1  # pixels of context, to see whether a pixel is like its neighbours
LEAST_KEPT, MOST_KEPT = 2000, 20_000


@dataclass(frozen=True)
class SuggestionSettings:
    """What is looked for.

    Attributes:
        count: places, 1 to 10,000.
        method: ``margin`` or ``entropy``.
        distance: metres between two places, and from what is labelled already.
        pixels: how many pixels are looked at, in squares spread over the area; 0 = all.
        edges: whether pixels unlike their neighbours, as on the edges of fields, may be suggested.
        seed: start of the random numbers.
    """

    count: int = 50
    method: str = "margin"
    distance: float = 100.0
    pixels: int = 1_000_000
    edges: bool = False
    seed: int = 0

    def check(self) -> None:
        """Check every value.

        Raises:
            LandloomError: naming the parameter and what it may be.
        """
        check_choice("METHOD", self.method, METHODS)
        check_range("COUNT", self.count, 1, 10_000)
        check_range("DISTANCE", self.distance, 0, 10**7)
        check_range("PIXELS", self.pixels, 0, 10**12)
        check_range("SEED", self.seed, 0, 2**31 - 1)


@dataclass
class Suggestions:
    """Places, the one that helps most first.

    Attributes:
        x, y: ``[n]`` in the stack's CRS, centres of pixels.
        predicted, second: ``[n]`` indices of the two most probable classes; -1 for the second of a single class.
        confidence: ``[n]`` probability of the predicted class, 0..1.
        uncertainty: ``[n]`` 0..1.
        nomenclature: the classes.
        crs_wkt: the CRS.
        pixels: pixels looked at.
        typical: median uncertainty of these.
    """

    x: np.ndarray
    y: np.ndarray
    predicted: np.ndarray
    second: np.ndarray
    confidence: np.ndarray
    uncertainty: np.ndarray
    nomenclature: Nomenclature
    crs_wkt: str
    pixels: int
    typical: float

    def __len__(self) -> int:
        return len(self.x)


@dataclass
class _Candidates:
    """A bounded reservoir of pixels; what it holds does not depend on the order in which they came."""

    most: int
    parts: list[dict[str, np.ndarray]] = field(default_factory=list)

    def add(self, part: dict[str, np.ndarray]) -> None:
        self.parts.append(part)
        if sum(len(one["key"]) for one in self.parts) > 3 * self.most:
            self.parts = [self.best()]

    def best(self) -> dict[str, np.ndarray]:
        joined = {name: np.concatenate([one[name] for one in self.parts]) for name in self.parts[0]}
        order = np.lexsort((joined["flat"], -joined["key"]))[: self.most]
        return {name: values[order] for name, values in joined.items()}


def suggest(
    stack: str | os.PathLike[str],
    model: str | os.PathLike[str],
    settings: SuggestionSettings,
    samples: Sequence[str | os.PathLike[str]] = (),
    reference: tuple[str, str] | None = None,
    bounds: Bounds | None = None,
    mask: str | None = None,
    memory_mb: int = 1024,
    device: str = "auto",
    threads: int | None = None,
    progress: Progress | None = None,
) -> Suggestions:
    """Find the places.

    Pixels without any valid date are never suggested, nor those beside one. What is found depends on stack, model and
    settings alone.

    Args:
        stack: a ``stack.json``.
        model: a model file, best with calibrated confidence (its temperature is used).
        settings: what is looked for.
        samples: folders of samples whose places are labelled already.
        reference: file and CRS (or empty text) of polygons or points that are labelled already.
        bounds: xmin, ymin, xmax, ymax in the stack's CRS.
        mask: polygons or a raster; nothing outside is suggested.
        memory_mb: working memory.
        device: ``auto``, ``cpu``, ``cuda`` or ``mps``.
        threads: computing threads; the result does not depend on it.
        progress: shown, and asked whether to stop.

    Raises:
        LandloomError: if an input does not do, or no place is left.
        Cancelled: if the user asked to stop.
    """
    progress = progress or Progress()
    settings.check()
    inputs = open_inputs(stack, model, bounds, device, threads, progress)
    grid = inputs.stack.grid
    with tempfile.TemporaryDirectory(prefix="landloom") as folder:
        area_mask = None
        if mask:
            progress.text(tr("Reading the mask"))
            area_mask = AreaMask(mask, grid, inputs.area, Path(folder) / "mask.tif", progress)
        try:
            found, looked, typical = _look(inputs, area_mask, settings, memory_mb, progress)
        finally:
            if area_mask is not None:
                area_mask.close()
    inputs.predictor.close()
    progress.text(tr("Choosing the places"))
    places = np.stack([found["x"], found["y"]], axis=1)
    free = ~_labelled(places, samples, reference, grid, settings.distance, progress)
    chosen = choose(
        _comparable(found["descriptors"]),
        np.where(free, weight(found["uncertainty"]), 0.0),
        places * np.array(metric_scale(grid)),
        settings.count,
        settings.distance,
        settings.seed,
    )
    if not len(chosen):
        raise LandloomError(tr("No place is left to suggest: lower DISTANCE, or widen EXTENT and MASK."))
    if len(chosen) < settings.count:
        progress.warning(
            tr(
                "Only {n_chosen} places are {distance:g} m apart and from what is labelled: lower DISTANCE, "
                "raise PIXELS, or widen EXTENT and MASK."
            ).format(n_chosen=len(chosen), distance=settings.distance)
        )
    progress.info(
        tr(
            "Looked at {looked:,} pixels (median uncertainty {typical:.2f}); the {n_chosen} places suggested "
            "have {median:.2f}."
        ).format(
            looked=looked, typical=typical, n_chosen=len(chosen), median=float(np.median(found["uncertainty"][chosen]))
        )
    )
    best = {name: values[chosen] for name, values in found.items()}
    return Suggestions(
        x=best["x"],
        y=best["y"],
        predicted=best["predicted"],
        second=best["second"],
        confidence=best["confidence"],
        uncertainty=best["uncertainty"],
        nomenclature=inputs.model.header.nomenclature,
        crs_wkt=grid.crs_wkt,
        pixels=looked,
        typical=typical,
    )


def _look(
    inputs: Inputs,
    mask: AreaMask | None,
    settings: SuggestionSettings,
    memory_mb: int,
    progress: Progress,
) -> tuple[dict[str, np.ndarray], int, float]:
    """Candidates, pixels looked at, and their median uncertainty (to a hundredth)."""
    candidates = _Candidates(min(MOST_KEPT, max(LEAST_KEPT, 40 * settings.count)))
    chunks = chosen_chunks(inputs.area, mask, settings.pixels, settings.seed)
    histogram = np.zeros(101, np.int64)
    with inputs.reader(memory_mb) as reader:
        dated = dated_sensors(reader.specs)
        room = CacheRoom(memory_mb / 4, reader.let_go)
        halo = inputs.predictor.halo + EDGE
        for number, (chunk, series) in enumerate(_ahead(reader, room, chunks, halo, progress)):
            progress.percent(95.0 * number / len(chunks))
            found = _candidates_of(inputs, series, chunk, mask, dated, settings, histogram)
            if found is not None:
                candidates.add(found)
    looked = int(histogram.sum())
    if not candidates.parts:
        raise LandloomError(
            tr("No pixel of the area has valid dates all round it: choose another EXTENT or MASK, or check the stack.")
        )
    return candidates.best(), looked, float(np.searchsorted(np.cumsum(histogram), looked / 2)) / 100


def _candidates_of(
    inputs: Inputs,
    series: dict[str, Series],
    chunk: Area,
    mask: AreaMask | None,
    dated: list[str],
    settings: SuggestionSettings,
    histogram: np.ndarray,
) -> dict[str, np.ndarray] | None:
    predictor, grid = inputs.predictor, inputs.stack.grid
    valid = observed(series, dated, predictor.halo)
    if not valid.any():
        return None
    if predictor.info.is_forest:
        probabilities = predictor.predict(series)[0]
        descriptors = np.sqrt(probabilities)  # so that distances are Hellinger's
    else:
        description = predictor.describe(series)
        probabilities = description.probabilities[0]
        descriptors = description.descriptors[FUSED][0]
        axes = inputs.model.axes.get(FUSED)
        if axes is not None and axes.length == len(descriptors):
            flat = np.ascontiguousarray(descriptors.reshape(len(descriptors), -1))
            descriptors = axes.project(flat, AXES).reshape(-1, *valid.shape)
    inner = slice(EDGE, -EDGE)
    usable = np.ones((CHUNK, CHUNK), bool)
    for row in range(3):
        for column in range(3):
            usable &= valid[row : row + CHUNK, column : column + CHUNK]
    rows, columns = np.mgrid[chunk.row : chunk.bottom, chunk.column : chunk.right]
    area = inputs.area
    usable &= (rows >= area.row) & (rows < area.bottom) & (columns >= area.column) & (columns < area.right)
    if mask is not None:
        usable &= mask.read(chunk)
    if not usable.any():
        return None
    shares = probabilities[:, inner, inner]
    unsure = uncertainty(shares, settings.method)
    histogram += np.bincount(np.rint(unsure[usable] * 100).astype(int).clip(0, 100), minlength=101)
    if not settings.edges:
        unlike = unlikeness(descriptors)
        usable &= unlike <= np.median(unlike[usable])
    where = np.flatnonzero(usable)
    flat = rows.ravel()[where].astype(np.int64) * grid.width + columns.ravel()[where]
    keys = random_keys(pixel_keys(flat, settings.seed), weight(unsure.ravel()[where]))
    best = np.argsort(-keys, kind="stable")[:LEAST_KEPT]
    where, flat, keys = where[best], flat[best], keys[best]
    table = shares.reshape(len(shares), -1)[:, where]
    order = np.argsort(-table, axis=0, kind="stable")
    x, dx, _, y, _, dy = grid.transform
    return {
        "key": keys,
        "flat": flat,
        "x": x + (flat % grid.width + 0.5) * dx,
        "y": y + (flat // grid.width + 0.5) * dy,
        "predicted": order[0],
        "second": order[1] if len(order) > 1 else np.full(len(where), -1),
        "confidence": table[order[0], np.arange(len(where))].astype(np.float64),
        "uncertainty": unsure.ravel()[where],
        "descriptors": descriptors[:, inner, inner].reshape(len(descriptors), -1)[:, where].T.astype(np.float32),
    }


def chosen_chunks(area: Area, mask: AreaMask | None, pixels: int, seed: int) -> list[Area]:
    """The chunks to look at: all, or one drawn from every cell of a lattice, so that about ``pixels`` are seen."""
    first_row, first_column = area.row // CHUNK, area.column // CHUNK
    last_row, last_column = -(-area.bottom // CHUNK), -(-area.right // CHUNK)
    chunks = [
        Area(column * CHUNK, row * CHUNK, CHUNK, CHUNK)
        for row in range(first_row, last_row)
        for column in range(first_column, last_column)
    ]
    if mask is not None:
        chunks = [chunk for chunk in chunks if mask.touches(chunk)]
    wanted = max(1, pixels // CHUNK**2)
    if pixels == 0 or len(chunks) <= wanted:
        return chunks
    side = math.ceil(math.sqrt(len(chunks) / wanted))
    numbers = pixel_keys(np.array([one.row * 2**31 + one.column for one in chunks]), seed)
    inside = np.array([one.intersection(area).pixels for one in chunks])
    drawn: dict[tuple[int, int], tuple[float, Area]] = {}
    for chunk, key in zip(chunks, random_keys(numbers, inside).tolist(), strict=True):
        cell = (chunk.row // CHUNK // side, chunk.column // CHUNK // side)
        drawn[cell] = max(drawn.get(cell, (key, chunk)), (key, chunk))
    return [chunk for _key, chunk in drawn.values()]


def _ahead(
    reader: StackReader, room: CacheRoom, chunks: list[Area], halo: int, progress: Progress
) -> Iterator[tuple[Area, dict[str, Series]]]:
    """Chunks with their series, one read ahead."""

    def read(chunk: Area) -> dict[str, Series]:
        series = reader.read(Window(*chunk), halo)
        room.check()  # by the thread that reads
        return series

    with ThreadPoolExecutor(1, thread_name_prefix="landloom-read") as pool:
        waiting: Future[dict[str, Series]] | None = None
        for number, chunk in enumerate(chunks):
            current = waiting or pool.submit(read, chunk)
            progress.check()
            series = _result(current, progress)
            following = chunks[number + 1] if number + 1 < len(chunks) else None
            waiting = None if following is None else pool.submit(read, following)
            yield chunk, series


def _result(future: Future[dict[str, Series]], progress: Progress) -> dict[str, Series]:
    while True:
        try:
            return future.result(timeout=0.2)
        except NotYet:
            progress.check()


def _comparable(descriptors: np.ndarray) -> np.ndarray:
    """Descriptors of a size that does not depend on the network: a mean squared distance of about 2 D."""
    spread = float(np.sqrt(descriptors.astype(np.float64).var(axis=0).mean()))
    return descriptors.astype(np.float64) / max(spread, 1e-12)


def _sampled(folder: str | os.PathLike[str], grid: Grid) -> np.ndarray:
    store = SampleStore.open(folder)
    if store.crs_wkt and not same_crs(store.crs_wkt, grid.crs_wkt):
        raise LandloomError(
            tr(
                "The samples {folder} have another CRS than the stack: give their polygons or points as REFERENCE."
            ).format(folder=folder)
        )
    return np.stack([store.x, store.y], axis=1)


def _labelled(
    places: np.ndarray,
    samples: Sequence[str | os.PathLike[str]],
    reference: tuple[str, str] | None,
    grid: Grid,
    distance: float,
    progress: Progress,
) -> np.ndarray:
    """``[n]`` whether a place ``[n, 2]`` of the stack lies within ``distance`` metres of what is labelled already."""
    scale = np.array(metric_scale(grid))
    result = np.zeros(len(places), bool)
    for folder in samples:
        progress.check()
        result |= near(places * scale, _sampled(folder, grid) * scale, max(distance, grid.resolution[0] * scale[0] / 2))
    if reference is None:
        return result
    reach = distance / float(scale.min())
    for _feature, geometry, _repaired in ReferenceLayer(*reference).shapes(progress, grid.crs_wkt):
        if geometry is None:
            continue
        west, east, south, north = geometry.GetEnvelope()
        inside = (places[:, 0] >= west - reach) & (places[:, 0] <= east + reach)
        inside &= (places[:, 1] >= south - reach) & (places[:, 1] <= north + reach)
        for place in np.flatnonzero(inside & ~result):
            point = ogr.Geometry(ogr.wkbPoint)
            point.AddPoint_2D(*places[place])
            result[place] = geometry.Distance(point) <= reach
    return result
