"""From raw series to class probabilities with a trained model; the same code serves evaluation and mapping."""

from __future__ import annotations

import copy
import itertools
import os
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..base.device import free_gpu, has_bfloat16, is_gpu_full
from ..base.errors import LandloomError
from ..base.language import tr
from ..stack.sensors import SensorSpec, Series
from .modelfile import Model, blank_inputs
from .registry import network_info
from .together import Together

if TYPE_CHECKING:
    import torch

# Pixels computed at a time. On a CPU a block and its activations should stay in the second-level cache; the windows
# of twinns are larger, since their borders are computed twice.
CPU_BLOCK = {"ltae": 4096, "tempcnn": 1024, "twinns": 2048, "randomforest": 2048, "pixelset": 1024}
GPU_BLOCK = 65536
"""A card without so much memory makes it smaller by itself, see :meth:`Predictor._blockwise`."""
FLOAT32, BFLOAT16 = "float32", "bfloat16"
PRECISIONS = (FLOAT32, BFLOAT16)
FUSED = "fused"  # the branch that joins all others
USUAL_DATES = 54  # with more dates than this the blocks are smaller


class _Block(NamedTuple):
    """A part of a batch: windows ``first..last``, output rows ``top..bottom``."""

    first: int
    last: int
    top: int
    bottom: int


class Description(NamedTuple):
    """What a network knows of windows.

    Attributes:
        probabilities: ``[B, K, H', W']`` as :meth:`Predictor.predict` gives them.
        descriptors: branch -> ``[B, D, H', W']`` float32; those of the members of an ensemble one after another.
    """

    probabilities: np.ndarray
    descriptors: dict[str, np.ndarray]


class Predictor:
    """Class probabilities of windows or samples, and the descriptors that they rest on.

    Blocks of pixels are computed side by side in threads, each with one torch thread: with small networks this is
    quicker than to split every product among threads, and preparing the inputs is shared out too.

    Args:
        model: from :meth:`Model.load` or from training.
        device: ``cpu``, ``cuda``, ``mps`` or a torch device; forests always use the CPU.
        threads: blocks computed at a time; None = number of cores.
        precision: of :data:`PRECISIONS`; with fewer digits convolutions (on a GPU all products) are faster, and the
            numbers others; see :func:`why_not`.

    Attributes:
        halo: pixels of context lost on every side.
        recipe: how inputs are prepared; fitted to the data by :meth:`check_fits`.
    """

    def __init__(
        self,
        model: Model,
        device: str | torch.device = "cpu",
        threads: int | None = None,
        precision: str = FLOAT32,
    ) -> None:
        self.model, self.device = model, device
        self.info = network_info(model.header.network)
        self.halo = self.info.halo
        self.recipe = model.header.recipe
        self.threads = max(1, threads or os.cpu_count() or 1)
        self._pool: ThreadPoolExecutor | None = None
        self._lock = threading.Lock()
        self._branches: dict[str, int] | None = None
        self._place: Any = device
        on_cpu = self.info.is_forest or str(device) == "cpu"
        self.block = CPU_BLOCK[model.header.network] if on_cpu else GPU_BLOCK
        self._together = None if on_cpu else Together()
        self._members = model.members
        if not self.info.is_forest:
            if precision == BFLOAT16:
                self._members = [_shortened(member) for member in model.members]
            import torch

            self._place = torch.device(device)
            for member in self._members:
                member.to(device)

    def check_fits(self, specs: dict[str, SensorSpec]) -> list[str]:
        """Check that data fit the model, and remember how their bands and units map onto it.

        Args:
            specs: the sensors of the data with bands in the order of the series that :meth:`predict` will get.

        Returns:
            warnings: ignored and missing sensors, unknown calibration.

        Raises:
            LandloomError: if a band or (for a network that cannot do without) a sensor is missing, or if the radar
                calibration differs.
        """
        recipe, warnings, missing = self.model.header.recipe.bind(specs)
        if missing:
            needed, there = ", ".join(self.model.header.recipe.sensors), ", ".join(specs)
            if not self.info.mask_aware:
                raise LandloomError(
                    tr(
                        "The data lack the sensor {missing}: the model ({network}) needs {needed}, the data "
                        "have {there}. Add the sensor to the stack, or choose another model."
                    ).format(missing=", ".join(missing), network=self.model.header.network, needed=needed, there=there)
                )
            warnings.append(
                tr(
                    "The data lack the sensor {missing} (the model was trained on {needed}, the data have "
                    "{there}): the map will be less accurate."
                ).format(missing=", ".join(missing), needed=needed, there=there)
            )
        self.recipe = recipe
        return warnings

    def predict(self, batch: dict[str, Series]) -> np.ndarray:
        """Class probabilities.

        Args:
            batch: raw series by sensor, ``[B, T, C, H, W]``, bands as :meth:`check_fits` was told, else as in
                training. Sensors that the model does not know are ignored.

        Returns:
            ``[B, K, H - 2 * halo, W - 2 * halo]`` float32, of a network that reads sets ``[B, K, 1, 1]``; they sum to
            1. A pixel does not depend on what else is in the batch. The mean of the members of an ensemble.

        Raises:
            LandloomError: if the batch has no sensor of the model, or lacks one that the network needs.
        """
        return self._answer(batch, len(self.model.header.nomenclature), ())

    def branches(self) -> dict[str, int]:
        """The descriptors that the model has: name of a branch (``fused`` is always there) -> length.

        Raises:
            LandloomError: for the random forest, which has none.
        """
        if self.info.is_forest:
            raise LandloomError(
                tr("A random forest has no descriptors: choose a model of a network, such as ltae, twinns or tempcnn.")
            )
        with self._lock:
            known = self._branches
        if known is None:
            known = self._workers().submit(self._measure_branches).result()
            with self._lock:
                self._branches = known
        return dict(known)

    def describe(self, batch: dict[str, Series], branches: Sequence[str] = (FUSED,)) -> Description:
        """Class probabilities and descriptors in one pass.

        Args:
            batch: as :meth:`predict` takes it.
            branches: some of :meth:`branches`.

        Raises:
            LandloomError: as :meth:`predict`; for the random forest; if there is no such branch.
        """
        lengths = self.branches()
        for branch in branches:
            if branch not in lengths:
                raise LandloomError(
                    tr("The model has no branch '{branch}': choose one of {lengths}.").format(
                        branch=branch, lengths=", ".join(lengths)
                    )
                )
        classes = len(self.model.header.nomenclature)
        planes = self._answer(batch, classes + sum(lengths[branch] for branch in branches), tuple(branches))
        found, first = {}, classes
        for branch in branches:
            found[branch] = planes[:, first : first + lengths[branch]]
            first += lengths[branch]
        return Description(planes[:, :classes], found)

    def _answer(self, batch: dict[str, Series], planes: int, branches: tuple[str, ...]) -> np.ndarray:
        """``[B, planes, H', W']``: probabilities and descriptors; on a GPU what several threads ask in one go."""
        batch = {name: series for name, series in batch.items() if name in self.recipe.sensors}
        if not batch or (len(batch) < len(self.recipe.sensors) and not self.info.mask_aware):
            needed = ", ".join(self.recipe.sensors)
            raise LandloomError(
                tr("The data have {batch} of the model's sensors {needed}.").format(
                    batch=", ".join(batch) or "no sensor", needed=needed
                )
            )
        _size, _dates, _bands, height, width = next(iter(batch.values())).values.shape
        height, width = height - 2 * self.halo, width - 2 * self.halo
        if height < 1 or width < 1:
            raise ValueError(f"a window must be larger than {2 * self.halo} pixels")
        if self.info.reads_sets and height != 1:
            raise ValueError("a set of pixels lies in one row")

        def blockwise(whole: dict[str, Series]) -> np.ndarray:
            return self._blockwise(whole, planes, branches)

        if self._together is None:
            return blockwise(batch)
        return self._together.ask(batch, (planes, branches), self.block, blockwise)

    def _blockwise(self, batch: dict[str, Series], planes: int, branches: tuple[str, ...]) -> np.ndarray:
        """``[B, planes, H', W']``, block by block in threads."""
        size, _dates, _bands, height, width = next(iter(batch.values())).values.shape
        height, width = height - 2 * self.halo, width - 2 * self.halo
        result = np.empty((size, planes, height, 1 if self.info.reads_sets else width), dtype=np.float32)

        def compute(block: _Block) -> None:
            # No function that calls itself: it would hold itself and the batch until Python looks for such circles.
            left = [block]
            while left:
                left += self._fill(result, batch, left.pop(), branches)

        blocks = self._cut_up(batch, height, width)
        if len(blocks) == 1 and not self._threaded():
            compute(blocks[0])
        else:
            list(self._workers().map(compute, blocks))
        return result

    def _fill(
        self, result: np.ndarray, batch: dict[str, Series], block: _Block, branches: tuple[str, ...]
    ) -> Sequence[_Block]:
        """Compute a block into ``result``; where a GPU has no room for it, nothing yet: its halves are to be done."""
        try:
            found = self._compute(_cut(batch, block, self.halo), branches)
        except RuntimeError as error:
            halves = _halves(block) if is_gpu_full(error) else ()
            if not halves:
                raise
        else:
            result[block.first : block.last, :, block.top : block.bottom] = found
            return ()
        # The error, which holds on to what was on the GPU, is gone by now. Later blocks begin with what fits.
        pixels = (block.last - block.first) * (block.bottom - block.top) * result.shape[3]
        self.block = max(1, min(self.block, pixels // 2))
        free_gpu(self._place)
        return halves

    def pieces(self, batch: dict[str, Series]) -> list[dict[str, Series]]:
        """The parts of a batch that are computed at a time."""
        _size, _dates, _bands, height, width = next(iter(batch.values())).values.shape
        blocks = self._cut_up(batch, height - 2 * self.halo, width - 2 * self.halo)
        return [_cut(batch, block, self.halo) for block in blocks]

    def _cut_up(self, batch: dict[str, Series], height: int, width: int) -> list[_Block]:
        dates = sum(series.values.shape[1] for series in batch.values())
        size = len(next(iter(batch.values())).values)
        return list(_blocks(size, height, width, max(1, self.block * USUAL_DATES // max(USUAL_DATES, dates))))

    def close(self) -> None:
        """End the threads; also done when the object goes."""
        if self._pool is not None:
            self._pool.shutdown()
            self._pool = None

    def __enter__(self) -> Predictor:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def _threaded(self) -> bool:
        return not self.info.is_forest  # torch's thread count is set in workers, never in the caller's thread

    def _workers(self) -> ThreadPoolExecutor:
        with self._lock:
            if self._pool is None:
                self._pool = ThreadPoolExecutor(self.threads, thread_name_prefix="landloom")
                if not self.info.is_forest:
                    _give_one_torch_thread(self._pool, self.threads)
            return self._pool

    def _measure_branches(self) -> dict[str, int]:
        """The lengths of the descriptors, by looking at those of one blank pixel."""
        import torch

        with torch.inference_mode():
            inputs = blank_inputs(self.model.header.recipe, 1 + 2 * self.halo, self.device)
            lengths: dict[str, int] = {}
            for member in self._members:
                for name, found in member.eval()(inputs).descriptors.items():
                    lengths[name] = lengths.get(name, 0) + int(found.shape[1])
        return {FUSED: lengths.pop(FUSED), **lengths}

    def _compute(self, batch: dict[str, Series], branches: Sequence[str] = ()) -> np.ndarray:
        """Probabilities, and after them the descriptors of each branch named, member by member."""
        if self.info.is_forest:
            return self._compute_forest(batch)
        import torch

        from .scripting import classes_only

        with torch.inference_mode(), nullcontext() if branches else classes_only():
            needs = self.info.needs_regular_dates, self.info.needs_raw_dates
            later = self.info.prepares and len(self._members) == 1  # of several each would do it
            inputs = self.recipe.network_inputs(batch, self.device, *needs, drop=True, later=later)
            total: Any = 0
            described: dict[str, list[torch.Tensor]] = {branch: [] for branch in branches}
            for member in self._members:
                if member.training:
                    member.eval()
                found = member(inputs)
                logits = found.logits
                for branch, own in described.items():
                    own.append(found.descriptors[branch])
                total = total + torch.softmax(logits / self.model.header.temperature, dim=1)
            parts = [total / len(self._members), *itertools.chain.from_iterable(described.values())]
            return torch.cat(parts, dim=1).cpu().numpy()

    def _compute_forest(self, batch: dict[str, Series]) -> np.ndarray:
        size, _dates, _bands, height, width = next(iter(batch.values())).values.shape
        features = self.recipe.features(batch)
        total = self.model.members[0].predict_proba(features)
        for member in self.model.members[1:]:
            total += member.predict_proba(features)
        total /= len(self.model.members)
        temperature = self.model.header.temperature
        if temperature != 1:
            total = np.power(total, 1.0 / temperature)
            total /= total.sum(axis=1, keepdims=True)
        return total.reshape(size, height, width, -1).transpose(0, 3, 1, 2)


def why_not(network: str, device: str, precision: str) -> str:
    """Why a network is no faster in a precision on a device, as the end of a sentence; empty where it is."""
    if precision == FLOAT32:
        return ""
    if network_info(network).is_forest:
        return tr("a random forest has no use for it")
    import torch

    if device == "cuda":
        return "" if has_bfloat16(torch.device(device)) else tr("this GPU does not have it")
    if device != "cpu":
        return tr("it was never tried on {device}").format(device=device)
    if network != "twinns":
        return tr("{network} is no faster with it on a processor").format(network=network)
    supported = getattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", None)
    return "" if supported is not None and supported() else tr("this processor does not have it")


def _shortened(member: torch.nn.Module) -> torch.nn.Module:
    """A copy of a network that computes in bfloat16 where it gains by it."""
    import torch

    copied = copy.deepcopy(member)
    for module in copied.modules():
        module.precision = torch.bfloat16  # type: ignore[assignment]
    return copied


def _blocks(size: int, height: int, width: int, pixels: int) -> Iterator[_Block]:
    """Blocks of about ``pixels`` pixels: whole windows where they are small, rows of a window where it is large."""
    if height * width <= pixels:
        step = max(1, pixels // (height * width))
        for first in range(0, size, step):
            yield _Block(first, min(first + step, size), 0, height)
        return
    rows = max(1, pixels // width)
    for first in range(size):
        for top in range(0, height, rows):
            yield _Block(first, first + 1, top, min(top + rows, height))


def _halves(block: _Block) -> tuple[_Block, ...]:
    """A block in two: by windows, else by rows; none where it has one row of one window."""
    first, last, top, bottom = block
    if last - first > 1:
        middle = (first + last) // 2
        return _Block(first, middle, top, bottom), _Block(middle, last, top, bottom)
    middle = (top + bottom) // 2
    return (_Block(first, last, top, middle), _Block(first, last, middle, bottom)) if bottom - top > 1 else ()


def _cut(batch: dict[str, Series], block: _Block, halo: int) -> dict[str, Series]:
    windows, rows = slice(block.first, block.last), slice(block.top, block.bottom + 2 * halo)
    return {
        name: Series(series.values[windows, :, :, rows], series.mask[windows, :, rows], series.days)
        for name, series in batch.items()
    }


def _give_one_torch_thread(pool: ThreadPoolExecutor, workers: int) -> None:
    """Let torch use one thread in each worker, and leave the setting of all other threads as it is.

    The setting is kept by thread, but a thread takes it at its first use from one that all share: so every worker
    uses it while that one is 1, and then it is put back.
    """
    import torch

    before, gate = torch.get_num_threads(), threading.Barrier(workers)

    def start() -> None:
        gate.wait()  # each worker gets one of these tasks
        torch.set_num_threads(1)
        torch.get_num_threads()
        gate.wait()  # nobody goes on before all have taken it

    try:
        for started in [pool.submit(start) for _ in range(workers)]:
            started.result()
    finally:
        torch.set_num_threads(before)
