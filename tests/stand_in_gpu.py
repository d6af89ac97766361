"""A GPU for machines without one: tensors that say they are on ``cuda`` and keep their values in main memory.

Every operation of PyTorch inside :func:`stand_in` comes here. As on a card, an operation whose tensors are on
different devices fails, a value of the GPU cannot become a numpy array, and asking for one number means waiting for all
work before it; these are counted. The values are those of the processor, so that results can be compared.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from unittest import mock

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map

GPU = torch.device("cuda", 0)
aten = torch.ops.aten
MOVES = {aten._to_copy.default, aten.copy_.default}
INDEXED = {aten.index.Tensor, aten.index_put_.default}
"""Their indices may be in main memory."""


class OnGpu(torch.Tensor):
    """A tensor of the stand-in; ``values`` has its numbers."""

    values: torch.Tensor
    device = property(lambda self: GPU)
    is_cuda = property(lambda self: True)
    is_meta = property(lambda self: False)

    @staticmethod
    def __new__(cls, values):
        made = torch.Tensor._make_wrapper_subclass(
            cls,
            values.size(),
            strides=values.stride(),
            storage_offset=values.storage_offset(),
            dtype=values.dtype,
            device="meta",  # for PyTorch's own part in C++, which has no CUDA here
            requires_grad=values.requires_grad,
        )
        made.values = values
        return made

    def tolist(self):
        return self.cpu().tolist()

    def __repr__(self):
        return f"OnGpu({self.values!r})"

    @classmethod
    def __torch_dispatch__(cls, function, types, arguments=(), options=None):
        return _run(function, arguments, options or {}, Counter())


class StandIn(TorchDispatchMode):
    """Counts what the GPU is asked to do.

    Attributes:
        counts: name of an operation -> how often; ``waits``: how often a number was asked for.
    """

    def __init__(self):
        super().__init__()
        self.counts = Counter()

    @property
    def waits(self):
        return self.counts["_local_scalar_dense"] + self.counts["to the processor"]

    @property
    def launches(self):
        """Operations that compute; views cost nothing."""
        return sum(count for name, count in self.counts.items() if name.startswith("launch "))

    def __torch_dispatch__(self, function, types, arguments=(), options=None):
        return _run(function, arguments, options or {}, self.counts)


def _run(function, arguments, options, counts):
    flat = [one for one in tree_flatten((arguments, options))[0] if isinstance(one, torch.Tensor)]
    wanted = options.get("device")
    wanted = None if wanted is None else torch.device(wanted)
    there = [one for one in flat if isinstance(one, OnGpu)]
    to_gpu = wanted is not None and wanted.type in ("cuda", "meta")
    if there and function not in MOVES:
        looked_at = [arguments[0]] if function in INDEXED else flat
        strangers = [one for one in looked_at if not isinstance(one, OnGpu) and one.ndim > 0]
        if strangers:
            raise RuntimeError(f"Expected all tensors to be on the same device: {function} got one of the processor")
    if function is aten._to_copy.default and there and not to_gpu and wanted is not None:
        counts["to the processor"] += 1
    if there:
        name = function.overloadpacket.__name__
        counts[name] += 1
        if not function.is_view and function is not aten._local_scalar_dense.default:
            counts[f"launch {name}"] += 1
    plain_options = dict(options)
    if to_gpu:
        plain_options["device"] = torch.device("cpu")
    plain_options.pop("pin_memory", None)
    inner = tree_map(lambda one: one.values if isinstance(one, OnGpu) else one, (arguments, plain_options))
    found = function(*inner[0], **inner[1])
    back = wanted is not None and not to_gpu
    if function is aten.copy_.default:
        return arguments[0]
    if (there and not back) or to_gpu:
        given = {id(one.values): one for one in there}  # what is changed in place is the same tensor afterwards

        def wrapped(one):
            return given.get(id(one)) or OnGpu(one) if isinstance(one, torch.Tensor) else one

        return tree_map(lambda one: given[id(one)] if id(one) in given else wrapped(one), found)
    return found


@contextlib.contextmanager
def stand_in():
    """Within, ``cuda`` is the stand-in, in this thread."""
    mode = StandIn()
    make = torch.tensor  # which asks the device itself for memory

    def tensor(data, *, device=None, **options):
        made = make(data, **options)
        return made if device is None else made.to(device)

    with (
        mock.patch.object(torch.cuda, "_lazy_init", lambda: None),
        mock.patch.object(torch, "tensor", tensor),
        mock.patch.object(torch, "inference_mode", torch.no_grad),  # whose views tensors of Python cannot be
        mode,
    ):
        yield mode
