"""Functions that run without Python between their steps, and folded weights that are made once.

A small network on some hundred pixels is a chain of short steps. Between two of them Python is asked, and only one
thread can ask at a time: two threads then are hardly faster than one. As TorchScript such a chain is one call, and
threads do not wait for each other. The steps are the same, and so are the numbers.

On a GPU steps run as they are: nothing there waits for Python if the pieces are large, and TorchScript would compile
kernels of its own for each new shape, which takes seconds and changes the last digits from run to run.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
from torch import nn

_Made = TypeVar("_Made")
_MOST_REMEMBERED = 32
_lock = threading.Lock()
_local = threading.local()
_autocast = getattr(torch._C, "_is_any_autocast_enabled", torch.is_autocast_enabled)  # older versions: of CUDA


class Scripted:
    """A function as TorchScript, compiled when it is first called with tensors of the processor.

    Where that cannot be done (Python 3.14 and later do not have it, a package may lack its sources) the function runs
    as it is: the same numbers, but threads wait for each other. What it calls must be plain functions.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        self._compiled: Callable[..., Any] | None = None

    def __call__(self, *arguments: Any) -> Any:
        first = arguments[0][0] if isinstance(arguments[0], list) else arguments[0]
        if first.device.type != "cpu":
            return self.function(*arguments)
        compiled = self._compiled
        if compiled is None:
            with _lock:
                if self._compiled is None:
                    self._compiled = self._compile()
                compiled = self._compiled
        return compiled(*arguments)

    @property
    def is_compiled(self) -> bool:
        """Whether it runs as TorchScript; False before the first call."""
        return isinstance(self._compiled, torch.jit.ScriptFunction)

    def _compile(self) -> Callable[..., Any]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            try:
                return torch.jit.script(self.function)
            except (RuntimeError, OSError, AttributeError, NotImplementedError):
                return self.function


def pixels_at_once(planes: torch.Tensor, pixels: int, cache: int) -> int:
    """How many of some pixels to compute at once: what a cache holds; on a GPU all, in few large steps."""
    return cache if planes.device.type == "cpu" else max(1, pixels)


def makes_maps(module: nn.Module) -> bool:
    """Whether only results are wanted of a module: no gradients, no statistics, no mixed precision."""
    return not (module.training or torch.is_grad_enabled() or _autocast())


@contextmanager
def classes_only() -> Iterator[None]:
    """Within it, in this thread, a network that makes maps may leave out its descriptors, which nobody reads."""
    before = wants_descriptors()
    _local.describes = False
    try:
        yield
    finally:
        _local.describes = before


def wants_descriptors() -> bool:
    """Whether descriptors are read; see :func:`classes_only`."""
    return bool(getattr(_local, "describes", True))


def mixes_precision() -> bool:
    """Whether torch computes in mixed precision just now."""
    return bool(_autocast())


def remembered(module: nn.Module, key: Hashable, make: Callable[[], _Made]) -> _Made:
    """What ``make`` gives, kept with the module until one of its weights changes.

    Args:
        module: whose weights go into it.
        key: what else it depends on.
        make: makes it.
    """
    weights = [(id(one), one.data_ptr(), one._version) for one in _tensors(module)]
    kept: tuple[Any, dict[Hashable, Any]] | None = module.__dict__.get("_remembered")
    if kept is None or kept[0] != weights:
        kept = weights, {}
        module.__dict__["_remembered"] = kept
    found = kept[1]
    if key not in found:
        if len(found) >= _MOST_REMEMBERED:
            found.clear()
        found[key] = make()
    return found[key]


def forget(module: nn.Module) -> None:
    """Make anew what :func:`remembered` keeps, since some optimisers change weights without PyTorch's counting it."""
    for one in module.modules():
        one.__dict__.pop("_remembered", None)


def _tensors(module: nn.Module) -> Iterator[torch.Tensor]:
    """Weights and buffers; as ``parameters()``, which would cost more than a small product."""
    for one in (*module._parameters.values(), *module._buffers.values()):
        if one is not None:
            yield one
    for child in module._modules.values():
        if child is not None:
            yield from _tensors(child)
