"""What a network's arithmetic takes at least: the matrix products and convolutions of its own shapes, each by itself.

They are found by tracing one block as mapping computes it, then done again with random values while nothing else
happens, by one thread; to them comes one copy of the raw values. What mapping takes beyond that are activations,
softmax, gap filling, scaling and everything around.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

PRODUCTS = ("aten::mm", "aten::addmm", "aten::addmm_", "aten::bmm", "aten::baddbmm")
CONVOLUTION = "aten::mkldnn_convolution"
REPEATS = 5


def ceiling(stack: str, model: str, precision: str = "float32") -> dict[str, float]:
    """Microseconds of one core for a pixel: ``products_us`` and ``copy_us``, and its ``mflop``.

    Args:
        stack: a ``stack.json``.
        model: of a network.
        precision: of the products.
    """
    import torch
    from landloom.model.mapping.chunks import CHUNK
    from landloom.model.networks.modelfile import Model
    from landloom.model.networks.predictor import Predictor
    from landloom.model.stack.grid import Window
    from landloom.model.stack.manifest import Stack
    from landloom.model.stack.reader import StackReader
    from torch.profiler import ProfilerActivity, profile

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with Predictor(Model.load(model), threads=1, precision=precision) as predictor:
            halo = predictor.halo
            needed = predictor.model.header.recipe.bands()
            with StackReader(Stack.read(stack), sensors=list(needed), bands=needed) as reader:
                predictor.check_fits(reader.specs)
                series = reader.read(Window(CHUNK, CHUNK, CHUNK, CHUNK), halo=halo)
            pieces = predictor.pieces(series)

            def work() -> None:
                for piece in pieces:
                    predictor._compute(piece)

            work()
            with profile(activities=[ProfilerActivity.CPU], record_shapes=True) as trace:
                work()
            events = trace.key_averages(group_by_input_shape=True)
        pixels = CHUNK * CHUNK
        seconds = flop = 0.0
        with torch.inference_mode():
            for event in events:
                kind = torch.bfloat16 if event.key == CONVOLUTION and precision == "bfloat16" else torch.float32
                found = _again(event.key, event.input_shapes, kind)
                if found is not None:
                    seconds += event.count * best(found[0])
                    flop += event.count * found[1]
        raw = [one.values for one in series.values()]
        copies = sum(best(values.copy) for values in raw)
    finally:
        torch.set_num_threads(threads)
    return {"products_us": seconds / pixels * 1e6, "copy_us": copies / pixels * 1e6, "mflop": flop / pixels / 1e6}


def _again(name: str, shapes: Sequence[Sequence[int]], kind: Any) -> tuple[Callable[[], Any], float] | None:
    """The same product with random values, and its floating-point operations; None for what is no product.

    Of a step in TorchScript the shapes of other values may stand before its own.
    """
    import torch

    if name == CONVOLUTION:
        x, weight = [shape for shape in shapes if len(shape) == 4][-2:]
        image = torch.randn(*x, dtype=kind).contiguous(memory_format=torch.channels_last)
        kernel = torch.randn(*weight, dtype=kind).contiguous(memory_format=torch.channels_last)
        size = x[0] * (x[2] - weight[2] + 1) * (x[3] - weight[3] + 1)
        return lambda: torch.conv2d(image, kernel), 2.0 * size * float(np.prod(weight))
    if name not in PRODUCTS:
        return None
    axes = 3 if name in ("aten::bmm", "aten::baddbmm") else 2
    own = [list(shape) for shape in shapes if len(shape) == axes]
    pairs = [pair for pair in itertools.pairwise(own) if _fit(*pair)]
    if not pairs:
        return None
    first, second = pairs[-1] if name not in ("aten::mm", "aten::bmm") or len(own) == 2 else pairs[-2:][0]
    a, b = torch.randn(*first), torch.randn(*second)
    return (lambda: torch.matmul(a, b)), 2.0 * float(np.prod(first)) * second[-1]


def _fit(first: Sequence[int], second: Sequence[int]) -> bool:
    return first[-1] == second[-2] and first[:-2] == second[:-2]


def best(work: Callable[[], Any]) -> float:
    """Seconds on a core of the quickest of some repetitions, of at least a millisecond each."""
    work()
    begin = time.thread_time()
    work()
    count = max(1, round(1e-3 / max(time.thread_time() - begin, 1e-6)))
    found = []
    for _ in range(REPEATS):
        begin = time.thread_time()
        for _ in range(count):
            work()
        found.append((time.thread_time() - begin) / count)
    return min(found)
