"""From raw series to what the networks and the forest take; the recipe is kept in the model file.

Raw values become physical ones (reflectance, dB), indices join as channels, and each channel is scaled by its 2nd and
98th percentile among the training samples. Radar is in dB throughout, also for gap filling: speckle is then additive.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from ..base.errors import LandloomError
from ..base.language import tr
from ..stack.gapfill import STEP, fill_planes
from ..stack.indices import available_indices, compute_index, index_bands
from ..stack.sensors import KINDS, RADAR, SensorSpec, Series
from .base import SensorInput, SensorShape
from .channels import choose_sensors, listed, percentiles, same_band_order, source_bands, target_days_of, to_db

if TYPE_CHECKING:
    import torch

    from .preparing import Preparer

FITTED_SAMPLES = 50_000
FITTED_VALUES = 2_000_000  # of one channel
CLIP = (-3.0, 4.0)  # of scaled values: a cloud that the mask misses stays bright without drowning the rest
NETWORK_INDICES = ("NDVI", "NDWI", "VV-VH")
FOREST_INDICES = ("NDVI", "NDWI", "BRIGHTNESS")  # what iota2 gives its forest


class Samples(Protocol):
    """What :meth:`InputRecipe.fit` needs of a sample store."""

    specs: dict[str, SensorSpec]

    def batch(self, indices: np.ndarray, halo: int = 0, sensors: Sequence[str] | None = None) -> dict[str, Series]:
        """Raw series of some samples."""


@dataclass(frozen=True)
class SensorRecipe:
    """How one sensor is prepared.

    Attributes:
        spec: the sensor as trained; its bands give the order of the channels.
        indices: names of the index channels that follow the bands.
        low, high: percentiles per channel, bands then indices, in physical units.
        target_days: days of the gap-filled series.
    """

    spec: SensorSpec
    indices: tuple[str, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    target_days: tuple[int, ...]

    @property
    def channels(self) -> tuple[str, ...]:
        """Names of the channels: bands, then indices."""
        return self.spec.bands + self.indices

    def to_json(self) -> dict[str, Any]:
        """A dictionary that JSON can hold."""
        return {
            "spec": self.spec.to_json(),
            "indices": list(self.indices),
            "low": list(self.low),
            "high": list(self.high),
            "target_days": list(self.target_days),
        }

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> SensorRecipe:
        """The inverse of :meth:`to_json`."""
        recipe = cls(
            SensorSpec.from_json(content["spec"]),
            tuple(str(name) for name in content["indices"]),
            tuple(float(value) for value in content["low"]),
            tuple(float(value) for value in content["high"]),
            tuple(int(day) for day in content["target_days"]),
        )
        channels = len(recipe.channels)
        if len(recipe.low) != channels or len(recipe.high) != channels or not recipe.target_days:
            raise ValueError(f"sensor {recipe.spec.name} has {channels} channels, but another number of percentiles")
        if recipe.spec.kind not in KINDS or not np.all(np.isfinite(recipe.low + recipe.high)):
            raise ValueError(f"sensor {recipe.spec.name} has an unknown kind or percentiles that are not numbers")
        if any(low >= high for low, high in zip(recipe.low, recipe.high, strict=True)):
            raise ValueError(f"sensor {recipe.spec.name} has percentiles in the wrong order")
        if any(index_bands(name, recipe.spec.kind, recipe.spec.bands) is None for name in recipe.indices):
            raise ValueError(f"sensor {recipe.spec.name} lacks the bands of its indices")
        return recipe


@dataclass(frozen=True)
class InputRecipe:
    """How the series of all sensors are prepared, fitted on training samples.

    Attributes:
        sensors: name -> recipe, in the order of the network's branches.
        step: days between target days.
    """

    sensors: dict[str, SensorRecipe]
    step: int = STEP
    _sources: dict[str, tuple[SensorSpec, tuple[int, ...]]] = field(default_factory=dict, compare=False, repr=False)
    _preparers: dict[tuple[str, str], Preparer] = field(default_factory=dict, init=False, compare=False, repr=False)

    # ------------------------------------------------------------------ fitting

    @classmethod
    def fit(
        cls,
        store: Samples,
        indices: np.ndarray,
        sensors: Sequence[str] | None = None,
        step: int = STEP,
        index_names: Sequence[str] = NETWORK_INDICES,
        seed: int = 0,
    ) -> InputRecipe:
        """Fit percentiles on training samples only.

        Args:
            store: a sample store.
            indices: the training samples; at most 50,000 of them are looked at.
            sensors: choices such as ``S1`` or ``S2``; None = all.
            step: days between target days.
            index_names: indices wanted as extra channels; a sensor without their bands goes without.
            seed: of the choice among the samples.
        """
        chosen = choose_sensors(store.specs, sensors)
        generator = np.random.default_rng(seed)
        if len(indices) > FITTED_SAMPLES:
            indices = np.sort(generator.choice(indices, FITTED_SAMPLES, replace=False))
        size = 2048
        starts = range(0, len(indices), size)
        batches = (store.batch(indices[start : start + size], halo=0, sensors=list(chosen)) for start in starts)
        return cls.fit_batches(chosen, batches, step, index_names, seed, batch_count=len(starts))

    @classmethod
    def fit_batches(
        cls,
        specs: dict[str, SensorSpec],
        batches: Iterable[dict[str, Series]],
        step: int = STEP,
        index_names: Sequence[str] = NETWORK_INDICES,
        seed: int = 0,
        batch_count: int = 1,
    ) -> InputRecipe:
        """:meth:`fit` from batches of raw series, whose bands are in the order of ``specs``."""
        parts = {}
        for (name, spec), days in zip(same_band_order(specs).items(), target_days_of(specs, step), strict=True):
            names = available_indices(spec.kind, spec.bands, index_names)
            channels = len(spec.bands) + len(names)
            parts[name] = SensorRecipe(spec, names, (0.0,) * channels, (1.0,) * channels, days)
        recipe = cls(parts, step).bind(specs)[0]
        generator = np.random.default_rng(seed)
        seen: dict[str, list[list[np.ndarray]]] = {
            name: [[] for _ in part.channels] for name, part in recipe.sensors.items()
        }
        share = max(1, FITTED_VALUES // max(1, batch_count))
        for batch in batches:
            for name, part in recipe.sensors.items():
                planes, valid, _days = recipe._physical(name, batch[name])
                values = _with_indices(planes, part)
                for channel, found in enumerate(seen[name]):
                    usable = values[:, channel][valid]
                    usable = usable[np.isfinite(usable)]
                    found.append(usable if len(usable) <= share else generator.choice(usable, share, replace=False))
        fitted = {}
        for name, part in recipe.sensors.items():
            limits = [percentiles(found) for found in seen[name]]
            low, high = tuple(limit[0] for limit in limits), tuple(limit[1] for limit in limits)
            fitted[name] = replace(part, low=low, high=high)
        return replace(recipe, sensors=fitted)

    # ------------------------------------------------------------------ what there is

    def shapes(self) -> dict[str, SensorShape]:
        """What a network must know to be built."""
        return {
            name: SensorShape(part.spec.kind, len(part.channels), len(part.target_days))
            for name, part in self.sensors.items()
        }

    def bands(self) -> dict[str, list[str]]:
        """The bands needed of each sensor, in the model's order and spelling."""
        return {name: list(part.spec.bands) for name, part in self.sensors.items()}

    def feature_names(self) -> list[str]:
        """Names of the forest's features, in order: sensor, channel, target day."""
        return [
            f"{name}_{channel}_{day}"
            for name, part in self.sensors.items()
            for day in part.target_days
            for channel in part.channels
        ]

    def bind(self, specs: dict[str, SensorSpec]) -> tuple[InputRecipe, list[str], list[str]]:
        """Fit the recipe to other data: bands found by name; scale, offset and unit as these data have them.

        Args:
            specs: the sensors of the data, bands in the order of the series to come.

        Returns:
            the recipe for these data, warnings, and the sensors that the data lack.

        Raises:
            LandloomError: if a band is missing, a kind or the radar calibration differs, or no sensor fits.
        """
        sources: dict[str, tuple[SensorSpec, tuple[int, ...]]] = {}
        warnings: list[str] = []
        missing: list[str] = []
        for name, part in self.sensors.items():
            if name not in specs:
                missing.append(name)
                continue
            sources[name] = source_bands(part.spec, specs[name], warnings)
        if not sources:
            raise LandloomError(
                tr(
                    "The data have none of the model's sensors: it was trained on {sensors}, the data have "
                    "{specs}. Choose a model trained on these sensors, or add the sensors to the stack."
                ).format(sensors=listed(self.sensors), specs=listed(specs))
            )
        extra = [name for name in specs if name not in self.sensors]
        if extra:
            warnings.append(tr("Ignored, since the model was trained without it: {extra}.").format(extra=listed(extra)))
        return replace(self, _sources=sources), warnings, missing

    # ------------------------------------------------------------------ preparing

    def network_inputs(
        self,
        batch: dict[str, Series],
        device: str | torch.device = "cpu",
        regular: bool = False,
        raw: bool = True,
        drop: bool = False,
        later: bool = False,
    ) -> dict[str, SensorInput]:
        """Tensors for a network.

        Args:
            batch: raw series by sensor; a sensor may be absent. Their days may differ from those in training.
            device: where the tensors go.
            regular: whether to give the gap-filled series.
            raw: whether to give the raw dates; without, ``x`` has no date.
            drop: leave out dates on which no pixel of the batch is valid.
            later: leave the preparing of the raw dates to the network, if that can be done for all sensors.

        Returns:
            a :class:`SensorInput` for every sensor of the recipe that the batch has; masked values are exactly 0.
        """
        from .preparing import Preparer

        chosen = {}
        for name, part in self.sensors.items():
            if name in batch:
                key = name, str(device)
                if key not in self._preparers:
                    spec, positions = self._sources.get(name) or (part.spec, None)
                    self._preparers[key] = Preparer(part, spec, positions, device)
                chosen[name] = self._preparers[key]
        later = later and all(one.can_wait for one in chosen.values())
        return {name: one.prepare(batch[name], regular, raw, drop, later) for name, one in chosen.items()}

    def features(self, batch: dict[str, Series]) -> np.ndarray:
        """The forest's features: gap-filled bands in physical units and the indices of these.

        Args:
            batch: raw series by sensor, ``[B, T, C, H, W]``; every sensor of the recipe must be there.

        Returns:
            ``[B * H * W, F]`` float32, in the order of :meth:`feature_names`; column after column in memory.
        """
        parts = []
        for name, part in self.sensors.items():
            planes, valid, days = self._physical(name, batch[name])
            values, _validity = fill_planes(planes, valid, days, part.target_days)
            full = _with_indices(values, part)
            parts.append(full.reshape(-1, full.shape[-1]))
        return (parts[0] if len(parts) == 1 else np.concatenate(parts)).T

    def outside_range(self, batch: dict[str, Series], margin: float = 0.5) -> dict[str, float]:
        """Share of pixels, by sensor, most of whose valid values lie outside the training range.

        The range of a channel is its percentiles widened by ``margin`` times their distance on both sides. A pixel
        counts as outside if more than half of its valid dates have a channel outside; NaN if no pixel has a date.
        """
        shares = {}
        for name, part in self.sensors.items():
            if name not in batch:
                continue
            planes, valid, _days = self._physical(name, batch[name])
            scaled = _scale(_with_indices(planes, part), *scaling(part))
            outside = ((scaled < -margin) | (scaled > 1 + margin)).any(axis=1) & valid
            dates = valid.sum(axis=0)
            seen = dates > 0
            shares[name] = float((outside.sum(axis=0)[seen] * 2 > dates[seen]).mean()) if seen.any() else float("nan")
        return shares

    def _physical(self, name: str, series: Series) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Reflectance or dB ``[T, C, N]`` float32 in the model's band order, mask ``[T, N]``, days ``[T]``."""
        spec, positions = self._sources.get(name) or (self.sensors[name].spec, None)
        source, valid = planes_of(series, spec, positions)
        planes = np.multiply(source, np.float32(spec.scale), dtype=np.float32)
        if spec.offset:
            planes += np.float32(spec.offset)
        if spec.kind == RADAR:
            to_db(planes, spec.unit)
        return planes, valid, np.asarray(series.days, dtype=np.float32)

    # ------------------------------------------------------------------ JSON

    def to_json(self) -> dict[str, Any]:
        """A dictionary that JSON can hold."""
        return {"step": self.step, "sensors": {name: part.to_json() for name, part in self.sensors.items()}}

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> InputRecipe:
        """The inverse of :meth:`to_json`.

        Raises:
            LandloomError: if something is missing or of a wrong type.
        """
        try:
            sensors = {str(name): SensorRecipe.from_json(part) for name, part in content["sensors"].items()}
            recipe = cls(sensors, int(content["step"]))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise LandloomError(
                tr("The input recipe of the model is damaged ({error}). Train the model again.").format(error=error)
            ) from error
        if not sensors:
            raise LandloomError(tr("The input recipe of the model has no sensor. Train the model again."))
        return recipe


def planes_of(series: Series, spec: SensorSpec, positions: tuple[int, ...] | None) -> tuple[np.ndarray, np.ndarray]:
    """Raw values ``[T, C, N]`` in the model's band order, and the mask ``[T, N]``; of one window without a copy.

    Raises:
        ValueError: if the series has not the bands of the specification.
    """
    batch, dates, bands, height, width = series.values.shape
    wanted = len(positions) if positions is not None else len(spec.bands)
    if bands != wanted and (positions is None or bands <= max(positions)):
        raise ValueError(f"the series of {spec.name} has {bands} bands instead of {wanted}")
    pixels = batch * height * width
    values = series.values.transpose(1, 2, 0, 3, 4).reshape(dates, bands, pixels)
    if positions is not None and positions != tuple(range(bands)):
        values = values[:, list(positions)]
    valid = series.mask.transpose(1, 0, 2, 3).reshape(dates, pixels)
    return values, np.ascontiguousarray(valid, dtype=bool)


def _with_indices(planes: np.ndarray, part: SensorRecipe) -> np.ndarray:
    """Planes ``[T, C, N]`` joined by the index channels."""
    bands = planes.shape[1]
    if not part.indices:
        return planes
    full = np.empty((planes.shape[0], bands + len(part.indices), planes.shape[2]), dtype=np.float32)
    full[:, :bands] = planes
    for offset, name in enumerate(part.indices):
        positions = index_bands(name, part.spec.kind, part.spec.bands) or ()
        full[:, bands + offset] = compute_index(name, [planes[:, position] for position in positions])
    return full


def scaling(part: SensorRecipe) -> tuple[np.ndarray, np.ndarray]:
    """Factor and shift of each channel ``[C, 1]`` that bring its percentiles to 0 and 1."""
    low, high = np.asarray(part.low), np.asarray(part.high)
    factor = 1.0 / (high - low)
    return factor.astype(np.float32)[:, None], (-low * factor).astype(np.float32)[:, None]


def _scale(values: np.ndarray, factor: np.ndarray, shift: np.ndarray) -> np.ndarray:
    """Scale channels ``[T, C, N]`` in place to about 0..1."""
    values *= factor
    values += shift
    return np.clip(values, CLIP[0], CLIP[1], out=values)
