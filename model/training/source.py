"""Batches of network inputs: kept ready in memory when they fit, else read and prepared by a thread in advance."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from ..base.progress import Progress
from ..networks.base import SensorInput
from .augmentation import draw_kept, draw_pixels, hide_in_inputs, hide_in_series, move_season, turn
from .pool import SamplePool, kinds_of

if TYPE_CHECKING:
    from ..networks.inputs import InputRecipe
    from ..networks.registry import NetworkInfo
    from ..stack.sensors import Series
    from .settings import TrainingSettings

_PREPARED_AT_ONCE = 512
_AHEAD = 3


class Batch(NamedTuple):
    """What a step needs.

    Attributes:
        inputs: sensor name -> input of B samples.
        labels: ``[B]`` int64 class indices.
    """

    inputs: dict[str, SensorInput]
    labels: torch.Tensor


class InputSource:
    """Gives the inputs of samples.

    Args:
        pool: the samples.
        recipe: how raw series become inputs.
        indices: the samples that will be asked for.
        info: what the network needs.
        settings: the augmentation; None for validation and test, where nothing is changed.
        memory_mb: how much may be kept ready.
        progress: asked for cancellation.
    """

    def __init__(
        self,
        pool: SamplePool,
        recipe: InputRecipe,
        indices: np.ndarray,
        info: NetworkInfo,
        settings: TrainingSettings | None,
        memory_mb: float,
        progress: Progress,
    ) -> None:
        self._pool, self._recipes, self._info = pool, pool.bind(recipe), info
        self._settings, self._progress = settings, progress
        self._kinds = kinds_of(pool.specs)
        self._ready: dict[int, dict[str, SensorInput]] = {}
        self._row = np.zeros(len(pool), dtype=np.int64)
        # Regular dates are interpolated after dates have been hidden, so such training inputs cannot be kept.
        if len(indices) and not (info.needs_regular_dates and settings is not None):
            sample = self._prepare(indices[:1])
            size = sum(t.numel() * t.element_size() for one in sample.values() for t in one if t is not None)
            self.is_kept = size * len(indices) <= memory_mb * 2**20
            if self.is_kept:
                self._keep(indices)
        else:
            self.is_kept = False

    def batches(self, cut: list[np.ndarray], device: torch.device, seeds: list[int] | None = None) -> Iterator[Batch]:
        """The inputs of several batches of samples, in their order.

        Args:
            cut: the samples of each batch, each from one store.
            device: where they go.
            seeds: with augmentation, a start of the random numbers that all batches share; batch i adds i to it.
        """

        def make(number: int) -> Batch:
            random = None if seeds is None else np.random.default_rng([*seeds, number])
            return self._batch(cut[number], random)

        if self.is_kept:
            for number in range(len(cut)):
                self._progress.check()
                yield _to(make(number), device)
            return
        with ThreadPoolExecutor(max_workers=1, thread_name_prefix="landloom-batches") as reader:
            waiting = [reader.submit(make, number) for number in range(min(_AHEAD, len(cut)))]
            try:
                for number in range(len(cut)):
                    self._progress.check()
                    batch = waiting.pop(0).result()
                    if number + _AHEAD < len(cut):
                        waiting.append(reader.submit(make, number + _AHEAD))
                    yield _to(batch, device)
            finally:
                for one in waiting:
                    one.cancel()

    def _keep(self, indices: np.ndarray) -> None:
        for own in self._pool.split_by_store(indices):
            pieces = []
            for few in self._pool.batches(own, _PREPARED_AT_ONCE):
                self._progress.check()
                pieces.append(self._prepare(few))
            self._row[own] = np.arange(len(own))
            self._ready[int(self._pool.part[own[0]])] = {
                name: _joined([piece[name] for piece in pieces]) for name in pieces[0]
            }

    def _prepare(self, indices: np.ndarray) -> dict[str, SensorInput]:
        return self._inputs(self._pool.batch(indices, self._info.halo), int(self._pool.part[indices[0]]))

    def _inputs(self, raw: dict[str, Series], part: int) -> dict[str, SensorInput]:
        return self._recipes[part].network_inputs(
            raw, "cpu", regular=self._info.needs_regular_dates, raw=self._info.needs_raw_dates
        )

    def _batch(self, indices: np.ndarray, random: np.random.Generator | None) -> Batch:
        labels = torch.from_numpy(self._pool.labels[indices])
        settings = self._settings
        part = int(self._pool.part[indices[0]])
        if self.is_kept:
            rows = torch.from_numpy(self._row[indices])
            ready = self._ready[part]
            inputs = {
                name: SensorInput(
                    one.x[rows], one.mask[rows], one.days, None if one.filled is None else one.filled[rows]
                )
                for name, one in ready.items()
            }
            if settings is not None and random is not None:
                if self._info.reads_sets:
                    inputs = draw_pixels(inputs, settings.set_pixels, random)
                centres = {name: self._seen(one.mask.numpy()) for name, one in inputs.items()}
                inputs = hide_in_inputs(inputs, draw_kept(centres, self._kinds, settings, random))
        else:
            raw = self._pool.batch(indices, self._info.halo)
            if settings is not None and random is not None:
                centres = {name: self._seen(one.mask) for name, one in raw.items()}
                raw = hide_in_series(raw, draw_kept(centres, self._kinds, settings, random))
            inputs = self._inputs(raw, part)
            if self._info.reads_sets and settings is not None and random is not None:
                inputs = draw_pixels(inputs, settings.set_pixels, random)
        if settings is not None and random is not None:
            inputs = turn(move_season(inputs, self._kinds, settings, random), random)
        return Batch(inputs, labels)

    def _seen(self, mask: np.ndarray) -> np.ndarray:
        """``[B, T]``: where the centre pixel is valid, or any pixel of a set."""
        if self._info.reads_sets:
            return mask.any(axis=(2, 3))
        return mask[:, :, mask.shape[2] // 2, mask.shape[3] // 2]


def _joined(pieces: list[SensorInput]) -> SensorInput:
    filled = [piece.filled for piece in pieces if piece.filled is not None]
    return SensorInput(
        torch.cat([piece.x for piece in pieces]),
        torch.cat([piece.mask for piece in pieces]),
        pieces[0].days,
        torch.cat(filled) if filled else None,
    )


def _to(batch: Batch, device: torch.device) -> Batch:
    if device.type == "cpu":
        return batch

    def moved(one: SensorInput) -> SensorInput:
        filled = None if one.filled is None else one.filled.to(device, non_blocking=True)
        x, mask, days = (part.to(device, non_blocking=True) for part in (one.x, one.mask, one.days))
        return SensorInput(x, mask, days, filled)

    inputs = {name: moved(one) for name, one in batch.inputs.items()}
    return Batch(inputs, batch.labels.to(device, non_blocking=True))
