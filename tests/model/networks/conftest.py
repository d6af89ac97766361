"""Handmade series of two sensors, and models on them."""

from __future__ import annotations

import numpy as np
import pytest
from landloom.model.base.nomenclature import LandCoverClass, Nomenclature
from landloom.model.networks.inputs import InputRecipe
from landloom.model.stack.sensors import SensorSpec, Series

CLASSES = 4
S2_BANDS = ("B2", "B3", "B4", "B8", "B11")


class World:
    """Specs and random raw series of S2 (int16 reflectance), S1_ASC and S1_DES (power)."""

    def __init__(self, dates: int = 6, sensors: tuple[str, ...] = ("S2", "S1_ASC")) -> None:
        self.specs = {}
        for number, name in enumerate(sensors):
            days = tuple(int(day) for day in np.linspace(3 + number, 120 + 2 * number, dates + number))
            text = tuple("2021-01-01" for _ in days)
            if name == "S2":
                spec = SensorSpec(name, "optical", S2_BANDS, text, days, scale=1e-4, unit="reflectance")
            else:
                spec = SensorSpec(
                    name, "radar", ("VV", "VH"), text, days, "float32", unit="power", calibration="gamma0"
                )
            self.specs[name] = spec
        self.nomenclature = Nomenclature(
            tuple(LandCoverClass(code, f"class {code}", "#112233") for code in range(1, CLASSES + 1))
        )

    def batch(self, size: int = 1, side: int = 1, cloud: float = 0.4, seed: int = 0, width: int | None = None):
        """Random windows; ``cloud`` is the share of masked S2 values."""
        random = np.random.default_rng(seed)
        batch = {}
        for name, spec in self.specs.items():
            shape = (size, len(spec.days), len(spec.bands), side, width or side)
            mask = random.random((size, len(spec.days), side, width or side)) >= (cloud if name == "S2" else 0.05)
            if name == "S2":
                values = random.integers(100, 5000, shape).astype(np.int16)
            else:
                values = random.gamma(4, 0.02, shape).astype(np.float32)
            values *= mask[:, :, None].astype(values.dtype)
            batch[name] = Series(values, mask, np.array(spec.days, dtype=np.int32))
        return batch

    def recipe(self, **options) -> InputRecipe:
        return InputRecipe.fit_batches(self.specs, [self.batch(200, seed=9)], **options)


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """Small tensors are slower with several threads, and much slower on a busy machine."""
    try:
        import torch
    except ImportError:
        yield
        return
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def make_world():
    return World


@pytest.fixture
def world():
    return World()
