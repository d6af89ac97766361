"""A raster of what a network knows of each pixel before it decides on a class: its descriptors."""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..base.elsewhere import Elsewhere
from ..base.errors import LandloomError
from ..base.language import tr
from ..base.progress import Progress
from ..base.values import check_choice
from ..networks.axes import Axes
from ..networks.predictor import FLOAT32, FUSED, Predictor
from ..stack.grid import Bounds
from ..stack.sensors import SensorSpec, Series
from .chunks import Area
from .job import Job, Summary
from .opening import Inputs, dated_sensors, observed, open_inputs
from .outputs import Layer
from .precision import check_precision, use_precision
from .runner import BlockRunner
from .style import bands_qml
from .watch import duration

TYPES = ("float32", "int16")
NODATA = {"float32": float("nan"), "int16": -32768}
FORMAT = 2
"""Raised when the same inputs would give other values, so that parts of an older version are not used."""
MARGIN = 4.0
"""int16 reaches to so many times the largest 2nd or 98th percentile of the training pixels."""


@dataclass(frozen=True)
class DescriptorMap:
    """What a run made.

    Attributes:
        output: the raster.
        names: of its bands.
        shares: share of the training pixels' variance that each axis explains; empty without DIMENSIONS.
        summary: pixels, seconds, blocks.
    """

    output: Path
    names: list[str]
    shares: list[float]
    summary: Summary


def map_descriptors(
    stack: str | os.PathLike[str],
    model: str | os.PathLike[str],
    output: str | os.PathLike[str],
    branch: str = FUSED,
    dimensions: int = 0,
    dtype: str = "float32",
    bounds: Bounds | None = None,
    mask: str | None = None,
    memory_mb: int = 1024,
    device: str = "auto",
    threads: int | None = None,
    progress: Progress | None = None,
    elsewhere: Elsewhere | None = None,
    precision: str = FLOAT32,
) -> DescriptorMap:
    """Write the descriptors of a stack's pixels.

    Args:
        stack: a ``stack.json``.
        model: a model of a network.
        output: a GeoTIFF with one band a dimension.
        branch: ``fused``, or one of the network's branches.
        dimensions: so many main axes of the training pixels' descriptors; 0 = the descriptors as they are.
        dtype: ``float32`` (no data: NaN), or ``int16`` (no data: -32768) with one scale, declared in the file.
        bounds: xmin, ymin, xmax, ymax in the stack's CRS; the pixels that it touches are computed.
        mask: polygons or a raster; what is outside is no data and not computed.
        memory_mb: working memory; beyond it come the program and its libraries.
        device: ``auto``, ``cpu``, ``cuda`` or ``mps``.
        threads: computing threads; the values do not depend on it.
        progress: shown, and asked whether to stop.
        elsewhere: other processes that compute the blocks; None for this one.
        precision: ``float32``, or ``bfloat16`` where that is faster and gives the same classes; see ``precision.py``.

    Raises:
        LandloomError: if an input is missing, damaged or does not fit, for a forest, or if an output cannot be written.
        Cancelled: if the user asked to stop; nothing is left then.
    """
    progress = progress or Progress()
    arguments = {
        "stack": os.fspath(stack),
        "model": os.fspath(model),
        "output": os.fspath(output),
        "branch": branch,
        "dimensions": dimensions,
        "dtype": dtype,
        "bounds": bounds,
        "memory_mb": memory_mb,
        "device": device,
        "precision": precision,
    }
    with open_descriptors(progress, elsewhere, mask, threads, arguments) as (job, inputs, axes):
        layer, area = job.layers[0], job.area
        progress.info(
            tr(
                "Writing {bands} bands of '{branch}' for {width:,} x {height:,} pixels with {network} on {kind}."
            ).format(
                bands=layer.bands,
                branch=branch,
                width=area.width,
                height=area.height,
                network=inputs.model.header.network,
                kind=inputs.kind,
            )
        )
        if dimensions:
            progress.info(
                tr("The axes explain {shares:.1f} % of the variance.").format(
                    shares=100 * float(axes.shares[:dimensions].sum())
                )
            )
        summary = BlockRunner(job, progress).run()
        inputs.predictor.close()
    if summary.pixels:
        progress.info(
            tr("Described {pixels:,} pixels in {duration}.").format(
                pixels=summary.pixels, duration=duration(summary.seconds)
            )
        )
    shares = [float(share) for share in axes.shares[:dimensions]]
    return DescriptorMap(Path(output), list(layer.band_names), shares, summary)


@contextlib.contextmanager
def open_descriptors(
    progress: Progress,
    elsewhere: Elsewhere | None,
    mask: str | None,
    threads: int | None,
    arguments: dict[str, Any],
) -> Iterator[tuple[Job, Inputs, Axes]]:
    """Open what :func:`map_descriptors` needs; processes elsewhere do the same; see ``classify``."""
    branch, dimensions, dtype = (arguments[name] for name in ("branch", "dimensions", "dtype"))
    model, memory_mb = arguments["model"], arguments["memory_mb"]
    check_choice("TYPE", dtype, TYPES)
    check_precision(arguments["precision"], False, elsewhere is not None)
    inputs = open_inputs(
        arguments["stack"], model, arguments["bounds"], arguments["device"], threads, progress, elsewhere
    )
    lengths = inputs.predictor.branches()
    if branch not in lengths:
        raise LandloomError(
            tr("BRANCH is '{branch}', but the model has: {lengths}.").format(branch=branch, lengths=", ".join(lengths))
        )
    axes = inputs.model.axes.get(branch)
    if axes is None or axes.length != lengths[branch]:
        raise LandloomError(
            tr(
                "The model {model} holds no main axes of its descriptors, which scale and style the raster: "
                "train it again with 'Train'."
            ).format(model=model)
        )
    if not 0 <= dimensions <= len(axes.vectors):
        raise LandloomError(
            tr("DIMENSIONS is {dimensions}: choose 1 to {n_vectors}, or 0 for all {length} values as they are.").format(
                dimensions=dimensions, n_vectors=len(axes.vectors), length=axes.length
            )
        )
    layer, step = _layer(Path(arguments["output"]), axes, branch, dimensions, dtype)
    with inputs.reader(memory_mb) as reader:
        use_precision(inputs, reader, arguments["precision"], progress)
        job = inputs.job(
            reader,
            [layer],
            _Describer(inputs.predictor, branch, axes, dimensions, dtype, step, reader.specs),
            {"algorithm": "descriptors", "format": FORMAT, "branch": branch, "dimensions": dimensions},
            mask,
            memory_mb,
            # of a chunk of 64 x 64: values of all branches' layers, their projection, the result
            thread_mb=math.ceil(4096 * 4 * 3 * axes.length / 2**20),
            order=arguments,
        )
        yield job, inputs, axes


def _layer(path: Path, axes: Axes, branch: str, dimensions: int, dtype: str) -> tuple[Layer, float]:
    """The raster, and the size of an integer step."""
    if dimensions:
        low, high = axes.low[:dimensions], axes.high[:dimensions]
        names = [
            f"{branch} axis {number} ({100 * float(share):.1f} %)"
            for number, share in enumerate(axes.shares[:dimensions], start=1)
        ]
    else:
        low, high = axes.raw_low, axes.raw_high
        names = [f"{branch} {number}" for number in range(1, axes.length + 1)]
    reach = max(float(np.abs(low).max()), float(np.abs(high).max()), 1e-6)
    step = MARGIN * reach / 32767 if dtype == "int16" else 1.0
    spans = [(float(a), float(b) if b > a else float(a) + 1.0) for a, b in zip(low / step, high / step, strict=True)]
    layer = Layer(
        "descriptors",
        path,
        len(names),
        dtype,
        NODATA[dtype],
        band_names=names,
        scale=step if dtype == "int16" else None,
        qml=bands_qml(spans),
    )
    return layer, step


class _Describer:
    """Turns the series of a chunk into descriptors; may be called from several threads."""

    def __init__(
        self,
        predictor: Predictor,
        branch: str,
        axes: Axes,
        dimensions: int,
        dtype: str,
        step: float,
        specs: Mapping[str, SensorSpec],
    ) -> None:
        self._predictor, self._branch, self._axes, self._dimensions = predictor, branch, axes, dimensions
        self._dtype, self._step = dtype, step
        self._dated = dated_sensors(specs)

    def __call__(self, series: dict[str, Series], chunk: Area) -> dict[str, np.ndarray] | None:
        valid = observed(series, self._dated, self._predictor.halo)
        if not valid.any():
            return None
        found = self._predictor.describe(series, [self._branch]).descriptors[self._branch][0]
        planes = np.ascontiguousarray(found.reshape(len(found), -1))
        if self._dimensions:
            planes = self._axes.project(planes, self._dimensions)
        if not np.isfinite(planes).all():
            raise LandloomError(tr("The model gives values that are not numbers: train it again."))
        if self._dtype == "int16":
            planes = np.rint(planes / np.float32(self._step)).clip(-32767, 32767)
        values = planes.astype(self._dtype).reshape(-1, *valid.shape)
        values[:, ~valid] = NODATA[self._dtype]
        return {"descriptors": values}
