"""What is asked of a GPU before and after it computes; no GPU is needed: stand-ins say what PyTorch says."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from landloom.model.base.device import has_bfloat16, is_gpu_full, to_device  # noqa: E402


@pytest.mark.parametrize(("capability", "expected"), [((6, 1), False), ((7, 5), False), ((8, 0), True), ((9, 0), True)])
def test_cards_that_only_imitate_bfloat16_are_not_given_it(capability, expected, monkeypatch):
    """PyTorch says that they support it: they do so in float32, which is slower than float32 itself."""
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert has_bfloat16(torch.device("cuda")) is expected
    assert not has_bfloat16(torch.device("cpu")) and not has_bfloat16(torch.device("mps"))


@pytest.mark.parametrize(
    ("error", "full"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."), True),
        (RuntimeError("MPS backend out of memory (MPS allocated: 9.06 GB, other allocations: 1.2 GB)"), True),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"), True),
        (RuntimeError("CUDA error: an illegal memory access was encountered"), False),
        (RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory"), False),
        (ValueError("CUDA out of memory"), False),
    ],
    ids=lambda one: str(one)[:30],
)
def test_a_full_gpu_is_known_from_a_broken_one(error, full):
    assert is_gpu_full(error) is full


def test_copies_of_other_devices_than_nvidia_are_waited_for(monkeypatch):
    """On ``mps`` a copy that is not waited for may read what has been freed already."""
    told = []

    class Values:
        is_cuda = False

        def numel(self):
            return 3

        def pin_memory(self):
            told.append("locked")
            raise RuntimeError("no memory can be locked")

        def to(self, device, **options):
            told.append(options)
            return self

    to_device(Values(), torch.device("mps"))
    to_device(Values(), torch.device("cuda"))
    assert told == [{}, "locked", {"non_blocking": True}]
    values = torch.from_numpy(np.arange(3))
    assert to_device(values, torch.device("cpu")) is values
