"""Batches of network inputs: kept ready in memory when they fit, else read and prepared by a thread in advance."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from ..base.device import to_device
from ..base.progress import Progress
from ..networks.base import SensorInput
from .augmentation import (
    draw_kept,
    draw_pixels,
    draw_symmetry,
    hide_in_inputs,
    hide_in_series,
    move_season,
    turn,
)
from .pool import SamplePool, kinds_of

if TYPE_CHECKING:
    from ..networks.inputs import InputRecipe
    from ..networks.registry import NetworkInfo
    from ..stack.sensors import Series
    from .settings import TrainingSettings

_PREPARED_AT_ONCE = 512
_PIXELS_AT_ONCE = 4096  # so that a large batch of patches is prepared alone, and no step need copy its part
_AHEAD = 3
_LARGEST_KEPT = 31 * 2**20


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
        if not self.is_kept:
            keep_freed_memory()

    def batches(self, cut: list[np.ndarray], device: torch.device, seeds: list[int] | None = None) -> Iterator[Batch]:
        """The inputs of several batches of samples, in their order.

        Args:
            cut: the samples of each batch, each from one store.
            device: where they go.
            seeds: with augmentation, a start of the random numbers that all batches share; batch i adds i to it.
        """

        def randoms(numbers: range) -> list[np.random.Generator | None]:
            return [None if seeds is None else np.random.default_rng([*seeds, number]) for number in numbers]

        if self.is_kept:
            for number in range(len(cut)):
                self._progress.check()
                yield _to(self._kept_batch(cut[number], randoms(range(number, number + 1))[0]), device)
            return

        def make(numbers: range) -> list[Batch]:
            return self._read_batches([cut[number] for number in numbers], randoms(numbers))

        runs = self._runs(cut)
        with ThreadPoolExecutor(max_workers=1, thread_name_prefix="landloom-batches") as reader:
            waiting = [reader.submit(make, numbers) for numbers in runs[:_AHEAD]]
            try:
                for following in range(_AHEAD, len(runs) + _AHEAD):
                    self._progress.check()
                    made = waiting.pop(0).result()
                    if following < len(runs):
                        waiting.append(reader.submit(make, runs[following]))
                    for batch in made:
                        self._progress.check()
                        yield _to(batch, device)
            finally:
                for one in waiting:
                    one.cancel()

    def _runs(self, cut: list[np.ndarray]) -> list[range]:
        """Batches that follow one another and are prepared together: from one store, some hundred samples, no sets."""
        runs: list[range] = []
        most = min(_PREPARED_AT_ONCE, _PIXELS_AT_ONCE // (2 * self._info.halo + 1) ** 2)
        size = 0
        for number, own in enumerate(cut):
            size += len(own)
            last = runs[-1] if runs else range(0)
            alone = self._info.reads_sets or size > most or not last
            if not alone and self._pool.part[own[0]] == self._pool.part[cut[last[0]][0]]:
                runs[-1] = range(last[0], number + 1)
            else:
                runs.append(range(number, number + 1))
                size = len(own)
        return runs

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

    def _kept_batch(self, indices: np.ndarray, random: np.random.Generator | None) -> Batch:
        rows = torch.from_numpy(self._row[indices])
        inputs = {
            name: SensorInput(one.x[rows], one.mask[rows], one.days, None if one.filled is None else one.filled[rows])
            for name, one in self._ready[int(self._pool.part[indices[0]])].items()
        }
        return self._changed(indices, inputs, random, early=False)

    def _read_batches(self, cut: list[np.ndarray], randoms: list[np.random.Generator | None]) -> list[Batch]:
        """Batches of one store, read and prepared at once."""
        together = np.concatenate(cut)
        firsts = [int(first) for first in np.cumsum([0, *map(len, cut)])]
        early = self._info.needs_regular_dates or self._info.reads_sets  # gaps are filled after dates have been hidden
        drawing = [random for random in randoms if random is not None]
        if early and drawing and self._settings is not None:
            raw = self._read_changed(together, firsts, drawing, self._settings)
        else:
            raw = self._pool.batch(together, self._info.halo)
        inputs = self._inputs(raw, int(self._pool.part[cut[0][0]]))
        return [
            self._changed(own, _rows(inputs, first, last), random, early)
            for own, (first, last), random in zip(cut, itertools.pairwise(firsts), randoms, strict=True)
        ]

    def _read_changed(
        self, indices: np.ndarray, firsts: list[int], randoms: list[np.random.Generator], settings: TrainingSettings
    ) -> dict[str, Series]:
        """The raw series of several batches, with what augmentation changes before gaps are filled.

        Of patches the masks of their middle are read first: what is drawn depends on these, and then patches are read
        as they are to lie, which costs nothing.
        """
        raw = self._pool.batch(indices) if self._info.reads_sets else {}
        centres = {name: self._seen(one.mask) for name, one in raw.items()} or self._pool.centres(indices)
        kept = []
        for (first, last), random in zip(itertools.pairwise(firsts), randoms, strict=True):
            own = {name: one[first:last] for name, one in centres.items()}
            kept.append(draw_kept(own, self._kinds, settings, random))
        if not raw:
            turned = None
            if self._info.halo:
                turned = np.repeat([draw_symmetry(random) for random in randoms], np.diff(firsts))
            raw = self._pool.batch(indices, self._info.halo, turned)
        return hide_in_series(raw, {name: np.concatenate([one[name] for one in kept]) for name in kept[0]})

    def _changed(
        self, indices: np.ndarray, inputs: dict[str, SensorInput], random: np.random.Generator | None, early: bool
    ) -> Batch:
        """The batch of some samples, with what augmentation changes; ``early``: but for what was changed before."""
        settings = self._settings
        if settings is not None and random is not None:
            if self._info.reads_sets:
                inputs = draw_pixels(inputs, settings.set_pixels, random)
            if not early:
                centres = {name: self._seen(one.mask.numpy()) for name, one in inputs.items()}
                inputs = turn(hide_in_inputs(inputs, draw_kept(centres, self._kinds, settings, random)), random)
            inputs = move_season(inputs, self._kinds, settings, random)
        return Batch(inputs, torch.from_numpy(self._pool.labels[indices]))

    def _seen(self, mask: np.ndarray) -> np.ndarray:
        """``[B, T]``: where the centre pixel is valid, or any pixel of a set."""
        if self._info.reads_sets:
            return mask.any(axis=(2, 3))
        return mask[:, :, mask.shape[2] // 2, mask.shape[3] // 2]


def keep_freed_memory() -> None:
    """Have the C library keep the memory of one batch for the next.

    glibc gives large pieces back to the system as soon as they are free, and to get them again takes as long as to fill
    them. It keeps pieces of up to the size of the largest that it has given back, at most 32 MB: so one is taken, never
    touched, and given back. Other libraries take no notice.
    """
    torch.empty(_LARGEST_KEPT, dtype=torch.uint8)


def _rows(inputs: dict[str, SensorInput], first: int, last: int) -> dict[str, SensorInput]:
    return {
        name: SensorInput(
            one.x[first:last], one.mask[first:last], one.days, None if one.filled is None else one.filled[first:last]
        )
        for name, one in inputs.items()
    }


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
        filled = None if one.filled is None else to_device(one.filled, device)
        x, mask, days = (to_device(part, device) for part in (one.x, one.mask, one.days))
        return SensorInput(x, mask, days, filled)

    inputs = {name: moved(one) for name, one in batch.inputs.items()}
    return Batch(inputs, to_device(batch.labels, device))
