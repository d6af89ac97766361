"""Classification of a whole stack, or a part of it, with a trained model."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from ..base.calibration import FEW_GROUPS
from ..base.elsewhere import Elsewhere
from ..base.errors import LandloomError
from ..base.language import tr
from ..base.levels import Levels
from ..base.nomenclature import LandCoverClass, Nomenclature
from ..base.progress import Progress
from ..networks.modelfile import Model
from ..networks.predictor import FLOAT32, Predictor
from ..stack.grid import Bounds
from ..stack.sensors import SensorSpec, Series
from .chunks import Area
from .domain import DomainCount
from .job import STATISTICS, Job, Summary
from .opening import Inputs, dated_sensors, observed, open_inputs
from .outputs import Layer
from .precision import check_precision, use_precision
from .regionblend import RegionChoice, RegionPredictor
from .regionunsure import RegionLimits, region_limits
from .runner import BlockRunner
from .style import category_names, classes_qml, color_table, confidence_qml
from .unsure import LEVEL_TAG, UNSURE_TAG, Unsure, count_unsure, percent, unsure_of
from .watch import duration

CONFIDENCE_NODATA = 255
PROBABILITY_NODATA = 65535
PROBABILITY_SCALE = 10000
CODES_TAG, COLORS_TAG = "LANDLOOM_CODES", "LANDLOOM_COLORS"
"""Metadata items of a raster of probabilities: codes and colours of the classes of its bands, separated by commas."""
MAP_FORMAT = 3
"""Raised when the same inputs would give other pixels, so that parts of an older version are not used."""


class Predicts(Protocol):
    """What classification needs of a predictor."""

    halo: int

    def predict(self, batch: dict[str, Series]) -> np.ndarray:
        """``[B, K, H - 2 * halo, W - 2 * halo]`` float32 probabilities."""


@dataclass(frozen=True)
class Classification:
    """What a run made.

    Attributes:
        output: the map.
        confidence: its confidence, if asked for.
        probabilities: one band a class, if asked for.
        summary: pixels, seconds, blocks.
        outside: share of pixels outside the training range, by sensor.
        unsure: share of the mapped pixels that is unsure, 0..1; 0 where ``unsure_error`` was not given.
    """

    output: Path
    confidence: Path | None
    probabilities: Path | None
    summary: Summary
    outside: dict[str, float]
    unsure: float = 0.0


def classify(
    stack: str | os.PathLike[str],
    model: str | os.PathLike[str],
    output: str | os.PathLike[str],
    confidence: str | os.PathLike[str] | None = None,
    probabilities: str | os.PathLike[str] | None = None,
    bounds: Bounds | None = None,
    mask: str | None = None,
    memory_mb: int = 1024,
    device: str = "auto",
    threads: int | None = None,
    progress: Progress | None = None,
    level: int = 0,
    unsure_error: float | None = None,
    elsewhere: Elsewhere | None = None,
    regions: RegionChoice | None = None,
    precision: str = FLOAT32,
) -> Classification:
    """Map a stack.

    Args:
        stack: a ``stack.json``.
        model: a model file.
        output: the map, Byte or UInt16 by the largest code, 0 = no data.
        confidence: probability of the mapped class, Byte 0..100 %, 255 = no data.
        probabilities: one band a class, UInt16 0..10000, scale 0.0001, 65535 = no data.
        bounds: xmin, ymin, xmax, ymax in the stack's CRS; the pixels that it touches are mapped.
        mask: polygons or a raster; what is outside is 0 and not computed.
        memory_mb: working memory; beyond it come the program and its libraries.
        device: ``auto``, ``cpu``, ``cuda`` or ``mps``.
        threads: computing threads; the pixels do not depend on it.
        progress: shown, and asked whether to stop.
        level: 1 for the coarsest classes of the model's nomenclature, 0 for its own; see :class:`Levels`.
        unsure_error: share of wrong pixels, 0..1, that the held-out samples of the model may have among those kept;
            what is less confident becomes the class 'unsure'. None: no pixel does.
        elsewhere: other processes that compute the blocks; None for this one.
        regions: polygons of the regions that the model has models of its own for; see ``regionblend.py``.
        precision: ``float32``, or ``bfloat16`` where that is faster and gives the same classes; see ``precision.py``.

    Raises:
        LandloomError: if an input is missing, damaged or does not fit, or an output cannot be written.
        Cancelled: if the user asked to stop; nothing is left then.
    """
    progress = progress or Progress()
    arguments = {
        "stack": os.fspath(stack),
        "model": os.fspath(model),
        "output": os.fspath(output),
        "confidence": os.fspath(confidence) if confidence else None,
        "probabilities": os.fspath(probabilities) if probabilities else None,
        "bounds": bounds,
        "memory_mb": memory_mb,
        "device": device,
        "level": level,
        "unsure_error": unsure_error,
        "regions": asdict(regions) if regions else None,
        "precision": precision,
    }
    with open_classification(progress, elsewhere, mask, threads, arguments) as opened:
        job, domain, unsure = opened.job, opened.domain, opened.unsure
        progress.info(opened.sentence)
        summary = BlockRunner(job, progress).run()
        opened.predictor.close()  # not after an error: a cancelled run does not wait for pixels that nobody wants
    if summary.pixels:
        progress.info(
            tr("Mapped {pixels:,} pixels in {duration}: {pixels2:,.0f} pixels a second.").format(
                pixels=summary.pixels,
                duration=duration(summary.seconds),
                pixels2=summary.pixels / max(summary.seconds, 1e-09),
            )
        )
    outside = domain.shares(summary.statistics)
    for warning in domain.warnings(summary.statistics):
        progress.warning(warning)
    by_name = {layer.name: layer.path for layer in job.layers}
    share = 0.0
    if unsure:
        count, mapped = count_unsure(by_name["map"], unsure.land_cover.code, progress)
        share = count / max(mapped, 1)
        progress.info(
            tr("{percent} of the map is {land_cover} ({count:,} of {mapped:,} pixels).").format(
                percent=percent(share), land_cover=unsure.land_cover.name, count=count, mapped=mapped
            )
        )
    return Classification(
        by_name["map"], by_name.get("confidence"), by_name.get("probabilities"), summary, outside, share
    )


@dataclass(frozen=True)
class Opened:
    """A classification that can begin: its job, and what its end needs."""

    job: Job
    predictor: Predictor
    domain: DomainCount
    unsure: Unsure | RegionLimits | None
    sentence: str


@contextlib.contextmanager
def open_classification(
    progress: Progress,
    elsewhere: Elsewhere | None,
    mask: str | None,
    threads: int | None,
    arguments: dict[str, Any],
) -> Iterator[Opened]:
    """Open what :func:`classify` needs; processes elsewhere do the same.

    Args:
        progress: told of what does not fit.
        elsewhere: who computes the blocks.
        mask: as for :func:`classify`.
        threads: as for :func:`classify`.
        arguments: its other arguments, as JSON can hold them.
    """
    model, level, memory_mb = arguments["model"], arguments["level"], arguments["memory_mb"]
    check_precision(arguments["precision"], bool(arguments.get("regions")), elsewhere is not None)
    inputs = open_inputs(
        arguments["stack"], model, arguments["bounds"], arguments["device"], threads, progress, elsewhere
    )
    loaded, area = inputs.model, inputs.area
    levels = Levels(loaded.header.nomenclature)
    nomenclature = levels.nomenclature(level)
    by_region, order = _by_region(inputs, arguments, progress)
    unsure = _unsure(loaded, level, arguments["unsure_error"], model, progress, by_region)
    output, confidence, probabilities = (arguments[name] for name in ("output", "confidence", "probabilities"))
    layers = map_layers(nomenclature, output, confidence, probabilities, level, unsure.land_cover if unsure else None)
    with inputs.reader(memory_mb) as reader:
        if by_region is not None:
            by_region.check_fits(reader.specs)
        use_precision(inputs, reader, arguments["precision"], progress)
        predictor = inputs.predictor
        domain = DomainCount(predictor.recipe, reader.specs)
        job = inputs.job(
            reader,
            layers,
            Classifier(predictor, levels, layers, reader.specs, domain, level, unsure, by_region),
            {
                "algorithm": "classify",
                "format": MAP_FORMAT,
                "level": level,
                "unsure": [*unsure.decides, unsure.land_cover.code] if unsure else None,
                **({"regions": by_region.identity} if by_region else {}),
            },
            mask,
            memory_mb,
            statistics=domain.size,
            order=order,
        )
        if by_region is not None:
            by_region.use_threads(predictor.threads)
        sentence = tr("Mapping {width:,} x {height:,} pixels with {network} on {kind}, sensors {needed}.").format(
            width=area.width,
            height=area.height,
            network=loaded.header.network,
            kind=inputs.kind,
            needed=", ".join(inputs.needed),
        )
        yield Opened(job, predictor, domain, unsure, sentence)
        if by_region is not None:
            by_region.close()


def _by_region(
    inputs: Inputs, arguments: dict[str, Any], progress: Progress
) -> tuple[RegionPredictor | None, dict[str, Any]]:
    """The models of regions, if they are asked for, and the arguments as processes elsewhere see them."""
    asked = arguments.get("regions")
    if not asked:
        return None, arguments
    choice = RegionChoice(**asked)
    device = inputs.kind if inputs.elsewhere is None else "cpu"
    found = RegionPredictor(inputs.predictor, inputs.model_path, choice, inputs.stack.grid, device, inputs.threads)
    found.tell(progress)
    if inputs.elsewhere is not None:
        path, *options = choice.source.split("|")
        source = "|".join([inputs.elsewhere.path(os.path.abspath(path)), *options])
        arguments = {**arguments, "regions": {**asked, "source": source, "content": found.content}}
    return found, arguments


def _unsure(
    model: Model,
    level: int,
    error: float | None,
    path: str | os.PathLike[str],
    progress: Progress,
    by_region: RegionPredictor | None,
) -> Unsure | RegionLimits | None:
    """What is to be unsure, if anything, with what that rests on in the log."""
    if error is None:
        return None
    if by_region is not None:
        return region_limits(model.header, by_region.headers, level, error, path, progress)
    found = unsure_of(model.header, level, error, path)
    for sentence in found.sentences():
        progress.info(sentence)
    if found.kept.groups < FEW_GROUPS:
        progress.warning(
            tr(
                "The error among the pixels kept rests on {groups} groups of samples: it may be as high as "
                "{percent}. More reference polygons make it surer."
            ).format(groups=found.kept.groups, percent=percent(found.kept.upper_error))
        )
    return found if found.threshold else None


class Classifier:
    """Turns the series of a chunk into map, confidence and probabilities; may be called from several threads."""

    def __init__(
        self,
        predictor: Predicts,
        levels: Levels,
        layers: Sequence[Layer],
        specs: Mapping[str, SensorSpec],
        domain: DomainCount | None = None,
        level: int = 0,
        unsure: Unsure | RegionLimits | None = None,
        by_region: RegionPredictor | None = None,
    ) -> None:
        self._predictor, self._by_region = predictor, by_region
        self._levels, self._level, self._unsure = levels, level, unsure
        self._wanted = {layer.name for layer in layers}
        dtype = next(layer.dtype for layer in layers if layer.name == "map")
        self._codes = np.asarray(levels.nomenclature(level).codes).astype(dtype)
        self._dated = dated_sensors(specs)
        self._domain = domain

    def __call__(self, series: dict[str, Series], chunk: Area) -> dict[str, np.ndarray] | None:
        halo = self._predictor.halo
        valid = observed(series, self._dated, halo)
        if not valid.any():
            return None
        weights: dict[int, np.ndarray] = {}
        if self._by_region is not None:
            weights = self._by_region.weights(chunk)
            probabilities = self._by_region.predict(series, weights)
        else:
            probabilities = np.asarray(self._predictor.predict(series))[0]
        if not np.isfinite(probabilities).all():
            raise LandloomError(tr("The model gives values that are not numbers: train it again."))
        chosen, confidence = self._levels.choose(probabilities, self._level)
        codes = self._codes[chosen]
        if self._unsure is not None:
            codes[confidence < self._unsure.at(weights)] = self._unsure.land_cover.code
        codes[~valid] = 0
        results = {"map": codes[None]}
        if "confidence" in self._wanted:
            whole = np.rint(confidence * 100.0).clip(0, 100).astype(np.uint8)
            whole[~valid] = CONFIDENCE_NODATA
            results["confidence"] = whole[None]
        if "probabilities" in self._wanted:
            shares = self._levels.sums(probabilities, self._level)
            scaled = np.rint(shares * PROBABILITY_SCALE).clip(0, PROBABILITY_SCALE).astype(np.uint16)
            scaled[:, ~valid] = PROBABILITY_NODATA
            results["probabilities"] = scaled
        if self._domain is not None and self._domain.looks_at(chunk):
            results[STATISTICS] = self._domain.count(series, halo)
        return results


def map_layers(
    nomenclature: Nomenclature,
    output: str | os.PathLike[str],
    confidence: str | os.PathLike[str] | None = None,
    probabilities: str | os.PathLike[str] | None = None,
    level: int = 0,
    unsure: LandCoverClass | None = None,
) -> list[Layer]:
    """The rasters of a classification, the map first; ``unsure`` is one more class of the map."""
    mapped = Nomenclature((*nomenclature, unsure)) if unsure else nomenclature
    codes = [int(code) for code in mapped.codes]
    names, colors = list(mapped.names), list(mapped.colors)
    tags = {LEVEL_TAG: str(level)} if level else {}
    if unsure:
        tags[UNSURE_TAG] = str(unsure.code)
    layers = [
        Layer(
            "map",
            Path(output),
            1,
            "uint8" if max(codes) <= 255 else "uint16",
            0,
            band_names=["Land cover"],
            color_table=color_table(codes, colors),
            categories=category_names(codes, names),
            qml=classes_qml(codes, names, colors),
            tags=tags,
        )
    ]
    if confidence:
        layers.append(
            Layer(
                "confidence",
                Path(confidence),
                1,
                "uint8",
                CONFIDENCE_NODATA,
                band_names=["Confidence (%)"],
                qml=confidence_qml(),
            )
        )
    if probabilities:
        layers.append(
            Layer(
                "probabilities",
                Path(probabilities),
                len(nomenclature),
                "uint16",
                PROBABILITY_NODATA,
                band_names=nomenclature.names,
                scale=1 / PROBABILITY_SCALE,
                tags={
                    CODES_TAG: ",".join(str(code) for code in nomenclature.codes),
                    COLORS_TAG: ",".join(nomenclature.colors),
                },
            )
        )
    return layers
