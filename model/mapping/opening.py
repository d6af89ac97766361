"""What every computation with a model on a stack begins with: stack, model, device and bands that fit each other."""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..base.device import describe_device, resolve_device, thread_count
from ..base.elsewhere import Elsewhere
from ..base.errors import LandloomError
from ..base.files import file_hash
from ..base.language import tr
from ..base.progress import Progress
from ..networks.modelfile import Model
from ..networks.predictor import FLOAT32, Predictor
from ..networks.registry import network_info
from ..networks.together import LEADERS
from ..stack.grid import Bounds, Grid
from ..stack.indices import find_band
from ..stack.manifest import Stack
from ..stack.reader import StackReader
from ..stack.sensors import STATIC, SensorSpec, Series
from .chunks import CHUNK, Area
from .job import Compute, Job
from .mask import mask_identity
from .outputs import Layer

COMPUTING_MB = {"randomforest": (48, 24), "ltae": (64, 32), "tempcnn": (48, 32), "twinns": (80, 40)}
"""What computing on a processor takes once a pixel has been computed: at all, and each thread."""
OTHERWISE_MB = 80, 48
GPU_THREADS = 16
"""Chunks that are on their way to a GPU, which computes together what waits for it; see ``networks/together.py``."""
GPU_COPIES = 4
"""Of the series of such a chunk: cut out, joined to others, in locked memory; and its results."""


@dataclass
class Inputs:
    """A stack and a model that fit each other.

    Attributes:
        stack: what there is.
        model_path: file of the model.
        predictor: the model on its device.
        area: the pixels to compute.
        needed: bands to read, by sensor.
        kind: of device.
        threads: computing threads.
        precision: in which the predictor computes.
        elsewhere: who computes; None for this process.
    """

    stack: Stack
    model_path: str
    predictor: Predictor
    area: Area
    needed: dict[str, Sequence[str]]
    kind: str
    threads: int
    elsewhere: Elsewhere | None = None
    precision: str = FLOAT32

    @property
    def model(self) -> Model:
        """The model."""
        return self.predictor.model

    def reader(self, memory_mb: int) -> StackReader:
        """A reader of the bands that the model needs; the predictor then knows their order."""
        reader = StackReader(self.stack, sensors=list(self.needed), bands=self.needed, memory_mb=memory_mb)
        self.predictor.check_fits(reader.specs)
        return reader

    def job(
        self,
        reader: StackReader,
        layers: Sequence[Layer],
        compute: Compute,
        identity: Mapping[str, Any],
        mask: str | None,
        memory_mb: int,
        thread_mb: int = 0,
        statistics: int = 0,
        order: Mapping[str, Any] | None = None,
    ) -> Job:
        """The job for a block runner.

        As many threads compute as five eighths of ``memory_mb`` suffice for; the pixels do not depend on it.

        Args:
            reader: from :meth:`reader`.
            layers: the outputs.
            compute: called for each chunk.
            identity: what makes it the same run beside stack, model, mask and device.
            mask: polygons or a raster.
            memory_mb: working memory.
            thread_mb: what each computing thread needs of it beside the usual.
            statistics: as in :class:`Job`.
            order: arguments from which other processes open the same; ``stack``, ``model`` and ``device`` among them.
        """
        most = self.threads
        own, each = COMPUTING_MB.get(self.model.header.network, OTHERWISE_MB)
        if self.kind != "cpu":
            most, own = GPU_THREADS, OTHERWISE_MB[0]
            each = math.ceil(GPU_COPIES * reader.bytes_per_pixel * CHUNK**2 / 2**20)
        each += thread_mb
        threads = max(1, min(most, (5 * memory_mb // 8 - own) // each))
        self.predictor.threads = threads if self.kind == "cpu" else LEADERS
        if self.kind == "cpu" and self.elsewhere is None:
            _warm_up(self.predictor, reader.specs)
        if self.elsewhere is not None:
            path = self.elsewhere.path
            places = {"stack": path(str(self.stack.path)), "model": path(os.path.abspath(self.model_path))}
            order = {**(order or {}), **places, "device": self.kind}
        return Job(
            grid=self.stack.grid,
            area=self.area,
            layers=layers,
            open_reader=lambda: _reading(reader),  # each thread gets data sets of its own from it
            compute=compute,
            halo=self.predictor.halo,
            # the results twice: they are there still while they are written
            bytes_per_pixel=reader.bytes_per_pixel
            + 2 * sum(np.dtype(one.dtype).itemsize * one.bands for one in layers),
            identity={
                **identity,
                **({} if self.precision == FLOAT32 else {"precision": self.precision}),
                "stack": file_hash(self.stack.path),  # it holds sizes and times of the files, which the reader checks
                "model": file_hash(self.model_path),
                "mask": mask_identity(mask) if mask else None,
                "device": self.kind,
            },
            files=reader,
            mask=mask,
            memory_mb=memory_mb,
            reserve_mb=own + each * threads,
            readers=min(4, max(2, self.threads)),
            threads=threads,
            statistics=statistics,
            elsewhere=self.elsewhere,
            order={"algorithm": identity["algorithm"], "arguments": order or {}, "mask": mask},
        )


def open_inputs(
    stack: str | os.PathLike[str],
    model: str | os.PathLike[str],
    bounds: Bounds | None,
    device: str,
    threads: int | None,
    progress: Progress,
    elsewhere: Elsewhere | None = None,
) -> Inputs:
    """Open a stack and a model and check that they fit; ``elsewhere`` is who will compute, None for this process.

    Raises:
        LandloomError: if one is missing or damaged, they do not fit, or the bounds do not meet the stack.
    """
    opened = Stack.read(stack)
    area = area_of(opened.grid, bounds)
    loaded = Model.load(model)
    threads = threads or thread_count()
    if elsewhere is None:
        kind = own = _device_kind(loaded, device, progress)
    else:  # this process only checks that stack and model fit
        kind, own = elsewhere.device(device, not network_info(loaded.header.network).is_forest), "cpu"
    predictor = Predictor(loaded, device=own, threads=threads)
    for warning in predictor.check_fits({name: opened.spec(name) for name in opened.sensors}):
        (progress.info if warning.startswith("Ignored") else progress.warning)(warning)
    needed = needed_bands(opened, loaded.header.recipe.sensors)
    return Inputs(opened, os.fspath(model), predictor, area, needed, kind, threads, elsewhere)


def dated_sensors(specs: Mapping[str, SensorSpec]) -> list[str]:
    """The sensors by which a pixel counts as observed: a layer without dates is always there, and alone counts not."""
    return [name for name, spec in specs.items() if spec.kind != STATIC] or list(specs)


def observed(series: Mapping[str, Series], dated: Iterable[str], halo: int) -> np.ndarray:
    """``[H, W]`` whether a pixel, of a window without its halo, has any valid date."""
    shape = next(iter(series.values())).mask.shape
    rows, columns = slice(halo, shape[2] - halo), slice(halo, shape[3] - halo)
    valid = np.zeros((shape[2] - 2 * halo, shape[3] - 2 * halo), bool)
    for name in dated:
        if name in series:
            valid |= series[name].mask[0, :, rows, columns].any(axis=0)
    return valid


def area_of(grid: Grid, bounds: Bounds | None) -> Area:
    """The pixels to map.

    Raises:
        LandloomError: if the bounds do not meet the stack.
    """
    whole = Area(0, 0, grid.width, grid.height)
    if bounds is None:
        return whole
    area = whole.intersection(Area(*grid.window(bounds)))
    if area.width == 0 or area.height == 0:
        given, own = (", ".join(f"{value:.10g}" for value in one) for one in (bounds, grid.bounds))
        raise LandloomError(
            tr(
                "EXTENT ({given}) lies outside the stack ({own}, as xmin, ymin, xmax, ymax): choose one that meets it."
            ).format(given=given, own=own)
        )
    return area


def needed_bands(stack: Stack, trained: Mapping[str, Any]) -> dict[str, Sequence[str]]:
    """The bands to read by sensor: those of the model, in the stack's own spelling.

    Args:
        stack: what there is.
        trained: sensor name -> recipe with ``spec.bands``.
    """
    needed: dict[str, Sequence[str]] = {}
    for name in stack.sensors:
        if name in trained:
            own = stack.spec(name).bands
            places = [find_band(own, band) for band in trained[name].spec.bands]
            needed[name] = tuple(own[place] for place in places if place is not None)
    return needed


def _device_kind(model: Any, device: str, progress: Progress) -> str:
    """Where to compute; the forest needs no torch and always takes the CPU."""
    if network_info(model.header.network).is_forest:
        return "cpu"
    resolved = resolve_device(device)
    progress.info(tr("Device: {describe_device}.").format(describe_device=describe_device(resolved)))
    return resolved.type


def _warm_up(predictor: Predictor, specs: Mapping[str, SensorSpec]) -> None:
    """Compute a pixel: libraries load and functions are compiled before the run's own memory is planned."""
    side = 1 + 2 * predictor.halo
    for clear in (True, False):  # gaps are filled in another way
        batch = {}
        for name, spec in specs.items():
            shape = 1, len(spec.days), len(spec.bands), side, side
            mask = np.ones((*shape[:2], side, side), bool)
            if not clear:
                mask[0, :, 0, 0] = np.arange(len(spec.days)) % 2 == 0
            batch[name] = Series(np.ones(shape, spec.dtype), mask, np.asarray(spec.days, np.int32))
        predictor.predict(batch)


@contextlib.contextmanager
def _reading(reader: StackReader) -> Iterator[StackReader]:
    """The reader of all threads; at the end of each the files must be what they were."""
    yield reader
    reader.check_unchanged()
