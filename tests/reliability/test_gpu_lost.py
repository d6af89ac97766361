"""A GPU that goes, fails or is full in mid-run: one sentence, finished blocks stay, and the same run goes on.

No GPU is needed: a stand-in raises what PyTorch raises then.
"""

from __future__ import annotations

import numpy as np
import pytest
from faulty_runs import left_over
from landloom.model.base.device import device_failure
from landloom.model.base.errors import LandloomError
from landloom.model.mapping import blockwork, job
from landloom.model.mapping.classify import classify
from landloom.model.networks.predictor import Predictor
from osgeo import gdal

LOST = (
    "CUDA error: unspecified launch failure\nCUDA kernel errors might be asynchronously reported at some other API call"
)
FULL = "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 4.00 GiB"


@pytest.mark.parametrize(
    "text, words", [(LOST, "The GPU failed (CUDA error: unspecified launch failure)"), (FULL, "not enough memory")]
)
def test_the_same_run_goes_on_after_a_gpu_failed(text, words, inputs, tmp_path, monkeypatch):
    monkeypatch.setattr(job.Job, "block_pixels", lambda self: 4096)
    stack, model = inputs["classify"]["stack"], inputs["classify"]["model"]
    here = tmp_path / "here.tif"
    classify(stack, model, here, device="cpu", threads=1)
    predict, calls = Predictor.predict, []

    def failing(self, batch):
        calls.append(1)
        if len(calls) == 6:
            raise RuntimeError(text)
        return predict(self, batch)

    output = tmp_path / "out" / "map.tif"
    with monkeypatch.context() as patch:
        patch.setattr(Predictor, "predict", failing)
        with pytest.raises(LandloomError) as caught:
            classify(stack, model, output, device="cpu", threads=1)
    assert words in str(caught.value) and "kept in" in str(caught.value) and "\n" not in str(caught.value)
    made = classify(stack, model, output, device="cpu", threads=1)
    assert made.summary.resumed > 0
    assert np.array_equal(*(gdal.Open(str(path)).ReadAsArray() for path in (here, output)))
    assert not left_over(output.parent)


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("The size of tensor a (3) must match the size of tensor b (4)"),
        ValueError("CUDA error"),
        KeyError("gpu"),
        MemoryError(),
        NotImplementedError("The operator is not implemented for the MPS device"),
    ],
    ids=repr,
)
def test_other_errors_are_left_as_they_are(error):
    assert device_failure(error) is None


@pytest.mark.parametrize(
    "text",
    [
        "CUDA driver error: device not ready",
        "cuDNN error: CUDNN_STATUS_EXECUTION_FAILED",
        "CUBLAS_STATUS_NOT_INITIALIZED when calling cublasCreate",
        "No CUDA GPUs are available",
        "MPS backend out of memory (MPS allocated: 9.06 GB)",
    ],
)
def test_what_pytorch_says_of_gpus_is_known(text):
    assert device_failure(RuntimeError(text))


def test_a_worker_tells_it_too(monkeypatch, tmp_path):
    """The machine stands beside it."""
    from landloom.model.base.elsewhere import write_order

    class Failing:
        def compute(self, numbers, progress):
            raise device_failure(RuntimeError(LOST))

    monkeypatch.setattr(blockwork, "open_session", lambda *_arguments: Failing())
    answer = blockwork.compute(str(write_order(tmp_path, "run", "classify", {})), "run", [0])
    assert "The GPU failed" in answer["error"] and answer["machine"]
