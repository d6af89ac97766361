"""What a network's arithmetic takes at least: the matrix products and convolutions of its own shapes, each by itself.

They are found by tracing one chunk as mapping computes it, then done again with random values, each as often as
mapping does it, by one thread; to them comes one copy of the raw values. The chunk itself is computed in turns with
them, in the same process, so that both have the same machine: in a whole run two threads and other programs share
caches and memory, which the products by themselves would not feel. What mapping takes beyond the products are
activations, softmax, gap filling, scaling and everything around.

    python benchmarks/speed_ceiling.py stack.json model.safetensors
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent))
from common import load_package

load_package()

PRODUCTS = ("aten::mm", "aten::addmm", "aten::addmm_", "aten::bmm", "aten::baddbmm")
CONVOLUTION = "aten::mkldnn_convolution"
REPEATS = 15


def ceiling(stack: str, model: str, precision: str = "float32") -> dict[str, float]:
    """What a pixel takes.

    Args:
        stack: a ``stack.json``.
        model: of a network.
        precision: of the products.

    Returns:
        microseconds of one core for a pixel, the best of some turns: ``products_us``, ``copy_us`` and ``chunk_us``, the
        whole; ``share``, the median over the turns of the first two in the third; and its ``mflop``.
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
        flop, products = 0.0, []
        for event in events:
            kind = torch.bfloat16 if event.key == CONVOLUTION and precision == "bfloat16" else torch.float32
            found = _again(event.key, event.input_shapes, kind)
            if found is not None:
                products += [found[0]] * event.count
                flop += event.count * found[1]
        raw = [one.values for one in series.values()]

        def multiply() -> None:
            for product in products:
                product()

        def copy() -> None:
            for values in raw:
                values.copy()

        with torch.inference_mode():
            turns = [[seconds_of(one) for one in (multiply, copy, work)] for _ in range(REPEATS + 1)][1:]
    finally:
        torch.set_num_threads(threads)
    best = [min(turn[column] for turn in turns) / pixels * 1e6 for column in range(3)]
    return {
        "products_us": best[0],
        "copy_us": best[1],
        "chunk_us": best[2],
        "share": statistics.median((multiplied + copied) / whole for multiplied, copied, whole in turns),
        "mflop": flop / pixels / 1e6,
    }


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
    out = torch.empty(*first[:-1], second[-1])
    return (lambda: torch.matmul(a, b, out=out)), 2.0 * float(np.prod(first)) * second[-1]


def _fit(first: Sequence[int], second: Sequence[int]) -> bool:
    return first[-1] == second[-2] and first[:-2] == second[:-2]


def seconds_of(work: Callable[[], Any]) -> float:
    """Seconds on a core."""
    begin = time.thread_time()
    work()
    return time.thread_time() - begin


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stack", help="a stack.json")
    parser.add_argument("model", help="a model of a network")
    parser.add_argument("--precision", default="float32", choices=["float32", "bfloat16"])
    arguments = parser.parse_args()
    print(json.dumps(ceiling(arguments.stack, arguments.model, arguments.precision), indent=1))
