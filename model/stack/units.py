"""Raw values of a sensor as physical ones: reflectance, linear power, decibels."""

from __future__ import annotations

import numpy as np

from .sensors import SensorSpec

DB_FLOOR = -35.0


def physical(raw: np.ndarray, spec: SensorSpec) -> np.ndarray:
    """Values in the sensor's own unit, float32."""
    return raw.astype(np.float32) * np.float32(spec.scale) + np.float32(spec.offset)


def power(raw: np.ndarray, spec: SensorSpec) -> np.ndarray:
    """Linear power of radar values."""
    values = physical(raw, spec)
    if spec.unit == "db":
        return np.float32(10) ** (values / np.float32(10))
    return values * values if spec.unit == "amplitude" else values


def decibels(linear: np.ndarray) -> np.ndarray:
    """Decibels of linear power, not below -35."""
    return np.float32(10) * np.log10(np.maximum(linear, np.float32(10 ** (DB_FLOOR / 10))))
