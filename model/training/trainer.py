"""What the members of an ensemble and the folds share: network, device, inputs, and what to do when memory is short."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import torch

from ..base.device import free_gpu, has_bfloat16, is_gpu_full, thread_count
from ..base.errors import LandloomError
from ..base.language import tr
from ..base.progress import Progress
from ..networks.registry import build, network_info
from ..networks.scripting import forget
from .source import Batch, InputSource

if TYPE_CHECKING:
    from ..networks.inputs import InputRecipe
    from .checkpoints import Checkpoints
    from .pool import SamplePool
    from .settings import TrainingSettings

_EVALUATED_AT_ONCE = 1024
_Result = TypeVar("_Result")
_PIXELS_FOR_THREADS = 1024


class Trainer:
    """Builds networks, gives their inputs and applies them to samples.

    Args:
        pool: the samples.
        recipe: how raw series become inputs.
        settings: the recipe of training.
        device: where to compute.
        checkpoints: where states are kept.
        progress: told of each epoch, asked for cancellation at each step.
        widths: settings of the network itself; empty = its defaults.
    """

    def __init__(
        self,
        pool: SamplePool,
        recipe: InputRecipe,
        settings: TrainingSettings,
        device: torch.device,
        checkpoints: Checkpoints,
        progress: Progress,
        widths: dict[str, object] | None = None,
    ) -> None:
        self.pool, self.recipe, self.settings = pool, recipe, settings
        self.device, self.checkpoints, self.progress = device, checkpoints, progress
        self.info = network_info(settings.network)
        self.classes = len(pool.nomenclature)
        self.widths = widths or {}
        self.at_once: int | None = None  # samples that the GPU's memory takes, known once it has been exceeded
        self.precision: torch.dtype | None = None
        if device.type == "cuda":
            self.precision = torch.bfloat16 if has_bfloat16(device) else torch.float16

    def network(self) -> torch.nn.Module:
        """A network with new weights, on the device."""
        module = build(self.settings.network, self.recipe.shapes(), self.classes, dict(self.widths))
        return module.to(self.device)

    def source(self, indices: np.ndarray, augmented: bool, share: float) -> InputSource:
        """The inputs of samples, kept ready if they fit in a share of the memory."""
        return InputSource(
            self.pool,
            self.recipe,
            indices,
            self.info,
            self.settings if augmented else None,
            self.settings.memory_mb * share,
            self.progress,
        )

    def logits(self, network: torch.nn.Module, source: InputSource, indices: np.ndarray) -> np.ndarray:
        """Logits ``[n, K]`` float32 of samples, in the order of ``indices``, in evaluation mode and full precision."""
        result = np.zeros((len(indices), self.classes), dtype=np.float32)
        if not len(indices):
            return result
        position = np.zeros(len(self.pool), dtype=np.int64)
        position[indices] = np.arange(len(indices))
        network.eval()
        forget(network)
        size = _EVALUATED_AT_ONCE if self.info.halo == 0 else _EVALUATED_AT_ONCE // 4
        cut = self.pool.batches(indices, size)
        with torch.no_grad():
            for own, batch in zip(cut, source.batches(cut, self.device), strict=True):
                values = self.within_memory(batch, lambda piece: network(piece.inputs).logits[:, :, 0, 0].float())
                result[position[own]] = torch.cat(values).cpu().numpy()
        return result

    def within_memory(
        self, batch: Batch, work: Callable[[Batch], _Result], begin: Callable[[], None] = lambda: None
    ) -> list[_Result]:
        """Do some work on a batch, in smaller and smaller pieces while the GPU's memory does not suffice.

        Args:
            batch: what to work on.
            work: done on every piece; its results are given in order.
            begin: called before each attempt, to undo a broken one.

        Raises:
            LandloomError: if not even two samples fit.
        """
        while True:
            size = len(batch.labels)
            # Two samples at least in each: batch normalisation has no spread of one.
            count = 1 if self.at_once is None else max(1, min(-(-size // self.at_once), size // 2))
            try:
                begin()
                return [work(piece) for piece in _pieces(batch, count)]
            except RuntimeError as error:
                if not is_gpu_full(error):
                    raise
                fewer = -(-size // count) // 2
                if fewer < 2:
                    raise LandloomError(
                        tr(
                            "The GPU's memory does not suffice for two samples at once: choose DEVICE cpu, or "
                            "close other programs that use the GPU."
                        )
                    ) from None
                self.at_once = fewer
                self.progress.warning(
                    tr("The GPU is out of memory: going on with {fewer} samples at once.").format(fewer=fewer)
                )
            free_gpu(self.device)


@contextlib.contextmanager
def training_threads(network: str, batch: int, set_pixels: int = 1) -> Iterator[None]:
    """Let torch use as many threads as a step is worth, and put back what was set.

    A step of a pixel network on some hundred samples is a chain of small products: threads that wait for each other at
    each of them make it slower, on a busy machine ten times so.

    Args:
        network: its name.
        batch: samples a step.
        set_pixels: of each, where they are sets of pixels.
    """
    before = torch.get_num_threads()
    info = network_info(network)
    pixels = batch * (set_pixels if info.reads_sets else (2 * info.halo + 1) ** 2)
    torch.set_num_threads(thread_count() if pixels >= _PIXELS_FOR_THREADS else 1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _pieces(batch: Batch, count: int) -> list[Batch]:
    if count == 1:
        return [batch]
    rows = np.array_split(np.arange(len(batch.labels)), count)
    return [
        Batch(
            {
                name: one._replace(
                    x=one.x[own[0] : own[-1] + 1],
                    mask=one.mask[own[0] : own[-1] + 1],
                    filled=None if one.filled is None else one.filled[own[0] : own[-1] + 1],
                )
                for name, one in batch.inputs.items()
            },
            batch.labels[own[0] : own[-1] + 1],
        )
        for own in rows
    ]
