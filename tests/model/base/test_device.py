"""What is asked of a GPU before and after it computes; no GPU is needed: stand-ins say what PyTorch says."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from landloom.model.base.device import (  # noqa: E402
    describe_device,
    gpu_refusal,
    has_bfloat16,
    is_gpu_full,
    resolve_device,
    to_device,
)
from landloom.model.base.errors import LandloomError  # noqa: E402


@pytest.fixture
def card(monkeypatch):
    """Pretend that PyTorch finds a card, which then answers as asked for."""

    def answer(error=None):
        def ones(*_size, **_options):
            if error:
                raise error
            return torch.zeros(1)

        monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
        monkeypatch.setattr(torch, "ones", ones)
        gpu_refusal.cache_clear()

    yield answer
    gpu_refusal.cache_clear()


def test_a_card_that_this_pytorch_leaves_out_is_not_taken(card):
    """Such a card is found all the same, and every run would fail."""
    card(RuntimeError("CUDA error: no kernel image is available for execution on the device\nCUDA kernel errors ..."))
    assert resolve_device("auto").type == "cpu"
    assert "no kernel image" in describe_device(resolve_device("auto"))
    with pytest.raises(LandloomError, match=r"no kernel image .* on the device\): choose auto or cpu"):
        resolve_device("cuda")


def test_a_card_that_computes_is_taken(card):
    card()
    assert resolve_device("auto").type == resolve_device("cuda").type == "cuda"
    assert "GPU" not in describe_device(torch.device("cpu"))


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
