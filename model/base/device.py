"""Where networks compute, and with how many threads."""

from __future__ import annotations

import contextlib
import functools
import os
import re
from typing import TYPE_CHECKING

from .errors import LandloomError
from .language import tr
from .optional import need
from .values import check_choice

if TYPE_CHECKING:
    import torch


DEVICES = ("auto", "cpu", "cuda", "mps")
_OF_A_GPU = re.compile(
    r"\b(CUDA|cuDNN|CUBLAS|CUFFT|NCCL|HIP|MPS|GPU)\b|\b(CUDNN|CUBLAS|CUSOLVER)_STATUS", re.IGNORECASE
)


def resolve_device(name: str = "auto") -> torch.device:
    """The torch device for ``auto``, ``cpu``, ``cuda`` or ``mps``; auto takes a GPU where there is one.

    Raises:
        LandloomError: if the device asked for is not there.
        MissingPackageError: without torch.
    """
    torch = need("torch", "A network")
    has_cuda = torch.cuda.is_available()
    has_mps = torch.backends.mps.is_available()
    if name == "auto":
        name = "cuda" if has_cuda and not gpu_refusal() else "mps" if has_mps else "cpu"
    if name == "cuda" and not has_cuda:
        built = torch.version.cuda or "no CUDA"
        raise LandloomError(
            tr(
                "DEVICE is cuda but PyTorch {version} (built for {built}) finds no NVIDIA GPU: choose auto or "
                "cpu, or install a CUDA build of PyTorch and the driver."
            ).format(version=torch.__version__, built=built)
        )
    if name == "cuda" and gpu_refusal():
        raise LandloomError(
            tr(
                "DEVICE is cuda but PyTorch {version} cannot compute on this NVIDIA GPU ({reason}): choose auto or "
                "cpu, or install a build of PyTorch made for it."
            ).format(version=torch.__version__, reason=gpu_refusal())
        )
    if name == "mps" and not has_mps:
        raise LandloomError(tr("DEVICE is mps but there is no Apple GPU here: choose auto or cpu."))
    check_choice("DEVICE", name, DEVICES)
    return torch.device(name)


@functools.cache
def gpu_refusal() -> str:
    """Why PyTorch cannot compute on the NVIDIA GPU that it finds, as one number shows; empty where it can.

    Newer builds leave older cards out, which are found all the same.
    """
    torch = need("torch", "A network")
    try:
        torch.ones(1, device="cuda").add_(1).item()
    except RuntimeError as error:
        return str(error).split("\n", maxsplit=1)[0].strip().rstrip(".")[:200]
    return ""


def describe_device(device: torch.device) -> str:
    """The device in words, for the log."""
    torch = need("torch", "A network")
    if device.type == "cuda":
        memory = torch.cuda.get_device_properties(device).total_memory / 2**30
        return f"cuda ({torch.cuda.get_device_name(device)}, {memory:.0f} GiB)"
    if device.type != "cpu":
        return device.type
    words = tr("{type} ({thread_count} threads)").format(type=device.type, thread_count=thread_count())
    if torch.cuda.is_available() and gpu_refusal():
        words += tr("; PyTorch cannot compute on the GPU: {reason}").format(reason=gpu_refusal())
    return words


def to_device(values: torch.Tensor, device: torch.device) -> torch.Tensor:
    """A tensor on a device.

    To an NVIDIA GPU it goes through locked memory, so that the thread need not wait for the copy. To ``mps`` it is
    waited for: PyTorch reads the source there after it may have been freed.
    """
    if device.type != "cuda" or not values.numel() or values.is_cuda:
        return values.to(device)
    with contextlib.suppress(RuntimeError):  # systems lock little memory: from other memory it goes as well, slower
        values = values.pin_memory()
    return values.to(device, non_blocking=True)


def has_bfloat16(device: torch.device) -> bool:
    """Whether a GPU computes in bfloat16 itself; older ones only do as if, slower than in float32."""
    torch = need("torch", "A network")
    if device.type != "cuda":
        return False
    return bool(torch.version.hip) or torch.cuda.get_device_capability(device) >= (8, 0)


def is_gpu_full(error: BaseException) -> bool:
    """Whether an error says that a GPU's memory does not suffice."""
    text = str(error)
    full = "out of memory" in text.lower() or "_ALLOC_FAILED" in text
    return isinstance(error, RuntimeError) and full and _OF_A_GPU.search(text) is not None


def free_gpu(device: torch.device) -> None:
    """Give memory that PyTorch keeps for later back to the GPU, in pieces of another size."""
    torch = need("torch", "A network")
    if device.type == "cuda":
        torch.cuda.empty_cache()
    elif device.type == "mps":
        torch.mps.empty_cache()


def device_failure(error: BaseException) -> LandloomError | None:
    """The sentence for a GPU that is gone, has failed or is full; None where an error is none of these.

    PyTorch tells all of them as a RuntimeError, by its text alone where versions differ in the class.
    """
    text = str(error).split("\n", maxsplit=1)[0].strip().rstrip(".")
    if not isinstance(error, RuntimeError) or isinstance(error, RecursionError | NotImplementedError):
        return None
    if not _OF_A_GPU.search(text):
        return None
    if is_gpu_full(error):
        return LandloomError(
            tr("The GPU has not enough memory: close other programs that use it, or choose DEVICE cpu.")
        )
    return LandloomError(
        tr(
            "The GPU failed ({reason}): restart QGIS or the worker and run the same again, which goes on from what is "
            "finished; if it fails again, choose DEVICE cpu."
        ).format(reason=text[:200])
    )


def thread_count() -> int:
    """Threads for heavy work: the cores this process may use, one less on larger machines so that QGIS stays live."""
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:  # Windows and macOS
        cores = os.cpu_count() or 1
    return cores if cores <= 2 else cores - 1
